//! Whether the first line holds names.

use super::cell::Value;
use super::record::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::table::Header;
use std::path::Path;

/// Decides whether `first` is a header, given the record after it, if there is one.
///
/// A line of numbers is data, a line without a number is a header. In between: a number that is not a plain whole number (`5.1`)
/// is data; text above a number is a header. Two headers made of numbers are known, those that pandas writes for columns without
/// names: `0,1,2,…` and the same after an empty field.
pub(crate) fn is_header(path: &Path, first: &Record, second: Option<&Record>, header: Header) -> Result<bool> {
    match header {
        Header::Present => return Ok(true),
        Header::Absent => return Ok(false),
        Header::Detect => {}
    }
    let values: Vec<Value> = first.fields().map(Value::parse).collect();
    let texts = values.iter().filter(|v| **v == Value::Text).count();
    let numbers = values.iter().filter(|v| matches!(v, Value::Number(_))).count();
    if texts == 0 {
        let blank = first.field(0).is_empty() as usize;
        let counts = first.fields().skip(blank).enumerate().all(|(i, f)| f == i.to_string().as_bytes());
        return Ok(counts && first.len() - blank >= 3 && second.is_some());
    }
    if numbers == 0 {
        return Ok(true);
    }
    let whole = |f: &[u8]| f.trim_ascii().iter().all(u8::is_ascii_digit);
    if first.fields().zip(&values).any(|(f, v)| matches!(v, Value::Number(_)) && !whole(f)) {
        return Ok(false);
    }
    let text_above_number = second
        .is_some_and(|second| second.fields().zip(&values).any(|(f, v)| *v == Value::Text && matches!(Value::parse(f), Value::Number(_))));
    if text_above_number {
        return Ok(true);
    }
    let text = first.fields().map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    Err(Error::new(path, ErrorKind::AmbiguousHeader { text }))
}
