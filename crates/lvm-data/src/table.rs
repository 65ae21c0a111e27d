//! A table in memory: what a fit needs from a file.

use crate::error::Result;
use crate::read;
use lvm_core::rows::{Missing, RowSource};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut2};
use std::fmt;
use std::path::Path;

/// A table of numbers with the names of its columns; a [`RowSource`], so it can be given to every fit as it is.
///
/// ```
/// use lvm_data::{ReadOptions, Table};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("flowers.csv");
/// std::fs::write(&path, "length,width,species\n5.1,3.5,setosa\n6.2,2.9,virginica\n")?;
/// let table = Table::read(&path, &ReadOptions::default())?;
/// assert_eq!(table.columns, ["length", "width"]);
/// assert_eq!(table.x[[1, 0]], 6.2);
/// assert_eq!(table.skipped[0].to_string(), "species (text: \"setosa\" in line 2)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Names of the columns of `x`, in order.
    pub columns: Vec<String>,
    /// The numbers (N, D); NaN is a missing cell.
    pub x: Array2<f64>,
    /// Row weights (N), where a column of weights was asked for.
    pub weights: Option<Array1<f64>>,
    /// One text a row (N), where a column of labels was asked for.
    pub labels: Option<Vec<String>>,
    /// The columns left out, and why.
    pub skipped: Vec<Skipped>,
    /// Whether the first line was taken as names.
    pub header: bool,
    /// What NaN means: as the options said.
    pub missing: Missing,
}

/// How a file is read. The default reads every column of numbers and refuses missing cells.
///
/// ```
/// use lvm_data::{ReadOptions, Table};
/// let text = b"length,width,species,n\n5.1,3.5,setosa,2\n6.2,2.9,virginica,1\n";
/// let options = ReadOptions { labels: Some("species".into()), weights: Some("n".into()), ..ReadOptions::default() };
/// let table = Table::from_bytes("flowers.csv", text, &options)?;
/// assert_eq!(table.columns, ["length", "width"]);
/// assert_eq!(table.labels.unwrap(), ["setosa", "virginica"]);
/// # Ok::<(), lvm_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReadOptions {
    /// The columns to read, in this order; all columns of numbers if absent. Files without names have columns x1 … xD.
    pub columns: Option<Vec<String>>,
    /// Columns that are not read, whatever they hold; when `columns` names them, too, that is an error.
    pub without: Vec<String>,
    /// The column of row weights; it is taken out of the data.
    pub weights: Option<String>,
    /// A column kept as text; it is taken out of the data.
    pub labels: Option<String>,
    /// What a missing cell (empty, `NA`, `N/A`, `NaN`, `null`, `none`, `?`, in either case) means.
    pub missing: Missing,
    /// Whether the first line is a header.
    pub header: Header,
    /// What stands between the fields of a line; found out if absent.
    pub separator: Option<Separator>,
    /// The array of an `.npz` file; needed where there are several.
    pub array: Option<String>,
}

/// Whether the first line of a text file holds names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// Found out: a line of numbers is data, a line of text is a header.
    #[default]
    Detect,
    /// The first line holds names.
    Present,
    /// The first line is data.
    Absent,
}

/// What stands between the fields of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// A tab.
    Tab,
    /// One or more blanks or tabs; those at the ends of a line do not count.
    Whitespace,
}

/// A column that is not in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why it was left out.
    pub reason: SkipReason,
}

/// Why a column was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is text. The first cell that is not a number:
    Text {
        /// Line, from 1.
        line: u64,
        /// Row, from 0.
        row: usize,
        /// What stands there.
        text: String,
    },
    /// It numbers or names the rows: the first column, without a name or called `rownames` or `Unnamed: 0`.
    RowNames,
    /// It has neither a name nor a single number: a separator too many at the end of each line.
    Empty,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() { "(column without a name)" } else { &self.name };
        match &self.reason {
            SkipReason::Text { line, text, .. } => write!(f, "{name} (text: \"{text}\" in line {line})"),
            SkipReason::RowNames => write!(f, "{name} (row names)"),
            SkipReason::Empty => write!(f, "{name} (empty)"),
        }
    }
}

impl Table {
    /// Reads a table. The format is known by content and ending: CSV and its kin with comma, semicolon, tab or blanks between the
    /// fields, `.npy`, `.npz`, Matrix Market `.mtx`, MNIST idx; all but `.npz` also compressed with gzip.
    ///
    /// # Errors
    /// If the file can't be read, if it is not a table of numbers, or if a cell can't be used; the message names line, row and column.
    pub fn read(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        read::table(path.as_ref(), options)
    }

    /// Reads a table from bytes in memory, as [`Table::read`] does from a file of that name.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn from_bytes(name: impl AsRef<Path>, bytes: &[u8], options: &ReadOptions) -> Result<Self> {
        read::table_from_bytes(name.as_ref(), bytes, options)
    }

    /// A table of numbers whose columns are named x1 … xD.
    pub fn from_array(x: Array2<f64>) -> Self {
        Table {
            columns: numbered_names(x.ncols()),
            x,
            weights: None,
            labels: None,
            skipped: Vec::new(),
            header: false,
            missing: Missing::Refuse,
        }
    }

    /// N.
    pub fn n_rows(&self) -> usize {
        self.x.nrows()
    }

    /// D.
    pub fn n_cols(&self) -> usize {
        self.x.ncols()
    }

    /// The numbers of the column of that name.
    pub fn column(&self, name: &str) -> Option<ArrayView1<'_, f64>> {
        self.columns.iter().position(|c| c == name).map(|j| self.x.column(j))
    }
}

impl RowSource for Table {
    fn n_rows(&self) -> usize {
        self.x.nrows()
    }
    fn n_cols(&self) -> usize {
        self.x.ncols()
    }
    fn read(&self, start: usize, out: ArrayViewMut2<'_, f64>) -> lvm_core::Result<()> {
        self.x.read(start, out)
    }
    fn weights(&self) -> Option<ArrayView1<'_, f64>> {
        self.weights.as_ref().map(|w| w.view())
    }
    fn missing(&self) -> Missing {
        self.missing
    }
    fn column_name(&self, column: usize) -> Option<String> {
        self.columns.get(column).cloned()
    }
}

/// x1 … xD.
pub(crate) fn numbered_names(columns: usize) -> Vec<String> {
    (1..=columns).map(|j| format!("x{j}")).collect()
}
