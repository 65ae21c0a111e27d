//! Tables and starts, the same on every run.

use lvm_core::gmm::{CovarianceType, Covariances, GaussianMixture};
use lvm_core::linalg;
use lvm_core::random::{Purpose, stream};
use lvm_vi::cavi::documents::Documents;
use lvm_vi::expectation::{Affine, LogJoint};
use ndarray::{Array1, Array2, Array3, Axis};
use rand::RngExt;
use rand_distr::{Distribution, Gamma, StandardNormal};

/// How the rows of a table lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Clusters of different shapes that overlap: neighbouring centres are about four standard deviations apart.
    Clusters,
    /// One Gaussian cloud: every component keeps a share of every row, so none can be left out.
    Cloud,
}

/// N rows of D columns; K is the number of clusters.
pub fn table(layout: Layout, n: usize, d: usize, k: usize) -> Array2<f64> {
    let mut rng = stream(7, Purpose::Sample, (n * d + k) as u64);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let spread = 4.0 / (2.0 * d as f64).sqrt();
    let centres = Array2::from_shape_simple_fn((k, d), || spread * normal());
    let shapes: Vec<Array2<f64>> = (0..k)
        .map(|_| {
            let off = 0.3 / (d as f64).sqrt();
            Array2::from_shape_fn((d, d), |(i, j)| {
                if i == j {
                    0.7 + 0.3 * normal().abs()
                } else if j < i {
                    off * normal()
                } else {
                    0.0
                }
            })
        })
        .collect();
    let mut x = Array2::from_shape_simple_fn((n, d), &mut normal);
    if layout == Layout::Clusters {
        for (i, mut row) in x.outer_iter_mut().enumerate() {
            let z = row.to_owned();
            // clusters take turns: the order of rows helps nobody
            row.assign(&(shapes[i % k].dot(&z) + centres.row(i % k)));
        }
    }
    x
}

/// Averages of a few random rows as means (one row alone would collapse among many columns), the covariance of the table for every component, equal weights.
pub fn start(x: &Array2<f64>, k: usize, covariance: CovarianceType) -> GaussianMixture {
    let (n, d) = x.dim();
    let mut rng = stream(8, Purpose::Sample, 0);
    let averaged = 1 + d / 16;
    let mut means = Array2::zeros((k, d));
    for mut row in means.outer_iter_mut() {
        for _ in 0..averaged {
            row.scaled_add(1.0 / averaged as f64, &x.row(rng.random_range(0..n)));
        }
    }
    let sample = x.select(Axis(0), &(0..n).step_by((n / 5000).max(1)).collect::<Vec<_>>());
    // invariant: tables of benchmarks have rows
    let mean = sample.mean_axis(Axis(0)).expect("rows");
    let centred = &sample - &mean;
    let total = centred.t().dot(&centred) / sample.nrows() as f64;
    let variances = total.diag().to_owned();
    let covariances = match covariance {
        CovarianceType::Full => Covariances::Full(Array3::from_shape_fn((k, d, d), |(_, i, j)| total[[i, j]])),
        CovarianceType::Tied => Covariances::Tied(total),
        CovarianceType::Diagonal => Covariances::Diagonal(Array2::from_shape_fn((k, d), |(_, j)| variances[j])),
        CovarianceType::Spherical => Covariances::Spherical(Array1::from_elem(k, variances.sum() / d as f64)),
    };
    let weights = Array1::from_elem(k, 1.0 / k as f64);
    // invariant: a covariance of many distinct rows is positive definite
    GaussianMixture::new(weights, means, covariances).expect("valid start")
}

