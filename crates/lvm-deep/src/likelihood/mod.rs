//! p(x | z): densities of the data given what the decoder delivers, normalised, in nats, with every constant.

pub mod bernoulli;
pub mod categorical;
pub mod discretized_logistic;
mod draws;
pub mod gaussian;
pub mod library;
pub mod mixed;
pub mod multinomial;
pub mod negative_binomial;
pub mod poisson;
#[cfg(test)]
pub(crate) mod proof;
pub mod standardised;
pub mod zero_inflated;

pub use bernoulli::Bernoulli;
pub use categorical::Categorical;
pub use discretized_logistic::{DiscretizedLogistic, Scale};
pub use gaussian::Gaussian;
pub use library::Library;
pub use mixed::{Block, Mixed};
pub use multinomial::Multinomial;
pub use negative_binomial::{Dispersion, NegativeBinomial};
pub use poisson::Poisson;
pub use standardised::{Standardised, Unit};
pub use zero_inflated::ZeroInflated;

use crate::data::Batch;
use crate::error::Result;
use crate::noise::Noise;
use tch::Tensor;

/// A density of the entries of x, independent given the decoder's outputs.
///
/// Outputs have any number of leading dimensions, (…, N, P) with P = [`n_outputs`](Self::n_outputs); x is (N, D). Where outputs are the same
/// for all rows they may be (…, 1, P).
pub trait Likelihood: Send {
    /// P, how many numbers the decoder must deliver for a row.
    fn n_outputs(&self) -> i64;

    /// log p(x_nd | z) of every entry, (…, N, D). Entries that are missing have x = 0 and are left out by the caller.
    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor;

    /// The sum of the entries (k, N) for outputs (k, 1, P) that are the same for all rows, where products of matrices give it.
    fn log_prob_everywhere(&self, _outputs: &Tensor, _batch: &Batch) -> Option<Tensor> {
        None
    }

    /// What log p(x_n | z) has besides the sum over the entries (N), if anything: the multinomial coefficient.
    fn log_prob_row(&self, _batch: &Batch) -> Option<Tensor> {
        None
    }

    /// E[x | z], (…, N, D).
    fn mean(&self, outputs: &Tensor, batch: &Batch) -> Tensor;

    /// The most probable x where the mean is none that could occur (codes, zeros and ones), else the mean; (…, N, D).
    fn mode(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        self.mean(outputs, batch)
    }

    /// x ~ p(x | z), (…, N, D).
    fn sample(&self, outputs: &Tensor, batch: &Batch, noise: &mut Noise) -> Tensor;

    /// Whether x (N, D) is in the support.
    ///
    /// # Errors
    /// [`ErrorKind::OutsideSupport`](lvm_core::ErrorKind::OutsideSupport) naming the first entry that is not, and what is allowed.
    fn check(&self, batch: &Batch) -> Result<()>;

    /// The outputs (P) of which the mean is the given mean of the columns (D), for the decoder's bias to start from.
    fn start(&self, mean: &Tensor) -> Option<Tensor>;

    /// Tells the density mean and standard deviation of the training columns (D), before [`start`](Self::start): for one that standardises.
    fn standardise(&self, _mean: &Tensor, _sd: &Tensor) {}

    /// The groups of columns whose sum is a size of the row that the density is told, and that draws and means need: all columns for bags of
    /// words; none for a density that is told nothing of x.
    fn sized_columns(&self) -> Vec<Vec<i64>> {
        Vec::new()
    }

    /// In which order the outputs stand; `None` where there is none that nets which go place by place could follow.
    fn layout(&self) -> Option<Layout> {
        None
    }

    /// The same density of `length` columns from `start` alone, over the same parameters, for decoders that go step by step; `None` where
    /// columns depend on each other.
    fn narrow(&self, _start: i64, _length: i64) -> Option<Box<dyn Likelihood>> {
        None
    }
}

/// The order of outputs: P = planes · D · depth numbers as (planes, D, depth).
///
/// Means and log-variances are two planes of depth 1; the logits of K codes are one plane of depth K.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Whole sets of D, one behind the other.
    pub planes: i64,
    /// Numbers that stand together for a column.
    pub depth: i64,
}

/// The part of a parameter that belongs to `length` columns from `start`: all of it where columns share one number.
pub(crate) fn columns_of(shared: &Tensor, start: i64, length: i64) -> Tensor {
    if shared.dim() == 0 { shared.shallow_clone() } else { shared.narrow(0, start, length) }
}

/// log(1 + eᵃ), with the gradient 1/2 at 0.
pub(crate) fn softplus(a: &Tensor) -> Tensor {
    -(-a).log_sigmoid()
}

/// The first entry (row, column, value) where `bad` (N, D) holds.
pub(crate) fn first_where(bad: &Tensor, x: &Tensor) -> Option<(usize, usize, f64)> {
    let flat = bad.to_kind(tch::Kind::Int64).reshape([-1]);
    let at = flat.argmax(0, false).int64_value(&[]);
    if flat.int64_value(&[at]) == 0 {
        return None;
    }
    let columns = x.size()[1];
    let (row, column) = (at / columns, at % columns);
    Some((row as usize, column as usize, x.double_value(&[row, column])))
}
