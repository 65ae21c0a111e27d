//! Posteriors known exactly: log joint (L), bounds at a fixed q and minibatches (S), the best Gaussians (O), their errors (P).

mod bounds;
mod draws;
mod fixed_q;
mod log_joint;
mod minibatch;
mod optimum;
mod recombination;
mod seeds;
#[cfg(test)]
mod tests;

use super::{variances, verdicts};
use crate::case::{Case, CaseError};
use crate::check::{Layer, Tolerance};
use crate::posterior::{Posterior, read};
use crate::suite::{Budget, Problem, Suite};
use lvm_core::fit::Fitted;
use lvm_vi::deterministic::{FixedPoint, GaussianOptimum, Shape, Start};
use ndarray::{Array1, Array2};
use std::cell::OnceCell;

/// The checks of one case of kind `posterior`; a failure that names the words if its model is not understood: a case that was not tested
/// must not look like one that passed.
pub fn all(suite: &mut Suite<'_>, case: &Case) {
    let model = match read(case) {
        Ok(Ok(model)) => model,
        Ok(Err(why)) => {
            return suite.group(Layer::L, "L1", &case.id, |g| {
                g.failed("model of the case", format!("{}.json: model: not understood: {why}", case.id));
                Ok(())
            });
        }
        Err(e) => return suite.group(Layer::L, "L1", &case.id, |_| Err(e.into())),
    };
    let (model, id) = (model.as_ref(), case.id.as_str());
    suite.group(Layer::L, "L1", id, |g| log_joint::values(g, case, model));
    suite.group(Layer::L, "L2", id, |g| log_joint::gradients(g, case, model));
    if model.by_rows().is_some() {
        suite.group(Layer::S, "S5", id, |g| minibatch::epochs(g, case, model));
    }
    let quick = suite.selection.budget == Budget::Quick;
    if let Err(e) = model.expectation() {
        suite.group(Layer::O, "O1", id, |g| {
            g.not_run("the best Gaussians", e.to_string(), "nothing: terms of this many latents have no expectations here");
            Ok(())
        });
        return suite.group(Layer::P, "P4", id, |g| verdicts::verdicts(g, case, model));
    }
    // an optimum by a product rule of four latents and more is no matter of seconds
    if quick && model.is_integrated() && model.dim() > 3 {
        return;
    }
    let cost = model.cost();
    let affordable = if quick { cost <= 100 } else { cost <= 2500 && model.dim() <= 12 };
    if affordable && case.find("vi_optimum.meanfield").is_some() {
        suite.group(Layer::S, "S2", id, |g| variances::posterior(g, case, model));
        if !quick && model.by_rows().is_some() && cost <= 400 {
            suite.group(Layer::S, "S2", id, |g| minibatch::estimators(g, case, model));
        }
    }
    let optima = Optima::new(model);
    suite.group(Layer::S, "S1", id, |g| fixed_q::bounds(g, case, model));
    for shape in [Shape::Diagonal, Shape::Full] {
        if case.find(&format!("vi_optimum.{}", field(shape))).is_none() {
            continue;
        }
        suite.group(Layer::O, "O1", id, |g| optimum::reached(g, case, &optima, shape));
        suite.group(Layer::O, "O5", id, |g| optimum::stationary(g, model, &optima, shape));
        suite.group(Layer::P, "P1", id, |g| optimum::errors(g, case, &optima, shape));
    }
    if case.find("vi_optimum.meanfield").is_some() {
        suite.group(Layer::S, "S6", id, |g| bounds::iterates(g, case, model, &optima));
    }
    seeds::all(suite, case, model);
    if !quick {
        suite.group(Layer::S, "S6", id, |g| bounds::importance(g, case, model));
        suite.group(Layer::P, "P2", id, |g| bounds::evidence_by_draws(g, case, model));
        if cost <= if suite.selection.budget == Budget::Full { 1500 } else { 100_000 } {
            suite.group(Layer::P, "P3", id, |g| bounds::tail(g, case, model));
        }
        if let Some(file) = draws::file(case) {
            suite.group(Layer::P, "P7", id, |g| draws::two_samples(g, case, model, &file));
        }
    }
    // 160 000 draws of thousands of rows are no matter of seconds
    if !quick || cost <= 3000 {
        suite.group(Layer::P, "P4", id, |g| verdicts::verdicts(g, case, model));
    }
    if recombination::applies(case) {
        suite.group(Layer::M, "M2", id, |g| recombination::columns(g, case));
    }
}

