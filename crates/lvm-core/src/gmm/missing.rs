//! Rows with missing entries: the missing block is integrated out exactly.
//!
//! With observed entries o and missing entries m of a row, and component k,
//!
//! ```text
//! p(x_o)        = Σ_k π_k N(x_o; μ_o, Σ_oo)
//! E[x_m | x_o]  = μ_m + B (x_o − μ_o),   B = Σ_mo Σ_oo⁻¹
//! Cov[x_m | x_o] = C = Σ_mm − B Σ_om                                      PRML 2.81, 2.82
//! ```
//!
//! Rows of a block with the same pattern share one factorisation of Σ_oo a component.

use crate::error::Result;
use crate::gmm::covariance::Covariances;
use crate::gmm::kernel::weighted;
use crate::gmm::mixture::GaussianMixture;
use crate::gmm::statistics::Statistics;
use crate::linalg;
use crate::sweep::Block;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, ShapeBuilder};
use std::collections::BTreeMap;
use std::f64::consts::PI;

/// Rows of a block that miss the same columns.
pub(crate) struct Pattern {
    /// Observed columns, ascending.
    pub(crate) observed: Vec<usize>,
    /// Missing columns, ascending.
    pub(crate) missing: Vec<usize>,
    /// Rows, by their place in the block.
    pub(crate) rows: Vec<usize>,
}

/// The patterns of a block, in an order that depends on the block alone.
pub(crate) fn patterns(block: &Block<'_>) -> Vec<Pattern> {
    let d = block.n_cols();
    let mut groups: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for i in 0..block.n_rows() {
        let missing = (0..d).filter(|&j| block.column(j)[i].is_nan()).collect();
        groups.entry(missing).or_default().push(i);
    }
    let pattern = |(missing, rows): (Vec<usize>, Vec<usize>)| {
        let observed = (0..d).filter(|j| missing.binary_search(j).is_err()).collect();
        Pattern { observed, missing, rows }
    };
    groups.into_iter().map(pattern).collect()
}

impl Pattern {
    /// The observed entries of the rows, minus μ_o (B, |o|).
    pub(crate) fn centred(&self, block: &Block<'_>, mean: ndarray::ArrayView1<'_, f64>) -> Array2<f64> {
        let mut y = Array2::zeros((self.rows.len(), self.observed.len()).f());
        for (mut column, &j) in y.columns_mut().into_iter().zip(&self.observed) {
            let x = block.column(j);
            column.iter_mut().zip(&self.rows).for_each(|(y, &i)| *y = x[i] - mean[j]);
        }
        y
    }
}

/// How one component sees the missing entries given the observed ones.
pub(crate) struct Conditional {
    /// L⁻¹ of Σ_oo = L Lᵀ (|o|, |o|).
    whitening: Array2<f64>,
    /// −½ (|o| log 2π + log det Σ_oo).
    log_normaliser: f64,
    /// B (|m|, |o|); absent where it is zero.
    coefficients: Option<Array2<f64>>,
    /// C (|m|, |m|).
    pub(crate) covariance: Array2<f64>,
}

impl Conditional {
    /// For component `k` of the covariances, in `d` dimensions.
    pub(crate) fn new(covariances: &Covariances, k: usize, d: usize, observed: &[usize], missing: &[usize]) -> Result<Self> {
        let sigma = covariances.matrix(k, d);
        let block = |a: &[usize], b: &[usize]| sigma.select(Axis(0), a).select(Axis(1), b);
        let constant = observed.len() as f64 * (2.0 * PI).ln();
        let mut covariance = block(missing, missing);
        if matches!(covariances, Covariances::Diagonal(_) | Covariances::Spherical(_)) || observed.is_empty() {
            let variances: Array1<f64> = observed.iter().map(|&j| sigma[[j, j]]).collect();
            let log_normaliser = -0.5 * (constant + variances.mapv(f64::ln).sum());
            let whitening = Array2::from_diag(&variances.mapv(|v| 1.0 / v.sqrt()));
            return Ok(Conditional { whitening, log_normaliser, coefficients: None, covariance });
        }
        let l = linalg::cholesky(block(observed, observed).view())
            .map_err(|e| e.of(format!("the covariance of the observed entries, component {k} (from 0)")))?;
        // A = L⁻¹ Σ_om,  C = Σ_mm − AᵀA,  Bᵀ = L⁻ᵀ A
        let mut a = block(observed, missing);
        linalg::solve_lower(l.view(), a.view_mut());
        linalg::gram_lower(-1.0, a.view(), covariance.view_mut());
        linalg::mirror_lower(&mut covariance);
        // rounding may leave a variance of zero slightly below
        covariance.diag_mut().mapv_inplace(|v| v.max(0.0));
        linalg::solve_lower_transposed(l.view(), a.view_mut());
        Ok(Conditional {
            whitening: linalg::inverse_lower(l.view()),
            log_normaliser: -0.5 * (constant + linalg::log_det(l.view())),
            coefficients: Some(a.reversed_axes()),
            covariance,
        })
    }

