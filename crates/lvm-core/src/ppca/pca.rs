//! Plain principal component analysis: the view of PPCA without its noise.

use super::{Ppca, Solver, Spectrum};
use crate::error::{Error, ErrorKind, Result};
use crate::fit::{Watch, unwatched};
use crate::linalg;
use crate::model::LatentModel;
use crate::moments::refuse_missing;
use crate::rows::RowSource;
use crate::sweep::{check_shape, map_rows};
use ndarray::{Array1, Array2, Axis, Slice};

/// Principal axes and the variance along each: what remains of PPCA as σ² → 0.
///
/// # Model
/// ```text
/// S = Σ_n w_n (x_n − x̄)(x_n − x̄)ᵀ / N = Σ_i λ_i u_i u_iᵀ,   scores t_i = u_iᵀ (x − x̄)
/// ```
///
/// # Symbols
/// | symbol | meaning | method | shape | constraint |
/// |---|---|---|---|---|
/// | x̄ | mean | [`mean`](Self::mean) | (D) | |
/// | u | principal axes, as rows | [`components`](Self::components) | (q, D) | orthonormal, entry of largest modulus positive |
/// | λ | variance along each axis | [`explained_variance`](Self::explained_variance) | (q) | descending, ≥ 0 |
///
/// # Numerics
/// λ is divided by N, as maximum likelihood has it; scikit-learn and R's prcomp divide by N − 1, so theirs is larger by N/(N − 1).
///
/// # Errors
/// Missing entries are refused: [`Ppca::impute`] fills them, [`MapLatent::map_z`](crate::model::MapLatent::map_z) scores without them.
///
/// ```
/// use lvm_core::ppca::{Pca, Solver};
/// use ndarray::array;
/// let x = array![[0.0, 0.0], [2.0, 2.0], [1.0, 0.5], [1.0, 1.5]];
/// let pca = Pca::fit(&x, 2, Solver::Auto, 0)?;
/// assert!((pca.explained_variance()[0] - (0.5625 + 0.25390625_f64.sqrt())).abs() < 1e-12);
/// let back = pca.inverse_transform(&pca.transform(&x)?)?;
/// assert!((&back - &x).iter().all(|e| e.abs() < 1e-14));
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Jolliffe, *Principal Component Analysis* (2002); Tipping & Bishop (1999), §3.3 for the limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    mean: Array1<f64>,
    components: Array2<f64>,
    explained_variance: Array1<f64>,
    total_variance: f64,
}

