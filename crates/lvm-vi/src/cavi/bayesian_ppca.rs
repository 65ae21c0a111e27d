//! Bayesian PCA with automatic relevance determination.

use lvm_core::dist::{Gamma, Univariate};
use lvm_core::fit::{Algorithm, Fitted, Step, Stopping, Watch, run, unwatched};
use lvm_core::moments::{Moments, moments, refuse_missing};
use lvm_core::mutant::planted;
use lvm_core::ppca::Ppca;
use lvm_core::rows::RowSource;
use lvm_core::special::HALF_LOG_2PI;
use lvm_core::sweep::check_shape;
use lvm_core::{Error, ErrorKind, Result, linalg};
use ndarray::{Array1, Array2, Axis};

/// Variational Bayes for probabilistic PCA with a prior on each column of the loadings that can switch it off.
///
/// # Model
/// ```text
/// z_n ~ N(0, I_q)                      x_n | z_n ~ N(μ + W z_n, τ⁻¹ I_D)
/// w_i ~ N(0, α_i⁻¹ I_D)                α_i ~ Gamma(a₀, rate b₀ v)         the columns of W and their precisions
/// μ ~ N(x̄, s v I_D)                    τ ~ Gamma(a₀, rate b₀ v)            v the mean variance of the columns of the data
/// ```
///
/// # Objective
/// The ELBO per row in nats of q(Z) q(W) q(μ) q(α) q(τ), all constants kept. It never falls, but for rounding.
///
/// # Update
/// ```text
/// q(z_n) = N(E[τ] Σ_z E[W]ᵀ (x_n − E[μ]), Σ_z),   Σ_z⁻¹ = I + E[τ] E[WᵀW]                                Bishop 1999, eqs 18–24
/// q(W): rows N(·, Σ_W),   Σ_W⁻¹ = diag E[α] + E[τ] Σ_n E[z_n z_nᵀ]
/// q(μ), q(α_i) = Gamma(a₀ + D/2, b₀ v + ½ E‖w_i‖²),   q(τ) = Gamma(a₀ + ND/2, b₀ v + ½ Σ_n E‖x_n − W z_n − μ‖²)
/// ```
///
/// Everything is made from the covariance of the table, so an iteration does not depend on N.
///
/// # What it needs
/// Complete rows that vary. One pass of O(N D²), then O(D² q) an iteration, memory O(D²).
///
/// # Defaults and why
/// * `components`: D − 1 directions if `None`; those without support are switched off.
/// * `a: 1e-3`, `b: 1e-3` in units of the data's variance, `s: 1e3`: priors worth a thousandth of an observation.
///
/// # When it fails
/// * Directions are switched off slowly: α grows by a factor an iteration, so `tolerance` must be small for the count to be final.
/// * A direction whose variance is hardly above the noise is switched off although it exists: N decides.
///
/// # Errors
/// Settings out of range; data that can't be used, missing entries, fewer than two rows, all rows equal.
///
/// # Example
/// ```
/// use lvm_core::{model::LatentModel, ppca::Ppca, random::{Purpose, stream}};
/// use lvm_vi::cavi::bayesian_ppca::BayesianPpca;
/// use ndarray::{array, Array1};
/// let truth = Ppca::new(Array1::zeros(4), array![[2.0], [2.0], [0.0], [0.0]], 0.3)?;
/// let mut rng = stream(1, Purpose::Sample, 0);
/// let x = truth.sample_x(&truth.sample_z(300, &mut rng), &mut rng)?;
/// let fitted = BayesianPpca::default().fit(&x, 1)?;
/// assert_eq!(fitted.model.effective_dimension(), 1);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Bishop, *Variational principal components*, ICANN (1999).
#[derive(Debug, Clone, PartialEq)]
pub struct BayesianPpca {
    /// q, at most D − 1; that if `None`.
    pub components: Option<usize>,
    /// a₀.
    pub shape: f64,
    /// b₀, in units of the mean variance of the columns.
    pub rate: f64,
    /// s: the prior variance of the mean, in the same units.
    pub mean_spread: f64,
    /// When to stop.
    pub stopping: Stopping,
}

