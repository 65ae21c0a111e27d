//! The kernels against loops that follow the formulas.

use super::{Accumulator, accumulate, accumulate_rows, log_densities};
use crate::gmm::covariance::{CovarianceType, Covariances};
use crate::gmm::prepared::Prepared;
use crate::gmm::statistics::{Second, Statistics};
use crate::random::{Purpose, stream};
use crate::rows::Rows;
use crate::sweep::{Plan, map_rows, sweep, sweep_by_row};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};
use proptest::prelude::*;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

const TYPES: [CovarianceType; 4] = [CovarianceType::Full, CovarianceType::Tied, CovarianceType::Diagonal, CovarianceType::Spherical];

struct Case {
    x: Array2<f64>,
    row_weights: Option<Array1<f64>>,
    weights: Array1<f64>,
    means: Array2<f64>,
    /// Lower Cholesky factor of each component's covariance.
    factors: Array3<f64>,
    covariances: Covariances,
}

/// A mixture whose components lie `spread` standard deviations apart, and rows near them.
fn case(seed: u64, covariance: CovarianceType, (n, d, k): (usize, usize, usize), weighted: bool, spread: f64) -> Case {
    let mut rng = stream(seed, Purpose::Sample, 0);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let mut factors = Array3::zeros((k, d, d));
    for index in 0..k {
        let mut l = factors.index_axis_mut(Axis(0), index);
        for i in 0..d {
            for j in 0..i {
                l[[i, j]] = 0.3 * normal() / (d as f64).sqrt();
            }
            l[[i, i]] = 0.5 + normal().abs();
        }
    }
    match covariance {
        CovarianceType::Full => {}
        CovarianceType::Tied => (1..k).for_each(|i| {
            let l = factors.index_axis(Axis(0), 0).to_owned();
            factors.index_axis_mut(Axis(0), i).assign(&l);
        }),
        CovarianceType::Diagonal | CovarianceType::Spherical => {
            for mut l in factors.outer_iter_mut() {
                let first = l[[0, 0]];
                let diagonal = l.diag().to_owned();
                l.fill(0.0);
                l.diag_mut().assign(&if covariance == CovarianceType::Diagonal { diagonal } else { Array1::from_elem(d, first) });
            }
        }
    }
    let means = Array2::from_shape_simple_fn((k, d), || spread * normal());
    let x = Array2::from_shape_fn((n, d), |(i, j)| means[[i % k, j]] + normal());
    let mut weights = Array1::from_shape_simple_fn(k, || 0.05 + normal().abs());
    weights /= weights.sum();
    let row_weights = weighted.then(|| Array1::from_shape_fn(n, |i| if i % 7 == 3 { 0.0 } else { 0.1 + rng.random_range(0.0..3.0) }));
    let squared = |l: ArrayView2<'_, f64>| l.dot(&l.t());
    let covariances = match covariance {
        CovarianceType::Full => {
            let mut c = Array3::zeros((k, d, d));
            c.outer_iter_mut().zip(factors.outer_iter()).for_each(|(mut c, l)| c.assign(&squared(l)));
            Covariances::Full(c)
        }
        CovarianceType::Tied => Covariances::Tied(squared(factors.index_axis(Axis(0), 0))),
        CovarianceType::Diagonal => Covariances::Diagonal(Array2::from_shape_fn((k, d), |(k, j)| factors[[k, j, j]].powi(2))),
        CovarianceType::Spherical => Covariances::Spherical(Array1::from_shape_fn(k, |k| factors[[k, 0, 0]].powi(2))),
    };
    Case { x, row_weights, weights, means, factors, covariances }
}

impl Case {
    fn prepared(&self) -> Prepared {
        Prepared::new(&self.weights, &self.means, &self.covariances).unwrap()
    }

    fn kernels(&self, covariance: CovarianceType, block_rows: usize) -> Statistics {
        let prepared = self.prepared();
        let (k, d) = self.means.dim();
        let mut rows = Rows::new(&self.x);
        if let Some(w) = &self.row_weights {
            rows = rows.weighted(w.view()).unwrap();
        }
        let new = || Accumulator::new(covariance, k, d);
        sweep(&rows, Plan { block_rows, leaves: 4 }, new, |a, block| accumulate(&prepared, block, a)).unwrap().finish(&prepared)
    }

