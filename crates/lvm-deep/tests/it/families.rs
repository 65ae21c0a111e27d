//! Evidence and tasks for every family of posteriors and priors, on models small enough to integrate.

use crate::vae_exact::{Exact, largest, load, matrix};
use lvm_deep::Kind;
use lvm_deep::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec, PosteriorSpec, PriorSpec};
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::evidence::{
    Annealed, Ascent, EvaluationMemory, Expectation, Optimum, Path, Quadrature, elbo, elbo_by_summation, importance, iwae, summation,
};
use lvm_deep::nets::Activation;
use lvm_deep::objective::KlTerm;
use lvm_deep::posterior::Positive;
use lvm_deep::prior::flow::Step;
use lvm_deep::tasks::{self, clustering};
use lvm_deep::tensor::to_values;
use lvm_deep::vae::Vae;
use ndarray::Array2;

const MEMORY: EvaluationMemory = EvaluationMemory { bytes: 64 << 20 };

fn rows() -> Array2<f64> {
    matrix(&load("vae_bernoulli_2d").case["x"]).select(ndarray::Axis(0), &(0..8).collect::<Vec<_>>())
}

fn model(posterior: PosteriorSpec, prior: PriorSpec, latents: i64) -> (Vae, Batch) {
    let architecture = Architecture {
        encoder: EncoderSpec::Mlp { hidden: vec![6], activation: Activation::Tanh },
        decoder: DecoderSpec::Mlp { hidden: vec![8], activation: Activation::Tanh },
        likelihood: LikelihoodSpec::Bernoulli,
        posterior,
        prior,
        ..Architecture::mlp(16, latents, &[])
    };
    let data = Dataset::new(&rows(), Kind::Double, tch::Device::Cpu).unwrap();
    let mut vae = Vae::new(architecture, &data, 5).unwrap();
    // as they start, decoders hardly see z: make it matter
    for name in ["decoder.0.weight", "decoder.1.weight"] {
        let larger = vae.parameters.get(name).unwrap().detach() * 1.5;
        vae.parameters.set(name, &larger).unwrap();
    }
    (vae, data.rows)
}

fn posteriors() -> Vec<PosteriorSpec> {
    vec![
        PosteriorSpec::Diagonal,
        PosteriorSpec::FullCovariance { diagonal: Positive::default() },
        PosteriorSpec::Planar { steps: 2, amortised: false },
        PosteriorSpec::Planar { steps: 2, amortised: true },
        PosteriorSpec::InverseAutoregressive { steps: 2, context: 2, hidden: vec![4] },
    ]
}

fn priors() -> Vec<PriorSpec> {
    vec![
        PriorSpec::Mixture { components: 3, trained: true },
        PriorSpec::Vamp { components: 3 },
        PriorSpec::Flow { step: Step::default(), steps: 2, hidden: vec![4] },
    ]
}

#[test]
fn bounds_of_every_family_rise_to_quadrature() {
    let standard = posteriors().into_iter().map(|q| (q, PriorSpec::StandardNormal));
    let others = priors().into_iter().map(|p| (PosteriorSpec::Diagonal, p));
    for (posterior, prior) in standard.chain(others) {
        let name = format!("{posterior:?} {prior:?}");
        // its gates start below 1, so that untrained it is narrower than the prior by more than √2: weights without a variance, of which no
        // number of draws finds the mean; the bounds hold all the same
        let narrow = matches!(posterior, PosteriorSpec::InverseAutoregressive { .. });
        let (vae, batch) = model(posterior, prior, 2);
        let exact = Quadrature::default().evaluate(&vae, &batch).unwrap().log_evidence;
        let sampled = importance(&vae, &batch, 10_000, MEMORY, 3).unwrap();
        // no encoder here is trained: for the other families too, only where enough draws count does the error mean something
        let judged: Vec<usize> = (0..8).filter(|row| sampled.effective_draws[*row] > 100.0).collect();
        assert!(!judged.is_empty(), "{name} {:?}", sampled.effective_draws);
        for row in judged.into_iter().filter(|_| !narrow) {
            let estimate = sampled.bound.rows[row];
            // 6.5 standard errors and the bias of a logarithm; at most 64 comparisons of somewhat skewed means
            let allowed = 6.5 * estimate.std_err + estimate.std_err.powi(2);
            assert!((estimate.mean - exact[row]).abs() < allowed, "{name} {row}: {estimate:?} {}", exact[row]);
        }
        for kl in [KlTerm::Analytic, KlTerm::Draws] {
            let bound = elbo(&vae, &batch, kl, 2000, MEMORY, 4).unwrap().total;
            assert!(bound.mean < exact.sum() + 5.0 * bound.std_err, "{name}: {bound:?}");
            let tighter = iwae(&vae, &batch, 20, 200, MEMORY, 4).unwrap().total;
            assert!(tighter.mean > bound.mean - 5.0 * bound.std_err && tighter.mean < exact.sum() + 5.0 * tighter.std_err, "{name}");
        }
    }
}

