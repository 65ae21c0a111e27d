//! What to do about an error of the libraries, in terms of this program's options.

use crate::failure::Failure;
use lvm_core::ErrorKind;
use lvm_data::ErrorKind as FileError;
use std::io;

/// An error about a file.
pub(crate) fn data(error: lvm_data::Error) -> Failure {
    let hint = match error.kind() {
        FileError::MissingCell { .. } => "--missing says that cells may be missing; they are then integrated out exactly",
        FileError::Text { .. } => "--columns A,B,C chooses the columns to use",
        FileError::DuplicateColumn { .. } => "--columns takes numbers from 1 as well as names",
        FileError::HeaderOnly | FileError::AmbiguousHeader { .. } => "--header yes or --header no settles it",
        FileError::Ragged { .. } => "if the fields are cut at the wrong places, --separator comma, semicolon, tab or blank settles it",
        FileError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => "check the name, and the folder you are in",
        FileError::Model(_) if looks_like_a_table(&error) => {
            "this looks like a table: the model comes first, and lvm fit gmm DATA -k K -o MODEL makes one"
        }
        _ => return Failure::fault(error.to_string()),
    };
    Failure::fault(format!("{error}\n  hint: {hint}"))
}

fn looks_like_a_table(error: &lvm_data::Error) -> bool {
    let ending = error.path().extension().map(|e| e.to_string_lossy().to_lowercase());
    matches!(ending.as_deref(), Some("csv" | "tsv" | "txt" | "npy" | "npz" | "gz"))
}

/// An error about a fit to, or an evaluation of, the table at `path`.
pub(crate) fn fit(path: &str, columns: &[String], error: &lvm_core::Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::Source(source) => return Failure::fault(source.to_string()),
        ErrorKind::NotANumber { .. } => Some("--missing says that NaN means missing; it is then integrated out exactly".to_owned()),
        ErrorKind::ConstantColumn { column, name } | ErrorKind::MissingColumn { column, name } => {
            let left = columns.iter().filter(|c| Some(*c) != name.as_ref() && Some(*c) != columns.get(*column));
            let left: Vec<&str> = left.map(String::as_str).collect();
            (!left.is_empty() && left.len() <= 20).then(|| format!("--columns {}", left.join(",")))
        }
        ErrorKind::TooFewRows { .. } => Some("use fewer components (-k), factors (-q) or columns (--columns), or more rows".to_owned()),
        ErrorKind::TooLarge { .. } => Some("rescale the column, or leave it out with --columns".to_owned()),
        _ => None,
    };
    match hint {
        Some(hint) => Failure::fault(format!("{path}: {error}\n  hint: {hint}")),
        None => Failure::fault(format!("{path}: {error}")),
    }
}
