//! The factor model with known parameters.

use super::bartlett::{self, BartlettScores};
use super::rotation::{Rotation, inverse, pattern};
use super::solution::standardised;
use crate::criteria::Criteria;
use crate::error::{Error, ErrorKind, Result};
use crate::imputation::Imputation;
use crate::linalg;
use crate::linear_gaussian::{GaussianPosterior, LinearGaussian};
use crate::model::{Evidence, Infer, LatentModel, MapLatent};
use crate::mutant::planted;
use crate::rows::RowSource;
use ndarray::{Array1, Array2, Axis};
use rand::Rng;

/// Columns explained by common factors, each with a noise variance of its own.
///
/// # Model
/// ```text
/// z ~ N(0, Φ)                  q factors; Φ = I unless rotated obliquely
/// x = μ + W z + ε,  ε ~ N(0, diag ψ)
///
/// x ~ N(μ, W Φ Wᵀ + diag ψ)
/// ```
///
/// # Symbols
/// | symbol | meaning | method | shape | constraint |
/// |---|---|---|---|---|
/// | μ | mean | [`mean`](Self::mean) | (D) | finite |
/// | W | loadings, rotated if the model was | [`loadings`](Self::loadings) | (D, q) | finite, q ≤ D |
/// | ψ | noise variances | [`noise_variances`](Self::noise_variances) | (D) | > 0 |
/// | u | uniquenesses ψ_j / Var x_j | [`uniquenesses`](Self::uniquenesses) | (D) | in (0, 1] |
/// | h | communalities 1 − u_j | [`communalities`](Self::communalities) | (D) | in [0, 1) |
/// | T | rotation matrix | [`rotation`](Self::rotation) | (q, q) | columns of length 1, orthogonal if the rotation is |
/// | Φ | correlations of the factors | [`factor_correlations`](Self::factor_correlations) | (q, q) | Φ = Tᵀ T |
///
/// # Numerics
/// What is stored is the unrotated model (a [`LinearGaussian`]) and T: rotating changes no evidence, and every latent that goes in or
/// comes out (draws, posterior, MAP, Bartlett scores) is in the rotated axes, f = Tᵀ z. Cost as [`LinearGaussian`]. The fit orders
/// columns by explained variance, descending, and makes the largest standardised loading of each positive.
///
/// # Errors
/// As [`LinearGaussian::new`]; rotation of loadings that are not of full column rank is refused.
///
/// ```
/// use lvm_core::fa::{FactorAnalysis, Rotation};
/// use ndarray::array;
/// let w = array![[0.8, 0.3], [0.7, 0.4], [0.6, -0.5], [0.5, -0.6]];
/// let model = FactorAnalysis::new(array![0.0, 0.0, 0.0, 0.0], w, array![0.3, 0.4, 0.4, 0.4])?;
/// let rotated = model.rotated(Rotation::varimax())?;
/// let h = &model.communalities() - &rotated.communalities();
/// assert!(h.iter().all(|v| v.abs() < 1e-15));
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Lawley & Maxwell, *Factor Analysis as a Statistical Method* (1971); Bishop, PRML (2006), §12.2.4; Thomson (1951) and Bartlett (1937)
/// for the two kinds of scores.
#[derive(Debug, Clone, PartialEq)]
pub struct FactorAnalysis {
    /// The unrotated model.
    unrotated: LinearGaussian,
    rotation: Option<Rotated>,
    /// Λ = W T⁻ᵀ.
    loadings: Array2<f64>,
    /// T⁻¹ and Φ, if rotated.
    frame: Option<Frame>,
}

/// A rotation that was made, with its matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotated {
    /// The criterion.
    pub rotation: Rotation,
    /// T (q, q) with f = Tᵀ z and Λ = W T⁻ᵀ (= W T if orthogonal).
    pub matrix: Array2<f64>,
    /// Whether the criterion's gradient vanished; false if the search ended before.
    pub converged: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Frame {
    inverse: Array2<f64>,
    correlations: Array2<f64>,
    log_abs_det: f64,
}

impl FactorAnalysis {
    /// The model with mean (D), loadings (D, q) of uncorrelated factors and noise variances (D).
    ///
    /// # Errors
    /// See the type.
    pub fn new(mean: Array1<f64>, loadings: Array2<f64>, noise_variances: Array1<f64>) -> Result<Self> {
        Ok(LinearGaussian::new(mean, loadings, noise_variances)?.into())
    }

    /// The same distribution of x with the factors turned to simple structure, from the unrotated axes whatever was done before.
    ///
    /// # Errors
    /// If a setting of the rotation is out of range or the factors are not linearly independent.
    pub fn rotated(&self, rotation: Rotation) -> Result<Self> {
        let lambda = standardised(self.unrotated.loadings(), self.unrotated.noise());
        let (matrix, converged) = rotation.matrix(lambda.view())?;
        self.with_rotation(Rotated { rotation, matrix, converged })
    }

