//! The prior of a component's mean and precision.

use lvm_core::dist::Wishart;
use lvm_core::gmm::CovarianceType;
use lvm_core::moments::{mean_and_variances, moments, refuse_missing};
use lvm_core::rows::RowSource;
use lvm_core::sweep::check_shape;
use lvm_core::{Error, ErrorKind, Result, linalg};
use ndarray::{Array1, Array2};

/// W₀⁻¹, the inverse of the scale matrix of the Wishart prior, in squared units of the data.
#[derive(Debug, Clone, PartialEq)]
pub enum Scale {
    /// (D, D), symmetric positive definite.
    Full(Array2<f64>),
    /// Its diagonal (D): precisions λ_j ~ Gamma(ν₀/2, rate s_j/2), independent.
    Diagonal(Array1<f64>),
}

/// p(μ, Λ) = N(μ; m₀, (β₀ Λ)⁻¹) Wishart(Λ; ν₀, W₀); for diagonal Λ a product over columns of N(μ_j; m₀_j, (β₀ λ_j)⁻¹)
/// Gamma(λ_j; ν₀/2, rate s_j/2), which is the same for D = 1.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentPrior {
    mean: Array1<f64>,
    mean_precision: f64,
    dof: f64,
    scale_inverse: Scale,
    log_det: f64,
}

impl ComponentPrior {
    /// With m₀ (D), β₀ > 0 rows' worth of belief in it, ν₀ > D − 1 degrees of freedom (above 0 for diagonal scales) and W₀⁻¹.
    ///
    /// # Errors
    /// If a number is outside its range, shapes differ or the scale is not symmetric positive definite.
    pub fn new(mean: Array1<f64>, mean_precision: f64, dof: f64, scale_inverse: Scale) -> Result<Self> {
        let d = mean.len();
        if d == 0 {
            return Err(ErrorKind::Empty.into());
        }
        if let Some((j, v)) = mean.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            return Err(Error::config("mean", format!("{v} in column {j} (from 0)")));
        }
        if !(mean_precision > 0.0 && mean_precision.is_finite()) {
            return Err(Error::config("mean_precision", format!("{mean_precision} must be positive and finite")));
        }
        let log_det = match &scale_inverse {
            Scale::Full(s) => {
                if s.dim() != (d, d) {
                    return Err(ErrorKind::Shape {
                        what: "size of the prior's scale matrix",
                        expected: d,
                        found: s.nrows().max(s.ncols()),
                    }
                    .into());
                }
                // refuses what is no Wishart: degrees of freedom, symmetry, definiteness
                Wishart::new(dof, s.view())?;
                let l = linalg::cholesky(s.view()).map_err(|e| e.of("the prior's scale matrix"))?;
                linalg::log_det(l.view())
            }
            Scale::Diagonal(s) => {
                if s.len() != d {
                    return Err(ErrorKind::Shape { what: "size of the prior's scales", expected: d, found: s.len() }.into());
                }
                if let Some((j, v)) = s.iter().enumerate().find(|(_, v)| !(**v > 0.0 && v.is_finite())) {
                    return Err(Error::config("scale_inverse", format!("{v} in column {j} (from 0); it must be positive and finite")));
                }
                if !(dof > 0.0 && dof.is_finite()) {
                    return Err(Error::config("dof", format!("{dof} must be positive and finite")));
                }
                s.mapv(f64::ln).sum()
            }
        };
        Ok(ComponentPrior { mean, mean_precision, dof, scale_inverse, log_det })
    }

    /// m₀ (D).
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }
    /// β₀.
    pub fn mean_precision(&self) -> f64 {
        self.mean_precision
    }
    /// ν₀.
    pub fn dof(&self) -> f64 {
        self.dof
    }
    /// W₀⁻¹.
    pub fn scale_inverse(&self) -> &Scale {
        &self.scale_inverse
    }
    /// log det W₀⁻¹.
    pub(super) fn log_det(&self) -> f64 {
        self.log_det
    }
    /// D.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }
}

/// The prior as it is asked for; what is `None` is taken from the data.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorSettings {
    /// m₀ (D); the mean of the table if `None`.
    pub mean: Option<Array1<f64>>,
    /// β₀.
    pub mean_precision: f64,
    /// ν₀; D if `None`, 1 for diagonal covariances: the weakest whole number that is proper.
    pub dof: Option<f64>,
    /// W₀⁻¹; the covariance of the table (divisor N) if `None`.
    pub scale_inverse: Option<Scale>,
}

impl Default for PriorSettings {
    fn default() -> Self {
        PriorSettings { mean: None, mean_precision: 1.0, dof: None, scale_inverse: None }
    }
}

impl PriorSettings {
    /// The prior, completed from the data.
    ///
    /// # Errors
    /// If the data is unusable or does not fit, if the settings are out of range, or if all rows are equal or a column is constant and
    /// the scale was to come from the data.
    pub fn resolve(&self, data: &dyn RowSource, covariance: CovarianceType) -> Result<ComponentPrior> {
        check_shape(data, self.mean.as_ref().map(Array1::len))?;
        refuse_missing(data, "a Bayesian mixture")?;
        let d = data.n_cols();
        let (mean, scale_inverse, dof) = match covariance {
            CovarianceType::Full => {
                let m = moments(data)?;
                varies(data, &m.covariance.diag().to_owned(), self.scale_inverse.is_none())?;
                (m.mean, Scale::Full(m.covariance), d as f64)
            }
            CovarianceType::Diagonal => {
                let (_, mean, variances) = mean_and_variances(data)?;
                varies(data, &variances, self.scale_inverse.is_none())?;
                (mean, Scale::Diagonal(variances), 1.0)
            }
            other => return Err(Error::config("covariance", format!("{other}; a Bayesian mixture has full or diag covariances"))),
        };
        let scale_inverse = self.scale_inverse.clone().unwrap_or(scale_inverse);
        if matches!(scale_inverse, Scale::Diagonal(_)) != (covariance == CovarianceType::Diagonal) {
            return Err(Error::config("scale_inverse", format!("its shape is not that of {covariance} covariances")));
        }
        ComponentPrior::new(self.mean.clone().unwrap_or(mean), self.mean_precision, self.dof.unwrap_or(dof), scale_inverse)
    }
}

/// Refuses columns without variance where a scale is to be taken from them.
fn varies(data: &dyn RowSource, variances: &Array1<f64>, needed: bool) -> Result<()> {
    let constant = |v: &f64| *v < 1e-280;
    if !needed {
        return Ok(());
    }
    if variances.iter().all(constant) {
        return Err(ErrorKind::NoVariation.into());
    }
    let columns: Vec<_> = (0..variances.len()).filter(|&j| constant(&variances[j])).map(|j| (j, data.column_name(j))).collect();
    if columns.is_empty() { Ok(()) } else { Err(ErrorKind::ConstantColumns { columns }.into()) }
}
