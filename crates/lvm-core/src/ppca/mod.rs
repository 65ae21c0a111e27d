//! Probabilistic principal component analysis.

mod complete;
mod em;
mod minka;
mod mixed;
mod ml;
mod pca;
mod randomized;
mod select;
mod spectrum;
mod survey;

pub use em::{PpcaEm, Scheme, Start};
pub use ml::PpcaMl;
pub use pca::Pca;
pub use select::PpcaSelect;
pub use spectrum::{Solver, Spectrum};

use crate::criteria::Criteria;
use crate::error::{Error, Result};
use crate::imputation::Imputation;
use crate::linalg;
use crate::linear_gaussian::{GaussianPosterior, LinearGaussian};
use crate::model::{Evidence, Infer, LatentModel, MapLatent};
use crate::moments;
use crate::rows::RowSource;
use crate::sweep::{check_shape, map_rows};
use ndarray::{Array1, Array2, ArrayView1, Axis};
use rand::Rng;

/// Principal component analysis as a density: a Gaussian with q directions of its own variance and equal noise in all others.
///
/// # Model
/// ```text
/// z ~ N(0, I_q)
/// x = μ + W z + ε,   ε ~ N(0, σ² I_D)
///
/// x     ~ N(μ, W Wᵀ + σ² I)
/// z | x ~ N(M⁻¹ Wᵀ (x − μ), σ² M⁻¹),   M = Wᵀ W + σ² I
/// ```
///
/// # Symbols
/// | symbol | meaning | method | shape | constraint |
/// |---|---|---|---|---|
/// | μ | mean | [`mean`](Self::mean) | (D) | finite |
/// | W | loadings | [`loadings`](Self::loadings) | (D, q) | finite, 0 ≤ q ≤ D |
/// | σ² | noise variance | [`noise_variance`](Self::noise_variance) | | > 0 |
/// | q | latent dimensions | [`components`](Self::components) | | |
///
/// # Numerics
/// Stored as a [`LinearGaussian`] with equal noise; its remarks on cost and cancellation hold here. Only W Wᵀ is determined by data;
/// the algorithms of this module return the axes of [`canonical`](Self::canonical).
///
/// # Errors
/// Refused are parameters that are not finite, σ² ≤ 0, q > D, and shapes that disagree.
///
/// ```
/// use lvm_core::ppca::PpcaMl;
/// use ndarray::array;
/// let x = array![[2.0, 0.1], [-2.0, -0.1], [0.1, 1.0], [-0.1, -1.0]];
/// let ppca = PpcaMl { components: 1, ..Default::default() }.fit(&x, 0)?.model;
/// assert!((ppca.noise_variance() - (1.255 - 0.585_f64.sqrt())).abs() < 1e-12); // the smaller eigenvalue
/// assert!(ppca.loadings()[[0, 0]] > 1.2);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Tipping & Bishop, *Probabilistic principal component analysis*, J. R. Statist. Soc. B 61 (1999) 611; Roweis, *EM algorithms for
/// PCA and SPCA*, NIPS 1997; Bishop, *PRML* §12.2.
#[derive(Debug, Clone, PartialEq)]
pub struct Ppca {
    gaussian: LinearGaussian,
    noise_variance: f64,
}

impl Ppca {
    /// The model with mean (D), loadings (D, q) and noise variance σ².
    ///
    /// # Errors
    /// See the type.
    pub fn new(mean: Array1<f64>, loadings: Array2<f64>, noise_variance: f64) -> Result<Self> {
        if !(noise_variance.is_finite() && noise_variance > 0.0) {
            return Err(Error::config("noise_variance", format!("{noise_variance} given; it must be finite and above zero")));
        }
        let noise = Array1::from_elem(mean.len(), noise_variance);
        Ok(Ppca { gaussian: LinearGaussian::new(mean, loadings, noise)?, noise_variance })
    }

    /// μ (D).
    pub fn mean(&self) -> &Array1<f64> {
        self.gaussian.mean()
    }

    /// W (D, q).
    pub fn loadings(&self) -> &Array2<f64> {
        self.gaussian.loadings()
    }

    /// σ², in squared units of the data.
    pub fn noise_variance(&self) -> f64 {
        self.noise_variance
    }

    /// q, the number of latent dimensions.
    pub fn components(&self) -> usize {
        self.gaussian.latents()
    }

    /// The same density as a linear Gaussian model.
    pub fn linear_gaussian(&self) -> &LinearGaussian {
        &self.gaussian
    }

    /// The same density with W's columns orthogonal, of decreasing length, and the entry of largest modulus of each positive: the
    /// principal axes uᵢ times √(λᵢ − σ²), where λᵢ is the variance along uᵢ. Two canonical models with distinct λᵢ are equal exactly
    /// when their densities are.
    ///
    /// # Errors
    /// If the singular value decomposition of W does not converge.
    pub fn canonical(&self) -> Result<Ppca> {
        Ppca::new(self.mean().clone(), canonical_axes(self.loadings())?, self.noise_variance)
    }

