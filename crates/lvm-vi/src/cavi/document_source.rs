//! Documents as an online algorithm asks for them: a batch at a time.

use super::documents::Documents;
use lvm_core::rows::{RowSource, n_present, total_weight};
use lvm_core::sweep::check_shape;
use lvm_core::{Error, ErrorKind, Result};
use ndarray::Array2;
use std::borrow::Cow;

/// M documents over a vocabulary of V words, of which any few can be read. [`Documents`] are one, and so is any table of counts, as
/// [`CountTable`]: a fit then needs memory for a batch, whatever M.
pub trait DocumentSource: Sync {
    /// M.
    fn n_documents(&self) -> usize;
    /// V.
    fn vocabulary(&self) -> usize;
    /// Σ_d of the weights, M without them.
    fn total_weight(&self) -> f64;
    /// Documents `which`, in this order, with their weights.
    ///
    /// # Errors
    /// If they can't be read, or are no documents.
    fn documents(&self, which: &[usize]) -> Result<Cow<'_, Documents>>;

    /// Calls `with` on all documents, some at a time and in order.
    ///
    /// # Errors
    /// As [`documents`](Self::documents), and those of `with`.
    fn for_each_batch(&self, with: &mut dyn FnMut(&Documents) -> Result<()>) -> Result<()> {
        /// Documents read at once.
        const BATCH: usize = 1024;
        for first in (0..self.n_documents()).step_by(BATCH) {
            let which: Vec<usize> = (first..self.n_documents().min(first + BATCH)).collect();
            with(&*self.documents(&which)?)?;
        }
        Ok(())
    }

    /// Σ_d of the lengths times the weights, by one pass.
    ///
    /// # Errors
    /// As [`documents`](Self::documents).
    fn total_words(&self) -> Result<f64> {
        let mut total = 0.0;
        self.for_each_batch(&mut |documents| {
            total += documents.total_words();
            Ok(())
        })?;
        Ok(total)
    }
}

impl DocumentSource for Documents {
    fn n_documents(&self) -> usize {
        self.len()
    }
    fn vocabulary(&self) -> usize {
        Documents::vocabulary(self)
    }
    fn total_weight(&self) -> f64 {
        Documents::total_weight(self)
    }
    fn documents(&self, which: &[usize]) -> Result<Cow<'_, Documents>> {
        Ok(Cow::Owned(self.select(which)))
    }
}

/// A table of counts (M, V) that is read when it is asked for: the rows of a file as documents.
///
/// Row weights become weights of documents; rows of weight zero are left out. The documents are those of [`Documents::from_table`], so a
/// fit to either gives the same answer, bit for bit.
///
/// # Errors
/// At construction if the shape or the weights are unusable; a cell that is no count, or a row without words, when it is read.
///
/// ```
/// use lvm_vi::cavi::{document_source::{CountTable, DocumentSource}, documents::Documents};
/// use ndarray::array;
/// let table = array![[1.0, 0.0, 3.0], [0.0, 2.0, 0.0], [4.0, 1.0, 0.0]];
/// let source = CountTable::new(&table)?;
/// assert_eq!(*source.documents(&[0, 2])?, Documents::from_table(&table)?.select(&[0, 2]));
/// # Ok::<(), lvm_core::Error>(())
/// ```
pub struct CountTable<'a> {
    rows: &'a dyn RowSource,
    /// The rows that are there, where some are not.
    present: Option<Vec<usize>>,
}

/// Cells read at once: 8 MiB.
const CELLS: usize = 1 << 20;

impl<'a> CountTable<'a> {
    /// The rows of `rows` as documents.
    ///
    /// # Errors
    /// See [the type](CountTable#errors).
    pub fn new(rows: &'a dyn RowSource) -> Result<Self> {
        check_shape(rows, None)?;
        if u32::try_from(rows.n_cols()).is_err() {
            return Err(Error::config("vocabulary", format!("{} words; it must be below 2^32", rows.n_cols())));
        }
        let present = match rows.weights() {
            Some(weights) if n_present(rows) < rows.n_rows() => Some((0..rows.n_rows()).filter(|&n| weights[n] > 0.0).collect::<Vec<_>>()),
            _ => None,
        };
        match &present {
            Some(present) if present.is_empty() => Err(ErrorKind::NoWeight.into()),
            _ => Ok(CountTable { rows, present }),
        }
    }
}

impl DocumentSource for CountTable<'_> {
    fn n_documents(&self) -> usize {
        self.present.as_ref().map_or(self.rows.n_rows(), Vec::len)
    }
    fn vocabulary(&self) -> usize {
        self.rows.n_cols()
    }
    fn total_weight(&self) -> f64 {
        total_weight(self.rows)
    }
    fn documents(&self, which: &[usize]) -> Result<Cow<'_, Documents>> {
        let rows: Vec<usize> = which.iter().map(|&d| self.present.as_ref().map_or(d, |present| present[d])).collect();
        let columns = self.rows.n_cols();
        let most = (CELLS / columns).max(1);
        let mut lines = Vec::with_capacity(rows.len());
        let mut at = 0;
        while at < rows.len() {
            // consecutive rows in one read
            let longest = most.min(rows.len() - at);
            let run = (1..longest).find(|&i| rows[at + i] != rows[at] + i).unwrap_or(longest);
            let mut cells = Array2::zeros((run, columns));
            self.rows.read(rows[at], cells.view_mut())?;
            for (line, &number) in cells.outer_iter().zip(&rows[at..]) {
                lines.push((number, line.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(word, v)| (word, *v)).collect()));
            }
            at += run;
        }
        let weights = self.rows.weights().map(|w| rows.iter().map(|&n| w[n]).collect());
        Documents::numbered(columns, lines, weights).map(Cow::Owned)
    }
}
