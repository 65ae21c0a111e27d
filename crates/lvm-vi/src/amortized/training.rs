//! Training by minibatches: of an encoder for a known model, and of model and encoder together.

use super::affine::{AffineMetric, Batch};
use super::encoder::{Encoder, EncoderConfig};
use super::gap::Amortized;
use super::objective::{AmortizedGradient, add_batch_gradient};
use crate::local::{LearnedModel, LocalModel, Present, check_stopping, elbo};
use crate::optimizer::{Adam, AdamState};
use lvm_core::fit::{Algorithm, Fitted, Step, Stopping, Watch, run, unwatched};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, n_present, total_weight};
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array2, ArrayView2, Axis};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// An encoder for a model with known parameters, trained by minibatches.
///
/// *Objective*: mean ELBO per row of the encoder's output, Σ_n w_n ELBO_n(f_φ(x_n)) / Σ_n w_n.
///
/// *Update*: epochs over the rows in a new order each, without replacement, in batches B (the last may be short). The gradient
/// (N/|B|) Σ_{n∈B} w_n ∇_φ ELBO_n / Σ w is unbiased; it goes through the encoder by the chain rule and into a step of Adam whose size falls
/// linearly from `step` to zero over `stopping.max_iterations` epochs, so that the noise of the minibatches dies out. Affine encoders with
/// exact gradients take Gauss-Newton steps instead, in the metric of all rows' second moment C and the posterior's curvature, as long as
/// the batch at hand allows at first (falling to zero alike):
/// ```text
/// A ← A + ρ C⁺ (Σ_b ω_b x̃_b g_bᵀ) K⁻¹
/// ```
/// Correlated columns, and columns that hardly vary, then cost nothing, and where one affine map is right for all rows (probabilistic PCA,
/// factor analysis) the gap goes to zero linearly, without a noise floor.
///
/// *Needs* a [`LocalModel`]. `trace` holds the exact objective after each epoch, over all data.
///
/// *When it fails*: too few epochs leave an amortization gap that no longer falls; [`Amortized::amortization_gap`] says how much there is,
/// [`Amortized::refine`] closes it for the rows at hand. For affine encoders [`LinearEncoderNewton`](super::LinearEncoderNewton) needs no
/// step size.
///
/// ```
/// use lvm_core::linear_gaussian::LinearGaussian;
/// use lvm_vi::amortized::AmortizedVi;
/// use ndarray::{Array2, array};
/// let model = LinearGaussian::new(array![0.0, 0.0], array![[1.0], [1.0]], array![1.0, 1.0])?;
/// let x = Array2::from_shape_fn((100, 2), |(n, j)| ((n * (j + 2)) as f64).sin());
/// let fitted = AmortizedVi { batch: 20, ..Default::default() }.fit(&model, &x, 1)?;
/// assert!(fitted.model.amortization_gap(&x)?.mean < 1e-4);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct AmortizedVi {
    /// The encoder's shape.
    pub encoder: EncoderConfig,
    /// Where gradients come from.
    pub gradient: AmortizedGradient,
    /// Rows in a batch.
    pub batch: usize,
    /// Size of the first step of Adam; Gauss-Newton steps have a unit of their own.
    pub step: f64,
    /// Epochs, exactly as many if `tolerance` is 0; else until an epoch changes the objective by less.
    pub stopping: Stopping,
}

impl Default for AmortizedVi {
    /// An affine encoder of full covariance by exact gradients, batches of 64, first step 0.02, exactly 200 epochs.
    fn default() -> Self {
        AmortizedVi {
            encoder: EncoderConfig::default(),
            gradient: AmortizedGradient::Exact,
            batch: 64,
            step: 0.02,
            stopping: Stopping { max_iterations: 200, tolerance: 0.0 },
        }
    }
}

