//! An autoregressive decoder by recurrence.

use super::recurrent::{Recurrent, RecurrentSpec};
use super::sequence::{StepInput, StepOutput, told};
use super::{Decoder, Linear, Net};
use crate::data::Batch;
use crate::error::Result;
use crate::likelihood::Likelihood;
use crate::noise::Noise;
use crate::parameters::{Scope, Start};
use tch::Tensor;

/// p(x | z) = Π_t p(x_t | x_<t, z) with
///
/// ```text
/// h_0 = tanh(A z + a),   h_t = RNN((e(x_{t−1}), z), h_{t−1}),   outputs of step t = W h_t + b
/// ```
///
/// where e is an embedding of tokens, or the numbers themselves, and e(x_0) a trained vector. For tokens p is softmax(W h_t + b), for numbers
/// whatever density the likelihood is. A missing entry is seen as a vector of zeros by the steps behind it, which leaves it out exactly where
/// nothing follows (padding at the end) and is an approximation for holes. Bowman et al. 2016, with z at every step.
pub struct RecurrentDecoder {
    input: StepInput,
    output: StepOutput,
    first: Tensor,
    initial: Linear,
    net: Recurrent,
    head: Linear,
}

impl RecurrentDecoder {
    /// From `inputs` numbers, those of z and of the condition, to rows of `columns` under a likelihood.
    ///
    /// # Errors
    /// If the settings contradict each other, the likelihood can't be taken step by step, or the name is taken.
    pub fn new(scope: &mut Scope<'_>, spec: &RecurrentSpec, inputs: i64, columns: i64, likelihood: &dyn Likelihood) -> Result<Self> {
        spec.check(columns)?;
        let output = StepOutput::new(spec.steps, columns, likelihood)?;
        let input = StepInput::new(&mut scope.at("input"), spec.steps)?;
        let width = spec.steps.width();
        let first = scope.trained("first", &[width], Start::Zero)?;
        let net = Recurrent::new(&mut scope.at("recurrent"), spec.cell, width + inputs, spec.hidden, spec.layers)?;
        let initial = Linear::new(&mut scope.at("initial"), inputs, net.state_width())?;
        let head = Linear::new(&mut scope.at("head"), spec.hidden, output.width())?;
        Ok(RecurrentDecoder { input, output, first, initial, net, head })
    }

    /// h_0 (M, layers · H).
    fn initial(&self, told: &Tensor) -> Tensor {
        self.initial.forward(told).tanh()
    }
}

impl Decoder for RecurrentDecoder {
    fn outputs(&self, z: &Tensor, batch: &Batch) -> Tensor {
        let told = told(z, batch);
        let (m, length) = (z.size()[0], self.output.length);
        // every step sees the one before it
        let steps = self.input.of(&batch.x, batch.observed.as_ref()).narrow(1, 0, length - 1);
        let first = self.first.expand([m, 1, -1], false);
        let z = told.unsqueeze(1).expand([m, length, -1], false);
        let x = Tensor::cat(&[Tensor::cat(&[first, steps], 1), z], -1);
        let h = self.net.forward(&x, Some(&self.initial(&told)));
        self.output.arrange(&self.head.forward(&h))
    }

    fn reads_rows(&self, _batch: &Batch) -> bool {
        true
    }

    fn generate(&self, z: &Tensor, batch: &Batch, likelihood: &dyn Likelihood, noise: &mut Noise) -> Tensor {
        let told = told(z, batch);
        let mut memory = self.net.memory(&self.initial(&told));
        self.output.ancestral(batch, likelihood, noise, |before| {
            let x = match before {
                Some(x) => self.input.of(x, None).squeeze_dim(1),
                None => self.first.expand([z.size()[0], -1], false),
            };
            self.head.forward(&self.net.step(&Tensor::cat(&[&x, &told], 1), &mut memory))
        })
    }

    fn output_bias(&self) -> Option<Tensor> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::scoped;
    use crate::nets::proof::{differentiates, numbers};
    use crate::nets::recurrent::Cell;
    use crate::nets::sequence::Steps;
    use crate::nets::sequence::proof::{causal, draws_follow_the_density, generates_what_it_scores, tokens};

    fn spec(steps: Steps, cell: Cell) -> RecurrentSpec {
        RecurrentSpec { steps, cell, hidden: 4, layers: 2 }
    }

    #[test]
    fn tokens_are_seen_only_behind_them() {
        for cell in [Cell::Gru, Cell::Lstm] {
            let categorical = crate::likelihood::Categorical { columns: 5, codes: 3 };
            let steps = Steps::Tokens { codes: 3, embedding: 2 };
            let decoder = scoped(|scope| RecurrentDecoder::new(scope, &spec(steps, cell), 2, 5, &categorical).unwrap());
            causal(&decoder, &numbers(&[4, 2]), &tokens(4, 5, 3), 1, &categorical);
            generates_what_it_scores(&decoder, &numbers(&[4, 2]), &categorical);
            let batch = Batch::new(tokens(4, 5, 3));
            differentiates(&|z| decoder.outputs(z, &batch), &numbers(&[4, 2]), &[&decoder.first, decoder.head.weight()]);
        }
    }

    #[test]
    fn draws_of_short_sequences_follow_their_density() {
        let categorical = crate::likelihood::Categorical { columns: 2, codes: 3 };
        let steps = Steps::Tokens { codes: 3, embedding: 2 };
        let decoder = scoped(|scope| RecurrentDecoder::new(scope, &spec(steps, Cell::Gru), 2, 2, &categorical).unwrap());
        draws_follow_the_density(&decoder, &numbers(&[1, 2]), &categorical);
    }

    #[test]
    fn numbers_are_seen_only_behind_them() {
        use crate::likelihood::gaussian::{Gaussian, Variance};
        scoped(|scope| {
            for (name, variance) in [("columns", Variance::Columns), ("entries", Variance::Entries)] {
                let gaussian = Gaussian::new(&mut scope.at(name), 6, variance).unwrap();
                let spec = spec(Steps::Numbers { columns: 2 }, Cell::Gru);
                let decoder = RecurrentDecoder::new(&mut scope.at(&format!("{name}.d")), &spec, 2, 6, &gaussian).unwrap();
                causal(&decoder, &numbers(&[4, 2]), &numbers(&[4, 6]), 2, &gaussian);
                generates_what_it_scores(&decoder, &numbers(&[4, 2]), &gaussian);
            }
        });
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let refuse = |steps, columns, likelihood: &dyn Likelihood| {
            let spec = spec(steps, Cell::Gru);
            scoped(|scope| RecurrentDecoder::new(scope, &spec, 2, columns, likelihood).err().unwrap().to_string())
        };
        let categorical = crate::likelihood::Categorical { columns: 5, codes: 4 };
        let three = Steps::Tokens { codes: 3, embedding: 2 };
        assert!(refuse(three, 5, &categorical).contains("reads 3 codes, the likelihood has 4"));
        let bernoulli = crate::likelihood::Bernoulli { columns: 5 };
        assert!(refuse(Steps::Numbers { columns: 2 }, 5, &bernoulli).contains("no whole number of steps"));
        let multinomial = crate::likelihood::Multinomial { columns: 5 };
        assert!(refuse(Steps::Numbers { columns: 1 }, 5, &multinomial).contains("step by step"));
    }
}
