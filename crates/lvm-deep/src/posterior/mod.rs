//! q(z | x): what the encoder's features are the parameters of.

pub mod categorical;
pub mod diagonal;
pub mod flow;
pub mod full_covariance;
pub mod hierarchical;

pub use categorical::Categorical;
pub use diagonal::Diagonal;
pub use flow::{InverseAutoregressive, PlanarFlow};
pub use full_covariance::{FullCovariance, Positive};
pub use hierarchical::Hierarchical;

use crate::noise::Noise;
use tch::Tensor;

/// A family of distributions of z, with the features of a row as parameters.
pub trait Family: Send {
    /// How many features the encoder must deliver for a row.
    fn n_features(&self) -> i64;
    /// The distribution that features (N, F) stand for.
    fn at(&self, features: &Tensor) -> Box<dyn Posterior>;
    /// The same family over the same parameter tensors.
    fn share(&self) -> Box<dyn Family>;
}

/// Draws with their density.
pub struct Draws {
    /// z (k, N, L), differentiable in the features where the family is reparameterised.
    pub z: Tensor,
    /// log q(z_kn | x_n), (k, N).
    pub log_q: Tensor,
}

/// q(z_n | x_n) of N rows, independent between rows.
pub trait Posterior: Send {
    /// k draws for every row.
    fn draw(&self, k: i64, noise: &mut Noise) -> Draws;

    /// log q(z | x), (k, N), of given z (k, N, L); `None` where the family can only evaluate its own draws.
    fn log_prob(&self, z: &Tensor) -> Option<Tensor>;

    /// The same distribution with parameters that no gradient flows into.
    fn detach(&self) -> Box<dyn Posterior>;

    /// The mode, or the image of the mode of the base (N, L).
    fn mode(&self) -> Tensor;

    /// Mean (N, L) and Cholesky factor of the covariance, where q is Gaussian.
    fn gaussian(&self) -> Option<GaussianMoments> {
        None
    }

    /// log q(z = k | x), (N, K), of K values, where z is discrete and stands as a one-hot row of length K. Draws of a discrete z do not
    /// depend on the features in a way that can be differentiated.
    fn log_probabilities(&self) -> Option<Tensor> {
        None
    }

    /// The probabilities (N, K) of K values, where z is discrete and stands as a one-hot row of length K.
    fn probabilities(&self) -> Option<Tensor> {
        self.log_probabilities().map(|l| l.exp())
    }
}

/// Mean and spread of a Gaussian q.
pub struct GaussianMoments {
    /// (N, L).
    pub mean: Tensor,
    /// Its spread.
    pub spread: Spread,
}

/// The covariance of a Gaussian q.
pub enum Spread {
    /// log variances (N, L).
    Diagonal(Tensor),
    /// Lower Cholesky factors (N, L, L).
    Cholesky(Tensor),
}
