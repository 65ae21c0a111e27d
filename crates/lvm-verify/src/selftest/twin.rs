//! Mixture EM in plain loops, with switches that plant a published bug. Without a switch it is a correct, slow twin of the library.

use lvm_core::Result;
use lvm_core::fit::{Fitted, Status};
use lvm_core::gmm::{CovarianceType, Covariances, GaussianMixture};
use lvm_core::rows::RowSource;
use ndarray::{Array1, Array2, Array3, Axis};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    /// Nothing: the control.
    Nothing,
    /// Covariances about the means of the iteration before.
    OldMeans,
    /// Division by N_k − 1.
    Unbiased,
    /// Tied covariance as the plain average of the components', without their weights.
    TiedUnweighted,
    /// Responsibilities divided by their largest instead of their sum.
    NotRenormalised,
    /// 1e-6 added to every variance without being asked for.
    SilentRidge,
    /// `E[x²]` − μ² for the variance.
    RawMoments,
    /// The objective of the parameters before the M-step.
    StaleTrace,
    /// Row weights read and not used.
    WeightsIgnored,
    /// The spherical variance as a sum over columns instead of their mean.
    SphericalSum,
    /// Mixing weights left out of the E-step.
    NoPrior,
    /// log|Σ| without its factor ½.
    DoubleLogDet,
    /// Sums accumulated in f32.
    SinglePrecision,
}

struct Parameters {
    weights: Array1<f64>,
    means: Array2<f64>,
    covariances: Vec<Array2<f64>>,
}

/// Lower Cholesky factor; None if the matrix is not positive definite.
fn cholesky(a: &Array2<f64>) -> Option<Array2<f64>> {
    let n = a.nrows();
    let mut l = Array2::<f64>::zeros((n, n));
    for i in 0..n {
        for j in 0..=i {
            let s: f64 = (0..j).map(|k| l[[i, k]] * l[[j, k]]).sum();
            let v = a[[i, j]] - s;
            l[[i, j]] = if i == j { v.sqrt() } else { v / l[[j, j]] };
        }
        if l[[i, i]].is_nan() || l[[i, i]] <= 0.0 {
            return None;
        }
    }
    Some(l)
}

/// EM from responsibilities, `iterations` times.
pub(super) fn fit(
    data: &dyn RowSource,
    start: &Array2<f64>,
    kind: CovarianceType,
    iterations: usize,
    switch: Switch,
) -> Result<Fitted<GaussianMixture>> {
    let mut x = Array2::zeros((data.n_rows(), data.n_cols()));
    data.read(0, x.view_mut())?;
    let weights = match data.weights() {
        Some(w) if switch != Switch::WeightsIgnored => w.to_owned(),
        _ => Array1::ones(x.nrows()),
    };
    let mut r = start.clone();
    let mut old: Option<Parameters> = None;
    let mut trace = Vec::new();
    for _ in 0..iterations {
        let new = m_step(&x, &r, &weights, kind, old.as_ref(), switch);
        let (fresh, objective) = e_step(&x, &new, &weights, switch);
        let stale = old.as_ref().map(|p| e_step(&x, p, &weights, switch).1);
        trace.push(if switch == Switch::StaleTrace { stale.unwrap_or(objective) } else { objective });
        r = fresh;
        old = Some(new);
    }
    // invariant: callers ask for at least one iteration
    let p = old.expect("no iteration");
    let d = x.ncols();
    let covariances = match kind {
        CovarianceType::Full => Covariances::Full(Array3::from_shape_fn((p.covariances.len(), d, d), |(k, i, j)| p.covariances[k][[i, j]])),
        CovarianceType::Tied => Covariances::Tied(p.covariances[0].clone()),
        CovarianceType::Diagonal => {
            Covariances::Diagonal(Array2::from_shape_fn((p.covariances.len(), d), |(k, j)| p.covariances[k][[j, j]]))
        }
        CovarianceType::Spherical => Covariances::Spherical(p.covariances.iter().map(|c| c[[0, 0]]).collect()),
    };
    let model = GaussianMixture::new(&p.weights / p.weights.sum(), p.means, covariances)?;
    let restarts = trace.last().copied().into_iter().collect();
    Ok(Fitted { model, status: Status::MaxIterations, trace, repairs: Vec::new(), restarts, seed: 0 })
}

