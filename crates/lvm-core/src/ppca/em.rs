//! Maximum likelihood by EM, for complete and for partly missing rows.

use super::complete::Complete;
use super::ml::{check_components, from_spectrum};
use super::survey::{MeanFilled, Survey};
use super::{Ppca, Solver, Spectrum, canonical_axes};
use crate::error::{Error, ErrorKind, Result, count};
use crate::fit::{Algorithm, Fitted, Passes, Repair, RepairKind, Step, Stopping, Watch, best_of, run_restart, unwatched};
use crate::linalg;
use crate::linear_gaussian::Expectations;
use crate::model::LatentModel;
use crate::random::{Purpose, stream};
use crate::rows::{RowSource, n_present};
use ndarray::Array2;
use rand_distr::{Distribution, StandardNormal};

/// Where EM starts.
// one value a fit: its size does not matter, and a Box would be in the way of whoever writes it
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Start {
    /// The closed form for the table with missing entries replaced by column means. Restarts after the first are as `Random`.
    #[default]
    Principal,
    /// W with independent normal entries and σ², which share the mean variance of the columns equally.
    Random,
    /// These parameters. The mean is replaced by x̄ when no entry is missing, since that is its maximum likelihood value whatever
    /// W and σ² are.
    Parameters(Ppca),
    /// Where an earlier fit ended: the same iterations follow, bit for bit, and stop where they would have stopped without the
    /// interruption. The repairs of that fit stand in the record of this one, too, with iteration 0.
    Resume(Fitted<Ppca>),
}

/// What EM maximises over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// The plain EM of Tipping & Bishop (1999).
    #[default]
    Plain,
    /// Parameter-expanded EM (Liu, Rubin & Wu 1998): each M-step also fits the mean and covariance of z and hands them on to μ and
    /// W. The same fixed points, the likelihood still never falls, and fewer iterations.
    ParameterExpanded,
}

/// Maximum likelihood PPCA by EM.
///
/// *Objective*: mean log-likelihood per row of the observed entries.
///
/// *Update* (Tipping & Bishop 1999, eqs 29 and 30, for complete rows), with S the covariance about x̄:
/// ```text
/// W̃  = S W (σ² I + M⁻¹ Wᵀ S W)⁻¹,   M = Wᵀ W + σ² I
/// σ̃² = tr(S − S W M⁻¹ W̃ᵀ) / D
/// ```
/// With missing entries the E-step integrates them out exactly, and the M-step regresses the observed entries of every column on the
/// posterior of z, which re-estimates μ too. After each step the axes are turned as in [`Ppca::canonical`], which changes no
/// likelihood. `trace` holds the objective after each update.
///
/// *Needs* q < D, and at least one observed entry in every row and column. When nothing is missing and D is at most 2048 and N, an
/// iteration costs O(D² q), whatever N; otherwise it is a pass of O(N D q²) over rows with missing entries, O(N D q) over others.
///
/// *When it fails*: EM is slow where σ² is close to the smallest λᵢ kept; [`PpcaMl`](super::PpcaMl) is exact for complete rows. Data of
/// rank q or less drives σ² to zero; it is held at the level of rounding, and [`RepairKind::NoiseFloored`] says so.
///
/// ```
/// use lvm_core::{ppca::PpcaEm, rows::Rows};
/// use ndarray::array;
/// let x = array![[1.0, 2.1, 2.9], [2.0, f64::NAN, 6.1], [3.0, 6.2, 8.8], [f64::NAN, 7.9, 12.1], [0.1, 0.0, -0.1]];
/// let rows = Rows::new(&x).missing_as_nan();
/// let fitted = PpcaEm { components: 1, ..Default::default() }.fit(&rows, 0)?;
/// assert!((fitted.objective() * 5.0 - fitted.model.log_likelihood(&rows)?).abs() < 1e-9);
/// assert!((fitted.model.impute(&rows)?.x[[1, 1]] - 4.0).abs() < 0.3);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PpcaEm {
    /// q, the number of latent dimensions.
    pub components: usize,
    /// Where EM starts.
    pub start: Start,
    /// What EM maximises over.
    pub scheme: Scheme,
    /// Runs from different starts; the best is kept. Given parameters are one start, run once.
    pub restarts: usize,
    /// When to stop.
    pub stopping: Stopping,
}

impl Default for PpcaEm {
    /// Two components, plain EM from the principal axes, one run, until an iteration gains less than 1e-9 nats a row or 2000 are done.
    fn default() -> Self {
        PpcaEm {
            components: 2,
            start: Start::Principal,
            scheme: Scheme::Plain,
            restarts: 1,
            stopping: Stopping { max_iterations: 2000, tolerance: 1e-9 },
        }
    }
}

