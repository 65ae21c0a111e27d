//! The tasks against models where the answer is known.

use crate::checks::{normal_rows, random_vae};
use crate::exact_linear::{iris, of};
use crate::vae_exact::{Exact, largest, load};
use lvm_core::gmm::GmmEm;
use lvm_core::model::Infer;
use lvm_core::ppca::PpcaMl;
use lvm_core::rows::Rows;
use lvm_deep::architecture::{Architecture, EncoderSpec, PosteriorSpec, PriorSpec};
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::evidence::{Ascent, EvaluationMemory, Expectation, Quadrature};
use lvm_deep::posterior::Spread;
use lvm_deep::tasks::{
    self, Activity, Impute, Information, Proposal, adjusted_rand_index, auroc, clustering, generation, ood, reconstruction,
};
use lvm_deep::tensor::{from_matrix, to_matrix, to_values};
use lvm_deep::{Kind, Tensor};
use ndarray::Array2;

fn rows(x: &Array2<f64>) -> Batch {
    Batch::new(from_matrix(x, Kind::Double, tch::Device::Cpu))
}

#[test]
fn imputation_is_the_conditional_distribution() {
    let (ppca, vae, x) = iris();
    let mut holes = x.select(ndarray::Axis(0), &(0..150).step_by(6).collect::<Vec<_>>());
    for (row, mut values) in holes.rows_mut().into_iter().enumerate() {
        values[row % 4] = f64::NAN;
    }
    let source = Rows::new(&holes).missing_as_nan();
    let exact = ppca.impute(&source).unwrap();
    let data = Dataset::new(&source, Kind::Double, tch::Device::Cpu).unwrap();
    // the encoder, which takes a hole for a zero, is far off: most of its rows have fewer than ten draws that count
    let impute = Impute { proposal: Proposal::Fitted(200), importance_draws: 4000, imputations: 50, ..Default::default() };
    let found = impute.run(&vae, &data.rows, 3).unwrap();
    let (mean, sd) = (to_matrix(&found.mean).unwrap(), to_matrix(&found.sd).unwrap());
    for block in &exact.blocks {
        let (row, column) = (block.row, block.columns[0]);
        let effective = found.effective_draws[row];
        assert!(effective > 200.0, "{row}: {effective}");
        let truth = block.covariance[(0, 0)].sqrt();
        // 7 standard errors with the number of draws that count, which is itself an estimate
        assert!(
            (mean[(row, column)] - block.mean[0]).abs() < 7.0 * truth / effective.sqrt(),
            "{row}: {} {:?}",
            mean[(row, column)],
            block.mean
        );
        assert!(
            (sd[(row, column)] / truth - 1.0).abs() < 7.0 / (2.0 * effective).sqrt(),
            "{row}: {} {truth} {effective}",
            sd[(row, column)]
        );
    }
    // observed entries are as they were, in every table
    let draws = &found.draws;
    assert_eq!(draws.size(), [50, 25, 4]);
    let kept = (draws - &data.rows.x) * data.rows.observed.as_ref().unwrap();
    assert_eq!(kept.abs().max().double_value(&[]), 0.0);
    // the same numbers whatever the memory, up to rounding
    let cut = Impute { memory: EvaluationMemory { bytes: 1 << 14 }, ..impute }.run(&vae, &data.rows, 3).unwrap();
    assert!(largest(to_values(&cut.draws), to_values(draws)) < 1e-9);
}

#[test]
fn map_climbs_to_a_point_without_slope() {
    let Exact { vae, batch, .. } = load("vae_bernoulli_2d");
    let start = reconstruction::posterior_modes(&vae, &batch).unwrap();
    let before = to_values(&(vae.log_joint(&start.unsqueeze(0), &batch).log_likelihood + vae.parts.prior.log_prob(&start)));
    let found = tasks::map(&vae, &batch, &Ascent { gradient_tolerance: 1e-9, ..Default::default() }).unwrap();
    assert!(found.converged.iter().all(|c| *c), "{:?}", found.gradient_norm);
    assert!(found.log_joint.iter().zip(&before).all(|(after, before)| after >= before));
    // no point of a grid about it is higher
    for (dx, dy) in [(0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1)] {
        let z = &found.z + Tensor::from_slice(&[dx, dy]);
        let joint = vae.log_joint(&z.unsqueeze(0), &batch);
        let near = to_values(&(joint.log_likelihood + joint.log_prior));
        assert!(found.log_joint.iter().zip(&near).all(|(top, near)| top > near));
    }
}

