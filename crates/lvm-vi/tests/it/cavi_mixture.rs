//! The Bayesian Gaussian mixture: against reference trajectories, exact evidence, naive sums and the laws.

use lvm_core::Result;
use lvm_core::conjugate::NormalGamma;
use lvm_core::dist::Gamma;
use lvm_core::fit::{Algorithm, Fitted, Stopping};
use lvm_core::gmm::{CovarianceType, SecondMoments};
use lvm_core::model::{Evidence, LatentModel};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::RowSource;
use lvm_testkit::{density, estimation, invariance};
use lvm_vi::cavi::minibatch::Steps;
use lvm_vi::cavi::mixture::{
    BayesianMixture, BayesianMixtureModel, GaussianWishart, MixtureStart, PriorSettings, Scale, StochasticBayesianMixture, WeightFactor,
    WeightPrior,
};
use ndarray::{Array1, Array2, Array3, Axis, array};
use serde_json::Value;

fn vector(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn matrix(v: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = v.as_array().unwrap().iter().map(vector).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

/// `|a − b| ≤ relative · max(1, |b|)` for all pairs.
fn close(what: &str, a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>, relative: f64) {
    let (a, b): (Vec<f64>, Vec<f64>) = (a.into_iter().collect(), b.into_iter().collect());
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        assert!((a - b).abs() <= relative * b.abs().max(1.0), "{what}, entry {i}: {a:e} against {b:e}");
    }
}

struct Case {
    json: Value,
    x: Array2<f64>,
}

impl Case {
    fn load(id: &str) -> Case {
        let path = format!("{}/tests/reference/{id}.json", env!("CARGO_MANIFEST_DIR"));
        let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        Case { x: matrix(&json["data"]["rows"]), json }
    }

    fn ascent(&self, max_iterations: usize) -> BayesianMixture {
        let prior = &self.json["model"]["prior"];
        BayesianMixture {
            components: self.json["model"]["components"].as_u64().unwrap() as usize,
            weights: WeightPrior::Dirichlet { concentration: prior["weight_concentration"].as_f64().unwrap() },
            prior: PriorSettings {
                mean: Some(Array1::from(vector(&prior["mean"]))),
                mean_precision: prior["mean_precision"].as_f64().unwrap(),
                dof: prior["dof"].as_f64(),
                scale_inverse: Some(Scale::Full(matrix(&prior["scale_inverse"]))),
            },
            start: MixtureStart::Responsibilities(matrix(&self.json["initial_responsibilities"])),
            stopping: Stopping { max_iterations, tolerance: 0.0 },
            ..Default::default()
        }
    }
}

/// N_k, α_k and the parameters of the components against a snapshot, to `tolerance`.
fn same_parameters(model: &BayesianMixtureModel, expected: &Value, tolerance: f64) {
    let q = model.components();
    close("β", q.mean_precision().iter().copied(), vector(&expected["mean_precision"]), tolerance);
    close("ν", q.dof().iter().copied(), vector(&expected["degrees_of_freedom"]), tolerance);
    close("m", q.means().iter().copied(), matrix(&expected["means"]), tolerance);
    let WeightFactor::Dirichlet(alpha) = model.weight_factor() else { panic!("not a Dirichlet") };
    close("α", alpha.iter().copied(), vector(&expected["weight_concentration"]), tolerance);
}

#[test]
fn twenty_bounds_snapshots_and_fixed_points_of_the_reference_cases() {
    for id in ["vbgmm_faithful_dirichlet", "vbgmm_k1_iris_is_exact"] {
        let case = Case::load(id);
        let ascent = case.ascent(20);
        let data: &dyn RowSource = &case.x;
        let mut state = ascent.init(data, 0).unwrap();
        let tolerance = case.json["tolerance"]["trajectory_relative"].as_f64().unwrap();
        for (t, expected) in vector(&case.json["elbo_first_20"]).into_iter().enumerate() {
            ascent.step(&mut state, data).unwrap();
            let elbo = state.elbo_before_responsibilities().unwrap().total();
            assert!((elbo - expected).abs() <= tolerance * expected.abs(), "{id}, iteration {}: {elbo} against {expected}", t + 1);
            if let Some(snapshot) = case.json["snapshots"].get((t + 1).to_string()) {
                // one evaluation, as the trajectory
                same_parameters(state.model().unwrap(), snapshot, 1e-9);
            }
        }
        let fitted = case.ascent(300).fit(data, 0).unwrap();
        let converged = &case.json["converged"];
        same_parameters(&fitted.model, converged, case.json["tolerance"]["parameters_relative"].as_f64().unwrap());
        let parts = fitted.model.elbo(data).unwrap();
        let expected = |name: &str| converged["elbo_parts"][name].as_f64().unwrap();
        let absolute = case.json["tolerance"]["converged_elbo_abs"].as_f64().unwrap();
        assert!((parts.total() - converged["elbo"].as_f64().unwrap()).abs() <= absolute);
        // each part alone is not at an optimum, so it is as near as the parameters: 1e-6 relative
        for (name, part) in [
            ("expected_log_likelihood", parts.expected_log_likelihood),
            ("expected_log_p_z", parts.expected_log_p_z),
            ("entropy_z", parts.entropy_z),
            ("kl_weights", parts.kl_weights),
            ("kl_components", parts.kl_components),
        ] {
            close(&format!("{id} {name}"), [part], [expected(name)], 1e-6);
        }
        close("E[π]", fitted.model.weights(), vector(&converged["expected_weights"]), 1e-6);
        let SecondMoments::Full(scale) = fitted.model.components().scale_inverse() else { panic!("not full") };
        for (k, s) in scale.outer_iter().enumerate() {
            close("W⁻¹", s.iter().copied(), matrix(&converged["scale_inverse"][k]), 1e-6);
        }
        let rows = matrix(&converged["responsibilities_first_rows"]);
        let gamma = fitted.model.responsibilities(data).unwrap();
        close("γ", gamma.select(Axis(0), &(0..rows.nrows()).collect::<Vec<_>>()), rows, 1e-6);
        // C2: monotone, and the objective is per row that of the model returned
        estimation::trace_is_monotone(&fitted, case.x.ncols()).unwrap();
        close("objective", [fitted.objective() * case.x.nrows() as f64], [parts.total()], 1e-12);
    }
}

#[test]
fn one_component_is_the_exact_evidence() {
    // log p(X) = D/2 log(β₀/β) − ND/2 log π + log Γ_D(ν/2) − log Γ_D(ν₀/2) + ν₀/2 log det W₀⁻¹ − ν/2 log det W⁻¹   (Murphy 2007, 266)
    let x = blobs(57, 3);
    let s0 = array![[2.0, 0.3, 0.1], [0.3, 1.5, -0.2], [0.1, -0.2, 1.1]];
    let (m0, beta0, nu0) = (array![0.5, -1.0, 2.0], 0.7, 4.5);
    let n = x.nrows() as f64;
    let mean = x.mean_axis(Axis(0)).unwrap();
    let r = &x - &mean;
    let away = (&mean - &m0).insert_axis(Axis(1));
    let s = &s0 + &r.t().dot(&r) + &(away.dot(&away.t()) * (beta0 * n / (beta0 + n)));
    let log_det = |a: &Array2<f64>| lvm_core::linalg::log_det(lvm_core::linalg::cholesky(a.view()).unwrap().view());
    let gamma = |nu: f64| lvm_core::special::multivariate_lgamma(3, 0.5 * nu);
    let exact = 1.5 * (beta0 / (beta0 + n)).ln() - 1.5 * n * std::f64::consts::PI.ln() + gamma(nu0 + n) - gamma(nu0)
        + 0.5 * nu0 * log_det(&s0)
        - 0.5 * (nu0 + n) * log_det(&s);
    let prior = PriorSettings { mean: Some(m0), mean_precision: beta0, dof: Some(nu0), scale_inverse: Some(Scale::Full(s0)) };
    for weights in [WeightPrior::Dirichlet { concentration: 0.3 }, WeightPrior::DirichletProcess { concentration: 2.0 }] {
        let fitted = BayesianMixture { prior: prior.clone(), weights, ..Default::default() }.fit(&x, 0).unwrap();
        // a handful of terms of the size of the evidence
        close("K = 1", [fitted.model.elbo(&x).unwrap().total()], [exact], 1e-13);
    }
}

#[test]
fn one_diagonal_component_is_a_normal_gamma_for_each_column() {
    let x = blobs(40, 2);
    let s0 = array![0.8, 1.7];
    let (m0, beta0, nu0) = (array![0.3, -0.4], 0.6, 1.4);
    let exact: f64 = (0..2)
        .map(|j| {
            let prior = NormalGamma::new(m0[j], beta0, Gamma::new(0.5 * nu0, 0.5 * s0[j]).unwrap()).unwrap();
            prior.log_evidence(x.column(j)).unwrap()
        })
        .sum();
    let prior = PriorSettings { mean: Some(m0), mean_precision: beta0, dof: Some(nu0), scale_inverse: Some(Scale::Diagonal(s0)) };
    let fitted = BayesianMixture { covariance: CovarianceType::Diagonal, prior, ..Default::default() }.fit(&x, 0).unwrap();
    close("K = 1", [fitted.model.elbo(&x).unwrap().total()], [exact], 1e-13);
    // and the predictive density of a row is the ratio of evidences
    let one_more = array![[0.7, -1.2]];
    let longer = ndarray::concatenate![Axis(0), x, one_more];
    let settings = |data: &Array2<f64>| {
        BayesianMixture {
            covariance: CovarianceType::Diagonal,
            prior: PriorSettings {
                mean: Some(fitted.model.prior().mean().clone()),
                mean_precision: beta0,
                dof: Some(nu0),
                scale_inverse: Some(fitted.model.prior().scale_inverse().clone()),
            },
            ..Default::default()
        }
        .fit(data, 0)
        .unwrap()
    };
    let ratio = settings(&longer).model.elbo(&longer).unwrap().total() - exact;
    close("predictive", fitted.model.log_evidence(&one_more).unwrap(), [ratio], 1e-11);
}

#[test]
fn the_full_predictive_is_a_ratio_of_evidences() {
    let x = blobs(30, 3);
    let one_more = array![[0.2, 1.0, -0.5]];
    let longer = ndarray::concatenate![Axis(0), x, one_more];
    let fit = |data: &Array2<f64>| {
        let prior = PriorSettings {
            mean: Some(Array1::zeros(3)),
            mean_precision: 0.5,
            dof: Some(3.5),
            scale_inverse: Some(Scale::Full(Array2::eye(3))),
        };
        BayesianMixture { prior, ..Default::default() }.fit(data, 0).unwrap().model
    };
    let model = fit(&x);
    let ratio = fit(&longer).elbo(&longer).unwrap().total() - model.elbo(&x).unwrap().total();
    close("predictive", model.log_evidence(&one_more).unwrap(), [ratio], 1e-11);
}

/// Three groups in D dimensions that overlap a little.
pub(super) fn blobs(n: usize, d: usize) -> Array2<f64> {
    let mut rng = stream(3, Purpose::Sample, 0);
    use rand_distr::{Distribution, StandardNormal};
    Array2::from_shape_fn((n, d), |(i, j)| {
        let e: f64 = StandardNormal.sample(&mut rng);
        e * (1.0 + 0.2 * j as f64) + 3.0 * ((i % 3) as f64 - 1.0) * if j % 2 == 0 { 1.0 } else { -0.5 }
    })
}

fn settings() -> Vec<BayesianMixture> {
    let mut out = Vec::new();
    for covariance in [CovarianceType::Full, CovarianceType::Diagonal] {
        for weights in [WeightPrior::Dirichlet { concentration: 0.5 }, WeightPrior::DirichletProcess { concentration: 0.8 }] {
            let stopping = Stopping { max_iterations: 12, tolerance: 0.0 };
            out.push(BayesianMixture { components: 5, covariance, weights, stopping, restarts: 1, ..Default::default() });
        }
    }
    out
}

/// Everything in a model, as numbers.
fn numbers(model: &BayesianMixtureModel) -> Vec<f64> {
    let q = model.components();
    let mut out: Vec<f64> = q.means().iter().chain(q.mean_precision()).chain(q.dof()).copied().collect();
    match q.scale_inverse() {
        SecondMoments::Full(s) => out.extend(s),
        SecondMoments::Diagonal(s) => out.extend(s),
    }
    out.extend(model.weights());
    out
}

/// The ELBO by its definition: every expectation written out row by row.
fn naive_elbo(model: &BayesianMixtureModel, x: &Array2<f64>) -> f64 {
    let gamma = model.responsibilities(x).unwrap();
    let q = model.components();
    let d = x.ncols() as f64;
    let log_weights = model.weight_factor().mean_log();
    let psi = lvm_core::special::digamma;
    let mut total = 0.0;
    for (n, x) in x.outer_iter().enumerate() {
        for k in 0..model.n_components() {
            let nu = q.dof()[k];
            let away = &x - &q.means().row(k);
            let (log_det, distance) = match q.scale_inverse() {
                SecondMoments::Full(s) => {
                    let l = lvm_core::linalg::cholesky(s.index_axis(Axis(0), k)).unwrap();
                    let inverse = lvm_core::linalg::cholesky_inverse(l.view());
                    let psis: f64 = (0..x.len()).map(|j| psi(0.5 * (nu - j as f64))).sum();
                    (psis + d * 2f64.ln() - lvm_core::linalg::log_det(l.view()), nu * away.dot(&inverse.dot(&away)))
                }
                SecondMoments::Diagonal(s) => {
                    let gammas: f64 = s.row(k).iter().map(|s| psi(0.5 * nu) - (0.5 * s).ln()).sum();
                    (gammas, away.iter().zip(s.row(k)).map(|(v, s)| v * v * nu / s).sum())
                }
            };
            let expected = 0.5 * (log_det - d / q.mean_precision()[k] - distance - d * (2.0 * std::f64::consts::PI).ln());
            let r: f64 = gamma[[n, k]];
            total += r * (expected + log_weights[k] - if r > 0.0 { r.ln() } else { 0.0 });
        }
    }
    total - model.weight_factor().kl(model.weight_prior()).unwrap() - q.kl(model.prior()).unwrap()
}

#[test]
fn the_bound_is_its_definition_and_never_falls() {
    let x = blobs(211, 3);
    for ascent in settings() {
        let fitted = ascent.fit(&x, 4).unwrap();
        // sums of 211 · 5 terms of size 10, in another order
        close("ELBO", [fitted.model.elbo(&x).unwrap().total()], [naive_elbo(&fitted.model, &x)], 1e-12);
        close("objective", [fitted.objective() * 211.0], [naive_elbo(&fitted.model, &x)], 1e-12);
        let long = BayesianMixture { stopping: Stopping { max_iterations: 200, tolerance: 0.0 }, ..ascent }.fit(&x, 4).unwrap();
        estimation::trace_is_monotone(&long, 3).unwrap();
    }
}

#[test]
fn laws() {
    let x = blobs(900, 3);
    for ascent in settings() {
        let fit = |data: &dyn RowSource| -> Result<Vec<f64>> {
            let fitted = ascent.fit(data, 7)?;
            Ok(fitted.trace.iter().copied().chain(numbers(&fitted.model)).collect())
        };
        invariance::threads_do_not_matter(&fit, &x).unwrap();
        invariance::runs_repeat(&fit, &x).unwrap();
        invariance::layout_does_not_matter(&fit, &x).unwrap();
        // f32 rows widen exactly
        invariance::f32_is_f64(&fit, &x, 0.0).unwrap();
        let from_start = |data: &dyn RowSource| -> Result<Vec<f64>> {
            let mixture = lvm_core::gmm::GaussianMixture::new(
                Array1::from_elem(5, 0.2),
                Array2::from_shape_fn((5, 3), |(k, j)| k as f64 - 2.0 + 0.1 * j as f64),
                match ascent.covariance {
                    CovarianceType::Full => {
                        lvm_core::gmm::Covariances::Full(Array3::from_shape_fn((5, 3, 3), |(_, i, j)| f64::from(i == j)))
                    }
                    _ => lvm_core::gmm::Covariances::Diagonal(Array2::ones((5, 3))),
                },
            )?;
            let fitted = BayesianMixture { start: MixtureStart::Mixture(mixture), ..ascent.clone() }.fit(data, 7)?;
            Ok(fitted.trace.iter().copied().chain(numbers(&fitted.model)).collect())
        };
        // sums in another order, and twelve iterations to carry the difference on
        invariance::weights_are_repetition(&from_start, &x, 1e-8).unwrap();
        let continued = |iterations: usize, from: Option<&BayesianMixtureModel>| -> Result<Fitted<BayesianMixtureModel>> {
            let start = from.map_or(MixtureStart::KMeansPlusPlus, |m| MixtureStart::Posterior(m.clone()));
            BayesianMixture { start, stopping: Stopping { max_iterations: iterations, tolerance: 0.0 }, ..ascent.clone() }.fit(&x, 7)
        };
        estimation::resume_is_one_run(&continued, &numbers, 4, 6).unwrap();
        let model = ascent.fit(&x, 7).unwrap().model;
        let mut rng = stream(1, Purpose::Sample, 0);
        density::bayes_identity(&model, &x, &mut rng).unwrap();
        density::map_is_the_mode(&model, &x, &mut rng).unwrap();
    }
}

#[test]
fn the_predictive_density_integrates_to_one() {
    let x = blobs(60, 1);
    for ascent in settings() {
        let model = ascent.fit(&x, 2).unwrap().model;
        // Student's t with at least 4 degrees of freedom in 1e3 of its widths: tails below 1e-9; trapezoid of a smooth function
        let step = 0.02;
        let grid = Array2::from_shape_fn((400_001, 1), |(i, _)| (i as f64 - 200_000.0) * step);
        let mass: f64 = model.log_evidence(&grid).unwrap().iter().map(|l| l.exp() * step).sum();
        assert!((mass - 1.0).abs() < 1e-3, "{mass}");
        assert_eq!(model.dim(), 1);
    }
}

#[test]
fn rows_in_another_order_end_at_the_same_model() {
    let x = blobs(300, 2);
    let reversed = x.select(Axis(0), &(0..300).rev().collect::<Vec<_>>());
    for ascent in settings() {
        let start = |x: &Array2<f64>| {
            MixtureStart::Responsibilities(Array2::from_shape_fn((300, 5), |(n, k)| {
                let own = ((x[[n, 0]] + 4.0) / 1.7) as usize % 5;
                if k == own { 0.6 } else { 0.1 }
            }))
        };
        let fit = |x: &Array2<f64>| numbers(&BayesianMixture { start: start(x), ..ascent.clone() }.fit(x, 0).unwrap().model);
        // the same sums in another order, carried through twelve iterations
        close("permuted rows", fit(&reversed), fit(&x), 1e-8);
    }
}

#[test]
fn superfluous_components_are_emptied() {
    let x = blobs(600, 2) * array![[4.0, 4.0]];
    let wide = Array2::from_shape_fn((600, 2), |(n, j)| x[[n, j]] / 4.0 + 8.0 * ((n % 3) as f64 - 1.0));
    for weights in [WeightPrior::Dirichlet { concentration: 1e-3 }, WeightPrior::DirichletProcess { concentration: 1.0 }] {
        let fitted = BayesianMixture { components: 8, weights, ..Default::default() }.fit(&wide, 1).unwrap();
        assert_eq!(fitted.model.weights().iter().filter(|w| **w > 0.02).count(), 3, "{:?}", fitted.model.weights());
        // and the bound prefers three to one
        let single = BayesianMixture { components: 1, weights, ..Default::default() }.fit(&wide, 1).unwrap();
        assert!(fitted.objective() > single.objective());
    }
}

#[test]
fn full_batch_with_step_one_is_coordinate_ascent() {
    let x = blobs(500, 3);
    for ascent in settings() {
        let svi = StochasticBayesianMixture { batch: 500, steps: Steps::Constant(1.0), mixture: ascent.clone() };
        let data: &dyn RowSource = &x;
        let mut state = svi.init(data, 3).unwrap();
        let mut exact = ascent.init(data, 3).unwrap();
        // the state of SVI before its first step is one update ahead
        ascent.step(&mut exact, data).unwrap();
        for _ in 0..6 {
            let a = svi.step(&mut state, data).unwrap().objective;
            let b = ascent.step(&mut exact, data).unwrap().objective;
            // sums of the same rows in the same order; components may have been put in another order
            if matches!(ascent.weights, WeightPrior::Dirichlet { .. }) {
                assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} against {b}");
                close("parameters", numbers(&state.model), numbers(exact.model().unwrap()), 1e-12);
            } else {
                assert!(a <= b + 1e-12 * b.abs());
            }
        }
    }
}

