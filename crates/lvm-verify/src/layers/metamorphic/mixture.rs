//! Identities of mixtures, for all four covariance types.

use super::{affine, doubled, log_abs_det, rounding_of_rows};
use crate::check::{Layer, Source, Tolerance};
use crate::layers::mixture::dense;
use crate::oracle::{gaussian, mixture::Mixture};
use crate::suite::{Group, Outcome, Problem, Suite};
use crate::tables;
use lvm_core::fit::{Fitted, Stopping};
use lvm_core::gmm::{CovarianceType, Covariances, GaussianMixture, GmmEm, Start};
use lvm_core::model::{Evidence, Infer, LatentDist, LatentModel, MapLatent};
use lvm_core::rows::{RowSource, Rows};
use ndarray::{Array1, Array2, Axis, concatenate};

const ITERATIONS: usize = 10;
const COMPONENTS: usize = 3;

/// All identities of mixtures.
pub fn all(suite: &mut Suite<'_>) {
    for kind in CovarianceType::ALL {
        suite.group(Layer::M, "M1", &format!("iris, {kind} mixture"), |g| identities(g, kind));
    }
    suite.group(Layer::M, "M1", "wine, one component is the Gaussian MLE", single);
    suite.group(Layer::M, "M1", "faithful, one column: full = diag = spherical", one_column);
    suite.group(Layer::M, "M1", "iris, Bayes, chain rule and missing entries", densities);
}

/// Soft responsibilities by thirds of the first column: a deterministic start that moves with its rows.
fn start(x: &Array2<f64>) -> Array2<f64> {
    let mut order: Vec<usize> = (0..x.nrows()).collect();
    order.sort_by(|&a, &b| x[[a, 0]].total_cmp(&x[[b, 0]]).then(a.cmp(&b)));
    let mut r = Array2::from_elem((x.nrows(), COMPONENTS), 0.1);
    for (rank, &row) in order.iter().enumerate() {
        r[[row, rank * COMPONENTS / x.nrows()]] = 0.8;
    }
    r
}

fn run(g: &Group<'_>, kind: CovarianceType, data: &dyn RowSource, r: &Array2<f64>) -> Result<Fitted<GaussianMixture>, Problem> {
    let algorithm = GmmEm {
        components: r.ncols(),
        covariance: kind,
        start: Start::Responsibilities(r.clone()),
        restarts: 1,
        stopping: Stopping { max_iterations: ITERATIONS, tolerance: 0.0 },
        ..Default::default()
    };
    Ok(g.subject.fit_mixture(&algorithm, data, 0)?)
}

fn trace_of(fitted: &Fitted<GaussianMixture>) -> Array1<f64> {
    Array1::from(fitted.trace.clone())
}

/// The parameters as one list, for comparisons by rounding.
fn parameters(m: &Mixture) -> Array1<f64> {
    let parts: Vec<f64> = m
        .weights
        .iter()
        .copied()
        .chain(m.means.iter().flat_map(|v| v.to_vec()))
        .chain(m.covariances.iter().flat_map(|c| c.iter().copied().collect::<Vec<_>>()))
        .collect();
    Array1::from(parts)
}

/// The smallest standard deviation of a component in a column.
fn smallest_sd(m: &Mixture) -> f64 {
    m.covariances.iter().flat_map(|c| c.diag().to_vec()).fold(f64::INFINITY, f64::min).sqrt()
}

