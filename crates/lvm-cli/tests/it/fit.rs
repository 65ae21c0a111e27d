//! `lvm fit` on regular data.

use crate::harness::{Folder, csv, difference, faithful, flat, iris, list, matrix, reference, table};

#[test]
fn the_json_contract() {
    let fit = iris().json("fit gmm iris.csv -k 3 --seed 4");
    for key in [
        "model",
        "n",
        "d",
        "seed",
        "status",
        "iterations",
        "trace",
        "log_likelihood",
        "mean_log_likelihood",
        "n_parameters",
        "bic",
        "aic",
        "parameters",
        "repairs",
        "columns",
        "skipped_columns",
    ] {
        assert!(fit.get(key).is_some(), "{key}");
    }
    assert_eq!(
        (fit["model"].as_str(), fit["n"].as_u64(), fit["d"].as_u64(), fit["seed"].as_u64()),
        (Some("gmm"), Some(150), Some(4), Some(4))
    );
    let trace = list(&fit["trace"]);
    assert_eq!(trace.len() as u64, fit["iterations"].as_u64().unwrap());
    let (total, mean) = (fit["log_likelihood"].as_f64().unwrap(), fit["mean_log_likelihood"].as_f64().unwrap());
    // The same number up to one rounding of the product with N.
    assert!(difference(&[mean, total], &[*trace.last().unwrap(), 150.0 * mean]) < 1e-14);
    let p = fit["n_parameters"].as_f64().unwrap();
    assert!(difference(&[fit["bic"].as_f64().unwrap()], &[-2.0 * total + p * 150f64.ln()]) < 1e-14);
    let parameters = &fit["parameters"];
    assert_eq!((flat(&parameters["weights"]).len(), flat(&parameters["means"]).len(), flat(&parameters["covariances"]).len()), (3, 12, 48));
    assert_eq!(parameters["covariance_type"], "full");
    assert_eq!(fit["columns"][0], "Sepal.Length");
}

#[test]
fn covariances_have_the_shape_of_their_type() {
    let folder = faithful();
    for (shape, numbers) in [("full", 8), ("tied", 4), ("diag", 4), ("spherical", 2)] {
        let fit = folder.json(&format!("fit gmm faithful.csv -k 2 --covariance {shape}"));
        assert_eq!(flat(&fit["parameters"]["covariances"]).len(), numbers, "{shape}");
        assert_eq!(fit["parameters"]["covariance_type"], shape);
    }
}

