//! A trained model with the traits of `lvm-core`, for bounds, verdicts and scores that are written against those.

use crate::data::{Batch, Dataset};
use crate::error::{Error, ErrorKind, Result, guard};
use crate::evidence::{Ascent, EvaluationMemory};
use crate::noise::Noise;
use crate::objective::KlTerm;
use crate::posterior::Posterior;
use crate::tasks;
use crate::tensor::{from_matrix, to_matrix, to_vector};
use crate::vae::Vae;
use lvm_core::bound::Bound;
use lvm_core::model::{Infer, LatentDist, LatentModel, MapLatent};
use lvm_core::rows::RowSource;
use ndarray::{Array1, Array2};
use rand::Rng;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::{Device, Kind, Tensor};

/// A [`Vae`] that may be shared between threads and takes any row source.
///
/// Tensors may go from thread to thread but not be used by two at once, so every call waits for the one before; libtorch uses all cores
/// within a call. Models with a condition are not of this kind, since the traits know no condition: [`crate::evidence`] and [`crate::tasks`]
/// take them.
///
/// ```
/// use lvm_core::{bound::elbo, model::{Infer, LatentModel}};
/// use lvm_deep::{Kind, architecture::Architecture, data::Dataset, model::VaeModel, vae::Vae};
/// use ndarray::array;
/// let x = array![[0.0, 1.0], [1.0, 0.5], [2.0, 0.0]];
/// let data = Dataset::new(&x, Kind::Double, tch::Device::Cpu)?;
/// let model = VaeModel::new(Vae::new(Architecture::linear(2, 1), &data, 1)?)?;
/// let bound = elbo(&model, &model.infer(&x)?, &x, 10, 1)?;
/// assert!(model.dim() == 2 && bound.rows.len() == 3);
/// # Ok::<(), lvm_core::Error>(())
/// ```
pub struct VaeModel {
    vae: Mutex<Vae>,
    /// How [`MapLatent::map_z`] climbs.
    pub ascent: Ascent,
    columns: usize,
    latents: usize,
    n_parameters: usize,
    kind: Kind,
    device: Device,
}

impl VaeModel {
    /// Of a model without condition.
    ///
    /// # Errors
    /// If the model has a condition.
    pub fn new(vae: Vae) -> Result<Self> {
        if vae.architecture.condition != 0 {
            return Err(Error::config("condition", "is part of this model, which the traits do not know: use modules evidence and tasks"));
        }
        Ok(VaeModel {
            ascent: Ascent::default(),
            columns: vae.n_columns() as usize,
            latents: vae.latents() as usize,
            // the encoder is not part of p(x, z)
            n_parameters: vae.n_model_parameters(),
            kind: vae.parameters.kind(),
            device: vae.parameters.device(),
            vae: Mutex::new(vae),
        })
    }

    /// The model, for as long as nobody else needs it.
    pub fn vae(&self) -> MutexGuard<'_, Vae> {
        // a call that panicked has left no parameter half written: only training writes them
        self.vae.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model back.
    pub fn into_vae(self) -> Vae {
        self.vae.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows on the model's device, with weights and missing entries.
    ///
    /// # Errors
    /// As [`Dataset::new`].
    pub fn dataset(&self, x: &dyn RowSource) -> Result<Dataset> {
        Dataset::new(x, self.kind, self.device)
    }

    /// The ELBO of every row by `draws` draws: [`crate::evidence::elbo`].
    ///
    /// # Errors
    /// If the rows can't be used.
    pub fn elbo(&self, x: &dyn RowSource, kl: KlTerm, draws: usize, memory: EvaluationMemory, seed: u64) -> Result<Bound> {
        crate::evidence::elbo(&self.vae(), &self.dataset(x)?.rows, kl, draws, memory, seed)
    }

    /// IWAE_k of every row: [`crate::evidence::iwae`].
    ///
    /// # Errors
    /// If the rows can't be used.
    pub fn iwae(&self, x: &dyn RowSource, k: usize, repeats: usize, memory: EvaluationMemory, seed: u64) -> Result<Bound> {
        crate::evidence::iwae(&self.vae(), &self.dataset(x)?.rows, k, repeats, memory, seed)
    }

    fn noise(&self, rng: &mut dyn Rng) -> Noise {
        Noise::from_rng(rng, self.kind, self.device)
    }

    fn checked(&self, z: &Array2<f64>) -> Result<Tensor> {
        if z.ncols() != self.latents {
            return Err(ErrorKind::Shape { what: "columns of z", expected: self.latents, found: z.ncols() }.into());
        }
        Ok(from_matrix(z, self.kind, self.device))
    }
}

impl LatentModel for VaeModel {
    type Z = Array2<f64>;

