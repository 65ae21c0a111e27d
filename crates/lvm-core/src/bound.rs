//! Estimates of bounds of the evidence by draws, for any model and any approximate posterior, with their standard errors.
//!
//! ```text
//! ELBO        E_q[log w]                  ≤  IWAE_k   E[log (1/k) Σ_{i≤k} w_i]   ≤  log p(x)  ≤   EUBO   E_{p(z|x)}[log w]
//! with w = p(x, z) / q(z), z ~ q
//! ```
//!
//! All numbers are in nats. Draw s uses a random stream of its own, derived from the seed, so a result does not depend on how the work is
//! cut up, and IWAE with k = 1 is the ELBO to the last bit.

use crate::error::{Error, ErrorKind, Result};
use crate::model::{LatentDist, LatentModel};
use crate::random::{Purpose, Stream, stream};
use crate::rows::RowSource;
use ndarray::Array1;
use serde::{Deserialize, Serialize};

/// A Monte Carlo estimate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean of the draws.
    pub mean: f64,
    /// Its standard error: the standard deviation of the draws (divisor S − 1) over √S; infinite for one draw, 0 for a value known exactly.
    pub std_err: f64,
    /// S, the number of independent draws; 0 for a value known exactly.
    pub draws: usize,
}

impl Estimate {
    /// A value known exactly.
    pub fn exact(value: f64) -> Self {
        Estimate { mean: value, std_err: 0.0, draws: 0 }
    }

    /// The mean of independent draws; NaN without any.
    ///
    /// ```
    /// use lvm_core::bound::Estimate;
    /// let e = Estimate::from_draws(&[1.0, 2.0, 3.0, 4.0]);
    /// assert_eq!(e.mean, 2.5);
    /// assert!((e.std_err - (5.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-15);
    /// ```
    pub fn from_draws(draws: &[f64]) -> Self {
        let s = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / s;
        // Var(mean) = Σ (x − x̄)² / (S (S − 1))
        let std_err = match draws.len() {
            0 | 1 => f64::INFINITY,
            _ => (draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (s * (s - 1.0))).sqrt(),
        };
        Estimate { mean, std_err, draws: draws.len() }
    }
}

/// A bound of the evidence, row by row and in total.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// The bound of log p(x_n) of each row in nats; (N).
    pub rows: Vec<Estimate>,
    /// Σ_n w_n times the rows' bounds, with row weights w (1 where the source has none): a bound of the total log-likelihood. Rows are
    /// independent, so the squared standard errors add, each times w².
    pub total: Estimate,
}

impl Bound {
    /// The bound per row as one array (N).
    pub fn means(&self) -> Array1<f64> {
        self.rows.iter().map(|e| e.mean).collect()
    }

    fn of(rows: Vec<Estimate>, x: &dyn RowSource, draws: usize) -> Self {
        let weight = |n: usize| x.weights().map_or(1.0, |w| w[n]);
        // a row of weight zero is not there, whatever its bound
        let present = || rows.iter().enumerate().filter(|(n, _)| weight(*n) > 0.0);
        let mean = present().map(|(n, e)| weight(n) * e.mean).sum();
        let variance: f64 = present().map(|(n, e)| (weight(n) * e.std_err).powi(2)).sum();
        Bound { total: Estimate { mean, std_err: variance.sqrt(), draws }, rows }
    }
}

/// ELBO(q) = E_q[log p(x, z) − log q(z)] ≤ log p(x), from `draws` draws of every row's latent.
///
/// With q the exact posterior every draw is log p(x) itself and the standard error is rounding.
///
/// ```
/// use lvm_core::{bound::elbo, linear_gaussian::LinearGaussian, model::{Evidence, Infer}};
/// use ndarray::array;
/// let model = LinearGaussian::new(array![0.0, 0.0], array![[1.0], [1.0]], array![1.0, 1.0])?;
/// let x = array![[1.0, 2.0]];
/// let bound = elbo(&model, &model.infer(&x)?, &x, 10, 7)?;
/// assert!((bound.total.mean - model.log_evidence(&x)?[0]).abs() < 1e-12 && bound.total.std_err < 1e-12);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If `draws` is 0, if the data does not fit the model or q, or if a log weight is NaN ([`ErrorKind::LogWeight`]).
pub fn elbo<M, Q>(model: &M, q: &Q, x: &dyn RowSource, draws: usize, seed: u64) -> Result<Bound>
where
    M: LatentModel,
    Q: LatentDist<Z = M::Z>,
{
    iwae(model, q, x, 1, draws, seed)
}

