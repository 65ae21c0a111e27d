//! The Bernoulli factor model: factor analysis of binary data.

mod em;
mod jaakkola_jordan;
mod maximisation;
mod softplus;

pub use em::{BernoulliFactorEm, EStep, Start};
pub use jaakkola_jordan::{JaakkolaJordan, JaakkolaJordanFit};

use crate::local::{Derivatives, LearnedModel, LocalGaussian, LocalModel, PerDatum, Quadrature, mode, quadratic, split};
use lvm_core::model::{Evidence, Infer, LatentModel, MapLatent};
use lvm_core::rows::RowSource;
use lvm_core::special::{sigmoid, softplus as log1p_exp};
use lvm_core::sweep::{check_shape, map_rows};
use lvm_core::{Error, ErrorKind, Result};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use softplus::expectations;
use std::f64::consts::TAU;

/// Binary columns explained by Gaussian factors through logistic links: logistic PCA, or the two-parameter item response model when q = 1.
///
/// # Model
/// ```text
/// z ~ N(0, I_q)
/// x_j | z ~ Bernoulli(σ(a_j)),   a = W z + b,   σ(a) = 1/(1 + e⁻ᵃ)        independent for j = 1 … D
///
/// log p(x, z) = −½ ‖z‖² − ½ q log 2π + Σ_j [x_j a_j − log(1 + e^{a_j})]      concave in z
/// ```
///
/// # Symbols
/// | symbol | meaning | method | shape | constraint |
/// |---|---|---|---|---|
/// | W | loadings (discriminations) | [`loadings`](Self::loadings) | (D, q) | finite |
/// | b | intercepts | [`intercepts`](Self::intercepts) | (D) | finite |
/// | x | data | | (N, D) | 0 or 1 |
///
/// # Numerics
/// The evidence is exact for at most two latents, by [`Quadrature`]; beyond that it is bounded. Expectations under a Gaussian need E[log(1 + eᵃ)]
/// for a ~ N(m, s²), cell by cell: by the trapezoid rule with a step of 0.5/max(1, s), exact to 1e-14 where Gauss–Hermite rules are not. A
/// row costs O(D q² + 35 D max(1, s)). Missing entries are left out, which integrates them out exactly.
///
/// # Errors
/// Refused are parameters that are not finite, shapes that disagree, and cells that are neither 0 nor 1
/// ([`ErrorKind::OutsideSupport`]).
///
/// ```
/// use lvm_core::model::Evidence;
/// use lvm_vi::{local, models::BernoulliFactor};
/// use ndarray::array;
/// let model = BernoulliFactor::new(array![[2.0], [-1.0], [1.5]], array![0.0, 0.5, -0.5])?;
/// let x = array![[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]];
/// let q = local::PerDatum::default().fit(&model, &x)?.model;
/// let gap = model.log_evidence(&x)?.sum() - local::elbo(&model, &q, &x)?;
/// assert!(gap > 0.0 && gap < 0.02);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Bartholomew, Knott & Moustaki, *Latent Variable Models and Factor Analysis* (2011), ch. 4; Tipping, *Probabilistic visualisation of
/// high-dimensional binary data* (1999); Jaakkola & Jordan, *Bayesian parameter estimation via variational methods* (2000).
#[derive(Debug, Clone, PartialEq)]
pub struct BernoulliFactor {
    loadings: Array2<f64>,
    intercepts: Array1<f64>,
}

