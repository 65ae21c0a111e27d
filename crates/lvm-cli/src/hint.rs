//! What to do about an error of the libraries, in terms of this program's options.

use crate::failure::Failure;
use crate::stored::Family;
use lvm_core::ErrorKind;
use lvm_data::ErrorKind as FileError;
use std::io::{self, Read};
use std::path::Path;

/// What to do where lines are not cut into the fields they hold.
const CUT: &str = "if the fields are cut at the wrong places, --separator comma, semicolon, tab or blank settles it";

/// What to do about a missing cell.
const MISSING: &str = "--missing says that cells may be missing; they are then integrated out exactly";

/// What to do about a disk that is full.
pub(crate) const ROOM: &str = "free some space there, or write to another disk";

/// What to do where memory runs out.
const MEMORY: &str = "a training needs less with a smaller --batch-size, an estimate of log p(x) with a smaller --memory";

/// What to do about a missing cell where the model has no place for one.
const FILL: &str = "this model has no place for missing cells: remove the row, leave the column out with --without, or fill the cells under another model with \
     lvm fit ppca --missing and lvm impute";

/// An error about a file, met with a model that needs all cells.
pub(crate) fn complete(error: lvm_data::Error) -> Failure {
    match error.kind() {
        FileError::MissingCell { .. } => Failure::fault(format!("{error}\n  hint: {FILL}")),
        _ => data(error),
    }
}

/// An error about a file.
pub(crate) fn data(error: lvm_data::Error) -> Failure {
    let hint = match error.kind() {
        FileError::MissingCell { .. } => MISSING,
        FileError::Text { cell, .. } if cell.line == Some(1) => "if the first line holds names, leave out --header no",
        FileError::Text { .. } => "--columns A,B,C chooses the columns to use, --without A,B,C those to leave out",
        FileError::DuplicateColumn { .. } => "--columns takes numbers from 1 as well as names",
        FileError::HeaderOnly => "--header no says that the first line is data",
        FileError::AmbiguousHeader { .. } => "--header yes or --header no settles it",
        FileError::UnknownColumn { name, .. } if name.parse::<usize>().is_ok() => "columns are numbered from 1",
        FileError::UnknownColumn { name, available } => match nearest(name, available.clone()) {
            Some(name) => return Failure::fault(format!("{error}\n  hint: did you mean {name}?")),
            None => return Failure::fault(error.to_string()),
        },
        FileError::WhichArray { .. } => "--array NAME chooses",
        FileError::NoNumbers { columns } if columns.len() == 1 => CUT,
        FileError::Ragged { .. } => CUT,
        FileError::DecimalComma { text, .. } if text.matches(',').count() > 1 => CUT,
        FileError::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) =>
        {
            "the file is cut short or damaged; make or fetch it again"
        }
        FileError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => match similar(error.path()) {
            Some(name) => return Failure::fault(format!("{error}\n  hint: did you mean {name}?")),
            None => "check the name, and the folder you are in",
        },
        FileError::Io { source, .. } if source.kind() == io::ErrorKind::NotADirectory => "a part of this path is a file, not a folder",
        FileError::Io { source, .. } if source.kind() == io::ErrorKind::IsADirectory => "name a file in that folder",
        FileError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => ROOM,
        FileError::Model(_) if looks_like_a_table(&error) => {
            "this is a table: the model comes first and the table after it; lvm fit gmm DATA -k K -o MODEL makes a model"
        }
        _ => return Failure::fault(error.to_string()),
    };
    Failure::fault(format!("{error}\n  hint: {hint}"))
}

/// The file in the same folder whose name is most like that of the one that is not there.
fn similar(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let best = nearest(wanted, entries.flatten().filter(|e| e.path().is_file()).filter_map(|e| e.file_name().into_string().ok()))?;
    Some(folder.map_or(best.clone(), |folder| folder.join(&best).display().to_string()))
}

/// The name that is most like the one wanted, if any is; an ending may be left out.
fn nearest(wanted: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    let wanted = wanted.trim().to_lowercase();
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let stem = name.split('.').next().unwrap_or(&name).to_owned();
        strsim::jaro_winkler(&wanted, &name).max(if stem == wanted { 1.0 } else { 0.0 })
    };
    let best = names.into_iter().map(|name| (likeness(&name), name)).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
    // 0.9: a letter or two of a short name
    (best.0 > 0.9).then_some(best.1)
}

/// By its ending, or because it is text: a model file has zero bytes among its first eight.
fn looks_like_a_table(error: &lvm_data::Error) -> bool {
    let ending = error.path().extension().map(|e| e.to_string_lossy().to_lowercase());
    let text = || {
        let mut start = Vec::new();
        let read = std::fs::File::open(error.path()).and_then(|file| file.take(64).read_to_end(&mut start));
        read.is_ok() && start.contains(&b'\n') && !start.contains(&0)
    };
    matches!(ending.as_deref(), Some("csv" | "tsv" | "txt" | "npy" | "npz" | "gz")) || text()
}

