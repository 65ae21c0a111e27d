//! Bayesian linear regression: exact posteriors, and coordinate ascent on q(w) q(τ).

use lvm_core::dist::Gamma;
use lvm_core::mutant::planted;
use lvm_core::rows::{RowSource, total_weight};
use lvm_core::special::{HALF_LOG_2PI, digamma, lgamma_delta};
use lvm_core::sweep::{Merge, Plan, check_shape, sweep};
use lvm_core::{Error, ErrorKind, Result, linalg};
use ndarray::{Array1, Array2, ArrayView1};

/// The noise of a linear regression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Noise {
    /// y | w ~ N(Xw, σ²) with σ known.
    Known {
        /// σ > 0.
        sd: f64,
    },
    /// τ = 1/σ² ~ Gamma(a₀, rate b₀), and the prior of w is N(m₀, (τ Λ₀)⁻¹): conjugate.
    Conjugate {
        /// τ ~ Gamma(a₀, b₀).
        precision: Gamma,
    },
    /// τ ~ Gamma(a₀, rate b₀), and the prior of w is N(m₀, Λ₀⁻¹), whatever τ: only coordinate ascent is in closed form.
    Independent {
        /// τ ~ Gamma(a₀, b₀).
        precision: Gamma,
    },
}

/// Bayesian linear regression y_n = x_nᵀ w + ε_n, ε_n ~ N(0, 1/τ).
///
/// # Objective
/// With known noise or the conjugate prior, none: [`exact`](Self::exact) is the posterior. [`mean_field`](Self::mean_field) climbs the
/// ELBO (nats in all) of q(w) q(τ).
///
/// # Update
/// ```text
/// exact:       Λ_N = Λ₀ + XᵀX,   m_N = m₀ + Λ_N⁻¹ Xᵀ(y − X m₀),   a_N = a₀ + N/2,
///              b_N = b₀ + ½ [‖y − X m_N‖² + (m_N − m₀)ᵀ Λ₀ (m_N − m₀)]                                  PRML 3.50, 3.51; exercise 3.12
/// mean field:  q(w) = N(m, (Λ₀ + E[τ] XᵀX)⁻¹)  (conjugate: N(m_N, (E[τ] Λ_N)⁻¹)),   q(τ) = Gamma(a, b)   PRML 10.99–10.101
/// ```
///
/// # What it needs
/// One pass over the rows for XᵀX and Xᵀy, one for the residuals; O(N D² + D³). A column of ones is an intercept. Λ₀ positive definite.
///
/// # When it fails
/// XᵀX squares the condition of X: coefficients lose about log₁₀ cond(X)² digits where the data and not the prior determine them;
/// `lvm_core::regression` loses half as many. Mean field gives w the right mean and covariance shape under a conjugate prior, with a
/// q(τ) that is too narrow.
///
/// # Errors
/// Shapes that do not fit, cells that can't be used, parameters out of range.
///
/// # Example
/// ```
/// use lvm_core::dist::{Gamma, Univariate};
/// use lvm_vi::cavi::linear_regression::{BayesianLinearRegression, Noise};
/// use ndarray::{array, Array2};
/// let x = array![[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]];
/// let noise = Noise::Conjugate { precision: Gamma::new(1.0, 1.0)? };
/// let regression = BayesianLinearRegression { mean: array![0.0, 0.0], precision: Array2::eye(2), noise };
/// let exact = regression.exact(&x, array![0.1, 0.9, 2.1, 2.9].view())?;
/// let q = regression.mean_field(&x, array![0.1, 0.9, 2.1, 2.9].view(), 50)?.pop().unwrap();
/// // E[τ] is that of the exact posterior, and the bound lies below the evidence
/// assert!((q.noise.unwrap().mean() - exact.noise.unwrap().mean()).abs() < 1e-9 && q.elbo < exact.log_evidence);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Bishop, *Pattern Recognition and Machine Learning* (2006), 3.3, 3.5 and 10.3.
#[derive(Debug, Clone, PartialEq)]
pub struct BayesianLinearRegression {
    /// m₀ (D).
    pub mean: Array1<f64>,
    /// Λ₀ (D, D), symmetric positive definite.
    pub precision: Array2<f64>,
    /// σ, or the prior of τ.
    pub noise: Noise,
}

