//! From an array without names to a table: columns, weights and the check of every cell.

use crate::columns::Choice;
use crate::error::{Cell, Error, ErrorKind, Result};
use crate::table::{ReadOptions, Table, numbered_names};
use lvm_core::rows::Missing;
use ndarray::{Array1, Array2, ArrayView1, Axis};
use std::path::Path;

/// The table of `x`, whose columns are named x1 … xD.
pub(crate) fn table(path: &Path, x: Array2<f64>, options: &ReadOptions) -> Result<Table> {
    if x.is_empty() {
        return Err(Error::new(path, ErrorKind::Empty));
    }
    let names = numbered_names(x.ncols());
    let choice = Choice::new(path, &names, options)?;
    let weights = choice.weights.map(|column| weights(path, &names[column], column, x.column(column))).transpose()?;
    let labels = choice.labels.map(|column| x.column(column).iter().map(f64::to_string).collect());
    let data = data_columns(path, &choice, x.ncols())?;
    let all = data.len() == x.ncols() && data.iter().enumerate().all(|(i, j)| i == *j);
    let x = if all { x } else { x.select(Axis(1), &data) };
    let columns: Vec<String> = data.iter().map(|&j| names[j].clone()).collect();
    check_cells(path, &x, weights.as_ref(), options.missing, &data, &columns)?;
    Ok(Table { columns, x, weights, labels, skipped: Vec::new(), header: false, missing: options.missing })
}

/// The chosen columns, or all that are neither weights nor labels.
pub(crate) fn data_columns(path: &Path, choice: &Choice, columns: usize) -> Result<Vec<usize>> {
    let data = match &choice.data {
        Some(columns) => columns.clone(),
        None => (0..columns).filter(|&j| choice.is_candidate(j)).collect(),
    };
    // a table may be there for its labels alone
    if data.is_empty() && choice.labels.is_none() {
        return Err(Error::new(path, ErrorKind::NoNumbers { columns: numbered_names(columns) }));
    }
    Ok(data)
}

/// A column of weights, checked.
pub(crate) fn weights(path: &Path, name: &str, column: usize, values: ArrayView1<'_, f64>) -> Result<Array1<f64>> {
    if let Some(row) = values.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
        let cell = Cell { line: None, row, column, name: name.to_owned() };
        return Err(Error::new(path, ErrorKind::Weight { cell, text: values[row].to_string() }));
    }
    if values.iter().all(|w| *w == 0.0) {
        return Err(Error::new(path, ErrorKind::NoWeight { name: name.to_owned() }));
    }
    Ok(values.to_owned())
}

/// An error for the first cell, in a row of weight above zero, that is infinite, or that is NaN and may not be.
fn check_cells(
    path: &Path,
    x: &Array2<f64>,
    weights: Option<&Array1<f64>>,
    missing: Missing,
    file_columns: &[usize],
    names: &[String],
) -> Result<()> {
    if x.iter().all(|v| v.is_finite()) {
        return Ok(());
    }
    for (row, values) in x.axis_iter(Axis(0)).enumerate() {
        if weights.is_some_and(|w| w[row] == 0.0) {
            continue;
        }
        for (j, value) in values.iter().enumerate() {
            let cell = || Cell { line: None, row, column: file_columns[j], name: names[j].clone() };
            if value.is_infinite() {
                return Err(Error::new(path, ErrorKind::Infinite { cell: cell(), text: value.to_string() }));
            }
            if value.is_nan() && missing == Missing::Refuse {
                return Err(Error::new(path, ErrorKind::MissingCell { cell: cell(), text: "NaN".into() }));
            }
        }
    }
    Ok(())
}
