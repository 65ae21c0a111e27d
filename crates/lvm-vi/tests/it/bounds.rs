//! Bounds against what is known of Gaussian targets.

use crate::families::{full_rank, low_rank, mean_field};
use crate::targets::{Broken, Gaussian, LOG_2PI};
use lvm_vi::bound::{elbo, elbo_antithetic, elbo_closed_divergence, elbo_closed_entropy, evidence, iwae, log_weights};
use lvm_vi::family::{Family, MeanField};
use lvm_vi::target::{LogDensity, TargetError};

/// The mean-field optimum of a Gaussian: variances 1 / Λ_ii.
fn optimum(target: &Gaussian) -> MeanField {
    let sd: Vec<f64> = target.precision.diag().iter().map(|l| 1.0 / l.sqrt()).collect();
    MeanField::new(&target.mean.to_vec(), &sd).unwrap()
}

/// Within 6 standard errors: fails by chance with probability 2e-9.
fn meets(found: lvm_core::bound::Estimate, exact: f64) {
    assert!((found.mean - exact).abs() < 6.0 * found.std_err, "{found:?} {exact}");
}

fn forms<F: Family>(q: &F) {
    let target = Gaussian::example();
    let exact = target.elbo(q);
    meets(elbo(q, &target, 20_000, 1).unwrap(), exact);
    meets(elbo_closed_entropy(q, &target, 20_000, 2).unwrap(), exact);
    meets(elbo_antithetic(q, &target, 10_000, 3).unwrap(), exact);
    meets(iwae(q, &target, 1, 20_000, 4).unwrap(), exact);
}

#[test]
fn all_forms_of_the_bound_meet_the_closed_one() {
    forms(&mean_field());
    forms(&full_rank());
    forms(&low_rank());
}

/// A likelihood x = 1.5 ~ N(z_0 + z_1 + z_2, 1).
struct Sum;
impl LogDensity for Sum {
    fn dim(&self) -> usize {
        3
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        Ok(-0.5 * ((1.5 - z.iter().sum::<f64>()).powi(2) + LOG_2PI))
    }
}

#[test]
fn the_form_with_the_divergence_meets_the_closed_one() {
    let (q, prior) = (full_rank(), MeanField::standard(3).unwrap());
    // E_q[(1.5 − 1ᵀz)²] = (1.5 − 1ᵀμ)² + 1ᵀ Σ 1
    let expected = (1.5 - q.mean().sum()).powi(2) + q.covariance().sum();
    let exact = -0.5 * (expected + LOG_2PI) - lvm_vi::family::kl(&q, &prior).unwrap();
    meets(elbo_closed_divergence(&q, &prior, &Sum, 20_000, 5).unwrap(), exact);
}

#[test]
fn the_variance_of_the_elbo_at_the_mean_field_optimum_is_known() {
    let target = Gaussian::example();
    let q = optimum(&target);
    // Var_q(log w) = (‖R‖_F² − d) / 2,   R = D^{-1/2} Λ D^{-1/2}
    let d = target.precision.diag();
    let r = target.precision.indexed_iter().map(|((i, j), v)| v * v / (d[i] * d[j])).sum::<f64>();
    let exact = 0.5 * (r - 3.0);
    let n = 200_000;
    let w = log_weights(&q, &target, n, 6).unwrap().values;
    let mean = w.iter().sum::<f64>() / n as f64;
    let moment = |p| w.iter().map(|w| (w - mean).powi(p)).sum::<f64>() / n as f64;
    // the variance of a sample variance is (m₄ − m₂²)/n; within 6 of its standard errors: fails by chance with probability 2e-9
    let (variance, standard_error) = (moment(2), ((moment(4) - moment(2).powi(2)) / n as f64).sqrt());
    assert!((variance - exact).abs() < 6.0 * standard_error, "{variance} {exact} {standard_error}");
    // KL(q ‖ p) = (Σ log Λ_ii − log det Λ)/2
    let gap = 0.5 * (d.iter().map(|l| l.ln()).sum::<f64>() - target.log_det_precision());
    meets(elbo(&q, &target, n, 7).unwrap(), target.evidence - gap);
}

#[test]
fn more_particles_come_nearer_to_the_evidence() {
    let target = Gaussian::example();
    let q = optimum(&target);
    let bounds: Vec<_> = [1, 4, 64].map(|k| iwae(&q, &target, k, 4_000, 8).unwrap()).into();
    for pair in bounds.windows(2) {
        let se = pair[0].std_err.hypot(pair[1].std_err);
        // one-sided: fails by chance with probability 1e-9 even if the bounds were equal
        assert!(pair[1].mean > pair[0].mean - 6.0 * se);
    }
    assert!(bounds[2].mean - bounds[0].mean > 6.0 * bounds[0].std_err, "the rise is seen");
    assert!(bounds[2].mean < target.evidence + 6.0 * bounds[2].std_err);
    let found = evidence(&q, &target, 100_000, 9).unwrap();
    meets(found, target.evidence);
}

#[test]
fn antithetic_pairs_cancel_what_is_odd() {
    let target = Gaussian::example();
    // same covariance as the optimum, mean moved: log w is nearly linear in ε, and pairs take the linear part away
    let q = MeanField::new(&[2.5, 1.0, 0.0], &[0.7, 1.0, 0.8]).unwrap();
    let (plain, pairs) = (elbo(&q, &target, 2_000, 1).unwrap(), elbo_antithetic(&q, &target, 1_000, 1).unwrap());
    assert!(pairs.std_err < 0.5 * plain.std_err);
}

#[test]
fn a_bound_stays_a_bound_when_draws_are_of_no_use() {
    let target = Gaussian::example();
    let q = optimum(&target);
    // half the space is cut off: the evidence loses log 2, and the bound of what is left must lie below it
    let mean = target.mean[0];
    let half = Broken(target.clone(), move |z: &[f64]| (z[0] < mean).then_some(Err(TargetError::Recoverable("left".into()))));
    let weights = log_weights(&q, &half, 20_000, 2).unwrap();
    let share = weights.skipped as f64 / 20_000.0;
    // binomial, 6 standard deviations: 2e-9
    assert!((share - 0.5).abs() < 6.0 * (0.25f64 / 20_000.0).sqrt() && weights.values.len() == 20_000);
    let bound = elbo(&q, &half, 20_000, 2).unwrap();
    assert_eq!(bound.draws, 20_000 - weights.skipped);
    // the share is itself an estimate: its logarithm has standard error 1/√n
    let slack = 6.0 * bound.std_err.hypot((1.0f64 / 20_000.0).sqrt());
    let exact = target.elbo(&q) - 2f64.ln();
    assert!((bound.mean - exact).abs() < slack, "{bound:?} {exact}");
    meets(evidence(&q, &half, 100_000, 3).unwrap(), target.evidence - 2f64.ln());
    assert!(iwae(&q, &half, 8, 1_000, 4).unwrap().mean < target.evidence - 2f64.ln() + slack);
}
