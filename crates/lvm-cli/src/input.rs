//! The table a command works on: which columns of which file, where they came from, and errors in the user's own terms.

use crate::args::{DataArgs, FormatArgs};
use crate::failure::{Failure, Outcome};
use crate::hint;
use crate::report::{Skipped, TableReport, count};
use crate::stored::{self, Family, Stored};
use lvm_core::rows::{Missing, RowSource, Rows, total_weight};
use lvm_data::{ReadOptions, SkipReason, Source, Table};
use ndarray::{Array2, ArrayView1};
use std::fs::File;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

/// Files above this size are read from disk in every pass instead of being held in memory.
const STREAM_ABOVE: u64 = 1 << 30;

/// A table with the names of its columns.
pub(crate) struct Input {
    path: String,
    source: Source,
    columns: Vec<String>,
    skipped: Vec<Skipped>,
    /// The number of rows that a covariance matrix stands for.
    stands_for: Option<f64>,
    /// Where a row stands in the file, for the words of an error.
    place: Place,
}

impl Input {
    /// The table to fit a model to.
    pub(crate) fn open(args: &DataArgs) -> Outcome<Self> {
        Input::open_explained(args, hint::data)
    }

    /// The table to fit a model to that needs all cells.
    pub(crate) fn open_complete(args: &DataArgs) -> Outcome<Self> {
        Input::open_explained(args, hint::complete)
    }

    fn open_explained(args: &DataArgs, explain: fn(lvm_data::Error) -> Failure) -> Outcome<Self> {
        let content = Content::of(&args.data)?;
        let names = content.names(args)?;
        let mut options = options(args, &names);
        if !args.columns.is_empty() {
            options.columns = Some(args.columns.iter().map(|column| resolve(column, &names)).collect());
        }
        Input::read(content, args, options, explain)
    }

    /// The table to apply a model to: its columns are matched by name where both have names, by position otherwise.
    pub(crate) fn for_model(args: &DataArgs, stored: &Stored) -> Outcome<Self> {
        let explain = if stored.family().takes_missing() { hint::data } else { hint::complete };
        Input::matched(args, &stored.path, &stored.columns(), None, explain)
    }

    /// The same for the model at `model`, which has these columns.
    #[cfg(feature = "deep")]
    pub(crate) fn for_columns(args: &DataArgs, model: &str, wanted: &[String]) -> Outcome<Self> {
        Input::labelled(args, model, wanted, None)
    }

    /// The same with a column of labels.
    pub(crate) fn labelled(args: &DataArgs, model: &str, wanted: &[String], labels: Option<&str>) -> Outcome<Self> {
        Input::matched(args, model, wanted, labels, hint::data)
    }

    fn matched(
        args: &DataArgs,
        model: &str,
        wanted: &[String],
        labels: Option<&str>,
        explain: fn(lvm_data::Error) -> Failure,
    ) -> Outcome<Self> {
        let content = Content::of(&args.data)?;
        let names = content.names(args)?;
        let mut options = options(args, &names);
        options.labels = labels.map(|labels| resolve(labels, &names));
        let by_name = args.columns.is_empty() && !args.transpose && !numbered(&names) && !numbered(wanted);
        if !args.columns.is_empty() {
            options.columns = Some(args.columns.iter().map(|column| resolve(column, &names)).collect());
        } else if by_name {
            check_names(&content.name, &names, wanted, model)?;
            if let Some(name) = wanted.iter().find(|name| options.without.contains(name)) {
                let path = content.name.display();
                let message = format!("{path}: --without leaves out {name}, which the model {model} was fitted to; it needs the column");
                return Err(Failure::fault(message));
            }
            options.columns = Some(wanted.to_vec());
        }
        let (weights, without, labels) = (options.weights.clone(), options.without.clone(), options.labels.clone());
        let mut input = Input::read(content, args, options, explain)?;
        if by_name {
            let used = |name: &String| {
                wanted.contains(name) || weights.as_ref() == Some(name) || labels.as_ref() == Some(name) || without.contains(name)
            };
            let extra = names.iter().filter(|name| !name.is_empty() && !used(name));
            input.skipped.extend(extra.map(|name| Skipped { name: name.clone(), reason: "not in the model".to_owned() }));
        }
        let (found, expected) = (input.columns.len(), wanted.len());
        if found != expected {
            return Err(Failure::fault(format!(
                "{}: {} of numbers where the model {model} needs {expected} ({}); choose them with --columns",
                input.path,
                count(found, "column"),
                shortened(wanted)
            )));
        }
        Ok(input)
    }

