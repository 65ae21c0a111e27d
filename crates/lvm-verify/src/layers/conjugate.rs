//! C7: conjugate families: posterior parameters, evidence, mean-field optimum, predictive.

use crate::case::{Case, Node};
use crate::check::{Layer, Source, Tolerance};
use crate::headline::{Figure, Headline};
use crate::stochastic::{Estimate, two_sided};
use crate::suite::{Group, Outcome, Suite};
use lvm_core::conjugate::{BetaBernoulli, DirichletCategorical, GammaPoisson, NormalGamma, NormalMean};
use lvm_core::dist::{Beta, Dirichlet, Gamma, Normal, Univariate};
use lvm_core::special::{HALF_LOG_2PI, lbeta, lgamma};
use lvm_vi::deterministic::FixedPoint;
use lvm_vi::expectation::{Affine, LogJoint, Softplus};
use lvm_vi::family::{Family, MeanField};
use lvm_vi::fit::{self as vi, Vi};
use ndarray::Array1;
use rayon::prelude::*;

/// C7 without a case: Gaussians on the logarithm of gamma and inverse-gamma variables.
pub fn all(suite: &mut Suite<'_>) {
    for (name, sign) in [("gamma", 1.0), ("inverse gamma", -1.0)] {
        for shape in [0.8, 3.0, 40.0] {
            let case = format!("logarithm of a variable with {name} density, shape {shape}");
            suite.group(Layer::C, "C7", &case, |g| logarithm(g, sign, shape));
        }
    }
}

/// λ ~ Gamma(a, b), or 1/λ: the best Gaussian on u = ±log λ is N(±(log(a/b) − 1/(2a)), 1/a), its KL the remainder of Stirling's series
/// (VERIFY §3.3); found by the deterministic engine and by draws, as any positive parameter is.
fn logarithm(g: &mut Group<'_>, sign: f64, a: f64) -> Outcome {
    let b = 2.5_f64;
    let mut target = LogJoint::new(1)?;
    target.gamma(Affine::variable(0) * sign, a, b)?;
    let (mean, sd) = (sign * ((a / b).ln() - 0.5 / a), a.sqrt().recip());
    // log Γ(a) − [(a − ½) log a − a + ½ log 2π]
    let kl = lgamma(a) - ((a - 0.5) * a.ln() - a + HALF_LOG_2PI);
    let q = FixedPoint::default().fit(&target)?.model;
    let t = Tolerance::absolute(1e-6, "VERIFY O1: 1e-6 for a deterministic engine");
    g.scalar("mean in standard deviations of q*", Source::E, q.mean[0] / sd, mean / sd, &t);
    g.scalar("standard deviation over that of q*", Source::E, q.standard_deviations()[0] / sd, 1.0, &t);
    let squares = Tolerance::absolute(1e-10, "the square of what is left of q, and a dozen roundings");
    g.scalar("KL is the remainder of Stirling's series", Source::E, -q.elbo, kl, &squares);
    let exact = |v: f64| Figure::exact(v, Source::E, 1e-10);
    let case = g.case().to_owned();
    g.headline(Headline::new(&case, "Gaussian on the logarithm", "fixed point", exact(0.0), exact(-kl), exact(q.elbo)), 0.001);
    let n = g.budget.seeds().max(5);
    let (seed, mut from, mut gaps) = (g.seed(1), 0, Vec::new());
    let margin = if g.quick { 0.05 } else { 0.02 };
    let reason = "q* in closed form; the mean over independent seeds";
    g.within_each("stochastic: (mean − mean*)/sd*, log sd/sd*", (&Array1::zeros(2), 0.0, Source::E), margin, n, reason, |n| {
        let ends = (from..from + n as u64)
            .into_par_iter()
            .map(|i| {
                let stopping = vi::Stopping { tolerance: 0.02, ..Default::default() };
                let q = Vi { stopping, ..Vi::new(MeanField::standard(1)?) }.fit(&target, seed.wrapping_add(i))?.model.q;
                let elbo = FixedPoint::elbo(&target, q.mean().view(), q.covariance().view())?;
                Ok([(q.mean()[0] - mean) / sd, (q.standard_deviations()[0] / sd).ln(), elbo])
            })
            .collect::<lvm_core::Result<Vec<_>>>()?;
        from += n as u64;
        gaps.extend(ends.iter().map(|e| e[2]));
        Ok(ndarray::Array2::from_shape_fn((n, 2), |(i, j)| ends[i][j]))
    })?;
    let reached: Estimate = gaps.into_iter().collect();
    let z = two_sided(g.alpha_of_look());
    let engine = format!("stochastic, {} seeds", reached.draws);
    let reached = Figure::estimated(&reached, z);
    g.headline(Headline::new(&case, "Gaussian on the logarithm", &engine, exact(0.0), exact(-kl), reached), 0.01);
    Ok(())
}

