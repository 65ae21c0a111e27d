//! Everything that changes while training.

use super::Trained;
use super::record::{Epoch, Sums};
use crate::error::{ErrorKind, Result};
use crate::objective::Objective;
use crate::optimizer::Moments;
use crate::vae::Vae;
use lvm_core::fit::Status;
use tch::Tensor;

/// Steps in a row that may be skipped before training gives up.
pub(super) const SKIPPED_IN_A_ROW: u64 = 100;

/// A training between two epochs.
pub struct State {
    /// The model as it stands.
    pub vae: Vae,
    /// Of Adam.
    pub moments: Moments,
    /// The epochs done.
    pub epochs: Vec<Epoch>,
    /// Steps tried; each has a stream of noise of its own.
    pub attempts: u64,
    /// Steps skipped because loss or gradient was not finite.
    pub skipped: u64,
    /// What random streams derive from.
    pub seed: u64,
    /// The epoch (from 0) of the best held-out bound, by [`Objective::compared`], with its parameters.
    pub best: Option<(usize, Vec<Tensor>)>,
    pub(crate) skipped_in_a_row: u64,
    pub(crate) sums: Sums,
}

impl State {
    pub(crate) fn new(vae: Vae, seed: u64) -> Self {
        let moments = Moments::new(&vae.parameters);
        let sums = Sums::default();
        State { vae, moments, epochs: Vec::new(), attempts: 0, skipped: 0, seed, best: None, skipped_in_a_row: 0, sums }
    }

    /// Epochs since the best held-out bound.
    pub fn epochs_since_best(&self) -> usize {
        self.best.as_ref().map_or(0, |(epoch, _)| self.epochs.len() - 1 - epoch)
    }

    /// Whether a step with these sums and this norm of the gradient is taken; it is counted either way.
    ///
    /// # Errors
    /// If a hundred steps in a row had to be skipped.
    pub(crate) fn accept(&mut self, sums: &Sums, norm: f64) -> Result<bool> {
        if norm.is_finite() && sums.bound.is_finite() {
            self.skipped_in_a_row = 0;
            self.sums.add(sums, norm);
            return Ok(true);
        }
        self.skipped += 1;
        self.skipped_in_a_row += 1;
        if self.skipped_in_a_row >= SKIPPED_IN_A_ROW {
            return Err(ErrorKind::Objective { iteration: self.attempts as usize, value: sums.bound }.into());
        }
        Ok(false)
    }

    pub(crate) fn close_epoch(&mut self, objective: &Objective, learning_rate: f64, kl_weight: f64, held_out: Option<Sums>) {
        let sums = std::mem::take(&mut self.sums);
        let held_out = held_out.map(|s| s.means());
        if let Some(now) = held_out.map(|m| objective.compared(&m)) {
            let best = self.best.as_ref().and_then(|(epoch, _)| self.epochs[*epoch].held_out);
            if now > best.map_or(f64::NEG_INFINITY, |m| objective.compared(&m)) {
                self.best = Some((self.epochs.len(), self.vae.parameters.snapshot()));
            }
        }
        self.epochs.push(Epoch {
            train: sums.means(),
            held_out,
            learning_rate,
            kl_weight,
            longest_gradient: sums.longest_gradient,
            skipped: self.skipped,
        });
    }

    /// The result: at the best held-out bound where there was one to judge by, else as it stands.
    pub fn finish(mut self, status: Status) -> Trained {
        if let Some((_, parameters)) = &self.best {
            self.vae.parameters.restore(parameters);
        }
        Trained { vae: self.vae, epochs: self.epochs, status, skipped: self.skipped }
    }
}