    /// A table of numbers in memory, whatever its columns are called: starting responsibilities.
    pub(crate) fn matrix(path: &Path) -> Outcome<Array2<f64>> {
        Table::read(path, &ReadOptions::default()).map(|table| table.x).map_err(hint::data)
    }

    fn read(content: Content, args: &DataArgs, options: ReadOptions, explain: fn(lvm_data::Error) -> Failure) -> Outcome<Self> {
        let changed = args.transpose || args.scale.is_some() || options.labels.is_some();
        if changed && args.stream {
            return Err(Failure::usage("--stream reads rows as they are in the file; leave it out, or --scale and --labels"));
        }
        let in_memory = match (args.stream, changed) {
            (true, _) => 0,
            (false, true) => u64::MAX,
            (false, false) => STREAM_ABOVE,
        };
        let mut source = content.open(&options, in_memory).map_err(explain)?;
        if let Source::Table(table) = &mut source {
            change(table, args);
        }
        let columns = source.columns().to_vec();
        let told = options.without.iter().map(|name| Skipped { name: name.clone(), reason: "--without".to_owned() });
        let found = source.skipped().iter().map(|s| Skipped { name: s.name.clone(), reason: reason(&s.reason) });
        let skipped = found.chain(told).collect();
        let path = content.name.display().to_string();
        let place = Place { content, options, transposed: args.transpose };
        Ok(Input { path, source, columns, skipped, stands_for: None, place })
    }

    /// A covariance or correlation matrix of `n` rows.
    pub(crate) fn covariance(path: &Path, format: &FormatArgs, n: f64) -> Outcome<(Self, Array2<f64>)> {
        let table = Table::read(path, &format.options()).map_err(hint::data)?;
        let (rows, columns) = table.x.dim();
        let name = path.display().to_string();
        if rows != columns {
            return Err(Failure::fault(format!(
                "{name}: {rows} rows and {columns} columns of numbers; a covariance matrix has as many of both"
            )));
        }
        let (x, columns) = (table.x.clone(), table.columns.clone());
        let place = Place { content: Content { name: path.to_owned(), bytes: None }, options: format.options(), transposed: false };
        Ok((Input { path: name, source: Source::Table(table), columns, skipped: Vec::new(), stands_for: Some(n), place }, x))
    }

    /// An error unless the model to start from has the columns of this table, in this order.
    pub(crate) fn check_start(&self, path: &Path) -> Outcome {
        let wanted = stored::load(path)?.columns();
        if wanted == self.columns || (wanted.len() == self.columns.len() && (numbered(&wanted) || numbered(&self.columns))) {
            return Ok(());
        }
        Err(Failure::fault(format!(
            "{}: the columns {} are not those of the model {} to start from\n  hint: --columns {}",
            self.path,
            self.columns.join(", "),
            path.display(),
            wanted.join(",")
        )))
    }