/// C7, kind `conjugate`.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn conjugate(g: &mut Group<'_>, case: &Case) -> Outcome {
    for c in case.get("cases")?.list()? {
        // by what the part holds: its name is the author's
        let has = |field: &str| c.find(field).is_some();
        let name = c.find("name").map_or(Ok("a part without a name"), |n| n.text())?;
        match () {
            () if has("noise_sd") && has("prior.sd") => normal_known_variance(g, &c)?,
            () if has("data.successes") => beta_bernoulli(g, &c)?,
            () if has("prior.lam") && has("exact") => normal_gamma(g, &c)?,
            () if has("prior.shape") => gamma_poisson(g, &c)?,
            () if has("data.counts") => dirichlet_categorical(g, &c)?,
            () => g.failed(format!("conjugate: {name}"), "this version knows no such family: the case was not tested"),
        }
    }
    Ok(())
}

fn closed_form() -> Tolerance {
    Tolerance::relative(1e-12, "VERIFY C7: closed forms of a few dozen roundings")
}

/// The five numbers of a conjugate model: log evidence, ELBO at the optimum, ELBO reached.
fn headline(g: &mut Group<'_>, model: &str, (family, evidence, best, reached): (&str, f64, f64, f64)) {
    let exact = |v: f64| Figure::exact(v, Source::E, 1e-9 + 1e-12 * evidence.abs());
    let case = format!("{}, {model}", g.case());
    g.headline(Headline::new(&case, family, "closed form or fixed point", exact(evidence), exact(best), exact(reached)), 1e-6);
}

/// The KL in a file is a difference of two log evidences, each printed to half an ulp.
fn divergence(evidence: f64) -> Tolerance {
    Tolerance::absolute(
        4.0 * f64::EPSILON * evidence.abs() + 1e-14,
        "4·ε·|log evidence|: the file's value is a difference of two numbers of that size",
    )
}

/// A number of ours beside a field of the file.
fn field(g: &mut Group<'_>, name: &str, ours: f64, c: &Node<'_>, path: &str) -> Outcome {
    g.scalar(name, Source::E, ours, c.get(path)?.number()?, &closed_form());
    Ok(())
}

/// log p(x₁ … x_n) must also be Σ log p(x_i | x₁ … x_{i−1}).
fn chain_rule(g: &mut Group<'_>, family: &str, evidence: f64, chain: f64, n: usize) {
    g.scalar(format!("{family}: evidence is the product of the predictives"), Source::I, evidence, chain, &Tolerance::rounding(n, chain));
}

