//! All rows at once, with the noise held fixed.

use crate::data::Dataset;
use crate::error::{Error, Result, guard};
use crate::evidence::ascent::{Ascent, Evaluated};
use crate::noise::Noise;
use crate::objective::{Elbo, Objective};
use crate::vae::Vae;
use lvm_core::fit::Status;
use lvm_core::random::Purpose;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The noise of every row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nodes {
    /// So many draws, made once from the seed. The optimum depends on them; many draws bring it near that of the bound itself.
    Draws(i64),
    /// The L + 1 corners of a regular simplex ([`Noise::simplex`]): the bound without noise where log p(x | z) is quadratic in z (a linear
    /// decoder with normal observations), an approximation elsewhere. For Gaussian q only.
    Simplex,
}

/// Ascends the bound of the whole table by limited-memory BFGS, with ε held fixed (sample average approximation):
///
/// ```text
/// max_{θ, φ}  (1/Σ w_n) Σ_n w_n [ (1/S) Σ_s log p_θ(x_n | z_ns) − KL(q_φ(z | x_n) ‖ p(z)) ],   z_ns = m_φ(x_n) + C_φ(x_n) ε_s
/// ```
///
/// What it needs: a model in f64, a table whose rows fit in memory, and starting parameters that a stochastic training has brought near. It
/// then ends where the gradient does, not in the noise of a last learning rate. Columns of x that hang together make the weights of the
/// encoder's first layer badly conditioned; their curvature is taken to be that of the second moments of its inputs (up to 2048 columns).
/// An evaluation costs a pass over the table, and its step
/// search wants a smooth function: rectified layers stop it early, which [`Ascended::status`] says. With few draws a flexible q learns the
/// draws by heart; judge by a held-out bound. Kim, Pasupathy & Henderson 2015; Burroni, Domke & Sheldon 2024.
///
/// ```
/// use lvm_core::{model::Evidence, ppca::PpcaMl};
/// use lvm_deep::architecture::{Architecture, LikelihoodSpec};
/// use lvm_deep::likelihood::gaussian::Variance;
/// use lvm_deep::train::{Nodes, SampleAverage};
/// use lvm_deep::{Kind, data::Dataset, vae::Vae};
/// let x = lvm_data::datasets::iris()?;
/// let data = Dataset::new(&x, Kind::Double, tch::Device::Cpu)?;
/// let linear = Architecture { likelihood: LikelihoodSpec::Gaussian(Variance::Shared), ..Architecture::linear(4, 1) };
/// let ascended = SampleAverage { nodes: Nodes::Simplex, ..Default::default() }.run(Vae::new(linear, &data, 1)?, &data, 1)?;
/// // a linear autoencoder ends at probabilistic PCA
/// let ppca = PpcaMl { components: 1, ..Default::default() }.fit(&x, 0)?.model;
/// assert!((ascended.bound - ppca.log_evidence(&x)?.mean().unwrap()).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SampleAverage {
    /// ε.
    pub nodes: Nodes,
    /// Steps, their memory, and the length of the gradient (nats a row, per unit of the parameters) at which to end.
    pub ascent: Ascent,
}

impl Default for SampleAverage {
    fn default() -> Self {
        SampleAverage { nodes: Nodes::Draws(32), ascent: Ascent { max_iterations: 1000, gradient_tolerance: 1e-6, history: 20 } }
    }
}

/// Where an ascent ended.
pub struct Ascended {
    /// The model.
    pub vae: Vae,
    /// The bound it reached, nats a row, under the noise that was held fixed.
    pub bound: f64,
    /// The length of the gradient there.
    pub gradient_norm: f64,
    /// Steps taken.
    pub iterations: usize,
    /// Whether the gradient became short enough.
    pub status: Status,
}

/// Numbers of a tensor (draws, rows, columns) that stay in the second-level cache while they are worked on.
const PIECE: i64 = 1 << 18;

