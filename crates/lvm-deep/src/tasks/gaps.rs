//! log p(x) − ELBO of every row in one call, with whichever exact evidence the model admits.

use crate::data::Batch;
use crate::error::{Error, Result};
use crate::evidence::{Ascent, Expectation, Gaps, Optimum, Quadrature, summation};
use crate::vae::Vae;
use ndarray::Array1;

/// Evidence, bounds and gaps of every row.
#[derive(Debug)]
pub struct ExactGaps {
    /// log p(x) (N).
    pub log_evidence: Array1<f64>,
    /// The rows' best q, with both ELBOs.
    pub optimum: Optimum,
    /// The two parts of the gap.
    pub gaps: Gaps,
}

/// The gap and its parts without any draw: by quadrature for a Gaussian q of one or two latents, by summation for a discrete latent.
///
/// # Errors
/// If the model is neither (then log p(x) by [`Annealed`](crate::evidence::Annealed) and [`Optimum`] by draws go into [`Gaps::new`]), or
/// the rows do not fit.
pub fn exact_gaps(vae: &Vae, batch: &Batch, quadrature: &Quadrature, ascent: &Ascent) -> Result<ExactGaps> {
    vae.check(batch)?;
    let q = tch::no_grad(|| vae.posterior(&batch.narrow(0, batch.n_rows().min(1))));
    let (log_evidence, expectation) = if q.probabilities().is_some() {
        (summation(vae, batch)?, Expectation::Summation)
    } else if q.gaussian().is_some() && vae.latents() <= 2 {
        (quadrature.evaluate(vae, batch)?.log_evidence, Expectation::Quadrature(STEP))
    } else {
        let message = "has no exact evidence: take it by annealing, fit q by draws (Optimum), and put both into Gaps";
        return Err(Error::config("posterior", message));
    };
    let optimum = Optimum::new(vae, batch, expectation, ascent, 0)?;
    let gaps = Gaps::new(&log_evidence, &optimum)?;
    Ok(ExactGaps { log_evidence, optimum, gaps })
}

/// Step of the expectations, in standard deviations of q: below 1e-8 nats for smooth decoders.
const STEP: f64 = 0.2;
