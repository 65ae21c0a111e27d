//! Discrete local latents: a categorical factor for each datum.

use super::bound::weighted_sum;
use super::coordinate_ascent::check_stopping;
use lvm_core::fit::{Algorithm, Fitted, Step, Stopping, run, unwatched};
use lvm_core::gmm::GaussianMixture;
use lvm_core::model::{LatentDist, LatentModel};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, total_weight};
use lvm_core::special::log_sum_exp;
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array1, Array2, ArrayView1, Axis};
use rand::{Rng, RngExt};

/// A model whose latent is one of K.
pub trait DiscreteModel: LatentModel<Z = Array1<usize>> {
    /// K.
    fn components(&self) -> usize;
}

impl DiscreteModel for GaussianMixture {
    fn components(&self) -> usize {
        self.weights().len()
    }
}

/// q(z_n = k) of N rows, in logarithms.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalCategorical {
    log_probabilities: Array2<f64>,
}

impl LocalCategorical {
    /// softmax of each row of `logits` (N, K).
    ///
    /// # Errors
    /// If a logit is NaN or +∞, or all of a row are −∞.
    pub fn from_logits(mut logits: Array2<f64>) -> Result<Self> {
        for (n, mut row) in logits.rows_mut().into_iter().enumerate() {
            let total = log_sum_exp(row.view());
            if !total.is_finite() {
                return Err(Error::config("logits", format!("row {n} (from 0) has the sum of exponentials e^{total}; no distribution")));
            }
            row -= total;
        }
        Ok(LocalCategorical { log_probabilities: logits })
    }

    /// log q(z_n = k) (N, K).
    pub fn log_probabilities(&self) -> &Array2<f64> {
        &self.log_probabilities
    }

    /// q(z_n = k) (N, K).
    pub fn probabilities(&self) -> Array2<f64> {
        self.log_probabilities.mapv(f64::exp)
    }

    /// Σ_k q_nk (log p(x_n, k) − log q_nk) of each row in nats; (N).
    ///
    /// # Errors
    /// If the data does not fit.
    pub fn elbo_rows<M: DiscreteModel>(&self, model: &M, x: &dyn RowSource) -> Result<Array1<f64>> {
        let log_joint = log_joints(model, x)?;
        if log_joint.dim() != self.log_probabilities.dim() {
            let (expected, found) = (log_joint.nrows(), self.log_probabilities.nrows());
            return Err(ErrorKind::Shape { what: "number of rows of q", expected, found }.into());
        }
        Ok(elbos(&log_joint, &self.log_probabilities))
    }

    /// KL(q_n ‖ p_n) to categoricals with log probabilities `log_p` (N, K), in nats; (N).
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn kl(&self, log_p: &Array2<f64>) -> Result<Array1<f64>> {
        if log_p.dim() != self.log_probabilities.dim() {
            return Err(
                ErrorKind::Shape { what: "number of probabilities", expected: self.log_probabilities.len(), found: log_p.len() }.into()
            );
        }
        Ok(-elbos(log_p, &self.log_probabilities))
    }
}

impl LatentDist for LocalCategorical {
    type Z = Array1<usize>;

    fn sample(&self, rng: &mut dyn Rng) -> Array1<usize> {
        self.log_probabilities.map_axis(Axis(1), |row| draw(row, rng))
    }

    fn log_prob(&self, z: &Array1<usize>) -> Result<Array1<f64>> {
        let (n, k) = self.log_probabilities.dim();
        if z.len() != n {
            return Err(ErrorKind::Shape { what: "number of latents", expected: n, found: z.len() }.into());
        }
        if let Some((row, z)) = z.iter().enumerate().find(|(_, z)| **z >= k) {
            return Err(Error::config("z", format!("component {z} in row {row}; there are {k} components, from 0")));
        }
        Ok(z.iter().enumerate().map(|(n, &k)| self.log_probabilities[[n, k]]).collect())
    }

    fn mode(&self) -> Array1<usize> {
        let largest = |row: ArrayView1<'_, f64>| {
            row.iter().enumerate().fold((0, f64::NEG_INFINITY), |best, (k, &v)| if v > best.1 { (k, v) } else { best }).0
        };
        self.log_probabilities.map_axis(Axis(1), largest)
    }
}

/// One step of coordinate ascent on categorical factors, which is the whole way: q_nk ∝ p(x_n, z_n = k), the exact responsibilities.
///
/// ```
/// use lvm_core::{gmm::{Covariances, GaussianMixture}, model::Evidence};
/// use ndarray::array;
/// let mixture = GaussianMixture::new(array![0.5, 0.5], array![[-2.0], [2.0]], Covariances::Spherical(array![1.0, 1.0]))?;
/// let x = array![[0.5]];
/// let q = lvm_vi::local::coordinate_ascent_step(&mixture, &x)?;
/// assert!((q.probabilities()[[0, 1]] - 1.0 / (1.0 + (-2.0_f64).exp())).abs() < 1e-15);
/// assert!((q.elbo_rows(&mixture, &x)?[0] - mixture.log_evidence(&x)?[0]).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If the data is unusable, or all joint densities of a row underflow.
pub fn coordinate_ascent_step<M: DiscreteModel>(model: &M, x: &dyn RowSource) -> Result<LocalCategorical> {
    LocalCategorical::from_logits(log_joints(model, x)?)
}