/// IWAE_k = E[log (1/k) Σ_{i≤k} p(x, z_i)/q(z_i)], z_i ~ q: at least the ELBO, at most log p(x), and never falling in k.
///
/// Each of the `draws` independent values uses k draws from q of its own; the sum over k is taken one weight at a time, so memory does not
/// grow with k.
///
/// Burda, Grosse & Salakhutdinov, *Importance weighted autoencoders* (2016), eq. 8 and theorem 1.
///
/// # Errors
/// If `k` is 0, and as [`elbo`].
///
/// ```
/// use lvm_core::{bound::{elbo, iwae}, linear_gaussian::LinearGaussian, model::{Evidence, Infer}};
/// use ndarray::array;
/// let model = LinearGaussian::new(array![0.0], array![[1.0]], array![1.0])?;
/// let other = LinearGaussian::new(array![1.0], array![[0.5]], array![2.0])?;
/// let x = array![[1.0], [-0.5]];
/// let q = other.infer(&x)?;
/// let (one, many) = (elbo(&model, &q, &x, 400, 7)?, iwae(&model, &q, &x, 20, 400, 7)?);
/// assert!(one.total.mean < many.total.mean);
/// assert!(many.total.mean < model.log_evidence(&x)?.sum() + 6.0 * many.total.std_err);
/// # Ok::<(), lvm_core::Error>(())
/// ```
pub fn iwae<M, Q>(model: &M, q: &Q, x: &dyn RowSource, k: usize, draws: usize, seed: u64) -> Result<Bound>
where
    M: LatentModel,
    Q: LatentDist<Z = M::Z>,
{
    at_least_one("k", k)?;
    at_least_one("draws", draws)?;
    let mut moments = vec![Moments::default(); x.n_rows()];
    for s in 0..draws {
        let mut sums = vec![LogSum::default(); x.n_rows()];
        for i in 0..k {
            let index = s * k + i;
            let log_w = log_weights(model, q, q.sample(&mut draw_stream(seed, index)), x, index)?;
            sums.iter_mut().zip(&log_w).for_each(|(sum, w)| sum.add(*w));
        }
        moments.iter_mut().zip(&sums).for_each(|(m, sum)| m.add(sum.log_mean()));
    }
    Ok(Bound::of(moments.iter().map(Moments::estimate).collect(), x, draws))
}

/// EUBO = E_{p(z|x)}[log p(x, z) − log q(z)] ≥ log p(x), from draws of the exact `posterior`: with the ELBO of the same q it encloses the
/// evidence, and the difference of the two is KL(q ‖ p) + KL(p ‖ q).
///
/// ```
/// use lvm_core::{bound::{elbo, eubo}, linear_gaussian::LinearGaussian, model::{Evidence, Infer}};
/// use ndarray::array;
/// let model = LinearGaussian::new(array![0.0], array![[1.0]], array![1.0])?;
/// let other = LinearGaussian::new(array![1.0], array![[0.5]], array![2.0])?;
/// let x = array![[1.0], [-0.5]];
/// let (p, q) = (model.infer(&x)?, other.infer(&x)?);
/// let (below, above) = (elbo(&model, &q, &x, 400, 7)?.total, eubo(&model, &p, &q, &x, 400, 7)?.total);
/// let truth = model.log_evidence(&x)?.sum();
/// assert!(below.mean < truth + 6.0 * below.std_err && truth < above.mean + 6.0 * above.std_err);
/// // of the exact posterior nothing is open
/// assert!((eubo(&model, &p, &p, &x, 1, 7)?.total.mean - truth).abs() < 1e-12);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// As [`elbo`].
pub fn eubo<M, P, Q>(model: &M, posterior: &P, q: &Q, x: &dyn RowSource, draws: usize, seed: u64) -> Result<Bound>
where
    M: LatentModel,
    P: LatentDist<Z = M::Z>,
    Q: LatentDist<Z = M::Z>,
{
    at_least_one("draws", draws)?;
    let mut moments = vec![Moments::default(); x.n_rows()];
    for s in 0..draws {
        let log_w = log_weights(model, q, posterior.sample(&mut draw_stream(seed, s)), x, s)?;
        moments.iter_mut().zip(&log_w).for_each(|(m, w)| m.add(*w));
    }
    Ok(Bound::of(moments.iter().map(Moments::estimate).collect(), x, draws))
}

