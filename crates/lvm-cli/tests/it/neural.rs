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
        assert!(e["active"].as_u64().is_some_and(|active| active <= 2), "{e}");
    }
    // decoder 2·8 + 8 + 8·4 + 4, variances 4; encoder 4·8 + 8 + 8·4 + 4
    assert_eq!((fit["n_parameters"].as_u64(), fit["n_encoder_parameters"].as_u64()), (Some(64), Some(76)));
    let info = folder.json("info m.lvm");
    assert_eq!((&info["trace"], &info["latents"], &info["columns"]), (&fit["trace"], &fit["latents"], &fit["columns"]));
    assert!(folder.fine("info m.lvm").contains("[model.encoder.mlp]"));
    let said = folder.fine("fit vae iris.csv --epochs 2");
    assert!(said.contains("not saved"), "{said}");
    let head: Vec<&str> = said.lines().find(|line| line.starts_with("epoch")).unwrap().split_whitespace().collect();
    assert_eq!(head, ["epoch", "bound", "reconstruction", "KL", "held", "out", "KL", "held", "out", "active", "rate"]);
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
    folder.fine("fit vae x.csv --missing --epochs 20 --rate 0.01 --hidden 8 --mask -o m.lvm");
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

#[test]
fn exact_evidence_lies_above_the_bounds() {
    let (folder, _) = fitted();
    let mean = |line: &str| folder.json(line)["mean_log_likelihood"].as_f64().unwrap();
    let exact = folder.json("score m.lvm iris.csv --estimator quadrature");
    assert_eq!(exact["lower_bound"], false);
    let log_p = exact["mean_log_likelihood"].as_f64().unwrap();
    let (elbo, iwae) = (mean("score m.lvm iris.csv --estimator elbo -k 500"), mean("score m.lvm iris.csv -k 2000"));
    // 0.02: six standard errors of the mean of 150 rows by these draws are below that
    assert!(elbo < log_p + 0.02 && (iwae - log_p).abs() < 0.1 && iwae > elbo - 0.02, "{elbo} {iwae} {log_p}");
    let both = folder.json("score m.lvm iris.csv -k 2 --temperatures 50 --estimator ais --sandwich")["sandwich"].clone();
    // means of 100 rows, each with a standard error of some tenths
    assert!(both["width"].as_f64().unwrap() > -0.5 && both["lower"].as_f64().unwrap().is_finite(), "{both}");
    folder.refused("score m.lvm iris.csv --estimator sum", 2, &["sum", "categorical"]);
    folder.refused("score m.lvm iris.csv --estimator quadrature -k 5", 2, &["-k"]);
    folder.fine("fit vae iris.csv -q 3 --epochs 2 -o three.lvm");
    folder.refused("score three.lvm iris.csv --estimator quadrature", 2, &["one or two", "3", "ais"]);
    folder.fine("fit vae iris.csv -q 3 --posterior categorical --standardise no --epochs 3 -o groups.lvm");
    // the sum is what is taken without being asked for
    assert!(folder.json("score groups.lvm iris.csv")["estimator"].as_str().unwrap().contains("exact"));
    assert_eq!(folder.json("compare groups.lvm iris.csv")["rows"].as_array().unwrap().len(), 1);
    folder.refused("score groups.lvm iris.csv --estimator ais", 2, &["groups.lvm", "sum"]);
    folder.refused("score groups.lvm iris.csv --sandwich", 2, &["--sandwich", "exact"]);
}

#[test]
fn several_completed_tables() {
    let text = iris().read("iris.csv");
    let holes: String = text
        .lines()
        .enumerate()
        .map(|(i, line)| if i % 10 == 1 { line.split_once(',').unwrap().1.to_owned() } else { line.to_owned() })
        .enumerate()
        .map(|(i, line)| if i % 10 == 1 { format!(",{line}\n") } else { line + "\n" })
        .collect();
    let (folder, _) = fitted();
    let folder = folder.with("holes.csv", holes);
    let said = folder.json("impute m.lvm holes.csv -k 200 --fitted --imputations 3 -o t.csv");
    assert_eq!(said["tables"], serde_json::json!(["t-1.csv", "t-2.csv", "t-3.csv"]));
    let (one, two) = (folder.read("t-1.csv"), folder.read("t-2.csv"));
    assert!(one != two && one.lines().count() == 151);
    // rows without holes are the same in all
    assert_eq!(one.lines().nth(3), two.lines().nth(3));
    let warned = folder.json("impute m.lvm holes.csv -k 3");
    assert!(warned["warning"].as_str().unwrap().contains("fewer than 10 draws count"), "{}", warned["warning"]);
    folder.refused("impute m.lvm holes.csv --imputations 3", 2, &["--output"]);
}