    /// The rows.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows::new(&self.source)
    }

    /// Whether every pass reads the rows from disk again.
    pub(crate) fn is_on_disk(&self) -> bool {
        !matches!(self.source, Source::Table(_))
    }

    /// The largest number in the table.
    #[cfg(feature = "deep")]
    pub(crate) fn largest(&self) -> f64 {
        match &self.source {
            Source::Table(table) => table.x.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            _ => f64::INFINITY,
        }
    }

    /// The file.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// N.
    pub(crate) fn n_rows(&self) -> usize {
        self.source.n_rows()
    }

    /// Puts back into `x` every cell that is not missing.
    #[cfg(feature = "deep")]
    pub(crate) fn keep_observed(&self, x: &mut Array2<f64>) -> lvm_core::Result<()> {
        let mut own = Array2::zeros(x.dim());
        self.source.read(0, own.view_mut())?;
        x.zip_mut_with(&own, |to, own| *to = if own.is_nan() { *to } else { *own });
        Ok(())
    }

    /// The column of labels, if one was asked for.
    pub(crate) fn labels(&self) -> Option<&[String]> {
        match &self.source {
            Source::Table(table) => table.labels.as_deref(),
            _ => None,
        }
    }

    /// Row weights, if any.
    pub(crate) fn weights(&self) -> Option<ArrayView1<'_, f64>> {
        self.source.weights()
    }

    /// N, or the sum of the weights.
    pub(crate) fn total_weight(&self) -> f64 {
        self.stands_for.unwrap_or_else(|| total_weight(&self.source))
    }

    /// Names of the columns used.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// What reports say about the table.
    pub(crate) fn report(&self) -> TableReport {
        TableReport {
            data: self.path.clone(),
            n: self.stands_for.map_or(self.source.n_rows(), |n| n as usize),
            d: self.columns.len(),
            total_weight: self.weights().map(|w| w.sum()),
            columns: self.columns.clone(),
            skipped_columns: self.skipped.clone(),
        }
    }

    /// The texts of one column of the file that the table comes from, used or not, row by row.
    #[cfg(feature = "deep")]
    pub(crate) fn texts(&self, column: &str) -> Outcome<Vec<String>> {
        if self.place.transposed {
            return Err(Failure::fault(format!(
                "{}: with --transpose, {column} can't be a column: take it from a table of its own",
                self.path
            )));
        }
        texts_of(&self.place.content, &self.place.options, column)
    }

    /// What these columns were left out for, in reports.
    #[cfg(feature = "deep")]
    pub(crate) fn used_for(&mut self, names: &[String], reason: &str) {
        for skipped in self.skipped.iter_mut().filter(|s| names.contains(&s.name)) {
            reason.clone_into(&mut skipped.reason);
        }
    }

    /// CRC-32 of all numbers and row weights, NaN for a missing cell: other tables have another.
    #[cfg(feature = "deep")]
    pub(crate) fn checksum(&self) -> lvm_core::Result<u32> {
        const ROWS: usize = 1024;
        let (n, d) = (self.source.n_rows(), self.source.n_cols());
        let mut block = Array2::zeros((ROWS.min(n), d));
        let mut crc = 0;
        let mut add = |value: f64| {
            // one NaN for all
            let value = if value.is_nan() { f64::NAN } else { value };
            crc = lvm_core::file::crc32(crc, &value.to_le_bytes());
        };
        for start in (0..n).step_by(ROWS) {
            let (mut rows, _) = block.view_mut().split_at(ndarray::Axis(0), ROWS.min(n - start));
            self.source.read(start, rows.view_mut())?;
            rows.iter().for_each(|value| add(*value));
        }
        self.weights().iter().flatten().for_each(|weight| add(*weight));
        Ok(crc)
    }

    /// An error of the library, met with a model of this family, as one about this table.
    pub(crate) fn explain(&self, family: Family, error: lvm_core::Error) -> Failure {
        let row = |row: usize| match self.place.line(row) {
            Some(line) => format!("line {line}, row {row} (from 0)"),
            None => format!("row {row} (from 0)"),
        };
        hint::fit(family, &self.path, &self.columns, &row, &error)
    }
}

/// The file again, and how it was read.
struct Place {
    content: Content,
    options: ReadOptions,
    transposed: bool,
}

impl Place {
    /// The line that a row is in, if the file has lines and is still there.
    fn line(&self, row: usize) -> Option<u64> {
        if self.transposed {
            return None;
        }
        let Content { name, bytes } = &self.content;
        match bytes {
            Some(bytes) => lvm_data::line_of_row_in_bytes(name, bytes, &self.options, row),
            None => lvm_data::line_of_row(name, &self.options, row),
        }
        .ok()
        .flatten()
    }
}

/// A file, or what came through a pipe and can be read only once.
struct Content {
    name: PathBuf,
    bytes: Option<Vec<u8>>,
}

impl Content {
    fn of(path: &Path) -> Outcome<Self> {
        let pipe = path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir());
        let mut bytes = Vec::new();
        let (name, read) = match path == Path::new("-") {
            true => (Path::new("standard input"), stdin().lock().read_to_end(&mut bytes)),
            false if pipe => (path, File::open(path).and_then(|mut pipe| pipe.read_to_end(&mut bytes))),
            false => return Ok(Content { name: path.to_owned(), bytes: None }),
        };
        match read {
            Ok(_) => Ok(Content { name: name.to_owned(), bytes: Some(bytes) }),
            Err(error) => Err(Failure::fault(format!("{}: {error}", name.display()))),
        }
    }

    fn open(&self, options: &ReadOptions, in_memory: u64) -> lvm_data::Result<Source> {
        match &self.bytes {
            Some(bytes) => Table::from_bytes(&self.name, bytes, options).map(Source::Table),
            None => Source::open(&self.name, options, in_memory),
        }
    }

    /// The names of all columns, used or not.
    fn names(&self, args: &DataArgs) -> Outcome<Vec<String>> {
        let options = args.format.options();
        let names = match &self.bytes {
            Some(bytes) => lvm_data::column_names_of_bytes(&self.name, bytes, &options),
            None => lvm_data::column_names(&self.name, &options),
        };
        names.map_err(hint::data)
    }
}

