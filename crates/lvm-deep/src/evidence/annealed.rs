//! Annealed importance sampling, and the check from both sides on data the model made itself.

use super::bound_of;
use super::hamiltonian::{Chains, Ends, Trajectory};
use super::importance_weighted::{LogSum, Moments, at_least_one};
use super::memory::EvaluationMemory;
use super::row_noise::{ROWS, RowNoise};
use crate::data::Batch;
use crate::error::{Error, ErrorKind, Result, guard};
use crate::posterior::Spread;
use crate::tensor::to_values;
use crate::vae::Vae;
use lvm_core::bound::{Bound, Estimate};
use lvm_core::mutant::planted;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Where the path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// At p(z), with β_t a sigmoid in t: small steps near both ends (Wu et al. 2017).
    Prior,
    /// At q(z | x), with β_t = t/T: where the encoder is good, a tenth of the temperatures is enough. Where q is much narrower than the
    /// posterior, fewer than it seems: weights have heavy tails at the start.
    #[default]
    Posterior,
}

/// Annealed importance sampling of p(x) with Hamiltonian transitions.
///
/// ```text
/// f_t(z) = f₀(z)^{1−β_t} p(x, z)^{β_t},   0 = β₀ < … < β_T = 1
/// z₀ ~ f₀;   w = Π_{t=1…T} f_t(z_{t−1})/f_{t−1}(z_{t−1}),   z_t by a transition that leaves f_t invariant;   E[w] = p(x)
/// ```
///
/// Each chain's log w is on average below log p(x), as is the logarithm of the mean weight of several chains; both rise to it as T grows.
///
/// Steps are tuned first, by pilot chains that run the same path and adapt log ε of each row and temperature towards the acceptance asked
/// for, and are then held fixed: chains that adapt while they are weighted would not leave f_t invariant, and E\[w\] = p(x) would be lost.
/// Nor is the reverse run valid unless its transitions are those of the forward run.
///
/// Neal 2001; Wu, Burda, Salakhutdinov & Grosse 2017. Fails where modes are far apart: chains stay in the mode where they started,
/// and the bound is too low with a small standard error. The [`sandwich`](Self::sandwich) on simulated data shows it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Annealed {
    /// T, the steps of β.
    pub temperatures: usize,
    /// f₀.
    pub path: Path,
    /// Chains of every row.
    pub chains: usize,
    /// Chains of every row that tune the steps first.
    pub pilots: usize,
    /// Leapfrogs of a transition.
    pub leapfrogs: usize,
    /// Acceptance probability aimed at.
    pub acceptance: f64,
    /// What may be held at once.
    pub memory: EvaluationMemory,
}

impl Default for Annealed {
    fn default() -> Self {
        Annealed {
            temperatures: 100,
            path: Path::default(),
            chains: 16,
            pilots: 4,
            leapfrogs: 10,
            acceptance: 0.65,
            memory: EvaluationMemory::default(),
        }
    }
}

/// What annealing says of every row.
#[derive(Debug, Clone)]
pub struct AnnealedEvidence {
    /// log of the mean weight of the chains; standard error of the delta method, as in importance sampling.
    pub bound: Bound,
    /// The mean of the chains' log w: a lower bound of log p(x) in expectation, with a standard error that can be trusted.
    pub lower: Bound,
    /// log w of every chain; (M, N).
    pub log_weights: Array2<f64>,
    /// (Σ w)²/Σ w² of every row's chains.
    pub effective_chains: Vec<f64>,
    /// Mean acceptance probability of every row's transitions.
    pub acceptance: Vec<f64>,
}

/// Bounds of log p(x) from both sides.
#[derive(Debug, Clone)]
pub struct Sandwich {
    /// From below, by chains from f₀.
    pub lower: AnnealedEvidence,
    /// From above: −log of the mean of 1/w over reverse chains, from a draw of p(z | x).
    pub upper: Bound,
}

/// Pilot steps begin at this many scales.
const FIRST_STEP: f64 = 0.3;
/// How fast log ε follows the acceptance.
const ADAPTATION: f64 = 0.2;

impl Annealed {
    /// log p(x) of every row.
    ///
    /// Cost: (pilots + chains) · T · leapfrogs gradients of the decoder a row.
    ///
    /// # Errors
    /// If a setting is outside its range, the latent is discrete, [`Path::Posterior`] meets a q that has no density at given z, the rows do
    /// not fit the model, or a log weight is NaN.
    pub fn evaluate(&self, vae: &Vae, batch: &Batch, seed: u64) -> Result<AnnealedEvidence> {
        Ok(self.over_rows(vae, batch, None, seed)?.0)
    }

