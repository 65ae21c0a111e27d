//! Design matrix and response of a regression, from the words of `model.design`.

use super::columns::Entry;
use super::formula::{Names, Quantity};
use super::text::{Statement, capture, split, squeeze};
use ndarray::{Array1, Array2, Axis, Slice};

/// What a regression is of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Design {
    /// (N, p).
    pub(super) x: Array2<f64>,
    /// y (N), if the words name it.
    pub(super) y: Option<Array1<f64>>,
}

/// The design of a regression with predictor x_i · β; none if its words are not understood in full.
pub(super) fn design(statement: &Statement) -> Option<Design> {
    let words = statement.design.as_str();
    match squeeze(words).as_str() {
        "x_i=rowiofX,y_i=y[i]" => {
            let Entry::Matrix(x) = statement.columns.find("X")? else { return None };
            return Some(Design { x: x.clone(), y: Some(statement.columns.column("y")?.clone()) });
        }
        text => {
            if let Some(found) = capture("t={}..{}:x_t=(1,y[t-1],...,y[t-{}]),responsey[t](1-based)", text) {
                return lags(statement.columns.column("y")?, found[0].parse().ok()?, found[1].parse().ok()?, found[2].parse().ok()?);
            }
        }
    }
    formulas(statement, words)
}

/// x_t = (1, y_{t−1} … y_{t−k}) for t = first … last, counted from 1.
fn lags(y: &Array1<f64>, first: usize, last: usize, k: usize) -> Option<Design> {
    if first != k + 1 || last != y.len() || k == 0 {
        return None;
    }
    let x = Array2::from_shape_fn((last - k, k + 1), |(t, j)| if j == 0 { 1.0 } else { y[t + k - j] });
    Some(Design { x, y: Some(y.slice_axis(Axis(0), Slice::from(k..last)).to_owned()) })
}

/// `z = …; x_i = (…, …), y_i = …`, with or without standardised columns.
fn formulas(statement: &Statement, words: &str) -> Option<Design> {
    let mut columns = statement.columns.clone();
    let mut parts = split(words, ';').into_iter().peekable();
    if let Some(first) = parts.peek()
        && squeeze(first).starts_with("columnsstandardised")
    {
        let n = capture("columnsstandardisedwithmeanandsd(n-1)ofall{}rows", &squeeze(first))?.remove(0).parse::<usize>().ok()?;
        let response = response(statement)?;
        if response.len() != n {
            return None;
        }
        columns = columns.standardised(&response);
        parts.next();
    }
    let mut names = Names::new(&columns);
    let (mut rows, mut y) = (None, None);
    for part in parts.flat_map(|p| split(p, ',')) {
        let (left, right) = part.split_once('=')?;
        let right = right.trim();
        match left.trim() {
            "x_i" | "x" => {
                let inner = right.strip_prefix('(')?.strip_suffix(')')?;
                rows = Some(split(inner, ',').into_iter().map(|f| names.evaluate(f)).collect::<Option<Vec<Quantity>>>()?);
            }
            "y_i" | "y" => y = Some(names.evaluate(right)?),
            name => {
                let value = names.evaluate(right.strip_suffix("(sd with n-1)").unwrap_or(right))?;
                names.defined.insert(name.to_owned(), value);
            }
        }
    }
    let entries = rows?;
    let n = entries.iter().find_map(|q| if let Quantity::Column(x) = q { Some(x.len()) } else { None })?;
    let mut x = Array2::zeros((n, entries.len()));
    for (mut column, entry) in x.columns_mut().into_iter().zip(entries) {
        column.assign(&entry.spread(n)?);
    }
    let y = match y {
        Some(y) => Some(y.spread(n)?),
        None => None,
    };
    Some(Design { x, y })
}

/// The column whose name the first sampled clause has.
pub(super) fn response(statement: &Statement) -> Option<Array1<f64>> {
    statement.clauses.iter().find_map(|c| match c {
        super::text::Clause::Sampled { names, .. } if names.len() == 1 => statement.columns.column(&names[0]).cloned(),
        _ => None,
    })
}
