//! Models that are told something besides x: columns of the table, or the size of a row.

use crate::harness::{Folder, csv, difference, list, matrix};
use std::fmt::Write as _;

/// Counts of two plates of which the second has three times as many in the first half of the columns, in a table with the plate's name.
fn plates() -> Folder {
    let mut text = "a,b,c,d,plate,age\n".to_owned();
    for i in 0..120 {
        let (plate, factor) = if i % 2 == 0 { ("one", 1) } else { ("two", 3) };
        let cell = |j: usize| 2 + (i * (j + 3)) % 5;
        writeln!(text, "{},{},{},{},{plate},{}", factor * cell(0), factor * cell(1), cell(2), cell(3), i % 7).unwrap();
    }
    Folder::new().with("x.csv", text)
}

#[test]
fn a_condition_is_told_everywhere() {
    let folder = plates();
    let fit = "fit vae x.csv --condition plate,age --likelihood poisson --hidden 8 --rate 0.02 --epochs 30 --batch-size 20";
    folder.fine(&format!("{fit} --checkpoint c.ckpt -o m.lvm"));
    let info = folder.json("info m.lvm");
    assert_eq!(list(&serde_json::json!([info["d"], info["architecture"]["condition"]])), [4.0, 3.0]);
    assert_eq!(info["condition"][0]["levels"], serde_json::json!(["one", "two"]));
    let mean = |plate: &str| {
        let x = matrix(&folder.json(&format!("sample m.lvm -n 400 --means --given plate={plate},age=3"))["x"]);
        x.iter().map(|row| row[0]).sum::<f64>() / 400.0
    };
    // the truth is 4 and 12
    assert!(mean("two") > 1.8 * mean("one"), "{} {}", mean("one"), mean("two"));
    assert_eq!(matrix(&folder.json("sample m.lvm -n 5 --like x.csv")["x"]).len(), 5);
    for line in [
        "score m.lvm x.csv -k 5",
        "posterior m.lvm x.csv",
        "map m.lvm x.csv",
        "reconstruct m.lvm x.csv",
        "interpolate m.lvm x.csv --rows 0,1 --steps 3",
        "impute m.lvm x.csv -k 20",
        "ood m.lvm x.csv --against x.csv --regret-draws 0",
        "compare m.lvm x.csv -k 5",
        "plot samples m.lvm x.csv --like x.csv -o p.svg",
        "plot latent m.lvm x.csv --color plate -o p.svg",
    ] {
        folder.json(line);
    }
    // whatever the verdict, there is one
    assert!(folder.lvm("verify m.lvm x.csv").out.contains("amortization gap"));
    // the same columns in a table of their own
    let (cells, told): (String, String) = folder
        .read("x.csv")
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .map(|f| (f[..4].join(",") + "\n", f[4..].join(",") + "\n"))
        .unzip();
    let folder = folder.with("cells.csv", cells).with("told.csv", told);
    let of = |line: &str| folder.json(line)["log_evidence"].clone();
    assert_eq!(of("score m.lvm x.csv -k 5"), of("score m.lvm cells.csv -k 5 --condition-from told.csv"));
    // goes on exactly, from what the checkpoint says of the condition
    folder.fine(&fit.replace("--epochs 30", "--epochs 4 --checkpoint d.ckpt"));
    folder.fine(&fit.replace("--epochs 30", "--epochs 6 -o six.lvm"));
    folder.fine("resume d.ckpt x.csv --epochs 6 -o rest.lvm");
    assert!(std::fs::read(folder.path("six.lvm")).unwrap() == std::fs::read(folder.path("rest.lvm")).unwrap());
}

