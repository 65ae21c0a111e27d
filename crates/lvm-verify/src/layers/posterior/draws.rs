//! P7: published draws of a sampler beside draws of ours: margins by Kolmogorov and Smirnov, all latents together by the energy distance.

use super::Reference;
use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::posterior::Posterior;
use crate::suite::{Group, Outcome, Problem};
use lvm_core::random::{Purpose, stream};
use lvm_core::special::sigmoid;
use lvm_vi::deterministic::Shape;
use lvm_vi::diagnose::WeightedDraws;
use lvm_vi::family::FullRank;
use ndarray::{Array2, ArrayView1};
use rand::RngExt;
use std::path::PathBuf;

/// The file of published draws that belongs to a case, `data/draws_NAME.csv` with NAME the posterior's name in posteriordb, if it is there.
pub(super) fn file(case: &Case) -> Option<PathBuf> {
    let name = case.find("posteriordb.posterior")?.text().ok()?.to_owned();
    case.below(&format!("data/draws_{name}.csv"))
}

/// P7.
///
/// # Errors
/// If the file or the case can't be read, or the library refuses.
pub(super) fn two_samples(g: &mut Group<'_>, case: &Case, model: &dyn Posterior, file: &std::path::Path) -> Outcome {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let names: Vec<String> = text.lines().next().unwrap_or_default().split(',').map(|n| n.trim().to_owned()).collect();
    let theirs = crate::tables::read(file, None)?;
    if theirs.ncols() != names.len() {
        return Err(Problem(format!("{}: {} names and {} columns", file.display(), names.len(), theirs.ncols())));
    }
    let reference = Reference::of(case, Shape::Full)?;
    let q = FullRank::new(&reference.mean.to_vec(), reference.covariance.view())?;
    let n = theirs.nrows();
    let weighted = WeightedDraws::new(&q, model, 200_000, g.seed(0))?;
    let smoothed = weighted.smoothed()?;
    if smoothed.pareto_k > 0.7 || smoothed.effective_draws < 10.0 * n as f64 {
        let why =
            format!("k̂ {:.2}, {:.0} effective draws: resampled draws would repeat themselves", smoothed.pareto_k, smoothed.effective_draws);
        g.not_run("published draws", why, "nothing: this q* can't be turned into draws of the posterior");
        return Ok(());
    }
    let transform = Transform::of(case, &names)?;
    let ours = resampled(&weighted, &smoothed.log_weights, n, g.seed(1));
    let ours = Array2::from_shape_fn((n, names.len()), |(s, j)| transform.value(j, ours.row(s)));
    // P(sup |F_n − G_n| > d) ≤ 2 exp(−2 d² mn/(m + n)) for samples of this size   Wei & Dudley (2012), theorem 1
    let alpha = g.alpha_of_look() / names.len() as f64;
    let band = ((2.0 / alpha).ln() / n as f64).sqrt();
    for (j, name) in names.iter().enumerate() {
        let distance = kolmogorov_smirnov(ours.column(j).to_vec(), theirs.column(j).to_vec());
        let t = Tolerance::absolute(
            band,
            "the two-sample band of Dvoretzky, Kiefer and Wolfowitz (Wei & Dudley 2012) at α over the number of latents",
        );
        g.bounded(format!("{name}: sup |F − G| of {n} published draws and {n} of ours"), Source::R, distance, &t);
    }
    energy(g, &ours, &theirs)
}

/// Draws without replacement with probabilities proportional to weights: the n largest of log w + Gumbel noise (Efraimidis & Spirakis 2006).
fn resampled(draws: &WeightedDraws, log_weights: &[f64], n: usize, seed: u64) -> Array2<f64> {
    let mut rng = stream(seed, Purpose::Diagnosis, 0);
    let mut keys: Vec<(f64, usize)> =
        log_weights.iter().enumerate().map(|(i, w)| (w - (-rng.random::<f64>().max(1e-300).ln()).ln(), i)).collect();
    keys.sort_by(|a, b| b.0.total_cmp(&a.0));
    let rows: Vec<usize> = keys.into_iter().take(n).map(|(_, i)| i).collect();
    draws.z.select(ndarray::Axis(0), &rows)
}

/// sup |F − G| of two samples.
fn kolmogorov_smirnov(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let (mut i, mut j, mut largest) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let x = a[i].min(b[j]);
        while i < a.len() && a[i] <= x {
            i += 1;
        }
        while j < b.len() && b[j] <= x {
            j += 1;
        }
        largest = largest.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    largest
}