fn normal_known_variance(g: &mut Group<'_>, c: &Node<'_>) -> Outcome {
    let number = |path: &str| c.get(path)?.number();
    let model = NormalMean::new(Normal::new(number("prior.mean")?, number("prior.sd")?)?, number("noise_sd")?)?;
    let data = c.get("data")?.vector()?;
    let posterior = model.posterior(data.view())?.mean();
    let evidence = model.log_evidence(data.view())?;
    field(g, "normal mean: posterior mean", posterior.mean(), c, "posterior.mean")?;
    field(g, "normal mean: posterior sd", posterior.sd(), c, "posterior.sd")?;
    field(g, "normal mean: log evidence", evidence, c, "log_evidence")?;
    let (mut belief, mut chain) = (model, 0.0);
    for x in &data {
        chain += belief.predictive()?.log_prob(*x);
        belief = belief.posterior(Array1::from_elem(1, *x).view())?;
    }
    chain_rule(g, "normal mean", evidence, chain, data.len());
    // the same as terms: the posterior is normal, so its best Gaussian has the evidence for an ELBO
    let mut target = LogJoint::new(1)?;
    target.normal(Affine::variable(0) - number("prior.mean")?, number("prior.sd")?.ln())?;
    for x in &data {
        target.normal(Affine::variable(0) - *x, number("noise_sd")?.ln())?;
    }
    let q = FixedPoint::default().fit(&target)?.model;
    headline(g, "normal mean", ("full rank", number("log_evidence")?, number("log_evidence")?, q.elbo));
    Ok(())
}

fn beta_bernoulli(g: &mut Group<'_>, c: &Node<'_>) -> Outcome {
    let (successes, trials) = (c.get("data.successes")?.count()? as u64, c.get("data.trials")?.count()? as u64);
    let model = BetaBernoulli { probability: Beta::new(c.get("prior.a")?.number()?, c.get("prior.b")?.number()?)? };
    let posterior = model.posterior(successes, trials)?.probability;
    field(g, "beta: a", posterior.a(), c, "posterior.a")?;
    field(g, "beta: b", posterior.b(), c, "posterior.b")?;
    field(g, "beta: mean", posterior.mean(), c, "posterior.mean")?;
    field(g, "beta: sd", posterior.variance().sqrt(), c, "posterior.sd")?;
    field(g, "beta: mean of the logit", posterior.mean_logit(), c, "posterior.logit_mean")?;
    field(g, "beta: sd of the logit", posterior.variance_logit().sqrt(), c, "posterior.logit_sd")?;
    field(g, "beta: log evidence", model.log_evidence(successes, trials)?, c, "log_evidence")?;
    if let Some(quantiles) = c.find("posterior.quantiles") {
        for (p, truth) in quantiles.fields()? {
            let at = p.parse().map_err(|_| truth.problem("is not named by a probability"))?;
            g.scalar(format!("beta: quantile {p}"), Source::E, posterior.quantile(at), truth.number()?, &closed_form());
        }
    }
    if let Some(vi) = c.find("gaussian_vi_on_logit") {
        // log p(y, x) over x = logit p: a′ log p + b′ log(1 − p) − log B(a, b), the Jacobian p (1 − p) in it
        let (a, b) = (posterior.a(), posterior.b());
        let mut target = LogJoint::new(1)?;
        target.affine(Affine::variable(0) * a - lbeta(c.get("prior.a")?.number()?, c.get("prior.b")?.number()?))?;
        target.univariate(Softplus, [(-(a + b), Affine::variable(0))])?;
        let q = FixedPoint::default().fit(&target)?.model;
        field(g, "beta: Gaussian optimum on the logit scale, mean", q.mean[0], &vi, "mean")?;
        field(g, "beta: Gaussian optimum on the logit scale, sd", q.standard_deviations()[0], &vi, "sd")?;
        let constant = vi.get("elbo")?.number()? + vi.get("kl_to_posterior")?.number()? - c.get("log_evidence")?.number()?;
        g.bounded("beta: the file's ELBO and KL make its evidence", Source::I, constant, &divergence(q.elbo));
        field(g, "beta: its ELBO", q.elbo, &vi, "elbo")?;
        headline(
            g,
            "probability, beta prior",
            ("Gaussian on the logit", c.get("log_evidence")?.number()?, vi.get("elbo")?.number()?, q.elbo),
        );
    }
    Ok(())
}

