//! The four shapes of a component's covariance.

use crate::error::{Error, Result};
use crate::linalg;
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// What the covariances of the components have in common.
///
/// | type | Σ_k | free parameters |
/// |---|---|---|
/// | full | any | K D (D + 1) / 2 |
/// | tied | Σ | D (D + 1) / 2 |
/// | diag | diag(σ²_k1, …, σ²_kD) | K D |
/// | spherical | σ²_k I | K |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CovarianceType {
    /// A matrix for each component.
    #[default]
    Full,
    /// One matrix for all components.
    Tied,
    /// A diagonal matrix for each component.
    #[serde(rename = "diag")]
    Diagonal,
    /// One variance for each component.
    Spherical,
}

impl CovarianceType {
    /// All four, from the most flexible to the least.
    pub const ALL: [CovarianceType; 4] = [CovarianceType::Full, CovarianceType::Tied, CovarianceType::Diagonal, CovarianceType::Spherical];

    /// Free parameters of the covariances of `k` components in `d` dimensions.
    pub fn n_parameters(self, k: usize, d: usize) -> usize {
        match self {
            CovarianceType::Full => k * d * (d + 1) / 2,
            CovarianceType::Tied => d * (d + 1) / 2,
            CovarianceType::Diagonal => k * d,
            CovarianceType::Spherical => k,
        }
    }

    /// Numbers in the sums of squares of `k` components in `d` dimensions.
    pub(crate) fn n_sums(self, k: usize, d: usize) -> usize {
        match self {
            CovarianceType::Full => k * d * d,
            CovarianceType::Tied => d * d,
            CovarianceType::Diagonal => k * d,
            CovarianceType::Spherical => k,
        }
    }
}

impl fmt::Display for CovarianceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CovarianceType::Full => "full",
            CovarianceType::Tied => "tied",
            CovarianceType::Diagonal => "diag",
            CovarianceType::Spherical => "spherical",
        })
    }
}

impl FromStr for CovarianceType {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        CovarianceType::ALL
            .into_iter()
            .find(|t| t.to_string() == s)
            .ok_or_else(|| Error::config("covariance", format!("\"{s}\" is not one of full, tied, diag, spherical")))
    }
}

/// The covariances of K components in D dimensions.
#[derive(Debug, Clone, PartialEq)]
pub enum Covariances {
    /// Σ_k (K, D, D), symmetric.
    Full(Array3<f64>),
    /// Σ (D, D), symmetric.
    Tied(Array2<f64>),
    /// σ²_kj (K, D).
    Diagonal(Array2<f64>),
    /// σ²_k (K).
    Spherical(Array1<f64>),
}

impl Covariances {
    /// Which shape it is.
    pub fn covariance_type(&self) -> CovarianceType {
        match self {
            Covariances::Full(_) => CovarianceType::Full,
            Covariances::Tied(_) => CovarianceType::Tied,
            Covariances::Diagonal(_) => CovarianceType::Diagonal,
            Covariances::Spherical(_) => CovarianceType::Spherical,
        }
    }

    /// Σ_k as a matrix (D, D), in `d` dimensions.
    ///
    /// # Panics
    /// If there is no component `k`, as indexing would; a tied covariance is that of any.
    pub fn matrix(&self, k: usize, d: usize) -> Cow<'_, Array2<f64>> {
        match self {
            Covariances::Full(c) => Cow::Owned(c.index_axis(Axis(0), k).to_owned()),
            Covariances::Tied(c) => Cow::Borrowed(c),
            Covariances::Diagonal(c) => Cow::Owned(Array2::from_diag(&c.row(k))),
            Covariances::Spherical(c) => Cow::Owned(Array2::from_diag_elem(d, c[k])),
        }
    }

    /// Checks shapes and values, and makes matrices exactly symmetric.
    pub(crate) fn checked(self, k: usize, d: usize) -> Result<Self> {
        let shape = |found: &[usize], expected: &[usize]| {
            if found == expected {
                return Ok(());
            }
            Err(Error::config("covariances", format!("shape {found:?} found, {expected:?} needed for {k} components in {d} dimensions")))
        };
        let positive = |k: usize, v: f64| {
            if v.is_finite() && v > 0.0 {
                return Ok(());
            }
            Err(Error::config("covariances", format!("variance {v} of component {k} (from 0); variances are finite and above zero")))
        };
        match self {
            Covariances::Full(mut c) => {
                shape(c.shape(), &[k, d, d])?;
                for (index, mut matrix) in c.outer_iter_mut().enumerate() {
                    let clean = symmetric(matrix.view(), &format!("covariance of component {index} (from 0)"))?;
                    matrix.assign(&clean);
                }
                Ok(Covariances::Full(c))
            }
            Covariances::Tied(c) => {
                shape(c.shape(), &[d, d])?;
                Ok(Covariances::Tied(symmetric(c.view(), "the tied covariance")?))
            }
            Covariances::Diagonal(c) => {
                shape(c.shape(), &[k, d])?;
                c.indexed_iter().try_for_each(|((k, _), v)| positive(k, *v))?;
                Ok(Covariances::Diagonal(c))
            }
            Covariances::Spherical(c) => {
                shape(c.shape(), &[k])?;
                c.iter().enumerate().try_for_each(|(k, v)| positive(k, *v))?;
                Ok(Covariances::Spherical(c))
            }
        }
    }
}

/// The lower triangle mirrored, if the matrix is finite and symmetric to rounding.
fn symmetric(a: ArrayView2<'_, f64>, what: &str) -> Result<Array2<f64>> {
    if a.iter().any(|v| !v.is_finite()) {
        return Err(Error::config("covariances", format!("{what} is not finite")));
    }
    for i in 0..a.nrows() {
        for j in 0..i {
            // Entries may have been rounded in a file of few digits; anything beyond 1e-8 of the scale is a mistake.
            let scale = (a[[i, i]].abs() * a[[j, j]].abs()).sqrt();
            if (a[[i, j]] - a[[j, i]]).abs() > 1e-8 * scale {
                return Err(Error::config("covariances", format!("{what} is not symmetric at ({i}, {j})")));
            }
        }
    }
    let mut out = a.as_standard_layout().into_owned();
    linalg::mirror_lower(&mut out);
    Ok(out)
}
