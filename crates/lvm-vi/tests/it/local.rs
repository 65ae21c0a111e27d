//! Local latents: every method against the exact posterior of probabilistic PCA, factor analysis and the Gaussian mixture.

use lvm_core::fit::{Status, Stopping};
use lvm_core::gmm::{Covariances, GaussianMixture};
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::model::{Evidence, Infer};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::Rows;
use lvm_vi::local::{self, CoordinateAscent, LocalGaussian, PerDatum, Quadrature, ScoreFunctionAscent, Shape};
use lvm_vi::local::{JointTarget, LearnedModel, RowTarget};
use lvm_vi::target::{LogDensity, LogDensityGrad};
use ndarray::{Array1, Array2, array};

/// A table from a fixed formula.
pub(crate) fn table(n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, j)| ((i * (j + 3)) as f64 * 0.37).sin() + 0.4 * ((i * i + j) as f64 * 0.11).cos() + j as f64)
}

/// A model of correlated latents, so that the mean field is far from the posterior.
pub(crate) fn model(d: usize, q: usize) -> LinearGaussian {
    let loadings = Array2::from_shape_fn((d, q), |(j, i)| ((j + 2 * i) as f64 * 0.9).cos() + 0.6);
    LinearGaussian::new(Array1::from_shape_fn(d, |j| j as f64), loadings, Array1::from_shape_fn(d, |j| 0.3 + 0.1 * j as f64)).unwrap()
}

fn holed(n: usize, d: usize) -> Array2<f64> {
    let mut x = table(n, d);
    for i in (0..n).step_by(2) {
        x[[i, i % d]] = f64::NAN;
        if i % 3 == 0 {
            x[[i, (i + 2) % d]] = f64::NAN;
        }
    }
    x
}

fn close(what: &str, a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>, tolerance: f64) {
    for (i, (a, b)) in a.into_iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{what}, entry {i}: {a} against {b}");
    }
}

/// Λ_n of a row, from its definition.
fn precision(model: &LinearGaussian, row: ndarray::ArrayView1<'_, f64>) -> Array2<f64> {
    let mut l = Array2::eye(model.latents());
    for (j, v) in row.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
        let w = model.loadings().row(j);
        let _ = v;
        l = l + Array2::from_shape_fn(l_dim(model), |(i, k)| w[i] * w[k] / model.noise()[j]);
    }
    l
}

fn l_dim(model: &LinearGaussian) -> (usize, usize) {
    (model.latents(), model.latents())
}

#[test]
fn the_mean_field_is_at_the_diagonal_of_the_precision_and_its_gap_is_the_divergence() {
    let model = model(7, 3);
    let holed = holed(23, 7);
    let complete = table(23, 7);
    for x in [Rows::new(&complete), Rows::new(&holed).missing_as_nan()] {
        let cells = if x.missing_as_nan_is_set() { &holed } else { &complete };
        let posterior = model.infer(&x).unwrap();
        let evidence = model.log_evidence(&x).unwrap();
        let q = local::mean_field(&model, &x).unwrap();
        // 20-term sums and one factorisation
        close("means", q.mean().iter().copied(), posterior.mean().iter().copied(), 1e-12);
        let kl = q.kl(&posterior).unwrap();
        for n in 0..23 {
            let l = precision(&model, cells.row(n));
            close("variances", q.covariance(n).diag().iter().copied(), l.diag().iter().map(|v| 1.0 / v), 1e-13);
            let log_det = lvm_core::linalg::log_det(lvm_core::linalg::cholesky(l.view()).unwrap().view());
            let expected = 0.5 * (l.diag().iter().map(|v| v.ln()).sum::<f64>() - log_det);
            close("KL", [kl[n]], [expected], 1e-11);
        }
        let elbo = local::elbo_rows(&model, &q, &x).unwrap();
        close("ELBO + KL", (&elbo + &kl).iter().copied(), evidence.iter().copied(), 1e-12);
        close("total", [local::elbo(&model, &q, &x).unwrap()], [elbo.sum()], 1e-13);
    }
}

