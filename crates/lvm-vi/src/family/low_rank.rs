//! Gaussians whose covariance is diagonal plus low rank.

use super::{Family, Gaussian, Variational, check_parameters, sample_by_transform, scales};
use lvm_core::mutant::planted;
use lvm_core::{ErrorKind, Result, linalg};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::Rng;
use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};

/// q(z) = N(z; μ, diag(δ²) + F Fᵀ): the low-rank Gaussian.
///
/// # Symbols
/// | symbol | meaning | in λ | shape |
/// |---|---|---|---|
/// | μ | means | `parameters()[..d]` | d |
/// | log δ | logarithms of the scales of the independent part | `parameters()[d..2 d]` | d |
/// | F | factor | `parameters()[2 d..]`, row by row | (d, r) |
///
/// z = μ + δ ∘ ε₁ + F ε₂ with d + r noise numbers.
///
/// # Numerics
/// Densities and scores go through M = I + Fᵀ diag(δ⁻²) F (r, r), by the Woodbury identity and the determinant lemma: O(d r) a draw and
/// O(d r²) once; no (d, d) matrix is formed except by [`Family::covariance`]. At F = 0 the gradient in F of any objective is 0, so a run
/// must not start there: [`LowRank::start`] is a start.
///
/// F is known up to an orthogonal Q, F Fᵀ = F Q (F Q)ᵀ; a stochastic fit averages its iterates after
/// [`Geometry::align`](crate::optimizer::Geometry::align) has turned each F to that of one reference. δ and F Fᵀ are known apart from each
/// other only if (d − r)² ≥ d + r (Ledermann 1937). Beyond, the iterates of noisy gradients wander between the two and a fit rarely says that
/// it has converged; [`FullRank`](super::FullRank) then holds every member with no more parameters. As in
/// factor analysis, the best δ_i may be 0 (a Heywood case): log δ_i then has no optimum, and a fit does not say that it has converged.
///
/// ```
/// use lvm_vi::family::{LowRank, Variational};
/// use ndarray::array;
/// let q = LowRank::new(&[0.0, 0.0], &[1.0, 1.0], array![[1.0], [1.0]].view())?;
/// // det (I + 1 1ᵀ) = 3
/// let entropy = 0.5 * 3f64.ln() + (std::f64::consts::TAU.ln() + 1.0);
/// assert!((q.entropy() - entropy).abs() < 1e-14);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # References
/// Ong, Nott & Smith 2018, Gaussian variational approximation with a factor covariance structure. Ledermann 1937, On the rank of the reduced
/// correlational matrix in multiple-factor analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct LowRank {
    /// μ (d), log δ (d), F (d r).
    parameters: Vec<f64>,
    /// δ (d).
    scale: Vec<f64>,
    /// F (d, r).
    factor: Array2<f64>,
    /// L with L Lᵀ = M (r, r).
    lower: Array2<f64>,
    /// G = diag(δ⁻²) F M⁻¹ = Σ⁻¹ F (d, r).
    regression: Array2<f64>,
}

impl LowRank {
    /// The member with means μ (d), scales δ (d) and factor F (d, r).
    ///
    /// # Errors
    /// If the shapes differ, d or r is 0, a value is not finite, or a scale is not positive.
    pub fn new(mean: &[f64], scales: &[f64], factor: ArrayView2<'_, f64>) -> Result<Self> {
        let d = mean.len();
        if scales.len() != d {
            return Err(ErrorKind::Shape { what: "scales of a low-rank Gaussian", expected: d, found: scales.len() }.into());
        }
        if factor.nrows() != d {
            return Err(ErrorKind::Shape { what: "rows of the factor", expected: d, found: factor.nrows() }.into());
        }
        if let Some((i, s)) = scales.iter().enumerate().find(|(_, s)| !(**s > 0.0)) {
            return Err(lvm_core::Error::config("scales", format!("entry {i} is {s}; it must be positive")));
        }
        let parameters = mean.iter().copied().chain(scales.iter().map(|s| s.ln())).chain(factor.iter().copied()).collect();
        Self::from_parameters(d, factor.ncols(), parameters)
    }

