//! q(μ, Λ): a Gaussian-Wishart distribution for each component, or for each column of it.

use super::prior::{ComponentPrior, Scale};
use lvm_core::dist::Gamma;
use lvm_core::gmm::{QuadraticScores, ResponsibilitySums, SecondMoments, Whitener};
use lvm_core::mutant::planted;
use lvm_core::special::{HALF_LOG_2PI, digamma, multivariate_lgamma};
use lvm_core::{Error, ErrorKind, Result, linalg};
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, Axis};
use std::f64::consts::LN_2;

/// q(μ, Λ) = Π_k N(μ_k; m_k, (β_k Λ_k)⁻¹) Wishart(Λ_k; ν_k, W_k).   PRML 10.59
///
/// For diagonal precisions Λ_k = diag(λ_k1, …, λ_kD) the second factor is Π_j Gamma(λ_kj; ν_k/2, rate s_kj/2), s the diagonal of W⁻¹.
#[derive(Debug, Clone)]
pub struct GaussianWishart {
    mean_precision: Array1<f64>,
    means: Array2<f64>,
    dof: Array1<f64>,
    scale_inverse: SecondMoments,
    /// L_k⁻¹ with W_k⁻¹ = L_k L_kᵀ, or 1/√s_kj.
    whitener: Whitener,
    /// log det W_k⁻¹ (K).
    log_det: Array1<f64>,
}

impl PartialEq for GaussianWishart {
    fn eq(&self, other: &Self) -> bool {
        let key = |q: &Self| (q.mean_precision.clone(), q.means.clone(), q.dof.clone(), q.scale_inverse.clone());
        key(self) == key(other)
    }
}

impl GaussianWishart {
    /// With β (K), m (K, D), ν (K) and W⁻¹.
    ///
    /// # Errors
    /// If shapes do not fit, a number is outside its range, or a scale matrix is not positive definite.
    pub fn new(mean_precision: Array1<f64>, means: Array2<f64>, dof: Array1<f64>, scale_inverse: SecondMoments) -> Result<Self> {
        let (k, d) = means.dim();
        let same = |what, expected, found| {
            if expected == found { Ok(()) } else { Err(Error::from(ErrorKind::Shape { what, expected, found })) }
        };
        same("number of mean precisions", k, mean_precision.len())?;
        same("number of degrees of freedom", k, dof.len())?;
        let least = if matches!(scale_inverse, SecondMoments::Full(_)) { d as f64 - 1.0 } else { 0.0 };
        if !mean_precision.iter().all(|b| *b > 0.0 && b.is_finite()) || !means.iter().all(|m| m.is_finite()) {
            return Err(Error::config("components", "mean precisions must be positive, means finite"));
        }
        if !dof.iter().all(|v| *v > least && v.is_finite()) {
            return Err(Error::config("dof", format!("degrees of freedom must be above {least} and finite")));
        }
        let (whitener, log_det) = match &scale_inverse {
            SecondMoments::Full(s) => {
                same("rows of scale matrices", k * d * d, s.len())?;
                let (mut inverse, mut log_det) = (Array3::zeros((k, d, d)), Array1::zeros(k));
                for (k, s) in s.outer_iter().enumerate() {
                    let l = linalg::cholesky(s).map_err(|e| e.of(format!("the scale matrix of component {k} (from 0)")))?;
                    inverse.index_axis_mut(Axis(0), k).assign(&linalg::inverse_lower(l.view()));
                    log_det[k] = linalg::log_det(l.view());
                }
                (Whitener::Full(inverse), log_det)
            }
            SecondMoments::Diagonal(s) => {
                same("numbers of scales", k * d, s.len())?;
                if !s.iter().all(|v| *v > 0.0 && v.is_finite()) {
                    return Err(Error::config("scale_inverse", "scales must be positive and finite"));
                }
                (Whitener::Diagonal(s.mapv(|s| 1.0 / s.sqrt())), s.mapv(f64::ln).sum_axis(Axis(1)))
            }
        };
        Ok(GaussianWishart { mean_precision, means, dof, scale_inverse, whitener, log_det })
    }