#[test]
fn groups_and_what_they_have_to_do_with_labels() {
    let (folder, _) = fitted();
    let text = folder.read("iris.csv");
    let species = |i: usize| ["setosa", "versicolor", "virginica"][i / 50];
    let labelled: String = text
        .lines()
        .enumerate()
        .map(|(i, line)| if i == 0 { format!("{line},s\n") } else { format!("{line},{}\n", species(i - 1)) })
        .collect();
    let folder = folder.with("labelled.csv", labelled);
    let said = folder.json("posterior m.lvm labelled.csv --clusters 3 --label s");
    let sizes = list(&said["sizes"]);
    assert_eq!((sizes.len(), sizes.iter().sum::<f64>()), (3, 150.0));
    let agreement = &said["agreement"];
    // setosa lies apart in any projection that has learned something: .4 is below what two groups of three reach (.57)
    assert!(agreement["adjusted_rand_index"].as_f64().unwrap() > 0.4, "{agreement}");
    assert!(folder.fine("posterior m.lvm labelled.csv --clusters 3 --label s").contains("adjusted Rand index"));
    assert_eq!(folder.fine("posterior m.lvm iris.csv --clusters 2").lines().count(), 151);
    folder.fine("fit vae iris.csv -q 3 --posterior categorical --standardise no --epochs 3 -o groups.lvm");
    folder.refused("posterior groups.lvm iris.csv --clusters 2", 2, &["groups.lvm", "3 values"]);
    folder.fine("fit gmm iris.csv -k 2 -o g.lvm");
    folder.refused("posterior g.lvm iris.csv --clusters 2", 2, &["--clusters", "gmm"]);
}

