//! The header of a `.npy` file (NumPy enhancement proposal 1, `numpy.lib.format`).

use crate::error::{Error, Result};
use std::io::{self, Read};
use std::path::Path;

/// The first bytes of every `.npy` file.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// No header is longer.
const LONGEST: usize = 1 << 20;

/// The type of the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    kind: Kind,
    /// Bytes of one number: 1, 2, 4 or 8.
    pub(crate) size: usize,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Float,
    Signed,
    /// Unsigned whole numbers, and truth values as 0 and 1.
    Unsigned,
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) number: Number,
    pub(crate) fortran: bool,
    /// N and D; an array with one axis is a table of one column.
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Length of the header with all that comes before the numbers.
    pub(crate) offset: u64,
}

impl Number {
    /// The type that NumPy describes so, such as `<f8`.
    pub(crate) fn parse(descr: &str) -> Option<Self> {
        let (order, rest) = descr.split_at_checked(1)?;
        let (kind, size) = rest.split_at_checked(1)?;
        let size: usize = size.parse().ok()?;
        let kind = match (kind, size) {
            ("f", 4 | 8) => Kind::Float,
            ("i", 1 | 2 | 4 | 8) => Kind::Signed,
            ("u", 1 | 2 | 4 | 8) | ("b", 1) => Kind::Unsigned,
            _ => return None,
        };
        let big_endian = match order {
            "<" | "|" => false,
            ">" => true,
            "=" => cfg!(target_endian = "big"),
            _ => return None,
        };
        Some(Number { kind, size, big_endian })
    }

    /// Calls `work` with the function that makes an f64 of the bytes of one number.
    pub(crate) fn with_decoder<W: DecoderWork>(self, work: W) -> W::Output {
        macro_rules! each {
            ($type:ty) => {
                // invariant: the caller cuts as many bytes as the type has
                if self.big_endian {
                    work.run(|bytes| <$type>::from_be_bytes(bytes.try_into().expect("size of a number")) as f64)
                } else {
                    work.run(|bytes| <$type>::from_le_bytes(bytes.try_into().expect("size of a number")) as f64)
                }
            };
        }
        match (self.kind, self.size) {
            (Kind::Float, 8) => each!(f64),
            (Kind::Float, _) => each!(f32),
            (Kind::Signed, 1) => each!(i8),
            (Kind::Signed, 2) => each!(i16),
            (Kind::Signed, 4) => each!(i32),
            (Kind::Signed, _) => each!(i64),
            (Kind::Unsigned, 1) => each!(u8),
            (Kind::Unsigned, 2) => each!(u16),
            (Kind::Unsigned, 4) => each!(u32),
            (Kind::Unsigned, _) => each!(u64),
        }
    }

    /// The numbers in `bytes`, one after the other, into `out`.
    pub(crate) fn decode<'o>(self, bytes: &[u8], out: impl Iterator<Item = &'o mut f64>) {
        struct InOrder<'b, O>(&'b [u8], usize, O);
        impl<'o, O: Iterator<Item = &'o mut f64>> DecoderWork for InOrder<'_, O> {
            type Output = ();
            fn run(self, decode: impl Fn(&[u8]) -> f64) {
                for (bytes, out) in self.0.chunks_exact(self.1).zip(self.2) {
                    *out = decode(bytes);
                }
            }
        }
        self.with_decoder(InOrder(bytes, self.size, out));
    }
}

/// Work on bytes that is compiled once for each type of number, so that the type is not asked for at every number.
pub(crate) trait DecoderWork {
    /// What comes of it.
    type Output;
    /// Does the work; `decode` makes an f64 of the bytes of one number.
    fn run(self, decode: impl Fn(&[u8]) -> f64) -> Self::Output;
}

impl Layout {
    /// Reads the header and leaves `input` at the first number.
    pub(crate) fn read(path: &Path, input: &mut impl Read) -> Result<Self> {
        let broken = |message: &str| Error::format(path, format!("not a usable .npy file: {message}"));
        let cut = |e: io::Error| match e.kind() {
            io::ErrorKind::UnexpectedEof => broken("it ends within its header"),
            _ => Error::io(path, "read", e),
        };
        let mut start = [0; 8];
        input.read_exact(&mut start).map_err(cut)?;
        if !start.starts_with(MAGIC) {
            return Err(broken("it does not start with the bytes of one"));
        }
        let length_bytes = match start[6] {
            1 => 2,
            2 | 3 => 4,
            version => return Err(broken(&format!("version {version} of the format is not known"))),
        };
        let mut length = [0; 4];
        input.read_exact(&mut length[..length_bytes]).map_err(cut)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            return Err(broken("its header is too long"));
        }
        let mut text = vec![0; length];
        input.read_exact(&mut text).map_err(cut)?;
        let text = String::from_utf8(text).map_err(|_| broken("its header is not text"))?;
        let (number, fortran, rows, cols) = parse(&text).map_err(|message| broken(&message))?;
        Ok(Layout { number, fortran, rows, cols, offset: (8 + length_bytes + length) as u64 })
    }

    /// Bytes of all the numbers; none if there are more than can be.
    pub(crate) fn data_bytes(&self) -> Option<u64> {
        (self.rows as u64).checked_mul(self.cols as u64)?.checked_mul(self.number.size as u64)
    }
}