trait MissingSet {
    fn missing_as_nan_is_set(&self) -> bool;
}

impl MissingSet for Rows<'_> {
    fn missing_as_nan_is_set(&self) -> bool {
        use lvm_core::rows::{Missing, RowSource};
        self.missing() == Missing::Integrate
    }
}

#[test]
fn coordinate_ascent_and_newton_end_at_the_closed_form() {
    let model = model(7, 3);
    let x = holed(40, 7);
    let x = Rows::new(&x).missing_as_nan();
    let exact = local::mean_field(&model, &x).unwrap();
    let cavi = CoordinateAscent { stopping: Stopping { max_iterations: 3000, tolerance: 0.0 } }.fit(&model, &x).unwrap();
    // the objective's rounding, 1e-16 of a few dozen nats, is the square root of the means' distance
    close("CAVI means", cavi.model.mean().iter().copied(), exact.mean().iter().copied(), 1e-9);
    assert!(cavi.trace.windows(2).all(|t| t[1] >= t[0] - 1e-12 * t[0].abs()));
    close("CAVI objective", [cavi.objective()], [local::elbo(&model, &cavi.model, &x).unwrap() / 40.0], 1e-12);
    let newton = PerDatum { shape: Shape::Diagonal, ..Default::default() }.fit(&model, &x).unwrap();
    assert_eq!(newton.status, Status::Converged);
    close("Newton means", newton.model.mean().iter().copied(), exact.mean().iter().copied(), 1e-12);
    close("Newton sds", newton.model.standard_deviations().iter().copied(), exact.standard_deviations().iter().copied(), 1e-12);
    close("Newton objective", [newton.objective()], [local::elbo(&model, &newton.model, &x).unwrap() / 40.0], 1e-12);
}

#[test]
fn full_covariance_is_the_posterior() {
    let model = model(6, 2);
    let x = holed(30, 6);
    let x = Rows::new(&x).missing_as_nan();
    let posterior = model.infer(&x).unwrap();
    let q = PerDatum::default().fit(&model, &x).unwrap().model;
    // a divergence is quadratic in the error of the means
    assert!(q.kl(&posterior).unwrap().iter().all(|kl| *kl < 1e-14));
    close("ELBO", local::elbo_rows(&model, &q, &x).unwrap(), model.log_evidence(&x).unwrap(), 1e-12);
    let copy = LocalGaussian::from(&local::full_covariance(&model, &x).unwrap());
    let z = posterior_draw(&copy);
    use lvm_core::model::LatentDist;
    close("log q", copy.log_prob(&z).unwrap(), posterior.log_prob(&z).unwrap(), 1e-12);
    assert!(copy.kl(&posterior).unwrap().iter().all(|kl| kl.abs() < 1e-14));
}

fn posterior_draw(q: &LocalGaussian) -> Array2<f64> {
    use lvm_core::model::LatentDist;
    q.sample(&mut stream(1, Purpose::Sample, 0))
}

#[test]
fn draws_agree_with_the_exact_bound() {
    let model = model(6, 2);
    let x = table(20, 6);
    let q = local::mean_field(&model, &x).unwrap();
    let exact = local::elbo_rows(&model, &q, &x).unwrap();
    let estimate = lvm_core::bound::elbo(&model, &q, &x, 4000, 3).unwrap();
    // 20 rows at z = 6: a right implementer fails with probability below 1e-7
    for (n, row) in estimate.rows.iter().enumerate() {
        assert!((row.mean - exact[n]).abs() < 6.0 * row.std_err, "row {n}: {} ± {} against {}", row.mean, row.std_err, exact[n]);
    }
    lvm_testkit::bound::elbo_is_below_the_evidence(&model, &q, &x, 4).unwrap();
    lvm_testkit::bound::importance_weighting_tightens(&model, &q, &x, 5).unwrap();
}