#[test]
fn reconstruction_and_generation_of_the_linear_model() {
    let (ppca, vae, x) = iris();
    let batch = rows(&x);
    // decoded posterior means
    let exact = ppca.linear_gaussian().mean_given(ppca.infer(&x).unwrap().mean()).unwrap();
    assert!(largest(to_values(&reconstruction::reconstruct(&vae, &batch).unwrap()), exact) < 1e-10);
    // 400 draws of q of a linear decoder: sd of a mean below 0.3/20, 7 of those
    let averaged = reconstruction::reconstruct_averaged(&vae, &batch, 400, 1).unwrap();
    let decoded = reconstruction::reconstruct(&vae, &batch).unwrap();
    assert!((averaged - decoded).abs().max().double_value(&[]) < 0.1);
    // the aggregated posterior of a maximum-likelihood PPCA has mean 0 and variance 1: 5.5 standard errors of 5000 draws, kurtosis below 3
    let z = to_matrix(&generation::aggregated_posterior(&vae, &batch, 5000, 7).unwrap()).unwrap();
    for column in z.columns() {
        let mean = column.mean().unwrap();
        assert!(mean.abs() < 5.5 / 5000_f64.sqrt(), "{mean}");
        assert!((column.mapv(|v| v * v).mean().unwrap() - 1.0).abs() < 5.5 * (2.0 / 5000_f64).sqrt());
    }
    // weights: a row of weight 0 is never drawn
    let mut weighted = rows(&x);
    let weights: Vec<f64> = (0..150).map(|n| if n == 3 { 1.0 } else { 0.0 }).collect();
    weighted.weights = Some(Tensor::from_slice(&weights));
    let one = generation::aggregated_posterior(&vae, &weighted, 200, 7).unwrap();
    let centre = reconstruction::posterior_modes(&vae, &batch.narrow(3, 1)).unwrap();
    // posterior sd below 0.35 in both latents, 6 of them
    assert!((one - centre).abs().max().double_value(&[]) < 2.1);
    assert!(generation::decode(&vae, &Tensor::zeros([1, 3], (Kind::Double, tch::Device::Cpu)), None).is_err());
}

#[test]
fn strange_rows_score_higher() {
    let Exact { vae, .. } = load("vae_gaussian_1d");
    let usual = generation::simulate(&vae, 60, None, 3).unwrap().batch;
    // the same rows with columns in reverse order
    let strange = Batch::new(usual.x.flip([1]));
    let quadrature = Quadrature::default();
    let log_p = |batch| quadrature.evaluate(&vae, batch).unwrap().log_evidence;
    let (inside, outside) = (log_p(&usual), log_p(&strange));
    let score = |a: &ndarray::Array1<f64>, b: &ndarray::Array1<f64>| auroc(a.as_slice().unwrap(), b.as_slice().unwrap()).unwrap();
    // with this seed; deterministic
    assert!(score(&ood::surprise(&inside), &ood::surprise(&outside)) > 0.8);
    assert!(score(&ood::typicality(&inside, &inside), &ood::typicality(&outside, &inside)) > 0.6);
    let regret = |batch| ood::likelihood_regret(&vae, batch, Expectation::Quadrature(0.2), &Ascent::default(), 1).unwrap();
    // a maximum over q that begins at the encoder's: never negative
    assert!(regret(&usual).iter().chain(&regret(&strange)).all(|r| *r >= -1e-9));
}

