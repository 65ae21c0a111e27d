//! Training: minibatches, steps, a record of every epoch, and a state from which a run goes on exactly.

mod deferred;
mod direct;
pub mod record;
pub mod sample_average;
pub mod state;

pub use record::{Epoch, Sums};
pub use sample_average::{Ascended, Nodes, SampleAverage};
pub use state::State;

use crate::data::{Batch, Dataset};
use crate::error::{Error, Result, guard};
use crate::noise::Noise;
use crate::objective::Objective;
use crate::optimizer::adam::square_norm;
use crate::optimizer::{Adam, Schedule};
use crate::vae::Vae;
use deferred::Deferred;
use direct::Direct;
use lvm_core::fit::Status;
use lvm_core::random::{Purpose, stream};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use tch::{Device, Kind, Tensor};

/// How a [`Vae`] is trained.
///
/// ```
/// use lvm_deep::{Kind, architecture::Architecture, data::Dataset, train::Training, vae::Vae};
/// use ndarray::Array2;
/// let x = Array2::from_shape_fn((64, 3), |(i, j)| ((i * (j + 1)) as f64 * 0.37).sin());
/// let data = Dataset::new(&x, Kind::Float, tch::Device::Cpu)?;
/// let vae = Vae::new(Architecture::mlp(3, 1, &[8]), &data, 7)?;
/// let trained = Training { epochs: 5, batch_size: 16, ..Training::default() }.fit(vae, &data, None, 7)?;
/// assert_eq!(trained.epochs.len(), 5);
/// assert!(trained.epochs[4].train.bound > trained.epochs[0].train.bound);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Training {
    /// What is maximised.
    pub objective: Objective,
    /// Passes over the data at most.
    pub epochs: usize,
    /// Rows a step; the last batch of an epoch may be shorter.
    pub batch_size: usize,
    /// Of every epoch.
    pub learning_rate: Schedule,
    /// The step.
    pub adam: Adam,
    /// Gradients longer than this are shortened to it; `None`: never.
    pub clip_norm: Option<f64>,
    /// Epochs over which the weight of the KL term rises from 0 to 1; 0: it is 1 throughout.
    pub warm_up: usize,
    /// Stop when the held-out bound ([`Objective::compared`]) has not risen for so many epochs; `None`: never. Where rows are held out, the model
    /// is that of the best epoch in any case.
    pub patience: Option<usize>,
    /// Draws a row for the held-out bound; where it is importance-weighted, values of k draws each, which are averaged.
    pub held_out_draws: i64,
}

impl Default for Training {
    fn default() -> Self {
        Training {
            objective: Objective::default(),
            epochs: 100,
            batch_size: 128,
            learning_rate: Schedule::default(),
            adam: Adam::default(),
            clip_norm: None,
            warm_up: 0,
            patience: None,
            held_out_draws: 1,
        }
    }
}

/// What training ends with.
pub struct Trained {
    /// The model: where rows were held out, that of the best bound of them.
    pub vae: Vae,
    /// Every epoch.
    pub epochs: Vec<Epoch>,
    /// Why it ended.
    pub status: Status,
    /// Steps that were skipped because loss or gradient was not finite.
    pub skipped: u64,
}

/// How steps are taken; it follows from model and device alone.
enum Way {
    /// Written out by hand.
    Direct(Box<Direct>),
    /// Differentiated by libtorch, on the CPU.
    Tensors,
    /// Differentiated by libtorch, on a device that is not waited for.
    Deferred,
}

impl Way {
    fn of(training: &Training, state: &State, data: &Dataset) -> Self {
        match (Direct::of(training, state, data), data.rows.x.device()) {
            (Some(direct), _) => Way::Direct(Box::new(direct)),
            (None, Device::Cpu) => Way::Tensors,
            (None, _) => Way::Deferred,
        }
    }
}

impl Training {
    /// Trains to the end.
    ///
    /// # Errors
    /// As [`init`](Self::init) and [`run`](Self::run).
    pub fn fit(&self, vae: Vae, data: &Dataset, held_out: Option<&Dataset>, seed: u64) -> Result<Trained> {
        let mut state = self.init(vae, data, seed)?;
        let status = self.run(&mut state, data, held_out, &mut |_| ControlFlow::Continue(()))?;
        Ok(state.finish(status))
    }

    /// Checks the settings and makes the first state.
    ///
    /// # Errors
    /// If a setting is outside its range, a batch would be larger than the table, or the data does not fit the model.
    pub fn init(&self, vae: Vae, data: &Dataset, seed: u64) -> Result<State> {
        self.check(data)?;
        vae.check(&data.rows)?;
        Ok(State::new(vae, seed))
    }

    fn check(&self, data: &Dataset) -> Result<()> {
        self.objective.check()?;
        self.learning_rate.check()?;
        self.adam.check()?;
        if self.batch_size == 0 {
            return Err(Error::config("batch_size", "is 0; a step needs at least one row"));
        }
        if self.batch_size > data.n_rows() {
            let message = format!("is {}, but there are only {} rows: at most that many", self.batch_size, data.n_rows());
            return Err(Error::config("batch_size", message));
        }
        if self.held_out_draws < 1 {
            return Err(Error::config("held_out_draws", format!("is {}; at least 1 is needed", self.held_out_draws)));
        }
        if let Some(norm) = self.clip_norm.filter(|n| !(*n > 0.0)) {
            return Err(Error::config("clip_norm", format!("is {norm}; it must be positive")));
        }
        if self.patience == Some(0) {
            return Err(Error::config("patience", "is 0; at least one epoch must pass"));
        }
        Ok(())
    }