impl AmortizedVi {
    /// The model with a trained encoder.
    ///
    /// # Errors
    /// If the data does not fit the model, or a setting is out of range.
    pub fn fit<M: LocalModel + Clone>(&self, model: &M, x: &dyn RowSource, seed: u64) -> Result<Fitted<Amortized<M>>> {
        self.fit_watched(model, x, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` of every epoch.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_watched<M: LocalModel + Clone>(
        &self,
        model: &M,
        x: &dyn RowSource,
        seed: u64,
        watch: Watch<'_>,
    ) -> Result<Fitted<Amortized<M>>> {
        run(&self.of(model), &Present::of(x) as &dyn RowSource, self.stopping, seed, watch)
    }

    /// The state before the first epoch, to be stored, resumed and finished by hand.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn init<M: LocalModel + Clone>(&self, model: &M, x: &dyn RowSource, seed: u64) -> Result<TrainingState<M>> {
        self.of(model).init(&Present::of(x), seed)
    }

    /// One epoch; a state that was stored and read back goes on bit for bit, given the same model, rows and configuration.
    ///
    /// # Errors
    /// As [`fit`](Self::fit), and if the state is of another configuration.
    pub fn step<M: LocalModel + Clone>(&self, state: &mut TrainingState<M>, model: &M, x: &dyn RowSource) -> Result<Step> {
        self.of(model).step(state, &Present::of(x))
    }

    /// The model with the encoder of a state.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn finish<M: LocalModel + Clone>(&self, state: TrainingState<M>, model: &M, x: &dyn RowSource) -> Result<Amortized<M>> {
        self.of(model).end(state, &Present::of(x))
    }

    fn of<'a, M>(&'a self, model: &'a M) -> Run<'a, M> {
        Run { config: self, model, theta: None }
    }

    fn check<M: LocalModel>(&self, model: &M, x: &dyn RowSource) -> Result<()> {
        check_stopping(self.stopping)?;
        model.check(x)?;
        if self.batch == 0 {
            return Err(Error::config("batch", "0 rows; a batch needs at least 1"));
        }
        let n = n_present(x);
        if self.batch > n {
            return Err(Error::config("batch", format!("{} rows, and the data has only {n}; take at most {n}", self.batch)));
        }
        if !(self.step > 0.0 && self.step.is_finite()) {
            return Err(Error::config("step", format!("{}; it must be positive and finite", self.step)));
        }
        if self.gradient == (AmortizedGradient::Pathwise { draws: 0 }) {
            return Err(Error::config("draws", "0 asked for, at least 1 is needed"));
        }
        Ok(())
    }
}

/// Joint ascent in (θ, φ): model and encoder learned together, as a variational autoencoder is.
///
/// *Objective* and *update* as [`AmortizedVi`], with θ among the parameters of every step. With probabilistic PCA this is the linear VAE
/// (Lucas et al. 2019): its ELBO has no maxima but those of the likelihood, and at the global one a diagonal covariance suffices, because W
/// turns to where the posterior is diagonal.
///
/// ```
/// use lvm_core::ppca::Ppca;
/// use lvm_vi::amortized::{AmortizedVi, JointAscent};
/// use ndarray::{Array2, array};
/// let x = Array2::from_shape_fn((100, 3), |(n, j)| (n as f64).sin() * (j + 1) as f64 + 0.3 * ((n * (j + 2)) as f64).cos());
/// let start = Ppca::new(array![0.0, 0.0, 0.0], array![[0.1], [0.2], [0.3]], 1.0)?;
/// let fitted = JointAscent(AmortizedVi { batch: 20, ..Default::default() }).fit(&start, &x, 1)?;
/// assert!(fitted.objective() > fitted.trace[0] && fitted.objective() * 100.0 <= fitted.model.model.log_likelihood(&x)?);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JointAscent(
    /// How to train.
    pub AmortizedVi,
);

impl JointAscent {
    /// The learned model, from `start`, with its encoder.
    ///
    /// # Errors
    /// As [`AmortizedVi::fit`].
    pub fn fit<M: LearnedModel + Clone>(&self, start: &M, x: &dyn RowSource, seed: u64) -> Result<Fitted<Amortized<M>>> {
        run(&self.of(start), &Present::of(x) as &dyn RowSource, self.0.stopping, seed, &mut unwatched)
    }

    /// The state before the first epoch, to be stored, resumed and finished by hand.
    ///
    /// # Errors
    /// As [`AmortizedVi::fit`].
    pub fn init<M: LearnedModel + Clone>(&self, start: &M, x: &dyn RowSource, seed: u64) -> Result<TrainingState<M>> {
        self.of(start).init(&Present::of(x), seed)
    }

    /// One epoch; a state that was stored and read back goes on bit for bit, given the same start, rows and configuration.
    ///
    /// # Errors
    /// As [`AmortizedVi::step`].
    pub fn step<M: LearnedModel + Clone>(&self, state: &mut TrainingState<M>, start: &M, x: &dyn RowSource) -> Result<Step> {
        self.of(start).step(state, &Present::of(x))
    }

    /// The learned model with the encoder of a state.
    ///
    /// # Errors
    /// As [`AmortizedVi::step`].
    pub fn finish<M: LearnedModel + Clone>(&self, state: TrainingState<M>, start: &M, x: &dyn RowSource) -> Result<Amortized<M>> {
        self.of(start).end(state, &Present::of(x))
    }

    fn of<'a, M: LearnedModel>(&'a self, start: &'a M) -> Run<'a, M> {
        let theta = Theta { read: M::parameters, write: M::with_parameters, add_gradient: M::add_parameter_gradient };
        Run { config: &self.0, model: start, theta: Some(theta) }
    }
}

type AddGradient<M> = fn(&M, &[f64], &[f64], ArrayView2<'_, f64>, f64, &mut [f64]);

/// How a model's own parameters are reached, when they are learned.
struct Theta<M> {
    read: fn(&M) -> Vec<f64>,
    write: fn(&M, &[f64]) -> Result<M>,
    add_gradient: AddGradient<M>,
}

struct Run<'a, M> {
    config: &'a AmortizedVi,
    model: &'a M,
    theta: Option<Theta<M>>,
}

/// Everything of a training run that changes between epochs, as plain numbers: with it a resumed run goes on bit for bit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct TrainingState<M> {
    /// φ, then θ if it is learned.
    pub parameters: Vec<f64>,
    adam: AdamState,
    /// Epochs done.
    pub epoch: usize,
    seed: u64,
    /// What follows from the parameters; made anew where it is not there.
    #[serde(skip)]
    working: Option<Working<M>>,
}

/// The parameters put to use.
#[derive(Debug, Clone)]
struct Working<M> {
    model: M,
    encoder: Encoder,
    /// Where steps are taken in it.
    metric: Option<AffineMetric>,
}

impl<M: LocalModel + Clone> Run<'_, M> {
    /// Model and encoder before the first step.
    fn first(&self, x: &dyn RowSource, seed: u64) -> Result<Working<M>> {
        let encoder = Encoder::new(&self.config.encoder, self.model.latents(), x, seed)?;
        // draws tell nothing of the curvature, and θ has one of its own
        let affine = self.config.encoder.hidden.is_empty() && self.config.gradient == AmortizedGradient::Exact && self.theta.is_none();
        let metric = if affine { Some(AffineMetric::of(&encoder, x)?) } else { None };
        Ok(Working { model: self.model.clone(), encoder, metric })
    }

