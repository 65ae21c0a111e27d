//! Checks of a target of one's own: any log density with its gradient, without a reference case.
//!
//! [`check`] adds to a [`Suite`] what can be asked of every target of lvm-vi, and of the methods on it:
//!
//! | id | question | needs |
//! |---|---|---|
//! | L2 | is the gradient that of the log density, in every coordinate? | |
//! | S5 | do the minibatches of an epoch, taken together, make the log density? | the form by rows |
//! | S2 | do values alone (score function) and gradients (pathwise) climb the same way? | |
//! | O1 | do runs from several seeds end, and at the same q? | |
//! | O5 | is that q the best of its family: E_q\[∇ log p\] = 0, E_q\[−∇² log p\] = S⁻¹? | |
//! | M1 | log p + c moves the ELBO by c and nothing else; an affine map of the parameters leaves KL(q* ‖ p) alone | |
//! | P4 | can q be used (`Diagnose`), and does that verdict keep its promise? | moments known, or simulated (feature `nuts`) |
//!
//! and the five numbers of each family, of which those that nobody knows stay unknown. The same checks run on targets of our own inside
//! `cargo xtask verify` ([`all`]).

mod gradient;
mod identities;
mod own;
mod runs;
mod stationary;
#[cfg(test)]
mod tests;
mod verdict;

use crate::check::Layer;
use crate::suite::{Budget, Outcome, Problem, Suite};
use lvm_vi::deterministic::Start;
use lvm_vi::family::{FullRank, MeanField};
use lvm_vi::fit::Stopping;
use lvm_vi::target::{DataLogDensity, LogDensity, LogDensityGrad, TargetError};
use ndarray::Array1;
use runs::{Judged, Runs};

pub use own::all;

/// What is known of a posterior besides its density; all of it optional. What is not known is said to be unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Truth {
    /// log p(data), nats.
    pub log_evidence: Option<f64>,
    /// Posterior means of the unconstrained latents (d).
    pub mean: Option<Array1<f64>>,
    /// Posterior standard deviations (d).
    pub standard_deviations: Option<Array1<f64>>,
    /// The ELBO of the best mean field, nats.
    pub mean_field_elbo: Option<f64>,
    /// The ELBO of the best Gaussian, nats.
    pub full_rank_elbo: Option<f64>,
}

/// A target and what the checks need to know of it.
#[derive(Clone)]
pub struct Target<'a> {
    /// The name in the report.
    pub name: &'a str,
    /// log p(z, data) with its gradient.
    pub density: &'a dyn LogDensityGrad,
    /// The same by rows, where there is such a form.
    pub data: Option<&'a dyn DataLogDensity>,
    /// About where the posterior is and how wide: where runs start and the gradient is looked at. It need not be good.
    pub start: Start,
    /// When a run ends. A broken target may never let it: `max_iterations` is the patience for that.
    pub stopping: Stopping,
    /// What is known.
    pub truth: Truth,
}

impl<'a> Target<'a> {
    /// A target that starts at N(0, I), with runs of at most 200 000 steps.
    pub fn new(name: &'a str, density: &'a dyn LogDensityGrad) -> Self {
        let d = density.dim();
        let start = Start { mean: Array1::zeros(d), standard_deviations: Array1::ones(d) };
        let stopping = Stopping { max_iterations: 200_000, ..Stopping::default() };
        Target { name, density, data: None, start, stopping, truth: Truth::default() }
    }

    /// Everything has the length d, and scales are positive.
    fn consistent(&self) -> Outcome {
        let d = self.density.dim();
        let mut lengths = vec![("start.mean", self.start.mean.len()), ("start.standard_deviations", self.start.standard_deviations.len())];
        lengths.extend(self.data.map(|data| ("data.dim()", data.dim())));
        lengths.extend(self.truth.mean.as_ref().map(|m| ("truth.mean", m.len())));
        lengths.extend(self.truth.standard_deviations.as_ref().map(|s| ("truth.standard_deviations", s.len())));
        match lengths.into_iter().find(|(_, n)| *n != d) {
            Some((what, n)) => Err(Problem(format!("{what} is {n}, and the target has {d} latents"))),
            None if d == 0 => Err(Problem("the target has no latents".into())),
            None => Ok(()),
        }
    }
}

/// Adds every check that can be made of `target` to `suite`; in a quick run with two seeds a family, otherwise with five.
///
/// Groups go by the name of the target as their case, so that `Selection::cases` selects among several.
///
/// ```
/// use lvm_verify::check::Verdict;
/// use lvm_verify::suite::{Budget, Selection, Suite};
/// use lvm_verify::{subject::Library, target::{Target, check}};
/// use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};
///
/// /// x = 3 ~ N(z, 1), z ~ N(0, 2²), with the noise read as a precision in the gradient alone.
/// struct Mine { right: bool }
/// impl LogDensity for Mine {
///     fn dim(&self) -> usize { 1 }
///     fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> { self.log_density_grad(z, &mut [0.0]) }
/// }
/// impl LogDensityGrad for Mine {
///     fn log_density_grad(&self, z: &[f64], g: &mut [f64]) -> Result<f64, TargetError> {
///         let prior = if self.right { 4.0 } else { 2.0 };
///         g[0] = 3.0 - z[0] - z[0] / prior;
///         Ok(-0.5 * (3.0 - z[0]).powi(2) - 0.125 * z[0] * z[0] - 2f64.ln() - std::f64::consts::TAU.ln())
///     }
/// }
/// let red = |right| {
///     let mut suite = Suite::new(&Library, Selection { budget: Budget::Quick, ..Default::default() });
///     check(&mut suite, &Target::new("mine", &Mine { right }));
///     suite.checks.iter().filter(|c| c.verdict == Verdict::Fail).map(|c| c.id.clone()).collect::<Vec<_>>()
/// };
/// assert!(red(true).is_empty());
/// assert!(red(false).contains(&"L2".to_owned()) && red(false).contains(&"S2".to_owned()));
/// ```
pub fn check(suite: &mut Suite<'_>, target: &Target<'_>) {
    let name = target.name;
    suite.group(Layer::L, "L2", name, |g| gradient::by_differences(g, target));
    if let Some(data) = target.data {
        suite.group(Layer::S, "S5", name, |g| gradient::epochs(g, target, data));
    }
    let seeds = if suite.selection.budget == Budget::Quick { 2 } else { 5 };
    let diagonal = Runs::<MeanField>::new(target, seeds);
    suite.group(Layer::S, "S2", name, |g| gradient::by_values_alone(g, &diagonal));
    of_family(suite, &diagonal);
    of_family(suite, &Runs::<FullRank>::new(target, seeds));
}

/// The checks of one family.
fn of_family<F: Judged>(suite: &mut Suite<'_>, runs: &Runs<'_, F>) {
    let name = runs.target.name;
    suite.group(Layer::O, "O1", name, |g| runs.agree(g));
    suite.group(Layer::O, "O5", name, |g| stationary::identities(g, runs));
    suite.group(Layer::M, "M1", name, |g| identities::shifted(g, runs));
    suite.group(Layer::M, "M1", name, |g| identities::mapped(g, runs));
    suite.group(Layer::P, "P4", name, |g| verdict::judge(g, runs));
}

/// A target behind a reference, as one of a size known.
#[derive(Clone, Copy)]
struct Erased<'a>(&'a dyn LogDensityGrad);

impl LogDensity for Erased<'_> {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.0.log_density(z)
    }
}

impl LogDensityGrad for Erased<'_> {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        self.0.log_density_grad(z, gradient)
    }
}