/// The exact posterior: w | τ ~ N(m, (τ Λ)⁻¹) with τ ~ Gamma, or w ~ N(m, Λ⁻¹) for known noise.
#[derive(Debug, Clone, PartialEq)]
pub struct RegressionPosterior {
    /// m (D).
    pub mean: Array1<f64>,
    /// Λ (D, D); for unknown noise in units of τ.
    pub precision: Array2<f64>,
    /// The posterior of τ; none for known noise.
    pub noise: Option<Gamma>,
    /// log p(y | X), nats.
    pub log_evidence: f64,
}

impl RegressionPosterior {
    /// Cov(w) (D, D): Λ⁻¹, for unknown noise b/(a − 1) Λ⁻¹, which is finite for a > 1.
    ///
    /// # Errors
    /// If Λ is not positive definite to rounding.
    pub fn covariance(&self) -> Result<Array2<f64>> {
        let l = linalg::cholesky(self.precision.view()).map_err(|e| e.of("the posterior precision"))?;
        let scale = self.noise.map_or(1.0, |g| if g.shape() > 1.0 { g.rate() / (g.shape() - 1.0) } else { f64::INFINITY });
        Ok(linalg::cholesky_inverse(l.view()) * scale)
    }
}

/// q(w) q(τ) with its ELBO.
#[derive(Debug, Clone, PartialEq)]
pub struct RegressionMeanField {
    /// E\[w\] (D).
    pub mean: Array1<f64>,
    /// Cov(w) (D, D).
    pub covariance: Array2<f64>,
    /// q(τ); none for known noise.
    pub noise: Option<Gamma>,
    /// The ELBO, nats in all.
    pub elbo: f64,
}

/// XᵀX (D, D), Xᵀ(y − X m₀) (D) and N.
struct Products {
    gram: Array2<f64>,
    cross: Array1<f64>,
    weight: f64,
}

impl Merge for Products {
    fn merge(&mut self, other: Self) {
        self.gram += &other.gram;
        self.cross += &other.cross;
        self.weight += other.weight;
    }
}

/// A weighted sum of squares.
struct Squares(f64);

