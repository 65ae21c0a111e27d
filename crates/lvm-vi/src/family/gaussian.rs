//! What the Gaussian families share, and the divergence between two of them.

use super::Family;
use lvm_core::mutant::planted;
use lvm_core::{ErrorKind, Result};

/// A Gaussian N(μ, Σ) with Σ = S Sᵀ, S of shape (d, noise), so that z = μ + S ε.
pub trait Gaussian: Family {
    /// μ (d).
    fn location(&self) -> &[f64];

    /// log det Σ.
    fn log_det(&self) -> f64;

    /// vᵀ Σ⁻¹ v.
    fn mahalanobis(&self, v: &[f64]) -> f64;

    /// Column k of S, written over `column` (d).
    fn factor_column(&self, k: usize, column: &mut [f64]);
}

/// KL(q ‖ p) in nats between two Gaussians, in closed form; the families may differ. No d x d matrix is inverted.
///
/// ```
/// use lvm_vi::family::{MeanField, kl};
/// let (q, p) = (MeanField::new(&[1.0], &[1.0])?, MeanField::new(&[0.0], &[2.0])?);
/// // log 2 + (1 + 1) / (2 · 4) − 1/2
/// assert!((kl(&q, &p)? - (2f64.ln() - 0.25)).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If the dimensions differ.
pub fn kl<Q: Gaussian, P: Gaussian>(q: &Q, p: &P) -> Result<f64> {
    let d = p.dim();
    if q.dim() != d {
        return Err(ErrorKind::Shape { what: "dimension of q in KL(q ‖ p)", expected: d, found: q.dim() }.into());
    }
    // KL = ½ [tr(Σ_p⁻¹ Σ_q) + (μ_q − μ_p)ᵀ Σ_p⁻¹ (μ_q − μ_p) − d + log det Σ_p − log det Σ_q],   tr(Σ_p⁻¹ S Sᵀ) = Σ_k s_kᵀ Σ_p⁻¹ s_k
    let mut v: Vec<f64> = q.location().iter().zip(p.location()).map(|(a, b)| a - b).collect();
    let shift = p.mahalanobis(&v);
    let trace: f64 = (0..q.noise_dim())
        .map(|k| {
            q.factor_column(k, &mut v);
            p.mahalanobis(&v)
        })
        .sum();
    let latents = if planted("kl_mean_over_latents") { d as f64 } else { 1.0 };
    let sign = if planted("kl_log_det_swapped") { -1.0 } else { 1.0 };
    Ok((0.5 * (trace + shift - d as f64 + sign * (p.log_det() - q.log_det())) / latents).max(0.0))
}
