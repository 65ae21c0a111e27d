//! The best Gaussian of each datum by Newton-type ascent of its exact ELBO.

use super::coordinate_ascent::check_stopping;
use super::{Derivatives, LocalGaussian, LocalModel, Packed, Shape, bound::weighted_sum, entropy_of, gather};
use lvm_core::fit::{Algorithm, Fitted, Step, Stopping, Watch, run, unwatched};
use lvm_core::mutant::planted;
use lvm_core::rows::{RowSource, total_weight};
use lvm_core::sweep::map_rows;
use lvm_core::{ErrorKind, Result, linalg};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, Axis};

/// Each datum's own Gaussian q(z_n) = N(m_n, S_n), by ascent of its ELBO with expected first and second derivatives.
///
/// *Objective*: mean ELBO per row, Σ_n w_n ELBO_n / Σ_n w_n.
///
/// *Update* of each row, with g = E_q[∇ log p] and P = −E_q[∇∇ᵀ log p]:
/// ```text
/// m ← m + ρ P⁻¹ g
/// full:      S⁻¹   ← (1 − ρ) S⁻¹   + ρ P          (Khan & Lin 2017; natural gradient in S)
/// diagonal:  s_i⁻² ← (1 − ρ) s_i⁻² + ρ P_ii
/// ```
/// ρ = 1, halved until the ELBO does not fall, so that the trace never does. A row is done when the gain still to be had, ½ gᵀP⁻¹g +
/// ¼ ‖S P − I‖², is below `tolerance`; its numbers then stay. A fixed point satisfies Bonnet's and Price's conditions g = 0, P = S⁻¹
/// (diagonal: P_ii = s_i⁻²). For a linear Gaussian model one step is exact.
///
/// *Needs* a log joint that is concave in z for a unique optimum (linear Gaussian, logistic links); otherwise it ends at a local one.
/// Memory O(N q²), time O(N (D q² + q³)) an iteration plus the model's own quadrature. Rows are worked on in parallel.
///
/// *When it fails*: nothing is printed and nothing thrown away; rows that did not get there within `max_iterations` show in the status.
///
/// ```
/// use lvm_core::{linear_gaussian::LinearGaussian, model::{Evidence, Infer}};
/// use lvm_vi::local::{self, PerDatum, Shape};
/// use ndarray::array;
/// let model = LinearGaussian::new(array![0.0, 0.0], array![[1.0, 0.0], [1.0, 1.0]], array![1.0, 1.0])?;
/// let x = array![[1.0, 2.0]];
/// let q = PerDatum { shape: Shape::Full, ..Default::default() }.fit(&model, &x)?.model;
/// assert!(q.kl(&model.infer(&x)?)?[0] < 1e-15);
/// assert!((local::elbo(&model, &q, &x)? - model.log_evidence(&x)?[0]).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Opper & Archambeau, *The variational Gaussian approximation revisited* (2009); Khan & Lin, *Conjugate-computation variational inference*
/// (2017).
#[derive(Debug, Clone, PartialEq)]
pub struct PerDatum {
    /// Mean field or full covariance.
    pub shape: Shape,
    /// When to stop: `tolerance` is the gain in nats still to be had in a row, not the change of the objective. 0: exactly
    /// `max_iterations` iterations.
    pub stopping: Stopping,
}

impl Default for PerDatum {
    /// Full covariance, until every row is within 1e-12 nats of its optimum, or 200 iterations are done.
    fn default() -> Self {
        PerDatum { shape: Shape::Full, stopping: Stopping { max_iterations: 200, tolerance: 1e-12 } }
    }
}

impl PerDatum {
    /// The best Gaussians, from the prior.
    ///
    /// # Errors
    /// If the data does not fit the model, or the stopping rule is out of range.
    pub fn fit<M: LocalModel>(&self, model: &M, x: &dyn RowSource) -> Result<Fitted<LocalGaussian>> {
        model.check(x)?;
        self.fit_from(model, x, &LocalGaussian::standard(x.n_rows(), model.latents(), self.shape)?)
    }

    /// The best Gaussians, from `start`; with few iterations this is the semi-amortized refinement of an encoder's output (Kim et al. 2018).
    /// A mean field starts from the diagonal of the covariances of `start`.
    ///
    /// # Errors
    /// As [`fit`](Self::fit), and if `start` does not fit.
    pub fn fit_from<M: LocalModel>(&self, model: &M, x: &dyn RowSource, start: &LocalGaussian) -> Result<Fitted<LocalGaussian>> {
        self.fit_watched(model, x, start, &mut unwatched)
    }

