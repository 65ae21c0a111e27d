//! Documents as sparse counts of words.

use lvm_core::mutant::planted;
use lvm_core::rows::RowSource;
use lvm_core::special::lgamma;
use lvm_core::sweep::{Merge, Plan, check_shape, sweep};
use lvm_core::{Error, ErrorKind, Result};

/// M documents over a vocabulary of V words: for each document the words it has and how often, in compressed rows.
///
/// Every document has at least one word, counts are positive (they need not be whole), words ascend within a document. A document may
/// have a weight: it then stands so many times.
///
/// ```
/// use lvm_vi::cavi::documents::Documents;
/// use ndarray::array;
/// let documents = Documents::from_rows(4, [vec![(2, 3.0), (0, 1.0)], vec![(3, 2.0)]])?;
/// assert_eq!(documents.get(0), (&[0, 2][..], &[1.0, 3.0][..]));
/// assert_eq!(Documents::from_table(&array![[1.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 2.0]])?, documents);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Documents {
    vocabulary: usize,
    offsets: Vec<usize>,
    words: Vec<u32>,
    counts: Vec<f64>,
    weights: Option<Vec<f64>>,
}

impl Documents {
    /// From compressed rows: document d has words `words[offsets[d]..offsets[d + 1]]`, in any order, with these counts. Zeros are left
    /// out, and a word that stands twice is added up.
    ///
    /// # Errors
    /// If the lengths do not fit, a word is not below V, a count is negative or not finite, or a document has no word.
    pub fn from_csr(vocabulary: usize, offsets: &[usize], words: &[usize], counts: &[f64]) -> Result<Self> {
        if words.len() != counts.len() {
            return Err(ErrorKind::Shape { what: "number of counts", expected: words.len(), found: counts.len() }.into());
        }
        let ordered = offsets.windows(2).all(|w| w[0] <= w[1]);
        if offsets.first() != Some(&0) || offsets.last() != Some(&words.len()) || !ordered {
            return Err(Error::config("offsets", format!("they must ascend from 0 to the number of words, {}", words.len())));
        }
        let row = |w: &[usize]| (w[0]..w[1]).map(|i| (words[i], counts[i])).collect::<Vec<_>>();
        Self::from_rows(vocabulary, offsets.windows(2).map(row))
    }

    /// From lists of (word, count).
    ///
    /// # Errors
    /// As [`from_csr`](Self::from_csr).
    pub fn from_rows(vocabulary: usize, rows: impl IntoIterator<Item = Vec<(usize, f64)>>) -> Result<Self> {
        if vocabulary == 0 || u32::try_from(vocabulary).is_err() {
            return Err(Error::config("vocabulary", format!("{vocabulary} words; it must be at least 1 and below 2^32")));
        }
        let mut out = Documents { vocabulary, offsets: vec![0], words: Vec::new(), counts: Vec::new(), weights: None };
        for (document, mut row) in rows.into_iter().enumerate() {
            row.sort_by_key(|(word, _)| *word);
            for (word, count) in row {
                out.push(document, word, count)?;
            }
            out.end(document)?;
        }
        if out.is_empty() { Err(ErrorKind::Empty.into()) } else { Ok(out) }
    }

    /// From a table of counts (M, V). Row weights become weights of documents; rows of weight zero are left out.
    ///
    /// # Errors
    /// If a cell is negative or unusable, or a row has no word.
    pub fn from_table(table: &dyn RowSource) -> Result<Self> {
        check_shape(table, None)?;
        /// Number, words with their counts, weight.
        type Row = (usize, Vec<(usize, f64)>, f64);
        struct Rows(Vec<Row>);
        impl Merge for Rows {
            fn merge(&mut self, mut other: Self) {
                self.0.append(&mut other.0);
            }
        }
        let gathered = sweep(
            table,
            Plan::new(table.n_cols(), 0),
            || Rows(Vec::new()),
            |rows, block| {
                for i in 0..block.n_rows() {
                    let value = |j: usize| block.column(j)[i];
                    let row = (0..block.n_cols()).filter(|&j| value(j) != 0.0).map(|j| (j, value(j))).collect();
                    rows.0.push((block.row_number(i), row, block.weights().map_or(1.0, |w| w[i])));
                }
                Ok(())
            },
        )?;
        let vocabulary = table.n_cols();
        let mut out = Documents { vocabulary, offsets: vec![0], words: Vec::new(), counts: Vec::new(), weights: None };
        let mut weights = Vec::new();
        for (number, row, weight) in gathered.0 {
            row.into_iter().try_for_each(|(word, count)| out.push(number, word, count))?;
            out.end(number)?;
            weights.push(weight);
        }
        if table.weights().is_some() {
            out.weights = Some(weights);
        }
        if out.is_empty() { Err(ErrorKind::NoWeight.into()) } else { Ok(out) }
    }

