//! The five tasks of a latent-variable model p(x, z) = p(z) p(x | z): generation, MAP of the latent, inference, evidence (and
//! estimation, which is an [`Algorithm`](crate::fit::Algorithm)).
//!
//! A model holds its parameters θ and nothing else: never half fitted, never a trace of the data. Data comes in as a [`RowSource`],
//! so an `Array2<f64>`, an `Array2<f32>`, a view, weighted rows, rows with missing entries and a file on disk are all the same to it.
//! Log densities are in nats, normalised, with every constant kept.

use crate::error::Result;
use crate::rows::RowSource;
use ndarray::{Array1, Array2};
use rand::Rng;

/// p(x, z) = p(z) p(x | z) with known parameters.
pub trait LatentModel: Sync {
    /// The latents of N rows: `Array1<usize>` for a component each, `Array2<f64>` of shape (N, Q) for continuous latents.
    type Z;

    /// D, the number of columns of x.
    fn dim(&self) -> usize;

    /// The number of free parameters, as BIC and AIC count them.
    fn n_parameters(&self) -> usize;

    /// Draws z ~ p(z), `n` times.
    fn sample_z(&self, n: usize, rng: &mut dyn Rng) -> Self::Z;

    /// Draws x ~ p(x | z) for each given latent; (N, D).
    ///
    /// # Errors
    /// If a latent is outside the model (a component that is not there, a wrong number of latent dimensions).
    fn sample_x(&self, z: &Self::Z, rng: &mut dyn Rng) -> Result<Array2<f64>>;

    /// log p(x_n, z_n) of each row; (N).
    ///
    /// # Errors
    /// If the data is unusable or the shapes of x and z do not fit each other or the model.
    fn log_joint(&self, x: &dyn RowSource, z: &Self::Z) -> Result<Array1<f64>>;
}

/// argmax_z p(x, z).
pub trait MapLatent: LatentModel {
    /// The most probable latent of each row.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    fn map_z(&self, x: &dyn RowSource) -> Result<Self::Z>;
}

/// p(z | x), exactly or approximately.
pub trait Infer: LatentModel {
    /// Whether [`infer`](Infer::infer) returns the posterior itself.
    const EXACT: bool;
    /// A distribution over the latents of N rows.
    type Q: LatentDist<Z = Self::Z>;

    /// The posterior of each row's latent.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    fn infer(&self, x: &dyn RowSource) -> Result<Self::Q>;
}

/// log p(x), exactly.
pub trait Evidence: LatentModel {
    /// log p(x_n) of each row in nats; (N). Missing entries are integrated out when the source says that NaN means missing.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    fn log_evidence(&self, x: &dyn RowSource) -> Result<Array1<f64>>;
}

/// A distribution over the latents of N rows, independent between rows.
pub trait LatentDist {
    /// The latents of N rows.
    type Z;
    /// One draw of every row's latent.
    fn sample(&self, rng: &mut dyn Rng) -> Self::Z;
    /// log q(z_n) of each row; (N).
    ///
    /// # Errors
    /// If the shape of `z` does not fit.
    fn log_prob(&self, z: &Self::Z) -> Result<Array1<f64>>;
    /// The mode of each row.
    fn mode(&self) -> Self::Z;
}
