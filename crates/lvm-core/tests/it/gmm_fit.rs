//! EM as a whole: resume, weights, threads, limits, repairs, hard data.

use lvm_core::fit::{Fitted, Progress, RepairKind, Status, Stopping};
use lvm_core::gmm::{CovarianceType, Covariances, GaussianMixture, GmmEm, GmmSelect, Start};
use lvm_core::model::{Evidence, LatentModel};
use lvm_core::moments::moments;
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::Rows;
use lvm_core::selection::Criterion;
use ndarray::{Array1, Array2, Array3, Axis, array, concatenate};
use std::ops::ControlFlow;

/// Three overlapping clusters in three dimensions.
pub(crate) fn clusters(n: usize, seed: u64) -> Array2<f64> {
    let covariances = Array3::from_shape_fn((3, 3, 3), |(k, i, j)| if i == j { 1.0 + 0.5 * k as f64 } else { 0.3 * (k as f64 - 1.0) });
    let means = array![[0.0, 0.0, 0.0], [3.0, 2.0, -1.0], [-2.0, 4.0, 1.0]];
    let mixture = GaussianMixture::new(array![0.5, 0.3, 0.2], means, Covariances::Full(covariances)).unwrap();
    let mut rng = stream(seed, Purpose::Sample, 0);
    let z = mixture.sample_z(n, &mut rng);
    mixture.sample_x(&z, &mut rng).unwrap()
}

/// The same with every seventh entry missing.
pub(crate) fn with_holes(mut x: Array2<f64>) -> Array2<f64> {
    x.iter_mut().enumerate().filter(|(i, _)| (i * 5) % 7 == 3).for_each(|(_, v)| *v = f64::NAN);
    x
}

fn em(components: usize, covariance: CovarianceType) -> GmmEm {
    GmmEm { components, covariance, ..Default::default() }
}

fn exactly(iterations: usize) -> Stopping {
    Stopping { max_iterations: iterations, tolerance: 0.0 }
}

fn numbers(m: &GaussianMixture) -> Vec<f64> {
    let covariances: Vec<f64> = match m.covariances() {
        Covariances::Full(c) => c.iter().copied().collect(),
        Covariances::Tied(c) | Covariances::Diagonal(c) => c.iter().copied().collect(),
        Covariances::Spherical(c) => c.to_vec(),
    };
    m.weights().iter().chain(m.means()).copied().chain(covariances).collect()
}

fn close(a: &GaussianMixture, b: &GaussianMixture, relative: f64) {
    for (i, (a, b)) in numbers(a).iter().zip(numbers(b)).enumerate() {
        assert!((a - b).abs() <= relative * b.abs().max(1.0), "number {i}: {a} {b}");
    }
}

#[test]
fn a_resumed_fit_is_the_same_bit_for_bit() {
    let (whole, holes) = (clusters(400, 1), with_holes(clusters(400, 1)));
    for covariance in CovarianceType::ALL {
        for data in [Rows::new(&whole), Rows::new(&holes).missing_as_nan()] {
            let first = GmmEm { stopping: exactly(10), restarts: 1, ..em(3, covariance) };
            let half = first.fit(&data, 5).unwrap();
            let second = GmmEm { start: Start::Parameters(half.model), ..first.clone() }.fit(&data, 5).unwrap();
            let once = GmmEm { stopping: exactly(20), ..first }.fit(&data, 5).unwrap();
            assert_eq!(once.model, second.model, "{covariance}");
            assert_eq!(once.trace, [half.trace, second.trace].concat());
        }
    }
}

