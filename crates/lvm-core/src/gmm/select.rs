//! The number of components and the covariance type, chosen by a criterion.

use crate::error::{Error, ErrorKind, Result, count};
use crate::fit::{Fitted, Progress, Status, Watch, unwatched};
use crate::gmm::covariance::CovarianceType;
use crate::gmm::em::{GmmEm, Start};
use crate::gmm::mixture::GaussianMixture;
use crate::random::{Purpose, stream};
use crate::rows::{RowSource, Rows, n_present, total_weight};
use crate::selection::{Candidate, Criterion, Selection};
use crate::sweep::check_shape;
use ndarray::Array1;
use rand::seq::SliceRandom;

/// Fits every combination of K and covariance type and keeps the best by a criterion.
///
/// # Objective
/// BIC = −2 log L + p log N by default: for mixtures it is consistent for K (Keribin 2000). ICL adds twice the entropy of the
/// responsibilities and prefers components that do not overlap. The held-out log-likelihood makes no asymptotic argument but costs
/// `folds` more fits.
///
/// # What it needs
/// A start that works for any K: k-means++ or random rows.
///
/// # Defaults and why
/// K from 1 to 8, all four covariance types, BIC, no cross-validation unless [`Criterion::HeldOut`] asks for it (then 5 folds).
///
/// # When it fails
/// A combination that can't be fitted (a constant column for all but spherical, more components than rows) stands in the table with
/// its error; one that can be fitted to all rows but not without a fold keeps its criteria beside the error. Only if all fail is there
/// no answer. A fit that needed the covariance floor has a likelihood without a maximum, which
/// no criterion can weigh: it stands in the table with its numbers and a note in place of the error, and can win only if there is
/// none without.
///
/// # Example
/// ```
/// use lvm_core::gmm::GmmSelect;
/// use ndarray::Array2;
/// let x = Array2::from_shape_fn((60, 1), |(i, _)| (i % 2) as f64 * 9.0 + ((i * 7) as f64).sin());
/// let select = GmmSelect { components: vec![1, 2, 3], ..Default::default() };
/// let selection = select.select(&x, 1)?;
/// assert_eq!(selection.table.len(), 12);
/// assert!(selection.fitted.model.n_components() >= 2);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Schwarz, *Estimating the dimension of a model* (1978). Keribin, *Consistent estimation of the order of mixture models* (2000).
/// Biernacki, Celeux & Govaert, *Assessing a mixture model for clustering with the integrated completed likelihood* (2000).
#[derive(Debug, Clone)]
pub struct GmmSelect {
    /// The numbers of components to try.
    pub components: Vec<usize>,
    /// The covariance types to try.
    pub covariances: Vec<CovarianceType>,
    /// What to choose by.
    pub criterion: Criterion,
    /// How to fit; its `components` and `covariance` are replaced.
    pub em: GmmEm,
    /// Folds of the cross-validation that fills the column of held-out log-likelihoods; 0 for none.
    pub folds: usize,
}

impl Default for GmmSelect {
    fn default() -> Self {
        GmmSelect {
            components: (1..=8).collect(),
            covariances: CovarianceType::ALL.to_vec(),
            criterion: Criterion::Bic,
            em: GmmEm::default(),
            folds: 0,
        }
    }
}

impl GmmSelect {
    /// Fits all combinations.
    ///
    /// # Errors
    /// If the settings are unusable, or the first error if no combination could be fitted.
    pub fn select(&self, data: &dyn RowSource, seed: u64) -> Result<Selection<GaussianMixture>> {
        self.select_watched(data, seed, &mut unwatched)
    }