#[test]
fn a_condition_that_does_not_fit() {
    let folder = plates();
    folder.fine("fit vae x.csv --condition plate,age --likelihood poisson --epochs 2 --checkpoint c.ckpt -o m.lvm");
    let other = folder.read("x.csv").replacen(",two,", ",three,", 1);
    let missing = folder.read("x.csv").replacen("one,0\n", "one,\n", 1);
    let none: String = folder.read("x.csv").lines().map(|line| line.split(',').take(4).collect::<Vec<_>>().join(",") + "\n").collect();
    let short: String = folder.read("x.csv").lines().take(50).map(|line| format!("{line}\n")).collect();
    let folder = folder.with("other.csv", other).with("missing.csv", missing).with("none.csv", none).with("short.csv", short);
    folder.refused("score m.lvm other.csv", 1, &["other.csv", "plate", "row 1", "three", "one, two"]);
    folder.refused("score m.lvm missing.csv", 1, &["missing.csv", "age", "row 0", "finite number"]);
    folder.refused("score m.lvm none.csv", 1, &["none.csv", "plate"]);
    folder.refused("score m.lvm none.csv --condition-from short.csv", 1, &["short.csv", "49 rows", "120"]);
    folder.refused("resume c.ckpt other.csv", 1, &["other.csv", "three"]);
    folder.refused("sample m.lvm -n 2", 2, &["plate", "--given plate=one"]);
    folder.refused("sample m.lvm -n 2 --given plate=one,age=old", 2, &["age", "finite number"]);
    folder.refused("sample m.lvm -n 2 --given plate=one,age=1,sex=f", 2, &["sex=f", "plate, age"]);
    folder.refused("fit vae x.csv --condition sex", 1, &["sex"]);
    folder.refused("fit vae x.csv --condition plate,plate", 2, &["plate", "twice"]);
    folder.refused("fit vae missing.csv --condition plate,age --likelihood poisson", 1, &["missing.csv", "age"]);
}

/// Counts of which each row sums to about 60.
fn documents() -> Folder {
    let counts: Vec<Vec<f64>> = (0..60).map(|i| (0..6).map(|j| f64::from(5 + (i * (j + 2)) % 11)).collect()).collect();
    Folder::new().with("x.csv", csv(&["a", "b", "c", "d", "e", "f"], &counts))
}

#[test]
fn rows_of_counts_are_drawn_with_the_size_they_are_told() {
    let folder = documents();
    for likelihood in ["multinomial", "zinb"] {
        folder.fine(&format!("fit vae x.csv --likelihood {likelihood} --epochs 4 -o m.lvm"));
        let sums = |line: &str| -> Vec<f64> { matrix(&folder.json(line)["x"]).iter().map(|row| row.iter().sum()).collect() };
        for line in ["sample m.lvm -n 20", "sample m.lvm -n 20 --means"] {
            folder.refused(line, 2, &["m.lvm", "--size", "--like"]);
        }
        if likelihood == "multinomial" {
            assert!(sums("sample m.lvm -n 20 --size 40").iter().all(|s| *s == 40.0));
            // sums of f32
            assert!(difference(&sums("sample m.lvm -n 20 --size 40 --means"), &[40.0; 20]) < 1e-5);
            let like: Vec<f64> = (0..60).map(|i| (0..6).map(|j| f64::from(5 + (i * (j + 2)) % 11)).sum()).collect();
            assert_eq!(sums("sample m.lvm -n 60 --like x.csv"), like);
        } else {
            // the mean of 200 sums of counts near 40, of which a twentieth is lost at the start: far from the 1 or 0 of no size
            let mean = sums("sample m.lvm -n 200 --size 40").iter().sum::<f64>() / 200.0;
            assert!((25.0..55.0).contains(&mean), "{mean}");
        }
        let path = matrix(&folder.json("interpolate m.lvm x.csv --rows 0,7 --steps 4")["x"]);
        let reconstructed = matrix(&folder.json("reconstruct m.lvm x.csv")["x"]);
        // the ends are the rows as the model sees them, in f32 through batches of other sizes
        assert!(difference(&path[0], &reconstructed[0]) < 1e-5 && difference(&path[3], &reconstructed[7]) < 1e-5, "{likelihood}");
        let (low, high) = (path[0].iter().sum::<f64>(), path[3].iter().sum::<f64>());
        let between: f64 = path[1].iter().sum();
        assert!(between > low.min(high) - 3.0 && between < low.max(high) + 3.0, "{low} {between} {high}");
        folder.refused("sample m.lvm -n 2 --size 0", 2, &["--size"]);
    }
    folder.fine("fit vae x.csv --likelihood poisson --epochs 2 -o p.lvm");
    folder.refused("sample p.lvm -n 2 --size 40", 2, &["p.lvm", "size"]);
    folder.fine("fit gmm x.csv -k 1 -o g.lvm");
    folder.refused("sample g.lvm -n 2 --size 40", 2, &["--size", "gmm"]);
}
