//! Decompositions by faer.
//!
//! faer's own front doors split the work by the number of threads at hand, and sums split differently round differently. Here the
//! work is always split the same way, so that a decomposition is the same to the last bit on any number of threads.

use super::{NotPositiveDefinite, add_matmul, descending, owned, solve_lower};
use crate::error::{ErrorKind, Result};
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltError, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch, apply_block_householder_sequence_on_the_left_in_place_with_conj,
};
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::linalg::svd::{ComputeSvdVectors, svd as thin_svd, svd_scratch};
use faer::{Conj, Mat, Par};
use faer_ext::IntoFaer;
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;
use std::num::NonZeroUsize;

/// How a large decomposition is split, whatever the number of threads.
const PARTS: Par = Par::Rayon(NonZeroUsize::MIN.saturating_add(7));

/// Below this many rows and columns together, splitting costs more than it saves.
const SMALL: usize = 256;

fn split(rows: usize, cols: usize) -> Par {
    if rows + cols < SMALL { Par::Seq } else { PARTS }
}

/// From here on a Cholesky factor is put together from those of two halves: faer keeps one thread busy with most of it.
const HALVED: usize = 512;

pub(super) fn cholesky(a: ArrayView2<'_, f64>) -> std::result::Result<Array2<f64>, NotPositiveDefinite> {
    let n = a.nrows();
    if n >= HALVED {
        return cholesky_by_halves(a);
    }
    let mut l = a.into_faer().to_owned();
    let par = split(n, n);
    let mut memory = MemBuffer::new(cholesky_in_place_scratch::<f64>(n, par, Default::default()));
    match cholesky_in_place(l.as_mut(), Default::default(), par, MemStack::new(&mut memory), Default::default()) {
        Ok(_) => {
            let mut l = owned(l.as_ref());
            (0..n).for_each(|j| (0..j).for_each(|i| l[[i, j]] = 0.0));
            // a NaN pivot passes faer's test for positivity
            match l.diag().iter().position(|v| !v.is_finite()) {
                Some(index) => Err(NotPositiveDefinite { index }),
                None => Ok(l),
            }
        }
        Err(LltError::NonPositivePivot { index }) => Err(NotPositiveDefinite { index }),
    }
}

/// ```text
/// A = | A₁₁  ·  |,   L₁₁ L₁₁ᵀ = A₁₁,   L₂₁ = A₂₁ L₁₁⁻ᵀ,   L₂₂ L₂₂ᵀ = A₂₂ − L₂₁ L₂₁ᵀ
///     | A₂₁ A₂₂ |
/// ```
/// Threads share fixed bands of rows of the products.
fn cholesky_by_halves(a: ArrayView2<'_, f64>) -> std::result::Result<Array2<f64>, NotPositiveDefinite> {
    const BAND: usize = 64;
    let half = (a.nrows() / 2).next_multiple_of(BAND);
    let (top, bottom) = a.split_at(Axis(0), half);
    let first = cholesky(top.split_at(Axis(1), half).0)?;
    let (left, right) = bottom.split_at(Axis(1), half);
    let (mut left, mut rest) = (left.to_owned(), right.to_owned());
    let bands = left.axis_chunks_iter_mut(Axis(0), BAND).into_par_iter();
    bands.for_each(|band| solve_lower(first.view(), band.reversed_axes()));
    let bands = rest.axis_chunks_iter_mut(Axis(0), BAND).into_par_iter().zip(left.axis_chunks_iter(Axis(0), BAND));
    bands.enumerate().for_each(|(index, (rest, band))| {
        let end = index * BAND + band.nrows();
        add_matmul(-1.0, band, left.view().split_at(Axis(0), end).0.reversed_axes(), rest.split_at(Axis(1), end).0);
    });
    let second = cholesky(rest.view()).map_err(|e| NotPositiveDefinite { index: half + e.index })?;
    let mut l = Array2::zeros(a.raw_dim());
    let (mut top, bottom) = l.view_mut().split_at(Axis(0), half);
    top.slice_axis_mut(Axis(1), Slice::from(..half)).assign(&first);
    let (mut below, mut corner) = bottom.split_at(Axis(1), half);
    below.assign(&left);
    corner.assign(&second);
    Ok(l)
}

/// A matrix brought to the size of 1 by a power of two, which costs no digit, and what takes values back: faer's thresholds are absolute,
/// and away from that size it stops short of rounding.
fn scaled(a: ArrayView2<'_, f64>) -> (Array2<f64>, f64) {
    let exponent = a.iter().fold(0.0, |m: f64, v| m.max(v.abs())).log2().floor().clamp(-1000.0, 1000.0);
    (&a * (-exponent).exp2(), exponent.exp2())
}

pub(super) fn eigh(a: ArrayView2<'_, f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    let n = a.nrows();
    let (a, back) = scaled(a);
    let (mut vectors, mut values) = (Mat::zeros(n, n), Diag::zeros(n));
    let par = split(n, n);
    let mut memory = MemBuffer::new(self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, par, Default::default()));
    let stack = MemStack::new(&mut memory);
    self_adjoint_evd(a.view().into_faer(), values.as_mut(), Some(vectors.as_mut()), par, stack, Default::default())
        .map_err(|_| ErrorKind::Decomposition { what: "symmetric eigen-decomposition" })?;
    let values: Array1<f64> = values.column_vector().iter().map(|v| v * back).collect();
    Ok(descending(values.view(), owned(vectors.as_ref()).view()))
}

pub(super) fn svd(a: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array1<f64>, Array2<f64>)> {
    let (m, n) = a.dim();
    let r = m.min(n);
    let (a, back) = scaled(a);
    let (mut u, mut s, mut v) = (Mat::zeros(m, r), Diag::zeros(r), Mat::zeros(n, r));
    let par = split(m, n);
    let mut memory = MemBuffer::new(svd_scratch::<f64>(m, n, ComputeSvdVectors::Thin, ComputeSvdVectors::Thin, par, Default::default()));
    let stack = MemStack::new(&mut memory);
    thin_svd(a.view().into_faer(), s.as_mut(), Some(u.as_mut()), Some(v.as_mut()), par, stack, Default::default())
        .map_err(|_| ErrorKind::Decomposition { what: "singular value decomposition" })?;
    let s = s.column_vector().iter().map(|v| v * back).collect();
    Ok((owned(u.as_ref()), s, owned(v.transpose())))
}

pub(super) fn qr(a: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array2<f64>)> {
    let (m, n) = a.dim();
    let r = m.min(n);
    let mut factors = a.into_faer().to_owned();
    let par = split(m, n);
    let block = recommended_block_size::<f64>(m, n);
    let mut coefficients = Mat::zeros(block, r);
    let mut memory = MemBuffer::new(qr_in_place_scratch::<f64>(m, n, block, par, Default::default()));
    qr_in_place(factors.as_mut(), coefficients.as_mut(), par, MemStack::new(&mut memory), Default::default());
    let mut q = Mat::identity(m, r);
    let mut memory = MemBuffer::new(apply_block_householder_sequence_on_the_left_in_place_scratch::<f64>(m, block, r));
    apply_block_householder_sequence_on_the_left_in_place_with_conj(
        factors.get(.., ..r),
        coefficients.as_ref(),
        Conj::No,
        q.as_mut(),
        par,
        MemStack::new(&mut memory),
    );
    let upper = Array2::from_shape_fn((r, n), |(i, j)| if i <= j { factors[(i, j)] } else { 0.0 });
    Ok((owned(q.as_ref()), upper))
}
