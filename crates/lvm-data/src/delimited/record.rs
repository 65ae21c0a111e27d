//! Lines into fields: quotes, both kinds of line end, byte offsets and line numbers.

use crate::error::{Error, ErrorKind, Result};
use crate::table::Separator;
use std::io::BufRead;
use std::path::Path;

/// No line of a table is longer.
const LONGEST: usize = 64 << 20;

/// One record: the fields of a line, or of several lines where a quoted field holds a line end.
#[derive(Debug, Default, Clone)]
pub(crate) struct Record {
    /// The fields, one after the other, without quotes.
    text: Vec<u8>,
    /// Where each field ends in `text`.
    ends: Vec<usize>,
    /// Line, from 1.
    pub(crate) line: u64,
    /// Offset of its first byte in the file.
    pub(crate) offset: u64,
}

impl Record {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
    pub(crate) fn field(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..self.ends[index]]
    }
    pub(crate) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.field(i))
    }
    fn close(&mut self) {
        self.ends.push(self.text.len());
    }
}

/// Where the splitter stands between two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a field.
    Start,
    /// In a field without quotes.
    Plain,
    /// Between the quotes.
    Quoted,
    /// After a quote in a quoted field: its end, or the first of two that stand for one.
    Quote,
}

/// Reads records one after the other. Lines that hold nothing at all are passed over.
pub(crate) struct Records<'p, R> {
    path: &'p Path,
    input: R,
    separator: Separator,
    raw: Vec<u8>,
    lines: u64,
    offset: u64,
}

impl<'p, R: BufRead> Records<'p, R> {
    /// `offset` and `lines` say what of the file lies before `input`.
    pub(crate) fn new(path: &'p Path, input: R, separator: Separator, offset: u64, lines: u64) -> Self {
        Records { path, input, separator, raw: Vec::new(), lines, offset }
    }

    /// Bytes of the file consumed so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next record; false at the end of the file.
    pub(crate) fn next(&mut self, record: &mut Record) -> Result<bool> {
        loop {
            record.text.clear();
            record.ends.clear();
            record.offset = self.offset;
            if !self.line()? {
                return Ok(false);
            }
            record.line = self.lines;
            if self.raw.iter().all(|b| b.is_ascii_whitespace()) && !(self.separator == Separator::Tab && self.raw.contains(&b'\t')) {
                continue;
            }
            let mut state = State::Start;
            loop {
                state = split(&self.raw, self.separator, state, record);
                if state != State::Quoted {
                    break;
                }
                if !self.line()? {
                    return Err(Error::new(self.path, ErrorKind::OpenQuote { line: record.line }));
                }
                if record.text.len() > LONGEST {
                    return Err(Error::new(self.path, ErrorKind::LongLine { line: record.line, limit: LONGEST }));
                }
            }
            return Ok(true);
        }
    }

    /// Reads one line with its end into `raw`; false at the end of the file.
    fn line(&mut self) -> Result<bool> {
        self.raw.clear();
        loop {
            let buffer = self.input.fill_buf().map_err(|e| Error::io(self.path, "read", e))?;
            if buffer.is_empty() {
                break;
            }
            let (used, ended) = match memchr::memchr(b'\n', buffer) {
                Some(at) => (at + 1, true),
                None => (buffer.len(), false),
            };
            self.raw.extend_from_slice(&buffer[..used]);
            self.input.consume(used);
            self.offset += used as u64;
            if self.raw.len() > LONGEST {
                return Err(Error::new(self.path, ErrorKind::LongLine { line: self.lines + 1, limit: LONGEST }));
            }
            if ended {
                break;
            }
        }
        if self.raw.is_empty() {
            return Ok(false);
        }
        self.lines += 1;
        if memchr::memchr(0, &self.raw).is_some() {
            let hint = "it holds zero bytes: a binary file, or UTF-16";
            return Err(Error::new(self.path, ErrorKind::Encoding { line: self.lines, hint }));
        }
        Ok(true)
    }
}

