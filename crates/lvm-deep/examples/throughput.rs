//! Samples per second of training small autoencoders on binarised MNIST: Bernoulli, batch 128, Adam 1e-3, f32, rows resident in memory; with
//! `--peer`, PyTorch's in turns with ours. Models: mlp (784-400-20, which every library shows first), conv (28x28-32-64-256-20 and back), gru (28
//! steps of 28 pixels, width 128, both ways in the encoder).
//!
//! `cargo run --release -p lvm-deep --example throughput -- [--data FOLDER] [--models mlp,conv,gru] [--steps N] [--rounds 5] [--threads N] [--peer PYTHON]`
//!
//! FOLDER is that of statically binarised MNIST. PYTHON is an interpreter with torch. Wall time says what a user waits for; on a machine that
//! others use too, processor time compares better, but counts the waiting of threads for each other as work.

#![allow(clippy::print_stdout)]

mod shared;

use lvm_deep::Kind;
use lvm_deep::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec};
use lvm_deep::data::Dataset;
use lvm_deep::nets::{Activation, Cell, ConvolutionSpec, Image, RecurrentSpec, Steps};
use lvm_deep::train::{State, Training};
use lvm_deep::vae::Vae;
use ndarray::Array2;
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

/// What is trained, how many steps a round takes unless told, and how many times PyTorch's speed is asked for: with its default Adam and with
/// the fused one.
struct Work {
    name: &'static str,
    architecture: Architecture,
    steps: usize,
    targets: [f64; 2],
}

fn works() -> [Work; 3] {
    let base = |hidden: &[i64]| Architecture { likelihood: LikelihoodSpec::Bernoulli, ..Architecture::mlp(784, 20, hidden) };
    let convolution = |channels: [i64; 2]| ConvolutionSpec {
        image: Image { channels: 1, height: 28, width: 28 },
        channels: channels.to_vec(),
        hidden: vec![256],
        activation: Activation::Relu,
    };
    let gru = || RecurrentSpec { steps: Steps::Numbers { columns: 28 }, cell: Cell::Gru, hidden: 128, layers: 1 };
    let (conv_in, conv_out) = (EncoderSpec::Convolution(convolution([32, 64])), DecoderSpec::Convolution(convolution([64, 32])));
    let (gru_in, gru_out) = (EncoderSpec::Recurrent(gru()), DecoderSpec::Recurrent(gru()));
    [
        Work { name: "mlp", architecture: base(&[400]), steps: 300, targets: [2.3, 1.2] },
        Work {
            name: "conv",
            architecture: Architecture { encoder: conv_in, decoder: conv_out, ..base(&[]) },
            steps: 40,
            targets: [1.0, 1.0],
        },
        Work { name: "gru", architecture: Architecture { encoder: gru_in, decoder: gru_out, ..base(&[]) }, steps: 40, targets: [1.0, 1.0] },
    ]
}

fn main() -> Outcome {
    let arguments = Arguments::new();
    let file = arguments.folder("mnist_static", SOURCE)?.join("train-bin-idx3-ubyte.gz");
    let (models, threads): (String, i32) = (arguments.option("models", "mlp,conv,gru".to_owned())?, arguments.option("threads", 0)?);
    if threads > 0 {
        tch::set_num_threads(threads);
        rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build_global()?;
    }
    let all = table(&file)?;
    let works = works();
    if let Some(unknown) = models.split(',').find(|m| works.iter().all(|w| w.name != *m)) {
        return Err(format!("--models {unknown}: mlp, conv, gru, or several with commas between").into());
    }
    works.iter().filter(|w| models.split(',').any(|m| m == w.name)).try_for_each(|work| measure(work, &all, &file, threads, &arguments))
}

/// Rounds of one model, in turns with the peer, and their medians.
fn measure(work: &Work, all: &Array2<f64>, file: &Path, threads: i32, arguments: &Arguments) -> Outcome {
    let (steps, rounds): (usize, usize) = (arguments.option("steps", work.steps)?, arguments.option("rounds", 5)?);
    let peer: String = arguments.option("peer", String::new())?;
    let x = some(all, steps * BATCH);
    let data = Dataset::new(&x, Kind::Float, tch::Device::Cpu)?;
    let training = Training { batch_size: BATCH, ..Training::default() };
    let mut state = training.init(Vae::new(work.architecture.clone(), &data, 1)?, &data, 1)?;
    let mut session = if peer.is_empty() { None } else { Some(Peer::start(&peer, file, threads, work.name)?) };
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
    let version = session.as_ref().map_or("", |s| s.version.as_str());
    let names = ["lvm-deep".to_owned(), format!("PyTorch {version}, default Adam"), format!("PyTorch {version}, fused Adam")];
    println!(
        "\n| {}: {} threads, medians of {rounds} rounds of {steps} steps | ms a step | processor | samples/s | last bound, nats | over ours | processor | target |\n|---|---|---|---|---|---|---|---|",
        work.name,
        tch::get_num_threads()
    );
    for (at, name) in names.iter().enumerate() {
        let of = |f: fn(&Cost) -> f64| median(costs.iter().filter_map(|c| c[at].as_ref().map(f)).collect());
        let (Some(wall), Some(processor)) = (of(|c| c.wall), of(|c| c.processor)) else { continue };
        let bound = costs.last().and_then(|c| c[at]).map_or(f64::NAN, |c| c.bound);
        let (each, samples) = (1e3 / steps as f64, (steps * BATCH) as f64 / wall);
        print!("| {name} | {:.3} | {:.3} | {samples:.0} | {bound:.3} ", wall * each, processor * each);
        // medians of the ratios of the rounds
        let ratio = |f: fn(&Cost) -> f64| median(costs.iter().filter_map(|c| Some(f(c[at].as_ref()?) / f(c[0].as_ref()?))).collect());
        match (ratio(|c| c.wall).filter(|_| at > 0), ratio(|c| c.processor)) {
            (Some(wall), Some(processor)) => {
                let target = work.targets[at - 1];
                let verdict = if wall >= target { "met" } else { "MISSED" };
                println!("| {wall:.2} | {processor:.2} | {target} {verdict} |");
            }
            _ => println!("| | | |"),
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
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(0.5 * (low + high))
}

/// A session with benches/peers/neural.py.
struct Peer {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    version: String,
}

impl Peer {
    fn start(python: &str, data: &Path, threads: i32, model: &str) -> Outcome<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/peers/neural.py");
        let mut command = Command::new(python);
        command.arg(script).arg(data).arg(threads.to_string()).arg(model).stdin(Stdio::piped()).stdout(Stdio::piped());
        // an interpreter finds its own libtorch, not ours
        let mut process = command.env_remove("LD_LIBRARY_PATH").spawn().map_err(|e| format!("{python}: {e}"))?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let mut peer = Peer { process, input, output: BufReader::new(output.ok_or("no output")?), version: String::new() };
        peer.version = peer.line()?["version"].as_str().unwrap_or("?").to_owned();
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