impl SampleAverage {
    /// Ascends from the parameters of `vae`.
    ///
    /// # Errors
    /// If the model is not in f64, the data does not fit it, no draw is asked for, q is not Gaussian where a simplex is asked for, or the bound
    /// is not finite at the start.
    pub fn run(&self, vae: Vae, data: &Dataset, seed: u64) -> Result<Ascended> {
        vae.check(&data.rows)?;
        if vae.parameters.kind() != Kind::Double {
            return Err(Error::config(
                "kind",
                "is not f64: the rise of one step is lost in the rounding of f32; make data and model in f64",
            ));
        }
        let draws = match self.nodes {
            Nodes::Draws(draws) if draws < 1 => {
                return Err(Error::config("nodes", format!("is {draws} draws; at least 1 is needed")));
            }
            Nodes::Draws(draws) => draws,
            Nodes::Simplex if vae.posterior(&data.rows.narrow(0, 1)).gaussian().is_none() => {
                return Err(Error::config(
                    "nodes",
                    "simplex stands for the moments of a Gaussian q, which this posterior is not: use draws",
                ));
            }
            Nodes::Simplex => vae.latents() + 1,
        };
        let start = tch::no_grad(|| flat(vae.parameters.trained().map(|p| &p.value)));
        let maximum = guard("ascending the bound of all rows", || {
            let inputs = Inputs::new(&vae, data);
            let precondition = |gradient: &Tensor| inputs.as_ref().map_or_else(|| gradient.shallow_clone(), |i| i.precondition(gradient));
            self.ascent.maximise_by(&start, &precondition, &mut |point| {
                put(&vae, point);
                self.evaluate(&vae, data, draws, seed)
            })
        })?;
        put(&vae, &maximum.point);
        let status = if maximum.converged[0] { Status::Converged } else { Status::MaxIterations };
        let (bound, gradient_norm) = (maximum.value.double_value(&[0]), maximum.gradient_norm.double_value(&[0]));
        Ok(Ascended { vae, bound, gradient_norm, iterations: maximum.iterations, status })
    }

    /// The mean bound (1) with its gradient (1, P), over the rows piece by piece.
    fn evaluate(&self, vae: &Vae, data: &Dataset, draws: i64, seed: u64) -> Result<Evaluated> {
        let objective = Objective::Elbo(Elbo { draws, ..Elbo::default() });
        let trained: Vec<&Tensor> = vae.parameters.trained().map(|p| &p.value).collect();
        let (kind, device) = (vae.parameters.kind(), vae.parameters.device());
        let mut value = Tensor::zeros([1], (kind, device));
        let mut gradient = Tensor::zeros([1, vae.parameters.count() as i64], (kind, device));
        let n = data.rows.n_rows();
        let piece = (PIECE / (draws * vae.n_columns())).max(1);
        for start in (0..n).step_by(piece as usize) {
            let batch = data.rows.narrow(start, piece.min(n - start));
            let mut noise = match self.nodes {
                Nodes::Draws(_) => Noise::new(seed, Purpose::Noise, start as u64, kind, device),
                Nodes::Simplex => Noise::simplex(kind, device),
            };
            let surrogate = objective.evaluate(vae, &batch, 1.0, &mut noise)?.surrogate;
            let weighted = batch.weights.as_ref().map_or_else(|| surrogate.shallow_clone(), |w| &surrogate * w);
            let total = weighted.sum(None::<Kind>);
            let pieces = Tensor::run_backward(&[&total], &trained, false, false);
            let filled: Vec<Tensor> = pieces.into_iter().zip(&trained).map(|(g, p)| if g.defined() { g } else { p.zeros_like() }).collect();
            value += total.detach();
            gradient += flat(filled.iter());
        }
        Ok(Evaluated { value: value / data.total_weight, gradient: gradient / data.total_weight })
    }
}

/// Columns up to which the second moments of the encoder's inputs are made: their inverse costs I³.
const MOST_INPUTS: i64 = 2048;
/// What is added to the diagonal of the second moments, as a share of its mean: directions without variance have no curvature.
const RIDGE: f64 = 1e-6;

/// The second moments of what the encoder's first layer reads: the curvature of the bound in its weights is C ⊗ (that of its outputs).
struct Inputs {
    /// Where its weights (H, I) begin among all numbers.
    start: i64,
    shape: [i64; 2],
    /// (C + r I)⁻¹ with C = Σ w u uᵀ/Σ w, (I, I).
    inverse: Tensor,
}

