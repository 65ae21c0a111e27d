//! Every law holds on a right model and fails on one broken in the way the law is about.

use lvm_core::fit::{Fitted, Status};
use lvm_core::model::{Evidence, Infer, LatentDist, LatentModel, MapLatent};
use lvm_core::moments::moments;
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, Rows, total_weight};
use lvm_core::sweep::{check_shape, map_rows};
use lvm_core::{ErrorKind, Result};
use lvm_testkit::{bound, calibration, density, estimation, invariance};
use ndarray::{Array1, Array2};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is wrong with the model.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    None,
    EvidenceLacksTwoPi,
    PosteriorTooNarrow,
    PosteriorShifted,
    MapIsPriorMode,
    DrawsTooWide,
    EvidenceUsesTableMean,
    WidthUnchecked,
}

/// z ~ N(0, 1), x | z ~ N(z, 1): x ~ N(0, 2), z | x ~ N(x/2, 1/2).
struct Toy(Fault);

struct ToyPosterior {
    mean: Array1<f64>,
    variance: f64,
}

fn log_normal(x: f64, mean: f64, variance: f64) -> f64 {
    -0.5 * ((x - mean).powi(2) / variance + variance.ln() + (2.0 * std::f64::consts::PI).ln())
}

fn column(x: &dyn RowSource) -> Result<Array1<f64>> {
    let out = map_rows(
        x,
        1,
        || (),
        |(), block, mut out| {
            out.column_mut(0).assign(&block.x().column(0));
            Ok(())
        },
    )?;
    Ok(out.column(0).to_owned())
}

impl LatentModel for Toy {
    type Z = Array2<f64>;
    fn dim(&self) -> usize {
        1
    }
    fn n_parameters(&self) -> usize {
        0
    }
    fn sample_z(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        Array2::from_shape_simple_fn((n, 1), || rng.sample(StandardNormal))
    }
    fn sample_x(&self, z: &Array2<f64>, rng: &mut dyn Rng) -> Result<Array2<f64>> {
        let sd = if self.0 == Fault::DrawsTooWide { 1.1 } else { 1.0 };
        Ok(z.mapv(|z| z + sd * rng.sample::<f64, _>(StandardNormal)))
    }
    fn log_joint(&self, x: &dyn RowSource, z: &Array2<f64>) -> Result<Array1<f64>> {
        let x = column(x)?;
        Ok(x.iter().zip(z.column(0)).map(|(x, z)| log_normal(*z, 0.0, 1.0) + log_normal(*x, *z, 1.0)).collect())
    }
}

impl Evidence for Toy {
    fn log_evidence(&self, x: &dyn RowSource) -> Result<Array1<f64>> {
        if self.0 != Fault::WidthUnchecked {
            check_shape(x, Some(1))?;
        }
        let x = column(x)?;
        let centre = if self.0 == Fault::EvidenceUsesTableMean { x.mean().unwrap_or(0.0) } else { 0.0 };
        let constant = if self.0 == Fault::EvidenceLacksTwoPi { (2.0 * std::f64::consts::PI).ln() / 2.0 } else { 0.0 };
        Ok(x.mapv(|x| log_normal(x, centre, 2.0) + constant))
    }
}

impl Infer for Toy {
    const EXACT: bool = true;
    type Q = ToyPosterior;
    fn infer(&self, x: &dyn RowSource) -> Result<ToyPosterior> {
        let variance = if self.0 == Fault::PosteriorTooNarrow { 0.4 } else { 0.5 };
        let shift = if self.0 == Fault::PosteriorShifted { 0.05 } else { 0.0 };
        Ok(ToyPosterior { mean: column(x)?.mapv(|x| x / 2.0 + shift), variance })
    }
}

impl MapLatent for Toy {
    fn map_z(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        let posterior = self.infer(x)?;
        Ok(if self.0 == Fault::MapIsPriorMode { posterior.mode() * 0.0 } else { posterior.mode() })
    }
}

