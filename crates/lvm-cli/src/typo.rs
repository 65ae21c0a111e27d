//! Help for what a newcomer types wrongly.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Prints what clap has to say, with a hint of our own where we know what was meant; exit code 2, or 0 for help and version.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    match hint(error) {
        Some(hint) => {
            let _ = writeln!(std::io::stderr(), "{hint}");
        }
        None => {
            let _ = error.print();
        }
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// `lvm fit iris.csv`: a file where the name of a model belongs.
fn hint(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let path = Path::new(word);
    let is_file = path.exists() || path.extension().is_some();
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let verb = ["fit", "select"].into_iter().find(|verb| usage.contains(&format!("lvm {verb}")));
    match (is_file, verb) {
        (true, Some("select")) => Some(format!(
            "error: '{word}' is a file; say first which family to choose from\n\n  lvm select gmm {word} --max 6   Gaussian mixtures\n  \
             lvm select ppca {word} --max 6  probabilistic PCA\n  lvm select fa {word} --max 6    factor analysis"
        )),
        (true, Some(_)) => Some(format!(
            "error: '{word}' is a file; say first which model to fit to it\n\n  lvm fit gmm {word} -k 3   Gaussian mixture\n  \
             lvm fit ppca {word} -q 2  probabilistic PCA\n  lvm fit fa {word} -q 2    factor analysis"
        )),
        (true, None) => Some(format!(
            "error: '{word}' is a file; say first what to do with it\n\n  lvm fit gmm {word} -k 3\n  lvm select gmm {word} --max 6\n\n\
             For more information, try '--help'."
        )),
        (false, _) => None,
    }
}
