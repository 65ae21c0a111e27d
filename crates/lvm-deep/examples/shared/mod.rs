//! What the examples share: where the data lies, the arguments, tables of results.

#![allow(dead_code, clippy::print_stdout)]

use lvm_core::bound::Bound;
use lvm_core::random::{Purpose, stream};
use lvm_data::{ReadOptions, Table};
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::device::Device;
use lvm_deep::tasks::{Activity, Information};
use lvm_deep::train::record::Means;
use lvm_deep::train::{Trained, Training};
use lvm_deep::vae::Vae;
use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Whatever goes wrong ends the example with its message.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The arguments: `--name value`, `--flag`, and one folder.
pub(crate) struct Arguments {
    words: Vec<String>,
}

impl Arguments {
    /// Of the command line.
    pub(crate) fn new() -> Self {
        Arguments { words: std::env::args().skip(1).collect() }
    }

    /// Whether `--name` was given.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.words.iter().any(|w| w.strip_prefix("--") == Some(name))
    }

    /// What stands behind `--name`, or `default`.
    pub(crate) fn option<T: std::str::FromStr>(&self, name: &str, default: T) -> Outcome<T> {
        match self.words.iter().position(|w| w.strip_prefix("--") == Some(name)).map(|at| self.words.get(at + 1)) {
            None => Ok(default),
            Some(None) => Err(format!("--{name} needs a value").into()),
            Some(Some(text)) => text.parse().map_err(|_| format!("--{name} {text}: this is no value it can have").into()),
        }
    }

    /// The folder of a data set: `--data FOLDER`, else `name` below the variable LVM_DATA, else below ../shared/data.
    ///
    /// # Errors
    /// If it is not there; the message says where to get the files.
    pub(crate) fn folder(&self, name: &str, source: &str) -> Outcome<PathBuf> {
        let given: String = self.option("data", String::new())?;
        let folder = match (given.is_empty(), std::env::var_os("LVM_DATA")) {
            (false, _) => PathBuf::from(given),
            (true, Some(root)) => PathBuf::from(root).join(name),
            (true, None) => PathBuf::from("../shared/data").join(name),
        };
        if folder.is_dir() {
            return Ok(folder);
        }
        Err(format!(
            "THE DATA IS NOT THERE: no folder {}.\nGive it by --data FOLDER, or set LVM_DATA to the folder above {name}.\nWhere to get it: {source}",
            folder.display()
        )
        .into())
    }
}

/// All numbers of an idx, csv or Matrix Market file, compressed or not.
pub(crate) fn table(path: impl AsRef<Path>) -> Outcome<Array2<f64>> {
    Ok(Table::read(path, &ReadOptions::default())?.x)
}

/// The lines of a text file that may be compressed.
pub(crate) fn lines(path: impl AsRef<Path>) -> Outcome<Vec<String>> {
    use std::io::Read;
    let file = std::fs::File::open(&path).map_err(|e| format!("{}: {e}", path.as_ref().display()))?;
    let mut text = String::new();
    if path.as_ref().extension().is_some_and(|e| e == "gz") {
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text)?;
    } else {
        std::io::BufReader::new(file).read_to_string(&mut text)?;
    }
    Ok(text.lines().map(str::to_owned).collect())
}

/// `n` rows at random, the same every time, or all in their order: some files are sorted by class, so the first would not be typical.
pub(crate) fn some(x: &Array2<f64>, n: usize) -> Array2<f64> {
    if n >= x.nrows() { x.clone() } else { rows(x, &shuffled(x.nrows(), 0)[..n]) }
}

/// The rows of these numbers.
pub(crate) fn rows(x: &Array2<f64>, index: &[usize]) -> Array2<f64> {
    x.select(Axis(0), index)
}

/// User and system time of this process in seconds, where the system tells it.
pub(crate) fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // behind the name, which is in parentheses: fields 3, 4, …; ticks of 10 ms
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) / 100.0)
}

