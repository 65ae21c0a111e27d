//! How much is evaluated at once.

use crate::data::Batch;
use crate::error::{Error, Result};
use crate::vae::{LogJoint, Vae};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// A bound of the memory that an evaluation takes besides the model and the rows themselves.
///
/// The bound is kept by an estimate of what the decoder holds for one latent of one row. One row with one draw is evaluated whatever the
/// bound; the estimate is generous for convolutions and recurrences, of which only the parameters are known here.
///
/// ```
/// use lvm_deep::{Kind, architecture::Architecture, evidence::EvaluationMemory, vae::Vae};
/// let vae = Vae::untrained(Architecture::mlp(10, 2, &[20]), None, Kind::Double, tch::Device::Cpu, 1)?;
/// let (small, large) = (EvaluationMemory { bytes: 1 << 20 }, EvaluationMemory { bytes: 1 << 30 });
/// assert!(small.points(&vae, false) >= 1 && small.points(&vae, false) < large.points(&vae, false));
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluationMemory {
    /// Bytes.
    pub bytes: u64,
}

impl Default for EvaluationMemory {
    /// 512 MiB.
    fn default() -> Self {
        EvaluationMemory { bytes: 512 << 20 }
    }
}

impl EvaluationMemory {
    /// How many latents may be decoded at once, at least 1; fewer where the graph for a gradient is kept.
    pub fn points(&self, vae: &Vae, gradient: bool) -> i64 {
        let bytes = match vae.parameters.kind() {
            Kind::Double => 8,
            Kind::Float => 4,
            _ => 2,
        };
        let numbers = numbers_per_point(vae) * if gradient { 3 } else { 1 };
        (self.bytes / (numbers * bytes)).clamp(1, 1 << 24) as i64
    }
}

/// Numbers alive while one latent is decoded: hidden layers, outputs, and a few tables of D and L.
fn numbers_per_point(vae: &Vae) -> u64 {
    let columns = vae.n_columns() as u64;
    let decoder = vae.parameters.entries().iter().filter(|p| p.name.starts_with("decoder"));
    let hidden: u64 = decoder
        .map(|p| match p.value.size().as_slice() {
            [width] => *width as u64,
            // a filter bank: at most as many places as columns, for each channel
            [outer, inner, _, ..] => (*outer).max(*inner) as u64 * columns,
            _ => 0,
        })
        .sum();
    // a decoder that reads x works entry after entry
    let steps = if reads_x(vae) { columns } else { 1 };
    hidden * steps + 6 * columns + 2 * vae.parts.likelihood.n_outputs() as u64 + 6 * vae.latents() as u64
}

/// Whether p(x | z) is built entry after entry, each from those before it.
pub(crate) fn reads_x(vae: &Vae) -> bool {
    vae.parts.decoder.reads_rows(&Batch::new(Tensor::zeros([1, vae.n_columns()], (vae.parameters.kind(), vae.parameters.device()))))
}

/// Evaluates a function of latents (k, n, ·) and rows (n) by pieces of at most `points` latents, and joins what it returns, each (k, n, …).
pub(crate) fn in_pieces<const M: usize>(
    z: &Tensor,
    batch: &Batch,
    points: i64,
    of: &mut dyn FnMut(&Tensor, &Batch) -> Result<[Tensor; M]>,
) -> Result<[Tensor; M]> {
    let (k, n) = (z.size()[0], z.size()[1]);
    if k * n <= points {
        return of(z, batch);
    }
    if n == 0 {
        return Err(Error::config("rows", "there are none"));
    }
    let rows = n.min(points.max(1));
    let draws = k.min((points / rows).max(1));
    let mut by_draws: [Vec<Tensor>; M] = std::array::from_fn(|_| Vec::new());
    for first in (0..k).step_by(draws as usize) {
        let some = z.narrow(0, first, draws.min(k - first));
        let mut by_rows: [Vec<Tensor>; M] = std::array::from_fn(|_| Vec::new());
        for row in (0..n).step_by(rows as usize) {
            let length = rows.min(n - row);
            let pieces = of(&some.narrow(1, row, length), &batch.narrow(row, length))?;
            by_rows.iter_mut().zip(pieces).for_each(|(list, piece)| list.push(piece));
        }
        by_draws.iter_mut().zip(&by_rows).for_each(|(list, pieces)| list.push(Tensor::cat(pieces, 1)));
    }
    Ok(by_draws.map(|pieces| Tensor::cat(&pieces, 0)))
}

/// log p(x, z) of latents (k, n, L), by pieces.
pub(crate) fn log_joint(vae: &Vae, z: &Tensor, batch: &Batch, points: i64) -> Result<LogJoint> {
    let [log_likelihood, log_prior] = in_pieces(z, batch, points, &mut |z, batch| {
        let joint = vae.log_joint(z, batch);
        Ok([joint.log_likelihood, joint.log_prior])
    })?;
    Ok(LogJoint { log_likelihood, log_prior })
}
