//! Local latents as targets of the general methods: of one datum, or of all of them at once.

use super::LocalModel;
use crate::target::{LogDensity, LogDensityGrad, TargetError};
use lvm_core::rows::{Missing, RowSource};
use lvm_core::sweep::map_rows;
use lvm_core::{Error, ErrorKind, Result};
use ndarray::Array2;

/// log p(x_n, z) of one datum as a function of z ∈ ℝ^q.
#[derive(Debug)]
pub struct RowTarget<'a, M> {
    model: &'a M,
    x: Vec<f64>,
}

impl<'a, M: LocalModel> RowTarget<'a, M> {
    /// Row `n` of `x` under `model`.
    ///
    /// # Errors
    /// If the data does not fit the model, or there is no row `n`.
    pub fn new(model: &'a M, x: &dyn RowSource, n: usize) -> Result<Self> {
        model.check(x)?;
        if n >= x.n_rows() {
            return Err(Error::config("n", format!("row {n} is not there: the data has {} rows, counted from 0", x.n_rows())));
        }
        let mut row = Array2::zeros((1, x.n_cols()));
        x.read(n, row.view_mut())?;
        if x.missing() == Missing::Refuse
            && let Some(column) = row.iter().position(|v| v.is_nan())
        {
            return Err(ErrorKind::NotANumber { row: n, column, name: x.column_name(column) }.into());
        }
        Ok(RowTarget { model, x: row.into_iter().collect() })
    }
}

impl<M: LocalModel> LogDensity for RowTarget<'_, M> {
    fn dim(&self) -> usize {
        self.model.latents()
    }

    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut vec![0.0; z.len()])
    }
}

impl<M: LocalModel> LogDensityGrad for RowTarget<'_, M> {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        Ok(self.model.log_joint_grad(&self.x, z, gradient))
    }
}

/// Σ_n w_n log p(x_n, z_n) as a function of all latents, z = (z_1, …, z_N) ∈ ℝ^{N q}: what a general-purpose mean field is run on.
///
/// With row weights other than 0 and 1 a datum's term counts w times with one z_n, so its posterior is that of p(x_n, z)^w; local methods
/// proper ([`PerDatum`](super::PerDatum)) weigh the bounds of the rows instead. Rows of weight 0 keep their place and have density 0 nats.
#[derive(Debug)]
pub struct JointTarget<'a, M> {
    model: &'a M,
    x: Array2<f64>,
    weights: Vec<f64>,
}

impl<'a, M: LocalModel> JointTarget<'a, M> {
    /// All rows of `x` under `model`.
    ///
    /// # Errors
    /// If the data does not fit the model.
    pub fn new(model: &'a M, x: &dyn RowSource) -> Result<Self> {
        model.check(x)?;
        let copy = map_rows(
            x,
            x.n_cols(),
            || (),
            |(), block, mut out| {
                out.assign(&block.x());
                Ok(())
            },
        )?;
        let weights = x.weights().map_or_else(|| vec![1.0; x.n_rows()], |w| w.to_vec());
        Ok(JointTarget { model, x: copy, weights })
    }
}

impl<M: LocalModel> LogDensity for JointTarget<'_, M> {
    fn dim(&self) -> usize {
        self.x.nrows() * self.model.latents()
    }

    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut vec![0.0; z.len()])
    }
}

impl<M: LocalModel> LogDensityGrad for JointTarget<'_, M> {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let q = self.model.latents();
        let mut total = 0.0;
        let mut row = Vec::with_capacity(self.x.ncols());
        for (n, x) in self.x.rows().into_iter().enumerate() {
            let w = self.weights[n];
            let part = &mut gradient[n * q..(n + 1) * q];
            row.clear();
            row.extend(x);
            let value = self.model.log_joint_grad(&row, &z[n * q..(n + 1) * q], part);
            part.iter_mut().for_each(|g| *g *= w);
            total += if w > 0.0 { w * value } else { 0.0 };
        }
        Ok(total)
    }
}
