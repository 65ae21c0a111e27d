//! The table behind a generalised linear model, and its one pass: η = X z, then Xᵀ of the derivative in η.

use super::single::SingleSums;
use super::strips::{STRIP, Strip, Strips, Sums, total};
use lvm_core::rows::RowSource;
use lvm_core::sweep::{Merge, Plan, sweep};
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array2, ArrayView1};
use std::f64::consts::TAU;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Strips that one task sums at least.
const SMALLEST: usize = 4;
/// Tasks at most: their sums are held at once.
const TASKS: usize = 32;
/// Cells below which one thread is faster than two.
const SEQUENTIAL: usize = 1 << 15;

/// Sizes of cells and weights that single precision takes: with products of two it stays in its range.
const RANGE: std::ops::RangeInclusive<f64> = 1e-30..=1.001e30;

/// How a response depends on its linear predictor η.
pub(super) trait Response: Sync {
    /// Of each row, log p(y | η) written over `value`, but for what does not depend on η; and its derivative in η written over `eta`.
    fn evaluate(&self, eta: &mut [f64], y: &[f64], value: &mut [f64]);

    /// The sum of the values over at most [`STRIP`] rows, with the derivatives written over `eta`.
    fn sum(&self, eta: &mut [f64], y: &[f64]) -> f64 {
        let mut values = [0.0; STRIP];
        let values = &mut values[..eta.len()];
        self.evaluate(eta, y, values);
        values.iter().sum()
    }
}

/// A response whose predictors and derivatives may be in single precision.
pub(super) trait SingleResponse: Response {
    /// As [`Response::sum`], with responses in single precision.
    fn sum_single(&self, eta: &mut [f32], y: &[f32]) -> f64;
}

/// N rows of D columns with responses; rows of weight 0 are not here.
#[derive(Debug, Clone)]
pub(super) struct Design {
    x: Strips,
    /// Responses (N).
    pub(super) y: Vec<f64>,
    /// Row weights (N), if any.
    weights: Option<Vec<f64>>,
    /// Responses in single precision, if passes are to be computed so.
    single: Option<Vec<f32>>,
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
        let y = lines.numbers.iter().map(|&n| y[n]).collect();
        Ok(Design { x: Strips::new(&lines.x, columns), y, weights: x_weights(lines.weights), single: None })
    }

    /// For passes in single precision.
    ///
    /// # Errors
    /// If a cell has no equal there, or products of cells and weights may leave its range.
    pub(super) fn in_single_precision(self) -> Result<Self> {
        let far = |v: f64| v != 0.0 && !RANGE.contains(&v.abs());
        for (n, weight) in self.weights.iter().flatten().enumerate() {
            if far(*weight) {
                let message = format!("number {n} (from 0, those of 0 left out) is {weight}; single precision needs 1e-30 … 1e30");
                return Err(Error::config("weights", message));
            }
        }
        for s in 0..self.x.len() {
            let Strip::Single(cells) = self.x.strip(s) else {
                return Err(Error::config("x", "has a cell without an equal in single precision: give a table of f32"));
            };
            if let Some(cell) = cells.iter().find(|v| far(f64::from(**v))) {
                return Err(Error::config("x", format!("has a cell {cell}; single precision needs 1e-30 … 1e30 or 0: scale the column")));
            }
        }
        let single = Some(self.y.iter().map(|y| *y as f32).collect());
        Ok(Design { single, ..self })
    }

    /// N.
    pub(super) fn rows(&self) -> usize {
        self.y.len()
    }

    /// D.
    pub(super) fn columns(&self) -> usize {
        self.x.columns()
    }

    /// Block b (B, D).
    pub(super) fn block(&self, b: usize) -> Array2<f64> {
        self.x.table(b)
    }

    /// The places of block b's rows.
    pub(super) fn range(&self, b: usize) -> std::ops::Range<usize> {
        self.x.range(b)
    }

    pub(super) fn n_blocks(&self) -> usize {
        self.x.len()
    }

    /// The weight of row n.
    pub(super) fn weight(&self, n: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |w| w[n])
    }

    /// Σ_n w_n log p(y_n | x_nᵀ z) with its gradient written over `gradient`, over all rows; what tasks have summed is added in order, and
    /// how the rows are shared out depends on their number alone.
    pub(super) fn all<R: Response>(&self, response: &R, z: &[f64], gradient: &mut [f64]) -> f64 {
        self.pass(gradient, |strips, buffer| {
            let mut sums = Sums::new(buffer);
            for s in strips {
                let rows = self.x.range(s);
                let weights = self.weights.as_ref().map(|w| &w[rows.clone()]);
                sums.add(self.x.strip(s), rows.len(), z, |eta| evaluate(response, eta, &self.y[rows], weights));
            }
            sums.finish();
        })
    }

    /// The same in single precision where that was asked for; what overflows it is computed in double.
    pub(super) fn all_in_either<R: SingleResponse>(&self, response: &R, z: &[f64], gradient: &mut [f64]) -> f64 {
        if let Some(y) = &self.single {
            let narrow: Vec<f32> = z.iter().map(|z| *z as f32).collect();
            let value = self.pass(gradient, |strips, buffer| {
                let mut sums = SingleSums::new(buffer);
                for s in strips {
                    // `single` is there only if the cells are
                    let Strip::Single(strip) = self.x.strip(s) else { continue };
                    let rows = self.x.range(s);
                    let weights = self.weights.as_ref().map(|w| &w[rows.clone()]);
                    let (single, double) = (&y[rows.clone()], &self.y[rows.clone()]);
                    sums.add(strip, rows.len(), &narrow, |eta| evaluate_single(response, eta, single, double, weights));
                }
                sums.finish();
            });
            if value.is_finite() && gradient.iter().all(|g| g.is_finite()) {
                return value;
            }
        }
        self.all(response, z, gradient)
    }

    /// The sum of values that `task` makes of ranges of strips, with the gradient written over `gradient`.
    fn pass(&self, gradient: &mut [f64], task: impl Fn(std::ops::Range<usize>, &mut [f64]) + Sync) -> f64 {
        let strips = self.x.len().div_ceil(TASKS).max(SMALLEST);
        let width = Sums::len(self.columns());
        let mut buffers = vec![0.0; self.x.len().div_ceil(strips) * width];
        let task = |t: usize, buffer: &mut [f64]| task(t * strips..self.x.len().min((t + 1) * strips), buffer);
        if self.rows() * self.columns() < SEQUENTIAL {
            buffers.chunks_exact_mut(width).enumerate().for_each(|(t, buffer)| task(t, buffer));
        } else {
            share_out(buffers.chunks_exact_mut(width), task);
        }
        total(&buffers, gradient)
    }

    /// The same over some rows.
    pub(super) fn some<R: Response>(&self, response: &R, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> f64 {
        let columns = self.columns();
        let (mut buffer, mut strip) = (vec![0.0; Sums::len(columns)], vec![0.0; STRIP * columns]);
        let mut sums = Sums::new(&mut buffer);
        for rows in rows.chunks(STRIP) {
            let (mut y, mut weights) = ([0.0; STRIP], [0.0; STRIP]);
            for (i, &n) in rows.iter().enumerate() {
                self.x.row(n).enumerate().for_each(|(j, v)| strip[j * STRIP + i] = v);
                (y[i], weights[i]) = (self.y[n], self.weight(n));
            }
            let weights = self.weights.is_some().then_some(&weights[..rows.len()]);
            // what an earlier chunk has left behind these rows is multiplied by zero
            sums.add(Strip::Double(&strip), rows.len(), z, |eta| evaluate(response, eta, &y[..rows.len()], weights));
        }
        sums.finish();
        total(&buffer, gradient)
    }
}

