//! The five tasks of a fixed mixture: identities between densities, draws, conditionals, imputation.

use lvm_core::gmm::{CovarianceType, Covariances, GaussianMixture};
use lvm_core::model::{Evidence, Infer, LatentDist, LatentModel, MapLatent};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::Rows;
use ndarray::{Array1, Array2, Array3, Axis, array};

fn mixture(covariance: CovarianceType) -> GaussianMixture {
    let sigma = |k: f64| array![[1.0 + k, 0.3, -0.2 * k], [0.3, 0.8, 0.1], [-0.2 * k, 0.1, 1.5]];
    let covariances = match covariance {
        CovarianceType::Full => Covariances::Full(Array3::from_shape_fn((2, 3, 3), |(k, i, j)| sigma(k as f64)[[i, j]])),
        CovarianceType::Tied => Covariances::Tied(sigma(0.5)),
        CovarianceType::Diagonal => Covariances::Diagonal(array![[1.0, 2.0, 0.5], [0.3, 0.7, 1.2]]),
        CovarianceType::Spherical => Covariances::Spherical(array![1.3, 0.6]),
    };
    GaussianMixture::new(array![0.35, 0.65], array![[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]], covariances).unwrap()
}

fn rows() -> Array2<f64> {
    let m = mixture(CovarianceType::Full);
    let mut rng = stream(3, Purpose::Sample, 0);
    let z = m.sample_z(40, &mut rng);
    m.sample_x(&z, &mut rng).unwrap()
}

fn close(a: &Array1<f64>, b: &Array1<f64>) {
    // a handful of roundings in three dimensions at condition numbers below 10
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-13 * b.abs().max(1.0)), "{a} {b}");
}

#[test]
fn bayes_identity_and_labels() {
    let x = rows();
    for covariance in CovarianceType::ALL {
        let m = mixture(covariance);
        let (posterior, evidence) = (m.infer(&x).unwrap(), m.log_evidence(&x).unwrap());
        for k in 0..2 {
            let z = Array1::from_elem(40, k);
            close(&(m.log_joint(&x, &z).unwrap() - posterior.log_prob(&z).unwrap()), &evidence);
        }
        assert_eq!(m.map_z(&x).unwrap(), posterior.mode());
        close(&posterior.probabilities().sum_axis(Axis(1)), &Array1::ones(40));
        let entropy = posterior.probabilities().mapv(|g| if g > 0.0 { -g * g.ln() } else { 0.0 }).sum_axis(Axis(1));
        close(&posterior.entropy(), &entropy);
    }
}

#[test]
fn missing_entries_are_the_marginal_mixture() {
    let mut x = rows();
    x.column_mut(1).fill(f64::NAN);
    let observed = x.select(Axis(1), &[0, 2]);
    for covariance in CovarianceType::ALL {
        let m = mixture(covariance);
        let marginal = m.marginal(&[0, 2]).unwrap();
        let data = Rows::new(&x).missing_as_nan();
        close(&m.log_evidence(&data).unwrap(), &marginal.log_evidence(&observed).unwrap());
        let (a, b) = (m.responsibilities(&data).unwrap(), marginal.responsibilities(&observed).unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-13));
    }
}

#[test]
fn a_row_with_nothing_observed_says_nothing() {
    let x = Array2::from_elem((1, 3), f64::NAN);
    for covariance in CovarianceType::ALL {
        let m = mixture(covariance);
        let data = Rows::new(&x).missing_as_nan();
        assert!(m.log_evidence(&data).unwrap()[0].abs() < 1e-15);
        close(&m.responsibilities(&data).unwrap().row(0).to_owned(), m.weights());
        let imputed = m.impute(&data).unwrap();
        close(&imputed.x.row(0).to_owned(), &m.weights().dot(m.means()));
    }
}

#[test]
fn conditional_times_marginal_is_joint() {
    let x = rows();
    for covariance in CovarianceType::ALL {
        let m = mixture(covariance);
        for observed in [vec![], vec![1], vec![2, 0]] {
            let rest: Vec<usize> = (0..3).filter(|j| !observed.contains(j)).collect();
            for row in x.outer_iter() {
                let conditional = m.conditional(&observed, row.select(Axis(0), &observed).view()).unwrap();
                let a = conditional.log_evidence(&row.select(Axis(0), &rest).insert_axis(Axis(0))).unwrap();
                let b = if observed.is_empty() {
                    array![0.0]
                } else {
                    let chosen = row.select(Axis(0), &observed).insert_axis(Axis(0));
                    m.marginal(&observed).unwrap().log_evidence(&chosen).unwrap()
                };
                close(&(a + b), &m.log_evidence(&row.to_owned().insert_axis(Axis(0))).unwrap());
            }
        }
    }
}

