//! The Bayesian Gaussian mixture: q(π) q(μ, Λ), and the five tasks under the predictive distribution.

use super::elbo::ElboParts;
use super::factors::GaussianWishart;
use super::predictive;
use super::prior::ComponentPrior;
use super::weights::{WeightFactor, WeightPrior};
use lvm_core::gmm::{ComponentPosterior, Covariances, GaussianMixture, QuadraticScores, ResponsibilitySums, SecondMoments};
use lvm_core::model::{Evidence, Infer, LatentDist, LatentModel, MapLatent};
use lvm_core::rows::RowSource;
use lvm_core::special::log_sum_exp;
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array1, Array2, Axis};
use rand::{Rng, RngExt};

/// A mixture of Gaussians whose parameters are themselves uncertain: q(π) Π_k q(μ_k, Λ_k) with the prior it came from.
///
/// # Model
/// ```text
/// π ~ Dirichlet(α₀, …, α₀) or sticks            Λ_k ~ Wishart(ν₀, W₀),   μ_k | Λ_k ~ N(m₀, (β₀ Λ_k)⁻¹)
/// z_n | π ~ Categorical(π)                      x_n | z_n = k ~ N(μ_k, Λ_k⁻¹)                             PRML 10.37–10.40
/// p(x* | X) ≈ Σ_k E[π_k] St(x*; m_k, (1 + β_k)/(β_k (ν_k + 1 − D)) W_k⁻¹, ν_k + 1 − D)                    PRML 10.81, 10.82
/// ```
///
/// # Symbols
/// | symbol | meaning | here | shape | constraint |
/// |---|---|---|---|---|
/// | q(π) | weights | [`weight_factor`](Self::weight_factor) | by [`WeightPrior`] | positive |
/// | β, m, ν, W | component k's mean and precision | [`components`](Self::components) | (K), (K, D), (K), (K, D, D) | β > 0, ν > D − 1, W positive definite |
/// | E\[π\] | expected weights | [`weights`](Self::weights) | (K) | sum 1 |
/// | γ | responsibilities q(z = k) | [`responsibilities`](Self::responsibilities) | (N, K) | rows sum to 1 |
///
/// # Numerics
/// Stored are W⁻¹ and the inverse of its Cholesky factor. A row costs O(K D²), O(K D) for diagonal precisions; nothing is regularised
/// but by the prior. As a [`LatentModel`] this is the predictive distribution: one new row at a time, its z exact given E\[π\] and the
/// Student's t of each component. [`responsibilities`](Self::responsibilities) are another thing, q(z) of the fit itself.
///
/// # Errors
/// Data of another number of columns, cells that can't be used, missing entries.
///
/// # Example
/// ```
/// use lvm_core::model::Evidence;
/// use lvm_vi::cavi::mixture::BayesianMixture;
/// use ndarray::{array, Array2};
/// let x = Array2::from_shape_fn((60, 1), |(i, _)| if i % 2 == 0 { 0.0 } else { 5.0 } + (i as f64).sin());
/// let fitted = BayesianMixture { components: 2, ..Default::default() }.fit(&x, 1)?;
/// // a new row in the middle of the first group is likelier than one between the groups
/// let log_p = fitted.model.log_evidence(&array![[0.0], [2.5]])?;
/// assert!(log_p[0] > log_p[1]);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Attias, *A variational Bayesian framework for graphical models*, NIPS 12 (2000). Bishop, *Pattern Recognition and Machine Learning*
/// (2006), 10.2. Blei & Jordan, *Variational inference for Dirichlet process mixtures*, Bayesian Analysis 1 (2006).
#[derive(Debug, Clone, PartialEq)]
pub struct BayesianMixtureModel {
    weight_prior: WeightPrior,
    prior: ComponentPrior,
    weights: WeightFactor,
    components: GaussianWishart,
}

impl BayesianMixtureModel {
    /// q(π) q(μ, Λ) with its prior.
    ///
    /// # Errors
    /// If the parts do not fit each other.
    pub fn new(weight_prior: WeightPrior, prior: ComponentPrior, weights: WeightFactor, components: GaussianWishart) -> Result<Self> {
        weight_prior.check()?;
        weights.check()?;
        let (k, found) = (components.n_components(), weights.n_components());
        if k != found {
            return Err(ErrorKind::Shape { what: "number of weights", expected: k, found }.into());
        }
        // the divergences say whether the forms agree
        weights.kl(weight_prior)?;
        components.kl(&prior)?;
        Ok(BayesianMixtureModel { weight_prior, prior, weights, components })
    }

    /// The best q(π) q(μ, Λ) for given responsibilities.
    pub(super) fn update(weight_prior: WeightPrior, prior: &ComponentPrior, sums: &ResponsibilitySums) -> Result<Self> {
        let components = GaussianWishart::update(prior, sums)?;
        Ok(BayesianMixtureModel { weight_prior, prior: prior.clone(), weights: weight_prior.update(&sums.counts), components })
    }

    /// Part of the way to another.
    pub(super) fn blend(&self, target: &Self, rho: f64) -> Result<Self> {
        let components = self.components.blend(&target.components, rho)?;
        Ok(BayesianMixtureModel { weights: self.weights.blend(&target.weights, rho), components, ..self.clone() })
    }

    /// E\[π\] (K).
    pub fn weights(&self) -> Array1<f64> {
        self.weights.mean()
    }
    /// q(π).
    pub fn weight_factor(&self) -> &WeightFactor {
        &self.weights
    }
    /// q(μ, Λ).
    pub fn components(&self) -> &GaussianWishart {
        &self.components
    }
    /// The prior of the weights.
    pub fn weight_prior(&self) -> WeightPrior {
        self.weight_prior
    }
    /// The prior of means and precisions.
    pub fn prior(&self) -> &ComponentPrior {
        &self.prior
    }
    /// K.
    pub fn n_components(&self) -> usize {
        self.components.n_components()
    }

