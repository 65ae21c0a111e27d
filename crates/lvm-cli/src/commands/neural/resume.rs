//! `lvm resume`: a training goes on as if it had not been interrupted.

use super::condition::{Condition, Place};
use super::training::{self, HELD_OUT, Run, Split};
use super::{SCALE, open_told, resolve, standard, told_columns};
use crate::args::{DataArgs, ResumeArgs};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::{hint, output};
use lvm_deep::checkpoint;

/// Goes on with a training.
pub(crate) fn resume(args: &ResumeArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref(), &args.data.data)?;
    let device = resolve(&args.neural)?;
    let path = args.checkpoint.display().to_string();
    let resumed = lvm_data::model::load_with(&args.checkpoint, |bytes| checkpoint::decode_training(bytes, device)).map_err(hint::data)?;
    let (mut training, header, state) = (resumed.training, resumed.header, resumed.state);
    let note = |name: &str| header.notes.get(name).and_then(|text| text.parse::<f64>().ok());
    let data = DataArgs { scale: args.data.scale.or(note(SCALE)), ..training::as_before(&args.data, &header) };
    let condition = Condition::from_header(&header)?;
    let file = args.neural.condition_from.as_deref();
    let input = open_told(&data, &told_columns(&condition, file)?, |data| Input::for_columns(data, &path, &header.columns))?;
    if input.n_rows() != resumed.rows {
        return Err(Failure::fault(format!(
            "{}: {} rows, where the training in {path} began with {}\n  hint: {SAME}",
            input.path(),
            input.n_rows(),
            resumed.rows
        )));
    }
    let told = condition.numbers(Place { input: &input, file, format: &data.format })?;
    if let Some(before) = header.notes.get(training::CHECKSUM)
        && *before != training::checksum(&input, told.as_ref())?
    {
        return Err(Failure::fault(format!(
            "{}: other numbers than those the training in {path} began with (cells, row weights or what the model is told)\n  hint: {SAME}",
            input.path()
        )));
    }
    let done = state.epochs.len();
    if let Some(epochs) = args.epochs {
        if epochs < done {
            return Err(Failure::usage(format!("--epochs {epochs}: {path} has {done} behind it already; name at least so many")));
        }
        training.epochs = epochs;
    }
    let standardise = header.notes.contains_key(standard::NOTE);
    let kind = state.vae.parameters.kind();
    let split = Split::new(&input, told.as_ref(), note(HELD_OUT).unwrap_or(0.0), state.seed, kind, device, standardise)?;
    state.vae.check(&split.train.rows).map_err(|error| split.explain(&input, error))?;
    let checkpoint = Some(args.checkpoint.clone());
    Run { input: &input, data: &data, split: &split, training, header, checkpoint, save: &args.save }.finish(state)
}

/// What a training goes on with.
const SAME: &str = "a training goes on with the same table read in the same way; lvm fit vae begins a new one";