/// The name of a family in the files.
fn field(shape: Shape) -> &'static str {
    match shape {
        Shape::Diagonal => "meanfield",
        Shape::Full => "fullrank",
    }
}

/// The name of a family in reports.
fn family(shape: Shape) -> &'static str {
    match shape {
        Shape::Diagonal => "mean field",
        Shape::Full => "full rank",
    }
}

/// The q of a file.
struct Reference {
    mean: Array1<f64>,
    sd: Array1<f64>,
    covariance: Array2<f64>,
    elbo: f64,
    kl: f64,
    /// What the file's own optimisation and quadrature left over, in whitened units and in nats.
    left: f64,
    quadrature: f64,
}

impl Reference {
    fn of(case: &Case, shape: Shape) -> Result<Reference, CaseError> {
        let node = case.get(&format!("vi_optimum.{}", field(shape)))?;
        let sd = node.get("sd")?.vector()?;
        let covariance = match shape {
            Shape::Diagonal => Array2::from_diag(&sd.mapv(|s| s * s)),
            Shape::Full => node.get("cov")?.matrix()?,
        };
        let number = |name: &str| node.find(name).map_or(Ok(0.0), |n| n.number());
        Ok(Reference {
            mean: node.get("mean")?.vector()?,
            sd,
            covariance,
            elbo: node.get("elbo")?.number()?,
            kl: node.get("kl_to_posterior")?.number()?,
            left: number("scaled_grad_max")?,
            quadrature: number("elbo_quadrature_check")?.abs(),
        })
    }

    /// The tolerance of a deterministic engine in units of q's standard deviation.
    fn tolerance(&self) -> Tolerance {
        let reason = format!(
            "VERIFY O1: 1e-6 for a deterministic engine, and 10 times the whitened gradient {:.1e} that the file's own run left",
            self.left
        );
        Tolerance::absolute(1e-6 + 10.0 * self.left, reason)
    }

    /// The tolerance of an ELBO at a fixed q.
    fn of_elbo(&self) -> Tolerance {
        let rounding = 1e-10 * self.elbo.abs().max(1.0);
        let reason = format!("relative 1e-10 (README), and the change {:.1e} of the file's quadrature with more nodes", self.quadrature);
        Tolerance::absolute(rounding + 2.0 * self.quadrature, reason)
    }
}

/// The best Gaussians of a model by the deterministic engine, each found once and then shared by the checks.
struct Optima<'m> {
    model: &'m dyn Posterior,
    found: [OnceCell<Result<Fitted<GaussianOptimum>, String>>; 2],
}

impl<'m> Optima<'m> {
    fn new(model: &'m dyn Posterior) -> Self {
        Optima { model, found: [const { OnceCell::new() }; 2] }
    }

    fn get(&self, shape: Shape) -> Result<&Fitted<GaussianOptimum>, Problem> {
        let fit = || -> lvm_core::Result<Fitted<GaussianOptimum>> {
            let d = self.model.dim();
            // a product rule does not reach into the tails of N(0, I)
            let narrow = Start { mean: Array1::zeros(d), standard_deviations: Array1::from_elem(d, 0.1) };
            let start = self.model.is_integrated().then_some(narrow);
            // Price's theorem holds to the error of the rule only; a tenth of what O1 asks
            let gradient_tolerance = if self.model.is_integrated() { 1e-7 } else { FixedPoint::default().gradient_tolerance };
            FixedPoint { shape, start, gradient_tolerance, ..FixedPoint::default() }.fit(self.model.expectation()?.as_ref())
        };
        let cell = &self.found[usize::from(shape == Shape::Full)];
        cell.get_or_init(|| fit().map_err(|e| format!("the library refused: {e}"))).as_ref().map_err(|e| Problem(e.clone()))
    }
}
