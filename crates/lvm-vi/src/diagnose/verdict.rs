//! One answer to "can this q be used for the posterior?", with its reasons.

use super::calibration::Vsbc;
use super::chi_square::{ErrorBounds, error_bounds};
use super::importance::{Moments, WeightedDraws};
use super::optimality::Optimality;
use super::psis::psis_threshold;
use super::reason::{Level, Reason, Verdict};
use super::sandwich::Sandwich;
use crate::family::Family;
use crate::fit::Optimum;
use crate::target::LogDensityGrad;
use lvm_core::bound::Estimate;
use lvm_core::mutant::planted;
use lvm_core::{Error, Result};

/// How a Gaussian q is judged against the posterior it stands for.
///
/// *Objective*: a pass must mean that every mean of q is within `mean_margin` posterior standard deviations of the posterior's and every
/// standard deviation within the share `scale_margin` of it.
///
/// *Method*: draws of q are weighted by the posterior; if the tail of the weights is light enough (k̂ below
/// [`psis_threshold`]) the weighted draws *measure* the error of each moment of q, and the verdict is that measurement, draws being
/// doubled until it can be decided at `z` standard errors. k̂ alone is no verdict: it may be small although a standard deviation is off by
/// a third, and large although all means are right.
///
/// *Besides*: the evidence between IWAE_100 and CUBO₂ (a warning where they are more than a nat apart, or upside down), what is left to
/// climb with the signal-to-noise ratio of its gradient, the disagreement of restarts, the exact evidence and the calibration where they are
/// [`Known`]. They can only make a verdict worse.
///
/// *When it fails*: no draw of q tells of a mode of the posterior that q does not reach; the exact evidence does, restarts may.
///
/// ```
/// use lvm_vi::diagnose::{Diagnose, Level};
/// use lvm_vi::family::MeanField;
/// use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};
/// struct Standard;
/// impl LogDensity for Standard {
///     fn dim(&self) -> usize { 1 }
///     fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> { Ok(-0.5 * z[0] * z[0]) }
/// }
/// impl LogDensityGrad for Standard {
///     fn log_density_grad(&self, z: &[f64], g: &mut [f64]) -> Result<f64, TargetError> { g[0] = -z[0]; self.log_density(z) }
/// }
/// let judge = Diagnose::default();
/// assert_eq!(judge.run(&MeanField::standard(1)?, &Standard, 1)?.verdict.level, Level::Pass);
/// assert_ne!(judge.run(&MeanField::new(&[0.0], &[0.7])?, &Standard, 1)?.verdict.level, Level::Pass);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnose {
    /// Draws to begin with.
    pub draws: usize,
    /// Draws at most; they are doubled until every moment is decided, and before a heavy tail condemns q.
    pub max_draws: usize,
    /// The error of a mean, in posterior standard deviations, that a pass excludes.
    pub mean_margin: f64,
    /// The relative error of a standard deviation that a pass excludes.
    pub scale_margin: f64,
    /// Standard errors kept between a measurement and its margin.
    pub z: f64,
    /// Draws for the optimality conditions.
    pub gradient_draws: usize,
}

impl Default for Diagnose {
    fn default() -> Self {
        Diagnose { draws: 10_000, max_draws: 160_000, mean_margin: 0.1, scale_margin: 0.15, z: 3.0, gradient_draws: 4000 }
    }
}

/// What is known besides q and its target, all of it optional.
#[derive(Debug)]
pub struct Known<'a, F> {
    /// log p(data), where it is known exactly: the evidence from above.
    pub log_evidence: Option<f64>,
    /// The results of other runs from other starts.
    pub restarts: &'a [F],
    /// The method's calibration over simulated data.
    pub vsbc: Option<&'a Vsbc>,
}

impl<F> Default for Known<'_, F> {
    fn default() -> Self {
        Known { log_evidence: None, restarts: &[], vsbc: None }
    }
}

