//! Evidence of the reference cases: quadrature against their exact numbers, and every estimator against quadrature.

use crate::vae_exact::{Exact, gradients, largest, load, load_as, matrix, vector};
use lvm_deep::Kind;
use lvm_deep::evidence::{
    Annealed, Ascent, EvaluationMemory, Expectation, Gaps, Optimum, Path, Quadrature, elbo, elbo_by_quadrature, importance, iwae,
};
use lvm_deep::objective::KlTerm;
use lvm_deep::tensor::to_values;

const CASES: [&str; 2] = ["vae_gaussian_1d", "vae_bernoulli_2d"];
const MEMORY: EvaluationMemory = EvaluationMemory { bytes: 64 << 20 };

#[test]
fn quadrature_gives_the_exact_evidence_and_posterior_moments() {
    for id in CASES {
        let Exact { vae, batch, case } = load(id);
        let found = Quadrature::default().evaluate(&vae, &batch).unwrap();
        let truth = &case["truth"];
        // the file's tolerance of one evaluation in f64
        let tolerance = case["tolerance"]["float64_forward"].as_f64().unwrap();
        assert!(largest(found.log_evidence, vector(&truth["log_p"])) < tolerance, "{id}");
        assert!(largest(found.mean, matrix(&truth["posterior_mean"])) < tolerance, "{id}");
        let covariances = truth["posterior_cov"].as_array().unwrap().iter().flat_map(matrix);
        assert!(largest(found.covariance, covariances) < tolerance, "{id}");
        // twice the step is exact too
        assert!(found.coarse_difference.iter().all(|d| *d < tolerance), "{id}");
    }
}

#[test]
fn single_precision_is_good_to_its_digits() {
    for id in CASES {
        let Exact { vae, batch, case } = load_as(id, Kind::Float);
        let truth = &case["truth"];
        // relative to terms of size up to 30, the file's tolerance for f32
        let tolerance = 30.0 * case["tolerance"]["float32_forward"].as_f64().unwrap();
        let found = Quadrature::default().evaluate(&vae, &batch).unwrap();
        assert!(largest(found.log_evidence, vector(&truth["log_p"])) < tolerance, "{id}");
        let posterior = vae.posterior(&batch);
        let found = elbo_by_quadrature(&vae, posterior.as_ref(), &batch, 0.2).unwrap();
        assert!(largest(to_values(&found), vector(&truth["elbo"])) < tolerance, "{id}");
    }
}

#[test]
fn encoder_elbo_and_its_gradient_are_exact() {
    for id in CASES {
        let Exact { vae, batch, case } = load(id);
        let truth = &case["truth"];
        let tolerance = case["tolerance"]["float64_forward"].as_f64().unwrap();
        let posterior = vae.posterior(&batch);
        assert!(largest(to_values(&posterior.mode()), matrix(&truth["encoder_mean"])) < tolerance, "{id}");
        let kl = vae.parts.prior.kl(posterior.as_ref()).unwrap();
        assert!(largest(to_values(&kl), vector(&truth["kl_to_prior"])) < tolerance, "{id}");
        let found = elbo_by_quadrature(&vae, posterior.as_ref(), &batch, 0.14).unwrap();
        assert!(largest(to_values(&found), vector(&truth["elbo"])) < tolerance, "{id}");
        found.mean(None::<Kind>).backward();
        for (name, expected) in gradients(&case) {
            let gradient = to_values(&vae.parameters.get(name).unwrap().grad());
            assert!(largest(gradient, to_values(&expected)) < tolerance, "{id} {name}");
        }
    }
}

#[test]
fn elbo_by_draws_meets_the_exact_one_and_its_variance() {
    for id in CASES {
        let Exact { vae, batch, case } = load(id);
        let (exact, variance) = (vector(&case["truth"]["elbo"]), vector(&case["truth"]["variance_of_single_sample_log_weight"]));
        let draws = 20_000;
        for kl in [KlTerm::Draws, KlTerm::Analytic] {
            let found = elbo(&vae, &batch, kl, draws, MEMORY, 3).unwrap();
            for (row, estimate) in found.rows.iter().enumerate() {
                // 5.5 standard errors: 4e-8 for each of 108 comparisons, normal to well within a factor 10 at 20 000 draws
                assert!((estimate.mean - exact[row]).abs() < 5.5 * estimate.std_err, "{id} row {row}: {estimate:?} {}", exact[row]);
                if kl == KlTerm::Draws {
                    // the sample variance itself is good to some per cent: log weights have a tail like χ²
                    let ratio = estimate.std_err.powi(2) * draws as f64 / variance[row];
                    assert!((ratio - 1.0).abs() < 0.3, "{id} row {row}: {ratio}");
                }
            }
        }
    }
}

