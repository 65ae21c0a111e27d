//! What encoder and decoder are told besides x: columns of numbers, and columns of labels as zeros and a one.

use crate::args::FormatArgs;
use crate::failure::{Failure, Outcome};
use crate::input::{self, Input};
use lvm_core::file::Header;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A note in the header: the columns, as JSON.
const NOTE: &str = "condition";

/// Labels of one column at most: more are rather numbers, or names of rows.
const LEVELS: usize = 1000;

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Its name in the table.
    pub(crate) column: String,
    /// The labels it may hold, in the order of their places; `None`: numbers, as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) levels: Option<Vec<String>>,
}

/// All that a model is told.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Condition(pub(crate) Vec<Told>);

/// Where the columns are, if not in the table itself.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) input: &'a Input,
    pub(crate) file: Option<&'a Path>,
    pub(crate) format: &'a FormatArgs,
}

impl Place<'_> {
    fn path(&self) -> String {
        self.file.map_or_else(|| self.input.path().to_owned(), |file| file.display().to_string())
    }

    fn texts(&self, column: &str) -> Outcome<Vec<String>> {
        let texts = match self.file {
            Some(file) => input::texts(file, self.format, column)?,
            None => self.input.texts(column)?,
        };
        match texts.len() == self.input.n_rows() {
            true => Ok(texts),
            false => Err(Failure::fault(format!(
                "{}: column {column} has {} rows, but {} has {}; they must be the same rows in the same order",
                self.path(),
                texts.len(),
                self.input.path(),
                self.input.n_rows()
            ))),
        }
    }
}

impl Condition {
    /// Of columns as they are typed: `NAME`, `NAME=levels` or `NAME=numbers`. Without a word, a column of numbers is taken as numbers.
    pub(crate) fn of(typed: &[String], from: Place<'_>) -> Outcome<Self> {
        let told = |typed: &String| -> Outcome<Told> {
            let (column, kind) = split_kind(typed);
            let texts = from.texts(column)?;
            let numbers = kind != Some("levels") && (kind == Some("numbers") || texts.iter().all(|text| number(text).is_some()));
            let levels = if numbers { None } else { Some(levels(&texts, column, &from.path())?) };
            Ok(Told { column: column.to_owned(), levels })
        };
        let told: Vec<Told> = typed.iter().map(told).collect::<Outcome<_>>()?;
        if let Some(twice) = (1..told.len()).find(|&i| told[..i].iter().any(|t| t.column == told[i].column)) {
            return Err(Failure::usage(format!("--condition names {} twice", told[twice].column)));
        }
        Ok(Condition(told))
    }

    /// As the header of a model has it.
    pub(crate) fn from_header(header: &Header) -> Outcome<Self> {
        match header.notes.get(NOTE) {
            None => Ok(Condition::default()),
            Some(json) => serde_json::from_str(json).map(Condition).map_err(|error| {
                Failure::fault(format!("the model file says what the model is told in words that make no sense: {error}"))
            }),
        }
    }

    /// Writes it into a header.
    pub(crate) fn note(&self, header: &mut Header) {
        if !self.0.is_empty()
            && let Ok(json) = serde_json::to_string(&self.0)
        {
            header.notes.insert(NOTE.to_owned(), json);
        }
    }

    /// C.
    pub(crate) fn width(&self) -> usize {
        self.0.iter().map(Told::width).sum()
    }

    /// The names of the columns.
    pub(crate) fn columns(&self) -> Vec<String> {
        self.0.iter().map(|told| told.column.clone()).collect()
    }

    /// The numbers (N, C) of a table's rows; `None` for a model that is told nothing.
    pub(crate) fn numbers(&self, from: Place<'_>) -> Outcome<Option<Array2<f64>>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut numbers = Array2::<f64>::zeros((from.input.n_rows(), self.width()));
        let mut start = 0;
        for told in &self.0 {
            for (row, text) in from.texts(&told.column)?.iter().enumerate() {
                let place =
                    |message: String| Failure::fault(format!("{}: column {}, row {row} (from 0): {message}", from.path(), told.column));
                told.write(text, numbers.row_mut(row).as_slice_mut().unwrap_or_default(), start).map_err(place)?;
            }
            start += told.width();
        }
        Ok(Some(numbers))
    }

    /// The numbers (1, C) of `COLUMN=VALUE` for every column.
    pub(crate) fn given(&self, typed: &[String]) -> Outcome<Array2<f64>> {
        let mut numbers = vec![0.0; self.width()];
        let mut known = Vec::new();
        for text in typed {
            let Some((column, value)) = text.split_once('=') else {
                return Err(Failure::usage(format!("--given {text}: COLUMN=VALUE is needed")));
            };
            let Some(place) = self.0.iter().position(|told| told.column == column) else {
                let message = format!("--given {text}: the model is told {} and nothing else", self.columns().join(", "));
                return Err(Failure::usage(message));
            };
            let start = self.0[..place].iter().map(Told::width).sum();
            self.0[place].write(value, &mut numbers, start).map_err(|message| Failure::usage(format!("--given {column}: {message}")))?;
            known.push(place);
        }
        if let Some(lost) = (0..self.0.len()).find(|place| !known.contains(place)) {
            let column = &self.0[lost].column;
            return Err(Failure::usage(format!("the model is told {column} besides x: add --given {column}={}", self.0[lost].example())));
        }
        let width = numbers.len();
        Ok(Array2::from_shape_fn((1, width), |(_, c)| numbers[c]))
    }

