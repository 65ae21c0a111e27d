//! The rows of a batch as panels: what the encoder sees, and what the density is of.

use super::elementary::Real;
use super::lanes::{LANES, Lanes, blocks, transpose_back, zeros};
use super::perceptron::Trace;
use crate::data::Batch;
use crate::nets::Input;
use crate::raw::slice;

/// A table in memory.
pub(super) struct Table<'a, E> {
    x: &'a [E],
    observed: Option<&'a [E]>,
    condition: Option<&'a [E]>,
    pub(super) weights: Option<&'a [E]>,
    pub(super) columns: usize,
    pub(super) conditions: usize,
}

impl<'a, E: Real> Table<'a, E> {
    /// `None` if it is elsewhere, or of another kind of number.
    pub(super) fn of(rows: &'a Batch) -> Option<Self> {
        /// A part that may not be there, but is in memory if it is.
        fn part<E: Real>(tensor: &Option<tch::Tensor>) -> Option<Option<&[E]>> {
            match tensor {
                None => Some(None),
                Some(tensor) => slice(tensor).map(Some),
            }
        }
        let width = |t: &tch::Tensor| t.size().get(1).map_or(0, |&w| w as usize);
        Some(Table {
            x: slice(&rows.x)?,
            observed: part(&rows.observed)?,
            condition: part(&rows.condition)?,
            weights: part(&rows.weights)?,
            columns: width(&rows.x),
            conditions: rows.condition.as_ref().map_or(0, width),
        })
    }

    fn row(table: &'a [E], columns: usize, n: usize) -> &'a [E] {
        &table[n * columns..(n + 1) * columns]
    }
}

/// How x becomes what the encoder sees, and what the density is of.
pub(super) struct Reading<'a, E> {
    pub(super) input: Input,
    /// Mean and scale of the columns, for [`Input::Standardised`].
    pub(super) standard: Option<(&'a [E], &'a [E])>,
    /// Whether the encoder is told which entries are there.
    pub(super) mask: bool,
    /// Location and scale of the columns in which the density is stated.
    pub(super) units: Option<(&'a [E], &'a [E])>,
}

impl<E: Real> Reading<'_, E> {
    /// Whether the density is of the first D numbers that the encoder sees.
    pub(super) fn is_plain(&self, table: &Table<'_, E>) -> bool {
        self.input == Input::Plain && self.units.is_none() && table.observed.is_none()
    }
}

/// The rows of one panel.
pub(super) struct Rows<E> {
    /// What the density is of (D); empty where that is what the encoder sees.
    pub(super) targets: Vec<Lanes<E>>,
    /// 1 where an entry is there (D); empty where all are.
    pub(super) observed: Vec<Lanes<E>>,
    /// The condition (C).
    pub(super) condition: Vec<Lanes<E>>,
    /// Row weights over their sum; 0 beyond the last row.
    pub(super) weight: Lanes<E>,
    /// One row after the other, to be turned round.
    by_row: Vec<Lanes<E>>,
    row: Vec<E>,
}

impl<E: Real> Rows<E> {
    pub(super) fn new(table: &Table<'_, E>, reading: &Reading<'_, E>, inputs: usize) -> Self {
        let d = table.columns;
        let own = if reading.is_plain(table) { 0 } else { d };
        Rows {
            targets: zeros(own),
            observed: zeros(if table.observed.is_some() { d } else { 0 }),
            condition: zeros(table.conditions),
            weight: Lanes::ZERO,
            by_row: zeros(blocks(d.max(table.conditions)) * LANES),
            row: vec![E::ZERO; inputs.max(d)],
        }
    }

    /// Takes rows of the table, at most sixteen, into this panel and the encoder's trace; `weight` is that of a row over the sum of all.
    #[inline(always)]
    pub(super) fn take(
        &mut self,
        table: &Table<'_, E>,
        reading: &Reading<'_, E>,
        numbers: &[i64],
        weight: &dyn Fn(usize) -> E,
        trace: &mut Trace<E>,
    ) {
        let d = table.columns;
        self.weight = Lanes::ZERO;
        for lane in 0..LANES {
            let Some(&n) = numbers.get(lane) else {
                put(&mut trace.by_row[0], lane, None);
                continue;
            };
            let n = n as usize;
            self.weight.0[lane] = weight(n);
            let x = Table::row(table.x, d, n);
            let observed = table.observed.map(|o| Table::row(o, d, n));
            if reading.input == Input::Plain && !reading.mask && table.conditions == 0 && observed.is_none() {
                put(&mut trace.by_row[0], lane, Some(x));
                continue;
            }
            see(reading, x, observed, &mut self.row[..d]);
            let mut end = d;
            if reading.mask {
                match observed {
                    Some(observed) => self.row[d..2 * d].copy_from_slice(observed),
                    None => self.row[d..2 * d].fill(E::ONE),
                }
                end = 2 * d;
            }
            if let Some(condition) = table.condition {
                self.row[end..end + table.conditions].copy_from_slice(Table::row(condition, table.conditions, n));
                end += table.conditions;
            }
            put(&mut trace.by_row[0], lane, Some(&self.row[..end]));
        }
        transpose_back(&trace.by_row[0], &mut trace.values[0]);
        self.besides(table, reading, numbers);
    }

    /// Targets, mask and condition, where they are needed.
    #[inline(always)]
    fn besides(&mut self, table: &Table<'_, E>, reading: &Reading<'_, E>, numbers: &[i64]) {
        let d = table.columns;
        let parts = [
            (&mut self.targets, Some(table.x), d),
            (&mut self.observed, table.observed, d),
            (&mut self.condition, table.condition, table.conditions),
        ];
        for (part, from, width) in parts {
            let Some(from) = from.filter(|_| !part.is_empty()) else { continue };
            for lane in 0..LANES {
                put(&mut self.by_row, lane, numbers.get(lane).map(|&n| Table::row(from, width, n as usize)));
            }
            transpose_back(&self.by_row, part);
        }
        if let Some((location, scale)) = reading.units {
            for ((y, &a), &s) in self.targets.iter_mut().zip(location).zip(scale) {
                *y = y.map(|x| (x - a) / s);
            }
        }
    }
}

/// x as the encoder sees it; a missing entry stands at 0.
#[inline(always)]
fn see<E: Real>(reading: &Reading<'_, E>, x: &[E], observed: Option<&[E]>, to: &mut [E]) {
    match (reading.input, reading.standard) {
        (Input::Standardised, Some((mean, scale))) => {
            for (((to, &x), &m), &s) in to.iter_mut().zip(x).zip(mean).zip(scale) {
                *to = (x - m) / s;
            }
        }
        (Input::Log1p, _) => to.iter_mut().zip(x).for_each(|(to, x)| *to = x.ln_1p()),
        _ => to.copy_from_slice(x),
    }
    if let Some(observed) = observed {
        to.iter_mut().zip(observed).for_each(|(to, &o)| *to *= o);
    }
}

/// Writes one row into its blocks; zeros for `None`.
#[inline(always)]
fn put<E: Real>(by_row: &mut [Lanes<E>], lane: usize, row: Option<&[E]>) {
    match row {
        Some(row) => {
            for (block, part) in row.chunks(LANES).enumerate() {
                by_row[block * LANES + lane].0[..part.len()].copy_from_slice(part);
            }
        }
        None => by_row.iter_mut().skip(lane).step_by(LANES).for_each(|l| *l = Lanes::ZERO),
    }
}
