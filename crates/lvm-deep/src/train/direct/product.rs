//! The three matrix products of a layer a = W h + b, with W (outputs, inputs) by rows as libtorch stores it and rows of data by [`Lanes`].
//!
//! ```text
//! forward    a_i = Σ_j W_ij h_j
//! backward   δ_j = Σ_i W_ij δ_i
//! weights    ∂W_ij = Σ_n δ_ni h_nj
//! ```
//!
//! A tile of a few rows by sixteen columns stays in registers while the sum runs; one factor is a vector, the other a single number, and
//! both lie where the sum meets them in order (only `backward` copies a few columns of W first). Every sum has one order whatever the number of
//! threads.

use super::elementary::Real;
use super::lanes::{LANES, Lanes};
use pulp::Simd;

/// Rows of a tile: as many sums as the processor needs to have under way, and has registers for.
#[inline(always)]
fn height<S: Simd, E: Real>() -> usize {
    match (size_of::<E>(), S::F64_LANES) {
        (4, 8) => 12,
        (4, _) | (8, 8) => 6,
        _ => 3,
    }
}

/// `run::<height>` of one of the functions below.
macro_rules! by_height {
    ($function:ident::<$s:ident, $e:ident>($($argument:expr),*)) => {
        match height::<$s, $e>() {
            12 => $function::<$s, $e, 12>($($argument),*),
            6 => $function::<$s, $e, 6>($($argument),*),
            _ => $function::<$s, $e, 3>($($argument),*),
        }
    };
}

/// What a product reads and writes in one panel.
pub(super) type Columns<'a, E> = (&'a [Lanes<E>], &'a mut [Lanes<E>]);

/// Σ_k a_rk b_k.
#[inline(always)]
fn tile<S: Simd, E: Real, const N: usize>(a: [&[E]; N], b: &[Lanes<E>]) -> [Lanes<E>; N] {
    let a: [&[E]; N] = std::array::from_fn(|r| &a[r][..b.len()]);
    let mut sums = [[E::ZERO; LANES]; N];
    for (k, b) in b.iter().enumerate() {
        for r in 0..N {
            let factor = a[r][k];
            for i in 0..LANES {
                sums[r][i] = E::multiply_add::<S>(factor, b.0[i], sums[r][i]);
            }
        }
    }
    sums.map(Lanes)
}

/// The same with a as (k, r).
#[inline(always)]
fn packed_tile<S: Simd, E: Real, const N: usize>(a: &[[E; N]], b: &[Lanes<E>]) -> [Lanes<E>; N] {
    let mut sums = [[E::ZERO; LANES]; N];
    for (a, b) in a.iter().zip(b) {
        for r in 0..N {
            for i in 0..LANES {
                sums[r][i] = E::multiply_add::<S>(a[r], b.0[i], sums[r][i]);
            }
        }
    }
    sums.map(Lanes)
}

