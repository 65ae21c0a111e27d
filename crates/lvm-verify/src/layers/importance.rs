//! S6: bounds of the log evidence by draws, where the evidence is known: IWAE from below, CUBO from above, importance sampling on it.

use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::stochastic::{Claim, Truth};
use crate::suite::{Budget, Group, Outcome};
use lvm_vi::bound::{iwae, log_weights};
use lvm_vi::diagnose::WeightedDraws;
use lvm_vi::expectation::GaussianTarget;
use lvm_vi::family::{FullRank, MeanField};

/// Kind `gaussian_target`: the evidence is 1, its logarithm 0.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub fn bounds(g: &mut Group<'_>, case: &Case) -> Outcome {
    let (mean, covariance) = (case.get("target.mean")?.vector()?.to_vec(), case.get("target.covariance")?.matrix()?);
    let target = GaussianTarget::from_precision(case.get("target.mean")?.vector()?, case.get("target.precision")?.matrix()?)?;
    let variances = case.get("meanfield_optimum.variances")?.vector()?;
    let narrow = MeanField::new(&mean, &variances.mapv(f64::sqrt).to_vec())?;
    let groups = if g.budget == Budget::Quick { 2000 } else { 20_000 };
    // the same draws in groups of 1, 2, 4, …: log((a + b)/2) ≥ (log a + log b)/2, so no noise can lower the bound
    let ladder: Vec<f64> =
        (0..6).map(|i| iwae(&narrow, &target, 1 << i, groups * 32 >> i, g.seed(0)).map(|e| e.mean)).collect::<Result<_, _>>()?;
    let fall = ladder.windows(2).map(|w| (w[0] - w[1]).max(0.0)).fold(0.0, f64::max);
    let shown = ladder.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(", ");
    g.bounded(format!("IWAE at k = 1, 2, 4, …, 32 ({shown}): largest fall"), Source::I, fall, &Tolerance::rounding(groups * 32, 1.0));
    for k in [1_usize, 8] {
        let (seed, mut look) = (g.seed(k as u64), 0);
        let claim = Claim::AtMost(if g.budget == Budget::Quick { 0.2 } else { 0.05 });
        let reason = "E[IWAE_k] ≤ log p: Jensen";
        g.expectation(format!("IWAE_{k} not above log p"), (Truth::from(0.0), Source::E), claim, groups, reason, |n| {
            look += 1;
            let draws = log_weights(&narrow, &target, n * k, seed.wrapping_add(look))?;
            Ok(draws.values.chunks_exact(k).map(|w| w.iter().map(|v| v.exp()).sum::<f64>().ln() - (k as f64).ln()).collect())
        })?;
    }
    let elbo = case.get("meanfield_optimum.elbo")?.number()?;
    let (seed, mut look) = (g.seed(40), 0);
    let margin = if g.budget == Budget::Quick { 0.2 } else { 0.05 };
    g.expectation("IWAE_1 is the ELBO", (Truth::from(elbo), Source::E), Claim::Equal(margin), groups, "k = 1", |n| {
        look += 1;
        Ok(log_weights(&narrow, &target, n, seed.wrapping_add(look))?.values)
    })?;
    // a q wider than p: weights are bounded, and the second moment is known
    let scale = 1.3;
    let wide = FullRank::new(&mean, (&covariance * scale).view())?;
    let (seed, mut look) = (g.seed(41), 0);
    let margin = if g.budget == Budget::Quick { 0.1 } else { 0.02 };
    g.expectation("mean weight is the evidence", (Truth::from(1.0), Source::E), Claim::Equal(margin), groups, "E_q[w] = p(x)", |n| {
        look += 1;
        Ok(log_weights(&wide, &target, n, seed.wrapping_add(look))?.values.into_iter().map(f64::exp).collect())
    })?;
    // E_q[w²] = |Λ| / (|S⁻¹|^½ |2Λ − S⁻¹|^½),   S⁻¹ = Λ/1.3
    let d = mean.len() as f64;
    let second = (0.5 * d * (scale.ln() - (2.0 - 1.0 / scale).ln())).exp();
    let (seed, mut look) = (g.seed(42), 0);
    g.expectation(
        "second moment of the weights",
        (Truth::from(second), Source::E),
        Claim::Equal(2.0 * margin * second),
        groups,
        "∫ p²/q",
        |n| {
            look += 1;
            Ok(log_weights(&wide, &target, n, seed.wrapping_add(look))?.values.into_iter().map(|w| (2.0 * w).exp()).collect())
        },
    )?;
    let draws = WeightedDraws::new(&wide, &target, 32 * groups, g.seed(43))?;
    let cubo = draws.log_evidence().mean + 0.5 * draws.renyi_2();
    let t = Tolerance::absolute(
        5.3 * 2.0 * second / (32.0 * groups as f64).sqrt(),
        "z = 5.3 standard errors of ½ log E[w²] by the delta method, the weights' relative spread below 2 E[w²]",
    );
    g.scalar("CUBO: ½ log E[w²]", Source::E, cubo, 0.5 * second.ln(), &t);
    g.holds("CUBO above log p", format!("{cubo:.4}"), "at least 0", cubo >= -t.absolute, "D₂(p ‖ q) ≥ 0");
    Ok(())
}