/// Everything the draws tell of q.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// The answer.
    pub verdict: Verdict,
    /// S, the draws it rests on.
    pub draws: usize,
    /// Draws at which the target had no usable value.
    pub refused: usize,
    /// The ELBO of q.
    pub elbo: Estimate,
    /// log p(data) by importance sampling: a lower bound on average.
    pub log_evidence: Estimate,
    /// The importance-weighted bound of the same draws in groups of k = 100, a lower bound of log p(data) above the ELBO.
    pub iwae: Estimate,
    /// k̂.
    pub pareto_k: f64,
    /// The threshold for this many draws.
    pub pareto_k_threshold: f64,
    /// The effective number of draws.
    pub effective_draws: f64,
    /// CUBO₂ = ½ log E_q\[w²\], an upper bound of log p(data); none where k̂ ≥ 1/2, its expectation being infinite or beyond these draws.
    pub upper_bound: Option<f64>,
    /// Bounds on the error of each moment of q; none where k̂ ≥ 1/2.
    pub bounds: Option<ErrorBounds>,
    /// The posterior's moments by weighted draws, to be trusted if k̂ is below the threshold.
    pub moments: Moments,
    /// (mean of q − posterior mean) / posterior standard deviation, as measured; (d).
    pub mean_error: Vec<f64>,
    /// Standard deviation of q / the posterior's, as measured; (d).
    pub scale_ratio: Vec<f64>,
    /// What remains to be done by the optimiser.
    pub optimality: Optimality,
    /// The largest |mean|/standard error of the remaining step: of order one at the optimum, larger the more there is left to climb.
    pub gradient_signal_to_noise: f64,
    /// The largest difference between q and a restart, of a mean in standard deviations of q or of the logarithm of a standard deviation;
    /// none without restarts.
    pub restart_difference: Option<f64>,
}

/// The measurement of one moment against its margin.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Decision {
    Inside,
    Outside,
    Undecided,
}

fn decide(error: f64, std_err: f64, margin: f64, z: f64) -> Decision {
    if error.abs() + z * std_err <= margin {
        Decision::Inside
    } else if error.abs() - z * std_err > margin {
        Decision::Outside
    } else {
        Decision::Undecided
    }
}

/// With a smaller share of effective draws than this, more draws are not made.
const HOPELESS: f64 = 0.01;

/// k of the importance-weighted bound.
const IWAE_PARTICLES: usize = 100;

/// The level of the test of symmetry over all latents, and the random exchanges that make its null distribution.
const VSBC_ALPHA: f64 = 0.01;
const VSBC_REFLECTIONS: usize = 9999;

/// The largest difference between `q` and other runs, in units of `q`.
fn restart_difference<F: Family>(q: &F, restarts: &[F]) -> Result<Option<f64>> {
    let (mean, s) = (q.mean(), q.standard_deviations());
    let mut largest = None;
    for other in restarts {
        if other.dim() != q.dim() {
            let (expected, found) = (q.dim(), other.dim());
            return Err(lvm_core::ErrorKind::Shape { what: "dimension of a restart, which must be that of q", expected, found }.into());
        }
        let (m, t) = (other.mean(), other.standard_deviations());
        for i in 0..q.dim() {
            let difference = ((m[i] - mean[i]) / s[i]).abs().max((t[i] / s[i]).ln().abs());
            largest = Some(difference.max(largest.unwrap_or(0.0)));
        }
    }
    Ok(largest)
}

/// Above this k̂ the second moment of the weights is infinite.
const FINITE_VARIANCE: f64 = 0.5;

impl Diagnose {
    /// Judges `q` for `target`.
    ///
    /// # Errors
    /// If a setting is out of range, the dimensions differ, the target fails for good, or no draw has a usable density.
    pub fn run<F: Family, T: LogDensityGrad + ?Sized>(&self, q: &F, target: &T, seed: u64) -> Result<Diagnosis> {
        self.run_knowing(q, target, seed, &Known::default())
    }