/// a = W h for every panel.
#[inline(always)]
pub(super) fn forward<S: Simd, E: Real>(weight: &[E], outputs: usize, panels: &mut [Columns<'_, E>]) {
    by_height!(forward_tiles::<S, E>(weight, outputs, panels));
}

#[inline(always)]
fn forward_tiles<S: Simd, E: Real, const N: usize>(weight: &[E], outputs: usize, panels: &mut [Columns<'_, E>]) {
    let inputs = weight.len() / outputs;
    for first in (0..outputs).step_by(N) {
        // beyond the last row stands the last again; what comes of it is not kept
        let rows: [&[E]; N] = std::array::from_fn(|r| {
            let row = (first + r).min(outputs - 1);
            &weight[row * inputs..(row + 1) * inputs]
        });
        for (from, to) in panels.iter_mut() {
            let sums = tile::<S, E, N>(rows, &from[..inputs]);
            to[first..outputs.min(first + N)].iter_mut().zip(sums).for_each(|(to, sum)| *to = sum);
        }
    }
}

/// δ below = Wᵀ δ for every panel.
#[inline(always)]
pub(super) fn backward<S: Simd, E: Real>(weight: &[E], outputs: usize, panels: &mut [Columns<'_, E>]) {
    by_height!(backward_tiles::<S, E>(weight, outputs, panels));
}

#[inline(always)]
fn backward_tiles<S: Simd, E: Real, const N: usize>(weight: &[E], outputs: usize, panels: &mut [Columns<'_, E>]) {
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
        for (from, to) in panels.iter_mut() {
            let sums = packed_tile::<S, E, N>(&columns, &from[..outputs]);
            to[first..first + width].iter_mut().zip(sums).for_each(|(to, sum)| *to = sum);
        }
    }
}

/// δ (features of a panel) and h (blocks of sixteen features, row after row), of one panel.
pub(super) type Factors<'a, E> = (&'a [Lanes<E>], &'a [Lanes<E>]);

/// Rows `first …` of ∂W into `gradient`, which holds some whole rows.
#[inline(always)]
pub(super) fn weights<S: Simd, E: Real>(panels: &[Factors<'_, E>], first: usize, inputs: usize, gradient: &mut [E]) {
    by_height!(weight_tiles::<S, E>(panels, first, inputs, gradient));
}

#[inline(always)]
fn weight_tiles<S: Simd, E: Real, const N: usize>(panels: &[Factors<'_, E>], first: usize, inputs: usize, gradient: &mut [E]) {
    for (group, gradient) in gradient.chunks_mut(N * inputs).enumerate() {
        let first = first + group * N;
        let last = gradient.len() / inputs - 1;
        for block in 0..inputs.div_ceil(LANES) {
            let mut sums = [[E::ZERO; LANES]; N];
            for (delta, h) in panels {
                let delta: [&[E; LANES]; N] = std::array::from_fn(|r| &delta[first + r.min(last)].0);
                for (n, h) in h[block * LANES..(block + 1) * LANES].iter().enumerate() {
                    for r in 0..N {
                        for i in 0..LANES {
                            sums[r][i] = E::multiply_add::<S>(delta[r][n], h.0[i], sums[r][i]);
                        }
                    }
                }
            }
            let width = LANES.min(inputs - block * LANES);
            for (row, sum) in gradient.chunks_exact_mut(inputs).zip(&sums) {
                row[block * LANES..][..width].copy_from_slice(&sum[..width]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::direct::lanes::{blocks, transpose, zeros};
    use pulp::{Arch, WithSimd};

    fn numbers(n: usize, salt: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 37 + salt * 11) % 101) as f64 / 50.0 - 1.0).collect()
    }

    /// `n` features of a panel.
    fn panel(n: usize, salt: usize) -> Vec<Lanes<f64>> {
        numbers(n * LANES, salt).chunks_exact(LANES).map(|c| Lanes(std::array::from_fn(|i| c[i]))).collect()
    }

    struct Products {
        outputs: usize,
        inputs: usize,
    }

    impl WithSimd for Products {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Products { outputs, inputs } = self;
            let weight = numbers(outputs * inputs, 1);
            let (h, delta) = ([panel(inputs, 2), panel(inputs, 3)], [panel(outputs, 4), panel(outputs, 5)]);
            let mut a = [zeros(outputs), zeros(outputs)];
            forward::<S, f64>(&weight, outputs, &mut h.iter().zip(&mut a).map(|(h, a)| (&h[..], &mut a[..])).collect::<Vec<_>>());
            let mut below = [zeros(inputs), zeros(inputs)];
            backward::<S, f64>(&weight, outputs, &mut delta.iter().zip(&mut below).map(|(d, b)| (&d[..], &mut b[..])).collect::<Vec<_>>());
            let by_row = h.each_ref().map(|h| {
                let mut by_row = zeros(blocks(inputs) * LANES);
                transpose(h, &mut by_row);
                by_row
            });
            let factors: Vec<Factors<'_, f64>> = delta.iter().zip(&by_row).map(|(d, h)| (&d[..], &h[..])).collect();
            let mut gradient = vec![f64::NAN; outputs * inputs];
            // in two pieces, as threads take them
            let some = outputs.div_ceil(2);
            let (head, tail) = gradient.split_at_mut(some * inputs);
            weights::<S, f64>(&factors, 0, inputs, head);
            if !tail.is_empty() {
                weights::<S, f64>(&factors, some, inputs, tail);
            }
            // sums of at most 82 terms of order 1
            let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-13, "{outputs}x{inputs}: {found}, {expected}");
            for p in 0..2 {
                for n in 0..LANES {
                    for i in 0..outputs {
                        close(a[p][i].0[n], (0..inputs).map(|j| weight[i * inputs + j] * h[p][j].0[n]).sum());
                    }
                    for j in 0..inputs {
                        close(below[p][j].0[n], (0..outputs).map(|i| weight[i * inputs + j] * delta[p][i].0[n]).sum());
                    }
                }
            }
            for i in 0..outputs {
                for j in 0..inputs {
                    let terms = (0..2 * LANES).map(|n| delta[n / LANES][i].0[n % LANES] * h[n / LANES][j].0[n % LANES]);
                    close(gradient[i * inputs + j], terms.sum());
                }
            }
        }
    }

    #[test]
    fn are_the_sums_they_claim_at_the_edges_of_tiles() {
        for (outputs, inputs) in [(1, 1), (2, 16), (3, 17), (6, 15), (7, 40), (13, 31), (24, 82)] {
            Arch::new().dispatch(Products { outputs, inputs });
        }
    }
}
