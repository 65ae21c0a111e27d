//! `lvm select`: the whole table and the winner.

use crate::harness::{Folder, faithful, iris, reference, table};

#[test]
fn the_whole_table_and_the_winner() {
    let folder = faithful();
    let select = folder.json("select gmm faithful.csv --max 3 --covariance full,diag -o best.lvm");
    let candidates = select["candidates"].as_array().unwrap();
    assert_eq!((select["criterion"].as_str(), candidates.len()), (Some("bic"), 6));
    let best = select["best"].as_u64().unwrap() as usize;
    let bic = |i: usize| candidates[i]["bic"].as_f64().unwrap();
    assert!((0..6).all(|i| bic(i) >= bic(best)));
    // The winner is reported as a fit is, and the file holds it.
    assert_eq!(select["bic"], candidates[best]["bic"]);
    assert_eq!(folder.json("info best.lvm")["parameters"], select["parameters"]);
    let combinations: Vec<(u64, &str)> =
        candidates.iter().map(|c| (c["size"].as_u64().unwrap(), c["covariance"].as_str().unwrap())).collect();
    for k in 1..=3 {
        for shape in ["full", "diag"] {
            assert!(combinations.contains(&(k, shape)));
        }
    }
}

#[test]
fn noise_at_the_floor_does_not_win() {
    // four rows: with three centred directions nothing is left for the noise
    let folder = Folder::new().with("few.csv", "a,b,c,d,e\n1,2,3,4,9\n2,1,0,5,3\n0,7,1,2,2\n4,4,2,1,0\n");
    let text = folder.fine("select ppca few.csv --max 4");
    assert!(text.contains("left aside") && text.contains("the noise was held at the floor"), "{text}");
    assert!(text.lines().find(|l| l.starts_with('*')).is_some_and(|l| !l.contains("left aside")), "{text}");
    assert!(folder.fine("fit ppca few.csv -q 3").contains("fewer components (-q)"));
}

#[test]
fn the_table_for_people_marks_the_winner() {
    let text = faithful().fine("select gmm faithful.csv --max 2 --covariance full,tied");
    assert_eq!(text.lines().filter(|line| line.starts_with('*')).count(), 1);
    for part in ["4 candidates", "BIC", "ICL", "tied", "Gaussian mixture"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn every_criterion_of_every_family() {
    let folder = iris().with("cars.csv", table(&reference("fa_mtcars_2")));
    for criterion in ["bic", "aic", "icl", "held-out --folds 3"] {
        folder.json(&format!("select gmm iris.csv --max 2 --covariance tied --criterion {criterion}"));
    }
    for criterion in ["bic", "aic", "evidence", "held-out"] {
        let select = folder.json(&format!("select ppca iris.csv --max 3 --criterion {criterion}"));
        assert_eq!(select["candidates"].as_array().unwrap().len(), 3);
        assert!(folder.fine(&format!("select ppca iris.csv --max 3 --criterion {criterion}")).contains("* "));
    }
    for criterion in ["bic", "aic", "held-out"] {
        folder.json(&format!("select fa cars.csv --max 2 --criterion {criterion}"));
    }
}

#[test]
fn a_size_that_fails_does_not_spoil_the_others() {
    let folder = Folder::new().with("x.csv", "a\n1\n2\n4\n9\n");
    let select = folder.json("select gmm x.csv --max 6 --covariance spherical");
    let candidates = select["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 6);
    assert!(candidates[5]["error"].is_string() && candidates[0]["bic"].is_number());
}

#[test]
fn too_few_rows_are_told_in_the_options_of_selection() {
    let folder = Folder::new().with("few.csv", "a,b\n1,2\n2,5\n4,3\n");
    let said = folder.refused("select gmm few.csv --min 4 --max 5", 1, &["few.csv", "3 rows are too few", "a smaller --max"]);
    assert!(!said.contains("(-k)"), "{said}");
}
