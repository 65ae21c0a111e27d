//! Every family against dense formulas and differences.

use crate::targets::{LOG_2PI, differences};
use lvm_core::linalg;
use lvm_core::random::{Purpose, stream};
use lvm_vi::family::{Categorical, Family, FullRank, Gaussian, LowRank, MeanField, Variational, kl};
use ndarray::{Array1, Array2, ArrayView1, array};

pub(crate) fn mean_field() -> MeanField {
    MeanField::new(&[0.3, -0.2, 1.1], &[0.7, 1.3, 0.4]).unwrap()
}

pub(crate) fn full_rank() -> FullRank {
    FullRank::new(&[0.3, -0.2, 1.1], array![[1.0, 0.3, -0.2], [0.3, 0.8, 0.1], [-0.2, 0.1, 0.5]].view()).unwrap()
}

pub(crate) fn low_rank() -> LowRank {
    LowRank::new(&[0.3, -0.2, 1.1], &[0.5, 0.8, 0.3], array![[0.4, -0.3], [0.9, 0.2], [-0.5, 0.6]].view()).unwrap()
}

const Z: [f64; 3] = [0.9, -1.4, 0.25];
const NOISE: [f64; 5] = [0.4, -1.1, 0.7, 1.9, -0.3];

/// Values of order 1 to 10 through a few dozen operations, or extrapolated differences good to 1e-9.
fn close(a: f64, b: f64, what: &str) {
    assert!((a - b).abs() <= 2e-9 * b.abs().max(1.0), "{what}: {a} beside {b}");
}

fn all_close(a: &[f64], b: &[f64], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    a.iter().zip(b).for_each(|(a, b)| close(*a, *b, what));
}

fn dense_log_prob(mean: &Array1<f64>, covariance: &Array2<f64>, z: &[f64]) -> f64 {
    let l = linalg::cholesky(covariance.view()).unwrap();
    let mut e = (&ArrayView1::from(z) - mean).insert_axis(ndarray::Axis(1));
    linalg::solve_lower(l.view(), e.view_mut());
    -0.5 * (e.iter().map(|v| v * v).sum::<f64>() + linalg::log_det(l.view()) + z.len() as f64 * LOG_2PI)
}

/// T is affine in the noise, so that the mean over it is a sum over unit vectors: E[(∂T/∂λ)ᵀ g] = P(0, c) + Σ_k [P(e_k, H s_k) − P(0, H s_k)],
/// with the pullback P and the columns s_k of the factor.
fn expected_pullback<F: Gaussian>(q: &F) {
    let (c, h) = ([0.7, -1.2, 0.4], array![[-2.0, 0.3, 0.1], [0.5, -1.0, -0.7], [0.2, 0.9, 0.6]]);
    let mut found = vec![1.0; q.parameters().len()];
    q.add_expected_pullback(&c, h.view(), &mut found);
    let mut noise = vec![0.0; q.noise_dim()];
    let mut sum = vec![1.0; q.parameters().len()];
    q.add_pullback(&noise, &c, &mut sum);
    for k in 0..q.noise_dim() {
        let mut column = vec![0.0; q.dim()];
        q.factor_column(k, &mut column);
        noise.fill(0.0);
        noise[k] = 1.0;
        let slope = h.dot(&Array1::from(column));
        q.add_pullback(&noise, &slope.to_vec(), &mut sum);
        noise.fill(0.0);
        q.add_pullback(&noise, &(-slope).to_vec(), &mut sum);
    }
    all_close(&found, &sum, "expected pullback");
}

/// All identities of a Gaussian family.
fn gaussian<F: Gaussian>(q: &F) {
    let (d, p) = (q.dim(), q.parameters().to_vec());
    let noise = &NOISE[..q.noise_dim()];
    close(q.log_prob(&Z), dense_log_prob(&q.mean(), &q.covariance(), &Z), "log density");
    let mut score = vec![1.0; p.len()];
    q.add_score(&Z, 2.0, &mut score);
    let numeric = differences(|p| q.with_parameters(p).unwrap().log_prob(&Z), &p);
    all_close(&score, &numeric.iter().map(|g| 1.0 + 2.0 * g).collect::<Vec<_>>(), "score");
    let mut in_z = vec![1.0; d];
    q.add_log_prob_grad(&Z, &mut in_z);
    all_close(&in_z, &differences(|z| q.log_prob(z), &Z).iter().map(|g| 1.0 + g).collect::<Vec<_>>(), "gradient in z");
    let g = [0.7, -1.2, 0.4];
    let mut pulled = vec![1.0; p.len()];
    q.add_pullback(noise, &g, &mut pulled);
    expected_pullback(q);
    let along = |p: &[f64]| {
        let mut z = [0.0; 3];
        q.with_parameters(p).unwrap().transform(noise, &mut z);
        z.iter().zip(&g).map(|(z, g)| z * g).sum()
    };
    all_close(&pulled, &differences(along, &p).iter().map(|g| 1.0 + g).collect::<Vec<_>>(), "pullback");
    let mut entropy = vec![1.0; p.len()];
    q.add_entropy_grad(3.0, &mut entropy);
    let numeric = differences(|p| q.with_parameters(p).unwrap().entropy(), &p);
    all_close(&entropy, &numeric.iter().map(|g| 1.0 + 3.0 * g).collect::<Vec<_>>(), "gradient of the entropy");
    let log_det = linalg::log_det(linalg::cholesky(q.covariance().view()).unwrap().view());
    close(q.log_det(), log_det, "log determinant");
    close(q.entropy(), 0.5 * (log_det + d as f64 * (LOG_2PI + 1.0)), "entropy");
    let mut square = Array2::<f64>::zeros((d, d));
    for k in 0..q.noise_dim() {
        let mut column = Array1::zeros(d);
        q.factor_column(k, column.as_slice_mut().unwrap());
        for i in 0..d {
            (0..d).for_each(|j| square[[i, j]] += column[i] * column[j]);
        }
    }
    all_close(square.as_slice().unwrap(), q.covariance().as_slice().unwrap(), "S Sᵀ");
    all_close(q.standard_deviations().as_slice().unwrap(), &q.covariance().diag().mapv(f64::sqrt).to_vec(), "standard deviations");
    sampling(q);
}

