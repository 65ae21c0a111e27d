//! Limits in which one model is another. Others stand with their models: K = 1 and the Gaussian (gmm_fit), EM and the closed form of
//! PPCA (ppca/em), σ² → 0 and PCA (ppca, ppca/choice), factor analysis of an equicorrelated table (fa).

use lvm_core::fa::{FaMl, FactorAnalysis};
use lvm_core::fit::Stopping;
use lvm_core::gmm::{CovarianceType, GmmEm};
use lvm_core::model::{Evidence, Infer, LatentDist, MapLatent};
use lvm_core::ppca::{Ppca, PpcaEm, PpcaMl};
use lvm_core::rows::{RowSource, Rows};
use ndarray::{Array1, Array2};

/// Rows about a plane in four columns, from sines of incommensurable frequencies.
fn table() -> Array2<f64> {
    Array2::from_shape_fn((90, 4), |(i, j)| {
        let (a, b) = ((i as f64 * 1.7).sin(), (i as f64 * 0.6).cos());
        3.0 + (1.0 + j as f64) * a - (2.0 - j as f64) * b + 0.4 * ((i * (7 * j + 5)) as f64).sin()
    })
}

fn holed() -> Array2<f64> {
    let mut x = table();
    for i in (0..90).step_by(4) {
        x[[i, i % 3]] = f64::NAN;
        x[[i, (i + 1) % 3]] = f64::NAN;
    }
    x
}

fn close(a: f64, b: f64, relative: f64) {
    assert!((a - b).abs() <= relative * (1.0 + b.abs()), "{a} against {b}: {:e}", a - b);
}

#[test]
fn factor_analysis_with_equal_noise_is_ppca_in_all_its_answers() {
    let x = table();
    let rows = holed();
    let w = Array2::from_shape_fn((4, 2), |(i, j)| ((i * 2 + j) as f64).cos());
    let mean = Array1::from_elem(4, 3.0);
    let ppca = Ppca::new(mean.clone(), w.clone(), 0.3).unwrap();
    let fa = FactorAnalysis::new(mean, w, Array1::from_elem(4, 0.3)).unwrap();
    for data in [Rows::new(&x), Rows::new(&rows).missing_as_nan()] {
        // the same formula in two arrangements: a few roundings of numbers of size 10
        let near = |a: f64, b: f64| close(a, b, 1e-13);
        ppca.log_evidence(&data).unwrap().iter().zip(&fa.log_evidence(&data).unwrap()).for_each(|(a, b)| near(*a, *b));
        ppca.map_z(&data).unwrap().iter().zip(&fa.map_z(&data).unwrap()).for_each(|(a, b)| near(*a, *b));
        let (p, q) = (ppca.infer(&data).unwrap(), fa.infer(&data).unwrap());
        assert_eq!(p.mode().dim(), (90, 2));
        for n in [0, 1, 89] {
            p.covariance(n).iter().zip(q.covariance(n)).for_each(|(a, b)| near(*a, *b));
        }
    }
}

/// The mean log-likelihood that EM of a one-component mixture ends at.
fn single(covariance: CovarianceType, data: &dyn RowSource) -> f64 {
    let stopping = Stopping { max_iterations: 5000, tolerance: 1e-14 };
    GmmEm { components: 1, covariance, restarts: 1, stopping, ..Default::default() }.fit(data, 0).unwrap().objective()
}

#[test]
fn one_full_component_is_ppca_with_all_axes_but_one_also_with_missing_entries() {
    let (x, rows) = (table(), holed());
    let exact = PpcaMl { components: 3, ..Default::default() }.fit(&x, 0).unwrap();
    // sums of 90 rows in another order
    close(single(CovarianceType::Full, &x), exact.objective(), 1e-12);
    let data = Rows::new(&rows).missing_as_nan();
    let stopping = Stopping { max_iterations: 20_000, tolerance: 1e-13 };
    let ppca = PpcaEm { components: 3, stopping, ..Default::default() }.fit(&data, 0).unwrap();
    // both are unrestricted Gaussians; EM stopped at gains of 1e-13 with a rate below 0.999, so 1e-10 is left
    close(single(CovarianceType::Full, &data), ppca.objective(), 1e-9);
}

#[test]
fn without_latents_ppca_is_a_spherical_and_factor_analysis_a_diagonal_component() {
    let (x, rows) = (table(), holed());
    for data in [Rows::new(&x), Rows::new(&rows).missing_as_nan()] {
        let stopping = Stopping { max_iterations: 5000, tolerance: 1e-14 };
        let ppca = PpcaEm { components: 0, stopping, ..Default::default() }.fit(&data, 0).unwrap();
        // missing entries make the mixture's EM iterate: gains of 1e-14 at a rate of the share missing, below 0.5
        close(single(CovarianceType::Spherical, &data), ppca.objective(), 1e-12);
        let fa = FaMl { factors: 0, ..Default::default() }.fit(&data, 0).unwrap();
        close(single(CovarianceType::Diagonal, &data), fa.objective(), 1e-12);
    }
}

#[test]
fn ppca_em_with_all_axes_but_one_is_the_gaussian_s_likelihood_whatever_the_covariance_type_of_one_component() {
    // full and tied are the same for K = 1; each restriction costs likelihood
    let x = table();
    let by_type = CovarianceType::ALL.map(|c| single(c, &x));
    close(by_type[0], by_type[1], 1e-13);
    assert!(by_type[1] > by_type[2] && by_type[2] > by_type[3]);
}
