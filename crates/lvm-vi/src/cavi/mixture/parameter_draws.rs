//! Draws of the parameters from q(π) q(μ, Λ) against the posterior itself: what coordinate ascent can't know of its own q.

use super::model::BayesianMixtureModel;
use super::prior::Scale;
use super::weights::{WeightFactor, WeightPrior};
use lvm_core::dist::{Beta, Dirichlet, Gamma, Normal, Univariate, Wishart};
use lvm_core::gmm::{Covariances, GaussianMixture, SecondMoments};
use lvm_core::model::Evidence;
use lvm_core::random::{Purpose, Stream, stream};
use lvm_core::rows::RowSource;
use lvm_core::{Error, Result, linalg};
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use std::f64::consts::TAU;

impl BayesianMixtureModel {
    /// log p(x, θ_s) − log q(θ_s) of draws θ_s = (π, μ, Λ) of q, with the labels of `data` summed out exactly; nats (S).
    ///
    /// Their mean is the ELBO of q(θ), which lies above that of q(Z) q(θ); log of the mean of their exponentials is an estimate of
    /// log p(x) around the mode that q covers (all K! orders of the components count as one), and
    /// [`psis`](crate::diagnose::psis) tells by their tail whether q can stand for the posterior there. For one component q is the
    /// posterior and all of them are log p(x). A draw costs a pass over the rows.
    ///
    /// # Errors
    /// If `draws` is 0, or the data is unusable or its columns do not fit the model.
    pub fn parameter_log_weights(&self, data: &dyn RowSource, draws: usize, seed: u64) -> Result<Vec<f64>> {
        if draws == 0 {
            return Err(Error::config("draws", "0 asked for, at least 1 is needed"));
        }
        (0..draws as u64).map(|s| self.log_weight(data, &mut stream(seed, Purpose::Diagnosis, s))).collect()
    }