impl LatentDist for ToyPosterior {
    type Z = Array2<f64>;
    fn sample(&self, rng: &mut dyn Rng) -> Array2<f64> {
        Array2::from_shape_fn((self.mean.len(), 1), |(n, _)| self.mean[n] + self.variance.sqrt() * rng.sample::<f64, _>(StandardNormal))
    }
    fn log_prob(&self, z: &Array2<f64>) -> Result<Array1<f64>> {
        if z.nrows() != self.mean.len() {
            return Err(ErrorKind::Shape { what: "rows of z", expected: self.mean.len(), found: z.nrows() }.into());
        }
        Ok(z.column(0).iter().zip(&self.mean).map(|(z, m)| log_normal(*z, *m, self.variance)).collect())
    }
    fn mode(&self) -> Array2<f64> {
        self.mean.clone().insert_axis(ndarray::Axis(1))
    }
}

fn data() -> Array2<f64> {
    Array2::from_shape_fn((40, 1), |(n, _)| (n as f64 * 0.7).sin() * 3.0)
}

/// The law holds on the right model and is broken by each of `faults`.
fn holds_but_for(law: impl Fn(&Toy) -> lvm_testkit::Verdict, faults: &[Fault]) {
    law(&Toy(Fault::None)).unwrap();
    for &fault in faults {
        assert!(law(&Toy(fault)).is_err(), "{fault:?} was not caught");
    }
}

#[test]
fn bayes_identity() {
    let law = |m: &Toy| density::bayes_identity(m, &data(), &mut stream(1, Purpose::Sample, 0));
    holds_but_for(law, &[Fault::EvidenceLacksTwoPi, Fault::PosteriorTooNarrow, Fault::PosteriorShifted]);
}

#[test]
fn map_is_the_mode() {
    let law = |m: &Toy| density::map_is_the_mode(m, &data(), &mut stream(1, Purpose::Sample, 1));
    holds_but_for(law, &[Fault::MapIsPriorMode]);
}

#[test]
fn integrates_to_one() {
    holds_but_for(|m| density::integrates_to_one::<f64>(m, &[0.0], 20.0, 2001), &[Fault::EvidenceLacksTwoPi]);
    holds_but_for(|m| density::integrates_to_one::<f32>(m, &[0.0], 16.0, 2049), &[Fault::EvidenceLacksTwoPi]);
    // a tenth is no f32
    assert!(density::integrates_to_one::<f32>(&Toy(Fault::None), &[0.1], 16.0, 2049).is_err());
}

#[test]
fn draws_agree_with_evidence() {
    let law = |m: &Toy| density::draws_agree_with_evidence::<f64>(m, 0.0, 15.0, &mut stream(1, Purpose::Sample, 2));
    holds_but_for(law, &[Fault::DrawsTooWide, Fault::EvidenceLacksTwoPi]);
    let law = |m: &Toy| density::draws_agree_with_evidence::<f32>(m, 0.0, 16.0, &mut stream(1, Purpose::Sample, 2));
    holds_but_for(law, &[Fault::DrawsTooWide, Fault::EvidenceLacksTwoPi]);
}

#[test]
fn rows_are_independent() {
    let mut x = data();
    x += 1.0;
    holds_but_for(|m| density::rows_are_independent(m, &x), &[Fault::EvidenceUsesTableMean]);
}

#[test]
fn shapes_fit() {
    holds_but_for(|m| density::shapes_fit(m, &mut stream(1, Purpose::Sample, 3)), &[Fault::WidthUnchecked]);
}

#[test]
fn posterior_is_calibrated() {
    let law = |m: &Toy| calibration::posterior_is_calibrated(m, &mut stream(1, Purpose::Sample, 4));
    holds_but_for(law, &[Fault::PosteriorTooNarrow, Fault::PosteriorShifted, Fault::DrawsTooWide]);
}

/// Mean and variance of the first column.
fn right_fit(x: &dyn RowSource) -> Result<Vec<f64>> {
    let m = moments(x)?;
    Ok(vec![m.mean[0], m.covariance[[0, 0]], m.weight])
}