    /// As [`fit_from`](Self::fit_from), telling `watch` of every iteration.
    ///
    /// # Errors
    /// As [`fit_from`](Self::fit_from).
    pub fn fit_watched<M: LocalModel>(
        &self,
        model: &M,
        x: &dyn RowSource,
        start: &LocalGaussian,
        watch: Watch<'_>,
    ) -> Result<Fitted<LocalGaussian>> {
        check_stopping(self.stopping)?;
        model.check(x)?;
        for (what, expected, found) in
            [("number of rows of q", x.n_rows(), start.mean().nrows()), ("number of latents of q", model.latents(), start.mean().ncols())]
        {
            if expected != found {
                return Err(ErrorKind::Shape { what, expected, found }.into());
            }
        }
        let ascent = Ascent { config: self, model, start };
        // rows tell when they are done; the loop's own rule on the objective is switched off
        run(&ascent, x, Stopping { tolerance: 0.0, ..self.stopping }, 0, watch)
    }
}

struct Ascent<'a, M> {
    config: &'a PerDatum,
    model: &'a M,
    start: &'a LocalGaussian,
}

/// One row a datum: packed Gaussian, ELBO, gain still to be had.
struct State {
    table: Array2<f64>,
}

impl<M: LocalModel> Ascent<'_, M> {
    fn packed(&self) -> Packed {
        Packed { latents: self.model.latents() }
    }
}

impl<M: LocalModel> Algorithm<dyn RowSource + '_> for Ascent<'_, M> {
    type State = State;
    type Output = LocalGaussian;

