//! The stages of a run: when one is over, and when the run is.

use super::remaining::{BLOCKS, Look, look};
use super::{RemainingError, Source, Vi};
use crate::estimator::Memory;
use crate::optimizer::{Assessment, Geometry, OptimizerState, TailAverage, assess};
use lvm_core::fit::Step;
use lvm_core::mutant::planted;
use lvm_core::random::{Purpose, stream};
use lvm_core::{Error, ErrorKind, Result};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Batches, of the 32 kept, at which a stage is looked at: their second halves are four windows of 2 and of 3.
const LOOKS: [usize; 2] = [16, 24];
/// The standard error of a stage, as a share of the tolerance, below which it ends: the difference of two stages and the interval
/// around it then fit into the tolerance.
const SHARE: f64 = 0.125;
/// The same while the displacement by the step is above the tolerance, so that another stage must follow in any case.
const EARLY_SHARE: f64 = 0.4;
/// The same in the first stage: long steps may wander farther than any average can make up for.
const FIRST_SHARE: f64 = 2.0;
/// The step of a stage over that of the one before.
const SHRINK: f64 = 0.25;
/// Steps over which those cut short are counted; where more than half are, the noise is longer than the steps, which then lead nowhere: steps
/// and what they may measure at most are shortened together.
const WATCHED: u64 = 200;
/// Doublings of a batch after refuted ends, at most.
const LONGEST_BATCH: u32 = 20;
/// What is left of them after as often as this is done.
const CALMEST: f64 = SHRINK * SHRINK * SHRINK;
/// The share of the steps of the last stage that may have been cut short: such steps are not in the mean what the gradient is.
const CUT: f64 = 0.05;
/// The share of the tolerance below which no error is stated: a transient so much slower than a stage looks like none.
const FINEST: f64 = 0.25;
/// 97.5 % quantile of Student's t with 7 degrees of freedom, those of 8 batches.
const QUANTILE: f64 = 2.365;
/// Estimates tried at the start before it is called unusable.
const TRIES: u64 = 100;

/// When a stochastic fit has converged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stopping {
    /// Steps at most.
    pub max_iterations: usize,
    /// Converged when every entry of the [`RemainingError`] is below this: standard deviations of q for means, relative for standard
    /// deviations. 0: do exactly `max_iterations`.
    pub tolerance: f64,
    /// The effective number of iterates a stage needs at least.
    pub effective: f64,
    /// Steps in a batch at first. A stage has at least 16 batches.
    pub batch: u64,
    /// Fresh draws by which the gradient at the average is tested.
    pub check_draws: usize,
}

impl Default for Stopping {
    /// At most a million steps, 5 % of a standard deviation, 20 effective iterates, stages of at least 160 steps, a test by 2000 draws.
    fn default() -> Self {
        Stopping { max_iterations: 1_000_000, tolerance: 0.05, effective: 20.0, batch: 10, check_draws: 2000 }
    }
}

/// Everything of a run that changes; with it a resumed run goes on bit for bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct State<F> {
    seed: u64,
    step: u64,
    /// λ (parameters).
    pub parameters: Vec<f64>,
    optimizer: OptimizerState,
    memory: Memory,
    average: TailAverage,
    /// Factor of the step in this stage.
    scale: f64,
    /// What fresh draws say that the means of the answer may be off by; empty before.
    left: Vec<f64>,
    /// Ends that fresh draws refuted.
    refuted: u32,
    /// The share that noise has left of the steps and of their longest.
    calm: f64,
    /// Steps cut short at the last count.
    counted: u64,
    /// Steps, and those of them cut short, where the stage began.
    began: (u64, u64),
    /// The statistics of the completed stages' averages: the last one and the one before. Means are in the units of the parameters.
    completed: Vec<Assessment>,
    stages: usize,
    /// The parameters that are the answer, once the run has converged.
    answer: Option<Vec<f64>>,
    /// The estimate of the last step that had one.
    elbo: f64,
    /// Draws left out so far.
    pub skipped_draws: usize,
    skipped_steps: u64,
    /// The average of the last completed stage.
    stage_mean: Option<Vec<f64>>,
    #[serde(skip)]
    gradient: Vec<f64>,
    #[serde(skip)]
    moved: Vec<f64>,
    /// q(·; λ) as far as it is known; made anew where `parameters` are not its own.
    #[serde(skip)]
    q: Option<F>,
}