#[test]
fn activity_and_its_warning() {
    let (_, mut vae, x) = iris();
    let batch = rows(&x);
    let activity = Activity::new(&vae, &batch).unwrap();
    assert_eq!(activity.active(), [0, 1]);
    assert!(activity.collapse().is_none());
    let kl = activity.kl.unwrap();
    let total = to_values(&vae.parts.prior.kl(vae.posterior(&batch).as_ref()).unwrap()).iter().sum::<f64>() / 150.0;
    assert!((kl.sum() - total).abs() < 1e-12);
    for name in ["encoder.0.weight", "encoder.0.bias"] {
        let zero = vae.parameters.get(name).unwrap().zeros_like();
        vae.parameters.set(name, &zero).unwrap();
    }
    let collapse = Activity::new(&vae, &batch).unwrap().collapse().unwrap();
    assert_eq!((collapse.active, collapse.latents), (0, 2));
    let text = collapse.to_string();
    assert!(["warm_up", "free_nats", "decoder"].iter().all(|remedy| text.contains(remedy)), "{text}");
}

#[test]
fn mutual_information_is_that_of_the_aggregated_posterior() {
    let x = lvm_data::datasets::iris().unwrap().x;
    let ppca = PpcaMl { components: 1, ..Default::default() }.fit(&x, 0).unwrap().model;
    let (vae, batch) = (of(&ppca), rows(&x));
    let q = vae.posterior(&batch).gaussian().unwrap();
    let Spread::Diagonal(log_variance) = q.spread else { panic!("diagonal") };
    let (means, log_variances) = (to_values(&q.mean), to_values(&log_variance));
    // E_n ∫ q_n log (q_n/q) and ∫ q log (q/p) by the trapezoidal rule, exact to rounding: a thirtieth of a standard deviation a step
    let (step, n) = (0.005, means.len() as f64);
    let log_normal = |z: f64, m: f64, v: f64| -0.5 * ((z - m).powi(2) * (-v).exp() + v + std::f64::consts::TAU.ln());
    let (mut mutual, mut gap) = (0.0, 0.0);
    for z in (-1600..=1600).map(|i| f64::from(i) * step) {
        let log_q: Vec<f64> = means.iter().zip(&log_variances).map(|(m, v)| log_normal(z, *m, *v)).collect();
        let top = log_q.iter().copied().fold(f64::MIN, f64::max);
        let mixture = top + (log_q.iter().map(|l| (l - top).exp()).sum::<f64>() / n).ln();
        mutual += step * log_q.iter().map(|l| l.exp() * (l - mixture)).sum::<f64>() / n;
        gap += step * mixture.exp() * (mixture - log_normal(z, 0.0, 0.0));
    }
    let found = Information::new(&vae, &batch, 40, 5).unwrap();
    assert!((found.kl.mean - mutual - gap).abs() < 1e-10 && found.kl.std_err == 0.0, "{found:?}: {mutual} + {gap}");
    // 6000 draws in 150 strata: 5.5 standard errors, 4e-8 for a wrong alarm
    for (estimate, exact) in [(found.mutual, mutual), (found.prior_gap, gap)] {
        assert!(estimate.std_err > 0.0 && estimate.std_err < 0.05, "{estimate:?}");
        assert!((estimate.mean - exact).abs() < 5.5 * estimate.std_err, "{estimate:?} against {exact}");
    }
}