    /// As [`run`](Diagnose::run), with all that is `known` besides.
    ///
    /// # Errors
    /// As [`run`](Diagnose::run), and if a restart has another dimension.
    pub fn run_knowing<F: Family, T: LogDensityGrad + ?Sized>(
        &self,
        q: &F,
        target: &T,
        seed: u64,
        known: &Known<'_, F>,
    ) -> Result<Diagnosis> {
        self.check()?;
        let difference = restart_difference(q, known.restarts)?;
        let optimality = Optimality::new(q, target, self.gradient_draws, seed ^ OTHER_DRAWS)?;
        let mut weighted = WeightedDraws::new(q, target, self.draws, seed)?;
        loop {
            let draws = weighted.len();
            let diagnosis = Diagnosis { restart_difference: difference, ..self.look(q, &weighted, optimality.clone())? };
            let (decisions, mut reasons) = self.reasons(q, &diagnosis);
            reasons.extend(self.outside(&diagnosis, known)?);
            // a heavy tail seen by few draws may be a single draw: it condemns q only at the last look, or where hardly any draw counts
            let open = if diagnosis.pareto_k < diagnosis.pareto_k_threshold {
                decisions.contains(&Decision::Undecided) && !decisions.contains(&Decision::Outside)
            } else {
                diagnosis.effective_draws > HOPELESS * draws as f64
            };
            if !open || 2 * draws > self.max_draws {
                return Ok(Diagnosis { verdict: Verdict::of(reasons), ..diagnosis });
            }
            weighted = weighted.up_to(q, target, 2 * draws, seed)?;
        }
    }

    /// Judges what a fit has ended with; if it had restarts they are compared.
    ///
    /// # Errors
    /// As [`run`](Diagnose::run).
    pub fn run_optimum<F: Family, T: LogDensityGrad + ?Sized>(&self, optimum: &Optimum<F>, target: &T, seed: u64) -> Result<Diagnosis> {
        self.run_knowing(&optimum.q, target, seed, &Known { restarts: &optimum.restarts, ..Known::default() })
    }