    /// β (K).
    pub fn mean_precision(&self) -> &Array1<f64> {
        &self.mean_precision
    }
    /// m (K, D).
    pub fn means(&self) -> &Array2<f64> {
        &self.means
    }
    /// ν (K).
    pub fn dof(&self) -> &Array1<f64> {
        &self.dof
    }
    /// W⁻¹.
    pub fn scale_inverse(&self) -> &SecondMoments {
        &self.scale_inverse
    }
    /// K.
    pub fn n_components(&self) -> usize {
        self.means.nrows()
    }
    /// D.
    pub fn dim(&self) -> usize {
        self.means.ncols()
    }
    pub(super) fn whitener(&self) -> &Whitener {
        &self.whitener
    }
    pub(super) fn log_det(&self) -> &Array1<f64> {
        &self.log_det
    }

    /// The best q(μ, Λ) for given responsibilities, from their sums about centres c_k. With f = Σ γ (x − c) and S = Σ γ (x − c)(x − c)ᵀ,
    /// and the prior as β₀ rows at m₀:
    ///
    /// ```text
    /// β = β₀ + N,   ν = ν₀ + N,   g = β₀ (m₀ − c) + f,   m = c + g/β                       PRML 10.60, 10.61, 10.63
    /// W⁻¹ = W₀⁻¹ + S + β₀ (m₀ − c)(m₀ − c)ᵀ − g gᵀ/β                                       PRML 10.62
    /// ```
    ///
    /// Nothing is divided by N_k, so that a component without rows is its prior.
    pub(super) fn update(prior: &ComponentPrior, sums: &ResponsibilitySums) -> Result<Self> {
        let (k, d) = sums.centres.dim();
        let beta0 = prior.mean_precision();
        let beta = &sums.counts + beta0;
        let to_prior = prior.mean() - &sums.centres;
        let first = beta0 * &to_prior + &sums.first;
        let means = &sums.centres + &(&first / &beta.view().insert_axis(Axis(1)));
        let square = |k: usize, i: usize, j: usize| beta0 * to_prior[[k, i]] * to_prior[[k, j]] - first[[k, i]] * first[[k, j]] / beta[k];
        let scale = match (&sums.second, prior.scale_inverse()) {
            (SecondMoments::Full(s), Scale::Full(s0)) => {
                SecondMoments::Full(Array3::from_shape_fn((k, d, d), |(k, i, j)| s0[[i, j]] + s[[k, i, j]] + square(k, i, j)))
            }
            (SecondMoments::Diagonal(s), Scale::Diagonal(s0)) => {
                SecondMoments::Diagonal(Array2::from_shape_fn((k, d), |(k, j)| s0[j] + s[[k, j]] + square(k, j, j)))
            }
            // invariant: the sums are taken in the shape of the prior
            _ => unreachable!("second moments of another shape than the prior"),
        };
        let extra = if planted("vb_wishart_df") { 1.0 } else { 0.0 };
        Self::new(beta, means, &sums.counts + (prior.dof() + extra), scale)
    }

    /// η ← (1 − ρ) η + ρ η̂ in natural parameters (β, β m, W⁻¹ + β m mᵀ, ν), with the squares put together so that they do not cancel:
    ///
    /// ```text
    /// W⁻¹ ← (1 − ρ) W⁻¹ + ρ Ŵ⁻¹ + (1 − ρ) ρ β β̂ / β' · (m − m̂)(m − m̂)ᵀ,   β' = (1 − ρ) β + ρ β̂
    /// ```
    pub(super) fn blend(&self, target: &Self, rho: f64) -> Result<Self> {
        let mix = |x: &Array1<f64>, y: &Array1<f64>| x * (1.0 - rho) + y * rho;
        let beta = mix(&self.mean_precision, &target.mean_precision);
        // the share of the target in the new mean
        let share = rho * &target.mean_precision / &beta;
        let apart = &target.means - &self.means;
        let weight = (1.0 - rho) * &self.mean_precision * &share;
        let means = if rho == 1.0 { target.means.clone() } else { &self.means + &(&apart * &share.insert_axis(Axis(1))) };
        let scale = match (&self.scale_inverse, &target.scale_inverse) {
            (SecondMoments::Full(x), SecondMoments::Full(y)) => {
                let between = |(k, i, j)| weight[k] * apart[[k, i]] * apart[[k, j]];
                SecondMoments::Full(x * (1.0 - rho) + y * rho + Array3::from_shape_fn(x.raw_dim(), between))
            }
            (SecondMoments::Diagonal(x), SecondMoments::Diagonal(y)) => {
                let between = |(k, j)| weight[k] * apart[[k, j]] * apart[[k, j]];
                SecondMoments::Diagonal(x * (1.0 - rho) + y * rho + Array2::from_shape_fn(x.raw_dim(), between))
            }
            // invariant: both were made from one prior
            _ => unreachable!("scales of different shapes"),
        };
        Self::new(beta, means, mix(&self.dof, &target.dof), scale)
    }