    /// Goes on from a state until all epochs are done, the held-out bound no longer rises, or `watch` says stop after an epoch.
    ///
    /// # Errors
    /// If the settings are unusable, if libtorch fails, or if a hundred steps in a row had to be skipped. The state stays as it was after
    /// the last whole step.
    pub fn run(
        &self,
        state: &mut State,
        data: &Dataset,
        held_out: Option<&Dataset>,
        watch: &mut dyn FnMut(&State) -> ControlFlow<()>,
    ) -> Result<Status> {
        self.check(data)?;
        if self.patience.is_some() && held_out.is_none() {
            return Err(Error::config("patience", "needs held-out rows to judge by"));
        }
        let mut way = Way::of(self, state, data);
        while state.epochs.len() < self.epochs {
            self.epoch(state, data, held_out, &mut way)?;
            if watch(state).is_break() {
                return Ok(Status::Cancelled);
            }
            if self.patience.is_some_and(|p| state.epochs_since_best() >= p) {
                return Ok(Status::Converged);
            }
        }
        Ok(Status::MaxIterations)
    }

    /// One epoch from where the state stands.
    fn epoch(&self, state: &mut State, data: &Dataset, held_out: Option<&Dataset>, way: &mut Way) -> Result<()> {
        let epoch = state.epochs.len();
        let rate = self.learning_rate.rate(epoch, self.epochs);
        let kl_weight = if self.warm_up == 0 { 1.0 } else { ((epoch + 1) as f64 / self.warm_up as f64).min(1.0) };
        let order = self.order(state.seed, epoch, data);
        if let Way::Direct(direct) = way {
            for numbers in order.chunks(self.batch_size) {
                guard("taking a training step", || direct.step(self, state, numbers, (rate, kl_weight), data))?;
            }
        } else {
            let mut deferred = matches!(way, Way::Deferred).then(|| Deferred::new(state));
            let index = Tensor::from_slice(&order).to_device(data.rows.x.device());
            let (n, batch_size) = (order.len() as i64, self.batch_size as i64);
            for start in (0..n).step_by(self.batch_size) {
                let rows = batch_size.min(n - start);
                let batch = if rows == n { data.rows.narrow(0, n) } else { data.rows.select(&index.narrow(0, start, rows)) };
                guard("taking a training step", || self.step(state, &batch, (rate, kl_weight), &mut deferred))?;
            }
            if let Some(deferred) = deferred {
                guard("taking a training step", || deferred.finish(state))?;
            }
        }
        let held_out = held_out.map(|rows| self.bound(state, rows)).transpose()?;
        state.close_epoch(&self.objective, rate, kl_weight, held_out);
        Ok(())
    }

    /// The rows of an epoch in the order in which they are visited. All rows at once need no shuffling.
    fn order(&self, seed: u64, epoch: usize, data: &Dataset) -> Vec<i64> {
        let mut order: Vec<i64> = (0..data.n_rows() as i64).collect();
        if self.batch_size < data.n_rows() {
            order.shuffle(&mut stream(seed, Purpose::Minibatch, epoch as u64));
        }
        order
    }

    /// One step on one batch, differentiated by libtorch.
    fn step(&self, state: &mut State, batch: &Batch, (rate, kl_weight): (f64, f64), deferred: &mut Option<Deferred>) -> Result<()> {
        let (kind, device) = (batch.x.kind(), batch.x.device());
        // a skipped step has used its noise: steps and skipped together count draws
        let mut noise = Noise::new(state.seed, Purpose::Noise, state.attempts, kind, device);
        let evaluation = self.objective.evaluate(&state.vae, batch, kl_weight, &mut noise)?;
        state.attempts += 1;
        // maximise Σ w_n L_n / Σ w_n
        let loss = match &batch.weights {
            Some(w) => -(&evaluation.surrogate * w).sum(None::<Kind>) / w.sum(None::<Kind>).clamp_min(1e-30),
            None => -evaluation.surrogate.mean(None::<Kind>),
        };
        // gradients as they come, instead of added to what lies at the parameters; undefined where the loss does not depend on one
        let trained: Vec<&Tensor> = state.vae.parameters.trained().map(|p| &p.value).collect();
        let gradients = Tensor::run_backward(&[loss], &trained, false, false);
        if let Some(deferred) = deferred {
            deferred.step(state, &evaluation, batch, &gradients, (&self.adam, rate, self.clip_norm));
            return Ok(());
        }
        let norm = square_norm(&gradients).sqrt();
        let sums = Sums::of(&evaluation, batch);
        if state.accept(&sums, norm)? {
            let scale = self.clip_norm.map_or(1.0, |limit| (limit / norm).min(1.0));
            self.adam.step(&state.vae.parameters, &gradients, &mut state.moments, rate, scale);
        }
        Ok(())
    }

    /// The bound that is trained ([`Objective::held_out`]), of rows by the model as it stands; the draws are the same every epoch.
    fn bound(&self, state: &State, data: &Dataset) -> Result<Sums> {
        guard("evaluating the held-out bound", || {
            let _no_grad = tch::no_grad_guard();
            let mut total = Sums::default();
            let n = data.rows.n_rows();
            let judge = self.objective.held_out(self.held_out_draws);
            // as many latents at once as in a step of training, or 256
            let (k, repeats) = if let Objective::Iwae(iwae) = judge { (iwae.draws, self.held_out_draws) } else { (1, 1) };
            let chunk = (self.batch_size as i64).max(256 / k);
            for start in (0..n).step_by(chunk as usize) {
                let batch = data.rows.narrow(start, chunk.min(n - start));
                let mut noise = Noise::new(state.seed, Purpose::Diagnosis, start as u64, batch.x.kind(), batch.x.device());
                for _ in 0..repeats {
                    total.add(&Sums::of(&judge.evaluate(&state.vae, &batch, 1.0, &mut noise)?, &batch), 0.0);
                }
            }
            Ok(total)
        })
    }
}
