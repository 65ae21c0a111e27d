//! S1: the ELBO of a fixed q, by expectations in closed form or quadrature and by draws.

use super::{Reference, family, field};
use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::posterior::Posterior;
use crate::stochastic::{Claim, Truth};
use crate::suite::{Budget, Group, Outcome};
use lvm_vi::bound::log_weights;
use lvm_vi::deterministic::{FixedPoint, Shape};
use lvm_vi::family::{FullRank, MeanField, Variational};
use ndarray::Array2;

/// The bias the draws must have the power to see, and the draws of the first look. R3's 0.01 nats is what the deterministic comparison
/// beside it meets with digits to spare; the draws are there for constants and terms that both expectations might lack, of which the
/// smallest that is ever forgotten is log 2.
fn power(budget: Budget) -> (f64, usize) {
    match budget {
        Budget::Quick => (0.2, 5_000),
        Budget::Full => (0.05, 50_000),
        Budget::Nightly => (0.01, 1_000_000),
    }
}

/// S1.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(super) fn bounds(g: &mut Group<'_>, case: &Case, model: &dyn Posterior) -> Outcome {
    let expectation = model.expectation()?;
    if let Some(fixed) = case.find("elbo_at_fixed_q") {
        for (i, q) in fixed.list()?.into_iter().enumerate() {
            let (mean, sd, truth) = (q.get("mean")?.vector()?, q.get("sd")?.vector()?, q.get("elbo")?.number()?);
            let covariance = Array2::from_diag(&sd.mapv(|s| s * s));
            let ours = FixedPoint::elbo(expectation.as_ref(), mean.view(), covariance.view())?;
            let t = Tolerance::relative(1e-10, "VERIFY S1: deterministic 1e-10");
            g.scalar(format!("ELBO of the fixed q {i}"), Source::E, ours, truth, &t);
            let q = MeanField::new(&mean.to_vec(), &sd.to_vec())?;
            by_draws(g, format!("ELBO of the fixed q {i} by draws"), &q, model, truth)?;
        }
    }
    for shape in [Shape::Diagonal, Shape::Full] {
        if case.find(&format!("vi_optimum.{}", field(shape))).is_none() {
            continue;
        }
        let reference = Reference::of(case, shape)?;
        let ours = FixedPoint::elbo(expectation.as_ref(), reference.mean.view(), reference.covariance.view())?;
        g.scalar(format!("ELBO of the file's {} optimum", family(shape)), Source::Q, ours, reference.elbo, &reference.of_elbo());
        // the evaluation of one draw costs about this many numbers read
        let cost = model.by_rows().map_or(1, |rows| rows.n_data()) * model.dim();
        if g.budget == Budget::Quick && cost > 3000 {
            continue;
        }
        let quantity = format!("ELBO of the file's {} optimum by draws", family(shape));
        match shape {
            Shape::Diagonal => {
                by_draws(g, quantity, &MeanField::new(&reference.mean.to_vec(), &reference.sd.to_vec())?, model, reference.elbo)?
            }
            Shape::Full => {
                by_draws(g, quantity, &FullRank::new(&reference.mean.to_vec(), reference.covariance.view())?, model, reference.elbo)?
            }
        }
    }
    Ok(())
}

fn by_draws<V: Variational>(g: &mut Group<'_>, quantity: String, q: &V, model: &dyn Posterior, truth: f64) -> Outcome {
    let seed = g.seed(quantity.bytes().map(u64::from).sum());
    let (margin, draws) = power(g.budget);
    let mut looks = 0;
    let truth = (Truth { value: truth, error: 1e-9 * truth.abs() }, Source::Q);
    g.expectation(quantity, truth, Claim::Equal(margin), draws, "mean of log p − log q over draws from q (R4)", |n| {
        looks += 1;
        Ok(log_weights(q, model, n, seed.wrapping_add(looks))?.values)
    })
}
