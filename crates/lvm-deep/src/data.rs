//! Rows on the device: what a model is trained on and asked about.

use crate::error::{Error, ErrorKind, Result};
use crate::tensor::{from_matrix, from_rows, from_vector};
use lvm_core::rows::RowSource;
use ndarray::ArrayRef2;
use tch::{Device, Kind, Tensor};

/// Some rows with everything that belongs to them.
#[derive(Debug)]
pub struct Batch {
    /// x (N, D), with 0 where an entry is missing.
    pub x: Tensor,
    /// 1 where an entry is there, 0 where it is missing (N, D); `None`: all are there.
    pub observed: Option<Tensor>,
    /// What encoder and decoder are told besides (N, C): labels, batches, as numbers.
    pub condition: Option<Tensor>,
    /// Row weights (N); `None`: all 1.
    pub weights: Option<Tensor>,
}

impl Batch {
    /// Of x alone.
    pub fn new(x: Tensor) -> Self {
        Batch { x, observed: None, condition: None, weights: None }
    }

    /// N.
    pub fn n_rows(&self) -> i64 {
        self.x.size()[0]
    }

    /// The same function of everything that belongs to the rows.
    pub fn map(&self, of: impl Fn(&Tensor) -> Tensor) -> Batch {
        Batch {
            x: of(&self.x),
            observed: self.observed.as_ref().map(&of),
            condition: self.condition.as_ref().map(&of),
            weights: self.weights.as_ref().map(&of),
        }
    }

    /// The rows with these numbers.
    pub fn select(&self, index: &Tensor) -> Batch {
        self.map(|t| t.index_select(0, index))
    }

    /// `length` rows from `start`, without a copy.
    pub fn narrow(&self, start: i64, length: i64) -> Batch {
        self.map(|t| t.narrow(0, start, length))
    }

    /// The rows k times over: (k·N, ·), all rows once, then again; only what [`crate::vae::Vae`] needs k times is copied.
    pub fn repeat(&self, k: i64) -> Batch {
        self.map(|t| {
            let size = t.size();
            t.unsqueeze(0).expand([&[k], size.as_slice()].concat(), false).reshape([&[k * size[0]], &size[1..]].concat())
        })
    }
}

/// A whole table on the device.
#[derive(Debug)]
pub struct Dataset {
    /// All rows.
    pub rows: Batch,
    /// Σ of the row weights.
    pub total_weight: f64,
}

impl Dataset {
    /// From any source of rows: NaN is refused or taken for missing as the source says, and its row weights count.
    ///
    /// # Errors
    /// If there are no rows, an entry is NaN or infinite, or a row has no entry at all; the error names row and column.
    pub fn new(source: &dyn RowSource, kind: Kind, device: Device) -> Result<Self> {
        if source.n_rows() == 0 || source.n_cols() == 0 {
            return Err(ErrorKind::Empty.into());
        }
        let (x, observed) = from_rows(source, kind, device)?;
        if let Some(observed) = &observed {
            let none = observed.sum_dim_intlist([1].as_slice(), false, Kind::Double).eq(0.0);
            let first = none.to_kind(Kind::Int64).argmax(0, false).int64_value(&[]);
            if none.int64_value(&[first]) != 0 {
                return Err(ErrorKind::MissingRow { row: first as usize }.into());
            }
        }
        let weights = source.weights().map(|w| w.to_vec());
        let total_weight = weights.as_ref().map_or(source.n_rows() as f64, |w| w.iter().sum());
        if !(total_weight > 0.0) {
            return Err(ErrorKind::NoWeight.into());
        }
        let weights = weights.map(|w| from_vector(&w, kind, device));
        Ok(Dataset { rows: Batch { x, observed, condition: None, weights }, total_weight })
    }

    /// With what encoder and decoder are told besides (N, C).
    ///
    /// # Errors
    /// If the number of rows is another.
    pub fn with_condition(mut self, condition: &ArrayRef2<f64>) -> Result<Self> {
        if condition.nrows() as i64 != self.rows.n_rows() {
            return Err(ErrorKind::Shape { what: "rows of the condition", expected: self.n_rows(), found: condition.nrows() }.into());
        }
        if let Some(((row, column), _)) = condition.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(Error::config("condition", format!("row {row}, column {column} is not a finite number")));
        }
        self.rows.condition = Some(from_matrix(condition, self.rows.x.kind(), self.rows.x.device()));
        Ok(self)
    }

    /// N.
    pub fn n_rows(&self) -> usize {
        self.rows.n_rows() as usize
    }

    /// D.
    pub fn n_cols(&self) -> usize {
        self.rows.x.size()[1] as usize
    }
}
