//! One pass over a text file: names, checks, and every row's numbers.

use super::cell::Value;
use super::columns::{Tally, Verdict, earliest};
use super::header::is_header;
use super::record::{Record, Records};
use super::separator;
use crate::columns::{Choice, check_distinct};
use crate::error::{Cell, Error, ErrorKind, Result};
use crate::table::{ReadOptions, Separator, SkipReason, Skipped, Table, numbered_names};
use ndarray::{Array1, Array2};
use std::io::{BufRead, Chain, Cursor, Read};
use std::path::Path;

/// Bytes looked at to find out the separator.
const SAMPLE: u64 = 64 << 10;

/// What a pass found out about a file.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) separator: Separator,
    pub(crate) header: bool,
    /// Fields of a line.
    pub(crate) fields: usize,
    /// The columns of the file that the sink was given, in order.
    pub(crate) given: Vec<usize>,
    /// Which of `given` are data.
    pub(crate) kept: Vec<usize>,
    /// Names of the data columns.
    pub(crate) columns: Vec<String>,
    pub(crate) weights: Option<Vec<f64>>,
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) rows: usize,
    /// Offset of the end of the last record.
    pub(crate) end: u64,
}

/// Reads a whole text file into a table.
pub(crate) fn read(path: &Path, input: impl BufRead, options: &ReadOptions) -> Result<Table> {
    let mut numbers = Vec::new();
    let scan = scan(path, input, options, &mut |_, values| numbers.extend_from_slice(values))?;
    let x = keep_columns(numbers, scan.given.len(), &scan.kept);
    // invariant: the sink was given `given` numbers a row, and `kept` of them are left
    let x = Array2::from_shape_vec((scan.rows, scan.kept.len()), x).map_err(|e| Error::format(path, e.to_string()))?;
    Ok(Table {
        columns: scan.columns,
        x,
        weights: scan.weights.map(Array1::from_vec),
        labels: scan.labels,
        skipped: scan.skipped,
        header: scan.header,
        missing: options.missing,
    })
}

/// Leaves only the columns in `kept` (ascending) of rows of `width` numbers.
fn keep_columns(mut numbers: Vec<f64>, width: usize, kept: &[usize]) -> Vec<f64> {
    if kept.len() < width {
        let mut to = 0;
        for row in 0..numbers.len() / width {
            for &column in kept {
                numbers[to] = numbers[row * width + column];
                to += 1;
            }
        }
        numbers.truncate(to);
    }
    numbers.shrink_to_fit();
    numbers
}

/// What is known before the first row is read.
struct Layout {
    names: Vec<String>,
    /// Whether the column has a name in the file.
    named: Vec<bool>,
    choice: Choice,
    skipped: Vec<Skipped>,
    /// The columns read as numbers.
    given: Vec<usize>,
}

/// A text file whose first records were read to find out how it is written.
struct Opened<'p, R> {
    separator: Separator,
    header: bool,
    first: Record,
    second: Option<Record>,
    /// All that follow.
    rest: Records<'p, Chain<Cursor<Vec<u8>>, R>>,
}

fn open<'p, R: BufRead>(path: &'p Path, mut input: R, options: &ReadOptions) -> Result<Opened<'p, R>> {
    let mut sample = Vec::new();
    input.by_ref().take(SAMPLE).read_to_end(&mut sample).map_err(|e| Error::io(path, "read", e))?;
    let mark = byte_order_mark(path, &sample)?;
    // the last byte may be half of an end of line
    if !sample.contains(&b'\n') && sample.split_last().is_some_and(|(_, before)| before.contains(&b'\r')) {
        return Err(Error::format(
            path,
            "its lines end in a carriage return alone, as old Macs wrote them; save it with today's line ends",
        ));
    }
    let separator = match options.separator {
        Some(separator) => separator,
        None => separator::detect(path, &sample[mark..], (sample.len() as u64) < SAMPLE)?,
    };
    let mut start = Cursor::new(sample);
    start.set_position(mark as u64);
    let mut rest = Records::new(path, start.chain(input), separator, mark as u64, 0);
    let mut first = Record::default();
    if !rest.next(&mut first)? {
        return Err(Error::new(path, ErrorKind::Empty));
    }
    let mut record = Record::default();
    let second = rest.next(&mut record)?.then_some(record);
    let header = is_header(path, &first, second.as_ref(), options.header)?;
    Ok(Opened { separator, header, first, second, rest })
}

