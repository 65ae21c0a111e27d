//! How many factors.

use super::maximum_likelihood::FaMl;
use super::model::FactorAnalysis;
use crate::criteria::Criteria;
use crate::error::{Error, ErrorKind, Result, count};
use crate::fit::{self, Fitted, Progress, Status, Watch};
use crate::model::LatentModel;
use crate::random::{Purpose, stream};
use crate::rows::{RowSource, Rows, n_present, total_weight};
use crate::selection::{Candidate, Criterion, Selection};
use ndarray::Array1;
use rand::seq::SliceRandom;

/// Fits every number of factors and keeps the best by a criterion.
///
/// # Objective
/// The lowest BIC or AIC, or the highest mean log-likelihood of held-out rows (every row held out once). A number of factors that the
/// columns do not determine (fewer than 0 degrees of freedom), or whose fit fails, stays in the table with its error; one that can be
/// fitted to all rows but not without a fold keeps its criteria beside the error.
///
/// # Defaults
/// BIC, which finds the number of factors as N grows; AIC and held-out likelihood choose larger models, which predict better.
///
/// # When it fails
/// If no candidate could be fitted.
///
/// ```
/// use lvm_core::fa::{FaMl, FaSelect};
/// # let x = ndarray::Array2::from_shape_fn((60, 5), |(i, j)| ((i * 7 % 11) as f64) * (j as f64 - 1.5) + ((i * (j + 3)) as f64).sin());
/// let chosen = FaSelect { factors: vec![0, 1, 2, 3], ..Default::default() }.select(&x, 1)?;
/// assert_eq!(chosen.table.len(), 4);
/// assert!(chosen.table[3].error.as_ref().is_some_and(|e| e.contains("at most 2")));
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FaSelect {
    /// The numbers of factors to try.
    pub factors: Vec<usize>,
    /// BIC, AIC or held-out likelihood.
    pub criterion: Criterion,
    /// Folds, for [`Criterion::HeldOut`].
    pub folds: usize,
    /// How each is fitted; its `factors` is not used.
    pub ml: FaMl,
}

impl Default for FaSelect {
    fn default() -> Self {
        FaSelect { factors: (0..=5).collect(), criterion: Criterion::Bic, folds: 5, ml: FaMl::default() }
    }
}

impl FaSelect {
    /// The table of candidates and the best model.
    ///
    /// # Errors
    /// If a setting is out of range, or the first candidate's error if none could be fitted.
    pub fn select(&self, data: &dyn RowSource, seed: u64) -> Result<Selection<FactorAnalysis>> {
        self.select_watched(data, seed, &mut fit::unwatched)
    }

    /// As [`select`](Self::select), with a callback after every iteration of every fit, those of the folds too. A watch that stops ends
    /// the search with the candidates tried until then.
    ///
    /// # Errors
    /// As [`select`](Self::select); [`ErrorKind::Cancelled`] if `watch` stops before a candidate could be judged.
    pub fn select_watched(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Selection<FactorAnalysis>> {
        self.check(data)?;
        let mut table = Vec::with_capacity(self.factors.len());
        let mut best: Option<(f64, usize, Fitted<FactorAnalysis>)> = None;
        let mut first_error = None;
        let mut stopped = false;
        for &factors in &self.factors {
            let ml = FaMl { factors, ..self.ml.clone() };
            let mut candidate = Candidate::of(factors, None);
            let mut told = |progress: &Progress| {
                let flow = watch(progress);
                stopped |= flow.is_break();
                flow
            };
            match ml.fit_watched(data, seed, &mut told) {
                Ok(fitted) => {
                    let n = total_weight(data);
                    let log_likelihood = fitted.objective() * n;
                    candidate.criteria = Some(Criteria { log_likelihood, n_parameters: fitted.model.n_parameters(), n });
                    candidate.status = Some(fitted.status);
                    if self.criterion == Criterion::HeldOut
                        && fitted.status != Status::Cancelled
                        && let Err(error) = candidate.cross_validated(self.held_out(&ml, data, seed, &mut told))
                    {
                        first_error.get_or_insert(error);
                    }
                    if let Some(score) = self.criterion.score(&candidate)
                        && best.as_ref().is_none_or(|(b, ..)| score > *b)
                    {
                        best = Some((score, table.len(), fitted));
                    }
                }
                Err(error) => {
                    candidate.failed(&error);
                    first_error.get_or_insert(error);
                }
            }
            table.push(candidate);
            if stopped {
                break;
            }
        }
        match (best, first_error) {
            (Some((_, best, fitted)), _) => Ok(Selection { table, criterion: self.criterion, best, fitted }),
            (None, _) if stopped => Err(ErrorKind::Cancelled.into()),
            (None, Some(error)) => Err(error),
            (None, None) => Err(Error::config("factors", "no candidate has a finite criterion")),
        }
    }

    fn check(&self, data: &dyn RowSource) -> Result<()> {
        if self.factors.is_empty() {
            return Err(Error::config("factors", "no number of factors to try"));
        }
        if !matches!(self.criterion, Criterion::Bic | Criterion::Aic | Criterion::HeldOut) {
            return Err(Error::config("criterion", "factor models are compared by BIC, AIC or held-out likelihood"));
        }
        let n = n_present(data);
        if self.criterion == Criterion::HeldOut && (self.folds < 2 || self.folds > n) {
            return Err(Error::config("folds", format!("{} of {}; 2 to {n} are possible", count(self.folds, "fold"), count(n, "row"))));
        }
        Ok(())
    }

    /// Mean log-likelihood per held-out row; every row is held out once.
    fn held_out(&self, ml: &FaMl, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<f64> {
        let n = data.n_rows();
        let weights = data.weights().map_or_else(|| Array1::ones(n), |w| w.to_owned());
        // rows of weight zero are not there: they take no place in a fold
        let mut order: Vec<usize> = (0..n).filter(|&i| weights[i] > 0.0).collect();
        order.shuffle(&mut stream(seed, Purpose::Split, 0));
        let mut fold = vec![0; n];
        order.iter().enumerate().for_each(|(i, &row)| fold[row] = i % self.folds);
        let mut total = 0.0;
        for held in 0..self.folds {
            let part = |keep: bool| Array1::from_shape_fn(n, |i| if (fold[i] == held) == keep { weights[i] } else { 0.0 });
            let (train, test) = (part(false), part(true));
            let fitted = ml.fit_watched(&Rows::new(data).weighted(train.view())?, seed, &mut *watch)?.uncancelled()?;
            total += fitted.model.linear_gaussian().log_likelihood(&Rows::new(data).weighted(test.view())?)?;
        }
        Ok(total / total_weight(data))
    }
}
