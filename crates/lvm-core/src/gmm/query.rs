//! Other mixtures inside a mixture, and what it says about missing entries.

use crate::error::{Error, ErrorKind, Result};
use crate::gmm::covariance::Covariances;
use crate::gmm::missing::{Conditional, Group, patterns};
use crate::gmm::mixture::GaussianMixture;
use crate::gmm::posterior::normalise_log;
use crate::imputation::{Imputation, MissingBlock};
use crate::linalg;
use crate::rows::{Missing, RowSource};
use crate::special::log_sum_exp;
use crate::sweep::{Block, Merge, Plan, check_shape, map_rows, sweep};
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayViewMut2, Axis};

impl GaussianMixture {
    /// The mixture of the chosen columns, in the order given: p(x_a) = Σ_k π_k N(x_a; μ_ka, Σ_kaa).
    ///
    /// # Errors
    /// If no column is chosen, or one twice, or one that is not there.
    pub fn marginal(&self, columns: &[usize]) -> Result<GaussianMixture> {
        self.check_columns("columns", columns)?;
        if columns.is_empty() {
            return Err(Error::config("columns", "none chosen; a mixture needs at least one"));
        }
        let pick = |m: &Array2<f64>| m.select(Axis(0), columns).select(Axis(1), columns);
        let covariances = match self.covariances() {
            Covariances::Full(c) => Covariances::Full(c.select(Axis(1), columns).select(Axis(2), columns)),
            Covariances::Tied(c) => Covariances::Tied(pick(c)),
            Covariances::Diagonal(c) => Covariances::Diagonal(c.select(Axis(1), columns)),
            Covariances::Spherical(c) => Covariances::Spherical(c.clone()),
        };
        GaussianMixture::new(self.weights().clone(), self.means().select(Axis(1), columns), covariances)
    }

