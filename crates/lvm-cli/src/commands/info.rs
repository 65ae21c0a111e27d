//! `lvm info`: what a model file holds.

use crate::args::InfoArgs;
use crate::failure::Outcome;
use crate::report::{self, BoundInfo, InfoReport, Parameters};
use crate::stored;

/// Describes a model file.
pub(crate) fn run(args: &InfoArgs) -> Outcome {
    let stored = stored::load(&args.model)?;
    let Some(n_parameters) = stored::n_parameters(&stored.model) else {
        let report = BoundInfo {
            model: stored.family().name(),
            n: stored.rows(),
            d: stored.dim(),
            columns: stored.columns(),
            record: stored.bound_record(),
            in_use: stored::in_use(&stored.model),
            parameters: Parameters::of(&stored.model),
        };
        return report::print(&report, args.json, report::bound::info);
    };
    let report = InfoReport {
        model: stored.family().name(),
        n: stored.rows(),
        d: stored.dim(),
        columns: stored.columns(),
        n_parameters,
        record: stored.record(),
        parameters: Parameters::of(&stored.model),
    };
    report::print(&report, args.json, report::human::info)
}
