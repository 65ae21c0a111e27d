//! An autoregressive decoder by attention.

use super::attention::{Attention, AttentionSpec, Sight};
use super::sequence::{StepInput, StepOutput, told};
use super::{Decoder, Linear, Net};
use crate::data::Batch;
use crate::error::Result;
use crate::likelihood::Likelihood;
use crate::noise::Noise;
use crate::parameters::Scope;
use tch::Tensor;

/// p(x | z) = Π_t p(x_t | x_<t, z) by a transformer over the sequence (A z + a, E e(x_1) + c, …, E e(x_{T−1}) + c), in which every position
/// sees itself and those before it: z is a token before the first. Missing entries are as in
/// [`RecurrentDecoder`](super::RecurrentDecoder).
pub struct AttentionDecoder {
    input: StepInput,
    output: StepOutput,
    prefix: Linear,
    project: Linear,
    attention: Attention,
    head: Linear,
}

impl AttentionDecoder {
    /// From `inputs` numbers, those of z and of the condition, to rows of `columns` under a likelihood.
    ///
    /// # Errors
    /// If the settings contradict each other, the likelihood can't be taken step by step, or the name is taken.
    pub fn new(scope: &mut Scope<'_>, spec: &AttentionSpec, inputs: i64, columns: i64, likelihood: &dyn Likelihood) -> Result<Self> {
        spec.check(columns)?;
        let output = StepOutput::new(spec.steps, columns, likelihood)?;
        let input = StepInput::new(&mut scope.at("input"), spec.steps)?;
        let prefix = Linear::new(&mut scope.at("prefix"), inputs, spec.width)?;
        let project = Linear::new(&mut scope.at("project"), spec.steps.width(), spec.width)?;
        let attention = Attention::new(&mut scope.at("attention"), spec, output.length)?;
        let head = Linear::new(&mut scope.at("head"), spec.width, output.width())?;
        Ok(AttentionDecoder { input, output, prefix, project, attention, head })
    }

    /// z as the first of the tokens (M, 1, W).
    fn prefix(&self, z: &Tensor, batch: &Batch) -> Tensor {
        self.prefix.forward(&told(z, batch)).unsqueeze(1)
    }
}

impl Decoder for AttentionDecoder {
    fn outputs(&self, z: &Tensor, batch: &Batch) -> Tensor {
        let steps = self.input.of(&batch.x, batch.observed.as_ref()).narrow(1, 0, self.output.length - 1);
        let sequence = Tensor::cat(&[self.prefix(z, batch), self.project.forward(&steps)], 1);
        self.output.arrange(&self.head.forward(&self.attention.forward(&sequence, &Sight::Past)))
    }

    fn reads_rows(&self, _batch: &Batch) -> bool {
        true
    }

    fn generate(&self, z: &Tensor, batch: &Batch, likelihood: &dyn Likelihood, noise: &mut Noise) -> Tensor {
        let mut sequence = self.prefix(z, batch);
        self.output.ancestral(batch, likelihood, noise, |before| {
            if let Some(x) = before {
                sequence = Tensor::cat(&[&sequence, &self.project.forward(&self.input.of(x, None))], 1);
            }
            self.head.forward(&self.attention.forward(&sequence, &Sight::Past).select(1, -1))
        })
    }

    fn output_bias(&self) -> Option<Tensor> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::gaussian::{Gaussian, Variance};
    use crate::likelihood::{Categorical, proof::scoped};
    use crate::nets::proof::{differentiates, numbers};
    use crate::nets::sequence::Steps;
    use crate::nets::sequence::proof::{causal, draws_follow_the_density, generates_what_it_scores, tokens};

    fn spec(steps: Steps) -> AttentionSpec {
        AttentionSpec { steps, width: 4, heads: 2, layers: 2 }
    }

    #[test]
    fn tokens_are_seen_only_behind_them() {
        let categorical = Categorical { columns: 5, codes: 3 };
        let steps = Steps::Tokens { codes: 3, embedding: 2 };
        let decoder = scoped(|scope| AttentionDecoder::new(scope, &spec(steps), 2, 5, &categorical).unwrap());
        causal(&decoder, &numbers(&[4, 2]), &tokens(4, 5, 3), 1, &categorical);
        generates_what_it_scores(&decoder, &numbers(&[4, 2]), &categorical);
        let batch = Batch::new(tokens(4, 5, 3));
        differentiates(&|z| decoder.outputs(z, &batch), &numbers(&[4, 2]), &[decoder.prefix.weight(), decoder.head.weight()]);
    }

    #[test]
    fn numbers_are_seen_only_behind_them() {
        let gaussian = scoped(|scope| Gaussian::new(scope, 6, Variance::Entries).unwrap());
        let decoder = scoped(|scope| AttentionDecoder::new(scope, &spec(Steps::Numbers { columns: 2 }), 2, 6, &gaussian).unwrap());
        causal(&decoder, &numbers(&[4, 2]), &numbers(&[4, 6]), 2, &gaussian);
        generates_what_it_scores(&decoder, &numbers(&[4, 2]), &gaussian);
    }

    #[test]
    fn draws_of_short_sequences_follow_their_density() {
        let categorical = Categorical { columns: 2, codes: 3 };
        let steps = Steps::Tokens { codes: 3, embedding: 2 };
        let decoder = scoped(|scope| AttentionDecoder::new(scope, &spec(steps), 2, 2, &categorical).unwrap());
        draws_follow_the_density(&decoder, &numbers(&[1, 2]), &categorical);
    }

    #[test]
    fn heads_must_share_out_the_width() {
        let error = AttentionSpec { heads: 3, ..spec(Steps::Numbers { columns: 1 }) }.check(5).unwrap_err().to_string();
        assert!(error.contains("multiple of the heads"), "{error}");
    }
}
