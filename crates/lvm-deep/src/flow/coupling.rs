//! Affine couplings.

use super::{Flow, Perceptron};
use crate::error::Result;
use crate::nets::Activation;
use crate::parameters::{Scope, Start};
use lvm_core::mutant::planted;
use tch::Tensor;

/// |log scale| stays below this, so that neither map nor inverse overflows in f32.
const LOG_SCALE_LIMIT: f64 = 4.0;

/// f(u_a, u_b) = (u_a, u_b e^{a(u_a)} + t(u_a)), with a = 4 tanh(s/4) and (s, t) from a net of the first half of the latents.
///
/// Map and inverse both take one pass of the net. Dinh, Sohl-Dickstein & Bengio 2017, eqs 4 and 5. With [`Reverse`](super::Reverse) between
/// steps every latent is moved; a single latent is scaled and shifted by constants.
#[derive(Debug)]
pub struct Coupling {
    kept: i64,
    moved: i64,
    net: Perceptron,
}

impl Coupling {
    /// Of L latents, the first ⌊L/2⌋ of which are kept, with hidden layers of these widths. It starts as the identity.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, latents: i64, hidden: &[i64], activation: Activation) -> Result<Self> {
        let (kept, moved) = (latents / 2, latents - latents / 2);
        let net = Perceptron::new(scope, kept, hidden, 2 * moved, activation, Some(Start::Zero))?;
        Ok(Coupling { kept, moved, net })
    }

    /// log scale and shift of the moved half.
    fn terms(&self, kept: &Tensor) -> (Tensor, Tensor) {
        let h = self.net.forward(kept);
        let log_scale = (h.narrow(-1, 0, self.moved) / LOG_SCALE_LIMIT).tanh() * LOG_SCALE_LIMIT;
        (log_scale, h.narrow(-1, self.moved, self.moved))
    }
}

impl Flow for Coupling {
    fn forward(&self, u: &Tensor) -> (Tensor, Tensor) {
        let kept = u.narrow(-1, 0, self.kept);
        let (log_scale, shift) = self.terms(&kept);
        let moved = u.narrow(-1, self.kept, self.moved) * log_scale.exp() + shift;
        let sign = if planted("vae_flow_log_det_sign") { -1.0 } else { 1.0 };
        (Tensor::cat(&[kept, moved], -1), log_scale.sum_dim_intlist([-1].as_slice(), false, None) * sign)
    }

    fn inverse(&self, y: &Tensor) -> Option<(Tensor, Tensor)> {
        let kept = y.narrow(-1, 0, self.kept);
        let (log_scale, shift) = self.terms(&kept);
        let moved = (y.narrow(-1, self.kept, self.moved) - shift) * (-&log_scale).exp();
        Some((Tensor::cat(&[kept, moved], -1), log_scale.sum_dim_intlist([-1].as_slice(), false, None)))
    }

    fn detach(&self) -> Box<dyn Flow> {
        Box::new(Coupling { kept: self.kept, moved: self.moved, net: self.net.detach() })
    }

    fn share(&self) -> Box<dyn Flow> {
        Box::new(Coupling { kept: self.kept, moved: self.moved, net: self.net.share() })
    }
}
