//! The Bernoulli factor model against quadrature.

use crate::local::check_model;
use lvm_core::fit::{Status, Stopping};
use lvm_core::model::{Evidence, Infer, LatentModel, MapLatent};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, Rows};
use lvm_core::{ErrorKind, Result};
use lvm_testkit::{bound, density, invariance};
use lvm_vi::local::{self, Derivatives, LocalModel, PerDatum, Quadrature, Shape};
use lvm_vi::models::bernoulli_factor::{BernoulliFactor, BernoulliFactorEm, EStep, JaakkolaJordan, Start};
use ndarray::{Array1, Array2, array};

fn model(d: usize, q: usize) -> BernoulliFactor {
    let loadings = Array2::from_shape_fn((d, q), |(j, i)| 2.0 * ((j + 2 * i) as f64 * 0.9).cos() + 0.5);
    BernoulliFactor::new(loadings, Array1::from_shape_fn(d, |j| (j as f64).sin())).unwrap()
}

fn draws(model: &BernoulliFactor, n: usize) -> Array2<f64> {
    let mut rng = stream(11, Purpose::Sample, 0);
    model.sample_x(&model.sample_z(n, &mut rng), &mut rng).unwrap()
}

/// All 2^D rows of D binary columns.
fn all_rows(d: usize) -> Array2<f64> {
    Array2::from_shape_fn((1 << d, d), |(n, j)| f64::from(u8::from(n >> j & 1 == 1)))
}

#[test]
fn probabilities_of_all_rows_add_to_one() {
    for q in [0, 1, 2] {
        let total: f64 = model(6, q).log_evidence(&all_rows(6)).unwrap().iter().map(|v| v.exp()).sum();
        // 64 numbers, each right to 1e-11 relative
        assert!((total - 1.0).abs() < 1e-11, "q = {q}: {total}");
    }
    // steep links: the integrand is nearly a product of steps
    let steep = BernoulliFactor::new(array![[12.0], [-9.0], [7.0]], array![1.0, 0.0, -2.0]).unwrap();
    let total: f64 = steep.log_evidence(&all_rows(3)).unwrap().iter().map(|v| v.exp()).sum();
    assert!((total - 1.0).abs() < 1e-10, "{total}");
}

#[test]
fn quadrature_agrees_with_a_plain_sum_over_a_fine_grid() {
    let model = model(5, 2);
    let x = all_rows(5);
    let truth = Quadrature::default().posterior(&model, &x).unwrap();
    let points = 241;
    let grid = Array2::from_shape_fn((points * points, 2), |(t, i)| (if i == 0 { t / points } else { t % points }) as f64 * 0.08 - 9.6);
    for n in [0, 7, 21, 31] {
        let rows = Array2::from_shape_fn((points * points, 5), |(_, j)| x[[n, j]]);
        let p = model.log_joint(&rows, &grid).unwrap().mapv(f64::exp) * 0.08 * 0.08;
        let evidence = p.sum();
        // 58 000 terms of one sign
        assert!((truth.log_evidence[n] - evidence.ln()).abs() < 1e-11);
        let mean = p.dot(&grid) / evidence;
        assert!((&mean - &truth.mean.row(n)).iter().all(|e| e.abs() < 1e-10));
        for (i, k) in [(0, 0), (0, 1), (1, 1)] {
            let c: f64 = p.iter().zip(grid.rows()).map(|(p, z)| p * (z[i] - mean[i]) * (z[k] - mean[k])).sum::<f64>() / evidence;
            assert!((c - truth.covariance[n][[i, k]]).abs() < 1e-10);
        }
    }
}

#[test]
fn derivatives_are_those_of_the_values() {
    check_model(&model(5, 2), &all_rows(5));
    check_model(&model(4, 1), &array![[f64::NAN, 1.0, 0.0, f64::NAN]]);
}

#[test]
fn bounds_stand_in_their_order() {
    for q in [1, 2] {
        let model = model(6, q);
        let mut x = draws(&model, 60);
        x[[3, 2]] = f64::NAN;
        x[[5, 0]] = f64::NAN;
        let x = Rows::new(&x).missing_as_nan();
        let evidence = model.log_evidence(&x).unwrap();
        let full = PerDatum::default().fit(&model, &x).unwrap();
        let diagonal = PerDatum { shape: Shape::Diagonal, ..Default::default() }.fit(&model, &x).unwrap();
        let quadratic = JaakkolaJordan::default().fit(&model, &x).unwrap();
        assert_eq!((full.status, diagonal.status), (Status::Converged, Status::Converged));
        for trace in [&full.trace, &diagonal.trace, &quadratic.trace] {
            // sums of 60 rows of 6 cells
            assert!(trace.windows(2).all(|t| t[1] >= t[0] - 1e-13));
        }
        let (e_full, e_diagonal) =
            (local::elbo_rows(&model, &full.model, &x).unwrap(), local::elbo_rows(&model, &diagonal.model, &x).unwrap());
        let e_quadratic = local::elbo_rows(&model, &quadratic.model.q, &x).unwrap();
        for n in 0..60 {
            assert!(e_full[n] < evidence[n] && e_diagonal[n] <= e_full[n] + 1e-11);
            assert!(quadratic.model.bound[n] < e_quadratic[n] && e_quadratic[n] <= e_full[n] + 1e-11);
            // a Gaussian is a good guess here
            assert!(evidence[n] - e_full[n] < 0.1);
        }
    }
}

