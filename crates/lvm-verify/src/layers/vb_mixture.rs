//! C3: variational Bayes for Gaussian mixtures: the full ELBO along coordinate ascent, its parts, and its constant beside scikit-learn's bound.

use crate::case::{Case, CaseError};
use crate::check::{Source, Tolerance};
use crate::headline::{Figure, Headline};
use crate::layers::shared::{file_absolute, file_tolerance};
use crate::suite::{Group, Outcome, Problem};
use lvm_core::fit::{Algorithm, Stopping};
use lvm_core::gmm::SecondMoments;
use lvm_core::linalg;
use lvm_core::rows::RowSource;
use lvm_core::special::lgamma;
use lvm_vi::cavi::mixture::{
    BayesianMixture, BayesianMixtureModel, BayesianMixtureState, MixtureStart, PriorSettings, Scale, WeightFactor, WeightPrior,
};
use ndarray::{Array1, Array2, Axis};
use std::f64::consts::{LN_2, PI, TAU};

/// What a case of kind `vb_gmm` asks for.
struct Setting {
    x: Array2<f64>,
    start: Array2<f64>,
    mean: Array1<f64>,
    mean_precision: f64,
    dof: f64,
    scale_inverse: Array2<f64>,
    concentration: f64,
}

impl Setting {
    fn of(case: &Case) -> Result<Setting, CaseError> {
        let prior = case.get("model.prior")?;
        Ok(Setting {
            x: case.table()?,
            start: case.get("initial_responsibilities")?.matrix()?,
            mean: prior.get("mean")?.vector()?,
            mean_precision: prior.get("mean_precision")?.number()?,
            dof: prior.get("dof")?.number()?,
            scale_inverse: prior.get("scale_inverse")?.matrix()?,
            concentration: prior.get("weight_concentration")?.number()?,
        })
    }

    /// Coordinate ascent from `start` with K components.
    fn algorithm(&self, start: &Array2<f64>, concentration: f64, iterations: usize) -> BayesianMixture {
        BayesianMixture {
            components: start.ncols(),
            weights: WeightPrior::Dirichlet { concentration },
            prior: PriorSettings {
                mean: Some(self.mean.clone()),
                mean_precision: self.mean_precision,
                dof: Some(self.dof),
                scale_inverse: Some(Scale::Full(self.scale_inverse.clone())),
            },
            start: MixtureStart::Responsibilities(start.clone()),
            restarts: 1,
            stopping: Stopping { max_iterations: iterations, tolerance: 0.0 },
            ..Default::default()
        }
    }

    fn size(&self) -> (f64, f64) {
        (self.x.nrows() as f64, self.x.ncols() as f64)
    }

    /// log p(X) under one component with a Gaussian-Wishart prior.   Murphy (2007), eq. 266; PRML B.79
    fn one_component_evidence(&self) -> Result<f64, Problem> {
        let (n, d) = self.size();
        let average = self.x.mean_axis(Axis(0)).ok_or_else(|| "the table is empty".to_owned())?;
        let centred = &self.x - &average;
        let away = (&average - &self.mean).insert_axis(Axis(1));
        let shrink = self.mean_precision * n / (self.mean_precision + n);
        // W_N⁻¹ = W₀⁻¹ + Σ (x − x̄)(x − x̄)ᵀ + β₀ N/(β₀ + N) (x̄ − m₀)(x̄ − m₀)ᵀ
        let scale = &self.scale_inverse + &centred.t().dot(&centred) + &(away.dot(&away.t()) * shrink);
        let norm = log_wishart_norm(-log_det(&scale)?, self.dof + n, d);
        let prior = log_wishart_norm(-log_det(&self.scale_inverse)?, self.dof, d);
        Ok(prior - norm + 0.5 * d * (self.mean_precision / (self.mean_precision + n)).ln() - 0.5 * n * d * TAU.ln())
    }

