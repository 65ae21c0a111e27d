//! What can go wrong with a file: which file, where in it, and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error about one file; [`Error::kind`] says which, [`Error::path`] names the file.
pub struct Error(Box<Located>);

struct Located {
    path: PathBuf,
    kind: ErrorKind,
}

/// Where a cell stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Line of the file, from 1, where the format has lines.
    pub line: Option<u64>,
    /// Row of the table, from 0, not counting the header.
    pub row: usize,
    /// Column of the file, from 0.
    pub column: usize,
    /// Name of the column.
    pub name: String,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, ")?;
        }
        write!(f, "row {} (from 0), column \"{}\"", self.row, self.name)
    }
}

/// The kinds of error, with what is needed to act on them.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The system refused to open, read or write.
    Io {
        /// What was being done, such as "open" or "write".
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing in the file.
    Empty,
    /// There is a header and no row.
    HeaderOnly,
    /// A line has another number of fields than the lines before it.
    Ragged {
        /// Line, from 1.
        line: u64,
        /// Fields of the lines before.
        expected: usize,
        /// Fields of this line.
        found: usize,
    },
    /// A cell of a number column is text.
    Text {
        /// Where.
        cell: Cell,
        /// What stands there.
        text: String,
    },
    /// A cell is a number written with a decimal comma or with grouped thousands.
    DecimalComma {
        /// Where.
        cell: Cell,
        /// What stands there.
        text: String,
    },
    /// A cell is missing and nobody said that cells may be.
    MissingCell {
        /// Where.
        cell: Cell,
        /// What stands there: nothing, or a marker such as `NA`.
        text: String,
    },
    /// A cell is infinite, or too large for f64.
    Infinite {
        /// Where.
        cell: Cell,
        /// What stands there.
        text: String,
    },
    /// A weight is missing, negative or not finite.
    Weight {
        /// Where.
        cell: Cell,
        /// What stands there.
        text: String,
    },
    /// All weights are zero.
    NoWeight {
        /// The column of weights.
        name: String,
    },
    /// Two columns share a name that is used.
    DuplicateColumn {
        /// The name.
        name: String,
        /// The first column of that name, from 0.
        first: usize,
        /// The second, from 0.
        second: usize,
    },
    /// A column was asked for that is not there.
    UnknownColumn {
        /// The name asked for.
        name: String,
        /// The names there are.
        available: Vec<String>,
    },
    /// A column was asked for twice, or both as data and as weights or labels.
    ColumnTwice {
        /// The name.
        name: String,
    },
    /// No column of the file holds numbers.
    NoNumbers {
        /// The columns there are.
        columns: Vec<String>,
    },
    /// It can't be told whether the first line is a header.
    AmbiguousHeader {
        /// The first line.
        text: String,
    },
    /// A byte sequence is not UTF-8 text.
    Encoding {
        /// Line, from 1.
        line: u64,
        /// What it seems to be.
        hint: &'static str,
    },
    /// A quoted field never ends.
    OpenQuote {
        /// The line where it starts, from 1.
        line: u64,
    },
    /// A line is longer than any table has reason to be.
    LongLine {
        /// Line, from 1.
        line: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// An archive holds several arrays, or not the one asked for.
    WhichArray {
        /// The array asked for, if one was.
        wanted: Option<String>,
        /// Those there are.
        available: Vec<String>,
    },
    /// The file is not what its format says, or the format is not supported.
    Format {
        /// What is wrong and what to do.
        message: String,
    },
    /// The file is not the one it was when it was opened.
    Changed {
        /// What changed.
        what: &'static str,
    },
    /// A table of [`crate::datasets`] that is in the repository and not in the published package.
    NotInPackage {
        /// Where else the table is to be had.
        elsewhere: &'static str,
    },
    /// The file holds no usable model, or the model can't be stored.
    Model(lvm_core::Error),
}

impl Error {
    /// An error about the file at `path`.
    pub fn new(path: impl AsRef<Path>, kind: ErrorKind) -> Self {
        Error(Box::new(Located { path: path.as_ref().to_path_buf(), kind }))
    }

    /// Which error this is.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The file it is about.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        Error::new(path, ErrorKind::Io { action, source })
    }

    pub(crate) fn format(path: &Path, message: impl Into<String>) -> Self {
        Error::new(path, ErrorKind::Format { message: message.into() })
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} [{:?}]", self.kind())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path().display(), self.kind())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.kind() {
            ErrorKind::Io { source, .. } => Some(source),
            ErrorKind::Model(source) => Some(source),
            _ => None,
        }
    }
}

