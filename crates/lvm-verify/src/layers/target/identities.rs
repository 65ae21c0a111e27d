//! M1 of a target: what a constant and a change of the parameters must leave alone.

use super::runs::{Judged, Runs};
use crate::check::{Source, Tolerance};
use crate::stochastic::Claim;
use crate::suite::{Budget, Group, Outcome, Problem};
use lvm_core::linalg;
use lvm_core::random::{Purpose, stream};
use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// log p + c.
struct Shifted<'a>(&'a dyn LogDensityGrad, f64);

impl LogDensity for Shifted<'_> {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        Ok(self.0.log_density(z)? + self.1)
    }
}

impl LogDensityGrad for Shifted<'_> {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        Ok(self.0.log_density_grad(z, gradient)? + self.1)
    }
}

/// The density of y where z = A y + b, A lower triangular: log p(A y + b) + log |det A|.
struct Mapped<'a> {
    density: &'a dyn LogDensityGrad,
    a: Array2<f64>,
    b: Array1<f64>,
}

impl Mapped<'_> {
    fn z(&self, y: &[f64]) -> Vec<f64> {
        (self.a.dot(&Array1::from(y.to_vec())) + &self.b).to_vec()
    }
    fn log_det(&self) -> f64 {
        self.a.diag().iter().map(|v| v.abs().ln()).sum()
    }
}

impl LogDensity for Mapped<'_> {
    fn dim(&self) -> usize {
        self.density.dim()
    }
    fn log_density(&self, y: &[f64]) -> Result<f64, TargetError> {
        Ok(self.density.log_density(&self.z(y))? + self.log_det())
    }
}

impl LogDensityGrad for Mapped<'_> {
    fn log_density_grad(&self, y: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let mut of_z = vec![0.0; gradient.len()];
        let value = self.density.log_density_grad(&self.z(y), &mut of_z)? + self.log_det();
        gradient.copy_from_slice(&self.a.t().dot(&Array1::from(of_z)).to_vec());
        Ok(value)
    }
}

/// log p + c: the same q bit for bit, its ELBO moved by c.
pub(super) fn shifted<F: Judged>(g: &mut Group<'_>, runs: &Runs<'_, F>) -> Outcome {
    const C: f64 = 1000.0;
    let base = runs.first(g)?;
    let moved = runs.run(runs.start(0)?, &Shifted(runs.target.density, C), Runs::<F>::seed(g, 0))?;
    let reason = "a constant has no gradient, and nothing but gradients decides a step or an end";
    g.bits(format!("{}: log p + c leaves q", F::NAME), moved.model.q.parameters(), base.model.q.parameters(), reason);
    let (ours, truth) = (moved.model.elbo.mean - C, base.model.elbo.mean);
    let t = Tolerance::rounding(base.model.elbo.draws, C + truth.abs());
    g.scalar(format!("{}: log p + c moves the ELBO by c", F::NAME), Source::I, ours, truth, &t);
    Ok(())
}

/// A change of the parameters that the family is closed under: scales for the mean field, an affine map for the full rank. The best q of
/// the changed target is the image of the best q, with the same KL to the posterior, that is, the same ELBO: |det A| is in both.
pub(super) fn mapped<F: Judged>(g: &mut Group<'_>, runs: &Runs<'_, F>) -> Outcome {
    let base = &runs.first(g)?.model;
    let s = base.q.standard_deviations();
    let entry = |(i, k): (usize, usize)| match k {
        _ if k > i || (k < i && F::DIAGONAL) => 0.0,
        _ if k == i => [2.0, 0.25, 8.0, 0.5][i % 4],
        _ => 0.5 * ((3 * i + 5 * k + 1) as f64).sin() * s[i] / s[k],
    };
    let target = Mapped { density: runs.target.density, a: Array2::from_shape_fn((s.len(), s.len()), entry), b: &s * 0.7 };
    // the start of the first run, seen through the map: y = A⁻¹(m − b), A⁻¹ L
    let start = runs.start(0)?;
    let inverse = linalg::inverse_lower(target.a.view());
    let first = F::with_factor(&inverse.dot(&(&start.mean() - &target.b)).to_vec(), &inverse.dot(&start.lower()))?;
    let found = runs.run(first, &target, Runs::<F>::seed(g, 1))?.model;
    let back = F::with_factor(&target.z(&found.q.mean().to_vec()), &target.a.dot(&found.q.lower()))?;
    let (name, map) = (F::NAME, if F::DIAGONAL { "scaled" } else { "affinely mapped" });
    // the Jacobian and the density of the image, with the same draws: no noise
    let value = |q: &F, target: &dyn LogDensity| log_weights(q, target, 100, g.seed(3));
    let (ours, truth) = (value(&found.q, &target)?, value(&back, runs.target.density)?);
    let size = truth.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
    let t = Tolerance::absolute(1e-9 * size, "VERIFY M1: 1e-9 of the largest log weight; the same draws, another order of operations");
    g.array(format!("{name}: parameters {map}: log p − log q of each draw"), Source::I, &Array1::from(ours), &Array1::from(truth), &t);
    let d = s.len() as f64;
    let left = base.error.largest().max(found.error.largest()).min(1.0);
    // R3, and d means and d scales each off by what both runs state: ½ and 1 times the square
    let margin = 0.01 + 1.5 * d * (2.0 * left).powi(2);
    let n = if g.budget == Budget::Quick { 4000 } else { 20_000 };
    let (seed, mut look) = (g.seed(2), 0);
    let reason =
        "KL(q* ‖ p) does not depend on the parametrisation: 0.01 nats (R3), and 3/2 d times the square of the errors both runs state";
    g.expectation(format!("{name}: parameters {map}: ELBO"), (0.0.into(), Source::I), Claim::Within(margin), n, reason, |n| {
        look += 1;
        let of = |q: &F| log_weights(q, runs.target.density, n, seed.wrapping_add(look));
        Ok(of(&back)?.iter().zip(of(&base.q)?).map(|(a, b)| a - b).collect())
    })
}

/// log p − log q at draws of q made from noise that depends on the seed alone.
fn log_weights<F: Judged>(q: &F, target: &dyn LogDensity, n: usize, seed: u64) -> Result<Vec<f64>, Problem> {
    let one = |i: usize| -> Result<f64, TargetError> {
        let mut rng = stream(seed, Purpose::Diagnosis, i as u64);
        let noise: Vec<f64> = (0..q.noise_dim()).map(|_| StandardNormal.sample(&mut rng)).collect();
        let mut z = vec![0.0; q.dim()];
        q.transform(&noise, &mut z);
        Ok(target.log_density(&z)? - q.log_prob(&z))
    };
    let found: Result<Vec<f64>, TargetError> = (0..n).into_par_iter().map(one).collect();
    found.map_err(|e| Problem(format!("no density at a draw of q: {e}")))
}