impl<F: Geometry> State<F> {
    pub(super) fn new<S: Source>(vi: &Vi<F>, source: &S, seed: u64) -> Result<Self> {
        let Stopping { tolerance, effective, check_draws, .. } = vi.stopping;
        if !(tolerance >= 0.0) {
            return Err(Error::config("tolerance", format!("{tolerance} given; it must be 0 or positive")));
        }
        if !(effective >= 0.0) {
            return Err(Error::config("effective", format!("{effective} given; it must be 0 or positive")));
        }
        if check_draws < BLOCKS {
            return Err(Error::config("check_draws", format!("{check_draws} given; at least {BLOCKS} are needed")));
        }
        let parameters = vi.start.parameters().to_vec();
        let mut state = State {
            seed,
            step: 0,
            optimizer: vi.optimizer.init(&parameters)?,
            memory: Memory::default(),
            average: TailAverage::new(parameters.len(), vi.stopping.batch),
            scale: 1.0,
            left: Vec::new(),
            refuted: 0,
            calm: 1.0,
            counted: 0,
            began: (0, 0),
            completed: Vec::new(),
            stages: 0,
            answer: None,
            elbo: f64::NAN,
            skipped_draws: 0,
            skipped_steps: 0,
            stage_mean: None,
            gradient: vec![0.0; parameters.len()],
            moved: Vec::new(),
            q: None,
            parameters,
        };
        state.try_start(vi, source)?;
        Ok(state)
    }

