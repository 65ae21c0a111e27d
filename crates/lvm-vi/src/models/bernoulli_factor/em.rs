//! Estimation of loadings and intercepts: EM and variational EM.

use super::jaakkola_jordan::JaakkolaJordan;
use super::maximisation::{Grid, gaussian_step, quadratic_step};
use super::{BernoulliFactor, check_binary};
use crate::local::{LocalGaussian, LocalModel, PerDatum, Present, Shape, check_stopping};
use lvm_core::fit::{Algorithm, Fitted, Step, Stopping, Watch, best_of, run_restart, unwatched};
use lvm_core::model::LatentModel;
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::RowSource;
use lvm_core::sweep::{Merge, Plan, check_shape, sweep};
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array1, Array2};
use rand_distr::{Distribution, StandardNormal};

/// What stands for the posterior in the E-step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EStep {
    /// The posterior itself on a fixed grid (at most two latents): EM, whose objective is the log-likelihood.
    Quadrature,
    /// The best Gaussian of each row: variational EM, whose objective is the ELBO.
    Gaussian(Shape),
    /// The Gaussian of the quadratic bound, whose objective is the bound itself; the M-step is in closed form.
    #[default]
    JaakkolaJordan,
}

/// Where estimation starts.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Start {
    /// Loadings with independent N(0, ½²) entries, intercepts at the log odds of the columns. Zero loadings are a saddle.
    #[default]
    Random,
    /// These parameters.
    Parameters(BernoulliFactor),
}

/// Loadings and intercepts of the Bernoulli factor model by EM or variational EM.
///
/// *Objective*: mean over rows of log p(x) ([`EStep::Quadrature`]), of the ELBO ([`EStep::Gaussian`]) or of the quadratic bound.
///
/// *Update*: E-step as chosen, at the present (W, b); M-step for each column j, with z̃ = (z, 1) and w̃ = (w_j, b_j):
/// ```text
/// quadratic bound:  w̃ = (2 Σ_n λ(ξ_nj) E[z̃ z̃ᵀ])⁻¹ Σ_n (x_nj − ½) E[z̃]
/// otherwise:        w̃ ← w̃ + ρ H⁻¹ Σ_n E[(x_nj − σ(w̃ᵀz̃)) z̃],   H = Σ_n E[σ'] E[z̃ z̃ᵀ],   ρ halved until the column's term does not fall
/// ```
/// so every objective rises. `trace` holds the objective of the parameters after the update, with the E-step made for them.
///
/// *Needs* columns with both values. W is determined up to a rotation. The objective is not concave: use `restarts`.
///
/// *When it fails*: columns that the factors separate perfectly drive loadings to infinity, slowly; the status is then
/// [`Status::MaxIterations`](lvm_core::fit::Status::MaxIterations). Variational objectives prefer loadings that make their own gap small: they
/// end beside the maximum of the likelihood, usually with smaller loadings.
///
/// ```
/// use lvm_core::random::{Purpose, stream};
/// use lvm_core::model::LatentModel;
/// use lvm_vi::models::bernoulli_factor::{BernoulliFactor, BernoulliFactorEm};
/// use ndarray::array;
/// let truth = BernoulliFactor::new(array![[2.0], [2.0], [2.0], [2.0]], array![0.0, 0.0, 1.0, -1.0])?;
/// let mut rng = stream(1, Purpose::Sample, 0);
/// let x = truth.sample_x(&truth.sample_z(2000, &mut rng), &mut rng)?;
/// let fitted = BernoulliFactorEm { latents: 1, ..Default::default() }.fit(&x, 0)?;
/// assert!(fitted.model.loadings().iter().all(|w| w.abs() > 1.0));
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct BernoulliFactorEm {
    /// q.
    pub latents: usize,
    /// The E-step.
    pub e_step: EStep,
    /// Where to start; restarts after the first are random.
    pub start: Start,
    /// Runs; the best is kept.
    pub restarts: usize,
    /// When to stop.
    pub stopping: Stopping,
}

impl Default for BernoulliFactorEm {
    /// Two latents by the quadratic bound, one run, until an iteration gains less than 1e-8 nats a row or 1000 are done.
    fn default() -> Self {
        BernoulliFactorEm {
            latents: 2,
            e_step: EStep::default(),
            start: Start::Random,
            restarts: 1,
            stopping: Stopping { max_iterations: 1000, tolerance: 1e-8 },
        }
    }
}