    /// The same distribution of x in the axes of a known rotation matrix, as read back from a file.
    ///
    /// # Errors
    /// If the matrix is not (q, q), is singular, has a column that is not of length 1, or, for an orthogonal rotation, has columns that are
    /// not orthogonal: its factors would be correlated.
    pub fn with_rotation(&self, rotated: Rotated) -> Result<Self> {
        let t = &rotated.matrix;
        let q = self.factors();
        for found in [t.nrows(), t.ncols()] {
            if found != q {
                return Err(ErrorKind::Shape { what: "size of the rotation matrix", expected: q, found }.into());
            }
        }
        // products of numbers of size 1, carried through a factorisation or two
        if t.columns().into_iter().any(|c| !((c.dot(&c) - 1.0).abs() <= 1e-8)) {
            return Err(Error::config("rotation", "a column of the matrix is not of length 1"));
        }
        let inverse = inverse(t.view())?;
        let mut correlations = linalg::matmul(t.t(), t.view());
        correlations.diag_mut().fill(1.0);
        if !rotated.rotation.is_oblique() {
            if let Some(((i, j), _)) = correlations.indexed_iter().find(|((i, j), c)| i != j && !(c.abs() <= 1e-8)) {
                let message = format!("columns {i} and {j} (from 0) of the matrix of an orthogonal rotation are not orthogonal");
                return Err(Error::config("rotation", message));
            }
            correlations = Array2::eye(q);
        }
        let log_abs_det = if q == 0 { 0.0 } else { linalg::qr(t.view())?.1.diag().iter().map(|v| v.abs().ln()).sum() };
        Ok(FactorAnalysis {
            unrotated: self.unrotated.clone(),
            loadings: pattern(self.unrotated.loadings().view(), t.view())?,
            rotation: Some(rotated),
            frame: Some(Frame { inverse, correlations, log_abs_det }),
        })
    }

    /// μ (D).
    pub fn mean(&self) -> &Array1<f64> {
        self.unrotated.mean()
    }

    /// Loadings (D, q): Λ if the model was rotated (the pattern matrix of an oblique rotation), W if not.
    pub fn loadings(&self) -> &Array2<f64> {
        &self.loadings
    }

    /// ψ (D).
    pub fn noise_variances(&self) -> &Array1<f64> {
        self.unrotated.noise()
    }

    /// q.
    pub fn factors(&self) -> usize {
        self.unrotated.latents()
    }

    /// The rotation, if one was made.
    pub fn rotation(&self) -> Option<&Rotated> {
        self.rotation.as_ref()
    }

    /// Φ (q, q).
    pub fn factor_correlations(&self) -> Array2<f64> {
        self.frame.as_ref().map_or_else(|| Array2::eye(self.factors()), |f| f.correlations.clone())
    }

    /// Λ Φ (D, q): covariances between columns and factors.
    pub fn structure(&self) -> Array2<f64> {
        self.loadings.dot(&self.factor_correlations())
    }

    /// The model before rotation, with factors N(0, I): the same distribution of x.
    pub fn linear_gaussian(&self) -> &LinearGaussian {
        &self.unrotated
    }

    /// u_j = ψ_j / (Σ_k W_jk² + ψ_j) (D), the share of each column's variance that is its own.
    pub fn uniquenesses(&self) -> Array1<f64> {
        let w = self.unrotated.loadings();
        Array1::from_shape_fn(self.dim(), |j| {
            let psi = self.unrotated.noise()[j];
            if planted("fa_raw_uniquenesses") { psi } else { psi / (w.row(j).dot(&w.row(j)) + psi) }
        })
    }

    /// h_j = 1 − u_j (D), the share the factors explain.
    pub fn communalities(&self) -> Array1<f64> {
        let w = self.unrotated.loadings();
        Array1::from_shape_fn(self.dim(), |j| {
            let common = w.row(j).dot(&w.row(j));
            common / (common + self.unrotated.noise()[j])
        })
    }

    /// What each factor explains of the D standardised variances (q): Σ_j λ_jk (Λ Φ)_jk / σ_j². Sums to Σ_j h_j.
    pub fn explained_variance(&self) -> Array1<f64> {
        let w = self.unrotated.loadings();
        let variance = Array1::from_shape_fn(self.dim(), |j| w.row(j).dot(&w.row(j)) + self.unrotated.noise()[j]);
        (&self.loadings * &self.structure() / &variance.insert_axis(Axis(1))).sum_axis(Axis(0))
    }