/// Categorical factors by ascent along score-function gradients with leave-one-out baselines, which asks of a model nothing but log p(x, z).
///
/// *Objective*: mean ELBO per row over logits φ (N, K), q_n = softmax(φ_n).
///
/// *Update*, from S draws k_s ~ q_n with f_s = log p(x_n, k_s) − log q_n(k_s) (Kool, van Hoof & Welling 2019):
/// ```text
/// φ_n ← φ_n + ρ · 1/(S − 1) Σ_s (f_s − f̄) (e_{k_s} − q_n),      every entry of the step held within ±1
/// ```
/// At the optimum f is the same for every k, so the estimate has no variance there and a constant ρ converges. Components of
/// probability q_k are drawn S q_k times a step, so the last ones to settle are the improbable ones.
///
/// *Needs* S ≥ 2. O(N S) draws a step, and K evaluations of the joint once.
///
/// *When it fails*: a component that no draw has met for long can be lost (its logit too low to be drawn again); the bounded step is what
/// prevents it from uniform starts. [`coordinate_ascent_step`] is exact; this is the method for models where K sums are too many.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreFunctionAscent {
    /// S, draws a row and step.
    pub draws: usize,
    /// ρ.
    pub step_size: f64,
    /// Steps to take, exactly if `tolerance` is 0; else until the objective changes by less in one step.
    pub stopping: Stopping,
}

impl Default for ScoreFunctionAscent {
    /// 16 draws, step size 1, exactly 500 steps.
    fn default() -> Self {
        ScoreFunctionAscent { draws: 16, step_size: 1.0, stopping: Stopping { max_iterations: 500, tolerance: 0.0 } }
    }
}

impl ScoreFunctionAscent {
    /// The categorical factors, from equal probabilities. `trace` holds the exact mean ELBO after each step.
    ///
    /// # Errors
    /// If the data is unusable, or a setting is out of range.
    pub fn fit<M: DiscreteModel>(&self, model: &M, x: &dyn RowSource, seed: u64) -> Result<Fitted<LocalCategorical>> {
        if self.draws < 2 {
            return Err(Error::config("draws", format!("{}; leaving one out needs at least 2", self.draws)));
        }
        if !(self.step_size > 0.0 && self.step_size.is_finite()) {
            return Err(Error::config("step_size", format!("{}; it must be positive and finite", self.step_size)));
        }
        check_stopping(self.stopping)?;
        run(&Run { config: self, model }, x, self.stopping, seed, &mut unwatched)
    }
}

struct Run<'a, M> {
    config: &'a ScoreFunctionAscent,
    model: &'a M,
}

struct State {
    log_joint: Array2<f64>,
    logits: Array2<f64>,
    step: u64,
    seed: u64,
}

impl<M: DiscreteModel> Algorithm<dyn RowSource + '_> for Run<'_, M> {
    type State = State;
    type Output = LocalCategorical;

    fn init(&self, x: &(dyn RowSource + '_), seed: u64) -> Result<State> {
        let log_joint = log_joints(self.model, x)?;
        let logits = Array2::from_elem(log_joint.dim(), -(log_joint.ncols() as f64).ln());
        Ok(State { log_joint, logits, step: 0, seed })
    }

    fn step(&self, state: &mut State, x: &(dyn RowSource + '_)) -> Result<Step> {
        let mut rng = stream(state.seed, Purpose::Noise, state.step);
        state.step += 1;
        let s = self.config.draws;
        let mut labels = vec![0; s];
        let mut f = vec![0.0; s];
        for (mut logits, log_joint) in state.logits.rows_mut().into_iter().zip(state.log_joint.rows()) {
            for (k, f) in labels.iter_mut().zip(&mut f) {
                *k = draw(logits.view(), &mut rng);
                *f = (log_joint[*k] - logits[*k]).max(f64::MIN);
            }
            let mean = f.iter().sum::<f64>() / s as f64;
            // Σ_s (f_s − f̄) = 0, so that −q_n drops out of the sum
            let mut gradient = Array1::<f64>::zeros(logits.len());
            labels.iter().zip(&f).for_each(|(&k, f)| gradient[k] += (f - mean) / (s - 1) as f64);
            logits.zip_mut_with(&gradient, |l, g| *l += (self.config.step_size * g).clamp(-1.0, 1.0));
            let total = log_sum_exp(logits.view());
            logits -= total;
        }
        let objective = weighted_sum(&elbos(&state.log_joint, &state.logits), x) / total_weight(x);
        Ok(Step { objective, converged: false, repairs: Vec::new() })
    }

    fn finish(&self, state: State) -> Result<LocalCategorical> {
        LocalCategorical::from_logits(state.logits)
    }
}

/// log p(x_n, z_n = k) (N, K).
fn log_joints<M: DiscreteModel>(model: &M, x: &dyn RowSource) -> Result<Array2<f64>> {
    let mut table = Array2::zeros((x.n_rows(), model.components()));
    for (k, mut column) in table.columns_mut().into_iter().enumerate() {
        column.assign(&model.log_joint(x, &Array1::from_elem(x.n_rows(), k))?);
    }
    Ok(table)
}

/// Σ_k q_k (a_k − log q_k) of each row.
fn elbos(a: &Array2<f64>, log_q: &Array2<f64>) -> Array1<f64> {
    // q log q → 0 as q → 0
    let term = |(a, l): (&f64, &f64)| if *l == f64::NEG_INFINITY { 0.0 } else { l.exp() * (a - l) };
    a.rows().into_iter().zip(log_q.rows()).map(|(a, l)| a.iter().zip(l).map(term).sum()).collect()
}

/// The index at which the running sum of probabilities passes a uniform number; the last above zero if rounding keeps the sum below.
fn draw(log_probabilities: ArrayView1<'_, f64>, rng: &mut (impl Rng + ?Sized)) -> usize {
    let u: f64 = rng.random();
    let (mut sum, mut last) = (0.0, 0);
    for (k, p) in log_probabilities.iter().map(|l| l.exp()).enumerate().filter(|(_, p)| *p > 0.0) {
        last = k;
        sum += p;
        if u < sum {
            break;
        }
    }
    last
}
