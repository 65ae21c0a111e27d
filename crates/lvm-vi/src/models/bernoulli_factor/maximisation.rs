//! The M-step of the Bernoulli factor model: a logistic regression of every column on the latents, as the E-step left them.

use super::BernoulliFactor;
use super::jaakkola_jordan::{lambda, touching_point};
use super::softplus::expectations;
use crate::local::{LocalGaussian, LocalModel, quadratic};
use lvm_core::model::LatentModel;
use lvm_core::rows::RowSource;
use lvm_core::special::{log_sum_exp, sigmoid, softplus};
use lvm_core::sweep::{Block, Merge, Plan, sweep};
use lvm_core::{Result, linalg};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};
use std::f64::consts::TAU;

/// What a regression of each column needs.
struct Regressions {
    /// The objective of each column (D).
    value: Array1<f64>,
    /// Its gradient in w̃ = (w, b) (D, q + 1).
    gradient: Array2<f64>,
    /// Minus its expected Hessian (D, q + 1, q + 1).
    curvature: Array3<f64>,
}

impl Regressions {
    fn new(d: usize, q: usize) -> Self {
        Regressions { value: Array1::zeros(d), gradient: Array2::zeros((d, q + 1)), curvature: Array3::zeros((d, q + 1, q + 1)) }
    }

    fn plan(d: usize, q: usize) -> Plan {
        Plan::new(d, 8 * d * (q + 2) * (q + 2))
    }

    /// Adds `weight` E[z̃ z̃ᵀ] to the curvature of column `j`.
    fn add_second_moment(&mut self, j: usize, weight: f64, mean: &[f64], covariance: ArrayView2<'_, f64>) {
        let q = mean.len();
        let mut h = self.curvature.index_axis_mut(Axis(0), j);
        for i in 0..q {
            for k in 0..q {
                h[[i, k]] += weight * (mean[i] * mean[k] + covariance[[i, k]]);
            }
            h[[i, q]] += weight * mean[i];
            h[[q, i]] += weight * mean[i];
        }
        h[[q, q]] += weight;
    }

    /// H⁻¹ g of column `j`.
    fn solution(&self, j: usize) -> Result<Array1<f64>> {
        let lower = linalg::cholesky(self.curvature.index_axis(Axis(0), j)).map_err(|e| e.of(format!("M-step of column {j}")))?;
        let mut step = self.gradient.row(j).to_owned().insert_axis(Axis(1));
        linalg::cholesky_solve(lower.view(), step.view_mut());
        Ok(step.index_axis_move(Axis(1), 0))
    }
}

impl Merge for Regressions {
    fn merge(&mut self, other: Self) {
        self.value += &other.value;
        self.gradient += &other.gradient;
        self.curvature += &other.curvature;
    }
}

/// Calls `visit(j, x, weight, mean, covariance)` for every observed cell of a block.
fn each_cell(block: &Block<'_>, q: &LocalGaussian, mut visit: impl FnMut(usize, f64, f64, &[f64], ArrayView2<'_, f64>)) {
    for i in 0..block.n_rows() {
        let n = block.row_number(i);
        let mean = q.mean().row(n).to_vec();
        let covariance = q.covariance(n);
        let weight = block.weights().map_or(1.0, |w| w[i]);
        for j in 0..block.n_cols() {
            let x = block.column(j)[i];
            if !x.is_nan() {
                visit(j, x, weight, &mean, covariance.view());
            }
        }
    }
}

/// (w_j, b_j) of all columns as a table (D, q + 1), and back.
fn table_of(model: &BernoulliFactor) -> Array2<f64> {
    let (d, q) = model.loadings.dim();
    Array2::from_shape_fn((d, q + 1), |(j, i)| if i < q { model.loadings[[j, i]] } else { model.intercepts[j] })
}

fn model_of(table: &Array2<f64>) -> Result<BernoulliFactor> {
    let q = table.ncols() - 1;
    BernoulliFactor::new(table.slice_axis(Axis(1), (..q).into()).to_owned(), table.column(q).to_owned())
}

/// w̃_j = (2 Σ λ E[z̃ z̃ᵀ])⁻¹ Σ (x − ½) E[z̃]: the maximum of the quadratic bound.
pub(super) fn quadratic_step(model: &BernoulliFactor, q: &LocalGaussian, x: &dyn RowSource) -> Result<BernoulliFactor> {
    let (d, latents) = (model.dim(), model.latents());
    let sums = sweep(
        x,
        Regressions::plan(d, latents),
        || Regressions::new(d, latents),
        |sums, block| {
            each_cell(block, q, |j, x, weight, mean, covariance| {
                let (xi, _) = touching_point(model, j, mean, covariance);
                sums.add_second_moment(j, 2.0 * weight * lambda(xi), mean, covariance);
                add_design(sums.gradient.row_mut(j), weight * (x - 0.5), mean);
            });
            Ok(())
        },
    )?;
    let mut table = Array2::zeros((d, latents + 1));
    for (j, mut row) in table.rows_mut().into_iter().enumerate() {
        row.assign(&sums.solution(j)?);
    }
    model_of(&table)
}

