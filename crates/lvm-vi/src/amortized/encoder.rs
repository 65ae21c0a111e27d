//! Encoders: networks whose output is a Gaussian.

use super::network::{Activation, Network, Pass};
use crate::local::{LocalGaussian, Packed, Shape};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::RowSource;
use lvm_core::sweep::{Merge, Plan, check_shape, map_rows, sweep};
use lvm_core::{Error, Result};
use ndarray::{Array1, Array2, ArrayView1};

/// The shape of an encoder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EncoderConfig {
    /// Widths of the hidden layers: none (an affine encoder), one or two.
    pub hidden: Vec<usize>,
    /// What follows a hidden layer.
    pub activation: Activation,
    /// Diagonal or full covariance.
    pub shape: Shape,
}

/// q(z | x) = N(m(x), L(x) L(x)ᵀ) with m and L computed by a network from the standardised row.
///
/// # Symbols
/// | output | meaning | number |
/// |---|---|---|
/// | m | means | q |
/// | ρ | log L_ii, held within ±15 | q |
/// | L_ik, i > k | row by row; full covariance only | q (q − 1)/2 |
///
/// A row goes in as (x − centre)/scale with the means and standard deviations of the table it was made for; a missing entry goes in as 0,
/// the mean. Before training the output is the prior N(0, I) for every x.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoder {
    shape: Shape,
    latents: usize,
    centre: Array1<f64>,
    scale: Array1<f64>,
    network: Network,
}

impl Encoder {
    /// An untrained encoder for tables like `x`.
    ///
    /// # Errors
    /// If the data is unusable, there are more than two hidden layers, or one of width 0.
    pub fn new(config: &EncoderConfig, latents: usize, x: &dyn RowSource, seed: u64) -> Result<Self> {
        if config.hidden.len() > 2 {
            return Err(Error::config("hidden", format!("{} hidden layers; none, one or two are supported", config.hidden.len())));
        }
        if config.hidden.contains(&0) {
            return Err(Error::config("hidden", "a layer of width 0; at least 1 is needed"));
        }
        let (centre, scale) = standardisation(x)?;
        let widths = [x.n_cols()].into_iter().chain(config.hidden.iter().copied()).chain([outputs(config.shape, latents)]).collect();
        let network = Network::new(widths, config.activation, &mut stream(seed, Purpose::Start, 0));
        Ok(Encoder { shape: config.shape, latents, centre, scale, network })
    }

    /// Diagonal or full.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// q.
    pub fn latents(&self) -> usize {
        self.latents
    }

    /// D.
    pub fn dim(&self) -> usize {
        self.centre.len()
    }

    /// The network behind.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// φ: the weights and biases of the network.
    pub fn parameters(&self) -> &[f64] {
        self.network.parameters()
    }

    /// Puts other weights and biases in place.
    ///
    /// # Errors
    /// If their number is another one.
    pub fn set_parameters(&mut self, parameters: &[f64]) -> Result<()> {
        self.network.set_parameters(parameters)
    }

    /// q(z_n | x_n) of each row.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit, or an output is not finite.
    pub fn encode(&self, x: &dyn RowSource) -> Result<LocalGaussian> {
        check_shape(x, Some(self.dim()))?;
        let packed = Packed { latents: self.latents };
        let table = map_rows(
            x,
            packed.width(),
            || (),
            |(), block, mut out| {
                let pass = self.forward(block.x().to_owned());
                for (mut row, output) in out.rows_mut().into_iter().zip(pass.output().rows()) {
                    let (mean, lower) = self.gaussian(output);
                    row.iter_mut().zip(mean.into_iter().chain(lower)).for_each(|(o, v)| *o = v);
                }
                Ok(())
            },
        )?;
        packed.unpack(table.view(), self.shape)
    }

    /// The network at raw rows (B, D), standardised on the way.
    pub(super) fn forward(&self, mut x: Array2<f64>) -> Pass {
        self.standardise(&mut x);
        self.network.forward(x)
    }

    /// (x − centre)/scale, and 0 where x is missing.
    pub(super) fn standardise(&self, x: &mut Array2<f64>) {
        for mut row in x.rows_mut() {
            for ((x, c), s) in row.iter_mut().zip(&self.centre).zip(&self.scale) {
                *x = if x.is_nan() { 0.0 } else { (*x - c) / s };
            }
        }
    }

    /// m and L of an output row.
    pub(super) fn gaussian(&self, output: ArrayView1<'_, f64>) -> (Vec<f64>, Array2<f64>) {
        let q = self.latents;
        let mean = output.iter().take(q).copied().collect();
        let lower = Array2::from_shape_fn((q, q), |(i, k)| match self.shape {
            // the gradient goes through the bound, so that an output beyond it comes back
            _ if i == k => output[q + i].clamp(-LARGEST, LARGEST).exp(),
            Shape::Full if i > k => output[2 * q + i * (i - 1) / 2 + k],
            _ => 0.0,
        });
        (mean, lower)
    }
}

/// Bound of log L_ii: standard deviations from 3e-7 to 3e6.
const LARGEST: f64 = 15.0;

/// Outputs of an encoder.
pub(super) fn outputs(shape: Shape, q: usize) -> usize {
    match shape {
        Shape::Diagonal => 2 * q,
        Shape::Full => 2 * q + q * q.saturating_sub(1) / 2,
    }
}

/// Running mean and sum of squared deviations of each column (Chan, Golub & LeVeque 1983).
struct Columns {
    weight: Array1<f64>,
    mean: Array1<f64>,
    squares: Array1<f64>,
}

impl Columns {
    fn add(&mut self, j: usize, weight: f64, mean: f64, squares: f64) {
        let total = self.weight[j] + weight;
        if weight > 0.0 {
            let delta = mean - self.mean[j];
            self.squares[j] += squares + delta * delta * self.weight[j] * weight / total;
            self.mean[j] += delta * weight / total;
            self.weight[j] = total;
        }
    }
}

impl Merge for Columns {
    fn merge(&mut self, other: Self) {
        (0..self.mean.len()).for_each(|j| self.add(j, other.weight[j], other.mean[j], other.squares[j]));
    }
}

/// Means and standard deviations of the observed entries; 1 for a column that does not vary.
fn standardisation(x: &dyn RowSource) -> Result<(Array1<f64>, Array1<f64>)> {
    let d = x.n_cols();
    let columns = sweep(
        x,
        Plan::new(d, 24 * d),
        || Columns { weight: Array1::zeros(d), mean: Array1::zeros(d), squares: Array1::zeros(d) },
        |columns, block| {
            for j in 0..d {
                for (i, v) in block.column(j).iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                    columns.add(j, block.weights().map_or(1.0, |w| w[i]), *v, 0.0);
                }
            }
            Ok(())
        },
    )?;
    let sd = |j: usize| {
        let sd = (columns.squares[j] / columns.weight[j]).sqrt();
        if sd > 1e-12 * (1.0 + columns.mean[j].abs()) { sd } else { 1.0 }
    };
    Ok((columns.mean.clone(), (0..d).map(sd).collect()))
}
