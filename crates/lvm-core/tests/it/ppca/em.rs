//! EM: the reference trajectory, missing entries, resuming.

use super::*;
use lvm_core::fit::Stopping;
use lvm_core::ppca::{PpcaEm, Scheme, Start};

/// Exactly `n` iterations.
fn exactly(n: usize) -> Stopping {
    Stopping { max_iterations: n, tolerance: 0.0 }
}

#[test]
fn em_follows_the_reference_trajectory_and_ends_in_the_closed_form() {
    for (case, x, q) in cases() {
        let (n, d) = x.dim();
        let noise = if q == 2 { 1.0 } else { 5.0 }; // em.start of the case
        let start = Ppca::new(Array1::zeros(d), Array2::from_shape_fn((d, q), |(i, j)| f64::from(u8::from(i == j))), noise).unwrap();
        let em = PpcaEm { components: q, start: Start::Parameters(start), stopping: exactly(20), ..Default::default() };
        let fitted = em.fit(&x, 0).unwrap();
        assert_eq!((fitted.status, fitted.trace.len()), (Status::MaxIterations, 20));
        for (ours, truth) in fitted.trace.iter().zip(&vector(&case["em"]["log_likelihood_first_20"])) {
            near(ours * n as f64, *truth, case["tolerance"]["log_likelihood_relative"].as_f64().unwrap());
        }
        near(fitted.model.log_likelihood(&x).unwrap(), fitted.objective() * n as f64, 1e-12);
        let exact = PpcaMl { components: q, ..Default::default() }.fit(&x, 0).unwrap();
        for scheme in [Scheme::Plain, Scheme::ParameterExpanded] {
            let run = PpcaEm { scheme, stopping: exactly(3000), ..em.clone() }.fit(&x, 0).unwrap();
            assert!(run.trace.windows(2).all(|w| w[1] >= w[0] - 1e-12 * w[0].abs()), "the likelihood fell");
            near(run.objective(), exact.objective(), 1e-12);
            // after 3000 iterations what is left is rounding, divided by one minus EM's rate (about 0.98 here)
            same_density(&run.model, &exact.model, 1e-10);
            near_all(run.model.loadings(), exact.model.loadings(), 1e-9);
        }
    }
}

#[test]
fn nothing_missing_is_the_complete_fit() {
    let x = iris();
    let em = PpcaEm { components: 2, start: Start::Random, stopping: exactly(50), ..Default::default() };
    let (a, b) = (em.fit(&x, 3).unwrap(), em.fit(&Rows::new(&x).missing_as_nan(), 3).unwrap());
    assert_eq!(a, b);
}

#[test]
fn em_with_missing_entries_climbs_to_a_stationary_point() {
    let x = with_holes(&iris(), 0.25, 1);
    let rows = Rows::new(&x).missing_as_nan();
    let tight = Stopping { max_iterations: 5000, tolerance: 1e-13 };
    let em = PpcaEm { components: 2, stopping: tight, ..Default::default() };
    let plain = em.fit(&rows, 0).unwrap();
    assert!(plain.trace.windows(2).all(|w| w[1] >= w[0] - 1e-12));
    near(plain.model.log_likelihood(&rows).unwrap(), plain.objective() * 150.0, 1e-12);
    let expanded = PpcaEm { scheme: Scheme::ParameterExpanded, ..em.clone() }.fit(&rows, 0).unwrap();
    assert!(expanded.trace.windows(2).all(|w| w[1] >= w[0] - 1e-12));
    let random = PpcaEm { start: Start::Random, ..em.clone() }.fit(&rows, 5).unwrap();
    for other in [&expanded, &random] {
        // both stopped within rounding of the top; EM's slowest rate there is about 0.95
        near(other.objective(), plain.objective(), 1e-9);
        same_density(&other.model, &plain.model, 1e-4);
    }
    // no parameter can be moved to a better likelihood: central differences of all directions
    let at = |mean: Array1<f64>, w: Array2<f64>, noise: f64| Ppca::new(mean, w, noise).unwrap().log_likelihood(&rows).unwrap() / 150.0;
    let m = &plain.model;
    let (mean, w, noise) = (m.mean().clone(), m.loadings().clone(), m.noise_variance());
    let h = 1e-5;
    let slope = |f: &dyn Fn(f64) -> f64| (f(h) - f(-h)) / (2.0 * h);
    // gradients at the start are of order one; what is left is the tolerance's square root
    let flat = 1e-5;
    assert!(slope(&|t| at(mean.clone(), w.clone(), noise * (1.0 + t))).abs() < flat);
    for j in 0..4 {
        let shifted = |t: f64| {
            let mut mean = mean.clone();
            mean[j] += t;
            mean
        };
        assert!(slope(&|t| at(shifted(t), w.clone(), noise)).abs() < flat);
        for k in 0..2 {
            let turned = |t: f64| {
                let mut w = w.clone();
                w[[j, k]] += t;
                w
            };
            assert!(slope(&|t| at(mean.clone(), turned(t), noise)).abs() < flat);
        }
    }
}

