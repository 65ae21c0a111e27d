//! What `fit vae` and `resume` share: rows to train on and rows held out, the run itself, and its end.

use super::settings::held_out_rows;
use super::standard::{NOTE, Units};
use super::{SCALE, device_name};
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
use lvm_deep::tasks::Activity;
use lvm_deep::train::{Epoch, State, Training};
use lvm_deep::{Kind, Tensor};
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A note in the header of checkpoints: the share of the rows held out.
pub(super) const HELD_OUT: &str = "held_out";

/// Rows by which activity is measured, at most.
const MEASURED: i64 = 10_000;

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
    pub(super) fn new(input: &Input, share: f64, seed: u64, kind: Kind, device: tch::Device, standardise: bool) -> Outcome<Self> {
        let mut all = Dataset::new(&input.rows(), kind, device).map_err(|error| input.explain(Family::Vae, error))?;
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

impl Run<'_> {
    /// The header of a training's files.
    pub(super) fn header(input: &Input, scale: Option<f64>, held_out: f64, standardise: bool) -> Header {
        let mut notes = BTreeMap::from([(HELD_OUT.to_owned(), held_out.to_string())]);
        notes.extend(scale.map(|scale| (SCALE.to_owned(), scale.to_string())));
        notes.extend(standardise.then(|| (NOTE.to_owned(), "yes".to_owned())));
        Header { columns: input.columns().to_vec(), n: Some(input.total_weight()), notes, ..Header::default() }
    }

    /// Trains to the end, writes the model, and reports.
    pub(super) fn finish(self, mut state: State) -> Outcome {
        let (training, split) = (&self.training, self.split);
        let bar = Bar::epochs(training.epochs, state.epochs.len());
        let mut failed = None;
        let mut watch = |state: &State| {
            if let Some(last) = state.epochs.last() {
                bar.epoch(state.epochs.len(), described(last, split.offset()));
            }
            match self.checkpoint.as_deref().map(|path| self.write_checkpoint(path, state)) {
                Some(Err(failure)) => {
                    failed = Some(failure);
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        };
        let status = training.run(&mut state, &split.train, split.held_out.as_ref(), &mut watch);
        drop(bar);
        if let Some(failure) = failed {
            return Err(failure);
        }
        let status = status.map_err(|error| self.broken(&split.explain(self.input, error)))?;
        self.end(state, status)
    }

    fn write_checkpoint(&self, path: &Path, state: &State) -> Outcome {
        let bytes = checkpoint::encode_training(state, &self.training, self.input.n_rows(), &self.header)?;
        lvm_data::output::replace(path, |out| out.write_all(&bytes)).map_err(|error| {
            let failure = hint::data(error);
            Failure::fault(format!(
                "{}\n  hint: training has stopped; what was written after the epoch before is as it was",
                words(&failure)
            ))
        })
    }

    /// What is left when training breaks off.
    fn broken(&self, failure: &Failure) -> Failure {
        match &self.checkpoint {
            Some(path) => Failure::fault(format!("{}\n  hint: {} is as it was after the last whole epoch", words(failure), path.display())),
            None => Failure::fault(words(failure)),
        }
    }

    fn end(&self, state: State, status: Status) -> Outcome {
        let (offset, seed) = (self.split.offset(), state.seed);
        let best = state.best.as_ref().map(|(epoch, _)| *epoch);
        let mut trained = state.finish(status);
        let activity = Activity::new(&trained.vae, &self.split.train.rows.narrow(0, self.split.train.rows.n_rows().min(MEASURED)));
        let activity = activity.map_err(|error| self.input.explain(Family::Vae, error))?;
        if let Some(units) = &self.split.units {
            units.undo(&mut trained.vae)?;
        }
        let epochs: Vec<EpochReport> = trained.epochs.iter().map(|epoch| EpochReport::new(epoch, offset)).collect();
        // the parameters are those of the best epoch, where there are rows to judge by
        let done = best.map_or(epochs.len(), |best| best + 1);
        let trace: Vec<f64> = epochs[..done].iter().map(|e| e.held_out.map_or(e.train.bound, |m| m.bound)).collect();
        let mut header = self.header.clone();
        header.notes.remove(NOTE);
        header.fit = Some(FitRecord { seed, status, trace: trace.clone(), repairs: Vec::new(), restarts: Vec::new() });
        if let Some(path) = &self.save.output {
            lvm_data::model::save_bytes(path, checkpoint::encode(&trained.vae, &header)).map_err(hint::data)?;
        }
        let of_p = |name: &str| !name.starts_with("encoder") && !name.starts_with("posterior");
        let numbers = |of: &dyn Fn(&str) -> bool| trained.vae.parameters.trained().filter(|p| of(&p.name)).map(|p| p.value.numel()).sum();
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
            likelihood: report::vae::likelihood(&trained.vae.architecture.likelihood),
            n_parameters: numbers(&of_p),
            n_encoder_parameters: numbers(&|name: &str| !of_p(name)),
            active_latents: activity.active(),
            collapse: activity.collapse().map(|collapse| collapse.to_string()),
            skipped_steps: trained.skipped,
            device: device_name(trained.vae.parameters.device()),
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

/// The words of a failure, without `error:`.
fn words(failure: &Failure) -> String {
    let text = failure.to_string();
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

fn described(epoch: &Epoch, offset: f64) -> String {
    match &epoch.held_out {
        Some(held_out) => format!("{:.4} nats a row held out", held_out.bound + offset),
        None => format!("{:.4} nats a row", epoch.train.bound + offset),
    }
}