fn identities(g: &mut Group<'_>, kind: CovarianceType) -> Outcome {
    let x = tables::real("iris")?.x;
    let (n, d) = x.dim();
    let r = start(&x);
    let base = run(g, kind, &x, &r)?;
    let trace = trace_of(&base);
    let mixture = dense(&base.model);
    // Iris measures columns that are nearly collinear inside a species: the smallest direction is about a quarter of the smallest column.
    let sd = 0.25 * smallest_sd(&mixture);
    let t = rounding_of_rows(&x, sd, ITERATIONS);

    let shifted = &x + 1e6;
    let moved = run(g, kind, &shifted, &r)?;
    g.array("shift by 1e6: trace unchanged", Source::I, &trace_of(&moved), &trace, &rounding_of_rows(&shifted, sd, ITERATIONS));

    // Powers of two scale exactly; a spherical covariance allows one factor only.
    let factors = Array1::from_shape_fn(d, |j| if kind == CovarianceType::Spherical { 8.0 } else { [8.0, 0.25, 1024.0, 2.0][j % 4] });
    let scaled = run(g, kind, &(&x * &factors), &r)?;
    let log_det: f64 = factors.iter().map(|f: &f64| f.ln()).sum();
    g.array("unit change: trace - log|det|", Source::I, &trace_of(&scaled), &(&trace - log_det), &t);
    if matches!(kind, CovarianceType::Full | CovarianceType::Tied) {
        let a = affine(d);
        let mapped = x.dot(&a.t());
        let fitted = run(g, kind, &mapped, &r)?;
        g.array(
            "affine map: trace - log|det A|",
            Source::I,
            &trace_of(&fitted),
            &(&trace - log_abs_det(&a)),
            &rounding_of_rows(&mapped, 0.25 * sd, ITERATIONS),
        );
        let image: Vec<f64> = mixture.means.iter().flat_map(|m| a.dot(m).to_vec()).collect();
        let ours: Vec<f64> = fitted.model.means().iter().copied().collect();
        g.array("affine map: means move along", Source::I, &Array1::from(ours), &Array1::from(image), &t);
    }

    let reversed: Vec<usize> = (0..n).rev().collect();
    let fitted = run(g, kind, &x.select(Axis(0), &reversed), &r.select(Axis(0), &reversed))?;
    g.array("row order: trace", Source::I, &trace_of(&fitted), &trace, &t);
    g.array("row order: parameters", Source::I, &parameters(&dense(&fitted.model)), &parameters(&mixture), &t);

    let columns: Vec<usize> = (0..d).map(|j| (j + 1) % d).collect();
    let fitted = run(g, kind, &x.select(Axis(1), &columns), &r)?;
    g.array("column order: trace", Source::I, &trace_of(&fitted), &trace, &t);
    g.array("column order: means", Source::I, fitted.model.means(), &base.model.means().select(Axis(1), &columns), &t);

    let labels = [2, 0, 1];
    let fitted = run(g, kind, &x, &r.select(Axis(1), &labels))?;
    g.array("labels: trace", Source::I, &trace_of(&fitted), &trace, &t);
    g.array("labels: weights", Source::I, fitted.model.weights(), &base.model.weights().select(Axis(0), &labels), &t);

    let (rows, weights) = doubled(n);
    let twice = run(g, kind, &x.select(Axis(0), &rows), &r.select(Axis(0), &rows))?;
    let weighted_rows = Rows::new(&x).weighted(weights.view())?;
    let weighted = run(g, kind, &weighted_rows, &r)?;
    g.array("weight 2 = row twice: trace", Source::I, &trace_of(&weighted), &trace_of(&twice), &t);
    g.array("weight 2 = row twice: parameters", Source::I, &parameters(&dense(&weighted.model)), &parameters(&dense(&twice.model)), &t);
    let criteria = g.subject.mixture_criteria(&weighted.model, &weighted_rows)?;
    g.scalar("weights add up to N", Source::I, criteria.n, weights.sum(), &Tolerance::exact("a sum of small whole numbers"));

    let half: Vec<usize> = (0..n).filter(|i| i % 3 != 0).collect();
    let zero = Array1::from_shape_fn(n, |i| if i % 3 == 0 { 0.0 } else { 1.0 });
    let without = run(g, kind, &x.select(Axis(0), &half), &r.select(Axis(0), &half))?;
    let zeroed = run(g, kind, &Rows::new(&x).weighted(zero.view())?, &r)?;
    g.array("weight 0 = row absent: trace", Source::I, &trace_of(&zeroed), &trace_of(&without), &t);

    let nothing_missing = run(g, kind, &Rows::new(&x).missing_as_nan(), &r)?;
    g.array("nothing missing = complete: trace", Source::I, &trace_of(&nothing_missing), &trace, &t);
    split(g, &base.model, &x, &t)
}

/// A component split into two halves of the same shape leaves the density as it is.
fn split(g: &mut Group<'_>, model: &GaussianMixture, x: &Array2<f64>, t: &Tolerance) -> Outcome {
    let shape = |e: ndarray::ShapeError| Problem(e.to_string());
    let again = |a: &Array2<f64>| concatenate(Axis(0), &[a.view(), a.select(Axis(0), &[0]).view()]).map_err(shape);
    let mut weights = concatenate(Axis(0), &[model.weights().view(), model.weights().select(Axis(0), &[0]).view()]).map_err(shape)?;
    weights[0] *= 0.5;
    let last = weights.len() - 1;
    weights[last] *= 0.5;
    let covariances = match model.covariances() {
        Covariances::Full(c) => Covariances::Full(concatenate(Axis(0), &[c.view(), c.select(Axis(0), &[0]).view()]).map_err(shape)?),
        Covariances::Tied(c) => Covariances::Tied(c.clone()),
        Covariances::Diagonal(c) => Covariances::Diagonal(again(c)?),
        Covariances::Spherical(c) => {
            Covariances::Spherical(concatenate(Axis(0), &[c.view(), c.select(Axis(0), &[0]).view()]).map_err(shape)?)
        }
    };
    let halved = GaussianMixture::new(weights, again(model.means())?, covariances)?;
    g.array(
        "a component split in two: log p(x)",
        Source::I,
        &g.subject.mixture_evidence(&halved, x)?,
        &g.subject.mixture_evidence(model, x)?,
        t,
    );
    let sums = g.subject.responsibilities(&halved, x)?.sum_axis(Axis(1));
    let t = Tolerance::absolute(8.0 * f64::EPSILON * halved.weights().len() as f64, "8·K·ε: a sum of K shares");
    g.array("responsibilities add up to 1", Source::I, &sums, &Array1::ones(x.nrows()), &t);
    Ok(())
}