/// 2 E|X − Y| − E|X − X′| − E|Y − Y′| in units of the published standard deviations, beside permutations of the labels (Székely & Rizzo
/// 2004). The tail of its distribution is that of a gamma distribution with their mean and variance.
fn energy(g: &mut Group<'_>, ours: &Array2<f64>, theirs: &Array2<f64>) -> Outcome {
    let (n, permutations) = (500.min(ours.nrows()), 400);
    let scale = theirs.std_axis(ndarray::Axis(0), 1.0);
    let row = |i: usize| if i < n { ours.row(i) } else { theirs.row(i - n) };
    let distance = |a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>| {
        a.iter().zip(b).zip(&scale).map(|((a, b), s)| ((a - b) / s).powi(2)).sum::<f64>().sqrt()
    };
    let d = Array2::from_shape_fn((2 * n, 2 * n), |(i, j)| distance(row(i), row(j)));
    let statistic = |sign: &[f64]| {
        let total: f64 = (0..2 * n).map(|i| sign[i] * d.row(i).iter().zip(sign).map(|(d, s)| d * s).sum::<f64>()).sum();
        -total / (n * n) as f64
    };
    let mut sign: Vec<f64> = (0..2 * n).map(|i| if i < n { 1.0 } else { -1.0 }).collect();
    let found = statistic(&sign);
    let mut rng = stream(g.seed(2), Purpose::Diagnosis, 0);
    let null: crate::stochastic::Estimate = (0..permutations)
        .map(|_| {
            for i in (1..2 * n).rev() {
                sign.swap(i, rng.random_range(0..=i));
            }
            statistic(&sign)
        })
        .collect();
    let variance = null.standard_error().powi(2) * permutations as f64;
    let (shape, rate) = (null.mean * null.mean / variance, null.mean / variance);
    let p = lvm_core::special::gammainc_upper(shape, rate * found.max(0.0));
    let alpha = g.alpha_of_look();
    g.holds(
        "energy distance of all latents together",
        format!("{found:.4}, permuted {:.4} ± {:.4}: p = {p:.1e}", null.mean, variance.sqrt()),
        format!("p above {alpha:.1e}"),
        p > alpha,
        "two samples of one distribution: a gamma tail with mean and variance of 400 permutations",
    );
    Ok(())
}

/// The quantities of a file of draws as functions of the unconstrained latents.
struct Transform(Vec<Quantity>);

enum Quantity {
    Latent(usize),
    Exp(usize),
    Logit(usize),
    /// u_a + e^{u_b}
    Above(usize, usize),
    /// u_μ + e^{u_τ} u_z
    Effect {
        mu: usize,
        tau: usize,
        z: usize,
    },
}

impl Transform {
    fn of(case: &Case, names: &[String]) -> Result<Transform, Problem> {
        let parameters = case.get("model.parameters")?.list()?;
        let mut known = Vec::new();
        for p in &parameters {
            known.push((p.get("name")?.text()?.to_owned(), p.get("support")?.text()?.to_owned()));
        }
        let at = |name: &str| known.iter().position(|(n, _)| n == name);
        let of = |name: &String| -> Option<Quantity> {
            if let Some(i) = at(name) {
                return Some(match known[i].1.as_str() {
                    "real" => Quantity::Latent(i),
                    "positive" => Quantity::Exp(i),
                    "(0,1)" | "(0, 1)" => Quantity::Logit(i),
                    support => Quantity::Above(at(support.strip_prefix('>')?.trim())?, i),
                });
            }
            // effects written non-centred: theta[j] = mu + tau z[j]
            let z = at(&format!("z{}", name.strip_prefix("theta")?))?;
            Some(Quantity::Effect { mu: at("mu")?, tau: at("tau")?, z })
        };
        let all = names.iter().map(|n| of(n).ok_or_else(|| Problem(format!("the draws' {n} is no function of the latents known here"))));
        Ok(Transform(all.collect::<Result<_, _>>()?))
    }

    fn value(&self, j: usize, u: ArrayView1<'_, f64>) -> f64 {
        match self.0[j] {
            Quantity::Latent(i) => u[i],
            Quantity::Exp(i) => u[i].exp(),
            Quantity::Logit(i) => sigmoid(u[i]),
            Quantity::Above(a, b) => u[a] + u[b].exp(),
            Quantity::Effect { mu, tau, z } => u[mu] + u[tau].exp() * u[z],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_two_samples_is_that_of_their_steps() {
        assert_eq!(kolmogorov_smirnov(vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 3.0]), 0.0);
        assert_eq!(kolmogorov_smirnov(vec![1.0, 2.0], vec![3.0, 4.0]), 1.0);
        assert_eq!(kolmogorov_smirnov(vec![3.0, 1.0, 2.0, 4.0], vec![2.5, 2.6]), 0.5);
    }
}