    fn check(&self) -> Result<()> {
        if self.draws < 100 || self.max_draws < self.draws {
            let message = format!("draws {} and max_draws {}: at least 100, and max_draws no fewer than draws", self.draws, self.max_draws);
            return Err(Error::config("draws", message));
        }
        for (field, value) in [("mean_margin", self.mean_margin), ("scale_margin", self.scale_margin), ("z", self.z)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::config(field, format!("{value}; it must be positive and finite")));
            }
        }
        Ok(())
    }

    fn look<F: Family>(&self, q: &F, weighted: &WeightedDraws, optimality: Optimality) -> Result<Diagnosis> {
        let draws = weighted.len();
        let psis = weighted.smoothed()?;
        let moments = Moments::weighted(&weighted.z, &psis.log_weights);
        let (mean, s) = (q.mean(), q.standard_deviations());
        let bounded = psis.pareto_k < FINITE_VARIANCE;
        let (log_evidence, renyi_2) = (weighted.log_evidence(), weighted.renyi_2());
        Ok(Diagnosis {
            verdict: Verdict::of(Vec::new()),
            draws,
            refused: weighted.refused,
            elbo: weighted.elbo(),
            iwae: weighted.iwae(IWAE_PARTICLES),
            log_evidence,
            pareto_k: psis.pareto_k,
            pareto_k_threshold: psis_threshold(draws),
            effective_draws: psis.effective_draws,
            // ½ log E w² = log E w + ½ D₂
            upper_bound: bounded.then_some(log_evidence.mean + 0.5 * renyi_2),
            bounds: bounded.then(|| error_bounds(q, renyi_2)),
            mean_error: (0..q.dim()).map(|i| (mean[i] - moments.mean[i]) / moments.standard_deviation[i]).collect(),
            scale_ratio: (0..q.dim()).map(|i| s[i] / moments.standard_deviation[i]).collect(),
            moments,
            gradient_signal_to_noise: optimality.signal_to_noise(),
            optimality,
            restart_difference: None,
        })
    }

    /// Every moment against its margin, and the reasons that follow.
    fn reasons<F: Family>(&self, q: &F, found: &Diagnosis) -> (Vec<Decision>, Vec<Reason>) {
        let m = &found.moments;
        // weights of k̂ ≥ 1/2 have no variance: the standard errors are estimates from draws that have hardly met the tail, and count twice
        let z = if found.pareto_k < 0.5 { self.z } else { 2.0 * self.z };
        let decisions: Vec<Decision> = (0..q.dim())
            .flat_map(|i| {
                let s = m.standard_deviation[i];
                let mean = decide(found.mean_error[i], m.mean_std_err[i] / s, self.mean_margin, z);
                let relative = m.standard_deviation_std_err[i] / s;
                let scale = decide(found.scale_ratio[i] - 1.0, found.scale_ratio[i] * relative, self.scale_margin, z);
                [mean, if planted("verdict_ignores_sd") { Decision::Inside } else { scale }]
            })
            .collect();
        let mut reasons = vec![self.tail(found)];
        if found.pareto_k < found.pareto_k_threshold {
            reasons.push(self.measured(found, &decisions));
            if decisions.contains(&Decision::Outside) {
                reasons.push(Reason {
                    level: Level::Pass,
                    finding: "the moments of the weighted draws are good although those of q are not".into(),
                    remedy: "report them in place of q's".into(),
                });
            }
        }
        reasons.push(bounded(q, found));
        reasons.push(found.sandwich().reason());
        reasons.push(self.left_to_climb(found));
        if found.refused > 0 {
            reasons.push(Reason {
                level: Level::Warn,
                finding: format!("the target had no usable density at {} of {} draws", found.refused, found.draws),
                remedy: "find out where it fails; q has mass there".into(),
            });
        }
        (decisions, reasons)
    }

    /// Reasons from what is known besides the draws.
    fn outside<F>(&self, found: &Diagnosis, known: &Known<'_, F>) -> Result<Vec<Reason>> {
        let mut reasons = Vec::new();
        if let Some(exact) = known.log_evidence {
            reasons.push(found.sandwich().against(exact));
        }
        if let Some(difference) = found.restart_difference {
            let agree = difference <= self.mean_margin;
            reasons.push(Reason {
                level: if agree { Level::Pass } else { Level::Warn },
                finding: match agree {
                    true => format!("restarts agree to {difference:.2} standard deviations"),
                    false => format!("restarts disagree by {difference:.2} standard deviations"),
                },
                remedy: match agree {
                    true => String::new(),
                    false => "keep the one with the largest ELBO; the posterior may have several modes, of which q covers one".into(),
                },
            });
        }
        if let Some(vsbc) = known.vsbc {
            let p_values = vsbc.symmetry_p_values(VSBC_REFLECTIONS, 0)?;
            let (i, p) =
                p_values.iter().copied().enumerate().fold((0, 1.0), |best: (usize, f64), now| if now.1 < best.1 { now } else { best });
            let simulations = vsbc.probabilities.nrows();
            reasons.push(match p * (p_values.len() as f64) < VSBC_ALPHA {
                true => Reason {
                    level: Level::Warn,
                    finding: format!("over {simulations} simulated data sets the mean of latent {i} is biased (p = {p:.1e})"),
                    remedy: "use the weighted moments, another parametrisation or a richer family".into(),
                },
                false => Reason {
                    level: Level::Pass,
                    finding: format!("over {simulations} simulated data sets no mean is seen to be biased (smallest p = {p:.2})"),
                    remedy: String::new(),
                },
            });
        }
        Ok(reasons)
    }

    /// What the gradient says of the optimiser.
    fn left_to_climb(&self, found: &Diagnosis) -> Reason {
        let (step, latent) = found.optimality.worst(self.z);
        let ratio = found.gradient_signal_to_noise;
        if step > self.mean_margin {
            return Reason {
                level: Level::Warn,
                finding: format!(
                    "q is not the best of its family: latent {latent} still wants a step of {step:.2} standard deviations (gradient signal-to-noise {ratio:.1})"
                ),
                remedy: "let the optimiser go on, with a smaller step or more draws".into(),
            };
        }
        let most = found.optimality.at_most(self.z);
        match most <= self.mean_margin {
            true => Reason {
                level: Level::Pass,
                finding: format!("q is the best of its family to {most:.2} standard deviations (gradient signal-to-noise {ratio:.1})"),
                remedy: String::new(),
            },
            false => Reason {
                level: Level::Pass,
                finding: format!("how far q is from the best of its family is not seen (gradient signal-to-noise {ratio:.1})"),
                remedy: "raise gradient_draws to know".into(),
            },
        }
    }

    fn tail(&self, found: &Diagnosis) -> Reason {
        let (k, limit) = (found.pareto_k, found.pareto_k_threshold);
        let figures = format!("Pareto k {k:.2} (limit {limit:.2}), {:.0} effective of {} draws", found.effective_draws, found.draws);
        if k < limit {
            Reason { level: Level::Pass, finding: figures, remedy: String::new() }
        } else {
            Reason {
                level: Level::Fail,
                finding: format!("{figures}: the posterior has mass where q has hardly any, and no draw of q measures how much"),
                remedy: "take a richer family (full covariance), another parametrisation, or simulate".into(),
            }
        }
    }

    /// The worst measured errors.
    fn measured(&self, found: &Diagnosis, decisions: &[Decision]) -> Reason {
        let worst = |errors: Vec<f64>| {
            errors.into_iter().enumerate().fold((0, 0.0), |best: (usize, f64), (i, e)| if e.abs() > best.1.abs() { (i, e) } else { best })
        };
        let (i, mean) = worst(found.mean_error.clone());
        let (j, scale) = worst(found.scale_ratio.iter().map(|r| r - 1.0).collect());
        let figures = format!(
            "measured against weighted draws, means are within {:.3} posterior standard deviations (latent {i}) and standard deviations within {:.1} % (latent {j})",
            mean.abs(),
            100.0 * scale.abs()
        );
        if decisions.iter().all(|d| *d == Decision::Inside) {
            Reason { level: Level::Pass, finding: figures, remedy: String::new() }
        } else if decisions.contains(&Decision::Outside) {
            Reason {
                level: Level::Warn,
                finding: format!("{figures}: outside the margins of {} and {:.0} %", self.mean_margin, 100.0 * self.scale_margin),
                remedy: "use the weighted moments, or take a richer family".into(),
            }
        } else {
            Reason {
                level: Level::Warn,
                finding: format!(
                    "{figures}: too close to the margins of {} and {:.0} % to be decided",
                    self.mean_margin,
                    100.0 * self.scale_margin
                ),
                remedy: "raise max_draws".into(),
            }
        }
    }
}

impl Diagnosis {
    fn sandwich(&self) -> Sandwich {
        Sandwich { elbo: self.elbo, iwae: (self.iwae, IWAE_PARTICLES), log_evidence: self.log_evidence, upper: self.upper_bound }
    }
}

/// The bound on the errors of all moments, or that there is none.
fn bounded<F: Family>(q: &F, found: &Diagnosis) -> Reason {
    let finding = match &found.bounds {
        Some(bounds) => {
            // the same for all latents, in standard deviations of q
            let s = q.standard_deviations();
            let most = |errors: &ndarray::Array1<f64>| errors.iter().zip(&s).map(|(e, s)| e / s).fold(0.0, f64::max);
            format!(
                "no mean of q is wrong by more than {:.2} of its standard deviations, no standard deviation by more than {:.0} %, as CUBO bounds them",
                most(&bounds.mean),
                100.0 * most(&bounds.standard_deviation)
            )
        }
        None => "no bound on the error of any moment of q, as Pareto k is not below 1/2".to_owned(),
    };
    Reason { level: Level::Pass, finding, remedy: String::new() }
}

/// Keeps the draws for the gradient apart from those for the weights.
const OTHER_DRAWS: u64 = 0x9e37_79b9_7f4a_7c15;
