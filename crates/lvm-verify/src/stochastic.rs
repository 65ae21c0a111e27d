//! Stochastic checks: an error budget for the whole run, three verdicts, and the power that a pass needs (VERIFY R3, R4).
//!
//! An estimate is judged against a truth at four looks (n, 4 n, 8 n, 16 n draws in all), each of which spends a quarter of the check's
//! share of the family-wise error. A look ends in PASS, FAIL, or UNDECIDED, which draws more; undecided at the last look, the check fails
//! as one that cannot certify. No pass without power: an interval too wide to see a bias of the margin never passes.

use crate::check::Verdict;
use lvm_core::special::{betainc, norm_quantile};
use ndarray::{Array1, Array2, ArrayView1, Axis};
use serde::Serialize;

/// The probability that a run without any bug shows a red stochastic check, and how many such checks share it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ErrorBudget {
    /// Family-wise false alarms a run.
    pub family: f64,
    /// Stochastic comparisons at most.
    pub comparisons: usize,
}

impl Default for ErrorBudget {
    /// 1e-3 over 2000 comparisons: 5e-7 each (Bonferroni), z = 5.03.
    fn default() -> Self {
        ErrorBudget { family: 1e-3, comparisons: 2000 }
    }
}

/// Draws in all at each look, in units of the first.
pub const LOOKS: [usize; 4] = [1, 4, 8, 16];

/// A bias worth the name is missed with this probability at most.
pub const MISS: f64 = 1e-6;

/// Two-sided: the z beyond which a standard normal lies with probability `alpha`.
pub fn two_sided(alpha: f64) -> f64 {
    -norm_quantile(0.5 * alpha)
}

impl ErrorBudget {
    /// α of one comparison: 5e-7.
    pub fn alpha(self) -> f64 {
        self.family / self.comparisons as f64
    }
    /// Two-sided z of one comparison in one look: 5.03.
    pub fn z(self) -> f64 {
        two_sided(self.alpha())
    }
    /// α of one of the four looks of a comparison: 1.25e-7.
    pub fn alpha_of_look(self) -> f64 {
        self.alpha() / LOOKS.len() as f64
    }
    /// Its two-sided z: 5.29.
    pub fn z_of_look(self) -> f64 {
        two_sided(self.alpha_of_look())
    }
}

/// The smallest bias that a z-test finds but for [`MISS`]: (z + 4.75) standard errors.
pub fn detectable_bias(standard_error: f64, z: f64) -> f64 {
    (z - norm_quantile(MISS)) * standard_error
}

/// What is claimed of an expectation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Claim {
    /// It lies within the margin of the truth: an equivalence test, for what may be biased by a little.
    Within(f64),
    /// It is the truth: any significant difference fails, and the margin is the bias that must be seen.
    Equal(f64),
    /// It is not above the truth; the margin is the excess that must be seen.
    AtMost(f64),
    /// It is not below the truth; the margin is the shortfall that must be seen.
    AtLeast(f64),
}

impl Claim {
    /// The smallest bias worth caring about.
    pub fn margin(self) -> f64 {
        let (Claim::Within(m) | Claim::Equal(m) | Claim::AtMost(m) | Claim::AtLeast(m)) = self;
        m
    }
}

/// A number that is known, and how well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truth {
    /// The number.
    pub value: f64,
    /// Its own error, one sigma: of a quadrature, or the rounding of what ours is compared with.
    pub error: f64,
}

impl From<f64> for Truth {
    fn from(value: f64) -> Self {
        Truth { value, error: 0.0 }
    }
}

/// Mean and variance of draws, as they come (Welford 1962).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    /// Draws.
    pub draws: usize,
    /// Their mean.
    pub mean: f64,
    squares: f64,
}

impl Estimate {
    /// Takes one more value.
    pub fn push(&mut self, v: f64) {
        self.draws += 1;
        let d = v - self.mean;
        self.mean += d / self.draws as f64;
        self.squares += d * (v - self.mean);
    }

    /// s/√n; infinite below two draws.
    pub fn standard_error(&self) -> f64 {
        let n = self.draws as f64;
        if self.draws < 2 { f64::INFINITY } else { (self.squares / (n - 1.0) / n).sqrt() }
    }

    /// One look, at z.
    pub fn judge(&self, truth: Truth, claim: Claim, z: f64) -> Verdict {
        let se = self.standard_error().hypot(truth.error);
        let off = self.mean - truth.value;
        if off.is_nan() || se.is_nan() {
            return Verdict::Fail;
        }
        let beyond = match claim {
            Claim::Within(margin) => off.abs() - margin > z * se,
            Claim::Equal(_) => off.abs() > z * se,
            Claim::AtMost(_) => off > z * se,
            Claim::AtLeast(_) => -off > z * se,
        };
        let certain = match claim {
            Claim::Within(margin) => off.abs() + z * se <= margin,
            Claim::Equal(m) | Claim::AtMost(m) | Claim::AtLeast(m) => detectable_bias(se, z) <= m,
        };
        match (beyond, certain) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::Pass,
            (false, false) => Verdict::Undecided,
        }
    }
}

impl FromIterator<f64> for Estimate {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut out = Estimate::default();
        values.into_iter().for_each(|v| out.push(v));
        out
    }
}

/// Mean and covariance of vectors, as they come: for Hotelling's T².
#[derive(Debug, Clone, PartialEq)]
pub struct VectorEstimate {
    /// Draws.
    pub draws: usize,
    /// Their mean (d).
    pub mean: Array1<f64>,
    /// Σ (v − v̄)(v − v̄)ᵀ (d, d).
    scatter: Array2<f64>,
}

