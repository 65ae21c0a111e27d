//! The three matrix products of a layer a = W h + b, with W (outputs, inputs) by rows as libtorch stores it and rows of data by [`Lanes`].
//!
//! ```text
//! forward    a_i = Σ_j W_ij h_j
//! backward   δ_j = Σ_i W_ij δ_i
//! weights    ∂W_ij = Σ_n δ_ni h_nj
//! ```
//!
//! A tile of a few rows by one or two vectors stays in registers while the sum runs; one factor is a vector, the other a single number, and
//! both lie where the sum meets them in order (a few rows or columns of W, or of δ, are copied for that). Every sum has one order whatever
//! the number of threads. What is 0 in all of a vector is passed over where much is ([`Present`](super::lanes::Present)).

use super::elementary::{Real, together};
use super::lanes::{LANES, Lanes};
use pulp::{Simd, WithSimd};

/// Rows of a tile: with [`together`] vectors of each, as many sums as the processor needs to have under way, and has registers for.
#[inline(always)]
fn height<S: Simd, E: Real>() -> usize {
    if together(LANES * size_of::<E>() / (8 * S::F64_LANES)) == 1 { 12 } else { 6 }
}

/// `run::<height>` of one of the functions below.
macro_rules! by_height {
    ($function:ident::<$s:ident, $e:ident>($($argument:expr),*)) => {
        match height::<$s, $e>() {
            12 => $function::<$s, $e, 12>($($argument),*),
            _ => $function::<$s, $e, 6>($($argument),*),
        }
    };
}

/// What a product reads and writes in one panel.
pub(super) struct Columns<'a, E> {
    pub(super) from: &'a [Lanes<E>],
    pub(super) to: &'a mut [Lanes<E>],
    /// The features of `from` that are not all 0, where many are.
    pub(super) present: Option<&'a [u32]>,
}

/// a = W h for every panel.
#[inline(always)]
pub(super) fn forward<S: Simd, E: Real>(simd: S, weight: &[E], outputs: usize, panels: &mut [Columns<'_, E>]) {
    simd.vectorize(Forward { weight, outputs, panels });
}

/// A function of its own, as the two below: within a larger one the compiler runs out of registers.
struct Forward<'a, 'b, E> {
    weight: &'a [E],
    outputs: usize,
    panels: &'a mut [Columns<'b, E>],
}

impl<E: Real> WithSimd for Forward<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        by_height!(forward_tiles::<S, E>(simd, self.weight, self.outputs, self.panels));
    }
}

#[inline(always)]
fn forward_tiles<S: Simd, E: Real, const N: usize>(simd: S, weight: &[E], outputs: usize, panels: &mut [Columns<'_, E>]) {
    let inputs = weight.len() / outputs;
    let mut columns = vec![[E::ZERO; N]; inputs];
    for first in (0..outputs).step_by(N) {
        // beyond the last row stands the last again; what comes of it is not kept
        let rows: [&[E]; N] = std::array::from_fn(|r| &weight[(first + r).min(outputs - 1) * inputs..][..inputs]);
        for (k, column) in columns.iter_mut().enumerate() {
            *column = std::array::from_fn(|r| rows[r][k]);
        }
        for Columns { from, to, present } in panels.iter_mut() {
            let from = &from[..inputs];
            let mut sums = [[E::ZERO; LANES]; N];
            match present {
                None => E::add_products(simd, 0..inputs, |k, r| columns[k][r], from, &mut sums),
                Some(present) => {
                    let there = present.iter().map(|&k| k as usize).filter(|&k| k < inputs);
                    E::add_products(simd, there, |k, r| columns[k][r], from, &mut sums);
                }
            }
            to[first..outputs.min(first + N)].iter_mut().zip(sums).for_each(|(to, sum)| *to = Lanes(sum));
        }
    }
}

/// δ below = Wᵀ δ for every panel.
#[inline(always)]
pub(super) fn backward<S: Simd, E: Real>(simd: S, weight: &[E], outputs: usize, panels: &mut [Columns<'_, E>]) {
    simd.vectorize(Backward { weight, outputs, panels });
}

struct Backward<'a, 'b, E> {
    weight: &'a [E],
    outputs: usize,
    panels: &'a mut [Columns<'b, E>],
}

impl<E: Real> WithSimd for Backward<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        by_height!(backward_tiles::<S, E>(simd, self.weight, self.outputs, self.panels));
    }
}