impl BernoulliFactor {
    /// The model with loadings (D, q) and intercepts (D).
    ///
    /// # Errors
    /// See the type.
    pub fn new(loadings: Array2<f64>, intercepts: Array1<f64>) -> Result<Self> {
        let d = intercepts.len();
        if d == 0 {
            return Err(ErrorKind::Empty.into());
        }
        if loadings.nrows() != d {
            return Err(ErrorKind::Shape { what: "number of rows of the loadings", expected: d, found: loadings.nrows() }.into());
        }
        if let Some(((j, k), v)) = loadings.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(Error::config("loadings", format!("entry ({j}, {k}) (from 0) is {v}; it must be finite")));
        }
        if let Some(j) = intercepts.iter().position(|v| !v.is_finite()) {
            return Err(Error::config("intercepts", format!("entry {j} (from 0) is {}; it must be finite", intercepts[j])));
        }
        Ok(BernoulliFactor { loadings, intercepts })
    }

    /// W (D, q).
    pub fn loadings(&self) -> &Array2<f64> {
        &self.loadings
    }

    /// b (D).
    pub fn intercepts(&self) -> &Array1<f64> {
        &self.intercepts
    }

    /// σ(W z + b) for each row of z (N, q): the probability of a 1 in each cell; (N, D).
    ///
    /// # Errors
    /// If `z` does not have q columns.
    pub fn probabilities(&self, z: &Array2<f64>) -> Result<Array2<f64>> {
        self.check_latents(z)?;
        Ok((z.dot(&self.loadings.t()) + &self.intercepts).mapv_into(sigmoid))
    }

    /// a_j = w_jᵀ z + b_j.
    fn predictor(&self, j: usize, z: &[f64]) -> f64 {
        self.intercepts[j] + self.loadings.row(j).iter().zip(z).map(|(w, z)| w * z).sum::<f64>()
    }

    fn check_latents(&self, z: &Array2<f64>) -> Result<()> {
        if z.ncols() != self.loadings.ncols() {
            return Err(ErrorKind::Shape { what: "number of columns of z", expected: self.loadings.ncols(), found: z.ncols() }.into());
        }
        Ok(())
    }
}

/// Refuses a table with a cell that is neither 0 nor 1 (nor missing, where the source allows it).
fn check_binary(x: &dyn RowSource) -> Result<()> {
    map_rows(
        x,
        1,
        || (),
        |(), block, _| {
            for i in 0..block.n_rows() {
                for column in 0..block.n_cols() {
                    let value = block.column(column)[i];
                    if !(value == 0.0 || value == 1.0 || value.is_nan()) {
                        return Err(ErrorKind::OutsideSupport { row: block.row_number(i), column, value, allowed: "0 and 1" }.into());
                    }
                }
            }
            Ok(())
        },
    )
    .map(|_| ())
}

impl LatentModel for BernoulliFactor {
    type Z = Array2<f64>;

    fn dim(&self) -> usize {
        self.intercepts.len()
    }

    /// D + D q − q (q − 1)/2: intercepts, and loadings up to rotation.
    fn n_parameters(&self) -> usize {
        let (d, q) = self.loadings.dim();
        (d + d * q).saturating_sub(q * q.saturating_sub(1) / 2)
    }

    fn sample_z(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        Array2::from_shape_simple_fn((n, self.loadings.ncols()), || StandardNormal.sample(rng))
    }

    fn sample_x(&self, z: &Array2<f64>, rng: &mut dyn Rng) -> Result<Array2<f64>> {
        Ok(self.probabilities(z)?.mapv_into(|p| {
            let u: f64 = rng.random();
            f64::from(u8::from(u < p))
        }))
    }

    fn log_joint(&self, x: &dyn RowSource, z: &Array2<f64>) -> Result<Array1<f64>> {
        self.check(x)?;
        self.check_latents(z)?;
        if z.nrows() != x.n_rows() {
            return Err(ErrorKind::Shape { what: "number of rows of z", expected: x.n_rows(), found: z.nrows() }.into());
        }
        let out = map_rows(
            x,
            1,
            || (),
            |(), block, mut out| {
                for i in 0..block.n_rows() {
                    let z = z.row(block.row_number(i));
                    out[[i, 0]] = -0.5 * (z.len() as f64 * TAU.ln() + z.dot(&z));
                    for j in 0..self.dim() {
                        let x = block.column(j)[i];
                        if !x.is_nan() {
                            let a = self.intercepts[j] + self.loadings.row(j).dot(&z);
                            out[[i, 0]] += x * a - log1p_exp(a);
                        }
                    }
                }
                Ok(())
            },
        )?;
        Ok(out.index_axis_move(Axis(1), 0))
    }
}

impl LocalModel for BernoulliFactor {
    fn latents(&self) -> usize {
        self.loadings.ncols()
    }

    fn check(&self, x: &dyn RowSource) -> Result<()> {
        check_shape(x, Some(self.dim()))?;
        check_binary(x)
    }

