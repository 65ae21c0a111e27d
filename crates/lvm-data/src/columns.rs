//! From names to columns: what the options ask for.

use crate::error::{Error, ErrorKind, Result};
use crate::table::ReadOptions;
use std::path::Path;

/// The columns the options name, as indices into the file's columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Choice {
    /// The data, in the order asked for; all that are numbers if absent.
    pub(crate) data: Option<Vec<usize>>,
    pub(crate) weights: Option<usize>,
    pub(crate) labels: Option<usize>,
    /// Columns to leave alone.
    pub(crate) without: Vec<usize>,
}

impl Choice {
    pub(crate) fn new(path: &Path, names: &[String], options: &ReadOptions) -> Result<Self> {
        let find = |name: &String| position(path, names, name);
        let data = match &options.columns {
            Some(columns) => Some(columns.iter().map(find).collect::<Result<Vec<usize>>>()?),
            None => None,
        };
        if data.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::format(path, "no column is chosen: name at least one, or none at all to read every column of numbers"));
        }
        let weights = options.weights.as_ref().map(find).transpose()?;
        let labels = options.labels.as_ref().map(find).transpose()?;
        let without = options.without.iter().map(find).collect::<Result<Vec<usize>>>()?;
        let mut used: Vec<usize> = data.iter().flatten().copied().chain(weights).chain(labels).collect();
        used.sort_unstable();
        if let Some(pair) = used.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::new(path, ErrorKind::ColumnTwice { name: names[pair[0]].clone() }));
        }
        if let Some(column) = without.iter().find(|column| used.contains(column)) {
            return Err(Error::format(path, format!("column \"{}\" is both asked for and left out; do one of the two", names[*column])));
        }
        Ok(Choice { data, weights, labels, without })
    }

    /// Whether a column may be data when none is chosen by name.
    pub(crate) fn is_candidate(&self, column: usize) -> bool {
        self.weights != Some(column) && self.labels != Some(column) && !self.without.contains(&column)
    }
}

/// The one column of that name.
fn position(path: &Path, names: &[String], name: &String) -> Result<usize> {
    let mut at = names.iter().enumerate().filter(|(_, n)| *n == name).map(|(j, _)| j);
    match (at.next(), at.next()) {
        (Some(only), None) => Ok(only),
        (Some(first), Some(second)) => Err(Error::new(path, ErrorKind::DuplicateColumn { name: name.clone(), first, second })),
        (None, _) => Err(Error::new(path, ErrorKind::UnknownColumn { name: name.clone(), available: names.to_vec() })),
    }
}

/// An error if two of the columns in `used` share a name.
pub(crate) fn check_distinct(path: &Path, names: &[String], used: &[usize]) -> Result<()> {
    let mut sorted: Vec<usize> = used.to_vec();
    sorted.sort_by(|a, b| names[*a].cmp(&names[*b]).then(a.cmp(b)));
    match sorted.windows(2).find(|pair| names[pair[0]] == names[pair[1]]) {
        Some(pair) => {
            let name = names[pair[0]].clone();
            Err(Error::new(path, ErrorKind::DuplicateColumn { name, first: pair[0], second: pair[1] }))
        }
        None => Ok(()),
    }
}