#[test]
fn the_sandwich_encloses_the_evidence() {
    let model = model(6, 2);
    let x = table(20, 6);
    let q = local::mean_field(&model, &x).unwrap();
    let evidence = model.log_evidence(&x).unwrap().sum();
    let above = lvm_core::bound::eubo(&model, &model.infer(&x).unwrap(), &q, &x, 2000, 3).unwrap().total;
    // one comparison at six standard errors: 1e-9
    assert!(above.mean - 6.0 * above.std_err > evidence && local::elbo(&model, &q, &x).unwrap() < evidence);
}

#[test]
fn quadrature_finds_the_gaussian_posterior() {
    for q in [0, 1, 2] {
        let model = model(5, q);
        let x = holed(9, 5);
        let x = Rows::new(&x).missing_as_nan();
        let truth = Quadrature::default().posterior(&model, &x).unwrap();
        let posterior = model.infer(&x).unwrap();
        // the tolerance asked for is 1e-11, and the error is far below it
        close("evidence", truth.log_evidence, model.log_evidence(&x).unwrap(), 1e-12);
        close("mean", truth.mean, posterior.mean().iter().copied(), 1e-11);
        for n in 0..9 {
            close("covariance", truth.covariance[n].iter().copied(), posterior.covariance(n).iter().copied(), 1e-11);
        }
    }
    assert!(Quadrature::default().posterior(&model(5, 3), &table(2, 5)).unwrap_err().to_string().contains("at most 2"));
}

#[test]
fn gradients_are_the_differences_of_values() {
    let model = model(5, 2);
    check_model(&model, &table(3, 5));
}

/// Derivatives of a learned model in z, in (m, S) and in θ against central differences: 1e-7 for steps of 1e-5 on functions of size 10.
pub(crate) fn check_model<M: LearnedModel>(model: &M, x: &Array2<f64>) {
    let q = model.latents();
    let row = x.row(0).to_vec();
    let z: Vec<f64> = (0..q).map(|i| 0.3 - 0.5 * i as f64).collect();
    let lower = Array2::from_shape_fn((q, q), |(i, k)| {
        if i == k {
            0.8
        } else if i > k {
            0.3
        } else {
            0.0
        }
    });
    let s = lower.dot(&lower.t());
    let h = 1e-5;
    let difference = |f: &dyn Fn(f64) -> f64| (f(h) - f(-h)) / (2.0 * h);
    let mut gradient = vec![0.0; q];
    model.log_joint_grad(&row, &z, &mut gradient);
    let mut derivatives = local::Derivatives::new(q);
    let value = model.expected_derivatives(&row, &z, s.view(), &mut derivatives);
    close("value", [value], [model.expected_log_joint(&row, &z, s.view())], 1e-13);
    for i in 0..q {
        let moved = |e: f64| z.iter().enumerate().map(|(k, v)| if k == i { v + e } else { *v }).collect::<Vec<_>>();
        let numeric = difference(&|e| model.log_joint_grad(&row, &moved(e), &mut vec![0.0; q]));
        close("∇ log p", [gradient[i]], [numeric], 1e-7);
        let numeric = difference(&|e| model.expected_log_joint(&row, &moved(e), s.view()));
        close("Bonnet", [derivatives.gradient[i]], [numeric], 1e-7);
        for k in 0..q {
            let numeric = difference(&|e| {
                let mut s = s.clone();
                s[[i, k]] += 0.5 * e;
                s[[k, i]] += 0.5 * e;
                model.expected_log_joint(&row, &z, s.view())
            });
            close("Price", [-0.5 * derivatives.precision[[i, k]]], [numeric], 1e-7);
        }
    }
    let theta = model.parameters();
    let mut gradient = vec![0.0; theta.len()];
    model.add_parameter_gradient(&row, &z, s.view(), 2.0, &mut gradient);
    for i in 0..theta.len() {
        let numeric = difference(&|e| {
            let mut theta = theta.clone();
            theta[i] += e;
            2.0 * model.with_parameters(&theta).unwrap().expected_log_joint(&row, &z, s.view())
        });
        close("∇_θ", [gradient[i]], [numeric], 1e-7);
    }
    assert!(model.with_parameters(&theta[1..]).is_err());
}

