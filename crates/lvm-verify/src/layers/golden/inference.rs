//! Outputs of variational inference: conjugate models, optima, stochastic fits, encoders, smoothed weights.

use super::{Portable, Put, TEN};
use crate::layers::documents_by_hand as lda;
use crate::suite::Outcome;
use crate::tables;
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_vi::amortized::{AmortizedVi, EncoderConfig};
use lvm_vi::bound::log_weights;
use lvm_vi::cavi::bayesian_ppca::BayesianPpca;
use lvm_vi::cavi::lda::{Lda, LdaStart, OnlineLda};
use lvm_vi::cavi::mixture::{BayesianMixture, MixtureStart, StochasticBayesianMixture};
use lvm_vi::cavi::multinomial_mixture::{BayesianMultinomialMixture, MultinomialStart};
use lvm_vi::deterministic::FixedPoint;
use lvm_vi::diagnose::psis;
use lvm_vi::expectation::GaussianTarget;
use lvm_vi::family::{FullRank, MeanField, Variational};
use lvm_vi::fit::{Stopping, Vi};
use lvm_vi::local::VariationalEm;
use ndarray::{Array1, Array2, array};

/// Every output.
pub(super) fn outputs(put: &mut Put<'_>) -> Outcome {
    conjugate(put)?;
    documents(put)?;
    optima(put)?;
    let x = crate::layers::shared::standardised(&tables::real("wine")?.x);
    let em = VariationalEm { latents: 2, stopping: TEN, ..Default::default() }.fit(&x, 7)?;
    put("wine, variational EM: trace", Portable::Path, em.trace);
    let loadings = Array2::from_shape_fn((13, 3), |(j, i)| ((5 * j + 3 * i + 1) as f64).sin());
    let model = LinearGaussian::new(Array1::zeros(13), loadings, Array1::from_elem(13, 0.6))?;
    let encoder = EncoderConfig { hidden: vec![6], ..Default::default() };
    let stopping = lvm_core::fit::Stopping { max_iterations: 3, tolerance: 0.0 };
    let fitted = AmortizedVi { encoder, batch: 64, stopping, ..Default::default() }.fit(&model, &x, 7)?;
    put("wine, encoder after three epochs: parameters", Portable::Path, fitted.model.encoder.parameters().to_vec());
    Ok(())
}

fn conjugate(put: &mut Put<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    let start = MixtureStart::Responsibilities(Array2::from_shape_fn((150, 3), |(n, k)| if n / 50 == k { 0.8 } else { 0.1 }));
    let config = BayesianMixture { components: 3, start, restarts: 1, stopping: TEN, ..Default::default() };
    let fitted = config.fit(&x, 7)?;
    let c = fitted.model.components();
    let numbers: Vec<f64> = c.means().iter().chain(c.mean_precision()).chain(c.dof()).chain(&fitted.model.weights()).copied().collect();
    put("iris, Bayesian mixture: parameters", Portable::Path, numbers);
    put("iris, Bayesian mixture: trace", Portable::Path, fitted.trace);
    let svi = StochasticBayesianMixture { batch: 32, ..StochasticBayesianMixture::new(config) }.fit(&x, 7)?;
    put("iris, Bayesian mixture by batches: trace", Portable::Path, svi.trace);
    let x = crate::layers::shared::standardised(&tables::real("wine")?.x);
    let fitted = BayesianPpca { components: Some(4), stopping: TEN, ..Default::default() }.fit(&x, 7)?;
    let w = fitted.model.loadings();
    put("wine, Bayesian PPCA: W Wᵀ", Portable::Path, w.dot(&w.t()).iter().copied().collect());
    put("wine, Bayesian PPCA: trace", Portable::Path, fitted.trace);
    Ok(())
}

fn documents(put: &mut Put<'_>) -> Outcome {
    let documents = lda::documents(&lda::counts(60))?;
    let batch = Lda { topics: lda::K, start: LdaStart::Lambda(lda::lambda()), stopping: TEN, ..Default::default() };
    let fitted = batch.fit(&documents, 7)?;
    // an ascent of a document ends by a threshold, which a rounding may move by an iteration
    put("documents, LDA: λ", Portable::Optimum, fitted.model.lambda().iter().copied().collect());
    put("documents, LDA: trace", Portable::Optimum, fitted.trace);
    let online = OnlineLda { batch: 16, ..OnlineLda::new(batch) }.fit(&documents, 7)?;
    put("documents, online LDA: trace", Portable::Optimum, online.trace);
    let start = MultinomialStart::Responsibilities(Array2::from_shape_fn((60, 3), |(d, k)| if d % 3 == k { 0.8 } else { 0.1 }));
    let fitted = BayesianMultinomialMixture { components: 3, start, stopping: TEN, ..Default::default() }.fit(&documents, 7)?;
    put("documents, mixture of multinomials: trace", Portable::Path, fitted.trace);
    Ok(())
}

fn optima(put: &mut Put<'_>) -> Outcome {
    let precision = array![[2.0, 0.6, -0.3], [0.6, 1.0, 0.4], [-0.3, 0.4, 1.5]];
    let target = GaussianTarget::from_precision(array![0.5, -1.0, 2.0], precision)?;
    let best = FixedPoint::default().fit(&target)?.model;
    let numbers = best.mean.iter().chain(&best.covariance).copied().collect();
    put("a Gaussian, fixed point", Portable::Path, numbers);
    let stopping = Stopping { max_iterations: 100, tolerance: 0.0, ..Stopping::default() };
    let diagonal = Vi { stopping, ..Vi::new(MeanField::standard(3)?) }.fit(&target, 7)?;
    put("a Gaussian, mean field after 100 steps", Portable::Path, diagonal.model.q.parameters().to_vec());
    let full = Vi { stopping, ..Vi::new(FullRank::standard(3)?) }.fit(&target, 7)?;
    put("a Gaussian, full rank after 100 steps", Portable::Path, full.model.q.parameters().to_vec());
    let weights = log_weights(&diagonal.model.q, &target, 1000, 7)?.values;
    let smoothed = psis(&weights)?;
    put("a Gaussian, log weights", Portable::Path, weights);
    put("a Gaussian, smoothed log weights", Portable::Path, smoothed.log_weights);
    put("a Gaussian, Pareto k", Portable::Path, vec![smoothed.pareto_k]);
    Ok(())
}