fn add_design(mut row: ndarray::ArrayViewMut1<'_, f64>, scale: f64, mean: &[f64]) {
    row.iter_mut().zip(mean.iter().chain([&1.0])).for_each(|(g, z)| *g += scale * z);
}

/// One Newton-type step of every column on Σ E_q[x a − log(1 + eᵃ)], halved until the column does not fall.
pub(super) fn gaussian_step(model: &BernoulliFactor, q: &LocalGaussian, x: &dyn RowSource) -> Result<BernoulliFactor> {
    let (d, latents) = (model.dim(), model.latents());
    let sums = sweep(
        x,
        Regressions::plan(d, latents),
        || Regressions::new(d, latents),
        |sums, block| {
            each_cell(block, q, |j, x, weight, mean, covariance| {
                let w = model.loadings.row(j);
                let a = model.predictor(j, mean);
                let e = expectations(a, quadratic(w, covariance).sqrt());
                sums.value[j] += weight * (x * a - e.value);
                // E[(x − σ(a)) z̃] = (x − E[σ]) m̃ − E[σ'] S̃ w̃     (Stein's lemma)
                add_design(sums.gradient.row_mut(j), weight * (x - e.slope), mean);
                sums.gradient.row_mut(j).iter_mut().zip(covariance.dot(&w)).for_each(|(g, s)| *g -= weight * e.curvature * s);
                sums.add_second_moment(j, weight * e.curvature, mean, covariance);
            });
            Ok(())
        },
    )?;
    let steps = (0..d).map(|j| sums.solution(j)).collect::<Result<Vec<_>>>()?;
    halve_until_no_column_falls(model, &steps, &sums.value, |candidate| {
        let values = sweep(
            x,
            Plan::new(d, 8 * d),
            || Values(Array1::zeros(d)),
            |values, block| {
                each_cell(block, q, |j, x, weight, mean, covariance| {
                    let a = candidate.predictor(j, mean);
                    let sd = quadratic(candidate.loadings.row(j), covariance).sqrt();
                    values.0[j] += weight * (x * a - expectations(a, sd).value);
                });
                Ok(())
            },
        )?;
        Ok(values.0)
    })
}

struct Values(Array1<f64>);

impl Merge for Values {
    fn merge(&mut self, other: Self) {
        self.0 += &other.0;
    }
}

/// w̃ + ρ_j step_j with ρ_j = 1, ½, … until the column's value is at least `before`; a column that gains nowhere stays.
fn halve_until_no_column_falls(
    model: &BernoulliFactor,
    steps: &[Array1<f64>],
    before: &Array1<f64>,
    values: impl Fn(&BernoulliFactor) -> Result<Array1<f64>>,
) -> Result<BernoulliFactor> {
    let old = table_of(model);
    let mut rho = Array1::<f64>::ones(steps.len());
    // after 20 halvings the step is at the level of rounding
    for halvings in 0..=20 {
        let mut table = old.clone();
        table.rows_mut().into_iter().zip(steps).zip(&rho).for_each(|((mut row, step), rho)| row.scaled_add(*rho, step));
        let candidate = model_of(&table)?;
        let now = values(&candidate)?;
        let falls = |j: usize| !(now[j] >= before[j]) && rho[j] > 0.0;
        let worse: Vec<usize> = (0..steps.len()).filter(|&j| falls(j)).collect();
        if worse.is_empty() {
            return Ok(candidate);
        }
        worse.into_iter().for_each(|j| rho[j] = if halvings < 19 { 0.5 * rho[j] } else { 0.0 });
    }
    model_of(&old)
}

/// The posterior on a fixed grid of latents, summed over the rows as the M-step needs it.
pub(super) struct Grid {
    /// Nodes (T, q).
    nodes: Array2<f64>,
    /// Σ_n w_n γ_nt over the rows that observe j (T, D).
    counts: Array2<f64>,
    /// Σ_n w_n γ_nt x_nj over the same (T, D).
    ones: Array2<f64>,
    /// Σ_n w_n log p(x_n) / Σ_n w_n, of the model whose prior is the grid.
    pub(super) mean_log_likelihood: f64,
}

struct GridSums {
    counts: Array2<f64>,
    ones: Array2<f64>,
    log_likelihood: f64,
    weight: f64,
}