impl Default for BayesianPpca {
    fn default() -> Self {
        BayesianPpca {
            components: None,
            shape: 1e-3,
            rate: 1e-3,
            mean_spread: 1e3,
            stopping: Stopping { max_iterations: 5000, tolerance: 1e-9 },
        }
    }
}

/// q(W) q(μ) q(α) q(τ) of a [`BayesianPpca`].
#[derive(Debug, Clone, PartialEq)]
pub struct BayesianPpcaModel {
    mean: Array1<f64>,
    mean_variance: f64,
    loadings: Array2<f64>,
    loading_covariance: Array2<f64>,
    relevance: Vec<Gamma>,
    noise: Gamma,
}

/// q(W) q(μ) q(α) q(τ) by its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct BayesianPpcaFactors {
    /// E\[μ\] (D).
    pub mean: Array1<f64>,
    /// The variance of each entry of μ.
    pub mean_variance: f64,
    /// E\[W\] (D, q).
    pub loadings: Array2<f64>,
    /// Σ_W (q, q).
    pub loading_covariance: Array2<f64>,
    /// Shape and rate of each α_i (q, 2).
    pub relevance: Array2<f64>,
    /// Shape and rate of τ.
    pub noise: [f64; 2],
}

impl BayesianPpcaModel {
    /// The model with these factors.
    ///
    /// # Errors
    /// If shapes do not fit, Σ_W is not positive definite, or a variance, shape or rate is not positive and finite.
    pub fn new(factors: BayesianPpcaFactors) -> Result<Self> {
        let BayesianPpcaFactors { mean, mean_variance, loadings, loading_covariance, relevance, noise } = factors;
        let (d, q) = loadings.dim();
        let same = |what, expected, found| if expected == found { Ok(()) } else { Err(ErrorKind::Shape { what, expected, found }.into()) };
        let shapes: [Result<()>; 4] = [
            same("rows of the loadings", mean.len(), d),
            same("rows of the loadings' covariance", q, loading_covariance.nrows()),
            same("columns of the loadings' covariance", q, loading_covariance.ncols()),
            same("numbers of the relevances", 2 * q, relevance.len()),
        ];
        shapes.into_iter().collect::<Result<()>>()?;
        if d == 0 || q == 0 {
            return Err(ErrorKind::Empty.into());
        }
        if !(mean_variance > 0.0 && mean_variance.is_finite() && mean.iter().chain(&loadings).all(|v| v.is_finite())) {
            return Err(Error::config("mean", "means and loadings must be finite and their variances positive"));
        }
        linalg::cholesky(loading_covariance.view()).map_err(|e| e.of("the covariance of the loadings"))?;
        let relevance = relevance.rows().into_iter().map(|r| Gamma::new(r[0], r[1])).collect::<Result<_>>()?;
        Ok(BayesianPpcaModel { mean, mean_variance, loadings, loading_covariance, relevance, noise: Gamma::new(noise[0], noise[1])? })
    }

    /// Its factors.
    pub fn factors(&self) -> BayesianPpcaFactors {
        BayesianPpcaFactors {
            mean: self.mean.clone(),
            mean_variance: self.mean_variance,
            loadings: self.loadings.clone(),
            loading_covariance: self.loading_covariance.clone(),
            relevance: Array2::from_shape_fn((self.relevance.len(), 2), |(i, j)| match j {
                0 => self.relevance[i].shape(),
                _ => self.relevance[i].rate(),
            }),
            noise: [self.noise.shape(), self.noise.rate()],
        }
    }

