//! A fit that goes on from where an earlier one ended is the fit that was never interrupted: the same iterations, the same end.

use lvm_core::Result;
use lvm_core::fa::{self, FaMl, FactorAnalysis, Method, Rotation};
use lvm_core::fit::{Fitted, RepairKind, Stopping};
use lvm_core::ppca::{self, Ppca, PpcaEm, Scheme};
use lvm_core::rows::{RowSource, Rows};
use ndarray::Array2;
use std::fmt::Debug;

/// Columns of a few common waves and one of their own each.
fn table(n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, j)| {
        let (i, j) = (i as f64, j as f64);
        2.0 * (i * 1.3).sin() * (j * 0.7).cos()
            + (i * 0.37).cos() * (j * 1.9).sin()
            + (0.4 + 0.05 * (j % 7.0)) * (i * (2.1 + 0.13 * j)).sin()
    })
}

fn holed(n: usize, d: usize) -> Array2<f64> {
    let mut x = table(n, d);
    (0..n).step_by(3).for_each(|i| x[[i, i % d]] = f64::NAN);
    x
}

/// `fit(stopping, from)` interrupted after each number of iterations ends where the whole run ends, after as many iterations.
fn one_run<M: PartialEq + Debug + Clone>(
    what: &str,
    tolerance: f64,
    fit: &dyn Fn(Stopping, Option<Fitted<M>>) -> Result<Fitted<M>>,
) -> Fitted<M> {
    let stopping = Stopping { max_iterations: 400, tolerance };
    let whole = fit(stopping, None).unwrap();
    let n = whole.iterations();
    assert!((2..400).contains(&n), "{what}: {n} iterations");
    for cut in [1, n / 2, n - 1] {
        let first = fit(Stopping { max_iterations: cut, tolerance }, None).unwrap();
        let rest = fit(stopping, Some(first.clone())).unwrap();
        assert_eq!(rest.iterations(), n - cut, "{what}, interrupted after {cut} of {n}");
        assert_eq!(whole.trace, [first.trace, rest.trace].concat(), "{what}, interrupted after {cut}");
        assert_eq!((&rest.model, rest.status), (&whole.model, whole.status), "{what}, interrupted after {cut}");
    }
    whole
}

fn ppca(x: &dyn RowSource, scheme: Scheme, stopping: Stopping, from: Option<Fitted<Ppca>>) -> Result<Fitted<Ppca>> {
    let start = from.map_or(ppca::Start::Random, ppca::Start::Resume);
    PpcaEm { components: 2, scheme, start, stopping, ..Default::default() }.fit(x, 1)
}

#[test]
fn ppca_stops_where_it_would_have_stopped() {
    let (x, y) = (table(200, 6), holed(200, 6));
    let missing = Rows::new(&y).missing_as_nan();
    for scheme in [Scheme::Plain, Scheme::ParameterExpanded] {
        one_run("complete", 1e-5, &|stopping, from| ppca(&x, scheme, stopping, from));
        one_run("with holes", 1e-5, &|stopping, from| ppca(&missing, scheme, stopping, from));
    }
}

#[test]
fn a_resumed_fit_does_not_repeat_what_was_repaired() {
    // rank two: the noise goes to its floor
    let x = Array2::from_shape_fn((60, 5), |(i, j)| {
        (i as f64 * 1.3).sin() * (j as f64 + 1.0) + (i as f64 * 0.37).cos() * (j as f64 * 1.9).sin()
    });
    let stopping = |max_iterations| Stopping { max_iterations, tolerance: 0.0 };
    let whole = ppca(&x, Scheme::Plain, stopping(60), None).unwrap();
    let floored = whole.repairs.iter().position(|r| matches!(r.kind, RepairKind::NoiseFloored { .. })).expect("a floor");
    let cut = whole.repairs[floored].iteration + 2;
    let first = ppca(&x, Scheme::Plain, stopping(cut), None).unwrap();
    let rest = ppca(&x, Scheme::Plain, stopping(60 - cut), Some(first)).unwrap();
    assert_eq!(rest.model, whole.model);
    let kinds = |fitted: &Fitted<Ppca>| fitted.repairs.iter().map(|r| r.kind.clone()).collect::<Vec<_>>();
    assert_eq!(kinds(&rest), kinds(&whole));
    assert!(rest.repairs.iter().all(|r| r.iteration == 0));
}

fn fa(x: &dyn RowSource, method: Method, stopping: Stopping, from: Option<Fitted<FactorAnalysis>>) -> Result<Fitted<FactorAnalysis>> {
    let start = from.map_or(fa::Start::PartialVariances, fa::Start::Resume);
    let rotation = Some(Rotation::oblimin());
    FaMl { factors: 2, method, start, stopping, rotation, restarts: 1, ..Default::default() }.fit(x, 1)
}

#[test]
fn factors_stop_where_they_would_have_stopped() {
    let (x, y) = (table(200, 7), holed(200, 7));
    let missing = Rows::new(&y).missing_as_nan();
    for (method, tolerance) in [(Method::QuasiNewton, 1e-12), (Method::Em, 1e-5), (Method::Ecme, 1e-7), (Method::Squarem, 1e-7)] {
        one_run(&format!("{method:?}"), tolerance, &|stopping, from| fa(&x, method, stopping, from));
    }
    for (method, tolerance) in [(Method::Em, 1e-5), (Method::Squarem, 1e-6)] {
        one_run(&format!("{method:?} with holes"), tolerance, &|stopping, from| fa(&missing, method, stopping, from));
    }
}

#[test]
fn factors_of_many_columns_resume_bit_for_bit() {
    // more columns than the exact Hessian is made for: nothing of the curvature or of the eigenvectors may be lost
    // five directions where the model has two: the way is long
    let mut x = table(400, 120);
    x += &Array2::from_shape_fn((400, 120), |(i, j)| {
        let (i, j) = (i as f64, j as f64);
        1.8 * (i * 0.71).sin() * (j * 0.31).cos() + 1.7 * (i * 0.53).cos() * (j * 1.1).sin() + 1.6 * (i * 1.7).sin() * (j * 0.17).sin()
    });
    let exactly = |max_iterations| Stopping { max_iterations, tolerance: 0.0 };
    let whole = fa(&x, Method::QuasiNewton, exactly(4), None).unwrap();
    for cut in 1..4 {
        let first = fa(&x, Method::QuasiNewton, exactly(cut), None).unwrap();
        let rest = fa(&x, Method::QuasiNewton, exactly(4 - cut), Some(first.clone())).unwrap();
        assert_eq!(rest.model, whole.model, "after {cut}");
        assert_eq!(whole.trace, [first.trace, rest.trace].concat());
    }
    // an interruption that was none would prove nothing: the iterations still move
    assert!(whole.trace[1] > whole.trace[0] + 1e-12, "{:?}", whole.trace);
}
