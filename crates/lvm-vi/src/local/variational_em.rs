//! Variational EM for probabilistic PCA and factor analysis.

use super::coordinate_ascent::check_stopping;
use super::linear_gaussian::precision;
use super::{LocalModel, Shape, gather};
use lvm_core::fit::{Algorithm, Fitted, RepairKind, Step, Stopping, Watch, run, unwatched};
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::model::LatentModel;
use lvm_core::mutant::planted;
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{Missing, RowSource};
use lvm_core::sweep::{Merge, Plan, check_shape, sweep};
use lvm_core::{Error, ErrorKind, Result, linalg};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};
use rand_distr::{Distribution, StandardNormal};
use std::f64::consts::TAU;

/// The noise of the linear Gaussian model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Noise {
    /// The same variance in all columns: probabilistic PCA.
    #[default]
    Equal,
    /// One variance a column: factor analysis.
    PerColumn,
}

/// Where variational EM starts.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Start {
    /// The column means, and independent normal loadings that share the variance with the noise equally.
    #[default]
    Random,
    /// These parameters.
    Parameters(LinearGaussian),
}

/// Parameters of x = μ + W z + ε by variational EM.
///
/// *Objective*: mean ELBO per row over q(z_n) of the chosen shape and over (μ, W, ψ).
///
/// *Update*: E-step, the best q(z_n) in closed form: means Λ⁻¹h_n, covariance Λ⁻¹ (full) or diag(1/Λ_ii) (diagonal). M-step, with z̃ = (z, 1),
/// e_nj = x_nj − μ_j − w_jᵀz_n and sums over the rows that observe j:
/// ```text
/// (w_j, μ_j) ← (w_j, μ_j) + A_j⁻¹ b_j,   A_j = Σ E_q[z̃ z̃ᵀ],   b_j = Σ E_q[e_nj z̃]
/// ψ_j ← (Σ E_q[e_nj²] − b_jᵀA_j⁻¹b_j) / N_j          equal noise: one ratio of sums over all columns
/// ```
/// With full covariance this is EM, and it reaches the maximum of the likelihood, for probabilistic PCA the eigen-decomposition.
/// With the mean field the bound is tight only where Λ is diagonal. A rotation of W changes no likelihood, so the bound's maximum is the
/// same: W turns until WᵀΨ⁻¹W is diagonal, and the mean field ends at the maximum of the likelihood too, with a gap of zero. It takes more
/// iterations, because turning W is slow. (For other entries missing in each row no one rotation is right for all, and the mean field ends
/// below.) `trace` holds the objective of the parameters after each update.
///
/// *Needs* at most D latents. A pass of O(N D q) an iteration over complete rows, O(N (D q² + q³)) where entries are missing.
///
/// *When it fails*: as EM, it is slow where σ² is close to the smallest variance kept. A noise variance that goes to zero is held at 1e-12 of
/// the column's variance and reported.
///
/// ```
/// use lvm_core::ppca::PpcaMl;
/// use lvm_vi::local::VariationalEm;
/// use ndarray::Array2;
/// let x = Array2::from_shape_fn((50, 3), |(n, j)| (n as f64).sin() * (j + 1) as f64 + 0.5 * ((n * (j + 2)) as f64).cos());
/// let vem = VariationalEm { latents: 1, ..Default::default() }.fit(&x, 0)?;
/// let ml = PpcaMl { components: 1, ..Default::default() }.fit(&x, 0)?;
/// assert!((vem.objective() - ml.objective()).abs() < 1e-8);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Tipping & Bishop (1999), appendix B; Lucas, Tucker, Grosse & Norouzi, *Don't blame the ELBO!* (2019).
#[derive(Debug, Clone, PartialEq)]
pub struct VariationalEm {
    /// q.
    pub latents: usize,
    /// Probabilistic PCA or factor analysis.
    pub noise: Noise,
    /// Mean field or full covariance.
    pub shape: Shape,
    /// Where to start.
    pub start: Start,
    /// When to stop.
    pub stopping: Stopping,
}

impl Default for VariationalEm {
    /// Two latents, equal noise, full covariance, a random start, until an iteration gains less than 1e-11 nats a row, or 5000 are done.
    fn default() -> Self {
        VariationalEm {
            latents: 2,
            noise: Noise::Equal,
            shape: Shape::Full,
            start: Start::Random,
            stopping: Stopping { max_iterations: 5000, tolerance: 1e-11 },
        }
    }
}

