//! A table of covariates in strips of rows, and one pass over it for values and gradients of sums over linear predictors.

use ndarray::{ArrayView2, ShapeBuilder};
use pulp::{Arch, Simd, WithSimd};

/// Rows of a strip. With 50 columns a strip is 25 KiB: what the first product has read, the second finds in the nearest cache.
pub(super) const STRIP: usize = 64;
/// f64 in the widest vector.
const LANES: usize = 8;
/// Vectors whose sums run at once, so that none waits for itself.
const AT_ONCE: usize = 8;
/// Numbers in 64 bytes: a vector that straddles two cache lines loads at half the speed.
const LINE: usize = 8;

/// N rows of D columns: strips of [`STRIP`] rows one after the other, each column by column; the last one is filled up with zeros.
#[derive(Debug, Clone)]
pub(super) struct Strips {
    rows: usize,
    columns: usize,
    /// Where the first strip starts.
    offset: usize,
    x: Vec<f64>,
}

impl Strips {
    /// From rows, each a line of `lines`.
    pub(super) fn new(lines: &[f64], columns: usize) -> Self {
        let rows = lines.len() / columns;
        let strips = rows.div_ceil(STRIP);
        let mut x = vec![0.0; strips * STRIP * columns + LINE];
        let offset = x.as_ptr().align_offset(8 * LINE).min(LINE);
        for (line, row) in lines.chunks_exact(columns).enumerate() {
            let first = offset + (line / STRIP) * STRIP * columns + line % STRIP;
            row.iter().enumerate().for_each(|(j, v)| x[first + j * STRIP] = *v);
        }
        Strips { rows, columns, offset, x }
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

    /// Strip s with what it is filled up by, column by column.
    pub(super) fn strip(&self, s: usize) -> &[f64] {
        let size = STRIP * self.columns;
        &self.x[self.offset + s * size..][..size]
    }

    /// The rows of strip s (rows, D).
    pub(super) fn view(&self, s: usize) -> ArrayView2<'_, f64> {
        let shape = (self.range(s).len(), self.columns).strides((1, STRIP));
        // invariant: a strip has STRIP numbers for each column
        ArrayView2::from_shape(shape, self.strip(s)).expect("strip shape")
    }

    /// Row n, column after column.
    pub(super) fn row(&self, n: usize) -> impl Iterator<Item = f64> + '_ {
        self.strip(n / STRIP)[n % STRIP..].iter().step_by(STRIP).copied()
    }
}

/// Sums of a pass over strips.
pub(super) struct Sums<'a> {
    /// Lanes of the sum of values.
    value: &'a mut [f64],
    /// Lanes of the gradient, [`LANES`] for each column.
    gradient: &'a mut [f64],
}

impl<'a> Sums<'a> {
    /// How many numbers hold sums over D columns.
    pub(super) fn len(columns: usize) -> usize {
        (columns + 1) * LANES
    }

    /// In `buffer`, which starts at zero.
    pub(super) fn new(buffer: &'a mut [f64]) -> Self {
        let (value, gradient) = buffer.split_at_mut(LANES);
        Sums { value, gradient }
    }

    /// Adds a strip: η = x z, then what `evaluate` makes of the η of the strip's rows (derivatives over η, values over the second slice),
    /// then xᵀ of the derivatives.
    #[inline]
    pub(super) fn add(&mut self, strip: &[f64], rows: usize, z: &[f64], evaluate: impl FnOnce(&mut [f64], &mut [f64])) {
        let (mut eta, mut values) = ([0.0; STRIP], [0.0; STRIP]);
        let arch = Arch::new();
        arch.dispatch(Predictor { strip, z, eta: &mut eta });
        evaluate(&mut eta[..rows], &mut values[..rows]);
        eta[rows..].fill(0.0);
        for lanes in values.chunks_exact(LANES) {
            self.value.iter_mut().zip(lanes).for_each(|(s, v)| *s += v);
        }
        arch.dispatch(Gradient { strip, slope: &eta, lanes: self.gradient });
    }
}

/// The sum of values over all buffers of [`Sums`], in their order, with the gradient written over `gradient`. The first buffer ends as
/// the sum of all.
pub(super) fn total(buffers: &mut [f64], gradient: &mut [f64]) -> f64 {
    let (first, rest) = buffers.split_at_mut(Sums::len(gradient.len()));
    for other in rest.chunks_exact(first.len()) {
        first.iter_mut().zip(other).for_each(|(a, b)| *a += b);
    }
    let (value, lanes) = first.split_at(LANES);
    gradient.iter_mut().zip(lanes.chunks_exact(LANES)).for_each(|(g, lanes)| *g = lanes.iter().sum());
    value.iter().sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_plain_loops() {
        for (rows, columns) in [(1, 1), (63, 3), (64, 7), (65, 50), (200, 9)] {
            let lines: Vec<f64> = (0..rows * columns).map(|i| ((i * 37) as f64).sin()).collect();
            let z: Vec<f64> = (0..columns).map(|j| (j as f64).cos()).collect();
            let strips = Strips::new(&lines, columns);
            let mut buffers = vec![0.0; strips.len() * Sums::len(columns)];
            for (s, buffer) in buffers.chunks_exact_mut(Sums::len(columns)).enumerate() {
                Sums::new(buffer).add(strips.strip(s), strips.range(s).len(), &z, |eta, values| values.copy_from_slice(eta));
            }
            let mut gradient = vec![0.0; columns];
            let value = total(&mut buffers, &mut gradient);
            let eta: Vec<f64> = lines.chunks(columns).map(|row| row.iter().zip(&z).map(|(x, z)| x * z).sum()).collect();
            // sums of up to 200 · 50 numbers below 50, in another order
            assert!((value - eta.iter().sum::<f64>()).abs() < 1e-10);
            for j in 0..columns {
                let exact: f64 = (0..rows).map(|n| lines[n * columns + j] * eta[n]).sum();
                assert!((gradient[j] - exact).abs() < 1e-10);
                assert_eq!(strips.row(rows - 1).nth(j), Some(lines[(rows - 1) * columns + j]));
            }
        }
    }
}