#[inline(always)]
fn backward_tiles<S: Simd, E: Real, const N: usize>(simd: S, weight: &[E], outputs: usize, panels: &mut [Columns<'_, E>]) {
    let inputs = weight.len() / outputs;
    let mut columns = vec![[E::ZERO; N]; outputs];
    for first in (0..inputs).step_by(N) {
        let width = N.min(inputs - first);
        for (columns, row) in columns.iter_mut().zip(weight.chunks_exact(inputs)) {
            match row.get(first..first + N) {
                Some(part) => columns.copy_from_slice(part),
                None => columns[..width].copy_from_slice(&row[first..]),
            }
        }
        for Columns { from, to, .. } in panels.iter_mut() {
            let mut sums = [[E::ZERO; LANES]; N];
            let columns = &columns[..outputs];
            E::add_products(simd, 0..outputs, |k, r| columns[k][r], &from[..outputs], &mut sums);
            to[first..first + width].iter_mut().zip(sums).for_each(|(to, sum)| *to = Lanes(sum));
        }
    }
}

/// What the gradient of a layer's weights is made of, of one panel.
#[derive(Clone, Copy)]
pub(super) struct Factors<'a, E> {
    /// δ (features of a panel).
    pub(super) delta: &'a [Lanes<E>],
    /// h (blocks of sixteen features, row after row).
    pub(super) h: &'a [Lanes<E>],
    /// The rows in which a block is not all 0, a bit each, where many are.
    pub(super) present: Option<&'a [u16]>,
}

/// Rows `first …` of ∂W into `gradient`, which holds some whole rows.
#[inline(always)]
pub(super) fn weights<S: Simd, E: Real>(simd: S, panels: &[Factors<'_, E>], first: usize, inputs: usize, gradient: &mut [E]) {
    simd.vectorize(Weights { panels, first, inputs, gradient });
}

struct Weights<'a, 'b, E> {
    panels: &'a [Factors<'b, E>],
    first: usize,
    inputs: usize,
    gradient: &'a mut [E],
}

impl<E: Real> WithSimd for Weights<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        by_height!(weight_tiles::<S, E>(simd, self.panels, self.first, self.inputs, self.gradient));
    }
}