    /// What follows from the parameters of a state, which then has it no longer.
    fn working(&self, state: &mut TrainingState<M>, x: &dyn RowSource) -> Result<Working<M>> {
        if let Some(working) = state.working.take() {
            return Ok(working);
        }
        let mut working = self.first(x, state.seed)?;
        let theta = self.theta.as_ref().map_or(0, |access| (access.read)(self.model).len());
        let (expected, found) = (working.encoder.parameters().len() + theta, state.parameters.len());
        if expected != found {
            return Err(ErrorKind::Shape {
                what: "parameters of the state, which must be those of this encoder and model",
                expected,
                found,
            }
            .into());
        }
        self.apply(&state.parameters, &mut working)?;
        Ok(working)
    }

    /// Puts the parameters into encoder and model.
    fn apply(&self, parameters: &[f64], working: &mut Working<M>) -> Result<()> {
        let (phi, theta) = parameters.split_at(working.encoder.parameters().len());
        working.encoder.set_parameters(phi)?;
        if let Some(access) = &self.theta {
            working.model = (access.write)(&working.model, theta)?;
        }
        Ok(())
    }

    fn end(&self, mut state: TrainingState<M>, x: &dyn RowSource) -> Result<Amortized<M>> {
        let working = self.working(&mut state, x)?;
        Amortized::new(working.model, working.encoder)
    }

