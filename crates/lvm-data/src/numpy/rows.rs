//! A `.npy` file as a source of rows that stays on disk.

use super::stored::Stored;
use crate::error::Result;
use crate::file_rows::OpenFile;
use crate::mapped_file::MappedFile;
use crate::table::ReadOptions;
use lvm_core::rows::{Missing, RowSource};
use ndarray::{ArrayView1, ArrayViewMut2};
use std::path::Path;

/// The rows of a `.npy` file, read from disk block by block whenever they are asked for: memory does not grow with the file.
///
/// A fit gives the same answer, bit for bit, as with the whole array in memory. Every read checks that the file is still the one
/// that was opened, and whatever happens to the file is an error, never a crash: the source to use unless measured otherwise.
/// [`MappedNpy`] is the other.
///
/// ```
/// use lvm_core::rows::RowSource;
/// use lvm_data::{NpyRows, ReadOptions, output};
/// use ndarray::{Array2, array};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("x.npy");
/// output::write_npy(&path, &array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])?;
/// let rows = NpyRows::open(&path, &ReadOptions::default())?;
/// let mut block = Array2::zeros((2, 2));
/// rows.read(1, block.view_mut())?;
/// assert_eq!(block, array![[3.0, 4.0], [5.0, 6.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NpyRows(Stored<OpenFile>);

impl NpyRows {
    /// Opens a `.npy` file with numbers of any type, in C or Fortran order. Columns are named x1 … xD.
    ///
    /// # Errors
    /// If the file can't be read, is no `.npy` file or is cut short, if it holds no numbers, if a column that the options name is
    /// not there, or if a weight can't be used. Cells are checked when they are read.
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        Stored::open(path.as_ref(), options, Ok).map(NpyRows)
    }
}

/// The rows of a memory-mapped `.npy` file: as [`NpyRows`], through the pages that the system keeps of the file instead of by reads.
///
/// | | [`NpyRows`] | [`MappedNpy`] |
/// |---|---|---|
/// | bytes | copied to a buffer, a block at a time | used where the system keeps them |
/// | memory of the process | does not grow | seems to grow up to the file's size; the system takes it back when it needs it |
/// | the file shrinks during a read | an error | **the process is killed** (`SIGBUS`), unless a check before the read has seen it |
/// | good for | everything; files on a network, files that others may touch | a file that nobody touches: many processes share its pages, and of wide rows only the pages of the chosen columns are read |
///
/// Both give the same answers as the array in memory, bit for bit, and refuse the same files. Every read first checks that the file is
/// as long as it was and was not written to since, which finds all but what happens within that read.
///
/// ```
/// use lvm_core::rows::RowSource;
/// use lvm_data::{MappedNpy, ReadOptions, output};
/// use ndarray::{Array2, array};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("x.npy");
/// output::write_npy(&path, &array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])?;
/// let rows = MappedNpy::open(&path, &ReadOptions::default())?;
/// let mut block = Array2::zeros((2, 2));
/// rows.read(1, block.view_mut())?;
/// assert_eq!(block, array![[3.0, 4.0], [5.0, 6.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MappedNpy(Stored<MappedFile>);

impl MappedNpy {
    /// Maps a `.npy` file with numbers of any type, in C or Fortran order. Columns are named x1 … xD.
    ///
    /// # Errors
    /// As [`NpyRows::open`], and if the system refuses the mapping.
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        Stored::open(path.as_ref(), options, MappedFile::of).map(MappedNpy)
    }
}

/// What both are: the rows of the array they hold.
macro_rules! rows_of_the_array {
    ($($source:ty),*) => {$(
        impl $source {
            /// Names of the columns, in order.
            pub fn columns(&self) -> &[String] {
                &self.0.columns
            }
        }

        impl RowSource for $source {
            fn n_rows(&self) -> usize {
                self.0.n_rows()
            }
            fn n_cols(&self) -> usize {
                self.0.columns.len()
            }
            fn read(&self, start: usize, out: ArrayViewMut2<'_, f64>) -> lvm_core::Result<()> {
                Ok(self.0.read(start, out)?)
            }
            fn weights(&self) -> Option<ArrayView1<'_, f64>> {
                self.0.weights.as_ref().map(|w| w.view())
            }
            fn missing(&self) -> Missing {
                self.0.missing
            }
            fn column_name(&self, column: usize) -> Option<String> {
                self.0.columns.get(column).cloned()
            }
        }
    )*};
}

rows_of_the_array!(NpyRows, MappedNpy);
