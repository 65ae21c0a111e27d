//! Neural models: fitted, gone on with, asked.

use crate::harness::{Folder, csv, difference, iris, list, matrix, reference};
use serde_json::Value;

/// A small fit to iris in `m.lvm`.
fn fitted() -> (Folder, Value) {
    let folder = iris();
    let fit = folder.json("fit vae iris.csv --epochs 8 --batch-size 32 --hidden 8 --rate 0.01 -o m.lvm");
    (folder, fit)
}

#[test]
fn the_json_contract() {
    let (folder, fit) = fitted();
    assert_eq!(
        (fit["model"].as_str(), fit["n"].as_u64(), fit["d"].as_u64(), fit["seed"].as_u64()),
        (Some("vae"), Some(150), Some(4), Some(0))
    );
    let trace = list(&fit["trace"]);
    assert_eq!((trace.len() as u64, fit["status"].as_str()), (fit["iterations"].as_u64().unwrap(), Some("max_iterations")));
    assert_eq!(fit["bound"].as_f64(), trace.last().copied());
    let epochs = fit["epochs"].as_array().unwrap();
    assert_eq!(epochs.len(), 8);
    // 10 % of 150 rows; the parameters are those of the best epoch
    let held_out: Vec<f64> = epochs.iter().map(|e| e["held_out"]["bound"].as_f64().unwrap()).collect();
    assert_eq!(
        (fit["held_out_rows"].as_u64(), fit["bound"].as_f64().unwrap()),
        (Some(15), held_out.iter().copied().fold(f64::MIN, f64::max))
    );
    for e in epochs {
        let part = |of: &str| e["train"][of].as_f64().unwrap();
        // the same sums in another order, in f32
        assert!(difference(&[part("bound")], &[part("reconstruction") - part("kl")]) < 1e-5);
    }
    // decoder 2·8 + 8 + 8·4 + 4, variances 4; encoder 4·8 + 8 + 8·4 + 4
    assert_eq!((fit["n_parameters"].as_u64(), fit["n_encoder_parameters"].as_u64()), (Some(64), Some(76)));
    let info = folder.json("info m.lvm");
    assert_eq!((&info["trace"], &info["latents"], &info["columns"]), (&fit["trace"], &fit["latents"], &fit["columns"]));
    assert!(folder.fine("info m.lvm").contains("[encoder.mlp]"));
    assert!(folder.fine("fit vae iris.csv --epochs 2").contains("not saved"));
}

#[test]
fn the_same_again_from_the_printed_settings() {
    let folder = iris();
    let line = "fit vae iris.csv --epochs 3 --hidden 6,5 --activation tanh --iwae 3 --f64 --rate 0.01 --final-rate 0.001 --patience 2";
    let settings = folder.fine(&format!("{line} --print-config"));
    let folder = folder.with("vae.toml", &settings);
    assert_eq!(folder.json(line), folder.json("fit vae iris.csv --config vae.toml"));
    let changed = folder.json("fit vae iris.csv --config vae.toml --epochs 2 --set training.adam.beta1=0.5");
    assert_eq!(changed["epochs"].as_array().unwrap().len(), 2);
    assert_ne!(changed["trace"][1], folder.json(line)["trace"][1]);
}

#[test]
fn a_training_goes_on_exactly() {
    for options in ["", "--held-out 0", "--f64 --warm-up 4 --patience 3", "--standardise no --likelihood gaussian-shared"] {
        let folder = iris();
        let line = format!("fit vae iris.csv {options} --batch-size 40 --hidden 8");
        let whole = folder.json(&format!("{line} --epochs 6 -o whole.lvm"));
        folder.fine(&format!("{line} --epochs 2 --checkpoint c.ckpt"));
        let rest = folder.json("resume c.ckpt iris.csv --epochs 6 -o rest.lvm");
        assert_eq!((&whole["trace"], &whole["epochs"]), (&rest["trace"], &rest["epochs"]), "{options}");
        let bytes = |name: &str| std::fs::read(folder.path(name)).unwrap();
        assert!(bytes("whole.lvm") == bytes("rest.lvm"), "{options}");
    }
}

