//! Steps that never wait for the device: what a step decides and adds up stays on the device until the epoch ends.
//!
//! A GPU works through a queue of operations; every number that is read back empties the queue and leaves the device idle until the host
//! has filled it again. So sums, norm, the decision whether a step is taken, and the count of steps are tensors here, read once an epoch, and
//! Adam runs over all parameters as one vector. Draws still come from the host's streams ([`crate::noise`]), one copy a draw, which the device need
//! not be waited for: a training has the same draws on every device.

use super::record::Sums;
use super::state::{SKIPPED_IN_A_ROW, State};
use crate::data::Batch;
use crate::error::{ErrorKind, Result};
use crate::objective::Evaluation;
use crate::optimizer::Adam;
use crate::tensor::to_values;
use tch::{Kind, Tensor};

/// An epoch under way.
pub(super) struct Deferred {
    /// θ, m, v of all trained parameters, one behind the other.
    theta: Tensor,
    first: Tensor,
    second: Tensor,
    /// t, as f64.
    steps: Tensor,
    /// Σ w bound, Σ w reconstruction, Σ w KL, Σ w of the steps that were taken.
    sums: Tensor,
    /// The longest gradient.
    longest: Tensor,
    /// Steps skipped, skipped in a row, and the most in a row.
    skipped: [Tensor; 3],
}

impl Deferred {
    pub(super) fn new(state: &State) -> Self {
        let device = state.vae.parameters.device();
        let number = |value: f64| Tensor::from(value).to_kind(Kind::Double).to_device(device);
        let values: Vec<Tensor> = state.vae.parameters.trained().map(|p| p.value.detach()).collect();
        Deferred {
            theta: flat(&values),
            first: flat(&state.moments.first),
            second: flat(&state.moments.second),
            steps: number(state.moments.steps as f64),
            sums: Tensor::zeros([4], (Kind::Double, device)),
            longest: number(0.0),
            skipped: [number(0.0), number(state.skipped_in_a_row as f64), number(0.0)],
        }
    }

    /// Takes a step along the gradients, shortened to `clip`, unless something is not finite.
    pub(super) fn step(
        &mut self,
        state: &State,
        evaluation: &Evaluation,
        batch: &Batch,
        gradients: &[Tensor],
        (adam, rate, clip): (&Adam, f64, Option<f64>),
    ) {
        let _no_grad = tch::no_grad_guard();
        let trained = state.vae.parameters.trained().zip(gradients);
        let gradients: Vec<Tensor> = trained.map(|(p, g)| if g.defined() { g.shallow_clone() } else { p.value.zeros_like() }).collect();
        let gradient = flat(&gradients);
        let norm = gradient.square().sum(Kind::Double).sqrt();
        let sums = weighted_sums(evaluation, batch);
        let taken = norm.isfinite().logical_and(&sums.select(0, 0).isfinite());
        let count = taken.to_kind(Kind::Double);

        self.steps += &count;
        self.sums += sums.where_self(&taken, &sums.zeros_like());
        self.longest = self.longest.maximum(&norm.where_self(&taken, &norm.zeros_like()));
        let missed: Tensor = 1.0 - &count;
        self.skipped[0] += &missed;
        self.skipped[1] = (&self.skipped[1] + 1.0) * &missed;
        self.skipped[2] = self.skipped[2].maximum(&self.skipped[1]);

        // Kingma & Ba 2015, algorithm 1, as in `optimizer::adam`
        let kind = gradient.kind();
        let scale = clip.map(|limit| (norm.reciprocal() * limit).clamp_max(1.0).to_kind(kind));
        let gradient = scale.map_or_else(|| gradient.shallow_clone(), |scale| &gradient * scale);
        // β^t by its logarithm, since t is on the device
        let correction = |beta: f64| if beta == 0.0 { self.steps.ones_like() } else { 1.0 - (&self.steps * beta.ln()).exp() };
        let (of_first, of_second) = (correction(adam.beta1), correction(adam.beta2).sqrt());
        let first = &self.first * adam.beta1 + &gradient * (1.0 - adam.beta1);
        let second = &self.second * adam.beta2 + gradient.square() * (1.0 - adam.beta2);
        let by = (of_first.reciprocal() * rate).to_kind(kind);
        let theta = &self.theta - &first * by / (second.sqrt() * of_second.reciprocal().to_kind(kind) + adam.epsilon);
        self.first = first.where_self(&taken, &self.first);
        self.second = second.where_self(&taken, &self.second);
        self.theta = theta.where_self(&taken, &self.theta);
        let values = state.vae.parameters.trained().map(|p| p.value.shallow_clone()).collect();
        put_back(&self.theta, values);
    }