#[test]
fn local_latents_are_targets_of_the_general_methods() {
    let model = model(5, 2);
    let x = table(4, 5);
    let joint = JointTarget::new(&model, &x).unwrap();
    let z: Vec<f64> = (0..8).map(|i| (i as f64).sin()).collect();
    let mut gradient = vec![0.0; 8];
    let value = joint.log_density_grad(&z, &mut gradient).unwrap();
    use lvm_core::model::LatentModel;
    let rows = model.log_joint(&x, &Array2::from_shape_vec((4, 2), z.clone()).unwrap()).unwrap();
    close("joint", [value], [rows.sum()], 1e-13);
    for n in 0..4 {
        let target = RowTarget::new(&model, &x, n).unwrap();
        let mut g = [0.0; 2];
        close("row", [target.log_density_grad(&z[2 * n..2 * n + 2], &mut g).unwrap()], [rows[n]], 1e-13);
        assert_eq!(g[..], gradient[2 * n..2 * n + 2]);
        assert_eq!(target.dim(), 2);
    }
    assert!(RowTarget::new(&model, &x, 4).is_err());
}

/// The best Gaussian of a row found here is where the general estimators have no gradient on average: another program says so.
#[test]
fn the_general_estimators_are_at_rest_at_the_mean_field() {
    use lvm_vi::estimator::{Gradient, Memory};
    use lvm_vi::family::{MeanField, Variational};
    let model = model(6, 3);
    let x = table(4, 6);
    let q = local::mean_field(&model, &x).unwrap();
    for n in 0..4 {
        let target = RowTarget::new(&model, &x, n).unwrap();
        let best = MeanField::new(&q.mean().row(n).to_vec(), &q.standard_deviations().row(n).to_vec()).unwrap();
        let mut rng = stream(9, Purpose::Noise, n as u64);
        let mut estimates = vec![Vec::new(); best.parameters().len()];
        let mut gradient = vec![0.0; best.parameters().len()];
        for _ in 0..4000 {
            Gradient::PathwiseClosedEntropy.estimate(&best, &target, 1, &mut Memory::default(), &mut rng, &mut gradient).unwrap();
            estimates.iter_mut().zip(&gradient).for_each(|(e, g)| e.push(*g));
        }
        for (i, draws) in estimates.iter().enumerate() {
            let e = lvm_core::bound::Estimate::from_draws(draws);
            // 24 averages at six standard errors: a right program fails with probability below 1e-7
            assert!(e.mean.abs() < 6.0 * e.std_err, "row {n}, parameter {i}: {} ± {}", e.mean, e.std_err);
            // a mean off by a tenth of a posterior standard deviation would show
            assert!(e.std_err < 0.1);
        }
    }
}

fn mixture() -> GaussianMixture {
    let covariances = Covariances::Spherical(array![1.0, 0.5, 2.0]);
    GaussianMixture::new(array![0.5, 0.3, 0.2], array![[0.0, 1.0], [2.0, 0.0], [-1.0, -1.0]], covariances).unwrap()
}

#[test]
fn categorical_factors_are_the_responsibilities() {
    let x = table(60, 2);
    let exact = mixture().infer(&x).unwrap();
    let q = local::coordinate_ascent_step(&mixture(), &x).unwrap();
    close("log responsibilities", q.log_probabilities().iter().copied(), exact.log_probabilities().iter().copied(), 1e-12);
    close("ELBO", q.elbo_rows(&mixture(), &x).unwrap(), mixture().log_evidence(&x).unwrap(), 1e-12);
    assert!(q.kl(exact.log_probabilities()).unwrap().iter().all(|kl| kl.abs() < 1e-13));
}

