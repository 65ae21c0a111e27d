//! L2, S5 and S2 of a target: its gradient by differences, its minibatches by enumeration, its gradient against its values alone.

use super::runs::{Judged, Runs};
use super::{Erased, Target};
use crate::check::{Source, Tolerance};
use crate::layers::gradients::estimates;
use crate::stochastic::t2_quantile;
use crate::suite::{Budget, Group, Outcome, Problem};
use lvm_core::random::{Purpose, stream};
use lvm_vi::check;
use lvm_vi::estimator::{Control, Gradient};
use lvm_vi::family::MeanField;
use lvm_vi::target::{Batch, DataLogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2, Axis};
use rand_distr::{Distribution, StandardNormal};

/// Points at which a gradient is looked at.
const POINTS: u64 = 3;

/// Points drawn from the start: off every symmetry.
fn points(target: &Target<'_>) -> Vec<Vec<f64>> {
    let start = &target.start;
    (0..POINTS)
        .map(|k| {
            let mut rng = stream(k, Purpose::Start, 1);
            let draw = |(m, s): (&f64, &f64)| m + s * Distribution::<f64>::sample(&StandardNormal, &mut rng);
            start.mean.iter().zip(&start.standard_deviations).map(draw).collect()
        })
        .collect()
}

/// L2: every partial derivative beside central differences, extrapolated.
pub(super) fn by_differences(g: &mut Group<'_>, target: &Target<'_>) -> Outcome {
    target.consistent()?;
    let found = check::gradient(target.density, &points(target))?;
    let short = match &found.finding {
        check::Finding::Right => format!("right in {} partial derivatives", found.compared),
        check::Finding::Wrong { coordinate } => format!("wrong in coordinate {coordinate}"),
        check::Finding::ValuesDiffer { .. } => "two values of one density".to_owned(),
        _ => "cannot tell".to_owned(),
    };
    let reason = format!("extrapolated differences; beyond 1e-6 and ten times their own error a gradient is another one: {found}");
    g.holds("gradient, at three points of the start", short, "right in every coordinate", found.is_right(), &reason);
    Ok(())
}

/// A form by rows behind a reference, as one of a size known.
struct Rows<'a>(&'a dyn DataLogDensity);

impl DataLogDensity for Rows<'_> {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn n_data(&self) -> usize {
        self.0.n_data()
    }
    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        self.0.log_prior_grad(z, gradient)
    }
    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        self.0.log_likelihood_grad(rows, z, gradient)
    }
}

/// S5: Σ_B |B|/N ∇ log p_B = ∇ log p over the batches B of an epoch, for batches of 1, 7 and N; no randomness.
pub(super) fn epochs(g: &mut Group<'_>, target: &Target<'_>, data: &dyn DataLogDensity) -> Outcome {
    target.consistent()?;
    let rows = Rows(data);
    let (n, d) = (rows.n_data(), target.density.dim());
    let z = points(target).swap_remove(0);
    let mut whole = vec![0.0; d];
    let value = target.density.log_density_grad(&z, &mut whole).map_err(|e| e.to_string())?;
    let whole = Array1::from(whole);
    // every seventh row first, so that neighbours don't meet in a batch
    let order: Vec<usize> = (0..7).flat_map(|k| (k..n).step_by(7)).collect();
    let mut sizes = vec![1, 7.min(n), n];
    sizes.dedup();
    for size in sizes {
        let (mut mean, mut magnitude) = (Array1::<f64>::zeros(d), whole.mapv(f64::abs));
        let (mut value_mean, mut value_size) = (0.0, value.abs());
        for batch in order.chunks(size) {
            let mut gradient = vec![0.0; d];
            let v = Batch::new(&rows, batch)?.log_density_grad(&z, &mut gradient).map_err(|e| e.to_string())?;
            let (share, gradient) = (batch.len() as f64 / n as f64, Array1::from(gradient));
            (value_mean, value_size) = (value_mean + share * v, value_size + share * v.abs());
            mean.scaled_add(share, &gradient);
            magnitude.scaled_add(share, &gradient.mapv(f64::abs));
        }
        g.scalar(format!("batches of {size}: log joint"), Source::I, value_mean, value, &Tolerance::rounding(n, value_size));
        let t = Tolerance::relative(
            Tolerance::rounding(n, 1.0).absolute,
            "8·(n+16)·ε of the mean magnitude of the gradients of the batches: two recursive sums (Higham §4.2)",
        );
        g.array_scaled(format!("batches of {size}: gradient"), Source::I, &mean, &whole, &magnitude, &t);
    }
    Ok(())
}

/// Estimates at a look.
const AFFORDABLE: f64 = 100_000.0;

/// S2: beside the optimum, where neither is zero, the gradient of the ELBO by the target's gradient (pathwise) and by its values alone
/// (score function) have the same mean.
pub(super) fn by_values_alone(g: &mut Group<'_>, runs: &Runs<'_, MeanField>) -> Outcome {
    let best = &runs.first(g)?.model.q;
    let beside = |share: f64| -> Result<MeanField, Problem> {
        use lvm_vi::family::Family;
        let s = best.standard_deviations();
        Ok(MeanField::with_factor(&(&best.mean() + &(&s * share)).to_vec(), &Array2::from_diag(&(&s * 0.9)))?)
    };
    let (q, density) = (beside(0.3)?, Erased(runs.target.density));
    let score = Gradient::ScoreFunction { control: Control::LeaveOneOut };
    let difference = |n: usize, from: u64, seed: u64| -> Result<Array2<f64>, Problem> {
        let pathwise = estimates((Gradient::Pathwise, 4), &q, &density, (n, seed, from))?;
        Ok(pathwise - estimates((score, 4), &q, &density, (n, seed.wrapping_add(1), from))?)
    };
    let seed = g.seed(0);
    let pilot = difference(1000, 1 << 40, seed)?;
    let largest = pilot.var_axis(Axis(0), 1.0).iter().fold(1e-12, |m: f64, v| m.max(*v));
    let width = pilot.ncols();
    let quantile = t2_quantile(g.alpha_of_look(), width, 100_000).sqrt() + 4.75;
    let wanted: f64 = if g.budget == Budget::Quick { 1.0 } else { 0.3 };
    // the score function is noisy: where the margin would take too long, the one that is seen is printed
    let margin = wanted.max(quantile * (1.1 * largest / AFFORDABLE).sqrt());
    let n = (1.1 * largest * (quantile / margin).powi(2)).ceil().max(2000.0) as usize;
    let mut from = 0;
    g.unbiased(
        "mean field: pathwise less score function",
        (&Array1::zeros(width), Source::I),
        (margin, 1e-9),
        n,
        "both are the gradient of the same ELBO, in natural units; only the first reads the gradient of the target",
        |n| {
            let rows = difference(n, from, seed)?;
            from += n.div_ceil(1000) as u64;
            Ok(rows)
        },
    )
}
