//! One iteration of EM and every density against a twin written from the textbook: explicit inverses, one row at a time, one matrix a
//! component, missing entries by blocks.

use lvm_core::fit::Stopping;
use lvm_core::gmm::{CovarianceType, Covariances, GaussianMixture, GmmEm, Start};
use lvm_core::model::Evidence;
use lvm_core::random::{Purpose, Stream, stream};
use lvm_core::rows::Rows;
use ndarray::{Array1, Array2, Array3, ArrayView1, Axis};
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use rand::RngExt;

/// Inverse and determinant by Gauss–Jordan elimination without pivoting, which positive definite matrices do not need.
fn inverse(a: &Array2<f64>) -> (Array2<f64>, f64) {
    let n = a.nrows();
    let (mut a, mut b, mut determinant) = (a.clone(), Array2::eye(n), 1.0);
    for p in 0..n {
        let pivot = a[[p, p]];
        determinant *= pivot;
        for j in 0..n {
            a[[p, j]] /= pivot;
            b[[p, j]] /= pivot;
        }
        for i in (0..n).filter(|i| *i != p) {
            let f = a[[i, p]];
            for j in 0..n {
                a[[i, j]] -= f * a[[p, j]];
                b[[i, j]] -= f * b[[p, j]];
            }
        }
    }
    (b, determinant)
}

struct Twin {
    weights: Vec<f64>,
    means: Array2<f64>,
    covariances: Vec<Array2<f64>>,
}

/// log N(x_o), E[x], Cov[x] given the observed entries of one row.
fn condition(x: ArrayView1<'_, f64>, mean: ArrayView1<'_, f64>, sigma: &Array2<f64>) -> (f64, Array1<f64>, Array2<f64>) {
    let d = x.len();
    let o: Vec<usize> = (0..d).filter(|j| !x[*j].is_nan()).collect();
    let m: Vec<usize> = (0..d).filter(|j| x[*j].is_nan()).collect();
    let block = |a: &[usize], b: &[usize]| Array2::from_shape_fn((a.len(), b.len()), |(i, j)| sigma[[a[i], b[j]]]);
    let (precision, determinant) = inverse(&block(&o, &o));
    let y: Array1<f64> = o.iter().map(|&j| x[j] - mean[j]).collect();
    let log_p = -0.5 * (o.len() as f64 * (2.0 * std::f64::consts::PI).ln() + determinant.ln() + y.dot(&precision.dot(&y)));
    let b = block(&m, &o).dot(&precision);
    let (shift, c) = (b.dot(&y), block(&m, &m) - b.dot(&block(&o, &m)));
    let (mut full, mut covariance) = (x.to_owned(), Array2::zeros((d, d)));
    for (i, &j) in m.iter().enumerate() {
        full[j] = mean[j] + shift[i];
        for (l, &q) in m.iter().enumerate() {
            covariance[[j, q]] = c[[i, l]];
        }
    }
    (log_p, full, covariance)
}

impl Twin {
    fn of(m: &GaussianMixture) -> Twin {
        let (k, d) = m.means().dim();
        let covariances = (0..k).map(|k| m.covariances().matrix(k, d).into_owned()).collect();
        Twin { weights: m.weights().to_vec(), means: m.means().clone(), covariances }
    }

    /// log p(x_n) of each row, and the parameters after one iteration.
    fn iterate(&self, x: &Array2<f64>, w: &Array1<f64>, covariance: CovarianceType) -> (Vec<f64>, GaussianMixture) {
        let (k, d) = self.means.dim();
        let (mut log_p, mut seen) = (Vec::new(), Vec::new());
        for row in x.outer_iter() {
            let parts: Vec<_> = (0..k).map(|k| condition(row, self.means.row(k), &self.covariances[k])).collect();
            let joint: Vec<f64> = (0..k).map(|k| self.weights[k].ln() + parts[k].0).collect();
            let top = joint.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            log_p.push(top + joint.iter().map(|j| (j - top).exp()).sum::<f64>().ln());
            let gamma: Vec<f64> = joint.iter().map(|j| (j - log_p[log_p.len() - 1]).exp()).collect();
            seen.push((gamma, parts));
        }
        let count: Vec<f64> = (0..k).map(|k| seen.iter().zip(w).map(|(s, w)| w * s.0[k]).sum()).collect();
        let mut means = Array2::zeros((k, d));
        let mut sigma = Array3::<f64>::zeros((k, d, d));
        for k in 0..k {
            for (s, w) in seen.iter().zip(w) {
                means.row_mut(k).scaled_add(w * s.0[k] / count[k], &s.1[k].1);
            }
            for (s, w) in seen.iter().zip(w) {
                let y = (&s.1[k].1 - &means.row(k)).insert_axis(Axis(1));
                let term = y.dot(&y.t()) + &s.1[k].2;
                sigma.index_axis_mut(Axis(0), k).scaled_add(w * s.0[k] / count[k], &term);
            }
        }
        let total: f64 = w.sum();
        let share = Array1::from(count) / total;
        let covariances = match covariance {
            CovarianceType::Full => Covariances::Full(sigma),
            CovarianceType::Tied => {
                Covariances::Tied((0..k).fold(Array2::zeros((d, d)), |s, k| s + share[k] * &sigma.index_axis(Axis(0), k)))
            }
            CovarianceType::Diagonal => Covariances::Diagonal(Array2::from_shape_fn((k, d), |(k, j)| sigma[[k, j, j]])),
            CovarianceType::Spherical => {
                Covariances::Spherical((0..k).map(|k| sigma.index_axis(Axis(0), k).diag().sum() / d as f64).collect())
            }
        };
        (log_p, GaussianMixture::new(share, means, covariances).unwrap())
    }
}