#[test]
fn pieces_of_any_size_give_the_same_estimates() {
    let Exact { vae, batch, .. } = load("vae_bernoulli_2d");
    let (k, repeats) = (100, 3);
    let one = iwae(&vae, &batch, k, repeats, EvaluationMemory::default(), 5).unwrap();
    for bytes in [1, 1 << 12, 1 << 15, 1 << 20] {
        let pieces = iwae(&vae, &batch, k, repeats, EvaluationMemory { bytes }, 5).unwrap();
        for (a, b) in one.rows.iter().zip(&pieces.rows) {
            // the same draws; matrix products of other sizes may round otherwise: some 100 ulp of numbers near 30
            assert!((a.mean - b.mean).abs() < 1e-12 && (a.std_err - b.std_err).abs() < 1e-12, "{bytes}: {a:?} {b:?}");
        }
        assert_eq!(iwae(&vae, &batch, k, repeats, EvaluationMemory { bytes }, 5).unwrap(), pieces);
    }
    // one repeat of k draws is importance sampling with k draws
    let single = iwae(&vae, &batch, 100, 1, MEMORY, 5).unwrap();
    let sampled = importance(&vae, &batch, 100, MEMORY, 5).unwrap();
    assert_eq!(single.means(), sampled.bound.means());
    assert!(sampled.effective_draws.iter().all(|e| (1.0..=100.0).contains(e)));
    assert!(iwae(&vae, &batch, 0, 1, MEMORY, 5).unwrap_err().to_string().contains("k"));
}

#[test]
fn importance_weighting_rises_to_the_evidence() {
    for id in CASES {
        let Exact { vae, batch, case } = load(id);
        let log_p = case["truth"]["mean_log_p"].as_f64().unwrap() * batch.n_rows() as f64;
        let bounds: Vec<_> = [1, 10, 100, 1000].iter().map(|k| iwae(&vae, &batch, *k, 40, MEMORY, 11).unwrap().total).collect();
        for pair in bounds.windows(2) {
            // the rise from k to 10k is tens of standard errors here
            assert!(pair[1].mean > pair[0].mean, "{id}: {bounds:?}");
        }
        for bound in &bounds {
            // 5 standard errors: below 3e-7
            assert!(bound.mean < log_p + 5.0 * bound.std_err, "{id}: {bound:?} {log_p}");
        }
    }
}

#[test]
fn per_row_optimum_and_gaps_are_exact() {
    for id in CASES {
        let Exact { vae, batch, case } = load(id);
        let ascent = Ascent { gradient_tolerance: 1e-8, ..Default::default() };
        let rows = batch.narrow(0, 4);
        let optimum = Optimum::new(&vae, &rows, Expectation::Quadrature(0.2), &ascent, 0).unwrap();
        assert!(optimum.converged.iter().all(|c| *c), "{id} {:?}", optimum.gradient_norm);
        let log_p = Quadrature::default().evaluate(&vae, &rows).unwrap().log_evidence;
        let gaps = Gaps::new(&log_p, &optimum).unwrap();
        for row in 0..4 {
            let expected = &case["optimal_gaussians"][row];
            let (amortization, approximation) =
                (expected["amortisation_gap"].as_f64().unwrap(), expected["approximation_gap"].as_f64().unwrap());
            // quadrature and a gradient of 1e-8: VERIFY asks for 1e-4
            assert!((gaps.amortization[row] - amortization).abs() < 1e-8, "{id} {row}: {} {amortization}", gaps.amortization[row]);
            assert!((gaps.approximation[row] - approximation).abs() < 1e-8, "{id} {row}: {} {approximation}", gaps.approximation[row]);
        }
        let total = vector(&case["truth"]["gap"]);
        // the parts add up
        assert!(largest(gaps.total(), total.iter().take(4).copied()) < 1e-9, "{id}");
    }
}

