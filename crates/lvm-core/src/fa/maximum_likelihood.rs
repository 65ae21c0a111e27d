//! Maximum likelihood: from rows, from rows with missing entries, from a covariance matrix.

use super::concentrated::Concentrated;
use super::degrees_of_freedom;
use super::em::{Ecme, Em};
use super::missing::{self, MissingEm, Squarem};
use super::model::FactorAnalysis;
use super::quasi_newton::QuasiNewton;
use super::rotation::Rotation;
use super::sample_covariance::SampleCovariance;
use super::solution::Solution;
use super::start::Start;
use crate::error::{Error, ErrorKind, Result, count};
use crate::fit::{self, Fitted, Passes, Repair, RepairKind, Resumed, Status, Stopping, Watch, best_of, run_restart};
use crate::linear_gaussian::LinearGaussian;
use crate::moments::moments;
use crate::rows::{Missing, RowSource, n_present};
use crate::sweep::check_shape;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// How the likelihood is maximised. All end at the same place; without missing entries all work on the covariance matrix alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// Newton steps in log ψ on the likelihood with W profiled out: ten iterations, say. Of more than 96 columns an iteration is a run of
    /// up to twelve quasi-Newton steps, which remember each other and nothing from before.
    #[default]
    QuasiNewton,
    /// EM (Rubin & Thayer 1982): simple, monotone, slow; hundreds to many thousands of iterations.
    Em,
    /// ECME (Liu & Rubin 1994) with both steps on the likelihood itself: W by an eigenproblem, then one ψ_j after another.
    Ecme,
    /// EM over the rows, accelerated by squared extrapolation (SQUAREM, Varadhan & Roland 2008): as monotone as EM, three to five passes
    /// an iteration, tens to hundreds of iterations. What the direct methods become when entries are missing. Of a covariance matrix:
    /// as `Em`.
    Squarem,
}

/// Factor analysis by maximum likelihood.
///
/// # Objective
/// The mean log-likelihood per row of N(μ, W Wᵀ + diag ψ) over μ, W (D, q) and ψ ≥ `floor` · variance. μ is the sample mean; the rest
/// depends on the covariance matrix alone, so the rows are read once and an iteration costs nothing that grows with N.
///
/// # Update
/// See [`Method`]. With NaN meaning missing, and some entry missing, the missing entries are integrated out, by [`Method::Em`] if that was
/// asked for and by [`Method::Squarem`] otherwise; the iterations of both read the rows.
///
/// # Needs
/// ((D − q)² − D − q)/2 ≥ 0 degrees of freedom, columns that vary, and more than q + 1 rows.
///
/// # Defaults
/// Eight starts, as the likelihood of small tables has local maxima; a `gradient_tolerance` that leaves no digit to be gained;
/// `stopping.tolerance` matters to EM and ECME only (and 0 makes every method do exactly `max_iterations`). The `floor` of 10⁻⁹ is not a
/// prior: a solution with a uniqueness there is improper (a Heywood case), which is reported in
/// [`repairs`](Fitted::repairs); proper solutions do not feel it.
///
/// # When it fails
/// Rows fewer than columns are fine as long as the solution is proper; with two equal columns, or about as many factors as rows, the
/// likelihood is unbounded and the floor decides. EM converges sublinearly to an improper solution.
///
/// ```
/// use lvm_core::fa::FaMl;
/// use ndarray::array;
/// // Six correlations are one factor's exactly: r_ij = λ_i λ_j with λ = (0.9, 0.8, 0.7, 0.6)
/// let r = array![[1.0, 0.72, 0.63, 0.54], [0.72, 1.0, 0.56, 0.48], [0.63, 0.56, 1.0, 0.42], [0.54, 0.48, 0.42, 1.0]];
/// let fitted = FaMl { factors: 1, ..Default::default() }.fit_covariance(r.view(), 200.0, 0)?;
/// assert!((fitted.model.loadings()[[0, 0]] - 0.9).abs() < 1e-9);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Lawley (1940) *Proc. R. Soc. Edinb.* 60:64; Jöreskog (1967) *Psychometrika* 32:443; Clarke (1970) *Br. J. Math. Stat. Psychol.* 23:43;
/// Rubin & Thayer (1982) *Psychometrika* 47:69; Liu & Rubin (1994) *Biometrika* 81:633; Zhao, Yu & Jiang (2008) *Stat. Comput.* 18:109.
#[derive(Debug, Clone, PartialEq)]
pub struct FaMl {
    /// q.
    pub factors: usize,
    /// How the likelihood is maximised.
    pub method: Method,
    /// The first start.
    pub start: Start,
    /// Starts in all; those after the first are random. One is usually enough for hundreds of columns.
    pub restarts: usize,
    /// Rotation of the result.
    pub rotation: Option<Rotation>,
    /// Floor of ψ_j as a share of the variance of column j, above 0 and below 1.
    pub floor: f64,
    /// Converged when no derivative of the mean log-likelihood with respect to a log ψ_j that is free (EM: or W_jk/√ψ_j) is larger.
    pub gradient_tolerance: f64,
    /// Iterations at most; change of the mean log-likelihood at which EM and ECME have converged.
    pub stopping: Stopping,
}

