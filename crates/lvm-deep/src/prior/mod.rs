//! p(z).

pub mod categorical;
pub mod flow;
pub mod hierarchical;
pub mod mixture;
pub mod standard_normal;
pub mod vamp;

pub use categorical::Categorical;
pub use flow::FlowPrior;
pub use hierarchical::Hierarchical;
pub use mixture::Mixture;
pub use standard_normal::StandardNormal;
pub use vamp::VampPrior;

use crate::noise::Noise;
use crate::posterior::Posterior;
use tch::Tensor;

/// A density of the latents, the same for all rows.
pub trait Prior: Send {
    /// L, the numbers in z.
    fn latents(&self) -> i64;

    /// log p(z), (…), of z (…, L).
    fn log_prob(&self, z: &Tensor) -> Tensor;

    /// z ~ p(z), (n, L).
    fn sample(&self, n: i64, noise: &mut Noise) -> Tensor;

    /// All values of z, (K, L), where z is discrete.
    fn support(&self) -> Option<Tensor> {
        None
    }

    /// KL(q ‖ p) of every row and latent (N, L), where it is known in closed form and is a sum over latents.
    fn kl_by_latent(&self, _q: &dyn Posterior) -> Option<Tensor> {
        None
    }

    /// KL(q ‖ p) of every row (N), where it is known in closed form.
    fn kl(&self, q: &dyn Posterior) -> Option<Tensor> {
        self.kl_by_latent(q).map(|kl| kl.sum_dim_intlist([-1].as_slice(), false, None))
    }
}
