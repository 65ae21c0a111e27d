//! Rotations of the loadings: the model stays, the axes of the factors move.
//!
//! Any invertible T gives x = μ + W z + ε = μ + Λ f + ε with f = Tᵀ z, Λ = W T⁻ᵀ and Cov f = Φ = Tᵀ T. For an orthogonal T, Λ = W T
//! and Φ = I; an oblique T has columns of length 1, so that Φ is a correlation matrix. The evidence does not change.

mod oblimin;
mod orthomax;
mod promax;

use super::solution::convention;
use crate::error::{Error, ErrorKind, Result};
use crate::linalg;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Whether variables count by their communality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Rows of the loadings are brought to length 1 while the rotation is sought (Kaiser 1958), so that every variable counts the same.
    #[default]
    Kaiser,
    /// Rows are taken as they are.
    None,
}

/// A criterion of simple structure. All work on standardised loadings λ_jk = W_jk / σ_j, so units of the columns do not matter.
///
/// ```
/// use lvm_core::fa::{FactorAnalysis, Rotation};
/// use ndarray::array;
/// let w = array![[0.8, 0.3], [0.7, 0.4], [0.6, -0.5], [0.5, -0.6]];
/// let model = FactorAnalysis::new(array![0.0, 0.0, 0.0, 0.0], w, array![0.3, 0.4, 0.4, 0.4])?;
/// let varimax = model.rotated(Rotation::varimax())?;
/// assert_eq!(varimax.factor_correlations()[[0, 1]], 0.0);
/// let oblimin = model.rotated("oblimin".parse()?)?;
/// assert!(oblimin.factor_correlations()[[0, 1]] != 0.0);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rotation", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rotation {
    /// Orthogonal; maximises Σ_k [Σ_j λ_jk⁴ − (Σ_j λ_jk²)²/D] (Kaiser 1958).
    Varimax {
        /// Kaiser is usual.
        normalization: Normalization,
    },
    /// Orthogonal; maximises Σ_jk λ_jk⁴ (Neuhaus & Wrigley 1954).
    Quartimax {
        /// Kaiser is usual.
        normalization: Normalization,
    },
    /// Oblique; the least-squares fit of the varimax loadings to sign(λ) |λ|^power (Hendrickson & White 1964).
    Promax {
        /// 4 is usual; at least 1.
        power: f64,
        /// Of the varimax rotation it starts from.
        normalization: Normalization,
    },
    /// Oblique; minimises ½ Σ_{k<l} [Σ_j λ_jk² λ_jl² − γ/D (Σ_j λ_jk²)(Σ_j λ_jl²)] directly (Jennrich & Sampson 1966) by gradient
    /// projection (Jennrich 2002).
    Oblimin {
        /// 0 is quartimin, the usual choice; negative values make the factors less oblique; at most 0.8, above 0 it may not converge.
        gamma: f64,
        /// None is usual.
        normalization: Normalization,
    },
}

impl Rotation {
    /// Varimax with Kaiser's normalisation.
    pub fn varimax() -> Self {
        Rotation::Varimax { normalization: Normalization::Kaiser }
    }
    /// Quartimax with Kaiser's normalisation.
    pub fn quartimax() -> Self {
        Rotation::Quartimax { normalization: Normalization::Kaiser }
    }
    /// Promax with power 4 from varimax with Kaiser's normalisation.
    pub fn promax() -> Self {
        Rotation::Promax { power: 4.0, normalization: Normalization::Kaiser }
    }
    /// Oblimin with γ = 0 (quartimin), not normalised.
    pub fn oblimin() -> Self {
        Rotation::Oblimin { gamma: 0.0, normalization: Normalization::None }
    }

    /// Whether the factors may be correlated.
    pub fn is_oblique(&self) -> bool {
        matches!(self, Rotation::Promax { .. } | Rotation::Oblimin { .. })
    }