    /// ELBO − scikit-learn's bound for K components, when the parameters are the best for the responsibilities: the terms it leaves out.
    ///
    /// ```text
    /// log C(α₀) + K [log B(W₀, ν₀) + D/2 log β₀ + D(D − 1)/4 log π] − N D/2 log 2π
    /// ```
    fn left_out(&self, k: usize, concentration: f64) -> Result<f64, Problem> {
        let (n, d) = self.size();
        let k = k as f64;
        let weights = lgamma(k * concentration) - k * lgamma(concentration);
        let component = log_wishart_norm(-log_det(&self.scale_inverse)?, self.dof, d) + 0.5 * d * self.mean_precision.ln();
        Ok(weights + k * (component + 0.25 * d * (d - 1.0) * PI.ln()) - 0.5 * n * d * TAU.ln())
    }
}

fn log_det(a: &Array2<f64>) -> Result<f64, Problem> {
    let lower = linalg::cholesky(a.view()).map_err(|e| e.of("a scale matrix"))?;
    Ok(linalg::log_det(lower.view()))
}

/// log B(W, ν) = −ν/2 log|W| − ν D/2 log 2 − D(D − 1)/4 log π − Σ_i log Γ((ν + 1 − i)/2)   PRML B.79
fn log_wishart_norm(log_det_scale: f64, dof: f64, d: f64) -> f64 {
    let gammas: f64 = (0..d as usize).map(|i| lgamma(0.5 * (dof - i as f64))).sum();
    -0.5 * dof * log_det_scale - 0.5 * dof * d * LN_2 - 0.25 * d * (d - 1.0) * PI.ln() - gammas
}

/// scikit-learn's `lower_bound_`, written from its definition: the entropy of the responsibilities less the log normalisers of q(π) and q(μ, Λ),
/// the constant of the multivariate gamma function left out.
fn bound_of_sklearn(entropy: f64, model: &BayesianMixtureModel) -> Result<f64, Problem> {
    let WeightFactor::Dirichlet(alpha) = model.weight_factor() else { return Err(Problem("sticks instead of a Dirichlet".into())) };
    let SecondMoments::Full(scales) = model.components().scale_inverse() else { return Err(Problem("diagonal scales".into())) };
    let d = model.components().dim() as f64;
    let mut bound = entropy - lgamma(alpha.sum()) + alpha.iter().map(|a| lgamma(*a)).sum::<f64>();
    for ((scale, dof), beta) in scales.outer_iter().zip(model.components().dof()).zip(model.components().mean_precision()) {
        bound -= log_wishart_norm(-log_det(&scale.to_owned())?, *dof, d) + 0.25 * d * (d - 1.0) * PI.ln() + 0.5 * d * beta.ln();
    }
    Ok(bound)
}