/// A row so far away that a lost component is always put back there, and of so little weight that it is lost again: until it is
/// given up, after three times, however often the fit is interrupted.
#[test]
fn a_fit_with_reseedings_is_resumed_bit_for_bit() {
    let mut x = clusters(60, 2);
    x.row_mut(7).fill(1e3);
    let weights = Array1::from_shape_fn(60, |i| if i == 7 { 1e-13 } else { 1.0 });
    let rows = Rows::new(&x).weighted(weights.view()).unwrap();
    let lost = Array2::from_shape_fn((60, 3), |(i, k)| if k == i % 2 { 1.0 } else { 0.0 });
    let kinds = |f: &Fitted<GaussianMixture>| f.repairs.iter().map(|r| r.kind.clone()).collect::<Vec<_>>();
    for covariance in CovarianceType::ALL {
        let whole = GmmEm { start: Start::Responsibilities(lost.clone()), stopping: exactly(9), ..em(3, covariance) };
        let once = whole.fit(&rows, 3).unwrap();
        assert_eq!(kinds(&once), vec![RepairKind::ComponentReseeded { component: 2, row: 7 }; 3], "{covariance}");
        for stop in 1..8 {
            // interrupted twice, so that what is remembered is itself remembered
            let part = |start, iterations| GmmEm { start, stopping: exactly(iterations), ..whole.clone() }.fit(&rows, 3).unwrap();
            let first = part(whole.start.clone(), stop);
            let second = part(Start::Resume(first.clone()), 1);
            let third = part(Start::Resume(second.clone()), 8 - stop);
            assert_eq!(third.model, once.model, "{covariance} {stop}");
            assert_eq!([&first.trace[..], &second.trace, &third.trace].concat(), once.trace, "{covariance} {stop}");
            assert_eq!(kinds(&third), kinds(&once), "{covariance} {stop}");
        }
        // without the record it would be put back three times more
        let forgetful = GmmEm { start: Start::Parameters(once.model), stopping: exactly(1), ..whole.clone() }.fit(&rows, 3).unwrap();
        assert_eq!(forgetful.repairs.len(), 1);
    }
}

#[test]
fn a_resumed_fit_stops_where_the_whole_one_does() {
    let x = clusters(400, 1);
    let whole = GmmEm { restarts: 1, ..em(3, CovarianceType::Full) };
    let once = whole.fit(&x, 5).unwrap();
    for stop in [1, once.iterations() - 2, once.iterations() - 1] {
        let first = GmmEm { stopping: Stopping { max_iterations: stop, ..whole.stopping }, ..whole.clone() }.fit(&x, 5).unwrap();
        assert_eq!(first.status, Status::MaxIterations);
        let second = GmmEm { start: Start::Resume(first), ..whole.clone() }.fit(&x, 5).unwrap();
        assert_eq!((second.status, second.iterations()), (Status::Converged, once.iterations() - stop));
        assert_eq!(second.model, once.model);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let x = clusters(3000, 2);
    let holes = with_holes(x.clone());
    for covariance in CovarianceType::ALL {
        let fit = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let em = GmmEm { stopping: exactly(5), restarts: 2, ..em(3, covariance) };
                let missing = em.fit(&Rows::new(&holes).missing_as_nan(), 3).unwrap();
                (em.fit(&x, 3).unwrap(), missing)
            })
        };
        let one = fit(1);
        assert_eq!(one, fit(2));
        assert_eq!(one, fit(7));
    }
}

#[test]
fn weight_three_is_the_row_three_times_and_weight_zero_is_no_row() {
    let x = clusters(200, 3);
    let weights = Array1::from_shape_fn(200, |i| (i % 4) as f64);
    let rows: Vec<usize> = (0..200).flat_map(|i| vec![i; i % 4]).collect();
    let repeated = x.select(Axis(0), &rows);
    for (x, repeated) in [(x.clone(), repeated.clone()), (with_holes(x.clone()), with_holes(x.clone()).select(Axis(0), &rows))] {
        for covariance in CovarianceType::ALL {
            let em = GmmEm { stopping: exactly(15), restarts: 1, ..em(2, covariance) };
            let weighted = em.fit(&Rows::new(&x).weighted(weights.view()).unwrap().missing_as_nan(), 1).unwrap();
            let repeated = em.fit(&Rows::new(&repeated).missing_as_nan(), 1).unwrap();
            // another order of summation: 1e-16 a sum, amplified by at most 1e4 over 15 contracting iterations
            close(&weighted.model, &repeated.model, 1e-11);
            assert!((weighted.objective() - repeated.objective()).abs() < 1e-12);
        }
    }
}

