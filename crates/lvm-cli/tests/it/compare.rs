//! `lvm compare`, `--scale` and `--transpose`.

use crate::harness::{Folder, csv, difference, iris, list, matrix, reference};

#[test]
fn models_stand_in_one_table() {
    let folder = iris();
    for line in ["fit gmm iris.csv -k 2 -o g.lvm", "fit ppca iris.csv -q 2 -o p.lvm", "fit fa iris.csv -q 1 -o f.lvm"] {
        folder.fine(line);
    }
    let compared = folder.json("compare g.lvm p.lvm f.lvm iris.csv");
    let rows = compared["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    let scores = |model: &str| list(&folder.json(&format!("score {model} iris.csv"))["log_evidence"]);
    let best = compared["best"].as_u64().unwrap() as usize;
    let of_best = scores(rows[best]["path"].as_str().unwrap());
    for row in rows {
        let of = scores(row["path"].as_str().unwrap());
        let moments = |x: &[f64]| {
            let n = x.len() as f64;
            let mean = x.iter().sum::<f64>() / n;
            (mean, (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt())
        };
        let ((mean, std_err), (to_best, of_pairs)) =
            (moments(&of), moments(&of.iter().zip(&of_best).map(|(a, b)| a - b).collect::<Vec<_>>()));
        let found = ["mean", "std_err", "difference", "difference_std_err"].map(|key| row[key].as_f64().unwrap());
        // the same sums up to rounding
        assert!(difference(&found, &[mean, std_err, to_best, of_pairs]) < 1e-12, "{row}");
        assert!(found[2] <= 0.0);
    }
    assert!(folder.fine("compare g.lvm p.lvm f.lvm iris.csv").contains("* "));
}

#[test]
fn models_of_other_columns_are_not_compared() {
    let folder = iris();
    folder.fine("fit gmm iris.csv -k 1 -o all.lvm");
    folder.fine("fit gmm iris.csv -k 1 --columns 1,2 -o two.lvm");
    folder.refused("compare all.lvm two.lvm iris.csv", 1, &["two.lvm", "2 columns", "4 columns", "can't be compared"]);
    folder.refused("compare all.lvm", 2, &["DATA"]);
}

#[test]
fn scale_divides_and_transpose_turns() {
    let rows = matrix(&reference("ppca_iris_2")["data"]["rows"]);
    let turned: Vec<Vec<f64>> = (0..4).map(|j| rows.iter().map(|row| row[j] * 255.0).collect()).collect();
    let plain = Folder::new().with("x.csv", csv(&[], &rows)).with("t.csv", csv(&[], &turned));
    let expected = plain.json("fit ppca x.csv -q 2");
    let found = plain.json("fit ppca t.csv -q 2 --transpose --scale 255");
    assert_eq!((found["n"].as_u64(), found["d"].as_u64()), (Some(150), Some(4)));
    // x · 255 / 255 is x up to rounding
    assert!(difference(&list(&found["trace"]), &list(&expected["trace"])) < 1e-10);
    plain.refused("fit ppca x.csv -q 1 --scale 0", 2, &["--scale", "above 0"]);
    plain.refused("fit ppca x.csv -q 1 --scale 2 --stream", 2, &["--stream", "--scale"]);
}

#[test]
fn matrix_market_and_idx_are_tables() {
    let mtx = "%%MatrixMarket matrix coordinate integer general\n3 4 5\n1 1 5\n2 2 3\n3 3 1\n1 4 2\n2 4 7\n";
    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2];
    idx.extend([0u8, 51, 102, 255, 255, 0, 51, 102, 102, 255, 0, 51]);
    let folder = Folder::new().with("genes.mtx", mtx).with("images.idx3-ubyte", idx);
    let cells = folder.json("fit multinomial-mixture genes.mtx --transpose -k 1");
    assert_eq!((cells["n"].as_u64(), cells["d"].as_u64()), (Some(4), Some(3)));
    let images = folder.json("fit gmm images.idx3-ubyte -k 1 --reg 0.1 --scale 255");
    assert_eq!((images["n"].as_u64(), images["d"].as_u64()), (Some(3), Some(4)));
    let mean = list(&images["parameters"]["means"][0]);
    // (0, 255, 102)/255, (51, 0, 255)/255 and so on, averaged over three rows in f64
    assert!(difference(&mean, &[1.4 / 3.0, 1.2 / 3.0, 0.6 / 3.0, 1.6 / 3.0]) < 1e-12, "{mean:?}");
}