/// N rows of D columns that vary in `rank` directions, strongly in the first and less in each that follows, plus noise of a different
/// variance in each column, none of them zero.
pub fn low_rank(n: usize, d: usize, rank: usize) -> Array2<f64> {
    let mut rng = stream(9, Purpose::Sample, (n * d + rank) as u64);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let loadings = Array2::from_shape_fn((rank, d), |(k, _)| 0.95_f64.powi(k as i32) * normal());
    let deviations = Array1::from_shape_simple_fn(d, || 0.3 + normal().abs());
    let mut x = Array2::from_shape_simple_fn((n, d), &mut normal);
    x *= &deviations;
    let z = Array2::from_shape_simple_fn((n, rank), &mut normal);
    for (mut x, z) in x.axis_chunks_iter_mut(Axis(0), 1000).zip(z.axis_chunks_iter(Axis(0), 1000)) {
        linalg::add_matmul(1.0, z, loadings.view(), x.view_mut());
    }
    x
}

/// N rows of D columns of correlated standard normals with outcomes 0 and 1 of a logistic regression.
pub fn regression_table(n: usize, d: usize) -> (Array2<f64>, Array1<f64>) {
    let mut rng = stream(10, Purpose::Sample, (n * d) as u64);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let mut x = Array2::from_shape_simple_fn((n, d), &mut normal);
    for mut row in x.rows_mut() {
        // neighbouring columns are correlated by 1/2
        (1..d).for_each(|j| row[j] = 0.5 * row[j - 1] + 0.75_f64.sqrt() * row[j]);
    }
    let coefficients = Array1::from_shape_simple_fn(d, || 0.3 * normal());
    let logits = x.dot(&coefficients);
    let y = logits.mapv(|eta| if rng.random::<f64>() < 1.0 / (1.0 + (-eta).exp()) { 1.0 } else { 0.0 });
    (x, y)
}

/// The log joint of a Bayesian logistic regression in the form whose expectations under Gaussians are known; coefficients have the prior
/// N(0, prior_sd²).
///
/// # Errors
/// If a number is not finite.
pub fn bernoulli_log_joint(x: &Array2<f64>, y: &Array1<f64>, prior_sd: f64) -> lvm_core::Result<LogJoint> {
    let mut p = LogJoint::new(x.ncols())?;
    p.binomial(x.rows().into_iter().zip(y).map(|(row, y)| (*y, 1.0, Affine::predictor(0, row))))?;
    for j in 0..x.ncols() {
        p.normal(Affine::variable(j), Affine::constant(prior_sd.ln()))?;
    }
    Ok(p)
}

/// M documents of about `length` words over V words, drawn from an LDA of K topics: shares of topics from Dirichlet(5/K), a topic's words
/// from a Dirichlet whose mean falls with the rank of the word, as frequencies of words do.
pub fn documents(m: usize, v: usize, k: usize, length: usize) -> Documents {
    let mut rng = stream(11, Purpose::Sample, (m * v + k) as u64);
    // invariant: shapes are positive
    let gamma = |shape: f64| Gamma::new(shape, 1.0).expect("a positive shape");
    let frequency = |w: usize| 0.1 * v as f64 / ((w + 10) as f64 * ((v + 10) as f64 / 10.0).ln());
    let cumulative = |weights: Vec<f64>| -> Vec<f64> {
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let add = |w: &f64| {
            sum += w / total;
            sum
        };
        weights.iter().map(add).collect()
    };
    let topics: Vec<Vec<f64>> = (0..k).map(|_| cumulative((0..v).map(|w| gamma(frequency(w)).sample(&mut rng)).collect())).collect();
    let shares = gamma(5.0 / k as f64);
    let rows: Vec<Vec<(usize, f64)>> = (0..m)
        .map(|_| {
            let theta = cumulative((0..k).map(|_| shares.sample(&mut rng) + 1e-12).collect());
            let words = length / 2 + (rng.random::<f64>() * length as f64) as usize;
            let mut draw = |p: &[f64]| -> usize {
                let u: f64 = rng.random();
                p.partition_point(|c| *c <= u).min(p.len() - 1)
            };
            let mut word = || {
                let topic = draw(&theta);
                (draw(&topics[topic]), 1.0)
            };
            (0..words.max(1)).map(|_| word()).collect()
        })
        .collect();
    // invariant: words are below V and every document has one
    Documents::from_rows(v, rows).expect("documents")
}
