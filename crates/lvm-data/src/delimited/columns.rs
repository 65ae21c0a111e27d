//! What the cells of a column are, and what follows from it: kept, left out, or an error.

use super::cell::Value;
use crate::error::{Cell, Error, ErrorKind};
use crate::table::SkipReason;
use lvm_core::rows::Missing;
use std::path::Path;

/// The first cell of a kind in a column.
#[derive(Debug, Clone)]
struct First {
    line: u64,
    row: usize,
    text: String,
}

/// Counts of what the cells of one column are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    numbers: usize,
    texts: usize,
    commas: usize,
    text: Option<First>,
    comma: Option<First>,
    missing: Option<First>,
    infinite: Option<First>,
}

/// What becomes of a column.
#[derive(Debug)]
pub(crate) enum Verdict {
    Keep,
    Skip(SkipReason),
    /// The row of the cell, and the error.
    Refuse(usize, ErrorKind),
}

impl Tally {
    /// Takes note of one cell and returns its number, NaN if it has none. `counts` is false in rows of weight zero, which are not
    /// there: nothing in them is an error.
    pub(crate) fn add(&mut self, raw: &[u8], line: u64, row: usize, counts: bool) -> f64 {
        let value = Value::parse(raw);
        if let Value::Number(number) = value
            && number.is_finite()
        {
            self.numbers += 1;
            return number;
        }
        let first = match value {
            Value::Number(_) => {
                self.numbers += 1;
                &mut self.infinite
            }
            Value::Missing => &mut self.missing,
            Value::Comma => {
                self.commas += 1;
                &mut self.comma
            }
            Value::Text => {
                self.texts += 1;
                &mut self.text
            }
        };
        if first.is_none() && counts {
            *first = Some(First { line, row, text: String::from_utf8_lossy(raw.trim_ascii()).into_owned() });
        }
        f64::NAN
    }

    /// Judges the column: `chosen` by the user or a mere candidate, `named` in the header or not.
    ///
    /// A candidate without numbers, or with more text than numbers, is text and is left out. A column of numbers with some text in
    /// it is an error: one typo must not silently cost a column.
    pub(crate) fn verdict(&self, name: &str, column: usize, chosen: bool, named: bool, missing: Missing) -> Verdict {
        let others = self.texts + self.commas;
        if !chosen {
            if self.numbers == 0 && others == 0 && !named {
                return Verdict::Skip(SkipReason::Empty);
            }
            if self.numbers < others && self.commas <= self.texts {
                let (line, row, text) = match &self.text {
                    Some(first) => (first.line, first.row, first.text.clone()),
                    None => (0, 0, String::new()),
                };
                return Verdict::Skip(SkipReason::Text { line, row, text });
            }
        }
        let missing = self.missing.as_ref().filter(|_| missing == Missing::Refuse);
        let kinds = [(0, self.text.as_ref()), (1, self.comma.as_ref()), (2, self.infinite.as_ref()), (3, missing)];
        let first = kinds.into_iter().filter_map(|(kind, first)| first.map(|f| (kind, f))).min_by_key(|(_, first)| first.row);
        let Some((kind, first)) = first else {
            return Verdict::Keep;
        };
        let cell = Cell { line: Some(first.line), row: first.row, column, name: name.to_owned() };
        let text = first.text.clone();
        let error = match kind {
            0 => ErrorKind::Text { cell, text },
            1 => ErrorKind::DecimalComma { cell, text },
            2 => ErrorKind::Infinite { cell, text },
            _ => ErrorKind::MissingCell { cell, text },
        };
        Verdict::Refuse(first.row, error)
    }
}

/// The error of the earliest row among the verdicts, if any refuses.
pub(crate) fn earliest(path: &Path, refused: Vec<(usize, ErrorKind)>) -> Option<Error> {
    refused.into_iter().min_by_key(|(row, _)| *row).map(|(_, kind)| Error::new(path, kind))
}