#[test]
fn invariances() {
    let x = Array2::from_shape_fn((3000, 2), |(n, j)| ((n * 3 + j) as f64 * 0.37).sin() + 5.0);
    invariance::threads_do_not_matter(&right_fit, &x).unwrap();
    invariance::runs_repeat(&right_fit, &x).unwrap();
    invariance::f32_is_f64(&right_fit, &x, 0.0).unwrap();
    invariance::weights_are_repetition(&right_fit, &x, 1e-12).unwrap();
    invariance::layout_does_not_matter(&right_fit, &x).unwrap();

    let by_threads = |_: &dyn RowSource| Ok(vec![rayon::current_num_threads() as f64]);
    assert!(invariance::threads_do_not_matter(&by_threads, &x).is_err());
    let calls = AtomicU64::new(0);
    let by_call = |_: &dyn RowSource| Ok(vec![calls.fetch_add(1, Ordering::Relaxed) as f64]);
    assert!(invariance::runs_repeat(&by_call, &x).is_err());
    assert!(invariance::f32_is_f64(&in_the_precision_of_the_table, &x, 1e-9).is_err());
    let unweighted = |x: &dyn RowSource| Ok(vec![column(x)?.iter().filter(|v| v.is_finite()).sum::<f64>() / x.n_rows() as f64]);
    assert!(invariance::weights_are_repetition(&|x| unweighted(&Rows::new(x).missing_as_nan()), &x, 1e-12).is_err());
    assert!(invariance::layout_does_not_matter(&in_the_order_of_memory, &x).is_err());

    let narrow = x.mapv(|v| v as f32);
    invariance::weights_are_repetition(&right_fit, &narrow, 1e-12).unwrap();
    invariance::layout_does_not_matter(&right_fit, &narrow).unwrap();
    assert!(invariance::weights_are_repetition(&|x| unweighted(&Rows::new(x).missing_as_nan()), &narrow, 1e-12).is_err());
}

/// A fit that sums f64 rows as they lie in memory and widens others late: a table of f32 is summed in f32.
fn in_the_precision_of_the_table(x: &dyn RowSource) -> Result<Vec<f64>> {
    let sum = match x.row_slice(0, x.n_rows()) {
        Some(rows) => rows.iter().step_by(x.n_cols()).sum::<f64>(),
        None => f64::from(column(x)?.iter().fold(0.0_f32, |sum, v| sum + *v as f32)),
    };
    Ok(vec![sum / x.n_rows() as f64])
}

/// A fit with a faster way for rows that lie one after another in memory, which adds them up in that order, and others column by column.
fn in_the_order_of_memory(x: &dyn RowSource) -> Result<Vec<f64>> {
    let total = match x.row_slice(0, x.n_rows()) {
        Some(rows) => rows.iter().sum::<f64>(),
        None => {
            let mut rows = Array2::zeros((x.n_rows(), x.n_cols()));
            x.read(0, rows.view_mut())?;
            rows.columns().into_iter().map(|column| column.iter().sum::<f64>()).sum()
        }
    };
    Ok(vec![total])
}

fn fitted<M>(model: M, trace: Vec<f64>, restarts: Vec<f64>) -> Fitted<M> {
    Fitted { model, status: Status::Converged, trace, repairs: vec![], restarts, seed: 0 }
}

#[test]
fn monotone_traces() {
    estimation::trace_is_monotone(&fitted((), vec![-3.0, -2.0, -2.0 - 1e-16], vec![]), 2).unwrap();
    assert!(estimation::trace_is_monotone(&fitted((), vec![-3.0, -2.0, -2.0 - 1e-12], vec![]), 2).is_err());
    assert!(estimation::trace_is_monotone(&fitted((), vec![-3.0, f64::NAN], vec![]), 2).is_err());
}

#[test]
fn objective_belongs_to_the_model() {
    let x = data();
    let weights = Array1::from_shape_fn(40, |n| (n % 3) as f64);
    let rows = Rows::new(&x).weighted(weights.view()).unwrap();
    let mean = Toy(Fault::None).log_evidence(&x).unwrap().dot(&weights) / total_weight(&rows);
    estimation::objective_belongs_to_the_model(&fitted(Toy(Fault::None), vec![mean], vec![]), &rows).unwrap();
    let stale = fitted(Toy(Fault::None), vec![mean - 1e-6], vec![]);
    assert!(estimation::objective_belongs_to_the_model(&stale, &rows).is_err());
}

