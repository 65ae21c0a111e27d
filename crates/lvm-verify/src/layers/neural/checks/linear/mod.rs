//! V5: a linear autoencoder trained to the end is probabilistic PCA.
//!
//! Lucas, Tucker, Grosse & Norouzi 2019: the bound of a linear autoencoder has the maximal evidence of PPCA as its maximum, and no others but
//! saddles. With diagonal q the columns of the decoder there are the principal directions, whatever rotation PPCA leaves open.

mod collapse;
mod comparison;
mod trained;

pub(in super::super) use collapse::collapse;

use crate::check::{Source, Tolerance};
use crate::layers::neural::{Family, Published};
use crate::suite::{Group, Outcome, Problem};
use comparison::Comparison;
use lvm_core::model::Evidence;
use lvm_core::ppca::{Ppca, PpcaMl};
use lvm_deep::architecture::PosteriorSpec;
use ndarray::Array2;
use trained::Linear;

/// V5.
///
/// # Errors
/// If the table can't be read or the library refuses.
pub(in super::super) fn linear(g: &mut Group<'_>, published: &Published, family: Family) -> Outcome {
    let closed = closed_form(g, published)?;
    let posterior = match family {
        Family::Diagonal => PosteriorSpec::Diagonal,
        Family::FullCovariance => PosteriorSpec::FullCovariance { diagonal: Default::default() },
    };
    let linear = Linear::train(&closed.x, published.latents, posterior, (g.budget, g.seed(0), g.seed(1)))?;
    compare(g, &closed, &linear, family)
}

/// V5 by way of a full covariance, for tables on which a diagonal q alone is slow.
///
/// # Errors
/// If the table can't be read or the library refuses.
pub(in super::super) fn from_axes(g: &mut Group<'_>, published: &Published) -> Outcome {
    let closed = closed_form(g, published)?;
    let linear = Linear::train_from_axes(&closed.x, published.latents, (g.budget, g.seed(0), g.seed(1)))?;
    compare(g, &closed, &linear, Family::Diagonal)
}

/// A table and its PPCA.
struct ClosedForm {
    x: Array2<f64>,
    ppca: Ppca,
    /// Its evidence, a row.
    evidence: f64,
}

/// The table and its PPCA, which must be what is published.
fn closed_form(g: &mut Group<'_>, published: &Published) -> Result<ClosedForm, Problem> {
    let x = published.x()?;
    let ppca = PpcaMl { components: published.latents, ..Default::default() }.fit(&x, 0)?.model;
    let evidence = ppca.log_evidence(&x)?.mean().ok_or("no rows".to_owned())?;
    let digits = Tolerance::absolute(6e-7, "half a unit of the last digit published, and rounding");
    g.scalar("evidence of PPCA, a row", Source::E, evidence, published.evidence, &digits);
    g.scalar("sigma^2 of PPCA", Source::E, ppca.noise_variance(), published.noise, &Tolerance::absolute(6e-9, digits.reason.clone()));
    Ok(ClosedForm { x, ppca, evidence })
}

fn compare(g: &mut Group<'_>, closed: &ClosedForm, linear: &Linear, family: Family) -> Outcome {
    let (x, ppca, target) = (&closed.x, &closed.ppca, closed.evidence);
    let elbo = linear.elbo(x);
    let gap = Tolerance::absolute(1e-3, "the catalogue's 1e-3 nats a row (Lucas et al. 2019)");
    g.scalar("ELBO a row, against the evidence of PPCA", Source::E, elbo, target, &gap);
    let above = Tolerance::absolute(1e-9 * target.abs(), "rounding of the evidence");
    g.bounded("ELBO above the maximal evidence", Source::E, (elbo - target).max(0.0), &above);
    Comparison { x, ppca, linear, elbo }.all(g, family == Family::Diagonal)
}