    /// E\[μ\] (D).
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }
    /// The standard deviation of each entry of μ under q.
    pub fn mean_sd(&self) -> f64 {
        self.mean_variance.sqrt()
    }
    /// E\[W\] (D, q).
    pub fn loadings(&self) -> &Array2<f64> {
        &self.loadings
    }
    /// Σ_W (q, q), the covariance of each row of W.
    pub fn loading_covariance(&self) -> &Array2<f64> {
        &self.loading_covariance
    }
    /// q(α_i) of each column of W.
    pub fn relevance(&self) -> &[Gamma] {
        &self.relevance
    }
    /// q(τ).
    pub fn noise_precision(&self) -> Gamma {
        self.noise
    }
    /// The columns of W that are in use: those whose mean is longer than its own uncertainty, ‖E\[w_i\]‖² > D (Σ_W)_ii.
    pub fn effective_dimension(&self) -> usize {
        let d = self.loadings.nrows() as f64;
        let used = |i: &usize| self.loadings.column(*i).dot(&self.loadings.column(*i)) > d * self.loading_covariance[[*i, *i]];
        (0..self.loadings.ncols()).filter(used).count()
    }
    /// The probabilistic PCA model of the columns in use, at E\[μ\], E\[W\] and 1/E\[τ\].
    ///
    /// # Errors
    /// If no column is in use.
    pub fn point_estimate(&self) -> Result<Ppca> {
        let d = self.loadings.nrows() as f64;
        let used: Vec<usize> = (0..self.loadings.ncols())
            .filter(|&i| self.loadings.column(i).dot(&self.loadings.column(i)) > d * self.loading_covariance[[i, i]])
            .collect();
        if used.is_empty() {
            return Err(Error::config("components", "every direction was switched off; the data are spherical noise"));
        }
        Ppca::new(self.mean.clone(), self.loadings.select(Axis(1), &used), 1.0 / self.noise.mean())
    }
}

/// What changes between iterations of [`BayesianPpca`].
#[derive(Debug, Clone)]
pub struct BayesianPpcaState {
    data: Moments,
    /// v.
    scale: f64,
    model: BayesianPpcaModel,
}

impl BayesianPpcaState {
    /// The model as it stands.
    pub fn model(&self) -> &BayesianPpcaModel {
        &self.model
    }
}

/// Moments of q(Z), summed over rows.
struct Latents {
    /// log det Σ_z.
    log_det: f64,
    /// Σ_n E\[z_n z_nᵀ\] (q, q).
    second: Array2<f64>,
    /// Σ_n (x_n − x̄) E\[z_n\]ᵀ (D, q).
    cross: Array2<f64>,
    /// Σ_n E\[z_n\] (q).
    first: Array1<f64>,
}