    fn dim(&self) -> usize {
        self.columns
    }

    /// Numbers trained in decoder, likelihood and prior; those of the encoder are not part of p.
    fn n_parameters(&self) -> usize {
        self.n_parameters
    }

    fn sample_z(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        let mut noise = self.noise(rng);
        let z = tch::no_grad(|| self.vae().parts.prior.sample(n as i64, &mut noise));
        // invariant: a prior delivers (n, L)
        to_matrix(&z).expect("two dimensions")
    }

    fn sample_x(&self, z: &Array2<f64>, rng: &mut dyn Rng) -> Result<Array2<f64>> {
        to_matrix(&tasks::generation::sample_given(&self.vae(), &self.checked(z)?, None, rng.next_u64())?)
    }

    fn log_joint(&self, x: &dyn RowSource, z: &Array2<f64>) -> Result<Array1<f64>> {
        let (z, data) = (self.checked(z)?, self.dataset(x)?);
        let vae = self.vae();
        vae.check(&data.rows)?;
        if z.size()[0] != data.rows.n_rows() {
            return Err(ErrorKind::Shape { what: "rows of z", expected: data.n_rows(), found: z.size()[0] as usize }.into());
        }
        guard("evaluating the log joint density", || {
            let _no_grad = tch::no_grad_guard();
            let joint = vae.log_joint(&z.unsqueeze(0), &data.rows);
            Ok(to_vector(&(joint.log_likelihood + joint.log_prior)))
        })
    }
}

impl MapLatent for VaeModel {
    /// The local maximum above the mode of q(z | x).
    fn map_z(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        to_matrix(&tasks::map(&self.vae(), &self.dataset(x)?.rows, &self.ascent)?.z)
    }
}

impl Infer for VaeModel {
    const EXACT: bool = false;
    type Q = VaePosterior;

    fn infer(&self, x: &dyn RowSource) -> Result<VaePosterior> {
        let Batch { x, observed, weights, .. } = self.dataset(x)?.rows;
        let batch = Batch { x, observed, condition: None, weights };
        let vae = self.vae();
        vae.check(&batch)?;
        let q = guard("encoding rows", || Ok(tch::no_grad(|| vae.posterior(&batch))))?;
        Ok(VaePosterior { q: q.detach(), kind: self.kind, device: self.device })
    }
}

/// q(z | x) of some rows.
pub struct VaePosterior {
    q: Box<dyn Posterior>,
    kind: Kind,
    device: Device,
}

impl VaePosterior {
    /// q as tensors.
    pub fn tensors(&self) -> &dyn Posterior {
        self.q.as_ref()
    }
}

impl LatentDist for VaePosterior {
    type Z = Array2<f64>;

    fn sample(&self, rng: &mut dyn Rng) -> Array2<f64> {
        let z = tch::no_grad(|| self.q.draw(1, &mut Noise::from_rng(rng, self.kind, self.device)).z.squeeze_dim(0));
        // invariant: a posterior delivers (1, N, L)
        to_matrix(&z).expect("two dimensions")
    }

    fn log_prob(&self, z: &Array2<f64>) -> Result<Array1<f64>> {
        let (expected, found) = (self.q.mode().size(), [z.nrows() as i64, z.ncols() as i64]);
        if expected != found {
            return Err(Error::config("latents", format!("have shape {found:?}, the posterior has {expected:?}")));
        }
        let z = from_matrix(z, self.kind, self.device).unsqueeze(0);
        match tch::no_grad(|| self.q.log_prob(&z)) {
            Some(log_q) => Ok(to_vector(&log_q.squeeze_dim(0))),
            None => Err(Error::config("posterior", "has a density at its own draws only: use the estimators of module evidence")),
        }
    }

    fn mode(&self) -> Array2<f64> {
        // invariant: a mode is (N, L)
        to_matrix(&self.q.mode()).expect("two dimensions")
    }
}
