//! z ~ q(z | x) and KL(q ‖ N(0, I)), forward and backward.
//!
//! ```text
//! z_s = m + e^{v/2} ε_s,          KL = ½ Σ (e^v + m² − 1 − v)                   Kingma & Welling 2014, appendix B
//! ∂/∂m = Σ_s ∂/∂z_s + β w m,      ∂/∂v = ½ e^{v/2} Σ_s ε_s ∂/∂z_s + ½ β w (e^v − 1)
//! ```

use super::elementary::{Real, exp};
use super::lanes::{LANES, Lanes, zeros};
use super::perceptron::Trace;
use crate::posterior::diagonal::LOG_VARIANCE_LIMIT;
use pulp::Simd;

/// q(z | x) of one panel.
pub(super) struct Latent<E> {
    /// e^{v/2} (L).
    sd: Vec<Lanes<E>>,
    /// ε of every draw, (S L).
    noise: Vec<Lanes<E>>,
    /// KL of every row, nats.
    pub(super) kl: [f64; LANES],
}

impl<E: Real> Latent<E> {
    pub(super) fn new(latents: usize, draws: usize) -> Self {
        Latent { sd: zeros(latents), noise: zeros(latents * draws), kl: [0.0; LANES] }
    }

    /// Draws z into the decoders' traces from the features (m, v), with the noise ε (S, N, L) of the whole batch, of which this panel's rows
    /// begin at `first`; behind z stands the condition.
    #[inline(always)]
    pub(super) fn draw<S: Simd>(
        &mut self,
        features: &[Lanes<E>],
        epsilon: &[f64],
        (first, rows): (usize, usize),
        condition: &[Lanes<E>],
        decoders: &mut [Trace<E>],
    ) {
        let latents = self.sd.len();
        let limit = E::of(LOG_VARIANCE_LIMIT);
        self.kl = [0.0; LANES];
        for l in 0..latents {
            let (m, v) = (features[l], features[latents + l].map(|v| clamp(v, limit)));
            self.sd[l] = v.map(|v| exp::<S, E>(E::HALF * v));
            let kl = m.with(self.sd[l], |m, s| m * m + s * s).with(v, |squares, v| E::HALF * (squares - E::ONE - v));
            self.kl.iter_mut().zip(kl.0).for_each(|(sum, kl)| *sum += kl.wide());
        }
        for ((s, decoder), noise) in decoders.iter_mut().enumerate().zip(self.noise.chunks_exact_mut(latents)) {
            for lane in 0..LANES.min(rows - first) {
                let row = &epsilon[(s * rows + first + lane) * latents..][..latents];
                noise.iter_mut().zip(row).for_each(|(noise, &e)| noise.0[lane] = E::of(e));
            }
            let z = &mut decoder.values[0];
            for l in 0..latents {
                z[l] = features[l].with(self.sd[l].with(noise[l], |s, e| s * e), |m, d| m + d);
            }
            z[latents..].copy_from_slice(condition);
        }
    }

    /// The slope of the loss in the features from those in z, with `weight` = β w.
    #[inline(always)]
    pub(super) fn backward(&self, features: &[Lanes<E>], weight: Lanes<E>, decoders: &[Trace<E>], slope: &mut [Lanes<E>]) {
        let latents = self.sd.len();
        let limit = E::of(LOG_VARIANCE_LIMIT);
        for l in 0..latents {
            let (mut of_mean, mut of_noise) = (Lanes::ZERO, Lanes::ZERO);
            for (s, decoder) in decoders.iter().enumerate() {
                let of_z = decoder.deltas[0][l];
                of_mean = of_mean.with(of_z, |sum, d| sum + d);
                of_noise = of_noise.with(of_z.with(self.noise[s * latents + l], |d, e| d * e), |sum, d| sum + d);
            }
            let sd = self.sd[l];
            slope[l] = of_mean.with(features[l].with(weight, |m, w| m * w), |a, b| a + b);
            let of_kl = sd.with(weight, |s, w| w * (s * s - E::ONE));
            let of_log_variance = of_noise.with(sd, |d, s| d * s).with(of_kl, |a, b| E::HALF * (a + b));
            // where v is clamped nothing depends on it
            slope[latents + l] = of_log_variance.with(features[latents + l], |d, v| if v.abs() > limit { E::ZERO } else { d });
        }
    }
}

/// Between ± the limit; NaN stays NaN.
#[inline(always)]
pub(super) fn clamp<E: Real>(v: E, limit: E) -> E {
    let v = if v < -limit { -limit } else { v };
    if v > limit { limit } else { v }
}
