//! V2: the gradient that training takes, by draws, has the exact gradient as its expectation.

use super::fixed::autoencoder;
use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::suite::{Group, Outcome};
use lvm_core::random::Purpose;
use lvm_deep::noise::Noise;
use lvm_deep::objective::{Elbo, KlTerm, Objective};
use lvm_deep::{Kind, Tensor};
use ndarray::{Array2, Zip};

/// Draws a row in one evaluation, and evaluations.
const DRAWS: i64 = 50;
const REPEATS: u64 = 400;

/// z of the largest of at most 300 entries at a false alarm rate of 5e-7: Student's t with 399 degrees of freedom at 5e-7/300.
const Z: f64 = 6.3;

/// V2, by draws: every way to have the KL term.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(in super::super) fn sampled_gradient(g: &mut Group<'_>, case: &Case) -> Outcome {
    // thousands of evaluations
    if g.quick {
        return Ok(());
    }
    let (vae, batch, places) = autoencoder(case, Kind::Double)?;
    let truth = case.get("truth.gradient_of_mean_elbo")?;
    let trained: Vec<&Tensor> = vae.parameters.trained().map(|p| &p.value).collect();
    for (kl, name) in
        [(KlTerm::Analytic, "closed-form KL"), (KlTerm::Draws, "KL by draws"), (KlTerm::StickingTheLanding, "sticking the landing")]
    {
        let objective = Objective::Elbo(Elbo { draws: DRAWS, kl, ..Elbo::default() });
        let mut sums: Vec<(Array2<f64>, Array2<f64>)> = places.iter().map(|p| (p.weights.clone() * 0.0, p.weights.clone() * 0.0)).collect();
        for repeat in 0..REPEATS {
            let mut noise = Noise::new(g.seed(kl as u64), Purpose::Diagnosis, repeat, Kind::Double, tch::Device::Cpu);
            let loss = objective.evaluate(&vae, &batch, 1.0, &mut noise)?.surrogate.mean(None::<Kind>);
            let gradients = Tensor::run_backward(&[loss], &trained, false, false);
            for (place, (first, second)) in places.iter().zip(&mut sums) {
                let at = vae.parameters.trained().position(|p| p.name == place.parameter).ok_or("a parameter is not there".to_owned())?;
                let gradient = place.of(&gradients[at])?;
                *second += &(&gradient * &gradient);
                *first += &gradient;
            }
        }
        let n = REPEATS as f64;
        let (mut worst, mut widest, mut largest) = (0.0_f64, 0.0_f64, 0.0_f64);
        for (place, (first, second)) in places.iter().zip(&sums) {
            let exact = place.truth(&truth)?;
            Zip::from(first).and(second).and(&exact).for_each(|first, second, exact| {
                let mean = first / n;
                let error = ((second / n - mean * mean).max(0.0) / (n - 1.0)).sqrt();
                // rounding where an entry has no noise at all
                worst = worst.max((mean - exact).abs() / (error + 1e-12));
                widest = widest.max(error);
                largest = largest.max(exact.abs());
            });
        }
        g.bounded(
            format!("gradient by draws, {name}: largest z of all entries"),
            Source::Q,
            worst,
            &Tolerance::absolute(Z, format!("the mean of {REPEATS} evaluations with {DRAWS} draws; z of the largest of 300 at 5e-7")),
        );
        g.bounded(
            format!("gradient by draws, {name}: largest standard error over the largest entry"),
            Source::I,
            widest / largest,
            &Tolerance::absolute(0.02, "power: an entry wrong by a fifth of the largest is seen"),
        );
    }
    Ok(())
}
