//! What `fit vae` and `resume` share: rows to train on and rows held out, the run itself, and its end.

use super::SCALE;
use super::settings::held_out_rows;
use super::standard::{NOTE, Units};
use crate::args::{DataArgs, SaveArgs};
use crate::failure::{Failure, Outcome};
use crate::hint;
use crate::input::Input;
use crate::progress::Bar;
use crate::report::{self, VaeReport, vae::EpochReport};
use crate::stored::Family;
use lvm_core::ErrorKind;
use lvm_core::file::{FitRecord, Header};
use lvm_core::fit::Status;
use lvm_core::random::{Purpose, stream};
use lvm_deep::checkpoint;
use lvm_deep::data::Dataset;
use lvm_deep::error::guard;
use lvm_deep::tasks::Activity;
use lvm_deep::train::{Epoch, State, Training};
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};
use ndarray::Array2;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A note in the header of checkpoints: the share of the rows held out.
pub(super) const HELD_OUT: &str = "held_out";

/// Rows by which activity is measured, at most.
const MEASURED: i64 = 10_000;

/// Rows by which it is measured after every epoch, at most.
const JUDGED: i64 = 1000;

/// A table on the device, in two parts.
pub(super) struct Split {
    pub(super) train: Dataset,
    pub(super) held_out: Option<Dataset>,
    /// Where the rows stand in the table: those held out, then those to train on.
    order: Vec<i64>,
    /// The units, where training is not in those of the table.
    pub(super) units: Option<Units>,
}

impl Split {
    /// The same rows for the same seed.
    pub(super) fn new(
        input: &Input,
        told: Option<&Array2<f64>>,
        share: f64,
        seed: u64,
        kind: Kind,
        device: tch::Device,
        standardise: bool,
    ) -> Outcome<Self> {
        let explained = |error| input.explain(Family::Vae, error);
        let mut all = Dataset::new(&input.rows(), kind, device).map_err(explained)?;
        if let Some(told) = told {
            all = all.with_condition(told).map_err(explained)?;
        }
        let mut order: Vec<i64> = (0..all.n_rows() as i64).collect();
        let held_out = held_out_rows(order.len(), share);
        if held_out > 0 {
            order.shuffle(&mut stream(seed, Purpose::Split, 0));
        }
        let (judge, rows) = order.split_at(held_out);
        let part = |all: &Dataset, rows: &[i64]| {
            let rows = all.rows.select(&Tensor::from_slice(rows).to_device(device));
            let total_weight = rows.weights.as_ref().map_or(rows.n_rows() as f64, |w| w.sum(Kind::Double).double_value(&[]));
            Dataset { rows, total_weight }
        };
        let mut train = part(&all, rows);
        let mut units = None;
        if standardise {
            let of_train = Units::of(&train.rows);
            of_train.apply(&mut all.rows);
            train = part(&all, rows);
            units = Some(of_train);
        }
        let held_out = (held_out > 0).then(|| part(&all, judge));
        for part in [Some(&train), held_out.as_ref()].into_iter().flatten() {
            if !(part.total_weight > 0.0) {
                let share = "the rows held out, or those to train on, have no weight: another --seed or --held-out 0";
                return Err(Failure::fault(format!("{}: {share}", input.path())));
            }
        }
        Ok(Split { train, held_out, order: order.clone(), units })
    }

    /// An error met with the rows to train on, as one about the table.
    pub(super) fn explain(&self, input: &Input, error: lvm_core::Error) -> Failure {
        self.explain_from(self.order.len() - self.train.n_rows(), input, error)
    }

    /// The same for rows held out.
    pub(super) fn explain_held_out(&self, input: &Input, error: lvm_core::Error) -> Failure {
        self.explain_from(0, input, error)
    }

    fn explain_from(&self, start: usize, input: &Input, error: lvm_core::Error) -> Failure {
        let error = match *error.kind() {
            ErrorKind::OutsideSupport { row, column, value, allowed } => {
                let row = self.order.get(start + row).map_or(row, |row| *row as usize);
                ErrorKind::OutsideSupport { row, column, value, allowed }.into()
            }
            _ => error,
        };
        input.explain(Family::Vae, error)
    }
}

/// A training and what becomes of it.
pub(super) struct Run<'a> {
    pub(super) input: &'a Input,
    pub(super) data: &'a DataArgs,
    pub(super) split: &'a Split,
    pub(super) training: Training,
    /// What is written about it in files besides the numbers.
    pub(super) header: Header,
    pub(super) checkpoint: Option<PathBuf>,
    pub(super) save: &'a SaveArgs,
}

/// A note: the CRC-32 of all numbers that a training began with.
pub(super) const CHECKSUM: &str = "data_crc32";
/// Notes: how the table was read.
const MISSING: &str = "data_missing";
const WEIGHTS: &str = "data_weights";
const TRANSPOSED: &str = "data_transposed";
/// A note: how many latents were active after each epoch.
const ACTIVE: &str = "active_by_epoch";

