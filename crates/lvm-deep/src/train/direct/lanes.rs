//! Sixteen rows side by side: the layout of everything that one step computes.
//!
//! A *panel* is sixteen rows of the batch; of every feature it holds the sixteen values next to each other, so that all arithmetic of a
//! step runs over whole vectors, sums over features need no sum across a vector, and no matrix needs to be packed for a product. The
//! last panel is filled up with rows of weight 0.

use super::elementary::Real;

/// Rows in a panel.
pub(super) const LANES: usize = 16;

/// One number of each of sixteen rows.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Lanes<E>(pub(super) [E; LANES]);

impl<E: Real> Lanes<E> {
    pub(super) const ZERO: Self = Lanes([E::ZERO; LANES]);

    /// f of every number.
    #[inline(always)]
    pub(super) fn map(self, f: impl Fn(E) -> E) -> Self {
        Lanes(std::array::from_fn(|i| f(self.0[i])))
    }

    /// f of every pair.
    #[inline(always)]
    pub(super) fn with(self, other: Self, f: impl Fn(E, E) -> E) -> Self {
        Lanes(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

/// `n` features of one panel, all 0.
pub(super) fn zeros<E: Real>(n: usize) -> Vec<Lanes<E>> {
    vec![Lanes::ZERO; n]
}

/// How many blocks of sixteen features there are.
pub(super) fn blocks(features: usize) -> usize {
    features.div_ceil(LANES)
}

/// The features of a panel as blocks of sixteen: block j holds, row after row of the panel, features 16 j … 16 j + 15. What is beyond the
/// last feature is left as it is.
#[inline(always)]
pub(super) fn transpose<E: Real>(features: &[Lanes<E>], by_row: &mut [Lanes<E>]) {
    for (block, rows) in features.chunks(LANES).zip(by_row.chunks_exact_mut(LANES)) {
        for (j, feature) in block.iter().enumerate() {
            for (row, value) in rows.iter_mut().zip(feature.0) {
                row.0[j] = value;
            }
        }
    }
}

/// The way back.
#[inline(always)]
pub(super) fn transpose_back<E: Real>(by_row: &[Lanes<E>], features: &mut [Lanes<E>]) {
    for (rows, block) in by_row.chunks_exact(LANES).zip(features.chunks_mut(LANES)) {
        for (j, feature) in block.iter_mut().enumerate() {
            *feature = Lanes(std::array::from_fn(|i| rows[i].0[j]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for n in [1, 15, 16, 17, 40] {
            let features: Vec<Lanes<f64>> = (0..n).map(|j| Lanes(std::array::from_fn(|i| (j * LANES + i) as f64))).collect();
            let mut by_row = zeros(blocks(n) * LANES);
            transpose(&features, &mut by_row);
            assert_eq!(by_row[(n - 1) / LANES * LANES + 3].0[(n - 1) % LANES], ((n - 1) * LANES + 3) as f64);
            let mut back = zeros(n);
            transpose_back(&by_row, &mut back);
            assert!(back.iter().zip(&features).all(|(a, b)| a.0 == b.0));
        }
    }
}
