//! Against dense D × D formulas, written without Woodbury.

use super::*;
use crate::model::{Evidence, Infer, LatentDist, MapLatent};
use crate::random::{Purpose, stream};
use crate::rows::Rows;
use ndarray::array;

/// log N(x_o; μ_o, C_oo) and E[x_m | x_o], Cov[x_m | x_o] by dense solves.
fn dense(model: &LinearGaussian, x: &[f64]) -> (f64, Vec<f64>, Array2<f64>) {
    let c = model.covariance();
    let (o, m): (Vec<usize>, Vec<usize>) = (0..x.len()).partition(|&j| !x[j].is_nan());
    let pick = |a: &[usize], b: &[usize]| Array2::from_shape_fn((a.len(), b.len()), |(i, j)| c[[a[i], b[j]]]);
    if o.is_empty() {
        return (0.0, model.mean().to_vec(), c);
    }
    let l = linalg::cholesky(pick(&o, &o).view()).unwrap();
    let r = Array2::from_shape_fn((o.len(), 1), |(i, _)| x[o[i]] - model.mean()[o[i]]);
    let mut solved = r.clone();
    linalg::cholesky_solve(l.view(), solved.view_mut());
    let log = -0.5 * (o.len() as f64 * LOG_2PI + linalg::log_det(l.view()) + (&r * &solved).sum());
    let mean = pick(&m, &o).dot(&solved);
    let mut half = pick(&o, &m);
    linalg::cholesky_solve(l.view(), half.view_mut());
    (log, m.iter().enumerate().map(|(i, &j)| model.mean()[j] + mean[[i, 0]]).collect(), pick(&m, &m) - pick(&m, &o).dot(&half))
}

/// A model of d columns and q latents with uneven noise, and n rows drawn from it.
fn drawn(d: usize, q: usize, n: usize, seed: u64) -> (LinearGaussian, Array2<f64>) {
    let mut rng = stream(seed, Purpose::Sample, 0);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let mean = Array1::from_shape_simple_fn(d, &mut normal);
    let loadings = Array2::from_shape_simple_fn((d, q), &mut normal);
    let noise = Array1::from_shape_simple_fn(d, || (0.7 * normal()).exp());
    let model = LinearGaussian::new(mean, loadings, noise).unwrap();
    let z = model.sample_z(n, &mut rng);
    let x = model.sample_x(&z, &mut rng).unwrap();
    (model, x)
}

/// Relative to the size of the numbers; 1e-11 leaves four digits for the dense twin's condition number.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-11 * (1.0 + a.abs().max(b.abs()))
}

#[test]
fn evidence_and_imputation_are_the_dense_ones_whatever_is_missing() {
    for (d, q) in [(1, 0), (1, 1), (3, 0), (4, 2), (5, 4), (5, 5), (70, 3)] {
        let (model, mut x) = drawn(d, q, 200, 7);
        for i in 0..200 {
            for j in 0..d {
                if (i * 7 + j * 13) % 5 == 0 && i % 3 > 0 {
                    x[[i, j]] = f64::NAN;
                }
            }
        }
        x.row_mut(7).fill(f64::NAN);
        let rows = Rows::new(&x).missing_as_nan();
        let log_evidence = model.log_evidence(&rows).unwrap();
        let imputed = model.impute(&rows).unwrap();
        for i in 0..200 {
            let (log, mean, covariance) = dense(&model, x.row(i).as_slice().unwrap());
            assert!(close(log, log_evidence[i]), "{d} {q} row {i}: {log} {}", log_evidence[i]);
            match imputed.blocks.iter().find(|b| b.row == i) {
                None => assert!(mean.is_empty()),
                Some(b) => {
                    assert!(b.mean.iter().zip(&mean).all(|(a, b)| close(*a, *b)));
                    assert!(b.covariance.iter().zip(&covariance).all(|(a, b)| close(*a, *b)));
                    assert!(b.columns.iter().zip(&mean).all(|(&j, m)| close(imputed.x[[i, j]], *m)));
                }
            }
        }
        assert!(close(model.log_likelihood(&rows).unwrap(), log_evidence.sum()));
    }
}

#[test]
fn bayes_identity_holds_row_by_row() {
    for q in [0, 1, 3, 6] {
        let (model, mut x) = drawn(6, q, 50, 3);
        x[[4, 2]] = f64::NAN;
        let rows = Rows::new(&x).missing_as_nan();
        let posterior = model.infer(&rows).unwrap();
        let mut rng = stream(1, Purpose::Sample, 0);
        let z = posterior.sample(&mut rng);
        let joint = model.log_joint(&rows, &z).unwrap();
        let conditional = posterior.log_prob(&z).unwrap();
        let evidence = model.log_evidence(&rows).unwrap();
        assert!((0..50).all(|n| close(joint[n] - conditional[n], evidence[n])));
        assert_eq!(posterior.mode(), model.map_z(&rows).unwrap());
        assert!(
            !posterior.shares_covariance() && model.infer(&x.slice_axis(Axis(0), ndarray::Slice::from(..4))).unwrap().shares_covariance()
        );
    }
}

#[test]
fn small_noise_costs_no_digits() {
    // x on the line spanned by w: log p = log N(0; 0, C) − ½ t²/(1 + σ²/‖w‖²) with t = 1, to the last digits although 1/σ² = 1e14
    let psi = 1e-14;
    let model = LinearGaussian::new(array![0.0, 0.0], array![[3.0], [4.0]], array![psi, psi]).unwrap();
    let log = model.log_evidence(&array![[3.0, 4.0]]).unwrap()[0];
    let expected = -0.5 * (2.0 * LOG_2PI + (25.0 + psi).ln() + psi.ln() + 1.0 / (1.0 + psi / 25.0));
    assert!((log - expected).abs() < 1e-12, "{log} {expected}");
}

#[test]
fn parameters_that_are_no_model_are_refused() {
    let (mean, loadings, noise) = (array![0.0, 0.0], array![[1.0], [1.0]], array![1.0, 1.0]);
    assert!(LinearGaussian::new(array![0.0], loadings.clone(), noise.clone()).is_err());
    assert!(LinearGaussian::new(mean.clone(), loadings.clone(), array![1.0, 0.0]).is_err());
    assert!(LinearGaussian::new(mean.clone(), array![[f64::NAN], [1.0]], noise.clone()).is_err());
    assert!(LinearGaussian::new(mean.clone(), Array2::zeros((2, 3)), noise.clone()).is_err());
    let model = LinearGaussian::new(mean, loadings, noise).unwrap();
    assert!(matches!(model.log_evidence(&array![[1.0]]).unwrap_err().kind(), ErrorKind::Shape { expected: 2, found: 1, .. }));
    assert!(model.log_evidence(&array![[1.0, f64::NAN]]).is_err());
    assert!(model.sample_x(&array![[1.0, 2.0]], &mut stream(0, Purpose::Sample, 0)).is_err());
}
