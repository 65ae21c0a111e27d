//! NumPy files, written byte by byte as NumPy writes them.

use lvm_core::rows::Missing;
use lvm_data::{Error, ErrorKind, ReadOptions, Table};
use ndarray::{Array2, array};
use std::io::Write;

/// A `.npy` file of version 1.0 with this header and these bytes.
pub(crate) fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn le(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn read(bytes: &[u8]) -> Result<Table, Error> {
    Table::from_bytes("t.npy", bytes, &ReadOptions::default())
}

#[test]
fn both_orders_and_one_axis() {
    let want = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    assert_eq!(read(&npy("<f8", "False", "(2, 3)", &le(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))).unwrap().x, want);
    assert_eq!(read(&npy("<f8", "True", "(2, 3)", &le(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]))).unwrap().x, want);
    let table = read(&npy("<f8", "False", "(2,)", &le(&[1.0, 2.0]))).unwrap();
    assert_eq!((table.x, table.columns), (array![[1.0], [2.0]], vec!["x1".to_string()]));
    let small: Vec<u8> = [0.1f32, 0.2].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(read(&npy("<f4", "False", "(1, 2)", &small)).unwrap().x, array![[f64::from(0.1f32), f64::from(0.2f32)]]);
    assert_eq!(read(&npy("|u1", "False", "(2, 1)", &[7, 255])).unwrap().x, array![[7.0], [255.0]]);
}

#[test]
fn columns_and_weights_by_number() {
    let bytes = npy("<f8", "False", "(2, 3)", &le(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    let options = ReadOptions { weights: Some("x2".into()), ..Default::default() };
    let table = Table::from_bytes("t.npy", &bytes, &options).unwrap();
    assert_eq!((table.x, table.weights.unwrap()), (array![[1.0, 3.0], [4.0, 6.0]], array![2.0, 5.0]));
    let options = ReadOptions { columns: Some(vec!["x3".into(), "x1".into()]), ..Default::default() };
    assert_eq!(Table::from_bytes("t.npy", &bytes, &options).unwrap().x, array![[3.0, 1.0], [6.0, 4.0]]);
}

#[test]
fn cells_that_are_no_numbers() {
    let bytes = npy("<f8", "False", "(2, 2)", &le(&[1.0, 2.0, 3.0, f64::NAN]));
    let error = read(&bytes).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MissingCell { cell, .. } if cell.row == 1 && cell.column == 1), "{error}");
    let options = ReadOptions { missing: Missing::Integrate, ..Default::default() };
    assert!(Table::from_bytes("t.npy", &bytes, &options).unwrap().x[[1, 1]].is_nan());
    let infinite = npy("<f8", "False", "(1, 2)", &le(&[1.0, f64::INFINITY]));
    assert!(matches!(Table::from_bytes("t.npy", &infinite, &options).unwrap_err().kind(), ErrorKind::Infinite { .. }));
}

#[test]
fn damaged_files() {
    let good = npy("<f8", "False", "(2, 2)", &le(&[1.0, 2.0, 3.0, 4.0]));
    for length in 6..good.len() {
        let error = read(&good[..length]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Format { .. }), "{length}: {error}");
    }
    let mut long = good.clone();
    long.push(0);
    assert!(read(&long).unwrap_err().to_string().contains("more"));
    for (descr, shape, says) in [
        ("<c16", "(1, 2)", "<c16"),
        ("|O", "(1, 2)", "|O"),
        ("<f8", "(1, 2, 3)", "3 axes"),
        ("<f8", "(18446744073709551615, 2)", "larger"),
        ("<f8", "(9000000000000, 2)", "cut short"),
    ] {
        let error = read(&npy(descr, "False", shape, &[])).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    assert!(matches!(read(&npy("<f8", "False", "(0, 2)", &[])).unwrap_err().kind(), ErrorKind::Empty));
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn archives() {
    let x: Array2<f64> = array![[1.0, 2.0]];
    let one = npy("<f8", "False", "(1, 2)", &le(&[1.0, 2.0]));
    let two = npy("<f8", "False", "(1, 1)", &le(&[3.0]));
    assert_eq!(read(&npz(&[("x.npy", one.clone())])).unwrap().x, x);
    let both = npz(&[("x.npy", one), ("y.npy", two)]);
    assert!(read(&both).unwrap_err().to_string().contains("choose one of its arrays: \"x\", \"y\""));
    let choose = |name: &str| ReadOptions { array: Some(name.into()), ..Default::default() };
    assert_eq!(Table::from_bytes("t.npz", &both, &choose("y")).unwrap().x, array![[3.0]]);
    assert!(Table::from_bytes("t.npz", &both, &choose("z")).unwrap_err().to_string().contains("\"x\", \"y\""));
    assert!(read(&both[..both.len() - 30]).is_err());
    assert!(read(&npz(&[("readme.txt", b"hello".to_vec())])).unwrap_err().to_string().contains("no .npy array"));
}