/// The names of all columns of a text file.
pub(crate) fn column_names(path: &Path, input: impl BufRead, options: &ReadOptions) -> Result<Vec<String>> {
    let opened = open(path, input, options)?;
    Ok(names(path, &opened.first, opened.second.as_ref(), opened.header)?.names)
}

/// The line, from 1, that a row, from 0, starts in; none if there are fewer rows.
pub(crate) fn line_of_row(path: &Path, input: impl BufRead, options: &ReadOptions, row: usize) -> Result<Option<u64>> {
    let Opened { header, first, second, mut rest, .. } = open(path, input, options)?;
    let mut left = row + usize::from(header);
    for record in std::iter::once(first).chain(second) {
        if left == 0 {
            return Ok(Some(record.line));
        }
        left -= 1;
    }
    let mut record = Record::default();
    while rest.next(&mut record)? {
        if left == 0 {
            return Ok(Some(record.line));
        }
        left -= 1;
    }
    Ok(None)
}

/// Passes over a text file and hands every record with the numbers of its `given` columns (NaN for none) to `sink`.
pub(crate) fn scan(path: &Path, input: impl BufRead, options: &ReadOptions, sink: &mut dyn FnMut(&Record, &[f64])) -> Result<Scan> {
    let Opened { separator, header, first, second, rest: mut records } = open(path, input, options)?;
    if header && second.is_none() {
        return Err(Error::new(path, ErrorKind::HeaderOnly));
    }
    let layout = layout(path, &first, second.as_ref(), header, options)?;
    let mut pass = Pass::new(path, &layout);
    if !header {
        pass.row(&first, sink)?;
    }
    if let Some(mut record) = second {
        pass.row(&record, sink)?;
        while records.next(&mut record)? {
            pass.row(&record, sink)?;
        }
    }
    let Pass { tallies, weights, labels, rows, .. } = pass;
    let (kept, skipped) = judge(path, &layout, &tallies, options)?;
    if let (Some(weights), Some(column)) = (&weights, layout.choice.weights)
        && !weights.iter().any(|w| *w > 0.0)
    {
        return Err(Error::new(path, ErrorKind::NoWeight { name: layout.names[column].clone() }));
    }
    let columns = kept.iter().map(|&k| layout.names[layout.given[k]].clone()).collect();
    let fields = layout.names.len();
    Ok(Scan { separator, header, fields, given: layout.given, kept, columns, weights, labels, skipped, rows, end: records.offset() })
}

/// The length of the byte order mark; an error for UTF-16.
fn byte_order_mark(path: &Path, sample: &[u8]) -> Result<usize> {
    match sample {
        [0xef, 0xbb, 0xbf, ..] => Ok(3),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(Error::new(path, ErrorKind::Encoding { line: 1, hint: "it starts like UTF-16" })),
        _ => Ok(0),
    }
}

/// The columns of a text file.
struct Names {
    names: Vec<String>,
    /// Whether the column has a name in the file.
    named: Vec<bool>,
    /// Whether the first column names the rows.
    row_names: bool,
}

fn names(path: &Path, first: &Record, second: Option<&Record>, header: bool) -> Result<Names> {
    let mut names = numbered_names(first.len());
    let mut named = vec![false; first.len()];
    let mut row_names = false;
    if header {
        for (j, field) in first.fields().enumerate() {
            let hint = "in the header";
            let name = std::str::from_utf8(field).map_err(|_| Error::new(path, ErrorKind::Encoding { line: first.line, hint }))?.trim();
            if !name.is_empty() {
                names[j] = name.to_owned();
                named[j] = true;
            }
        }
        row_names = matches!(names[0].as_str(), "rownames" | "row.names" | "row_names" | "Unnamed: 0") || !named[0];
        // R's write.table gives the row names no field in the header.
        if let Some(second) = second
            && second.len() == first.len() + 1
            && !second.field(first.len()).is_empty()
        {
            names.insert(0, String::new());
            named.insert(0, true);
            row_names = true;
        }
        if row_names && !named[0] {
            names[0] = String::new();
        }
    }
    Ok(Names { names, named, row_names })
}

