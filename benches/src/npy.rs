//! Arrays of f64 as .npy files, version 1.0, the form in which other programs read them.

use ndarray::{ArrayBase, Data, Dimension};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes an array in row-major order.
///
/// # Errors
/// If the file can't be written.
pub fn write<S: Data<Elem = f64>, I: Dimension>(path: &Path, x: &ArrayBase<S, I>) -> io::Result<()> {
    let shape: Vec<String> = x.shape().iter().map(|n| format!("{n},")).collect();
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}), }}", shape.join(" "));
    // magic (6), version (2) and length (2) included, the data starts at a multiple of 64
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    file.write_all(b"\x93NUMPY\x01\x00")?;
    file.write_all(&(header.len() as u16).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for v in x {
        file.write_all(&v.to_le_bytes())?;
    }
    file.flush()
}
