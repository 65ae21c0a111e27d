//! The linear Gaussian latent-variable model x = μ + W z + ε: what probabilistic PCA and factor analysis share.

mod evidence;
mod expectation;
mod imputation;
mod posterior;
mod woodbury;

#[cfg(test)]
mod tests;

pub(crate) use expectation::Expectations;
pub use posterior::GaussianPosterior;
pub(crate) use woodbury::{Groups, Woodbury};

use crate::error::{Error, ErrorKind, Result};
use crate::linalg;
use crate::model::LatentModel;
use crate::rows::RowSource;
use crate::sweep::{check_shape, map_rows};
use ndarray::{Array1, Array2, Axis};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// log 2π.
pub(crate) const LOG_2PI: f64 = 1.837_877_066_409_345_3;

/// A Gaussian whose covariance is of low rank plus diagonal.
///
/// # Model
/// ```text
/// z ~ N(0, I_q)
/// x = μ + W z + ε,   ε ~ N(0, Ψ),   Ψ = diag(ψ_1 … ψ_D)
///
/// x     ~ N(μ, W Wᵀ + Ψ)
/// z | x ~ N(M⁻¹ Wᵀ Ψ⁻¹ (x − μ), M⁻¹),   M = I + Wᵀ Ψ⁻¹ W
/// ```
///
/// # Symbols
/// | symbol | meaning | method | shape | constraint |
/// |---|---|---|---|---|
/// | μ | mean | [`mean`](Self::mean) | (D) | finite |
/// | W | loadings | [`loadings`](Self::loadings) | (D, q) | finite, 0 ≤ q ≤ D |
/// | ψ | noise variances | [`noise`](Self::noise) | (D) | > 0 |
///
/// # Numerics
/// Everything goes through the Cholesky factor of M (q, q): no D × D matrix is formed. N rows cost O(N D q + D q²). With
/// r̃ = Ψ^{-1/2}(x − μ), W̃ = Ψ^{-1/2} W and posterior mean z̄, the quadratic form of the evidence is the sum of squares
/// ‖r̃ − W̃ z̄‖² + ‖z̄‖², which loses no digits when the noise is small. Where the source says that NaN means missing, a row is
/// judged by its observed entries alone, which integrates the others out exactly; equal patterns of a block share their matrices.
///
/// # Errors
/// Refused are parameters that are not finite, noise that is not positive, more latents than columns, and shapes that disagree.
///
/// ```
/// use lvm_core::linear_gaussian::LinearGaussian;
/// use lvm_core::model::{Evidence, MapLatent};
/// use ndarray::array;
/// let model = LinearGaussian::new(array![0.0, 0.0], array![[1.0], [1.0]], array![1.0, 1.0])?;
/// let x = array![[1.0, 2.0]];
/// assert!((model.map_z(&x)?[[0, 0]] - 1.0).abs() < 1e-14);
/// assert!((model.log_evidence(&x)?[0] - (-3.387183211)).abs() < 1e-9);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Bishop, *Pattern Recognition and Machine Learning* (2006), §12.2; Petersen & Pedersen, *The Matrix Cookbook*, §3.2 (Woodbury).
#[derive(Debug, Clone, PartialEq)]
pub struct LinearGaussian {
    mean: Array1<f64>,
    loadings: Array2<f64>,
    noise: Array1<f64>,
}

