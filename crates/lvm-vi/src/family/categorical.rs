//! Independent categorical latents.

use super::{Variational, check_parameters};
use lvm_core::mutant::planted;
use lvm_core::special::log_sum_exp;
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array2, ArrayView2};
use rand::{Rng, RngExt};

/// q(z) = Π_n Cat(z_n; softmax(λ_n)) over N labels z_n ∈ {0, …, K − 1}: the mean-field family of discrete latents.
///
/// # Symbols
/// | symbol | meaning | in λ | shape |
/// |---|---|---|---|
/// | λ | logits; a constant added to a row changes nothing | `parameters()`, row by row | (N, K) |
///
/// A label is the real number 0.0, 1.0, … in z. There is no pathwise gradient: the score function serves, and expectations of functions of
/// one label at a time are exact ([`Categorical::expectation`]).
///
/// ```
/// use lvm_vi::family::{Categorical, Variational};
/// use ndarray::array;
/// let q = Categorical::new(array![[0.2, 0.8], [0.5, 0.5]].view())?;
/// assert!((q.log_prob(&[1.0, 0.0]) - (0.8f64 * 0.5).ln()).abs() < 1e-15);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Categorical {
    /// K.
    labels: usize,
    /// Logits (N K).
    parameters: Vec<f64>,
    /// log softmax of the logits (N K).
    log_probabilities: Vec<f64>,
}

impl Categorical {
    /// The member with these probabilities (N, K), each row summing to 1.
    ///
    /// # Errors
    /// If there is no row or no column, a probability is not positive, or a row does not sum to 1 within 1e-8.
    pub fn new(probabilities: ArrayView2<'_, f64>) -> Result<Self> {
        for (n, row) in probabilities.rows().into_iter().enumerate() {
            if let Some(p) = row.iter().find(|p| !(**p > 0.0)) {
                return Err(Error::config("probabilities", format!("row {n} holds {p}; each must be positive to have a logit")));
            }
            if !((row.sum() - 1.0).abs() <= 1e-8) {
                return Err(Error::config("probabilities", format!("row {n} sums to {}; it must sum to 1", row.sum())));
            }
        }
        Self::from_parameters(probabilities.ncols(), probabilities.iter().map(|p| p.ln()).collect())
    }

    /// N labels with equal probabilities.
    ///
    /// # Errors
    /// If N or K is 0.
    pub fn uniform(n: usize, labels: usize) -> Result<Self> {
        Self::from_parameters(labels, vec![0.0; n * labels])
    }

    fn from_parameters(labels: usize, parameters: Vec<f64>) -> Result<Self> {
        if parameters.is_empty() {
            return Err(ErrorKind::Empty.into());
        }
        check_parameters("logits of a categorical", &parameters, parameters.len())?;
        let mut log_probabilities = parameters.clone();
        for row in log_probabilities.chunks_exact_mut(labels) {
            let normaliser = log_sum_exp(&*row);
            row.iter_mut().for_each(|l| *l -= normaliser);
        }
        Ok(Categorical { labels, parameters, log_probabilities })
    }

    /// K, the number of labels.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// q(z_n = k); (N, K).
    pub fn probabilities(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.dim(), self.labels), |(n, k)| self.row(n)[k].exp())
    }

    /// Σ_n E_q\[f_n(z_n)\] exactly, for f_n(k) = `values[[n, k]]`, (N, K).
    ///
    /// # Errors
    /// If the shape is not (N, K).
    pub fn expectation(&self, values: ArrayView2<'_, f64>) -> Result<f64> {
        for (what, expected, found) in [("rows of values", self.dim(), values.nrows()), ("columns of values", self.labels, values.ncols())]
        {
            if expected != found {
                return Err(ErrorKind::Shape { what, expected, found }.into());
            }
        }
        // a label of probability 0 (underflowed) adds nothing, whatever its value
        let terms = values.iter().zip(&self.log_probabilities).map(|(v, l)| (l.exp(), v));
        Ok(terms.filter(|(p, _)| *p > 0.0).map(|(p, v)| p * v).sum())
    }

    /// KL(q ‖ p) in nats, exactly.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn kl(&self, p: &Categorical) -> Result<f64> {
        let own = ArrayView2::from_shape((self.dim(), self.labels), &self.log_probabilities);
        let other = ArrayView2::from_shape((p.dim(), p.labels), &p.log_probabilities);
        match (own, other) {
            (Ok(own), Ok(other)) if own.dim() == other.dim() => self.expectation((&own - &other).view()),
            _ => {
                Err(ErrorKind::Shape { what: "labels of q in KL(q ‖ p)", expected: p.parameters.len(), found: self.parameters.len() }
                    .into())
            }
        }
    }

    /// log q(z_n = ·) (K).
    fn row(&self, n: usize) -> &[f64] {
        &self.log_probabilities[n * self.labels..(n + 1) * self.labels]
    }

    /// The label that a real number stands for.
    fn label(&self, z: f64) -> Option<usize> {
        (z >= 0.0 && z < self.labels as f64 && z.fract() == 0.0).then_some(z as usize)
    }
}