    /// Bounds of log p(x) from both sides (bidirectional Monte Carlo), on rows x that were drawn from the model together with latents
    /// z (N, L): z is then an exact draw from p(z | x), and reverse annealing from it gives E[1/w] = 1/p(x). Grosse, Ghahramani & Adams 2015.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), and if z does not fit.
    pub fn sandwich(&self, vae: &Vae, batch: &Batch, z: &Tensor, seed: u64) -> Result<Sandwich> {
        if z.size() != [batch.n_rows(), vae.latents()] {
            let message = format!("have shape {:?}; ({}, {}) is needed", z.size(), batch.n_rows(), vae.latents());
            return Err(Error::config("latents", message));
        }
        let (lower, upper) = self.over_rows(vae, batch, Some(z), seed)?;
        Ok(Sandwich { lower, upper: bound_of(upper, batch, self.chains) })
    }

    /// β_t, t = 0 … T.
    fn betas(&self) -> Vec<f64> {
        let t_max = self.temperatures as f64;
        let linear = (0..=self.temperatures).map(|t| t as f64 / t_max);
        match self.path {
            _ if planted("vae_temperatures_reversed") => linear.map(|u| 1.0 - u).collect(),
            Path::Posterior => linear.collect(),
            Path::Prior => {
                // σ(4 (2t/T − 1)), moved and stretched to [0, 1]
                let sigmoid = |u: f64| 1.0 / (1.0 + (-4.0 * (2.0 * u - 1.0)).exp());
                let (low, high) = (sigmoid(0.0), sigmoid(1.0));
                linear.map(|u| (sigmoid(u) - low) / (high - low)).collect()
            }
        }
    }

    fn check(&self, vae: &Vae, batch: &Batch) -> Result<()> {
        vae.check(batch)?;
        at_least_one("temperatures", self.temperatures)?;
        at_least_one("chains", self.chains)?;
        at_least_one("pilots", self.pilots)?;
        at_least_one("leapfrogs", self.leapfrogs)?;
        if !(self.acceptance > 0.0 && self.acceptance < 1.0) {
            return Err(Error::config("acceptance", format!("is {}; it must be between 0 and 1", self.acceptance)));
        }
        Ok(())
    }

    fn over_rows(&self, vae: &Vae, batch: &Batch, exact: Option<&Tensor>, seed: u64) -> Result<(AnnealedEvidence, Vec<Estimate>)> {
        self.check(vae, batch)?;
        guard("annealing", || {
            let _no_grad = tch::no_grad_guard();
            let points = self.memory.points(vae, true);
            let group = (points / (self.chains as i64 * ROWS)).max(1) * ROWS;
            let (n, mut weights, mut upper, mut acceptance) = (batch.n_rows(), Vec::new(), Vec::new(), Vec::new());
            for first in (0..n).step_by(group as usize) {
                let rows = batch.narrow(first, group.min(n - first));
                let run = Run::new(self, vae, &rows, points, seed, first)?;
                let (log_w, accepted) = run.forward()?;
                weights.push(log_w);
                acceptance.extend(to_values(&accepted));
                if let Some(z) = exact {
                    let log_w = run.reverse(&z.narrow(0, first, rows.n_rows()))?;
                    upper.extend(columns(&log_w).iter().map(|w| upper_estimate(w)));
                }
            }
            let log_w = Tensor::cat(&weights, 1);
            let by_row = columns(&log_w);
            for (row, w) in by_row.iter().enumerate() {
                if let Some(draw) = w.iter().position(|w| w.is_nan() || *w == f64::INFINITY) {
                    return Err(ErrorKind::LogWeight { row, draw, value: w[draw] }.into());
                }
            }
            let sums: Vec<LogSum> = by_row.iter().map(|w| log_sum(w)).collect();
            let evidence = AnnealedEvidence {
                bound: bound_of(sums.iter().map(LogSum::log_mean_estimate).collect(), batch, self.chains),
                lower: bound_of(by_row.iter().map(|w| mean(w)).collect(), batch, self.chains),
                log_weights: crate::tensor::to_matrix(&log_w)?,
                effective_chains: sums.iter().map(LogSum::effective).collect(),
                acceptance,
            };
            Ok((evidence, upper))
        })
    }
}

/// The columns of a matrix (M, N), one for each row of data.
fn columns(log_w: &Tensor) -> Vec<Vec<f64>> {
    let m = log_w.size()[0] as usize;
    let values = to_values(&log_w.tr());
    values.chunks(m.max(1)).map(<[f64]>::to_vec).collect()
}

fn log_sum(log_w: &[f64]) -> LogSum {
    let mut sum = LogSum::default();
    log_w.iter().for_each(|w| sum.add(*w));
    sum
}

fn mean(log_w: &[f64]) -> Estimate {
    let mut moments = Moments::default();
    log_w.iter().for_each(|w| moments.add(*w));
    moments.estimate()
}

/// −log (1/M) Σ 1/w.
fn upper_estimate(log_w: &[f64]) -> Estimate {
    let inverse = log_sum(&log_w.iter().map(|w| -w).collect::<Vec<_>>()).log_mean_estimate();
    Estimate { mean: -inverse.mean, ..inverse }
}

/// Numbers of the three kinds of draws, so that none shares a stream with another.
const PILOT: i64 = 0;
const FORWARD: i64 = 1;
const REVERSE: i64 = 2;