/// Twenty iterations, the parameters at those the case names, and scikit-learn's bound.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn trajectory(g: &mut Group<'_>, case: &Case) -> Outcome {
    let s = Setting::of(case)?;
    let elbos = case.get("elbo_first_20")?.vector()?;
    let t = file_tolerance(case, "trajectory_relative", 1e-10)?;
    let vb = s.algorithm(&s.start, s.concentration, elbos.len());
    let data: &dyn RowSource = &s.x;
    let mut state = vb.init(data, 0)?;
    let (mut ours, mut offsets) = (Vec::new(), Vec::new());
    for i in 1..=elbos.len() {
        vb.step(&mut state, data)?;
        let Some(parts) = state.elbo_before_responsibilities() else { return Err(Problem("no ELBO after an iteration".into())) };
        let Some(model) = state.model() else { return Err(Problem("no model after an iteration".into())) };
        ours.push(parts.total());
        offsets.push(parts.total() - bound_of_sklearn(parts.entropy_z, model)?);
        if let Some(snapshot) = case.find(&format!("snapshots.{i}")) {
            let when = format!("iteration {i}");
            g.scalar(format!("{when}: ELBO"), Source::X, parts.total(), snapshot.get("elbo")?.number()?, &t);
            parameters(g, &when, &state, &s, &snapshot, &t)?;
        }
    }
    g.array(format!("ELBO of {} iterations", elbos.len()), Source::X, &Array1::from(ours.clone()), &elbos, &t);
    let falls = ours.windows(2).map(|w| (w[0] - w[1]).max(0.0)).fold(0.0, f64::max);
    let rounding = Tolerance::rounding(s.x.len(), elbos[0]);
    g.bounded("largest decrease of the ELBO", Source::I, falls, &rounding);
    let left_out = Array1::from_elem(offsets.len(), s.left_out(s.start.ncols(), s.concentration)?);
    let t = Tolerance::rounding(s.x.len(), elbos[0]);
    g.array("ELBO − scikit-learn's bound: the terms left out, at each iteration", Source::E, &Array1::from(offsets), &left_out, &t);
    if let Some(theirs) = case.find("cross_checks.sklearn.lower_bound_20") {
        // its 20 iterations come after a maximisation of its own, so its bound is that of iteration 21 here
        vb.step(&mut state, data)?;
        let elbo = state.elbo_before_responsibilities().map_or(f64::NAN, |parts| parts.total());
        let t = file_absolute(case, "converged_elbo_abs", 1e-8)?;
        let offset = elbo - theirs.number()?;
        g.scalar("ELBO − lower_bound_ of scikit-learn after its 20 iterations", Source::X, offset, left_out[0], &t);
        for at in ["constant_offset_elbo_minus_lower_bound_at_5", "at_20", "offset_at_convergence"] {
            let theirs = case.get(&format!("cross_checks.sklearn.{at}"))?.number()?;
            g.scalar(format!("the terms left out, found by scikit-learn: {at}"), Source::X, left_out[0], theirs, &t);
        }
    }
    Ok(())
}

/// β, ν, m, N_k and α beside those of a case.
fn parameters(
    g: &mut Group<'_>,
    when: &str,
    state: &BayesianMixtureState,
    s: &Setting,
    node: &crate::case::Node<'_>,
    t: &Tolerance,
) -> Outcome {
    let Some(model) = state.model() else { return Err(Problem("no model after an iteration".into())) };
    let components = model.components();
    let counts = components.mean_precision() - s.mean_precision;
    // N_k = β_k − β₀ carries the rounding of β_k
    let (beta, means) = (node.get("mean_precision")?.vector()?, node.get("means")?.matrix()?);
    g.array(format!("{when}: β"), Source::X, components.mean_precision(), &beta, t);
    g.array(format!("{when}: ν"), Source::X, components.dof(), &node.get("degrees_of_freedom")?.vector()?, t);
    g.array_scaled(format!("{when}: N_k"), Source::X, &counts, &node.get("nk")?.vector()?, &beta, t);
    g.array(format!("{when}: m"), Source::X, components.means(), &means, t);
    if let WeightFactor::Dirichlet(alpha) = model.weight_factor() {
        g.array(format!("{when}: α"), Source::X, alpha, &node.get("weight_concentration")?.vector()?, t);
    }
    Ok(())
}

