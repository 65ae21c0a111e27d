//! Traps others fell into, each by name. Those that need a model's own machinery stand with it: rows [[9999],[0]] and K = N in
//! gmm_fit, a mean of 1e5 in f32 in ppca, whitening of a rank-deficient table in ppca/choice.

use lvm_core::conjugate::NormalMean;
use lvm_core::dist::{Normal, Univariate};
use lvm_core::fa::{FaMl, FaSelect};
use lvm_core::fit::{Stopping, best_of};
use lvm_core::gmm::{CovarianceType, GmmEm, GmmSelect, Start};
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::model::Infer;
use lvm_core::model::{Evidence, LatentModel};
use lvm_core::ppca::{Pca, PpcaEm, PpcaMl, PpcaSelect, Solver};
use lvm_core::rows::Rows;
use lvm_core::selection::Criterion;
use ndarray::{Array1, Array2, Axis, Slice};
use std::ops::ControlFlow;

/// Two clumps in `d` columns, from sines of incommensurable frequencies.
fn table(n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, j)| {
        let clump = if (i * i) % 7 < 3 { -3.0 } else { 3.0 };
        clump + (i as f64 * (1.7 + 0.31 * j as f64)).sin() + 0.5 * (i as f64 * 0.77).cos() * (j as f64 + 1.0)
    })
}

/// Weights of which every third is zero, and the table with NaN in those rows.
fn absent(x: &Array2<f64>) -> (Array2<f64>, Array1<f64>, Array2<f64>) {
    let weights = Array1::from_shape_fn(x.nrows(), |n| if n % 3 == 1 { 0.0 } else { 1.0 });
    let mut with = x.clone();
    with.rows_mut().into_iter().zip(&weights).filter(|(_, w)| **w == 0.0).for_each(|(mut row, _)| row.fill(f64::NAN));
    let kept: Vec<usize> = (0..x.nrows()).filter(|n| n % 3 != 1).collect();
    (with, weights, x.select(Axis(0), &kept))
}

#[test]
fn rows_of_weight_zero_take_no_part_in_cross_validation() {
    let (x, weights, kept) = absent(&table(120, 4));
    let rows = Rows::new(&x).weighted(weights.view()).unwrap();
    // absent rows change neither the split nor the fits, but for sums in another order (10⁻⁶: what iterations make of rounding)
    let close = |a: Option<f64>, b: Option<f64>| assert!((a.unwrap() - b.unwrap()).abs() < 1e-6, "{a:?} {b:?}");
    let ppca = PpcaSelect { components: vec![1, 2], criterion: Criterion::HeldOut, ..Default::default() };
    close(ppca.select(&rows, 1).unwrap().table[1].held_out, ppca.select(&kept, 1).unwrap().table[1].held_out);
    let fa = FaSelect { factors: vec![0, 1], criterion: Criterion::HeldOut, ..Default::default() };
    close(fa.select(&rows, 1).unwrap().table[1].held_out, fa.select(&kept, 1).unwrap().table[1].held_out);
    let em = GmmEm { restarts: 1, ..Default::default() };
    let gmm = GmmSelect { components: vec![1], criterion: Criterion::HeldOut, em, ..Default::default() };
    let (a, b) = (gmm.select(&rows, 1).unwrap(), gmm.select(&kept, 1).unwrap());
    a.table.iter().zip(&b.table).for_each(|(a, b)| close(a.held_out, b.held_out));
}

#[test]
fn folds_without_rows_are_refused() {
    let x = table(12, 4);
    let weights = Array1::from_shape_fn(12, |n| f64::from(u8::from(n < 4)));
    let rows = Rows::new(&x).weighted(weights.view()).unwrap();
    let fa = FaSelect { factors: vec![0], criterion: Criterion::HeldOut, folds: 5, ..Default::default() };
    assert!(fa.select(&rows, 1).unwrap_err().to_string().contains("2 to 4"));
    let ppca = PpcaSelect { components: vec![1], criterion: Criterion::HeldOut, folds: 5, ..Default::default() };
    assert!(ppca.select(&rows, 1).is_err());
    let gmm = GmmSelect { components: vec![1], criterion: Criterion::HeldOut, folds: 5, ..Default::default() };
    assert!(gmm.select(&rows, 1).is_err());
}