#[test]
fn the_best_gaussian_meets_the_conditions_of_bonnet_and_price() {
    let model = model(8, 3);
    let x = draws(&model, 30);
    for shape in [Shape::Full, Shape::Diagonal] {
        let q = PerDatum { shape, stopping: Stopping { max_iterations: 300, tolerance: 1e-24 } }.fit(&model, &x).unwrap().model;
        for n in 0..30 {
            let s = q.covariance(n);
            let mut d = Derivatives::new(3);
            model.expected_derivatives(&x.row(n).to_vec(), &q.mean().row(n).to_vec(), s.view(), &mut d);
            // the ELBO is flat at its top, so that its rounding, 1e-15, is the square of what the line search can see of these
            assert!(d.gradient.iter().all(|g| g.abs() < 1e-6), "{shape:?} row {n}: {}", d.gradient);
            let product = s.dot(&d.precision);
            for i in 0..3 {
                let one = if shape == Shape::Full { product[[i, i]] } else { s[[i, i]] * d.precision[[i, i]] };
                assert!((one - 1.0).abs() < 1e-6, "{shape:?} row {n}: {one}");
            }
        }
    }
}

#[test]
fn the_map_has_no_gradient_and_the_tasks_hang_together() {
    let model = model(6, 2);
    let x = draws(&model, 40);
    let map = model.map_z(&x).unwrap();
    for n in 0..40 {
        let mut g = [0.0; 2];
        model.log_joint_grad(&x.row(n).to_vec(), &map.row(n).to_vec(), &mut g);
        assert!(g.iter().all(|g| g.abs() < 1e-12));
    }
    density::shapes_fit(&model, &mut stream(5, Purpose::Sample, 3)).unwrap();
    density::rows_are_independent(&model, &x).unwrap();
    let q = model.infer(&x).unwrap();
    bound::elbo_is_below_the_evidence(&model, &q, &x, 1).unwrap();
    bound::importance_weighting_tightens(&model, &q, &x, 2).unwrap();
    const { assert!(!BernoulliFactor::EXACT) };
}

#[test]
fn draws_have_the_probabilities_of_the_model() {
    let model = model(4, 2);
    let x = draws(&model, 100_000);
    let p = model.log_evidence(&all_rows(4)).unwrap().mapv(f64::exp);
    let mut counts = [0.0; 16];
    for row in x.rows() {
        counts[(0..4).map(|j| (row[j] as usize) << j).sum::<usize>()] += 1.0;
    }
    let chi_square: f64 = counts.iter().zip(&p).map(|(c, p)| (c - 1e5 * p).powi(2) / (1e5 * p)).sum();
    // χ² of 15 degrees of freedom: above 70 with probability 5e-9
    assert!(chi_square < 70.0, "{chi_square}");
}

fn em(e_step: EStep, q: usize, iterations: usize) -> BernoulliFactorEm {
    BernoulliFactorEm { latents: q, e_step, stopping: Stopping { max_iterations: iterations, tolerance: 1e-9 }, ..Default::default() }
}

const ALL: [EStep; 4] = [EStep::Quadrature, EStep::Gaussian(Shape::Full), EStep::Gaussian(Shape::Diagonal), EStep::JaakkolaJordan];

#[test]
fn every_em_rises_and_reports_the_objective_of_its_model() {
    let x = draws(&model(6, 2), 150);
    for e_step in ALL {
        let fitted = em(e_step, 2, 25).fit(&x, 1).unwrap();
        // 150 rows of 6 cells, and E-steps that end 1e-12 short
        assert!(fitted.trace.windows(2).all(|t| t[1] >= t[0] - 1e-11), "{e_step:?}: {:?}", fitted.trace);
        let truth = fitted.model.log_evidence(&x).unwrap().mean().unwrap();
        match e_step {
            // the grid's step of ¼ is exact to 1e-8 for loadings of this size
            EStep::Quadrature => assert!((fitted.objective() - truth).abs() < 1e-7, "{} {truth}", fitted.objective()),
            EStep::Gaussian(shape) => {
                let q = PerDatum { shape, ..Default::default() }.fit(&fitted.model, &x).unwrap();
                // the E-step inside may end short of the optimum
                assert!((fitted.objective() - q.objective()).abs() < 1e-9 && q.objective() < truth);
            }
            EStep::JaakkolaJordan => assert!(fitted.objective() < truth),
        }
    }
}

