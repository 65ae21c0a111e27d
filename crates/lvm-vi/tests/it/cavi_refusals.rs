//! What a Bayesian mixture refuses, and what it answers on the brink.

use super::cavi_mixture::blobs;
use lvm_core::ErrorKind;
use lvm_core::gmm::CovarianceType;
use lvm_core::model::Evidence;
use lvm_core::rows::{RowSource, Rows};
use lvm_vi::cavi::mixture::{BayesianMixture, ComponentPrior, PriorSettings, Scale, StochasticBayesianMixture, WeightPrior};
use ndarray::{Array2, Axis, array};

#[test]
fn what_can_not_be_fitted_is_refused_by_name() {
    let x = blobs(20, 2);
    let base = BayesianMixture { components: 2, ..Default::default() };
    let error = |b: BayesianMixture, data: &dyn RowSource| b.fit(data, 0).unwrap_err();
    let config = |e: lvm_core::Error, field: &str| match e.kind() {
        ErrorKind::Config { field: found, .. } => assert_eq!(*found, field, "{e}"),
        _ => panic!("{e}"),
    };
    config(error(BayesianMixture { components: 0, ..base.clone() }, &x), "components");
    config(error(BayesianMixture { restarts: 0, ..base.clone() }, &x), "restarts");
    config(error(BayesianMixture { covariance: CovarianceType::Tied, ..base.clone() }, &x), "covariance");
    for concentration in [0.0, -1.0, f64::NAN] {
        config(error(BayesianMixture { weights: WeightPrior::Dirichlet { concentration }, ..base.clone() }, &x), "concentration");
    }
    let prior = |p: PriorSettings| BayesianMixture { prior: p, ..base.clone() };
    config(error(prior(PriorSettings { mean_precision: 0.0, ..Default::default() }), &x), "mean_precision");
    config(error(prior(PriorSettings { dof: Some(1.0), ..Default::default() }), &x), "df");
    config(
        error(prior(PriorSettings { scale_inverse: Some(Scale::Diagonal(array![1.0, 1.0])), ..Default::default() }), &x),
        "scale_inverse",
    );
    assert!(matches!(
        error(prior(PriorSettings { mean: Some(array![0.0]), ..Default::default() }), &x).kind(),
        ErrorKind::Shape { expected: 1, found: 2, .. }
    ));
    assert!(ComponentPrior::new(array![0.0], 1.0, 1.0, Scale::Full(array![[-1.0]])).is_err());
    let mut bad = x.clone();
    bad[[3, 1]] = f64::NAN;
    assert!(matches!(error(base.clone(), &bad).kind(), ErrorKind::NotANumber { row: 3, column: 1, .. }));
    config(error(base.clone(), &Rows::new(&bad).missing_as_nan()), "data");
    assert!(matches!(error(base.clone(), &Array2::<f64>::ones((9, 2))).kind(), ErrorKind::NoVariation));
    let mut constant = x.clone();
    constant.column_mut(1).fill(4.0);
    assert!(matches!(error(base.clone(), &constant).kind(), ErrorKind::ConstantColumns { columns } if columns == &[(1, None)]));
    assert!(matches!(error(base.clone(), &Array2::<f64>::zeros((0, 2))).kind(), ErrorKind::Empty));
    assert!(matches!(error(base.clone(), &x.select(Axis(0), &[0])).kind(), ErrorKind::NoVariation | ErrorKind::TooFewRows { .. }));
    for batch in [0, 21] {
        let svi = StochasticBayesianMixture { batch, ..StochasticBayesianMixture::new(base.clone()) };
        config(svi.fit(&x, 0).unwrap_err(), "batch");
    }
    // all rows equal with a prior of one's own and a start that needs no k-means: the exact answer exists
    let own = PriorSettings {
        mean: Some(array![0.0, 0.0]),
        dof: Some(2.0),
        scale_inverse: Some(Scale::Full(Array2::eye(2))),
        mean_precision: 1.0,
    };
    let equal = BayesianMixture { components: 1, prior: own, ..Default::default() }.fit(&Array2::<f64>::ones((9, 2)), 0).unwrap();
    assert!(equal.objective().is_finite());
    assert!(equal.model.log_evidence(&array![[1.0, 1.0]]).unwrap()[0].is_finite());
}