impl BayesianPpca {
    /// Fits the model. The start is the maximum-likelihood axes, so `seed` is only put on record.
    ///
    /// # Errors
    /// See [the type](BayesianPpca#errors).
    pub fn fit(&self, data: &dyn RowSource, seed: u64) -> Result<Fitted<BayesianPpcaModel>> {
        self.fit_watched(data, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` after every iteration.
    ///
    /// # Errors
    /// See [the type](BayesianPpca#errors).
    pub fn fit_watched(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Fitted<BayesianPpcaModel>> {
        run(self, data, self.stopping, seed, watch)
    }

    fn check(&self, d: usize) -> Result<usize> {
        for (field, v) in [("shape", self.shape), ("rate", self.rate), ("mean_spread", self.mean_spread)] {
            if !(v > 0.0 && v.is_finite()) {
                return Err(Error::config(field, format!("{v} must be positive and finite")));
            }
        }
        if self.stopping.max_iterations == 0 {
            return Err(Error::config("max_iterations", "0 asked for, at least 1 is needed"));
        }
        let q = self.components.unwrap_or(d.saturating_sub(1));
        if q == 0 || q >= d {
            return Err(Error::config(
                "components",
                format!("{q} latent dimensions asked for; at least 1 and at most D − 1 = {} are possible", d.saturating_sub(1)),
            ));
        }
        Ok(q)
    }

    /// q(Z), the rest held.
    fn latents(&self, state: &BayesianPpcaState) -> Result<Latents> {
        let (m, data) = (&state.model, &state.data);
        let (d, q) = m.loadings.dim();
        let (n, tau) = (data.weight, m.noise.mean());
        let mut precision = m.expected_gram() * tau;
        precision.diag_mut().mapv_inplace(|v| v + 1.0);
        let l = linalg::cholesky(precision.view()).map_err(|e| e.of("the precision of z"))?;
        let covariance = linalg::cholesky_inverse(l.view());
        // E[z_n] = A (x_n − E[μ]),  A = E[τ] Σ_z E[W]ᵀ (q, D)
        let map = linalg::matmul(covariance.view(), m.loadings.t()) * tau;
        let shift = &data.mean - &m.mean;
        let cross = linalg::matmul(data.covariance.view(), map.t()) * n;
        let first = map.dot(&shift) * n;
        let outer = first.view().insert_axis(Axis(1)).dot(&first.view().insert_axis(Axis(0))) / n;
        let second = &covariance * n + &linalg::matmul(map.view(), cross.view()) + &outer;
        debug_assert_eq!((cross.dim(), second.dim()), ((d, q), (q, q)));
        Ok(Latents { log_det: -linalg::log_det(l.view()), second, cross, first })
    }

    /// q(W), q(μ), q(α), q(τ) in turn, given q(Z).
    fn update(&self, state: &mut BayesianPpcaState, z: &Latents) -> Result<()> {
        let data = &state.data;
        let m = &mut state.model;
        let (d, q) = m.loadings.dim();
        let (n, tau) = (data.weight, m.noise.mean());
        // Σ_W⁻¹ = diag E[α] + E[τ] Σ E[z zᵀ],   E[W] = E[τ] Σ_n (x_n − E[μ]) E[z_n]ᵀ Σ_W
        let mut precision = &z.second * tau;
        precision.diag_mut().iter_mut().zip(&m.relevance).for_each(|(v, a)| *v += a.mean());
        let l = linalg::cholesky(precision.view()).map_err(|e| e.of("the precision of the loadings"))?;
        m.loading_covariance = linalg::cholesky_inverse(l.view());
        let shift = (&data.mean - &m.mean).insert_axis(Axis(1));
        let cross = &z.cross + &shift.dot(&z.first.view().insert_axis(Axis(0)));
        m.loadings = linalg::matmul(cross.view(), m.loading_covariance.view()) * tau;
        // q(μ): precision 1/(s v) + N E[τ]
        let prior = 1.0 / (self.mean_spread * state.scale);
        m.mean_variance = 1.0 / (prior + n * tau);
        let residual = &data.mean * n - m.loadings.dot(&z.first);
        m.mean = (&data.mean * prior + residual * tau) * m.mean_variance;
        for i in 0..q {
            let square = m.loadings.column(i).dot(&m.loadings.column(i)) + d as f64 * m.loading_covariance[[i, i]];
            let square = if planted("bppca_ard_off") { d as f64 } else { square };
            m.relevance[i] = Gamma::new(self.shape + 0.5 * d as f64, self.rate * state.scale + 0.5 * square)?;
        }
        let errors = state.errors(z);
        state.model.noise = Gamma::new(self.shape + 0.5 * n * d as f64, self.rate * state.scale + 0.5 * errors)?;
        Ok(())
    }

    /// The ELBO, nats in all, of q with these latents.
    fn elbo(&self, state: &BayesianPpcaState, z: &Latents) -> Result<f64> {
        let m = &state.model;
        let (d, q) = m.loadings.dim();
        let (n, d, qf) = (state.data.weight, d as f64, q as f64);
        let prior = Gamma::new(self.shape, self.rate * state.scale)?;
        // E[log p(X | Z, W, μ, τ)]
        let likelihood = n * d * (0.5 * m.noise.mean_log() - HALF_LOG_2PI) - 0.5 * m.noise.mean() * state.errors(z);
        // −KL(q(Z) ‖ N(0, I))
        let latents = -0.5 * (z.second.diag().sum() - n * qf - n * z.log_det);
        // E[log p(W | α)] + H[q(W)]
        let l = linalg::cholesky(m.loading_covariance.view()).map_err(|e| e.of("the covariance of the loadings"))?;
        let column = |(i, a): (usize, &Gamma)| {
            let square = m.loadings.column(i).dot(&m.loadings.column(i)) + d * m.loading_covariance[[i, i]];
            0.5 * (d * a.mean_log() - a.mean() * square)
        };
        let loadings = m.relevance.iter().enumerate().map(column).sum::<f64>() + 0.5 * d * (linalg::log_det(l.view()) + qf);
        // −KL(q(μ) ‖ p(μ))
        let spread = self.mean_spread * state.scale;
        let away = &m.mean - &state.data.mean;
        let ratio = m.mean_variance / spread;
        let mean = -0.5 * (d * (ratio - 1.0 - ratio.ln()) + away.dot(&away) / spread);
        let relevance: f64 = m.relevance.iter().map(|a| a.kl(&prior)).sum();
        Ok(likelihood + latents + loadings + mean - relevance - m.noise.kl(&prior))
    }
}

impl BayesianPpcaModel {
    /// E\[WᵀW\] (q, q).
    fn expected_gram(&self) -> Array2<f64> {
        let d = self.loadings.nrows() as f64;
        linalg::matmul(self.loadings.t(), self.loadings.view()) + &self.loading_covariance * d
    }
}

impl BayesianPpcaState {
    /// Σ_n E‖x_n − W z_n − μ‖².
    fn errors(&self, z: &Latents) -> f64 {
        let (m, n) = (&self.model, self.data.weight);
        let shift = &self.data.mean - &m.mean;
        let d = self.data.mean.len() as f64;
        let own = n * (self.data.covariance.diag().sum() + shift.dot(&shift) + d * m.mean_variance);
        // Σ (x − E μ)ᵀ E[W] E[z] and tr(E[WᵀW] Σ E[z zᵀ])
        let along = (&z.cross * &m.loadings).sum() + shift.dot(&m.loadings.dot(&z.first));
        own - 2.0 * along + (&m.expected_gram() * &z.second).sum()
    }
}

impl<'d> Algorithm<dyn RowSource + 'd> for BayesianPpca {
    type State = BayesianPpcaState;
    type Output = BayesianPpcaModel;

    /// The maximum-likelihood axes with their variances.
    fn init(&self, data: &(dyn RowSource + 'd), _seed: u64) -> Result<BayesianPpcaState> {
        check_shape(data, None)?;
        let q = self.check(data.n_cols())?;
        refuse_missing(data, "Bayesian PCA")?;
        let data = moments(data)?;
        if data.rows < 2 {
            return Err(ErrorKind::TooFewRows { rows: data.rows, needed: 2, why: "a covariance" }.into());
        }
        let d = data.mean.len();
        let scale = data.covariance.diag().sum() / d as f64;
        if !(scale > 1e-280) {
            return Err(ErrorKind::NoVariation.into());
        }
        let (values, vectors) = linalg::eigh(data.covariance.view())?;
        // σ² at least a millionth of the mean variance, so that a table of low rank can start
        let noise = (values.iter().skip(q).sum::<f64>() / (d - q) as f64).max(1e-6 * scale);
        let loadings = Array2::from_shape_fn((d, q), |(j, i)| vectors[[j, i]] * (values[i] - noise).max(1e-3 * noise).sqrt());
        let shape = self.shape + 0.5 * d as f64;
        let relevance = loadings.columns().into_iter().map(|w| Gamma::new(shape, shape * w.dot(&w) / d as f64));
        let model = BayesianPpcaModel {
            mean: data.mean.clone(),
            mean_variance: noise / data.weight,
            relevance: relevance.collect::<Result<_>>()?,
            loadings,
            loading_covariance: Array2::eye(q) * (noise / data.weight),
            noise: Gamma::new(self.shape + 0.5 * data.weight * d as f64, (self.shape + 0.5 * data.weight * d as f64) * noise)?,
        };
        Ok(BayesianPpcaState { data, scale, model })
    }

    fn step(&self, state: &mut BayesianPpcaState, _data: &(dyn RowSource + 'd)) -> Result<Step> {
        let z = self.latents(state)?;
        self.update(state, &z)?;
        // of the parameters just made and the latents that are best for them
        let z = self.latents(state)?;
        Ok(Step { objective: self.elbo(state, &z)? / state.data.weight, ..Default::default() })
    }

    fn finish(&self, state: BayesianPpcaState) -> Result<BayesianPpcaModel> {
        Ok(state.model)
    }
}