#[test]
fn f32_and_f64_tables_of_the_same_numbers_agree_bit_for_bit() {
    let narrow = clusters(300, 4).mapv(|v| v as f32);
    let wide = narrow.mapv(f64::from);
    assert_eq!(em(3, CovarianceType::Full).fit(&narrow, 1).unwrap(), em(3, CovarianceType::Full).fit(&wide, 1).unwrap());
}

#[test]
fn one_component_is_the_gaussian_maximum_likelihood_estimate() {
    let x = clusters(500, 5);
    let m = moments(&x).unwrap();
    for covariance in CovarianceType::ALL {
        for start in [Start::KMeansPlusPlus, Start::RandomRows] {
            let fitted = GmmEm { start, ..em(1, covariance) }.fit(&x, 1).unwrap();
            assert_eq!(fitted.status, Status::Converged);
            let sigma = match covariance {
                CovarianceType::Full => Covariances::Full(m.covariance.clone().insert_axis(Axis(0))),
                CovarianceType::Tied => Covariances::Tied(m.covariance.clone()),
                CovarianceType::Diagonal => Covariances::Diagonal(m.covariance.diag().to_owned().insert_axis(Axis(0))),
                CovarianceType::Spherical => Covariances::Spherical(array![m.covariance.diag().mean().unwrap()]),
            };
            let exact = GaussianMixture::new(array![1.0], m.mean.clone().insert_axis(Axis(0)), sigma).unwrap();
            // sums of 500 numbers in another order
            close(&fitted.model, &exact, 1e-13);
        }
    }
}

#[test]
fn traces_never_fall_and_belong_to_the_parameters_returned() {
    let x = clusters(500, 6);
    let holes = with_holes(x.clone());
    for covariance in CovarianceType::ALL {
        for data in [Rows::new(&x), Rows::new(&holes).missing_as_nan()] {
            for start in [Start::KMeansPlusPlus, Start::RandomRows] {
                let fitted = GmmEm { start, restarts: 1, stopping: exactly(60), ..em(4, covariance) }.fit(&data, 2).unwrap();
                assert_eq!(fitted.iterations(), 60);
                assert!(fitted.repairs.is_empty());
                // a mean of about 3 nats is rounded at 1e-15; 500 of them summed
                assert!(fitted.trace.windows(2).all(|w| w[1] > w[0] - 1e-13), "{covariance} {:?}", fitted.trace);
                let mean = fitted.model.log_evidence(&data).unwrap().mean().unwrap();
                assert!((mean - fitted.objective()).abs() < 1e-13);
                assert!((fitted.model.criteria(&data).unwrap().mean_log_likelihood() - mean).abs() < 1e-13);
            }
        }
    }
}

#[test]
fn restarts_really_restart_and_the_best_is_kept() {
    let x = clusters(300, 7);
    let fitted = GmmEm { restarts: 6, start: Start::RandomRows, ..em(4, CovarianceType::Full) }.fit(&x, 1).unwrap();
    assert_eq!(fitted.restarts.len(), 6);
    assert!(fitted.restarts.iter().any(|o| *o != fitted.restarts[0]));
    let other = GmmEm { restarts: 6, start: Start::RandomRows, ..em(4, CovarianceType::Full) }.fit(&x, 2).unwrap();
    assert_ne!(fitted.restarts, other.restarts);
    if !fitted.is_floored() {
        assert!(fitted.restarts.contains(&fitted.objective()));
    }
}

