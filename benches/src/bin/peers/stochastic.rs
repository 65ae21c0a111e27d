//! Logistic regression and the mean field of local latents against stochastic variational inference by NumPyro.

use super::{Peer, Result, Settings, cpu_seconds, median};
use lvm_bench::{data, npy};
use lvm_core::ppca::PpcaMl;
use lvm_vi::deterministic::{FixedPoint, Shape, Start};
use lvm_vi::estimator::Gradient;
use lvm_vi::expectation::LogJoint;
use lvm_vi::family::{FullRank, MeanField};
use lvm_vi::fit::Vi;
use lvm_vi::local::{self, CoordinateAscent, LocalGaussian, PerDatum};
use lvm_vi::models::LogisticRegression;
use lvm_vi::optimizer::{Geometry, Optimizer};
use lvm_vi::target::FullData;
use ndarray::{Array1, Array2, ArrayD, Ix1, Ix2};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// N and D of the regression.
const SHAPE: (usize, usize) = (10_000, 50);
/// Steps whose time is taken.
const STEPS: usize = 3000;
/// Nats below the optimum that count as there for each row of the local latents.
const CLOSE: f64 = 0.01;
/// The same for the regression by mean field and full rank: what was asked for, and what the peer reaches.
const REGRESSION_CLOSE: [[f64; 2]; 2] = [[0.01, 0.05], [0.01, 0.2]];
/// Learning rates and numbers of steps that the peer is given; the first time at which any of them is close counts.
const COURSES: [(f64, usize); 9] =
    [(0.1, 500), (0.1, 2000), (0.1, 10_000), (0.03, 500), (0.03, 2000), (0.03, 10_000), (0.01, 500), (0.01, 2000), (0.01, 10_000)];
/// Looks at the clock on the way.
const LOOKS: usize = 50;

/// Prints the tables.
pub(crate) fn compare(settings: &Settings, out: &mut impl Write) -> Result<()> {
    let regression = "logistic regression, N=10000 D=50";
    let local = "local latents of PPCA, 1797x64 q=10";
    if !regression.contains(&settings.only) && !local.contains(&settings.only) {
        return Ok(());
    }
    let mut peer = Peer::new(&settings.python, "stochastic.py")?;
    let folder = tempfile::tempdir()?;
    if regression.contains(&settings.only) {
        let (x, y) = data::regression_table(SHAPE.0, SHAPE.1);
        npy::write(&folder.path().join("x.npy"), &x)?;
        npy::write(&folder.path().join("y.npy"), &y)?;
        let double = Peer::with(&settings.python, "stochastic.py", &[("JAX_ENABLE_X64", "1")])?;
        let mut peers = [("f64", double), ("f32", peer)];
        steps(settings, &mut peers, folder.path(), (&x, &y), out)?;
        peer = peers.into_iter().map(|(_, p)| p).next_back().ok_or("no peer")?;
        closeness(settings, &mut peer, folder.path(), (&x, &y), out)?;
    }
    if local.contains(&settings.only) {
        let folder = tempfile::tempdir()?;
        local_latents(settings, &mut peer, folder.path(), out)?;
    }
    Ok(())
}

/// Seconds of `STEPS` steps of Adam with one draw, wall and processor; by the peer's estimator, which knows no control variate.
fn our_steps<F: Geometry>(start: F, model: &LogisticRegression) -> Result<(f64, f64)> {
    let gradient = Gradient::PathwiseClosedEntropy;
    let vi = Vi { draws: 1, gradient, optimizer: Optimizer::adam(0.01), ..Vi::new(start) };
    let target = FullData::new(model);
    let mut state = vi.init(&target, 1)?;
    let (begin, work) = (Instant::now(), cpu_seconds());
    for _ in 0..STEPS {
        vi.step(&mut state, &target)?;
    }
    Ok((begin.elapsed().as_secs_f64(), cpu_seconds() - work))
}