#[test]
fn stochastic_steps_come_near_coordinate_ascent_and_resume_bit_for_bit() {
    let x = blobs(3001, 2);
    let mixture = BayesianMixture {
        components: 3,
        weights: WeightPrior::Dirichlet { concentration: 1.0 },
        stopping: Stopping { max_iterations: 20, tolerance: 0.0 },
        ..Default::default()
    };
    let svi = StochasticBayesianMixture { batch: 256, ..StochasticBayesianMixture::new(mixture.clone()) };
    let reached = svi.fit(&x, 2).unwrap();
    let best = BayesianMixture { stopping: Stopping { max_iterations: 500, tolerance: 1e-12 }, ..mixture }.fit(&x, 2).unwrap();
    // 240 steps: ρ is 0.02 at the end, so q wanders by √ρ/2 = 0.08 standard deviations of a batch of 256, 0.08 · √(3001/256) = 0.27
    // posterior ones, and each of about 18 parameters costs half its square, in all 0.7 nats; ten times that is allowed
    assert!(best.objective() - reached.objective() < 7.0 / 3001.0, "{} {}", best.objective(), reached.objective());
    assert!(reached.objective() <= best.objective() + 1e-9);

    let data: &dyn RowSource = &x;
    let mut whole = svi.init(data, 2).unwrap();
    svi.advance(&mut whole, data, 31).unwrap();
    let mut first = svi.init(data, 2).unwrap();
    svi.advance(&mut first, data, 13).unwrap();
    let model = BayesianMixtureModel::new(
        first.model.weight_prior(),
        first.model.prior().clone(),
        first.model.weight_factor().clone(),
        first.model.components().clone(),
    );
    let mut second = lvm_vi::cavi::mixture::StochasticState { model: model.unwrap(), ..first };
    svi.advance(&mut second, data, 18).unwrap();
    assert_eq!(whole, second);
    let threads = |data: &dyn RowSource| -> Result<Vec<f64>> { Ok(numbers(&svi.fit(data, 2)?.model)) };
    invariance::threads_do_not_matter(&threads, &x).unwrap();
}