    fn log_weight(&self, data: &dyn RowSource, rng: &mut Stream) -> Result<f64> {
        let (weights, mut log_ratio) = self.draw_weights(rng)?;
        let (k, d) = self.components().means().dim();
        let mut means = Array2::zeros((k, d));
        let covariances = match self.components().scale_inverse() {
            SecondMoments::Full(scales) => {
                let mut all = Array3::zeros((k, d, d));
                for (c, scale) in scales.outer_iter().enumerate() {
                    let (covariance, ratio) = self.draw_full(c, scale, means.row_mut(c), rng)?;
                    all.index_axis_mut(Axis(0), c).assign(&covariance);
                    log_ratio += ratio;
                }
                Covariances::Full(all)
            }
            SecondMoments::Diagonal(scales) => {
                let mut all = Array2::zeros((k, d));
                for (c, scale) in scales.outer_iter().enumerate() {
                    log_ratio += self.draw_diagonal(c, scale, means.row_mut(c), all.row_mut(c), rng)?;
                }
                Covariances::Diagonal(all)
            }
        };
        let log_p = GaussianMixture::new(weights, means, covariances)?.log_evidence(data)?;
        let log_likelihood = match data.weights() {
            Some(weights) => log_p.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(l, w)| w * l).sum(),
            None => log_p.sum(),
        };
        Ok(log_likelihood + log_ratio)
    }

    /// π ~ q with log p(π) − log q(π).
    fn draw_weights(&self, rng: &mut dyn Rng) -> Result<(Array1<f64>, f64)> {
        match (self.weight_factor(), self.weight_prior()) {
            (WeightFactor::Dirichlet(alpha), WeightPrior::Dirichlet { .. }) if alpha.len() == 1 => Ok((Array1::ones(1), 0.0)),
            (WeightFactor::Dirichlet(alpha), WeightPrior::Dirichlet { concentration }) => {
                let (q, p) = (Dirichlet::new(alpha.view())?, Dirichlet::new(Array1::from_elem(alpha.len(), concentration).view())?);
                let pi = q.sample(rng);
                let ratio = p.log_prob(pi.view())? - q.log_prob(pi.view())?;
                Ok((pi, ratio))
            }
            (WeightFactor::Sticks { a, b }, WeightPrior::DirichletProcess { concentration }) => {
                let prior = Beta::new(1.0, concentration)?;
                let (mut pi, mut rest, mut ratio) = (Vec::with_capacity(a.len() + 1), 1.0, 0.0);
                for (a, b) in a.iter().zip(b) {
                    let q = Beta::new(*a, *b)?;
                    let v = q.sample(rng);
                    ratio += prior.log_prob(v) - q.log_prob(v);
                    pi.push(rest * v);
                    rest *= 1.0 - v;
                }
                pi.push(rest);
                Ok((pi.into(), ratio))
            }
            _ => Err(Error::config("weights", "q(π) and its prior are of different kinds")),
        }
    }

    /// (μ, Λ) ~ q of component c with log p − log q: μ over `mean`, Λ⁻¹ returned.
    fn draw_full(
        &self,
        c: usize,
        scale_inverse: ArrayView2<'_, f64>,
        mut mean: ndarray::ArrayViewMut1<'_, f64>,
        rng: &mut dyn Rng,
    ) -> Result<(Array2<f64>, f64)> {
        let (prior, q) = (self.prior(), self.components());
        let scale = |inverse: ArrayView2<'_, f64>| -> Result<Array2<f64>> {
            let lower = linalg::cholesky(inverse).map_err(|e| e.of("a scale matrix"))?;
            Ok(linalg::cholesky_inverse(lower.view()))
        };
        let Scale::Full(prior_inverse) = prior.scale_inverse() else {
            return Err(Error::config("prior", "its scale is diagonal, that of the components is not"));
        };
        let of_q = Wishart::new(q.dof()[c], scale(scale_inverse)?.view())?;
        let of_prior = Wishart::new(prior.dof(), scale(prior_inverse.view())?.view())?;
        let precision = of_q.sample(rng);
        let lower = linalg::cholesky(precision.view()).map_err(|e| e.of("a precision drawn"))?;
        // μ = m + L⁻ᵀ ε / √β
        let e: Array1<f64> = (0..mean.len()).map(|_| -> f64 { StandardNormal.sample(rng) }).collect();
        mean.assign(&(&q.means().row(c) + &(linalg::inverse_lower(lower.view()).t().dot(&e) / q.mean_precision()[c].sqrt())));
        let log_normal = |centre: ArrayView1<'_, f64>, beta: f64| {
            let r = lower.t().dot(&(&mean - &centre));
            0.5 * (mean.len() as f64 * (beta / TAU).ln() + linalg::log_det(lower.view()) - beta * r.dot(&r))
        };
        let ratio = of_prior.log_prob(precision.view())? - of_q.log_prob(precision.view())?
            + log_normal(prior.mean().view(), prior.mean_precision())
            - log_normal(q.means().row(c), q.mean_precision()[c]);
        Ok((linalg::cholesky_inverse(lower.view()), ratio))
    }

    /// The same for a diagonal Λ, whose inverse is written over `variances`.
    fn draw_diagonal(
        &self,
        c: usize,
        scale_inverse: ArrayView1<'_, f64>,
        mut mean: ndarray::ArrayViewMut1<'_, f64>,
        mut variances: ndarray::ArrayViewMut1<'_, f64>,
        rng: &mut dyn Rng,
    ) -> Result<f64> {
        let (prior, q) = (self.prior(), self.components());
        let Scale::Diagonal(prior_inverse) = prior.scale_inverse() else {
            return Err(Error::config("prior", "its scale is full, that of the components is not"));
        };
        let mut ratio = 0.0;
        for j in 0..mean.len() {
            let of_q = Gamma::new(0.5 * q.dof()[c], 0.5 * scale_inverse[j])?;
            let of_prior = Gamma::new(0.5 * prior.dof(), 0.5 * prior_inverse[j])?;
            let precision = of_q.sample(rng);
            let centred = Normal::new(q.means()[[c, j]], (q.mean_precision()[c] * precision).sqrt().recip())?;
            let before = Normal::new(prior.mean()[j], (prior.mean_precision() * precision).sqrt().recip())?;
            mean[j] = centred.sample(rng);
            variances[j] = precision.recip();
            ratio += of_prior.log_prob(precision) - of_q.log_prob(precision) + before.log_prob(mean[j]) - centred.log_prob(mean[j]);
        }
        Ok(ratio)
    }
}
