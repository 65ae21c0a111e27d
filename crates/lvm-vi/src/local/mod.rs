//! Local latents: p(x, z) = Π_n p(x_n | z_n) p(z_n). Every datum has variational parameters ψ_n of its own, and the bound is the sum over
//! data:
//!
//! ```text
//! ELBO(ψ) = Σ_n w_n ( E_{q(z_n; ψ_n)}[log p(x_n, z_n)] + H[q(z_n; ψ_n)] ) ≤ Σ_n w_n log p(x_n)
//! ```
//!
//! Continuous latents have a Gaussian each ([`LocalGaussian`], of diagonal or full covariance), discrete ones a categorical
//! ([`LocalCategorical`]). The expectations here are exact (closed form, or quadrature in one dimension for each cell), so a bound is a
//! number and not an estimate; the estimates by draws are in [`lvm_core::bound`].

mod bound;
mod coordinate_ascent;
mod discrete;
mod gaussian;
mod linear_gaussian;
mod patterns;
mod per_datum;
mod present;
mod quadrature;
mod target;
mod variational_em;

pub use bound::{elbo, elbo_rows};
pub use coordinate_ascent::CoordinateAscent;
pub use discrete::{DiscreteModel, LocalCategorical, ScoreFunctionAscent, coordinate_ascent_step};
pub use gaussian::LocalGaussian;
pub use linear_gaussian::{full_covariance, mean_field};
pub use per_datum::PerDatum;
pub use quadrature::{Quadrature, QuadraturePosterior};
pub use target::{JointTarget, RowTarget};
pub use variational_em::{Noise, Start, VariationalEm};

pub(crate) use bound::weighted_sum;
pub(crate) use coordinate_ascent::check_stopping;
pub(crate) use gaussian::{Packed, entropy_of};
pub(crate) use linear_gaussian::{quadratic, split};
pub(crate) use present::Present;
pub(crate) use quadrature::mode;

use lvm_core::Result;
use lvm_core::model::LatentModel;
use lvm_core::rows::RowSource;
use lvm_core::sweep::{Block, check_shape};
use ndarray::{Array1, Array2, ArrayView2};

/// The shape of each datum's covariance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// Mean field: latents independent given x_n.
    Diagonal,
    /// Any covariance.
    #[default]
    Full,
}

/// A model with continuous local latents, seen one datum at a time.
///
/// A row x (D) may hold NaN where an entry is missing; the model then leaves the entry out, which integrates it out exactly when entries
/// are independent given z.
pub trait LocalModel: LatentModel<Z = Array2<f64>> {
    /// q, the number of latent dimensions.
    fn latents(&self) -> usize;

    /// Refuses data that the model gives no density to.
    ///
    /// # Errors
    /// If the columns do not fit, or a cell is outside the model's support.
    fn check(&self, x: &dyn RowSource) -> Result<()> {
        check_shape(x, Some(self.dim()))
    }

    /// log p(x, z), and ∇_z log p(x, z) written over `gradient` (q).
    fn log_joint_grad(&self, x: &[f64], z: &[f64], gradient: &mut [f64]) -> f64;

    /// E_q[log p(x, z)] for q = N(`mean`, `covariance`).
    fn expected_log_joint(&self, x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>) -> f64;

    /// E_q[log p(x, z)] with its derivatives:
    ///
    /// ```text
    /// ∂/∂m E_q[log p] = E_q[∇ log p]          (Bonnet)
    /// ∂/∂S E_q[log p] = ½ E_q[∇∇ᵀ log p]      (Price)
    /// ```
    fn expected_derivatives(&self, x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>, out: &mut Derivatives) -> f64;
}

/// A model with parameters θ that can be learned by gradients.
pub trait LearnedModel: LocalModel + Sized {
    /// θ, flat and unconstrained.
    fn parameters(&self) -> Vec<f64>;

    /// The model with other parameters.
    ///
    /// # Errors
    /// If their number is another one or the model can't have them.
    fn with_parameters(&self, parameters: &[f64]) -> Result<Self>;

    /// ∇_θ E_q[log p(x, z)] for q = N(`mean`, `covariance`), times `scale`, added to `gradient` (parameters).
    fn add_parameter_gradient(&self, x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>, scale: f64, gradient: &mut [f64]);
}

/// Expected first and second derivatives of log p(x, z) in z.
#[derive(Debug, Clone, PartialEq)]
pub struct Derivatives {
    /// E_q[∇ log p(x, z)] (q).
    pub gradient: Array1<f64>,
    /// −E_q[∇∇ᵀ log p(x, z)] (q, q): what the precision of the best Gaussian is equal to (its diagonal, for the mean field).
    pub precision: Array2<f64>,
}

impl Derivatives {
    /// Room for q latents.
    pub fn new(latents: usize) -> Self {
        Derivatives { gradient: Array1::zeros(latents), precision: Array2::zeros((latents, latents)) }
    }
}

/// Row `i` of a block into `row` (D).
pub(crate) fn gather(block: &Block<'_>, i: usize, row: &mut Vec<f64>) {
    row.clear();
    row.extend((0..block.n_cols()).map(|j| block.column(j)[i]));
}