impl LinearGaussian {
    /// The model with mean (D), loadings (D, q) and noise variances (D).
    ///
    /// # Errors
    /// See the type.
    pub fn new(mean: Array1<f64>, loadings: Array2<f64>, noise: Array1<f64>) -> Result<Self> {
        let d = mean.len();
        if d == 0 {
            return Err(ErrorKind::Empty.into());
        }
        if loadings.nrows() != d {
            return Err(ErrorKind::Shape { what: "number of rows of the loadings", expected: d, found: loadings.nrows() }.into());
        }
        if noise.len() != d {
            return Err(ErrorKind::Shape { what: "number of noise variances", expected: d, found: noise.len() }.into());
        }
        if loadings.ncols() > d {
            return Err(Error::config("loadings", format!("{} latents for {d} columns; at most {d} are allowed", loadings.ncols())));
        }
        if let Some(j) = mean.iter().position(|v| !v.is_finite()) {
            return Err(Error::config("mean", format!("entry {j} (from 0) is {}; it must be finite", mean[j])));
        }
        if let Some(((j, k), v)) = loadings.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(Error::config("loadings", format!("entry ({j}, {k}) (from 0) is {v}; it must be finite")));
        }
        if let Some(j) = noise.iter().position(|v| !(v.is_finite() && *v > 0.0)) {
            return Err(Error::config("noise", format!("variance {j} (from 0) is {}; it must be above zero", noise[j])));
        }
        Ok(LinearGaussian { mean, loadings, noise })
    }

    /// μ (D).
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// W (D, q).
    pub fn loadings(&self) -> &Array2<f64> {
        &self.loadings
    }

    /// ψ (D).
    pub fn noise(&self) -> &Array1<f64> {
        &self.noise
    }

    /// q, the number of latent dimensions.
    pub fn latents(&self) -> usize {
        self.loadings.ncols()
    }

    /// W Wᵀ + Ψ (D, D), the covariance of x.
    pub fn covariance(&self) -> Array2<f64> {
        let mut c = Array2::zeros((self.dim(), self.dim()));
        if self.latents() > 0 {
            linalg::add_lower(1.0, self.loadings.t(), self.loadings.t(), c.view_mut());
            linalg::mirror_lower(&mut c);
        }
        c.diag_mut().zip_mut_with(&self.noise, |c, psi| *c += psi);
        c
    }

    /// E[x | z] = μ + W z for each row of z (N, q); (N, D).
    ///
    /// # Errors
    /// If `z` does not have q columns.
    pub fn mean_given(&self, z: &Array2<f64>) -> Result<Array2<f64>> {
        self.check_latents(z)?;
        let mut x = Array2::zeros((z.nrows(), self.dim()));
        x += &self.mean;
        if self.latents() > 0 {
            linalg::add_matmul(1.0, z.view(), self.loadings.t(), x.view_mut());
        }
        Ok(x)
    }

    /// All columns observed.
    pub(crate) fn complete(&self) -> Result<Woodbury> {
        Woodbury::new(self, (0..self.dim()).collect())
    }

    fn check_latents(&self, z: &Array2<f64>) -> Result<()> {
        if z.ncols() != self.latents() {
            return Err(ErrorKind::Shape { what: "number of columns of z", expected: self.latents(), found: z.ncols() }.into());
        }
        Ok(())
    }
}

impl LatentModel for LinearGaussian {
    type Z = Array2<f64>;

    fn dim(&self) -> usize {
        self.mean.len()
    }

    /// D + D q + D − q (q − 1)/2: mean, loadings up to rotation, noise.
    fn n_parameters(&self) -> usize {
        let (d, q) = (self.dim(), self.latents());
        2 * d + d * q - q * q.saturating_sub(1) / 2
    }

    fn sample_z(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        Array2::from_shape_simple_fn((n, self.latents()), || StandardNormal.sample(rng))
    }

    fn sample_x(&self, z: &Array2<f64>, rng: &mut dyn Rng) -> Result<Array2<f64>> {
        let mut x = self.mean_given(z)?;
        let sd = self.noise.mapv(f64::sqrt);
        for mut row in x.axis_iter_mut(Axis(0)) {
            row.zip_mut_with(&sd, |x, sd| {
                let e: f64 = StandardNormal.sample(rng);
                *x += sd * e;
            });
        }
        Ok(x)
    }

    fn log_joint(&self, x: &dyn RowSource, z: &Array2<f64>) -> Result<Array1<f64>> {
        check_shape(x, Some(self.dim()))?;
        self.check_latents(z)?;
        if z.nrows() != x.n_rows() {
            return Err(ErrorKind::Shape { what: "number of rows of z", expected: x.n_rows(), found: z.nrows() }.into());
        }
        let log_noise = self.noise.mapv(f64::ln);
        let out = map_rows(
            x,
            1,
            || (),
            |(), block, mut out| {
                for i in 0..block.n_rows() {
                    let z = z.row(block.row_number(i));
                    // log p(x, z) = log N(z; 0, I) + Σ_{j observed} log N(x_j; μ_j + w_jᵀ z, ψ_j)
                    let mut twice = self.latents() as f64 * LOG_2PI + z.dot(&z);
                    for j in 0..self.dim() {
                        let value = block.column(j)[i];
                        if !value.is_nan() {
                            let e = value - self.mean[j] - self.loadings.row(j).dot(&z);
                            twice += LOG_2PI + log_noise[j] + e * e / self.noise[j];
                        }
                    }
                    out[[i, 0]] = -0.5 * twice;
                }
                Ok(())
            },
        )?;
        Ok(out.index_axis_move(Axis(1), 0))
    }
}