#[test]
fn criteria_count_weights_not_rows() {
    let x = table(60, 4);
    let weights = Array1::from_elem(60, 2.0);
    let rows = Rows::new(&x).weighted(weights.view()).unwrap();
    let twice = x.select(Axis(0), &(0..120).map(|n| n / 2).collect::<Vec<_>>());
    let bic = |c: &lvm_core::selection::Candidate| c.criteria.unwrap().bic();
    // 1e-9: sums in another order, after iterations
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * b.abs(), "{a} {b}");
    let ppca = PpcaSelect { components: vec![1, 2], criterion: Criterion::LaplaceEvidence, ..Default::default() };
    let (a, b) = (ppca.select(&rows, 1).unwrap(), ppca.select(&twice, 1).unwrap());
    close(bic(&a.table[0]), bic(&b.table[0]));
    close(a.table[1].laplace_evidence.unwrap(), b.table[1].laplace_evidence.unwrap());
    let fa = FaSelect { factors: vec![1], ..Default::default() };
    close(bic(&fa.select(&rows, 1).unwrap().table[0]), bic(&fa.select(&twice, 1).unwrap().table[0]));
    let start = Start::Responsibilities(Array2::ones((60, 1)));
    let model = GmmEm { components: 1, start, ..Default::default() }.fit(&rows, 1).unwrap().model;
    close(model.criteria(&rows).unwrap().bic(), model.criteria(&twice).unwrap().bic());
}

