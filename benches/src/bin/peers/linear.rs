//! Seconds per fit of principal components and factor analysis, on a table drawn and on images.

use super::{Peer, Result, Settings, cpu_seconds, median};
use lvm_bench::{data, npy};
use lvm_core::fa::FaMl;
use lvm_core::ppca::PpcaMl;
use lvm_data::{ReadOptions, Table};
use ndarray::Array2;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// N and D of the table drawn: those of the MNIST training images.
const SHAPE: (usize, usize) = (60_000, 784);
/// Directions in which the rows of the table truly vary.
const RANK: usize = 60;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Ppca,
    Fa,
}

/// One row of the table that is printed.
struct Case {
    kind: Kind,
    components: usize,
    target: f64,
}

const CASES: [Case; 2] = [Case { kind: Kind::Ppca, components: 50, target: 2.0 }, Case { kind: Kind::Fa, components: 20, target: 30.0 }];

/// Rows to fit.
struct Rows {
    /// What they are, if not the table drawn.
    what: Option<String>,
    x: Array2<f64>,
}

impl Rows {
    fn images(file: &Path) -> Result<Self> {
        Ok(Rows { what: Some(Self::title(file)), x: Table::read(file, &ReadOptions::default())?.x })
    }

    /// Of `fashion_mnist/train-images-idx3-ubyte.gz` the folder tells what it is.
    fn title(file: &Path) -> String {
        file.parent().and_then(Path::file_name).unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
    }

    fn drawn() -> Self {
        Rows { what: None, x: data::low_rank(SHAPE.0, SHAPE.1, RANK) }
    }
}

impl Case {
    fn what(&self, what: Option<&str>) -> String {
        let kind = if self.kind == Kind::Ppca { "PPCA" } else { "factor analysis" };
        what.map_or(kind.to_owned(), |w| format!("{kind} of {w}"))
    }

    fn name(&self, (n, d): (usize, usize), what: Option<&str>) -> String {
        format!("{}, N={n} D={d} q={}", self.what(what), self.components)
    }

    /// Multiplications and additions of half a covariance, N D²: the floor of both, at the speed of a product in f64.
    fn operations((n, d): (usize, usize)) -> f64 {
        n as f64 * (d as f64).powi(2)
    }

    /// What the peer calls it.
    fn peer_name(&self) -> &'static str {
        if self.kind == Kind::Ppca { "pca" } else { "fa" }
    }

    /// Seconds since the beginning and mean log-likelihood per row after each iteration.
    fn fit(&self, x: &Array2<f64>) -> Result<Vec<(f64, f64)>> {
        let begin = Instant::now();
        match self.kind {
            Kind::Ppca => {
                let fitted = PpcaMl { components: self.components, ..Default::default() }.fit(x, 0)?;
                Ok(vec![(begin.elapsed().as_secs_f64(), fitted.objective())])
            }
            Kind::Fa => {
                let mut course = Vec::new();
                FaMl { factors: self.components, restarts: 1, ..Default::default() }.fit_watched(x, 0, &mut |progress| {
                    if progress.iteration > 0 {
                        course.push((begin.elapsed().as_secs_f64(), progress.objective));
                    }
                    ControlFlow::Continue(())
                })?;
                Ok(course)
            }
        }
    }
}

/// Prints the table; `speed` is that of a product of two matrices.
pub(crate) fn compare(settings: &Settings, speed: f64, out: &mut impl Write) -> Result<()> {
    let chosen = |name: &dyn Fn(&Case) -> String| CASES.iter().any(|c| name(c).contains(&settings.only));
    let drawn = chosen(&|c| c.name(SHAPE, None));
    // their number is not known before they are read: what comes before it in the name decides
    let images = settings.images.as_deref().filter(|file| chosen(&|c| c.what(Some(&Rows::title(file)))));
    if !drawn && images.is_none() {
        return Ok(());
    }
    let mut peer = Peer::new(&settings.python, "linear.py")?;
    let version = &peer.version;
    writeln!(
        out,
        "\n| fit | lvm, s | lvm to the same log-likelihood, s | scikit-learn {version}, s | ratio | target | CPU, s | CPU, s | ratio | iterations | iterations | share of the floor | log-likelihood | log-likelihood |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")?;
    if drawn {
        fits(settings, &Rows::drawn(), &mut peer, speed, out)?;
    }
    match images {
        Some(file) => fits(settings, &Rows::images(file)?, &mut peer, speed, out),
        None => Ok(()),
    }
}

/// The rows of one table.
fn fits(settings: &Settings, table: &Rows, peer: &mut Peer, speed: f64, out: &mut impl Write) -> Result<()> {
    let Rows { what, x } = table;
    let folder = tempfile::tempdir()?;
    npy::write(&folder.path().join("x.npy"), x)?;
    for case in &CASES {
        let name = case.name(x.dim(), what.as_deref());
        if !name.contains(&settings.only) {
            continue;
        }
        let (mut a, mut same, mut b, mut cpu_a, mut cpu_b) = (vec![], vec![], vec![], vec![], vec![]);
        let (mut mine, mut theirs) = ((0, 0.0), (0.0, 0.0));
        for _ in 0..settings.rounds {
            let (begin, work) = (Instant::now(), cpu_seconds());
            let course = case.fit(x)?;
            a.push(begin.elapsed().as_secs_f64());
            cpu_a.push(cpu_seconds() - work);
            let answer = peer.ask(&format!("{} {} {}", folder.path().display(), case.peer_name(), case.components))?;
            let number = |name: &str| answer[name].as_f64().unwrap_or(f64::NAN);
            theirs = (number("iterations"), number("log_likelihood"));
            b.push(number("wall"));
            mine = (course.len(), course.last().map_or(f64::NAN, |c| c.1));
            same.extend(course.iter().find(|c| c.1 >= theirs.1).map(|c| c.0));
            cpu_b.push(number("cpu"));
        }
        let (a, same, b, cpu_a, cpu_b) = (median(a), median(same), median(b), median(cpu_a), median(cpu_b));
        writeln!(
            out,
            "| {} | {a:.3} | {same:.3} | {b:.3} | {:.1} | {} | {cpu_a:.3} | {cpu_b:.3} | {:.1} | {} | {} | {:.2} | {:.6} | {:.6} |",
            name,
            b / same,
            case.target,
            cpu_b / cpu_a,
            mine.0,
            theirs.0,
            Case::operations(x.dim()) / same / speed,
            mine.1,
            theirs.1
        )?;
        out.flush()?;
    }
    Ok(())
}