#[test]
fn em_by_quadrature_ends_where_the_likelihood_is_highest() {
    let truth = model(5, 1);
    let x = draws(&truth, 2000);
    // 2000 draws are 32 different rows with weights
    let mut weights = Array1::zeros(32);
    x.rows().into_iter().for_each(|row| weights[(0..5).map(|j| (row[j] as usize) << j).sum::<usize>()] += 1.0);
    let cells = all_rows(5);
    let x = Rows::new(&cells).weighted(weights.view()).unwrap();
    let likelihood = |m: &BernoulliFactor| m.log_evidence(&cells).unwrap().dot(&weights) / 2000.0;
    let best = em(EStep::Quadrature, 1, 2000).fit(&x, 1).unwrap();
    assert_eq!(best.status, Status::Converged);
    let top = likelihood(&best.model);
    assert!(top > likelihood(&truth));
    // Fisher's identity: the gradient of the log-likelihood vanishes; by central differences in each parameter
    use lvm_vi::local::LearnedModel;
    let theta = best.model.parameters();
    for i in 0..theta.len() {
        let at = |e: f64| {
            let mut moved = theta.clone();
            moved[i] += e;
            likelihood(&best.model.with_parameters(&moved).unwrap())
        };
        let slope = (at(1e-4) - at(-1e-4)) / 2e-4;
        // EM stops 1e-9 nats an iteration short, at a rate of about 0.95
        assert!(slope.abs() < 2e-4, "parameter {i}: {slope}");
    }
    // variational EM ends beside it, never above
    let [gaussian, quadratic] = [EStep::Gaussian(Shape::Full), EStep::JaakkolaJordan].map(|e_step| {
        let variational = em(e_step, 1, 2000).fit(&x, 1).unwrap();
        let reached = likelihood(&variational.model);
        assert!(reached < top && variational.objective() < reached, "{e_step:?}: {reached} {top}");
        top - reached
    });
    // the looser the bound, the further away
    assert!(gaussian < 0.01 && gaussian < quadratic, "{gaussian} {quadratic}");
}

#[test]
fn weights_threads_and_missing_entries() {
    let mut x = draws(&model(5, 2), 120);
    for e_step in ALL {
        let fit = |x: &dyn RowSource| -> Result<Vec<f64>> {
            let fitted = em(e_step, 2, 4).fit(x, 1)?;
            Ok(fitted.model.loadings().iter().copied().chain([fitted.objective()]).collect())
        };
        invariance::threads_do_not_matter(&fit, &x).unwrap();
        // four iterations on sums in another order
        invariance::weights_are_repetition(&fit, &x, 1e-9).unwrap();
    }
    (0..120).step_by(3).for_each(|n| x[[n, n % 5]] = f64::NAN);
    let rows = Rows::new(&x).missing_as_nan();
    for e_step in ALL {
        let fitted = em(e_step, 2, 10).fit(&rows, 1).unwrap();
        assert!(fitted.trace.windows(2).all(|t| t[1] >= t[0] - 1e-11), "{e_step:?}");
    }
}

#[test]
fn a_fit_can_be_resumed() {
    let x = draws(&model(5, 1), 100);
    let first = em(EStep::Quadrature, 1, 3).fit(&x, 1).unwrap();
    let rest = BernoulliFactorEm { start: Start::Parameters(first.model), ..em(EStep::Quadrature, 1, 2) }.fit(&x, 1).unwrap();
    assert_eq!(rest.model, em(EStep::Quadrature, 1, 5).fit(&x, 1).unwrap().model);
}

#[test]
fn bad_input_is_named() {
    let model = model(3, 1);
    let mut x = all_rows(3);
    x[[4, 1]] = 0.5;
    let error = model.infer(&x).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::OutsideSupport { row: 4, column: 1, .. }), "{error}");
    assert!(error.to_string().contains("0 and 1"));
    assert!(em(EStep::JaakkolaJordan, 1, 5).fit(&x, 0).is_err());
    assert!(matches!(em(EStep::Quadrature, 3, 5).fit(&all_rows(3), 0).unwrap_err().kind(), ErrorKind::Config { field: "e_step", .. }));
    let constant = Array2::from_shape_fn((10, 2), |(n, j)| if j == 1 { 1.0 } else { (n % 2) as f64 });
    for e_step in ALL {
        let error = em(e_step, 1, 5).fit(&constant, 0).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ConstantColumns { columns } if columns[0].0 == 1), "{e_step:?}: {error}");
    }
    assert!(BernoulliFactor::new(array![[f64::NAN]], array![0.0]).is_err());
    assert!(BernoulliFactor::new(array![[1.0], [2.0]], array![0.0]).is_err());
    let big = BernoulliFactor::new(Array2::ones((4, 3)), Array1::zeros(4)).unwrap();
    assert!(big.log_evidence(&all_rows(4)).unwrap_err().to_string().contains("at most 2"));
}
