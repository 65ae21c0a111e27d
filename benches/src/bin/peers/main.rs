//! Ours against other programs on the same data, starts and iteration counts, in one session, taking turns.
//!
//! `peers --python PATH [--only TEXT] [--rounds R] [--iterations I] [--documents FILE] [--images FILE]` prints tables in Markdown, with the
//! rows whose name holds TEXT. The documents for LDA are in a file with a line each: `LABEL WORD:COUNT WORD:COUNT …`, words counted from 1;
//! without it they are drawn. Images, an idx file, are fitted by components and factors besides a table that is drawn.

mod conjugate;
mod linear;
mod mixture;
mod stochastic;

use lvm_core::linalg;
use ndarray::{Array2, Axis};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is asked for.
struct Settings {
    python: PathBuf,
    only: String,
    rounds: usize,
    iterations: usize,
    documents: Option<PathBuf>,
    images: Option<PathBuf>,
}

impl Settings {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut settings =
            Settings { python: "python3".into(), only: String::new(), rounds: 3, iterations: 8, documents: None, images: None };
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--python" => settings.python = value.into(),
                "--only" => settings.only = value,
                "--rounds" => settings.rounds = value.parse()?,
                "--iterations" => settings.iterations = value.parse()?,
                "--documents" => settings.documents = Some(value.into()),
                "--images" => settings.images = Some(value.into()),
                _ => {
                    return Err(
                        format!("{name} is unknown; there are --python, --only, --rounds, --iterations, --documents, --images").into()
                    );
                }
            }
        }
        Ok(settings)
    }
}

fn median(mut x: Vec<f64>) -> f64 {
    x.sort_by(f64::total_cmp);
    x.get(x.len() / 2).copied().unwrap_or(f64::NAN)
}

/// User and system time of this process, in seconds; NaN where the system does not tell.
fn cpu_seconds() -> f64 {
    let read = || {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        // utime and stime are fields 14 and 15, in ticks of 10 ms
        Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) / 100.0)
    };
    read().unwrap_or(f64::NAN)
}

/// A Python process that fits on request.
struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    version: String,
}

impl Peer {
    fn new(python: &Path, script: &str) -> Result<Self> {
        Self::with(python, script, &[])
    }

    /// With settings of the environment.
    fn with(python: &Path, script: &str, environment: &[(&str, &str)]) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script);
        let environment = environment.iter().copied();
        let mut child = Command::new(python).arg(script).envs(environment).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let input = child.stdin.take();
        let mut peer = Peer { child, input, output, version: String::new() };
        peer.version = peer.answer()?["version"].as_str().unwrap_or("?").to_owned();
        Ok(peer)
    }

    fn answer(&mut self) -> Result<serde_json::Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("the peer ended early; what it said on standard error tells why".into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    fn ask(&mut self, request: &str) -> Result<serde_json::Value> {
        writeln!(self.input.as_mut().ok_or("closed")?, "{request}")?;
        self.answer()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // end of input ends the process
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Multiplications and additions per second of this machine: a product of two square matrices on all cores.
fn speed() -> f64 {
    let n = 1024;
    let a = Array2::from_shape_fn((n, n), |(i, j)| ((i * 31 + j * 17) % 13) as f64);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    (0..5)
        .map(|_| {
            let begin = Instant::now();
            let a = &a;
            std::thread::scope(|scope| {
                for part in a.axis_chunks_iter(Axis(0), n.div_ceil(threads)) {
                    scope.spawn(move || std::hint::black_box(linalg::matmul(part, a.view())));
                }
            });
            2.0 * (n as f64).powi(3) / begin.elapsed().as_secs_f64()
        })
        .fold(0.0, f64::max)
}

fn main() -> Result<()> {
    let settings = Settings::parse(std::env::args().skip(1))?;
    let mut out = std::io::stdout().lock();
    let speed = speed();
    writeln!(out, "Product of two matrices, all cores: {:.0} GFLOP/s.\n", speed / 1e9)?;
    mixture::compare(&settings, speed, &mut out)?;
    linear::compare(&settings, speed, &mut out)?;
    stochastic::compare(&settings, &mut out)?;
    conjugate::compare(&settings, &mut out)
}