/// log (1/S) Σ_s p(x, z_s)/q(z_s), z_s ~ q: importance sampling of the evidence from S draws. With q the prior it is the naive Monte Carlo
/// estimate, which fails as the latent dimension grows.
///
/// The logarithm of the estimate has the expectation IWAE_S, so on average it is too low. `std_err` is that of the delta method,
/// sd(w) / (√S mean(w)); when one draw has nearly all the weight it is close to 1 whatever the error truly is, so a value above 0.3 or so
/// says that S is far too small, and no more.
///
/// ```
/// use lvm_core::{bound::importance, linear_gaussian::LinearGaussian, model::{Evidence, Infer}};
/// use ndarray::array;
/// let model = LinearGaussian::new(array![0.0, 0.0], array![[1.0], [1.0]], array![1.0, 1.0])?;
/// let x = array![[1.0, 2.0]];
/// let estimate = importance(&model, &model.infer(&x)?, &x, 10, 7)?.total;
/// assert!((estimate.mean - model.log_evidence(&x)?[0]).abs() < 1e-12);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// As [`elbo`].
pub fn importance<M, Q>(model: &M, q: &Q, x: &dyn RowSource, draws: usize, seed: u64) -> Result<Bound>
where
    M: LatentModel,
    Q: LatentDist<Z = M::Z>,
{
    at_least_one("draws", draws)?;
    let mut sums = vec![(LogSum::default(), LogSum::default()); x.n_rows()];
    for s in 0..draws {
        let log_w = log_weights(model, q, q.sample(&mut draw_stream(seed, s)), x, s)?;
        for ((first, second), w) in sums.iter_mut().zip(&log_w) {
            first.add(*w);
            second.add(2.0 * w);
        }
    }
    let s = draws as f64;
    let estimate = |(first, second): &(LogSum, LogSum)| {
        // Var(w̄)/w̄² = (mean(w²)/w̄² − 1)/(S − 1)
        let spread = ((second.log_mean() - 2.0 * first.log_mean()).exp() - 1.0).max(0.0);
        let std_err = if draws == 1 { f64::INFINITY } else { (spread / (s - 1.0)).sqrt() };
        Estimate { mean: first.log_mean(), std_err, draws }
    };
    Ok(Bound::of(sums.iter().map(estimate).collect(), x, draws))
}

fn at_least_one(field: &'static str, value: usize) -> Result<()> {
    if value == 0 { Err(Error::config(field, "0 asked for, at least 1 is needed")) } else { Ok(()) }
}

fn draw_stream(seed: u64, index: usize) -> Stream {
    stream(seed, Purpose::Diagnosis, index as u64)
}

/// log p(x_n, z_n) − log q(z_n) of each row (N).
fn log_weights<M, Q>(model: &M, q: &Q, z: M::Z, x: &dyn RowSource, draw: usize) -> Result<Array1<f64>>
where
    M: LatentModel,
    Q: LatentDist<Z = M::Z>,
{
    let mut log_w = model.log_joint(x, &z)?;
    let log_q = q.log_prob(&z)?;
    if log_q.len() != log_w.len() {
        return Err(ErrorKind::Shape { what: "number of rows of q", expected: log_w.len(), found: log_q.len() }.into());
    }
    log_w -= &log_q;
    match log_w.iter().position(|w| w.is_nan() || *w == f64::INFINITY) {
        Some(row) => Err(ErrorKind::LogWeight { row, draw, value: log_w[row] }.into()),
        None => Ok(log_w),
    }
}

