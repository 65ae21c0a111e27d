//! The leading eigenpairs of a large symmetric matrix: block Krylov spaces with Rayleigh–Ritz, restarted, warm where possible.

use crate::error::{ErrorKind, Result};
use crate::linalg;
use crate::random::{Purpose, stream};
use ndarray::{Array1, Array2, Axis, Slice, concatenate};
use rand_distr::{Distribution, StandardNormal};

/// Guard vectors beyond those asked for.
const GUARD: usize = 6;
/// Products with A in one block Krylov space.
const DEPTH: usize = 3;
/// Restarts at most.
const RESTARTS: usize = 300;

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
    let apply = |x: &Array2<f64>| linalg::matmul_by_bands(c.view(), (x * &s).view()) * s;
    let all = || -> Result<(Array1<f64>, Array2<f64>)> {
        let (values, vectors) = linalg::eigh((c * &s * s.t()).view())?;
        let width = (q + GUARD).min(d);
        Ok((values.slice_axis(Axis(0), Slice::from(..q)).to_owned(), vectors.slice_axis(Axis(1), Slice::from(..width)).to_owned()))
    };
    let width = (q + GUARD).min(d);
    if (DEPTH + 1) * width >= d {
        return all();
    }
    let mut block = match warm {
        Some(u) if u.ncols() == width => u.clone(),
        _ => start(d, width),
    };
    for _ in 0..RESTARTS {
        // K = [X, A X, …, A^p X], each block made orthogonal to the ones before
        let mut basis = orthonormal(&block)?;
        let mut image = apply(&basis);
        let mut next = image.clone();
        for _ in 0..DEPTH {
            // twice: what rounding leaves of a block that lies almost in the space so far is not orthogonal to it
            for _ in 0..2 {
                let overlap = linalg::matmul(basis.t(), next.view());
                linalg::add_matmul(-1.0, basis.view(), overlap.view(), next.view_mut());
                next = orthonormal(&next)?;
            }
            basis = concatenate(Axis(1), &[basis.view(), next.view()]).map_err(|_| broken())?;
            next = apply(&next);
            image = concatenate(Axis(1), &[image.view(), next.view()]).map_err(|_| broken())?;
        }
        let (values, rotation) = linalg::eigh(linalg::matmul(basis.t(), image.view()).view())?;
        let rotation = rotation.slice_axis(Axis(1), Slice::from(..width));
        block = linalg::matmul(basis.view(), rotation);
        let image = linalg::matmul(image.view(), rotation);
        let residual = (0..q).map(|k| {
            let difference = &image.column(k) - &(&block.column(k) * values[k]);
            difference.dot(&difference).sqrt() / values[k].abs()
        });
        // below this, rounding in A u is all there is
        let smallest = 8.0 * f64::EPSILON * (d as f64).sqrt();
        if residual.fold(0.0, f64::max) <= accuracy.max(smallest * values[0] / values[q.max(1) - 1]) {
            return Ok((values.slice_axis(Axis(0), Slice::from(..q)).to_owned(), block));
        }
    }
    // A cluster of eigenvalues across the cut converges too slowly: all of them, then.
    all()
}

fn broken() -> crate::Error {
    ErrorKind::Decomposition { what: "block Krylov iteration" }.into()
}

fn start(d: usize, width: usize) -> Array2<f64> {
    let mut rng = stream(0, Purpose::Projection, 0);
    Array2::from_shape_simple_fn((d, width), || StandardNormal.sample(&mut rng))
}

fn orthonormal(x: &Array2<f64>) -> Result<Array2<f64>> {
    Ok(linalg::orthonormal(x.view())?.0)
}
