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
pub(in crate::train) struct Lanes<E>(pub(in crate::train) [E; LANES]);

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

/// Where a panel has numbers other than 0: pixels, counts and indicators are 0 in whole panels.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// The features that are not 0 in all rows.
    pub(super) features: Vec<u32>,
    /// Of each block of sixteen features, the rows that are not 0 in all of them: a bit each.
    pub(super) rows: Vec<u16>,
    /// Features looked through.
    of: usize,
}

impl Present {
    /// Looks through a panel and the same by blocks of features.
    #[inline(always)]
    pub(super) fn find<E: Real>(&mut self, features: &[Lanes<E>], by_row: &[Lanes<E>]) {
        let any = |lanes: &Lanes<E>| lanes.0.iter().fold(false, |any, v| any | (*v != E::ZERO));
        self.of = features.len();
        self.features.clear();
        self.features.extend((0..).zip(features).filter(|(_, lanes)| any(lanes)).map(|(j, _)| j));
        self.rows.clear();
        let block = |rows: &[Lanes<E>; LANES]| (0..).zip(rows).fold(0, |bits, (n, lanes)| bits | u16::from(any(lanes)) << n);
        self.rows.extend(by_row.as_chunks::<LANES>().0.iter().map(block));
    }

    /// The features, where a quarter of them or more is left out; none where nothing was looked through.
    pub(super) fn features(&self) -> Option<&[u32]> {
        (4 * self.features.len() <= 3 * self.of && self.of > 0).then_some(&self.features)
    }

    /// The rows of all blocks, likewise.
    pub(super) fn rows(&self) -> Option<&[u16]> {
        let there: usize = self.rows.iter().map(|bits| bits.count_ones() as usize).sum();
        (4 * there <= 3 * LANES * self.rows.len() && !self.rows.is_empty()).then_some(&self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_zero_is_found() {
        let mut features = zeros::<f32>(40);
        for (j, lane) in [(2, 3), (2, 5), (17, 0), (39, 15)] {
            features[j].0[lane] = if j == 39 { f32::NAN } else { 1.0 };
        }
        let mut by_row = zeros(blocks(40) * LANES);
        transpose(&features, &mut by_row);
        let mut present = Present::default();
        assert!(present.features().is_none() && present.rows().is_none());
        present.find(&features, &by_row);
        assert_eq!((&present.features[..], &present.rows[..]), (&[2, 17, 39][..], &[1 << 3 | 1 << 5, 1, 1 << 15][..]));
        assert!(present.features().is_some() && present.rows().is_some());
        features.iter_mut().for_each(|f| f.0 = [2.0; LANES]);
        transpose(&features, &mut by_row);
        present.find(&features, &by_row);
        assert!(present.features().is_none() && present.rows().is_none());
    }

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
