//! The distinct sets of observed columns of a table.

use lvm_core::Result;
use lvm_core::rows::{Missing, RowSource};
use lvm_core::sweep::map_rows;
use std::collections::HashMap;

/// Sets of observed columns, and which of them each row has.
pub(super) struct Patterns {
    /// Observed columns of each pattern, ascending; in order of first appearance.
    pub(super) observed: Vec<Vec<usize>>,
    /// The pattern of each row.
    pub(super) index: Vec<usize>,
}

impl Patterns {
    /// One pass over `x` if it may have missing entries, none if not.
    pub(super) fn of(x: &dyn RowSource) -> Result<Self> {
        let (n, d) = (x.n_rows(), x.n_cols());
        if x.missing() == Missing::Refuse {
            return Ok(Patterns { observed: vec![(0..d).collect()], index: vec![0; n] });
        }
        // 32 cells a word, as a whole number that a double holds exactly
        let words = d.div_ceil(32);
        let masks = map_rows(
            x,
            words,
            || (),
            |(), block, mut out| {
                for j in 0..d {
                    for (i, v) in block.column(j).iter().enumerate() {
                        out[[i, j / 32]] += if v.is_nan() { f64::from(1_u32 << (j % 32)) } else { 0.0 };
                    }
                }
                Ok(())
            },
        )?;
        let mut seen: HashMap<Vec<u32>, usize> = HashMap::new();
        let mut observed: Vec<Vec<usize>> = Vec::new();
        let mut index = Vec::with_capacity(n);
        for row in masks.rows() {
            let mask: Vec<u32> = row.iter().map(|v| *v as u32).collect();
            let columns: Vec<usize> = (0..d).filter(|j| mask[j / 32] >> (j % 32) & 1 == 0).collect();
            let pattern = *seen.entry(mask).or_insert(observed.len());
            if pattern == observed.len() {
                observed.push(columns);
            }
            index.push(pattern);
        }
        Ok(Patterns { observed, index })
    }
}
