//! `lvm info`: what a model file holds.

use crate::args::InfoArgs;
use crate::failure::Outcome;
use crate::report::{self, InfoReport, Parameters};
use crate::stored;

/// Describes a model file.
pub(crate) fn run(args: &InfoArgs) -> Outcome {
    let stored = stored::load(&args.model)?;
    let n_parameters = stored::n_parameters(&stored.model);
    let report = InfoReport {
        model: stored.family().name(),
        n: stored.rows(),
        d: stored.dim(),
        columns: stored.columns(),
        n_parameters,
        record: stored.record(),
        in_use: n_parameters.is_none().then(|| stored::in_use(&stored.model)),
        parameters: Parameters::of(&stored.model),
    };
    report::print(&report, args.json, report::human::info)
}
