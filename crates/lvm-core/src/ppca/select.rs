//! Choosing the number of components.

use super::minka::laplace_evidence;
use super::ml::from_spectrum;
use super::survey::Survey;
use super::{Ppca, PpcaEm, Solver, Spectrum, n_parameters};
use crate::criteria::Criteria;
use crate::error::{Error, ErrorKind, Result, count};
use crate::fit::{Fitted, Progress, Status, Watch, unwatched};
use crate::random::{Purpose, stream};
use crate::rows::{Missing, RowSource, Rows, n_present, total_weight};
use crate::selection::{Candidate, Criterion, Selection};
use crate::sweep::check_shape;
use ndarray::Array1;
use rand::seq::SliceRandom;

/// PPCA with the number of components chosen by a criterion.
///
/// *Objective*: [`Criterion::Bic`] (default), [`Criterion::Aic`], [`Criterion::LaplaceEvidence`] (Minka 2000; complete rows only) or
/// [`Criterion::HeldOut`]: the mean log-likelihood of rows left out, by cross-validation over `folds` random folds.
///
/// *Method*: one eigen-decomposition serves all q (one more a fold). Rows with missing entries are fitted by `em`, q by q.
///
/// *Defaults and why*: BIC over q = 1 … 10, five folds. Held-out likelihood is the choice when prediction matters, Minka's evidence
/// when the true q does.
///
/// ```
/// use lvm_core::ppca::PpcaSelect;
/// use ndarray::Array2;
/// let x = Array2::from_shape_fn((60, 6), |(i, j)| ((i * 7 % 31) as f64) * (j as f64 - 2.0) + 0.1 * ((i * (j + 5)) as f64).sin());
/// let chosen = PpcaSelect { components: vec![1, 2, 3], ..Default::default() }.select(&x, 0)?;
/// assert_eq!(chosen.table.len(), 3);
/// assert_eq!(chosen.fitted.model.components(), chosen.table[chosen.best].size);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PpcaSelect {
    /// The q to try.
    pub components: Vec<usize>,
    /// What they are compared by.
    pub criterion: Criterion,
    /// How the principal axes are found.
    pub solver: Solver,
    /// How tables with missing entries are fitted; its `components` is ignored.
    pub em: PpcaEm,
    /// Folds of the cross-validation.
    pub folds: usize,
}

impl Default for PpcaSelect {
    fn default() -> Self {
        PpcaSelect { components: (1..=10).collect(), criterion: Criterion::Bic, solver: Solver::Auto, em: PpcaEm::default(), folds: 5 }
    }
}

/// The fits of one table for each q in turn, an error where there is none.
type Fits = Vec<Result<Fitted<Ppca>>>;

impl PpcaSelect {
    /// Fits every candidate and returns the table and the best. A candidate that can't be fitted (q ≥ D) stands in the table with its
    /// error; one that can be fitted to all rows but not without a fold keeps its criteria beside the error.
    ///
    /// # Errors
    /// If the data is unusable, the criterion is not one for PPCA, or no candidate has a finite value of it.
    pub fn select(&self, data: &dyn RowSource, seed: u64) -> Result<Selection<Ppca>> {
        self.select_watched(data, seed, &mut unwatched)
    }

