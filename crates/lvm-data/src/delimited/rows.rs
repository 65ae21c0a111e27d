//! A text file as a source of rows that stays on disk.

use super::cell::Value;
use super::record::{Record, Records};
use super::scan::{Scan, scan};
use crate::error::{Error, Result};
use crate::file_rows::{Bytes, OpenFile};
use crate::table::{ReadOptions, Skipped};
use lvm_core::rows::{Missing, RowSource};
use ndarray::{Array1, ArrayView1, ArrayViewMut2};
use std::io::BufReader;
use std::path::Path;

/// Rows between two remembered offsets. Passes ask for blocks that start at multiples of it.
const STRIDE: usize = 64;

/// The rows of a CSV file (or its kin), read from disk block by block whenever they are asked for: memory grows by an eighth of a
/// byte a row, and by eight bytes a row if there are weights.
///
/// Opening passes over the file once: it checks every cell as [`Table::read`](crate::Table::read) does, and remembers where rows
/// start. A fit then gives the same answer, bit for bit, as with the table in memory. Every read checks that the file is still the
/// one that was opened.
///
/// ```
/// use lvm_core::rows::RowSource;
/// use lvm_data::{CsvRows, ReadOptions};
/// use ndarray::{Array2, array};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("x.csv");
/// std::fs::write(&path, "a,b\n1,2\n3,4\n5,6\n")?;
/// let rows = CsvRows::open(&path, &ReadOptions::default())?;
/// let mut block = Array2::zeros((2, 2));
/// rows.read(1, block.view_mut())?;
/// assert_eq!(block, array![[3.0, 4.0], [5.0, 6.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CsvRows {
    file: OpenFile,
    scan: Scan,
    /// The columns of the file that are data, in order.
    data: Vec<usize>,
    /// Offset of every row whose number is a multiple of [`STRIDE`].
    offsets: Vec<u64>,
    weights: Option<Array1<f64>>,
    missing: Missing,
}

impl CsvRows {
    /// Opens a text file that is not compressed, and checks all of it.
    ///
    /// # Errors
    /// As [`Table::read`](crate::Table::read), and if the file is compressed.
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        let path = path.as_ref();
        let file = OpenFile::open(path)?;
        let compressed = file.length() >= 2 && file.with_bytes(0, 2, |bytes| Ok(bytes == b"\x1f\x8b"))?;
        if compressed {
            return Err(Error::format(path, "rows can't be read here and there from a compressed file; unpack it, or read it whole"));
        }
        let mut offsets = Vec::new();
        let mut row = 0;
        let input = BufReader::with_capacity(1 << 18, file.rewound()?);
        let mut scan = scan(path, input, options, &mut |record, _| {
            if row % STRIDE == 0 {
                offsets.push(record.offset);
            }
            row += 1;
        })?;
        file.check_unchanged()?;
        let data = scan.kept.iter().map(|&k| scan.given[k]).collect();
        let weights = scan.weights.take().map(Array1::from_vec);
        scan.labels = None;
        Ok(CsvRows { file, scan, data, offsets, weights, missing: options.missing })
    }

    /// Names of the columns, in order.
    pub fn columns(&self) -> &[String] {
        &self.scan.columns
    }

    /// The columns left out, and why.
    pub fn skipped(&self) -> &[Skipped] {
        &self.scan.skipped
    }

    fn read_rows(&self, start: usize, mut out: ArrayViewMut2<'_, f64>) -> Result<()> {
        self.file.check_unchanged()?;
        if out.nrows() == 0 {
            return Ok(());
        }
        let end = start + out.nrows();
        let from = self.offsets[start / STRIDE];
        let to = self.offsets.get(end.div_ceil(STRIDE)).copied().unwrap_or(self.scan.end);
        // invariant: offsets rise, as they were met in one pass
        self.file.with_bytes(from, (to - from) as usize, |bytes| {
            let mut records = Records::new(self.file.path(), bytes, self.scan.separator, from, 0);
            let mut record = Record::default();
            for row in start / STRIDE * STRIDE..end {
                if !records.next(&mut record)? || record.len() != self.scan.fields {
                    return Err(self.file.changed("was written to"));
                }
                if row >= start {
                    for (to, &column) in out.row_mut(row - start).iter_mut().zip(&self.data) {
                        *to = match Value::parse(record.field(column)) {
                            Value::Number(number) if number.is_finite() => number,
                            _ => f64::NAN,
                        };
                    }
                }
            }
            Ok(())
        })
    }
}

impl RowSource for CsvRows {
    fn n_rows(&self) -> usize {
        self.scan.rows
    }
    fn n_cols(&self) -> usize {
        self.data.len()
    }
    fn read(&self, start: usize, out: ArrayViewMut2<'_, f64>) -> lvm_core::Result<()> {
        Ok(self.read_rows(start, out)?)
    }
    fn weights(&self) -> Option<ArrayView1<'_, f64>> {
        self.weights.as_ref().map(|w| w.view())
    }
    fn missing(&self) -> Missing {
        self.missing
    }
    fn column_name(&self, column: usize) -> Option<String> {
        self.scan.columns.get(column).cloned()
    }
}
