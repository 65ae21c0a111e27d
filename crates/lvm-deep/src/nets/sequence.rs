//! Rows that are sequences.

use crate::data::Batch;
use crate::error::{Error, Result};
use crate::likelihood::{Layout, Likelihood};
use crate::noise::Noise;
use crate::parameters::{Scope, Start};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// What a row holds at every step, step after step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steps {
    /// One code of a token.
    Tokens {
        /// How many codes there are, K.
        codes: i64,
        /// How many numbers stand for a token inside the net, E.
        embedding: i64,
    },
    /// Numbers.
    Numbers {
        /// How many, F.
        columns: i64,
    },
}

impl Steps {
    /// # Errors
    /// If a row has no whole number of steps.
    pub fn check(self, columns: i64) -> Result<()> {
        match self {
            Steps::Tokens { codes, embedding } if codes < 2 || embedding < 1 => {
                Err(Error::config("steps", format!("{codes} codes of {embedding} numbers; at least 2 codes and 1 number are needed")))
            }
            Steps::Numbers { columns: step } if step < 1 || columns % step != 0 => {
                Err(Error::config("steps", format!("{columns} columns are no whole number of steps of {step}")))
            }
            _ => Ok(()),
        }
    }

    /// Columns a step, F.
    pub fn columns(self) -> i64 {
        match self {
            Steps::Tokens { .. } => 1,
            Steps::Numbers { columns } => columns,
        }
    }

    /// Numbers a step as the net sees them, E.
    pub fn width(self) -> i64 {
        match self {
            Steps::Tokens { embedding, .. } => embedding,
            Steps::Numbers { columns } => columns,
        }
    }
}

/// From columns to what a net sees of every step.
#[derive(Debug)]
pub(super) struct StepInput {
    pub(super) steps: Steps,
    /// (K, E), for tokens.
    embedding: Option<Tensor>,
}

impl StepInput {
    /// Embeddings start as N(0, 1).
    pub(super) fn new(scope: &mut Scope<'_>, steps: Steps) -> Result<Self> {
        let embedding = match steps {
            Steps::Tokens { codes, embedding } => Some(scope.trained("embedding", &[codes, embedding], Start::Normal(1.0))?),
            Steps::Numbers { .. } => None,
        };
        Ok(StepInput { steps, embedding })
    }

    /// (M, T F) → (M, T, E); a missing token is the zero vector, a missing number 0.
    pub(super) fn of(&self, x: &Tensor, observed: Option<&Tensor>) -> Tensor {
        match &self.embedding {
            None => x.reshape([x.size()[0], -1, self.steps.columns()]),
            Some(embedding) => {
                let tokens = Tensor::embedding(embedding, &x.to_kind(Kind::Int64), -1, false, false);
                match observed {
                    Some(observed) => tokens * observed.unsqueeze(-1),
                    None => tokens,
                }
            }
        }
    }

    pub(super) fn shared(&self) -> Self {
        StepInput { steps: self.steps, embedding: self.embedding.as_ref().map(Tensor::shallow_clone) }
    }
}

/// From what a net says of every step to the outputs of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepOutput {
    /// T.
    pub(super) length: i64,
    /// F.
    pub(super) columns: i64,
    layout: Layout,
}

impl StepOutput {
    /// # Errors
    /// If the likelihood can't be taken step by step.
    pub(super) fn new(steps: Steps, columns: i64, likelihood: &dyn Likelihood) -> Result<Self> {
        steps.check(columns)?;
        let step = steps.columns();
        let (Some(layout), Some(_)) = (likelihood.layout(), likelihood.narrow(0, step)) else {
            let message = "can't be generated step by step, as this decoder does: choose one whose columns have densities of their own";
            return Err(Error::config("likelihood", message));
        };
        if let Steps::Tokens { codes, .. } = steps
            && layout.depth != codes
        {
            let message = format!("the decoder reads {codes} codes, the likelihood has {}: give both the same number", layout.depth);
            return Err(Error::config("steps", message));
        }
        Ok(StepOutput { length: columns / step, columns: step, layout })
    }

    /// Numbers a step.
    pub(super) fn width(&self) -> i64 {
        self.layout.planes * self.columns * self.layout.depth
    }