    /// A member to start a run from: means 0, variances 1, half of each by the factor. Columns of F are cosines of rising frequency, rows
    /// brought to length √½: none is 0, where no gradient would lead away, and no two are alike.
    ///
    /// ```
    /// use lvm_vi::{expectation::GaussianTarget, family::{Family, LowRank}, fit::Vi};
    /// // covariance I + 4 f fᵀ: of rank 1 but for its diagonal
    /// let f = ndarray::array![0.6, 0.0, -0.8];
    /// let covariance = ndarray::Array2::<f64>::eye(3) + ndarray::Array2::from_shape_fn((3, 3), |(i, j)| 4.0 * f[i] * f[j]);
    /// let p = GaussianTarget::from_covariance(ndarray::Array1::zeros(3), covariance.clone())?;
    /// let q = Vi::new(LowRank::start(3, 1)?).fit(&p, 1)?.model.q;
    /// assert!((q.covariance() - covariance).iter().all(|e| e.abs() < 0.3));
    /// # Ok::<(), lvm_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// If `rank` is 0 or above the largest r with (d − r)² ≥ d + r: F and δ have more parameters than a covariance then.
    pub fn start(d: usize, rank: usize) -> Result<Self> {
        let most = (1..d).take_while(|r| (d - r).pow(2) >= d + r).last().unwrap_or(0);
        if rank == 0 || rank > most {
            let known = match most {
                0 => format!("no rank is known apart from the diagonal for {d} latents"),
                most => format!("{rank} is outside 1 … {most} for {d} latents, where diagonal and factor are known apart"),
            };
            let message = format!("{known}; take FullRank");
            return Err(lvm_core::Error::config("rank", message));
        }
        let cosine = |i: usize, k: usize| (PI * (i as f64 + 0.5) * k as f64 / d as f64).cos();
        // the column of frequency 0 is constant: no row is 0
        let length = |i: usize| (0..rank).map(|k| cosine(i, k).powi(2)).sum::<f64>().sqrt();
        let factor = Array2::from_shape_fn((d, rank), |(i, k)| FRAC_1_SQRT_2 * cosine(i, k) / length(i));
        Self::new(&vec![0.0; d], &vec![FRAC_1_SQRT_2; d], factor.view())
    }

    /// The member that is nearest to N(mean, covariance) in the sense of principal factors: F from the `rank` leading eigenvectors of
    /// the covariance (d, d) above the mean of the rest, δ² from the diagonal that is left, so that every variance is met.
    ///
    /// # Errors
    /// If the shapes differ, `rank` is not between 1 and d − 1, or the covariance is not positive definite.
    pub fn from_covariance(mean: &[f64], covariance: ArrayView2<'_, f64>, rank: usize) -> Result<Self> {
        let d = mean.len();
        if covariance.nrows() != d || covariance.ncols() != d {
            return Err(ErrorKind::Shape { what: "rows and columns of the covariance", expected: d, found: covariance.nrows() }.into());
        }
        if rank == 0 || rank >= d {
            return Err(lvm_core::Error::config("rank", format!("{rank} is outside 1 … {}", d.saturating_sub(1))));
        }
        linalg::cholesky(covariance).map_err(|e| e.of("the covariance"))?;
        let (values, vectors) = linalg::eigh(covariance)?;
        let rest = values.iter().skip(rank).sum::<f64>() / (d - rank) as f64;
        // F = U (Λ − σ² I)^{1/2}   Tipping & Bishop 1999, eq. 7;   δ_i² = Σ_ii − ‖F_i‖² ≥ 0, kept above rounding
        let factor = Array2::from_shape_fn((d, rank), |(i, k)| vectors[[i, k]] * (values[k] - rest).max(0.0).sqrt());
        let scale = |i: usize| {
            let left = covariance[[i, i]] - factor.row(i).iter().map(|f| f * f).sum::<f64>();
            left.max(1e-8 * covariance[[i, i]]).sqrt()
        };
        Self::new(mean, &(0..d).map(scale).collect::<Vec<_>>(), factor.view())
    }

    fn from_parameters(d: usize, r: usize, parameters: Vec<f64>) -> Result<Self> {
        if d == 0 || r == 0 {
            return Err(ErrorKind::Empty.into());
        }
        check_parameters("parameters of a low-rank Gaussian", &parameters, (2 + r) * d)?;
        let scale = scales(parameters[d..2 * d].iter().copied())?;
        let factor = Array2::from_shape_fn((d, r), |(i, k)| parameters[2 * d + i * r + k]);
        let scaled = Array2::from_shape_fn((d, r), |(i, k)| factor[[i, k]] / scale[i]);
        let mut lower = Array2::eye(r);
        linalg::gram_lower(1.0, scaled.view(), lower.view_mut());
        let lower = linalg::cholesky(lower.view()).map_err(|e| e.of("I + Fᵀ diag(δ⁻²) F"))?;
        let mut regression = Array2::from_shape_fn((d, r), |(i, k)| scaled[[i, k]] / scale[i]);
        linalg::cholesky_solve(lower.view(), regression.view_mut().reversed_axes());
        Ok(LowRank { parameters, scale, factor, lower, regression })
    }

