//! The data of a case by name: the object of `data.file`, or the vectors and the table that stand in the case itself.

use crate::case::{Case, CaseError};
use ndarray::{Array1, Array2};
use serde_json::Value;
use std::collections::BTreeMap;

/// One entry of the data.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    /// A number that stands for every row.
    Number(f64),
    /// A number a row (N).
    Column(Array1<f64>),
    /// Several numbers a row (N, p).
    Matrix(Array2<f64>),
}

/// Data by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns(BTreeMap<String, Entry>);

impl Columns {
    /// The data of a case. Entries that are neither numbers nor vectors nor matrices of numbers are left out.
    ///
    /// # Errors
    /// If there are none, or the file named can't be read.
    pub(super) fn of(case: &Case) -> Result<Columns, CaseError> {
        let data = case.get("data")?;
        if let (Some(names), Some(rows)) = (data.find("columns"), data.find("rows")) {
            let (names, x) = (names.texts()?, rows.matrix()?);
            if names.len() != x.ncols() {
                return Err(rows.problem(format!("has {} columns, and there are {} names", x.ncols(), names.len())));
            }
            let column = |(j, name): (usize, String)| (name, Entry::Column(x.column(j).to_owned()));
            return Ok(Columns(names.into_iter().enumerate().map(column).collect()));
        }
        let Some(file) = data.find("file") else {
            return Ok(Columns(
                data.fields()?.into_iter().filter_map(|(name, node)| Some((name.to_owned(), entry(node.value())?))).collect(),
            ));
        };
        let path = case.resolve(&file)?;
        let text = std::fs::read_to_string(&path).map_err(|e| file.problem(format!("{}: {e}", path.display())))?;
        let value: Value = serde_json::from_str(&text).map_err(|e| file.problem(format!("{}: not JSON: {e}", path.display())))?;
        let object = value.as_object().ok_or_else(|| file.problem(format!("{}: no object of columns", path.display())))?;
        Ok(Columns(object.iter().filter_map(|(name, value)| Some((name.clone(), entry(value)?))).collect()))
    }

    /// The entry a text means by `name`: of that name, of that name without the index `_i`, or the only one that begins with the name and
    /// an underscore (`floor` for `floor_measure`).
    pub(super) fn find(&self, name: &str) -> Option<&Entry> {
        let bare = name.strip_suffix("_i").unwrap_or(name);
        self.0.get(name).or_else(|| self.0.get(bare)).or_else(|| {
            let mut longer = self.0.iter().filter(|(key, _)| key.strip_prefix(bare).is_some_and(|rest| rest.starts_with('_')));
            longer.next().filter(|_| longer.next().is_none()).map(|(_, entry)| entry)
        })
    }

    /// Whether there is an entry of exactly this name.
    pub(super) fn is_there(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The column a text means by `name`.
    pub(super) fn column(&self, name: &str) -> Option<&Array1<f64>> {
        match self.find(name)? {
            Entry::Column(x) => Some(x),
            _ => None,
        }
    }

    /// Every column made to have mean 0 and standard deviation 1 (divisor N − 1), but for the one `kept`.
    pub(super) fn standardised(&self, kept: &Array1<f64>) -> Columns {
        let standardise = |entry: &Entry| match entry {
            Entry::Column(x) if x != kept => Entry::Column((x - mean(x)) / deviation(x)),
            other => other.clone(),
        };
        Columns(self.0.iter().map(|(name, entry)| (name.clone(), standardise(entry))).collect())
    }
}

/// x̄.
pub(super) fn mean(x: &Array1<f64>) -> f64 {
    x.sum() / x.len() as f64
}

/// √(Σ (x − x̄)² / (N − 1)).
pub(super) fn deviation(x: &Array1<f64>) -> f64 {
    let centre = mean(x);
    (x.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / (x.len() as f64 - 1.0)).sqrt()
}

fn entry(value: &Value) -> Option<Entry> {
    let numbers = |v: &Value| v.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>();
    if let Some(number) = value.as_f64() {
        return Some(Entry::Number(number));
    }
    if let Some(column) = numbers(value) {
        return Some(Entry::Column(Array1::from(column)));
    }
    let rows = value.as_array()?.iter().map(numbers).collect::<Option<Vec<_>>>()?;
    Array2::from_shape_vec((rows.len(), rows.first()?.len()), rows.concat()).ok().map(Entry::Matrix)
}
