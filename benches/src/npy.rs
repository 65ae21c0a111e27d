//! Arrays of f64 as .npy files, version 1.0, the form in which other programs read them.

use ndarray::{ArrayBase, ArrayD, Data, Dimension};
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

/// Reads an array of f64 in row-major order, version 1.0.
///
/// # Errors
/// If the file can't be read or is something else.
pub fn read(path: &Path) -> io::Result<ArrayD<f64>> {
    let bytes = std::fs::read(path)?;
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
    let length = bytes.get(8..10).ok_or_else(|| wrong("too short"))?;
    let data = 10 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    let header = String::from_utf8_lossy(bytes.get(10..data).ok_or_else(|| wrong("the header is cut short"))?);
    if !bytes.starts_with(b"\x93NUMPY\x01") || !header.contains("'<f8'") || !header.contains("'fortran_order': False") {
        return Err(wrong("not an array of f64 in row-major order"));
    }
    let shape = header.split(['(', ')']).nth(1).ok_or_else(|| wrong("no shape"))?;
    let shape: Vec<usize> = shape.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let values: Vec<f64> = bytes[data..].as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
    ArrayD::from_shape_vec(shape, values).map_err(|e| wrong(&e.to_string()))
}
