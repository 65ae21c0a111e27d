//! `lvm fit vae`.

use super::condition::{Condition, Place, Told, split_kind};
use super::settings::{Facts, Settings, print};
use super::training::{Run, Split, header};
use super::{located, open_told, standard, told_columns};
use crate::args::FitVaeArgs;
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::{output, report};
use lvm_deep::Kind;
use lvm_deep::vae::Vae;
use std::path::Path;

/// Fits a variational autoencoder.
pub(crate) fn fit(args: &FitVaeArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref(), &args.data.data)?;
    output::check_model_target(args.training.checkpoint.as_deref(), &args.data.data)?;
    if args.save.output.is_some() && args.save.output == args.training.checkpoint {
        return Err(Failure::usage("-o and --checkpoint name the same file; the model needs one of its own"));
    }
    if args.print_config && args.data.data == Path::new("-") {
        // without a table: what depends on it is as for a large one
        return show(&Settings::of(args, Facts::default())?);
    }
    let (input, condition) = open(args)?;
    let facts = Facts { rows: Some(input.n_rows()), columns: Some(input.columns().len()), largest: Some(input.largest()) };
    let settings = Settings::of(args, facts)?;
    if args.print_config {
        return show(&settings);
    }
    let told = condition.numbers(Place { input: &input, file: args.neural.condition_from.as_deref(), format: &args.data.format })?;
    let standardise = settings.model.standardise.unwrap_or(false);
    let architecture = settings.architecture(input.columns().len(), condition.width());
    if standardise {
        standard::check(&architecture)?;
    }
    let device = located(settings.device()?)?;
    let kind = if settings.run.f64 { Kind::Double } else { Kind::Float };
    let (seed, held_out) = (settings.run.seed, settings.run.held_out);
    let split = Split::new(&input, told.as_ref(), held_out, seed, kind, device, standardise)?;
    let training = settings.training;
    let state = Vae::new(architecture, &split.train, seed).and_then(|vae| training.init(vae, &split.train, seed));
    let state = state.map_err(|error| split.explain(&input, error))?;
    if let Some(rows) = &split.held_out {
        // a value outside the support among the rows held out is found now, not after an epoch
        state.vae.check(&rows.rows).map_err(|error| split.explain_held_out(&input, error))?;
    }
    let mut header = header(&input, &args.data, told.as_ref(), held_out, standardise)?;
    condition.note(&mut header);
    let checkpoint = args.training.checkpoint.clone();
    Run { input: &input, data: &args.data, split: &split, training, header, checkpoint, save: &args.save }.finish(state)
}

fn show(settings: &Settings) -> Outcome {
    report::print(&(), false, |()| print(settings))
}

/// The table without the columns that the model is told, and what those are.
fn open(args: &FitVaeArgs) -> Outcome<(Input, Condition)> {
    let typed = Settings::condition(args)?;
    let named = typed.iter().map(|typed| Told { column: split_kind(typed).0.to_owned(), levels: None }).collect();
    let file = args.neural.condition_from.as_deref();
    let input = open_told(&args.data, &told_columns(&Condition(named), file)?, Input::open)?;
    let condition = Condition::of(&typed, Place { input: &input, file, format: &args.data.format })?;
    Ok((input, condition))
}