#[test]
fn every_question_has_an_answer() {
    let (folder, _) = fitted();
    let rows = |value: &Value| matrix(value).len();
    let posterior = folder.json("posterior m.lvm iris.csv --covariance");
    let sd = folder.json("posterior m.lvm iris.csv");
    assert_eq!((rows(&posterior["mean"]), rows(&sd["sd"])), (150, 150));
    // the diagonal of the covariance is the square of the sd, in f32
    let variances: Vec<f64> = posterior["covariance"].as_array().unwrap().iter().map(|c| c[1][1].as_f64().unwrap()).collect();
    let squares: Vec<f64> = matrix(&sd["sd"]).iter().map(|s| s[1] * s[1]).collect();
    assert!(difference(&variances, &squares) < 1e-6);
    assert_eq!(folder.fine("posterior m.lvm iris.csv --covariance").lines().next(), Some("z0,z1,cov_z0_z0,cov_z1_z0,cov_z1_z1"));
    let map = folder.json("map m.lvm iris.csv");
    assert_eq!((rows(&map["z"]), map["log_joint"].as_array().unwrap().len()), (150, 150));
    let sample = folder.json("sample m.lvm -n 7 --with-latent --seed 3");
    assert_eq!((rows(&sample["x"]), rows(&sample["z"])), (7, 7));
    assert_eq!(sample, folder.json("sample m.lvm -n 7 --with-latent --seed 3"));
    let at = |options: &str| matrix(&folder.json(&format!("sample m.lvm -n 2 --latent 0.5,-1 {options}"))["x"]);
    assert!(at("")[0] != at("")[1] && at("--means")[0] == at("--means")[1]);
    let path = matrix(&folder.json("interpolate m.lvm iris.csv --rows 3,140 --steps 5 --spherical")["x"]);
    let reconstructed = matrix(&folder.json("reconstruct m.lvm iris.csv")["x"]);
    assert_eq!((path.len(), reconstructed.len()), (5, 150));
    // the ends are the two rows as the model sees them, in f32 through batches of other sizes
    assert!(difference(&path[0], &reconstructed[3]) < 1e-5 && difference(&path[4], &reconstructed[140]) < 1e-5);
}