    /// E\[log det Λ_k\] (K).   PRML 10.65
    pub(super) fn expected_log_det(&self) -> Array1<f64> {
        let d = self.dim();
        let of = |(nu, log_det): (&f64, &f64)| match &self.whitener {
            Whitener::Full(_) => (0..d).map(|j| digamma(0.5 * (nu - j as f64))).sum::<f64>() + d as f64 * LN_2 - log_det,
            Whitener::Diagonal(_) => d as f64 * (digamma(0.5 * nu) + LN_2) - log_det,
        };
        self.dof.iter().zip(&self.log_det).map(of).collect()
    }

    /// ½ E\[log det Λ_k\] − D/(2β_k) − D/2 log 2π (K): E\[log N(x; μ_k, Λ_k⁻¹)\] at x = m_k.   PRML 10.64
    pub(super) fn offsets(&self) -> Array1<f64> {
        let d = self.dim() as f64;
        0.5 * self.expected_log_det() - 0.5 * d / &self.mean_precision - d * HALF_LOG_2PI
    }

    /// E\[log N(x; μ_k, Λ_k⁻¹)\] as scores: offset − ½ ν_k (x − m_k)ᵀ W_k (x − m_k).   PRML 10.64
    pub(super) fn scores(&self, log_weights: &Array1<f64>) -> Result<QuadraticScores> {
        let roots = self.dof.mapv(f64::sqrt);
        let whitener = match &self.whitener {
            Whitener::Full(a) => Whitener::Full(a * &roots.insert_axis(Axis(1)).insert_axis(Axis(2))),
            Whitener::Diagonal(a) => Whitener::Diagonal(a * &roots.insert_axis(Axis(1))),
        };
        QuadraticScores::new(log_weights, &self.offsets(), self.means.clone(), whitener)
    }

    /// Σ_n w_n Σ_k γ_nk E\[log N(x_n; μ_k, Λ_k⁻¹)\] from sums about any centres.   PRML 10.71
    pub(super) fn expected_log_likelihood(&self, sums: &ResponsibilitySums) -> f64 {
        let offsets = self.offsets();
        // Σ γ (x − m)(x − m)ᵀ = S − f δᵀ − δ fᵀ + N δ δᵀ,  δ = m − c
        let delta = &self.means - &sums.centres;
        let constants: f64 = sums.counts.iter().zip(&offsets).map(|(n, a)| n * a).sum();
        let moved = |k: usize, i: usize, j: usize| {
            let (f, d) = (sums.first.row(k), delta.row(k));
            sums.counts[k] * d[i] * d[j] - f[i] * d[j] - d[i] * f[j]
        };
        let d = self.dim();
        let squares: f64 = match (&self.whitener, &sums.second) {
            (Whitener::Full(a), SecondMoments::Full(s)) => (0..self.n_components())
                .map(|k| {
                    let about = Array2::from_shape_fn((d, d), |(i, j)| s[[k, i, j]] + moved(k, i, j));
                    self.dof[k] * trace(a.index_axis(Axis(0), k), about.view())
                })
                .sum(),
            (Whitener::Diagonal(a), SecondMoments::Diagonal(s)) => {
                let term = |((k, j), a): ((usize, usize), &f64)| self.dof[k] * a * a * (s[[k, j]] + moved(k, j, j));
                a.indexed_iter().map(term).sum()
            }
            // invariant: the sums are taken in the shape of q
            _ => unreachable!("second moments of another shape than q"),
        };
        constants - 0.5 * squares
    }

