//! Coordinate ascent for the mean field of linear Gaussian models.

use super::linear_gaussian::precision;
use super::patterns::Patterns;
use super::{LocalGaussian, LocalModel, Shape, bound::weighted_sum};
use lvm_core::fit::{Algorithm, Fitted, Step, Stopping, run, unwatched};
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::rows::{RowSource, total_weight};
use lvm_core::sweep::map_rows;
use lvm_core::{Error, Result};
use ndarray::{Array1, Array2, Axis};
use std::f64::consts::TAU;

/// The mean field of probabilistic PCA and factor analysis by coordinate ascent (CAVI).
///
/// *Objective*: mean ELBO per row, Σ_n w_n ELBO_n / Σ_n w_n, over q(z_n) = Π_i N(z_ni; m_ni, s_ni²).
///
/// *Update*, for i = 1 … q in turn with all else held (PRML 10.9 for this model), h_n = Σ_j w_j (x_nj − μ_j)/ψ_j over the observed columns:
/// ```text
/// s_ni² = 1/Λ_ii,   m_ni ← (h_ni − Σ_{k≠i} Λ_ik m_nk) / Λ_ii
/// ```
/// which is Gauss–Seidel on Λ m = h: it converges for every Λ, at the rate of that iteration's spectral radius.
///
/// *Needs* known parameters. One pass over the data for h (O(N D q)), then O(N q²) a sweep.
///
/// *When it fails*: it can't, but with strongly correlated latents it is slow, and [`mean_field`](super::mean_field) is exact at once. It is here as
/// the method that models without such a closed form use, judged where there is one.
///
/// ```
/// use lvm_core::linear_gaussian::LinearGaussian;
/// use lvm_vi::local::{CoordinateAscent, mean_field};
/// use ndarray::array;
/// let model = LinearGaussian::new(array![0.0, 0.0], array![[1.0, 0.0], [1.0, 1.0]], array![1.0, 1.0])?;
/// let x = array![[1.0, 2.0], [-1.0, 0.5]];
/// let cavi = CoordinateAscent::default().fit(&model, &x)?.model;
/// assert!((cavi.mean() - mean_field(&model, &x)?.mean()).iter().all(|e| e.abs() < 1e-6));
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CoordinateAscent {
    /// When to stop.
    pub stopping: Stopping,
}

impl Default for CoordinateAscent {
    /// Until a sweep gains less than 1e-12 nats a row, or 1000 are done.
    fn default() -> Self {
        CoordinateAscent { stopping: Stopping { max_iterations: 1000, tolerance: 1e-12 } }
    }
}

impl CoordinateAscent {
    /// The mean field of the rows of `x` under `model`, from the prior means.
    ///
    /// # Errors
    /// If the data is unusable, its columns do not fit the model, or the stopping rule is out of range.
    pub fn fit(&self, model: &LinearGaussian, x: &dyn RowSource) -> Result<Fitted<LocalGaussian>> {
        check_stopping(self.stopping)?;
        run(&Sweeps { model }, x, self.stopping, 0, &mut unwatched)
    }
}

/// At least one iteration and a tolerance that is a number.
pub(crate) fn check_stopping(stopping: Stopping) -> Result<()> {
    if stopping.max_iterations == 0 {
        return Err(Error::config("max_iterations", "0 asked for, at least 1 is needed"));
    }
    if !(stopping.tolerance >= 0.0) {
        return Err(Error::config("tolerance", format!("{}; 0 or more is needed", stopping.tolerance)));
    }
    Ok(())
}

struct Sweeps<'a> {
    model: &'a LinearGaussian,
}

struct State {
    mean: Array2<f64>,
    /// h (N, q).
    linear: Array2<f64>,
    /// E_q[log p] + H without what depends on m (N).
    constant: Array1<f64>,
    patterns: Patterns,
    /// Λ of each pattern.
    precisions: Vec<Array2<f64>>,
}

impl Algorithm<dyn RowSource + '_> for Sweeps<'_> {
    type State = State;
    type Output = LocalGaussian;

    fn init(&self, x: &(dyn RowSource + '_), _seed: u64) -> Result<State> {
        let model = self.model;
        model.check(x)?;
        let q = model.latents();
        let patterns = Patterns::of(x)?;
        let precisions: Vec<_> = patterns.observed.iter().map(|columns| precision(model, columns)).collect();
        // h and Σ_j (x_j − μ_j)²/ψ_j of each row
        let mut table = map_rows(
            x,
            q + 1,
            || (),
            |(), block, mut out| {
                for j in 0..block.n_cols() {
                    let (mean, psi, w) = (model.mean()[j], model.noise()[j], model.loadings().row(j));
                    for (i, v) in block.column(j).iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                        let e = v - mean;
                        let mut row = out.row_mut(i);
                        row.iter_mut().zip(w).for_each(|(h, w)| *h += w * e / psi);
                        row[q] += e * e / psi;
                    }
                }
                Ok(())
            },
        )?;
        // −½ Σ_j [log 2πψ_j + e_j²/ψ_j] − ½ q log 2π − ½ tr(Λ S) + ½ Σ_i [1 + log 2π − log Λ_ii], with tr(Λ S) = q
        let fixed: Vec<f64> = patterns
            .observed
            .iter()
            .zip(&precisions)
            .map(|(columns, l)| {
                let noise: f64 = columns.iter().map(|&j| (TAU * model.noise()[j]).ln()).sum();
                -0.5 * (noise + l.diag().iter().map(|v| v.ln()).sum::<f64>())
            })
            .collect();
        let constant = (0..x.n_rows()).map(|n| fixed[patterns.index[n]] - 0.5 * table[[n, q]]).collect();
        table.remove_index(Axis(1), q);
        Ok(State { mean: Array2::zeros((x.n_rows(), q)), linear: table, constant, patterns, precisions })
    }

    fn step(&self, state: &mut State, x: &(dyn RowSource + '_)) -> Result<Step> {
        let mut elbo = state.constant.clone();
        for (n, (mut m, h)) in state.mean.rows_mut().into_iter().zip(state.linear.rows()).enumerate() {
            let precision = &state.precisions[state.patterns.index[n]];
            for i in 0..m.len() {
                let row = precision.row(i);
                m[i] += (h[i] - row.dot(&m)) / row[i];
            }
            // hᵀm − ½ mᵀ Λ m
            elbo[n] += m.iter().zip(h).zip(precision.rows()).map(|((m_i, h_i), row)| m_i * (h_i - 0.5 * row.dot(&m))).sum::<f64>();
        }
        Ok(Step { objective: weighted_sum(&elbo, x) / total_weight(x), converged: false, repairs: Vec::new() })
    }

    fn finish(&self, state: State) -> Result<LocalGaussian> {
        let factors = state.precisions.iter().map(|l| Array2::from_diag(&l.diag().mapv(|v| 1.0 / v.sqrt()))).collect();
        LocalGaussian::indexed(Shape::Diagonal, state.mean, factors, state.patterns.index)
    }
}
