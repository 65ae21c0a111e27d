//! A table of covariates in strips of rows, and one pass over it for values and gradients of sums over linear predictors.

use ndarray::{Array2, ShapeBuilder};
use pulp::{Arch, Simd, WithSimd};

/// Rows of a strip. With 50 columns a strip is 25 KiB, or half of it: what the first product has read, the second finds in the nearest
/// cache.
pub(super) const STRIP: usize = 64;
/// f64 in the widest vector.
const LANES: usize = 8;
/// Vectors whose sums run at once, so that none waits for itself.
const AT_ONCE: usize = 8;
/// A cache line in bytes: a vector that straddles two of them loads at half the speed.
const LINE: usize = 64;

/// Rows whose predictors are summed at once where cells are widened.
const HALF: usize = STRIP / 2;

/// N rows of D columns: strips of [`STRIP`] rows one after the other, each column by column; the last one is filled up with zeros.
#[derive(Debug, Clone)]
pub(super) struct Strips {
    rows: usize,
    columns: usize,
    cells: Cells,
}

/// Cells in single precision where that loses nothing, which halves what a pass reads. [`Sums`] widens them before they are multiplied, so
/// that the answer is the same to the last bit.
#[derive(Debug, Clone)]
enum Cells {
    /// Where the first strip starts, on a cache line, and the numbers.
    Double(usize, Vec<f64>),
    Single(usize, Vec<f32>),
}

/// A strip with what it is filled up by, column by column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Strip<'a> {
    Double(&'a [f64]),
    Single(&'a [f32]),
}

/// Room for `size` numbers that start on a cache line, and where.
fn on_a_line<T: Copy + Default>(size: usize) -> (Vec<T>, usize) {
    let line = LINE / size_of::<T>();
    let x = vec![T::default(); size + line];
    let offset = x.as_ptr().align_offset(LINE).min(line);
    (x, offset)
}

/// The same number in single precision, if there is one.
fn narrowed(v: f64) -> Option<f32> {
    let single = v as f32;
    (f64::from(single) == v).then_some(single)
}

impl Strips {
    /// From rows, each a line of `lines`.
    pub(super) fn new(lines: &[f64], columns: usize) -> Self {
        let rows = lines.len() / columns;
        let size = rows.div_ceil(STRIP) * STRIP * columns;
        let place = |i: usize| {
            let (line, j) = (i / columns, i % columns);
            ((line / STRIP) * columns + j) * STRIP + line % STRIP
        };
        let cells = if lines.iter().all(|v| narrowed(*v).is_some()) {
            let (mut x, offset) = on_a_line(size);
            lines.iter().enumerate().for_each(|(i, v)| x[offset + place(i)] = *v as f32);
            Cells::Single(offset, x)
        } else {
            let (mut x, offset) = on_a_line(size);
            lines.iter().enumerate().for_each(|(i, v)| x[offset + place(i)] = *v);
            Cells::Double(offset, x)
        };
        Strips { rows, columns, cells }
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// The number of strips.
    pub(super) fn len(&self) -> usize {
        self.rows.div_ceil(STRIP)
    }

    /// The rows of strip s.
    pub(super) fn range(&self, s: usize) -> std::ops::Range<usize> {
        s * STRIP..self.rows.min((s + 1) * STRIP)
    }

    /// Strip s.
    pub(super) fn strip(&self, s: usize) -> Strip<'_> {
        let size = STRIP * self.columns;
        match &self.cells {
            Cells::Double(offset, x) => Strip::Double(&x[offset + s * size..][..size]),
            Cells::Single(offset, x) => Strip::Single(&x[offset + s * size..][..size]),
        }
    }

    /// The rows of strip s (rows, D).
    pub(super) fn table(&self, s: usize) -> Array2<f64> {
        let shape = (self.range(s).len(), self.columns);
        Array2::from_shape_fn(shape.f(), |(i, j)| self.strip(s).get(j * STRIP + i))
    }

    /// Whether the cells are kept in single precision.
    #[cfg(test)]
    pub(super) fn single(&self) -> bool {
        matches!(self.cells, Cells::Single(..))
    }

    /// Row n, column after column.
    pub(super) fn row(&self, n: usize) -> impl Iterator<Item = f64> + '_ {
        let strip = self.strip(n / STRIP);
        (0..self.columns).map(move |j| strip.get(j * STRIP + n % STRIP))
    }
}

impl Strip<'_> {
    fn get(&self, i: usize) -> f64 {
        match self {
            Strip::Double(x) => x[i],
            Strip::Single(x) => f64::from(x[i]),
        }
    }
}

