//! Planar flows.

use super::Flow;
use crate::nets::Activation;
use tch::Tensor;

/// f(z) = z + û tanh(wᵀz + b), a push along û that depends on the side of a hyperplane.
///
/// ```text
/// û = u + (m(wᵀu) − wᵀu) w/‖w‖²,   m(a) = −1 + log(1 + eᵃ)          so that ûᵀw > −1 and f can be inverted
/// det ∂f/∂z = 1 + tanh′(wᵀz + b) ûᵀw
/// ```
/// Rezende & Mohamed 2015, eqs 10 to 12 and appendix A.1. The inverse exists but has no closed form.
#[derive(Debug)]
pub struct Planar {
    /// w (L), or (N, L) where every row has its own.
    pub normal: Tensor,
    /// u, of the same shape.
    pub push: Tensor,
    /// b, of the same shape without L.
    pub offset: Tensor,
}

impl Planar {
    /// log(1 + e^{wᵀu}) = 1 + ûᵀw, and û.
    fn constrained(&self) -> (Tensor, Tensor) {
        let product = (&self.normal * &self.push).sum_dim_intlist([-1].as_slice(), true, None);
        let softplus = Activation::Softplus.of(&product);
        let square = self.normal.square().sum_dim_intlist([-1].as_slice(), true, None).clamp_min(1e-30);
        let push = &self.push + (&softplus - 1.0 - product) * &self.normal / square;
        (softplus.squeeze_dim(-1), push)
    }
}

impl Flow for Planar {
    fn forward(&self, z: &Tensor) -> (Tensor, Tensor) {
        let (softplus, push) = self.constrained();
        let side = ((z * &self.normal).sum_dim_intlist([-1].as_slice(), false, None) + &self.offset).tanh();
        // 1 + (1 − tanh²) ûᵀw = tanh² + (1 − tanh²)(1 + ûᵀw): both terms positive, nothing cancels
        let square = side.square();
        let log_det = (&square + (-&square + 1.0) * softplus).log();
        (z + push * side.unsqueeze(-1), log_det)
    }

    fn inverse(&self, _y: &Tensor) -> Option<(Tensor, Tensor)> {
        None
    }

    fn detach(&self) -> Box<dyn Flow> {
        Box::new(Planar { normal: self.normal.detach(), push: self.push.detach(), offset: self.offset.detach() })
    }

    fn share(&self) -> Box<dyn Flow> {
        Box::new(Planar { normal: self.normal.shallow_clone(), push: self.push.shallow_clone(), offset: self.offset.shallow_clone() })
    }
}