    /// log N(x_o; μ_o, Σ_oo) of rows y = x_o − μ_o (B, |o|).
    pub(crate) fn log_density(&self, y: ArrayView2<'_, f64>) -> Array1<f64> {
        if y.ncols() == 0 {
            return Array1::from_elem(y.nrows(), self.log_normaliser);
        }
        let mut whitened = Array2::zeros(y.raw_dim().f());
        linalg::times_lower_transposed(y, self.whitening.view(), whitened.view_mut());
        whitened.map_axis(Axis(1), |row| self.log_normaliser - 0.5 * row.iter().map(|v| v * v).sum::<f64>())
    }

    /// E[x_m | x_o] − μ_m of rows y = x_o − μ_o (B, |m|).
    pub(crate) fn shift(&self, y: ArrayView2<'_, f64>) -> Array2<f64> {
        match &self.coefficients {
            Some(b) => linalg::matmul(y, b.t()),
            None => Array2::zeros((y.nrows(), self.covariance.nrows())),
        }
    }
}

/// The conditionals of all components for one pattern: one for all of them where the covariance is tied.
pub(crate) fn conditionals(mixture: &GaussianMixture, pattern: &Pattern) -> Result<Vec<Conditional>> {
    let components = if matches!(mixture.covariances(), Covariances::Tied(_)) { 1 } else { mixture.n_components() };
    let d = mixture.means().ncols();
    (0..components).map(|k| Conditional::new(mixture.covariances(), k, d, &pattern.observed, &pattern.missing)).collect()
}

/// Component `k` of [`conditionals`].
pub(crate) fn of(conditionals: &[Conditional], k: usize) -> &Conditional {
    &conditionals[k.min(conditionals.len() - 1)]
}

/// log π_k + log N(x_o; μ_ko, Σ_koo) of a block in which entries are missing (B, K).
pub(crate) fn log_densities(mixture: &GaussianMixture, block: &Block<'_>, mut out: ArrayViewMut2<'_, f64>) -> Result<()> {
    for pattern in patterns(block) {
        let conditionals = conditionals(mixture, &pattern)?;
        for k in 0..mixture.n_components() {
            let y = pattern.centred(block, mixture.means().row(k));
            let density = of(&conditionals, k).log_density(y.view());
            let log_weight = mixture.prepared().log_weights[k];
            pattern.rows.iter().zip(density).for_each(|(&i, p)| out[[i, k]] = log_weight + p);
        }
    }
    Ok(())
}

/// Adds a block, in which entries are missing, with responsibilities γ (B, K), about centres (K, D): missing entries stand at their
/// conditional mean under `mixture`, and their conditional covariance is added.
pub(crate) fn add(
    mixture: &GaussianMixture,
    block: &Block<'_>,
    gamma: ArrayView2<'_, f64>,
    centres: ArrayView2<'_, f64>,
    statistics: &mut Statistics,
) -> Result<()> {
    let weights: Vec<Vec<f64>> = gamma.columns().into_iter().map(|column| weighted(column, block)).collect();
    for pattern in patterns(block) {
        let conditionals = conditionals(mixture, &pattern)?;
        for (k, centre) in centres.outer_iter().enumerate() {
            let w: Vec<f64> = pattern.rows.iter().map(|&i| weights[k][i]).collect();
            let mean = mixture.means().row(k);
            let conditional = of(&conditionals, k);
            let y = pattern.centred(block, mean);
            let shift = conditional.shift(y.view());
            let mut completed = Array2::zeros((pattern.rows.len(), block.n_cols()).f());
            for &j in &pattern.observed {
                let x = block.column(j);
                completed.column_mut(j).iter_mut().zip(&pattern.rows).for_each(|(o, &i)| *o = x[i] - centre[j]);
            }
            for (shift, &j) in shift.columns().into_iter().zip(&pattern.missing) {
                let offset = mean[j] - centre[j];
                completed.column_mut(j).zip_mut_with(&shift, |o, s| *o = offset + s);
            }
            statistics.add(k, completed.view_mut(), &w);
            statistics.add_covariance(k, &pattern.missing, conditional.covariance.view(), w.iter().sum());
        }
    }
    Ok(())
}
