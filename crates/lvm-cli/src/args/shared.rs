//! Arguments that several commands have in common.

use clap::{Args, ValueEnum};
use lvm_data::{Header, ReadOptions, Separator};
use std::num::{IntErrorKind, ParseIntError};
use std::path::{Path, PathBuf};

/// Which numbers of which file.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// The table: .csv, .tsv (header or none), .npy, MNIST idx or Matrix Market .mtx, also with .gz; - for standard input
    #[arg(value_name = "DATA", help_heading = "Arguments")]
    pub(crate) data: PathBuf,
    /// Use these columns only: names, or numbers from 1; separated by commas
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', allow_negative_numbers = true)]
    pub(crate) columns: Vec<String>,
    /// Leave these columns out: names, or numbers from 1; separated by commas
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', allow_negative_numbers = true, conflicts_with = "columns")]
    pub(crate) without: Vec<String>,
    /// This column holds row weights: weight w means that the row stands w times
    #[arg(long, value_name = "COLUMN")]
    pub(crate) weights: Option<String>,
    /// Empty cells and NaN are missing values; they are integrated out exactly
    #[arg(long)]
    pub(crate) missing: bool,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    /// Divide every number by this: 255 makes grey levels of bytes
    #[arg(long, value_name = "S", allow_negative_numbers = true, value_parser = positive)]
    pub(crate) scale: Option<f64>,
    /// The columns of the file are the rows, as in files of genes by cells
    #[arg(long, conflicts_with_all = ["columns", "without", "weights", "stream"])]
    pub(crate) transpose: bool,
    /// Read rows from disk again in every pass instead of holding the table in memory (on by itself above 1 GiB)
    #[arg(long)]
    pub(crate) stream: bool,
}

impl DataArgs {
    /// A table of which nothing else was said.
    pub(crate) fn of(data: PathBuf) -> Self {
        let format = FormatArgs { header: HeaderChoice::Auto, separator: None, array: None };
        let (columns, without) = (Vec::new(), Vec::new());
        DataArgs { data, columns, without, weights: None, missing: false, format, scale: None, transpose: false, stream: false }
    }
}

/// How the file is read, where that can't be found out from its content.
#[derive(Debug, Clone, Args)]
pub(crate) struct FormatArgs {
    /// Whether the first line holds names
    #[arg(long, value_enum, ignore_case = true, default_value_t = HeaderChoice::Auto, hide_possible_values = true, value_name = "auto|yes|no")]
    pub(crate) header: HeaderChoice,
    /// What stands between the fields (found out if not given)
    #[arg(long, value_enum, ignore_case = true, hide_possible_values = true, value_name = "comma|semicolon|tab|blank")]
    pub(crate) separator: Option<SeparatorChoice>,
    /// The array of an .npz file
    #[arg(long, value_name = "NAME")]
    pub(crate) array: Option<String>,
}

impl FormatArgs {
    /// Options that read every column of numbers of a file of this format.
    pub(crate) fn options(&self) -> ReadOptions {
        ReadOptions {
            header: match self.header {
                HeaderChoice::Auto => Header::Detect,
                HeaderChoice::Yes => Header::Present,
                HeaderChoice::No => Header::Absent,
            },
            separator: self.separator.map(|separator| match separator {
                SeparatorChoice::Comma => Separator::Comma,
                SeparatorChoice::Semicolon => Separator::Semicolon,
                SeparatorChoice::Tab => Separator::Tab,
                SeparatorChoice::Blank => Separator::Whitespace,
            }),
            array: self.array.clone(),
            ..ReadOptions::default()
        }
    }
}

/// Whether the first line holds names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeaderChoice {
    /// Found out
    Auto,
    /// It does
    Yes,
    /// It is data
    No,
}

/// What stands between the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SeparatorChoice {
    /// ,
    #[value(alias = ",")]
    Comma,
    /// ;
    #[value(alias = ";")]
    Semicolon,
    /// A tab
    #[value(alias = "\t", alias = "\\t")]
    Tab,
    /// Blanks or tabs
    #[value(alias = " ")]
    Blank,
}

/// What the fits with random starts have in common.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Independent starts, of which the best is kept: the one with the largest log-likelihood, or ELBO
    #[arg(long, value_name = "R", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) restarts: Option<usize>,
    /// Seed of the random numbers
    #[arg(long, value_name = "S", default_value_t = 0, allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) stopping: StoppingArgs,
}

/// When an iterative fit ends.
#[derive(Debug, Args)]
#[command(next_help_heading = "Iterations")]
pub(crate) struct StoppingArgs {
    /// Iterations at most
    #[arg(long, value_name = "I", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) max_iter: Option<usize>,
    /// Converged when the mean log-likelihood per row changes by less than this; 0 does exactly --max-iter iterations
    #[arg(long, value_name = "TOL", allow_negative_numbers = true, value_parser = not_negative)]
    pub(crate) tol: Option<f64>,
}

