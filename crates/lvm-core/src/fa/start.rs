//! Where a fit begins.

use super::concentrated::Concentrated;
use super::model::FactorAnalysis;
use super::sample_covariance::SampleCovariance;
use super::solution::Solution;
use crate::error::{Error, ErrorKind, Result};
use crate::fit::Fitted;
use crate::linalg;
use crate::model::LatentModel;
use crate::random::{Purpose, stream};
use ndarray::{Array1, Array2, Axis};
use rand::RngExt;

/// Least share of the variance that the first start gives to a uniqueness, and that the second does where that held one up: what the other
/// columns explain to the last digit (two columns that are nearly equal) leads to other maxima from either.
const SMALL: f64 = 0.005;
const TINY: f64 = 1e-9;

/// Where the first start of a fit is; further restarts are random.
// there is one start a fit: its size does not matter, a box in every caller's hands would
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Start {
    /// ψ_j = (1 − q/2D) / (S⁻¹)_jj (Jöreskog 1967): what the other columns leave of column j, somewhat reduced, and at least 0.005 of its
    /// variance. Where that holds one up, the second start has these without it.
    #[default]
    PartialVariances,
    /// Uniquenesses as shares of the variance (D), each above 0 and at most 1.
    Uniquenesses(Array1<f64>),
    /// A model: used alone, without restarts. The direct methods take its ψ, EM its W and ψ, and EM with missing entries its mean too.
    Parameters(FactorAnalysis),
    /// Where an earlier fit ended, by the same method: the same iterations follow, bit for bit, and stop where they would have stopped
    /// without the interruption.
    Resume(Fitted<FactorAnalysis>),
}

impl Start {
    /// The model to start from, if one was given.
    pub(super) fn model(&self) -> Option<&FactorAnalysis> {
        match self {
            Start::Parameters(model) | Start::Resume(Fitted { model, .. }) => Some(model),
            Start::PartialVariances | Start::Uniquenesses(_) => None,
        }
    }

    /// The objective of the fit that is resumed.
    pub(super) fn resumed_at(&self) -> Option<f64> {
        match self {
            Start::Resume(earlier) => earlier.trace.last().copied(),
            _ => None,
        }
    }

    pub(super) fn check(&self, d: usize, q: usize) -> Result<()> {
        let shape = |what, expected, found| match expected == found {
            true => Ok(()),
            false => Err(Error::from(ErrorKind::Shape { what, expected, found })),
        };
        match self {
            Start::PartialVariances => Ok(()),
            Start::Uniquenesses(u) => {
                shape("number of starting uniquenesses", d, u.len())?;
                match u.iter().position(|u| !(*u > 0.0 && *u <= 1.0)) {
                    Some(j) => Err(Error::config("start", format!("uniqueness {j} (from 0) is {}; above 0 and at most 1 is needed", u[j]))),
                    None => Ok(()),
                }
            }
            Start::Parameters(model) | Start::Resume(Fitted { model, .. }) => {
                shape("number of columns of the starting model", d, model.dim())?;
                shape("number of factors of the starting model", q, model.factors())
            }
        }
    }

    /// ψ for a restart, in the units of the sample covariance.
    pub(super) fn psi(&self, sample: &SampleCovariance, q: usize, seed: u64, restart: usize) -> Result<Array1<f64>> {
        if let (1, Start::PartialVariances) = (restart, self) {
            let psi = partial_variances(sample, q, TINY)?;
            if psi.iter().zip(&sample.variance).any(|(psi, v)| *psi < SMALL * v) {
                return Ok(psi);
            }
        }
        if restart > 0 {
            let mut rng = stream(seed, Purpose::Start, restart as u64);
            return Ok(sample.variance.mapv(|v| v * rng.random_range(0.05..0.95)));
        }
        match self {
            Start::PartialVariances => partial_variances(sample, q, SMALL),
            Start::Uniquenesses(u) => Ok(&sample.variance * u),
            Start::Parameters(model) | Start::Resume(Fitted { model, .. }) => Ok(model.noise_variances() / &sample.unit.mapv(|s| s * s)),
        }
    }

    /// W and ψ for a restart: those given, or ψ with the best W for it.
    pub(super) fn solution(&self, f: &Concentrated<'_>, seed: u64, restart: usize) -> Result<Solution> {
        if restart == 0
            && let Some(model) = self.model()
        {
            let psi = self.psi(f.sample, f.factors, seed, 0)?;
            let w = model.linear_gaussian().loadings() / &f.sample.unit.view().insert_axis(Axis(1));
            return Ok(Solution { mean: None, loadings: w, psi });
        }
        let psi = self.psi(f.sample, f.factors, seed, restart)?;
        let point = f.at(psi, None, 1e-9)?;
        Ok(Solution::new(None, point.loadings(f.factors), point.psi))
    }
}

fn partial_variances(sample: &SampleCovariance, q: usize, least: f64) -> Result<Array1<f64>> {
    let d = sample.dim();
    let share = 1.0 - q as f64 / (2.0 * d as f64);
    // Fewer rows than columns, or columns that are linearly dependent: a small ridge leaves the order of the partial variances.
    let mut c = sample.c.clone();
    let mut ridge = 0.0;
    let lower = loop {
        match linalg::cholesky(c.view()) {
            Ok(lower) if lower.diag().iter().zip(&sample.variance).all(|(l, v)| l * l > 1e-10 * v) => break lower,
            _ if ridge < 1.0 => {
                ridge = if ridge == 0.0 { 1e-6 } else { 10.0 * ridge };
                c = &sample.c + &Array2::from_diag(&(&sample.variance * ridge));
            }
            _ => return Ok(&sample.variance * 0.5),
        }
    };
    // (C⁻¹)_jj = Σ_i (L⁻¹)_ij²
    let inverse = linalg::inverse_lower(lower.view());
    let mut precision = Array1::zeros(d);
    inverse.outer_iter().for_each(|row| precision.zip_mut_with(&row, |p: &mut f64, v| *p += v * v));
    Ok(ndarray::Zip::from(&precision).and(&sample.variance).map_collect(|p, v| (share / p).clamp(least * v, 0.995 * v)))
}
