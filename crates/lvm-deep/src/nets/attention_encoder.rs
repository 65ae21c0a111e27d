//! Features of sequences by attention.

use super::attention::{Attention, AttentionSpec, Sight};
use super::sequence::{StepInput, told};
use super::{Encoder, Linear, Net};
use crate::data::Batch;
use crate::error::Result;
use crate::parameters::{Scope, Start};
use tch::Tensor;

/// A transformer over a trained token and the steps behind it; features are W h + b of what the first position ends with, Devlin et al. 2019.
///
/// Steps of which no entry is there are seen by nobody.
pub struct AttentionEncoder {
    input: StepInput,
    /// Whether the mask of observed entries is part of the input.
    mask: bool,
    /// (W).
    summary: Tensor,
    project: Linear,
    attention: Attention,
    head: Linear,
}

impl AttentionEncoder {
    /// For rows of `columns` with `told` numbers besides, which join at the end.
    ///
    /// # Errors
    /// If the settings contradict each other or the name is taken.
    pub fn new(scope: &mut Scope<'_>, spec: &AttentionSpec, columns: i64, mask: bool, told: i64, features: i64) -> Result<Self> {
        spec.check(columns)?;
        let step = spec.steps.columns();
        let input = StepInput::new(&mut scope.at("input"), spec.steps)?;
        let summary = scope.trained("summary", &[spec.width], Start::Normal(0.02))?;
        let width = spec.steps.width() + if mask { step } else { 0 };
        let project = Linear::new(&mut scope.at("project"), width, spec.width)?;
        let attention = Attention::new(&mut scope.at("attention"), spec, columns / step + 1)?;
        let head = Linear::new(&mut scope.at("head"), spec.width + told, features)?;
        Ok(AttentionEncoder { input, mask, summary, project, attention, head })
    }

    /// The steps that are there, and the first position always.
    fn sight(&self, batch: &Batch) -> Sight {
        let Some(observed) = &batch.observed else { return Sight::All };
        let n = batch.n_rows();
        let there = observed.reshape([n, -1, self.input.steps.columns()]).amax([-1].as_slice(), false);
        let there = Tensor::cat(&[&there.narrow(1, 0, 1).ones_like(), &there], 1);
        // log 1 = 0, log 0 = −∞
        Sight::Marked(there.log().view([n, 1, 1, -1]))
    }
}

impl Encoder for AttentionEncoder {
    fn features(&self, batch: &Batch) -> Tensor {
        let n = batch.n_rows();
        let mut x = self.input.of(&batch.x, batch.observed.as_ref());
        if self.mask {
            let observed = batch.observed.as_ref().map_or_else(|| batch.x.ones_like(), Tensor::shallow_clone);
            x = Tensor::cat(&[x, observed.reshape([n, -1, self.input.steps.columns()])], -1);
        }
        let summary = self.summary.expand([n, 1, -1], false);
        let sequence = Tensor::cat(&[summary, self.project.forward(&x)], 1);
        let first = self.attention.forward(&sequence, &self.sight(batch)).select(1, 0);
        self.head.forward(&told(&first, batch))
    }

    fn share(&self) -> Box<dyn Encoder> {
        Box::new(AttentionEncoder {
            input: self.input.shared(),
            mask: self.mask,
            summary: self.summary.shallow_clone(),
            project: self.project.shared(),
            attention: self.attention.shared(),
            head: self.head.shared(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::scoped;
    use crate::nets::proof::{differentiates, numbers, shares_features};
    use crate::nets::sequence::Steps;
    use crate::nets::sequence::proof::{padding_does_not_count, tokens};

    fn encoder(steps: Steps, columns: i64) -> AttentionEncoder {
        let spec = AttentionSpec { steps, width: 4, heads: 2, layers: 2 };
        scoped(|scope| AttentionEncoder::new(scope, &spec, columns, false, 0, 3).unwrap())
    }

    #[test]
    fn shapes_gradients_and_sharing() {
        let of = encoder(Steps::Numbers { columns: 2 }, 6);
        let x = numbers(&[3, 6]);
        assert_eq!(of.features(&Batch::new(x.shallow_clone())).size(), [3, 3]);
        differentiates(&|x| of.features(&Batch::new(x.shallow_clone())), &x, &[&of.summary, of.project.weight()]);
        shares_features(&of, &x, of.project.weight());
    }

    #[test]
    fn what_stands_behind_the_end_does_not_count() {
        padding_does_not_count(&encoder(Steps::Tokens { codes: 3, embedding: 2 }, 5), &tokens(2, 5, 3));
    }
}