/// Draws have the mean and the covariance said: 9 comparisons of z-scores below 6, so it fails by chance with probability 2e-8.
fn sampling<F: Family>(q: &F) {
    let (n, mut rng) = (40_000, stream(11, Purpose::Sample, 0));
    let (mean, covariance) = (q.mean(), q.covariance());
    let (mut first, mut second) = ([0.0; 3], [[0.0; 3]; 3]);
    for _ in 0..n {
        let mut z = [0.0; 3];
        q.sample(&mut rng, &mut z);
        for i in 0..3 {
            first[i] += z[i] - mean[i];
            (0..=i).for_each(|j| second[i][j] += (z[i] - mean[i]) * (z[j] - mean[j]));
        }
    }
    let root = f64::from(n).sqrt();
    for i in 0..3 {
        assert!((first[i] / root / covariance[[i, i]].sqrt()).abs() < 6.0);
        for j in 0..=i {
            // Var(z_i z_j) = Σ_ii Σ_jj + Σ_ij²
            let sd = (covariance[[i, i]] * covariance[[j, j]] + covariance[[i, j]].powi(2)).sqrt();
            assert!(((second[i][j] / f64::from(n) - covariance[[i, j]]) * root / sd).abs() < 6.0);
        }
    }
}

#[test]
fn gaussian_families_meet_dense_formulas() {
    gaussian(&mean_field());
    gaussian(&full_rank());
    gaussian(&low_rank());
}

fn dense_kl<Q: Gaussian, P: Gaussian>(q: &Q, p: &P) -> f64 {
    let precision = linalg::cholesky_inverse(linalg::cholesky(p.covariance().view()).unwrap().view());
    let shift = q.mean() - p.mean();
    let log_det = |c: Array2<f64>| linalg::log_det(linalg::cholesky(c.view()).unwrap().view());
    0.5 * ((&precision * &q.covariance()).sum() + shift.dot(&precision.dot(&shift)) - q.dim() as f64 + log_det(p.covariance())
        - log_det(q.covariance()))
}

fn pair<Q: Gaussian, P: Gaussian>(q: &Q, p: &P) {
    close(kl(q, p).unwrap(), dense_kl(q, p), "KL(q ‖ p)");
    close(kl(p, q).unwrap(), dense_kl(p, q), "KL(p ‖ q)");
}

#[test]
fn divergences_between_families_meet_the_dense_formula() {
    let moved = mean_field().with_parameters(&[0.0, 0.1, 0.2, 0.3, -0.4, 0.5]).unwrap();
    pair(&moved, &mean_field());
    pair(&mean_field(), &full_rank());
    pair(&mean_field(), &low_rank());
    pair(&full_rank(), &low_rank());
    let same = FullRank::new(&low_rank().mean().to_vec(), low_rank().covariance().view()).unwrap();
    // zero up to the rounding of a 3 x 3 factorisation
    assert!(kl(&same, &low_rank()).unwrap() < 1e-14);
    assert!(kl(&full_rank(), &MeanField::standard(2).unwrap()).is_err());
}

#[test]
fn categorical_scores_and_entropy_meet_differences() {
    let q = Categorical::new(array![[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]].view()).unwrap();
    let p = q.parameters().to_vec();
    let z = [2.0, 0.0];
    let mut score = vec![0.0; 6];
    q.add_score(&z, 1.0, &mut score);
    all_close(&score, &differences(|p| q.with_parameters(p).unwrap().log_prob(&z), &p), "score");
    let mut entropy = vec![0.0; 6];
    q.add_entropy_grad(1.0, &mut entropy);
    all_close(&entropy, &differences(|p| q.with_parameters(p).unwrap().entropy(), &p), "gradient of the entropy");
    let values = array![[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]];
    close(q.expectation(values.view()).unwrap(), 0.2 + 0.6 + 1.5 + 6.0 + 6.0 + 3.0, "expectation");
    let (n, mut rng, mut counts) = (40_000, stream(5, Purpose::Sample, 0), [[0u32; 3]; 2]);
    for _ in 0..n {
        let mut z = [0.0; 2];
        q.sample(&mut rng, &mut z);
        z.iter().enumerate().for_each(|(i, z)| counts[i][*z as usize] += 1);
    }
    for ((i, k), p) in q.probabilities().indexed_iter() {
        let sd = (p * (1.0 - p) * f64::from(n)).sqrt();
        // six z-scores below 6: fails by chance with probability 2e-8
        assert!(((f64::from(counts[i][k]) - p * f64::from(n)) / sd).abs() < 6.0);
    }
}

#[test]
fn a_factor_is_never_lost_between_mean_covariance_and_parameters() {
    let q = full_rank();
    let again = FullRank::from_factor(&q.mean().to_vec(), q.factor().view()).unwrap();
    assert_eq!(q, again);
}
