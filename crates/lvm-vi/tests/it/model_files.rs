//! Model files of the Bayesian models: back bit for bit, and refused when they are damaged.

use lvm_core::file::Header;
use lvm_core::gmm::CovarianceType;
use lvm_vi::cavi::bayesian_ppca::BayesianPpca;
use lvm_vi::cavi::documents::Documents;
use lvm_vi::cavi::lda::Lda;
use lvm_vi::cavi::mixture::{BayesianMixture, WeightPrior};
use lvm_vi::cavi::multinomial_mixture::BayesianMultinomialMixture;
use lvm_vi::file::{Model, decode, encode};
use ndarray::Array2;

fn models() -> Vec<Model> {
    let x = Array2::from_shape_fn((40, 3), |(n, j)| ((n * (j + 2)) as f64).sin() + if n % 2 == 0 { 4.0 } else { 0.0 });
    let counts = Documents::from_table(&x.mapv(|v| v.abs().round() + 1.0)).unwrap();
    let mixture = |components, covariance, weights| {
        Model::BayesianMixture(BayesianMixture { components, covariance, weights, ..Default::default() }.fit(&x, 1).unwrap().model)
    };
    let (dirichlet, process) = (WeightPrior::Dirichlet { concentration: 0.3 }, WeightPrior::DirichletProcess { concentration: 0.7 });
    vec![
        mixture(2, CovarianceType::Full, process),
        mixture(2, CovarianceType::Diagonal, dirichlet),
        // no stick at all
        mixture(1, CovarianceType::Full, process),
        Model::BayesianPpca(BayesianPpca::default().fit(&x, 1).unwrap().model),
        Model::MultinomialMixture(BayesianMultinomialMixture { components: 2, ..Default::default() }.fit(&counts, 1).unwrap().model),
        Model::Lda(Lda { topics: 2, ..Default::default() }.fit(&counts, 1).unwrap().model),
        Model::Core(lvm_core::ppca::PpcaMl { components: 1, ..Default::default() }.fit(&x, 0).unwrap().model.into()),
    ]
}

fn header() -> Header {
    Header { columns: ["a", "b", "c"].map(str::to_owned).to_vec(), n: Some(40.0), ..Header::default() }
}

#[test]
fn every_kind_comes_back_bit_for_bit() {
    for model in models() {
        let bytes = encode(&model, &header()).unwrap();
        let (back, found) = decode(&bytes).unwrap();
        assert_eq!((&back, &found, back.kind(), back.dim()), (&model, &header(), model.kind(), 3));
        assert_eq!(encode(&back, &found).unwrap(), bytes);
    }
}

#[test]
fn damage_is_noticed() {
    for model in models() {
        let bytes = encode(&model, &header()).unwrap();
        for length in (0..bytes.len()).step_by(7) {
            assert!(decode(&bytes[..length]).is_err());
        }
        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(decode(&flipped).unwrap_err().to_string().contains("checksum"));
        assert!(encode(&model, &Header::default()).is_err());
    }
}

#[test]
fn another_kind_is_refused_by_name() {
    let model = &models()[5];
    let bytes = encode(model, &header()).unwrap();
    let (from, to) = (b"\\\"kind\\\":\\\"lda\\\"" as &[u8], b"\\\"kind\\\":\\\"hmm\\\"" as &[u8]);
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    let mut other = bytes;
    other[at..at + to.len()].copy_from_slice(to);
    let message = decode(&other).unwrap_err().to_string();
    assert!(message.contains("\"hmm\"") && message.contains("multinomial-mixture"), "{message}");
}
