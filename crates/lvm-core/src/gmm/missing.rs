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
use crate::gmm::mixture::GaussianMixture;
use crate::gmm::posterior::normalise_log;
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

/// How one component sees the missing entries given the observed ones.
pub(crate) struct Conditional {
    /// −½ (|o| log 2π + log det Σ_oo).
    log_normaliser: f64,
    form: Form,
    /// C (|m|, |m|).
    pub(crate) covariance: Array2<f64>,
}

/// What the observed entries enter through.
enum Form {
    /// L⁻¹ (|o|, |o|) of Σ_oo = L Lᵀ and Bᵀ (|o|, |m|).
    Dense { whitening: Array2<f64>, coefficients: Array2<f64> },
    /// 1/σ_j of the observed entries, which say nothing about the others.
    Independent(Vec<f64>),
}

impl Conditional {
    /// For component `k` of the covariances.
    pub(crate) fn new(covariances: &Covariances, k: usize, observed: &[usize], missing: &[usize]) -> Result<Self> {
        match covariances {
            Covariances::Full(c) => Conditional::dense(c.index_axis(Axis(0), k), k, observed, missing),
            Covariances::Tied(c) => Conditional::dense(c.view(), k, observed, missing),
            Covariances::Diagonal(c) => Ok(Conditional::independent(|j| c[[k, j]], observed, missing)),
            Covariances::Spherical(c) => Ok(Conditional::independent(|_| c[k], observed, missing)),
        }
    }

    fn dense(sigma: ArrayView2<'_, f64>, k: usize, observed: &[usize], missing: &[usize]) -> Result<Self> {
        let block = |a: &[usize], b: &[usize]| Array2::from_shape_fn((a.len(), b.len()), |(i, j)| sigma[[a[i], b[j]]]);
        let mut covariance = block(missing, missing);
        if observed.is_empty() {
            return Ok(Conditional { log_normaliser: 0.0, form: Form::Independent(Vec::new()), covariance });
        }
        let l = linalg::cholesky(block(observed, observed).view())
            .map_err(|e| e.of(format!("the covariance of the observed entries, component {k} (from 0)")))?;
        // A = L⁻¹ Σ_om,  C = Σ_mm − AᵀA,  Bᵀ = L⁻ᵀ A
        let whitening = linalg::inverse_lower(l.view());
        let mut a = block(observed, missing);
        if !missing.is_empty() {
            linalg::solve_lower(l.view(), a.view_mut());
            linalg::gram_lower(-1.0, a.view(), covariance.view_mut());
            linalg::mirror_lower(&mut covariance);
            // rounding may leave a variance of zero slightly below
            covariance.diag_mut().mapv_inplace(|v| v.max(0.0));
            linalg::solve_lower_transposed(l.view(), a.view_mut());
        }
        let log_normaliser = -0.5 * (observed.len() as f64 * (2.0 * PI).ln() + linalg::log_det(l.view()));
        Ok(Conditional { log_normaliser, form: Form::Dense { whitening, coefficients: a }, covariance })
    }

    fn independent(variance: impl Fn(usize) -> f64, observed: &[usize], missing: &[usize]) -> Self {
        let log_det: f64 = observed.iter().map(|&j| variance(j).ln()).sum();
        let variances: Array1<f64> = missing.iter().map(|&j| variance(j)).collect();
        Conditional {
            log_normaliser: -0.5 * (observed.len() as f64 * (2.0 * PI).ln() + log_det),
            form: Form::Independent(observed.iter().map(|&j| 1.0 / variance(j).sqrt()).collect()),
            covariance: Array2::from_diag(&variances),
        }
    }

    /// log N(x_o; μ_o, Σ_oo) of rows y = x_o − μ_o (B, |o|).
    pub(crate) fn log_density(&self, y: ArrayView2<'_, f64>) -> Array1<f64> {
        let mut square = Array1::<f64>::zeros(y.nrows());
        match &self.form {
            Form::Dense { whitening, .. } => {
                let mut whitened = Array2::zeros(y.raw_dim().f());
                linalg::times_lower_transposed(y, whitening.view(), whitened.view_mut());
                whitened.columns().into_iter().for_each(|c| square.zip_mut_with(&c, |s, v| *s += v * v));
            }
            Form::Independent(inverse) => {
                y.columns().into_iter().zip(inverse).for_each(|(c, a)| square.zip_mut_with(&c, |s, v| *s += (a * v) * (a * v)));
            }
        }
        square.mapv_into(|s| self.log_normaliser - 0.5 * s)
    }

    /// E[x_m | x_o] − μ_m of rows y = x_o − μ_o (B, |m|).
    pub(crate) fn shift(&self, y: ArrayView2<'_, f64>) -> Array2<f64> {
        match &self.form {
            Form::Dense { coefficients, .. } => linalg::matmul(y, coefficients.view()),
            Form::Independent(_) => Array2::zeros((y.nrows(), self.covariance.nrows())),
        }
    }
}

