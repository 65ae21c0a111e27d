//! What an encoder costs, row by row.

use super::encoder::Encoder;
use crate::local::{LocalGaussian, LocalModel, PerDatum, elbo_rows, weighted_sum};
use lvm_core::fit::{Status, Stopping};
use lvm_core::model::{Infer, LatentModel};
use lvm_core::rows::{RowSource, total_weight};
use lvm_core::{ErrorKind, Result};
use ndarray::{Array1, Array2};
use rand::Rng;

/// A model with an encoder that stands for its posterior.
#[derive(Debug, Clone, PartialEq)]
pub struct Amortized<M> {
    /// p(x, z).
    pub model: M,
    /// q(z | x).
    pub encoder: Encoder,
}

/// The amortization gap of each row, with both ends of it.
#[derive(Debug, Clone, PartialEq)]
pub struct AmortizationGap {
    /// max_ψ ELBO_n(ψ) − ELBO_n(f_φ(x_n)) in nats (N); never negative.
    pub rows: Array1<f64>,
    /// ELBO_n(f_φ(x_n)) in nats (N).
    pub amortized: Array1<f64>,
    /// max_ψ ELBO_n(ψ) in nats (N).
    pub optimum: Array1<f64>,
    /// The optimum itself.
    pub best: LocalGaussian,
    /// Mean gap per row, with row weights.
    pub mean: f64,
    /// Whether every row's optimum was reached.
    pub status: Status,
}

impl<M: LocalModel> Amortized<M> {
    /// A model and an encoder that fit each other.
    ///
    /// # Errors
    /// If they differ in columns or latents.
    pub fn new(model: M, encoder: Encoder) -> Result<Self> {
        for (what, expected, found) in
            [("columns of the encoder", model.dim(), encoder.dim()), ("latents of the encoder", model.latents(), encoder.latents())]
        {
            if expected != found {
                return Err(ErrorKind::Shape { what, expected, found }.into());
            }
        }
        Ok(Amortized { model, encoder })
    }

    /// ELBO of the encoder's output, row by row, without draws (N).
    ///
    /// # Errors
    /// If the data does not fit.
    pub fn elbo_rows(&self, x: &dyn RowSource) -> Result<Array1<f64>> {
        elbo_rows(&self.model, &self.encoder.encode(x)?, x)
    }

    /// How far the encoder's output is from the best Gaussian of the same shape, row by row: the best is found by [`PerDatum`] from there.
    ///
    /// # Errors
    /// If the data does not fit.
    pub fn amortization_gap(&self, x: &dyn RowSource) -> Result<AmortizationGap> {
        let q = self.encoder.encode(x)?;
        let amortized = elbo_rows(&self.model, &q, x)?;
        let found = PerDatum { shape: self.encoder.shape(), ..Default::default() }.fit_from(&self.model, x, &q)?;
        let optimum = elbo_rows(&self.model, &found.model, x)?;
        let rows = &optimum - &amortized;
        let mean = weighted_sum(&rows, x) / total_weight(x);
        Ok(AmortizationGap { rows, amortized, optimum, best: found.model, mean, status: found.status })
    }

    /// Semi-amortized inference (Kim et al. 2018): `steps` Newton-type steps of every row from the encoder's output. Never worse than the
    /// encoder, and with a decent one a step or two close the gap.
    ///
    /// # Errors
    /// If `steps` is 0 or the data does not fit.
    pub fn refine(&self, x: &dyn RowSource, steps: usize) -> Result<LocalGaussian> {
        let stopping = Stopping { max_iterations: steps, tolerance: 0.0 };
        let per_datum = PerDatum { shape: self.encoder.shape(), stopping };
        Ok(per_datum.fit_from(&self.model, x, &self.encoder.encode(x)?)?.model)
    }
}

impl<M: LocalModel> LatentModel for Amortized<M> {
    type Z = Array2<f64>;

    fn dim(&self) -> usize {
        self.model.dim()
    }

    /// Those of the model: the encoder is no part of p(x).
    fn n_parameters(&self) -> usize {
        self.model.n_parameters()
    }

    fn sample_z(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        self.model.sample_z(n, rng)
    }

    fn sample_x(&self, z: &Array2<f64>, rng: &mut dyn Rng) -> Result<Array2<f64>> {
        self.model.sample_x(z, rng)
    }

    fn log_joint(&self, x: &dyn RowSource, z: &Array2<f64>) -> Result<Array1<f64>> {
        self.model.log_joint(x, z)
    }
}

impl<M: LocalModel> Infer for Amortized<M> {
    const EXACT: bool = false;
    type Q = LocalGaussian;

    /// The encoder's output.
    fn infer(&self, x: &dyn RowSource) -> Result<LocalGaussian> {
        self.model.check(x)?;
        self.encoder.encode(x)
    }
}
