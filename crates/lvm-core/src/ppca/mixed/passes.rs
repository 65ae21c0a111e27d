//! The pass over the rows in double precision, and how rows are handed to the loops.

use crate::error::Result;
use crate::moments::small_blocks;
use crate::rows::RowSource;
use crate::simd::{Axes, ScoreSums, Weighted};
use crate::sweep::{Merge, RowBlock, sweep_unchecked};
use ndarray::{Array1, Array2};

/// The rows of a block with the square roots of their weights.
#[derive(Default)]
pub(super) struct Gathered {
    rows: Vec<u32>,
    roots: Vec<f64>,
}

impl Gathered {
    pub(super) fn of<'a>(&'a mut self, block: &RowBlock<'a>, centre: &'a [f64]) -> Weighted<'a> {
        self.rows.clear();
        self.rows.extend((0..).take(block.rows));
        self.roots.clear();
        match block.weights {
            None => self.roots.resize(block.rows, 1.0),
            Some(w) => self.roots.extend(w.iter().map(|w| w.sqrt())),
        }
        Weighted { x: block.x, rows: &self.rows, roots: &self.roots, centre }
    }
}

/// Sums of the pass in double precision.
struct Exact {
    sums: ScoreSums,
    gathered: Gathered,
}

/// Σ w Vᵀ(x − c)(x − c)ᵀ V and Σ w (x − c)(x − c)ᵀ V G.
pub(super) fn scores(data: &dyn RowSource, centre: &Array1<f64>, axes: &Array2<f64>, combinations: &Array2<f64>) -> Result<ScoreSums> {
    let (d, m) = axes.dim();
    let width = m.next_multiple_of(8);
    let at = |a: &Array2<f64>, i: usize, j: usize| a.get((i, j)).copied().unwrap_or(0.0);
    let packed = Axes::new(d, width, |i, j| at(axes, i, j), |i, j| at(combinations, i, j));
    let about = centre.to_vec();
    struct Both<'a>(Exact, &'a Axes);
    impl Merge for Both<'_> {
        fn merge(&mut self, mut other: Self) {
            self.0.sums.flush(self.1);
            other.0.sums.flush(self.1);
            let add = |a: &mut [f64], b: &[f64]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            add(&mut self.0.sums.inner, &other.0.sums.inner);
            add(&mut self.0.sums.back, &other.0.sums.back);
        }
    }
    let new = || Both(Exact { sums: ScoreSums::default(), gathered: Gathered::default() }, &packed);
    let mut found = sweep_unchecked(data, small_blocks(d, 8 * d * m), new, |both, block| {
        both.0.sums.add(both.0.gathered.of(block, &about), both.1);
        Ok(())
    })?;
    found.0.sums.flush(&packed);
    Ok(found.0.sums)
}