/// Numbers of `n` rows at most to train on, and of a tenth as many others by which the epoch is chosen; at random, the same every time.
pub(crate) fn to_train_and_choose_by(rows: usize, n: usize) -> (Vec<usize>, Vec<usize>) {
    let n = n.min(rows * 10 / 11);
    let order = shuffled(rows, 0);
    (order[..n].to_vec(), order[n..n + (n / 10).max(1)].to_vec())
}

/// Trains with a line now and then, at most `--minutes` long, and goes back to the epoch with the best bound of `valid`. Those rows must not be
/// the ones that figures are reported of: a bound that was chosen as the largest of many is too large.
pub(crate) fn train(training: &Training, vae: Vae, data: &Dataset, valid: Option<&Dataset>, arguments: &Arguments) -> Outcome<Trained> {
    let minutes: f64 = arguments.option("minutes", f64::INFINITY)?;
    let start = Instant::now();
    let mut state = training.init(vae, data, arguments.option("seed", 1)?)?;
    let every = (training.epochs / 10).max(1);
    let few = data.rows.narrow(0, data.rows.n_rows().min(1000));
    let status = training.run(&mut state, data, valid, &mut |state| {
        let late = start.elapsed().as_secs_f64() > 60.0 * minutes;
        let done = state.epochs.len();
        if let Some(epoch) = state.epochs.last().filter(|_| done.is_multiple_of(every) || late || done == 1) {
            let valid = epoch.held_out.map_or_else(String::new, |h| format!(", held out {:.3}", h.bound));
            let Means { bound, reconstruction, kl } = epoch.train;
            let seconds = start.elapsed().as_secs_f64();
            let left = (seconds / done as f64 * (training.epochs - done) as f64).min(60.0 * minutes - seconds).max(0.0);
            let active = Activity::new(&state.vae, &few).map_or("-".to_owned(), |a| a.active().len().to_string());
            print!("epoch {done:5}: bound {bound:.3}, reconstruction {reconstruction:.3}, KL {kl:.3}{valid} nats a row; ");
            println!("active {active}; {seconds:.0} s, {left:.0} s left");
        }
        if late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some((epoch, _)) = &state.best {
        println!("the parameters are those of epoch {}, the best by {} rows held out", epoch + 1, valid.map_or(0, Dataset::n_rows));
    }
    let trained = state.finish(status);
    if trained.skipped > 0 {
        println!("{} steps were skipped: not finite", trained.skipped);
    }
    Ok(trained)
}

/// `--device auto|cpu|cuda`, the CPU if not given.
pub(crate) fn device(arguments: &Arguments) -> Outcome<tch::Device> {
    let name: String = arguments.option("device", "cpu".to_owned())?;
    Ok(match name.as_str() {
        "auto" => Device::Auto,
        "cpu" => Device::Cpu,
        "cuda" => Device::Cuda(0),
        other => return Err(format!("--device {other}: auto, cpu or cuda").into()),
    }
    .resolve()?)
}

/// Mean over the rows and the standard error that the rows' spread gives it.
pub(crate) fn mean_of(bound: &Bound) -> (f64, f64) {
    mean(&bound.rows.iter().map(|r| r.mean).collect::<Vec<_>>())
}

/// Mean and its standard error.
pub(crate) fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, (squares / (n * (n - 1.0))).sqrt())
}

/// 0 … n − 1 in an order that depends on the seed.
pub(crate) fn shuffled(n: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut stream(seed, Purpose::Split, 0));
    order
}

/// Says how many latents are in use, and how much they tell of the first thousand rows.
pub(crate) fn activity(vae: &Vae, batch: &Batch) -> Outcome {
    let activity = Activity::new(vae, batch)?;
    println!("active units: {} of {}", activity.active().len(), activity.variance.len());
    let few = batch.narrow(0, batch.n_rows().min(1000));
    let Information { mutual, prior_gap, .. } = Information::new(vae, &few, 2, 7)?;
    let most = (few.n_rows() as f64).ln();
    println!("I(x; z) {:.2} +- {:.2} nats of {most:.2} at most, KL(q(z) || p(z)) {:.2}", mutual.mean, mutual.std_err, prior_gap.mean);
    if let Some(collapse) = activity.collapse() {
        println!("{collapse}");
    }
    Ok(())
}