#[test]
fn the_watch_is_told_of_every_iteration_also_the_last() {
    let x = table(80, 3);
    let mut told = Vec::new();
    let fitted = GmmEm { components: 2, restarts: 1, ..Default::default() }
        .fit_watched(&x, 1, &mut |p| {
            // what is told of the passes before the first iteration has no objective
            if p.iteration > 0 {
                told.push(p.objective);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(fitted.status, lvm_core::fit::Status::Converged);
    assert_eq!(told, fitted.trace);
}

#[test]
fn no_iterations_is_refused_and_no_answer_without_an_objective() {
    let x = table(30, 3);
    for stopping in [Stopping { max_iterations: 0, tolerance: 0.0 }, Stopping { max_iterations: 5, tolerance: f64::NAN }] {
        assert!(PpcaEm { components: 1, stopping, ..Default::default() }.fit(&x, 0).is_err());
        assert!(GmmEm { components: 1, stopping, ..Default::default() }.fit(&x, 0).is_err());
        assert!(FaMl { factors: 0, stopping, ..Default::default() }.fit(&x, 0).is_err());
    }
    assert!(best_of::<()>(0, |_| unreachable!("no restart is run")).is_err());
}

#[test]
fn randomized_axes_stay_orthonormal_on_tables_of_low_rank() {
    // rank three in forty columns: the Krylov space runs out of directions after one block
    let x = table(70, 3).dot(&Array2::from_shape_fn((3, 40), |(i, j)| ((i * 40 + j) as f64 * 0.9).sin()));
    for (q, oversampling, power_iterations) in [(2, 10, 6), (3, 2, 9), (8, 3, 4), (20, 10, 6)] {
        let pca = Pca::fit(&x, q, Solver::Randomized { oversampling, power_iterations }, 1).unwrap();
        let exact = Pca::fit(&x, q, Solver::Covariance, 1).unwrap();
        let largest = exact.explained_variance()[0];
        // eigenvalues of a matrix of norm λ₁, to rounding
        assert!(pca.explained_variance().iter().zip(exact.explained_variance()).all(|(a, b)| (a - b).abs() < 1e-12 * largest));
        let gram = pca.components().dot(&pca.components().t());
        assert!((&gram - &Array2::<f64>::eye(q)).iter().all(|v| v.abs() < 1e-12), "{q} {oversampling} {power_iterations}");
    }
}

#[test]
fn the_last_short_batch_counts_like_any_other() {
    // blocks hold 64 to 2048 rows: one row more, one fewer, and the sum is still the mean of the rows' own evidences
    for (d, edges) in [(2, [2047, 2048, 2049, 4097]), (600, [63, 64, 65, 129])] {
        let x = table(4097, d);
        let model = PpcaMl { components: 1, ..Default::default() }.fit(&x.slice_axis(Axis(0), Slice::from(..200)), 0).unwrap().model;
        let alone = model.log_evidence(&x).unwrap();
        for n in edges {
            let head = x.slice_axis(Axis(0), Slice::from(..n));
            let sum: f64 = alone.iter().take(n).sum();
            // n roundings of a sum
            assert!((model.log_likelihood(&head).unwrap() - sum).abs() < n as f64 * f64::EPSILON * sum.abs(), "{n} rows of {d}");
        }
    }
}

#[test]
fn the_likelihood_of_a_row_does_not_depend_on_the_split() {
    let x = table(3000, 3);
    let model = GmmEm { components: 3, restarts: 1, ..Default::default() }.fit(&x, 1).unwrap().model;
    let whole = model.criteria(&x).unwrap().log_likelihood;
    for pieces in [2, 7, 300] {
        let size = 3000_usize.div_ceil(pieces);
        let sum: f64 = x.axis_chunks_iter(Axis(0), size).map(|part| model.criteria(&part).unwrap().log_likelihood).sum();
        // sums of 3000 numbers in another order
        assert!((sum - whole).abs() < 3000.0 * f64::EPSILON * whole.abs(), "{pieces} pieces");
    }
}

#[test]
fn a_singleton_among_96_components_keeps_its_own() {
    let mut x = table(1500, 2);
    x.row_mut(7).fill(900.0);
    let stopping = Stopping { max_iterations: 20, tolerance: 1e-6 };
    for covariance in [CovarianceType::Full, CovarianceType::Spherical] {
        let model = GmmEm { components: 96, covariance, restarts: 1, stopping, ..Default::default() }.fit(&x, 1).unwrap().model;
        let gamma = model.responsibilities(&x).unwrap();
        let own = (0..96).find(|&k| gamma[[7, k]] > 0.999).expect("a component of its own");
        assert!((model.means()[[own, 0]] - 900.0).abs() < 1e-6 && model.dim() == 2);
        // alone: one row of 1500
        assert!((model.weights()[own] * 1500.0 - 1.0).abs() < 1e-6);
    }
}

#[test]
fn uniform_random_responsibilities_end_in_the_symmetric_saddle_and_are_no_default() {
    // three clusters on a line, far apart
    let x = Array2::from_shape_fn((300, 2), |(i, j)| {
        let place = 10.0 * (i % 3) as f64;
        place + (i as f64 * (1.7 + 0.31 * j as f64)).sin()
    });
    let objective = |start: Start, components: usize| {
        let fitted = GmmEm { components, start, restarts: 1, ..Default::default() }.fit(&x, 1).unwrap();
        assert_eq!(fitted.status, lvm_core::fit::Status::Converged);
        fitted.objective()
    };
    let one = objective(Start::default(), 1);
    // each row is shared out evenly, but for a little noise
    let noise = |n: usize, k: usize| 1e-5 * ((n * 3 + k) as f64 * 12.9898).sin();
    let mut uniform = Array2::from_shape_fn((300, 3), |(n, k)| 1.0 / 3.0 + noise(n, k));
    uniform.rows_mut().into_iter().for_each(|mut row| row /= row.sum());
    let saddle = objective(Start::Responsibilities(uniform), 3);
    // all components are the table: three explain no more than one does (the noise enters squared)
    assert!((saddle - one).abs() < 1e-6, "{saddle} {one}");
    // the default finds the clusters, which are worth about log 3 less than a density of ten times the width each way
    assert!(matches!(Start::default(), Start::KMeansPlusPlus));
    assert!(matches!(GmmEm::default().start, Start::KMeansPlusPlus) && matches!(GmmSelect::default().em.start, Start::KMeansPlusPlus));
    assert!(objective(Start::default(), 3) > saddle + 1.0);
}

#[test]
fn pymc_6271_a_normal_prior_and_one_far_observation() {
    // prior N(0, 1), σ = 0.5, y = 10: mean 10 / (1 + 0.25) = 8, variance 0.25 / 1.25 = 0.2, in every model that contains it
    let conjugate = NormalMean::new(Normal::new(0.0, 1.0).unwrap(), 0.5).unwrap().posterior(ndarray::array![10.0].view()).unwrap();
    let rounding = 1e-14;
    assert!((conjugate.mean().mean() - 8.0).abs() < rounding && (conjugate.mean().variance() - 0.2).abs() < rounding);
    let (mean, loadings) = (ndarray::array![0.0], ndarray::array![[1.0]]);
    let linear = LinearGaussian::new(mean.clone(), loadings.clone(), ndarray::array![0.25]).unwrap();
    let ppca = lvm_core::ppca::Ppca::new(mean.clone(), loadings.clone(), 0.25).unwrap();
    let fa = lvm_core::fa::FactorAnalysis::new(mean, loadings, ndarray::array![0.25]).unwrap();
    let y = ndarray::array![[10.0]];
    for posterior in [linear.infer(&y).unwrap(), ppca.infer(&y).unwrap(), fa.infer(&y).unwrap()] {
        assert!((posterior.mean()[[0, 0]] - 8.0).abs() < rounding && (posterior.covariance(0)[[0, 0]] - 0.2).abs() < rounding);
    }
}

#[test]
fn ppca_by_em_with_one_latent_with_all_that_rows_allow_and_with_one_too_many() {
    // q = min(N, D) − 1 with fewer rows than columns: the rows lie in the span of the axes, and the noise goes to its floor
    let few = table(6, 9);
    let stopping = Stopping { max_iterations: 400, tolerance: 0.0 };
    let exact = PpcaMl { components: 5, ..Default::default() }.fit(&few, 0).unwrap();
    let em = PpcaEm { components: 5, stopping, ..Default::default() }.fit(&few, 0).unwrap();
    for fitted in [&exact, &em] {
        assert!(fitted.objective().is_finite());
        assert!(fitted.repairs.iter().any(|r| matches!(r.kind, lvm_core::fit::RepairKind::NoiseFloored { .. })), "{:?}", fitted.repairs);
        let error = &fitted.model.project(&few).unwrap() - &few;
        // σ at 16 D ε λ₁: 1e-7 of the largest spread
        assert!(error.iter().all(|e| e.abs() < 1e-6), "{error}");
    }
    // more rows than columns, q = D − 1: the unrestricted Gaussian, which EM reaches
    let many = table(80, 4);
    let exact = PpcaMl { components: 3, ..Default::default() }.fit(&many, 0).unwrap();
    let em = PpcaEm { components: 3, stopping: Stopping { max_iterations: 2000, tolerance: 1e-13 }, ..Default::default() }
        .fit(&many, 0)
        .unwrap();
    // EM stops when an iteration gains less than 1e-13
    assert!((em.objective() - exact.objective()).abs() < 1e-9 && em.repairs.is_empty());
    // q = 1 of one column's worth of variation, and q = D, which leaves no direction for the noise
    let one = PpcaEm { components: 1, ..Default::default() }.fit(&many, 0).unwrap();
    let exact = PpcaMl { components: 1, ..Default::default() }.fit(&many, 0).unwrap();
    assert!((one.objective() - exact.objective()).abs() < 1e-6);
    for x in [&few, &many] {
        let d = x.ncols();
        let message = PpcaEm { components: d, ..Default::default() }.fit(x, 0).unwrap_err().to_string();
        assert!(message.contains("components") && message.contains(&format!("up to {}", d - 1)), "{message}");
        // plain PCA has no noise and takes all of them
        assert_eq!(Pca::fit(x, d.min(x.nrows()), Solver::Auto, 0).unwrap().components().nrows(), d.min(x.nrows()));
    }
}
