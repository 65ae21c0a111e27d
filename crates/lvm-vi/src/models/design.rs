//! The table behind a generalised linear model, and its one pass: η = X z, then Xᵀ of the derivative in η.

use lvm_core::rows::RowSource;
use lvm_core::sweep::{Merge, Plan, sweep};
use lvm_core::{Error, ErrorKind, Result, linalg};
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2, ShapeBuilder};
use rayon::prelude::*;
use std::f64::consts::TAU;

/// Rows of a block: with 50 columns 200 KiB, so that the second product finds it in the cache.
const BLOCK: usize = 512;
/// Cells below which one thread is faster than two.
const SEQUENTIAL: usize = 1 << 15;

/// How a response depends on its linear predictor η.
pub(super) trait Response: Sync {
    /// Of each row, log p(y | η) written over `value`, but for what does not depend on η; and its derivative in η written over `eta`.
    fn evaluate(&self, eta: &mut [f64], y: &[f64], value: &mut [f64]);
}

/// N rows of D columns with responses; rows of weight 0 are not here.
#[derive(Debug, Clone)]
pub(super) struct Design {
    columns: usize,
    /// Blocks of at most [`BLOCK`] rows one after the other, each column by column.
    x: Vec<f64>,
    /// Responses (N).
    pub(super) y: Vec<f64>,
    /// Row weights (N), if any.
    weights: Option<Vec<f64>>,
}

/// Rows in the order they are read, each a line of x, with their numbers in the source.
#[derive(Default)]
struct Lines {
    x: Vec<f64>,
    numbers: Vec<usize>,
    weights: Vec<f64>,
}

impl Merge for Lines {
    fn merge(&mut self, mut other: Self) {
        self.x.append(&mut other.x);
        self.numbers.append(&mut other.numbers);
        self.weights.append(&mut other.weights);
    }
}

impl Design {
    /// Reads x (N, D) beside y (N); `valid` says what a response must be.
    pub(super) fn read(x: &dyn RowSource, y: ArrayView1<'_, f64>, valid: fn(f64) -> bool, must: &str) -> Result<Self> {
        if y.len() != x.n_rows() {
            return Err(ErrorKind::Shape { what: "responses", expected: x.n_rows(), found: y.len() }.into());
        }
        if let Some((n, v)) = y.iter().enumerate().find(|(_, v)| !valid(**v)) {
            return Err(Error::config("y", format!("response {n} (from 0) is {v}; it must be {must}")));
        }
        let columns = x.n_cols();
        let lines = sweep(x, Plan::new(columns, 0), Lines::default, |lines: &mut Lines, block| {
            if block.has_missing() {
                return Err(Error::config("x", "a regression has no model for missing cells; impute them or leave the rows out"));
            }
            for i in 0..block.n_rows() {
                lines.x.extend((0..columns).map(|j| block.column(j)[i]));
                lines.numbers.push(block.row_number(i));
                lines.weights.push(block.weights().map_or(1.0, |w| w[i]));
            }
            Ok(())
        })?;
        if lines.numbers.is_empty() {
            return Err(ErrorKind::NoWeight.into());
        }
        let blocks = lines.x.chunks(BLOCK * columns);
        let x = blocks.flat_map(|b| (0..columns).flat_map(move |j| b.iter().skip(j).step_by(columns).copied())).collect();
        let y = lines.numbers.iter().map(|&n| y[n]).collect();
        Ok(Design { columns, x, y, weights: x_weights(lines.weights) })
    }

    /// N.
    pub(super) fn rows(&self) -> usize {
        self.y.len()
    }

