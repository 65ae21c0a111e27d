//! One of K values.

use super::{Draws, Family, Posterior};
use crate::noise::Noise;
use tch::{Kind, Tensor};

/// q(z = k | x) = softmax(a(x))_k; features are a (K), and z stands as a one-hot row of length K.
///
/// Rows are clustered by argmax_k q(z = k | x), which is [`Posterior::mode`] as a one-hot row.
#[derive(Debug, Clone, Copy)]
pub struct Categorical {
    /// K.
    pub values: i64,
}

impl Family for Categorical {
    fn n_features(&self) -> i64 {
        self.values
    }

    fn at(&self, features: &Tensor) -> Box<dyn Posterior> {
        Box::new(CategoricalPosterior { log_probabilities: features.log_softmax(-1, None) })
    }

    fn share(&self) -> Box<dyn Family> {
        Box::new(*self)
    }
}

/// Categorical distributions of N rows.
#[derive(Debug)]
pub struct CategoricalPosterior {
    /// log q(z = k | x), (N, K).
    pub log_probabilities: Tensor,
}

/// −log(−log u), which makes argmax_k (log p_k + g_k) a draw from p. Gumbel 1954; Maddison, Tarlow & Minka 2014.
pub(crate) fn gumbel(shape: &[i64], noise: &mut Noise) -> Tensor {
    // f32 noise may round to 0 or 1: kept away from both
    let u = noise.uniform(shape).clamp(f64::from(f32::MIN_POSITIVE), 1.0 - f64::from(f32::EPSILON) / 2.0);
    -(-u.log()).log()
}

/// One-hot rows (…, K) of the largest of every row.
pub(crate) fn one_hot_of_largest(scores: &Tensor) -> Tensor {
    scores.zeros_like().scatter_value(-1, &scores.detach().argmax(-1, true), 1.0)
}

impl Posterior for CategoricalPosterior {
    fn draw(&self, k: i64, noise: &mut Noise) -> Draws {
        let scores = self.log_probabilities.detach() + gumbel(&[&[k], self.log_probabilities.size().as_slice()].concat(), noise);
        let z = one_hot_of_largest(&scores);
        let log_q = (&z * &self.log_probabilities).sum_dim_intlist([-1].as_slice(), false, None::<Kind>);
        Draws { z, log_q }
    }

    fn log_prob(&self, z: &Tensor) -> Option<Tensor> {
        Some((z * &self.log_probabilities).sum_dim_intlist([-1].as_slice(), false, None::<Kind>))
    }

    fn detach(&self) -> Box<dyn Posterior> {
        Box::new(CategoricalPosterior { log_probabilities: self.log_probabilities.detach() })
    }

    fn mode(&self) -> Tensor {
        one_hot_of_largest(&self.log_probabilities.detach())
    }

    fn log_probabilities(&self) -> Option<Tensor> {
        Some(self.log_probabilities.shallow_clone())
    }
}
