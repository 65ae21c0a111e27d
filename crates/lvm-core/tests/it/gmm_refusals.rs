//! What EM and the mixture refuse, with which error.

use crate::gmm_fit::clusters;
use lvm_core::gmm::{CovarianceType, Covariances, GaussianMixture, GmmEm, Start};
use lvm_core::model::{Evidence, LatentModel, MapLatent};
use lvm_core::rows::Rows;
use lvm_core::{ErrorKind, Result};
use ndarray::{Array1, Array2, array};

fn em(components: usize, covariance: CovarianceType) -> GmmEm {
    GmmEm { components, covariance, ..Default::default() }
}

/// Asserts the kind of an error.
macro_rules! refused {
    ($result:expr, $pattern:pat) => {
        let error = $result.err().expect("an error");
        assert!(matches!(error.kind(), $pattern), "{error:?}");
    };
}

#[test]
fn tables_without_an_answer() {
    for covariance in CovarianceType::ALL {
        refused!(em(1, covariance).fit(&Array2::<f64>::zeros((0, 3)), 0), ErrorKind::Empty);
        refused!(em(1, covariance).fit(&array![[1.0, 2.0]], 0), ErrorKind::NoVariation);
        refused!(em(2, covariance).fit(&Array2::from_elem((50, 2), 0.1), 0), ErrorKind::NoVariation);
        refused!(em(4, covariance).fit(&clusters(3, 1), 0), ErrorKind::TooFewRows { rows: 3, needed: 4, .. });
        let mut x = clusters(50, 1);
        x.column_mut(2).fill(0.1);
        let constant = em(2, covariance).fit(&x, 0);
        if covariance == CovarianceType::Spherical {
            assert!(constant.unwrap().repairs.is_empty());
        } else {
            let error = constant.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ConstantColumns { columns } if columns == &[(2, None)]), "{error:?}");
            let mut two = x.clone();
            two.column_mut(0).fill(3.0);
            let error = em(2, covariance).fit(&two, 0).unwrap_err();
            assert!(error.to_string().contains("columns 0, 2 (from 0) are constant; leave them out"), "{error}");
        }
        x[[7, 1]] = f64::NAN;
        refused!(em(2, covariance).fit(&x, 0), ErrorKind::NotANumber { row: 7, column: 1, .. });
        x[[7, 1]] = f64::NEG_INFINITY;
        refused!(em(2, covariance).fit(&Rows::new(&x).missing_as_nan(), 0), ErrorKind::Infinite { row: 7, column: 1, .. });
        x.column_mut(1).fill(f64::NAN);
        refused!(em(2, covariance).fit(&Rows::new(&x).missing_as_nan(), 0), ErrorKind::MissingColumn { column: 1, .. });
    }
}

#[test]
fn a_row_without_an_observed_entry() {
    for covariance in CovarianceType::ALL {
        let mut x = clusters(50, 1);
        let em = em(2, covariance);
        let mixture = em.fit(&x, 0).unwrap().model;
        x.row_mut(31).fill(f64::NAN);
        let data = Rows::new(&x).missing_as_nan();
        refused!(em.fit(&data, 0), ErrorKind::MissingRow { row: 31 });
        // a row of weight zero is not there
        let weights = Array1::from_shape_fn(50, |i| if i == 31 { 0.0 } else { 1.0 });
        assert!(em.fit(&Rows::new(&x).missing_as_nan().weighted(weights.view()).unwrap(), 0).is_ok());
        // a given mixture says of it what it says before any data: p(x) = 1, the prior, the marginal mean Σ_k π_k μ_k
        // log Σ_k π_k of weights that add up to one but for their rounding
        assert!(mixture.log_evidence(&data).unwrap()[31].abs() <= 4.0 * f64::EPSILON);
        let prior = mixture.responsibilities(&data).unwrap().row(31).to_owned();
        let full = mixture.impute(&data).unwrap();
        // a normalised sum of K = 2 logarithms, a mean of K products: a few roundings each
        assert!((&prior - mixture.weights()).iter().all(|e| e.abs() < 8.0 * f64::EPSILON));
        let mean = mixture.weights().dot(mixture.means());
        assert!(full.x.row(31).iter().zip(&mean).all(|(a, b)| (a - b).abs() <= 16.0 * f64::EPSILON * (1.0 + b.abs())));
    }
}