#[test]
fn bounds_are_in_order_and_reports_agree() {
    let (folder, _) = fitted();
    let mean =
        |estimator: &str| folder.json(&format!("score m.lvm iris.csv --estimator {estimator}"))["mean_log_likelihood"].as_f64().unwrap();
    let (elbo, one, many, ais) = (mean("elbo -k 200"), mean("iwae -k 1"), mean("iwae -k 500"), mean("ais -k 2 --temperatures 20"));
    // standard errors over 150 rows are below 0.05 nats: 0.3 is more than 6 of them
    assert!((elbo - one).abs() < 0.3 && elbo <= many + 0.01 && (ais - many).abs() < 0.3, "{elbo} {one} {many} {ais}");
    folder.fine("fit gmm iris.csv -k 1 -o g.lvm");
    let compared = folder.json("compare m.lvm g.lvm iris.csv -k 500");
    let rows = compared["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert!(difference(&[rows[1]["mean"].as_f64().unwrap()], &[many]) < 1e-12 && rows[1]["lower_bound"] == true, "{compared}");
    folder.refused("score m.lvm iris.csv --temperatures 10", 2, &["--temperatures", "ais"]);
}

#[test]
fn a_linear_model_in_double_precision_stays_below_probabilistic_pca() {
    let folder = iris();
    let fit = "fit vae iris.csv --hidden --likelihood gaussian-shared --held-out 0 --epochs 1000 --rate 0.02 --final-rate 0.001 --f64 --batch-size 150";
    folder.fine(&format!("{fit} -o v.lvm"));
    let exact = folder.json("fit ppca iris.csv -q 2")["mean_log_likelihood"].as_f64().unwrap();
    let scored = folder.json("score v.lvm iris.csv --estimator elbo -k 500");
    let (bound, error) = (scored["mean_log_likelihood"].as_f64().unwrap(), scored["mean_std_err"].as_f64().unwrap());
    // a bound, up to 6 standard errors of its draws; and after 1000 steps of full batches within 0.05 nats (seen: 0.001)
    assert!(bound < exact + 6.0 * error && bound > exact - 0.05, "{bound} ± {error} {exact}");
}

#[test]
fn missing_cells_are_left_out_and_filled_in() {
    let mut rows = matrix(&reference("ppca_iris_2")["data"]["rows"]);
    rows.iter_mut().enumerate().for_each(|(i, row)| row[i % 4] = if i % 3 == 0 { f64::NAN } else { row[i % 4] });
    let folder = Folder::new().with("x.csv", csv(&["a", "b", "c", "d"], &rows));
    folder.refused("fit vae x.csv --epochs 2", 1, &["x.csv", "--missing"]);
    folder.fine("fit vae x.csv --missing --epochs 20 --rate 0.01 --hidden 8 --set model.mask=true -o m.lvm");
    let done = folder.json("impute m.lvm x.csv -k 50");
    let (x, sd) = (matrix(&done["x"]), matrix(&done["sd"]));
    for (i, row) in rows.iter().enumerate() {
        for (j, value) in row.iter().enumerate() {
            match value.is_nan() {
                true => assert!(x[i][j].is_finite() && sd[i][j] > 0.0),
                false => assert!(x[i][j] == *value && sd[i][j] == 0.0),
            }
        }
    }
}

#[test]
fn strange_rows_score_higher() {
    let (folder, _) = fitted();
    let text = folder.read("iris.csv");
    let mut lines = text.lines();
    let mut mixed = format!("{},strange\n", lines.next().unwrap());
    lines.take(30).for_each(|line| mixed += &format!("{line},0\n"));
    (0..10).for_each(|i| mixed += &format!("{}.5,9,-3,8,1\n", 12 + i));
    let folder = folder.with("mixed.csv", mixed);
    let ood = folder.json("ood m.lvm mixed.csv --against iris.csv --labels strange --regret-draws 0 -o s.csv");
    let surprise = &ood["scores"][0];
    assert_eq!((surprise["name"].as_str(), surprise["auroc"].as_f64()), (Some("surprise"), Some(1.0)));
    assert_eq!((ood["scores"].as_array().unwrap().len(), folder.read("s.csv").lines().count()), (2, 41));
    let vague = folder.read("mixed.csv").replacen(",0\n", ",perhaps\n", 1);
    let folder = folder.with("vague.csv", vague);
    folder.refused("ood m.lvm vague.csv --against iris.csv --labels strange", 1, &["vague.csv", "strange", "row 0", "perhaps"]);
}

#[test]
fn the_scale_is_remembered() {
    let images: Vec<Vec<f64>> = (0..60).map(|i| (0..9).map(|j| f64::from((i * j * 37) % 256)).collect()).collect();
    let folder = Folder::new().with("grey.csv", csv(&[], &images));
    folder.refused("fit vae grey.csv --likelihood discretized-logistic", 1, &["grey.csv", "--scale 255"]);
    folder.fine("fit vae grey.csv --likelihood discretized-logistic --scale 255 --epochs 3 -o m.lvm");
    assert_eq!(folder.json("info m.lvm")["scale"].as_f64(), Some(255.0));
    let (with, without) = (folder.json("score m.lvm grey.csv --scale 255"), folder.json("score m.lvm grey.csv"));
    assert_eq!(with["log_evidence"], without["log_evidence"]);
}

#[test]
fn counts_groups_and_other_densities() {
    let counts: Vec<Vec<f64>> = (0..60).map(|i| (0..6).map(|j| f64::from(1 + (i * (j + 2)) % 7)).collect()).collect();
    let folder = Folder::new().with("counts.csv", csv(&[], &counts));
    for likelihood in ["poisson", "negative-binomial", "zinb", "multinomial", "categorical", "gaussian-entries"] {
        let fit = folder.json(&format!("fit vae counts.csv --likelihood {likelihood} --epochs 2 -o m.lvm"));
        assert!(fit["bound"].as_f64().unwrap().is_finite(), "{likelihood}");
        folder.fine("score m.lvm counts.csv -k 5");
    }
    folder.fine("fit vae counts.csv --likelihood poisson --posterior categorical -q 3 --epochs 3 -o groups.lvm");
    let shares = matrix(&folder.json("posterior groups.lvm counts.csv")["responsibilities"]);
    // probabilities in f32
    assert!(shares.len() == 60 && shares.iter().all(|row| row.len() == 3 && (row.iter().sum::<f64>() - 1.0).abs() < 1e-5));
    assert!(folder.json("map groups.lvm counts.csv")["component"].as_array().unwrap().iter().all(|k| k.as_u64().unwrap() < 3));
}

#[test]
fn the_doctor_finds_libtorch() {
    let doctor = Folder::new().json("doctor");
    let neural = &doctor["neural"];
    assert!(neural["folder_found"] == true && neural["libtorch"].as_str().unwrap().starts_with("2."), "{doctor}");
    assert!(neural["cuda"]["explanation"].as_str().is_some_and(|text| !text.is_empty()));
}
