//! The table a command works on: which columns of which file, where they came from, and errors in the user's own terms.

use crate::args::DataArgs;
use crate::failure::{Failure, Outcome};
use crate::hint;
use crate::report::{Skipped, TableReport};
use crate::stored::Stored;
use lvm_core::rows::{Missing, RowSource, Rows, total_weight};
use lvm_data::{ErrorKind, ReadOptions, SkipReason, Source, Table};
use ndarray::{Array2, ArrayView1};
use std::path::Path;

/// Files above this size are read from disk in every pass instead of being held in memory.
const STREAM_ABOVE: u64 = 1 << 30;

/// A table with the names of its columns.
pub(crate) struct Input {
    path: String,
    source: Source,
    columns: Vec<String>,
    skipped: Vec<Skipped>,
}

impl Input {
    /// The table to fit a model to.
    pub(crate) fn open(args: &DataArgs) -> Outcome<Self> {
        let names = names(args)?;
        let mut options = options(args, &names);
        if !args.columns.is_empty() {
            options.columns = Some(args.columns.iter().map(|column| resolve(column, &names)).collect());
        }
        Input::read(args, &options)
    }

    /// The table to apply a model to: its columns are matched by name where both have names, by position otherwise.
    pub(crate) fn for_model(args: &DataArgs, stored: &Stored) -> Outcome<Self> {
        let names = names(args)?;
        let mut options = options(args, &names);
        let wanted = stored.columns();
        let by_name = args.columns.is_empty() && !numbered(&names) && !numbered(&wanted);
        if !args.columns.is_empty() {
            options.columns = Some(args.columns.iter().map(|column| resolve(column, &names)).collect());
        } else if by_name {
            check_names(&args.data, &names, &wanted, stored)?;
            options.columns = Some(wanted.clone());
        }
        let mut input = Input::read(args, &options)?;
        if by_name {
            let used = |name: &String| wanted.contains(name) || options.weights.as_ref() == Some(name);
            let extra = names.iter().filter(|name| !name.is_empty() && !used(name));
            input.skipped.extend(extra.map(|name| Skipped { name: name.clone(), reason: "not in the model".to_owned() }));
        }
        let (found, expected) = (input.columns.len(), stored.dim());
        if found != expected {
            return Err(Failure::fault(format!(
                "{}: {found} columns of numbers where the model {} needs {expected} ({}); choose them with --columns",
                input.path,
                stored.path,
                wanted.join(", ")
            )));
        }
        Ok(input)
    }

    /// A table of numbers in memory, whatever its columns are called: starting responsibilities.
    pub(crate) fn matrix(path: &Path) -> Outcome<Array2<f64>> {
        Table::read(path, &ReadOptions::default()).map(|table| table.x).map_err(hint::data)
    }

    fn read(args: &DataArgs, options: &ReadOptions) -> Outcome<Self> {
        let in_memory = if args.stream { 0 } else { STREAM_ABOVE };
        let source = Source::open(&args.data, options, in_memory).map_err(hint::data)?;
        let columns = source.columns().to_vec();
        let skipped = source.skipped().iter().map(|s| Skipped { name: s.name.clone(), reason: reason(&s.reason) }).collect();
        Ok(Input { path: args.data.display().to_string(), source, columns, skipped })
    }

    /// The rows.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows::new(&self.source)
    }

    /// Row weights, if any.
    pub(crate) fn weights(&self) -> Option<ArrayView1<'_, f64>> {
        self.source.weights()
    }

    /// N, or the sum of the weights.
    pub(crate) fn total_weight(&self) -> f64 {
        total_weight(&self.source)
    }

    /// Names of the columns used.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// What reports say about the table.
    pub(crate) fn report(&self) -> TableReport {
        TableReport {
            data: self.path.clone(),
            n: self.source.n_rows(),
            d: self.columns.len(),
            total_weight: self.weights().map(|w| w.sum()),
            columns: self.columns.clone(),
            skipped_columns: self.skipped.clone(),
        }
    }

    /// An error of the library as one about this table.
    pub(crate) fn explain(&self, error: lvm_core::Error) -> Failure {
        hint::fit(&self.path, &self.columns, &error)
    }
}

fn options(args: &DataArgs, names: &[String]) -> ReadOptions {
    ReadOptions {
        weights: args.weights.as_ref().map(|weights| resolve(weights, names)),
        missing: if args.missing { Missing::Integrate } else { Missing::Refuse },
        ..args.format.options()
    }
}

/// A column by its name, or by its number from 1.
fn resolve(column: &str, names: &[String]) -> String {
    let by_number = || column.parse::<usize>().ok().and_then(|number| names.get(number.checked_sub(1)?)).cloned();
    match names.iter().any(|name| name == column) {
        true => column.to_owned(),
        false => by_number().unwrap_or_else(|| column.to_owned()),
    }
}

/// `x1, x2, …`: the names of columns that have none.
fn numbered(names: &[String]) -> bool {
    names.iter().enumerate().all(|(j, name)| *name == format!("x{}", j + 1))
}

/// The names of all columns of the file, used or not.
fn names(args: &DataArgs) -> Outcome<Vec<String>> {
    // Asking for a column that no file has is answered with the names there are, before any row is read.
    let impossible = ReadOptions { columns: Some(vec!["\0".to_owned()]), ..args.format.options() };
    match Table::read(&args.data, &impossible) {
        Ok(table) => Ok(table.columns),
        Err(error) => match error.kind() {
            ErrorKind::UnknownColumn { available, .. } => Ok(available.clone()),
            _ => Err(hint::data(error)),
        },
    }
}

/// An error unless the file has every column of the model.
fn check_names(path: &Path, names: &[String], wanted: &[String], stored: &Stored) -> Outcome {
    let lost: Vec<&str> = wanted.iter().filter(|w| !names.contains(w)).map(String::as_str).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(Failure::fault(format!(
        "{}: no column {} here, which the model {} was fitted to; the columns are {}. Rename them, or choose {} of them, in the model's order, with --columns",
        path.display(),
        lost.join(", "),
        stored.path,
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