fn gamma_poisson(g: &mut Group<'_>, c: &Node<'_>) -> Outcome {
    let model = GammaPoisson { rate: Gamma::new(c.get("prior.shape")?.number()?, c.get("prior.rate")?.number()?)? };
    let data = c.get("data")?.vector()?;
    let after = model.posterior(data.view())?;
    let evidence = model.log_evidence(data.view())?;
    field(g, "gamma: shape", after.rate.shape(), c, "posterior.shape")?;
    field(g, "gamma: rate", after.rate.rate(), c, "posterior.rate")?;
    field(g, "gamma: mean", after.rate.mean(), c, "posterior.mean")?;
    field(g, "gamma: sd", after.rate.variance().sqrt(), c, "posterior.sd")?;
    field(g, "gamma: mean of the log", after.rate.mean_log(), c, "posterior.log_mean")?;
    field(g, "gamma: sd of the log", after.rate.variance_log().sqrt(), c, "posterior.log_sd")?;
    field(g, "gamma: log evidence", evidence, c, "log_evidence")?;
    let (mut belief, mut chain) = (model, 0.0);
    for x in &data {
        chain += belief.predictive()?.log_prob(*x);
        belief = belief.posterior(Array1::from_elem(1, *x).view())?;
    }
    chain_rule(g, "gamma", evidence, chain, data.len());
    if let Some(vi) = c.find("gaussian_vi_on_log") {
        let (gaussian, kl) = after.gaussian_on_log_rate()?;
        field(g, "gamma: Gaussian optimum on the log scale, mean", gaussian.mean(), &vi, "mean")?;
        field(g, "gamma: Gaussian optimum on the log scale, sd", gaussian.sd(), &vi, "sd")?;
        field(g, "gamma: its ELBO", evidence - kl, &vi, "elbo")?;
        g.scalar("gamma: its KL", Source::E, kl, vi.get("kl_to_posterior")?.number()?, &divergence(evidence));
        let eta = Affine::variable(0);
        let mut target = LogJoint::new(1)?;
        target.gamma(eta.clone(), c.get("prior.shape")?.number()?, c.get("prior.rate")?.number()?)?;
        data.iter().try_for_each(|x| target.poisson(*x, eta.clone()))?;
        // the Jacobian of the logarithm stands in the prior
        let q = FixedPoint::default().fit(&target)?.model;
        headline(
            g,
            "rate, gamma prior",
            ("Gaussian on the logarithm", c.get("log_evidence")?.number()?, vi.get("elbo")?.number()?, q.elbo),
        );
    }
    Ok(())
}

