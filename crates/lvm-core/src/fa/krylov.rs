//! The leading eigenpairs of a large symmetric matrix: a block Lanczos process, warm where possible.

use crate::error::Result;
use crate::linalg;
use crate::linalg::lanczos::{self, Look, Ritz};
use crate::random::{Purpose, stream};
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use rand_distr::{Distribution, StandardNormal};

/// Guard vectors beyond those asked for.
const GUARD: usize = 6;
/// Blocks of the first space that is looked at: of a random start, for good or rough eigenpairs, and of a warm one.
const COLD: usize = 8;
const COLD_AND_ROUGH: usize = 4;
const WARM: usize = 2;

/// The `q` largest eigenvalues (descending) and their eigenvectors (D, q + guard as far as D allows) of A = diag(s) C diag(s), which is
/// not formed.
///
/// Stops when ‖A u − θ u‖ ≤ `accuracy` θ for all q pairs. Deterministic: without `warm` the start is a fixed random block.
/// Values beyond the q-th are dropped; the vectors returned keep the guard columns, which make the next warm start better.
pub(super) fn leading(
    c: &Array2<f64>,
    s: &Array1<f64>,
    q: usize,
    warm: Option<&Array2<f64>>,
    accuracy: f64,
) -> Result<(Array1<f64>, Array2<f64>)> {
    let d = c.nrows();
    let s = s.view().insert_axis(Axis(1));
    let width = (q + GUARD).min(d);
    // small beside D, or else all at once is less work
    if 4 * width < d {
        let (start, blocks) = match warm {
            Some(u) if u.ncols() == width => (u.clone(), WARM),
            _ if accuracy < 1e-3 => (start(d, width), COLD),
            _ => (start(d, width), COLD_AND_ROUGH),
        };
        let apply = |x: ArrayView2<'_, f64>| linalg::matmul_by_bands(c.view(), (&x * &s).view()) * s;
        let look = |ritz: &Ritz| {
            // below this, rounding in A u is all there is; residuals of the recurrence fall on
            let smallest = f64::EPSILON * ritz.values[0];
            let close = |(r, v): (&f64, &f64)| *r <= (accuracy * v.abs()).max(smallest);
            if ritz.residuals.iter().zip(&ritz.values).take(q).all(close) { Look::Enough } else { Look::More }
        };
        if let Some(ritz) = lanczos::leading(apply, start.view(), (blocks * width).min(lanczos::most(d, width)), look)? {
            let vectors = ritz.vectors(width);
            return Ok((ritz.values.slice_axis(Axis(0), Slice::from(..q)).to_owned(), vectors));
        }
    }
    // all of them, then: a cluster of eigenvalues across the cut converges too slowly
    let (values, vectors) = linalg::eigh((c * &s * s.t()).view())?;
    Ok((values.slice_axis(Axis(0), Slice::from(..q)).to_owned(), vectors.slice_axis(Axis(1), Slice::from(..width)).to_owned()))
}

fn start(d: usize, width: usize) -> Array2<f64> {
    let mut rng = stream(0, Purpose::Projection, 0);
    Array2::from_shape_simple_fn((d, width), || StandardNormal.sample(&mut rng))
}
