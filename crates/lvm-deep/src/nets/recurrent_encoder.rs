//! Features of sequences by recurrence in both directions.

use super::recurrent::{Recurrent, RecurrentSpec, lengths};
use super::sequence::{StepInput, told};
use super::{Encoder, Linear, Net};
use crate::data::Batch;
use crate::error::Result;
use crate::parameters::Scope;
use tch::{Kind, Tensor};

/// Two recurrent nets a layer, one from the first step to the last, one back; features are W (h→ at the last step, h← at the first) + b.
///
/// Where entries are missing a row ends at its last step that has one: what stands behind it does not count.
pub struct RecurrentEncoder {
    input: StepInput,
    /// Whether the mask of observed entries is part of the input.
    mask: bool,
    layers: Vec<[Recurrent; 2]>,
    head: Linear,
}

impl RecurrentEncoder {
    /// For rows of `columns` with `told` numbers besides, which join at the end.
    ///
    /// # Errors
    /// If the settings contradict each other or the name is taken.
    pub fn new(scope: &mut Scope<'_>, spec: &RecurrentSpec, columns: i64, mask: bool, told: i64, features: i64) -> Result<Self> {
        spec.check(columns)?;
        let input = StepInput::new(&mut scope.at("input"), spec.steps)?;
        let width = spec.steps.width() + if mask { spec.steps.columns() } else { 0 };
        let layer = |l: i64| {
            let below = if l == 0 { width } else { 2 * spec.hidden };
            let mut direction = |name: &str| Recurrent::new(&mut scope.at(&format!("{name}.{l}")), spec.cell, below, spec.hidden, 1);
            Ok([direction("forward")?, direction("backward")?])
        };
        let layers = (0..spec.layers).map(layer).collect::<Result<_>>()?;
        let head = Linear::new(&mut scope.at("head"), 2 * spec.hidden + told, features)?;
        Ok(RecurrentEncoder { input, mask, layers, head })
    }
}

/// Where rows end.
enum Ends {
    /// All at the last step.
    Full,
    /// At these lengths (N), with the steps (N, T) in reverse within them.
    At { length: Tensor, reverse: Tensor },
}

impl Ends {
    fn of(batch: &Batch, columns: i64) -> Self {
        let Some(observed) = &batch.observed else { return Ends::Full };
        let length = lengths(observed, columns);
        let steps = Tensor::arange(observed.size()[1] / columns, (Kind::Int64, observed.device())).unsqueeze(0);
        // t → length − 1 − t within the row, t behind it
        let back = length.unsqueeze(1) - 1 - &steps;
        let reverse = back.where_self(&back.ge(0), &steps);
        Ends::At { length, reverse }
    }

    /// Steps (N, T, H) in reverse within their rows.
    fn reversed(&self, x: &Tensor) -> Tensor {
        match self {
            Ends::Full => x.flip([1]),
            Ends::At { reverse, .. } => x.gather(1, &reverse.unsqueeze(-1).expand(x.size(), false), false),
        }
    }

    /// The last step (N, H) of (N, T, H).
    fn last(&self, x: &Tensor) -> Tensor {
        match self {
            Ends::Full => x.select(1, -1),
            Ends::At { length, .. } => {
                let size = x.size();
                let index = (length - 1).view([-1, 1, 1]).expand([size[0], 1, size[2]], false);
                x.gather(1, &index, false).squeeze_dim(1)
            }
        }
    }
}

impl Encoder for RecurrentEncoder {
    fn features(&self, batch: &Batch) -> Tensor {
        let columns = self.input.steps.columns();
        let ends = Ends::of(batch, columns);
        let mut x = self.input.of(&batch.x, batch.observed.as_ref());
        if self.mask {
            let observed = batch.observed.as_ref().map_or_else(|| batch.x.ones_like(), Tensor::shallow_clone);
            x = Tensor::cat(&[x, observed.reshape([batch.n_rows(), -1, columns])], -1);
        }
        let mut summary = Vec::new();
        for (l, [forward, backward]) in self.layers.iter().enumerate() {
            let there = forward.forward(&x, None);
            let back = backward.forward(&ends.reversed(&x), None);
            if l + 1 == self.layers.len() {
                summary = vec![ends.last(&there), ends.last(&back)];
            } else {
                x = Tensor::cat(&[there, ends.reversed(&back)], -1);
            }
        }
        self.head.forward(&told(&Tensor::cat(&summary, -1), batch))
    }

    fn share(&self) -> Box<dyn Encoder> {
        let layers = self.layers.iter().map(|[f, b]| [f.shared(), b.shared()]).collect();
        Box::new(RecurrentEncoder { input: self.input.shared(), mask: self.mask, layers, head: self.head.shared() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, scoped};
    use crate::nets::proof::{differentiates, numbers, shares_features};
    use crate::nets::recurrent::Cell;
    use crate::nets::sequence::Steps;
    use crate::nets::sequence::proof::{padding_does_not_count, tokens};
    use crate::tensor::to_values;

    fn encoder(steps: Steps, columns: i64, mask: bool, layers: i64) -> RecurrentEncoder {
        let spec = RecurrentSpec { steps, cell: Cell::Gru, hidden: 3, layers };
        scoped(|scope| RecurrentEncoder::new(scope, &spec, columns, mask, 0, 4).unwrap())
    }

    #[test]
    fn shapes_gradients_and_sharing() {
        let of = encoder(Steps::Numbers { columns: 2 }, 6, false, 2);
        let x = numbers(&[3, 6]);
        assert_eq!(of.features(&Batch::new(x.shallow_clone())).size(), [3, 4]);
        differentiates(&|x| of.features(&Batch::new(x.shallow_clone())), &x, &[of.head.weight()]);
        shares_features(&of, &x, of.head.weight());
    }

    #[test]
    fn what_stands_behind_the_end_does_not_count() {
        for mask in [false, true] {
            let long = encoder(Steps::Tokens { codes: 3, embedding: 2 }, 5, mask, 2);
            padding_does_not_count(&long, &tokens(2, 5, 3));
        }
    }

    #[test]
    fn a_mask_of_ones_is_no_mask() {
        let of = encoder(Steps::Tokens { codes: 3, embedding: 2 }, 5, false, 2);
        let x = tokens(2, 5, 3);
        let mut all = Batch::new(x.shallow_clone());
        all.observed = Some(x.ones_like());
        // the same sums
        agrees(&of.features(&all), &to_values(&of.features(&Batch::new(x))), 1e-15);
    }
}
