use super::*;
use crate::criteria::Criteria;
use crate::fa::Rotation;
use crate::fit::{Repair, RepairKind, Status};
use crate::gmm::Covariances;
use crate::model::Evidence;
use ndarray::{Array2, Array3, Axis, array};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::LazyLock;

fn header(dim: usize) -> Header {
    let floored = RepairKind::CovarianceFloored { component: 1, floor: 1e-9 };
    Header {
        columns: (0..dim).map(|j| format!("column \"{j}\" ä")).collect(),
        n: Some(272.5),
        fit: Some(FitRecord {
            seed: u64::MAX,
            status: Status::MaxIterations,
            trace: vec![-0.1, -1.0 / 3.0, 5e-324],
            repairs: vec![Repair { iteration: 3, kind: floored }],
            restarts: vec![-1.5, -2.5],
        }),
        criteria: Some(Criteria { log_likelihood: -1130.2639601847413, n_parameters: 11, n: 272.0 }),
        notes: BTreeMap::from([("written by".into(), "a test".into())]),
    }
}

static MODELS: LazyLock<Vec<Model>> = LazyLock::new(models);

fn models() -> Vec<Model> {
    let weights = array![1.0 / 3.0, 2.0 / 3.0];
    let means = array![[0.1, -0.2, 1e-7], [3.3, 4.4, 1e5]];
    let matrix = array![[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.7]];
    let mut full = Array3::zeros((2, 3, 3));
    full.index_axis_mut(Axis(0), 0).assign(&matrix);
    full.index_axis_mut(Axis(0), 1).assign(&(&matrix * 1.7));
    let variances = array![[0.1, 0.2, 0.3], [1e-3, 1.0, 7.0]];
    let shapes = [
        Covariances::Full(full),
        Covariances::Tied(matrix),
        Covariances::Diagonal(variances),
        Covariances::Spherical(array![0.1, 1.0 / 7.0]),
    ];
    let mut models: Vec<Model> =
        shapes.into_iter().map(|c| GaussianMixture::new(weights.clone(), means.clone(), c).unwrap().into()).collect();
    let mean = array![0.5, -1.0 / 3.0, 1e5, 0.0];
    let loadings = array![[0.8, 0.3], [0.7, 0.4], [0.6, -0.5], [0.5, -0.6]];
    models.push(Ppca::new(mean.clone(), loadings.clone(), 0.3).unwrap().into());
    let fa = FactorAnalysis::new(mean, loadings, array![0.3, 0.4, 1.0 / 3.0, 0.4]).unwrap();
    for rotation in [Rotation::varimax(), Rotation::quartimax(), Rotation::promax(), Rotation::oblimin()] {
        models.push(fa.rotated(rotation).unwrap().into());
    }
    models.push(fa.into());
    models
}

fn scores(model: &Model) -> Vec<u64> {
    let x = Array2::from_shape_fn((7, model.dim()), |(i, j)| ((3 * i + j) as f64).sin() * 3.0);
    let scores = match model {
        Model::Gmm(m) => m.log_evidence(&x),
        Model::Ppca(m) => m.log_evidence(&x),
        Model::Fa(m) => m.log_evidence(&x),
    };
    scores.unwrap().iter().map(|v| v.to_bits()).collect()
}

fn refusal(bytes: &[u8]) -> String {
    let error = decode(bytes).unwrap_err();
    assert!(matches!(error.kind(), crate::ErrorKind::ModelFile { .. }), "{error:?}");
    error.to_string()
}

/// The file with another header or other tensors.
fn altered(model: &Model, json: impl FnOnce(String) -> String, tensors: impl FnOnce(&mut Tensors)) -> Vec<u8> {
    let (mut held, text) = Tensors::decode(&encode(model, &header(model.dim())).unwrap()).unwrap();
    let before = held.crc32();
    tensors(&mut held);
    let text = text.replace(&format!("\"crc32\":{before}"), &format!("\"crc32\":{}", held.crc32()));
    held.encode(json(text)).unwrap()
}

#[test]
fn every_kind_comes_back_bit_for_bit() {
    for model in MODELS.iter() {
        let header = header(model.dim());
        let bytes = encode(model, &header).unwrap();
        assert_eq!(bytes, encode(model, &header).unwrap());
        let (back, found) = decode(&bytes).unwrap();
        assert_eq!((&back, &found), (model, &header));
        assert_eq!(scores(&back), scores(model));
        assert_eq!(encode(&back, &found).unwrap(), bytes);
    }
}

#[test]
fn a_failed_restart_is_kept_as_nan() {
    let model = &MODELS[0];
    let mut header = header(3);
    header.fit.as_mut().unwrap().restarts[0] = f64::NAN;
    let (_, back) = decode(&encode(model, &header).unwrap()).unwrap();
    let restarts = back.fit.unwrap().restarts;
    assert!(restarts[0].is_nan() && restarts[1] == -2.5);
}