    fn init(&self, x: &(dyn RowSource + '_), _seed: u64) -> Result<State> {
        let start = match (self.config.shape, self.start.shape()) {
            (Shape::Diagonal, Shape::Full) => &LocalGaussian::diagonal(self.start.mean().clone(), self.start.standard_deviations().view())?,
            _ => self.start,
        };
        let mut table = Array2::zeros((x.n_rows(), self.packed().width() + 2));
        let width = self.packed().width();
        table.slice_axis_mut(Axis(1), (..width).into()).assign(&self.packed().table(start));
        table.column_mut(width).fill(f64::NEG_INFINITY);
        table.column_mut(width + 1).fill(f64::INFINITY);
        Ok(State { table })
    }

    fn step(&self, state: &mut State, x: &(dyn RowSource + '_)) -> Result<Step> {
        let width = self.packed().width();
        let old = &state.table;
        let tolerance = self.config.stopping.tolerance;
        let table = map_rows(
            x,
            width + 2,
            || (Vec::new(), Row::new(self.model.latents(), self.config.shape)),
            |(cells, row), block, mut out| {
                for i in 0..block.n_rows() {
                    let before = old.row(block.row_number(i));
                    let after = out.row_mut(i);
                    if before[width + 1] < tolerance {
                        before.assign_to(after);
                    } else {
                        gather(block, i, cells);
                        row.improve(self.model, cells, before, after);
                    }
                }
                Ok(())
            },
        )?;
        state.table = table;
        let objective = weighted_sum(&state.table.column(width).to_owned(), x) / total_weight(x);
        let present = |n: usize| x.weights().is_none_or(|w| w[n] > 0.0);
        let converged = tolerance > 0.0 && (0..x.n_rows()).all(|n| !present(n) || state.table[[n, width + 1]] < tolerance);
        Ok(Step { objective, converged, repairs: Vec::new() })
    }

    fn finish(&self, state: State) -> Result<LocalGaussian> {
        self.packed().unpack(state.table.view(), self.config.shape)
    }
}

/// Scratch space of one row.
struct Row {
    shape: Shape,
    derivatives: Derivatives,
}

impl Row {
    fn new(latents: usize, shape: Shape) -> Self {
        Row { shape, derivatives: Derivatives::new(latents) }
    }

    /// One damped step from `before`, written over `after` with its ELBO and the gain still to be had before the step.
    fn improve<M: LocalModel>(&mut self, model: &M, x: &[f64], before: ArrayView1<'_, f64>, mut after: ArrayViewMut1<'_, f64>) {
        let q = model.latents();
        let mean: Vec<f64> = before.iter().take(q).copied().collect();
        let lower = Array2::from_shape_fn((q, q), |(i, k)| before[q + i * q + k]);
        let covariance = lower.dot(&lower.t());
        let elbo = model.expected_derivatives(x, &mean, covariance.view(), &mut self.derivatives) + entropy_of(lower.view());
        let step = self.mean_step(&covariance);
        let gain = 0.5 * self.derivatives.gradient.dot(&step) + self.curvature_gain(&lower);
        after.assign(&before);
        after[q + q * q] = elbo;
        after[q + q * q + 1] = gain.abs();
        let precision = self.precision_of(&lower);
        for halvings in 0..40 {
            let rho = 0.5_f64.powi(halvings + i32::from(planted("perdatum_half_step")));
            // what there is to gain is below the rounding of the ELBO
            if halvings > 0 && rho * gain < f64::EPSILON * elbo.abs() {
                break;
            }
            let Some(new_lower) = self.blend(&precision, rho) else { continue };
            let new_mean: Vec<f64> = mean.iter().zip(&step).map(|(m, s)| m + rho * s).collect();
            let new_covariance = new_lower.dot(&new_lower.t());
            let new_elbo = model.expected_log_joint(x, &new_mean, new_covariance.view()) + entropy_of(new_lower.view());
            // NaN is no improvement
            if new_elbo >= elbo {
                after.iter_mut().zip(new_mean.iter().chain(&new_lower)).for_each(|(a, v)| *a = *v);
                after[q + q * q] = new_elbo;
                return;
            }
        }
        // no step gains: the row is where rounding lets it be
        after[q + q * q + 1] = 0.0;
    }

    /// P⁻¹ g, or S g where P is not positive definite (a log joint that is not concave there).
    fn mean_step(&self, covariance: &Array2<f64>) -> Array1<f64> {
        let g = &self.derivatives.gradient;
        if g.is_empty() {
            return g.clone();
        }
        match linalg::cholesky(self.derivatives.precision.view()) {
            Ok(l) => {
                let mut step = g.clone().insert_axis(Axis(1));
                linalg::cholesky_solve(l.view(), step.view_mut());
                step.index_axis_move(Axis(1), 0)
            }
            Err(_) => covariance.dot(g),
        }
    }

    /// ¼ ‖Lᵀ P L − I‖² (its diagonal alone for the mean field): the second-order gain of the best covariance.
    fn curvature_gain(&self, lower: &Array2<f64>) -> f64 {
        let p = &self.derivatives.precision;
        match self.shape {
            Shape::Diagonal => lower.diag().iter().zip(p.diag()).map(|(s, p)| 0.25 * (s * s * p - 1.0).powi(2)).sum(),
            Shape::Full => {
                let excess = lower.t().dot(p).dot(lower) - Array2::<f64>::eye(lower.nrows());
                0.25 * excess.iter().map(|v| v * v).sum::<f64>()
            }
        }
    }

    fn precision_of(&self, lower: &Array2<f64>) -> Array2<f64> {
        match self.shape {
            Shape::Diagonal => Array2::from_diag(&lower.diag().mapv(|s| 1.0 / (s * s))),
            Shape::Full if lower.is_empty() => lower.clone(),
            Shape::Full => linalg::cholesky_inverse(lower.view()),
        }
    }

    /// L of the covariance with precision (1 − ρ) `precision` + ρ P; `None` if that is not positive definite.
    fn blend(&self, precision: &Array2<f64>, rho: f64) -> Option<Array2<f64>> {
        let p = &self.derivatives.precision;
        match self.shape {
            Shape::Diagonal => {
                let mixed = precision.diag().to_owned() * (1.0 - rho) + p.diag().to_owned() * rho;
                mixed.iter().all(|v| *v > 0.0 && v.is_finite()).then(|| Array2::from_diag(&mixed.mapv(|v| 1.0 / v.sqrt())))
            }
            Shape::Full if p.is_empty() => Some(p.clone()),
            Shape::Full => {
                let mixed = precision * (1.0 - rho) + p * rho;
                linalg::cholesky(mixed.view()).ok().and_then(|l| lower_of_inverse(l.view()))
            }
        }
    }
}

/// The lower Cholesky factor of (L Lᵀ)⁻¹.
fn lower_of_inverse(l: ArrayView2<'_, f64>) -> Option<Array2<f64>> {
    linalg::cholesky(linalg::cholesky_inverse(l).view()).ok()
}