    /// As [`select`](Self::select), telling `watch` of every pass of an eigen-decomposition and every fit in closed form, and of every
    /// iteration of EM, in the fits to all rows and in those of the folds. A watch that stops ends the search with the candidates tried
    /// until then; one that stops in the folds leaves the held-out log-likelihoods out.
    ///
    /// # Errors
    /// As [`select`](Self::select); [`ErrorKind::Cancelled`] if `watch` stops before a candidate could be judged.
    pub fn select_watched(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Selection<Ppca>> {
        check_shape(data, None)?;
        if self.components.is_empty() {
            return Err(Error::config("components", "no candidates given"));
        }
        if self.criterion == Criterion::Icl {
            return Err(Error::config("criterion", "ICL is for mixtures; PPCA has BIC, AIC, Laplace evidence and held-out likelihood"));
        }
        let complete = data.missing() == Missing::Refuse || Survey::of(data)?.complete;
        let mut stopped = false;
        let mut told = |progress: &Progress| {
            let flow = watch(progress);
            stopped |= flow.is_break();
            flow
        };
        let spectrum = if complete { Some(self.spectrum(data, seed, &mut told)?) } else { None };
        let (mut fits, cut_short) = self.fits(data, spectrum.as_ref(), seed, &mut told);
        let mut table: Vec<Candidate> =
            self.components.iter().zip(&fits).map(|(&q, fit)| tabulate(q, fit, data, spectrum.as_ref())).collect();
        if self.criterion == Criterion::HeldOut && !cut_short {
            for (candidate, held_out) in table.iter_mut().zip(self.held_out(data, complete, seed, &mut told)?) {
                // the table says why
                let _ = candidate.cross_validated(held_out);
            }
        }
        let best = match best_of(&table, self.criterion) {
            Err(_) if stopped => return Err(ErrorKind::Cancelled.into()),
            best => best?,
        };
        Ok(Selection { table, criterion: self.criterion, best, fitted: fits.swap_remove(best)? })
    }

    /// The spectrum with axes for the largest q that there can be.
    fn spectrum(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Spectrum> {
        let largest = self.components.iter().copied().filter(|q| *q < data.n_cols()).max().unwrap_or(0);
        Spectrum::watched(data, largest, self.solver, seed, watch)
    }

    /// The fits of all q, or of those until `watch` said to stop, and whether it did.
    fn fits(&self, data: &dyn RowSource, spectrum: Option<&Spectrum>, seed: u64, watch: Watch<'_>) -> (Fits, bool) {
        let mut fits = Vec::with_capacity(self.components.len());
        for &q in &self.components {
            let (fit, stopped) = match spectrum {
                Some(spectrum) => {
                    let fit = super::ml::check_components(q, data.n_cols()).and_then(|()| from_spectrum(spectrum, q, seed));
                    let stopped = fit.as_ref().is_ok_and(|fit| watch(&of_closed_form(fit)).is_break());
                    (fit, stopped)
                }
                None => {
                    let fit = PpcaEm { components: q, ..self.em.clone() }.fit_watched(data, seed, watch);
                    let stopped = fit.as_ref().map_or_else(Error::is_cancelled, |fit| fit.status == Status::Cancelled);
                    (fit, stopped)
                }
            };
            fits.push(fit);
            if stopped {
                return (fits, true);
            }
        }
        (fits, false)
    }

    /// Σ over folds of the log-likelihood of the rows left out, divided by N, for each q. A fold is the same source with other weights.
    fn held_out(&self, data: &dyn RowSource, complete: bool, seed: u64, watch: Watch<'_>) -> Result<Vec<Result<f64>>> {
        let n = n_present(data);
        if self.folds < 2 || self.folds > n {
            return Err(Error::config("folds", format!("{} of {}; 2 to {n} are possible", count(self.folds, "fold"), count(n, "row"))));
        }
        let weights = data.weights().map_or_else(|| Array1::ones(data.n_rows()), |w| w.to_owned());
        let mut present: Vec<usize> = (0..data.n_rows()).filter(|&i| weights[i] > 0.0).collect();
        present.shuffle(&mut stream(seed, Purpose::Split, 0));
        let mut totals: Vec<Result<f64>> = self.components.iter().map(|_| Ok(0.0)).collect();
        for fold in 0..self.folds {
            let mut inside = weights.clone();
            let mut outside = Array1::zeros(weights.len());
            for &row in present.iter().skip(fold).step_by(self.folds) {
                inside[row] = 0.0;
                outside[row] = weights[row];
            }
            let training = Rows::new(data).weighted(inside.view())?;
            let test = Rows::new(data).weighted(outside.view())?;
            let spectrum = match complete.then(|| self.spectrum(&training, seed, &mut *watch)) {
                Some(Err(error)) if error.is_cancelled() => return Ok(self.components.iter().map(|_| cancelled()).collect()),
                // if the rows left have no spectrum, each fit says so in its own words
                spectrum => spectrum.and_then(Result::ok),
            };
            let (fits, stopped) = self.fits(&training, spectrum.as_ref(), seed, &mut *watch);
            if stopped {
                return Ok(self.components.iter().map(|_| cancelled()).collect());
            }
            for (total, fit) in totals.iter_mut().zip(fits) {
                if let Ok(sum) = total {
                    match fit.and_then(|fit| fit.model.log_likelihood(&test)) {
                        Ok(value) => *sum += value,
                        Err(error) => *total = Err(error),
                    }
                }
            }
        }
        let weight = weights.sum();
        Ok(totals.into_iter().map(|total| total.map(|total| total / weight)).collect())
    }
}

/// What a watch is told of a fit in closed form.
fn of_closed_form(fitted: &Fitted<Ppca>) -> Progress {
    Progress { restart: 0, restarts: 1, iteration: 1, max_iterations: 1, objective: fitted.objective() }
}

fn cancelled<T>() -> Result<T> {
    Err(ErrorKind::Cancelled.into())
}

/// The entry of a candidate with `q` components.
fn tabulate(q: usize, fit: &Result<Fitted<Ppca>>, data: &dyn RowSource, spectrum: Option<&Spectrum>) -> Candidate {
    let mut candidate = Candidate::of(q, None);
    candidate.laplace_evidence = spectrum.and_then(|s| laplace_evidence(s, q));
    match fit {
        Ok(fit) => {
            let n = total_weight(data);
            let n_parameters = n_parameters(data.n_cols(), q);
            candidate.criteria = Some(Criteria { log_likelihood: fit.objective() * n, n_parameters, n });
            candidate.status = Some(fit.status);
            candidate.error = fit.is_floored().then(|| "the noise was held at the floor: the likelihood has no maximum".into());
        }
        Err(error) => candidate.failed(error),
    }
    candidate
}

/// The candidate with the highest score, the first of equals; one that is left aside only if there is no other.
fn best_of(table: &[Candidate], criterion: Criterion) -> Result<usize> {
    let mut best: Option<(usize, (bool, f64))> = None;
    for (i, candidate) in table.iter().enumerate() {
        if let Some(score) = criterion.score(candidate).map(|score| (candidate.error.is_none(), score))
            && best.is_none_or(|(_, b)| score > b)
        {
            best = Some((i, score));
        }
    }
    best.map(|(i, _)| i).ok_or_else(|| {
        let reason = table.iter().find_map(|c| c.error.clone()).unwrap_or_else(|| "it has no finite value for any of them".into());
        Error::config("components", format!("no candidate can be judged: {reason}"))
    })
}