#[test]
fn settings_out_of_range() {
    let x = clusters(50, 2);
    let field = |result: Result<_>| match result.expect_err("an error").kind() {
        ErrorKind::Config { field, .. } => *field,
        kind => panic!("{kind:?}"),
    };
    let base = em(2, CovarianceType::Full);
    assert_eq!(field(GmmEm { components: 0, ..base.clone() }.fit(&x, 0)), "components");
    assert_eq!(field(GmmEm { restarts: 0, ..base.clone() }.fit(&x, 0)), "restarts");
    assert_eq!(field(GmmEm { ridge: -1.0, ..base.clone() }.fit(&x, 0)), "ridge");
    assert_eq!(field(GmmEm { ridge: f64::NAN, ..base.clone() }.fit(&x, 0)), "ridge");
    assert_eq!(field(GmmEm { floor: 0.0, ..base.clone() }.fit(&x, 0)), "floor");
    let mut stopping = base.clone();
    stopping.stopping.max_iterations = 0;
    assert_eq!(field(stopping.fit(&x, 0)), "max_iterations");
    let mut stopping = base.clone();
    stopping.stopping.tolerance = -1.0;
    assert_eq!(field(stopping.fit(&x, 0)), "tolerance");
    let start = Array2::from_elem((50, 2), 0.4);
    assert_eq!(field(GmmEm { start: Start::Responsibilities(start), ..base.clone() }.fit(&x, 0)), "start");
    let start = Array2::from_elem((49, 2), 0.5);
    refused!(GmmEm { start: Start::Responsibilities(start), ..base.clone() }.fit(&x, 0), ErrorKind::Shape { expected: 50, .. });
    let three = em(3, CovarianceType::Full).fit(&x, 0).unwrap().model;
    assert_eq!(field(GmmEm { start: Start::Parameters(three), ..base }.fit(&x, 0)), "start");
}

#[test]
fn parameters_that_are_no_mixture() {
    let means = || array![[0.0, 0.0], [1.0, 1.0]];
    let ones = || Covariances::Spherical(array![1.0, 1.0]);
    assert!(GaussianMixture::new(array![0.5, 0.5], means(), ones()).is_ok());
    refused!(GaussianMixture::new(array![0.5, 0.4], means(), ones()), ErrorKind::Config { field: "weights", .. });
    refused!(GaussianMixture::new(array![1.5, -0.5], means(), ones()), ErrorKind::Config { field: "weights", .. });
    refused!(GaussianMixture::new(array![1.0], means(), ones()), ErrorKind::Shape { .. });
    let nan = array![[0.0, f64::NAN], [1.0, 1.0]];
    refused!(GaussianMixture::new(array![0.5, 0.5], nan, ones()), ErrorKind::Config { field: "means", .. });
    let zero = Covariances::Spherical(array![1.0, 0.0]);
    refused!(GaussianMixture::new(array![0.5, 0.5], means(), zero), ErrorKind::Config { field: "covariances", .. });
    let indefinite = Covariances::Tied(array![[1.0, 2.0], [2.0, 1.0]]);
    refused!(GaussianMixture::new(array![0.5, 0.5], means(), indefinite), ErrorKind::NotPositiveDefinite { index: 1, .. });
    let skew = Covariances::Tied(array![[1.0, 0.2], [0.3, 1.0]]);
    refused!(GaussianMixture::new(array![0.5, 0.5], means(), skew), ErrorKind::Config { field: "covariances", .. });
    let small = Covariances::Tied(array![[1.0]]);
    refused!(GaussianMixture::new(array![0.5, 0.5], means(), small), ErrorKind::Config { field: "covariances", .. });
}

#[test]
fn queries_that_do_not_fit() {
    let m = GaussianMixture::new(array![0.5, 0.5], array![[0.0, 0.0], [1.0, 1.0]], Covariances::Spherical(array![1.0, 1.0])).unwrap();
    refused!(m.log_evidence(&array![[1.0]]), ErrorKind::Shape { expected: 2, found: 1, .. });
    refused!(m.map_z(&array![[1.0, f64::NAN]]), ErrorKind::NotANumber { row: 0, column: 1, .. });
    refused!(m.responsibilities(&array![[1.0, 1e200]]), ErrorKind::TooLarge { row: 0, column: 1, .. });
    let mut rng = lvm_core::random::stream(0, lvm_core::random::Purpose::Sample, 0);
    refused!(m.sample_component(2, 1, &mut rng), ErrorKind::Config { field: "z", .. });
    refused!(m.log_joint(&array![[0.0, 0.0]], &array![0, 1]), ErrorKind::Shape { .. });
    refused!(m.marginal(&[]), ErrorKind::Config { .. });
    refused!(m.marginal(&[0, 0]), ErrorKind::Config { .. });
    refused!(m.conditional(&[0, 1], array![0.0, 0.0].view()), ErrorKind::Config { .. });
    refused!(m.conditional(&[2], array![0.0].view()), ErrorKind::Config { .. });
    refused!(m.conditional(&[0], array![f64::NAN].view()), ErrorKind::Config { .. });
    refused!(m.conditional(&[0], array![0.0, 1.0].view()), ErrorKind::Shape { .. });
    refused!(m.conditional(&[0], array![1e200].view()), ErrorKind::Config { .. });
}