impl Default for FaMl {
    fn default() -> Self {
        FaMl {
            factors: 1,
            method: Method::default(),
            start: Start::default(),
            restarts: 8,
            rotation: None,
            floor: 1e-9,
            gradient_tolerance: 1e-9,
            stopping: Stopping { max_iterations: 2000, tolerance: 1e-12 },
        }
    }
}

impl FaMl {
    /// Fits the rows.
    ///
    /// # Errors
    /// If a setting is out of range, the data is unusable, a column is constant, or rows or columns are too few for the factors.
    pub fn fit(&self, data: &dyn RowSource, seed: u64) -> Result<Fitted<FactorAnalysis>> {
        self.fit_watched(data, seed, &mut fit::unwatched)
    }

    /// As [`fit`](Self::fit), with a callback after every iteration and every pass over the rows that comes before the first.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`ErrorKind::Cancelled`] if `watch` stops the first start.
    pub fn fit_watched(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Fitted<FactorAnalysis>> {
        check_shape(data, None)?;
        self.check(data.n_cols())?;
        let rows = n_present(data);
        if rows < self.factors + 2 {
            return Err(ErrorKind::TooFewRows { rows, needed: self.factors + 2, why: "the likelihood of a factor model" }.into());
        }
        if self.method == Method::Squarem || (data.missing() == Missing::Integrate && missing::any(data)?) {
            return self.fit_missing(data, seed, watch);
        }
        let sample = SampleCovariance::of_rows(moments(data)?, data)?;
        self.passes(&mut *watch).done()?;
        self.fit_sample(&sample, seed, watch)
    }

    /// Fits a covariance or correlation matrix (D, D) that comes from `n` rows; the mean of the model is zero.
    ///
    /// The log-likelihood is that of rows with this matrix as Σ (x − x̄)(x − x̄)ᵀ / N. `n` does not
    /// change the answer. With the covariance matrix of rows it is the fit of the rows, restarts included.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); if the matrix is not symmetric.
    pub fn fit_covariance(&self, covariance: ArrayView2<'_, f64>, n: f64, seed: u64) -> Result<Fitted<FactorAnalysis>> {
        self.fit_covariance_watched(covariance, n, seed, &mut fit::unwatched)
    }

    /// As [`fit_covariance`](Self::fit_covariance), with a callback after every iteration.
    ///
    /// # Errors
    /// As [`fit_covariance`](Self::fit_covariance).
    pub fn fit_covariance_watched(
        &self,
        covariance: ArrayView2<'_, f64>,
        n: f64,
        seed: u64,
        watch: Watch<'_>,
    ) -> Result<Fitted<FactorAnalysis>> {
        let sample = SampleCovariance::of_matrix(covariance, n)?;
        self.check(sample.dim())?;
        self.fit_sample(&sample, seed, watch)
    }

    /// What comes before the first start.
    fn passes<'w>(&self, watch: Watch<'w>) -> Passes<'w> {
        Passes::new(watch, (0, self.starts()), self.stopping.max_iterations)
    }

    fn check(&self, d: usize) -> Result<()> {
        if degrees_of_freedom(d, self.factors) < 0 || self.factors >= d.max(1) {
            let most = (0..d).take_while(|q| degrees_of_freedom(d, *q) >= 0).last().unwrap_or(0);
            let message = match most {
                0 => {
                    format!("{} can't be determined from {}; a factor needs 3 columns", count(self.factors, "factor"), count(d, "column"))
                }
                _ => format!("{} can't be determined from {}; at most {most} can", count(self.factors, "factor"), count(d, "column")),
            };
            return Err(Error::config("factors", message));
        }
        if !(self.floor > 0.0 && self.floor < 1.0) {
            return Err(Error::config("floor", format!("{} is not a share of a variance: above 0 and below 1 is needed", self.floor)));
        }
        if !(self.gradient_tolerance >= 0.0) {
            return Err(Error::config("gradient_tolerance", format!("{} asked for; 0 or more is needed", self.gradient_tolerance)));
        }
        if !(self.stopping.tolerance >= 0.0) || self.stopping.max_iterations == 0 {
            return Err(Error::config("stopping", "a tolerance of 0 or more and at least 1 iteration are needed"));
        }
        if let Some(rotation) = self.rotation {
            rotation.check()?;
        }
        self.start.check(d, self.factors)
    }

    /// Starts in all: a given model is continued, not competed with.
    fn starts(&self) -> usize {
        if self.start.model().is_some() { self.restarts.min(1) } else { self.restarts }
    }

    fn fit_sample(&self, sample: &SampleCovariance, seed: u64, watch: Watch<'_>) -> Result<Fitted<FactorAnalysis>> {
        let f = Concentrated::new(sample, self.factors)?;
        let fitted = match self.factors {
            0 => {
                // W = 0, ψ_j = C_jj: F = Σ log C_jj + D
                let value = sample.variance.mapv(f64::ln).sum() + sample.dim() as f64;
                let solution = Solution::new(None, Array2::zeros((sample.dim(), 0)), sample.variance.clone());
                closed_form(solution, sample.mean_log_likelihood(value), seed)
            }
            _ => best_of(self.starts(), |restart| self.run(&f, seed, restart, watch))?,
        };
        let squares = sample.unit.mapv(|s| s * s);
        let repairs = self.improper(&fitted.model.psi, &sample.variance, fitted.iterations());
        let Solution { loadings, psi, .. } = fitted.model.clone();
        let gaussian = LinearGaussian::new(sample.mean.clone(), loadings * sample.unit.view().insert_axis(Axis(1)), psi * squares)?;
        self.rotate(Fitted { repairs, ..fitted.map(|_| gaussian) })
    }

    fn run(&self, f: &Concentrated<'_>, seed: u64, restart: usize, watch: Watch<'_>) -> Result<Fitted<Solution>> {
        let (floor, exact) = (self.floor, self.stopping.tolerance == 0.0);
        let gradient_tolerance = if exact { -1.0 } else { self.gradient_tolerance };
        let (count, at) = ((restart, self.starts()), self.start.resumed_at());
        match self.method {
            Method::QuasiNewton => {
                let start = self.start.psi(f.sample, f.factors, seed, restart)?;
                // a step of superlinear convergence says nothing about the next: only the gradient ends it
                let stopping = Stopping { tolerance: 0.0, ..self.stopping };
                run_restart(
                    &QuasiNewton { start, resumed: self.start.model().is_some(), floor, gradient_tolerance },
                    f,
                    stopping,
                    seed,
                    count,
                    watch,
                )
            }
            // a matrix has no rows to accelerate over, and EM on it costs little
            Method::Em | Method::Squarem => {
                let start = self.start.solution(f, seed, restart)?;
                run_restart(&Resumed { algorithm: Em { start, floor, gradient_tolerance }, at }, f, self.stopping, seed, count, watch)
            }
            Method::Ecme => {
                let start = self.start.psi(f.sample, f.factors, seed, restart)?;
                run_restart(&Resumed { algorithm: Ecme { start, floor, gradient_tolerance }, at }, f, self.stopping, seed, count, watch)
            }
        }
    }

    /// EM over the observed entries, accelerated or not.
    fn fit_missing(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Fitted<FactorAnalysis>> {
        let sample = missing::available_cases(data)?;
        self.passes(&mut *watch).done()?;
        let squares = sample.unit.mapv(|s| s * s);
        let variance = &sample.variance * &squares;
        let fitted = if self.factors == 0 {
            // independent columns: each has the mean and the variance of its observed entries
            let model = LinearGaussian::new(sample.mean.clone(), Array2::zeros((sample.dim(), 0)), variance.clone())?;
            let objective = model.log_likelihood(data)? / sample.n;
            closed_form(model, objective, seed)
        } else {
            let f = Concentrated::new(&sample, self.factors)?;
            best_of(self.starts(), |restart| {
                let start = match self.start.model() {
                    Some(model) => model.linear_gaussian().clone(),
                    None => self.missing_start(&f, seed, restart)?,
                };
                let em = MissingEm { start, floor: &variance * self.floor };
                let (count, at) = ((restart, self.starts()), self.start.resumed_at());
                match self.method {
                    Method::Em => run_restart(&Resumed { algorithm: em, at }, data, self.stopping, seed, count, watch),
                    Method::QuasiNewton | Method::Ecme | Method::Squarem => {
                        let squarem = Squarem { em, scale: variance.mapv(f64::sqrt) };
                        run_restart(&Resumed { algorithm: squarem, at }, data, self.stopping, seed, count, watch)
                    }
                }
            })?
        };
        let repairs = self.improper(fitted.model.noise(), &variance, fitted.iterations());
        self.rotate(Fitted { repairs, ..fitted })
    }

    /// The first start is the fit of the covariance of available cases; the others are random.
    fn missing_start(&self, f: &Concentrated<'_>, seed: u64, restart: usize) -> Result<LinearGaussian> {
        let Solution { loadings, psi, .. } = if restart == 0 {
            let start = self.start.psi(f.sample, f.factors, seed, 0)?;
            let stopping = Stopping { max_iterations: 50, tolerance: 0.0 };
            // far from its floor: a start must leave EM room to move
            fit::run(&QuasiNewton { start, resumed: false, floor: 0.01, gradient_tolerance: 1e-6 }, f, stopping, seed, &mut fit::unwatched)?
                .model
        } else {
            self.start.solution(f, seed, restart)?
        };
        let unit = &f.sample.unit;
        LinearGaussian::new(f.sample.mean.clone(), loadings * unit.view().insert_axis(Axis(1)), psi * unit * unit)
    }

    /// The variables whose uniqueness is at the floor.
    fn improper(&self, psi: &Array1<f64>, variance: &Array1<f64>, iteration: usize) -> Vec<Repair> {
        let at_floor = |j: &usize| psi[*j] <= self.floor * variance[*j] * (1.0 + 1e-9);
        let repair = |variable| Repair { iteration, kind: RepairKind::Heywood { variable, floor: self.floor } };
        (0..psi.len()).filter(at_floor).map(repair).collect()
    }

    fn rotate(&self, fitted: Fitted<LinearGaussian>) -> Result<Fitted<FactorAnalysis>> {
        let fitted = fitted.map(FactorAnalysis::from);
        match self.rotation {
            None => Ok(fitted),
            Some(rotation) => {
                let model = fitted.model.rotated(rotation)?;
                Ok(fitted.map(|_| model))
            }
        }
    }
}

fn closed_form<M>(model: M, objective: f64, seed: u64) -> Fitted<M> {
    Fitted { model, status: Status::ClosedForm, trace: vec![objective], repairs: Vec::new(), restarts: vec![objective], seed }
}
