//! Laplace's approximation of the evidence for the number of components.

use super::Spectrum;

/// log p(D | q) of Minka (2000), eq. 76 of the report: Laplace's approximation of the evidence of q principal components, under a
/// uniform prior over axes and noninformative priors over mean and variances.
///
/// ```text
/// log p(D|q) = log p(U) − N/2 Σ_{i≤q} log λ_i − N (D − q)/2 log v + (m + q)/2 log 2π − ½ log |A| − q/2 log N
/// v = Σ_{i>q} λ_i/(D − q),   m = D q − q (q + 1)/2
/// log p(U) = −q log 2 + Σ_{i≤q} [log Γ((D − i + 1)/2) − (D − i + 1)/2 log π]
/// log |A| = Σ_{i≤q} Σ_{j>i} [log(1/λ̂_j − 1/λ̂_i) + log(λ_i − λ_j) + log N],   λ̂_i = λ_i for i ≤ q, v beyond
/// ```
/// The prior of the mean is improper, so that a constant common to all q is left out. `None` where the approximation does not exist:
/// v or a λ_i (i ≤ q) zero to rounding, equal eigenvalues, q ≥ D, or a spectrum of which only the leading part is known.
pub(super) fn laplace_evidence(spectrum: &Spectrum, q: usize) -> Option<f64> {
    let (d, n) = (spectrum.mean.len(), spectrum.weight);
    if q >= d || !spectrum.complete {
        return None;
    }
    let lambda = |i: usize| spectrum.eigenvalues.get(i).copied().unwrap_or(0.0);
    let v = spectrum.discarded(q) / (d - q) as f64;
    if v < spectrum.floor() {
        return None;
    }
    let m = (d * q - q * (q + 1) / 2) as f64;
    let log_pi = std::f64::consts::PI.ln();
    let log_gamma = log_gamma_halves(d);
    let mut log_u = -(q as f64) * std::f64::consts::LN_2;
    let (mut log_signal, mut log_hessian) = (0.0, 0.0);
    for i in 0..q {
        log_u += log_gamma[d - i] - 0.5 * (d - i) as f64 * log_pi;
        log_signal += lambda(i).ln();
        for j in i + 1..d {
            let shrunk = if j < q { lambda(j) } else { v };
            log_hessian += (1.0 / shrunk - 1.0 / lambda(i)).ln() + (lambda(i) - lambda(j)).ln() + n.ln();
        }
    }
    let evidence = log_u - 0.5 * n * log_signal - 0.5 * n * (d - q) as f64 * v.ln() + 0.5 * (m + q as f64) * std::f64::consts::TAU.ln()
        - 0.5 * log_hessian
        - 0.5 * q as f64 * n.ln();
    evidence.is_finite().then_some(evidence)
}

/// log Γ(k/2) for k = 0 … d (the first is unused), by Γ(x + 1) = x Γ(x).
fn log_gamma_halves(d: usize) -> Vec<f64> {
    let mut log_gamma = vec![f64::INFINITY, 0.5 * std::f64::consts::PI.ln(), 0.0];
    for k in 3..=d {
        log_gamma.push(log_gamma[k - 2] + (0.5 * (k - 2) as f64).ln());
    }
    log_gamma
}
