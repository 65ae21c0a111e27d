//! Samples per second of training the small autoencoder that every library shows first: 784-400-20, Bernoulli, batch 128, Adam 1e-3, f32, rows
//! resident in memory; with `--peer`, PyTorch's in turns with ours.
//!
//! `cargo run --release -p lvm-deep --example throughput -- [--data FOLDER] [--steps 300] [--rounds 5] [--threads N] [--peer PYTHON]`
//!
//! FOLDER is that of statically binarised MNIST. PYTHON is an interpreter with torch. Wall time says what a user waits for; on a machine that
//! others use too, processor time compares better, but counts the waiting of threads for each other as work.

#![allow(clippy::print_stdout)]

mod shared;

use lvm_deep::Kind;
use lvm_deep::architecture::{Architecture, LikelihoodSpec};
use lvm_deep::data::Dataset;
use lvm_deep::train::{State, Training};
use lvm_deep::vae::Vae;
use shared::{Arguments, Outcome, processor_seconds, some, table};
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

const BATCH: usize = 128;
const SOURCE: &str = "Larochelle's binarized_mnist_train as an idx file train-bin-idx3-ubyte.gz";

/// What some steps took.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall: f64,
    processor: f64,
    bound: f64,
}

fn main() -> Outcome {
    let arguments = Arguments::new();
    let file = arguments.folder("mnist_static", SOURCE)?.join("train-bin-idx3-ubyte.gz");
    let (steps, rounds): (usize, usize) = (arguments.option("steps", 300)?, arguments.option("rounds", 5)?);
    let (peer, threads): (String, i32) = (arguments.option("peer", String::new())?, arguments.option("threads", 0)?);
    if threads > 0 {
        tch::set_num_threads(threads);
    }
    let x = some(&table(&file)?, steps * BATCH);
    let data = Dataset::new(&x, Kind::Float, tch::Device::Cpu)?;
    let architecture = Architecture { likelihood: LikelihoodSpec::Bernoulli, ..Architecture::mlp(784, 20, &[400]) };
    let training = Training { batch_size: BATCH, ..Training::default() };
    let mut state = training.init(Vae::new(architecture, &data, 1)?, &data, 1)?;
    let mut session = if peer.is_empty() { None } else { Some(Peer::start(&peer, &file, threads)?) };
    println!("{} steps of {BATCH} rows, {} threads", x.nrows() / BATCH, tch::get_num_threads());

    let mut costs: Vec<[Option<Cost>; 3]> = Vec::new();
    // the first round warms up and does not count
    for round in 0..=rounds {
        let ours = epoch(&training, &mut state, &data)?;
        let theirs = match &mut session {
            Some(peer) => [Some(peer.ask("default", steps)?), Some(peer.ask("fused", steps)?)],
            None => [None, None],
        };
        if round > 0 {
            costs.push([Some(ours), theirs[0], theirs[1]]);
        }
    }
    println!("median of {rounds} rounds       wall ms/step   samples/s   processor ms/step   last bound");
    for (at, name) in ["lvm-deep", "PyTorch, default Adam", "PyTorch, fused Adam"].into_iter().enumerate() {
        let of = |f: fn(&Cost) -> f64| median(costs.iter().filter_map(|c| c[at].as_ref().map(f)).collect());
        let (Some(wall), Some(processor)) = (of(|c| c.wall), of(|c| c.processor)) else { continue };
        let bound = costs.last().and_then(|c| c[at]).map_or(f64::NAN, |c| c.bound);
        let samples = (steps * BATCH) as f64 / wall;
        let each = 1e3 / steps as f64;
        println!("{name:24} {:12.3} {samples:12.0} {:18.3} {bound:14.3}", wall * each, processor * each);
    }
    for (at, name) in [(1, "default"), (2, "fused")] {
        let ratio = |f: fn(&Cost) -> f64| median(costs.iter().filter_map(|c| Some(f(c[at].as_ref()?) / f(c[0].as_ref()?))).collect());
        if let (Some(wall), Some(processor)) = (ratio(|c| c.wall), ratio(|c| c.processor)) {
            println!(
                "ours against PyTorch {name}: {wall:.2} times by wall time, {processor:.2} times by processor time (medians of the rounds' ratios)"
            );
        }
    }
    Ok(())
}

/// One epoch of ours.
fn epoch(training: &Training, state: &mut State, data: &Dataset) -> Outcome<Cost> {
    let training = Training { epochs: state.epochs.len() + 1, ..training.clone() };
    let (start, before) = (Instant::now(), processor_seconds());
    training.run(state, data, None, &mut |_| ControlFlow::Continue(()))?;
    let processor = processor_seconds().zip(before).map_or(f64::NAN, |(after, before)| after - before);
    let bound = state.epochs.last().map_or(f64::NAN, |e| e.train.bound);
    Ok(Cost { wall: start.elapsed().as_secs_f64(), processor, bound })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// A session with benches/peers/neural.py.
struct Peer {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start(python: &str, data: &Path, threads: i32) -> Outcome<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/peers/neural.py");
        let mut command = Command::new(python);
        command.arg(script).arg(data).arg(threads.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        // an interpreter finds its own libtorch, not ours
        let mut process = command.env_remove("LD_LIBRARY_PATH").spawn().map_err(|e| format!("{python}: {e}"))?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let mut peer = Peer { process, input, output: BufReader::new(output.ok_or("no output")?) };
        println!("peer: {}", peer.line()?);
        Ok(peer)
    }

    fn line(&mut self) -> Outcome<serde_json::Value> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(serde_json::from_str(&line).map_err(|e| format!("the peer said {line:?}: {e}"))?)
    }

    fn ask(&mut self, mode: &str, steps: usize) -> Outcome<Cost> {
        writeln!(self.input.as_mut().ok_or("the peer has ended")?, "{mode} {steps}")?;
        let answer = self.line()?;
        let number = |name: &str| answer[name].as_f64().unwrap_or(f64::NAN);
        Ok(Cost { wall: number("wall"), processor: number("cpu"), bound: number("bound") })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // end of input ends the peer
        self.input = None;
        let _ = self.process.wait();
    }
}