/// An error about a fit to, or an evaluation of, the table at `path`; `place` says where a row stands.
pub(crate) fn fit(family: Family, path: &str, columns: &[String], place: &dyn Fn(usize) -> String, error: &lvm_core::Error) -> Failure {
    let name = |column: usize| columns.get(column).map_or_else(|| format!("number {}", column + 1), |name| format!("\"{name}\""));
    let (message, hint) = match error.kind() {
        // these name what is at fault, which is not the table
        ErrorKind::Source(error) => return Failure::fault(error.to_string()),
        ErrorKind::Output(_) | ErrorKind::Backend { .. } => return library(error),
        // in the words of a table that is read whole
        ErrorKind::NotANumber { row, column, .. } if family.takes_missing() => (
            format!(
                "{}, column {}: the cell is missing (\"NaN\"); remove the row or the column, or say that cells may be missing",
                place(*row),
                name(*column)
            ),
            Some(MISSING.to_owned()),
        ),
        ErrorKind::NotANumber { row, column, .. } => {
            (format!("{}, column {}: the cell is missing (\"NaN\")", place(*row), name(*column)), Some(FILL.to_owned()))
        }
        ErrorKind::Infinite { row, column, .. } => {
            (format!("{}, column {}: the value is infinite; remove or replace it", place(*row), name(*column)), None)
        }
        ErrorKind::TooLarge { row, column, value } => (
            format!("{}, column {}: {value:e} overflows when squared", place(*row), name(*column)),
            Some(format!("rescale the column, or leave it out: {}", without(columns, &[*column]))),
        ),
        ErrorKind::MissingRow { row } => (format!("{}: every cell is missing; remove the row", place(*row)), None),
        ErrorKind::NoVariation => {
            (error.to_string(), Some("a fit needs rows that differ; if other columns of the file vary, --columns chooses them".to_owned()))
        }
        ErrorKind::ConstantColumns { columns: constant } => {
            let constant: Vec<usize> = constant.iter().map(|(column, _)| *column).collect();
            let (are, them) =
                if constant.len() == 1 { ("column", "is constant; leave it out") } else { ("columns", "are constant; leave them out") };
            (format!("{are} {} {them}", list(&constant, name)), Some(without(columns, &constant)))
        }
        ErrorKind::MissingColumn { column, .. } => {
            (format!("every cell of column {} is missing; leave it out", name(*column)), Some(without(columns, &[*column])))
        }
        ErrorKind::NotPositiveDefinite { .. } if family == Family::Bgmm => (
            "the covariance of the table, on which the prior is centred, is singular: a column is a sum of others, or there are few rows"
                .to_owned(),
            Some("--covariance diag needs none; or leave columns out with --without".to_owned()),
        ),
        ErrorKind::TooFewRows { .. } => {
            let fewer = match family {
                Family::Gmm => "fewer components (-k)",
                Family::Ppca => "fewer components (-q)",
                Family::Fa => "fewer factors (-q)",
                Family::Bgmm | Family::Multinomial => "fewer components (-k)",
                Family::Bppca => "fewer components (-q)",
                Family::Lda => "fewer topics (-k)",
                #[cfg(feature = "deep")]
                Family::Vae => "fewer latents (--latents)",
            };
            (error.to_string(), Some(format!("use {fewer} or columns (--columns), or more rows")))
        }
        ErrorKind::Shape { what, .. } if what.contains("responsibilities") => (
            error.to_string(),
            Some("the table that --init names needs a row for each row of DATA and a column for each component".to_owned()),
        ),
        #[cfg(feature = "deep")]
        ErrorKind::OutsideSupport { row, column, value, allowed } => (
            // numbers of 32 bits in their fewest digits
            match *value as f32 {
                short if f64::from(short) == *value => {
                    format!("{}, column {}: {short}, where this likelihood allows {allowed}", place(*row), name(*column))
                }
                _ => format!("{}, column {}: {value}, where this likelihood allows {allowed}", place(*row), name(*column)),
            },
            Some(support(*value).to_owned()),
        ),
        #[cfg(feature = "deep")]
        ErrorKind::LogWeight { row, .. } => {
            (format!("{}: log p(x, z) - log q(z | x) is not a number; the row is too far from those the model knows", place(*row)), None)
        }
        #[cfg(feature = "deep")]
        ErrorKind::Config { field, message } if family == Family::Vae => {
            (format!("{field} {message}"), setting(field).map(|option| format!("set with {option}")))
        }
        ErrorKind::Config { field, message } => (message.clone(), option(family, field).map(|option| format!("set with {option}"))),
        _ => (error.to_string(), None),
    };
    match hint {
        Some(hint) => Failure::fault(format!("{path}: {message}\n  hint: {hint}")),
        None => Failure::fault(format!("{path}: {message}")),
    }
}