/// What new rows are drawn with.
#[derive(Debug, Args)]
pub(crate) struct NewRowsArgs {
    /// Seed of the random numbers
    #[arg(long, value_name = "S", default_value_t = 0, allow_negative_numbers = true, value_parser = seed)]
    pub(crate) seed: u64,
    /// The counts of each row in all, where the likelihood is told them: zinb, multinomial (vae)
    #[cfg(feature = "deep")]
    #[arg(long, value_name = "S", value_parser = at_least_one)]
    pub(crate) size: Option<usize>,
    /// What the new rows are told, for each column of the condition (vae)
    #[cfg(feature = "deep")]
    #[arg(long, value_name = "COLUMN=VALUE,...", value_delimiter = ',')]
    pub(crate) given: Vec<String>,
    /// Size and condition of the new rows are those of the rows of this table, one after the other and from the start again (vae)
    #[cfg(feature = "deep")]
    #[arg(long, value_name = "DATA", conflicts_with_all = ["size", "given"])]
    pub(crate) like: Option<PathBuf>,
}

#[cfg(feature = "deep")]
impl NewRowsArgs {
    /// The options that only neural models know, and whether they were typed.
    pub(crate) fn neural(&self) -> [(&'static str, bool); 3] {
        [("--size", self.size.is_some()), ("--given", !self.given.is_empty()), ("--like", self.like.is_some())]
    }
}

/// Where a fitted model goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct SaveArgs {
    /// Write the fitted model to this file
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) output: Option<PathBuf>,
    /// Print one JSON object instead of the summary
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a mixture starts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Initial {
    /// k-means++ and Lloyd's iterations.
    KMeansPlusPlus,
    /// Means at random rows.
    Random,
    /// Responsibilities (N x K) in a table.
    Responsibilities(PathBuf),
    /// Parameters in a model file.
    Model(PathBuf),
}

impl Initial {
    /// `kmeans++`, `random`, a table or a model file.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "kmeans++" => return Ok(Initial::KMeansPlusPlus),
            "random" => return Ok(Initial::Random),
            _ => {}
        }
        let path = Path::new(text);
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("csv" | "tsv" | "txt" | "npy") => Ok(Initial::Responsibilities(path.to_owned())),
            _ if path.is_file() || ending.is_some() => Ok(Initial::Model(path.to_owned())),
            _ => {
                Err("use kmeans++, random, a table of responsibilities (.csv, .tsv or .npy; N rows, K columns) or a model file".to_owned())
            }
        }
    }
}

/// A count of at least one.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("at least 1 is needed".to_owned()),
        Ok(count) => Ok(count),
        Err(_) if text.contains([',', ':', '-']) && !text.starts_with('-') => {
            Err("one whole number is needed here; lvm select tries several sizes".to_owned())
        }
        Err(error) => Err(not_whole(&error, 1)),
    }
}

/// A count of at least zero, or an index from 0.
pub(crate) fn from_zero(text: &str) -> Result<usize, String> {
    text.parse().map_err(|error| not_whole(&error, 0))
}

fn not_whole(error: &ParseIntError, least: usize) -> String {
    match error.kind() {
        IntErrorKind::PosOverflow => format!("at most {} is possible", usize::MAX),
        _ => format!("a whole number of at least {least} is needed"),
    }
}

/// A number that is none of NaN and the infinities.
pub(crate) fn finite(text: &str) -> Result<f64, String> {
    text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| "a finite number is needed".to_owned())
}

/// A seed.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a whole number of at least 0 is needed".to_owned())
}

/// A count of at least two.
pub(crate) fn at_least_two(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(count) if count >= 2 => Ok(count),
        _ => Err("a whole number of at least 2 is needed".to_owned()),
    }
}

/// A finite number above zero.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("a number above 0 is needed".to_owned()),
    }
}

/// A finite number of at least zero.
pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("a number of at least 0 is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_told_by_its_name() {
        let check = |text: &str, expect: Initial| assert_eq!(Initial::parse(text).unwrap(), expect);
        check("kmeans++", Initial::KMeansPlusPlus);
        check("random", Initial::Random);
        check("r0.csv", Initial::Responsibilities("r0.csv".into()));
        check("R0.NPY", Initial::Responsibilities("R0.NPY".into()));
        check("old.lvm", Initial::Model("old.lvm".into()));
        assert!(Initial::parse("kmeans").is_err());
    }

    #[test]
    fn counts_and_tolerances_have_a_range() {
        assert!(at_least_one("0").is_err() && at_least_one("-1").is_err() && at_least_one("abc").is_err());
        assert_eq!(at_least_one("7"), Ok(7));
        assert!(not_negative("-1e-3").is_err() && not_negative("nan").is_err() && not_negative("inf").is_err());
        assert_eq!(not_negative("0"), Ok(0.0));
    }
}
