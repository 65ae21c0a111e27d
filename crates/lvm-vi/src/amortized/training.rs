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
use lvm_core::{Error, Result};
use ndarray::{Array2, ArrayView2, Axis};
use rand::seq::SliceRandom;

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
        let x = &Present::of(x);
        self.check(model, x)?;
        run(&Run { config: self, model, theta: None }, x as &dyn RowSource, self.stopping, seed, watch)
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
        let x = &Present::of(x);
        self.0.check(start, x)?;
        let theta = Theta { read: M::parameters, write: M::with_parameters, add_gradient: M::add_parameter_gradient };
        run(&Run { config: &self.0, model: start, theta: Some(theta) }, x as &dyn RowSource, self.0.stopping, seed, &mut unwatched)
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

struct State<M> {
    model: M,
    encoder: Encoder,
    /// φ, then θ if it is learned.
    parameters: Vec<f64>,
    /// Where steps are taken in it.
    metric: Option<AffineMetric>,
    adam: AdamState,
    rows: Vec<usize>,
    epoch: usize,
    seed: u64,
}

impl<M: LocalModel + Clone> Run<'_, M> {
    /// Puts the parameters into encoder and model.
    fn apply(&self, state: &mut State<M>) -> Result<()> {
        let (phi, theta) = state.parameters.split_at(state.encoder.parameters().len());
        state.encoder.set_parameters(phi)?;
        if let Some(access) = &self.theta {
            state.model = (access.write)(&state.model, theta)?;
        }
        Ok(())
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

    fn ascend_batch(&self, state: &mut State<M>, rows: &[usize], share: f64, x: &dyn RowSource, rng: &mut dyn rand::Rng) -> Result<()> {
        let (cells, weights) = self.batch(rows, state.rows.len(), x)?;
        let mut gradient = vec![0.0; state.parameters.len()];
        let (phi, theta) = gradient.split_at_mut(state.encoder.parameters().len());
        let model = &state.model;
        let access = self.theta.as_ref();
        let mut on_row = |x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>, weight: f64| {
            if let Some(access) = access {
                (access.add_gradient)(model, x, mean, covariance, weight, theta);
            }
        };
        let curvature = add_batch_gradient(model, &state.encoder, &cells, &weights, self.config.gradient, rng, phi, &mut on_row);
        match &state.metric {
            Some(metric) => {
                let batch = Batch { encoder: &state.encoder, rows: &cells, weights: &weights, share };
                metric.ascend(&batch, &curvature, &gradient, &mut state.parameters)?;
            }
            // a step that is not known is left out
            None if gradient.iter().any(|g| !g.is_finite()) => return Ok(()),
            None => {
                Adam { step: self.config.step * share, ..Adam::default() }.direct(&mut state.adam, &mut gradient);
                state.parameters.iter_mut().zip(&gradient).for_each(|(p, g)| *p += g);
            }
        }
        self.apply(state)
    }
}

impl<M: LocalModel + Clone> Algorithm<dyn RowSource + '_> for Run<'_, M> {
    type State = State<M>;
    type Output = Amortized<M>;

    fn init(&self, x: &(dyn RowSource + '_), seed: u64) -> Result<State<M>> {
        let encoder = Encoder::new(&self.config.encoder, self.model.latents(), x, seed)?;
        let mut parameters = encoder.parameters().to_vec();
        // draws tell nothing of the curvature, and θ has one of its own
        let affine = self.config.encoder.hidden.is_empty() && self.config.gradient == AmortizedGradient::Exact && self.theta.is_none();
        let metric = if affine { Some(AffineMetric::of(&encoder, x)?) } else { None };
        if let Some(access) = &self.theta {
            parameters.extend((access.read)(self.model));
        }
        let adam = Adam { step: self.config.step, ..Adam::default() }.init(parameters.len())?;
        let rows = (0..x.n_rows()).collect();
        Ok(State { model: self.model.clone(), encoder, parameters, metric, adam, rows, epoch: 0, seed })
    }

    fn step(&self, state: &mut State<M>, x: &(dyn RowSource + '_)) -> Result<Step> {
        let mut order = state.rows.clone();
        order.shuffle(&mut stream(state.seed, Purpose::Minibatch, state.epoch as u64));
        let mut rng = stream(state.seed, Purpose::Noise, state.epoch as u64);
        let batches = order.len().div_ceil(self.config.batch);
        for (b, rows) in order.chunks(self.config.batch).enumerate() {
            let done = (state.epoch * batches + b) as f64 / (self.config.stopping.max_iterations * batches) as f64;
            self.ascend_batch(state, rows, 1.0 - done, x, &mut rng)?;
        }
        state.epoch += 1;
        let objective = elbo(&state.model, &state.encoder.encode(x)?, x)? / total_weight(x);
        Ok(Step { objective, converged: false, repairs: Vec::new() })
    }

    fn finish(&self, state: State<M>) -> Result<Amortized<M>> {
        Amortized::new(state.model, state.encoder)
    }
}