impl Merge for GridSums {
    fn merge(&mut self, other: Self) {
        self.counts += &other.counts;
        self.ones += &other.ones;
        self.log_likelihood += other.log_likelihood;
        self.weight += other.weight;
    }
}

/// The reach of the grid and its step, in prior standard deviations: the prior beyond is below 1e-11.
const REACH: i32 = 28;
const STEP: f64 = 0.25;

/// Nodes within the reach, with the logarithm of their prior probability.
fn nodes(q: usize) -> (Array2<f64>, Array1<f64>) {
    let side = -REACH..=REACH;
    let points: Vec<Vec<f64>> = match q {
        0 => vec![vec![]],
        1 => side.map(|i| vec![f64::from(i) * STEP]).collect(),
        _ => side
            .clone()
            .flat_map(|i| side.clone().map(move |k| (i, k)))
            .filter(|(i, k)| i * i + k * k <= REACH * REACH)
            .map(|(i, k)| vec![f64::from(i) * STEP, f64::from(k) * STEP])
            .collect(),
    };
    let z = Array2::from_shape_fn((points.len(), q), |(t, i)| points[t][i]);
    let log_prior = z.map_axis(Axis(1), |z| q as f64 * (STEP.ln() - 0.5 * TAU.ln()) - 0.5 * z.dot(&z));
    (z, log_prior)
}

impl Grid {
    /// γ_nt ∝ p(z_t) p(x_n | z_t), summed over the rows.
    pub(super) fn of(model: &BernoulliFactor, x: &dyn RowSource) -> Result<Self> {
        let d = model.dim();
        let (nodes, log_prior) = nodes(model.latents());
        let predictors = nodes.dot(&model.loadings.t()) + &model.intercepts;
        let normalisers = predictors.mapv(softplus);
        let t = nodes.nrows();
        let new = || GridSums { counts: Array2::zeros((t, d)), ones: Array2::zeros((t, d)), log_likelihood: 0.0, weight: 0.0 };
        let sums = sweep(x, Plan::new(d + t, 16 * t * d), new, |sums, block| {
            let ones = block.x().mapv(|v| if v.is_nan() { 0.0 } else { v });
            let mask = block.x().mapv(|v| if v.is_nan() { 0.0 } else { 1.0 });
            // log p(z_t) + Σ_j [x_j a_tj − log(1 + e^{a_tj})]
            let mut gamma = linalg::matmul(ones.view(), predictors.t());
            linalg::add_matmul(-1.0, mask.view(), normalisers.t(), gamma.view_mut());
            gamma += &log_prior;
            for (i, mut row) in gamma.rows_mut().into_iter().enumerate() {
                let weight = block.weights().map_or(1.0, |w| w[i]);
                let log_p = log_sum_exp(row.view());
                sums.log_likelihood += weight * log_p;
                sums.weight += weight;
                row.mapv_inplace(|a| weight * (a - log_p).exp());
            }
            linalg::add_matmul(1.0, gamma.t(), mask.view(), sums.counts.view_mut());
            linalg::add_matmul(1.0, gamma.t(), ones.view(), sums.ones.view_mut());
            Ok(())
        })?;
        let mean_log_likelihood = sums.log_likelihood / sums.weight;
        Ok(Grid { nodes, counts: sums.counts, ones: sums.ones, mean_log_likelihood })
    }

    /// Three Newton steps of every column's weighted logistic regression on the nodes.
    pub(super) fn maximise(&self, model: &BernoulliFactor) -> Result<BernoulliFactor> {
        let mut model = model.clone();
        for _ in 0..3 {
            let sums = self.regressions(&model);
            let steps = (0..model.dim()).map(|j| sums.solution(j)).collect::<Result<Vec<_>>>()?;
            model = halve_until_no_column_falls(&model, &steps, &sums.value, |candidate| Ok(self.regressions(candidate).value))?;
        }
        Ok(model)
    }

    fn regressions(&self, model: &BernoulliFactor) -> Regressions {
        let (d, q) = (model.dim(), model.latents());
        let mut sums = Regressions::new(d, q);
        let flat = Array2::zeros((q, q));
        for (t, z) in self.nodes.rows().into_iter().enumerate() {
            let z = z.to_vec();
            for j in 0..d {
                let (count, ones) = (self.counts[[t, j]], self.ones[[t, j]]);
                let a = model.predictor(j, &z);
                let p = sigmoid(a);
                sums.value[j] += ones * a - count * softplus(a);
                add_design(sums.gradient.row_mut(j), ones - count * p, &z);
                sums.add_second_moment(j, count * p * (1.0 - p), &z, flat.view());
            }
        }
        sums
    }
}