impl From<Error> for lvm_core::Error {
    fn from(error: Error) -> Self {
        lvm_core::ErrorKind::Source(Box::new(error)).into()
    }
}

/// At most so many characters of a cell or a line are shown.
const SHOWN: usize = 60;

fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

fn list(names: &[String]) -> String {
    let mut text = names.iter().take(20).map(|n| format!("\"{}\"", shown(n))).collect::<Vec<_>>().join(", ");
    if names.len() > 20 {
        text.push_str(&format!(" … ({} in all)", names.len()));
    }
    text
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Io { action, source } => write!(f, "cannot {action}: {source}"),
            ErrorKind::Empty => write!(f, "the file is empty: a table needs at least one row and one column"),
            ErrorKind::HeaderOnly => {
                write!(f, "there is a header but no row below it; if the first line is data, say that there is no header")
            }
            ErrorKind::Ragged { line, expected, found } => write!(
                f,
                "line {line} has {found} field{} where the lines before have {expected}; every line needs the same number (quote fields that contain the separator)",
                if *found == 1 { "" } else { "s" }
            ),
            ErrorKind::Text { cell, text } => write!(
                f,
                "{cell}: \"{}\" is not a number in a column of numbers; correct the cell, or choose the columns without this one",
                shown(text)
            ),
            ErrorKind::DecimalComma { cell, text } => {
                write!(
                    f,
                    "{cell}: \"{}\" has a comma in it; write numbers with a decimal point and without grouping, as in 1234.5",
                    shown(text)
                )
            }
            ErrorKind::MissingCell { cell, text } => {
                write!(f, "{cell}: the cell is missing (\"{text}\"); remove the row or the column, or say that cells may be missing")
            }
            ErrorKind::Infinite { cell, text } => {
                write!(f, "{cell}: \"{}\" is infinite; remove or replace it", shown(text))
            }
            ErrorKind::Weight { cell, text } => write!(
                f,
                "{cell}: \"{}\" is not a weight: a weight says how often the row stands, so it must be a number, finite and not negative",
                shown(text)
            ),
            ErrorKind::NoWeight { name } => write!(f, "all weights in column \"{}\" are zero: no row is left", shown(name)),
            ErrorKind::DuplicateColumn { name, first, second } => write!(
                f,
                "columns {first} and {second} (from 0) are both named \"{}\"; rename one, or choose the columns without that name",
                shown(name)
            ),
            ErrorKind::UnknownColumn { name, available } => {
                write!(f, "there is no column \"{}\"; the columns are {}", shown(name), list(available))
            }
            ErrorKind::ColumnTwice { name } => write!(f, "column \"{}\" is asked for twice; name it once", shown(name)),
            ErrorKind::NoNumbers { columns } => write!(f, "no column holds numbers; the columns are {}", list(columns)),
            ErrorKind::AmbiguousHeader { text } => write!(
                f,
                "the first line mixes whole numbers and text, so it may be a header or data: \"{}\"; say which of the two it is",
                shown(text)
            ),
            ErrorKind::Encoding { line, hint } => write!(f, "line {line} is not UTF-8 text ({hint}); save the file as UTF-8"),
            ErrorKind::OpenQuote { line } => write!(f, "the quoted field that starts in line {line} never ends; close or remove the quote"),
            ErrorKind::LongLine { line, limit } => write!(f, "line {line} is longer than {limit} bytes: this is not a table of text"),
            ErrorKind::WhichArray { wanted: Some(name), available } => {
                write!(f, "there is no array \"{}\"; the arrays are {}", shown(name), list(available))
            }
            ErrorKind::WhichArray { wanted: None, available } => write!(f, "choose one of its arrays: {}", list(available)),
            ErrorKind::Format { message } => f.write_str(message),
            ErrorKind::Changed { what } => {
                write!(f, "the file {what} while it was being read; leave it alone until the work is done, and start again")
            }
            ErrorKind::NotInPackage { elsewhere } => write!(
                f,
                "this table has no known licence and is not part of the published package; it lies in the repository ({}, crates/lvm-data/data), and {elsewhere}; take it from there and read it with Table::read",
                env!("CARGO_PKG_REPOSITORY")
            ),
            ErrorKind::Model(error) => write!(f, "{error}"),
        }
    }
}
