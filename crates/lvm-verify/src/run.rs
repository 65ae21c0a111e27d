//! One run from end to end: which cases, which checks, what was found.

use crate::case::{self, Case, CaseError};
use crate::check::Layer;
use crate::layers;
use crate::report::{Report, summarise};
use crate::subject::Subject;
use crate::suite::{Group, Listed, Problem, Selection, Suite};
use crate::tables::reference_folder;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
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
    /// How many threads run cases side by side; 0 is 1. What is found and its order do not depend on it.
    pub workers: usize,
}

/// A part of a run. Its groups go one after the other; parts know nothing of each other.
enum Part {
    /// The checks of a case.
    Case(Box<Case>),
    /// Checks that need no case.
    BuiltIn(fn(&mut Suite<'_>)),
    /// A file or folder that can't be read as a case, by name: a failure that names file and field.
    Unreadable(String, Problem),
}

impl Part {
    fn all(options: &Options) -> Vec<Part> {
        let (dir, built_in) = match &options.dir {
            Some(dir) => (dir.clone(), [].as_slice()),
            None => (reference_folder(), layers::BUILT_IN),
        };
        let cases = match case::folder(&dir) {
            Err(e) => vec![Part::Unreadable(dir.display().to_string(), e.into())],
            Ok(all) => all.into_iter().map(|(file, case)| Part::of(&file, case)).collect(),
        };
        cases.into_iter().chain(built_in.iter().map(|&f| Part::BuiltIn(f))).collect()
    }

    fn of(file: &Path, case: Result<Case, CaseError>) -> Part {
        match case {
            Ok(case) => Part::Case(Box::new(case)),
            Err(e) => Part::Unreadable(file.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned()), e.into()),
        }
    }

    fn run(self, suite: &mut Suite<'_>) {
        match self {
            Part::Case(case) => layers::case(suite, &case),
            Part::BuiltIn(checks) => checks(suite),
            Part::Unreadable(name, problem) => suite.group(Layer::C, "-", &name, |_| Err(problem)),
        }
    }
}

/// Runs the checks on `subject`; `watch` is told of every group as it ends.
pub fn run(subject: &dyn Subject, options: &Options, watch: impl Fn(&Group<'_>) + Sync) -> Report {
    let clock = Instant::now();
    let empty = || {
        let mut suite = Suite::new(subject, options.selection.clone());
        suite.dir = options.dir.as_ref().map(|d| d.display().to_string());
        suite.watch = Some(&watch);
        suite
    };
    let parts = Mutex::new(Part::all(options).into_iter().enumerate());
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let found = Mutex::new(Vec::new());
    let work = || {
        while let Some((place, part)) = next() {
            let mut suite = empty();
            part.run(&mut suite);
            found.lock().unwrap_or_else(PoisonError::into_inner).push((place, suite));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..options.workers {
            // without another thread this one does all
            let _ = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        }
        work();
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(place, _)| *place);
    let mut whole = empty();
    found.into_iter().for_each(|(_, part)| whole.take_in(part));
    whole.check_error_budget();
    Report {
        schema: "lvm-verify/1",
        subject: subject.name().to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        oracle: cfg!(feature = "oracle"),
        command: options.command.clone(),
        budget: options.selection.budget,
        seed: options.selection.seed,
        error_budget: whole.error_budget,
        comparisons: whole.comparisons,
        seconds: clock.elapsed().as_secs_f64(),
        summary: summarise(&whole.checks),
        checks: whole.checks,
        headlines: whole.headlines,
        variances: whole.variances,
        judgements: whole.judgements,
        exhibits: whole.exhibits,
    }
}

/// The stack of a thread that runs checks: that of a main thread.
const STACK: usize = 8 << 20;

/// What [`run`] would run, without running any of it.
pub fn list(subject: &dyn Subject, options: &Options) -> Vec<Listed> {
    let mut suite = Suite::new(subject, options.selection.clone());
    suite.listing = Some(Vec::new());
    Part::all(options).into_iter().for_each(|part| part.run(&mut suite));
    suite.listing.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Budget;
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

    #[test]
    fn what_is_found_does_not_depend_on_the_number_of_workers() {
        let found = |workers| {
            let cases = ["special", "psis", "mtcars"].map(str::to_owned).to_vec();
            let selection = Selection { layers: vec![Layer::N, Layer::P], cases, budget: Budget::Quick, ..Default::default() };
            let mut report = run(&crate::subject::Library, &Options { selection, workers, ..Default::default() }, |_| {});
            report.seconds = 0.0;
            report.summary.iter_mut().for_each(|line| line.seconds = 0.0);
            report.checks.iter_mut().for_each(|check| check.seconds = 0.0);
            serde_json::to_string(&report).unwrap()
        };
        let one = found(0);
        assert!(one.matches("\"verdict\"").count() > 10, "{one}");
        assert_eq!(found(3), one);
    }
}
