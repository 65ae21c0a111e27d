//! Tables out: whole or not at all, and to the last bit.

use lvm_core::rows::Missing;
use lvm_data::{ErrorKind, ReadOptions, Table, output};
use ndarray::{Array2, array};
use proptest::prelude::*;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| s.to_string()).collect()
}

fn round_trip(ending: &str, x: &Array2<f64>) -> Array2<f64> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("t.{ending}"));
    let columns: Vec<String> = (0..x.ncols()).map(|j| format!("column {j}")).collect();
    output::write(&path, &columns, x).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something else was left behind");
    let options = ReadOptions { missing: Missing::Integrate, ..Default::default() };
    let table = Table::read(&path, &options).unwrap();
    if ending != "npy" {
        assert_eq!(table.columns, columns);
    }
    table.x
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn numbers_come_back_bit_for_bit(values in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 6)) {
        let x = Array2::from_shape_vec((2, 3), values).unwrap();
        for ending in ["csv", "tsv", "npy"] {
            let back = round_trip(ending, &x);
            prop_assert!(x.iter().zip(&back).all(|(a, b)| a.to_bits() == b.to_bits()), "{ending}: {x} {back}");
        }
    }
}

#[test]
fn extremes_missing_cells_and_awkward_names() {
    let x = array![[f64::MAX, 5e-324, -0.0], [1e16, 1e-5, 0.1], [f64::NAN, 123456789.0, 1e15]];
    for ending in ["csv", "tsv", "npy"] {
        let back = round_trip(ending, &x);
        assert!(x.iter().zip(&back).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())), "{ending}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let columns = names(&["a,b", "say \"x\"", " blank ", "two\nlines"]);
    output::write(&path, &columns, &array![[1.0, 2.0, 3.0, 4.0]]).unwrap();
    let back = Table::read(&path, &ReadOptions::default()).unwrap();
    assert_eq!(back.columns, names(&["a,b", "say \"x\"", "blank", "two\nlines"]));
}

#[test]
fn the_shortest_digits() {
    let shown = |v: f64| {
        let mut out = Vec::new();
        output::write_number(&mut out, v).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!([0.1, 1.0, -0.0, 1e300, 1e-7, 1e15].map(shown), ["0.1", "1", "-0", "1e300", "1e-7", "1000000000000000"]);
}

#[test]
fn what_fails_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, "old").unwrap();
    let error = output::replace(&path, |out| {
        out.write_all(&[b'x'; 1 << 20])?;
        Err(std::io::Error::other("no more"))
    })
    .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io { action: "write", .. }));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    output::replace(&path, |out| out.write_all(b"new")).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
}

#[test]
fn places_that_cannot_be_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let x = array![[1.0]];
    let write = |path: &std::path::Path| output::write(path, &names(&["a"]), &x).unwrap_err().to_string();
    let message = write(&folder.path().join("none/t.csv"));
    assert!(message.contains("none/t.csv: cannot write: there is no folder"), "{message}");
    let message = write(folder.path());
    assert!(message.contains("it is a folder"), "{message}");
    let path = folder.path().join("locked.csv");
    std::fs::write(&path, "old").unwrap();
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    assert!(write(&path).contains("write-protected"));
    assert!(output::write(folder.path().join("t.csv"), &names(&["a", "b"]), &x).is_err());
}

#[cfg(unix)]
#[test]
fn links_stay_links_and_new_files_are_like_any_other() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (file, link, plain) = (folder.path().join("f"), folder.path().join("l"), folder.path().join("p"));
    std::fs::write(&plain, "").unwrap();
    output::replace(&file, |out| out.write_all(b"1")).unwrap();
    let mode = |p| std::fs::metadata(p).map(|m: std::fs::Metadata| m.permissions().mode()).unwrap();
    assert_eq!(mode(&file), mode(&plain));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    output::replace(&link, |out| out.write_all(b"2")).unwrap();
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "2");
}