/// Does numbered tasks on all threads. The calling thread takes part, also where it is not one of the pool's: to hand over all the work
/// and be woken at its end would take as long as a pass over a small table does.
fn share_out<'a>(buffers: impl ExactSizeIterator<Item = &'a mut [f64]> + Send, task: impl Fn(usize, &mut [f64]) + Sync) {
    /// Looks at the helpers before the caller goes to sleep, some ten microseconds.
    const LOOKS: usize = 1000;
    let helpers = (rayon::current_num_threads() - 1).min(buffers.len().saturating_sub(1));
    let (left, finished) = (Mutex::new(buffers.enumerate()), AtomicUsize::new(0));
    // a poisoned lock: another thread has panicked, and the scope passes that on
    let next = || left.lock().ok().and_then(|mut left| left.next());
    let work = || {
        while let Some((t, buffer)) = next() {
            task(t, buffer);
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|_| {
                work();
                finished.fetch_add(1, Ordering::Release);
            });
        }
        work();
        for _ in 0..LOOKS {
            if finished.load(Ordering::Acquire) == helpers {
                break;
            }
            std::hint::spin_loop();
        }
    });
}

/// None if every row stands once.
fn x_weights(weights: Vec<f64>) -> Option<Vec<f64>> {
    weights.iter().any(|w| *w != 1.0).then_some(weights)
}

/// Σ w log p(y | η), with w d/dη written over `eta`.
#[inline]
fn evaluate<R: Response>(response: &R, eta: &mut [f64], y: &[f64], weights: Option<&[f64]>) -> f64 {
    let Some(weights) = weights else { return response.sum(eta, y) };
    let mut values = [0.0; STRIP];
    response.evaluate(eta, y, &mut values[..eta.len()]);
    eta.iter_mut().zip(weights).for_each(|(d, w)| *d *= w);
    values.iter().zip(weights).map(|(v, w)| v * w).sum()
}

/// The same of predictors in single precision; with weights each row's value is needed, and the response is evaluated in f64.
#[inline]
fn evaluate_single<R: SingleResponse>(response: &R, eta: &mut [f32], single: &[f32], y: &[f64], weights: Option<&[f64]>) -> f64 {
    if weights.is_none() {
        return response.sum_single(eta, single);
    }
    let mut wide = [0.0; STRIP];
    let wide = &mut wide[..eta.len()];
    wide.iter_mut().zip(&*eta).for_each(|(w, eta)| *w = f64::from(*eta));
    let value = evaluate(response, wide, y, weights);
    eta.iter_mut().zip(wide).for_each(|(d, w)| *d = *w as f32);
    value
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
