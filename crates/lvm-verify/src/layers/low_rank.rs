//! S1 for the family of a diagonal and a low rank: density, entropy and their gradients are those of the full-rank Gaussian with the same
//! covariance, which shares no formula with it (Woodbury there, a Cholesky factor here).

use crate::check::{Layer, Source, Tolerance};
use crate::stochastic::{Claim, Truth};
use crate::suite::{Budget, Group, Outcome, Suite};
use lvm_vi::bound::elbo;
use lvm_vi::expectation::GaussianTarget;
use lvm_vi::family::{Family, FullRank, LowRank, Variational, kl};
use ndarray::{Array1, Array2, array};

/// The check.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::S, "S1", "diagonal plus low rank", against_full_rank);
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
