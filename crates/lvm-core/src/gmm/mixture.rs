//! The Gaussian mixture: parameters and the five tasks.

use crate::error::{Error, ErrorKind, Result};
use crate::gmm::covariance::{CovarianceType, Covariances};
use crate::gmm::kernel;
use crate::gmm::missing;
use crate::gmm::posterior::{ComponentPosterior, check_labels, draw, normalise_log};
use crate::gmm::prepared::Prepared;
use crate::linalg;
use crate::model::{Evidence, Infer, LatentModel, MapLatent};
use crate::rows::RowSource;
use crate::special::log_sum_exp;
use crate::sweep::{Block, check_shape, map_rows};
use ndarray::{Array1, Array2, ArrayViewMut2, Axis};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

/// A mixture of K Gaussians in D dimensions.
///
/// # Model
/// ```text
/// z_n ~ Categorical(π_1, …, π_K)
/// x_n | z_n = k ~ N(μ_k, Σ_k)                    p(x) = Σ_k π_k N(x; μ_k, Σ_k)        PRML 9.7
/// ```
///
/// # Symbols
/// | symbol | meaning | here | shape | constraint |
/// |---|---|---|---|---|
/// | π | weights | [`weights`](Self::weights) | (K) | ≥ 0, sum 1 |
/// | μ | means | [`means`](Self::means) | (K, D) | finite |
/// | Σ | covariances | [`covariances`](Self::covariances) | by [`CovarianceType`] | symmetric positive definite |
/// | γ | responsibilities p(z = k given x) | [`responsibilities`](Self::responsibilities) | (N, K) | rows sum to 1 |
///
/// # Numerics
/// Inverse Cholesky factors are computed once, from the covariances alone, so equal parameters give bit-equal densities. Densities
/// stay in logarithms throughout; a row costs O(K D²) for full and tied covariances, O(K D) for the others. Nothing is regularised.
/// Missing entries (NaN, where the source says so) are integrated out exactly; a row with nothing observed has p(x) = 1.
///
/// # Errors
/// Data of another number of columns, cells that can't be used, and rows so far away that a squared distance overflows.
///
/// # Example
/// ```
/// use lvm_core::gmm::{Covariances, GaussianMixture};
/// use lvm_core::model::{Evidence, MapLatent};
/// use ndarray::array;
/// let mixture = GaussianMixture::new(array![0.5, 0.5], array![[-2.0], [2.0]], Covariances::Spherical(array![1.0, 1.0]))?;
/// let x = array![[0.0], [3.0]];
/// // at 0 both components say exp(−2) / √(2π)
/// assert!((mixture.log_evidence(&x)?[0] + 2.0 + 0.5 * (2.0 * std::f64::consts::PI).ln()).abs() < 1e-15);
/// assert_eq!(mixture.map_z(&x)?[1], 1);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Bishop, *Pattern Recognition and Machine Learning* (2006), chapter 9. McLachlan & Peel, *Finite Mixture Models* (2000).
#[derive(Debug, Clone)]
pub struct GaussianMixture {
    weights: Array1<f64>,
    covariances: Covariances,
    prepared: Prepared,
}

impl PartialEq for GaussianMixture {
    fn eq(&self, other: &Self) -> bool {
        self.weights == other.weights && self.means() == other.means() && self.covariances == other.covariances
    }
}