#[test]
fn a_model_is_judged_by_what_its_bounds_leave_open() {
    let (folder, _) = fitted();
    let ran = folder.lvm("verify m.lvm iris.csv --json --html v.html");
    let verdict: Value = serde_json::from_str(&ran.out).unwrap();
    let checks: Vec<&str> = verdict["checks"].as_array().unwrap().iter().map(|c| c["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["quadrature", "numbers", "order", "k_hat", "iwae", "approximation", "amortization", "activity"]);
    let of = |name: &str| verdict["checks"].as_array().unwrap().iter().find(|c| c["check"] == name).unwrap()["verdict"].clone();
    assert_eq!((of("order"), of("numbers"), of("quadrature")), ("pass".into(), "pass".into(), "pass".into()), "{verdict}");
    assert!(folder.read("v.html").contains("lvm verify"));
    // rows far from all it knows: the weights of q have heavy tails there
    let far: Vec<Vec<f64>> = (0..30).map(|i| vec![f64::from(i) * 3.0, -20.0, 40.0, f64::from(i % 5)]).collect();
    let folder = folder.with("far.csv", csv(&["Sepal.Length", "Sepal.Width", "Petal.Length", "Petal.Width"], &far));
    let ran = folder.lvm("verify m.lvm far.csv --json");
    assert!(ran.out.contains("\"verdict\":\"fail\"") || ran.out.contains("\"verdict\":\"warn\""), "{ran:?}");
    folder.fine("fit vae iris.csv -q 3 --epochs 3 -o three.lvm");
    let ran = folder.lvm("verify three.lvm iris.csv");
    assert!(ran.out.contains("width of the annealed bounds"), "{ran:?}");
}

#[test]
fn nets_priors_and_objectives_by_options() {
    let folder = Folder::new()
        .with("i.csv", csv(&[], &(0..40).map(|i| (0..64).map(|j| f64::from((i + j * j) % 3 == 0)).collect()).collect::<Vec<_>>()));
    let folder =
        folder.with("s.csv", csv(&[], &(0..40).map(|i| (0..12).map(|j| (f64::from(i + j) * 0.7).sin()).collect()).collect::<Vec<_>>()));
    let folder = folder.with("t.csv", csv(&[], &(0..40).map(|i| (0..6).map(|j| f64::from((i * j) % 4)).collect()).collect::<Vec<_>>()));
    for options in [
        "i.csv --likelihood bernoulli --net conv --channels 4,8",
        "i.csv --likelihood bernoulli --net conv --image 1,8,8 --channels 4 --hidden 16",
        "i.csv --likelihood bernoulli --hidden 8 --prior mixture --prior-components 3",
        "i.csv --likelihood bernoulli --hidden 8 --prior vamp --prior-components 4",
        "i.csv --likelihood bernoulli --hidden 8 --prior flow --flow-steps 2 --flow-hidden 8",
        "i.csv --likelihood bernoulli --hidden 8 --posterior planar --flow-steps 2",
        "i.csv --likelihood bernoulli --hidden 8 --posterior inverse-autoregressive --flow-hidden 8",
        "i.csv --likelihood bernoulli --hidden 8 --posterior hierarchical -q 4 --upper 1",
        "i.csv --likelihood bernoulli --hidden 8 --objective iwae --draws 4",
        "i.csv --likelihood bernoulli --hidden 8 --kl sticking-the-landing --free-bits 0.1 --draws 2",
        "i.csv --likelihood bernoulli --hidden 8 --objective score-function --beta 0.5",
        "i.csv --likelihood bernoulli --hidden 8 --objective autoencoder --schedule exponential --beta1 0.8",
        "i.csv --likelihood bernoulli --hidden 8 --posterior categorical --objective gumbel-softmax --temperature 0.7",
        "s.csv --net gru --hidden 8 --step-columns 2",
        "s.csv --net lstm --hidden 8 --layers 2 --variance 0.1",
        "t.csv --net attention --tokens 4 --width 8 --heads 2 --layers 1 --embedding 4",
        "t.csv --likelihood negative-binomial --dispersion shared --library latent --held-out-draws 3 --hidden 8",
    ] {
        let fit = folder.json(&format!("fit vae {options} --epochs 1 --batch-size 20 -o m.lvm"));
        assert!(fit["bound"].as_f64().unwrap().is_finite(), "{options}");
        // what info prints is a file of settings that gives the same model
        let text = folder.fine("info m.lvm");
        let settings = &text[text.find("[model]").unwrap()..];
        std::fs::write(folder.path("again.toml"), settings).unwrap();
        folder.fine(&format!(
            "fit vae {} --config again.toml --standardise no --epochs 1 --batch-size 20 -o again.lvm",
            options.split(' ').next().unwrap()
        ));
        assert_eq!(folder.json("info m.lvm")["architecture"], folder.json("info again.lvm")["architecture"], "{options}");
    }
    for (options, words) in [
        ("--channels 4", ["--channels", "--net conv"]),
        ("--net mlp --tokens 4", ["--tokens", "--net gru"]),
        ("--flow-steps 4", ["--flow-steps", "--posterior planar"]),
        ("--prior-components 4", ["--prior-components", "--prior mixture"]),
        ("--library observed", ["--library", "--likelihood"]),
        ("--codes 4 --likelihood poisson", ["--codes", "categorical"]),
        ("--temperature 0.5", ["--temperature", "elbo"]),
        ("--objective autoencoder --draws 4", ["--draws", "autoencoder"]),
        ("--net conv", ["12 columns", "--image"]),
        ("--net gru --hidden 8,8", ["--hidden", "one width"]),
    ] {
        folder.refused(&format!("fit vae s.csv {options}"), 2, &words);
    }
}

#[test]
fn settings_are_printed_without_a_table_too() {
    let folder = iris();
    let text = folder.fine("fit vae --print-config --net conv --image 1,8,8 --clip 5");
    assert!(text.contains("[model.encoder.convolution]") && text.contains("clip_norm = 5.0"), "{text}");
    let (_, footer) = text.split_once("# Not set above").unwrap();
    assert!(footer.contains("training.patience = 20") && !footer.contains("clip_norm") && !footer.contains("model.encoder"), "{footer}");
    // what is not set is shown as it would be written
    let lines: String = footer.lines().filter_map(|line| line.strip_prefix("#   ")).map(|line| format!("{line}\n")).collect();
    let folder = folder.with("more.toml", lines);
    folder.fine("fit vae iris.csv --config more.toml --epochs 2");
    folder.refused("fit vae", 2, &["<DATA>"]);
    let folder = folder.with("gpu.toml", "[run]\ndevice = \"gpu\"\n");
    assert!(folder.fine("fit vae --print-config --config gpu.toml").contains("device = \"gpu\""));
}
