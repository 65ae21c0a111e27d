//! P3: what the tail fit of importance weights must not depend on, and what it must refuse.

use crate::check::{Layer, Source, Tolerance};
use crate::suite::{Group, Outcome, Suite};
use lvm_vi::diagnose::psis;
use ndarray::Array1;

/// All of them.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::P, "P3", "weights of a Pareto distribution", pareto);
    suite.group(Layer::P, "P3", "weights that are none", refused);
}

/// log of the quantiles of P(W > w) = w^{−1/k} at (i − ½)/S, in an order that is not theirs.
fn quantiles(k: f64, s: usize) -> Vec<f64> {
    // 17 is prime to S
    (0..s).map(|i| -k * (((i * 17) % s) as f64 + 0.5).ln() + k * (s as f64).ln()).collect()
}

fn pareto(g: &mut Group<'_>) -> Outcome {
    const S: usize = 4000;
    for k in [0.2, 0.5, 0.9] {
        let weights = quantiles(k, S);
        let fitted = psis(&weights)?;
        // the tail of a Pareto is one; the prior of ten draws towards ½ in a tail of 190 moves k by 10/200 of its distance from ½
        let prior = (fitted.tail_length as f64 * k + 5.0) / (fitted.tail_length as f64 + 10.0);
        let t = Tolerance::absolute(0.06, "quantiles in place of draws, and the likelihood of a tail of 190: sd (1 + k)/√190 is 0.1");
        g.scalar(format!("k of quantiles of a Pareto, {k}"), Source::E, fitted.pareto_k, prior, &t);
        let sum: f64 = fitted.log_weights.iter().map(|w| w.exp()).sum();
        g.scalar(format!("sum of the weights, {k}"), Source::E, sum, 1.0, &Tolerance::rounding(S, 1.0));
        let shifted: Vec<f64> = weights.iter().map(|w| w + 300.0).collect();
        let mut sorted = weights.clone();
        sorted.sort_by(f64::total_cmp);
        let t = Tolerance::absolute(1e-9, "the same weights to rounding of 300 in the logarithm");
        for (what, other) in [("times e³⁰⁰", shifted), ("sorted", sorted)] {
            let other = psis(&other)?;
            let (ours, truth) = ([other.pareto_k, other.effective_draws / S as f64], [fitted.pareto_k, fitted.effective_draws / S as f64]);
            let (ours, truth) = (Array1::from(ours.to_vec()), Array1::from(truth.to_vec()));
            g.array(format!("k and share of effective draws of weights {what}, {k}"), Source::I, &ours, &truth, &t);
        }
    }
    Ok(())
}

fn refused(g: &mut Group<'_>) -> Outcome {
    let weights = quantiles(0.3, 1000);
    for (what, bad) in [("NaN", f64::NAN), ("∞", f64::INFINITY)] {
        let mut weights = weights.clone();
        weights[400] = bad;
        let found = match psis(&weights) {
            Ok(fitted) => format!("k {:.2} of {} weights", fitted.pareto_k, fitted.log_weights.len()),
            Err(e) => e.to_string(),
        };
        let named = found.contains("entry 400");
        g.holds(format!("a log weight of {what}"), found, "an error that names entry 400", named, "a weight left out is a tail left out");
    }
    let mut zeros = weights.clone();
    zeros[400] = f64::NEG_INFINITY;
    let fitted = psis(&zeros)?;
    g.scalar(
        "weights returned with one of zero among them",
        Source::I,
        fitted.log_weights.len() as f64,
        1000.0,
        &Tolerance::exact("a count"),
    );
    Ok(())
}
