//! Seconds per iteration of EM for Gaussian mixtures.

use super::{Peer, Result, Settings, cpu_seconds, median};
use lvm_bench::data::{Layout, start, table};
use lvm_bench::npy;
use lvm_core::fit::{Progress, Stopping};
use lvm_core::gmm::{CovarianceType, Covariances, GaussianMixture, GmmEm, Start};
use lvm_core::linalg;
use ndarray::Array2;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// Operations of an exponential to the last bit: 3 multiplications with additions reduce the argument, 12 sum the series, 4 more scale it.
const EXPONENTIAL: f64 = 34.0;

/// One row of the table.
struct Case {
    covariance: CovarianceType,
    n: usize,
    d: usize,
    k: usize,
    layout: Layout,
    target: f64,
}

impl Case {
    fn name(&self) -> String {
        let layout = match self.layout {
            Layout::Clusters => "clusters",
            Layout::Cloud => "one cloud",
        };
        format!("{}, N={} D={} K={}, {layout}", self.covariance, self.n, self.d, self.k)
    }

    /// Multiplications and additions that an iteration can't do without: triangular and symmetric halves, 2 N K D² for full
    /// covariances. Without a matrix: 3 operations an entry for the distance and 4 for two moments (diagonal), 3 and 4 (spherical).
    /// To these come N K exponentials.
    fn operations(&self) -> f64 {
        let (n, d, k) = (self.n as f64, self.d as f64, self.k as f64);
        let products = match self.covariance {
            CovarianceType::Full => 2.0 * n * k * d * d,
            CovarianceType::Tied => 2.0 * n * d * d + n * k * (7.0 * d + k),
            CovarianceType::Diagonal => 8.0 * n * k * d,
            CovarianceType::Spherical => 8.0 * n * k * d,
        };
        products + EXPONENTIAL * n * k
    }
}

fn cases() -> Vec<Case> {
    use CovarianceType::{Diagonal, Full, Spherical, Tied};
    let sizes = [
        (Full, 100_000, 64, 10, 10.0),
        (Full, 1_000_000, 16, 16, 10.0),
        (Full, 100_000, 2, 8, 10.0),
        (Full, 20_000, 256, 10, 6.0),
        (Tied, 1_000_000, 16, 16, 10.0),
        (Diagonal, 1_000_000, 16, 16, 10.0),
        (Spherical, 1_000_000, 16, 16, 10.0),
    ];
    sizes
        .into_iter()
        .flat_map(|(covariance, n, d, k, target)| {
            [Layout::Clusters, Layout::Cloud].map(|layout| Case { covariance, n, d, k, layout, target })
        })
        .collect()
}

/// Seconds per iteration.
struct Timing {
    wall: Vec<f64>,
    cpu: f64,
    /// Mean log-likelihood per row of the start and after each M-step but the last.
    bounds: Vec<f64>,
}

fn ours(x: &Array2<f64>, start: &GaussianMixture, iterations: usize) -> Result<Timing> {
    let em = GmmEm {
        components: start.n_components(),
        covariance: start.covariance_type(),
        start: Start::Parameters(start.clone()),
        stopping: Stopping { max_iterations: iterations, tolerance: 0.0 },
        ..Default::default()
    };
    let mut times = Vec::new();
    let mut watch = |progress: &Progress| {
        // not of the passes before the first
        if progress.iteration > 0 {
            times.push((Instant::now(), cpu_seconds()));
        }
        ControlFlow::Continue(())
    };
    let fitted = em.fit_watched(x, 0, &mut watch)?;
    let wall: Vec<f64> = times.windows(2).map(|t| (t[1].0 - t[0].0).as_secs_f64()).collect();
    let cpu = match (times.first(), times.last()) {
        (Some(a), Some(b)) => (b.1 - a.1) / wall.len().max(1) as f64,
        _ => f64::NAN,
    };
    Ok(Timing { wall, cpu, bounds: fitted.trace })
}

