//! Every fit and every selection tells its watch where it stands, and stops when told to: in an iteration, in a start, in a pass of a
//! closed form, in a fold.

use lvm_core::Result;
use lvm_core::fa::{FaMl, FaSelect, Method};
use lvm_core::fit::{Progress, Status, Stopping, Watch};
use lvm_core::gmm::{CovarianceType, GmmEm, GmmSelect, Start};
use lvm_core::moments::moments;
use lvm_core::ppca::{Pca, PpcaEm, PpcaMl, PpcaSelect, Solver};
use lvm_core::rows::{RowSource, Rows};
use lvm_core::selection::{Criterion, Selection};
use ndarray::{Array1, Array2};
use std::ops::ControlFlow;

/// Correlated columns with two clumps.
fn table(n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, j)| {
        let clump = if (i * i) % 7 < 3 { -3.0 } else { 3.0 };
        clump + (i as f64 * (1.7 + 0.31 * j as f64)).sin() + 0.5 * (i as f64 * 0.77).cos() * (j as f64 + 1.0)
    })
}

/// The same with holes.
fn holed(n: usize, d: usize) -> Array2<f64> {
    let mut x = table(n, d);
    (0..n).step_by(3).for_each(|i| x[[i, i % d]] = f64::NAN);
    x
}