/// Steps a second.
fn steps(
    settings: &Settings,
    peers: &mut [(&str, Peer)],
    folder: &Path,
    (x, y): (&Array2<f64>, &Array1<f64>),
    out: &mut impl Write,
) -> Result<()> {
    // table and arithmetic in the precision that the peer has them in
    let double = LogisticRegression::new(x, y.view(), 1.0)?;
    let single = LogisticRegression::new(&x.mapv(|v| v as f32), y.view(), 1.0)?.in_single_precision()?;
    let version = peers[0].1.version.clone();
    writeln!(
        out,
        "\n| logistic regression, N={} D={}, one draw, Adam | lvm, steps/s | NumPyro {version}, steps/s | ratio | target | CPU, ms/step | CPU, ms/step | ratio |",
        SHAPE.0, SHAPE.1
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for (name, kind) in [("mean field", "logistic-diagonal"), ("full rank", "logistic-full")] {
        for (precision, peer) in &mut *peers {
            let model = if *precision == "f32" { &single } else { &double };
            let (mut a, mut b, mut cpu_a, mut cpu_b) = (vec![], vec![], vec![], vec![]);
            for _ in 0..settings.rounds {
                let (wall, cpu) = match kind {
                    "logistic-full" => our_steps(FullRank::standard(SHAPE.1)?, model)?,
                    _ => our_steps(MeanField::standard(SHAPE.1)?, model)?,
                };
                a.push(wall);
                cpu_a.push(cpu);
                let answer = peer.ask(&format!("{} {kind} steps-{STEPS}", folder.display()))?;
                b.push(answer["wall"].as_f64().unwrap_or(f64::NAN));
                cpu_b.push(answer["cpu"].as_f64().unwrap_or(f64::NAN));
            }
            let rate = |times: Vec<f64>| STEPS as f64 / median(times);
            let (a, b, cpu_a, cpu_b) = (rate(a), rate(b), 1e3 / rate(cpu_a), 1e3 / rate(cpu_b));
            writeln!(
                out,
                "| {name}, table in {precision} | {a:.0} | {b:.0} | {:.1} | 2 | {cpu_a:.3} | {cpu_b:.3} | {:.1} |",
                a / b,
                cpu_b / cpu_a
            )?;
            out.flush()?;
        }
    }
    Ok(())
}

/// What the peer's courses come to.
struct Closest {
    /// For each closeness the shortest time at which the gap was below it, and the course it was on.
    first: Vec<(f64, String)>,
    /// The smallest gap of all courses.
    gap: f64,
}

/// Runs the peer's courses; `gap` is that of means and scales.
fn first_close(
    peer: &mut Peer,
    folder: &Path,
    kind: &str,
    closes: &[f64],
    gap: impl Fn(ArrayD<f64>, ArrayD<f64>) -> Result<f64>,
) -> Result<Closest> {
    let mut best = Closest { first: vec![(f64::INFINITY, "none of the courses".to_owned()); closes.len()], gap: f64::INFINITY };
    for (rate, steps) in COURSES {
        let answer = peer.ask(&format!("{} {kind} course-{rate}-{steps}-{LOOKS}", folder.display()))?;
        let times: Vec<f64> = answer["times"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect();
        let (locations, scales) = (npy::read(&folder.join("locations.npy"))?, npy::read(&folder.join("scales.npy"))?);
        for ((time, location), scale) in times.iter().zip(locations.outer_iter()).zip(scales.outer_iter()) {
            let gap = gap(location.to_owned(), scale.to_owned())?;
            best.gap = best.gap.min(gap);
            for (close, first) in closes.iter().zip(&mut best.first) {
                if gap < *close && *time < first.0 {
                    *first = (*time, format!("rate {rate}, {steps} steps"));
                }
            }
        }
    }
    Ok(best)
}

/// Seconds until the exact ELBO is within each closeness of its maximum.
fn closeness(
    settings: &Settings,
    peer: &mut Peer,
    folder: &Path,
    (x, y): (&Array2<f64>, &Array1<f64>),
    out: &mut impl Write,
) -> Result<()> {
    writeln!(
        out,
        "\n| logistic regression, to so many nats of the optimum | lvm (fixed point), s | building its target, s | NumPyro {} (f32, compiled beforehand), s | ratio | target | its course | its smallest gap, nats |",
        peer.version
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    let families = [("mean field", "logistic-diagonal", Shape::Diagonal), ("full rank", "logistic-full", Shape::Full)];
    for ((name, kind, shape), closes) in families.into_iter().zip(REGRESSION_CLOSE) {
        let begin = Instant::now();
        let target = data::bernoulli_log_joint(x, y, 1.0)?;
        let building = begin.elapsed().as_secs_f64();
        // the peer's guides start with standard deviations of 0.1 too
        let start = Start { mean: Array1::zeros(SHAPE.1), standard_deviations: Array1::from_elem(SHAPE.1, 0.1) };
        let fixed_point = FixedPoint { shape, start: Some(start), ..FixedPoint::default() };
        let optimum = fixed_point.fit(&target)?.model.elbo;
        let (mut ours, mut theirs) = (vec![vec![]; closes.len()], vec![]);
        for _ in 0..settings.rounds {
            for (times, close) in ours.iter_mut().zip(closes) {
                times.push(until_close(&fixed_point, &target, optimum, close)?);
            }
            theirs.push(first_close(peer, folder, kind, &closes, |location, scale| {
                let mean = location.into_dimensionality::<Ix1>()?;
                let covariance = match shape {
                    Shape::Diagonal => Array2::from_diag(&scale.into_dimensionality::<Ix1>()?.mapv(|s| s * s)),
                    Shape::Full => {
                        let l = scale.into_dimensionality::<Ix2>()?;
                        l.dot(&l.t())
                    }
                };
                Ok(optimum - FixedPoint::elbo(&target, mean.view(), covariance.view())?)
            })?);
        }
        for (i, (close, ours)) in closes.into_iter().zip(ours).enumerate() {
            let (a, b) = (median(ours), median(theirs.iter().map(|t| t.first[i].0).collect()));
            let (course, gap) = theirs.last().map_or(("", f64::NAN), |t| (t.first[i].1.as_str(), t.gap));
            writeln!(out, "| {name}, {close} | {a:.4} | {building:.4} | {b:.3} | {:.1} | 5 | {course} | {gap:.4} |", b / a)?;
        }
        out.flush()?;
    }
    Ok(())
}

/// Seconds until the fixed-point iteration is close.
fn until_close(fixed_point: &FixedPoint, target: &LogJoint, optimum: f64, close: f64) -> Result<f64> {
    let (begin, mut time) = (Instant::now(), f64::NAN);
    fixed_point.fit_watched(target, &mut |progress| {
        if optimum - progress.objective < close {
            time = begin.elapsed().as_secs_f64();
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(time)
}

/// Seconds until the mean field of each row is within `CLOSE` nats of its optimum on average.
fn local_latents(settings: &Settings, peer: &mut Peer, folder: &Path, out: &mut impl Write) -> Result<()> {
    let x = lvm_data::datasets::digits()?.x;
    let model = PpcaMl { components: 10, ..Default::default() }.fit(&x, 0)?.model;
    let (n, model) = (x.nrows() as f64, model.linear_gaussian());
    npy::write(&folder.join("x.npy"), &x)?;
    npy::write(&folder.join("mean.npy"), model.mean())?;
    npy::write(&folder.join("loadings.npy"), model.loadings())?;
    npy::write(&folder.join("noise.npy"), model.noise())?;
    let optimum = local::elbo(model, &local::mean_field(model, &x)?, &x)? / n;
    let peers = first_close(peer, folder, "ppca", &[CLOSE], |location, scale| {
        let q = LocalGaussian::diagonal(location.into_dimensionality::<Ix2>()?, scale.into_dimensionality::<Ix2>()?.view())?;
        Ok(optimum - local::elbo(model, &q, &x)? / n)
    })?;
    let ((time, course), smallest) = (&peers.first[0], peers.gap);
    writeln!(
        out,
        "\n| mean field of the latents of PPCA, 1797x64 q=10, to within {CLOSE} nats a row | lvm, s | its gap, nats | NumPyro {}, s | ratio | target | its course | its smallest gap, nats |",
        peer.version
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    let mut stopping = CoordinateAscent::default().stopping;
    stopping.tolerance = 0.1 * CLOSE;
    let diagonal = PerDatum { shape: local::Shape::Diagonal, stopping };
    type Engine<'a> = (&'a str, Box<dyn Fn() -> lvm_core::Result<LocalGaussian> + 'a>);
    let engines: [Engine<'_>; 3] = [
        ("closed form", Box::new(|| local::mean_field(model, &x))),
        ("coordinate ascent", Box::new(|| Ok(CoordinateAscent { stopping }.fit(model, &x)?.model))),
        ("expected derivatives", Box::new(|| Ok(diagonal.fit(model, &x)?.model))),
    ];
    for (name, engine) in engines {
        let mut times = vec![];
        for _ in 0..settings.rounds.max(5) {
            let begin = Instant::now();
            engine()?;
            times.push(begin.elapsed().as_secs_f64());
        }
        let (a, gap) = (median(times), optimum - local::elbo(model, &engine()?, &x)? / n);
        writeln!(out, "| {name} | {a:.5} | {gap:.1e} | {time:.3} | {:.0} | 20 | {course} | {smallest:.4} |", time / a)?;
        out.flush()?;
    }
    Ok(())
}
