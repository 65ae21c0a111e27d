//! Variational EM for probabilistic PCA and factor analysis against the maximum of the likelihood.

use crate::local::table;
use lvm_core::Result;
use lvm_core::fa::FaMl;
use lvm_core::fit::Stopping;
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::model::LatentModel;
use lvm_core::ppca::{PpcaEm, PpcaMl};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, Rows};
use lvm_testkit::invariance;
use lvm_vi::local::{self, Noise, Shape, Start, VariationalEm};
use ndarray::Array2;

fn data() -> Array2<f64> {
    table(200, 6)
}

fn vem(noise: Noise, shape: Shape, iterations: usize) -> VariationalEm {
    VariationalEm { latents: 2, noise, shape, stopping: Stopping { max_iterations: iterations, tolerance: 1e-13 }, ..Default::default() }
}

/// W Wᵀ + Ψ and μ: what the data determines.
fn distance(a: &LinearGaussian, b: &LinearGaussian) -> f64 {
    let c = a.covariance() - b.covariance();
    c.iter().chain(&(a.mean() - b.mean())).fold(0.0, |m, v| m.max(v.abs()))
}

#[test]
fn full_covariance_reaches_the_eigen_decomposition() {
    let fitted = vem(Noise::Equal, Shape::Full, 20_000).fit(&data(), 1).unwrap();
    let ml = PpcaMl { components: 2, ..Default::default() }.fit(&data(), 0).unwrap();
    // an iteration gains less than 1e-13 nats, at the rate of EM
    assert!((fitted.objective() - ml.objective()).abs() < 1e-10);
    assert!(distance(&fitted.model, ml.model.linear_gaussian()) < 1e-4);
    assert!((fitted.objective() * 200.0 - fitted.model.log_likelihood(&data()).unwrap()).abs() < 1e-9);
    assert!(fitted.trace.windows(2).all(|t| t[1] >= t[0] - 1e-13));
}

#[test]
fn factor_analysis_reaches_its_maximum_of_the_likelihood() {
    let truth = crate::local::model(6, 2);
    let mut rng = stream(31, Purpose::Sample, 0);
    let x = truth.sample_x(&truth.sample_z(400, &mut rng), &mut rng).unwrap();
    let fitted = vem(Noise::PerColumn, Shape::Full, 20_000).fit(&x, 1).unwrap();
    let ml = FaMl { factors: 2, ..Default::default() }.fit(&x, 0).unwrap();
    assert!(ml.repairs.is_empty());
    // EM, slowly: what an iteration gains times the number still to come
    assert!((fitted.objective() - ml.objective()).abs() < 1e-7, "{} {}", fitted.objective(), ml.objective());
}

#[test]
fn the_mean_field_turns_the_loadings_until_it_is_exact() {
    let fitted = vem(Noise::Equal, Shape::Diagonal, 50_000).fit(&data(), 1).unwrap();
    let ml = PpcaMl { components: 2, ..Default::default() }.fit(&data(), 0).unwrap();
    assert!(fitted.trace.windows(2).all(|t| t[1] >= t[0] - 1e-13));
    assert!(ml.objective() - fitted.objective() < 1e-7, "{} {}", fitted.objective(), ml.objective());
    // Wᵀ W is diagonal
    let w = fitted.model.loadings();
    let gram = w.t().dot(w);
    assert!(gram[[0, 1]].abs() / (gram[[0, 0]] * gram[[1, 1]]).sqrt() < 1e-2, "{gram}");
}

#[test]
fn with_missing_entries_full_covariance_is_em_and_the_mean_field_ends_below() {
    let mut x = data();
    for n in 0..200 {
        x[[n, n % 6]] = f64::NAN;
        x[[n, (n / 2 + 1) % 6]] = f64::NAN;
    }
    let x = Rows::new(&x).missing_as_nan();
    let em = PpcaEm { components: 2, stopping: Stopping { max_iterations: 20_000, tolerance: 1e-13 }, ..Default::default() };
    let best = em.fit(&x, 0).unwrap();
    let full = vem(Noise::Equal, Shape::Full, 20_000).fit(&x, 1).unwrap();
    assert!((full.objective() - best.objective()).abs() < 1e-8, "{} {}", full.objective(), best.objective());
    let diagonal = vem(Noise::Equal, Shape::Diagonal, 3000).fit(&x, 1).unwrap();
    let reached = diagonal.model.log_likelihood(&x).unwrap() / 200.0;
    assert!(diagonal.objective() < reached && reached < best.objective() + 1e-10);
    let q = local::mean_field(&diagonal.model, &x).unwrap();
    assert!((local::elbo(&diagonal.model, &q, &x).unwrap() / 200.0 - diagonal.objective()).abs() < 1e-12);
}

#[test]
fn laws_of_fits() {
    let x = data();
    for (noise, shape) in [(Noise::Equal, Shape::Full), (Noise::PerColumn, Shape::Diagonal)] {
        let fit = |x: &dyn RowSource| -> Result<Vec<f64>> {
            let fitted = vem(noise, shape, 10).fit(x, 1)?;
            let m = &fitted.model;
            Ok(m.loadings().iter().chain(m.noise()).chain(m.mean()).copied().chain([fitted.objective()]).collect())
        };
        invariance::threads_do_not_matter(&fit, &x).unwrap();
        invariance::runs_repeat(&fit, &x).unwrap();
        invariance::f32_is_f64(&fit, &x, 0.0).unwrap();
        invariance::layout_does_not_matter(&fit, &x).unwrap();
        // ten iterations on sums in another order
        invariance::weights_are_repetition(&fit, &x, 1e-10).unwrap();
    }
}

#[test]
fn a_fit_can_be_resumed() {
    let config = |n| VariationalEm { stopping: Stopping { max_iterations: n, tolerance: 0.0 }, ..vem(Noise::Equal, Shape::Diagonal, 1) };
    let first = config(4).fit(&data(), 1).unwrap();
    let rest = VariationalEm { start: Start::Parameters(first.model), ..config(3) }.fit(&data(), 1).unwrap();
    assert_eq!(rest.model, config(7).fit(&data(), 1).unwrap().model);
}

#[test]
fn what_does_not_fit_is_refused() {
    assert!(VariationalEm { latents: 7, ..Default::default() }.fit(&data(), 0).unwrap_err().to_string().contains("latents"));
    let mut x = data();
    x.column_mut(2).fill(1.5);
    assert!(vem(Noise::PerColumn, Shape::Full, 5).fit(&x, 0).unwrap_err().to_string().contains("column 2"));
    assert!(vem(Noise::Equal, Shape::Full, 5).fit(&Array2::<f64>::ones((5, 3)), 0).is_err());
    let start = LinearGaussian::new(ndarray::Array1::zeros(6), Array2::ones((6, 1)), ndarray::Array1::ones(6)).unwrap();
    assert!(VariationalEm { start: Start::Parameters(start), ..Default::default() }.fit(&data(), 0).is_err());
}