#[test]
fn resume_is_one_run() {
    // θ ← θ/2 + 1 from θ = 0: the state is the parameter and nothing else
    let run = |keeps_step: bool| {
        move |iterations: usize, start: Option<&f64>| {
            let mut theta = start.copied().unwrap_or(0.0);
            let mut trace = Vec::new();
            for t in 0..iterations {
                // a broken implementer whose step size restarts with the run
                let step = if keeps_step { 0.5 } else { 0.5 / (1.0 + t as f64) };
                theta += step * (2.0 - theta);
                trace.push(-(theta - 2.0).powi(2));
            }
            Ok(fitted(theta, trace, vec![]))
        }
    };
    estimation::resume_is_one_run(&run(true), &|t| vec![*t], 3, 4).unwrap();
    assert!(estimation::resume_is_one_run(&run(false), &|t| vec![*t], 3, 4).is_err());
}

#[test]
fn restarts_restart() {
    estimation::restarts_restart(&fitted((), vec![-1.0], vec![-2.0, -1.0])).unwrap();
    assert!(estimation::restarts_restart(&fitted((), vec![-1.0], vec![-1.0, -1.0])).is_err());
    assert!(estimation::restarts_restart(&fitted((), vec![-2.0], vec![-2.0, -1.0])).is_err());
}

/// The posterior of the toy widened, so that the ELBO has a gap to close.
fn wide(x: &Array2<f64>) -> ToyPosterior {
    let mut q = Toy(Fault::None).infer(x).unwrap();
    q.variance = 1.5;
    q.mean += 0.3;
    q
}

/// A posterior whose density lacks a constant: log w is too large.
struct Unnormalised(ToyPosterior);

impl LatentDist for Unnormalised {
    type Z = Array2<f64>;
    fn sample(&self, rng: &mut dyn Rng) -> Array2<f64> {
        self.0.sample(rng)
    }
    fn log_prob(&self, z: &Array2<f64>) -> Result<Array1<f64>> {
        Ok(self.0.log_prob(z)? - 1.0)
    }
    fn mode(&self) -> Array2<f64> {
        self.0.mode()
    }
}

/// A posterior that draws from the wrong place: the weights no longer average to the evidence, and the largest of k of them runs away.
struct DrawsElsewhere(ToyPosterior);

impl LatentDist for DrawsElsewhere {
    type Z = Array2<f64>;
    fn sample(&self, rng: &mut dyn Rng) -> Array2<f64> {
        // the density claims variance 0.3 about the posterior mean; the draws are standard normal about it
        Array2::from_shape_fn((self.0.mean.len(), 1), |(n, _)| self.0.mean[n] + rng.sample::<f64, _>(StandardNormal))
    }
    fn log_prob(&self, z: &Array2<f64>) -> Result<Array1<f64>> {
        self.0.log_prob(z)
    }
    fn mode(&self) -> Array2<f64> {
        self.0.mode()
    }
}

#[test]
fn bounds() {
    let x = data();
    let model = Toy(Fault::None);
    bound::elbo_is_below_the_evidence(&model, &wide(&x), &x, 1).unwrap();
    bound::importance_weighting_tightens(&model, &wide(&x), &x, 2).unwrap();
    bound::exact_posterior_closes_the_bound(&model, &model.infer(&x).unwrap(), &x, 3).unwrap();

    // evidence without its constant is not the normaliser of the joint
    assert!(bound::exact_posterior_closes_the_bound(&Toy(Fault::EvidenceLacksTwoPi), &model.infer(&x).unwrap(), &x, 3).is_err());
    assert!(bound::exact_posterior_closes_the_bound(&model, &Toy(Fault::PosteriorTooNarrow).infer(&x).unwrap(), &x, 3).is_err());
    let q = model.infer(&x).unwrap();
    assert!(bound::elbo_is_below_the_evidence(&model, &Unnormalised(q), &x, 4).is_err());
    let mut q = model.infer(&x).unwrap();
    q.variance = 0.3;
    assert!(bound::elbo_is_below_the_evidence(&model, &DrawsElsewhere(q), &x, 5).is_err());
    let mut q = model.infer(&x).unwrap();
    q.variance = 0.3;
    assert!(bound::importance_weighting_tightens(&model, &DrawsElsewhere(q), &x, 6).is_err());
}