/// A pattern with the conditionals of all components: one for all of them where the covariance is tied.
pub(crate) struct Group<'a> {
    mixture: &'a GaussianMixture,
    pub(crate) pattern: Pattern,
    conditionals: Vec<Conditional>,
}

impl<'a> Group<'a> {
    pub(crate) fn new(mixture: &'a GaussianMixture, pattern: Pattern) -> Result<Self> {
        let components = if matches!(mixture.covariances(), Covariances::Tied(_)) { 1 } else { mixture.n_components() };
        let conditional = |k| Conditional::new(mixture.covariances(), k, &pattern.observed, &pattern.missing);
        let conditionals = (0..components).map(conditional).collect::<Result<_>>()?;
        Ok(Group { mixture, pattern, conditionals })
    }

    /// Of component `k`.
    pub(crate) fn conditional(&self, k: usize) -> &Conditional {
        &self.conditionals[k.min(self.conditionals.len() - 1)]
    }

    /// The observed entries of the rows, minus μ_ko (B, |o|).
    pub(crate) fn centred(&self, block: &Block<'_>, k: usize) -> Array2<f64> {
        let mean = self.mixture.means().row(k);
        let mut y = Array2::zeros((self.pattern.rows.len(), self.pattern.observed.len()).f());
        for (mut column, &j) in y.columns_mut().into_iter().zip(&self.pattern.observed) {
            let x = block.column(j);
            column.iter_mut().zip(&self.pattern.rows).for_each(|(y, &i)| *y = x[i] - mean[j]);
        }
        y
    }

    /// log π_k + log N(x_o; μ_ko, Σ_koo) of the rows of the pattern (rows, K).
    fn log_densities(&self, block: &Block<'_>) -> Array2<f64> {
        let k = self.mixture.n_components();
        let mut out = Array2::zeros((self.pattern.rows.len(), k).f());
        for (k, mut column) in out.columns_mut().into_iter().enumerate() {
            let log_weight = self.mixture.prepared().log_weights[k];
            column.assign(&self.conditional(k).log_density(self.centred(block, k).view()));
            column.mapv_inplace(|p| log_weight + p);
        }
        out
    }

    /// Adds the rows of the pattern with weights w γ (rows, K), about centres (K, D).
    fn add(&self, block: &Block<'_>, weights: ArrayView2<'_, f64>, centres: ArrayView2<'_, f64>, statistics: &mut Statistics) {
        let Pattern { observed, missing, rows } = &self.pattern;
        for (k, centre) in centres.outer_iter().enumerate() {
            let w = weights.column(k).to_vec();
            let mean = self.mixture.means().row(k);
            let mut completed = Array2::zeros((rows.len(), block.n_cols()).f());
            for &j in observed {
                let x = block.column(j);
                completed.column_mut(j).iter_mut().zip(rows).for_each(|(o, &i)| *o = x[i] - centre[j]);
            }
            if !missing.is_empty() {
                let shift = self.conditional(k).shift(self.centred(block, k).view());
                for (shift, &j) in shift.columns().into_iter().zip(missing) {
                    let offset = mean[j] - centre[j];
                    completed.column_mut(j).zip_mut_with(&shift, |o, s| *o = offset + s);
                }
                statistics.add_covariance(k, missing, self.conditional(k).covariance.view(), w.iter().sum());
            }
            statistics.add(k, completed.view_mut(), &w);
        }
    }
}

/// log π_k + log N(x_o; μ_ko, Σ_koo) of a block in which entries are missing (B, K).
pub(crate) fn log_densities(mixture: &GaussianMixture, block: &Block<'_>, mut out: ArrayViewMut2<'_, f64>) -> Result<()> {
    for pattern in patterns(block) {
        let group = Group::new(mixture, pattern)?;
        let logs = group.log_densities(block);
        group.pattern.rows.iter().zip(logs.rows()).for_each(|(&i, row)| out.row_mut(i).assign(&row));
    }
    Ok(())
}

/// E-step of a block in which entries are missing, about centres (K, D).
pub(crate) fn accumulate(
    mixture: &GaussianMixture,
    block: &Block<'_>,
    centres: ArrayView2<'_, f64>,
    statistics: &mut Statistics,
) -> Result<()> {
    for pattern in patterns(block) {
        let group = Group::new(mixture, pattern)?;
        let mut weights = group.log_densities(block);
        for (&i, mut row) in group.pattern.rows.iter().zip(weights.rows_mut()) {
            let w = block.weights().map_or(1.0, |w| w[i]);
            statistics.log_likelihood += w * normalise_log(row.view_mut(), block, i)?;
            statistics.weight += w;
            row.mapv_inplace(|a| w * a.exp());
        }
        group.add(block, weights.view(), centres, statistics);
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
    for pattern in patterns(block) {
        let group = Group::new(mixture, pattern)?;
        let rows = &group.pattern.rows;
        let weight = |i: usize| block.weights().map_or(1.0, |w| w[i]);
        let weights = Array2::from_shape_fn((rows.len(), gamma.ncols()), |(r, k)| weight(rows[r]) * gamma[[rows[r], k]]);
        group.add(block, weights.view(), centres, statistics);
    }
    Ok(())
}