    /// In a line, for people.
    pub(crate) fn describe(&self) -> String {
        let of = |told: &Told| match &told.levels {
            None => format!("{} (a number)", told.column),
            Some(levels) if levels.len() <= 8 => format!("{} ({})", told.column, levels.join(", ")),
            Some(levels) => format!("{} ({} labels)", told.column, levels.len()),
        };
        self.0.iter().map(of).collect::<Vec<_>>().join("; ")
    }
}

/// `NAME`, or `NAME=levels` and `NAME=numbers` in two.
pub(super) fn split_kind(typed: &str) -> (&str, Option<&str>) {
    match typed.rsplit_once('=') {
        Some((column, kind)) if ["levels", "numbers"].contains(&kind) => (column, Some(kind)),
        _ => (typed, None),
    }
}

impl Told {
    fn width(&self) -> usize {
        self.levels.as_ref().map_or(1, Vec::len)
    }

    fn example(&self) -> &str {
        self.levels.as_ref().and_then(|levels| levels.first()).map_or("0", String::as_str)
    }

    /// Writes the numbers of one cell to `numbers[start ..]`.
    fn write(&self, text: &str, numbers: &mut [f64], start: usize) -> Result<(), String> {
        match &self.levels {
            None => {
                numbers[start] = number(text).ok_or_else(|| format!("\"{text}\"; a finite number is needed, as the model is told one"))?
            }
            Some(levels) => {
                let place = place(text, levels).ok_or_else(|| {
                    let known = if levels.len() > 12 { format!("{}, …", levels[..12].join(", ")) } else { levels.join(", ") };
                    format!("\"{text}\" is none of the labels that the model was fitted with: {known}")
                })?;
                numbers[start..start + levels.len()].fill(0.0);
                numbers[start + place] = 1.0;
            }
        }
        Ok(())
    }
}

/// Where a label stands; 3 and 3.0 are the same.
fn place(text: &str, levels: &[String]) -> Option<usize> {
    let text = text.trim();
    let same = |level: &String| number(level).zip(number(text)).is_some_and(|(a, b)| a == b);
    levels.iter().position(|level| level == text).or_else(|| levels.iter().position(same))
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

/// The labels of a column, in the order of numbers or of the alphabet.
fn levels(texts: &[String], column: &str, path: &str) -> Outcome<Vec<String>> {
    if let Some(row) = texts.iter().position(|text| text.is_empty() || ["NA", "NaN", "nan"].contains(&text.as_str())) {
        return Err(Failure::fault(format!(
            "{path}: column {column}, row {row} (from 0): no label; a model can't be told what is missing"
        )));
    }
    let mut levels: Vec<String> = texts.to_vec();
    levels.sort_by(|a, b| match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    });
    levels.dedup();
    match levels.len() {
        1 => {
            Err(Failure::fault(format!("{path}: column {column} holds \"{}\" in every row, which tells nothing; leave it out", levels[0])))
        }
        n if n > LEVELS => Err(Failure::fault(format!(
            "{path}: column {column} holds {n} different labels, too many to tell apart by a number each; leave it out, or say {column}=numbers"
        ))),
        _ => Ok(levels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition() -> Condition {
        Condition(vec![
            Told { column: "age".into(), levels: None },
            Told { column: "plate".into(), levels: Some(vec!["1".into(), "2".into(), "b".into()]) },
        ])
    }

    #[test]
    fn labels_become_zeros_and_a_one() {
        let given = |typed: &[&str]| condition().given(&typed.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        assert_eq!(given(&["plate=2.0", "age=-3.5"]).unwrap().as_slice(), Some([-3.5, 0.0, 1.0, 0.0].as_slice()));
        for (typed, word) in [
            (["age=1", "plate=c"], "none of the labels"),
            (["age=nan", "plate=b"], "finite number"),
            (["age=1", "sex=f"], "age, plate"),
            (["age=1", "age=2"], "add --given plate=1"),
        ] {
            let message = given(&typed).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn it_is_kept_in_the_header() {
        let mut header = Header::default();
        condition().note(&mut header);
        assert_eq!(Condition::from_header(&header).unwrap(), condition());
        assert_eq!(Condition::from_header(&Header::default()).unwrap().width(), 0);
        header.notes.insert(NOTE.into(), "{".into());
        assert!(Condition::from_header(&header).is_err());
    }

    #[test]
    fn labels_are_sorted_as_numbers_where_they_are_some() {
        let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        assert_eq!(levels(&texts(&["10", "9", "10"]), "c", "f").unwrap(), ["9", "10"]);
        assert_eq!(levels(&texts(&["b", "a"]), "c", "f").unwrap(), ["a", "b"]);
        assert!(levels(&texts(&["b", ""]), "c", "f").is_err() && levels(&texts(&["b", "b"]), "c", "f").is_err());
    }
}
