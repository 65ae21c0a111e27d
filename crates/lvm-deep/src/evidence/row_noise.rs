//! Noise that depends on the row and the draw, not on how the work is cut.

use crate::error::Result;
use crate::noise::Noise;
use crate::posterior::{Draws, Posterior};
use crate::vae::Vae;
use lvm_core::random::Purpose;
use tch::{Device, Kind, Tensor};

/// Rows that share a stream. Small enough that a group of rows fits into memory, large enough that a stream is not opened for every row.
pub(crate) const ROWS: i64 = 32;
/// Draws that are made at once from one stream.
pub(crate) const DRAWS: i64 = 32;

/// A stream for each block of [`ROWS`] rows.
pub(crate) struct RowNoise {
    blocks: Vec<(Noise, i64)>,
}

impl RowNoise {
    /// Streams of `n` rows from row `first`, a multiple of [`ROWS`], for draws of number `index` (below 2²⁰).
    pub(crate) fn new(seed: u64, first: i64, n: i64, index: i64, kind: Kind, device: Device) -> Self {
        let block = |start: i64| {
            let stream = (((first + start) / ROWS) as u64) << 20 | index as u64;
            (Noise::new(seed, Purpose::Diagnosis, stream, kind, device), ROWS.min(n - start))
        };
        RowNoise { blocks: (0..n).step_by(ROWS as usize).map(block).collect() }
    }

    /// ε ~ N(0, 1), (k, n, width).
    pub(crate) fn normal(&mut self, k: i64, width: i64) -> Tensor {
        self.join(|noise, rows| noise.normal(&[k, rows, width]))
    }

    /// u ~ U(0, 1), (k, n).
    pub(crate) fn uniform(&mut self, k: i64) -> Tensor {
        self.join(|noise, rows| noise.uniform(&[k, rows]))
    }

    /// z ~ p(z), (k, n, L).
    pub(crate) fn prior(&mut self, vae: &Vae, k: i64) -> Tensor {
        self.join(|noise, rows| vae.parts.prior.sample(k * rows, noise).view([k, rows, -1]))
    }

    /// z ~ q(z | x) of rows with these features (n, F), with log q.
    pub(crate) fn posterior(&mut self, vae: &Vae, features: &Tensor, k: i64) -> Draws {
        let mut start = 0;
        let mut parts: Vec<Draws> = Vec::with_capacity(self.blocks.len());
        for (noise, rows) in &mut self.blocks {
            parts.push(posterior_of(vae, features, start, *rows).draw(k, noise));
            start += *rows;
        }
        let join = |of: fn(&Draws) -> &Tensor| Tensor::cat(&parts.iter().map(of).collect::<Vec<_>>(), 1);
        Draws { z: join(|d| &d.z), log_q: join(|d| &d.log_q) }
    }

    /// What `of(noise, first row, rows)` returns for each block, (k, rows, …), joined.
    pub(crate) fn by_block(&mut self, mut of: impl FnMut(&mut Noise, i64, i64) -> Result<Tensor>) -> Result<Tensor> {
        let mut start = 0;
        let mut parts = Vec::with_capacity(self.blocks.len());
        for (noise, rows) in &mut self.blocks {
            parts.push(of(noise, start, *rows)?);
            start += *rows;
        }
        Ok(Tensor::cat(&parts, 1))
    }

    fn join(&mut self, mut of: impl FnMut(&mut Noise, i64) -> Tensor) -> Tensor {
        let parts: Vec<Tensor> = self.blocks.iter_mut().map(|(noise, rows)| of(noise, *rows)).collect();
        Tensor::cat(&parts, 1)
    }
}

fn posterior_of(vae: &Vae, features: &Tensor, start: i64, rows: i64) -> Box<dyn Posterior> {
    vae.parts.family.at(&features.narrow(0, start, rows))
}
