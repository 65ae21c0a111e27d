//! A training that was written to bytes and read back goes on bit for bit.

use lvm_core::file::Header;
use lvm_deep::architecture::Architecture;
use lvm_deep::checkpoint::{decode, decode_training, encode, encode_training};
use lvm_deep::data::Dataset;
use lvm_deep::tensor::to_values;
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;
use lvm_deep::{ErrorKind, Kind};
use std::ops::ControlFlow;

fn numbers(vae: &Vae) -> Vec<u64> {
    vae.parameters.entries().iter().flat_map(|p| to_values(&p.value)).map(f64::to_bits).collect()
}

fn wine(kind: Kind) -> (Dataset, Dataset) {
    let x = lvm_data::datasets::wine().unwrap().x;
    let (train, held_out) = x.view().split_at(ndarray::Axis(0), 150);
    (Dataset::new(&train, kind, tch::Device::Cpu).unwrap(), Dataset::new(&held_out, kind, tch::Device::Cpu).unwrap())
}

#[test]
fn interrupted_equals_uninterrupted() {
    for kind in [Kind::Float, Kind::Double] {
        let (data, held_out) = wine(kind);
        // 150 rows in batches of 32: a short last batch every epoch
        let training = Training { epochs: 6, batch_size: 32, patience: Some(100), warm_up: 4, clip_norm: Some(50.0), ..Default::default() };
        let vae = || Vae::new(Architecture::mlp(13, 2, &[16]), &data, 3).unwrap();
        let whole = training.fit(vae(), &data, Some(&held_out), 3).unwrap();

        let mut state = training.init(vae(), &data, 3).unwrap();
        let mut stop = |s: &lvm_deep::train::State| if s.epochs.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        training.run(&mut state, &data, Some(&held_out), &mut stop).unwrap();
        let bytes = encode_training(&state, &training, data.n_rows(), &Header::default()).unwrap();
        drop(state);
        let mut resumed = decode_training(&bytes, tch::Device::Cpu).unwrap();
        assert_eq!((resumed.training.clone(), resumed.rows), (training.clone(), 150));
        let status = training.run(&mut resumed.state, &data, Some(&held_out), &mut |_| ControlFlow::Continue(())).unwrap();
        let resumed = resumed.state.finish(status);
        assert_eq!(resumed.epochs, whole.epochs);
        assert_eq!(numbers(&resumed.vae), numbers(&whole.vae));
    }
}

#[test]
fn what_is_cut_short_or_damaged_is_refused() {
    let (data, _) = wine(Kind::Float);
    let vae = Vae::new(Architecture::mlp(13, 2, &[4]), &data, 3).unwrap();
    let header = Header { columns: vec!["a".into()], ..Default::default() };
    let bytes = encode(&vae, &header).unwrap();
    let back = decode(&bytes, tch::Device::Cpu).unwrap();
    assert_eq!((numbers(&back.vae), &back.header, &back.vae.architecture), (numbers(&vae), &header, &vae.architecture));
    let refused = |bytes: &[u8], word: &str| {
        let error = decode(bytes, tch::Device::Cpu).err().expect("an error");
        assert!(matches!(error.kind(), ErrorKind::ModelFile { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    };
    for cut in [0, 7, bytes.len() / 2, bytes.len() - 1] {
        refused(&bytes[..cut], "cut short");
    }
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    refused(&damaged, "checksum");
    let error = decode_training(&bytes, tch::Device::Cpu).err().expect("an error");
    assert!(error.to_string().contains("finished model"), "{error}");
    // the same numbers under another architecture
    let mut other = Vae::new(Architecture::mlp(13, 2, &[5]), &data, 3).unwrap();
    let error = other.parameters.set("encoder.0.weight", vae.parameters.get("encoder.0.weight").unwrap()).unwrap_err();
    assert!(error.to_string().contains("[5, 13]") && error.to_string().contains("[4, 13]"), "{error}");
}
