//! Model files on disk.

use lvm_core::file::{Header, Model};
use lvm_core::gmm::{Covariances, GaussianMixture};
use lvm_data::{ErrorKind, model};
use ndarray::array;

fn mixture() -> (Model, Header) {
    let mixture = GaussianMixture::new(array![0.5, 0.5], array![[-2.0], [2.0]], Covariances::Spherical(array![1.0, 0.1])).unwrap();
    (mixture.into(), Header { columns: vec!["height".into()], ..Header::default() })
}

#[test]
fn saved_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.lvm");
    let (model, header) = mixture();
    model::save(&path, &model, &header).unwrap();
    assert_eq!(model::load(&path).unwrap(), (model, header));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn refusals_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.lvm");
    let (model, header) = mixture();
    let error = model::load(&path).unwrap_err();
    assert!(error.to_string().contains("m.lvm: cannot read"), "{error}");
    let error = model::save(folder.path().join("none/m.lvm"), &model, &header).unwrap_err();
    assert!(error.to_string().contains("there is no folder"), "{error}");
    assert!(matches!(model::save(&path, &model, &Header::default()).unwrap_err().kind(), ErrorKind::Model(_)));
    assert!(!path.exists());

    model::save(&path, &model, &header).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for (content, says) in
        [(&bytes[..bytes.len() - 3], "cut short"), (b"a,b\n1,2\n3,4\n", "not a usable model file"), (b"", "not a usable model file")]
    {
        std::fs::write(&path, content).unwrap();
        let error = model::load(&path).unwrap_err();
        assert!(error.to_string().contains("m.lvm") && error.to_string().contains(says), "{error}");
    }
}