    /// log ρ_nk = E\[log π_k\] + E\[log N(x_n; μ_k, Λ_k⁻¹)\].   PRML 10.46
    pub(super) fn scores(&self) -> Result<QuadraticScores> {
        self.components.scores(&self.weights.mean_log())
    }

    /// KL(q(π) ‖ p(π)) + KL(q(μ, Λ) ‖ p(μ, Λ)).
    pub(super) fn kl(&self) -> Result<f64> {
        Ok(self.weights.kl(self.weight_prior)? + self.components.kl(&self.prior)?)
    }

    /// The parts of the ELBO with the responsibilities that the sums were taken with.
    pub(super) fn parts(&self, sums: &ResponsibilitySums) -> Result<ElboParts> {
        Ok(ElboParts {
            expected_log_likelihood: self.components.expected_log_likelihood(sums),
            expected_log_p_z: self.weights.mean_log().iter().zip(&sums.counts).map(|(l, n)| l * n).sum(),
            entropy_z: sums.entropy,
            kl_weights: self.weights.kl(self.weight_prior)?,
            kl_components: self.components.kl(&self.prior)?,
        })
    }

    /// The ELBO of `data` under q(π) q(μ, Λ) and the best q(Z), nats in all.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn elbo(&self, data: &dyn RowSource) -> Result<ElboParts> {
        self.parts(&self.scores()?.sums(data)?)
    }

    /// γ_nk = q(z_n = k) (N, K).   PRML 10.49
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn responsibilities(&self, data: &dyn RowSource) -> Result<Array2<f64>> {
        Ok(self.scores()?.log_responsibilities(data)?.mapv_into(f64::exp))
    }

    /// The mixture of E\[π_k\], m_k and E\[Λ_k\]⁻¹ = W_k⁻¹/ν_k.
    ///
    /// # Errors
    /// If a covariance is not positive definite to rounding.
    pub fn point_estimate(&self) -> Result<GaussianMixture> {
        let dof = self.components.dof().view().insert_axis(Axis(1));
        let covariances = match self.components.scale_inverse() {
            SecondMoments::Full(s) => Covariances::Full(s / &dof.insert_axis(Axis(2))),
            SecondMoments::Diagonal(s) => Covariances::Diagonal(s / &dof),
        };
        GaussianMixture::new(self.weights(), self.components.means().clone(), covariances)
    }

    /// log E\[π_k\] + log St_k(x_n) (N, K).
    fn log_predictive(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        predictive::log_joint(&self.components, &self.weights().mapv(f64::ln), x)
    }
}

impl LatentModel for BayesianMixtureModel {
    type Z = Array1<usize>;

    fn dim(&self) -> usize {
        self.components.dim()
    }

    /// Those of the mixture without priors: (K − 1) + K D + those of the covariances.
    fn n_parameters(&self) -> usize {
        let (k, d) = self.components.means().dim();
        let covariances = if matches!(self.components.scale_inverse(), SecondMoments::Full(_)) { k * d * (d + 1) / 2 } else { k * d };
        (k - 1) + k * d + covariances
    }

    fn sample_z(&self, n: usize, rng: &mut dyn Rng) -> Array1<usize> {
        let weights = self.weights();
        let last = weights.len() - 1;
        Array1::from_shape_fn(n, |_| {
            let mut u: f64 = rng.random();
            let passed = |w: &f64| {
                u -= w;
                u < 0.0
            };
            weights.iter().position(passed).unwrap_or(last)
        })
    }

    fn sample_x(&self, z: &Array1<usize>, rng: &mut dyn Rng) -> Result<Array2<f64>> {
        check_labels(z, self.n_components())?;
        predictive::sample(&self.components, z, rng)
    }

    fn log_joint(&self, x: &dyn RowSource, z: &Array1<usize>) -> Result<Array1<f64>> {
        check_labels(z, self.n_components())?;
        if z.len() != x.n_rows() {
            return Err(ErrorKind::Shape { what: "number of latents", expected: x.n_rows(), found: z.len() }.into());
        }
        let all = self.log_predictive(x)?;
        Ok(z.iter().enumerate().map(|(n, &k)| all[[n, k]]).collect())
    }
}

/// Refuses a component that is not there.
fn check_labels(z: &Array1<usize>, k: usize) -> Result<()> {
    match z.iter().enumerate().find(|(_, z)| **z >= k) {
        Some((row, z)) => Err(Error::config("z", format!("component {z} in row {row}; there are {k} components, from 0"))),
        None => Ok(()),
    }
}

impl Infer for BayesianMixtureModel {
    /// p(z | x) of the predictive distribution of one row.
    const EXACT: bool = true;
    type Q = ComponentPosterior;

    fn infer(&self, x: &dyn RowSource) -> Result<ComponentPosterior> {
        ComponentPosterior::from_log_scores(self.log_predictive(x)?)
    }
}

impl MapLatent for BayesianMixtureModel {
    fn map_z(&self, x: &dyn RowSource) -> Result<Array1<usize>> {
        Ok(self.infer(x)?.mode())
    }
}

impl Evidence for BayesianMixtureModel {
    /// log p(x* | X) of each row, by the predictive density.
    fn log_evidence(&self, x: &dyn RowSource) -> Result<Array1<f64>> {
        Ok(self.log_predictive(x)?.map_axis(Axis(1), log_sum_exp))
    }
}