impl PpcaEm {
    /// The model that EM reaches.
    ///
    /// # Errors
    /// If the data is unusable (an entirely missing row or column, no variation), if not q < D, if the stopping rule is out of range, or
    /// if the start does not fit.
    pub fn fit(&self, data: &dyn RowSource, seed: u64) -> Result<Fitted<Ppca>> {
        self.fit_watched(data, seed, &mut unwatched)
    }

    /// As [`fit`](Self::fit), telling `watch` of every iteration and every pass of a start.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`ErrorKind::Cancelled`] if `watch` stops the first start.
    pub fn fit_watched(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Fitted<Ppca>> {
        check_components(self.components, data.n_cols())?;
        if self.stopping.max_iterations == 0 {
            return Err(Error::config("max_iterations", "0 asked for, at least 1 is needed"));
        }
        if !(self.stopping.tolerance >= 0.0) {
            return Err(Error::config("tolerance", format!("{}; 0 or more is needed", self.stopping.tolerance)));
        }
        let restarts = if self.given().is_some() { self.restarts.min(1) } else { self.restarts };
        let mut passes = Passes::new(&mut *watch, (0, restarts), self.stopping.max_iterations);
        let survey = Survey::of(data)?;
        passes.done()?;
        let complete = survey.complete && data.n_cols() <= n_present(data).min(2048);
        let complete = if complete { Some(Complete::of(data)?) } else { None };
        passes.done()?;
        let (survey, complete) = (&survey, complete.as_ref());
        let mut best = best_of(restarts, |restart| {
            let run = Run { em: self, survey, complete, restart };
            run_restart(&run, data, self.stopping, seed, (restart, restarts), &mut *watch)
        })?;
        if let Start::Resume(earlier) = &self.start {
            best.repairs.splice(0..0, earlier.repairs.iter().map(|r| Repair { iteration: 0, kind: r.kind.clone() }));
        }
        Ok(best)
    }

    /// The model to start from, if one was given.
    fn given(&self) -> Option<&Ppca> {
        match &self.start {
            Start::Parameters(model) | Start::Resume(Fitted { model, .. }) => Some(model),
            Start::Principal | Start::Random => None,
        }
    }
}

/// One run of EM.
struct Run<'a> {
    em: &'a PpcaEm,
    survey: &'a Survey,
    complete: Option<&'a Complete>,
    restart: usize,
}

/// The parameters and the expectations under them.
struct State {
    model: Ppca,
    /// `None` when the moments of complete rows say it all.
    expectations: Option<Expectations>,
    floored: bool,
}

impl Run<'_> {
    fn start(&self, data: &dyn RowSource, seed: u64, passes: &mut Passes<'_>) -> Result<Ppca> {
        let (d, q) = (data.n_cols(), self.em.components);
        let variance = self.survey.variances.sum() / d as f64;
        let mut model = match &self.em.start {
            Start::Parameters(model) | Start::Resume(Fitted { model, .. }) => {
                if model.dim() != d {
                    return Err(ErrorKind::Shape { what: "columns of the starting model", expected: d, found: model.dim() }.into());
                }
                if model.components() != q {
                    return Err(Error::config("start", format!("a model of {}; asked for: {q}", count(model.components(), "component"))));
                }
                model.clone()
            }
            Start::Principal if self.restart == 0 => {
                let filled = MeanFilled { data, mean: &self.survey.mean };
                let model = from_spectrum(&Spectrum::by(&filled, q, Solver::Auto, seed, passes)?, q, seed)?.model;
                // from σ² = 0 EM would not move
                let noise = model.noise_variance().max(1e-3 * variance);
                Ppca::new(model.mean().clone(), model.loadings().clone(), noise)?
            }
            Start::Principal | Start::Random => {
                let mut rng = stream(seed, Purpose::Start, self.restart as u64);
                let share = if q == 0 { 0.0 } else { (0.5 * variance / q as f64).sqrt() };
                let loadings = Array2::from_shape_simple_fn((d, q), || {
                    let e: f64 = StandardNormal.sample(&mut rng);
                    share * e
                });
                Ppca::new(self.survey.mean.clone(), loadings, 0.5 * variance)?
            }
        };
        if self.survey.complete {
            let mean = self.complete.map_or(&self.survey.mean, |c| &c.mean);
            model = Ppca::new(mean.clone(), model.loadings().clone(), model.noise_variance())?;
        }
        Ok(model)
    }

    /// The expectations under the state's model, and the objective.
    fn evaluate(&self, state: &mut State, data: &dyn RowSource) -> Result<f64> {
        match self.complete {
            Some(complete) => complete.objective(&state.model),
            None => {
                let expectations = Expectations::of(state.model.linear_gaussian(), data)?;
                let objective = expectations.log_likelihood / expectations.weight;
                state.expectations = Some(expectations);
                Ok(objective)
            }
        }
    }

    /// (μ, W, σ²) of the M-step.
    fn maximise(&self, state: &State) -> Result<(ndarray::Array1<f64>, Array2<f64>, f64)> {
        let expanded = self.em.scheme == Scheme::ParameterExpanded;
        match (self.complete, &state.expectations) {
            (Some(complete), _) => complete.update(&state.model, expanded),
            (None, Some(expectations)) => {
                let model = state.model.linear_gaussian();
                let mut r = expectations.regression(model)?;
                // σ² = Σ_j Σ_n w E[(x_nj − μ_j − w_jᵀ z_n)²] / (number of observed entries)
                let noise = r.error.sum() / expectations.observed.sum();
                let q = model.latents();
                if expanded && q > 0 {
                    // z ~ N(m, R) is the model with μ + W m and W R^{1/2}
                    let (m, covariance) = expectations.latent_moments(q);
                    let root = linalg::cholesky(covariance.view()).map_err(|e| e.of("covariance of the latents"))?;
                    r.mean = &r.mean + &r.loadings.dot(&m);
                    r.loadings = linalg::matmul(r.loadings.view(), root.view());
                }
                let mean = if self.survey.complete { self.survey.mean.clone() } else { r.mean };
                Ok((mean, r.loadings, noise))
            }
            (None, None) => Err(Error::config("state", "no expectations: init was not called")),
        }
    }
}

