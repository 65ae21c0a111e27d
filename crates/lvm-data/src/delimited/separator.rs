//! What stands between the fields: found out from the first lines.

use super::cell::Value;
use super::record::{Record, Records};
use crate::error::Result;
use crate::table::Separator;
use std::path::Path;

/// Records looked at.
const SAMPLE: usize = 50;

/// How well a separator explains the sample.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Fit {
    /// Every record has the same number of fields, and more than one.
    even: bool,
    /// Share of cells that are numbers or missing.
    numbers: f64,
}

/// The separator that cuts `sample` (the first bytes of a file) into equally many fields in every line, and into most numbers.
pub(crate) fn detect(path: &Path, sample: &[u8], whole: bool) -> Result<Separator> {
    let tab_first = path.to_string_lossy().contains(".tsv") || path.to_string_lossy().contains(".tab");
    let order = if tab_first {
        [Separator::Tab, Separator::Comma, Separator::Semicolon, Separator::Whitespace]
    } else {
        [Separator::Comma, Separator::Tab, Separator::Semicolon, Separator::Whitespace]
    };
    // A sample that ends before the file does ends within a line: that line does not count.
    let end = if whole { sample.len() } else { memchr::memrchr(b'\n', sample).map_or(sample.len(), |at| at + 1) };
    let mut best: Option<(Fit, Separator)> = None;
    for separator in order {
        if let Some(fit) = fit(path, &sample[..end], separator)
            && best.is_none_or(|(b, _)| fit > b)
        {
            best = Some((fit, separator));
        }
    }
    let found = match best {
        Some((fit, separator)) if fit.even => separator,
        // No separator is even: one column, or a ragged file, whose error is to be told with the separator that occurs.
        _ => order.into_iter().find(|s| occurs(sample, *s)).unwrap_or(order[0]),
    };
    Ok(found)
}

fn occurs(sample: &[u8], separator: Separator) -> bool {
    match separator {
        Separator::Comma => sample.contains(&b','),
        Separator::Semicolon => sample.contains(&b';'),
        Separator::Tab => sample.contains(&b'\t'),
        Separator::Whitespace => false,
    }
}

fn fit(path: &Path, sample: &[u8], separator: Separator) -> Option<Fit> {
    let mut records = Records::new(path, sample, separator, 0, 0);
    let mut record = Record::default();
    let (mut count, mut fields, mut even, mut numbers, mut cells) = (0, 0, true, 0, 0);
    // An error here is that of a quote cut off by the end of the sample; a true one is met again when the file is read.
    while count < SAMPLE && records.next(&mut record).unwrap_or(false) {
        if count == 0 {
            fields = record.len();
        } else if count == 1 && separator == Separator::Whitespace && record.len() == fields + 1 {
            // Row names, as R writes them.
            fields += 1;
        }
        even &= fields == record.len() || count == 0;
        cells += record.len();
        numbers += record.fields().filter(|f| is_number(f, separator)).count();
        count += 1;
    }
    (count > 0 && fields > 1).then(|| Fit { even, numbers: numbers as f64 / cells as f64 })
}

fn is_number(cell: &[u8], separator: Separator) -> bool {
    match Value::parse(cell) {
        Value::Number(_) | Value::Missing => true,
        // A decimal comma hints at another separator than the comma.
        Value::Comma => separator != Separator::Comma,
        Value::Text => false,
    }
}