    /// (M, T, width) → (M, P): plane by plane, and within a plane step by step.
    pub(super) fn arrange(&self, outputs: &Tensor) -> Tensor {
        let m = outputs.size()[0];
        let split = outputs.reshape([m, self.length, self.layout.planes, self.columns * self.layout.depth]);
        split.transpose(1, 2).reshape([m, -1])
    }

    /// x_t ~ p(x_t | x_<t, z) step after step; `next` gives the outputs (M, width) of the step behind the one it is given, from the start.
    ///
    /// # Panics
    /// If the likelihood is another than the one this was made for, of which it is known that it has steps.
    pub(super) fn ancestral(
        &self,
        batch: &Batch,
        likelihood: &dyn Likelihood,
        noise: &mut Noise,
        mut next: impl FnMut(Option<&Tensor>) -> Tensor,
    ) -> Tensor {
        let mut x: Vec<Tensor> = Vec::with_capacity(self.length as usize);
        for t in 0..self.length {
            let outputs = next(x.last());
            // invariant: `new` has refused likelihoods that have no steps
            let step = likelihood.narrow(t * self.columns, self.columns).expect("a likelihood that can be taken step by step");
            x.push(step.sample(&outputs, batch, noise));
        }
        Tensor::cat(&x, 1)
    }
}

/// z, with the condition behind it.
pub(super) fn told(z: &Tensor, batch: &Batch) -> Tensor {
    match &batch.condition {
        Some(condition) => Tensor::cat(&[z, condition], -1),
        None => z.shallow_clone(),
    }
}

#[cfg(test)]
pub(super) mod proof {
    use super::*;
    use crate::likelihood::proof::{agrees, noise};
    use crate::nets::proof::numbers;
    use crate::nets::{Decoder, Encoder};
    use crate::tensor::to_values;
    use std::sync::{Arc, Mutex};
    use tch::Device;

    /// Codes (n, length) in f64.
    pub(crate) fn tokens(n: i64, length: i64, codes: i64) -> Tensor {
        ((numbers(&[n, length]) + 1.0) * (codes as f64 / 2.001)).floor()
    }

    fn entries(decoder: &dyn Decoder, z: &Tensor, x: &Tensor, likelihood: &dyn Likelihood) -> Tensor {
        let batch = Batch::new(x.shallow_clone());
        likelihood.log_prob_entries(&decoder.outputs(z, &batch), &batch)
    }

    /// Whether a change of step t leaves the outputs of steps up to t as they are, bit for bit but for sums in another order, and changes one
    /// behind it. Seen through log p(y_s | …) of fixed y under the outputs that x gives.
    pub(crate) fn causal(decoder: &dyn Decoder, z: &Tensor, x: &Tensor, columns: i64, likelihood: &dyn Likelihood) {
        let batch = Batch::new(x.shallow_clone());
        assert!(decoder.reads_rows(&batch));
        let at = |seen: &Tensor| likelihood.log_prob_entries(&decoder.outputs(z, &Batch::new(seen.shallow_clone())), &batch);
        assert_eq!(decoder.outputs(z, &batch).size(), [x.size()[0], likelihood.n_outputs()]);
        let before = at(x);
        let steps = x.size()[1] / columns;
        for t in 0..steps {
            let moved = x.copy();
            // 0 ↔ 1, 2 → 0 for codes; another number for numbers
            let step = moved.narrow(1, t * columns, columns);
            let other = step.eq(0.0).to_kind(Kind::Double);
            tch::no_grad(|| step.shallow_clone().copy_(&other));
            let after = at(&moved);
            let upto = (t + 1) * columns;
            agrees(&after.narrow(1, 0, upto), &to_values(&before.narrow(1, 0, upto)), 1e-13);
            if t + 1 < steps {
                let change = (&after - &before).narrow(1, upto, columns).abs().max().double_value(&[]);
                assert!(change > 1e-6, "step {} does not see step {t}", t + 1);
            }
        }
    }

    /// A likelihood that adds up what it says of its own draws.
    struct Recording {
        of: Box<dyn Likelihood>,
        sum: Arc<Mutex<f64>>,
    }

    impl Likelihood for Recording {
        fn n_outputs(&self) -> i64 {
            self.of.n_outputs()
        }

        fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
            self.of.log_prob_entries(outputs, batch)
        }

        fn mean(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
            self.of.mean(outputs, batch)
        }