    /// log π_k + log N(x_n; μ_k, L_k L_kᵀ) by forward substitution.
    fn log_density(&self, n: usize, k: usize) -> f64 {
        let d = self.x.ncols();
        let mut y = vec![0.0; d];
        let mut log = self.weights[k].ln() - 0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln();
        for i in 0..d {
            let known: f64 = (0..i).map(|j| self.factors[[k, i, j]] * y[j]).sum();
            y[i] = (self.x[[n, i]] - self.means[[k, i]] - known) / self.factors[[k, i, i]];
            log -= 0.5 * y[i] * y[i] + self.factors[[k, i, i]].ln();
        }
        log
    }

    /// The statistics by their formulas, and the same sums over magnitudes.
    fn twin(&self, covariance: CovarianceType) -> (Statistics, Statistics) {
        let (k, d) = self.means.dim();
        let mut sums = Statistics::zeros(covariance, k, d);
        let mut sizes = Statistics::zeros(covariance, k, d);
        for n in 0..self.x.nrows() {
            let w = self.row_weights.as_ref().map_or(1.0, |w| w[n]);
            let logs: Vec<f64> = (0..k).map(|k| self.log_density(n, k)).collect();
            let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_p = top + logs.iter().map(|l| (l - top).exp()).sum::<f64>().ln();
            if w == 0.0 {
                continue;
            }
            let centred = |k: usize| &self.x.row(n) - &self.means.row(k);
            for (s, sign) in [(&mut sums, false), (&mut sizes, true)] {
                let size = |v: f64| if sign { v.abs() } else { v };
                s.log_likelihood += size(w * log_p);
                s.weight += w;
                for k in 0..k {
                    let g = w * (logs[k] - log_p).exp();
                    let y = centred(k);
                    s.counts[k] += g;
                    for i in 0..d {
                        s.first[[k, i]] += g * size(y[i]);
                        match &mut s.second {
                            Second::Full(s) => (0..=i).for_each(|j| s[[k, i, j]] += g * size(y[i] * y[j])),
                            Second::Tied(s) => (0..=i).for_each(|j| s[[i, j]] += g * size(y[i] * y[j])),
                            Second::Diagonal(s) => s[[k, i]] += g * y[i] * y[i],
                            Second::Spherical(s) => s[k] += g * y[i] * y[i],
                        }
                    }
                }
            }
        }
        (sums, sizes)
    }
}

/// All sums in one list; entries above the diagonal mean nothing.
fn flat(s: &Statistics) -> Vec<f64> {
    let lower = |m: ArrayView2<'_, f64>| -> Vec<f64> { m.indexed_iter().filter(|((i, j), _)| j <= i).map(|(_, v)| *v).collect() };
    let mut out = vec![s.log_likelihood, s.weight];
    out.extend(&s.counts);
    out.extend(&s.first);
    match &s.second {
        Second::Full(s) => s.outer_iter().for_each(|m| out.extend(lower(m))),
        Second::Tied(s) => out.extend(lower(s.view())),
        Second::Diagonal(s) => out.extend(s),
        Second::Spherical(s) => out.extend(s),
    }
    out
}