fn m_step(x: &Array2<f64>, r: &Array2<f64>, w: &Array1<f64>, kind: CovarianceType, old: Option<&Parameters>, switch: Switch) -> Parameters {
    let (n, d) = x.dim();
    let k = r.ncols();
    let mut out = Parameters { weights: Array1::zeros(k), means: Array2::zeros((k, d)), covariances: Vec::new() };
    for c in 0..k {
        let gamma: Vec<f64> = (0..n).map(|i| r[[i, c]] * w[i]).collect();
        let count: f64 = gamma.iter().sum();
        out.weights[c] = count / w.sum();
        for j in 0..d {
            out.means[[c, j]] = match switch {
                Switch::SinglePrecision => f64::from((0..n).map(|i| (gamma[i] * x[[i, j]]) as f32).sum::<f32>()) / count,
                _ => (0..n).map(|i| gamma[i] * x[[i, j]]).sum::<f64>() / count,
            };
        }
        let centre = match (switch, old) {
            (Switch::OldMeans, Some(p)) => p.means.row(c).to_owned(),
            _ => out.means.row(c).to_owned(),
        };
        let below = if switch == Switch::Unbiased { count - 1.0 } else { count };
        let mut s = Array2::from_shape_fn((d, d), |(a, b)| match switch {
            Switch::RawMoments => (0..n).map(|i| gamma[i] * (x[[i, a]] * x[[i, b]])).sum::<f64>() / count - centre[a] * centre[b],
            _ => (0..n).map(|i| gamma[i] * (x[[i, a]] - centre[a]) * (x[[i, b]] - centre[b])).sum::<f64>() / below,
        });
        match kind {
            CovarianceType::Diagonal => s = Array2::from_diag(&s.diag()),
            CovarianceType::Spherical => {
                let share = if switch == Switch::SphericalSum { 1.0 } else { d as f64 };
                s = Array2::from_diag_elem(d, s.diag().sum() / share);
            }
            CovarianceType::Full | CovarianceType::Tied => {}
        }
        out.covariances.push(s);
    }
    if kind == CovarianceType::Tied {
        let share = |c: usize| if switch == Switch::TiedUnweighted { 1.0 / k as f64 } else { out.weights[c] };
        let mut tied = Array2::zeros((d, d));
        for c in 0..k {
            tied.scaled_add(share(c), &out.covariances[c]);
        }
        out.covariances = vec![tied; k];
    }
    if switch == Switch::SilentRidge {
        out.covariances.iter_mut().for_each(|s| s.diag_mut().mapv_inplace(|v| v + 1e-6));
    }
    out
}

fn e_step(x: &Array2<f64>, p: &Parameters, w: &Array1<f64>, switch: Switch) -> (Array2<f64>, f64) {
    let (n, d) = x.dim();
    let k = p.weights.len();
    let mut r = Array2::zeros((n, k));
    for c in 0..k {
        let Some(l) = cholesky(&p.covariances[c]) else {
            return (Array2::from_elem((n, k), 1.0 / k as f64), f64::NAN);
        };
        let half_log_det = l.diag().iter().map(|v| v.ln()).sum::<f64>() * if switch == Switch::DoubleLogDet { 2.0 } else { 1.0 };
        let prior = if switch == Switch::NoPrior { 0.0 } else { p.weights[c].ln() };
        for i in 0..n {
            let mut z = vec![0.0; d];
            for a in 0..d {
                let s: f64 = (0..a).map(|b| l[[a, b]] * z[b]).sum();
                z[a] = (x[[i, a]] - p.means[[c, a]] - s) / l[[a, a]];
            }
            let form: f64 = z.iter().map(|v| v * v).sum();
            r[[i, c]] = prior - 0.5 * (d as f64 * (2.0 * std::f64::consts::PI).ln() + form) - half_log_det;
        }
    }
    let mut total = 0.0;
    for (mut row, &w) in r.axis_iter_mut(Axis(0)).zip(w) {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|v| (v - top).exp());
        let sum = row.sum();
        total += w * (top + sum.ln());
        if switch != Switch::NotRenormalised {
            row /= sum;
        }
    }
    (r, total / w.sum())
}