impl Algorithm<dyn RowSource + '_> for Run<'_> {
    type State = State;
    type Output = Ppca;

    fn init(&self, data: &(dyn RowSource + '_), seed: u64) -> Result<State> {
        self.init_watched(data, seed, &mut Passes::new(&mut unwatched, (0, 1), 0))
    }

    fn init_watched(&self, data: &(dyn RowSource + '_), seed: u64, passes: &mut Passes<'_>) -> Result<State> {
        let floored = match &self.em.start {
            Start::Resume(earlier) => earlier.repairs.iter().any(|r| matches!(r.kind, RepairKind::NoiseFloored { .. })),
            _ => false,
        };
        let mut state = State { model: self.start(data, seed, passes)?, expectations: None, floored };
        self.evaluate(&mut state, data)?;
        passes.done()?;
        Ok(state)
    }

    fn resumed_at(&self) -> Option<f64> {
        match &self.em.start {
            Start::Resume(earlier) => earlier.trace.last().copied(),
            _ => None,
        }
    }

    fn step(&self, state: &mut State, data: &(dyn RowSource + '_)) -> Result<Step> {
        let (mean, loadings, mut noise) = self.maximise(state)?;
        let axes = canonical_axes(&loadings)?;
        let mut repairs = Vec::new();
        let largest = noise + axes.columns().into_iter().next().map_or(0.0, |w| w.dot(&w));
        let floor = 16.0 * mean.len() as f64 * f64::EPSILON * largest;
        if noise < floor {
            noise = floor;
            // said once: it would otherwise be said at every iteration from here on
            if !std::mem::replace(&mut state.floored, true) {
                repairs.push(RepairKind::NoiseFloored { floor });
            }
        }
        state.model = Ppca::new(mean, axes, noise)?;
        let objective = self.evaluate(state, data)?;
        Ok(Step { objective, converged: false, repairs })
    }

    fn finish(&self, state: State) -> Result<Ppca> {
        Ok(state.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;

    #[test]
    fn the_pass_over_rows_makes_the_step_of_the_sufficient_statistics() {
        let x = Array2::from_shape_fn((90, 5), |(i, j)| ((i * (j + 3)) as f64 * 0.37).sin() + 0.3 * ((i * i + j) as f64).cos() + 40.0);
        let weights = Array1::from_shape_fn(90, |i| 0.5 + (i % 4) as f64);
        let rows = crate::rows::Rows::new(&x).weighted(weights.view()).unwrap();
        let complete = Complete::of(&rows).unwrap();
        let loadings = Array2::from_shape_fn((5, 2), |(i, j)| ((i + 2 * j) as f64).cos());
        let model = Ppca::new(complete.mean.clone(), loadings, 0.4).unwrap();
        let expectations = Expectations::of(model.linear_gaussian(), &rows).unwrap();
        let regression = expectations.regression(model.linear_gaussian()).unwrap();
        let (mean, w, noise) = complete.update(&model, false).unwrap();
        // two orders of the same sums: a few hundred roundings
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12 * (1.0 + b.abs());
        assert!(close(expectations.log_likelihood / expectations.weight, complete.objective(&model).unwrap()));
        assert!(regression.loadings.iter().zip(&w).all(|(a, b)| close(*a, *b)));
        assert!(regression.mean.iter().zip(&mean).all(|(a, b)| close(*a, *b)));
        assert!(close(regression.error.sum() / expectations.observed.sum(), noise));
    }
}
