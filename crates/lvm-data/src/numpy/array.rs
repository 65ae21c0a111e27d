//! A whole `.npy` array in memory.

use super::format::Layout;
use crate::error::{Error, Result};
use crate::numbers;
use crate::table::{ReadOptions, Table};
use ndarray::{Array2, ShapeBuilder};
use std::io::Read;
use std::path::Path;

/// Bytes read at a time.
const PIECE: usize = 1 << 18;

pub(crate) fn read(path: &Path, mut input: impl Read, options: &ReadOptions) -> Result<Table> {
    let layout = Layout::read(path, &mut input)?;
    let x = array(path, &layout, &mut input)?;
    numbers::table(path, x, options)
}

/// D, from the header alone.
pub(crate) fn columns(path: &Path, mut input: impl Read) -> Result<usize> {
    Ok(Layout::read(path, &mut input)?.cols)
}

/// The array after its header. The header is not believed: memory grows with what is really there.
fn array(path: &Path, layout: &Layout, input: &mut impl Read) -> Result<Array2<f64>> {
    let total = layout.data_bytes().ok_or_else(|| Error::format(path, "the shape in the header is larger than any file"))?;
    let mut numbers = Vec::new();
    let mut piece = vec![0; PIECE];
    let mut left = total;
    while left > 0 {
        let want = PIECE.min(left as usize);
        input.read_exact(&mut piece[..want]).map_err(|e| cut_short(path, e, total))?;
        let there = numbers.len();
        numbers.resize(there + want / layout.number.size, 0.0);
        layout.number.decode(&piece[..want], numbers[there..].iter_mut());
        left -= want as u64;
    }
    if input.read(&mut piece[..1]).map_err(|e| Error::io(path, "read", e))? != 0 {
        return Err(Error::format(path, format!("there is more in the file than the {total} bytes of numbers its header announces")));
    }
    let shape = (layout.rows, layout.cols);
    let shape = shape.set_f(layout.fortran);
    Array2::from_shape_vec(shape, numbers).map_err(|e| Error::format(path, e.to_string()))
}

fn cut_short(path: &Path, error: std::io::Error, total: u64) -> Error {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Error::format(path, format!("the file is cut short: its header announces {total} bytes of numbers, fewer are there"))
        }
        _ => Error::io(path, "read", error),
    }
}
