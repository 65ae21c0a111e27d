//! Commands that use a fitted model.

use crate::harness::{Folder, csv, difference, faithful, flat, iris, list, matrix, reference, table};

/// Numbers of a CSV text with a header.
fn numbers(text: &str) -> Vec<Vec<f64>> {
    text.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect()
}

#[test]
fn score_matches_the_fit() {
    let folder = iris();
    for (name, line) in [("g", "gmm iris.csv -k 2"), ("p", "ppca iris.csv -q 2"), ("f", "fa iris.csv -q 1")] {
        let fit = folder.json(&format!("fit {line} -o {name}.lvm"));
        let score = folder.json(&format!("score {name}.lvm iris.csv"));
        assert_eq!(score["model"], fit["model"]);
        for key in ["log_likelihood", "mean_log_likelihood", "bic", "aic"] {
            // One pass and another over the same numbers.
            assert!(difference(&[score[key].as_f64().unwrap()], &[fit[key].as_f64().unwrap()]) < 1e-12, "{name} {key}");
        }
        let rows = list(&score["log_evidence"]);
        assert!(difference(&[rows.iter().sum()], &[score["log_likelihood"].as_f64().unwrap()]) < 1e-12);
        assert!(folder.fine(&format!("score {name}.lvm iris.csv -o rows.csv")).contains("rows.csv"));
        assert_eq!(numbers(&folder.read("rows.csv")).concat(), rows);
        assert_eq!(numbers(&folder.fine(&format!("score {name}.lvm iris.csv -o -"))).concat(), rows);
    }
}

#[test]
fn weights_count_in_a_score() {
    let folder = Folder::new().with("w.csv", "a,w\n1,2\n2,0\n4,1\n").with("r.csv", "a\n1\n1\n4\n");
    folder.fine("fit gmm r.csv -k 1 -o m.lvm");
    let (w, r) = (folder.json("score m.lvm w.csv --weights w"), folder.json("score m.lvm r.csv"));
    assert!(difference(&[w["bic"].as_f64().unwrap()], &[r["bic"].as_f64().unwrap()]) < 1e-14);
    assert_eq!(w["log_evidence"].as_array().unwrap().len(), 3);
}

#[test]
fn posterior_and_map_of_a_mixture() {
    let folder = faithful();
    folder.fine("fit gmm faithful.csv -k 2 --init r0.csv --tol 1e-14 --max-iter 500 -o m.lvm");
    let case = &reference("gmm_em_faithful_full")["converged"]["per_row"];
    let posterior = folder.json("posterior m.lvm faithful.csv");
    let all = matrix(&posterior["responsibilities"]);
    let rows: Vec<usize> = list(&case["rows_0based"]).iter().map(|r| *r as usize).collect();
    let found: Vec<f64> = rows.iter().flat_map(|&r| all[r].clone()).collect();
    assert!(difference(&found, &flat(&case["responsibilities"])) < 1e-8);

    let text = folder.fine("posterior m.lvm faithful.csv");
    assert!(text.starts_with("component_0,component_1\n"));
    assert_eq!(numbers(&text), all);

    let map = folder.json("map m.lvm faithful.csv");
    let components = list(&map["component"]);
    assert!(components.iter().zip(&all).all(|(k, r)| r[*k as usize] >= 0.5));
    assert_eq!(numbers(&folder.fine("map m.lvm faithful.csv")).concat(), components);
}

#[test]
fn posterior_and_map_of_factor_models() {
    let folder = iris();
    folder.fine("fit ppca iris.csv -q 2 -o p.lvm");
    folder.fine("fit fa iris.csv -q 1 -o f.lvm");
    let case = &reference("ppca_iris_2")["truth"]["posterior"];
    let p = folder.json("posterior p.lvm iris.csv --covariance");
    let (mean, covariance) = (matrix(&p["mean"]), flat(&p["covariance"][0]));
    assert!(difference(&covariance, &flat(&case["covariance"])) < 1e-9);
    let expected = matrix(&case["mean"]);
    for (row, expected) in list(&case["rows_0based"]).iter().zip(expected) {
        // Signs of the axes are a convention: compare magnitudes.
        let abs = |v: &[f64]| v.iter().map(|x| x.abs()).collect::<Vec<_>>();
        assert!(difference(&abs(&mean[*row as usize]), &abs(&expected)) < 1e-9);
    }
    let text = folder.fine("posterior p.lvm iris.csv --covariance");
    assert!(text.starts_with("z0,z1,cov_z0_z0,cov_z1_z0,cov_z1_z1\n"));
    assert!(difference(&numbers(&text)[0][2..], &[covariance[0], covariance[2], covariance[3]]) < 1e-15);
    assert_eq!(folder.json("map p.lvm iris.csv")["z"], p["mean"]);
    let regression = flat(&folder.json("map f.lvm iris.csv")["z"]);
    let bartlett = flat(&folder.json("map f.lvm iris.csv --bartlett")["z"]);
    // Bartlett's scores are not shrunk towards the mean.
    assert!(regression.iter().zip(&bartlett).all(|(r, b)| r.abs() <= b.abs() + 1e-12) && regression != bartlett);
}

