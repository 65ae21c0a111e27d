//! Which latents are used, and what to do when none is.

use crate::data::Batch;
use crate::error::{Result, guard};
use crate::tensor::{to_matrix, to_values};
use crate::vae::Vae;
use ndarray::{Array1, Axis};
use std::fmt;
use tch::Kind;

/// A latent counts as active when its posterior mean varies by more than this over the data: Burda, Grosse & Salakhutdinov 2016, section 5.2.
pub const ACTIVE_VARIANCE: f64 = 1e-2;

/// How much each latent tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// Var_x(E_q[z_l | x]) (L), with row weights.
    pub variance: Array1<f64>,
    /// Mean KL of each latent in nats a row (L), where the KL is a sum over latents.
    pub kl: Option<Array1<f64>>,
}

impl Activity {
    /// Of the posteriors of these rows. The centre of q is its mean where it is Gaussian, else its mode.
    ///
    /// # Errors
    /// If the rows do not fit the model.
    pub fn new(vae: &Vae, batch: &Batch) -> Result<Self> {
        vae.check(batch)?;
        guard("measuring activity", || {
            let _no_grad = tch::no_grad_guard();
            let q = vae.posterior(batch);
            let centre = q.gaussian().map(|g| g.mean).or_else(|| q.probabilities()).unwrap_or_else(|| q.mode());
            let weights = match &batch.weights {
                Some(w) => Array1::from(to_values(w)),
                None => Array1::ones(batch.n_rows() as usize),
            };
            let total = weights.sum();
            let centre = to_matrix(&centre)?;
            let mean = weights.dot(&centre) / total;
            let variance = weights.dot(&(&centre - &mean).mapv(|d| d * d)) / total;
            let kl = vae.parts.prior.kl_by_latent(q.as_ref()).map(|kl| to_matrix(&kl.to_kind(Kind::Double))).transpose()?;
            Ok(Activity { variance, kl: kl.map(|kl| weights.dot(&kl) / total) })
        })
    }

    /// The latents with variance above [`ACTIVE_VARIANCE`], from 0.
    pub fn active(&self) -> Vec<usize> {
        self.variance.iter().enumerate().filter(|(_, v)| **v > ACTIVE_VARIANCE).map(|(l, _)| l).collect()
    }

    /// Whether so few latents are active that something should be done; `None` while at least half are.
    ///
    /// A linear decoder with a noise variance above most eigenvalues of the data rightly has few active latents; the warning says where to
    /// look, not that the model is wrong.
    pub fn collapse(&self) -> Option<Collapse> {
        let (active, latents) = (self.active().len(), self.variance.len_of(Axis(0)));
        (2 * active < latents).then_some(Collapse { active, latents })
    }
}

/// The posterior of most latents is the prior: the model does not use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collapse {
    /// Active latents.
    pub active: usize,
    /// All latents.
    pub latents: usize,
}

impl fmt::Display for Collapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Collapse { active, latents } = self;
        write!(
            f,
            "posterior collapse: {active} of {latents} latents are active (variance of the posterior mean above {ACTIVE_VARIANCE}). "
        )?;
        match active {
            0 => f.write_str(
                "The decoder explains the data without any latent. Raise the weight of the KL term slowly (warm_up), leave each latent some \
                 free nats (free_nats), or weaken the decoder (fewer hidden units, no autoregression)",
            ),
            _ => f.write_str(
                "If more were expected: raise the weight of the KL term slowly (warm_up), leave each latent some free nats (free_nats), or \
                 weaken the decoder; if not, fewer latents give the same model",
            ),
        }
    }
}