/// Sums of a pass over strips.
pub(super) struct Sums<'a> {
    /// The sum of values.
    value: &'a mut f64,
    /// The gradient (D).
    gradient: &'a mut [f64],
    /// Lanes of the gradient, [`LANES`] for each column, until [`finish`](Sums::finish).
    lanes: Vec<f64>,
}

impl<'a> Sums<'a> {
    /// How many numbers hold sums over D columns.
    pub(super) fn len(columns: usize) -> usize {
        columns + 1
    }

    /// In `buffer`, which starts at zero.
    pub(super) fn new(buffer: &'a mut [f64]) -> Self {
        let (value, gradient) = buffer.split_at_mut(1);
        Sums { value: &mut value[0], lanes: vec![0.0; gradient.len() * LANES], gradient }
    }

    /// Adds a strip: η = x z, then what `evaluate` makes of the η of the strip's rows (the sum of values, with derivatives over η), then
    /// xᵀ of the derivatives.
    #[inline]
    pub(super) fn add(&mut self, strip: Strip<'_>, rows: usize, z: &[f64], evaluate: impl FnOnce(&mut [f64]) -> f64) {
        let mut eta = [0.0; STRIP];
        let arch = Arch::new();
        match strip {
            Strip::Double(strip) => arch.dispatch(Predictor { strip, z, eta: &mut eta }),
            Strip::Single(strip) => arch.dispatch(SinglePredictor { strip, z, eta: &mut eta }),
        }
        *self.value += evaluate(&mut eta[..rows]);
        eta[rows..].fill(0.0);
        match strip {
            Strip::Double(strip) => arch.dispatch(Gradient { strip, slope: &eta, lanes: &mut self.lanes }),
            Strip::Single(strip) => arch.dispatch(SingleGradient { strip, slope: &eta, lanes: &mut self.lanes }),
        }
    }

    /// Writes the gradient.
    pub(super) fn finish(self) {
        self.gradient.iter_mut().zip(self.lanes.as_chunks::<LANES>().0).for_each(|(g, lanes)| *g = lanes.iter().sum());
    }
}

/// The sum of values over all buffers of [`Sums`], in their order, with the gradient written over `gradient`.
pub(super) fn total(buffers: &[f64], gradient: &mut [f64]) -> f64 {
    gradient.fill(0.0);
    let mut value = 0.0;
    for buffer in buffers.chunks_exact(Sums::len(gradient.len())) {
        value += buffer[0];
        gradient.iter_mut().zip(&buffer[1..]).for_each(|(a, b)| *a += b);
    }
    value
}

/// η = x z.
struct Predictor<'a> {
    strip: &'a [f64],
    z: &'a [f64],
    eta: &'a mut [f64; STRIP],
}

impl WithSimd for Predictor<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let eta = S::as_mut_simd_f64s(self.eta).0;
        let x = S::as_simd_f64s(self.strip).0;
        let stride = eta.len();
        for group in 0..stride / AT_ONCE {
            let mut sums = [simd.splat_f64s(0.0); AT_ONCE];
            for (column, z) in x.chunks_exact(stride).zip(self.z) {
                let (column, z) = (&column[group * AT_ONCE..][..AT_ONCE], simd.splat_f64s(*z));
                for v in 0..AT_ONCE {
                    sums[v] = simd.mul_add_e_f64s(column[v], z, sums[v]);
                }
            }
            eta[group * AT_ONCE..][..AT_ONCE].copy_from_slice(&sums);
        }
    }
}

/// Lanes of each column's sum x d.
struct Gradient<'a> {
    strip: &'a [f64],
    slope: &'a [f64; STRIP],
    lanes: &'a mut [f64],
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let slope = S::as_simd_f64s(self.slope).0;
        let x = S::as_simd_f64s(self.strip).0;
        let lanes = S::as_mut_simd_f64s(self.lanes).0;
        let (stride, width) = (slope.len(), LANES / S::F64_LANES);
        for group in 0..stride / AT_ONCE {
            let mut d = [simd.splat_f64s(0.0); AT_ONCE];
            d.copy_from_slice(&slope[group * AT_ONCE..][..AT_ONCE]);
            for (column, lanes) in x.chunks_exact(stride).zip(lanes.chunks_exact_mut(width)) {
                let column = &column[group * AT_ONCE..][..AT_ONCE];
                // two sums that don't wait for each other
                let (mut even, mut odd) = (simd.mul_f64s(column[0], d[0]), simd.mul_f64s(column[1], d[1]));
                for v in 1..AT_ONCE / 2 {
                    even = simd.mul_add_e_f64s(column[2 * v], d[2 * v], even);
                    odd = simd.mul_add_e_f64s(column[2 * v + 1], d[2 * v + 1], odd);
                }
                let lane = &mut lanes[group % width];
                *lane = simd.add_f64s(*lane, simd.add_f64s(even, odd));
            }
        }
    }
}