/// An error that is not about a table.
pub(crate) fn library(error: &lvm_core::Error) -> Failure {
    match error.kind() {
        ErrorKind::Backend { message, .. } if out_of_memory(message) => Failure::fault(format!("{error}\n  hint: {MEMORY}")),
        _ => Failure::fault(error.to_string()),
    }
}

/// By the words of libtorch, of a device and of the machine.
fn out_of_memory(message: &str) -> bool {
    ["out of memory", "not enough memory", "can't allocate memory"].iter().any(|words| message.contains(words))
}

/// `"a", "b", "c"`, the first ten if they are more.
fn list(columns: &[usize], name: impl Fn(usize) -> String) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = columns.iter().take(SHOWN).map(|&column| name(column)).collect();
    match columns.len() {
        n if n > SHOWN => format!("{} and {} more ({n} in all)", shown.join(", "), n - SHOWN),
        _ => shown.join(", "),
    }
}

/// `--without`, ready to be typed, unless a name has a comma in it, which separates names.
fn without(columns: &[String], left_out: &[usize]) -> String {
    let names: Option<Vec<&str>> = left_out.iter().map(|&column| columns.get(column).map(String::as_str)).collect();
    match names.filter(|names| names.iter().all(|name| !name.is_empty() && !name.contains([',', '\'']))) {
        Some(names) if names.iter().any(|name| name.contains(|c: char| !(c.is_alphanumeric() || "_.-".contains(c)))) => {
            format!("--without '{}'", names.join(","))
        }
        Some(names) => format!("--without {}", names.join(",")),
        None => "--columns or --without with numbers from 1".to_owned(),
    }
}

/// What to do about a value outside the support.
#[cfg(feature = "deep")]
fn support(value: f64) -> &'static str {
    match value {
        v if v < 0.0 => "negative numbers are for --likelihood gaussian",
        v if v > 1.0 && v.fract() == 0.0 => {
            "grey levels of bytes: --scale 255 with --likelihood discretized-logistic; counts: --likelihood poisson, negative-binomial or zinb"
        }
        _ => "--likelihood says which density; gaussian takes any number",
    }
}

/// The option that sets a field of a neural model's settings.
#[cfg(feature = "deep")]
fn setting(field: &str) -> Option<&'static str> {
    Some(match field {
        "latents" => "--latents",
        "hidden" => "--hidden",
        "batch_size" => "--batch-size",
        "learning_rate" => "--rate and --final-rate",
        "patience" => "--patience, and --held-out for rows to judge by",
        "clip_norm" => "--clip",
        "draws" | "k" => "-k",
        "device" => "--device",
        "beta1" | "beta2" | "epsilon" => "--beta1, --beta2, --epsilon",
        "codes" => "--codes, or --tokens for sequences",
        "image" => "--image C,H,W",
        "channels" => "--channels",
        "steps" => "--tokens or --step-columns",
        "width" => "--width and --heads",
        "library" => "--library",
        "condition" => "--condition",
        "posterior" => "--posterior",
        "prior" | "prior.components" => "--prior and --prior-components",
        "prior.upper" => "--upper",
        "posterior.steps" | "prior.steps" => "--flow-steps",
        "temperature" => "--temperature",
        "held_out_draws" => "--held-out-draws",
        _ => return None,
    })
}

/// The option that sets a field of the library's configuration.
fn option(family: Family, field: &str) -> Option<&'static str> {
    Some(match field {
        "components" | "topics" if !matches!(family, Family::Ppca | Family::Fa | Family::Bppca) => "-k",
        "components" | "factors" => "-q",
        "start" => "--init",
        "restarts" => "--restarts",
        "ridge" => "--reg",
        "folds" => "--folds",
        "stopping" | "max_iterations" | "tolerance" => "--max-iter and --tol",
        // of factor analysis it is the matrix itself
        "covariances" | "covariance" if family != Family::Fa => "--covariance",
        "method" => "--method",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_library_is_not_laid_on_the_table() {
        let words = |message: &str| {
            let error = ErrorKind::Backend { name: "libtorch", doing: "decoding", message: message.to_owned() }.into();
            fit(Family::Ppca, "x.csv", &[], &|row: usize| row.to_string(), &error).to_string()
        };
        assert_eq!(words("device lost"), "error: libtorch failed while decoding: device lost");
        assert!(words("CUDA out of memory. Tried to allocate 2 GiB").contains("hint: a training needs less with a smaller --batch-size"));
    }

    #[test]
    fn a_name_is_near_where_a_letter_or_two_are_wrong() {
        let near = |wanted: &str| nearest(wanted, ["sepal_length", "sepal_width", "species"].map(str::to_owned));
        assert_eq!(near("sepal_lenght").as_deref(), Some("sepal_length"));
        assert_eq!(near(" Species").as_deref(), Some("species"));
        assert_eq!(near("w"), None);
    }
}
