//! C7: conjugate families: posterior parameters, evidence, mean-field optimum, predictive.

use crate::case::{Case, Node};
use crate::check::{Source, Tolerance};
use crate::suite::{Group, Outcome};
use lvm_core::conjugate::{BetaBernoulli, DirichletCategorical, GammaPoisson, NormalGamma, NormalMean};
use lvm_core::dist::{Beta, Dirichlet, Gamma, Normal, Univariate};
use lvm_core::special::lbeta;
use lvm_vi::deterministic::FixedPoint;
use lvm_vi::expectation::{Affine, LogJoint, Softplus};
use ndarray::Array1;

/// C7, kind `conjugate`.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn conjugate(g: &mut Group<'_>, case: &Case) -> Outcome {
    for c in case.get("cases")?.list()? {
        match c.get("name")?.text()? {
            "normal_known_variance" => normal_known_variance(g, &c)?,
            "beta_bernoulli" => beta_bernoulli(g, &c)?,
            "gamma_poisson" => gamma_poisson(g, &c)?,
            "normal_gamma_and_cavi" => normal_gamma(g, &c)?,
            "dirichlet_categorical" => dirichlet_categorical(g, &c)?,
            other => g.not_supported(&format!("conjugate: {other}")),
        }
    }
    Ok(())
}

fn closed_form() -> Tolerance {
    Tolerance::relative(1e-12, "VERIFY C7: closed forms of a few dozen roundings")
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
    Ok(())
}