    /// The mixture of the other columns (ascending) given `values` of the `observed` ones:
    ///
    /// ```text
    /// p(x_a | x_b) = Σ_k π'_k N(x_a; μ_ka + B_k (x_b − μ_kb), Σ_kaa − B_k Σ_kba),   B_k = Σ_kab Σ_kbb⁻¹
    /// π'_k ∝ π_k N(x_b; μ_kb, Σ_kbb)
    /// ```
    ///
    /// # Errors
    /// If the columns are not usable, nothing is left, `values` are not finite or not as many, or so far away that every density
    /// underflows.
    pub fn conditional(&self, observed: &[usize], values: ArrayView1<'_, f64>) -> Result<GaussianMixture> {
        self.check_columns("observed", observed)?;
        let (k, d) = self.means().dim();
        if values.len() != observed.len() {
            return Err(ErrorKind::Shape { what: "number of observed values", expected: observed.len(), found: values.len() }.into());
        }
        if let Some((i, v)) = values.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            return Err(Error::config("values", format!("{v} at place {i} (from 0)")));
        }
        let rest: Vec<usize> = (0..d).filter(|j| !observed.contains(j)).collect();
        if rest.is_empty() {
            return Err(Error::config("observed", "every column is observed; nothing is left to condition"));
        }
        let mut log_weights = Array1::zeros(k);
        let mut means = Array2::zeros((k, rest.len()));
        let mut matrices = Vec::with_capacity(k);
        for k in 0..k {
            let conditional = Conditional::new(self.covariances(), k, observed, &rest)?;
            let mean = self.means().row(k);
            let y = (&values - &mean.select(Axis(0), observed)).insert_axis(Axis(0));
            log_weights[k] = self.prepared().log_weights[k] + conditional.log_density(y.view())[0];
            means.row_mut(k).assign(&(mean.select(Axis(0), &rest) + conditional.shift(y.view()).row(0)));
            matrices.push(conditional.covariance);
        }
        let log_p = log_sum_exp(log_weights.view());
        if !log_p.is_finite() {
            return Err(Error::config("values", "so far from every component that all densities are zero"));
        }
        let weights = log_weights.mapv(|a: f64| (a - log_p).exp());
        let covariances = match self.covariances() {
            Covariances::Full(_) => Covariances::Full(stack(&matrices)),
            Covariances::Tied(_) => Covariances::Tied(matrices.swap_remove(0)),
            Covariances::Diagonal(c) => Covariances::Diagonal(c.select(Axis(1), &rest)),
            Covariances::Spherical(c) => Covariances::Spherical(c.clone()),
        };
        GaussianMixture::new(&weights / weights.sum(), means, covariances)
    }

    /// Fills missing entries with E[x_m | x_o] = Σ_k γ_k m_k, with the covariance Σ_k γ_k (C_k + (m_k − m)(m_k − m)ᵀ): that inside
    /// the components and that between them. NaN means missing here whatever the source says.
    ///
    /// # Errors
    /// If the data is unusable or its columns do not fit the model.
    pub fn impute(&self, data: &dyn RowSource) -> Result<Imputation> {
        let (k, d) = self.means().dim();
        check_shape(data, Some(d))?;
        let rows = Holes(data);
        let mut x = map_rows(
            &rows,
            d,
            || (),
            |(), block, mut out| {
                out.assign(&block.x());
                Ok(())
            },
        )?;
        let blocks = sweep(&rows, Plan::new(d, 8 * d * d), || Blocks(Vec::new()), |all, block| self.impute_block(block, k, all))?.0;
        for block in &blocks {
            block.columns.iter().zip(&block.mean).for_each(|(&j, v)| x[[block.row, j]] = *v);
        }
        Ok(Imputation { x, blocks })
    }

    fn impute_block(&self, block: &Block<'_>, k: usize, all: &mut Blocks) -> Result<()> {
        if !block.has_missing() {
            return Ok(());
        }
        let mut gamma = Array2::zeros((block.n_rows(), k));
        self.block_log_densities(block, gamma.view_mut())?;
        let first = all.0.len();
        for pattern in patterns(block).into_iter().filter(|p| !p.missing.is_empty()) {
            let group = Group::new(self, pattern)?;
            let missing = &group.pattern.missing;
            // m_k of every row of the pattern, a table (B, |m|) a component
            let means: Vec<Array2<f64>> = (0..k)
                .map(|k| group.conditional(k).shift(group.centred(block, k).view()) + self.means().row(k).select(Axis(0), missing))
                .collect();
            for (r, &i) in group.pattern.rows.iter().enumerate() {
                normalise_log(gamma.row_mut(i), block, i)?;
                let weight: Array1<f64> = gamma.row(i).mapv(f64::exp);
                let mean: Array1<f64> = weight.iter().zip(&means).fold(Array1::zeros(missing.len()), |sum, (w, m)| sum + *w * &m.row(r));
                let mut covariance = Array2::zeros((mean.len(), mean.len()));
                for (k, (w, m)) in weight.iter().zip(&means).enumerate() {
                    covariance.scaled_add(*w, &group.conditional(k).covariance);
                    let between = (&m.row(r) - &mean).insert_axis(Axis(0));
                    linalg::gram_lower(*w, between.view(), covariance.view_mut());
                }
                linalg::mirror_lower(&mut covariance);
                all.0.push(MissingBlock { row: block.row_number(i), columns: missing.clone(), mean, covariance });
            }
        }
        all.0[first..].sort_by_key(|b| b.row);
        Ok(())
    }

    /// Columns that are there, none twice.
    fn check_columns(&self, field: &'static str, columns: &[usize]) -> Result<()> {
        let d = self.means().ncols();
        for (i, &j) in columns.iter().enumerate() {
            if j >= d {
                return Err(Error::config(field, format!("column {j}; there are {d}, from 0")));
            }
            if columns[..i].contains(&j) {
                return Err(Error::config(field, format!("column {j} twice")));
            }
        }
        Ok(())
    }
}

/// K matrices as one array (K, D, D).
fn stack(matrices: &[Array2<f64>]) -> Array3<f64> {
    let d = matrices.first().map_or(0, Array2::nrows);
    Array3::from_shape_fn((matrices.len(), d, d), |(k, i, j)| matrices[k][[i, j]])
}

/// Imputed rows, in row order.
struct Blocks(Vec<MissingBlock>);

impl Merge for Blocks {
    fn merge(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }
}

/// All rows of a source, whatever their weight, with NaN meaning missing.
struct Holes<'a>(&'a dyn RowSource);

impl RowSource for Holes<'_> {
    fn n_rows(&self) -> usize {
        self.0.n_rows()
    }
    fn n_cols(&self) -> usize {
        self.0.n_cols()
    }
    fn read(&self, start: usize, out: ArrayViewMut2<'_, f64>) -> Result<()> {
        self.0.read(start, out)
    }
    fn missing(&self) -> Missing {
        Missing::Integrate
    }
    fn column_name(&self, column: usize) -> Option<String> {
        self.0.column_name(column)
    }
}
