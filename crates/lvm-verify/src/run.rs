//! One run from end to end: which cases, which checks, what was found.

use crate::case;
use crate::check::Layer;
use crate::layers;
use crate::report::{Report, summarise};
use crate::subject::Subject;
use crate::suite::{Group, Selection, Suite};
use crate::tables::reference_folder;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Layers, cases, ids, and whether to keep within a minute.
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
    match &options.dir {
        Some(dir) => cases_of(&mut suite, dir),
        None => {
            cases_of(&mut suite, &reference_folder());
            layers::built_in(&mut suite);
        }
    }
    let (checks, exhibits) = (std::mem::take(&mut suite.checks), std::mem::take(&mut suite.exhibits));
    Report {
        schema: "lvm-verify/1",
        subject: subject.name().to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        oracle: cfg!(feature = "oracle"),
        command: options.command.clone(),
        quick: options.selection.quick,
        seconds: clock.elapsed().as_secs_f64(),
        summary: summarise(&checks),
        checks,
        exhibits,
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
