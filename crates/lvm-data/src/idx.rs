//! The idx format of MNIST: numbers of one type, most significant byte first, after a short header.

use crate::error::{Error, Result};
use crate::numbers;
use crate::numpy::Number;
use crate::table::{ReadOptions, Table};
use ndarray::Array2;
use std::io::Read;
use std::path::Path;

/// The type of the numbers, if a file that starts like this is in the format: two zero bytes, the type, the number of axes.
fn number(start: &[u8]) -> Option<Number> {
    let descr = match start {
        [0, 0, 0x08, 1..=8, ..] => "|u1",
        [0, 0, 0x09, 1..=8, ..] => "|i1",
        [0, 0, 0x0b, 1..=8, ..] => ">i2",
        [0, 0, 0x0c, 1..=8, ..] => ">i4",
        [0, 0, 0x0d, 1..=8, ..] => ">f4",
        [0, 0, 0x0e, 1..=8, ..] => ">f8",
        _ => return None,
    };
    Number::parse(descr)
}

pub(crate) fn is_idx(start: &[u8]) -> bool {
    number(start).is_some()
}

/// Reads a table: the first axis is that of the rows, all others together are the columns.
pub(crate) fn read(path: &Path, mut input: impl Read, options: &ReadOptions) -> Result<Table> {
    let broken = |message: &str| Error::format(path, format!("not a usable idx file: {message}"));
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|e| Error::io(path, "read", e))?;
    let number = number(&bytes).ok_or_else(|| broken("its header is not one"))?;
    let (sizes, data) = bytes[4..].split_at_checked(4 * usize::from(bytes[3])).ok_or_else(|| broken("it ends within its header"))?;
    // invariant: chunks_exact gives 4 bytes each
    let mut axes = sizes.chunks_exact(4).map(|b| u32::from_be_bytes(b.try_into().expect("4 bytes")) as usize);
    let rows = axes.next().unwrap_or(0);
    let cols = axes.try_fold(1usize, usize::checked_mul);
    let total = cols.and_then(|cols| cols.checked_mul(rows)).and_then(|n| n.checked_mul(number.size));
    let (Some(cols), true) = (cols, total == Some(data.len())) else {
        return Err(broken(&format!("its {} bytes of numbers are not what its header announces: cut short or damaged", data.len())));
    };
    let mut x = Array2::zeros((rows, cols));
    number.decode(data, x.iter_mut());
    numbers::table(path, x, options)
}