    pub(super) fn check(&self) -> Result<()> {
        match *self {
            Rotation::Promax { power, .. } if !(1.0..=20.0).contains(&power) => {
                Err(Error::config("power", format!("promax to the power {power} asked for; 1 to 20 are allowed, 4 is usual")))
            }
            Rotation::Oblimin { gamma, .. } if !(-100.0..=0.8).contains(&gamma) => {
                Err(Error::config("gamma", format!("oblimin with gamma {gamma} asked for; −100 to 0.8 are allowed, 0 is usual")))
            }
            _ => Ok(()),
        }
    }

    /// T (q, q) and whether the search converged, for standardised loadings (D, q); columns ordered and signed.
    pub(super) fn matrix(&self, lambda: ArrayView2<'_, f64>) -> Result<(Array2<f64>, bool)> {
        self.check()?;
        let q = lambda.ncols();
        if q < 2 {
            return Ok((Array2::eye(q), true));
        }
        let (t, converged) = match *self {
            Rotation::Varimax { normalization } => orthomax::rotate(&normalized(lambda, normalization), 1.0),
            Rotation::Quartimax { normalization } => orthomax::rotate(&normalized(lambda, normalization), 0.0),
            Rotation::Promax { power, normalization } => {
                let (t, converged) = orthomax::rotate(&normalized(lambda, normalization), 1.0);
                (promax::oblique(lambda, &t, power)?, converged)
            }
            Rotation::Oblimin { gamma, normalization } => {
                let a = normalized(lambda, normalization);
                // from the quartimax axes: the orthogonal solution of the same criterion
                let (start, _) = orthomax::rotate(&a, 0.0);
                oblimin::rotate(&a, start, gamma)?
            }
        };
        let pattern = pattern(lambda, t.view())?;
        let structure = linalg::matmul(pattern.view(), linalg::matmul(t.t(), t.view()).view());
        let (order, signs) = convention(pattern.view(), Some(structure.view()));
        Ok((t.select(Axis(1), &order) * &signs, converged))
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rotation::Varimax { .. } => "varimax",
            Rotation::Quartimax { .. } => "quartimax",
            Rotation::Promax { .. } => "promax",
            Rotation::Oblimin { .. } => "oblimin",
        })
    }
}

impl FromStr for Rotation {
    type Err = Error;

    /// `varimax`, `quartimax`, `promax` or `oblimin`, each with its usual settings.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "varimax" => Ok(Rotation::varimax()),
            "quartimax" => Ok(Rotation::quartimax()),
            "promax" => Ok(Rotation::promax()),
            "oblimin" => Ok(Rotation::oblimin()),
            _ => Err(Error::config("rotation", format!("\"{name}\" is unknown; varimax, quartimax, promax and oblimin are there"))),
        }
    }
}

/// Λ = W T⁻ᵀ.
pub(super) fn pattern(w: ArrayView2<'_, f64>, t: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    Ok(linalg::matmul(w, inverse(t)?.t()))
}

/// T⁻¹ of a small general matrix, by QR.
pub(super) fn inverse(t: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    if t.is_empty() {
        return Ok(t.to_owned());
    }
    let (q, r) = linalg::qr(t)?;
    let largest = r.diag().iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    if r.diag().iter().any(|v| !(v.abs() > 1e-13 * largest)) {
        return Err(ErrorKind::Decomposition { what: "rotation to linearly independent factors" }.into());
    }
    // R X = Qᵀ, with R = (Rᵀ)ᵀ and Rᵀ lower
    let mut x = q.reversed_axes().as_standard_layout().into_owned();
    linalg::solve_lower_transposed(r.t(), x.view_mut());
    Ok(x)
}

fn normalized(lambda: ArrayView2<'_, f64>, normalization: Normalization) -> Array2<f64> {
    let mut a = lambda.to_owned();
    if normalization == Normalization::Kaiser {
        let lengths: Array1<f64> = a.rows().into_iter().map(|r| r.dot(&r).sqrt()).collect();
        for (mut row, length) in a.rows_mut().into_iter().zip(lengths) {
            // a variable that has nothing in common with the others does not decide anything
            if length > 0.0 {
                row /= length;
            }
        }
    }
    a
}