        fn sample(&self, outputs: &Tensor, batch: &Batch, noise: &mut Noise) -> Tensor {
            let x = self.of.sample(outputs, batch, noise);
            let log_p = self.of.log_prob_entries(outputs, &Batch::new(x.shallow_clone()));
            *self.sum.lock().unwrap() += log_p.sum(Kind::Double).double_value(&[]);
            x
        }

        fn check(&self, batch: &Batch) -> Result<()> {
            self.of.check(batch)
        }

        fn start(&self, mean: &Tensor) -> Option<Tensor> {
            self.of.start(mean)
        }

        fn narrow(&self, start: i64, length: i64) -> Option<Box<dyn Likelihood>> {
            let of = self.of.narrow(start, length)?;
            Some(Box::new(Recording { of, sum: Arc::clone(&self.sum) }))
        }
    }

    /// Whether log p of what was generated, scored as a whole, is the sum of what every step said of its own draw.
    pub(crate) fn generates_what_it_scores(decoder: &dyn Decoder, z: &Tensor, likelihood: &dyn Likelihood) {
        let layout = likelihood.layout().unwrap();
        let columns = likelihood.n_outputs() / (layout.planes * layout.depth);
        let sum = Arc::new(Mutex::new(0.0));
        let recording = Recording { of: likelihood.narrow(0, columns).unwrap(), sum: Arc::clone(&sum) };
        let nothing = Batch::new(Tensor::zeros([z.size()[0], columns], (Kind::Double, Device::Cpu)));
        let x = decoder.generate(z, &nothing, &recording, &mut noise(31));
        assert_eq!(x.size(), [z.size()[0], columns]);
        let whole = entries(decoder, z, &x, likelihood).sum(Kind::Double).double_value(&[]);
        let steps = *sum.lock().unwrap();
        // a few dozen terms, each rounded to 1e-15
        assert!((whole - steps).abs() < 1e-12 * (1.0 + whole.abs()), "{whole} as a whole, {steps} step by step");
    }

    /// Whether the frequencies of all pairs of codes among draws of two steps are those of p(x_1, x_2 | z), which sums to 1: within six
    /// standard deviations for nine pairs, so that a failure has probability 2e-8.
    pub(crate) fn draws_follow_the_density(decoder: &dyn Decoder, z: &Tensor, likelihood: &dyn Likelihood) {
        let n = 4000;
        let z = |n: i64| z.expand([n, -1], false).contiguous();
        let pairs: Vec<f64> = (0..9).flat_map(|i| [f64::from(i / 3), f64::from(i % 3)]).collect();
        let pairs = Tensor::from_slice(&pairs).view([9, 2]);
        let p = to_values(&entries(decoder, &z(9), &pairs, likelihood).sum_dim_intlist([1].as_slice(), false, None).exp());
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-13);
        let nothing = Batch::new(Tensor::zeros([n, 2], (Kind::Double, Device::Cpu)));
        let x = to_values(&decoder.generate(&z(n), &nothing, likelihood, &mut noise(21)));
        for (i, p) in p.into_iter().enumerate() {
            let count = x.chunks(2).filter(|pair| pair[0] * 3.0 + pair[1] == i as f64).count() as f64;
            let expected = n as f64 * p;
            assert!((count - expected).abs() < 6.0 * (expected * (1.0 - p)).sqrt(), "pair {i}: {count}, {expected} expected");
        }
    }

    /// Whether features of rows of five tokens of which three are there are those of other codes behind them, and not those of other codes
    /// among them.
    pub(crate) fn padding_does_not_count(encoder: &dyn Encoder, x: &Tensor) {
        let features = |x: &Tensor| {
            let mut batch = Batch::new(x.shallow_clone());
            batch.observed = Some(Tensor::from_slice(&[1.0, 1.0, 1.0, 0.0, 0.0]).expand(x.size(), false).contiguous());
            encoder.features(&batch)
        };
        let before = features(x);
        let moved = |step: i64| {
            let moved = x.copy();
            let entry = moved.select(1, step);
            tch::no_grad(|| entry.shallow_clone().copy_(&entry.eq(0.0).to_kind(Kind::Double)));
            (features(&moved) - &before).abs().max().double_value(&[])
        };
        assert_eq!((moved(3), moved(4)), (0.0, 0.0));
        for step in 0..3 {
            assert!(moved(step) > 1e-9, "step {step} is not seen");
        }
    }
}
