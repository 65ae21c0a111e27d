//! Random tensors from streams of our own.
//!
//! libtorch's generators are global state of the process: two trainings in two threads would disturb each other, and a resumed run could
//! not go on where it stopped. Draws are therefore made here, in f64, and rounded to the kind asked for: f32 noise is f64 noise rounded.

use lvm_core::random::{Purpose, Stream, stream};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use tch::{Device, Kind, Tensor};

/// A stream of random tensors of one kind on one device.
#[derive(Debug, Clone)]
pub struct Noise {
    rng: Stream,
    kind: Kind,
    device: Device,
}

impl Noise {
    /// The stream of `seed` for one purpose and index (a step, an epoch, a repetition).
    pub fn new(seed: u64, purpose: Purpose, index: u64, kind: Kind, device: Device) -> Self {
        Noise { rng: stream(seed, purpose, index), kind, device }
    }

    /// From any generator: its next 64 bits are the seed.
    pub fn from_rng(rng: &mut dyn Rng, kind: Kind, device: Device) -> Self {
        Noise::new(rng.next_u64(), Purpose::Sample, 0, kind, device)
    }

    /// ε ~ N(0, 1), of the given shape.
    pub fn normal(&mut self, shape: &[i64]) -> Tensor {
        let n = count(shape);
        let values: Vec<f64> = (0..n).map(|_| self.rng.sample(StandardNormal)).collect();
        self.tensor(&values, shape)
    }

    /// The next n of the same draws into `to`, in f64 whatever the kind.
    pub(crate) fn fill_normal(&mut self, n: usize, to: &mut Vec<f64>) {
        to.clear();
        to.extend((0..n).map(|_| self.rng.sample::<f64, _>(StandardNormal)));
    }

    /// u ~ U(0, 1), the ends left out, of the given shape.
    pub fn uniform(&mut self, shape: &[i64]) -> Tensor {
        let n = count(shape);
        let values: Vec<f64> = (0..n).map(|_| self.rng.sample(rand_distr::Open01)).collect();
        self.tensor(&values, shape)
    }

    /// The generator, for draws that are made one by one.
    pub fn rng(&mut self) -> &mut Stream {
        &mut self.rng
    }

    fn tensor(&self, values: &[f64], shape: &[i64]) -> Tensor {
        let flat = match self.kind {
            Kind::Float => Tensor::from_slice(&values.iter().map(|&v| v as f32).collect::<Vec<f32>>()),
            _ => Tensor::from_slice(values).to_kind(self.kind),
        };
        flat.view(shape).to_device(self.device)
    }
}

fn count(shape: &[i64]) -> i64 {
    shape.iter().product()
}