    /// The same documents, each standing as often as its weight says.
    ///
    /// # Errors
    /// If there is not one weight a document, or one is not positive and finite.
    pub fn weighted(mut self, weights: Vec<f64>) -> Result<Self> {
        if weights.len() != self.len() {
            return Err(ErrorKind::Shape { what: "number of document weights", expected: self.len(), found: weights.len() }.into());
        }
        if let Some((row, &value)) = weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w > 0.0)) {
            return Err(ErrorKind::Weight { row, value }.into());
        }
        self.weights = Some(weights);
        Ok(self)
    }

    fn push(&mut self, document: usize, word: usize, count: f64) -> Result<()> {
        if word >= self.vocabulary {
            return Err(Error::config("words", format!("word {word} in document {document}; there are {} words, from 0", self.vocabulary)));
        }
        if !(count >= 0.0 && count.is_finite()) {
            return Err(Error::config(
                "counts",
                format!("document {document} has {count} of word {word} (both from 0); counts must be finite and not negative"),
            ));
        }
        if count == 0.0 {
            return Ok(());
        }
        let begun = self.offsets.last().is_some_and(|start| self.words.len() > *start);
        match (self.words.last(), self.counts.last_mut()) {
            (Some(last), Some(sum)) if begun && *last as usize == word => *sum += count,
            _ => {
                self.words.push(word as u32);
                self.counts.push(count);
            }
        }
        Ok(())
    }

    fn end(&mut self, document: usize) -> Result<()> {
        if self.offsets.last() == Some(&self.words.len()) {
            return Err(Error::config("documents", format!("document {document} (from 0) has no words; leave it out")));
        }
        self.offsets.push(self.words.len());
        Ok(())
    }

    /// M.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }
    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// V.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }
    /// The words of document `d`, ascending, and their counts.
    ///
    /// # Panics
    /// If there is no document `d`.
    pub fn get(&self, d: usize) -> (&[u32], &[f64]) {
        let range = self.offsets[d]..self.offsets[d + 1];
        (&self.words[range.clone()], &self.counts[range])
    }
    /// How often document `d` stands.
    pub fn weight(&self, d: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |w| w[d])
    }
    /// Σ_d of the weights, M without them.
    pub fn total_weight(&self) -> f64 {
        self.weights.as_ref().map_or(self.len() as f64, |w| w.iter().sum())
    }
    /// Σ_d of the lengths times the weights: how many words there are in all.
    pub fn total_words(&self) -> f64 {
        (0..self.len()).map(|d| self.weight(d) * self.get(d).1.iter().sum::<f64>()).sum()
    }
    /// Some of the documents, in this order.
    ///
    /// # Panics
    /// If one is not there.
    pub fn select(&self, documents: &[usize]) -> Self {
        let mut out = Documents { vocabulary: self.vocabulary, offsets: vec![0], words: Vec::new(), counts: Vec::new(), weights: None };
        for &d in documents {
            let (words, counts) = self.get(d);
            out.words.extend_from_slice(words);
            out.counts.extend_from_slice(counts);
            out.offsets.push(out.words.len());
        }
        out.weights = self.weights.as_ref().map(|w| documents.iter().map(|&d| w[d]).collect());
        out
    }
    /// log n! − Σ_v log n_v! of document `d`: the number of orders in which its words can stand.
    pub(crate) fn log_coefficient(&self, d: usize) -> f64 {
        let counts = if planted("multinomial_no_coefficient") { &[][..] } else { self.get(d).1 };
        lgamma(counts.iter().sum::<f64>() + 1.0) - counts.iter().map(|c| lgamma(c + 1.0)).sum::<f64>()
    }
}

/// Refuses documents over another vocabulary.
pub(crate) fn same_vocabulary(documents: &Documents, vocabulary: usize) -> Result<()> {
    if documents.vocabulary() == vocabulary {
        return Ok(());
    }
    Err(ErrorKind::Shape { what: "size of the vocabulary", expected: vocabulary, found: documents.vocabulary() }.into())
}
