//! S1 for the family of a diagonal and a low rank: density, entropy and their gradients are those of the full-rank Gaussian with the same
//! covariance, which shares no formula with it (Woodbury there, a Cholesky factor here). O1: stochastic fits end at a target of the family.

use crate::check::{Layer, Source, Tolerance};
use crate::stochastic::{Claim, Truth};
use crate::suite::{Budget, Group, Outcome, Suite};
use lvm_core::fit::Status;
use lvm_vi::bound::elbo;
use lvm_vi::estimator::Gradient;
use lvm_vi::expectation::GaussianTarget;
use lvm_vi::family::{Family, FullRank, LowRank, Variational, kl};
use lvm_vi::fit::{Stopping, Vi};
use ndarray::{Array1, Array2, array};
use std::f64::consts::PI;

/// The checks.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::S, "S1", "diagonal plus low rank", against_full_rank);
    suite.group(Layer::O, "O1", "diagonal plus low rank, stochastic fit", ends_at_the_target);
}

/// Targets of ranks 1, 2 and 3, whose diagonal and factor are known apart: every run says that it has converged, and is there.
fn ends_at_the_target(g: &mut Group<'_>) -> Outcome {
    const TARGETS: [(usize, usize); 3] = [(5, 1), (6, 2), (7, 3)];
    // the third takes half of the time
    let (targets, runs) = if g.budget == Budget::Quick { (&TARGETS[..2], 1) } else { (&TARGETS[..], 5) };
    let tolerance = 0.02;
    for &(d, rank) in targets {
        let wave = |i: usize, k: usize| (PI * (i as f64 + 0.5) * (k + 1) as f64 / d as f64).cos();
        let factor = Array2::from_shape_fn((d, rank), |(i, k)| [1.5, 1.0, 0.8][k] * wave(i, k));
        let covariance = factor.dot(&factor.t()) + Array2::from_diag(&Array1::from_shape_fn(d, |i| 0.3 + 0.1 * i as f64));
        let mean = Array1::from_shape_fn(d, |i| i as f64 - 2.0);
        let p = FullRank::new(&mean.to_vec(), covariance.view())?;
        let target = GaussianTarget::from_covariance(mean, covariance)?;
        let (mut converged, mut farthest) = (0, 0.0_f64);
        for run in 0..runs {
            let stopping = Stopping { tolerance, max_iterations: 400_000, ..Stopping::default() };
            // with noise, in which F turns
            let gradient = Gradient::PathwiseClosedEntropy;
            let fitted = Vi { stopping, gradient, ..Vi::new(LowRank::start(d, rank)?) }.fit(&target, g.seed(100 * rank as u64 + run))?;
            converged += u64::from(fitted.status == Status::Converged);
            farthest = farthest.max(kl(&fitted.model.q, &p)?);
        }
        g.holds(
            format!("rank {rank}: runs that say they have converged"),
            format!("{converged} of {runs}"),
            format!("{runs} of {runs}"),
            converged == runs,
            "F is known up to a rotation, which the average of a run must not feel",
        );
        let slack = (2.0 * tolerance).powi(2) * ((2 + rank) * d) as f64;
        let t = Tolerance::absolute(slack, "(2δ)² nats for each parameter that a run leaves δ = 0.02 off");
        g.bounded(format!("rank {rank}: largest KL(q ‖ p) of {runs} runs"), Source::E, farthest, &t);
    }
    Ok(())
}

fn against_full_rank(g: &mut Group<'_>) -> Outcome {
    let mean = [0.5, -1.0, 2.0, 0.0];
    let factor = array![[1.0, 0.2], [-0.5, 0.7], [0.3, -1.1], [0.0, 0.4]];
    let q = LowRank::new(&mean, &[0.5, 1.2, 0.8, 0.3], factor.view())?;
    let same = FullRank::new(&mean, q.covariance().view())?;
    // condition number of the covariance: below 100
    let t = Tolerance::absolute(1e-11, "some 50 terms below 10, and the condition of the covariance, below 100");
    let points: Vec<Vec<f64>> = (0..6).map(|k| (0..4).map(|i| mean[i] + 1.5 * ((5 * k + 3 * i) as f64).sin()).collect()).collect();
    let of = |f: &dyn Fn(&[f64]) -> f64| points.iter().map(|z| f(z)).collect::<Array1<f64>>();
    g.array("log q", Source::I, &of(&|z| q.log_prob(z)), &of(&|z| same.log_prob(z)), &t);
    let gradients = |add: &dyn Fn(&[f64], &mut [f64])| {
        let mut out = Array2::zeros((points.len(), 4));
        for (z, mut row) in points.iter().zip(out.rows_mut()) {
            let mut gradient = [0.0; 4];
            add(z, &mut gradient);
            row.assign(&Array1::from(gradient.to_vec()));
        }
        out
    };
    let (ours, theirs) = (gradients(&|z, b| q.add_log_prob_grad(z, b)), gradients(&|z, b| same.add_log_prob_grad(z, b)));
    g.array("∇ log q", Source::I, &ours, &theirs, &t);
    g.scalar("entropy", Source::I, q.entropy(), same.entropy(), &t);
    let p = FullRank::new(&[0.0; 4], (Array2::<f64>::eye(4) * 1.5 + 0.2).view())?;
    let truth = kl(&same, &p)?;
    g.scalar("KL(q ‖ p)", Source::I, kl(&q, &p)?, truth, &t);
    let target = GaussianTarget::from_covariance(Array1::zeros(4), p.covariance())?;
    let (mut look, n) = (g.seed(0), if g.budget == Budget::Quick { 4000 } else { 20_000 });
    let (truth, reason) =
        ((Truth::from(-truth), Source::E), "−KL of two Gaussians in closed form: draws, density and covariance belong together");
    g.expectation("ELBO by draws", truth, Claim::Equal(0.1), n, reason, |n| {
        let mut one = || {
            look = look.wrapping_add(1);
            Ok(elbo(&q, &target, 10, look)?.mean)
        };
        (0..n).map(|_| one()).collect()
    })
}
