//! Random streams derived from one seed.
//!
//! Every purpose and every index (restart, component, block …) has a ChaCha stream of its own, so that a result depends on the seed
//! and not on the order in which work is done.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The generator used throughout.
pub type Stream = ChaCha8Rng;

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// Starting values of an algorithm; indexed by restart.
    Start,
    /// Repairs made while fitting; indexed by iteration.
    Repair,
    /// Draws from a model.
    Sample,
    /// Random projections.
    Projection,
    /// Splits of the rows into folds.
    Split,
    /// Noise of a stochastic gradient; indexed by step.
    Noise,
    /// The order of the rows in an epoch of minibatches; indexed by epoch.
    Minibatch,
    /// Draws that judge a result; indexed by repetition.
    Diagnosis,
}

/// The stream of `seed` for one purpose and index.
///
/// ```
/// use lvm_core::random::{stream, Purpose};
/// use rand::Rng;
/// assert_eq!(stream(7, Purpose::Start, 0).next_u64(), stream(7, Purpose::Start, 0).next_u64());
/// assert_ne!(stream(7, Purpose::Start, 0).next_u64(), stream(7, Purpose::Start, 1).next_u64());
/// ```
pub fn stream(seed: u64, purpose: Purpose, index: u64) -> Stream {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((purpose as u64) << 48) | (index & 0xffff_ffff_ffff));
    rng
}
