//! The reference cases through the program alone.

use crate::harness::{Folder, csv, difference, flat, list, matrix, reference, table};

/// The tolerances are those of the case files: 1e-10 relative for trajectories (another order of summation), 1e-6 for fixed points.
fn em_trajectory(id: &str) {
    let case = reference(id);
    let (k, n) = (case["model"]["components"].as_u64().unwrap(), case["model"]["rows"].as_f64().unwrap());
    let shape = case["model"]["covariance_type"].as_str().unwrap();
    // Without a header, so that the file of responsibilities is known by its numbers alone.
    let r0 = csv(&[], &matrix(&case["initial_responsibilities"]));
    let folder = Folder::new().with("x.csv", table(&case)).with("r0.csv", r0);
    let fit = |iterations: usize| {
        folder.json(&format!("fit gmm x.csv -k {k} --covariance {shape} --init r0.csv --tol 0 --max-iter {iterations}"))
    };

    let twenty = fit(20);
    let totals: Vec<f64> = list(&twenty["trace"]).iter().map(|mean| mean * n).collect();
    assert_eq!(twenty["iterations"], 20);
    assert!(difference(&totals, &list(&case["log_likelihood_first_20"])) < 1e-10, "{id}: {totals:?}");
    assert_eq!(twenty["repairs"].as_array().unwrap().len(), 0);

    for iterations in [1, 5, 20] {
        let found = fit(iterations);
        let expected = &case["parameters_at_iteration"][iterations.to_string()];
        for name in ["weights", "means", "covariances"] {
            let off = difference(&flat(&found["parameters"][name]), &flat(&expected[name]));
            assert!(off < 1e-9, "{id}: {name} after {iterations} iterations differ by {off:e}");
        }
        let log_likelihood = found["log_likelihood"].as_f64().unwrap();
        assert!(difference(&[log_likelihood], &list(&case["log_likelihood_first_20"])[iterations - 1..iterations]) < 1e-10);
    }

    let end = folder.json(&format!("fit gmm x.csv -k {k} --covariance {shape} --init r0.csv --tol 1e-14 --max-iter 5000"));
    assert_eq!(end["status"], "converged");
    assert_eq!(end["n_parameters"], case["converged"]["n_parameters"]);
    let off = |name: &str| (end[name].as_f64().unwrap() - case["converged"][name].as_f64().unwrap()).abs();
    // 1e-8 in the log-likelihood is the tolerance of the case; BIC is minus twice it.
    assert!(off("log_likelihood") < 1e-8 && off("bic") < 2e-8 && off("aic") < 2e-8, "{id}: {} {}", off("log_likelihood"), off("bic"));
    assert!(difference(&flat(&end["parameters"]["means"]), &flat(&case["converged"]["means"])) < 1e-6);
}

#[test]
fn em_faithful_full() {
    em_trajectory("gmm_em_faithful_full");
}

#[test]
fn em_faithful_spherical() {
    em_trajectory("gmm_em_faithful_spherical");
}

#[test]
fn em_iris_diag() {
    em_trajectory("gmm_em_iris_diag");
}

#[test]
fn em_iris_tied() {
    em_trajectory("gmm_em_iris_tied");
}

#[test]
fn em_acidity_full_in_one_column() {
    em_trajectory("gmm_em_acidity_full");
}

#[test]
fn ppca_iris() {
    let case = reference("ppca_iris_2");
    let folder = Folder::new().with("x.csv", table(&case));
    let fit = folder.json("fit ppca x.csv -q 2 -o m.lvm");
    let truth = &case["truth"];
    assert_eq!((&fit["status"], &fit["n_parameters"]), (&"closed_form".into(), &truth["n_parameters"]));
    // 1e-12 and 1e-10 relative: the tolerances of the case.
    assert!(difference(&[fit["log_likelihood"].as_f64().unwrap()], &[truth["log_likelihood"].as_f64().unwrap()]) < 1e-12);
    assert!(difference(&[fit["bic"].as_f64().unwrap()], &[truth["bic"].as_f64().unwrap()]) < 1e-12);
    let noise = fit["parameters"]["noise_variance"].as_f64().unwrap() / truth["sigma2"].as_f64().unwrap();
    assert!((noise - 1.0).abs() < 1e-10);

    let score = folder.json("score m.lvm x.csv");
    let rows: Vec<usize> = list(&truth["posterior"]["rows_0based"]).iter().map(|r| *r as usize).collect();
    let found: Vec<f64> = rows.iter().map(|&r| list(&score["log_evidence"])[r]).collect();
    assert!(difference(&found, &list(&truth["log_density_rows"])) < 1e-9);
}

#[test]
fn factor_analysis_mtcars() {
    let case = reference("fa_mtcars_2");
    let folder = Folder::new().with("x.csv", table(&case));
    let fit = folder.json("fit fa x.csv -q 2");
    let off = (fit["log_likelihood"].as_f64().unwrap() - case["truth"]["log_likelihood"].as_f64().unwrap()).abs();
    assert!(off < 1e-6, "{off:e}");
    let uniquenesses = list(&fit["parameters"]["uniquenesses"]);
    assert!(difference(&uniquenesses, &list(&case["truth"]["uniquenesses"])) < 1e-4);
    let varimax = folder.json("fit fa x.csv -q 2 --rotation varimax");
    assert!(difference(&list(&varimax["parameters"]["uniquenesses"]), &uniquenesses) < 1e-12);
    assert_eq!(varimax["parameters"]["rotation"]["method"], "varimax");
}