/// The numbers of a note.
fn listed(note: Option<&String>) -> Vec<i64> {
    note.map_or_else(Vec::new, |note| note.split(',').filter_map(|n| n.parse().ok()).collect())
}

/// The header of a training's files.
pub(super) fn header(input: &Input, data: &DataArgs, told: Option<&Array2<f64>>, held_out: f64, standardise: bool) -> Outcome<Header> {
    let mut notes = BTreeMap::from([(HELD_OUT.to_owned(), held_out.to_string()), (CHECKSUM.to_owned(), checksum(input, told)?)]);
    let mut say = |name: &str, value: Option<String>| notes.extend(value.map(|value| (name.to_owned(), value)));
    let yes = |is: bool| is.then(|| "yes".to_owned());
    say(SCALE, data.scale.map(|scale| scale.to_string()));
    say(NOTE, yes(standardise));
    say(MISSING, yes(data.missing));
    say(TRANSPOSED, yes(data.transpose));
    say(WEIGHTS, data.weights.clone());
    Ok(Header { columns: input.columns().to_vec(), n: Some(input.total_weight()), notes, ..Header::default() })
}

/// The table read as at the beginning, where nothing else was typed.
pub(super) fn as_before(data: &DataArgs, header: &Header) -> DataArgs {
    let mut data = data.clone();
    data.missing |= header.notes.contains_key(MISSING);
    data.transpose |= header.notes.contains_key(TRANSPOSED);
    data.weights = data.weights.or_else(|| header.notes.get(WEIGHTS).cloned());
    data
}

/// Of every number that training depends on.
pub(super) fn checksum(input: &Input, told: Option<&Array2<f64>>) -> Outcome<String> {
    let table = input.checksum().map_err(|error| input.explain(Family::Vae, error))?;
    let told = told.into_iter().flatten();
    let crc = told.fold(table, |crc, value| lvm_core::file::crc32(crc, &value.to_le_bytes()));
    Ok(format!("{crc:08x}"))
}