/// The fixed point with the parts of its ELBO; one component is exact; what scikit-learn leaves out depends on K.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn fixed_point(g: &mut Group<'_>, case: &Case) -> Outcome {
    let s = Setting::of(case)?;
    let end = case.get("converged")?;
    // twice as many as it took to machine precision there
    let iterations = 2 * end.get("iterations_to_machine_precision")?.count()?;
    let vb = s.algorithm(&s.start, s.concentration, iterations);
    let data: &dyn RowSource = &s.x;
    let mut state = vb.init(data, 0)?;
    for _ in 0..iterations {
        vb.step(&mut state, data)?;
    }
    let Some(model) = state.model().cloned() else { return Err(Problem("no model after the last iteration".into())) };
    let absolute = file_absolute(case, "converged_elbo_abs", 1e-8)?;
    let parts = model.elbo(data)?;
    let truth = end.get("elbo")?.number()?;
    g.scalar("converged: ELBO", Source::X, parts.total(), truth, &absolute);
    let t = file_tolerance(case, "parameters_relative", 1e-6)?;
    let of_all = Tolerance::absolute(t.relative, format!("{}: a part is of first order in the parameters", t.reason));
    for (name, ours) in [
        ("expected_log_likelihood", parts.expected_log_likelihood),
        ("expected_log_p_z", parts.expected_log_p_z),
        ("entropy_z", parts.entropy_z),
        ("kl_weights", parts.kl_weights),
        ("kl_components", parts.kl_components),
    ] {
        let truth = end.get(&format!("elbo_parts.{name}"))?.number()?;
        let t = Tolerance::absolute(of_all.allowed(1.0) + t.allowed(truth), of_all.reason.clone());
        g.scalar(format!("converged: {name}"), Source::X, ours, truth, &t);
    }
    parameters(g, "converged", &state, &s, &end, &t)?;
    g.array("converged: E[π]", Source::X, &model.weights(), &end.get("expected_weights")?.vector()?, &t);
    let theirs = end.get("responsibilities_first_rows")?.matrix()?;
    let rows = model.responsibilities(&s.x.select(Axis(0), &(0..theirs.nrows()).collect::<Vec<_>>()))?;
    let of_one = Tolerance::absolute(t.relative, format!("{}, of a probability", t.reason));
    g.array("converged: responsibilities of the first rows", Source::X, &rows, &theirs, &of_one);

    let ones = Array2::ones((s.x.nrows(), 1));
    let single = s.algorithm(&ones, s.concentration, 1).fit(data, 0)?;
    let evidence = s.one_component_evidence()?;
    let elbo = single.model.elbo(data)?.total();
    g.scalar("K = 1: the ELBO is the exact log evidence", Source::E, elbo, evidence, &Tolerance::rounding(s.x.len(), evidence));
    let exact = |v: f64| Figure::exact(v, Source::E, Tolerance::rounding(s.x.len(), evidence).absolute);
    let name = format!("{}, K = 1", g.case());
    g.headline(Headline::new(&name, "Normal-Wishart", "coordinate ascent", exact(evidence), exact(evidence), exact(elbo)), 1e-6);
    if s.start.ncols() == 1 {
        g.scalar("the file's ELBO is the exact log evidence", Source::E, truth, evidence, &Tolerance::rounding(s.x.len(), evidence));
    }
    offsets(g, &s)
}

/// For K = 1 … 5 with α₀ = 1/K: ELBO less scikit-learn's bound is what its terms say, and another number for each K, so that its bound
/// can't choose K.
fn offsets(g: &mut Group<'_>, s: &Setting) -> Outcome {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for k in 1..=5 {
        let start = Array2::from_shape_fn((s.x.nrows(), k), |(n, c)| if n % k == c { 0.7 } else { 0.3 / (k as f64 - 1.0).max(1.0) });
        let start = if k == 1 { Array2::ones((s.x.nrows(), 1)) } else { start };
        let vb = s.algorithm(&start, 1.0 / k as f64, 3);
        let data: &dyn RowSource = &s.x;
        let mut state = vb.init(data, 0)?;
        for _ in 0..3 {
            vb.step(&mut state, data)?;
        }
        let (Some(parts), Some(model)) = (state.elbo_before_responsibilities(), state.model()) else {
            return Err(Problem("no model after three iterations".into()));
        };
        ours.push(parts.total() - bound_of_sklearn(parts.entropy_z, model)?);
        theirs.push(s.left_out(k, 1.0 / k as f64)?);
    }
    // the bounds themselves are a few nats for each number of the table
    let size = 10.0 * s.x.len() as f64;
    g.array(
        "K = 1 … 5: ELBO − scikit-learn's bound",
        Source::E,
        &Array1::from(ours.clone()),
        &Array1::from(theirs),
        &Tolerance::rounding(s.x.len(), size),
    );
    let differ = ours.windows(2).all(|w| (w[0] - w[1]).abs() > 1e-3);
    let found = ours.iter().map(|v| format!("{v:.2}")).collect::<Vec<_>>().join(", ");
    g.holds(
        "the difference depends on K",
        found,
        "another for each K",
        differ,
        "a bound without it must not choose K (scikit-learn 8823, 19074)",
    );
    Ok(())
}