#[test]
fn the_score_function_ends_at_the_responsibilities_too() {
    let x = table(60, 2);
    let exact = mixture().infer(&x).unwrap();
    let steps = Stopping { max_iterations: 3000, tolerance: 0.0 };
    let fitted = ScoreFunctionAscent { draws: 16, stopping: steps, ..Default::default() }.fit(&mixture(), &x, 1).unwrap();
    let kl = fitted.model.kl(exact.log_probabilities()).unwrap();
    // the noise vanishes at the optimum: what is left is the improbable components, seldom drawn
    assert!(kl.iter().all(|kl| *kl < 1e-3), "{kl}");
    let evidence = mixture().log_evidence(&x).unwrap().sum();
    assert!(fitted.trace.iter().all(|e| e * 60.0 <= evidence + 1e-9));
    let again = ScoreFunctionAscent { draws: 16, stopping: steps, ..Default::default() }.fit(&mixture(), &x, 1).unwrap();
    assert_eq!(again, fitted);
    assert!(ScoreFunctionAscent { draws: 1, ..Default::default() }.fit(&mixture(), &x, 1).is_err());
}

#[test]
fn answers_do_not_depend_on_threads() {
    let model = model(6, 3);
    let fit = |x: &dyn lvm_core::rows::RowSource| {
        let q = PerDatum { shape: Shape::Diagonal, ..Default::default() }.fit(&model, x)?;
        let cavi = CoordinateAscent::default().fit(&model, x)?;
        Ok(q.model.mean().iter().chain(cavi.model.mean()).copied().chain([q.objective(), cavi.objective()]).collect())
    };
    let x = table(3000, 6);
    lvm_testkit::invariance::threads_do_not_matter(&fit, &x).unwrap();
    lvm_testkit::invariance::f32_is_f64(&fit, &x, 0.0).unwrap();
    lvm_testkit::invariance::layout_does_not_matter(&fit, &x).unwrap();
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = model(4, 2);
    let x = table(5, 4);
    assert!(local::mean_field(&model, &table(5, 3)).is_err());
    assert!(PerDatum::default().fit_from(&model, &x, &LocalGaussian::standard(4, 2, Shape::Full).unwrap()).is_err());
    assert!(PerDatum::default().fit_from(&model, &x, &LocalGaussian::standard(5, 1, Shape::Full).unwrap()).is_err());
    let stopping = Stopping { max_iterations: 0, tolerance: 0.0 };
    assert!(PerDatum { stopping, ..Default::default() }.fit(&model, &x).unwrap_err().to_string().contains("max_iterations"));
    assert!(CoordinateAscent { stopping: Stopping { max_iterations: 1, tolerance: f64::NAN } }.fit(&model, &x).is_err());
    let mut bad = x.clone();
    bad[[3, 1]] = f64::NAN;
    assert!(PerDatum::default().fit(&model, &bad).unwrap_err().to_string().contains("row 3"));
}

/// Golden numbers of `ppca_iris_2` (40-digit arithmetic): the mean field loses nothing on the principal axes, and 0.6596 nats a row when the
/// two axes are turned by half a radian.
#[test]
fn turned_axes_cost_the_mean_field_what_the_reference_says() {
    let x = lvm_data::datasets::iris().unwrap().x;
    let ppca = lvm_core::ppca::PpcaMl { components: 2, ..Default::default() }.fit(&x, 0).unwrap().model;
    let (sin, cos) = 0.5_f64.sin_cos();
    let turn =
        |r: Array2<f64>| LinearGaussian::new(ppca.mean().clone(), ppca.loadings().dot(&r), ppca.linear_gaussian().noise().clone()).unwrap();
    let elbo = |model: &LinearGaussian| local::elbo(model, &local::mean_field(model, &x).unwrap(), &x).unwrap() / 150.0;
    // the file's tolerance for projections, 1e-9
    let on_axes = elbo(&turn(Array2::eye(2)));
    assert!((on_axes + 2.6997518677074037).abs() < 1e-9, "{on_axes}");
    let turned = elbo(&turn(array![[cos, -sin], [sin, cos]]));
    assert!((on_axes - turned - 0.6596031934302804).abs() < 1e-9, "{}", on_axes - turned);
}