/// What one look at a vector finds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hotelling {
    /// n (v̄ − μ)ᵀ S⁻¹ (v̄ − μ), over the directions in which the draws vary.
    pub t2: f64,
    /// P(T² this large) if μ is the mean.
    pub p: f64,
    /// √λ_max(S)/√n: the standard error in the direction where it is largest.
    pub standard_error: f64,
    /// The smallest bias, in any direction, that is found but for [`MISS`].
    pub detectable_bias: f64,
    /// The verdict of the look.
    pub verdict: Verdict,
}

impl VectorEstimate {
    /// No draws of `d` numbers.
    pub fn new(d: usize) -> Self {
        VectorEstimate { draws: 0, mean: Array1::zeros(d), scatter: Array2::zeros((d, d)) }
    }

    /// Takes one more vector.
    pub fn push(&mut self, v: ArrayView1<'_, f64>) {
        self.draws += 1;
        let before = &v - &self.mean;
        self.mean.scaled_add(1.0 / self.draws as f64, &before);
        let after = &v - &self.mean;
        self.scatter += &(&before.insert_axis(Axis(1)) * &after);
    }

    /// One look at whether the mean is `truth`, at level `alpha`: FAIL if T² is significant, PASS once a bias of length `margin` would
    /// be. In directions where the draws do not vary, `rounding` is what ours may differ by.
    ///
    /// # Errors
    /// If the eigen-decomposition of the covariance does not converge.
    pub fn judge(&self, truth: ArrayView1<'_, f64>, margin: f64, rounding: f64, alpha: f64) -> lvm_core::Result<Hotelling> {
        let n = self.draws as f64;
        let (values, vectors) = lvm_core::linalg::eigh((&self.scatter / (n - 1.0)).view())?;
        let bias = vectors.t().dot(&(&self.mean - &truth));
        let largest = values.iter().fold(0.0, |m: f64, v| m.max(*v));
        // below this a variance is the rounding of the others
        let floor = (largest * n * f64::EPSILON).max(rounding * rounding);
        let varies = |i: &usize| values[*i] > floor;
        let t2: f64 = (0..values.len()).filter(varies).map(|i| n * bias[i] * bias[i] / values[i]).sum();
        let d = (0..values.len()).filter(varies).count();
        let off = (0..values.len()).filter(|i| !varies(i)).any(|i| !(bias[i].abs() <= rounding.max(floor.sqrt())));
        let p = t2_tail(t2, d, self.draws);
        let standard_error = (largest / n).sqrt();
        let detectable_bias = (t2_quantile(alpha, d, self.draws).sqrt() - norm_quantile(MISS)) * standard_error;
        let verdict = match (off || !(p >= alpha), detectable_bias <= margin) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::Pass,
            (false, false) => Verdict::Undecided,
        };
        Ok(Hotelling { t2, p, standard_error, detectable_bias, verdict })
    }
}

/// P(T² > t2): T² (n − d) / (d (n − 1)) is F with d and n − d degrees of freedom.   Anderson (2003), 5.2.2
pub fn t2_tail(t2: f64, d: usize, n: usize) -> f64 {
    match (d, n > d) {
        (0, _) => 1.0,
        (_, true) => betainc(0.5 * (n - d) as f64, 0.5 * d as f64, 1.0 / (1.0 + t2 / (n as f64 - 1.0))),
        (_, false) => f64::NAN,
    }
}

/// The T² whose tail is `alpha`, by bisection.
pub fn t2_quantile(alpha: f64, d: usize, n: usize) -> f64 {
    if d == 0 || n <= d {
        return if d == 0 { 0.0 } else { f64::INFINITY };
    }
    let mut high = 1.0;
    while t2_tail(high, d, n) > alpha && high < 1e300 {
        high *= 2.0;
    }
    let mut low = 0.0;
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if t2_tail(middle, d, n) > alpha { low = middle } else { high = middle }
    }
    high
}

/// sup |F_n − F| exceeds this with probability `alpha` at most, whatever F: √(log(2/α) / 2n).   Massart 1990
pub fn dkwm(n: usize, alpha: f64) -> f64 {
    ((2.0 / alpha).ln() / (2.0 * n as f64)).sqrt()
}

/// sup |F_n − F| for a continuous F, given as its values at the draws; NaN if one of them is no probability.
pub fn kolmogorov(mut probabilities: Vec<f64>) -> f64 {
    if probabilities.iter().any(|p| !(0.0..=1.0).contains(p)) {
        return f64::NAN;
    }
    probabilities.sort_by(f64::total_cmp);
    let n = probabilities.len() as f64;
    probabilities.iter().enumerate().map(|(i, p)| (p - i as f64 / n).max((i + 1) as f64 / n - p)).fold(0.0, f64::max)
}

/// One look at whether draws follow a distribution: FAIL beyond the band of `alpha`, PASS once a distance of `margin` would be seen.
pub fn judge_distribution(distance: f64, n: usize, margin: f64, alpha: f64) -> Verdict {
    let band = dkwm(n, alpha);
    match (!(distance <= band), band + dkwm(n, MISS) <= margin) {
        (true, _) => Verdict::Fail,
        (false, true) => Verdict::Pass,
        (false, false) => Verdict::Undecided,
    }
}

#[cfg(test)]
mod tests;
