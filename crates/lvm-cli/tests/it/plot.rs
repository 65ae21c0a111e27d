//! Pictures: that they are there, whole, of what was asked for, and refused where there is none.

use crate::harness::{Folder, csv, iris};

/// Width and height of a PNG by its header, which must be one.
fn png(folder: &Folder, name: &str) -> (u32, u32) {
    let bytes = std::fs::read(folder.path(name)).unwrap();
    assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

/// How often something stands in an SVG, which must be whole.
fn count(folder: &Folder, name: &str, what: &str) -> usize {
    let text = folder.read(name);
    assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"), "{}", &text[..60]);
    text.matches(what).count()
}

/// Iris with the species of each row and a number of its own.
fn labelled() -> Folder {
    let folder = iris();
    let text = folder.read("iris.csv");
    let mut lines = text.lines();
    let mut labelled = format!("{},Species,Age\n", lines.next().unwrap());
    lines.enumerate().for_each(|(i, line)| labelled += &format!("{line},{},{}.5\n", ["setosa", "versicolor", "virginica"][i / 50], i));
    folder.with("labelled.csv", labelled)
}

#[test]
fn latents_of_every_family_that_has_some() {
    let folder = labelled();
    for (fit, axes) in [("ppca iris.csv -q 2", ""), ("fa labelled.csv -q 2", ""), ("ppca iris.csv -q 3", "--axes 0,2")] {
        folder.fine(&format!("fit {fit} -o m.lvm"));
        let said = folder.json(&format!("plot latent m.lvm labelled.csv --color Species {axes} -o z.svg"));
        assert_eq!((said["picture"].as_str(), said["n"].as_u64()), (Some("latent"), Some(150)));
        // a dot for each row, and three in the legend
        assert_eq!(count(&folder, "z.svg", "<circle"), 153, "{fit}");
        assert_eq!(count(&folder, "z.svg", "setosa (50)"), 1);
    }
    folder.fine("plot latent m.lvm labelled.csv --color Age -o shades.svg");
    assert_eq!(count(&folder, "shades.svg", "<circle"), 150);
    folder.fine("fit gmm iris.csv -k 3 -o g.lvm");
    folder.fine("plot latent g.lvm iris.csv -o g.svg");
    // the components as outlines of 73 points
    assert!(count(&folder, "g.svg", "<polyline") >= 3);
    folder.fine("fit ppca iris.csv -q 1 -o one.lvm");
    folder.fine("plot latent one.lvm labelled.csv --color Species -o one.png");
    // two pixels to the unit, the chart and the legend
    assert_eq!(png(&folder, "one.png"), (2 * 870, 2 * 598));
}

#[test]
fn samples_and_reconstructions_of_tables_and_images() {
    let folder = iris();
    folder.fine("fit ppca iris.csv -q 2 -o m.lvm");
    let said = folder.json("plot samples m.lvm iris.csv -n 80 -o s.svg");
    assert_eq!((said["picture"].as_str(), said["n"].as_u64()), (Some("pairs"), Some(80)));
    // six pairs of 80 samples and 150 rows, and two in the legend
    assert_eq!(count(&folder, "s.svg", "<circle"), 6 * 230 + 2);
    folder.fine("plot reconstructions m.lvm iris.csv -o r.svg");
    assert_eq!(count(&folder, "r.svg", "<circle"), 4 * 150);
    let rows: Vec<Vec<f64>> = (0..80).map(|i| (0..64).map(|j| f64::from((i * (j + 3)) % 17)).collect()).collect();
    let folder = folder.with("images.csv", csv(&[], &rows));
    folder.fine("fit ppca images.csv -q 3 -o i.lvm");
    let said = folder.json("plot samples i.lvm -n 9 -o i.svg");
    assert_eq!((said["picture"].as_str(), count(&folder, "i.svg", "data:image/png;base64,")), (Some("images"), 1));
    let said = folder.json("plot reconstructions i.lvm images.csv --rows 3,5 -o i.png");
    assert_eq!((said["picture"].as_str(), said["n"].as_u64()), (Some("images"), Some(2)));
    assert!(png(&folder, "i.png").0 > 400);
    assert_eq!(folder.json("plot samples i.lvm -n 4 --as curves -o c.svg")["picture"].as_str(), Some("curves"));
    assert_eq!(folder.json("plot samples i.lvm -n 4 --as table -o c.svg")["picture"].as_str(), Some("histograms"));
}

#[test]
fn the_trace_of_a_fit() {
    let folder = iris();
    folder.fine("fit gmm iris.csv -k 3 -o g.lvm");
    // titles have no room for folders
    folder.fine(&format!("plot latent {} iris.csv -o l.svg", folder.path("g.lvm").display()));
    assert!(folder.read("l.svg").contains("g.lvm: ") && !folder.read("l.svg").contains("/g.lvm: "));
    folder.fine(&format!("plot trace {} -o t.svg", folder.path("g.lvm").display()));
    assert_eq!(count(&folder, "t.svg", ">g.lvm: objective of the fit<") + count(&folder, "t.svg", "\ng.lvm: objective of the fit\n"), 1);
    let n = folder.json("info g.lvm")["trace"].as_array().unwrap().len() as u64;
    assert_eq!(folder.json("plot trace g.lvm -o t.svg")["n"].as_u64(), Some(n));
    assert_eq!(count(&folder, "t.svg", "log p(x), nats per row"), 1);
    folder.fine("fit bgmm iris.csv -k 3 -o b.lvm");
    folder.fine("plot trace b.lvm --skip 1 -o t.png");
    png(&folder, "t.png");
}

#[test]
fn what_can_t_be_drawn_is_said() {
    let folder = labelled();
    folder.fine("fit ppca iris.csv -q 2 -o m.lvm");
    folder.fine("fit gmm iris.csv -k 2 -o g.lvm");
    folder.refused("plot trace m.lvm -o t.svg", 1, &["m.lvm", "closed form"]);
    folder.refused("plot reconstructions g.lvm iris.csv -o r.svg", 1, &["g.lvm", "gmm", "decoder"]);
    folder.refused("plot latent m.lvm iris.csv -o z.pdf", 2, &["z.pdf", ".png or .svg"]);
    folder.refused("plot latent m.lvm iris.csv -o nowhere/z.png", 1, &["nowhere"]);
    folder.refused("plot latent m.lvm labelled.csv --color Sex -o z.png", 1, &["Sex"]);
    folder.refused("plot latent m.lvm iris.csv --axes 0,2 -o z.png", 2, &["--axes 0,2", "0 to 1"]);
    folder.refused("plot samples m.lvm --image 1,2,3 -o z.png", 2, &["--image 1,2,3", "4 columns"]);
    folder.refused("plot samples m.lvm --as images -o z.png", 2, &["4 columns", "--image"]);
    folder.refused("plot reconstructions m.lvm iris.csv --rows 150 -o z.png", 1, &["no row 150"]);
    folder.refused("plot trace g.lvm --skip 5000 -o t.svg", 2, &["--skip 5000"]);
}