#[test]
fn the_summary_for_people() {
    let folder = faithful();
    let text = folder.fine("fit gmm faithful.csv -k 2 -o faithful.lvm");
    for part in
        ["2 components", "full", "272 rows", "-1130.26", "2322.19", "eruptions", "waiting", "converged", "repairs", "none", "faithful.lvm"]
    {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert_eq!(folder.files(), ["faithful.csv", "faithful.lvm", "r0.csv"]);
    let unsaved = folder.fine("fit gmm faithful.csv -k 2");
    assert!(unsaved.contains("-o MODEL"));
}

#[test]
fn same_seed_same_answer_on_any_number_of_threads() {
    let folder = iris();
    let one = folder.lvm("--threads 1 fit gmm iris.csv -k 3 --seed 1 --json");
    let two = folder.lvm("--threads 2 fit gmm iris.csv -k 3 --seed 1 --json");
    assert_eq!(one.code, 0);
    assert_eq!(one.out, two.out);
}

#[test]
fn tolerance_zero_does_exactly_so_many_iterations() {
    let folder = iris();
    for line in ["fit gmm iris.csv -k 2", "fit ppca iris.csv -q 2 --method em", "fit fa iris.csv -q 1 --method em"] {
        let fit = folder.json(&format!("{line} --tol 0 --max-iter 37"));
        assert_eq!((fit["iterations"].as_u64(), fit["trace"].as_array().unwrap().len()), (Some(37), 37), "{line}");
        assert_eq!(fit["status"], "max_iterations");
    }
}

#[test]
fn a_warm_start_goes_on_where_the_file_left_off() {
    let folder = faithful();
    let whole = folder.json("fit gmm faithful.csv --init r0.csv --tol 0 --max-iter 12");
    folder.fine("fit gmm faithful.csv --init r0.csv --tol 0 --max-iter 5 -o five.lvm");
    let rest = folder.json("fit gmm faithful.csv --init five.lvm --tol 0 --max-iter 7");
    assert_eq!(list(&whole["trace"])[5..], list(&rest["trace"])[..]);
    assert_eq!(whole["parameters"], rest["parameters"]);
}

#[test]
fn every_family_goes_on_bit_for_bit_from_its_model_file() {
    let folder = iris();
    let holes = folder.path("iris.csv");
    let text = std::fs::read_to_string(holes).unwrap();
    let holed: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(n, line)| if n > 0 && n % 5 == 0 { format!(",{}", line.split_once(',').unwrap().1) } else { line.into() })
        .collect();
    let folder = folder.with("holes.csv", holed.join("\n") + "\n");
    for line in [
        "gmm iris.csv -k 2 --restarts 1",
        "gmm holes.csv -k 2 --restarts 1 --missing",
        "ppca iris.csv -q 2 --method em",
        "ppca iris.csv -q 2 --method px-em",
        "ppca holes.csv -q 2 --missing",
        "fa iris.csv -q 1 --method em --restarts 1 --tol 1e-7",
        "fa iris.csv -q 1 --method ecme --restarts 1 --tol 1e-8",
        "fa iris.csv -q 1 --method squarem --restarts 1 --tol 1e-8",
        "fa iris.csv -q 1 --restarts 1",
        "fa holes.csv -q 1 --missing --restarts 1 --tol 1e-8",
    ] {
        // to the end that the fit itself sees: an interrupted one must see the same
        let whole = folder.json(&format!("fit {line} --max-iter 3000"));
        let trace = list(&whole["trace"]);
        assert!(trace.len() > 1, "{line}: {} iterations", trace.len());
        for cut in [1, trace.len() / 2, trace.len() - 1] {
            folder.fine(&format!("fit {line} --max-iter {cut} -o part.lvm"));
            let rest = folder.json(&format!("fit {line} --init part.lvm --max-iter 3000"));
            assert_eq!(list(&rest["trace"])[..], trace[cut..], "{line}, interrupted after {cut} of {}", trace.len());
            assert_eq!((&rest["parameters"], &rest["status"]), (&whole["parameters"], &whole["status"]), "{line}, after {cut}");
        }
    }
}

#[test]
fn a_warm_start_takes_size_shape_and_columns_from_its_model() {
    let folder = iris();
    for (name, line) in
        [("g", "gmm iris.csv -k 2 --covariance tied"), ("p", "ppca iris.csv -q 2 --method em"), ("f", "fa iris.csv -q 1 --method em")]
    {
        folder.fine(&format!("fit {line} --tol 0 --max-iter 9 -o {name}.lvm"));
        let bare = line.replace("-k 2 --covariance tied", "");
        let warm = folder.json(&format!("fit {bare} --init {name}.lvm --tol 0 --max-iter 3"));
        let cold = folder.json(&format!("info {name}.lvm"));
        // EM goes on uphill from where it was.
        assert!(list(&warm["trace"])[0] >= *list(&cold["trace"]).last().unwrap() - 1e-12, "{line}");
        let turned = "--columns Petal.Width,Petal.Length,Sepal.Width,Sepal.Length";
        folder.refused(&format!("fit {bare} --init {name}.lvm {turned}"), 1, &["--columns Sepal.Length,Sepal.Width", name]);
    }
    assert_eq!(folder.json("fit gmm iris.csv --init g.lvm")["parameters"]["covariance_type"], "tied");
}

