//! The quadratic bound of the logistic function.

use super::BernoulliFactor;
use crate::local::{LocalGaussian, LocalModel, Packed, Shape, check_stopping, entropy_of, gather, quadratic, weighted_sum};
use lvm_core::fit::{Algorithm, Fitted, Step, Stopping, run, unwatched};
use lvm_core::rows::{RowSource, total_weight};
use lvm_core::special::log_sigmoid;
use lvm_core::sweep::map_rows;
use lvm_core::{Result, linalg};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use std::f64::consts::TAU;

/// Gaussian posteriors of the Bernoulli factor model by closed-form updates of a looser bound.
///
/// *Objective*: mean over rows of the ELBO with every log σ replaced by the quadratic that touches it at ±ξ (Jaakkola & Jordan 2000, eq. 10):
/// ```text
/// x a − log(1 + eᵃ) ≥ (x − ½) a + log σ(ξ) − ξ/2 − λ(ξ) (a² − ξ²),    λ(ξ) = tanh(ξ/2)/(4 ξ)
/// ```
///
/// *Update* of each row:
/// ```text
/// ξ_j² = E_q[a_j²] = (w_jᵀm + b_j)² + w_jᵀ S w_j
/// S⁻¹ = I + 2 Σ_j λ(ξ_j) w_j w_jᵀ,   m = S Σ_j (x_j − ½ − 2 λ(ξ_j) b_j) w_j
/// ```
///
/// *Needs* no quadrature and no step size; the bound never falls. O(N (D q² + q³)) a step.
///
/// *When it fails*: it is never above the ELBO of the same q, and its covariance is a little too small; the gap grows with the loadings.
/// [`PerDatum`](crate::local::PerDatum) has the better bound for about thirty exponentials a cell more.
///
/// ```
/// use lvm_vi::{local, models::bernoulli_factor::{BernoulliFactor, JaakkolaJordan}};
/// use ndarray::array;
/// let model = BernoulliFactor::new(array![[2.0], [-1.0], [1.5]], array![0.0, 0.5, -0.5])?;
/// let x = array![[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]];
/// let fit = JaakkolaJordan::default().fit(&model, &x)?.model;
/// let elbo = local::elbo_rows(&model, &fit.q, &x)?;
/// assert!(fit.bound.iter().zip(&elbo).all(|(b, e)| b < e));
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct JaakkolaJordan {
    /// When to stop.
    pub stopping: Stopping,
}

impl Default for JaakkolaJordan {
    /// Until a step gains less than 1e-12 nats a row, or 500 are done.
    fn default() -> Self {
        JaakkolaJordan { stopping: Stopping { max_iterations: 500, tolerance: 1e-12 } }
    }
}

/// What [`JaakkolaJordan`] finds.
#[derive(Debug, Clone, PartialEq)]
pub struct JaakkolaJordanFit {
    /// The Gaussians.
    pub q: LocalGaussian,
    /// The bound of log p(x_n) in nats (N).
    pub bound: Array1<f64>,
}

impl JaakkolaJordan {
    /// The Gaussians of the rows of `x`, from the prior.
    ///
    /// # Errors
    /// If the data does not fit the model or the stopping rule is out of range.
    pub fn fit(&self, model: &BernoulliFactor, x: &dyn RowSource) -> Result<Fitted<JaakkolaJordanFit>> {
        model.check(x)?;
        self.fit_from(model, x, &LocalGaussian::standard(x.n_rows(), model.latents(), Shape::Full)?)
    }

    pub(super) fn fit_from(&self, model: &BernoulliFactor, x: &dyn RowSource, start: &LocalGaussian) -> Result<Fitted<JaakkolaJordanFit>> {
        check_stopping(self.stopping)?;
        run(&Run { model, start }, x, self.stopping, 0, &mut unwatched)
    }
}

/// λ(ξ) = tanh(ξ/2)/(4ξ), 1/8 at 0.
pub(super) fn lambda(xi: f64) -> f64 {
    // the series 1/8 − ξ²/96 is exact to rounding below 1e-4
    if xi.abs() < 1e-4 { 0.125 - xi * xi / 96.0 } else { (0.5 * xi).tanh() / (4.0 * xi) }
}