#[test]
fn fixed_noise_finds_nearly_the_same_optimum() {
    let Exact { vae, batch, case } = load("vae_gaussian_1d");
    let rows = batch.narrow(0, 4);
    let optimum = Optimum::new(&vae, &rows, Expectation::Draws(4000), &Ascent::default(), 7).unwrap();
    for row in 0..4 {
        let expected = case["optimal_gaussians"][row]["meanfield_elbo"].as_f64().unwrap();
        // 4000 draws of a log weight with standard deviation about 0.2 at the optimum, KL in closed form adds sd 1: ± 0.016, five times that
        assert!((optimum.elbo[row] - expected).abs() < 0.08, "{row}: {} {expected}", optimum.elbo[row]);
    }
}

#[test]
fn annealing_does_not_depend_on_how_rows_are_cut() {
    let Exact { vae, batch, .. } = load("vae_bernoulli_2d");
    let rows = batch.repeat(3);
    let of =
        |bytes| Annealed { temperatures: 4, chains: 3, memory: EvaluationMemory { bytes }, ..Default::default() }.evaluate(&vae, &rows, 1);
    let (whole, cut) = (of(1 << 30).unwrap(), of(1).unwrap());
    // the same chains up to rounding, which trajectories of four transitions enlarge but little
    assert!(largest(whole.log_weights, cut.log_weights) < 1e-9);
}

#[test]
fn annealing_agrees_with_quadrature() {
    for id in CASES {
        let Exact { vae, batch, case } = load(id);
        let rows = batch.narrow(0, 12);
        let exact = vector(&case["truth"]["log_p"]);
        for path in [Path::Prior, Path::Posterior] {
            let annealed = Annealed { temperatures: 60, path, chains: 128, ..Default::default() };
            let found = annealed.evaluate(&vae, &rows, 17).unwrap();
            for (row, estimate) in found.bound.rows.iter().enumerate() {
                // the logarithm of the mean weight is low by about half the squared error; 6 errors of nearly normal means, 48 of them: below 1e-6
                let miss = (estimate.mean - exact[row]).abs();
                assert!(miss < 6.0 * estimate.std_err + estimate.std_err.powi(2), "{id} {path:?} {row}: {estimate:?} {}", exact[row]);
                // enough to see a bias worth seeing, and a temperature path run the wrong way
                assert!(estimate.std_err < 0.2 && found.effective_chains[row] > 10.0, "{id} {path:?} {row}: {estimate:?}");
                assert!((0.5..0.95).contains(&found.acceptance[row]), "{id} {path:?} {row}: {}", found.acceptance[row]);
            }
            // E[log w] is a lower bound: 6 standard errors as above
            for (row, estimate) in found.lower.rows.iter().enumerate() {
                assert!(estimate.mean < exact[row] + 6.0 * estimate.std_err, "{id} {path:?} {row}: {estimate:?}");
            }
        }
    }
}

#[test]
fn both_sides_enclose_the_truth_on_simulated_rows() {
    for id in CASES {
        let Exact { vae, .. } = load(id);
        let drawn = lvm_deep::tasks::generation::simulate(&vae, 16, None, 5).unwrap();
        let exact = Quadrature::default().evaluate(&vae, &drawn.batch).unwrap().log_evidence;
        let annealed = Annealed { temperatures: 60, path: Path::Prior, chains: 32, ..Default::default() };
        let sandwich = annealed.sandwich(&vae, &drawn.batch, &drawn.z, 3).unwrap();
        let (lower, upper) = (&sandwich.lower.bound.total, &sandwich.upper.total);
        // 5 standard errors: below 3e-7 each
        assert!(lower.mean < exact.sum() + 5.0 * lower.std_err, "{id}: {lower:?} {}", exact.sum());
        assert!(upper.mean > exact.sum() - 5.0 * upper.std_err, "{id}: {upper:?} {}", exact.sum());
        // half a nat over 16 rows each: the sandwich says something
        assert!(lower.std_err < 1.0 && upper.std_err < 1.0, "{id}: {lower:?} {upper:?}");
        assert!((upper.mean - lower.mean).abs() < 5.0 * lower.std_err.hypot(upper.std_err), "{id}: {lower:?} {upper:?}");
    }
}