fn layout(path: &Path, first: &Record, second: Option<&Record>, header: bool, options: &ReadOptions) -> Result<Layout> {
    let Names { names, named, row_names } = names(path, first, second, header)?;
    let choice = Choice::new(path, &names, options)?;
    let mut skipped = Vec::new();
    let given = match &choice.data {
        Some(columns) => columns.clone(),
        None => {
            if row_names && choice.is_candidate(0) && names.len() > 1 {
                skipped.push(Skipped { name: names[0].clone(), reason: SkipReason::RowNames });
            }
            let from = skipped.len();
            (from..names.len()).filter(|&j| choice.is_candidate(j)).collect()
        }
    };
    Ok(Layout { names, named, choice, skipped, given })
}

/// A pass under way.
struct Pass<'a> {
    path: &'a Path,
    layout: &'a Layout,
    tallies: Vec<Tally>,
    values: Vec<f64>,
    weights: Option<Vec<f64>>,
    labels: Option<Vec<String>>,
    rows: usize,
}

impl<'a> Pass<'a> {
    fn new(path: &'a Path, layout: &'a Layout) -> Self {
        let given = layout.given.len();
        Pass {
            path,
            layout,
            tallies: vec![Tally::default(); given],
            values: vec![0.0; given],
            weights: layout.choice.weights.map(|_| Vec::new()),
            labels: layout.choice.labels.map(|_| Vec::new()),
            rows: 0,
        }
    }

    fn row(&mut self, record: &Record, sink: &mut dyn FnMut(&Record, &[f64])) -> Result<()> {
        let expected = self.layout.names.len();
        if record.len() != expected {
            return Err(Error::new(self.path, ErrorKind::Ragged { line: record.line, expected, found: record.len() }));
        }
        let mut counts = true;
        if let (Some(weights), Some(column)) = (&mut self.weights, self.layout.choice.weights) {
            let weight = weight(self.path, record, self.rows, column, &self.layout.names[column])?;
            weights.push(weight);
            counts = weight > 0.0;
        }
        if let (Some(labels), Some(column)) = (&mut self.labels, self.layout.choice.labels) {
            let hint = "in the column of labels";
            let text = std::str::from_utf8(record.field(column))
                .map_err(|_| Error::new(self.path, ErrorKind::Encoding { line: record.line, hint }))?;
            labels.push(text.trim().to_owned());
        }
        for ((value, tally), &column) in self.values.iter_mut().zip(&mut self.tallies).zip(&self.layout.given) {
            *value = tally.add(record.field(column), record.line, self.rows, counts);
        }
        sink(record, &self.values);
        self.rows += 1;
        Ok(())
    }
}

fn weight(path: &Path, record: &Record, row: usize, column: usize, name: &str) -> Result<f64> {
    match Value::parse(record.field(column)) {
        Value::Number(weight) if weight.is_finite() && weight >= 0.0 => Ok(weight),
        _ => {
            let cell = Cell { line: Some(record.line), row, column, name: name.to_owned() };
            let text = String::from_utf8_lossy(record.field(column).trim_ascii()).into_owned();
            Err(Error::new(path, ErrorKind::Weight { cell, text }))
        }
    }
}

/// Which of the given columns are kept, and all that were left out; the error of the earliest row that can't be used.
fn judge(path: &Path, layout: &Layout, tallies: &[Tally], options: &ReadOptions) -> Result<(Vec<usize>, Vec<Skipped>)> {
    let chosen = layout.choice.data.is_some();
    let mut kept = Vec::new();
    let mut skipped = layout.skipped.clone();
    let mut refused = Vec::new();
    for (k, (&column, tally)) in layout.given.iter().zip(tallies).enumerate() {
        match tally.verdict(&layout.names[column], column, chosen, layout.named[column], options.missing) {
            Verdict::Keep => kept.push(k),
            Verdict::Skip(reason) => {
                let name = if reason == SkipReason::Empty { String::new() } else { layout.names[column].clone() };
                skipped.push(Skipped { name, reason });
            }
            Verdict::Refuse(row, error) => refused.push((row, error)),
        }
    }
    if let Some(error) = earliest(path, refused) {
        return Err(error);
    }
    // a table may be there for its labels alone
    if kept.is_empty() && layout.choice.labels.is_none() {
        return Err(Error::new(path, ErrorKind::NoNumbers { columns: layout.names.clone() }));
    }
    let used: Vec<usize> = kept.iter().map(|&k| layout.given[k]).collect();
    check_distinct(path, &layout.names, &used)?;
    Ok((kept, skipped))
}