fn random_mixture(k: usize, d: usize, covariance: CovarianceType, rng: &mut Stream) -> GaussianMixture {
    let mut uniform = |low: f64, high: f64| low + (high - low) * rng.random::<f64>();
    let weights = Array1::from_shape_fn(k, |_| uniform(0.5, 1.5));
    let means = Array2::from_shape_fn((k, d), |_| uniform(-2.0, 2.0));
    let mut matrix = || {
        let a = Array2::from_shape_fn((d, d), |_| uniform(-1.0, 1.0));
        a.dot(&a.t()) + 0.5 * Array2::<f64>::eye(d)
    };
    let covariances = match covariance {
        CovarianceType::Full => {
            let all: Vec<Array2<f64>> = (0..k).map(|_| matrix()).collect();
            Covariances::Full(Array3::from_shape_fn((k, d, d), |(k, i, j)| all[k][[i, j]]))
        }
        CovarianceType::Tied => Covariances::Tied(matrix()),
        CovarianceType::Diagonal => Covariances::Diagonal(Array2::from_shape_fn((k, d), |_| uniform(0.5, 2.0))),
        CovarianceType::Spherical => Covariances::Spherical(Array1::from_shape_fn(k, |_| uniform(0.5, 2.0))),
    };
    GaussianMixture::new(&weights / weights.sum(), means, covariances).unwrap()
}

fn flat(m: &GaussianMixture) -> Vec<f64> {
    let (k, d) = m.means().dim();
    let sigma = (0..k).flat_map(|k| m.covariances().matrix(k, d).into_owned().into_iter());
    m.weights().iter().chain(m.means()).copied().chain(sigma).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn one_iteration_is_that_of_the_twin(
        n in 60_usize..400, d in 1_usize..6, k in 1_usize..5, shape in 0_usize..4,
        weighted in any::<bool>(), missing in any::<bool>(), seed in any::<u64>(),
    ) {
        let covariance = CovarianceType::ALL[shape];
        let mut rng = stream(seed, Purpose::Sample, 0);
        let mixture = random_mixture(k, d, covariance, &mut rng);
        let mut x = Array2::from_shape_fn((n, d), |_| 4.0 * rng.random::<f64>() - 2.0);
        if missing {
            x.iter_mut().for_each(|v| if rng.random::<f64>() < 0.2 { *v = f64::NAN });
            // a row of which nothing is observed is refused
            x.rows_mut().into_iter().filter(|row| row.iter().all(|v| v.is_nan())).for_each(|mut row| row[0] = 1.0);
            // columns that vary are needed
            x.row_mut(0).fill(0.5);
            x.row_mut(1).fill(-0.5);
        }
        let w = if weighted { Array1::from_shape_fn(n, |_| (3.0 * rng.random::<f64>()).floor() + 0.5) } else { Array1::ones(n) };
        let data = Rows::new(&x).missing_as_nan().weighted(w.view()).unwrap();
        let (log_p, after) = Twin::of(&mixture).iterate(&x, &w, covariance);

        let ours = mixture.log_evidence(&data).unwrap();
        // condition numbers below 100 leave 13 digits of 16; sums of a few hundred terms take one more
        prop_assert!(ours.iter().zip(&log_p).all(|(a, b)| (a - b).abs() < 1e-11 * b.abs().max(1.0)));
        let stopping = Stopping { max_iterations: 1, tolerance: 0.0 };
        let em = GmmEm { components: k, covariance, start: Start::Parameters(mixture), stopping, ..Default::default() };
        let fitted = em.fit(&data, 0).unwrap();
        prop_assert!(fitted.repairs.is_empty());
        for (a, b) in flat(&fitted.model).iter().zip(flat(&after)) {
            prop_assert!((a - b).abs() < 1e-10 * b.abs().max(1.0), "{a} {b}");
        }
        let mean = fitted.model.log_evidence(&data).unwrap().dot(&w) / w.sum();
        prop_assert!((mean - fitted.objective()).abs() < 1e-12 * mean.abs().max(1.0));
    }
}

#[test]
fn block_edges() {
    for covariance in CovarianceType::ALL {
        for n in [2047, 2048, 2049, 4097] {
            let mut rng = stream(n as u64, Purpose::Sample, 1);
            let mixture = random_mixture(3, 2, covariance, &mut rng);
            let x = Array2::from_shape_fn((n, 2), |_| 4.0 * rng.random::<f64>() - 2.0);
            let (_, after) = Twin::of(&mixture).iterate(&x, &Array1::ones(n), covariance);
            let stopping = Stopping { max_iterations: 1, tolerance: 0.0 };
            let em = GmmEm { components: 3, covariance, start: Start::Parameters(mixture), stopping, ..Default::default() };
            let ours = em.fit(&x, 0).unwrap().model;
            // sums of 4000 terms in another order: 4000 ε at worst, about its root in fact
            assert!(flat(&ours).iter().zip(flat(&after)).all(|(a, b)| (a - b).abs() < 1e-11 * b.abs().max(1.0)));
        }
    }
}
