//! k-means++ (Arthur & Vassilvitskii 2007, with the best of several candidates for each centre) and Lloyd's sweeps.

use super::sample::{Sample, complete};
use crate::error::Result;
use crate::fit::Passes;
use crate::random::Stream;
use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, ArrayView1, Axis};

/// Sweeps of Lloyd's algorithm at most: a start need not be converged, and EM goes on from there.
const SWEEPS: usize = 10;

/// Centres (K, D) of standardised rows. A centre found and a sweep done count as a pass.
pub(super) fn centres(sample: &Sample, k: usize, rng: &mut Stream, passes: &mut Passes<'_>) -> Result<Array2<f64>> {
    let mut centres = seeds(sample, k, rng, passes)?;
    let mut labels = Vec::new();
    for _ in 0..SWEEPS {
        let nearest = nearest(sample, &centres);
        let new: Vec<usize> = nearest.iter().map(|(label, _)| *label).collect();
        if new == labels {
            break;
        }
        labels = new;
        move_centres(sample, &labels, &mut centres);
        passes.done()?;
    }
    Ok(centres)
}

/// The squared distance on the observed entries, scaled up for the missing ones.
fn distance(x: ArrayView1<'_, f64>, centre: ArrayView1<'_, f64>) -> f64 {
    let (sum, observed) =
        x.iter().zip(centre).fold((0.0, 0), |(sum, n), (x, c)| if x.is_nan() { (sum, n) } else { (sum + (x - c) * (x - c), n + 1) });
    if observed == 0 { 0.0 } else { sum * (x.len() as f64 / f64::from(observed)) }
}

/// Distances of all rows to one centre.
fn distances(sample: &Sample, centre: ArrayView1<'_, f64>) -> Vec<f64> {
    sample.x.axis_iter(Axis(0)).into_par_iter().map(|x| distance(x, centre)).collect()
}

/// k-means++: each centre is the best of 2 + ln K rows drawn with probability proportional to the squared distance.
fn seeds(sample: &Sample, k: usize, rng: &mut Stream, passes: &mut Passes<'_>) -> Result<Array2<f64>> {
    let mut centres = Array2::zeros((k, sample.x.ncols()));
    let first = sample.pick(&vec![1.0; sample.weights.len()], rng);
    centres.row_mut(0).assign(&complete(sample.x.row(first)));
    let mut closest = distances(sample, centres.row(0));
    let trials = 2 + (k as f64).ln() as usize;
    for index in 1..k {
        let mut best: Option<(f64, Vec<f64>, Array1<f64>)> = None;
        for _ in 0..trials {
            let candidate = complete(sample.x.row(sample.pick(&closest, rng)));
            let mut reached = distances(sample, candidate.view());
            reached.iter_mut().zip(&closest).for_each(|(r, c)| *r = r.min(*c));
            let potential: f64 = reached.iter().zip(&sample.weights).map(|(r, w)| r * w).sum();
            if best.as_ref().is_none_or(|b| potential < b.0) {
                best = Some((potential, reached, candidate));
            }
        }
        if let Some((_, reached, candidate)) = best {
            closest = reached;
            centres.row_mut(index).assign(&candidate);
        }
        passes.done()?;
    }
    Ok(centres)
}

/// The nearest centre of every row and the squared distance to it.
fn nearest(sample: &Sample, centres: &Array2<f64>) -> Vec<(usize, f64)> {
    let best = |x: ArrayView1<'_, f64>| {
        centres.outer_iter().enumerate().fold((0, f64::INFINITY), |best, (k, c)| {
            let d = distance(x, c);
            if d < best.1 { (k, d) } else { best }
        })
    };
    sample.x.axis_iter(Axis(0)).into_par_iter().map(best).collect()
}

/// Each centre to the mean of its rows, over observed entries; one without observed entries stays.
fn move_centres(sample: &Sample, labels: &[usize], centres: &mut Array2<f64>) {
    let mut sums = Array2::<f64>::zeros(centres.raw_dim());
    let mut weights = Array2::<f64>::zeros(centres.raw_dim());
    for ((x, &label), &w) in sample.x.outer_iter().zip(labels).zip(&sample.weights) {
        for (j, &v) in x.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
            sums[[label, j]] += w * v;
            weights[[label, j]] += w;
        }
    }
    for ((c, s), w) in centres.iter_mut().zip(&sums).zip(&weights) {
        if *w > 0.0 {
            *c = s / w;
        }
    }
}