/// The type, the order and the shape from the text of a header, a Python dictionary.
fn parse(text: &str) -> Result<(Number, bool, usize, usize), String> {
    let descr = value(text, "descr").ok_or("its header names no type of number")?;
    let quoted = descr.strip_prefix(['\'', '"']).and_then(|rest| rest.split(['\'', '"']).next());
    let descr = quoted.ok_or("it holds records with named fields; save the numbers alone, as float64")?;
    let number = Number::parse(descr)
        .ok_or_else(|| format!("numbers of type \"{descr}\" are not supported; save it as float64, float32 or an integer type"))?;
    let fortran = match value(text, "fortran_order") {
        Some(v) if v.starts_with("True") => true,
        Some(v) if v.starts_with("False") => false,
        _ => return Err("its header does not say the order of the numbers".into()),
    };
    let shape = value(text, "shape").and_then(|v| v.strip_prefix('(')).and_then(|v| v.split_once(')'));
    let (shape, _) = shape.ok_or("its header names no shape")?;
    let axes: Option<Vec<usize>> = shape.split(',').map(str::trim).filter(|s| !s.is_empty()).map(|s| s.parse().ok()).collect();
    match axes.as_deref() {
        Some([rows]) => Ok((number, false, *rows, 1)),
        Some([rows, cols]) => Ok((number, fortran, *rows, *cols)),
        Some(axes) => Err(format!("its array has {} axes; a table has two, rows and columns", axes.len())),
        None => Err("its shape can't be read".into()),
    }
}

/// What follows the key in the dictionary.
fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let at = text.find(&format!("'{key}'")).or_else(|| text.find(&format!("\"{key}\"")))?;
    Some(text[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }";
        assert_eq!(parse(header).unwrap(), (Number::parse("<f8").unwrap(), false, 3, 4));
        let (_, fortran, rows, cols) = parse("{\"shape\": (7,), \"descr\":\">i2\" , \"fortran_order\":True}").unwrap();
        assert_eq!((fortran, rows, cols), (false, 7, 1));
        for (bad, says) in [
            ("{'descr': '<c16', 'fortran_order': False, 'shape': (3, 4), }", "<c16"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (3, 4), }", "|O"),
            ("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,), }", "records"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4, 5), }", "3 axes"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (), }", "0 axes"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 5), }", "shape"),
            ("{'descr': '<f8', 'shape': (3, 5), }", "order"),
            ("", "type"),
        ] {
            assert!(parse(bad).unwrap_err().contains(says), "{bad}");
        }
    }

    #[test]
    fn numbers_of_every_type() {
        let decode = |descr: &str, bytes: &[u8]| {
            let number = Number::parse(descr).unwrap();
            let mut out = vec![f64::NAN; bytes.len() / number.size];
            number.decode(bytes, out.iter_mut());
            out
        };
        assert_eq!(decode("<f8", &1.5f64.to_le_bytes()), [1.5]);
        assert_eq!(decode(">f8", &1.5f64.to_be_bytes()), [1.5]);
        assert_eq!(decode("<f4", &0.1f32.to_le_bytes()), [f64::from(0.1f32)]);
        assert_eq!(decode("|i1", &[0xff, 1]), [-1.0, 1.0]);
        assert_eq!(decode("|u1", &[0xff, 1]), [255.0, 1.0]);
        assert_eq!(decode("|b1", &[0, 1]), [0.0, 1.0]);
        assert_eq!(decode("<i2", &(-300i16).to_le_bytes()), [-300.0]);
        assert_eq!(decode(">u4", &4_000_000_000u32.to_be_bytes()), [4e9]);
        assert_eq!(decode("<i8", &(-5i64).to_le_bytes()), [-5.0]);
        assert_eq!(decode("<u8", &7u64.to_le_bytes()), [7.0]);
    }
}