/// Annealing of a group of rows, with tuned steps.
struct Run<'a> {
    settings: &'a Annealed,
    ends: Ends<'a>,
    betas: Vec<f64>,
    /// ε of each temperature 1 … T − 1 and row, (N) each.
    steps: Vec<Tensor>,
    /// (N, L).
    scale: Tensor,
    features: Tensor,
    seed: u64,
    first: i64,
}

impl<'a> Run<'a> {
    fn new(settings: &'a Annealed, vae: &'a Vae, batch: &'a Batch, points: i64, seed: u64, first: i64) -> Result<Self> {
        let features = vae.parts.encoder.features(batch);
        let q = vae.parts.family.at(&features).detach();
        if q.probabilities().is_some() {
            return Err(Error::config("posterior", "is discrete: log p(x) is had by summation, not by annealing"));
        }
        let mode = q.mode();
        let (scale, posterior) = match settings.path {
            Path::Prior => (mode.ones_like(), None),
            Path::Posterior => {
                if q.log_prob(&mode.unsqueeze(0)).is_none() {
                    return Err(Error::config("path", "begins at q, which has no density at given z here: begin at the prior"));
                }
                let scale = match q.gaussian().map(|g| g.spread) {
                    Some(Spread::Diagonal(log_variance)) => (log_variance * 0.5).exp(),
                    // the standard deviation of each latent: the length of its row of the factor
                    Some(Spread::Cholesky(factor)) => factor.square().sum_dim_intlist([-1].as_slice(), false, None).sqrt(),
                    None => mode.ones_like(),
                };
                (scale, Some(q))
            }
        };
        let ends = Ends { vae, batch, posterior, points };
        let mut run = Run { settings, ends, betas: settings.betas(), steps: Vec::new(), scale, features, seed, first };
        run.tune()?;
        Ok(run)
    }

    fn noise(&self, index: i64) -> RowNoise {
        let x = &self.ends.batch.x;
        RowNoise::new(self.seed, self.first, x.size()[0], index, x.kind(), x.device())
    }

    /// z₀ ~ f₀ (M, N, L).
    fn start(&self, m: usize, noise: &mut RowNoise) -> Result<Chains> {
        let z = match &self.ends.posterior {
            Some(_) => noise.posterior(self.ends.vae, &self.features, m as i64).z,
            None => noise.prior(self.ends.vae, m as i64),
        };
        self.ends.at(&z)
    }

    fn trajectory<'b>(&'b self, t: usize, step: &'b Tensor) -> Trajectory<'b> {
        Trajectory { beta: self.betas[t], step, scale: &self.scale, leapfrogs: self.settings.leapfrogs }
    }

    /// Steps of every temperature by pilot chains that adapt as they go.
    fn tune(&mut self) -> Result<()> {
        let mut noise = self.noise(PILOT);
        let mut chains = self.start(self.settings.pilots, &mut noise)?;
        let mut log_step = chains.log_joint.select(0, 0).zeros_like() + FIRST_STEP.ln();
        for t in 1..self.settings.temperatures {
            let step = log_step.exp();
            let (moved, accepted) = self.trajectory(t, &step).run(&self.ends, chains, &mut noise)?;
            chains = moved;
            self.steps.push(step);
            log_step += (accepted.mean_dim([0].as_slice(), false, None) - self.settings.acceptance) * ADAPTATION;
        }
        Ok(())
    }

    /// log w (M, N) of chains from f₀, and the mean acceptance (N).
    fn forward(&self) -> Result<(Tensor, Tensor)> {
        let mut noise = self.noise(FORWARD);
        let mut chains = self.start(self.settings.chains, &mut noise)?;
        let mut log_w = chains.difference() * self.betas[1];
        let mut acceptance = log_w.select(0, 0).zeros_like();
        for t in 1..self.settings.temperatures {
            let (moved, accepted) = self.trajectory(t, &self.steps[t - 1]).run(&self.ends, chains, &mut noise)?;
            chains = moved;
            // log f_{t+1}(z_t) − log f_t(z_t)
            log_w += chains.difference() * (self.betas[t + 1] - self.betas[t]);
            acceptance += accepted.mean_dim([0].as_slice(), false, Kind::Double);
        }
        let transitions = (self.settings.temperatures - 1).max(1) as f64;
        Ok((log_w, acceptance / transitions))
    }

    /// log w (M, N) of the same path run backwards, from z (N, L) ~ p(z | x).
    fn reverse(&self, z: &Tensor) -> Result<Tensor> {
        let mut noise = self.noise(REVERSE);
        let m = self.settings.chains as i64;
        let mut chains = self.ends.at(&z.unsqueeze(0).expand([m, -1, -1], false).contiguous())?;
        let last = self.settings.temperatures;
        let mut log_w = chains.difference() * (self.betas[last] - self.betas[last - 1]);
        for t in (1..last).rev() {
            chains = self.trajectory(t, &self.steps[t - 1]).run(&self.ends, chains, &mut noise)?.0;
            log_w += chains.difference() * (self.betas[t] - self.betas[t - 1]);
        }
        Ok(log_w)
    }
}
