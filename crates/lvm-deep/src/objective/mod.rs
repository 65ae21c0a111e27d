//! What training maximises.

mod autoencoder;
pub mod elbo;
pub mod gumbel_softmax;
pub mod iwae;
pub mod score_function;
pub mod summation;

pub use elbo::{Elbo, KlTerm};
pub use gumbel_softmax::GumbelSoftmax;
pub use iwae::{Iwae, IwaeGradient};
pub use score_function::ScoreFunction;
pub use summation::Summation;

use crate::data::Batch;
use crate::error::Result;
use crate::noise::Noise;
use crate::train::record::Means;
use crate::vae::Vae;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A training objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Objective {
    /// The evidence lower bound, possibly with a weighted or floored KL term.
    Elbo(Elbo),
    /// The importance-weighted bound.
    Iwae(Iwae),
    /// The evidence lower bound without derivatives in z.
    ScoreFunction(ScoreFunction),
    /// The evidence lower bound of a discrete latent, relaxed.
    GumbelSoftmax(GumbelSoftmax),
    /// log p(x | z = mode of q(z | x)), no bound: the plain autoencoder, for comparison. What it reports as bound is this reconstruction.
    Autoencoder,
}

impl Default for Objective {
    fn default() -> Self {
        Objective::Elbo(Elbo::default())
    }
}

/// One evaluation of an objective on a batch, each of a row (N), in nats.
pub struct Evaluation {
    /// What the gradient is taken of, to be maximised. Its value may be anything with the right gradient.
    pub surrogate: Tensor,
    /// An unbiased estimate of the bound itself, with weight 1 on the KL term and nothing floored, without gradient: the number reported.
    pub bound: Tensor,
    /// E_q[log p(x | z)], estimated, without gradient.
    pub reconstruction: Tensor,
    /// KL(q(z | x) ‖ p(z)), in closed form where there is one, without gradient.
    pub kl: Tensor,
}

impl Objective {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// If a setting is outside its range.
    pub fn check(&self) -> Result<()> {
        match self {
            Objective::Elbo(elbo) => elbo.check(),
            Objective::Iwae(iwae) => iwae.check(),
            Objective::ScoreFunction(score) => score.check(),
            Objective::GumbelSoftmax(gumbel) => gumbel.check(),
            Objective::Autoencoder => Ok(()),
        }
    }

    /// What rows that were held out are judged by: the bound that is trained. That is the importance-weighted bound with its own k, the plain
    /// autoencoder's reconstruction, and for all others, each a way to raise it, the evidence lower bound with this many draws.
    ///
    /// ```
    /// use lvm_deep::objective::{Elbo, Iwae, IwaeGradient, Objective, ScoreFunction};
    /// let iwae = Objective::Iwae(Iwae { draws: 50, gradient: IwaeGradient::DoublyReparameterized });
    /// assert!(matches!(iwae.held_out(4), Objective::Iwae(Iwae { draws: 50, .. })));
    /// let score = Objective::ScoreFunction(ScoreFunction::default());
    /// assert_eq!(score.held_out(4), Objective::Elbo(Elbo { draws: 4, ..Elbo::default() }));
    /// ```
    pub fn held_out(&self, draws: i64) -> Objective {
        match self {
            Objective::Autoencoder => Objective::Autoencoder,
            // the value is the same; the doubly reparameterised gradient is taken while it is evaluated, and no gradient is wanted here
            Objective::Iwae(iwae) => Objective::Iwae(Iwae { gradient: IwaeGradient::Pathwise, ..*iwae }),
            _ => Objective::Elbo(Elbo { draws, ..Elbo::default() }),
        }
    }

    /// The number by which epochs are compared: the bound, with the weight β of the objective on its KL term. Neither warm-up nor free nats are part
    /// of it: they are ways to get there.
    ///
    /// ```
    /// use lvm_deep::objective::{Elbo, Objective};
    /// use lvm_deep::train::record::Means;
    /// let means = Means { bound: -7.0, reconstruction: -5.0, kl: 2.0 };
    /// assert_eq!(Objective::default().compared(&means), -7.0);
    /// assert_eq!(Objective::Elbo(Elbo { beta: 4.0, ..Elbo::default() }).compared(&means), -13.0);
    /// ```
    pub fn compared(&self, means: &Means) -> f64 {
        let beta = match self {
            Objective::Elbo(Elbo { beta, .. })
            | Objective::ScoreFunction(ScoreFunction { beta, .. })
            | Objective::GumbelSoftmax(GumbelSoftmax { beta, .. }) => *beta,
            Objective::Iwae(_) | Objective::Autoencoder => 1.0,
        };
        means.bound - (beta - 1.0) * means.kl
    }

    /// Evaluates the objective. `kl_weight` multiplies the KL term of what is maximised (warm-up), never of what is reported.
    ///
    /// # Errors
    /// If the model's posterior can't be used with this objective.
    pub fn evaluate(&self, vae: &Vae, batch: &Batch, kl_weight: f64, noise: &mut Noise) -> Result<Evaluation> {
        match self {
            Objective::Elbo(elbo) => elbo.evaluate(vae, batch, kl_weight, noise),
            Objective::Iwae(iwae) => iwae.evaluate(vae, batch, kl_weight, noise),
            Objective::ScoreFunction(score) => score.evaluate(vae, batch, kl_weight, noise),
            Objective::GumbelSoftmax(gumbel) => gumbel.evaluate(vae, batch, kl_weight, noise),
            Objective::Autoencoder => autoencoder::evaluate(vae, batch),
        }
    }
}
