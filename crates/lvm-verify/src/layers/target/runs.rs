//! O1 without truth: runs from several seeds, made once and shared by the checks.

use super::{Erased, Target};
use crate::check::{Source, Tolerance};
use crate::layers::gradients::Natural;
use crate::suite::{Group, Outcome, Problem};
use lvm_core::fit::{Fitted, Status};
use lvm_core::random::{Purpose, stream};
use lvm_vi::family::{FullRank, MeanField};
use lvm_vi::fit::{Optimum, Stopping, Vi};
use lvm_vi::optimizer::Geometry;
use lvm_vi::target::LogDensityGrad;
use ndarray::{Array1, Array2};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use std::cell::OnceCell;

/// A family that the checks are made for.
pub(super) trait Judged: Geometry + Natural {
    /// As reports have it.
    const NAME: &'static str;

    /// N(mean, L Lᵀ), of which the mean field takes the diagonal of L.
    fn with_factor(mean: &[f64], lower: &Array2<f64>) -> lvm_core::Result<Self>;
}

impl Judged for MeanField {
    const NAME: &'static str = "mean field";
    fn with_factor(mean: &[f64], lower: &Array2<f64>) -> lvm_core::Result<Self> {
        MeanField::new(mean, &lower.diag().to_vec())
    }
}

impl Judged for FullRank {
    const NAME: &'static str = "full rank";
    fn with_factor(mean: &[f64], lower: &Array2<f64>) -> lvm_core::Result<Self> {
        FullRank::from_factor(mean, lower.view())
    }
}

/// A run and its end.
pub(super) type Run<F> = Fitted<Optimum<F>>;

/// The runs of one family on one target.
pub(super) struct Runs<'a, F> {
    pub(super) target: &'a Target<'a>,
    seeds: usize,
    found: OnceCell<Result<Vec<Run<F>>, String>>,
}

impl<'a, F: Judged> Runs<'a, F> {
    pub(super) fn new(target: &'a Target<'a>, seeds: usize) -> Self {
        Runs { target, seeds, found: OnceCell::new() }
    }

    /// Where run `index` starts: the first at the target's start, the others with means drawn from it.
    pub(super) fn start(&self, index: u64) -> Result<F, Problem> {
        self.target.consistent()?;
        let start = &self.target.start;
        let mut rng = stream(index, Purpose::Start, 0);
        let mean: Vec<f64> = (start.mean.iter().zip(&start.standard_deviations))
            .map(|(m, s)| if index == 0 { *m } else { m + s * Distribution::<f64>::sample(&StandardNormal, &mut rng) })
            .collect();
        Ok(F::with_factor(&mean, &Array2::from_diag(&start.standard_deviations))?)
    }

    /// One run from a start.
    pub(super) fn run(&self, start: F, density: &dyn LogDensityGrad, seed: u64) -> Result<Run<F>, Problem> {
        Ok(one_run(start, density, self.target.stopping, seed)?)
    }

    /// The seed of run `index`, its own for every target.
    pub(super) fn seed(g: &Group<'_>, index: u64) -> u64 {
        // a group's seed depends on its id: those of O1 are what all checks share
        g.seed_of("O1", index)
    }

    /// Every run.
    pub(super) fn all(&self, g: &Group<'_>) -> Result<&[Run<F>], Problem> {
        let made = || {
            let start = |i: u64| Ok((self.start(i)?, Self::seed(g, i)));
            let starts = (0..self.seeds as u64).map(start).collect::<Result<Vec<(F, u64)>, Problem>>().map_err(|p| p.0)?;
            let (density, stopping) = (self.target.density, self.target.stopping);
            let run = |(start, seed): (F, u64)| one_run(start, density, stopping, seed);
            starts.into_par_iter().map(run).collect::<lvm_core::Result<Vec<Run<F>>>>().map_err(|e| format!("the library refused: {e}"))
        };
        self.found.get_or_init(made).as_deref().map_err(|e| Problem(e.clone()))
    }

    /// The first run.
    pub(super) fn first(&self, g: &Group<'_>) -> Result<&Run<F>, Problem> {
        self.all(g)?.first().ok_or_else(|| Problem("no run was made".into()))
    }

    /// O1: every run says that it has converged, and what two runs differ by is what they say may be left.
    pub(super) fn agree(&self, g: &mut Group<'_>) -> Outcome {
        let runs = self.all(g)?;
        let (name, n) = (F::NAME, runs.len());
        let converged = runs.iter().filter(|r| r.status == Status::Converged).count();
        let reason = "a run ends when its average is known to the tolerance asked for; an improper or broken target never lets it";
        g.holds(format!("{name}: runs that have converged"), format!("{converged} of {n}"), format!("{n} of {n}"), converged == n, reason);
        let largest = (1..n).map(|i| beyond(&runs[0].model, &runs[i].model)).fold(0.0, f64::max);
        let reason = "2.5 times the sum of two stated 95 % half-widths is 4.9 √2 standard errors: once in 200 000 by chance; other modes, or a target that is not the same twice, differ by more";
        g.bounded(format!("{name}: difference of runs over what they state"), Source::I, largest, &Tolerance::absolute(2.5, reason));
        Ok(())
    }
}

fn one_run<F: Judged>(start: F, density: &dyn LogDensityGrad, stopping: Stopping, seed: u64) -> lvm_core::Result<Run<F>> {
    Vi { stopping, ..Vi::new(start) }.fit(&Erased(density), seed)
}

/// The largest difference of two runs, in units of the first q, over the sum of the errors both state.
fn beyond<F: Judged>(a: &Optimum<F>, b: &Optimum<F>) -> f64 {
    let (s, t) = (a.q.standard_deviations(), b.q.standard_deviations());
    let means: Array1<f64> = (&a.q.mean() - &b.q.mean()) / &s;
    let scales = (&s / &t).mapv(f64::ln);
    let stated = |i: usize| [a.error.mean[i] + b.error.mean[i] * t[i] / s[i], a.error.log_sd[i] + b.error.log_sd[i]];
    (0..s.len())
        .flat_map(|i| {
            let [of_mean, of_scale] = stated(i);
            // a run that has not converged states an infinite error, and can't disagree
            [(means[i], of_mean), (scales[i], of_scale)]
        })
        .map(|(difference, stated)| if difference == 0.0 { 0.0 } else { difference.abs() / stated })
        .fold(0.0, |m, r| if r.is_nan() { f64::INFINITY } else { f64::max(m, r) })
}