#[test]
fn a_resumed_run_is_one_run_bit_for_bit() {
    let whole = iris();
    let holes = with_holes(&whole, 0.2, 2);
    let wide = digits().slice(s![..15, ..]).to_owned();
    let rows = Rows::new(&holes).missing_as_nan();
    let sources: [&dyn RowSource; 3] = [&whole, &rows, &wide];
    for data in sources {
        for scheme in [Scheme::Plain, Scheme::ParameterExpanded] {
            let em = PpcaEm { components: 2, start: Start::Random, scheme, stopping: exactly(12), ..Default::default() };
            let once = em.fit(data, 4).unwrap();
            let first = PpcaEm { stopping: exactly(5), ..em.clone() }.fit(data, 4).unwrap();
            let second = PpcaEm { start: Start::Parameters(first.model), stopping: exactly(7), ..em.clone() }.fit(data, 4).unwrap();
            assert_eq!(second.model, once.model);
            assert_eq!([first.trace, second.trace].concat(), once.trace);
        }
    }
}

#[test]
fn em_weights_threads_restarts_and_cancellation() {
    let x = with_holes(&iris(), 0.1, 3);
    let weights = Array1::from_shape_fn(150, |i| ((i * 7) % 4) as f64);
    let index: Vec<usize> = (0..150).flat_map(|i| std::iter::repeat_n(i, (i * 7) % 4)).collect();
    let repeated = x.select(Axis(0), &index);
    let weighted = Rows::new(&x).missing_as_nan().weighted(weights.view()).unwrap();
    let start = Ppca::new(Array1::ones(4), Array2::from_shape_fn((4, 2), |(i, j)| ((i + j) as f64).cos()), 1.0).unwrap();
    let em = PpcaEm { components: 2, start: Start::Parameters(start), stopping: exactly(30), ..Default::default() };
    let (a, b) = (em.fit(&weighted, 0).unwrap(), em.fit(&Rows::new(&repeated).missing_as_nan(), 0).unwrap());
    same_density(&a.model, &b.model, 1e-11);
    near(a.objective(), b.objective(), 1e-12);

    let tall = with_holes(&concatenate(Axis(0), &vec![iris().view(); 40]).unwrap(), 0.1, 4);
    let tall = Rows::new(&tall).missing_as_nan();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| PpcaEm { components: 2, stopping: exactly(4), ..Default::default() }.fit(&tall, 0).unwrap())
    };
    let one = run(1);
    assert!(one == run(2) && one == run(7));

    let restarted = PpcaEm { components: 1, start: Start::Random, restarts: 3, stopping: exactly(2), ..Default::default() };
    let fitted = restarted.fit(&iris(), 8).unwrap();
    assert!(fitted.restarts.len() == 3 && fitted.restarts[0] != fitted.restarts[1] && fitted.restarts[1] != fitted.restarts[2]);
    assert_eq!(fitted.objective(), fitted.restarts.iter().copied().fold(f64::NEG_INFINITY, f64::max));

    let mut seen = 0;
    let cancelled = PpcaEm { stopping: exactly(100), ..Default::default() }
        .fit_watched(&iris(), 0, &mut |p| {
            seen = p.iteration;
            if p.iteration == 3 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!((cancelled.status, cancelled.trace.len(), seen), (Status::Cancelled, 3, 3));
}

#[test]
fn em_refuses_what_it_cannot_use() {
    let mut x = iris();
    x.row_mut(3).fill(f64::NAN);
    let error = PpcaEm::default().fit(&Rows::new(&x).missing_as_nan(), 0).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MissingRow { row: 3 }), "{error}");
    let mut x = iris();
    x.column_mut(1).fill(f64::NAN);
    let error = PpcaEm::default().fit(&Rows::new(&x).missing_as_nan(), 0).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MissingColumn { column: 1, .. }), "{error}");
    assert!(PpcaEm { components: 4, ..Default::default() }.fit(&iris(), 0).is_err());
    assert!(PpcaEm { restarts: 0, ..Default::default() }.fit(&iris(), 0).is_err());
    let other = Ppca::new(array![0.0, 0.0, 0.0], array![[1.0], [1.0], [1.0]], 1.0).unwrap();
    assert!(PpcaEm { components: 1, start: Start::Parameters(other), ..Default::default() }.fit(&iris(), 0).is_err());
    let flat = PpcaEm { components: 1, ..Default::default() }.fit(&Array2::from_elem((9, 3), 0.1), 0).unwrap_err();
    assert!(matches!(flat.kind(), ErrorKind::NoVariation));
    // data of rank one: σ² is held at the floor, and the run still ends
    let line = Array2::from_shape_fn((30, 3), |(i, j)| i as f64 * (j as f64 - 0.7));
    let fitted = PpcaEm { components: 1, ..Default::default() }.fit(&line, 0).unwrap();
    assert!(fitted.model.noise_variance() < 1e-6 && fitted.objective().is_finite());
}
