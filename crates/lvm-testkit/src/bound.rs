//! Laws of the bounds of the evidence.

use crate::{Verdict, broken, raised};
use lvm_core::bound::{elbo, iwae};
use lvm_core::model::{Evidence, LatentDist};
use lvm_core::rows::RowSource;

/// z of a one-sided normal test that a right implementer fails with probability below 1e-9.
const Z: f64 = 6.0;

/// ELBO(q) ≤ log p(x) for any q, row by row and in total: above it by no more than six standard errors.
///
/// 400 draws; where their mean is normal enough, a correct implementer of up to a thousand rows fails with probability below 1e-6. It is not
/// where q has rare draws of very low weight (a categorical with probabilities near 1e-3 at components that the posterior excludes): these
/// draws are then not met, and their standard error is not known. Take a q without such.
///
/// # Errors
/// The first row whose bound is above its evidence.
pub fn elbo_is_below_the_evidence<M, Q>(model: &M, q: &Q, x: &dyn RowSource, seed: u64) -> Verdict
where
    M: Evidence,
    Q: LatentDist<Z = M::Z>,
{
    const LAW: &str = "the ELBO is below the evidence";
    let evidence = model.log_evidence(x).map_err(raised(LAW))?;
    let bound = elbo(model, q, x, 400, seed).map_err(raised(LAW))?;
    for (n, (row, log_p)) in bound.rows.iter().zip(&evidence).enumerate() {
        let limit = log_p + Z * row.std_err + 1e-10 * (1.0 + log_p.abs());
        if !(row.mean <= limit) {
            return Err(broken(LAW, format!("row {n}: ELBO {} ± {} above the evidence {log_p}", row.mean, row.std_err)));
        }
    }
    let total: f64 = evidence.iter().enumerate().map(|(n, v)| x.weights().map_or(1.0, |w| w[n]) * v).sum();
    if bound.total.mean <= total + Z * bound.total.std_err + 1e-10 * (1.0 + total.abs()) {
        return Ok(());
    }
    Err(broken(LAW, format!("total: ELBO {} ± {} above the evidence {total}", bound.total.mean, bound.total.std_err)))
}

/// IWAE_k never falls in k and stays below the evidence; k = 1, 2, 3, 7, 20, the total over all rows.
///
/// Each value is from 200 independent draws; a fall or an excess counts from six joint standard errors on (probability below 1e-8 in all).
///
/// # Errors
/// The first k at which the bound falls or passes the evidence.
pub fn importance_weighting_tightens<M, Q>(model: &M, q: &Q, x: &dyn RowSource, seed: u64) -> Verdict
where
    M: Evidence,
    Q: LatentDist<Z = M::Z>,
{
    const LAW: &str = "IWAE rises in k towards the evidence";
    let total: f64 = model.log_evidence(x).map_err(raised(LAW))?.sum();
    let mut last: Option<lvm_core::bound::Estimate> = None;
    for (i, k) in [1, 2, 3, 7, 20].into_iter().enumerate() {
        let now = iwae(model, q, x, k, 200, seed.wrapping_add(i as u64)).map_err(raised(LAW))?.total;
        let rounding = 1e-10 * (1.0 + total.abs());
        if !(now.mean <= total + Z * now.std_err + rounding) {
            return Err(broken(LAW, format!("k = {k}: {} ± {} above the evidence {total}", now.mean, now.std_err)));
        }
        if let Some(last) = last
            && !(now.mean >= last.mean - Z * now.std_err.hypot(last.std_err) - rounding)
        {
            return Err(broken(LAW, format!("k = {k}: {} ± {} below {} ± {}", now.mean, now.std_err, last.mean, last.std_err)));
        }
        last = Some(now);
    }
    Ok(())
}

/// With q the exact posterior every log weight is log p(x): no error but rounding, one draw is enough.
///
/// # Errors
/// The first row where ELBO and evidence differ by more than `1e-9` relative: sums of a few D terms and one factorisation.
pub fn exact_posterior_closes_the_bound<M, Q>(model: &M, posterior: &Q, x: &dyn RowSource, seed: u64) -> Verdict
where
    M: Evidence,
    Q: LatentDist<Z = M::Z>,
{
    const LAW: &str = "the exact posterior closes the bound";
    let evidence = model.log_evidence(x).map_err(raised(LAW))?;
    let bound = elbo(model, posterior, x, 2, seed).map_err(raised(LAW))?;
    crate::compare(LAW, "ELBO", bound.means(), evidence, |_, e| 1e-9 * (1.0 + e.abs()))
}