    /// The rows of a batch (B, D) and their weights, scaled so that the sum over the batch estimates the mean over all rows.
    fn batch(&self, rows: &[usize], all: usize, x: &dyn RowSource) -> Result<(Array2<f64>, Vec<f64>)> {
        let mut batch = Array2::zeros((rows.len(), x.n_cols()));
        for (mut out, &n) in batch.axis_chunks_iter_mut(Axis(0), 1).zip(rows) {
            x.read(n, out.view_mut())?;
        }
        // N/|B| · w_n / Σ w
        let scale = all as f64 / (rows.len() as f64 * total_weight(x));
        Ok((batch, rows.iter().map(|&n| scale * x.weights().map_or(1.0, |w| w[n])).collect()))
    }

    fn ascend_batch(
        &self,
        state: &mut TrainingState<M>,
        working: &mut Working<M>,
        (cells, weights): (&Array2<f64>, &[f64]),
        share: f64,
        rng: &mut dyn rand::Rng,
    ) -> Result<()> {
        let mut gradient = vec![0.0; state.parameters.len()];
        let (phi, theta) = gradient.split_at_mut(working.encoder.parameters().len());
        let model = &working.model;
        let access = self.theta.as_ref();
        let mut on_row = |x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>, weight: f64| {
            if let Some(access) = access {
                (access.add_gradient)(model, x, mean, covariance, weight, theta);
            }
        };
        let curvature = add_batch_gradient(model, &working.encoder, cells, weights, self.config.gradient, rng, phi, &mut on_row);
        match &working.metric {
            Some(metric) => {
                let batch = Batch { encoder: &working.encoder, rows: cells, weights, share };
                metric.ascend(&batch, &curvature, &gradient, &mut state.parameters)?;
            }
            // a step that is not known is left out
            None if gradient.iter().any(|g| !g.is_finite()) => return Ok(()),
            None => {
                Adam { step: self.config.step * share, ..Adam::default() }.direct(&mut state.adam, &mut gradient);
                state.parameters.iter_mut().zip(&gradient).for_each(|(p, g)| *p += g);
            }
        }
        self.apply(&state.parameters, working)
    }
}

impl<M: LocalModel + Clone> Algorithm<dyn RowSource + '_> for Run<'_, M> {
    type State = TrainingState<M>;
    type Output = Amortized<M>;

    fn init(&self, x: &(dyn RowSource + '_), seed: u64) -> Result<TrainingState<M>> {
        self.config.check(self.model, x)?;
        let working = self.first(x, seed)?;
        let mut parameters = working.encoder.parameters().to_vec();
        if let Some(access) = &self.theta {
            parameters.extend((access.read)(self.model));
        }
        let adam = Adam { step: self.config.step, ..Adam::default() }.init(parameters.len())?;
        Ok(TrainingState { parameters, adam, epoch: 0, seed, working: Some(working) })
    }

    fn step(&self, state: &mut TrainingState<M>, x: &(dyn RowSource + '_)) -> Result<Step> {
        let mut working = self.working(state, x)?;
        let mut order: Vec<usize> = (0..x.n_rows()).collect();
        order.shuffle(&mut stream(state.seed, Purpose::Minibatch, state.epoch as u64));
        let mut rng = stream(state.seed, Purpose::Noise, state.epoch as u64);
        let batches = order.len().div_ceil(self.config.batch);
        for (b, rows) in order.chunks(self.config.batch).enumerate() {
            let done = (state.epoch * batches + b) as f64 / (self.config.stopping.max_iterations * batches) as f64;
            let (cells, weights) = self.batch(rows, order.len(), x)?;
            self.ascend_batch(state, &mut working, (&cells, &weights), 1.0 - done, &mut rng)?;
        }
        state.epoch += 1;
        let objective = elbo(&working.model, &working.encoder.encode(x)?, x)? / total_weight(x);
        state.working = Some(working);
        Ok(Step { objective, converged: false, repairs: Vec::new() })
    }

    fn finish(&self, state: TrainingState<M>) -> Result<Amortized<M>> {
        // invariant: the loop's own states have come from `init` and been through `step`
        let working = state.working.ok_or_else(|| Error::config("state", "it has not been through a step"))?;
        Amortized::new(working.model, working.encoder)
    }
}
