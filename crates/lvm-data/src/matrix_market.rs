//! Matrix Market exchange format (Boisvert, Pozo & Remington, NIST 1996), read into a dense table.

use crate::error::{Error, ErrorKind, Result};
use crate::numbers;
use crate::table::{ReadOptions, Table};
use ndarray::Array2;
use std::io::BufRead;
use std::path::Path;

/// The first bytes of every file.
pub(crate) const MAGIC: &[u8] = b"%%MatrixMarket";

/// What the first line says.
struct Banner {
    /// Only entries that are not zero are listed, with row and column.
    coordinate: bool,
    /// Entries have no number and count as 1.
    pattern: bool,
    /// What an entry (i, j) says about (j, i): nothing, the same, or the opposite.
    mirror: Option<f64>,
}

impl Banner {
    fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_lowercase).collect();
        let [_, object, format, field, symmetry] = words.as_slice() else {
            return Err("its first line is not complete".into());
        };
        if object != "matrix" || !matches!(field.as_str(), "real" | "double" | "integer" | "pattern") {
            return Err(format!("\"{object} {format} {field}\" is not supported; a matrix of real numbers is"));
        }
        let coordinate = match format.as_str() {
            "coordinate" => true,
            "array" if field != "pattern" => false,
            other => return Err(format!("format \"{other}\" with \"{field}\" is not supported")),
        };
        let mirror = match symmetry.as_str() {
            "general" => None,
            "symmetric" => Some(1.0),
            "skew-symmetric" => Some(-1.0),
            other => return Err(format!("symmetry \"{other}\" is not supported")),
        };
        if mirror.is_some() && !coordinate {
            return Err("symmetric matrices are supported in coordinate format only".into());
        }
        Ok(Banner { coordinate, pattern: field == "pattern", mirror })
    }
}

/// Lines that hold something and are no comments, with their numbers.
struct Lines<'p, R> {
    path: &'p Path,
    input: R,
    text: String,
    line: u64,
}

impl<R: BufRead> Lines<'_, R> {
    fn next(&mut self) -> Result<Option<&str>> {
        loop {
            self.text.clear();
            let read = self.input.read_line(&mut self.text);
            if read.map_err(|e| Error::io(self.path, "read", e))? == 0 {
                return Ok(None);
            }
            self.line += 1;
            let used = !self.text.trim().is_empty() && (self.line == 1 || !self.text.starts_with('%'));
            if used {
                return Ok(Some(self.text.trim()));
            }
        }
    }

    fn broken(&self, message: impl std::fmt::Display) -> Error {
        Error::format(self.path, format!("not a usable Matrix Market file: line {}: {message}", self.line))
    }
}

/// Reads a matrix; rows are observations. Entries that are not listed are 0, entries listed twice are added up.
pub(crate) fn read(path: &Path, input: impl BufRead, options: &ReadOptions) -> Result<Table> {
    let mut lines = Lines { path, input, text: String::new(), line: 0 };
    let banner = Banner::parse(lines.next()?.unwrap_or("")).map_err(|m| lines.broken(m))?;
    let sizes: Option<Vec<usize>> = lines.next()?.unwrap_or("").split_whitespace().map(|w| w.parse().ok()).collect();
    let (rows, cols, entries) = match (banner.coordinate, sizes.as_deref()) {
        (true, Some([rows, cols, entries])) => (*rows, *cols, *entries),
        (false, Some([rows, cols])) => (*rows, *cols, rows.saturating_mul(*cols)),
        _ => return Err(lines.broken("the sizes of the matrix are needed here")),
    };
    if banner.mirror.is_some() && rows != cols {
        return Err(lines.broken("a symmetric matrix has as many rows as columns"));
    }
    if rows == 0 || cols == 0 {
        return Err(Error::new(path, ErrorKind::Empty));
    }
    let mut x = dense(path, rows, cols)?;
    for entry in 0..entries {
        let Some(text) = lines.next()? else {
            return Err(lines.broken(format!("the file ends after {entry} of {entries} entries")));
        };
        let (i, j, value) = parse_entry(text, &banner, entry, rows).unwrap_or((rows, cols, 0.0));
        if i >= rows || j >= cols {
            let text = text.to_owned();
            return Err(lines.broken(format!("\"{text}\" is not an entry of a matrix of {rows} rows and {cols} columns")));
        }
        x[[i, j]] += value;
        if let (Some(sign), true) = (banner.mirror, i != j) {
            x[[j, i]] += sign * value;
        }
    }
    if lines.next()?.is_some() {
        return Err(lines.broken(format!("there are more than the {entries} entries announced")));
    }
    numbers::table(path, x, options)
}

/// Row, column (both from 0) and value.
fn parse_entry(text: &str, banner: &Banner, entry: usize, rows: usize) -> Option<(usize, usize, f64)> {
    if !banner.coordinate {
        // column after column
        return Some((entry % rows, entry / rows, text.parse().ok()?));
    }
    let mut words = text.split_whitespace();
    let mut index = || words.next()?.parse::<usize>().ok()?.checked_sub(1);
    let (i, j) = (index()?, index()?);
    let value = if banner.pattern { 1.0 } else { words.next()?.parse().ok()? };
    words.next().is_none().then_some((i, j, value))
}

/// A table of zeros; an error if there is no room for it.
fn dense(path: &Path, rows: usize, cols: usize) -> Result<Array2<f64>> {
    let too_large = || Error::format(path, format!("{rows} rows and {cols} columns do not fit in memory as a dense table"));
    let n = rows.checked_mul(cols).filter(|n| *n <= isize::MAX as usize / 8).ok_or_else(too_large)?;
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(n).map_err(|_| too_large())?;
    zeros.resize(n, 0.0);
    Array2::from_shape_vec((rows, cols), zeros).map_err(|_| too_large())
}