impl Merge for Squares {
    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl BayesianLinearRegression {
    /// Checks settings and data; the Cholesky factor of Λ₀.
    fn check(&self, x: &dyn RowSource, y: ArrayView1<'_, f64>) -> Result<Array2<f64>> {
        let d = self.mean.len();
        check_shape(x, Some(d))?;
        if y.len() != x.n_rows() {
            return Err(ErrorKind::Shape { what: "number of responses", expected: x.n_rows(), found: y.len() }.into());
        }
        let weights = x.weights();
        if let Some((n, v)) = y.iter().enumerate().find(|(n, v)| !v.is_finite() && weights.is_none_or(|w| w[*n] > 0.0)) {
            return Err(Error::config("y", format!("{v} in row {n} (from 0)")));
        }
        if self.precision.dim() != (d, d) {
            return Err(ErrorKind::Shape { what: "rows of the prior precision", expected: d, found: self.precision.nrows() }.into());
        }
        if self.mean.iter().chain(&self.precision).any(|v| !v.is_finite()) {
            return Err(Error::config("precision", "prior mean and precision must be finite"));
        }
        if let Noise::Known { sd } = self.noise
            && !(sd > 0.0 && sd.is_finite())
        {
            return Err(Error::config("sd", format!("{sd} must be positive and finite")));
        }
        if total_weight(x) <= 0.0 {
            return Err(ErrorKind::NoWeight.into());
        }
        linalg::cholesky(self.precision.view()).map_err(|e| e.of("the prior precision"))
    }

    fn products(&self, x: &dyn RowSource, y: ArrayView1<'_, f64>) -> Result<Products> {
        let d = self.mean.len();
        let new = || Products { gram: Array2::zeros((d, d)), cross: Array1::zeros(d), weight: 0.0 };
        let mut out = sweep(x, Plan::new(d, 8 * d * (d + 1)), new, |sums, block| {
            refuse_missing(block)?;
            let rows = block.x();
            let residuals = Array1::from_shape_fn(block.n_rows(), |i| y[block.row_number(i)]) - rows.dot(&self.mean);
            let weight = |i: usize| block.weights().map_or(1.0, |w| w[i]);
            let mut scaled = rows.to_owned();
            scaled.rows_mut().into_iter().enumerate().for_each(|(i, mut row)| row *= weight(i).sqrt());
            linalg::gram_lower(1.0, scaled.view(), sums.gram.view_mut());
            let weighted = Array1::from_shape_fn(block.n_rows(), |i| weight(i) * residuals[i]);
            sums.cross += &rows.t().dot(&weighted);
            sums.weight += (0..block.n_rows()).map(weight).sum::<f64>();
            Ok(())
        })?;
        linalg::mirror_lower(&mut out.gram);
        Ok(out)
    }

    /// ‖y − X m‖², from the residuals themselves.
    fn residual_squares(&self, x: &dyn RowSource, y: ArrayView1<'_, f64>, mean: &Array1<f64>) -> Result<f64> {
        let sum = sweep(
            x,
            Plan::new(x.n_cols(), 8),
            || Squares(0.0),
            |sum, block| {
                let fitted = block.x().dot(mean);
                let square = |i: usize| block.weights().map_or(1.0, |w| w[i]) * (y[block.row_number(i)] - fitted[i]).powi(2);
                sum.0 += (0..block.n_rows()).map(square).sum::<f64>();
                Ok(())
            },
        )?;
        Ok(sum.0)
    }

    /// (m − m₀)ᵀ Λ₀ (m − m₀).
    fn away_from_prior(&self, mean: &Array1<f64>) -> f64 {
        let away = mean - &self.mean;
        away.dot(&self.precision.dot(&away))
    }

    /// The posterior and log p(y | X), for known noise or the conjugate prior.
    ///
    /// # Errors
    /// See [the type](BayesianLinearRegression#errors); also for [`Noise::Independent`], whose posterior is in no closed form.
    pub fn exact(&self, x: &dyn RowSource, y: ArrayView1<'_, f64>) -> Result<RegressionPosterior> {
        let prior = self.check(x, y)?;
        let sums = self.products(x, y)?;
        let scale = match self.noise {
            Noise::Known { sd } => 1.0 / (sd * sd),
            Noise::Conjugate { .. } => 1.0,
            Noise::Independent { .. } => {
                return Err(Error::config("noise", "with a prior of w that does not scale with τ there is no closed form; use mean_field"));
            }
        };
        let precision = &self.precision + &(&sums.gram * scale);
        let l = linalg::cholesky(precision.view()).map_err(|e| e.of("the posterior precision"))?;
        let mean = &self.mean + &solve(&l, &(&sums.cross * scale));
        let squares = self.residual_squares(x, y, &mean)?;
        let n = sums.weight;
        // ½ log det Λ₀ − ½ log det Λ_N − N/2 log 2π
        let common = 0.5 * (linalg::log_det(prior.view()) - linalg::log_det(l.view())) - n * HALF_LOG_2PI;
        let away = self.away_from_prior(&mean);
        let (noise, log_evidence) = match self.noise {
            Noise::Conjugate { precision: g } => {
                let (a, b) = (g.shape(), g.rate());
                let rise = 0.5 * (squares + away);
                let after = Gamma::new(a + 0.5 * n, b + rise)?;
                // log Γ(a_N)/Γ(a₀) + a₀ log b₀ − a_N log b_N
                (Some(after), common + lgamma_delta(a, 0.5 * n) - a * (rise / b).ln_1p() - 0.5 * n * after.rate().ln())
            }
            _ => (None, common + 0.5 * n * scale.ln() - 0.5 * (scale * squares + away)),
        };
        Ok(RegressionPosterior { mean, precision, noise, log_evidence })
    }

    /// Coordinate ascent on q(w) q(τ) from E\[τ\] = a₀/b₀: what is reached after each iteration, which updates q(w), then q(τ). With known
    /// noise q(w) is the posterior after one.
    ///
    /// # Errors
    /// See [the type](BayesianLinearRegression#errors).
    pub fn mean_field(&self, x: &dyn RowSource, y: ArrayView1<'_, f64>, iterations: usize) -> Result<Vec<RegressionMeanField>> {
        let prior = self.check(x, y)?;
        let sums = self.products(x, y)?;
        let d = self.mean.len() as f64;
        let n = sums.weight;
        let (gamma, conjugate) = match self.noise {
            Noise::Known { .. } => (None, false),
            Noise::Conjugate { precision } => (Some(precision), true),
            Noise::Independent { precision } => (Some(precision), false),
        };
        let mut tau = match self.noise {
            Noise::Known { sd } => 1.0 / (sd * sd),
            Noise::Conjugate { precision } | Noise::Independent { precision } => precision.shape() / precision.rate(),
        };
        let mut out = Vec::with_capacity(iterations);
        for _ in 0..iterations {
            // Λ₀ counts in units of τ under the conjugate prior
            let unit = if conjugate { tau } else { 1.0 };
            let precision = &self.precision * unit + &(&sums.gram * tau);
            let l = linalg::cholesky(precision.view()).map_err(|e| e.of("the precision of q(w)"))?;
            let mean = &self.mean + &solve(&l, &(&sums.cross * tau));
            let covariance = linalg::cholesky_inverse(l.view());
            // E‖y − Xw‖² and E[(w − m₀)ᵀ Λ₀ (w − m₀)]
            let spread = if planted("regression_errors_at_the_mean") { 0.0 } else { (&covariance * &sums.gram).sum() };
            let errors = self.residual_squares(x, y, &mean)? + spread;
            let away = self.away_from_prior(&mean) + (&covariance * &self.precision).sum();
            let half_log_prior = 0.5 * linalg::log_det(prior.view());
            let entropy = 0.5 * (d - linalg::log_det(l.view()));
            let (noise, elbo) = match gamma {
                None => {
                    let value = 0.5 * n * tau.ln() - n * HALF_LOG_2PI - 0.5 * tau * errors + half_log_prior - 0.5 * away + entropy;
                    (None, value)
                }
                Some(g) => {
                    let (rows, squares) = if conjugate { (n + d, errors + away) } else { (n, errors) };
                    let q = Gamma::new(g.shape() + 0.5 * rows, g.rate() + 0.5 * squares)?;
                    tau = q.shape() / q.rate();
                    let log_tau = digamma(q.shape()) - q.rate().ln();
                    let independent = if conjugate { 0.0 } else { 0.5 * away };
                    let value =
                        0.5 * rows * log_tau - n * HALF_LOG_2PI - 0.5 * tau * squares + half_log_prior - independent + entropy - q.kl(&g);
                    (Some(q), value)
                }
            };
            out.push(RegressionMeanField { mean, covariance, noise, elbo });
        }
        Ok(out)
    }
}

/// (L Lᵀ)⁻¹ v.
fn solve(l: &Array2<f64>, v: &Array1<f64>) -> Array1<f64> {
    let mut out = v.clone().insert_axis(ndarray::Axis(1));
    linalg::cholesky_solve(l.view(), out.view_mut());
    out.index_axis_move(ndarray::Axis(1), 0)
}

/// Refuses rows with missing entries.
fn refuse_missing(block: &lvm_core::sweep::Block<'_>) -> Result<()> {
    if block.has_missing() {
        return Err(Error::config("data", "rows with missing entries; a regression needs complete rows"));
    }
    Ok(())
}