impl BernoulliFactorEm {
    /// The model that estimation reaches.
    ///
    /// # Errors
    /// If the data is not binary, has a column without both values, or a setting is out of range.
    pub fn fit(&self, x: &dyn RowSource, seed: u64) -> Result<Fitted<BernoulliFactor>> {
        self.fit_watched(x, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` of every iteration.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_watched(&self, x: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Fitted<BernoulliFactor>> {
        check_stopping(self.stopping)?;
        check_shape(x, None)?;
        if self.e_step == EStep::Quadrature && self.latents > 2 {
            return Err(Error::config(
                "e_step",
                format!("quadrature is for at most 2 latents, not {}; take a Gaussian E-step", self.latents),
            ));
        }
        let x = &Present::of(x);
        check_binary(x)?;
        let log_odds = log_odds(x)?;
        best_of(self.restarts, |restart| {
            let run = Run { em: self, log_odds: &log_odds, restart };
            run_restart(&run, x as &dyn RowSource, self.stopping, seed, (restart, self.restarts), &mut *watch)
        })
    }
}

/// Σ w and Σ w x of each column.
struct Counts {
    weight: Array1<f64>,
    ones: Array1<f64>,
}

impl Merge for Counts {
    fn merge(&mut self, other: Self) {
        self.weight += &other.weight;
        self.ones += &other.ones;
    }
}

/// log p/(1 − p) of each column's share of ones; a column without both values has none.
fn log_odds(x: &dyn RowSource) -> Result<Array1<f64>> {
    let d = x.n_cols();
    let counts = sweep(
        x,
        Plan::new(d, 16 * d),
        || Counts { weight: Array1::zeros(d), ones: Array1::zeros(d) },
        |counts, block| {
            for j in 0..d {
                for (i, v) in block.column(j).iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                    let w = block.weights().map_or(1.0, |w| w[i]);
                    counts.weight[j] += w;
                    counts.ones[j] += w * v;
                }
            }
            Ok(())
        },
    )?;
    if let Some(column) = counts.weight.iter().position(|w| *w == 0.0) {
        return Err(ErrorKind::MissingColumn { column, name: x.column_name(column) }.into());
    }
    let flat = (0..d).filter(|&j| counts.ones[j] == 0.0 || counts.ones[j] == counts.weight[j]);
    let columns: Vec<_> = flat.map(|j| (j, x.column_name(j))).collect();
    if !columns.is_empty() {
        return Err(ErrorKind::ConstantColumns { columns }.into());
    }
    Ok((&counts.ones / (&counts.weight - &counts.ones)).mapv_into(f64::ln))
}

struct Run<'a> {
    em: &'a BernoulliFactorEm,
    log_odds: &'a Array1<f64>,
    restart: usize,
}

/// The parameters and the posterior under them.
struct State {
    model: BernoulliFactor,
    posterior: Posterior,
}

enum Posterior {
    Grid(Grid),
    Gaussian(LocalGaussian),
}

impl Run<'_> {
    fn start(&self, d: usize, seed: u64) -> Result<BernoulliFactor> {
        let q = self.em.latents;
        if let (Start::Parameters(model), 0) = (&self.em.start, self.restart) {
            if model.dim() != d {
                return Err(ErrorKind::Shape { what: "columns of the starting model", expected: d, found: model.dim() }.into());
            }
            if model.latents() != q {
                return Err(Error::config("start", format!("has {} latents where {q} are asked for", model.latents())));
            }
            return Ok(model.clone());
        }
        let mut rng = stream(seed, Purpose::Start, self.restart as u64);
        let loadings = Array2::from_shape_simple_fn((d, q), || {
            let e: f64 = StandardNormal.sample(&mut rng);
            0.5 * e
        });
        BernoulliFactor::new(loadings, self.log_odds.clone())
    }

    /// The posterior under `model`, from `before`, with the objective.
    fn e_step(&self, model: &BernoulliFactor, x: &dyn RowSource, before: Option<&LocalGaussian>) -> Result<(Posterior, f64)> {
        let prior;
        let from = match before {
            Some(q) => q,
            None => {
                let shape = if let EStep::Gaussian(shape) = self.em.e_step { shape } else { Shape::Full };
                prior = LocalGaussian::standard(x.n_rows(), model.latents(), shape)?;
                &prior
            }
        };
        Ok(match self.em.e_step {
            EStep::Quadrature => {
                let grid = Grid::of(model, x)?;
                let objective = grid.mean_log_likelihood;
                (Posterior::Grid(grid), objective)
            }
            EStep::Gaussian(shape) => {
                // a few steps from the last posterior: the M-step moves little
                let per_datum = PerDatum { shape, stopping: Stopping { max_iterations: 30, tolerance: 1e-12 } };
                let fitted = per_datum.fit_from(model, x, from)?;
                let objective = fitted.objective();
                (Posterior::Gaussian(fitted.model), objective)
            }
            EStep::JaakkolaJordan => {
                let stopping = Stopping { max_iterations: 30, tolerance: 1e-13 };
                let fitted = JaakkolaJordan { stopping }.fit_from(model, x, from)?;
                let objective = fitted.objective();
                (Posterior::Gaussian(fitted.model.q), objective)
            }
        })
    }
}

impl Algorithm<dyn RowSource + '_> for Run<'_> {
    type State = State;
    type Output = BernoulliFactor;

    fn init(&self, x: &(dyn RowSource + '_), seed: u64) -> Result<State> {
        let model = self.start(x.n_cols(), seed)?;
        let (posterior, _) = self.e_step(&model, x, None)?;
        Ok(State { model, posterior })
    }

    fn step(&self, state: &mut State, x: &(dyn RowSource + '_)) -> Result<Step> {
        state.model = match (&state.posterior, self.em.e_step) {
            (Posterior::Grid(grid), _) => grid.maximise(&state.model)?,
            (Posterior::Gaussian(q), EStep::JaakkolaJordan) => quadratic_step(&state.model, q, x)?,
            (Posterior::Gaussian(q), _) => gaussian_step(&state.model, q, x)?,
        };
        let before = if let Posterior::Gaussian(q) = &state.posterior { Some(q) } else { None };
        let (posterior, objective) = self.e_step(&state.model, x, before)?;
        state.posterior = posterior;
        Ok(Step { objective, converged: false, repairs: Vec::new() })
    }

    fn finish(&self, state: State) -> Result<BernoulliFactor> {
        Ok(state.model)
    }
}