    /// W Φ Wᵀ + diag ψ (D, D).
    pub fn covariance(&self) -> Array2<f64> {
        self.unrotated.covariance()
    }

    /// Bartlett's scores: the weighted least-squares estimate of z from x, unbiased given z.
    ///
    /// ```text
    /// ẑ = (Wᵀ Ψ⁻¹ W)⁻¹ Wᵀ Ψ⁻¹ (x − μ),   Cov[ẑ | z] = (Wᵀ Ψ⁻¹ W)⁻¹                 Bartlett 1937
    /// ```
    ///
    /// Regression scores are the posterior's mean: [`infer`](Infer::infer) or [`map_z`](MapLatent::map_z).
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit; if a row's observed entries do not determine all factors.
    pub fn bartlett_scores(&self, x: &dyn RowSource) -> Result<BartlettScores> {
        let scores = bartlett::scores(&self.unrotated, x)?;
        match &self.rotation {
            None => Ok(scores),
            Some(rotated) => Ok(scores.transformed(&rotated.matrix)),
        }
    }

    /// The table with missing entries at their conditional mean, and their conditional covariance.
    ///
    /// # Errors
    /// As [`LinearGaussian::impute`].
    pub fn impute(&self, x: &dyn RowSource) -> Result<Imputation> {
        self.unrotated.impute(x)
    }

    /// E[x | z] = μ + W z for each row of z (N, q).
    ///
    /// # Errors
    /// If z has the wrong number of columns.
    pub fn mean_given(&self, z: &Array2<f64>) -> Result<Array2<f64>> {
        self.unrotated.mean_given(&self.unrotate(z)?)
    }

    /// Log-likelihood of `data` with what BIC and AIC need.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn criteria(&self, data: &dyn RowSource) -> Result<Criteria> {
        self.unrotated.criteria(data)
    }

    /// z of the unrotated model: rows zᵀ = fᵀ T⁻¹.
    fn unrotate(&self, f: &Array2<f64>) -> Result<Array2<f64>> {
        if f.ncols() != self.factors() {
            return Err(ErrorKind::Shape { what: "number of columns of z", expected: self.factors(), found: f.ncols() }.into());
        }
        Ok(match &self.frame {
            None => f.clone(),
            Some(frame) => f.dot(&frame.inverse),
        })
    }

    /// f = Tᵀ z, row by row.
    fn rotate(&self, z: Array2<f64>) -> Array2<f64> {
        match &self.rotation {
            None => z,
            Some(rotated) => z.dot(&rotated.matrix),
        }
    }
}

impl From<LinearGaussian> for FactorAnalysis {
    fn from(unrotated: LinearGaussian) -> Self {
        let loadings = unrotated.loadings().clone();
        FactorAnalysis { unrotated, rotation: None, loadings, frame: None }
    }
}

impl LatentModel for FactorAnalysis {
    type Z = Array2<f64>;

    fn dim(&self) -> usize {
        self.unrotated.dim()
    }

    /// D + D q + D − q (q − 1)/2: mean, loadings up to rotation, noise.
    fn n_parameters(&self) -> usize {
        self.unrotated.n_parameters()
    }

    fn sample_z(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        self.rotate(self.unrotated.sample_z(n, rng))
    }

    fn sample_x(&self, z: &Array2<f64>, rng: &mut dyn Rng) -> Result<Array2<f64>> {
        self.unrotated.sample_x(&self.unrotate(z)?, rng)
    }

    /// The density of f = Tᵀ z is that of z over |det T|.
    fn log_joint(&self, x: &dyn RowSource, z: &Array2<f64>) -> Result<Array1<f64>> {
        let joint = self.unrotated.log_joint(x, &self.unrotate(z)?)?;
        Ok(joint - self.frame.as_ref().map_or(0.0, |f| f.log_abs_det))
    }
}

impl MapLatent for FactorAnalysis {
    /// Regression scores (Thomson): the posterior mean, (N, q).
    fn map_z(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        Ok(self.rotate(self.unrotated.map_z(x)?))
    }
}

impl Infer for FactorAnalysis {
    const EXACT: bool = true;
    type Q = GaussianPosterior;

    fn infer(&self, x: &dyn RowSource) -> Result<GaussianPosterior> {
        let posterior = self.unrotated.infer(x)?;
        match (&self.rotation, &self.frame) {
            (Some(rotated), Some(frame)) => posterior.transformed(rotated.matrix.view(), frame.inverse.view()),
            _ => Ok(posterior),
        }
    }
}

impl Evidence for FactorAnalysis {
    fn log_evidence(&self, x: &dyn RowSource) -> Result<Array1<f64>> {
        self.unrotated.log_evidence(x)
    }
}