/// log Σ e^a of numbers that come one by one.
#[derive(Debug, Clone, Copy)]
struct LogSum {
    top: f64,
    /// Σ e^(a − top).
    sum: f64,
    count: usize,
}

impl Default for LogSum {
    fn default() -> Self {
        LogSum { top: f64::NEG_INFINITY, sum: 0.0, count: 0 }
    }
}

impl LogSum {
    fn add(&mut self, a: f64) {
        self.count += 1;
        if a > self.top {
            self.sum = self.sum * (self.top - a).exp() + 1.0;
            self.top = a;
        } else if a > f64::NEG_INFINITY {
            self.sum += (a - self.top).exp();
        }
    }

    fn log_mean(&self) -> f64 {
        if self.count == 1 { self.top } else { self.top + (self.sum / self.count as f64).ln() }
    }
}

/// Mean and sum of squared deviations of numbers that come one by one (Welford 1962).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: usize,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, v: f64) {
        self.count += 1;
        let before = v - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (v - self.mean);
    }

    fn estimate(&self) -> Estimate {
        let s = self.count as f64;
        let std_err = if self.count < 2 { f64::INFINITY } else { (self.squares / (s * (s - 1.0))).sqrt() };
        Estimate { mean: self.mean, std_err, draws: self.count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear_gaussian::LinearGaussian;
    use crate::model::Infer;
    use crate::rows::Rows;
    use ndarray::{Array2, array};

    fn model() -> LinearGaussian {
        LinearGaussian::new(array![0.0, 1.0], array![[1.0], [0.5]], array![0.5, 1.0]).unwrap()
    }

    #[test]
    fn running_sums_are_the_sums() {
        let draws = [3.0, -1.0, 700.0, 0.5, 699.0];
        let mut sum = LogSum::default();
        draws.iter().for_each(|a| sum.add(*a));
        // log ((1 + e⁻¹)/5) + 700, the others vanish beside it
        assert!((sum.log_mean() - (700.0 + ((1.0 + (-1.0_f64).exp()) / 5.0).ln())).abs() < 1e-12);
        let mut nothing = LogSum::default();
        nothing.add(f64::NEG_INFINITY);
        nothing.add(f64::NEG_INFINITY);
        assert_eq!(nothing.log_mean(), f64::NEG_INFINITY);
        let mut moments = Moments::default();
        draws.iter().for_each(|a| moments.add(*a));
        let (a, b) = (moments.estimate(), Estimate::from_draws(&draws));
        assert!((a.mean - b.mean).abs() < 1e-12 && (a.std_err - b.std_err).abs() < 1e-12 && a.draws == 5);
    }

    #[test]
    fn importance_weighting_with_one_draw_is_the_elbo_to_the_last_bit() {
        let x = array![[1.0, 2.0], [0.0, -1.0]];
        let q = model().infer(&Array2::<f64>::zeros((2, 2))).unwrap();
        assert_eq!(elbo(&model(), &q, &x, 5, 1).unwrap(), iwae(&model(), &q, &x, 1, 5, 1).unwrap());
    }

    #[test]
    fn weights_count_rows_and_zero_weight_leaves_a_row_out() {
        let x = array![[1.0, 2.0], [0.0, -1.0], [3.0, 3.0]];
        let weights = array![2.0, 0.0, 1.0];
        let rows = Rows::new(&x).weighted(weights.view()).unwrap();
        let bound = elbo(&model(), &model().infer(&x).unwrap(), &rows, 2, 1).unwrap();
        let expected = 2.0 * bound.rows[0].mean + bound.rows[2].mean;
        // the same two terms
        assert!((bound.total.mean - expected).abs() < 1e-13);
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let x = array![[1.0, 2.0]];
        let q = model().infer(&x).unwrap();
        assert!(elbo(&model(), &q, &x, 0, 1).unwrap_err().to_string().contains("draws"));
        assert!(iwae(&model(), &q, &x, 0, 1, 1).unwrap_err().to_string().contains("k:"));
        let other = model().infer(&array![[1.0, 2.0], [1.0, 2.0]]).unwrap();
        assert!(elbo(&model(), &other, &x, 1, 1).is_err());
    }
}