impl VariationalEm {
    /// The model that variational EM reaches; with equal noise, `Ppca::new(mean, loadings, noise[0])` is the same one.
    ///
    /// # Errors
    /// If the data is unusable (a column without an entry or without variation), or a setting is out of range.
    pub fn fit(&self, x: &dyn RowSource, seed: u64) -> Result<Fitted<LinearGaussian>> {
        self.fit_watched(x, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` of every iteration.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_watched(&self, x: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Fitted<LinearGaussian>> {
        check_stopping(self.stopping)?;
        check_shape(x, None)?;
        if self.latents > x.n_cols() {
            return Err(Error::config("latents", format!("{} for {} columns; at most as many are allowed", self.latents, x.n_cols())));
        }
        let flat = LinearGaussian::new(Array1::zeros(x.n_cols()), Array2::zeros((x.n_cols(), 0)), Array1::ones(x.n_cols()))?;
        let first = Sums::of(&flat, Shape::Full, x)?;
        if let Some(column) = first.observed.iter().position(|n| *n == 0.0) {
            return Err(ErrorKind::MissingColumn { column, name: x.column_name(column) }.into());
        }
        let regression = first.regression(&flat)?;
        let variances = &regression.error / &first.observed;
        if !(variances.iter().any(|v| *v > 0.0)) {
            return Err(ErrorKind::NoVariation.into());
        }
        let flat = (0..variances.len()).filter(|&j| self.noise == Noise::PerColumn && !(variances[j] > 0.0));
        let columns: Vec<_> = flat.map(|j| (j, x.column_name(j))).collect();
        if !columns.is_empty() {
            return Err(ErrorKind::ConstantColumns { columns }.into());
        }
        run(&Run { config: self, mean: regression.mean, variances }, x, self.stopping, seed, watch)
    }
}

struct Run<'a> {
    config: &'a VariationalEm,
    mean: Array1<f64>,
    variances: Array1<f64>,
}

struct State {
    model: LinearGaussian,
    sums: Sums,
    floored: bool,
}

/// Sums over the rows under q, as the M-step needs them; with z̃ = (z, 1).
struct Sums {
    /// Σ w ELBO.
    elbo: f64,
    weight: f64,
    /// N_j (D).
    observed: Array1<f64>,
    /// Σ w E[z̃ z̃ᵀ]: of every column (D, q + 1, q + 1), or one for all.
    second: Array3<f64>,
    /// Σ w E[e z̃] (D, q + 1).
    cross: Array2<f64>,
    /// Σ w `E[e²]` (D).
    error: Array1<f64>,
}

impl Merge for Sums {
    fn merge(&mut self, other: Self) {
        self.elbo += other.elbo;
        self.weight += other.weight;
        self.observed += &other.observed;
        self.second += &other.second;
        self.cross += &other.cross;
        self.error += &other.error;
    }
}

struct Regression {
    mean: Array1<f64>,
    loadings: Array2<f64>,
    error: Array1<f64>,
}

/// Λ's Cholesky factor, S, and ½ log det S of a set of observed columns.
struct Pattern {
    lower: Array2<f64>,
    covariance: Array2<f64>,
    half_log_det: f64,
}

impl Pattern {
    fn new(model: &LinearGaussian, columns: &[usize], shape: Shape) -> Result<Self> {
        let precision = precision(model, columns);
        if precision.is_empty() {
            return Ok(Pattern { lower: precision.clone(), covariance: precision, half_log_det: 0.0 });
        }
        let lower = linalg::cholesky(precision.view()).map_err(|e| e.of("I + WᵀΨ⁻¹W"))?;
        Ok(match shape {
            Shape::Full => {
                let covariance = linalg::cholesky_inverse(lower.view());
                Pattern { half_log_det: -0.5 * linalg::log_det(lower.view()), lower, covariance }
            }
            Shape::Diagonal => {
                let variances = precision.diag().mapv(|l| 1.0 / l);
                Pattern { half_log_det: 0.5 * variances.mapv(f64::ln).sum(), lower, covariance: Array2::from_diag(&variances) }
            }
        })
    }

    /// Λ⁻¹ h for each row of h (n, q).
    fn means(&self, mut h: Array2<f64>) -> Array2<f64> {
        if !self.lower.is_empty() && h.nrows() > 0 {
            linalg::cholesky_solve(self.lower.view(), h.view_mut().reversed_axes());
        }
        h
    }
}

impl Sums {
    fn of(model: &LinearGaussian, shape: Shape, x: &dyn RowSource) -> Result<Self> {
        let (d, q) = (model.dim(), model.latents());
        let slots = if x.missing() == Missing::Refuse { 1 } else { d };
        let all: Vec<usize> = (0..d).collect();
        let complete = Pattern::new(model, &all, shape)?;
        sweep(
            x,
            Plan::new(d, 8 * (slots * (q + 1) * (q + 1) + d * (q + 3))),
            || Sums {
                elbo: 0.0,
                weight: 0.0,
                observed: Array1::zeros(d),
                second: Array3::zeros((slots, q + 1, q + 1)),
                cross: Array2::zeros((d, q + 1)),
                error: Array1::zeros(d),
            },
            |sums, block| {
                if !block.has_missing() {
                    sums.add(model, &complete, &all, block.x(), block.weights());
                    return Ok(());
                }
                let mut row = Vec::new();
                for i in 0..block.n_rows() {
                    gather(block, i, &mut row);
                    let columns: Vec<usize> = all.iter().copied().filter(|&j| !row[j].is_nan()).collect();
                    if columns.is_empty() {
                        return Err(ErrorKind::MissingRow { row: block.row_number(i) }.into());
                    }
                    let cells = Array2::from_shape_fn((1, columns.len()), |(_, o)| row[columns[o]]);
                    let weight = block.weights().map(|w| &w[i..=i]);
                    sums.add(model, &Pattern::new(model, &columns, shape)?, &columns, cells.view(), weight);
                }
                Ok(())
            },
        )
    }

    /// Rows (n, O) that observe `columns`.
    fn add(&mut self, model: &LinearGaussian, pattern: &Pattern, columns: &[usize], x: ArrayView2<'_, f64>, weights: Option<&[f64]>) {
        let (n, q) = (x.nrows(), model.latents());
        let loadings = model.loadings().select(Axis(0), columns);
        let noise = model.noise().select(Axis(0), columns);
        let mut e = &x - &model.mean().select(Axis(0), columns);
        let weight = |i: usize| weights.map_or(1.0, |w| w[i]);
        let total: f64 = (0..n).map(weight).sum();
        // z̃: posterior means with 1 appended
        let mut z = Array2::ones((n, q + 1));
        if q > 0 {
            let m = pattern.means(linalg::matmul((&e / &noise).view(), loadings.view()));
            linalg::add_matmul(-1.0, m.view(), loadings.t(), e.view_mut());
            z.slice_axis_mut(Axis(1), (..q).into()).assign(&m);
        }
        let weighted = Array2::from_shape_fn((n, q + 1), |(i, k)| weight(i) * z[[i, k]]);
        let mut second = linalg::matmul(weighted.t(), z.view());
        for i in 0..q {
            (0..q).for_each(|k| second[[i, k]] += total * pattern.covariance[[i, k]]);
        }
        if self.second.len_of(Axis(0)) == 1 {
            self.second.index_axis_mut(Axis(0), 0).zip_mut_with(&second, |a, b| *a += b);
        } else {
            columns.iter().for_each(|&j| self.second.index_axis_mut(Axis(0), j).zip_mut_with(&second, |a, b| *a += b));
        }
        let products = linalg::matmul(e.t(), weighted.view());
        // −½ [E‖z‖² − q] + ½ log det S: minus the divergence from the prior
        let squares: f64 = weighted.iter().zip(&z).map(|(a, b)| a * b).sum::<f64>() - total;
        self.elbo += total * pattern.half_log_det - 0.5 * (squares + total * (pattern.covariance.diag().sum() - q as f64));
        for (o, &j) in columns.iter().enumerate() {
            // Σ w E[e z̃] = Σ w e z̄̃ − Σ w S w_j,   Σ w E[e²] = Σ w e² + Σ w w_jᵀ S w_j
            let w = loadings.row(o);
            let spread = pattern.covariance.dot(&w);
            let residual: f64 = e.column(o).iter().enumerate().map(|(i, e)| weight(i) * e * e).sum();
            let error = residual + total * w.dot(&spread);
            self.error[j] += error;
            self.observed[j] += total;
            let mut cross = self.cross.row_mut(j);
            cross += &products.row(o);
            cross.slice_axis_mut(Axis(0), (..q).into()).scaled_add(-total, &spread);
            self.elbo -= 0.5 * (total * (TAU * noise[o]).ln() + error / noise[o]);
        }
        self.weight += total;
    }

    /// The corrections of (W, μ) and the error that is left.
    fn regression(&self, model: &LinearGaussian) -> Result<Regression> {
        let (d, q) = (model.dim(), model.latents());
        let mut out = Regression { mean: model.mean().clone(), loadings: model.loadings().clone(), error: self.error.clone() };
        let factor = |j: usize| linalg::cholesky(self.second.index_axis(Axis(0), j)).map_err(|e| e.of("second moment of the latents"));
        let shared = if self.second.len_of(Axis(0)) == 1 { Some(factor(0)?) } else { None };
        for j in (0..d).filter(|&j| self.observed[j] > 0.0) {
            let own;
            let lower = match &shared {
                Some(lower) => lower,
                None => {
                    own = factor(j)?;
                    &own
                }
            };
            let mut step = self.cross.row(j).to_owned().insert_axis(Axis(1));
            linalg::cholesky_solve(lower.view(), step.view_mut());
            let step = step.index_axis_move(Axis(1), 0);
            out.mean[j] += step[q];
            out.loadings.row_mut(j).zip_mut_with(&step.slice_axis(Axis(0), (..q).into()), |w, s| *w += s);
            out.error[j] = (self.error[j] - self.cross.row(j).dot(&step)).max(0.0);
        }
        Ok(out)
    }
}

impl Run<'_> {
    /// ψ of the M-step, held at the floor, and what had to be held.
    fn noise(&self, sums: &Sums, error: &Array1<f64>) -> (Array1<f64>, Option<RepairKind>) {
        const SHARE: f64 = 1e-12;
        match self.config.noise {
            Noise::Equal => {
                let floor = SHARE * self.variances.mean().unwrap_or(1.0);
                let noise = error.sum() / sums.observed.sum();
                let repair = (noise < floor).then_some(RepairKind::NoiseFloored { floor });
                (Array1::from_elem(error.len(), noise.max(floor)), repair)
            }
            Noise::PerColumn => {
                let floor = &self.variances * SHARE;
                let noise = error / &sums.observed;
                let below = noise.iter().zip(&floor).position(|(n, f)| n < f);
                let noise = noise.iter().zip(&floor).map(|(n, f)| n.max(*f)).collect();
                (noise, below.map(|variable| RepairKind::Heywood { variable, floor: SHARE }))
            }
        }
    }
}

impl Algorithm<dyn RowSource + '_> for Run<'_> {
    type State = State;
    type Output = LinearGaussian;

    fn init(&self, x: &(dyn RowSource + '_), seed: u64) -> Result<State> {
        let (d, q) = (x.n_cols(), self.config.latents);
        let model = match &self.config.start {
            Start::Parameters(model) => {
                model.check(x)?;
                if model.latents() != q {
                    return Err(Error::config("start", format!("has {} latents where {q} are asked for", model.latents())));
                }
                model.clone()
            }
            Start::Random => {
                let mut rng = stream(seed, Purpose::Start, 0);
                let average = self.variances.mean().unwrap_or(1.0);
                let share = if q == 0 { 0.0 } else { (0.5 / q as f64).sqrt() };
                let scale = |j: usize| if self.config.noise == Noise::Equal { average } else { self.variances[j] };
                let loadings = Array2::from_shape_fn((d, q), |(j, _)| {
                    let e: f64 = StandardNormal.sample(&mut rng);
                    share * scale(j).sqrt() * e
                });
                LinearGaussian::new(self.mean.clone(), loadings, Array1::from_shape_fn(d, |j| 0.5 * scale(j)))?
            }
        };
        let sums = Sums::of(&model, self.config.shape, x)?;
        Ok(State { model, sums, floored: false })
    }

    fn step(&self, state: &mut State, x: &(dyn RowSource + '_)) -> Result<Step> {
        let regression = state.sums.regression(&state.model)?;
        let (noise, repair) = self.noise(&state.sums, &regression.error);
        let before = planted("vem_stale_moments").then(|| state.model.clone());
        state.model = LinearGaussian::new(regression.mean, regression.loadings, noise)?;
        state.sums = Sums::of(before.as_ref().unwrap_or(&state.model), self.config.shape, x)?;
        // said once: it would otherwise be said at every iteration from here on
        let repairs = repair.filter(|_| !std::mem::replace(&mut state.floored, true)).into_iter().collect();
        Ok(Step { objective: state.sums.elbo / state.sums.weight, converged: false, repairs })
    }

    fn finish(&self, state: State) -> Result<LinearGaussian> {
        Ok(state.model)
    }
}