    /// Σ_k KL(q(μ_k, Λ_k) ‖ p(μ_k, Λ_k)).   PRML 10.74 and 10.77
    ///
    /// # Errors
    /// If the prior has another shape.
    pub fn kl(&self, prior: &ComponentPrior) -> Result<f64> {
        if prior.dim() != self.dim() {
            return Err(ErrorKind::Shape { what: "columns of the prior", expected: self.dim(), found: prior.dim() }.into());
        }
        let log_dets = self.expected_log_det();
        (0..self.n_components()).map(|k| Ok(self.kl_of_mean(k, prior) + self.kl_of_precision(k, prior, log_dets[k])?)).sum()
    }

    /// E_Λ KL(N(m, (βΛ)⁻¹) ‖ N(m₀, (β₀Λ)⁻¹)) = ½ [D (r − 1 − log r) + β₀ ν (m − m₀)ᵀ W (m − m₀)],  r = β₀/β.
    fn kl_of_mean(&self, k: usize, prior: &ComponentPrior) -> f64 {
        let ratio = prior.mean_precision() / self.mean_precision[k];
        let away = &self.means.row(k) - prior.mean();
        let distance = prior.mean_precision() * self.dof[k] * squared_norm(&self.whitener, k, away.view());
        0.5 * (self.dim() as f64 * (ratio - 1.0 - ratio.ln()) + distance)
    }

    /// KL(W(ν, W) ‖ W(ν₀, W₀)) = log B(W, ν) − log B(W₀, ν₀) + (ν − ν₀)/2 E\[log det Λ\] + ν/2 tr(W₀⁻¹ W) − νD/2.   PRML B.79
    fn kl_of_precision(&self, k: usize, prior: &ComponentPrior, expected_log_det: f64) -> Result<f64> {
        let (d, nu, nu0) = (self.dim(), self.dof[k], prior.dof());
        match (&self.whitener, &self.scale_inverse, prior.scale_inverse()) {
            (Whitener::Full(a), _, Scale::Full(s0)) => {
                // −log B = νD/2 log 2 + log Γ_D(ν/2) − ν/2 log det W⁻¹
                let log_normaliser = |nu: f64, log_det: f64| 0.5 * nu * (d as f64 * LN_2 - log_det) + multivariate_lgamma(d, 0.5 * nu);
                let traced = trace(a.index_axis(Axis(0), k), s0.view());
                let of_prior = if planted("vb_without_constants") { 0.0 } else { log_normaliser(nu0, prior.log_det()) };
                Ok(of_prior - log_normaliser(nu, self.log_det[k]) + 0.5 * (nu - nu0) * expected_log_det + 0.5 * nu * (traced - d as f64))
            }
            (_, SecondMoments::Diagonal(s), Scale::Diagonal(s0)) => {
                s.row(k).iter().zip(s0).map(|(s, s0)| Ok(Gamma::new(0.5 * nu, 0.5 * s)?.kl(&Gamma::new(0.5 * nu0, 0.5 * s0)?))).sum()
            }
            _ => Err(Error::config("scale_inverse", "q and the prior are of different shapes")),
        }
    }
}

/// tr(A S Aᵀ) for symmetric S.
fn trace(a: ArrayView2<'_, f64>, s: ArrayView2<'_, f64>) -> f64 {
    (&linalg::matmul(a, s) * &a).sum()
}

/// ‖A_k v‖².
fn squared_norm(whitener: &Whitener, k: usize, v: ArrayView1<'_, f64>) -> f64 {
    match whitener {
        Whitener::Full(a) => a.index_axis(Axis(0), k).dot(&v).mapv(|v| v * v).sum(),
        Whitener::Diagonal(a) => a.row(k).iter().zip(v).map(|(a, v)| (a * v) * (a * v)).sum(),
    }
}