/// ξ_j and E\[a_j\] of a column.
pub(super) fn touching_point(model: &BernoulliFactor, j: usize, mean: &[f64], covariance: ArrayView2<'_, f64>) -> (f64, f64) {
    let a = model.predictor(j, mean);
    ((a * a + quadratic(model.loadings.row(j), covariance)).sqrt(), a)
}

struct Run<'a> {
    model: &'a BernoulliFactor,
    start: &'a LocalGaussian,
}

impl Run<'_> {
    /// q from ξ, and the bound with ξ best for the new q.
    fn row(&self, x: &[f64], mean: &[f64], lower: &Array2<f64>) -> Result<(Vec<f64>, Array2<f64>, f64)> {
        let model = self.model;
        let q = mean.len();
        let observed = || x.iter().enumerate().filter(|(_, x)| !x.is_nan());
        let covariance = lower.dot(&lower.t());
        let mut precision = Array2::eye(q);
        let mut linear = Array2::zeros((q, 1));
        for (j, x) in observed() {
            let w = model.loadings.row(j);
            let l = lambda(touching_point(model, j, mean, covariance.view()).0);
            linear.column_mut(0).scaled_add(x - 0.5 - 2.0 * l * model.intercepts[j], &w);
            for (i, mut row) in precision.rows_mut().into_iter().enumerate() {
                row.scaled_add(2.0 * l * w[i], &w);
            }
        }
        let mut lower = lower.clone();
        let mut covariance = covariance;
        if q > 0 {
            let l = linalg::cholesky(precision.view()).map_err(|e| e.of("precision of a row"))?;
            linalg::cholesky_solve(l.view(), linear.view_mut());
            covariance = linalg::cholesky_inverse(l.view());
            lower = linalg::cholesky(covariance.view()).map_err(|e| e.of("covariance of a row"))?;
        }
        let mean: Vec<f64> = linear.iter().copied().collect();
        let mut bound = entropy_of(lower.view()) - 0.5 * mean.iter().zip(covariance.diag()).map(|(m, s)| TAU.ln() + m * m + s).sum::<f64>();
        for (j, x) in observed() {
            // at ξ² = E[a²] the quadratic term is zero
            let (xi, a) = touching_point(model, j, &mean, covariance.view());
            bound += (x - 0.5) * a + log_sigmoid(xi) - 0.5 * xi;
        }
        Ok((mean, lower, bound))
    }
}

impl Algorithm<dyn RowSource + '_> for Run<'_> {
    /// Packed Gaussian and bound of each row.
    type State = Array2<f64>;
    type Output = JaakkolaJordanFit;

    fn init(&self, x: &(dyn RowSource + '_), _seed: u64) -> Result<Array2<f64>> {
        let packed = Packed { latents: self.model.latents() };
        let mut table = Array2::zeros((x.n_rows(), packed.width() + 1));
        table.slice_axis_mut(Axis(1), (..packed.width()).into()).assign(&packed.table(self.start));
        Ok(table)
    }

    fn step(&self, state: &mut Array2<f64>, x: &(dyn RowSource + '_)) -> Result<Step> {
        let q = self.model.latents();
        let old = &*state;
        let table = map_rows(x, old.ncols(), Vec::new, |cells, block, mut out| {
            for i in 0..block.n_rows() {
                let before = old.row(block.row_number(i));
                gather(block, i, cells);
                let mean: Vec<f64> = before.iter().take(q).copied().collect();
                let lower = Array2::from_shape_fn((q, q), |(i, k)| before[q + i * q + k]);
                let (mean, lower, bound) = self.row(cells, &mean, &lower)?;
                out.row_mut(i).iter_mut().zip(mean.into_iter().chain(lower).chain([bound])).for_each(|(o, v)| *o = v);
            }
            Ok(())
        })?;
        *state = table;
        let objective = weighted_sum(&state.column(q + q * q).to_owned(), x) / total_weight(x);
        Ok(Step { objective, converged: false, repairs: Vec::new() })
    }

    fn finish(&self, state: Array2<f64>) -> Result<JaakkolaJordanFit> {
        let packed = Packed { latents: self.model.latents() };
        Ok(JaakkolaJordanFit { q: packed.unpack(state.view(), Shape::Full)?, bound: state.column(packed.width()).to_owned() })
    }
}