/// η = x z, cells widened on the way. Vectors are left to the compiler: there is no widening among the explicit ones.
struct SinglePredictor<'a> {
    strip: &'a [f32],
    z: &'a [f64],
    eta: &'a mut [f64; STRIP],
}

impl WithSimd for SinglePredictor<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (half, eta) in self.eta.as_chunks_mut::<HALF>().0.iter_mut().enumerate() {
            let mut sums = [0.0; HALF];
            for (column, z) in self.strip.chunks_exact(STRIP).zip(self.z) {
                let column = &column.as_chunks::<HALF>().0[half];
                for i in 0..HALF {
                    sums[i] = mul_add::<S>(f64::from(column[i]), *z, sums[i]);
                }
            }
            *eta = sums;
        }
    }
}

/// Lanes of each column's sum x d, cells widened on the way.
struct SingleGradient<'a> {
    strip: &'a [f32],
    slope: &'a [f64; STRIP],
    lanes: &'a mut [f64],
}

impl WithSimd for SingleGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // twice as many sums as lanes, so that none waits for itself
        let slope = self.slope.as_chunks::<{ 2 * LANES }>().0;
        for (column, lanes) in self.strip.chunks_exact(STRIP).zip(self.lanes.as_chunks_mut::<LANES>().0) {
            let mut sums = [0.0; 2 * LANES];
            for (x, d) in column.as_chunks::<{ 2 * LANES }>().0.iter().zip(slope) {
                for i in 0..2 * LANES {
                    sums[i] = mul_add::<S>(f64::from(x[i]), d[i], sums[i]);
                }
            }
            for i in 0..LANES {
                lanes[i] += sums[i] + sums[i + LANES];
            }
        }
    }
}

/// a b + c, fused where the processor fuses it.
#[inline(always)]
fn mul_add<S: Simd>(a: f64, b: f64, c: f64) -> f64 {
    if S::F64_LANES > 1 { a.mul_add(b, c) } else { a * b + c }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Value and gradient of Σ η over rows of `lines`, and its strips.
    fn pass(lines: &[f64], columns: usize, z: &[f64]) -> (f64, Vec<f64>, Strips) {
        let strips = Strips::new(lines, columns);
        let mut buffers = vec![0.0; strips.len() * Sums::len(columns)];
        for (s, buffer) in buffers.chunks_exact_mut(Sums::len(columns)).enumerate() {
            let mut sums = Sums::new(buffer);
            sums.add(strips.strip(s), strips.range(s).len(), z, |eta| eta.iter().sum());
            sums.finish();
        }
        let mut gradient = vec![0.0; columns];
        (total(&buffers, &mut gradient), gradient, strips)
    }

    #[test]
    fn sums_are_those_of_plain_loops_in_either_precision() {
        for (rows, columns) in [(1, 1), (63, 3), (64, 7), (65, 50), (200, 9)] {
            for single in [false, true] {
                let round = |v: f64| if single { f64::from(v as f32) } else { v };
                let lines: Vec<f64> = (0..rows * columns).map(|i| round(((i * 37 + 1) as f64).sin())).collect();
                let z: Vec<f64> = (0..columns).map(|j| (j as f64).cos()).collect();
                let (value, gradient, strips) = pass(&lines, columns, &z);
                assert_eq!(strips.single(), single);
                let eta: Vec<f64> = lines.chunks(columns).map(|row| row.iter().zip(&z).map(|(x, z)| x * z).sum()).collect();
                // sums of up to 200 · 50 numbers below 50, in another order
                assert!((value - eta.iter().sum::<f64>()).abs() < 1e-10);
                for j in 0..columns {
                    let exact: f64 = (0..rows).map(|n| lines[n * columns + j] * eta[n]).sum();
                    assert!((gradient[j] - exact).abs() < 1e-10);
                    assert_eq!(strips.row(rows - 1).nth(j), Some(lines[(rows - 1) * columns + j]));
                }
                assert_eq!(strips.table(0).row(0).to_vec(), lines[..columns]);
            }
        }
    }
}