    /// r, the rank of F.
    pub fn rank(&self) -> usize {
        self.factor.ncols()
    }

    /// v ↦ (b, v − F b) with b = Fᵀ Σ⁻¹ v = E\[ε₂ | z − μ = v\].
    fn split(&self, v: &[f64]) -> (Array1<f64>, Array1<f64>) {
        let v = ArrayView1::from(v);
        let b = self.regression.t().dot(&v);
        let rest = if planted("lowrank_woodbury_sign") { &v + &self.factor.dot(&b) } else { &v - &self.factor.dot(&b) };
        (b, rest)
    }

    /// z − μ.
    fn centred(&self, z: &[f64]) -> Vec<f64> {
        z.iter().zip(&self.parameters).map(|(z, m)| z - m).collect()
    }

    /// Fᵢ · Gᵢ = 1 − δ_i² (Σ⁻¹)_ii, the share of the factor in the precision of latent i.
    fn share(&self, i: usize) -> f64 {
        self.factor.row(i).dot(&self.regression.row(i))
    }
}

impl Variational for LowRank {
    fn dim(&self) -> usize {
        self.scale.len()
    }

    fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    fn with_parameters(&self, parameters: &[f64]) -> Result<Self> {
        Self::from_parameters(self.dim(), self.rank(), parameters.to_vec())
    }

    fn sample(&self, rng: &mut dyn Rng, z: &mut [f64]) {
        sample_by_transform(self, rng, z);
    }

    fn log_prob(&self, z: &[f64]) -> f64 {
        -0.5 * (self.mahalanobis(&self.centred(z)) + self.log_det() + self.dim() as f64 * TAU.ln())
    }

    fn add_score(&self, z: &[f64], scale: f64, gradient: &mut [f64]) {
        // with a = Σ⁻¹ (z − μ) and b = Fᵀ a:
        // ∂ log q/∂μ = a,   ∂/∂F = a bᵀ − G,   ∂/∂ log δ_i = δ_i² (a_i² − (Σ⁻¹)_ii)
        let (d, r) = (self.dim(), self.rank());
        let (b, rest) = self.split(&self.centred(z));
        for i in 0..d {
            let s = self.scale[i];
            let standardised = rest[i] / s; // δ_i a_i
            let a = standardised / s;
            gradient[i] += scale * a;
            gradient[d + i] += scale * (standardised * standardised - 1.0 + self.share(i));
            let row = &mut gradient[2 * d + i * r..2 * d + (i + 1) * r];
            row.iter_mut().zip(&b).zip(self.regression.row(i)).for_each(|((g, b), c)| *g += scale * (a * b - c));
        }
    }

    fn entropy(&self) -> f64 {
        0.5 * (self.log_det() + self.dim() as f64 * (TAU.ln() + 1.0))
    }

    fn add_entropy_grad(&self, scale: f64, gradient: &mut [f64]) {
        // ∂H/∂F = Σ⁻¹ F = G,   ∂H/∂ log δ_i = δ_i² (Σ⁻¹)_ii
        let d = self.dim();
        (0..d).for_each(|i| gradient[d + i] += scale * (1.0 - self.share(i)));
        gradient[2 * d..].iter_mut().zip(&self.regression).for_each(|(g, c)| *g += scale * c);
    }
}

impl Family for LowRank {
    fn noise_dim(&self) -> usize {
        self.dim() + self.rank()
    }

    fn transform(&self, noise: &[f64], z: &mut [f64]) {
        // z = μ + δ ∘ ε₁ + F ε₂
        let (own, common) = noise.split_at(self.dim());
        let common = ArrayView1::from(common);
        for (i, z) in z.iter_mut().enumerate() {
            *z = self.parameters[i] + self.scale[i] * own[i] + self.factor.row(i).dot(&common);
        }
    }

    fn add_log_prob_grad(&self, z: &[f64], gradient: &mut [f64]) {
        // ∇_z log q = −Σ⁻¹ (z − μ)
        let (_, rest) = self.split(&self.centred(z));
        gradient.iter_mut().zip(&rest).zip(&self.scale).for_each(|((g, v), s)| *g -= v / s / s);
    }

    fn add_pullback(&self, noise: &[f64], z_gradient: &[f64], gradient: &mut [f64]) {
        // ∂z_i/∂μ_i = 1,   ∂z_i/∂ log δ_i = δ_i ε₁_i,   ∂z_i/∂F_ik = ε₂_k
        let (d, r) = (self.dim(), self.rank());
        for (i, g) in z_gradient.iter().enumerate() {
            gradient[i] += g;
            gradient[d + i] += g * self.scale[i] * noise[i];
            let row = &mut gradient[2 * d + i * r..2 * d + (i + 1) * r];
            row.iter_mut().zip(&noise[d..]).for_each(|(f, e)| *f += g * e);
        }
    }

