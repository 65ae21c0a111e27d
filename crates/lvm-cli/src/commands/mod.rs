//! Second stage: arguments checked against each other and against the data, then the work.

mod apply;
mod bayesian;
mod fit;
mod impute;
pub(crate) mod infer;
mod info;
mod sample;
mod score;
mod select;
pub(crate) mod verify;

use crate::args::Command;
use crate::failure::Outcome;

/// Does what was asked for.
pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Fit(command) => fit::run(command),
        Command::Select(command) => select::run(command),
        Command::Score(args) => score::run(&args),
        Command::Posterior(args) => apply::posterior(&args),
        Command::Infer(args) => infer::run(&args),
        Command::Map(args) => apply::map(&args),
        Command::Sample(args) => sample::run(&args),
        Command::Impute(args) => impute::run(args),
        Command::Verify(args) => verify::run(&args),
        Command::Info(args) => info::run(&args),
    }
}