#[test]
fn cut_short_at_any_byte() {
    for model in MODELS.iter() {
        let bytes = encode(model, &header(model.dim())).unwrap();
        for length in 0..bytes.len() {
            refusal(&bytes[..length]);
        }
        refusal(&[bytes.as_slice(), &[0]].concat());
    }
}

#[test]
fn other_versions_formats_and_kinds() {
    let model = &MODELS[0];
    let with = |from: &str, to: &str| refusal(&altered(model, |json| json.replacen(from, to, 1), |_| {}));
    let message = with("\"version\":1", "\"version\":2");
    assert!(message.contains("version 2") && message.contains("version 1"), "{message}");
    assert!(with("lvm-model", "other").contains("other"));
    assert!(with("\"gmm\"", "\"hmm\"").contains("\"hmm\""));
    assert!(with("\"gmm\"", "\"ppca\"").contains("\"noise_variance\""));
    assert!(with("\"full\"", "\"tied\"").contains("axes"));
    assert!(with("\"covariance\":\"full\",", "").contains("shape of the covariances"));
    assert!(with("\"columns\":[", "\"columns\":[\"more\",").contains("4 columns"));
    assert!(with("{", "").contains("header"));
    assert!(refusal(&Tensors::default().encode("{}".into()).unwrap()).contains("header"));
    let foreign: Vec<(&str, safetensors::tensor::TensorView<'_>)> = Vec::new();
    assert!(refusal(&safetensors::serialize(foreign, None).unwrap()).contains("not written by lvm"));
}

#[test]
fn tensors_that_do_not_belong() {
    let model = &MODELS[0];
    let with = |change: fn(&mut Tensors)| refusal(&altered(model, |json| json, change));
    assert!(with(|t| drop(t.take::<ndarray::Ix2>("means"))).contains("no tensor \"means\""));
    assert!(with(|t| t.put("means", &array![[0.0, 0.0]])).contains("parameters"));
    assert!(with(|t| t.put("means", &array![0.0, 0.0])).contains("axes"));
    assert!(with(|t| t.put("more", &array![0.0])).contains("\"more\""));
    assert!(with(|t| t.put("weights", &array![f64::NAN, 1.0])).contains("NaN"));
    assert!(with(|t| t.put("weights", &array![0.7, 0.7])).contains("sum"));
    assert!(with(|t| t.put("covariances", &Array3::<f64>::zeros((2, 3, 3)))).contains("parameters"));
    // a rotation of correlated factors in the place of an orthogonal one
    let varimax = MODELS.iter().find(|m| matches!(m, Model::Fa(fa) if fa.rotation().is_some_and(|r| !r.rotation.is_oblique()))).unwrap();
    let message = refusal(&altered(varimax, |json| json, |t| t.put("rotation_matrix", &array![[1.0, 0.6], [0.0, 0.8]])));
    assert!(message.contains("not orthogonal"), "{message}");
}

#[test]
fn changed_numbers_are_noticed() {
    for model in MODELS.iter() {
        let bytes = encode(model, &header(model.dim())).unwrap();
        let data = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for at in data..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(refusal(&damaged).contains("checksum"));
        }
    }
}

#[test]
fn a_header_must_name_every_column_once() {
    let model = &MODELS[0];
    assert!(encode(model, &Header::default()).is_err());
    let twice = Header { columns: vec!["a".into(), "b".into(), "a".into()], ..Header::default() };
    assert!(encode(model, &twice).unwrap_err().to_string().contains("twice"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode(&bytes).is_err());
    }

    // Whatever is done to the bytes, decode returns an error or a model that can be written again.
    #[test]
    fn mutated_files_never_panic(
        which in 0usize..10,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..6),
    ) {
        let model = &MODELS[which];
        let mut bytes = encode(model, &header(model.dim())).unwrap();
        for (at, byte, what) in edits {
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        if let Ok((model, header)) = decode(&bytes) {
            encode(&model, &header).unwrap();
        }
    }

    // The same with a valid checksum and a readable header, so that the models' own checks are reached.
    #[test]
    fn any_parameters_never_panic(which in 0usize..10, values in prop::collection::vec(any::<f64>(), 18)) {
        let model = &MODELS[which];
        let bytes = altered(model, |json| json, |tensors| {
            let mut values = values.iter().cycle();
            for name in ["weights", "means", "covariances", "mean", "loadings", "noise_variance", "noise_variances", "rotation_matrix"] {
                if tensors.contains(name) {
                    let mut array: ndarray::ArrayD<f64> = tensors.take(name).unwrap();
                    array.iter_mut().zip(&mut values).step_by(2).for_each(|(a, v)| *a = *v);
                    tensors.put(name, &array);
                }
            }
        });
        if let Ok((model, header)) = decode(&bytes) {
            encode(&model, &header).unwrap();
        }
    }
}