    fn log_joint_grad(&self, x: &[f64], z: &[f64], gradient: &mut [f64]) -> f64 {
        let mut value = -0.5 * z.iter().map(|z| TAU.ln() + z * z).sum::<f64>();
        gradient.iter_mut().zip(z).for_each(|(g, z)| *g = -z);
        for (j, x) in x.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
            let a = self.predictor(j, z);
            value += x * a - log1p_exp(a);
            let residual = x - sigmoid(a);
            gradient.iter_mut().zip(self.loadings.row(j)).for_each(|(g, w)| *g += residual * w);
        }
        value
    }

    fn expected_log_joint(&self, x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>) -> f64 {
        let mut value = -0.5 * mean.iter().zip(covariance.diag()).map(|(m, s)| TAU.ln() + m * m + s).sum::<f64>();
        for (j, x) in x.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
            let a = self.predictor(j, mean);
            value += x * a - expectations(a, quadratic(self.loadings.row(j), covariance).sqrt()).value;
        }
        value
    }

    fn expected_derivatives(&self, x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>, out: &mut Derivatives) -> f64 {
        let mut value = -0.5 * mean.iter().zip(covariance.diag()).map(|(m, s)| TAU.ln() + m * m + s).sum::<f64>();
        out.gradient.iter_mut().zip(mean).for_each(|(g, m)| *g = -m);
        out.precision.fill(0.0);
        out.precision.diag_mut().fill(1.0);
        for (j, x) in x.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
            let (w, a) = (self.loadings.row(j), self.predictor(j, mean));
            let e = expectations(a, quadratic(w, covariance).sqrt());
            value += x * a - e.value;
            // g = −m + Σ_j (x_j − E[σ(a_j)]) w_j,   P = I + Σ_j E[σ'(a_j)] w_j w_jᵀ
            out.gradient.scaled_add(x - e.slope, &w);
            for (i, mut row) in out.precision.rows_mut().into_iter().enumerate() {
                row.scaled_add(e.curvature * w[i], &w);
            }
        }
        value
    }
}

/// θ = (b (D), W (D q, row by row)).
impl LearnedModel for BernoulliFactor {
    fn parameters(&self) -> Vec<f64> {
        self.intercepts.iter().chain(&self.loadings).copied().collect()
    }

    fn with_parameters(&self, parameters: &[f64]) -> Result<Self> {
        let (d, q) = self.loadings.dim();
        let (intercepts, loadings, _) = split(parameters, d, q, 0)?;
        BernoulliFactor::new(loadings, intercepts)
    }

    fn add_parameter_gradient(&self, x: &[f64], mean: &[f64], covariance: ArrayView2<'_, f64>, scale: f64, gradient: &mut [f64]) {
        let (d, q) = self.loadings.dim();
        for (j, x) in x.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
            let w = self.loadings.row(j);
            let e = expectations(self.predictor(j, mean), quadratic(w, covariance).sqrt());
            // ∂/∂b_j = x − E[σ],   ∂/∂w_j = (x − E[σ]) m − E[σ'] S w
            gradient[j] += scale * (x - e.slope);
            for (i, m) in mean.iter().enumerate() {
                gradient[d + j * q + i] += scale * ((x - e.slope) * m - e.curvature * covariance.row(i).dot(&w));
            }
        }
    }
}

impl MapLatent for BernoulliFactor {
    /// The log joint is strictly concave in z: the only mode, by Newton's method.
    fn map_z(&self, x: &dyn RowSource) -> Result<Array2<f64>> {
        self.check(x)?;
        map_rows(x, self.loadings.ncols(), Vec::new, |row, block, mut out| {
            for i in 0..block.n_rows() {
                crate::local::gather(block, i, row);
                out.row_mut(i).iter_mut().zip(mode(self, row).0).for_each(|(o, z)| *o = z);
            }
            Ok(())
        })
    }
}

impl Infer for BernoulliFactor {
    const EXACT: bool = false;
    type Q = LocalGaussian;

    /// The best Gaussian of full covariance for each row ([`PerDatum`]).
    fn infer(&self, x: &dyn RowSource) -> Result<LocalGaussian> {
        Ok(PerDatum::default().fit(self, x)?.model)
    }
}

impl Evidence for BernoulliFactor {
    /// By quadrature, to 1e-11 nats; at most two latents.
    fn log_evidence(&self, x: &dyn RowSource) -> Result<Array1<f64>> {
        Ok(Quadrature::default().posterior(self, x)?.log_evidence)
    }
}