#[test]
fn annealing_goes_from_every_prior_and_from_every_q_with_a_density() {
    let from_prior = priors().into_iter().map(|p| (PosteriorSpec::Diagonal, p, Path::Prior));
    let from_q = posteriors().into_iter().map(|q| (q, PriorSpec::StandardNormal, Path::Posterior));
    for (posterior, prior, path) in from_prior.chain(from_q) {
        let name = format!("{posterior:?} {prior:?}");
        let planar = matches!(posterior, PosteriorSpec::Planar { .. });
        let (vae, batch) = model(posterior, prior, 2);
        let annealed = Annealed { temperatures: 10, path, chains: 64, leapfrogs: 5, ..Default::default() };
        if planar {
            assert!(annealed.evaluate(&vae, &batch, 1).unwrap_err().to_string().contains("begin at the prior"));
            continue;
        }
        let exact = Quadrature::default().evaluate(&vae, &batch).unwrap().log_evidence;
        let found = annealed.evaluate(&vae, &batch, 1).unwrap();
        for (row, estimate) in found.bound.rows.iter().enumerate() {
            // 6.5 standard errors and the bias of a logarithm: weights of 64 chains are skewed
            let allowed = 6.5 * estimate.std_err + estimate.std_err.powi(2);
            assert!((estimate.mean - exact[row]).abs() < allowed && estimate.std_err < 0.3, "{name} {row}: {estimate:?} {}", exact[row]);
        }
    }
}

#[test]
fn a_richer_family_comes_closer() {
    let Exact { vae: fixed, batch, .. } = load("vae_bernoulli_2d");
    let batch = batch.narrow(0, 4);
    let ascent = Ascent::default();
    let log_p = Quadrature::default().evaluate(&fixed, &batch).unwrap().log_evidence;
    let diagonal = Optimum::new(&fixed, &batch, Expectation::Quadrature(0.25), &ascent, 0).unwrap();
    let (mut full, _) = model(PosteriorSpec::FullCovariance { diagonal: Positive::default() }, PriorSpec::StandardNormal, 2);
    for name in ["decoder.0.weight", "decoder.0.bias", "decoder.1.weight", "decoder.1.bias"] {
        full.parameters.set(name, &fixed.parameters.get(name).unwrap().detach()).unwrap();
    }
    let full = Optimum::new(&full, &batch, Expectation::Quadrature(0.25), &ascent, 0).unwrap();
    for row in 0..4 {
        assert!(full.elbo[row] > diagonal.elbo[row] && full.elbo[row] < log_p[row], "{row}: {:?} {:?} {log_p:?}", full.elbo, diagonal.elbo);
    }
}

#[test]
fn a_discrete_latent_is_summed() {
    let (vae, batch) = model(PosteriorSpec::Categorical, PriorSpec::Categorical { trained: true }, 3);
    let exact = summation(&vae, &batch).unwrap();
    // by hand: all three values for every row
    let values = lvm_deep::Tensor::eye(3, (Kind::Double, tch::Device::Cpu)).unsqueeze(1).expand([3, 8, 3], false).contiguous();
    let joint = vae.log_joint(&values, &batch);
    let joint = joint.log_likelihood + joint.log_prior;
    assert!(largest(to_values(&joint.logsumexp([0].as_slice(), false)), exact.iter().copied()) < 1e-12);
    // the bounds
    let q = vae.posterior(&batch);
    let by_sum = to_values(&elbo_by_summation(&vae, q.as_ref(), &batch).unwrap());
    let by_draws = elbo(&vae, &batch, KlTerm::Draws, 4000, MEMORY, 2).unwrap();
    for (row, estimate) in by_draws.rows.iter().enumerate() {
        // 6 standard errors, 8 comparisons
        assert!((estimate.mean - by_sum[row]).abs() < 6.0 * estimate.std_err && by_sum[row] < exact[row], "{row}");
    }
    // the best q is the posterior itself: only the encoder's part of the gap is left
    let found = tasks::gaps::exact_gaps(&vae, &batch, &Quadrature::default(), &Ascent::default()).unwrap();
    assert!(found.gaps.approximation.iter().all(|gap| gap.abs() < 1e-9), "{:?}", found.gaps);
    assert!(found.gaps.amortization.iter().all(|gap| *gap > 0.0));
    // MAP and clusters
    let map = tasks::map(&vae, &batch, &Ascent::default()).unwrap();
    assert_eq!(to_values(&map.z.argmax(1, false)), to_values(&joint.argmax(0, false)));
    assert_eq!(clustering::categories(&vae, &batch).unwrap().len(), 8);
    assert!(Annealed::default().evaluate(&vae, &batch, 1).unwrap_err().to_string().contains("summation"));
    assert!(summation(&load("vae_bernoulli_2d").vae, &batch).is_err());
}

#[test]
fn a_hierarchy_is_annealed_and_sampled_alike() {
    let (vae, batch) =
        model(PosteriorSpec::Hierarchical { upper: 1, hidden: vec![3] }, PriorSpec::Hierarchical { upper: 1, hidden: vec![3] }, 2);
    let exact = Quadrature::default().evaluate(&vae, &batch).unwrap().log_evidence;
    let sampled = importance(&vae, &batch, 4000, MEMORY, 3).unwrap();
    let annealed = Annealed { temperatures: 10, chains: 64, leapfrogs: 5, ..Default::default() }.evaluate(&vae, &batch, 1).unwrap();
    for row in 0..8 {
        for estimate in [sampled.bound.rows[row], annealed.bound.rows[row]] {
            // 6.5 standard errors and the bias of a logarithm
            let allowed = 6.5 * estimate.std_err + estimate.std_err.powi(2);
            assert!((estimate.mean - exact[row]).abs() < allowed, "{row}: {estimate:?} {}", exact[row]);
        }
    }
}
