//! Autoregressive flows: every latent is shifted and scaled by what the latents before it say.

use super::{Flow, Made};
use crate::nets::Activation;
use tch::Tensor;

/// How s scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// f(u) = σ u + (1 − σ) m with σ = 1/(1 + e^{−a−1}), a = 4 tanh(s/4): a running average that can only contract, and starts by keeping
    /// most of u. Kingma et al. 2016, eqs 14 and 15, with a bounded gate: far from its mean the density would be 0/0 otherwise.
    Average,
    /// f(u) = u eᵃ + m with a = 4 tanh(s/4). Papamakarios, Pavlakou & Murray 2017, eq. 5, with a bounded scale.
    Affine,
}

/// So much is added to s: Kingma et al. advise that the gate starts open.
const OPEN: f64 = 1.0;

/// |a| stays below this, so that neither map nor inverse overflows in f32.
const LIMIT: f64 = 4.0;

/// f(u)_l = scale_l u_l + shift_l, with scale and shift of latent l from u₁ … u_{l−1} and a context, by a [`Made`] net.
///
/// Forward takes one pass of the net; the inverse takes L, one latent after another. Posteriors (inverse autoregressive flow, Kingma et al.
/// 2016) draw forward; priors (masked autoregressive flow, Papamakarios et al. 2017) evaluate forward and draw by the inverse.
#[derive(Debug)]
pub struct Autoregressive {
    net: Made,
    context: Option<Tensor>,
    gate: Gate,
}

impl Autoregressive {
    /// Over a net and the context (N, H) of every row, for nets that take one.
    pub fn new(net: Made, context: Option<Tensor>, gate: Gate) -> Self {
        Autoregressive { net, context, gate }
    }

    /// The same parameters with another context.
    pub fn with_context(&self, context: Option<Tensor>) -> Self {
        Autoregressive { net: self.net.share(), context, gate: self.gate }
    }

    /// Scale, shift and log scale (…, L).
    fn terms(&self, u: &Tensor) -> (Tensor, Tensor, Tensor) {
        let (m, s) = self.net.forward(u, self.context.as_ref());
        let a = (s / LIMIT).tanh() * LIMIT;
        match self.gate {
            Gate::Average => {
                let s = a + OPEN;
                let scale = s.sigmoid();
                // (1 − σ) m;   log σ = −log(1 + e⁻ˢ)
                (scale.shallow_clone(), (-&s).sigmoid() * m, -Activation::Softplus.of(&-s))
            }
            Gate::Affine => (a.exp(), m, a),
        }
    }
}

impl Flow for Autoregressive {
    fn forward(&self, u: &Tensor) -> (Tensor, Tensor) {
        let (scale, shift, log_scale) = self.terms(u);
        (u * scale + shift, log_scale.sum_dim_intlist([-1].as_slice(), false, None))
    }

    fn inverse(&self, y: &Tensor) -> Option<(Tensor, Tensor)> {
        let latents = y.size().last().copied().unwrap_or(0);
        // latents that are not known yet stand at 0: the net does not let those before them see it
        let mut known: Vec<Tensor> = Vec::new();
        for l in 0..latents {
            let mut parts: Vec<Tensor> = known.iter().map(Tensor::shallow_clone).collect();
            parts.push(y.narrow(-1, l, latents - l).zeros_like());
            let (scale, shift, _) = self.terms(&Tensor::cat(&parts, -1));
            known.push((y.narrow(-1, l, 1) - shift.narrow(-1, l, 1)) / scale.narrow(-1, l, 1));
        }
        let u = Tensor::cat(&known, -1);
        let (_, _, log_scale) = self.terms(&u);
        Some((u, log_scale.sum_dim_intlist([-1].as_slice(), false, None)))
    }

    fn detach(&self) -> Box<dyn Flow> {
        Box::new(Autoregressive { net: self.net.detach(), context: self.context.as_ref().map(Tensor::detach), gate: self.gate })
    }

    fn share(&self) -> Box<dyn Flow> {
        Box::new(self.with_context(self.context.as_ref().map(Tensor::shallow_clone)))
    }
}
