//! From rows to the features of q(z | x).

use super::Net;
use crate::data::Batch;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// What is done to x before the encoder's net sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Nothing.
    #[default]
    Plain,
    /// (x − mean)/sd of the training columns; columns that do not vary are only centred.
    Standardised,
    /// log(1 + x), for counts.
    Log1p,
}

/// Features of rows.
pub trait Encoder: Send {
    /// (N, F) of a batch of N rows.
    fn features(&self, batch: &Batch) -> Tensor;

    /// What the first layer is given for a batch of N rows (N, I), where that is a table of numbers.
    fn inputs(&self, _batch: &Batch) -> Option<Tensor> {
        None
    }

    /// The same encoder over the same parameter tensors.
    fn share(&self) -> Box<dyn Encoder>;
}

/// A net over x, after [`Input`], with which entries are there and the condition behind it.
pub struct NetEncoder {
    net: Box<dyn Net>,
    input: Input,
    /// Mean and scale of the columns (D), for [`Input::Standardised`].
    standard: Option<(Tensor, Tensor)>,
    /// Whether the mask of observed entries is part of the input.
    mask: bool,
}

impl NetEncoder {
    /// Over a net whose inputs are D, then D for the mask if `mask`, then C for the condition.
    pub fn new(net: Box<dyn Net>, input: Input, standard: Option<(Tensor, Tensor)>, mask: bool) -> Self {
        NetEncoder { net, input, standard, mask }
    }
}

impl Encoder for NetEncoder {
    fn features(&self, batch: &Batch) -> Tensor {
        self.net.forward(&self.table(batch))
    }

    fn inputs(&self, batch: &Batch) -> Option<Tensor> {
        Some(self.table(batch))
    }

    fn share(&self) -> Box<dyn Encoder> {
        let standard = self.standard.as_ref().map(|(m, s)| (m.shallow_clone(), s.shallow_clone()));
        Box::new(NetEncoder { net: self.net.share(), input: self.input, standard, mask: self.mask })
    }
}

impl NetEncoder {
    /// The columns that the net reads.
    fn table(&self, batch: &Batch) -> Tensor {
        let mut x = match (self.input, &self.standard) {
            (Input::Standardised, Some((mean, scale))) => (&batch.x - mean) / scale,
            (Input::Log1p, _) => batch.x.log1p(),
            _ => batch.x.shallow_clone(),
        };
        if let Some(observed) = &batch.observed {
            // a missing entry stands at 0, which is the mean where columns are standardised
            // out of place: `*=` would write into the batch
            x = &x * observed;
        }
        let mut parts = vec![x];
        if self.mask {
            parts.push(batch.observed.as_ref().map_or_else(|| batch.x.ones_like(), Tensor::shallow_clone));
        }
        parts.extend(batch.condition.as_ref().map(Tensor::shallow_clone));
        if parts.len() == 1 { parts.swap_remove(0) } else { Tensor::cat(&parts, -1) }
    }
}
