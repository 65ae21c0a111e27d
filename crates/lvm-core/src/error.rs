//! What can go wrong, with what, where and what to do.

use std::fmt;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error; [`Error::kind`] says which.
pub struct Error(Box<ErrorKind>);

/// The kinds of error, with what is needed to act on them.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting of an algorithm or a parameter of a model is outside its range.
    Config {
        /// The setting, as it is named in the code.
        field: &'static str,
        /// What is wrong with it and what is allowed.
        message: String,
    },
    /// Two shapes that must agree do not.
    Shape {
        /// What was measured.
        what: &'static str,
        /// The size needed.
        expected: usize,
        /// The size found.
        found: usize,
    },
    /// A cell is NaN and nobody said that NaN means missing.
    NotANumber {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// Name of the column, where the source knows it.
        name: Option<String>,
    },
    /// A cell is infinite.
    Infinite {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// Name of the column, where the source knows it.
        name: Option<String>,
    },
    /// A cell is so large that its square overflows.
    TooLarge {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// The table has no rows or no columns.
    Empty,
    /// Every entry of a row is missing.
    MissingRow {
        /// Row, from 0.
        row: usize,
    },
    /// Every entry of a column is missing.
    MissingColumn {
        /// Column, from 0.
        column: usize,
        /// Name of the column, where the source knows it.
        name: Option<String>,
    },
    /// Columns that do not vary, while the model needs every column to.
    ConstantColumns {
        /// All of them: column, from 0, and its name, where the source knows it.
        columns: Vec<(usize, Option<String>)>,
    },
    /// Fewer rows (of weight above zero) than the model needs.
    TooFewRows {
        /// Rows there are.
        rows: usize,
        /// Rows needed.
        needed: usize,
        /// What needs them.
        why: &'static str,
    },
    /// A row weight is negative or not finite.
    Weight {
        /// Row, from 0.
        row: usize,
        /// The weight.
        value: f64,
    },
    /// All row weights are zero.
    NoWeight,
    /// All rows are equal, so there is nothing to model.
    NoVariation,
    /// A matrix that must be positive definite is not.
    NotPositiveDefinite {
        /// Which matrix.
        what: String,
        /// The leading minor that fails, from 0.
        index: usize,
    },
    /// A decomposition did not converge.
    Decomposition {
        /// Which one, of what.
        what: &'static str,
    },
    /// The objective became NaN or infinite.
    Objective {
        /// Iteration, from 1.
        iteration: usize,
        /// The value.
        value: f64,
    },
    /// The logarithm of an importance weight p(x, z)/q(z) is NaN or +∞.
    LogWeight {
        /// Row, from 0.
        row: usize,
        /// Draw, from 0.
        draw: usize,
        /// The value.
        value: f64,
    },
    /// A cell is outside the values that the model gives a probability to.
    OutsideSupport {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A log density written by the user failed for good.
    Density(Box<dyn std::error::Error + Send + Sync>),
    /// No draw from an approximate posterior had a usable log density.
    NoUsableDraw {
        /// How many were drawn.
        draws: usize,
        /// Why the last one was left out.
        why: String,
    },
    /// A row source could not deliver its rows.
    Source(Box<dyn std::error::Error + Send + Sync>),
    /// What was computed could not be written.
    Output(Box<dyn std::error::Error + Send + Sync>),
    /// A library that computes for this one failed: memory exhausted, a device lost.
    Backend {
        /// The library, such as `libtorch`.
        name: &'static str,
        /// What was being done.
        doing: &'static str,
        /// The library's own words.
        message: String,
    },
    /// The progress callback asked to stop before there was anything to keep.
    Cancelled,
    /// The bytes of a model file are not a model.
    ModelFile {
        /// What is wrong.
        message: String,
    },
}

impl Error {
    /// Which error this is.
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// Whether this is [`ErrorKind::Cancelled`]: nothing went wrong, somebody wished to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind(), ErrorKind::Cancelled)
    }

    /// An [`ErrorKind::Config`].
    pub fn config(field: &'static str, message: impl Into<String>) -> Self {
        ErrorKind::Config { field, message: message.into() }.into()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error(Box::new(kind))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} [{:?}]", self.0)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.kind() {
            ErrorKind::Source(e) | ErrorKind::Output(e) | ErrorKind::Density(e) => Some(e.as_ref()),
            _ => None,
        }
    }
}

/// `3` or `3 ("height")`.
fn column_label(column: usize, name: &Option<String>) -> String {
    match name {
        Some(name) => format!("{column} (\"{name}\")"),
        None => column.to_string(),
    }
}