/// K = 1: mean and 1/N covariance, whatever the start, after one iteration.
fn single(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("wine")?.x;
    let (n, d) = x.dim();
    let (mean, covariance) = gaussian::moments(&x, None);
    let sd = covariance.diag().mapv(f64::sqrt);
    let largest = x.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let t = Tolerance::rounding(n, largest);
    let fitted = run(g, CovarianceType::Full, &x, &Array2::ones((n, 1)))?;
    g.array("mean", Source::I, &fitted.model.means().row(0), &mean, &t);
    let scale = Array2::from_shape_fn((d, d), |(i, j)| sd[i] * sd[j]);
    let full = fitted.model.covariances().matrix(0, d).into_owned();
    let unit = 8.0 * (n as f64 + 16.0) * f64::EPSILON * largest / sd.iter().copied().fold(f64::INFINITY, f64::min);
    let t = Tolerance::relative(unit, "8·(N+16)·ε·max|x|/σ_min of √(s_ii s_jj): a sum of N products of rounded deviations");
    g.array_scaled("full covariance = S/N", Source::I, &full, &covariance, &scale, &t);
    for (kind, truth) in [
        (CovarianceType::Tied, covariance.clone()),
        (CovarianceType::Diagonal, Array2::from_diag(&covariance.diag())),
        (CovarianceType::Spherical, Array2::from_diag_elem(d, covariance.diag().mean().unwrap_or(f64::NAN))),
    ] {
        let fitted = run(g, kind, &x, &Array2::ones((n, 1)))?;
        let scale = if kind == CovarianceType::Spherical { Array2::from_elem((d, d), truth[[0, 0]]) } else { scale.clone() };
        g.array_scaled(format!("{kind} covariance"), Source::I, &fitted.model.covariances().matrix(0, d).into_owned(), &truth, &scale, &t);
    }
    // log L = −N/2 [D log 2π + log|S| + D] at the maximum; log|S| by elimination.
    let best = -0.5 * (d as f64 * gaussian::LOG_2PI + log_abs_det(&covariance) + d as f64);
    let condition_bound = Tolerance::absolute(
        1e-9,
        "1e-9: ε times the condition of this table's covariance, about 1e7 (proline against the rest), to first order",
    );
    g.scalar("mean log-likelihood = -½(D log 2π + log|S| + D)", Source::I, fitted.objective(), best, &condition_bound);
    Ok(())
}

/// In one dimension three of the covariance types are the same model.
fn one_column(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("faithful")?.x.select(Axis(1), &[0]);
    let r = start(&x);
    let full = run(g, CovarianceType::Full, &x, &r)?;
    let t = rounding_of_rows(&x, smallest_sd(&dense(&full.model)), ITERATIONS);
    for kind in [CovarianceType::Diagonal, CovarianceType::Spherical] {
        let other = run(g, kind, &x, &r)?;
        g.array(format!("{kind}: trace"), Source::I, &trace_of(&other), &trace_of(&full), &t);
        g.array(format!("{kind}: parameters"), Source::I, &parameters(&dense(&other.model)), &parameters(&dense(&full.model)), &t);
    }
    Ok(())
}

/// log p(x, z) − log p(z | x) = log p(x); log p(x_a, x_b) = log p(x_a) + log p(x_b | x_a); a missing entry is an absent column.
fn densities(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    for kind in CovarianceType::ALL {
        let model = run(g, kind, &x, &start(&x))?.model;
        let t = rounding_of_rows(&x, 0.25 * smallest_sd(&dense(&model)), 1);
        let evidence = g.subject.mixture_evidence(&model, &x)?;
        let z = model.map_z(&x)?;
        let bayes = model.log_joint(&x, &z)? - model.infer(&x)?.log_prob(&z)?;
        g.array(format!("{kind}: log p(x,z) - log p(z|x) = log p(x)"), Source::I, &bayes, &evidence, &t);

        let marginal = model.marginal(&[0, 2])?;
        let first = g.subject.mixture_evidence(&marginal, &x.select(Axis(1), &[0, 2]))?;
        let mut chain = Array1::zeros(x.nrows());
        for (i, row) in x.rows().into_iter().enumerate() {
            let rest = model.conditional(&[0, 2], ndarray::array![row[0], row[2]].view())?;
            chain[i] = first[i] + rest.log_evidence(&ndarray::array![[row[1], row[3]]])?[0];
        }
        g.array(format!("{kind}: log p(a) + log p(b|a) = log p(a,b)"), Source::I, &chain, &evidence, &t);

        let mut holes = x.clone();
        holes.column_mut(1).fill(f64::NAN);
        holes.column_mut(3).fill(f64::NAN);
        let missing = g.subject.mixture_evidence(&model, &Rows::new(&holes).missing_as_nan())?;
        g.array(format!("{kind}: columns missing = columns absent"), Source::I, &missing, &first, &t);
    }
    Ok(())
}
