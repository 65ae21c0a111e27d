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
    simplex: bool,
}

impl Noise {
    /// The stream of `seed` for one purpose and index (a step, an epoch, a repetition).
    pub fn new(seed: u64, purpose: Purpose, index: u64, kind: Kind, device: Device) -> Self {
        Noise { rng: stream(seed, purpose, index), kind, device, simplex: false }
    }

    /// From any generator: its next 64 bits are the seed.
    pub fn from_rng(rng: &mut dyn Rng, kind: Kind, device: Device) -> Self {
        Noise::new(rng.next_u64(), Purpose::Sample, 0, kind, device)
    }

    /// No noise, but L + 1 nodes with the mean and covariance of N(0, I) in L dimensions, where [`normal`](Self::normal) is asked for a shape
    /// (L + 1, …, L): the corners of a regular simplex, by which expectations of quadratic functions are exact. Other shapes are drawn.
    pub fn simplex(kind: Kind, device: Device) -> Self {
        Noise { simplex: true, ..Noise::new(0, Purpose::Noise, 0, kind, device) }
    }

    /// ε ~ N(0, 1), of the given shape.
    pub fn normal(&mut self, shape: &[i64]) -> Tensor {
        if let (true, &[nodes, .., latents]) = (self.simplex, shape)
            && nodes == latents + 1
        {
            let places = [vec![nodes], vec![1; shape.len() - 2], vec![latents]].concat();
            return self.tensor(&simplex(latents), &places).expand(shape, false);
        }
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

/// The corners (L + 1, L) of a regular simplex with Σ_i e_i = 0 and Σ_i e_i e_iᵀ = (L + 1) I: √(L + 1) times the columns of Helmert's matrix.
fn simplex(latents: i64) -> Vec<f64> {
    let scale = ((latents + 1) as f64).sqrt();
    let entry = |i: i64, j: i64| {
        let length = ((j * (j + 1)) as f64).sqrt();
        match i.cmp(&j) {
            std::cmp::Ordering::Less => scale / length,
            std::cmp::Ordering::Equal => -scale * j as f64 / length,
            std::cmp::Ordering::Greater => 0.0,
        }
    };
    (0..=latents).flat_map(|i| (1..=latents).map(move |j| entry(i, j))).collect()
}

fn count(shape: &[i64]) -> i64 {
    shape.iter().product()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::to_values;

    #[test]
    fn the_simplex_has_the_moments_of_a_standard_normal() {
        for latents in 1..=7_i64 {
            let nodes = Noise::simplex(Kind::Double, Device::Cpu).normal(&[latents + 1, 3, latents]);
            assert_eq!(nodes.size(), [latents + 1, 3, latents]);
            let of_a_row = nodes.select(1, 2);
            let mean = of_a_row.mean_dim([0].as_slice(), false, None);
            assert!(to_values(&mean).iter().all(|m| m.abs() < 1e-14), "L = {latents}");
            let covariance = of_a_row.transpose(0, 1).matmul(&of_a_row) / (latents + 1) as f64;
            let off = covariance - Tensor::eye(latents, (Kind::Double, Device::Cpu));
            assert!(to_values(&off).iter().all(|c| c.abs() < 1e-14), "L = {latents}");
        }
    }
}