/// The labels of several columns, the first ten if they are more.
fn column_labels(columns: &[(usize, Option<String>)]) -> String {
    const SHOWN: usize = 10;
    let mut text = columns.iter().take(SHOWN).map(|(column, name)| column_label(*column, name)).collect::<Vec<_>>().join(", ");
    if columns.len() > SHOWN {
        text += &format!(" … ({} in all)", columns.len());
    }
    text
}

/// `1 row`, `2 rows`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            ErrorKind::Config { field, message } => write!(f, "{field}: {message}"),
            ErrorKind::Shape { what, expected, found } => {
                write!(f, "{what}: expected {expected}, found {found}")
            }
            ErrorKind::NotANumber { row, column, name } => write!(
                f,
                "NaN in row {row}, column {} (both from 0); remove it, or say that NaN means missing",
                column_label(*column, name)
            ),
            ErrorKind::Infinite { row, column, name } => {
                write!(f, "infinite value in row {row}, column {} (both from 0); remove or replace it", column_label(*column, name))
            }
            ErrorKind::TooLarge { row, column, value } => {
                write!(f, "value {value:e} in row {row}, column {column} (both from 0) overflows when squared; rescale the column")
            }
            ErrorKind::Empty => write!(f, "the table is empty: at least one row and one column are needed"),
            ErrorKind::MissingRow { row } => {
                write!(f, "every entry of row {row} (from 0) is missing; drop the row")
            }
            ErrorKind::MissingColumn { column, name } => {
                write!(f, "every entry of column {} (from 0) is missing; leave the column out", column_label(*column, name))
            }
            ErrorKind::ConstantColumns { columns } => match columns.as_slice() {
                [(column, name)] => write!(f, "column {} (from 0) is constant; leave the column out", column_label(*column, name)),
                _ => write!(f, "columns {} (from 0) are constant; leave them out", column_labels(columns)),
            },
            ErrorKind::TooFewRows { rows, needed, why } => {
                let are = if *rows == 1 { "is" } else { "are" };
                write!(f, "{} {are} too few: {why} needs at least {needed}", count(*rows, "row"))
            }
            ErrorKind::Weight { row, value } => write!(
                f,
                "weight {value} of row {row} (from 0): a weight says how often the row stands, so it must be finite and not negative"
            ),
            ErrorKind::NoWeight => write!(f, "all row weights are zero: no row is left"),
            ErrorKind::NoVariation => write!(f, "all rows are equal: there is no variation to model"),
            ErrorKind::NotPositiveDefinite { what, index } => write!(f, "{what} is not positive definite (leading minor {index}, from 0)"),
            ErrorKind::Decomposition { what } => write!(f, "{what} did not converge"),
            ErrorKind::Objective { iteration, value } => {
                write!(f, "the objective is {value} after iteration {iteration}; check the scale of the data and the start")
            }
            ErrorKind::LogWeight { row, draw, value } => write!(
                f,
                "log p(x, z) − log q(z) is {value} in row {row}, draw {draw} (both from 0); q must have a density wherever it draws, and the \
                 model a density that is a number there"
            ),
            ErrorKind::OutsideSupport { row, column, value, allowed } => {
                write!(f, "value {value} in row {row}, column {column} (both from 0): the model allows {allowed}")
            }
            ErrorKind::Density(e) => write!(f, "the log density: {e}"),
            ErrorKind::NoUsableDraw { draws, why } => write!(
                f,
                "none of {draws} draws had a usable log density; the last: {why}. Start nearer to where the density is finite, or with smaller scales"
            ),
            ErrorKind::Source(e) => write!(f, "reading rows: {e}"),
            // it names the file and says that it can't be written
            ErrorKind::Output(e) => write!(f, "{e}"),
            ErrorKind::Backend { name, doing, message } => write!(f, "{name} failed while {doing}: {message}"),
            ErrorKind::Cancelled => write!(f, "cancelled by the progress callback before there was anything to keep"),
            ErrorKind::ModelFile { message } => write!(f, "not a usable model file: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_files_and_libraries_are_told_apart() {
        let words = |kind: ErrorKind| Error::from(kind).to_string();
        let io = || Box::new(std::io::Error::other("m.lvm: cannot write"));
        assert_eq!(words(ErrorKind::Source(io())), "reading rows: m.lvm: cannot write");
        assert_eq!(words(ErrorKind::Output(io())), "m.lvm: cannot write");
        let backend = || ErrorKind::Backend { name: "libtorch", doing: "decoding", message: "out of memory".to_owned() };
        assert_eq!(words(backend()), "libtorch failed while decoding: out of memory");
        let source = |kind: ErrorKind| std::error::Error::source(&Error::from(kind)).is_some();
        assert_eq!((source(ErrorKind::Output(io())), source(backend())), (true, false));
    }
}