#[test]
fn text_columns_are_left_out_by_name() {
    let rows = matrix(&reference("ppca_iris_2")["data"]["rows"]);
    let mut text = "length,width,species\n".to_owned();
    for (i, row) in rows.iter().enumerate() {
        text += &format!("{},{},{}\n", row[0], row[1], if i < 50 { "setosa" } else { "other" });
    }
    let folder = Folder::new().with("x.csv", text);
    let fit = folder.json("fit gmm x.csv -k 2");
    assert_eq!((fit["d"].as_u64(), fit["skipped_columns"][0]["name"].as_str()), (Some(2), Some("species")));
    assert!(folder.fine("fit gmm x.csv -k 2").contains("species"));
    folder.refused("fit gmm x.csv -k 2 --columns length,species", 1, &["species", "setosa", "line 2"]);
}

#[test]
fn columns_are_chosen_by_name_or_number_and_keep_their_order() {
    let folder = iris();
    let by_name = folder.json("fit gmm iris.csv -k 2 --columns Petal.Width,Sepal.Length");
    let by_number = folder.json("fit gmm iris.csv -k 2 --columns 4,1");
    assert_eq!(by_name["columns"], serde_json::json!(["Petal.Width", "Sepal.Length"]));
    assert_eq!(by_name, by_number);
}

#[test]
fn a_weight_is_so_many_rows() {
    let rows = matrix(&reference("ppca_iris_2")["data"]["rows"]);
    let weighted: Vec<Vec<f64>> = rows.iter().enumerate().map(|(i, r)| [&r[..], &[(i % 3) as f64]].concat()).collect();
    let repeated: Vec<Vec<f64>> = rows.iter().enumerate().flat_map(|(i, r)| std::iter::repeat_n(r.clone(), i % 3)).collect();
    let folder =
        Folder::new().with("w.csv", csv(&["a", "b", "c", "d", "w"], &weighted)).with("r.csv", csv(&["a", "b", "c", "d"], &repeated));
    for line in ["ppca DATA -q 1", "fa DATA -q 1 --method em --tol 0 --max-iter 50", "gmm DATA -k 1"] {
        let w = folder.json(&format!("fit {} --weights w", line.replace("DATA", "w.csv")));
        let r = folder.json(&format!("fit {}", line.replace("DATA", "r.csv")));
        for key in ["log_likelihood", "bic"] {
            // Another order of summation, 150 terms: 1e-10 relative is generous.
            assert!(difference(&[w[key].as_f64().unwrap()], &[r[key].as_f64().unwrap()]) < 1e-10, "{line} {key}");
        }
        assert_eq!(w["total_weight"].as_f64(), Some(repeated.len() as f64));
    }
}

#[test]
fn npy_tsv_and_headerless_files_give_the_same_fit() {
    let case = reference("gmm_em_faithful_full");
    let rows = matrix(&case["data"]["rows"]);
    let bare = csv(&[], &rows);
    let folder = faithful().with("bare.csv", &bare).with("tabs.tsv", table(&case).replace(',', "\t")).with("x.npy", npy(&rows));
    let expected = folder.json("fit gmm faithful.csv -k 2");
    for name in ["bare.csv", "tabs.tsv", "x.npy"] {
        let found = folder.json(&format!("fit gmm {name} -k 2"));
        assert_eq!(found["parameters"], expected["parameters"], "{name}");
    }
}

#[test]
fn a_streamed_fit_is_the_same_fit() {
    let rows = matrix(&reference("ppca_iris_2")["data"]["rows"]);
    let folder = iris().with("x.npy", npy(&rows));
    for (name, line) in
        [("iris.csv", "gmm DATA -k 2"), ("x.npy", "gmm DATA -k 2"), ("x.npy", "ppca DATA -q 1"), ("iris.csv", "fa DATA -q 1")]
    {
        let line = line.replace("DATA", name);
        let memory = folder.json(&format!("fit {line}"));
        let streamed = folder.json(&format!("fit {line} --stream"));
        assert_eq!(memory, streamed, "{line}");
    }
}