/// What a fit tells from its beginning to its end.
fn told<T>(fit: &dyn Fn(Watch<'_>) -> Result<T>) -> Vec<Progress> {
    let mut all = Vec::new();
    let watch = &mut |progress: &Progress| {
        all.push(*progress);
        ControlFlow::Continue(())
    };
    fit(watch).unwrap();
    all
}

/// What comes of a fit whose watch wishes to stop when it is told for the `call`th time, from 1; it must not be told again.
fn stopped_at<T>(fit: &dyn Fn(Watch<'_>) -> Result<T>, call: usize) -> Result<T> {
    let mut calls = 0;
    let out = fit(&mut |_| {
        calls += 1;
        if calls >= call { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(calls, call, "told again after the wish to stop");
    out
}

/// Stops wherever it is told: with what was reached, or, before there is anything, with the error that says so. `least` is how often it
/// is told at least.
fn stops_everywhere<T>(what: &str, least: usize, fit: &dyn Fn(Watch<'_>) -> Result<T>) {
    let all = told(fit);
    assert!(all.len() >= least, "{what} told {} times, {least} expected", all.len());
    for progress in &all {
        assert_eq!(progress.iteration == 0, progress.objective.is_nan(), "{what}: {progress:?}");
        assert!(progress.restart < progress.restarts && progress.iteration <= progress.max_iterations.max(1), "{what}: {progress:?}");
    }
    // all places of a short fit, some forty of a long one
    for call in (1..=all.len()).step_by(all.len().div_ceil(40)) {
        let before = all[..call].iter().all(|p| p.iteration == 0);
        match stopped_at(fit, call) {
            Ok(_) => assert!(!before, "{what}: a result after {call} passes that are no iteration"),
            Err(error) => assert!(error.is_cancelled(), "{what}: {error}"),
        }
    }
}

fn iterations(max_iterations: usize) -> Stopping {
    Stopping { max_iterations, tolerance: 0.0 }
}

#[test]
fn mixtures() {
    let (x, y) = (table(300, 3), holed(300, 3));
    let missing = Rows::new(&y).missing_as_nan();
    let sources: [&dyn RowSource; 2] = [&x, &missing];
    for data in sources {
        for start in [Start::KMeansPlusPlus, Start::RandomRows] {
            let em = GmmEm { components: 3, start, restarts: 5, stopping: iterations(4), ..Default::default() };
            // the columns; a sample, a pass and the first expectation of every start; four iterations
            stops_everywhere("mixture", 1 + 5 * (3 + 4), &|watch| em.fit_watched(data, 1, watch));
        }
    }
    // what a stop in the second start leaves is the first
    let em = GmmEm { components: 3, restarts: 3, stopping: iterations(4), ..Default::default() };
    let fit = |watch: Watch<'_>| em.fit_watched(&x, 1, watch);
    let second = told(&fit).iter().position(|p| p.restart == 1).unwrap() + 1;
    let kept = stopped_at(&fit, second).unwrap();
    let alone = GmmEm { restarts: 1, ..em.clone() }.fit(&x, 1).unwrap();
    assert_eq!((&kept.model, &kept.trace, kept.restarts.len()), (&alone.model, &alone.trace, 1));
}

#[test]
fn principal_components() {
    let (x, wide, large) = (table(300, 6), table(20, 30), table(1100, 256));
    for (data, solver, passes) in [
        (&x, Solver::Auto, 1),
        (&x, Solver::Covariance, 1),
        (&wide, Solver::Auto, 2),
        (&x, Solver::Gram, 2),
        (&x, Solver::Randomized { oversampling: 0, power_iterations: 2 }, 4),
        // by way of single precision, or one pass more where that is not sharp enough
        (&large, Solver::Auto, 2),
    ] {
        let ml = PpcaMl { components: 2, solver };
        stops_everywhere(&format!("PPCA by {solver:?}"), passes, &|watch| ml.fit_watched(data, 1, watch));
        stops_everywhere(&format!("PCA by {solver:?}"), passes, &|watch| Pca::fit_watched(data, 2, solver, 1, watch));
    }
    let y = holed(300, 6);
    let missing = Rows::new(&y).missing_as_nan();
    let sources: [&dyn RowSource; 2] = [&x, &missing];
    for data in sources {
        let em = PpcaEm { components: 2, restarts: 3, stopping: iterations(5), ..Default::default() };
        stops_everywhere("PPCA by EM", 2 + 3 * (1 + 5), &|watch| em.fit_watched(data, 1, watch));
    }
}

#[test]
fn factors() {
    let (x, y, wide) = (table(300, 7), holed(300, 7), table(300, 100));
    let missing = Rows::new(&y).missing_as_nan();
    let covariance = moments(&x).unwrap().covariance;
    for method in [Method::QuasiNewton, Method::Em, Method::Ecme, Method::Squarem] {
        let ml = FaMl { factors: 2, method, restarts: 3, stopping: iterations(4), ..Default::default() };
        stops_everywhere("factors", 1 + 3 * 4, &|watch| ml.fit_watched(&x, 1, watch));
        stops_everywhere("factors with holes", 1 + 3 * (1 + 4), &|watch| ml.fit_watched(&missing, 1, watch));
        stops_everywhere("factors of a covariance", 3 * 4, &|watch| ml.fit_covariance_watched(covariance.view(), 300.0, 1, watch));
    }
    let ml = FaMl { factors: 2, restarts: 2, stopping: iterations(3), ..Default::default() };
    stops_everywhere("many columns", 1 + 2 * 3, &|watch| ml.fit_watched(&wide, 1, watch));
}

#[test]
fn the_fit_of_a_covariance_is_that_of_its_rows() {
    let mut x = table(300, 7);
    x -= &x.mean_axis(ndarray::Axis(0)).unwrap();
    let m = moments(&x).unwrap();
    // a few steps only, so that restarts end in different places
    let ml = FaMl { factors: 2, restarts: 4, stopping: iterations(2), ..Default::default() };
    for seed in [0, 5] {
        let (rows, matrix) = (ml.fit(&x, seed).unwrap(), ml.fit_covariance(m.covariance.view(), 300.0, seed).unwrap());
        assert_eq!((rows.trace, rows.restarts, rows.seed), (matrix.trace, matrix.restarts, matrix.seed));
    }
    let restarts = |seed| ml.fit_covariance(m.covariance.view(), 300.0, seed).unwrap().restarts;
    assert_ne!(restarts(0), restarts(5));
}

/// Stops everywhere, in the folds too: with `criterion` a selection is told more often than without folds.
fn selection_stops<M>(what: &str, select: &dyn Fn(Criterion, Watch<'_>) -> Result<Selection<M>>) {
    let plain = |watch: Watch<'_>| select(Criterion::Bic, watch);
    let folded = |watch: Watch<'_>| select(Criterion::HeldOut, watch);
    stops_everywhere(what, 2, &plain);
    let calls = told(&folded).len();
    assert!(calls > told(&plain).len() + 4, "{what}: the folds are silent");
    stops_everywhere(what, 2, &folded);
    // at the very end: the last fold of the last candidate is not there, all else is
    let kept = stopped_at(&folded, calls).unwrap_or_else(|error| {
        assert!(error.is_cancelled());
        select(Criterion::Bic, &mut |_| ControlFlow::Continue(())).unwrap()
    });
    assert_eq!(kept.table.len(), 2, "{what}");
    let cut = &kept.table[1];
    assert!(cut.held_out.is_none() && cut.criteria.is_some(), "{what}: {cut:?}");
}

#[test]
fn selections() {
    let (x, y) = (table(120, 5), holed(120, 5));
    let missing = Rows::new(&y).missing_as_nan();
    let em = GmmEm { restarts: 1, stopping: iterations(3), ..Default::default() };
    selection_stops("choice of K", &|criterion, watch| {
        let covariances = vec![CovarianceType::Diagonal];
        GmmSelect { components: vec![1, 2], covariances, criterion, em: em.clone(), folds: 0 }.select_watched(&x, 1, watch)
    });
    let ml = FaMl { restarts: 1, stopping: iterations(3), ..Default::default() };
    selection_stops("choice of factors", &|criterion, watch| {
        FaSelect { factors: vec![1, 2], criterion, folds: 3, ml: ml.clone() }.select_watched(&x, 1, watch)
    });
    let sources: [&dyn RowSource; 2] = [&x, &missing];
    for data in sources {
        let em = PpcaEm { stopping: iterations(3), ..Default::default() };
        selection_stops("choice of components", &|criterion, watch| {
            PpcaSelect { components: vec![1, 2], criterion, em: em.clone(), folds: 3, ..Default::default() }.select_watched(data, 1, watch)
        });
    }
}

#[test]
fn a_stop_in_a_fold_keeps_the_candidates_before() {
    let x = table(120, 5);
    let em = GmmEm { restarts: 1, stopping: iterations(3), ..Default::default() };
    let gmm = GmmSelect { components: vec![1, 2, 3], covariances: vec![CovarianceType::Full], criterion: Criterion::HeldOut, em, folds: 4 };
    let ml = FaMl { restarts: 1, stopping: iterations(3), ..Default::default() };
    let fa = FaSelect { factors: vec![1, 2, 0], criterion: Criterion::HeldOut, folds: 4, ml };
    check("mixtures", &|watch| Ok(of(gmm.select_watched(&x, 1, watch)?)));
    check("factors", &|watch| Ok(of(fa.select_watched(&x, 1, watch)?)));

    /// Sizes, held-out values and errors of the table, the best, and its status.
    type Seen = (Vec<(usize, bool, Option<String>)>, usize, Status);

    fn of<M>(selection: Selection<M>) -> Seen {
        let table = selection.table.iter().map(|c| (c.size, c.held_out.is_some(), c.error.clone())).collect();
        (table, selection.best, selection.fitted.status)
    }

    fn check(what: &str, select: &dyn Fn(Watch<'_>) -> Result<Seen>) {
        let calls = told(select).len();
        let mut in_a_fold = 0;
        for call in 1..calls {
            let Ok((table, best, status)) = stopped_at(select, call) else { continue };
            assert_eq!(status, Status::MaxIterations, "{what}");
            assert!(table[best].1 && table[..table.len() - 1].iter().all(|c| c.1 && c.2.is_none()), "{what}: {table:?}");
            let last = table.last().unwrap();
            if last.2.as_ref().is_some_and(|e| e == "cancelled before all folds were done") {
                in_a_fold += 1;
            }
        }
        assert!(in_a_fold > 8, "{what}");
    }
}

#[test]
fn weights_do_not_silence_the_watch() {
    let x = table(120, 4);
    let weights = Array1::from_shape_fn(120, |n| (n % 3) as f64);
    let rows = Rows::new(&x).weighted(weights.view()).unwrap();
    stops_everywhere("weighted rows", 1, &|watch| PpcaMl { components: 1, ..Default::default() }.fit_watched(&rows, 1, watch));
}