    /// As [`select`](Self::select), telling `watch` of every iteration and every pass of a start, in the fits to all rows and in those of
    /// the folds. A watch that stops ends the search with the candidates tried until then.
    ///
    /// # Errors
    /// As [`select`](Self::select); [`ErrorKind::Cancelled`] if `watch` stops before a candidate could be judged.
    pub fn select_watched(&self, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<Selection<GaussianMixture>> {
        let folds = self.check(data)?;
        let folds = (folds > 0).then(|| Folds::new(data, folds, seed));
        let mut table = Vec::new();
        let mut best: Option<((bool, f64), usize, Fitted<GaussianMixture>)> = None;
        let mut first_error = None;
        let mut stopped = false;
        let combinations = self.covariances.iter().flat_map(|c| self.components.iter().map(move |k| (*c, *k)));
        for (covariance, components) in combinations {
            let em = GmmEm { components, covariance, ..self.em.clone() };
            let mut told = |progress: &Progress| {
                let flow = watch(progress);
                stopped |= flow.is_break();
                flow
            };
            let fit = em.fit_watched(data, seed, &mut told);
            let mut candidate = Candidate::of(components, Some(covariance.to_string()));
            let judged = fit.and_then(|fitted| tabulate(&mut candidate, &fitted, data).map(|()| fitted));
            let fitted = match judged {
                Ok(fitted) => {
                    let folds = folds.as_ref().filter(|_| fitted.status != Status::Cancelled);
                    let held_out = folds.map(|folds| candidate.cross_validated(folds.held_out(&em, data, seed, &mut told)));
                    if let Some(Err(error)) = held_out {
                        first_error.get_or_insert(error);
                    }
                    Some(fitted)
                }
                Err(error) => {
                    candidate.failed(&error);
                    first_error.get_or_insert(error);
                    None
                }
            };
            let score = self.criterion.score(&candidate);
            table.push(candidate);
            if let (Some(fitted), Some(score)) = (fitted, score)
                && best.as_ref().is_none_or(|b| (!fitted.is_floored(), score) > b.0)
            {
                best = Some(((!fitted.is_floored(), score), table.len() - 1, fitted));
            }
            if stopped {
                break;
            }
        }
        match (best, first_error) {
            (Some((_, best, fitted)), _) => Ok(Selection { table, criterion: self.criterion, best, fitted }),
            (None, _) if stopped => Err(ErrorKind::Cancelled.into()),
            (None, Some(error)) => Err(error),
            (None, None) => Err(Error::config("criterion", "no candidate has a finite value of it")),
        }
    }

    /// Checks the settings; the number of folds.
    fn check(&self, data: &dyn RowSource) -> Result<usize> {
        check_shape(data, None)?;
        if self.components.is_empty() || self.covariances.is_empty() {
            return Err(Error::config("components", "at least one number of components and one covariance type are needed"));
        }
        if self.criterion == Criterion::LaplaceEvidence {
            return Err(Error::config("criterion", "the Laplace evidence is for PPCA; use bic, aic, icl or held_out"));
        }
        if matches!(self.em.start, Start::Responsibilities(_) | Start::Parameters(_) | Start::Resume(_)) {
            return Err(Error::config("start", "given responsibilities or parameters fit one K only; use k-means++ or random rows"));
        }
        let folds = if self.folds == 0 && self.criterion == Criterion::HeldOut { 5 } else { self.folds };
        if folds == 1 || folds > n_present(data) {
            return Err(Error::config(
                "folds",
                format!("{} of {}; 2 to that many are possible", count(folds, "fold"), count(n_present(data), "row")),
            ));
        }
        Ok(folds)
    }
}

/// Fills in what the fit to all rows says.
fn tabulate(candidate: &mut Candidate, fitted: &Fitted<GaussianMixture>, data: &dyn RowSource) -> Result<()> {
    let (criteria, icl) = fitted.model.criteria_and_icl(data)?;
    candidate.criteria = Some(criteria);
    candidate.icl = Some(icl);
    candidate.status = Some(fitted.status);
    candidate.error = fitted.is_floored().then(|| "a covariance was singular and held at the floor: the likelihood has no maximum".into());
    Ok(())
}

/// A split of the rows.
struct Folds {
    /// The fold of each row (N); rows of weight zero have one too.
    of: Vec<usize>,
    count: usize,
}

impl Folds {
    /// As equal as can be, at random.
    fn new(data: &dyn RowSource, count: usize, seed: u64) -> Self {
        let weights = data.weights();
        let mut present: Vec<usize> = (0..data.n_rows()).filter(|&n| weights.is_none_or(|w| w[n] > 0.0)).collect();
        present.shuffle(&mut stream(seed, Purpose::Split, 0));
        let mut of = vec![0; data.n_rows()];
        present.iter().enumerate().for_each(|(place, &n)| of[n] = place % count);
        Folds { of, count }
    }

    /// Mean log-likelihood per held-out row.
    fn held_out(&self, em: &GmmEm, data: &dyn RowSource, seed: u64, watch: Watch<'_>) -> Result<f64> {
        let weight = |n: usize| data.weights().map_or(1.0, |w| w[n]);
        let part = |keep: &dyn Fn(usize) -> bool| Array1::from_shape_fn(data.n_rows(), |n| if keep(self.of[n]) { weight(n) } else { 0.0 });
        let mut total = 0.0;
        for held in 0..self.count {
            // a fold is the same source with other weights, so that rows of weight zero stay absent from both parts
            let (inside, outside) = (part(&|fold| fold != held), part(&|fold| fold == held));
            let fitted = em.fit_watched(&Rows::new(data).weighted(inside.view())?, seed, &mut *watch)?.uncancelled()?;
            total += fitted.model.criteria(&Rows::new(data).weighted(outside.view())?)?.log_likelihood;
        }
        Ok(total / total_weight(data))
    }
}