/// Every sum agrees within `tolerance` of the sum of magnitudes.
fn check(case: &Case, covariance: CovarianceType, block_rows: usize, tolerance: f64) {
    let ours = flat(&case.kernels(covariance, block_rows));
    let (sums, sizes) = case.twin(covariance);
    let rows = case.x.nrows() as f64;
    for (i, ((a, b), size)) in ours.iter().zip(flat(&sums)).zip(flat(&sizes)).enumerate() {
        // responsibilities below 2⁻⁶³ π_k are left out
        let left_out = rows * 1e-17;
        assert!((a - b).abs() <= tolerance * size + left_out, "{covariance}, sum {i}: {a} and {b}, magnitude {size}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn statistics_are_those_of_the_formulas(
        seed in 0u64..1 << 40,
        covariance in 0usize..4,
        n in prop_oneof![1usize..4, 60usize..70, 125usize..132, 250usize..260, 500usize..530],
        d in 1usize..=20,
        k in 1usize..=20,
        weighted: bool,
        spread in prop_oneof![Just(0.3), Just(2.0), Just(20.0)],
        block_rows in prop_oneof![Just(64usize), Just(100), Just(256), Just(2048)],
    ) {
        let covariance = TYPES[covariance];
        let case = case(seed, covariance, (n, d, k), weighted, spread);
        // A log density is known to some ε times the squared distance, up to 1e4 here; responsibilities inherit that.
        let tolerance = if spread < 10.0 { 1e-12 } else { 1e-11 };
        check(&case, covariance, block_rows, tolerance);
    }
}

#[test]
fn many_columns_take_the_other_paths() {
    for covariance in TYPES {
        for d in [63, 64, 65, 80, 81, 100] {
            check(&case(d as u64, covariance, (300, d, 3), d % 2 == 0, 0.2), covariance, 256, 1e-12);
        }
    }
}

#[test]
fn rows_and_columns_give_the_same_bits() {
    for (n, d) in [(1, 32), (300, 45), (130, 64), (1, 65), (70, 72), (300, 100)] {
        let case = case(n as u64, CovarianceType::Full, (n, d, 3), true, 0.2);
        let (prepared, plan) = (case.prepared(), Plan { block_rows: 128, leaves: 4 });
        let new = || Accumulator::new(CovarianceType::Full, 3, d);
        let weights = Array1::from_shape_fn(n, |i| 0.5 + (i % 3) as f64);
        let rows = Rows::new(&case.x).weighted(weights.view()).unwrap();
        let by_column = sweep(&rows, plan, new, |a, block| accumulate(&prepared, block, a)).unwrap().finish(&prepared);
        let by_row = sweep_by_row(&rows, plan, new, |a, block| accumulate_rows(&prepared, block, a)).unwrap().finish(&prepared);
        assert_eq!(by_column, by_row, "{n} {d}");
    }
}

#[test]
fn tied_components_a_million_deviations_apart_lose_no_digits() {
    let case = case(5, CovarianceType::Tied, (400, 3, 4), false, 1e6);
    // 1e-12 as for near ones: every row has one component
    check(&case, CovarianceType::Tied, 256, 1e-12);
}

#[test]
fn rows_far_in_the_tails_have_finite_densities_and_one_component() {
    for covariance in TYPES {
        let mut case = case(9, covariance, (70, 4, 3), false, 1.0);
        case.x.row_mut(5).fill(1e8);
        case.x.row_mut(69).fill(-1e8);
        let statistics = case.kernels(covariance, 64);
        assert!(flat(&statistics).iter().all(|v| v.is_finite()));
        let (sums, _) = case.twin(covariance);
        // a product of 4 terms of 1e8 each, squared: a few ε of the whole
        assert!((statistics.log_likelihood / sums.log_likelihood - 1.0).abs() < 1e-13);
        assert!((statistics.counts.sum() - 70.0).abs() < 1e-12);
    }
}

#[test]
fn densities_of_a_table_are_those_of_the_formula() {
    for covariance in TYPES {
        let case = case(11, covariance, (200, 5, 6), false, 2.0);
        let prepared = case.prepared();
        let logs = map_rows(
            &case.x,
            6,
            || (),
            |(), block, out| {
                log_densities(&prepared, block, out);
                Ok(())
            },
        )
        .unwrap();
        for ((n, k), v) in logs.indexed_iter() {
            let truth = case.log_density(n, k);
            assert!((v - truth).abs() <= 1e-13 * truth.abs().max(10.0), "{v} and {truth}");
        }
    }
}

#[test]
fn thread_count_does_not_change_a_bit() {
    for covariance in TYPES {
        let case = case(3, covariance, (5000, 3, 4), true, 1.0);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| case.kernels(covariance, 256))
        };
        assert_eq!(run(1), run(3));
    }
}
