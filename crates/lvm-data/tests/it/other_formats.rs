//! MNIST idx and Matrix Market files.

use lvm_data::{Error, ErrorKind, ReadOptions, Table};
use ndarray::{Array2, array};

fn read(bytes: impl AsRef<[u8]>) -> Result<Array2<f64>, Error> {
    Table::from_bytes("t", bytes.as_ref(), &ReadOptions::default()).map(|t| t.x)
}

/// Two images of 2 x 2 pixels.
const IDX: [u8; 24] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 2, 255, 4, 5, 6, 7];

#[test]
fn idx() {
    assert_eq!(read(IDX).unwrap(), array![[0.0, 1.0, 2.0, 255.0], [4.0, 5.0, 6.0, 7.0]]);
    assert_eq!(read([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]).unwrap(), array![[7.0], [8.0], [9.0]]);
    assert_eq!(read([0, 0, 0x0b, 1, 0, 0, 0, 1, 0xff, 0xfe]).unwrap(), array![[-2.0]]);
    let float: Vec<u8> = [0, 0, 0x0d, 1, 0, 0, 0, 1].into_iter().chain(1.5f32.to_be_bytes()).collect();
    assert_eq!(read(float).unwrap(), array![[1.5]]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, &IDX).unwrap();
    assert_eq!(read(packed.finish().unwrap()).unwrap().dim(), (2, 4));
}

#[test]
fn damaged_idx() {
    for length in 4..IDX.len() {
        assert!(matches!(read(&IDX[..length]).unwrap_err().kind(), ErrorKind::Format { .. }), "{length}");
    }
    let huge = [0, 0, 8, 4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255];
    assert!(read(huge).unwrap_err().to_string().contains("announces"));
    assert!(matches!(read([0, 0, 8, 1, 0, 0, 0, 0]).unwrap_err().kind(), ErrorKind::Empty));
}

#[test]
fn matrix_market() {
    let text = "%%MatrixMarket matrix coordinate real general\n% a comment\n\n3 2 3\n1 1 1.5\n3 2 -2\n3 2 1e0\n";
    assert_eq!(read(text).unwrap(), array![[1.5, 0.0], [0.0, 0.0], [0.0, -1.0]]);
    let text = "%%MatrixMarket matrix coordinate integer symmetric\n2 2 2\n1 1 5\n2 1 7\n";
    assert_eq!(read(text).unwrap(), array![[5.0, 7.0], [7.0, 0.0]]);
    let text = "%%MatrixMarket matrix coordinate real skew-symmetric\r\n2 2 1\r\n2 1 7\r\n";
    assert_eq!(read(text).unwrap(), array![[0.0, -7.0], [7.0, 0.0]]);
    assert_eq!(read("%%MatrixMarket matrix coordinate pattern general\n1 2 1\n1 2\n").unwrap(), array![[0.0, 1.0]]);
    assert_eq!(read("%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n4\n").unwrap(), array![[1.0, 3.0], [2.0, 4.0]]);
}

#[test]
fn damaged_matrix_market() {
    let banner = "%%MatrixMarket matrix coordinate real general\n";
    for (rest, says) in [
        ("", "sizes"),
        ("2 2\n", "line 2"),
        ("2 2 2\n1 1 1\n", "ends after 1 of 2"),
        ("2 2 1\n3 1 1\n", "line 3"),
        ("2 2 1\n0 1 1\n", "\"0 1 1\""),
        ("2 2 1\n1 1 x\n", "\"1 1 x\""),
        ("2 2 1\n1 1 1\n2 2 2\n", "more than"),
        ("18446744073709551615 3 1\n1 1 1\n", "memory"),
        ("99999999999 99999999 1\n1 1 1\n", "memory"),
    ] {
        let error = read(format!("{banner}{rest}")).unwrap_err();
        assert!(error.to_string().contains(says), "{rest:?}: {error}");
    }
    assert!(read("%%MatrixMarket matrix coordinate complex general\n1 1 1\n1 1 1 0\n").unwrap_err().to_string().contains("complex"));
    assert!(read("%%MatrixMarket vector\n").is_err());
}