#[test]
fn samples_follow_seed_component_and_latent() {
    let folder = faithful();
    folder.fine("fit gmm faithful.csv -k 2 --init r0.csv -o g.lvm");
    folder.fine("fit ppca faithful.csv -q 1 -o p.lvm");
    let text = folder.fine("sample g.lvm -n 5 --seed 3");
    assert_eq!((text.lines().next(), text.lines().count()), (Some("eruptions,waiting"), 6));
    assert_eq!(text, folder.fine("sample g.lvm -n 5 --seed 3"));
    assert_ne!(text, folder.fine("sample g.lvm -n 5 --seed 4"));
    let with = folder.json("sample g.lvm -n 200 --component 1 --with-latent");
    assert!(list(&with["component"]).iter().all(|k| *k == 1.0));
    // Component 1 has mean (4.29, 79.97) and standard deviation 6 in the second column: 200 draws average within 5 standard errors, 2.1.
    let mean = matrix(&with["x"]).iter().map(|row| row[1]).sum::<f64>() / 200.0;
    assert!((mean - 79.97).abs() < 2.2, "{mean}");
    let given = folder.json("sample p.lvm -n 4 --latent -1.5 --with-latent");
    assert_eq!(flat(&given["z"]), [-1.5; 4]);
    folder.fine("sample g.lvm -n 7 --with-latent -o s.csv");
    assert!(folder.read("s.csv").starts_with("component,eruptions,waiting\n"));
    folder.fine("sample g.lvm -n 7 -o s.npy");
    folder.fine("fit gmm s.npy -k 1");
}

#[test]
fn imputation_fills_holes_and_says_how_sure_it_is() {
    let holes = table(&reference("ppca_iris_2")).replacen("5.1,3.5,", "5.1,,", 1);
    let folder = iris().with("holes.csv", holes);
    for (name, line) in [("g", "gmm iris.csv -k 2"), ("p", "ppca iris.csv -q 2"), ("f", "fa iris.csv -q 1")] {
        folder.fine(&format!("fit {line} -o {name}.lvm"));
        let impute = folder.json(&format!("impute {name}.lvm holes.csv"));
        let filled = &impute["imputed"][0];
        assert_eq!((filled["row"].as_u64(), filled["columns"][0].as_str()), (Some(0), Some("Sepal.Width")));
        let mean = filled["mean"][0].as_f64().unwrap();
        assert!((2.5..4.5).contains(&mean), "{name}: {mean}");
        assert_eq!((impute["x"][0][1].as_f64(), impute["imputed"].as_array().unwrap().len()), (Some(mean), 1));
        let said = folder.fine(&format!("impute {name}.lvm holes.csv -o full.csv --sd sd.csv"));
        assert!(said.contains("1 cell filled in") && said.contains("full.csv"), "{said}");
        let (x, sd) = (numbers(&folder.read("full.csv")), numbers(&folder.read("sd.csv")));
        assert_eq!((x.len(), x[0][1], x[1][1]), (150, mean, 3.0));
        assert!(difference(&[sd[0][1]], &[flat(&filled["covariance"])[0].sqrt()]) < 1e-15);
        assert_eq!(sd.concat().iter().filter(|s| **s != 0.0).count(), 1);
    }
}

#[test]
fn columns_are_matched_by_name_in_any_order() {
    let case = reference("gmm_em_faithful_full");
    let rows = matrix(&case["data"]["rows"]);
    let turned: Vec<Vec<f64>> = rows.iter().map(|r| vec![r[1], 7.0, r[0]]).collect();
    let folder = faithful().with("turned.csv", csv(&["waiting", "other", "eruptions"], &turned)).with("bare.csv", csv(&[], &rows));
    folder.fine("fit gmm faithful.csv -k 2 -o m.lvm");
    let expected = &folder.json("score m.lvm faithful.csv")["log_evidence"];
    let turned = folder.json("score m.lvm turned.csv");
    assert_eq!((&turned["log_evidence"], &turned["skipped_columns"][0]["name"]), (expected, &"other".into()));
    assert!(folder.fine("score m.lvm turned.csv").contains("other"));
    assert_eq!(&folder.json("score m.lvm bare.csv")["log_evidence"], expected);
    folder.refused("score m.lvm iris.csv", 1, &["iris.csv"]);
}

#[test]
fn info_tells_what_is_in_the_file() {
    let folder = faithful();
    let fit = folder.json("fit gmm faithful.csv -k 2 --seed 9 -o m.lvm");
    let info = folder.json("info m.lvm");
    for key in ["model", "d", "seed", "status", "iterations", "trace", "n_parameters", "bic", "columns", "repairs", "parameters"] {
        assert_eq!(info[key], fit[key], "{key}");
    }
    let text = folder.fine("info m.lvm");
    for part in ["2 components", "272 rows", "seed 9", "eruptions"] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
}
