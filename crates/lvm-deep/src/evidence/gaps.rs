//! What the gap log p(x) − ELBO is made of.

use super::ascent::{Ascent, Maximum};
use super::quadrature::{elbo_by_quadrature, elbo_by_summation};
use crate::data::Batch;
use crate::error::{Error, ErrorKind, Result, guard};
use crate::noise::Noise;
use crate::posterior::Posterior;
use crate::tensor::to_values;
use crate::vae::Vae;
use lvm_core::random::Purpose;
use ndarray::Array1;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// How E_q is taken while q is fitted to a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// The trapezoid rule with this step in standard deviations: Gaussian q with one or two latents.
    Quadrature(f64),
    /// The mean over so many draws whose noise stays the same during the ascent. What is reported afterwards is by fresh noise, since q has
    /// fitted itself to the old.
    Draws(i64),
    /// Σ over the values of a discrete latent.
    Summation,
}

impl Expectation {
    /// The ELBO of every row (N) of q, differentiable in q.
    fn elbo(self, vae: &Vae, q: &dyn Posterior, batch: &Batch, noise: &Noise) -> Result<Tensor> {
        match self {
            Expectation::Quadrature(step) => elbo_by_quadrature(vae, q, batch, step),
            Expectation::Summation => elbo_by_summation(vae, q, batch),
            Expectation::Draws(k) => {
                let draws = q.draw(k, &mut noise.clone());
                let joint = vae.log_joint(&draws.z, batch);
                let mean = |values: Tensor| values.mean_dim([0].as_slice(), false, None);
                Ok(match vae.parts.prior.kl(q) {
                    Some(kl) => mean(joint.log_likelihood) - kl,
                    None => mean(joint.log_likelihood + joint.log_prior - draws.log_q),
                })
            }
        }
    }
}

/// q of the same family fitted to every row by itself.
#[derive(Debug)]
pub struct Optimum {
    /// The parameters of each row's best q (N, F), as the encoder would deliver them.
    pub features: Tensor,
    /// ELBO of the encoder's q (N).
    pub elbo_of_encoder: Array1<f64>,
    /// ELBO of each row's best q (N).
    pub elbo: Array1<f64>,
    /// Length of the gradient left (N), by the expectation of the ascent.
    pub gradient_norm: Array1<f64>,
    /// Whether each row's gradient met the tolerance.
    pub converged: Vec<bool>,
}

impl Optimum {
    /// Fits q to every row, from where the encoder puts it.
    ///
    /// Noise for [`Expectation::Draws`] depends on the row's place in the batch.
    ///
    /// # Errors
    /// If the rows do not fit the model, or the expectation does not fit q.
    pub fn new(vae: &Vae, batch: &Batch, expectation: Expectation, ascent: &Ascent, seed: u64) -> Result<Self> {
        vae.check(batch)?;
        if let Expectation::Draws(k) = expectation
            && k < 1
        {
            return Err(Error::config("draws", format!("is {k}; at least 1 is needed")));
        }
        guard("fitting q to every row", || {
            let noise = |index| Noise::new(seed, Purpose::Noise, index, batch.x.kind(), batch.x.device());
            let start = tch::no_grad(|| vae.parts.encoder.features(batch));
            let fixed = noise(0);
            let mut objective = |features: &Tensor| expectation.elbo(vae, vae.parts.family.at(features).as_ref(), batch, &fixed);
            let Maximum { point, gradient_norm, converged, .. } = ascent.maximise(&start, &mut objective)?;
            let fresh = noise(1);
            let value = |features: &Tensor| {
                let _no_grad = tch::no_grad_guard();
                expectation.elbo(vae, vae.parts.family.at(features).as_ref(), batch, &fresh).map(|e| Array1::from(to_values(&e)))
            };
            Ok(Optimum {
                elbo_of_encoder: value(&start)?,
                elbo: value(&point)?,
                gradient_norm: Array1::from(to_values(&gradient_norm)),
                features: point,
                converged,
            })
        })
    }
}

/// log p(x) − ELBO of every row, in two parts that add up to it.
///
/// ```text
/// log p(x) − ELBO(q_encoder)  =  [log p(x) − ELBO(q*)]  +  [ELBO(q*) − ELBO(q_encoder)]
///                                   approximation              amortization
/// ```
///
/// with q* the best member of the family for the row. The first is the price of the family, and a richer family pays it; the second that of
/// one encoder for all rows, and a larger encoder or longer training pays it. Cremer, Li & Duvenaud 2018.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaps {
    /// log p(x) − ELBO(q*) (N).
    pub approximation: Array1<f64>,
    /// ELBO(q*) − ELBO(q_encoder) (N).
    pub amortization: Array1<f64>,
}

impl Gaps {
    /// From log p(x) of every row, by quadrature, summation or annealing, and the rows' best q.
    ///
    /// # Errors
    /// If the numbers of rows differ.
    pub fn new(log_evidence: &Array1<f64>, optimum: &Optimum) -> Result<Self> {
        if log_evidence.len() != optimum.elbo.len() {
            return Err(ErrorKind::Shape { what: "rows of log p", expected: optimum.elbo.len(), found: log_evidence.len() }.into());
        }
        Ok(Gaps { approximation: log_evidence - &optimum.elbo, amortization: &optimum.elbo - &optimum.elbo_of_encoder })
    }

    /// log p(x) − ELBO(q_encoder) (N).
    pub fn total(&self) -> Array1<f64> {
        &self.approximation + &self.amortization
    }
}