#[test]
fn a_watch_sees_every_iteration_and_can_stop() {
    let x = clusters(300, 8);
    let mut seen = Vec::new();
    let fitted = em(3, CovarianceType::Full)
        .fit_watched(&x, 1, &mut |p: &Progress| {
            if p.iteration > 0 {
                seen.push((p.restart, p.iteration, p.objective));
            }
            if seen.len() == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(fitted.status, Status::Cancelled);
    assert_eq!(fitted.trace, seen.iter().map(|s| s.2).collect::<Vec<_>>());
    assert_eq!(fitted.restarts.len(), 1);
}

#[test]
fn means_that_move_far_lose_no_digits() {
    // Two clusters of sd 1 at distance 2e6 from a common starting centre: without a second sweep about the new means the variance
    // would be a difference of 1e12s, right to 1e-4.
    let base = clusters(400, 9);
    let offset = |i: usize| if i.is_multiple_of(2) { 2e6 } else { -2e6 };
    let x = Array2::from_shape_fn((400, 3), |(i, j)| base[[i, j]] + offset(i));
    let start = Array2::from_shape_fn((400, 2), |(i, k)| if i % 2 == k { 1.0 } else { 0.0 });
    for covariance in CovarianceType::ALL {
        let em = GmmEm { start: Start::Responsibilities(start.clone()), stopping: exactly(1), ..em(2, covariance) };
        let fitted = em.fit(&x, 0).unwrap();
        assert!(fitted.repairs.is_empty());
        for k in 0..2 {
            let rows: Vec<usize> = (0..400).filter(|i| i % 2 == k).collect();
            let m = moments(&x.select(Axis(0), &rows)).unwrap();
            if let Covariances::Full(c) = fitted.model.covariances() {
                let worst = (&c.index_axis(Axis(0), k) - &m.covariance).iter().fold(0.0_f64, |m, v| m.max(v.abs()));
                // the centre itself is rounded at 2e6 ε = 4e-10, which enters squared and against sums that vanish
                assert!(worst < 1e-12, "{worst:e}");
            }
            if let Covariances::Tied(c) = fitted.model.covariances() {
                // clusters of equal size: the average of the two
                let other: Vec<usize> = (0..400).filter(|i| i % 2 != k).collect();
                let mean = 0.5 * (&m.covariance + &moments(&x.select(Axis(0), &other)).unwrap().covariance);
                assert!((c - &mean).iter().all(|v| v.abs() < 1e-12));
            }
        }
    }
}

#[test]
fn f32_rows_far_apart_spherical() {
    // scikit-learn issue 30382
    let x = array![[9999.0_f32], [0.0]];
    let one = em(1, CovarianceType::Spherical).fit(&x, 0).unwrap();
    assert_eq!(one.model.means(), &array![[4999.5]]);
    assert_eq!(one.model.covariances(), &Covariances::Spherical(array![24_995_000.25]));
    let two = em(2, CovarianceType::Spherical).fit(&x, 0).unwrap();
    assert!(two.is_floored() && two.objective().is_finite());
    let mut means = two.model.means().column(0).to_vec();
    means.sort_by(f64::total_cmp);
    assert_eq!(means, [0.0, 9999.0]);
}

#[test]
fn as_many_components_as_rows() {
    for n in [2, 5, 96] {
        let x = clusters(n, 10);
        for covariance in CovarianceType::ALL {
            let fitted = GmmEm { restarts: 1, ..em(n, covariance) }.fit(&x, 1).unwrap();
            assert!(fitted.objective().is_finite());
            assert!(fitted.model.responsibilities(&x).unwrap().iter().all(|g| g.is_finite()));
            assert!(fitted.is_floored(), "{n} {covariance}");
        }
    }
}

#[test]
fn ninety_six_components_with_one_singleton() {
    let mut x = clusters(2000, 11);
    x.row_mut(0).fill(500.0);
    let fitted = GmmEm { restarts: 1, stopping: Stopping { max_iterations: 50, tolerance: 1e-6 }, ..em(96, CovarianceType::Full) }
        .fit(&x, 1)
        .unwrap();
    assert!(fitted.objective().is_finite());
    let gamma = fitted.model.responsibilities(&x).unwrap();
    assert!(gamma.outer_iter().all(|row| (row.sum() - 1.0).abs() < 1e-12));
}

#[test]
fn a_far_outlier_does_not_floor_the_others() {
    for far in [1e6, 1e9, 1e12] {
        let mut x = clusters(600, 12);
        x.row_mut(33).fill(far);
        for covariance in [CovarianceType::Full, CovarianceType::Diagonal, CovarianceType::Spherical] {
            let fitted = em(4, covariance).fit(&x, 1).unwrap();
            let gamma = fitted.model.responsibilities(&x).unwrap();
            let own = gamma.row(33).iter().position(|g| *g > 0.99).unwrap();
            for repair in &fitted.repairs {
                assert!(matches!(repair.kind, RepairKind::CovarianceFloored { component, .. } if component == own), "{far} {repair}");
            }
            // without the outlier's component it is a fit to the other rows: variances of the size of the clusters
            for k in (0..4).filter(|k| *k != own) {
                let variance = fitted.model.covariances().matrix(k, 3)[[0, 0]];
                assert!((0.05..20.0).contains(&variance), "{far} {covariance} {variance}");
            }
        }
    }
}

#[test]
fn duplicated_columns_are_repaired_and_reported() {
    let x = clusters(300, 13);
    let twice = concatenate![Axis(1), x, x];
    for covariance in [CovarianceType::Full, CovarianceType::Tied] {
        let fitted = em(2, covariance).fit(&twice, 1).unwrap();
        assert!(fitted.is_floored());
        assert!(fitted.objective().is_finite());
        assert!(fitted.repairs.len() <= 4, "{:?}", fitted.repairs);
    }
    let diagonal = em(2, CovarianceType::Diagonal).fit(&twice, 1).unwrap();
    assert!(diagonal.repairs.is_empty());
}

#[test]
fn more_components_than_distinct_rows() {
    let x = Array2::from_shape_fn((60, 2), |(i, j)| ((i % 3) * (j + 1)) as f64);
    for covariance in CovarianceType::ALL {
        let em = GmmEm { stopping: Stopping { max_iterations: 100, tolerance: 1e-7 }, ..em(5, covariance) };
        let fitted = em.fit(&x, 1).unwrap();
        assert!(fitted.objective().is_finite());
        assert!(!fitted.repairs.is_empty(), "{covariance}");
    }
}

#[test]
fn one_column() {
    let x = clusters(500, 14).select(Axis(1), &[1]);
    let models: Vec<_> = CovarianceType::ALL.iter().map(|c| em(2, *c).fit(&x, 1).unwrap()).collect();
    assert!(models.iter().all(|m| m.repairs.is_empty()));
    // full, diagonal and spherical are the same model in one dimension
    let (full, diagonal, spherical) = (&models[0], &models[2], &models[3]);
    assert!((full.objective() - diagonal.objective()).abs() < 1e-12);
    assert!((full.objective() - spherical.objective()).abs() < 1e-12);
}

#[test]
fn a_component_without_rows_is_put_back() {
    let x = clusters(300, 15);
    let start = Array2::from_shape_fn((300, 3), |(i, k)| if k == i % 2 { 1.0 } else { 0.0 });
    for covariance in CovarianceType::ALL {
        let em = GmmEm { start: Start::Responsibilities(start.clone()), ..em(3, covariance) };
        let fitted = em.fit(&x, 0).unwrap();
        assert!(matches!(fitted.repairs[0].kind, RepairKind::ComponentReseeded { component: 2, .. }), "{:?}", fitted.repairs);
        assert_eq!(fitted.repairs[0].iteration, 1);
        assert!(fitted.model.weights()[2] > 1e-3);
    }
}

#[test]
fn a_ridge_is_added_to_the_variances() {
    let x = clusters(200, 16);
    let plain = em(1, CovarianceType::Full).fit(&x, 0).unwrap();
    let ridged = GmmEm { ridge: 0.5, ..em(1, CovarianceType::Full) }.fit(&x, 0).unwrap();
    let difference = ridged.model.covariances().matrix(0, 3).as_ref() - plain.model.covariances().matrix(0, 3).as_ref();
    assert!((difference - 0.5 * Array2::<f64>::eye(3)).iter().all(|v| v.abs() < 1e-14));
    // and a constant column has an answer
    let mut constant = x.clone();
    constant.column_mut(1).fill(7.0);
    let fitted = GmmEm { ridge: 0.5, ..em(2, CovarianceType::Full) }.fit(&constant, 0).unwrap();
    assert!((fitted.model.covariances().matrix(0, 3)[[1, 1]] - 0.5).abs() < 1e-14);
}

#[test]
fn selection_finds_the_clusters_and_keeps_the_whole_table() {
    let x = clusters(900, 17);
    let mut with_constant = concatenate![Axis(1), x, Array2::ones((900, 1))];
    let select = GmmSelect { components: vec![1, 2, 3, 4], ..Default::default() };
    let selection = select.select(&x, 1).unwrap();
    assert_eq!(selection.table.len(), 16);
    let winner = &selection.table[selection.best];
    assert_eq!((winner.size, winner.covariance.as_deref()), (3, Some("full")));
    assert!(selection.table.iter().all(|c| c.held_out.is_none() && c.icl.unwrap() >= c.criteria.unwrap().bic()));
    assert_eq!(selection.fitted.model.n_components(), 3);

    with_constant[[0, 3]] = 1.0;
    let selection = select.select(&with_constant, 1).unwrap();
    assert!(selection.table.iter().take(12).all(|c| c.error.as_ref().unwrap().contains("constant")));
    assert_eq!(selection.table[selection.best].covariance.as_deref(), Some("spherical"));
}

#[test]
fn held_out_likelihood_ranks_as_it_should() {
    let x = clusters(600, 18);
    let select =
        GmmSelect { components: vec![1, 3], covariances: vec![CovarianceType::Full], criterion: Criterion::HeldOut, ..Default::default() };
    let selection = select.select(&x, 1).unwrap();
    assert_eq!(selection.fitted.model.n_components(), 3);
    for candidate in &selection.table {
        // what is held out is explained a little worse than what is fitted, by about p / (2N) twice: 29 parameters, 600 rows
        let gap = candidate.criteria.unwrap().mean_log_likelihood() - candidate.held_out.unwrap();
        assert!((-0.05..0.15).contains(&gap), "{gap}");
    }
}

/// A column that varies in one row alone is constant without the fold of that row: the fit to all rows stands, with its criteria.
#[test]
fn a_candidate_that_fails_without_a_fold_keeps_its_criteria() {
    let mut x = clusters(60, 19);
    x.column_mut(2).fill(1.0);
    x[[11, 2]] = 2.0;
    let covariances = vec![CovarianceType::Diagonal, CovarianceType::Spherical];
    let select = GmmSelect { components: vec![1], covariances, criterion: Criterion::HeldOut, ..Default::default() };
    let selection = select.select(&x, 1).unwrap();
    let (diagonal, spherical) = (&selection.table[0], &selection.table[1]);
    assert!(diagonal.criteria.is_some() && diagonal.icl.is_some() && diagonal.held_out.is_none());
    assert!(diagonal.error.as_ref().unwrap().starts_with("without one of the folds: column 2"));
    assert!(spherical.error.is_none() && spherical.held_out.is_some() && selection.best == 1);
}