/// Splits a line (with its line end) into fields; [`State::Quoted`] if a quoted field goes on in the next line.
fn split(raw: &[u8], separator: Separator, mut state: State, record: &mut Record) -> State {
    let body = without_end(raw);
    let blanks = separator == Separator::Whitespace;
    let is_separator = |b: u8| match separator {
        Separator::Comma => b == b',',
        Separator::Semicolon => b == b';',
        Separator::Tab => b == b'\t',
        Separator::Whitespace => b == b' ' || b == b'\t',
    };
    for &b in body {
        state = match state {
            State::Start if b == b'"' => State::Quoted,
            State::Start if b == b' ' || (blanks && b == b'\t') => State::Start,
            State::Quoted if b == b'"' => State::Quote,
            State::Quote if b == b'"' => {
                record.text.push(b);
                State::Quoted
            }
            State::Quoted => {
                record.text.push(b);
                State::Quoted
            }
            State::Start | State::Plain | State::Quote if is_separator(b) => {
                record.close();
                State::Start
            }
            State::Quote if b == b' ' => State::Quote,
            State::Start | State::Plain | State::Quote => {
                record.text.push(b);
                State::Plain
            }
        };
    }
    if state == State::Quoted {
        record.text.extend_from_slice(&raw[body.len()..]);
    } else if !(blanks && state == State::Start) {
        // Blanks at the end of a line separate nothing; any other separator at the end is followed by an empty field.
        record.close();
    }
    state
}

/// The line without its line end.
fn without_end(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    raw.strip_suffix(b"\r").unwrap_or(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(text: &str, separator: Separator) -> Result<Vec<(u64, u64, Vec<String>)>> {
        let mut records = Records::new(Path::new("t"), text.as_bytes(), separator, 0, 0);
        let mut record = Record::default();
        let mut all = Vec::new();
        while records.next(&mut record)? {
            let fields = record.fields().map(|f| String::from_utf8_lossy(f).into_owned()).collect();
            all.push((record.line, record.offset, fields));
        }
        Ok(all)
    }

    #[test]
    fn lines_offsets_and_both_line_ends() {
        let all = records("a,b\r\n\r\n\n1,\"x\ny\"\n2,3", Separator::Comma).unwrap();
        let want = [(1, 0, ["a", "b"]), (4, 8, ["1", "x\ny"]), (6, 16, ["2", "3"])];
        assert_eq!(all.len(), 3);
        for (found, want) in all.iter().zip(want) {
            assert_eq!((found.0, found.1, found.2.as_slice()), (want.0, want.1, want.2.map(String::from).as_slice()));
        }
    }

    #[test]
    fn quotes_blanks_and_empty_fields() {
        let fields = |text, separator| records(text, separator).unwrap()[0].2.clone();
        assert_eq!(fields(r#""a ""b""", "c,d" ,"#, Separator::Comma), [r#"a "b""#, "c,d", ""]);
        assert_eq!(fields("  1   2\t3  ", Separator::Whitespace), ["1", "2", "3"]);
        assert_eq!(fields("1\t\t3\t", Separator::Tab), ["1", "", "3", ""]);
        assert_eq!(fields("5\" pipe;1", Separator::Semicolon), ["5\" pipe", "1"]);
    }

    #[test]
    fn an_open_quote_is_named_by_its_line() {
        let error = records("a,b\n1,\"x\n2,3\n", Separator::Comma).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::OpenQuote { line: 2 }));
    }

    proptest! {
        // The csv crate is the independent twin: whatever it writes, we split into the same fields.
        #[test]
        fn fields_agree_with_the_csv_crate(rows in prop::collection::vec(prop::collection::vec("[a-z0-9,;\"\n\t.]{1,6}", 3), 1..8)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let found: Vec<Vec<String>> = records(&text, Separator::Comma).unwrap().into_iter().map(|r| r.2).collect();
            prop_assert_eq!(found, rows);
        }
    }
}
