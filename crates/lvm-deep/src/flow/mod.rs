//! Invertible maps with their log-determinants, from which densities are made: log p(f(u)) = log p(u) − log |det ∂f/∂u|.
//!
//! Posteriors push a Gaussian through them, priors pull z back to one.

pub mod autoregressive;
pub mod coupling;
pub mod made;
pub mod perceptron;
pub mod planar;
pub mod reverse;

pub use autoregressive::{Autoregressive, Gate};
pub use coupling::Coupling;
pub use made::Made;
pub use perceptron::Perceptron;
pub use planar::Planar;
pub use reverse::Reverse;

use tch::Tensor;

/// An invertible map of latents (…, L), the same for all leading dimensions unless it holds a context of each row.
pub trait Flow: Send {
    /// f(u) (…, L) and log |det ∂f/∂u| (…).
    fn forward(&self, u: &Tensor) -> (Tensor, Tensor);

    /// u = f⁻¹(y) (…, L) and log |det ∂f/∂u| there (…); `None` where there is no closed form.
    fn inverse(&self, y: &Tensor) -> Option<(Tensor, Tensor)>;

    /// The same map with parameters that no gradient flows into.
    fn detach(&self) -> Box<dyn Flow>;

    /// The same map over the same parameter tensors.
    fn share(&self) -> Box<dyn Flow>;
}

/// f_T ∘ … ∘ f₁ of u with the sum of the log-determinants.
pub(crate) fn forward_all(steps: &[Box<dyn Flow>], u: &Tensor) -> (Tensor, Tensor) {
    let mut y = u.shallow_clone();
    let mut log_det = zero_of(u);
    for step in steps {
        let (next, step_log_det) = step.forward(&y);
        y = next;
        log_det += step_log_det;
    }
    (y, log_det)
}

/// u of y = f_T ∘ … ∘ f₁(u) with the sum of the log-determinants of the maps; `None` if one of them can't be inverted.
pub(crate) fn inverse_all(steps: &[Box<dyn Flow>], y: &Tensor) -> Option<(Tensor, Tensor)> {
    let mut u = y.shallow_clone();
    let mut log_det = zero_of(y);
    for step in steps.iter().rev() {
        let (before, step_log_det) = step.inverse(&u)?;
        u = before;
        log_det += step_log_det;
    }
    Some((u, log_det))
}

/// 0 of the shape of z (…, L) without its last dimension.
fn zero_of(z: &Tensor) -> Tensor {
    let size = z.size();
    Tensor::zeros(&size[..size.len() - 1], (z.kind(), z.device()))
}