    /// Refuses a start from which no draw is usable.
    fn try_start<S: Source>(&mut self, vi: &Vi<F>, source: &S) -> Result<()> {
        let mut gradient = vec![0.0; self.parameters.len()];
        for attempt in 0.. {
            let mut rng = stream(self.seed, Purpose::Start, (1 << 32) + attempt);
            let mut memory = Memory::default();
            let found = vi.gradient.estimate(&vi.start, source.whole(), vi.draws, &mut memory, &mut rng, &mut gradient);
            match found {
                Ok(drawn) => {
                    self.elbo = drawn.elbo;
                    return Ok(());
                }
                Err(e) if attempt < TRIES && matches!(e.kind(), ErrorKind::NoUsableDraw { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    pub(super) fn advance<S: Source>(&mut self, vi: &Vi<F>, source: &S) -> Result<Step> {
        let mut q = self.q.take().unwrap_or_else(|| vi.start.clone());
        if q.parameters() != self.parameters {
            q.assign(&self.parameters)?;
        }
        let mut gradient = std::mem::take(&mut self.gradient);
        gradient.resize(self.parameters.len(), 0.0);
        let before = self.elbo;
        let mut rng = stream(self.seed, Purpose::Noise, if planted("steps_share_stream") { 0 } else { self.step });
        let (mut drawn, memory) = (None, &mut self.memory);
        let estimated = source.target(self.seed, self.step, &mut |target| {
            drawn = Some(vi.gradient.estimate(&q, target, vi.draws, memory, &mut rng, &mut gradient)?);
            Ok(())
        });
        self.step += 1;
        match (estimated, drawn) {
            (Ok(()), Some(drawn)) => {
                self.skipped_draws += drawn.skipped;
                if drawn.elbo.is_finite() {
                    self.elbo = drawn.elbo;
                }
                self.moved.clone_from(&self.parameters);
                let moved = vi.optimizer.step(&mut self.optimizer, &q, (self.scale, self.calm), &mut gradient, &mut self.moved);
                // a scale that over- or underflows is no q: the step is left out
                if moved && q.assign(&self.moved).is_ok() {
                    std::mem::swap(&mut self.parameters, &mut self.moved);
                } else {
                    self.skipped_steps += 1;
                }
            }
            (Err(e), _) if matches!(e.kind(), ErrorKind::NoUsableDraw { .. }) => {
                self.skipped_steps += 1;
                self.skipped_draws += vi.draws;
            }
            (Err(e), _) => return Err(e),
            (Ok(()), None) => {}
        }
        self.gradient = gradient;
        self.q = Some(q);
        self.shorten_noisy_steps(vi);
        // the copy that is averaged; the optimizer remembers the iterates as they are
        self.moved.clone_from(&self.parameters);
        // a start, or a mean that was refuted, may be far from where the stage ends: there the last batch is the reference
        let last = self.average.tail().last();
        let reference = if self.completed.is_empty() { last.or(self.stage_mean.as_ref()) } else { self.stage_mean.as_ref() };
        vi.start.align(reference.map_or(vi.start.parameters(), Vec::as_slice), &mut self.moved);
        let completed = self.average.push(&self.moved) && LOOKS.contains(&self.average.batches());
        let still = planted("stop_on_one_elbo") && (self.elbo - before).abs() <= 0.01 * before.abs();
        let converged = completed && self.look(vi, source)? || still;
        Ok(Step { objective: self.elbo, converged, repairs: Vec::new() })
    }

    /// The average of a stage that begins: its batches are twice as long after every end that fresh draws refuted.
    fn stage_average(&self, vi: &Vi<F>) -> TailAverage {
        TailAverage::new(self.parameters.len(), vi.stopping.batch << self.refuted.min(LONGEST_BATCH))
    }

    /// Shortens the steps where most of the last ones had to be cut short.
    fn shorten_noisy_steps(&mut self, vi: &Vi<F>) {
        if !self.step.is_multiple_of(WATCHED) {
            return;
        }
        let cut = self.optimizer.cut - self.counted;
        self.counted = self.optimizer.cut;
        if 2 * cut > WATCHED && self.calm > CALMEST && vi.stopping.tolerance > 0.0 {
            self.calm *= SHRINK;
            self.average = self.stage_average(vi);
            self.began = (self.step, self.counted);
            // the displacements of two stages are compared by the steps they had
            self.completed.clear();
        }
    }

    /// Whether the run is over, having looked at the batches of the stage.
    fn look<S: Source>(&mut self, vi: &Vi<F>, source: &S) -> Result<bool> {
        let tolerance = vi.stopping.tolerance;
        let Some(mut mean) = self.average.mean() else { return Ok(false) };
        let q = vi.start.with_parameters(&mean)?;
        let Some(found) = self.assess_tail(vi)? else { return Ok(false) };
        if tolerance == 0.0 || !self.is_over(vi, &q, &found) {
            return Ok(false);
        }
        self.stages += 1;
        self.completed.push(found);
        if self.completed.len() > 2 {
            self.completed.remove(0);
        }
        let (steps, cut) = (self.step - self.began.0, self.optimizer.cut - self.began.1);
        self.began = (self.step, self.optimizer.cut);
        self.optimizer.hold();
        self.scale *= SHRINK;
        self.average = self.stage_average(vi);
        // in the gauge of what the optimizer remembers
        vi.start.align(&self.parameters, &mut mean);
        self.parameters.clone_from(&mean);
        self.stage_mean = Some(mean);
        if self.remaining(vi)?.largest() > tolerance || cut as f64 > CUT * steps as f64 {
            return Ok(false);
        }
        let seed = stream(self.seed, Purpose::Diagnosis, self.step).next_u64();
        let upheld = match look(vi, &q, source.whole(), &self.memory, seed)? {
            Look::Upheld(left) => {
                self.left = left;
                self.remaining(vi)?.largest() <= tolerance
            }
            Look::Refuted => false,
        };
        if !upheld {
            // the windows were wrong: the way is longer than they were
            self.scale = 1.0;
            self.completed.clear();
            self.left.clear();
            self.refuted += 1;
            self.average = self.stage_average(vi);
            return Ok(false);
        }
        self.answer.clone_from(&self.stage_mean);
        Ok(true)
    }

    /// Assesses means and logarithms of standard deviations of the batch means of the tail.
    fn assess_tail(&self, vi: &Vi<F>) -> Result<Option<Assessment>> {
        let mut statistics = Vec::with_capacity(self.average.tail().len());
        for batch in self.average.tail() {
            let q = vi.start.with_parameters(batch)?;
            statistics.push(q.mean().into_iter().chain(q.standard_deviations().mapv(f64::ln)).collect());
        }
        Ok(assess(&statistics))
    }

    /// Whether the stage is stationary and its average known well enough.
    fn is_over(&self, vi: &Vi<F>, q: &F, found: &Assessment) -> bool {
        let Stopping { tolerance, effective, .. } = vi.stopping;
        let units: Vec<f64> = q.standard_deviations().into_iter().chain(std::iter::repeat_n(1.0, q.dim())).collect();
        // the bias of this stage is that of the last one times SHRINK
        let displaced = match self.completed.as_slice() {
            [before, last] => (0..units.len()).any(|i| SHRINK * bias(before, last, i) > 0.5 * tolerance * units[i]),
            _ => true,
        };
        let share = match displaced {
            true if self.stages == 0 => FIRST_SHARE,
            true => EARLY_SHARE,
            false => SHARE,
        };
        let small = |errors: &[f64]| errors.iter().zip(&units).all(|(e, u)| *e <= share * tolerance * u);
        if !(small(&found.std_err) && small(&found.drift)) {
            return false;
        }
        let (Some(variance), Some(parameters)) = (self.average.variance(), assess(self.average.tail())) else { return false };
        // effective number of iterates: Var(λ) / Var(mean of λ); a gradient without noise leaves no variance
        let known = |v: f64, e: f64, m: f64| v / (e * e) >= effective || e <= SHARE * SHARE * tolerance * (1.0 + m.abs());
        variance.iter().zip(&parameters.std_err).zip(&parameters.mean).all(|((v, e), m)| known(*v, *e, *m))
    }

    /// The error left by the completed stages: the displacement that the last step still makes, and the errors of both averages.
    pub(super) fn remaining(&self, vi: &Vi<F>) -> Result<RemainingError> {
        let d = vi.start.dim();
        let ([before, last], Some(mean)) = (self.completed.as_slice(), &self.stage_mean) else {
            return Ok(RemainingError::unknown(d));
        };
        let units = vi.start.with_parameters(mean)?.standard_deviations();
        let half_width = |i: usize| {
            let of_bias = last.std_err[i].hypot(before.std_err[i]) * SHRINK / (1.0 - SHRINK);
            bias(before, last, i) + QUANTILE * (last.std_err[i] + of_bias) + last.drift[i]
        };
        let least = FINEST * vi.stopping.tolerance;
        let left = |i: usize| self.left.get(i).copied().unwrap_or(0.0);
        let mean = (0..d).map(|i| (half_width(i) / units[i]).max(least).max(left(i))).collect();
        Ok(RemainingError { mean, log_sd: (d..2 * d).map(|i| half_width(i).max(least)).collect() })
    }

    /// The parameters that are the answer so far: the average of the run, of the stage once it is long enough, of the stage before.
    pub(super) fn average(&self) -> Vec<f64> {
        if planted("last_iterate") {
            return self.parameters.clone();
        }
        let stage = || self.average.mean();
        let long_enough = self.average.batches() >= LOOKS[0];
        let answer = self.answer.clone().or_else(|| if long_enough { stage() } else { None });
        answer.or_else(|| self.stage_mean.clone()).or_else(stage).unwrap_or_else(|| self.parameters.clone())
    }

    /// Stages completed.
    pub fn stages(&self) -> usize {
        self.stages
    }

    /// Steps left out.
    pub fn skipped_steps(&self) -> u64 {
        self.skipped_steps
    }
}

/// The displacement of statistic i by the step of the last stage: b(ρ) ∝ ρ, so that b(SHRINK ρ) = |difference| SHRINK/(1 − SHRINK).
fn bias(before: &Assessment, last: &Assessment, i: usize) -> f64 {
    (last.mean[i] - before.mean[i]).abs() * SHRINK / (1.0 - SHRINK)
}
