//! An algorithm that goes on from where an earlier fit ended.

use super::{Algorithm, Passes, Step};
use crate::error::Result;

/// `algorithm`, whose first iteration is judged by its change from the objective `at` which an earlier fit ended, if there was one.
pub(crate) struct Resumed<A> {
    pub(crate) algorithm: A,
    pub(crate) at: Option<f64>,
}

impl<D: ?Sized, A: Algorithm<D>> Algorithm<D> for Resumed<A> {
    type State = A::State;
    type Output = A::Output;

    fn init(&self, data: &D, seed: u64) -> Result<A::State> {
        self.algorithm.init(data, seed)
    }

    fn init_watched(&self, data: &D, seed: u64, passes: &mut Passes<'_>) -> Result<A::State> {
        self.algorithm.init_watched(data, seed, passes)
    }

    fn resumed_at(&self) -> Option<f64> {
        self.at
    }

    fn step(&self, state: &mut A::State, data: &D) -> Result<Step> {
        self.algorithm.step(state, data)
    }

    fn finish(&self, state: A::State) -> Result<A::Output> {
        self.algorithm.finish(state)
    }
}