#[test]
fn the_mean_of_all_batches_is_the_full_update() {
    // S5: with one step from the same q on each batch of an epoch, the mean of η̂ − η over batches is that of the full data
    let x = blobs(12, 2);
    let mixture = BayesianMixture {
        components: 2,
        weights: WeightPrior::Dirichlet { concentration: 1.0 },
        stopping: Stopping { max_iterations: 3, tolerance: 0.0 },
        ..Default::default()
    };
    let start = mixture.fit(&x, 1).unwrap().model;
    let WeightFactor::Dirichlet(before) = start.weight_factor().clone() else { panic!("not a Dirichlet") };
    for batch in [1, 2, 3, 4, 6, 12] {
        let svi = StochasticBayesianMixture { batch, steps: Steps::Constant(1.0), mixture: mixture.clone() };
        let data: &dyn RowSource = &x;
        let count = 12 / batch;
        let mut mean = Array1::<f64>::zeros(2);
        for b in 0..count {
            let mut state = lvm_vi::cavi::mixture::StochasticState { model: start.clone(), steps: b as u64, seed: 9 };
            svi.advance(&mut state, data, 1).unwrap();
            let WeightFactor::Dirichlet(alpha) = state.model.weight_factor() else { panic!("not a Dirichlet") };
            mean = mean + (alpha - &before) / count as f64;
        }
        let counts = start.responsibilities(data).unwrap().sum_axis(Axis(0));
        // α̂ − α of the full data; 12 roundings of numbers of size 12
        close("epoch", mean, counts + 1.0 - &before, 1e-13);
    }
}