    /// Reads what has come together into the state, and waits for the device to have done it.
    ///
    /// # Errors
    /// If a hundred steps in a row were skipped.
    pub(super) fn finish(self, state: &mut State) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let put = |flat: &Tensor, to: &[Tensor]| put_back(flat, to.iter().map(Tensor::shallow_clone).collect());
        put(&self.first, &state.moments.first);
        put(&self.second, &state.moments.second);
        let scalars = [&self.steps, &self.longest, &self.skipped[0], &self.skipped[1], &self.skipped[2]];
        let all = to_values(&Tensor::cat(&[&self.sums, &Tensor::stack(&scalars, 0)], 0));
        let sums = Sums { bound: all[0], reconstruction: all[1], kl: all[2], weight: all[3], longest_gradient: 0.0 };
        state.sums.add(&sums, all[5]);
        state.moments.steps = all[4] as u64;
        state.skipped += all[6] as u64;
        state.skipped_in_a_row = all[7] as u64;
        match all[8] as u64 >= SKIPPED_IN_A_ROW {
            true => Err(ErrorKind::Objective { iteration: state.attempts as usize, value: f64::NAN }.into()),
            false => Ok(()),
        }
    }
}

/// All numbers of some tensors in one vector.
fn flat(tensors: &[Tensor]) -> Tensor {
    Tensor::cat(&tensors.iter().map(|t| t.reshape([-1])).collect::<Vec<_>>(), 0)
}

/// The way back.
fn put_back(flat: &Tensor, tensors: Vec<Tensor>) {
    let mut start = 0;
    for mut tensor in tensors {
        let (size, length) = (tensor.size(), tensor.numel() as i64);
        tensor.copy_(&flat.narrow(0, start, length).view(size.as_slice()));
        start += length;
    }
}

/// Σ w bound, Σ w reconstruction, Σ w KL, Σ w, on the device.
fn weighted_sums(evaluation: &Evaluation, batch: &Batch) -> Tensor {
    let values = [&evaluation.bound, &evaluation.reconstruction, &evaluation.kl];
    let ones = evaluation.bound.ones_like();
    let all = Tensor::stack(&[values[0], values[1], values[2], &ones], 0).to_kind(Kind::Double);
    let all = match &batch.weights {
        Some(w) => all * w,
        None => all,
    };
    all.sum_dim_intlist([1].as_slice(), false, Kind::Double)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Architecture;
    use crate::data::Dataset;
    use crate::train::{Training, Way};
    use crate::vae::Vae;
    use tch::Device;

    fn wine(kind: Kind) -> Dataset {
        Dataset::new(&lvm_data::datasets::wine().unwrap().x, kind, Device::Cpu).unwrap()
    }

    fn run(training: &Training, vae: Vae, data: &Dataset, way: &mut Way) -> State {
        let mut state = training.init(vae, data, 6).unwrap();
        for _ in 0..3 {
            training.epoch(&mut state, data, None, way).unwrap();
        }
        state
    }

    #[test]
    fn is_the_training_that_waits_for_every_step() {
        let data = wine(Kind::Double);
        let vae = || Vae::new(Architecture::mlp(13, 2, &[8]), &data, 3).unwrap();
        for clip_norm in [None, Some(20.0)] {
            let training = Training { batch_size: 50, clip_norm, ..Training::default() };
            let at_once = run(&training, vae(), &data, &mut Way::Tensors);
            let deferred = run(&training, vae(), &data, &mut Way::Deferred);
            assert_eq!(at_once.moments.steps, deferred.moments.steps);
            for (a, b) in at_once.vae.parameters.snapshot().iter().zip(&deferred.vae.parameters.snapshot()) {
                // the same formula, bias corrections by another route: roundings, which Adam enlarges where a gradient is near 0
                assert!((a - b).abs().max().double_value(&[]) < 1e-10);
            }
            for (a, b) in at_once.epochs.iter().zip(&deferred.epochs) {
                assert!((a.train.bound - b.train.bound).abs() < 1e-10 && (a.longest_gradient - b.longest_gradient).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_skipped_and_counted() {
        let data = wine(Kind::Float);
        let mut vae = Vae::new(Architecture::mlp(13, 2, &[8]), &data, 3).unwrap();
        let spoiled = vae.parameters.get("decoder.0.weight").unwrap().detach() * f64::NAN;
        vae.parameters.set("decoder.0.weight", &spoiled).unwrap();
        let before = vae.parameters.get("encoder.0.weight").unwrap().detach().copy();
        let training = Training { batch_size: 89, ..Training::default() };
        let state = run(&training, vae, &data, &mut Way::Deferred);
        assert_eq!((state.skipped, state.skipped_in_a_row, state.moments.steps), (6, 6, 0));
        assert_eq!(before, state.vae.parameters.get("encoder.0.weight").unwrap().detach());
    }
}
