//! Second stage: arguments checked against each other and against the data, then the work.

mod apply;
mod bayesian;
mod compare;
mod doctor;
mod fit;
mod impute;
pub(crate) mod infer;
mod info;
#[cfg(feature = "deep")]
pub(crate) mod neural;
mod plot;
mod sample;
mod score;
mod select;
pub(crate) mod verify;

use crate::args::Command;
use crate::failure::Outcome;
#[cfg(feature = "deep")]
use crate::stored::is_neural;

/// Does what was asked for.
pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Fit(command) => fit::run(command),
        Command::Select(command) => select::run(command),
        #[cfg(feature = "deep")]
        Command::Score(args) if is_neural(&args.model) => neural::score(&args),
        Command::Score(args) => score::run(&args),
        #[cfg(feature = "deep")]
        Command::Posterior(args) if is_neural(&args.model) => neural::posterior(&args),
        Command::Posterior(args) => apply::posterior(&args),
        Command::Infer(args) => infer::run(&args),
        #[cfg(feature = "deep")]
        Command::Map(args) if is_neural(&args.model) => neural::map(&args),
        Command::Map(args) => apply::map(&args),
        #[cfg(feature = "deep")]
        Command::Sample(args) if is_neural(&args.model) => neural::sample(&args),
        Command::Sample(args) => sample::run(&args),
        #[cfg(feature = "deep")]
        Command::Impute(args) if is_neural(&args.model) => neural::impute(&args),
        Command::Impute(args) => impute::run(args),
        #[cfg(feature = "deep")]
        Command::Verify(args) if is_neural(&args.model) => verify::run_neural(&args),
        Command::Verify(args) => verify::run(&args),
        #[cfg(feature = "deep")]
        Command::Info(args) if is_neural(&args.model) => neural::info(&args),
        Command::Info(args) => info::run(&args),
        Command::Plot(command) => plot::run(&command),
        Command::Compare(args) => compare::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        #[cfg(not(feature = "deep"))]
        Command::Resume(_) | Command::Reconstruct(_) | Command::Interpolate(_) | Command::Ood(_) => Err(absent()),
        #[cfg(feature = "deep")]
        Command::Resume(args) => neural::resume(&args),
        #[cfg(feature = "deep")]
        Command::Reconstruct(args) => neural::reconstruct(&args),
        #[cfg(feature = "deep")]
        Command::Interpolate(args) => neural::interpolate(&args),
        #[cfg(feature = "deep")]
        Command::Ood(args) => neural::ood(&args),
    }
}

/// What only a build with neural models can do.
#[cfg(not(feature = "deep"))]
pub(crate) fn absent() -> crate::failure::Failure {
    crate::failure::Failure::usage(crate::stored::NO_NEURAL_MODELS)
}
