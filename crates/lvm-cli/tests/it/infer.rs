//! `lvm infer`: every method against the exact posterior.

use crate::harness::{flat, iris, list};

const METHODS: [&str; 5] = ["exact", "mean-field", "full-rank", "stochastic", "amortized"];

#[test]
fn kl_is_what_the_bound_lacks() {
    let folder = iris();
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../lvm-data/data/wine.csv"), folder.path("wine.csv")).unwrap();
    folder.fine("fit fa wine.csv -q 2 --rotation varimax -o fa.lvm");
    folder.fine("fit ppca iris.csv -q 2 -o ppca.lvm");
    for (model, data, q) in [("fa.lvm", "wine.csv", 2), ("ppca.lvm", "iris.csv", 2)] {
        let exact = flat(&folder.json(&format!("posterior {model} {data}"))["mean"]);
        for method in METHODS.into_iter().filter(|m| *m != "stochastic") {
            let report = folder.json(&format!("infer {model} {data} --method {method}"));
            let get = |key: &str| report[key].as_f64().unwrap();
            assert_eq!(report["method"], method);
            // log p(x) = ELBO + KL, each by its own formula; rounding of sums of a few hundred rows
            assert!((get("log_likelihood") - get("elbo") - get("kl_total")).abs() < 1e-8, "{method}: {report}");
            assert_eq!((flat(&report["mean"]).len(), flat(&report["sd"]).len()), (exact.len(), exact.len()));
            let kl = list(&report["kl"]);
            assert_eq!(kl.len() * q, exact.len());
            // the means of all of them are exact for a Gaussian posterior; 1e-6 for iterations that stop at 1e-12 nats
            let furthest = flat(&report["mean"]).iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(furthest < 1e-6, "{model} {method}: {furthest}");
            match (method, model) {
                // rotated factors are dependent given x, canonical ones are not
                ("mean-field", "fa.lvm") => assert!(get("kl_mean") > 1e-3, "{report}"),
                _ => assert!(get("kl_max") < 1e-10, "{method}: {}", get("kl_max")),
            }
        }
    }
    let report = folder.json("infer ppca.lvm iris.csv --method amortized");
    assert!(report["amortization_gap"].as_f64().unwrap() < 1e-10);
    let report = folder.json("infer ppca.lvm iris.csv --method amortized --hidden 8 --seed 1");
    assert!(report["amortization_gap"].as_f64().unwrap() > 1e-8 && report["kl_mean"].as_f64().unwrap() < 1.0);
}

#[test]
fn noisy_gradients_end_near_the_posterior() {
    let folder = iris();
    let rows: Vec<String> = folder.read("iris.csv").lines().take(16).map(str::to_owned).collect();
    let folder = folder.with("few.csv", rows.join("\n"));
    folder.fine("fit ppca iris.csv -q 1 -o m.lvm");
    let report = folder.json("infer m.lvm few.csv --method stochastic --seed 2");
    // the fit stops when means and sds are known to 0.05 sd, of which a KL is at most half the square a latent
    assert!(report["kl_max"].as_f64().unwrap() < 0.01, "{report}");
    assert_eq!(report, folder.json("infer m.lvm few.csv --method stochastic --seed 2 --threads 1"));
}

#[test]
fn components_have_categorical_factors() {
    let folder = iris();
    folder.fine("fit gmm iris.csv -k 2 -o m.lvm");
    let exact = flat(&folder.json("posterior m.lvm iris.csv")["responsibilities"]);
    for (method, allowed) in [("exact", 1e-12), ("mean-field", 1e-12), ("stochastic", 0.02)] {
        let report = folder.json(&format!("infer m.lvm iris.csv --method {method}"));
        let furthest = flat(&report["responsibilities"]).iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // the improbable component is drawn seldom at the end of 2000 steps of 16 draws
        assert!(furthest < allowed, "{method}: {furthest}");
    }
    folder.refused("infer m.lvm iris.csv --method full-rank", 2, &["component", "mean-field"]);
    folder.refused("infer m.lvm iris.csv --method amortized", 2, &["component"]);
}

#[test]
fn a_table_of_q_and_a_summary() {
    let folder = iris();
    folder.fine("fit ppca iris.csv -q 2 -o m.lvm");
    let text = folder.fine("infer m.lvm iris.csv --method mean-field -o q.csv");
    assert!(text.contains("KL to exact") && text.contains("q.csv"), "{text}");
    let table = folder.read("q.csv");
    assert!(table.starts_with("z0,z1,sd_z0,sd_z1,elbo,kl\n") && table.lines().count() == 151);
    folder.refused("infer m.lvm iris.csv", 2, &["--method"]);
    folder.refused("infer m.lvm iris.csv --method laplace", 2, &["mean-field", "amortized"]);
    folder.refused("infer m.lvm iris.csv --method exact --hidden 3", 2, &["amortized"]);
    folder.refused("infer m.lvm iris.csv --method amortized --hidden 3,3,3", 2, &["two layers"]);
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../lvm-data/data/wine.csv"), folder.path("wine.csv")).unwrap();
    folder.fine("fit fa wine.csv -q 2 --rotation promax -o oblique.lvm");
    folder.refused("infer oblique.lvm wine.csv --method mean-field", 1, &["oblique", "lvm posterior"]);
}