impl Inputs {
    /// `None` where that layer is none over columns, or one over too many.
    fn new(vae: &Vae, data: &Dataset) -> Option<Self> {
        let _no_grad = tch::no_grad_guard();
        let n = data.rows.n_rows();
        let width = vae.parts.encoder.inputs(&data.rows.narrow(0, 1))?.size()[1];
        let before: Vec<_> = vae.parameters.trained().take_while(|p| p.name != "encoder.0.weight").collect();
        let layer = vae.parameters.trained().nth(before.len())?;
        let shape: [i64; 2] = layer.value.size().try_into().ok()?;
        if shape[1] != width || width > MOST_INPUTS {
            return None;
        }
        let mut moments = Tensor::zeros([width, width], (layer.value.kind(), layer.value.device()));
        let piece = (PIECE / width).max(1);
        for first in (0..n).step_by(piece as usize) {
            let batch = data.rows.narrow(first, piece.min(n - first));
            let inputs = vae.parts.encoder.inputs(&batch)?;
            let weighted = batch.weights.as_ref().map_or_else(|| inputs.shallow_clone(), |w| &inputs * w.unsqueeze(1));
            moments += weighted.tr().matmul(&inputs);
        }
        moments /= data.total_weight;
        let ridge = RIDGE * moments.diagonal(0, 0, 1).mean(None::<Kind>);
        // all inputs 0: no direction is better than another
        if !(ridge.double_value(&[]) > 0.0) {
            return None;
        }
        let inverse =
            (&moments + Tensor::eye(width, (moments.kind(), moments.device())) * ridge).linalg_cholesky(false).cholesky_inverse(false);
        Some(Inputs { start: before.iter().map(|p| p.value.numel() as i64).sum(), shape, inverse })
    }

    /// The weights' part of a gradient (1, P) times the inverse.
    fn precondition(&self, gradient: &Tensor) -> Tensor {
        let count = self.shape[0] * self.shape[1];
        let part = gradient.narrow(1, self.start, count).reshape(self.shape).matmul(&self.inverse);
        let behind = gradient.size()[1] - self.start - count;
        Tensor::cat(&[gradient.narrow(1, 0, self.start), part.reshape([1, -1]), gradient.narrow(1, self.start + count, behind)], 1)
    }
}

/// Tensors one behind the other (1, P).
fn flat<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Tensor {
    Tensor::cat(&tensors.map(|t| t.detach().reshape([1, -1])).collect::<Vec<_>>(), 1)
}

/// Overwrites the trained parameters by numbers (1, P).
fn put(vae: &Vae, point: &Tensor) {
    let mut start = 0;
    for parameter in vae.parameters.trained() {
        let count = parameter.value.numel() as i64;
        let numbers = point.narrow(1, start, count).reshape(parameter.value.size());
        tch::no_grad(|| parameter.value.shallow_clone().copy_(&numbers));
        start += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Architecture;
    use crate::tensor::{to_matrix, to_values};
    use ndarray::{Array2, array};

    fn model(x: &Array2<f64>, hidden: &[i64]) -> (Vae, Dataset) {
        let data = Dataset::new(x, Kind::Double, tch::Device::Cpu).unwrap();
        (Vae::new(Architecture::mlp(x.ncols() as i64, 1, hidden), &data, 3).unwrap(), data)
    }

    #[test]
    fn the_weights_of_the_first_layer_alone_are_measured_by_the_moments_of_its_inputs() {
        let x = array![[1.0, 2.0, 0.5], [-1.0, 0.0, 0.25], [3.0, 1.0, -2.0], [0.5, 0.5, 0.5]];
        let (vae, data) = model(&x, &[2]);
        let inputs = Inputs::new(&vae, &data).unwrap();
        let count = vae.parameters.count() as i64;
        let gradient = Tensor::arange(count, (Kind::Double, tch::Device::Cpu)).cos().unsqueeze(0);
        let found = inputs.precondition(&gradient);
        // what P⁻¹ makes of it is the gradient again
        let moments = x.t().dot(&x) / 4.0;
        let metric = &moments + Array2::<f64>::eye(3) * (RIDGE * moments.diag().sum() / 3.0);
        let part = |t: &Tensor| to_matrix(&t.narrow(1, inputs.start, 6).view([2, 3])).unwrap();
        let back = part(&found).dot(&metric);
        assert!((back - part(&gradient)).iter().all(|e| e.abs() < 1e-13));
        let rest = |t: &Tensor| {
            let behind = inputs.start + 6;
            [to_values(&t.narrow(1, 0, inputs.start)), to_values(&t.narrow(1, behind, count - behind))].concat()
        };
        assert_eq!(rest(&found), rest(&gradient));
    }

    #[test]
    fn columns_of_nought_are_left_as_they_are() {
        let (vae, data) = model(&Array2::zeros((4, 3)), &[2]);
        assert!(Inputs::new(&vae, &data).is_none());
    }
}