    /// E[x | z̄] = μ + W z̄ with the posterior mean z̄ of each row; (N, D). This is the posterior mean of the noise-free signal μ + W z
    /// (denoising): the projection onto the principal subspace with each axis shrunk by (λᵢ − σ²)/λᵢ. Its expected distance from
    /// the signal is the least possible; [`project`](Self::project) is the point nearest to the row itself. Missing entries are
    /// integrated out.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn reconstruct(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        self.gaussian.mean_given(&self.map_z(x)?)
    }

    /// μ + W (WᵀW)⁻¹ Wᵀ (x − μ), the point of the principal subspace nearest to each row; (N, D). It is the reconstruction of
    /// plain PCA and the limit of [`reconstruct`](Self::reconstruct) as σ² → 0 (Tipping & Bishop 1999, §3.3).
    ///
    /// # Errors
    /// If the data is unusable, has missing entries, or its columns do not fit the model.
    pub fn project(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        check_shape(x, Some(self.dim()))?;
        moments::refuse_missing(x, "the nearest point of the subspace")?;
        let axes = orthonormal_axes(self.loadings())?;
        map_rows(
            x,
            self.dim(),
            || (),
            |(), block, mut out| {
                out.assign(self.mean());
                if axes.ncols() > 0 {
                    let scores = linalg::matmul((&block.x() - self.mean()).view(), axes.view());
                    linalg::add_matmul(1.0, scores.view(), axes.t(), out);
                }
                Ok(())
            },
        )
    }

    /// Missing entries given the observed ones: [`LinearGaussian::impute`].
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn impute(&self, x: &dyn RowSource) -> Result<Imputation> {
        self.gaussian.impute(x)
    }

    /// Σ_n w_n log p(x_n) in nats.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn log_likelihood(&self, x: &dyn RowSource) -> Result<f64> {
        self.gaussian.log_likelihood(x)
    }

    /// Log-likelihood of `x` with what BIC and AIC need.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn criteria(&self, x: &dyn RowSource) -> Result<Criteria> {
        Ok(Criteria { n_parameters: self.n_parameters(), ..self.gaussian.criteria(x)? })
    }
}

/// Free parameters of PPCA: the mean, σ², and W up to rotation.
pub(crate) fn n_parameters(d: usize, q: usize) -> usize {
    d + 1 + d * q - q * q.saturating_sub(1) / 2
}

/// W turned so that its columns are orthogonal, of decreasing length, with the entry of largest modulus positive.
pub(crate) fn canonical_axes(loadings: &Array2<f64>) -> Result<Array2<f64>> {
    if loadings.is_empty() {
        return Ok(loadings.clone());
    }
    let (u, s, _) = linalg::svd(loadings.view())?;
    let mut axes = &u * &s;
    fix_signs(&mut axes);
    Ok(axes)
}

/// An orthonormal basis (D, r) of the span of W's columns.
fn orthonormal_axes(loadings: &Array2<f64>) -> Result<Array2<f64>> {
    if loadings.is_empty() {
        return Ok(loadings.clone());
    }
    let (u, s, _) = linalg::svd(loadings.view())?;
    let rank = s.iter().filter(|v| **v > loadings.nrows() as f64 * f64::EPSILON * s[0]).count();
    Ok(u.select(Axis(1), &(0..rank).collect::<Vec<_>>()))
}

/// Turns each column so that its entry of largest modulus (the first, if several) is positive.
pub(crate) fn fix_signs(columns: &mut Array2<f64>) {
    for mut column in columns.columns_mut() {
        if largest_modulus(column.view()) < 0.0 {
            column.mapv_inplace(|v| -v);
        }
    }
}

/// The entry of largest modulus, the first if several.
fn largest_modulus(column: ArrayView1<'_, f64>) -> f64 {
    column.iter().fold(0.0, |best: f64, v| if v.abs() > best.abs() { *v } else { best })
}

impl LatentModel for Ppca {
    type Z = Array2<f64>;

    fn dim(&self) -> usize {
        self.gaussian.dim()
    }

    /// D + 1 + D q − q (q − 1)/2.
    fn n_parameters(&self) -> usize {
        n_parameters(self.dim(), self.components())
    }

    fn sample_z(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        self.gaussian.sample_z(n, rng)
    }

    fn sample_x(&self, z: &Array2<f64>, rng: &mut dyn Rng) -> Result<Array2<f64>> {
        self.gaussian.sample_x(z, rng)
    }

    fn log_joint(&self, x: &dyn RowSource, z: &Array2<f64>) -> Result<Array1<f64>> {
        self.gaussian.log_joint(x, z)
    }
}

impl Evidence for Ppca {
    fn log_evidence(&self, x: &dyn RowSource) -> Result<Array1<f64>> {
        self.gaussian.log_evidence(x)
    }
}

impl MapLatent for Ppca {
    fn map_z(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        self.gaussian.map_z(x)
    }
}

impl Infer for Ppca {
    const EXACT: bool = true;
    type Q = GaussianPosterior;

    fn infer(&self, x: &dyn RowSource) -> Result<GaussianPosterior> {
        self.gaussian.infer(x)
    }
}
