//! One run from end to end: which cases, which checks, what was found.

use crate::case;
use crate::check::Layer;
use crate::layers;
use crate::report::{Report, summarise};
use crate::subject::Subject;
use crate::suite::{Group, Listed, Selection, Suite};
use crate::tables::reference_folder;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Layers, cases, ids, budget and seed.
    pub selection: Selection,
    /// A folder of cases to run instead of the shipped ones (and instead of what needs no case).
    pub dir: Option<PathBuf>,
    /// The command line, for the record.
    pub command: String,
}

/// Runs the checks on `subject`; `watch` is told of every group as it ends.
pub fn run(subject: &dyn Subject, options: &Options, watch: impl FnMut(&Group<'_>)) -> Report {
    let clock = Instant::now();
    let mut suite = Suite::new(subject, options.selection.clone());
    suite.dir = options.dir.as_ref().map(|d| d.display().to_string());
    suite.watch = Some(Box::new(watch));
    every_group(&mut suite, options);
    let (checks, exhibits) = (std::mem::take(&mut suite.checks), std::mem::take(&mut suite.exhibits));
    let headlines = std::mem::take(&mut suite.headlines);
    let (variances, judgements) = (std::mem::take(&mut suite.variances), std::mem::take(&mut suite.judgements));
    Report {
        schema: "lvm-verify/1",
        subject: subject.name().to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        oracle: cfg!(feature = "oracle"),
        command: options.command.clone(),
        budget: options.selection.budget,
        seed: options.selection.seed,
        error_budget: suite.error_budget,
        comparisons: suite.comparisons,
        seconds: clock.elapsed().as_secs_f64(),
        summary: summarise(&checks),
        checks,
        headlines,
        variances,
        judgements,
        exhibits,
    }
}

/// What [`run`] would run, without running any of it.
pub fn list(subject: &dyn Subject, options: &Options) -> Vec<Listed> {
    let mut suite = Suite::new(subject, options.selection.clone());
    suite.listing = Some(Vec::new());
    every_group(&mut suite, options);
    suite.listing.unwrap_or_default()
}

fn every_group(suite: &mut Suite<'_>, options: &Options) {
    match &options.dir {
        Some(dir) => cases_of(suite, dir),
        None => {
            cases_of(suite, &reference_folder());
            layers::built_in(suite);
        }
    }
}

/// Every case of a folder; a file that can't be read as a case is a failure that names file and field.
fn cases_of(suite: &mut Suite<'_>, dir: &Path) {
    match case::folder(dir) {
        Err(e) => suite.group(Layer::C, "-", &dir.display().to_string(), |_| Err(e.into())),
        Ok(all) => {
            for (file, case) in all {
                match case {
                    Ok(case) => layers::case(suite, &case),
                    Err(e) => {
                        let name = file.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
                        suite.group(Layer::C, "-", &name, |_| Err(e.into()));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvm_core::Result;
    use lvm_core::fit::Fitted;
    use lvm_core::gmm::{GaussianMixture, GmmEm};
    use lvm_core::rows::RowSource;

    /// Panics when asked for a fit, and outside a run there is nothing that would catch it.
    struct Untouchable;
    impl Subject for Untouchable {
        fn fit_mixture(&self, _: &GmmEm, _: &dyn RowSource, _: u64) -> Result<Fitted<GaussianMixture>> {
            panic!("a listing runs nothing")
        }
    }

    #[test]
    fn a_listing_names_every_group_and_runs_none() {
        let all = list(&Untouchable, &Options::default());
        assert!(all.len() > 60, "{}", all.len());
        for id in ["N1", "C1", "C4", "M1", "F1", "D1"] {
            assert!(all.iter().any(|l| l.id == id), "{id}");
        }
        let selection = Selection { layers: vec![Layer::D], cases: vec!["digits".into()], ..Default::default() };
        let part = list(&Untouchable, &Options { selection, ..Default::default() });
        assert!(!part.is_empty() && part.iter().all(|l| l.layer == Layer::D && l.case.contains("digits")));
        assert!(list(&Untouchable, &Options { dir: Some("no/such/folder".into()), ..Default::default() }).iter().all(|l| l.id == "-"));
    }
}