#[test]
fn missing_cells_are_integrated_out_when_asked_for() {
    let text = table(&reference("ppca_iris_2")).replacen("5.1,3.5,", "5.1,,", 1).replacen("4.7,", "NA,", 1);
    let folder = Folder::new().with("x.csv", text);
    folder.refused("fit gmm x.csv -k 2", 1, &["line 2", "Sepal.Width", "--missing"]);
    for line in ["gmm x.csv -k 2", "ppca x.csv -q 2", "fa x.csv -q 1"] {
        let fit = folder.json(&format!("fit {line} --missing"));
        assert!(fit["log_likelihood"].as_f64().unwrap().is_finite(), "{line}");
        let trace = list(&fit["trace"]);
        // EM does not go down but for rounding of the mean.
        assert!(trace.windows(2).all(|pair| pair[1] >= pair[0] - 1e-12), "{line}");
    }
}

#[test]
fn rotations_keep_the_likelihood() {
    let folder = Folder::new().with("x.csv", table(&reference("fa_mtcars_2")));
    let plain = folder.json("fit fa x.csv -q 2");
    assert!(plain["parameters"].get("rotation").is_none());
    for rotation in ["varimax", "quartimax", "promax", "oblimin"] {
        let rotated = folder.json(&format!("fit fa x.csv -q 2 --rotation {rotation}"));
        assert_eq!(rotated["parameters"]["rotation"]["method"], rotation);
        assert_eq!(flat(&rotated["parameters"]["rotation"]["matrix"]).len(), 4);
        let off = difference(&[rotated["log_likelihood"].as_f64().unwrap()], &[plain["log_likelihood"].as_f64().unwrap()]);
        assert!(off < 1e-12, "{rotation}: {off:e}");
    }
}

#[test]
fn factor_analysis_of_a_correlation_matrix() {
    // Six correlations that one factor with loadings 0.9, 0.8, 0.7, 0.6 gives exactly.
    let r = "a,b,c,d\n1,0.72,0.63,0.54\n0.72,1,0.56,0.48\n0.63,0.56,1,0.42\n0.54,0.48,0.42,1\n";
    let folder = Folder::new().with("r.csv", r).with("wide.csv", "a,b,c\n1,0.5,0.5\n0.5,1,0.5\n");
    let fit = folder.json("fit fa r.csv -q 1 --covariance-of 200 -o m.lvm");
    assert_eq!((fit["n"].as_u64(), fit["d"].as_u64()), (Some(200), Some(4)));
    assert!(difference(&flat(&fit["parameters"]["loadings"]), &[0.9, 0.8, 0.7, 0.6]) < 1e-8);
    folder.refused("fit fa wide.csv -q 1 --covariance-of 200", 1, &["wide.csv", "2 rows and 3 columns"]);
    folder.refused("fit fa r.csv -q 1 --covariance-of 200 --missing", 2, &["--missing"]);
}

#[test]
fn a_table_through_a_pipe() {
    let folder = faithful();
    let file = folder.json("fit gmm faithful.csv -k 2");
    let piped = folder.piped("fit gmm - -k 2 --columns 1,2 --json", &folder.read("faithful.csv"));
    assert_eq!((piped.code, piped.err.as_str()), (0, ""));
    let piped: serde_json::Value = serde_json::from_str(&piped.out).unwrap();
    assert_eq!((&piped["parameters"], piped["data"].as_str()), (&file["parameters"], Some("standard input")));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = faithful();
    folder.fine("fit gmm faithful.csv -k 2 -o m.lvm");
    let (code, err) = folder.cut_off("sample m.lvm -n 100000");
    assert_eq!((code, err.as_str()), (0, ""));
}

/// A version 1.0 .npy file of little-endian f64 in C order.
pub(crate) fn npy(rows: &[Vec<f64>]) -> Vec<u8> {
    let head = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {}), }}", rows.len(), rows[0].len());
    let length = (10 + head.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{head:<width$}\n", width = length - 1).bytes());
    bytes.extend(rows.iter().flatten().flat_map(|v| v.to_le_bytes()));
    bytes
}
