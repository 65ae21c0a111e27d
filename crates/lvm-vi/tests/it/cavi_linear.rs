//! Gaussian targets, linear regression and Bayesian PCA by coordinate ascent.

use lvm_core::conjugate::NormalGamma;
use lvm_core::dist::{Gamma, Univariate};
use lvm_core::fit::Stopping;
use lvm_core::linalg;
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::RowSource;
use lvm_core::{ErrorKind, Result};
use lvm_testkit::{estimation, invariance};
use lvm_vi::cavi::bayesian_ppca::BayesianPpca;
use lvm_vi::cavi::gaussian_target::GaussianTarget;
use lvm_vi::cavi::linear_regression::{BayesianLinearRegression, Noise};
use ndarray::{Array1, Array2, Axis, array};
use rand_distr::{Distribution, StandardNormal};
use serde_json::Value;

fn vector(v: &Value) -> Array1<f64> {
    v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn matrix(v: &Value) -> Array2<f64> {
    let rows: Vec<Array1<f64>> = v.as_array().unwrap().iter().map(vector).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn close(what: &str, a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>, relative: f64) {
    let (a, b): (Vec<f64>, Vec<f64>) = (a.into_iter().collect(), b.into_iter().collect());
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        assert!((a - b).abs() <= relative * b.abs().max(1.0), "{what}, entry {i}: {a:e} against {b:e}");
    }
}

fn normals(rows: usize, cols: usize, index: u64) -> Array2<f64> {
    let mut rng = stream(17, Purpose::Sample, index);
    Array2::from_shape_simple_fn((rows, cols), || StandardNormal.sample(&mut rng))
}

#[test]
fn gaussian_targets_follow_the_reference_trajectories() {
    for id in ["gaussian_target_ar1", "gaussian_target_iris"] {
        let path = format!("{}/tests/reference/{id}.json", env!("CARGO_MANIFEST_DIR"));
        let case: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let tolerance = case["tolerance"]["deterministic_relative"].as_f64().unwrap();
        let target = GaussianTarget::new(vector(&case["target"]["mean"]), matrix(&case["target"]["precision"])).unwrap();
        let best = &case["meanfield_optimum"];
        let q = target.optimum();
        close("mean", q.mean.iter().copied(), vector(&best["mean"]), tolerance);
        close("variances", q.variances.iter().copied(), vector(&best["variances"]), tolerance);
        close("ELBO", [q.elbo], [best["elbo"].as_f64().unwrap()], tolerance);
        let expected = case["cavi"]["iterations_first_20"].as_array().unwrap();
        let run = target.ascend(Array1::zeros(target.dim()), 2000).unwrap();
        for (q, e) in run.iter().zip(expected) {
            close("mean", q.mean.iter().copied(), vector(&e["mean"]), tolerance);
            close("ELBO", [q.elbo], [e["elbo"].as_f64().unwrap()], tolerance);
        }
        let last = run.last().unwrap();
        close("fixed point", last.mean.iter().copied(), q.mean.iter().copied(), 1e-10);
        assert!(run.windows(2).all(|w| w[1].elbo >= w[0].elbo - 1e-13 * (1.0 + w[0].elbo.abs())));
        // C6: 1 %; the spectral radius itself is known to 1e-8
        let rate = case["cavi"]["asymptotic_rate_spectral_radius"].as_f64().unwrap();
        close("rate", [target.rate()], [rate], 1e-6);
        let error = |t: usize| (&run[t].mean - &q.mean).mapv(|v| v * v).sum().sqrt();
        let (from, to) = if rate < 0.8 { (15, 35) } else { (200, 400) };
        let observed = (error(to) / error(from)).powf(1.0 / (to - from) as f64);
        assert!((observed / rate - 1.0).abs() < 0.01, "{observed} against {rate}");
    }
}

#[test]
fn gaussian_target_refusals() {
    assert!(GaussianTarget::new(array![0.0], array![[-1.0]]).is_err());
    assert!(GaussianTarget::new(array![0.0, 1.0], array![[1.0, 0.5], [0.2, 1.0]]).is_err());
    assert!(GaussianTarget::new(array![0.0], Array2::eye(2)).is_err());
    assert!(GaussianTarget::new(array![f64::NAN], Array2::eye(1)).is_err());
    let target = GaussianTarget::new(array![0.0], Array2::eye(1)).unwrap();
    assert!(target.ascend(array![0.0, 0.0], 1).is_err() && target.ascend(array![f64::NAN], 1).is_err());
    assert_eq!(target.rate(), 0.0);
}

/// X (N, 3) with an intercept, y, and a prior.
fn regression(noise: Noise) -> (Array2<f64>, Array1<f64>, BayesianLinearRegression) {
    let mut x = normals(40, 3, 1);
    x.column_mut(0).fill(1.0);
    let y = x.dot(&array![1.0, -2.0, 0.5]) + normals(40, 1, 2).column(0);
    let precision = array![[0.5, 0.1, 0.0], [0.1, 1.5, 0.2], [0.0, 0.2, 0.8]];
    (x, y, BayesianLinearRegression { mean: array![0.3, 0.0, -0.2], precision, noise })
}

#[test]
fn exact_regression_is_gaussian_algebra() {
    // y ~ N(X m₀, σ² I + X Λ₀⁻¹ Xᵀ)
    let sd = 0.7;
    let (x, y, model) = regression(Noise::Known { sd });
    let posterior = model.exact(&x, y.view()).unwrap();
    let prior = linalg::cholesky_inverse(linalg::cholesky(model.precision.view()).unwrap().view());
    let marginal = x.dot(&prior).dot(&x.t()) + Array2::<f64>::eye(40) * (sd * sd);
    let l = linalg::cholesky(marginal.view()).unwrap();
    let mut r = (&y - &x.dot(&model.mean)).insert_axis(Axis(1));
    linalg::solve_lower(l.view(), r.view_mut());
    let exact = -0.5 * (40.0 * (2.0 * std::f64::consts::PI).ln() + linalg::log_det(l.view()) + r.mapv(|v| v * v).sum());
    close("evidence", [posterior.log_evidence], [exact], 1e-12);
    // m_N = m₀ + Λ₀⁻¹ Xᵀ C⁻¹ (y − X m₀)
    linalg::solve_lower_transposed(l.view(), r.view_mut());
    let mean = &model.mean + &prior.dot(&x.t().dot(&r.column(0)));
    close("mean", posterior.mean.iter().copied(), mean, 1e-11);
    let q = model.mean_field(&x, y.view(), 1).unwrap().pop().unwrap();
    close("known noise: the bound is the evidence", [q.elbo], [exact], 1e-12);
    close("covariance", q.covariance.iter().copied(), posterior.covariance().unwrap(), 1e-12);
}

#[test]
fn an_intercept_alone_is_the_normal_gamma_pair() {
    let y = array![0.3, -1.1, 0.8, 2.0, 0.1, 1.4, -0.6];
    let gamma = Gamma::new(1.5, 0.8).unwrap();
    let pair = NormalGamma::new(0.2, 0.6, gamma).unwrap();
    let model = BayesianLinearRegression { mean: array![0.2], precision: array![[0.6]], noise: Noise::Conjugate { precision: gamma } };
    let x = Array2::<f64>::ones((7, 1));
    let exact = model.exact(&x, y.view()).unwrap();
    let posterior = pair.posterior(y.view()).unwrap();
    close("evidence", [exact.log_evidence], [pair.log_evidence(y.view()).unwrap()], 1e-12);
    close("m, λ", [exact.mean[0], exact.precision[[0, 0]]], [posterior.mean(), posterior.lambda()], 1e-13);
    let noise = exact.noise.unwrap();
    close("a, b", [noise.shape(), noise.rate()], [posterior.precision().shape(), posterior.precision().rate()], 1e-13);
    // C6: the whole trajectory of coordinate ascent, and its fixed point in closed form
    let run = model.mean_field(&x, y.view(), 60).unwrap();
    for (q, e) in run.iter().zip(pair.mean_field(y.view(), 1.5 / 0.8, 60).unwrap()) {
        let noise = q.noise.unwrap();
        close(
            "trajectory",
            [q.mean[0], q.covariance[[0, 0]].sqrt(), noise.shape(), noise.rate(), q.elbo],
            [e.mean.mean(), e.mean.variance().sqrt(), e.precision.shape(), e.precision.rate(), e.elbo],
            1e-11,
        );
    }
    let best = pair.mean_field_optimum(y.view()).unwrap();
    close("fixed point", [run[59].elbo, run[59].noise.unwrap().rate()], [best.elbo, best.precision.rate()], 1e-11);
}

#[test]
fn mean_field_regression_climbs_below_the_evidence() {
    let gamma = Gamma::new(2.0, 1.0).unwrap();
    let (x, y, model) = regression(Noise::Conjugate { precision: gamma });
    let exact = model.exact(&x, y.view()).unwrap();
    let run = model.mean_field(&x, y.view(), 60).unwrap();
    for pair in run.windows(2) {
        assert!(pair[1].elbo >= pair[0].elbo - 1e-12 * pair[0].elbo.abs());
        assert!(pair[1].elbo < exact.log_evidence);
    }
    let q = run.last().unwrap();
    close("mean", q.mean.iter().copied(), exact.mean.iter().copied(), 1e-12);
    // the gap in closed form: q(τ) = Gamma(a + D/2, b (a + D/2)/a), q(w) = N(m, (a/b Λ)⁻¹)
    let noise = exact.noise.unwrap();
    let (a, b) = (noise.shape(), noise.rate());
    let fixed = Gamma::new(a + 1.5, b * (a + 1.5) / a).unwrap();
    close("q(τ)", [q.noise.unwrap().shape(), q.noise.unwrap().rate()], [fixed.shape(), fixed.rate()], 1e-10);
    let conditional = 1.5 * (fixed.mean() / (a / b) - 1.0 - fixed.mean_log() + (a / b).ln());
    close("gap", [exact.log_evidence - q.elbo], [fixed.kl(&noise) + conditional], 1e-9);
    // Independent prior: monotone, and below an importance-free bound: log evidence by quadrature over log τ
    let (x, y, model) = regression(Noise::Independent { precision: gamma });
    assert!(matches!(model.exact(&x, y.view()).unwrap_err().kind(), ErrorKind::Config { field: "noise", .. }));
    let run = model.mean_field(&x, y.view(), 80).unwrap();
    assert!(run.windows(2).all(|w| w[1].elbo >= w[0].elbo - 1e-12 * w[0].elbo.abs()));
    let at = |u: f64| {
        let known = BayesianLinearRegression { noise: Noise::Known { sd: (-0.5 * u).exp() }, ..model.clone() };
        known.exact(&x, y.view()).unwrap().log_evidence + gamma.log_prob(u.exp()) + u
    };
    // trapezoid rule for a smooth integrand that falls off on both sides: exact to rounding
    let logs: Vec<f64> = (0..=400).map(|i| at(-4.0 + 0.02 * f64::from(i))).collect();
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let evidence = top + (logs.iter().map(|l| (l - top).exp()).sum::<f64>() * 0.02).ln();
    let gap = evidence - run.last().unwrap().elbo;
    assert!(gap > 0.0 && gap < 0.1, "{gap}");
}

#[test]
fn regression_laws_and_refusals() {
    let gamma = Gamma::new(2.0, 1.0).unwrap();
    let (x, y, model) = regression(Noise::Conjugate { precision: gamma });
    let weights = Array1::from_shape_fn(40, |n| [3.0, 0.0, 1.0, 2.0][n % 4]);
    let repeated: Vec<usize> = (0..40).flat_map(|n| std::iter::repeat_n(n, weights[n] as usize)).collect();
    let rows = lvm_core::rows::Rows::new(&x).weighted(weights.view()).unwrap();
    let a = model.exact(&rows, y.view()).unwrap();
    let b = model.exact(&x.select(Axis(0), &repeated), y.select(Axis(0), &repeated).view()).unwrap();
    close("weights", [a.log_evidence, a.mean[0], a.mean[1]], [b.log_evidence, b.mean[0], b.mean[1]], 1e-12);
    let long_x = Array2::from_shape_fn((9000, 3), |(i, j)| x[[i % 40, j]] + 1e-3 * i as f64);
    let long_y = Array1::from_shape_fn(9000, |i| y[i % 40]);
    let fit = |data: &dyn RowSource| -> Result<Vec<f64>> {
        let p = model.exact(data, long_y.view())?;
        Ok(p.mean.iter().copied().chain([p.log_evidence]).collect())
    };
    invariance::threads_do_not_matter(&fit, &long_x).unwrap();
    assert!(model.exact(&x, y.slice_axis(Axis(0), (0..39).into())).is_err());
    assert!(model.exact(&x.select(Axis(1), &[0, 1]), y.view()).is_err());
    let mut bad = y.clone();
    bad[3] = f64::NAN;
    assert!(matches!(model.exact(&x, bad.view()).unwrap_err().kind(), ErrorKind::Config { field: "y", .. }));
    let known = |sd: f64| BayesianLinearRegression { noise: Noise::Known { sd }, ..model.clone() };
    assert!(known(0.0).exact(&x, y.view()).is_err() && known(f64::INFINITY).exact(&x, y.view()).is_err());
    let flat = BayesianLinearRegression { precision: Array2::zeros((3, 3)), ..model.clone() };
    assert!(matches!(flat.exact(&x, y.view()).unwrap_err().kind(), ErrorKind::NotPositiveDefinite { .. }));
}

/// N rows in 6 dimensions: two directions of variance 9 and 4 and noise of variance 0.25.
fn planes(n: usize) -> Array2<f64> {
    let mut w = Array2::zeros((2, 6));
    w.row_mut(0).assign(&array![1.5, 1.5, 1.5, 1.5, 0.0, 0.0]);
    w.row_mut(1).assign(&array![0.0, 0.0, 0.0, 0.0, 1.4, -1.4]);
    normals(n, 2, 3).dot(&w) + normals(n, 6, 4) * 0.5 + 3.0
}

#[test]
fn bayesian_pca_switches_off_what_is_noise() {
    let x = planes(400);
    let fitted = BayesianPpca::default().fit(&x, 0).unwrap();
    estimation::trace_is_monotone(&fitted, 6).unwrap();
    assert_eq!(fitted.model.effective_dimension(), 2);
    // the rest as short as its prior allows
    let lengths: Vec<f64> = fitted.model.loadings().columns().into_iter().map(|w| w.dot(&w)).collect();
    assert!(lengths[0] > 1.0 && lengths[1] > 1.0 && lengths[2..].iter().all(|l| *l < 1e-4), "{lengths:?}");
    // noise variance 0.25 of 400 · 4 squares: standard error 0.25 √(2/1600) = 0.009; five of them
    let point = fitted.model.point_estimate().unwrap();
    assert!((point.noise_variance() - 0.25).abs() < 0.045, "{}", point.noise_variance());
    // more directions than there are do not change the answer
    let two = BayesianPpca { components: Some(2), ..Default::default() }.fit(&x, 0).unwrap();
    assert!((two.model.noise_precision().mean() / fitted.model.noise_precision().mean() - 1.0).abs() < 0.01);
}

#[test]
fn the_bound_of_bayesian_pca_is_its_definition() {
    // E_q[log p − log q] by 20 000 draws of all parameters and latents of a small table
    let x = planes(12);
    let algorithm = BayesianPpca { components: Some(2), stopping: Stopping { max_iterations: 25, tolerance: 0.0 }, ..Default::default() };
    let fitted = algorithm.fit(&x, 0).unwrap();
    let m = &fitted.model;
    let elbo = fitted.objective() * 12.0;
    let v = lvm_core::moments::moments(&x).unwrap().covariance.diag().sum() / 6.0;
    let centre = x.mean_axis(Axis(0)).unwrap();
    let mut rng = stream(4, Purpose::Diagnosis, 0);
    let prior = Gamma::new(algorithm.shape, algorithm.rate * v).unwrap();
    let log_normal = |x: f64, variance: f64| -0.5 * ((2.0 * std::f64::consts::PI * variance).ln() + x * x / variance);
    // q(z_n) as the update has it
    let tau = m.noise_precision().mean();
    let gram = m.loadings().t().dot(m.loadings()) + m.loading_covariance() * 6.0;
    let l_z = linalg::cholesky((Array2::<f64>::eye(2) + gram * tau).view()).unwrap();
    let covariance = linalg::cholesky_inverse(l_z.view());
    let means = (&x - m.mean()).dot(m.loadings()).dot(&covariance) * tau;
    let factor_z = linalg::cholesky(covariance.view()).unwrap();
    let factor_w = linalg::cholesky(m.loading_covariance().view()).unwrap();
    let mean_sd = m.mean_sd();
    let mut draws = Vec::new();
    for _ in 0..20_000 {
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let e = |a: f64| log_normal(a, 1.0);
        let mut log_ratio = 0.0;
        let mut w = m.loadings().clone();
        for mut row in w.outer_iter_mut() {
            let (a, b) = (normal(), normal());
            row[0] += factor_w[[0, 0]] * a;
            row[1] += factor_w[[1, 0]] * a + factor_w[[1, 1]] * b;
            log_ratio -= e(a) + e(b) - factor_w[[0, 0]].ln() - factor_w[[1, 1]].ln();
        }
        let mut mu = m.mean().clone();
        for (j, value) in mu.iter_mut().enumerate() {
            let a = normal();
            *value += mean_sd * a;
            log_ratio += log_normal(*value - centre[j], algorithm.mean_spread * v) - e(a) + mean_sd.ln();
        }
        let mut z = means.clone();
        for mut row in z.outer_iter_mut() {
            let (a, b) = (normal(), normal());
            row[0] += factor_z[[0, 0]] * a;
            row[1] += factor_z[[1, 0]] * a + factor_z[[1, 1]] * b;
            log_ratio += e(row[0]) + e(row[1]) - e(a) - e(b) + factor_z[[0, 0]].ln() + factor_z[[1, 1]].ln();
        }
        let t = m.noise_precision().sample(&mut rng);
        log_ratio += prior.log_prob(t) - m.noise_precision().log_prob(t);
        for (i, q) in m.relevance().iter().enumerate() {
            let a = q.sample(&mut rng);
            log_ratio += prior.log_prob(a) - q.log_prob(a) + w.column(i).iter().map(|w| log_normal(*w, 1.0 / a)).sum::<f64>();
        }
        let errors = &x - &mu - z.dot(&w.t());
        log_ratio += errors.iter().map(|r| log_normal(*r, 1.0 / t)).sum::<f64>();
        draws.push(log_ratio);
    }
    let estimate = lvm_core::bound::Estimate::from_draws(&draws);
    // five standard errors: fails by chance with probability 6e-7
    assert!((estimate.mean - elbo).abs() < 5.0 * estimate.std_err, "{elbo} against {} ± {}", estimate.mean, estimate.std_err);
    assert!(estimate.std_err < 0.1);
}

#[test]
fn bayesian_pca_laws_and_refusals() {
    let x = planes(300);
    let algorithm = BayesianPpca { stopping: Stopping { max_iterations: 10, tolerance: 0.0 }, ..Default::default() };
    let fit = |data: &dyn RowSource| -> Result<Vec<f64>> {
        let f = algorithm.fit(data, 0)?;
        Ok(f.trace.iter().chain(f.model.loadings()).copied().collect())
    };
    invariance::threads_do_not_matter(&fit, &x).unwrap();
    invariance::layout_does_not_matter(&fit, &x).unwrap();
    invariance::f32_is_f64(&fit, &x, 0.0).unwrap();
    // the trace; loadings have signs and noise directions that rounding may turn
    let trace = |data: &dyn RowSource| -> Result<Vec<f64>> { Ok(algorithm.fit(data, 0)?.trace) };
    invariance::weights_are_repetition(&trace, &x, 1e-10).unwrap();
    // units: the whole problem scales, the bound moves by D log c a row
    let scaled = algorithm.fit(&(&x * 1000.0), 0).unwrap();
    let plain = algorithm.fit(&x, 0).unwrap();
    // α and τ change units too, q + 1 densities of log c² each, whose priors cancel against q
    close("units", [plain.objective() - scaled.objective()], [6.0 * 1000f64.ln()], 1e-9);
    let refuse = |b: BayesianPpca, data: &dyn RowSource| b.fit(data, 0).unwrap_err();
    for components in [0, 6] {
        let b = BayesianPpca { components: Some(components), ..Default::default() };
        assert!(matches!(refuse(b, &x).kind(), ErrorKind::Config { field: "components", .. }));
    }
    assert!(matches!(refuse(BayesianPpca { shape: 0.0, ..Default::default() }, &x).kind(), ErrorKind::Config { field: "shape", .. }));
    assert!(matches!(refuse(BayesianPpca::default(), &Array2::<f64>::ones((9, 3))).kind(), ErrorKind::NoVariation));
    assert!(matches!(refuse(BayesianPpca::default(), &Array2::<f64>::ones((1, 3))).kind(), ErrorKind::TooFewRows { .. }));
    let mut bad = x.clone();
    bad[[2, 1]] = f64::NAN;
    assert!(matches!(refuse(BayesianPpca::default(), &bad).kind(), ErrorKind::NotANumber { row: 2, column: 1, .. }));
    assert!(refuse(BayesianPpca::default(), &lvm_core::rows::Rows::new(&bad).missing_as_nan()).to_string().contains("row 2"));
}