fn normal_gamma(g: &mut Group<'_>, c: &Node<'_>) -> Outcome {
    let number = |path: &str| c.get(path)?.number();
    let precision = Gamma::new(number("prior.shape")?, number("prior.rate")?)?;
    let model = NormalGamma::new(number("prior.mean")?, number("prior.lam")?, precision)?;
    let data = c.get("data")?.vector()?;
    let posterior = model.posterior(data.view())?;
    let evidence = model.log_evidence(data.view())?;
    field(g, "normal-gamma: mean", posterior.mean(), c, "exact.mean")?;
    field(g, "normal-gamma: lambda", posterior.lambda(), c, "exact.lam")?;
    field(g, "normal-gamma: shape", posterior.precision().shape(), c, "exact.shape")?;
    field(g, "normal-gamma: rate", posterior.precision().rate(), c, "exact.rate")?;
    field(g, "normal-gamma: log evidence", evidence, c, "exact.log_evidence")?;
    field(g, "normal-gamma: sd of μ", posterior.mean_marginal()?.variance().sqrt(), c, "exact.mu_sd")?;
    field(g, "normal-gamma: mean of τ", posterior.precision().mean(), c, "exact.tau_mean")?;
    field(g, "normal-gamma: sd of τ", posterior.precision().variance().sqrt(), c, "exact.tau_sd")?;
    let (mut belief, mut chain) = (model, 0.0);
    for x in &data {
        chain += belief.predictive()?.log_prob(*x);
        belief = belief.posterior(Array1::from_elem(1, *x).view())?;
    }
    chain_rule(g, "normal-gamma", evidence, chain, data.len());

    let q = model.mean_field_optimum(data.view())?;
    field(g, "normal-gamma: mean of q(μ)", q.mean.mean(), c, "mean_field.q_mu_mean")?;
    field(g, "normal-gamma: sd of q(μ)", q.mean.sd(), c, "mean_field.q_mu_sd")?;
    field(g, "normal-gamma: shape of q(τ)", q.precision.shape(), c, "mean_field.q_tau_shape")?;
    field(g, "normal-gamma: rate of q(τ)", q.precision.rate(), c, "mean_field.q_tau_rate")?;
    field(g, "normal-gamma: ELBO of q(μ) q(τ)", q.elbo, c, "mean_field.elbo")?;
    g.scalar("normal-gamma: KL of q(μ) q(τ)", Source::E, q.kl, number("mean_field.kl_to_posterior")?, &divergence(evidence));
    let truth = c.get("cavi.elbo_first_12")?.vector()?;
    // the files start at E[τ] = 1
    let ours: Array1<f64> = model.mean_field(data.view(), 1.0, truth.len())?.iter().map(|q| q.elbo).collect();
    g.array("normal-gamma: ELBO after each iteration of coordinate ascent", Source::E, &ours, &truth, &closed_form());
    let worst = ours.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let holds = worst <= evidence;
    g.holds("normal-gamma: ELBO below the evidence", format!("at most {worst}"), format!("at most {evidence}"), holds, "KL ≥ 0");
    Ok(())
}

fn dirichlet_categorical(g: &mut Group<'_>, c: &Node<'_>) -> Outcome {
    let model = DirichletCategorical { probabilities: Dirichlet::new(c.get("prior")?.vector()?.view())? };
    let counts = c.get("data.counts")?.vector()?;
    let posterior = model.posterior(counts.view())?.probabilities;
    let evidence = model.log_evidence(counts.view())?;
    let (t, truth) = (closed_form(), c.get("posterior")?);
    g.array("dirichlet: alpha", Source::E, &posterior.alpha(), &truth.get("alpha")?.vector()?, &t);
    g.array("dirichlet: mean", Source::E, &posterior.mean(), &truth.get("mean")?.vector()?, &t);
    g.array("dirichlet: sd", Source::E, &posterior.variance().mapv(f64::sqrt), &truth.get("sd")?.vector()?, &t);
    g.array("dirichlet: E[log π]", Source::E, &posterior.mean_log(), &truth.get("expected_log")?.vector()?, &t);
    field(g, "dirichlet: entropy", posterior.entropy(), c, "posterior.entropy")?;
    field(g, "dirichlet: log evidence", evidence, c, "log_evidence")?;
    let (mut belief, mut chain) = (model, 0.0);
    for (k, count) in counts.iter().enumerate() {
        let mut one = Array1::zeros(counts.len());
        one[k] = 1.0;
        for _ in 0..*count as usize {
            chain += belief.predictive()?.log_prob(k);
            belief = belief.posterior(one.view())?;
        }
    }
    chain_rule(g, "dirichlet", evidence, chain, counts.sum() as usize);
    // E_q[log p(counts | π)] − KL(q ‖ prior) at the posterior
    let (prior, after, log_mean) = (c.get("prior")?.vector()?, posterior.alpha().to_owned(), posterior.mean_log());
    let log_beta = |a: &Array1<f64>| a.mapv(lgamma).sum() - lgamma(a.sum());
    let kl = log_beta(&prior) - log_beta(&after) + (&after - &prior).dot(&log_mean);
    let log_evidence = c.get("log_evidence")?.number()?;
    headline(g, "probabilities, Dirichlet prior", ("Dirichlet", log_evidence, log_evidence, counts.dot(&log_mean) - kl));
    Ok(())
}
