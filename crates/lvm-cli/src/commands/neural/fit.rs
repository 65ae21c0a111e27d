//! `lvm fit vae`.

use super::settings::{Settings, print};
use super::training::{Run, Split};
use super::{located, standard};
use crate::args::FitVaeArgs;
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::{output, report};
use lvm_deep::Kind;
use lvm_deep::vae::Vae;

/// Fits a variational autoencoder.
pub(crate) fn fit(args: &FitVaeArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref())?;
    output::check_model_target(args.training.checkpoint.as_deref())?;
    if args.save.output.is_some() && args.save.output == args.training.checkpoint {
        return Err(Failure::usage("-o and --checkpoint name the same file; the model needs one of its own"));
    }
    let input = Input::open(&args.data)?;
    let settings = Settings::of(args, input.n_rows(), input.largest())?;
    if args.print_config {
        return report::print(&(), false, |()| print(&settings));
    }
    let standardise = settings.model.standardise.unwrap_or(false);
    let architecture = settings.architecture(input.columns().len());
    if standardise {
        standard::check(&architecture)?;
    }
    let device = located(settings.device()?)?;
    let kind = if settings.run.f64 { Kind::Double } else { Kind::Float };
    let (seed, held_out) = (settings.run.seed, settings.run.held_out);
    let split = Split::new(&input, held_out, seed, kind, device, standardise)?;
    let training = settings.training;
    let state = Vae::new(architecture, &split.train, seed).and_then(|vae| training.init(vae, &split.train, seed));
    let state = state.map_err(|error| split.explain(&input, error))?;
    if let Some(rows) = &split.held_out {
        // a value outside the support among the rows held out is found now, not after an epoch
        state.vae.check(&rows.rows).map_err(|error| split.explain_held_out(&input, error))?;
    }
    let header = Run::header(&input, args.data.scale, held_out, standardise);
    let checkpoint = args.training.checkpoint.clone();
    Run { input: &input, data: &args.data, split: &split, training, header, checkpoint, save: &args.save }.finish(state)
}
