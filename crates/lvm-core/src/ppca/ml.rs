//! Maximum likelihood in closed form.

use super::{Ppca, Solver, Spectrum};
use crate::error::{Error, Result, count};
use crate::fit::{Fitted, Repair, RepairKind, Status, Watch, unwatched};
use crate::linear_gaussian::LOG_2PI;
use crate::mutant::planted;
use crate::rows::RowSource;
use ndarray::{Axis, Slice};

/// Maximum likelihood PPCA by eigen-decomposition.
///
/// *Objective*: mean log-likelihood per row, −½ [D log 2π + Σ_{i≤q} log λᵢ + (D − q) log σ² + D] at the optimum.
///
/// *Solution* (Tipping & Bishop 1999, eqs 7 and 8), with λ₁ ≥ λ₂ ≥ … the eigenvalues of the covariance about the mean, divided by
/// N, and uᵢ its eigenvectors:
/// ```text
/// μ = x̄,   σ² = Σ_{i>q} λᵢ / (D − q),   W = [u₁ √(λ₁ − σ²), …, u_q √(λ_q − σ²)]
/// ```
/// The rotation left open is fixed as in [`Ppca::canonical`]: orthogonal columns, each with its entry of largest modulus positive.
///
/// *Needs* complete rows and q < D: with q = D no direction is left for the noise, and q = D − 1 already is the unrestricted
/// Gaussian. For rows with missing entries use [`PpcaEm`](super::PpcaEm).
///
/// *When data has rank q or less*, σ² is zero to rounding and the likelihood has no maximum: σ² is raised to 16 D ε λ₁, the level of
/// rounding, and [`RepairKind::NoiseFloored`] says so.
///
/// ```
/// use lvm_core::ppca::PpcaMl;
/// use ndarray::array;
/// let x = array![[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, -3.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]];
/// let fitted = PpcaMl { components: 1, ..Default::default() }.fit(&x, 0)?;
/// assert!((fitted.model.noise_variance() - 1.0 / 3.0).abs() < 1e-14);
/// assert!((fitted.objective() * 6.0 - fitted.model.log_likelihood(&x)?).abs() < 1e-12);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PpcaMl {
    /// q, the number of latent dimensions.
    pub components: usize,
    /// How the principal axes are found.
    pub solver: Solver,
}

impl Default for PpcaMl {
    /// Two components, which can be plotted.
    fn default() -> Self {
        PpcaMl { components: 2, solver: Solver::Auto }
    }
}

impl PpcaMl {
    /// The maximum likelihood model; status [`Status::ClosedForm`], a trace of one entry. `seed` matters to the randomized solver
    /// only.
    ///
    /// # Errors
    /// If the data is unusable or has missing entries, has fewer than two rows or no variation, or if not q < D.
    pub fn fit(&self, data: &dyn RowSource, seed: u64) -> Result<Fitted<Ppca>> {
        self.fit_watched(data, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every pass over the rows.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) if `watch` stops: half a closed form is nothing.
    pub fn fit_watched(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Fitted<Ppca>> {
        check_components(self.components, data.n_cols())?;
        let spectrum = Spectrum::leading(data, self.components, self.solver, seed, watch)?;
        from_spectrum(&spectrum, self.components, seed)
    }
}

/// q < D.
pub(super) fn check_components(q: usize, d: usize) -> Result<()> {
    if q >= d && d > 0 {
        let asked = count(q, "latent dimension");
        let message = match d {
            1 => format!("{asked} asked for, but a table of 1 column has room for none beside the noise; 2 columns or more are needed"),
            _ => format!("{asked} asked for, but {d} columns leave a direction for the noise only up to {}", d - 1),
        };
        return Err(Error::config("components", message));
    }
    Ok(())
}

/// The maximum likelihood model with `q` latents, from a spectrum with at least `q` axes.
pub(super) fn from_spectrum(spectrum: &Spectrum, q: usize, seed: u64) -> Result<Fitted<Ppca>> {
    let d = spectrum.mean.len();
    // σ² = Σ_{i>q} λᵢ / (D − q)   Tipping & Bishop 1999, eq. 8
    let discarded = spectrum.discarded(q);
    let directions = if planted("ppca_noise_over_d") { d } else { d - q };
    let (mut noise, floor) = (discarded / directions as f64, spectrum.floor());
    let mut repairs = Vec::new();
    if noise < floor {
        noise = floor;
        repairs.push(Repair { iteration: 0, kind: RepairKind::NoiseFloored { floor } });
    }
    // W = U (Λ − σ² I)^{1/2}   Tipping & Bishop 1999, eq. 7
    let mut loadings = spectrum.axes.slice_axis(Axis(1), Slice::from(..q)).to_owned();
    let mut twice = d as f64 * LOG_2PI + (d - q) as f64 * noise.ln() + discarded / noise;
    for (i, mut column) in loadings.columns_mut().into_iter().enumerate() {
        let lambda = spectrum.eigenvalues.get(i).copied().unwrap_or(0.0);
        column *= (lambda - noise).max(0.0).sqrt();
        let variance = lambda.max(noise);
        twice += variance.ln() + lambda / variance;
    }
    let objective = -0.5 * twice;
    let model = Ppca::new(spectrum.mean.clone(), loadings, noise)?;
    Ok(Fitted { model, status: Status::ClosedForm, trace: vec![objective], repairs, restarts: vec![objective], seed })
}