#[inline(always)]
fn weight_tiles<S: Simd, E: Real, const N: usize>(simd: S, panels: &[Factors<'_, E>], first: usize, inputs: usize, gradient: &mut [E]) {
    // δ of some rows of W, row after row of each panel
    let mut slopes = vec![[[E::ZERO; N]; LANES]; panels.len()];
    for (group, gradient) in gradient.chunks_mut(N * inputs).enumerate() {
        let (first, last) = (first + group * N, gradient.len() / inputs - 1);
        for (slopes, panel) in slopes.iter_mut().zip(panels) {
            let delta: [&[E; LANES]; N] = std::array::from_fn(|r| &panel.delta[first + r.min(last)].0);
            *slopes = std::array::from_fn(|n| std::array::from_fn(|r| delta[r][n]));
        }
        for block in 0..inputs.div_ceil(LANES) {
            let mut sums = [[E::ZERO; LANES]; N];
            for (slopes, panel) in slopes.iter().zip(panels) {
                let h = &panel.h.as_chunks::<LANES>().0[block];
                match panel.present {
                    None => E::add_products(simd, 0..LANES, |n, r| slopes[n][r], h, &mut sums),
                    Some(rows) => E::add_products(simd, Bits(rows[block]), |n, r| slopes[n][r], h, &mut sums),
                }
            }
            let width = LANES.min(inputs - block * LANES);
            for (row, sum) in gradient.chunks_exact_mut(inputs).zip(&sums) {
                row[block * LANES..][..width].copy_from_slice(&sum[..width]);
            }
        }
    }
}

/// The bits that are set, from the lowest.
#[derive(Clone, Copy)]
struct Bits(u16);

impl Iterator for Bits {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let lowest = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (lowest < LANES).then_some(lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::direct::lanes::{Present, blocks, transpose, zeros};
    use pulp::{Arch, Scalar};

    fn numbers(n: usize, salt: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 37 + salt * 11) % 101) as f64 / 50.0 - 1.0).collect()
    }

    /// `n` features of a panel.
    fn panel<E: Real>(n: usize, salt: usize) -> Vec<Lanes<E>> {
        numbers(n * LANES, salt).chunks_exact(LANES).map(|c| Lanes(std::array::from_fn(|i| E::of(c[i])))).collect()
    }

    struct Products<E> {
        outputs: usize,
        inputs: usize,
        sparse: bool,
        /// What 82 terms of order 1 may be off by.
        tolerance: E,
    }

    impl<E: Real> WithSimd for Products<E> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Products { outputs, inputs, sparse, tolerance } = self;
            let weight: Vec<E> = numbers(outputs * inputs, 1).into_iter().map(E::of).collect();
            let mut h = [panel::<E>(inputs, 2), panel(inputs, 3)];
            let delta = [panel::<E>(outputs, 4), panel(outputs, 5)];
            if sparse {
                // every third feature is there, and of the blocks that are left every other row
                for h in &mut h {
                    h.iter_mut().enumerate().filter(|(j, _)| j % 3 > 0).for_each(|(_, h)| *h = Lanes::ZERO);
                    h.iter_mut().for_each(|h| h.0.iter_mut().step_by(2).for_each(|v| *v = E::ZERO));
                }
            }
            let by_row = h.each_ref().map(|h| {
                let mut by_row = zeros(blocks(inputs) * LANES);
                transpose(h, &mut by_row);
                by_row
            });
            let present = std::array::from_fn::<_, 2, _>(|p| {
                let mut present = Present::default();
                present.find(&h[p], &by_row[p]);
                present
            });
            let mut a = [zeros(outputs), zeros(outputs)];
            let mut panels: Vec<Columns<'_, E>> = h
                .iter()
                .zip(&mut a)
                .zip(&present)
                .map(|((from, to), present)| Columns { from, to, present: sparse.then_some(&present.features) })
                .collect();
            forward(simd, &weight, outputs, &mut panels);
            let mut below = [zeros(inputs), zeros(inputs)];
            let mut panels: Vec<Columns<'_, E>> =
                delta.iter().zip(&mut below).map(|(from, to)| Columns { from, to, present: None }).collect();
            backward(simd, &weight, outputs, &mut panels);
            let factors: Vec<Factors<'_, E>> = delta
                .iter()
                .zip(&by_row)
                .zip(&present)
                .map(|((delta, h), present)| Factors { delta, h, present: sparse.then_some(&present.rows) })
                .collect();
            let mut gradient = vec![E::of(f64::NAN); outputs * inputs];
            // in two pieces, as threads take them
            let some = outputs.div_ceil(2);
            let (head, tail) = gradient.split_at_mut(some * inputs);
            weights(simd, &factors, 0, inputs, head);
            if !tail.is_empty() {
                weights(simd, &factors, some, inputs, tail);
            }
            let close = |found: E, expected: f64| {
                let found = found.wide();
                assert!((found - expected).abs() < tolerance.wide(), "{outputs}x{inputs}: {found}, {expected}");
            };
            for p in 0..2 {
                for n in 0..LANES {
                    for i in 0..outputs {
                        close(a[p][i].0[n], (0..inputs).map(|j| (weight[i * inputs + j] * h[p][j].0[n]).wide()).sum());
                    }
                    for j in 0..inputs {
                        close(below[p][j].0[n], (0..outputs).map(|i| (weight[i * inputs + j] * delta[p][i].0[n]).wide()).sum());
                    }
                }
            }
            for i in 0..outputs {
                for j in 0..inputs {
                    let terms = (0..2 * LANES).map(|n| (delta[n / LANES][i].0[n % LANES] * h[n / LANES][j].0[n % LANES]).wide());
                    close(gradient[i * inputs + j], terms.sum());
                }
            }
        }
    }

    #[test]
    fn are_the_sums_they_claim_at_the_edges_of_tiles() {
        for (outputs, inputs) in [(1, 1), (2, 16), (3, 17), (6, 15), (7, 40), (13, 31), (24, 82)] {
            for sparse in [false, true] {
                Arch::new().dispatch(Products { outputs, inputs, sparse, tolerance: 1e-13 });
                Arch::new().dispatch(Products { outputs, inputs, sparse, tolerance: 5e-5_f32 });
                Products { outputs, inputs, sparse, tolerance: 1e-13 }.with_simd(Scalar);
            }
        }
    }
}
