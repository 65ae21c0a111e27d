//! Do the statistics of a conjugate model belong to its local bounds?

use super::model::{ConjugateModel, Totals};
use crate::check::{Numeric, derivative};
use lvm_core::rows::RowSource;
use lvm_core::{Error, Result};

/// Relative disagreement that is worth a complaint: an omitted term is far above it, rounding far below.
const TOLERANCE: f64 = 1e-6;

/// The entry in which statistics and bounds agree worst.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StatisticsCheck {
    /// The entry, from 0.
    pub entry: usize,
    /// Σ_n w_n E\[s_n\] in it, as the model adds it.
    pub statistic: f64,
    /// ∂/∂E\[t\] of Σ_n w_n F_n, by differences.
    pub derivative: Numeric,
    /// |statistic − derivative|, less what the differences leave open, over the larger of the two and a thousandth of the largest
    /// statistic.
    pub relative: f64,
}

impl StatisticsCheck {
    /// Whether they agree to 1e-6 of their size in every entry.
    pub fn is_right(&self) -> bool {
        self.relative < TOLERANCE
    }
}

/// Compares what [`ConjugateModel::local`] adds as statistics with the slope of what it adds as bounds, at q(θ; η), and reports the entry
/// that agrees worst. A sign, a factor or a term that is in one and not in the other is found without knowing the right answer.
///
/// ```text
/// ∂F_n/∂E[t] = E[s_n] where q(z_n) is the best one        (envelope theorem)
/// ```
///
/// About 18 P passes over `data`: a few dozen rows will do. A local step that iterates must do so to the end here.
///
/// ```
/// use lvm_core::{Result, sweep::Block};
/// use lvm_vi::cavi::conjugate::{ConjugateModel, ExponentialFamily, Factor, LocalSums, check_statistics};
/// /// x_n ~ Exponential(λ), log p = log λ − λx, with the count left out of the statistics.
/// struct Waits;
/// impl ConjugateModel for Waits {
///     fn family(&self) -> &dyn ExponentialFamily {
///         &Factor::Gamma
///     }
///     fn prior(&self) -> Vec<f64> {
///         vec![1.0, 1.0]
///     }
///     fn n_cols(&self) -> usize {
///         1
///     }
///     fn local(&self, expected: &[f64], rows: &Block<'_>, sums: &mut LocalSums<'_>) -> Result<()> {
///         rows.column(0).iter().enumerate().try_for_each(|(n, x)| sums.add(n, expected[0] + x * expected[1], [(1, *x)]))
///     }
/// }
/// let found = check_statistics(&Waits, &ndarray::array![[0.5], [2.0]], &[1.0, 1.0])?;
/// assert!(!found.is_right() && found.entry == 0 && (found.derivative.value - 2.0).abs() < 1e-9);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// As [`elbo`](super::elbo); also where the bound is not finite a tenth beside E\[t\].
pub fn check_statistics<M: ConjugateModel + ?Sized>(model: &M, data: &dyn RowSource, natural: &[f64]) -> Result<StatisticsCheck> {
    let expected = model.family().expected_statistics(natural)?;
    let statistics = Totals::of_all(model, data, natural)?.statistics;
    let largest = statistics.iter().fold(0.0_f64, |m, s| m.max(s.abs()));
    let mut worst = StatisticsCheck { entry: 0, statistic: 0.0, derivative: Numeric { value: 0.0, error: 0.0 }, relative: 0.0 };
    for (entry, &statistic) in statistics.iter().enumerate() {
        let mut moved = expected.clone();
        let bound = |h: f64| {
            moved[entry] = expected[entry] + h;
            Ok::<f64, Error>(Totals::at(model, data, &moved)?.bound)
        };
        // within a tenth of E[t], so that no sign changes
        let numeric = derivative(bound, if expected[entry] == 0.0 { 0.1 } else { 0.1 * expected[entry].abs() })?;
        let scale = statistic.abs().max(numeric.value.abs()).max(1e-3 * largest).max(f64::MIN_POSITIVE);
        let relative = ((statistic - numeric.value).abs() - numeric.error).max(0.0) / scale;
        if relative > worst.relative || entry == 0 {
            worst = StatisticsCheck { entry, statistic, derivative: numeric, relative };
        }
    }
    Ok(worst)
}