impl GaussianMixture {
    /// The mixture with weights π (K), means μ (K, D) and covariances Σ.
    ///
    /// # Errors
    /// If shapes do not fit, if weights are negative or do not sum to 1 within 1e-8, if a number is not finite, or if a covariance is
    /// not symmetric positive definite.
    pub fn new(weights: Array1<f64>, means: Array2<f64>, covariances: Covariances) -> Result<Self> {
        let (k, d) = means.dim();
        if k == 0 || d == 0 {
            return Err(Error::config("means", format!("shape ({k}, {d}); at least one component and one column are needed")));
        }
        if weights.len() != k {
            return Err(ErrorKind::Shape { what: "number of weights", expected: k, found: weights.len() }.into());
        }
        if let Some((k, w)) = weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
            return Err(Error::config("weights", format!("weight {w} of component {k} (from 0); weights are finite and not negative")));
        }
        if (weights.sum() - 1.0).abs() > 1e-8 {
            return Err(Error::config("weights", format!("they sum to {}, not to 1", weights.sum())));
        }
        if let Some(((k, j), v)) = means.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(Error::config("means", format!("{v} in component {k}, column {j} (both from 0)")));
        }
        let covariances = covariances.checked(k, d)?;
        let prepared = Prepared::new(&weights, &means, &covariances)?;
        Ok(GaussianMixture { weights, covariances, prepared })
    }

    /// The mixture of parameters that are right by construction, with what was prepared from them.
    pub(crate) fn from_prepared(weights: Array1<f64>, covariances: Covariances, prepared: Prepared) -> Self {
        GaussianMixture { weights, covariances, prepared }
    }

    /// π (K).
    pub fn weights(&self) -> &Array1<f64> {
        &self.weights
    }

    /// μ (K, D).
    pub fn means(&self) -> &Array2<f64> {
        &self.prepared.means
    }

    /// Σ.
    pub fn covariances(&self) -> &Covariances {
        &self.covariances
    }

    /// The shape of Σ.
    pub fn covariance_type(&self) -> CovarianceType {
        self.covariances.covariance_type()
    }

    /// K.
    pub fn n_components(&self) -> usize {
        self.weights.len()
    }

    pub(crate) fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// log π_k + log N(x_n; μ_k, Σ_k) of a block (B, K).
    pub(crate) fn block_log_densities(&self, block: &Block<'_>, out: ArrayViewMut2<'_, f64>) -> Result<()> {
        if block.has_missing() {
            missing::log_densities(self, block, out)
        } else {
            kernel::log_densities(&self.prepared, block, out);
            Ok(())
        }
    }

    /// log p(x_n, z_n = k) of each row and component; (N, K).
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn log_joint_all(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        check_shape(x, Some(self.dim()))?;
        map_rows(x, self.n_components(), || (), |(), block, out| self.block_log_densities(block, out))
    }

    /// log γ_nk (N, K).
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn log_responsibilities(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        check_shape(x, Some(self.dim()))?;
        map_rows(
            x,
            self.n_components(),
            || (),
            |(), block, mut out| {
                self.block_log_densities(block, out.view_mut())?;
                out.rows_mut().into_iter().enumerate().try_for_each(|(i, row)| normalise_log(row, block, i).map(|_| ()))
            },
        )
    }

    /// γ_nk = p(z_n = k | x_n) (N, K).
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn responsibilities(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        Ok(self.log_responsibilities(x)?.mapv_into(f64::exp))
    }

    /// `n` draws from component `k`: x ~ N(μ_k, Σ_k); (n, D).
    ///
    /// # Errors
    /// If there is no such component.
    pub fn sample_component(&self, k: usize, n: usize, rng: &mut dyn Rng) -> Result<Array2<f64>> {
        self.sample_x(&Array1::from_elem(n, k), rng)
    }

    /// L_k with Σ_k = L_k L_kᵀ (D, D).
    fn factor(&self, k: usize) -> Result<Array2<f64>> {
        let sigma = self.covariances.matrix(k, self.dim());
        linalg::cholesky(sigma.view()).map_err(|e| e.of(format!("the covariance of component {k} (from 0)")))
    }
}

impl LatentModel for GaussianMixture {
    type Z = Array1<usize>;

    fn dim(&self) -> usize {
        self.prepared.dim()
    }

    /// (K − 1) + K D + those of the covariances.
    fn n_parameters(&self) -> usize {
        let (k, d) = self.means().dim();
        (k - 1) + k * d + self.covariance_type().n_parameters(k, d)
    }

    fn sample_z(&self, n: usize, rng: &mut dyn Rng) -> Array1<usize> {
        Array1::from_shape_fn(n, |_| draw(self.weights.iter().copied(), rng.random()))
    }

    fn sample_x(&self, z: &Array1<usize>, rng: &mut dyn Rng) -> Result<Array2<f64>> {
        check_labels(z, z.len(), self.n_components())?;
        let d = self.dim();
        let mut factors: Vec<Option<Array2<f64>>> = vec![None; self.n_components()];
        let mut x = Array2::zeros((z.len(), d));
        let mut noise = Array1::<f64>::zeros(d);
        for (mut row, &k) in x.outer_iter_mut().zip(z) {
            let factor = match &mut factors[k] {
                Some(factor) => factor,
                empty => empty.insert(self.factor(k)?),
            };
            noise.mapv_inplace(|_| StandardNormal.sample(&mut *rng));
            // x = μ_k + L_k ε, ε ~ N(0, I)
            for j in 0..d {
                row[j] = self.means()[[k, j]] + (0..=j).map(|i| factor[[j, i]] * noise[i]).sum::<f64>();
            }
        }
        Ok(x)
    }

    fn log_joint(&self, x: &dyn RowSource, z: &Array1<usize>) -> Result<Array1<f64>> {
        check_labels(z, x.n_rows(), self.n_components())?;
        let all = self.log_joint_all(x)?;
        Ok(z.iter().enumerate().map(|(n, &k)| all[[n, k]]).collect())
    }
}

impl MapLatent for GaussianMixture {
    fn map_z(&self, x: &dyn RowSource) -> Result<Array1<usize>> {
        use crate::model::LatentDist;
        Ok(self.infer(x)?.mode())
    }
}

impl Infer for GaussianMixture {
    const EXACT: bool = true;
    type Q = ComponentPosterior;

    fn infer(&self, x: &dyn RowSource) -> Result<ComponentPosterior> {
        Ok(ComponentPosterior::new(self.log_responsibilities(x)?))
    }
}

impl Evidence for GaussianMixture {
    fn log_evidence(&self, x: &dyn RowSource) -> Result<Array1<f64>> {
        check_shape(x, Some(self.dim()))?;
        let k = self.n_components();
        let out = map_rows(
            x,
            1,
            || Array2::zeros((0, k)),
            |logs, block, mut out| {
                if logs.nrows() != block.n_rows() {
                    *logs = Array2::zeros((block.n_rows(), k));
                }
                self.block_log_densities(block, logs.view_mut())?;
                out.column_mut(0).iter_mut().zip(logs.rows()).for_each(|(o, row)| *o = log_sum_exp(row));
                Ok(())
            },
        )?;
        Ok(out.index_axis_move(Axis(1), 0))
    }
}