#[test]
fn imputation_is_the_moments_of_the_conditional_mixture() {
    let complete = rows();
    let mut x = complete.clone();
    for (i, mut row) in x.outer_iter_mut().enumerate() {
        match i % 4 {
            0 => row[0] = f64::NAN,
            1 => (row[0], row[2]) = (f64::NAN, f64::NAN),
            2 => row[1] = f64::NAN,
            _ => {}
        }
    }
    for covariance in CovarianceType::ALL {
        let m = mixture(covariance);
        let imputed = m.impute(&x).unwrap();
        assert_eq!(imputed.blocks.len(), 30);
        assert!(imputed.blocks.windows(2).all(|w| w[0].row < w[1].row));
        for block in &imputed.blocks {
            let observed: Vec<usize> = (0..3).filter(|j| !block.columns.contains(j)).collect();
            let c = m.conditional(&observed, complete.row(block.row).select(Axis(0), &observed).view()).unwrap();
            let mean = c.weights().dot(c.means());
            let mut second = Array2::<f64>::zeros((mean.len(), mean.len()));
            for k in 0..2 {
                let y = (&c.means().row(k) - &mean).insert_axis(Axis(1));
                second = second + c.weights()[k] * (c.covariances().matrix(k, mean.len()).as_ref() + &y.dot(&y.t()));
            }
            close(&block.mean, &mean);
            assert!((&block.covariance - &second).iter().all(|v| v.abs() < 1e-13));
            assert!(block.columns.iter().zip(&block.mean).all(|(&j, v)| imputed.x[[block.row, j]] == *v));
        }
        for (a, b) in imputed.x.iter().zip(&x).filter(|(_, b)| !b.is_nan()) {
            assert_eq!(a, b);
        }
    }
}

#[test]
fn draws_have_the_moments_of_their_component() {
    let mut rng = stream(11, Purpose::Sample, 0);
    let n = 20_000;
    for covariance in CovarianceType::ALL {
        let m = mixture(covariance);
        for k in 0..2 {
            let x = m.sample_component(k, n, &mut rng).unwrap();
            let sigma = m.covariances().matrix(k, 3).into_owned();
            let found = lvm_core::moments::moments(&x).unwrap();
            // 5 standard errors: about 1e-6 each, 72 comparisons over all types, so 1e-4 in all; the seed is fixed
            for i in 0..3 {
                assert!((found.mean[i] - m.means()[[k, i]]).abs() < 5.0 * (sigma[[i, i]] / n as f64).sqrt());
                for j in 0..=i {
                    let se = ((sigma[[i, i]] * sigma[[j, j]] + sigma[[i, j]].powi(2)) / n as f64).sqrt();
                    assert!((found.covariance[[i, j]] - sigma[[i, j]]).abs() < 5.0 * se);
                }
            }
        }
        let share = m.sample_z(n, &mut rng).iter().filter(|z| **z == 1).count() as f64 / n as f64;
        assert!((share - 0.65).abs() < 5.0 * (0.65 * 0.35 / n as f64).sqrt());
        let x = rows();
        let posterior = m.infer(&x).unwrap();
        let mean = (0..2000).map(|_| posterior.sample(&mut rng)[7] as f64).sum::<f64>() / 2000.0;
        let p = posterior.probabilities()[[7, 1]];
        assert!((mean - p).abs() < 5.0 * (p * (1.0 - p) / 2000.0).sqrt() + 1e-12);
    }
}

#[test]
fn equal_parameters_give_bit_equal_scores() {
    let x = rows();
    for covariance in CovarianceType::ALL {
        let m = mixture(covariance);
        let again = GaussianMixture::new(m.weights().clone(), m.means().clone(), m.covariances().clone()).unwrap();
        assert_eq!(m.log_evidence(&x).unwrap(), again.log_evidence(&x).unwrap());
    }
}

#[test]
fn ill_conditioned_covariances_keep_their_digits() {
    // reference values at 50 digits; scikit-learn issue 29989
    let hilbert = Array2::from_shape_fn((6, 6), |(i, j)| 1.0 / (i + j + 1) as f64);
    let check = |sigma: Array2<f64>, x: Array2<f64>, expected: f64| {
        let d = x.ncols();
        let m = GaussianMixture::new(array![1.0], Array2::zeros((1, d)), Covariances::Tied(sigma)).unwrap();
        let found = m.log_evidence(&x).unwrap()[0];
        // condition number 1.5e7 times ε is 3e-9
        assert!((found - expected).abs() < 1e-8 * expected.abs(), "{found} {expected}");
    };
    check(hilbert, Array2::ones((1, 6)), -3.630527846507787);
    check(array![[156.25637361, -31.26969455], [-31.26969455, 6.33006684]], array![[1.0, -0.2]], -3.054340124084841);
}

#[test]
fn far_tails_stay_finite() {
    // reference values at 50 digits
    let m = GaussianMixture::new(array![0.3, 0.7], array![[0.0], [1.0]], Covariances::Spherical(array![1.0, 4.0])).unwrap();
    let x = array![[0.5], [-40.0], [1000.0], [1e8]];
    let density = [-1.423151563699295, -212.09376065770334, -124752.0937606577, -1249999975000002.0];
    let first = [-0.8247597738313136, -590.0291506798272, -375250.0291506798, -3750000025000000.0];
    let (evidence, log) = (m.log_evidence(&x).unwrap(), m.log_responsibilities(&x).unwrap());
    for i in 0..4 {
        assert!((evidence[i] - density[i]).abs() < 1e-12 * density[i].abs());
        assert!((log[[i, 0]] - first[i]).abs() < 1e-12 * first[i].abs());
        assert!((log.row(i).mapv(f64::exp).sum() - 1.0).abs() < 1e-12);
    }
    let m = GaussianMixture::new(array![1e-12, 0.999999999999], array![[0.0], [0.0]], Covariances::Spherical(array![1e-6, 100.0])).unwrap();
    let evidence = m.log_evidence(&array![[0.0], [0.01], [30.0]]).unwrap();
    for (found, expected) in evidence.iter().zip([-3.2215236161997183, -3.2215241261997183, -7.721523626199718]) {
        assert!((found - expected).abs() < 1e-12 * f64::abs(expected));
    }
}