#[test]
fn draws_of_the_parameters_weigh_what_the_posterior_says() {
    use lvm_vi::diagnose::psis;
    let x = blobs(60, 2);
    let mut apart = blobs(60, 2);
    (0..60).for_each(|n| apart[[n, 0]] = 0.1 * apart[[n, 0]] + if n % 2 == 0 { 0.0 } else { 40.0 });
    for covariance in [CovarianceType::Full, CovarianceType::Diagonal] {
        for weights in [WeightPrior::Dirichlet { concentration: 0.7 }, WeightPrior::DirichletProcess { concentration: 1.3 }] {
            let vb = |components| BayesianMixture { components, covariance, weights, ..Default::default() };
            // one component: q is the posterior, and every draw gives the evidence
            let one = vb(1).fit(&x, 0).unwrap();
            let elbo = one.model.elbo(&x).unwrap().total();
            for weight in one.model.parameter_log_weights(&x, 20, 3).unwrap() {
                // sums of 60 rows of densities by other formulas, with gamma functions of size 100
                assert!((weight - elbo).abs() < 1e-8 * (1.0 + elbo.abs()), "{weight} {elbo}");
            }
            // two groups far apart: each q is again the posterior of its own rows, and the mean is no lower than the ELBO of q(Z) q(θ)
            let fitted = vb(2).fit(&apart, 1).unwrap().model;
            let log_weights = fitted.parameter_log_weights(&apart, 1000, 3).unwrap();
            let elbo = fitted.elbo(&apart).unwrap().total();
            let mean = log_weights.iter().sum::<f64>() / 1000.0;
            let sd = (log_weights.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / 999.0).sqrt();
            // five standard errors
            assert!(mean > elbo - 5.0 * sd / 1000f64.sqrt() - 1e-8 * elbo.abs(), "{mean} {elbo}");
            // k̂ knows no scale: of weights that differ by less than a hundredth it says nothing that matters
            let k = psis(&log_weights).unwrap().pareto_k;
            let spread = log_weights.iter().fold(0.0, |m: f64, w| m.max((w - mean).abs()));
            assert!(k < 0.7 || spread < 0.01, "{covariance:?} {k} {spread}");
        }
    }
    // a q(μ) ten times too narrow in both columns has weights of tail index 1 − 1/100
    let one = BayesianMixture::default().fit(&x, 0).unwrap().model;
    let q = one.components();
    let narrow = GaussianWishart::new(q.mean_precision() * 100.0, q.means().clone(), q.dof().clone(), q.scale_inverse().clone()).unwrap();
    let wrong = BayesianMixtureModel::new(one.weight_prior(), one.prior().clone(), one.weight_factor().clone(), narrow).unwrap();
    assert!(psis(&wrong.parameter_log_weights(&x, 1000, 3).unwrap()).unwrap().pareto_k > 0.7);
    assert!(one.parameter_log_weights(&x, 0, 3).is_err());
}
