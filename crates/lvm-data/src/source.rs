//! A file as a source of rows: in memory where it is small, on disk where it is large.

use crate::delimited::CsvRows;
use crate::error::{Error, Result};
use crate::numpy::{self, NpyRows};
use crate::table::{ReadOptions, Skipped, Table};
use lvm_core::rows::{Missing, RowSource};
use ndarray::{ArrayView1, ArrayViewMut2};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The rows of a file. Which of the three it is makes no difference to any answer, only to memory and time.
#[derive(Debug)]
pub enum Source {
    /// In memory.
    Table(Table),
    /// A `.npy` file on disk.
    Npy(NpyRows),
    /// A text file on disk.
    Csv(CsvRows),
}

impl Source {
    /// 128 MiB: a sensible `in_memory` for [`Source::open`].
    pub const IN_MEMORY: u64 = 128 << 20;

    /// Opens a file. A `.npy` or text file of more than `in_memory` bytes stays on disk; everything else is read.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions, in_memory: u64) -> Result<Self> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
        let metadata = file.metadata().map_err(|e| Error::io(path, "read", e))?;
        if !metadata.is_file() || metadata.len() <= in_memory || options.labels.is_some() {
            return Table::read(path, options).map(Source::Table);
        }
        let mut start = Vec::new();
        file.by_ref().take(64).read_to_end(&mut start).map_err(|e| Error::io(path, "read", e))?;
        if start.starts_with(numpy::MAGIC) {
            return NpyRows::open(path, options).map(Source::Npy);
        }
        if crate::read::is_plain_text(&start) {
            return CsvRows::open(path, options).map(Source::Csv);
        }
        Table::read(path, options).map(Source::Table)
    }

    /// Names of the columns, in order.
    pub fn columns(&self) -> &[String] {
        match self {
            Source::Table(table) => &table.columns,
            Source::Npy(rows) => rows.columns(),
            Source::Csv(rows) => rows.columns(),
        }
    }

    /// The columns left out, and why.
    pub fn skipped(&self) -> &[Skipped] {
        match self {
            Source::Table(table) => &table.skipped,
            Source::Npy(_) => &[],
            Source::Csv(rows) => rows.skipped(),
        }
    }

    fn rows(&self) -> &dyn RowSource {
        match self {
            Source::Table(table) => table,
            Source::Npy(rows) => rows,
            Source::Csv(rows) => rows,
        }
    }
}

impl RowSource for Source {
    fn n_rows(&self) -> usize {
        self.rows().n_rows()
    }
    fn n_cols(&self) -> usize {
        self.rows().n_cols()
    }
    fn read(&self, start: usize, out: ArrayViewMut2<'_, f64>) -> lvm_core::Result<()> {
        self.rows().read(start, out)
    }
    fn weights(&self) -> Option<ArrayView1<'_, f64>> {
        self.rows().weights()
    }
    fn missing(&self) -> Missing {
        self.rows().missing()
    }
    fn column_name(&self, column: usize) -> Option<String> {
        self.rows().column_name(column)
    }
}
