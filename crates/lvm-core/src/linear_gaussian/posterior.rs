//! Gaussian posteriors of N rows, sharing their covariance where the same columns were observed.

use super::LOG_2PI;
use crate::error::{ErrorKind, Result};
use crate::linalg;
use crate::model::LatentDist;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// N(z_n; z̄_n, C_n) for each of N rows. Rows that observe the same columns have the same C_n, stored once.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianPosterior {
    mean: Array2<f64>,
    covariances: Vec<Array2<f64>>,
    /// Lower Cholesky factors.
    lower: Vec<Array2<f64>>,
    index: Option<Vec<usize>>,
    /// T⁻¹, if these are posteriors of f = Tᵀ z with z ~ N(0, I).
    unrotate: Option<Array2<f64>>,
}

impl GaussianPosterior {
    pub(super) fn new(mean: Array2<f64>, covariances: Vec<Array2<f64>>, index: Option<Vec<usize>>) -> Result<Self> {
        let lower = covariances
            .iter()
            .map(|c| if c.is_empty() { Ok(c.clone()) } else { linalg::cholesky(c.view()).map_err(|e| e.of("posterior covariance")) })
            .collect::<Result<_>>()?;
        Ok(GaussianPosterior { mean, covariances, lower, index, unrotate: None })
    }

    /// The posteriors of f = Tᵀ z: means Tᵀ z̄, covariances Tᵀ C T.
    pub(crate) fn transformed(&self, t: ArrayView2<'_, f64>, inverse: ArrayView2<'_, f64>) -> Result<Self> {
        let symmetric = |c: &Array2<f64>| {
            let mut turned = t.t().dot(c).dot(&t);
            linalg::mirror_lower(&mut turned);
            turned
        };
        let covariances = self.covariances.iter().map(symmetric).collect();
        let turned = Self::new(self.mean.dot(&t), covariances, self.index.clone())?;
        Ok(GaussianPosterior { unrotate: Some(inverse.to_owned()), ..turned })
    }

    /// z̄ (N, q).
    pub fn mean(&self) -> &Array2<f64> {
        &self.mean
    }

    /// C_n (q, q) of row `n`; the same for all rows when nothing is missing.
    ///
    /// # Panics
    /// If there is no row `n`.
    pub fn covariance(&self, n: usize) -> ArrayView2<'_, f64> {
        // invariant: a row number is the caller's own, as under Panics
        assert!(n < self.mean.nrows(), "row {n} of a posterior of {} rows", self.mean.nrows());
        self.covariances[self.pattern(n)].view()
    }

    /// Whether all rows have the same covariance.
    pub fn shares_covariance(&self) -> bool {
        self.index.is_none()
    }

    /// H[q(z_n)] = ½ (q log 2π + q + log det C_n) in nats; (N).
    pub fn entropy(&self) -> Array1<f64> {
        let q = self.mean.ncols() as f64;
        let entropies: Vec<f64> = self.lower.iter().map(|l| 0.5 * (q * (LOG_2PI + 1.0) + linalg::log_det(l.view()))).collect();
        Array1::from_shape_fn(self.mean.nrows(), |n| entropies[self.pattern(n)])
    }

    /// KL(q_n ‖ p(z)) in nats, (N): what the ELBO subtracts. For p(z) = N(0, I) it is ½ (tr C_n + ‖z̄_n‖² − q − log det C_n), for
    /// factors rotated by T (prior N(0, TᵀT)) the same of T⁻ᵀ z.
    pub fn kl_from_prior(&self) -> Array1<f64> {
        if let Some(inverse) = &self.unrotate {
            // log det of T⁻ᵀ C T⁻¹ needs no Cholesky factor of its own: log |det T⁻¹| is added to the factor's
            let plain = self.mean.dot(inverse);
            let covariances: Vec<Array2<f64>> = self.covariances.iter().map(|c| inverse.t().dot(c).dot(inverse)).collect();
            let log_det = linalg::qr(inverse.view()).map_or(f64::NAN, |(_, r)| r.diag().iter().map(|v| v.abs().ln()).sum());
            return Array1::from_shape_fn(plain.nrows(), |n| {
                let (pattern, z) = (self.pattern(n), plain.row(n));
                let log_det = linalg::log_det(self.lower[pattern].view()) + 2.0 * log_det;
                0.5 * (covariances[pattern].diag().sum() + z.dot(&z) - z.len() as f64 - log_det)
            });
        }
        let q = self.mean.ncols() as f64;
        let constants: Vec<f64> =
            self.covariances.iter().zip(&self.lower).map(|(c, l)| c.diag().sum() - q - linalg::log_det(l.view())).collect();
        Array1::from_shape_fn(self.mean.nrows(), |n| {
            let z = self.mean.row(n);
            0.5 * (constants[self.pattern(n)] + z.dot(&z))
        })
    }

    fn pattern(&self, n: usize) -> usize {
        self.index.as_ref().map_or(0, |index| index[n])
    }
}

impl LatentDist for GaussianPosterior {
    type Z = Array2<f64>;

    fn sample(&self, rng: &mut dyn Rng) -> Array2<f64> {
        let mut z = self.mean.clone();
        for (n, mut row) in z.axis_iter_mut(Axis(0)).enumerate() {
            let e: Array1<f64> = Array1::from_shape_simple_fn(row.len(), || StandardNormal.sample(rng));
            row += &self.lower[self.pattern(n)].dot(&e);
        }
        z
    }

    fn log_prob(&self, z: &Array2<f64>) -> Result<Array1<f64>> {
        for (what, expected, found) in
            [("number of rows of z", self.mean.nrows(), z.nrows()), ("number of columns of z", self.mean.ncols(), z.ncols())]
        {
            if expected != found {
                return Err(ErrorKind::Shape { what, expected, found }.into());
            }
        }
        let q = self.mean.ncols();
        let normalisers: Vec<f64> = self.lower.iter().map(|l| q as f64 * LOG_2PI + linalg::log_det(l.view())).collect();
        Ok(Array1::from_shape_fn(z.nrows(), |n| {
            let pattern = self.pattern(n);
            let lower = &self.lower[pattern];
            // e = L⁻¹ (z − z̄) by forward substitution
            let mut e = &z.row(n) - &self.mean.row(n);
            for i in 0..q {
                for k in 0..i {
                    e[i] -= lower[[i, k]] * e[k];
                }
                e[i] /= lower[[i, i]];
            }
            -0.5 * (normalisers[pattern] + e.dot(&e))
        }))
    }

    fn mode(&self) -> Array2<f64> {
        self.mean.clone()
    }
}
