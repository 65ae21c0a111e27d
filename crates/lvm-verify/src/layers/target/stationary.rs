//! O5 of a target: the identities of the best Gaussian, at the end of a run.

use super::runs::{Judged, Runs};
use crate::check::Source;
use crate::stochastic::{Claim, Estimate};
use crate::suite::{Budget, Group, Outcome, Problem};
use lvm_core::random::{Purpose, stream};
use lvm_vi::target::{LogDensityGrad, TargetError};
use ndarray::Array1;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// Latents up to which all entries of the Hessian identity of the full rank are tested; beyond, its diagonal.
const SMALL: usize = 8;
/// Draws at a look.
const AFFORDABLE: f64 = 400_000.0;

/// E_q[∇ log p] = 0 and E_q[−∇² log p] = S⁻¹ (its diagonal for mean field), by the gradient alone. With z = m + L ε and w = Lᵀ∇ log p(z),
/// Stein's identity makes these E\[w\] = 0 and E\[w εᵀ\] = −I (Opper & Archambeau 2009, 7-8); ε is added to w, which takes most of the noise
/// away where q is near the posterior.
pub(super) fn identities<F: Judged>(g: &mut Group<'_>, runs: &Runs<'_, F>) -> Outcome {
    let q = runs.first(g)?.model.q.clone();
    let d = q.dim();
    let entries: Vec<(usize, usize)> = match F::DIAGONAL || d > SMALL {
        true => (0..d).map(|i| (i, i)).collect(),
        false => (0..d).flat_map(|i| (0..=i).map(move |k| (i, k))).collect(),
    };
    let table = |n: usize, seed: u64| rows(&q, runs.target.density, &entries, n, seed);
    let seed = g.seed(u64::from(F::DIAGONAL));
    let pilot = table(2000, seed ^ PILOT)?;
    // a first look shared by all entries, later ones by each
    let z = crate::stochastic::two_sided(g.alpha_of_look()) + 4.75;
    let wanted: f64 = if g.budget == Budget::Quick { 0.5 } else { 0.25 };
    for i in 0..d + entries.len() {
        let what = match i.checked_sub(d) {
            None => format!("E[∇ log p] = 0, whitened [{i}]"),
            Some(k) => format!("E[−∇² log p] = S⁻¹, whitened [{},{}]", entries[k].0, entries[k].1),
        };
        let spread = pilot.iter().map(|r| r[i]).collect::<Estimate>().standard_error() * (pilot.len() as f64).sqrt();
        let margin = wanted.max(2.0 * z * spread / AFFORDABLE.sqrt());
        let n = (1.5 * (2.0 * z * spread / margin).powi(2)).ceil().max(2000.0) as usize;
        let mut look = 0;
        let reason = "Bonnet and Price at the best q; within the margin, a step of that length in units of q gains ½ margin² nats";
        g.expectation(format!("{}: {what}", F::NAME), (0.0.into(), Source::I), Claim::Within(margin), n, reason, |n| {
            look += 1;
            Ok(table(n, seed.wrapping_add(look))?.iter().map(|r| r[i]).collect())
        })?;
    }
    Ok(())
}

/// Keeps the draws of the pilot apart.
const PILOT: u64 = 0x9e37_79b9_7f4a_7c15;

/// w + ε, then (w_i + ε_i) ε_k of the entries asked for; a row a draw.
fn rows<F: Judged>(q: &F, density: &dyn LogDensityGrad, entries: &[(usize, usize)], n: usize, seed: u64) -> Result<Vec<Vec<f64>>, Problem> {
    let (d, mean, lower) = (q.dim(), q.mean(), q.lower());
    let one = |i: usize| -> Result<Vec<f64>, TargetError> {
        let mut rng = stream(seed, Purpose::Diagnosis, i as u64);
        let noise: Array1<f64> = (0..d).map(|_| StandardNormal.sample(&mut rng)).collect();
        let z = &mean + &lower.dot(&noise);
        let mut gradient = vec![0.0; d];
        density.log_density_grad(&z.to_vec(), &mut gradient)?;
        let whitened = lower.t().dot(&Array1::from(gradient)) + &noise;
        Ok(whitened.iter().copied().chain(entries.iter().map(|&(i, k)| whitened[i] * noise[k])).collect())
    };
    let found: Result<Vec<Vec<f64>>, TargetError> = (0..n).into_par_iter().map(one).collect();
    found.map_err(|e| Problem(format!("no gradient at a draw of q: {e}")))
}