impl Pca {
    /// The first `components` axes of complete rows, at most min(N, D). `seed` matters to the randomized solver only.
    ///
    /// # Errors
    /// If the data is unusable or has missing entries, or `components` is too large.
    pub fn fit(data: &dyn RowSource, components: usize, solver: Solver, seed: u64) -> Result<Self> {
        Self::fit_watched(data, components, solver, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every pass over the rows.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`ErrorKind::Cancelled`] if `watch` stops.
    pub fn fit_watched(data: &dyn RowSource, components: usize, solver: Solver, seed: u64, watch: Watch<'_>) -> Result<Self> {
        let spectrum = Spectrum::leading(data, components, solver, seed, watch)?;
        let most = spectrum.rows.min(data.n_cols());
        if components > most {
            let message = format!("{components} asked for, but {} rows of {} columns have {most}", spectrum.rows, data.n_cols());
            return Err(Error::config("components", message));
        }
        Ok(Pca {
            mean: spectrum.mean,
            components: spectrum.axes.reversed_axes().as_standard_layout().into_owned(),
            explained_variance: spectrum.eigenvalues.slice_axis(Axis(0), Slice::from(..components)).to_owned(),
            total_variance: spectrum.total_variance,
        })
    }

    /// x̄ (D).
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// u (q, D), one axis a row.
    pub fn components(&self) -> &Array2<f64> {
        &self.components
    }

    /// λ (q), divided by N, in squared units of the data.
    pub fn explained_variance(&self) -> &Array1<f64> {
        &self.explained_variance
    }

    /// λ_i / tr S (q): the share of the total variance along each axis. The same for N and N − 1.
    pub fn explained_variance_ratio(&self) -> Array1<f64> {
        &self.explained_variance / self.total_variance
    }

    /// Scores u_iᵀ (x − x̄) of each row; (N, q).
    ///
    /// # Errors
    /// If the data is unusable, has missing entries, or does not have D columns.
    pub fn transform(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        check_shape(x, Some(self.mean.len()))?;
        refuse_missing(x, "a projection onto principal axes")?;
        map_rows(
            x,
            self.components.nrows(),
            || (),
            |(), block, out| {
                if !out.is_empty() {
                    linalg::matmul_into((&block.x() - &self.mean).view(), self.components.t(), out);
                }
                Ok(())
            },
        )
    }

    /// x̄ + Σ_i t_i u_i for each row of scores (N, q); (N, D). Inverts [`transform`](Self::transform) on the span of the axes.
    ///
    /// # Errors
    /// If `scores` does not have q columns.
    pub fn inverse_transform(&self, scores: &Array2<f64>) -> Result<Array2<f64>> {
        self.check_scores(scores)?;
        let mut x = Array2::zeros((scores.nrows(), self.mean.len()));
        x += &self.mean;
        if !scores.is_empty() {
            linalg::add_matmul(1.0, scores.view(), self.components.view(), x.view_mut());
        }
        Ok(x)
    }

    /// Scores divided by √λ_i, of unit variance over the rows fitted; (N, q).
    ///
    /// # Errors
    /// As [`transform`](Self::transform), and if a λ_i is zero to rounding: the message says how many axes there are to ask for.
    pub fn whiten(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        let sd = self.standard_deviations()?;
        Ok(self.transform(x)? / &sd)
    }

    /// Inverts [`whiten`](Self::whiten) on the span of the axes; (N, D).
    ///
    /// # Errors
    /// If `whitened` does not have q columns, or a λ_i is zero to rounding.
    pub fn unwhiten(&self, whitened: &Array2<f64>) -> Result<Array2<f64>> {
        self.check_scores(whitened)?;
        self.inverse_transform(&(whitened * &self.standard_deviations()?))
    }

    /// √λ, none of them zero.
    fn standard_deviations(&self) -> Result<Array1<f64>> {
        // twice the level of rounding, 16 D ε λ₁, so that a variance raised to that level counts as zero
        let floor = 32.0 * self.mean.len() as f64 * f64::EPSILON * self.explained_variance.first().copied().unwrap_or(0.0);
        let rank = self.explained_variance.iter().take_while(|v| **v > floor).count();
        if rank < self.explained_variance.len() {
            let message = format!(
                "the table varies along {rank} axes only, so {} can't be whitened; ask for at most {rank}",
                self.components.nrows()
            );
            return Err(Error::config("components", message));
        }
        Ok(self.explained_variance.mapv(f64::sqrt))
    }

    fn check_scores(&self, scores: &Array2<f64>) -> Result<()> {
        let (expected, found) = (self.components.nrows(), scores.ncols());
        if expected != found {
            return Err(ErrorKind::Shape { what: "number of columns of the scores", expected, found }.into());
        }
        Ok(())
    }
}

impl Ppca {
    /// The principal axes of the model: directions of its [`canonical`](Self::canonical) columns, with λ_i = ‖w_i‖² + σ². For a model
    /// fitted by maximum likelihood it is the PCA of its data.
    ///
    /// # Errors
    /// If the singular value decomposition of W does not converge.
    pub fn pca(&self) -> Result<Pca> {
        let (d, q, noise) = (self.dim(), self.components(), self.noise_variance());
        if q == 0 {
            let (components, none) = (Array2::zeros((0, d)), Array1::zeros(0));
            return Ok(Pca { mean: self.mean().clone(), components, explained_variance: none, total_variance: d as f64 * noise });
        }
        let (mut axes, s, _) = linalg::svd(self.loadings().view())?;
        super::fix_signs(&mut axes);
        let explained_variance = s.mapv(|s| s * s + noise);
        let total_variance = explained_variance.sum() + (d - q) as f64 * noise;
        let components = axes.reversed_axes().as_standard_layout().into_owned();
        Ok(Pca { mean: self.mean().clone(), components, explained_variance, total_variance })
    }
}