fn theirs(peer: &mut Peer, folder: &Path, covariance: CovarianceType, iterations: usize) -> Result<Timing> {
    let answer = peer.ask(&format!("{} {covariance} {iterations}", folder.display()))?;
    let numbers =
        |name: &str| -> Vec<f64> { answer[name].as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect() };
    Ok(Timing { wall: numbers("wall"), cpu: answer["cpu"].as_f64().unwrap_or(f64::NAN), bounds: numbers("bounds") })
}

/// Σ⁻¹ in the shape the peer wants it.
fn write_start(folder: &Path, start: &GaussianMixture) -> Result<()> {
    npy::write(&folder.join("weights.npy"), start.weights())?;
    npy::write(&folder.join("means.npy"), start.means())?;
    let inverse = |sigma| linalg::cholesky(sigma).map(|l| linalg::cholesky_inverse(l.view())).map_err(|e| e.of("start"));
    let path = folder.join("precisions.npy");
    match start.covariances() {
        Covariances::Full(c) => {
            let mut out = c.clone();
            for (mut o, sigma) in out.outer_iter_mut().zip(c.outer_iter()) {
                o.assign(&inverse(sigma)?);
            }
            npy::write(&path, &out)?;
        }
        Covariances::Tied(c) => npy::write(&path, &inverse(c.view())?)?,
        Covariances::Diagonal(c) => npy::write(&path, &c.mapv(|v| 1.0 / v))?,
        Covariances::Spherical(c) => npy::write(&path, &c.mapv(|v| 1.0 / v))?,
    }
    Ok(())
}

/// Prints the table; `speed` is that of a product of two matrices.
pub(crate) fn compare(settings: &Settings, speed: f64, out: &mut impl Write) -> Result<()> {
    let chosen: Vec<Case> = cases().into_iter().filter(|c| c.name().contains(&settings.only)).collect();
    if chosen.is_empty() {
        return Ok(());
    }
    let mut peer = Peer::new(&settings.python, "mixture.py")?;
    writeln!(
        out,
        "| EM for a mixture | lvm, s | scikit-learn {}, s | ratio | target | CPU, s | CPU, s | ratio | GFLOP/s | share of the floor | log-likelihoods differ by |",
        peer.version
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|---|")?;
    for case in chosen {
        let x = table(case.layout, case.n, case.d, case.k);
        let start = start(&x, case.k, case.covariance);
        let folder = tempfile::tempdir()?;
        npy::write(&folder.path().join("x.npy"), &x)?;
        write_start(folder.path(), &start)?;
        let (mut a, mut b, mut cpu_a, mut cpu_b, mut difference) = (vec![], vec![], vec![], vec![], 0.0_f64);
        for _ in 0..settings.rounds {
            let mine = ours(&x, &start, settings.iterations)?;
            let theirs = theirs(&mut peer, folder.path(), case.covariance, settings.iterations)?;
            // theirs[t] is the bound of the parameters that M-step t of ours made
            difference = theirs.bounds.iter().skip(1).zip(&mine.bounds).fold(difference, |m, (a, b)| m.max((a - b).abs()));
            a.extend(mine.wall);
            b.extend(theirs.wall);
            cpu_a.push(mine.cpu);
            cpu_b.push(theirs.cpu);
        }
        let (a, b, cpu_a, cpu_b) = (median(a), median(b), median(cpu_a), median(cpu_b));
        let rate = case.operations() / a;
        writeln!(
            out,
            "| {} | {a:.4} | {b:.4} | {:.1} | {} | {:.4} | {:.4} | {:.1} | {:.0} | {:.2} | {difference:.0e} |",
            case.name(),
            b / a,
            case.target,
            cpu_a,
            cpu_b,
            cpu_b / cpu_a,
            rate / 1e9,
            rate / speed
        )?;
        out.flush()?;
    }
    Ok(())
}
