//! `lvm info`: what a model file holds.

use crate::args::InfoArgs;
use crate::failure::Outcome;
use crate::report::{self, InfoReport, Parameters};
use crate::stored;

/// Describes a model file.
pub(crate) fn run(args: &InfoArgs) -> Outcome {
    let stored = stored::load(&args.model)?;
    let report = InfoReport {
        model: stored.family().name(),
        n: stored.rows(),
        d: stored.dim(),
        columns: stored.columns(),
        n_parameters: stored::n_parameters(&stored.model),
        record: stored.record(),
        parameters: Parameters::of(&stored.model),
    };
    report::print(&report, args.json, report::human::info)
}