/// The texts of one column of a file.
#[cfg(feature = "deep")]
fn texts_of(content: &Content, format: &ReadOptions, column: &str) -> Outcome<Vec<String>> {
    let options = ReadOptions { columns: None, weights: None, without: Vec::new(), missing: Missing::Integrate, ..format.clone() };
    let names = match &content.bytes {
        Some(bytes) => lvm_data::column_names_of_bytes(&content.name, bytes, &options),
        None => lvm_data::column_names(&content.name, &options),
    };
    let column = resolve(column, &names.map_err(hint::data)?);
    let options = ReadOptions { labels: Some(column), ..options };
    match content.open(&options, u64::MAX).map_err(hint::data)? {
        Source::Table(Table { labels: Some(labels), .. }) => Ok(labels),
        _ => Err(Failure::fault(format!("{}: columns of such a file can't be read as text; use .csv or .tsv", content.name.display()))),
    }
}

/// The texts of one column of the file at `path`, row by row.
#[cfg(feature = "deep")]
pub(crate) fn texts(path: &Path, format: &FormatArgs, column: &str) -> Outcome<Vec<String>> {
    texts_of(&Content::of(path)?, &format.options(), column)
}

/// `--transpose` and `--scale`.
fn change(table: &mut Table, args: &DataArgs) {
    if args.transpose {
        table.x = table.x.t().as_standard_layout().into_owned();
        table.columns = (1..=table.x.ncols()).map(|j| format!("x{j}")).collect();
        table.skipped.clear();
    }
    if let Some(scale) = args.scale {
        table.x /= scale;
    }
}

fn options(args: &DataArgs, names: &[String]) -> ReadOptions {
    ReadOptions {
        weights: args.weights.as_ref().map(|weights| resolve(weights, names)),
        without: args.without.iter().map(|column| resolve(column, names)).collect(),
        missing: if args.missing { Missing::Integrate } else { Missing::Refuse },
        ..args.format.options()
    }
}

/// A column by its name, or by its number from 1.
fn resolve(column: &str, names: &[String]) -> String {
    let by_number = || column.trim().parse::<usize>().ok().and_then(|number| names.get(number.checked_sub(1)?)).cloned();
    match names.iter().any(|name| name == column) {
        true => column.to_owned(),
        false => by_number().unwrap_or_else(|| column.trim().to_owned()),
    }
}

/// `x1, x2, …`: the names of columns that have none.
fn numbered(names: &[String]) -> bool {
    names.iter().enumerate().all(|(j, name)| *name == format!("x{}", j + 1))
}

/// The names, or the first and the last where they are many.
fn shortened(names: &[String]) -> String {
    match names {
        [first, second, .., last] if names.len() > 30 => format!("{first}, {second}, …, {last}"),
        _ => names.join(", "),
    }
}

/// An error unless the file has every column of the model.
fn check_names(path: &Path, names: &[String], wanted: &[String], model: &str) -> Outcome {
    let lost: Vec<&str> = wanted.iter().filter(|w| !names.contains(w)).map(String::as_str).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Failure::fault(format!(
        "{}: no column {} here, which the model {model} was fitted to; the columns are {}. Rename them, or choose {} of them, in the model's order, with --columns",
        path.display(),
        lost.join(", "),
        names.join(", "),
        wanted.len()
    )))
}

fn reason(reason: &SkipReason) -> String {
    match reason {
        SkipReason::Text { line, text, .. } => format!("text: \"{text}\" in line {line}"),
        SkipReason::RowNames => "row names".to_owned(),
        SkipReason::Empty => "empty".to_owned(),
        _ => "not a column of numbers".to_owned(),
    }
}
