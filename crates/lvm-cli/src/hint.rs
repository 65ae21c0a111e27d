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
        FileError::Io { source, .. } if source.kind() == io::ErrorKind::IsADirectory => "name a file in that folder",
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
    let name = |column: usize| columns.get(column).map_or_else(|| format!("number {}", column + 1), |name| format!("\"{name}\""));
    let (message, hint) = match error.kind() {
        ErrorKind::Source(source) => return Failure::fault(source.to_string()),
        ErrorKind::NotANumber { row, column, .. } => (
            format!("row {row} (from 0), column {}: NaN", name(*column)),
            Some("remove the row, or say --missing: NaN then means missing, and is integrated out exactly".to_owned()),
        ),
        ErrorKind::Infinite { row, column, .. } => {
            (format!("row {row} (from 0), column {}: the value is infinite; remove or replace it", name(*column)), None)
        }
        ErrorKind::TooLarge { row, column, value } => (
            format!("row {row} (from 0), column {}: {value:e} overflows when squared", name(*column)),
            Some("rescale the column, or leave it out with --columns".to_owned()),
        ),
        ErrorKind::ConstantColumn { column, .. } => {
            (format!("column {} is constant; leave it out", name(*column)), without(columns, *column))
        }
        ErrorKind::MissingColumn { column, .. } => {
            (format!("every cell of column {} is missing; leave it out", name(*column)), without(columns, *column))
        }
        ErrorKind::TooFewRows { .. } => {
            (error.to_string(), Some("use fewer components (-k), factors (-q) or columns (--columns), or more rows".to_owned()))
        }
        ErrorKind::Config { field, message } => (message.clone(), option(field).map(|option| format!("set with {option}"))),
        _ => (error.to_string(), None),
    };
    match hint {
        Some(hint) => Failure::fault(format!("{path}: {message}\n  hint: {hint}")),
        None => Failure::fault(format!("{path}: {message}")),
    }
}

/// `--columns` with all columns but one.
fn without(columns: &[String], column: usize) -> Option<String> {
    let left: Vec<&str> = columns.iter().enumerate().filter(|(j, _)| *j != column).map(|(_, name)| name.as_str()).collect();
    (!left.is_empty() && left.len() <= 20 && left.iter().all(|name| !name.contains(','))).then(|| format!("--columns {}", left.join(",")))
}

/// The option that sets a field of the library's configuration.
fn option(field: &str) -> Option<&'static str> {
    Some(match field {
        "components" => "-k (mixtures) or -q (PPCA)",
        "factors" => "-q",
        "start" => "--init",
        "restarts" => "--restarts",
        "ridge" => "--reg",
        "folds" => "--folds",
        "stopping" | "max_iterations" | "tolerance" => "--max-iter and --tol",
        "covariances" | "covariance" => "--covariance",
        "method" => "--method",
        _ => return None,
    })
}