/// One label drawn from log probabilities, by inversion.
fn draw(row: &[f64], u: f64) -> usize {
    let mut cumulative = 0.0;
    let found = row.iter().position(|l| {
        cumulative += l.exp();
        u < cumulative
    });
    // rounding may leave the sum just below u: then the last label that can occur
    found.unwrap_or_else(|| row.iter().rposition(|l| l.exp() > 0.0).unwrap_or(0))
}

impl Variational for Categorical {
    fn dim(&self) -> usize {
        self.parameters.len() / self.labels
    }

    fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    fn with_parameters(&self, parameters: &[f64]) -> Result<Self> {
        check_parameters("logits of a categorical", parameters, self.parameters.len())?;
        Self::from_parameters(self.labels, parameters.to_vec())
    }

    fn sample(&self, rng: &mut dyn Rng, z: &mut [f64]) {
        z.iter_mut().enumerate().for_each(|(n, z)| *z = draw(self.row(n), rng.random()) as f64);
    }

    fn log_prob(&self, z: &[f64]) -> f64 {
        z.iter().enumerate().map(|(n, &z)| self.label(z).map_or(f64::NEG_INFINITY, |k| self.row(n)[k])).sum()
    }

    fn add_score(&self, z: &[f64], scale: f64, gradient: &mut [f64]) {
        // ∂ log q/∂λ_nk = [z_n = k] − π_nk
        for (n, (gradient, &z)) in gradient.chunks_exact_mut(self.labels).zip(z).enumerate() {
            let centred = if planted("categorical_score_uncentred") { 0.0 } else { scale };
            gradient.iter_mut().zip(self.row(n)).for_each(|(g, l)| *g -= centred * l.exp());
            if let Some(k) = self.label(z) {
                gradient[k] += scale;
            }
        }
    }

    fn entropy(&self) -> f64 {
        self.log_probabilities.iter().filter(|l| l.exp() > 0.0).map(|l| -l.exp() * l).sum()
    }

    fn add_entropy_grad(&self, scale: f64, gradient: &mut [f64]) {
        // ∂H/∂λ_nk = −π_nk (log π_nk + H_n)
        for (n, gradient) in gradient.chunks_exact_mut(self.labels).enumerate() {
            let entropy: f64 = self.row(n).iter().filter(|l| l.exp() > 0.0).map(|l| -l.exp() * l).sum();
            let terms = gradient.iter_mut().zip(self.row(n)).filter(|(_, l)| l.exp() > 0.0);
            terms.for_each(|(g, l)| *g -= scale * l.exp() * (l + entropy));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn divergence_and_entropy_are_exact() {
        let (q, p) = (Categorical::new(array![[0.25, 0.75]].view()).unwrap(), Categorical::uniform(1, 2).unwrap());
        let kl = 0.25 * 0.5f64.ln() + 0.75 * 1.5f64.ln();
        // a few roundings of numbers below 1; KL to the uniform is log K − H
        assert!((q.kl(&p).unwrap() - kl).abs() < 1e-15 && (2f64.ln() - q.entropy() - kl).abs() < 1e-15);
        assert!(q.kl(&Categorical::uniform(2, 2).unwrap()).is_err());
    }

    #[test]
    fn extreme_logits_stay_finite() {
        let q = Categorical::uniform(1, 2).unwrap().with_parameters(&[-1e4, 1e4]).unwrap();
        let mut g = [0.0; 2];
        q.add_entropy_grad(1.0, &mut g);
        assert_eq!((q.entropy(), g), (0.0, [0.0; 2]));
        assert_eq!(q.log_prob(&[0.5]), f64::NEG_INFINITY);
        assert!(Categorical::new(array![[0.5, 0.6]].view()).unwrap_err().to_string().contains("sums to 1.1"));
        assert!(Categorical::new(array![[0.0, 1.0]].view()).is_err());
    }
}