    fn add_expected_pullback(&self, constant: &[f64], slope: ArrayView2<'_, f64>, gradient: &mut [f64]) {
        // E[g] = c,   E[g_i δ_i ε₁_i] = H_ii δ_i²,   E[g ε₂ᵀ] = H F
        let (location, rest) = gradient.split_at_mut(self.dim());
        let (log_scale, factor) = rest.split_at_mut(self.dim());
        location.iter_mut().zip(constant).for_each(|(g, c)| *g += c);
        log_scale.iter_mut().zip(slope.diag()).zip(&self.scale).for_each(|((g, h), s)| *g += h * s * s);
        factor.iter_mut().zip(&linalg::matmul(slope, self.factor.view())).for_each(|(g, m)| *g += m);
    }

    fn mean(&self) -> Array1<f64> {
        Array1::from(self.location().to_vec())
    }

    fn covariance(&self) -> Array2<f64> {
        let mut covariance = linalg::matmul(self.factor.view(), self.factor.t());
        covariance.diag_mut().iter_mut().zip(&self.scale).for_each(|(c, s)| *c += s * s);
        covariance
    }

    fn standard_deviations(&self) -> Array1<f64> {
        self.factor.rows().into_iter().zip(&self.scale).map(|(f, s)| (f.dot(&f) + s * s).sqrt()).collect()
    }
}

impl Gaussian for LowRank {
    fn location(&self) -> &[f64] {
        &self.parameters[..self.dim()]
    }

    fn log_det(&self) -> f64 {
        // log det Σ = log det diag(δ²) + log det M
        2.0 * self.parameters[self.dim()..2 * self.dim()].iter().sum::<f64>() + linalg::log_det(self.lower.view())
    }

    fn mahalanobis(&self, v: &[f64]) -> f64 {
        // vᵀ Σ⁻¹ v = ‖(v − F b)/δ‖² + ‖b‖²: a sum of squares, nothing cancels
        let (b, rest) = self.split(v);
        rest.iter().zip(&self.scale).map(|(v, s)| (v / s).powi(2)).sum::<f64>() + b.dot(&b)
    }

    fn factor_column(&self, k: usize, column: &mut [f64]) {
        match k.checked_sub(self.dim()) {
            None => {
                column.fill(0.0);
                column[k] = self.scale[k];
            }
            Some(k) => column.iter_mut().zip(self.factor.column(k)).for_each(|(c, f)| *c = *f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn bad_parameters_are_named() {
        let f = array![[1.0], [0.5]];
        assert!(LowRank::new(&[0.0; 2], &[1.0], f.view()).is_err());
        assert!(LowRank::new(&[0.0; 2], &[1.0, 0.0], f.view()).unwrap_err().to_string().contains("entry 1 is 0"));
        assert!(LowRank::new(&[0.0; 3], &[1.0; 3], f.view()).is_err());
        assert!(LowRank::from_covariance(&[0.0; 2], Array2::eye(2).view(), 2).unwrap_err().to_string().contains("1 … 1"));
    }

    #[test]
    fn a_start_has_unit_variances_and_a_factor_of_full_rank() {
        let q = LowRank::start(6, 3).unwrap();
        assert!(q.standard_deviations().iter().all(|s| (s - 1.0).abs() < 1e-15));
        let gram = q.factor.t().dot(&q.factor);
        assert!(linalg::eigh(gram.view()).unwrap().0.iter().all(|v| *v > 0.05), "{gram}");
        assert!(LowRank::start(3, 1).is_ok() && LowRank::start(5, 2).is_ok() && LowRank::start(3, 0).is_err());
        for (d, rank) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 4), (3, 9)] {
            assert!(LowRank::start(d, rank).unwrap_err().to_string().contains("take FullRank"), "{rank} of {d}");
        }
    }

    #[test]
    fn a_factor_covariance_comes_back() {
        let f = array![[1.0], [0.5], [-2.0]];
        let covariance = 0.25 * Array2::<f64>::eye(3) + f.dot(&f.t());
        let q = LowRank::from_covariance(&[1.0, 2.0, 3.0], covariance.view(), 1).unwrap();
        // an eigen-decomposition of order 3
        assert!((&q.covariance() - &covariance).iter().all(|e| e.abs() < 1e-13));
    }
}