    /// D.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Block b (B, D), column by column.
    pub(super) fn block(&self, b: usize) -> ArrayView2<'_, f64> {
        let rows = BLOCK.min(self.rows() - b * BLOCK);
        let from = b * BLOCK * self.columns;
        // invariant: blocks are stored one after the other, each rows * columns numbers
        ArrayView2::from_shape((rows, self.columns).f(), &self.x[from..from + rows * self.columns]).expect("block shape")
    }

    /// The rows named (B, D), column by column.
    fn gather(&self, rows: &[usize]) -> Array2<f64> {
        let mut x = Array2::zeros((rows.len(), self.columns).f());
        for (mut line, &n) in x.rows_mut().into_iter().zip(rows) {
            let b = n / BLOCK;
            let (first, height) = (b * BLOCK * self.columns + n % BLOCK, self.range(b).len());
            line.iter_mut().zip(self.x[first..].iter().step_by(height)).for_each(|(out, v)| *out = *v);
        }
        x
    }

    /// The places of block b's rows.
    pub(super) fn range(&self, b: usize) -> std::ops::Range<usize> {
        b * BLOCK..self.rows().min((b + 1) * BLOCK)
    }

    pub(super) fn n_blocks(&self) -> usize {
        self.rows().div_ceil(BLOCK)
    }

    /// The weight of row n.
    pub(super) fn weight(&self, n: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |w| w[n])
    }

    /// Σ_n w_n log p(y_n | x_nᵀ z) with its gradient written over `gradient`, over all rows; the blocks are added in order.
    pub(super) fn all<R: Response>(&self, response: &R, z: &[f64], gradient: &mut [f64]) -> f64 {
        let part = |b: usize| {
            let (rows, mut g) = (self.range(b), vec![0.0; self.columns]);
            let weights = self.weights.as_ref().map(|w| &w[rows.clone()]);
            let value = pass(response, self.block(b), &self.y[rows], weights, z, &mut g);
            (value, g)
        };
        let parts: Vec<(f64, Vec<f64>)> = if self.x.len() < SEQUENTIAL {
            (0..self.n_blocks()).map(part).collect()
        } else {
            (0..self.n_blocks()).into_par_iter().map(part).collect()
        };
        gradient.fill(0.0);
        parts.iter().for_each(|(_, g)| gradient.iter_mut().zip(g).for_each(|(s, g)| *s += g));
        parts.iter().map(|(value, _)| value).sum()
    }

    /// The same over some rows.
    pub(super) fn some<R: Response>(&self, response: &R, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        rows.chunks(BLOCK)
            .map(|rows| {
                let x = self.gather(rows);
                let y: Vec<f64> = rows.iter().map(|&n| self.y[n]).collect();
                let weights = self.weights.as_ref().map(|w| rows.iter().map(|&n| w[n]).collect::<Vec<_>>());
                pass(response, x.view(), &y, weights.as_deref(), z, gradient)
            })
            .sum()
    }
}

/// None if every row stands once.
fn x_weights(weights: Vec<f64>) -> Option<Vec<f64>> {
    weights.iter().any(|w| *w != 1.0).then_some(weights)
}

/// Σ w log p(y | η) over a block, its gradient Xᵀ (w ∂/∂η) added to `gradient`.
fn pass<R: Response>(response: &R, x: ArrayView2<'_, f64>, y: &[f64], weights: Option<&[f64]>, z: &[f64], gradient: &mut [f64]) -> f64 {
    let (mut eta, mut value) = (vec![0.0; y.len()], vec![0.0; y.len()]);
    linalg::matmul_into(x, column(z), column_mut(&mut eta));
    response.evaluate(&mut eta, y, &mut value);
    if let Some(weights) = weights {
        eta.iter_mut().zip(&mut value).zip(weights).for_each(|((d, v), w)| {
            *d *= w;
            *v *= w;
        });
    }
    linalg::add_matmul(1.0, x.reversed_axes(), column(&eta), column_mut(gradient));
    value.iter().sum()
}

fn column(v: &[f64]) -> ArrayView2<'_, f64> {
    ArrayView1::from(v).insert_axis(ndarray::Axis(1))
}

fn column_mut(v: &mut [f64]) -> ArrayViewMut2<'_, f64> {
    ndarray::ArrayViewMut1::from(v).insert_axis(ndarray::Axis(1))
}

/// The prior z ~ N(0, s² I): its log density, with the gradient written over `gradient`.
pub(super) fn normal_prior(z: &[f64], sd: f64, gradient: &mut [f64]) -> f64 {
    let precision = 1.0 / (sd * sd);
    gradient.iter_mut().zip(z).for_each(|(g, z)| *g = -z * precision);
    -0.5 * (z.iter().map(|z| z * z).sum::<f64>() * precision + z.len() as f64 * (TAU.ln() + 2.0 * sd.ln()))
}

/// Refuses a standard deviation that is none.
pub(super) fn check_sd(field: &'static str, sd: f64) -> Result<()> {
    if sd > 0.0 && sd.is_finite() && (1.0 / (sd * sd)).is_finite() {
        return Ok(());
    }
    Err(Error::config(field, format!("{sd} is no standard deviation; it must be positive and finite")))
}