impl Run<'_> {
    /// Trains to the end, writes the model, and reports. Whatever fails, what was reached by then is written somewhere.
    pub(super) fn finish(self, mut state: State) -> Outcome {
        let (training, split) = (&self.training, self.split);
        let bar = Bar::epochs(training.epochs, state.epochs.len());
        let mut failed = None;
        let mut active = listed(self.header.notes.get(ACTIVE));
        let judged = split.train.rows.narrow(0, split.train.rows.n_rows().min(JUDGED));
        let mut watch = |state: &State| {
            // -1: it could not be told
            active.resize(state.epochs.len().saturating_sub(1), -1);
            active.push(Activity::new(&state.vae, &judged).map_or(-1, |activity| activity.active().len() as i64));
            if let Some(last) = state.epochs.last() {
                bar.epoch(state.epochs.len(), described(last, split.offset(), active.last().copied()));
            }
            if let Some(path) = self.checkpoint.as_deref() {
                // a checkpoint that can't be written is no reason to lose the training
                failed = self.write_checkpoint(path, state, &active).err();
            }
            ControlFlow::<()>::Continue(())
        };
        let status = training.run(&mut state, &split.train, split.held_out.as_ref(), &mut watch);
        drop(bar);
        match status {
            Ok(status) => self.end(state, status, &active, failed),
            Err(error) => Err(self.broken(&split.explain(self.input, error), &state, &active, failed.is_none())),
        }
    }

    fn encoded(&self, state: &State, active: &[i64]) -> lvm_core::Result<Vec<u8>> {
        let mut header = self.header.clone();
        header.notes.insert(ACTIVE.to_owned(), active.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
        checkpoint::encode_training(state, &self.training, self.input.n_rows(), &header)
    }

    fn write_checkpoint(&self, path: &Path, state: &State, active: &[i64]) -> Outcome {
        let bytes = self.encoded(state, active)?;
        lvm_data::output::replace(path, |out| out.write_all(&bytes)).map_err(hint::data)
    }

    /// What is left when training breaks off: the last checkpoint, or else one written now.
    fn broken(&self, failure: &Failure, state: &State, active: &[i64], written: bool) -> Failure {
        let hint = match &self.checkpoint {
            Some(path) if written && !state.epochs.is_empty() => format!("{} is as it was after the last whole epoch", path.display()),
            _ if state.epochs.is_empty() => return Failure::fault(words(failure)),
            _ => self.rescued(state, active),
        };
        Failure::fault(format!("{}\n  hint: {hint}", words(failure)))
    }

    /// Writes the training into the folder for temporary files, and says where.
    fn rescued(&self, state: &State, active: &[i64]) -> String {
        let bytes = guard("reading the parameters", || self.encoded(state, active));
        match bytes.map_err(Failure::from).and_then(|bytes| kept(".ckpt", &bytes)) {
            Ok(path) => format!("what was reached is in {0}; lvm resume {0} {1} goes on from there", path.display(), self.input.path()),
            Err(failure) => format!("nor could it be kept elsewhere: {}", words(&failure)),
        }
    }

    /// Writes the model to `-o`, or if that fails to the folder for temporary files.
    fn save(&self, vae: &Vae, header: &Header) -> Outcome {
        let Some(path) = &self.save.output else { return Ok(()) };
        let bytes = checkpoint::encode(vae, header)?;
        lvm_data::output::replace(path, |out| out.write_all(&bytes)).map_err(|error| {
            let failure = words(&hint::data(error));
            let hint = match kept(".lvm", &bytes) {
                Ok(path) => format!("training was done: the model is in {}", path.display()),
                Err(other) => format!("nor could the model be kept elsewhere: {}", words(&other)),
            };
            Failure::fault(format!("{failure}\n  hint: {hint}"))
        })
    }

    fn end(&self, state: State, status: Status, active: &[i64], checkpoint_failed: Option<Failure>) -> Outcome {
        // said at the end; with -o the model is safe, without it the training is kept elsewhere
        let unwritten = checkpoint_failed.map(|failure| {
            let hint = match &self.save.output {
                Some(path) => format!("training has ended all the same, and the model is in {}", path.display()),
                None => self.rescued(&state, active),
            };
            Failure::fault(format!("{}\n  hint: {hint}", words(&failure)))
        });
        self.report(state, status, active)?;
        unwritten.map_or(Ok(()), Err)
    }

    fn report(&self, state: State, status: Status, active: &[i64]) -> Outcome {
        let (offset, seed) = (self.split.offset(), state.seed);
        let best = state.best.as_ref().map(|(epoch, _)| *epoch);
        let mut trained = state.finish(status);
        let rows = &self.split.train.rows;
        let activity = Activity::new(&trained.vae, &rows.narrow(0, rows.n_rows().min(MEASURED)));
        if let Some(units) = &self.split.units {
            units.undo(&mut trained.vae)?;
        }
        let active = active.iter().map(|n| usize::try_from(*n).ok()).chain(std::iter::repeat(None));
        let epochs: Vec<EpochReport> =
            trained.epochs.iter().zip(active).map(|(epoch, active)| EpochReport::new(epoch, offset, active)).collect();
        // the parameters are those of the best epoch, where there are rows to judge by
        let done = best.map_or(epochs.len(), |best| best + 1);
        let trace: Vec<f64> = epochs[..done].iter().map(|e| e.held_out.map_or(e.train.bound, |m| m.bound)).collect();
        let mut header = self.header.clone();
        [NOTE, CHECKSUM, MISSING, WEIGHTS, TRANSPOSED, ACTIVE].iter().for_each(|note| drop(header.notes.remove(*note)));
        header.fit = Some(FitRecord { seed, status, trace: trace.clone(), repairs: Vec::new(), restarts: Vec::new() });
        self.save(&trained.vae, &header)?;
        let activity = activity.map_err(|error| self.input.explain(Family::Vae, error))?;
        let report = VaeReport {
            model: "vae",
            table: self.input.report(),
            seed,
            status,
            iterations: done,
            trace,
            bound: epochs.get(done.wrapping_sub(1)).map_or(f64::NAN, |e| e.held_out.map_or(e.train.bound, |m| m.bound)),
            held_out_rows: self.split.held_out.as_ref().map_or(0, Dataset::n_rows),
            latents: trained.vae.latents() as usize,
            likelihood: trained.vae.architecture.likelihood.name(),
            n_parameters: trained.vae.n_model_parameters(),
            n_encoder_parameters: trained.vae.n_encoder_parameters(),
            active_latents: activity.active(),
            collapse: activity.collapse().map(|collapse| collapse.to_string()),
            skipped_steps: trained.skipped,
            device: lvm_deep::device::name(trained.vae.parameters.device()),
            epochs,
            checkpoint: self.checkpoint.as_ref().map(|path| path.display().to_string()),
            output: self.save.output.as_ref().map(|path| path.display().to_string()),
        };
        report::print(&report, self.save.json, |report| report::vae::fit(report, self.data.scale))
    }
}

impl Split {
    /// What is added to a log density in the units of training to have that in the units of the table.
    fn offset(&self) -> f64 {
        self.units.as_ref().map_or(0.0, |units| -units.log_jacobian())
    }
}

/// Writes bytes into the folder for temporary files, under a name of its own.
fn kept(ending: &str, bytes: &[u8]) -> Outcome<PathBuf> {
    let keep = || -> std::io::Result<PathBuf> {
        let mut file = tempfile::Builder::new().prefix("lvm-").suffix(ending).tempfile()?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file.keep().map_err(|error| error.error)?.1)
    };
    keep().map_err(|error| Failure::fault(format!("{}: {error}", std::env::temp_dir().display())))
}

/// The words of a failure, without `error:`.
fn words(failure: &Failure) -> String {
    let text = failure.to_string();
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

fn described(epoch: &Epoch, offset: f64, active: Option<i64>) -> String {
    let (means, rows) = epoch.held_out.as_ref().map_or((&epoch.train, "a row"), |m| (m, "a row held out"));
    let active = active.filter(|n| *n >= 0).map_or(String::new(), |n| format!(", {n} active"));
    format!("{:.4} nats {rows}, KL {:.2}{active}", means.bound + offset, means.kl)
}