#[test]
fn mutual_information_at_its_limits() {
    let (ppca, vae, x) = iris();
    // rows that are all the same tell nothing, and q(z) is the q of each
    let same = Information::new(&vae, &Batch::new(rows(&x).x.narrow(0, 3, 1).expand([10, 4], false).contiguous()), 3, 1).unwrap();
    assert!(same.mutual.mean.abs() < 1e-12 && (same.prior_gap.mean - same.kl.mean).abs() < 1e-12, "{same:?}");
    // rows far apart are told apart wholly: log N
    let far = Array2::from_shape_fn((7, 4), |(n, d)| ppca.mean()[d] + 1e3 * n as f64 * ppca.loadings()[(d, 0)]);
    let far = Information::new(&vae, &rows(&far), 2, 1).unwrap();
    assert!((far.mutual.mean - 7_f64.ln()).abs() < 1e-9, "{far:?}");
    // rows of weight 0 are not there; one draw, so that the others have the same noise
    let weights: Vec<f64> = (0..150).map(|n| f64::from(u8::from(n < 100))).collect();
    let weighted = Batch { weights: Some(Tensor::from_slice(&weights)), ..rows(&x) };
    let (all, some) = (Information::new(&vae, &weighted, 1, 2).unwrap(), Information::new(&vae, &rows(&x).narrow(0, 100), 1, 2).unwrap());
    for (a, b) in [(all.mutual, some.mutual), (all.kl, some.kl), (all.prior_gap, some.prior_gap)] {
        assert!((a.mean - b.mean).abs() < 1e-12, "{a:?} against {b:?}");
    }
    assert_eq!(all.mutual.std_err, f64::INFINITY);
    assert!(Information::new(&vae, &rows(&x), 0, 1).is_err());

    // discrete: H(mean of q) − mean of H(q), without draws
    let architecture =
        |posterior, prior| Architecture { posterior, prior, encoder: EncoderSpec::mlp(&[5]), ..Architecture::mlp(3, 4, &[]) };
    let discrete = random_vae(architecture(PosteriorSpec::Categorical, PriorSpec::Categorical { trained: true }), 0.5, 5);
    let batch = normal_rows(6, 3, 90);
    let q = to_matrix(&discrete.posterior(&batch).probabilities().unwrap()).unwrap();
    let entropy = |p: ndarray::ArrayView1<'_, f64>| -p.iter().map(|p| p * p.ln()).sum::<f64>();
    let mean_entropy = q.outer_iter().map(entropy).sum::<f64>() / 6.0;
    let expected = entropy(q.mean_axis(ndarray::Axis(0)).unwrap().view()) - mean_entropy;
    let found = Information::new(&discrete, &batch, 1, 1).unwrap();
    assert!((found.mutual.mean - expected).abs() < 1e-12 && found.mutual.std_err == 0.0, "{found:?} against {expected}");
    assert!((found.mutual.mean + found.prior_gap.mean - found.kl.mean).abs() < 1e-12 && found.prior_gap.mean > 0.0, "{found:?}");

    // without a closed KL all three come from the same draws, and still add up
    let mixture = random_vae(architecture(PosteriorSpec::Diagonal, PriorSpec::Mixture { components: 2, trained: true }), 0.5, 6);
    let found = Information::new(&mixture, &batch, 8, 1).unwrap();
    assert!((found.mutual.mean + found.prior_gap.mean - found.kl.mean).abs() < 1e-12 && found.kl.std_err > 0.0, "{found:?}");
    let planar = random_vae(architecture(PosteriorSpec::Planar { steps: 2, amortised: true }, PriorSpec::StandardNormal), 0.5, 7);
    let error = Information::new(&planar, &batch, 1, 1).unwrap_err().to_string();
    assert!(error.contains("own draws only"), "{error}");
}

#[test]
fn latents_of_iris_group_by_species() {
    let (_, vae, x) = iris();
    let species: Vec<usize> = (0..150).map(|n| n / 50).collect();
    let em = GmmEm { components: 3, ..Default::default() };
    let (fitted, labels) = clustering::gaussian_mixture(&vae, &rows(&x), &em, 1).unwrap();
    assert_eq!(fitted.model.n_components(), 3);
    // mixtures of full covariances on two principal components of iris: about 0.9
    assert!(adjusted_rand_index(&labels, &species).unwrap() > 0.8);
    assert!(clustering::categories(&vae, &rows(&x)).is_err());
}

#[test]
fn exact_gaps_in_one_call() {
    let (ppca, vae, x) = iris();
    let found = tasks::gaps::exact_gaps(&vae, &rows(&x), &Quadrature::default(), &Ascent::default()).unwrap();
    // the encoder has the posterior: no gap of either kind
    assert!(found.gaps.total().iter().all(|gap| gap.abs() < 1e-8), "{:?}", found.gaps);
    let exact = lvm_core::model::Evidence::log_evidence(&ppca, &x).unwrap();
    assert!(largest(found.log_evidence, exact) < 1e-9);
}
