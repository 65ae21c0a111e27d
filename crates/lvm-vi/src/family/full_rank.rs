//! Gaussians of any covariance, by a Cholesky factor.

use super::{Family, Gaussian, Variational, check_parameters, check_scales, sample_by_transform, scales};
use lvm_core::mutant::planted;
use lvm_core::{ErrorKind, Result, linalg};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::Rng;
use std::f64::consts::TAU;

/// q(z) = N(z; μ, L Lᵀ): the full-rank Gaussian.
///
/// # Symbols
/// | symbol | meaning | in λ | shape |
/// |---|---|---|---|
/// | μ | means | `parameters()[..d]` | d |
/// | L | lower triangular, positive diagonal | `parameters()[d..]`, row by row, the diagonal as log L_ii | d (d + 1) / 2 |
///
/// z = μ + L ε. A draw, a density and a score cost O(d²) each.
///
/// ```
/// use lvm_vi::family::{Family, FullRank, Variational};
/// use ndarray::array;
/// let q = FullRank::new(&[1.0, 2.0], array![[4.0, 2.0], [2.0, 5.0]].view())?; // L = [[2, 0], [1, 2]]
/// let mut z = [0.0; 2];
/// q.transform(&[1.0, -1.0], &mut z);
/// assert_eq!(z, [3.0, 1.0]);
/// assert_eq!(q.parameters().len(), 5);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FullRank {
    /// d.
    d: usize,
    /// μ (d), then the rows of L with logarithms on the diagonal.
    parameters: Vec<f64>,
    /// The rows of L, d (d + 1) / 2.
    lower: Vec<f64>,
}

/// Where row i starts in a lower triangle stored row by row.
fn row_start(i: usize) -> usize {
    i * (i + 1) / 2
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    ArrayView1::from(a).dot(&ArrayView1::from(b))
}

impl FullRank {
    /// N(mean, covariance); the lower triangle of `covariance` (d, d) is read.
    ///
    /// # Errors
    /// If the shapes differ, d is 0, a value is not finite, or the covariance is not positive definite.
    pub fn new(mean: &[f64], covariance: ArrayView2<'_, f64>) -> Result<Self> {
        let d = mean.len();
        if covariance.nrows() != d || covariance.ncols() != d {
            let found = if covariance.nrows() == d { covariance.ncols() } else { covariance.nrows() };
            return Err(ErrorKind::Shape { what: "rows and columns of the covariance", expected: d, found }.into());
        }
        if d == 0 {
            return Err(ErrorKind::Empty.into());
        }
        let lower = linalg::cholesky(covariance).map_err(|e| e.of("the covariance"))?;
        Self::from_factor(mean, lower.view())
    }

    /// N(mean, L Lᵀ) by the lower triangle of L (d, d), whose diagonal is positive.
    ///
    /// # Errors
    /// If the shapes differ, d is 0, or a value is not finite, or a diagonal entry not positive.
    pub fn from_factor(mean: &[f64], lower: ArrayView2<'_, f64>) -> Result<Self> {
        let d = mean.len();
        if lower.nrows() != d || lower.ncols() != d {
            let found = if lower.nrows() == d { lower.ncols() } else { lower.nrows() };
            return Err(ErrorKind::Shape { what: "rows and columns of the Cholesky factor", expected: d, found }.into());
        }
        if let Some(i) = (0..d).find(|&i| !(lower[[i, i]] > 0.0)) {
            return Err(lvm_core::Error::config("lower", format!("diagonal entry {i} is {}; it must be positive", lower[[i, i]])));
        }
        let triangle = (0..d).flat_map(|i| (0..=i).map(move |j| (i, j)));
        let entries = triangle.map(|(i, j)| if i == j { lower[[i, i]].ln() } else { lower[[i, j]] });
        Self::from_parameters(d, mean.iter().copied().chain(entries).collect())
    }

    /// N(0, I) in d dimensions.
    ///
    /// # Errors
    /// If d is 0.
    pub fn standard(d: usize) -> Result<Self> {
        Self::from_parameters(d, vec![0.0; d + row_start(d)])
    }

    fn from_parameters(d: usize, parameters: Vec<f64>) -> Result<Self> {
        if d == 0 {
            return Err(ErrorKind::Empty.into());
        }
        check_parameters("parameters of a full-rank Gaussian", &parameters, d + row_start(d))?;
        let mut lower = parameters[d..].to_vec();
        let diagonal = scales((0..d).map(|i| lower[row_start(i) + i]))?;
        diagonal.into_iter().enumerate().for_each(|(i, l)| lower[row_start(i) + i] = l);
        Ok(FullRank { d, parameters, lower })
    }

    /// L_i0 … L_ii.
    fn row(&self, i: usize) -> &[f64] {
        &self.lower[row_start(i)..row_start(i + 1)]
    }

    /// v ← L⁻¹ v.
    fn solve(&self, v: &mut [f64]) {
        for i in 0..self.d {
            let row = self.row(i);
            v[i] = (v[i] - dot(&row[..i], &v[..i])) / row[i];
        }
    }

    /// v ← L⁻ᵀ v.
    fn solve_transposed(&self, v: &mut [f64]) {
        for i in (0..self.d).rev() {
            let row = self.row(i);
            v[i] /= row[i];
            let (head, vi) = (&mut v[..=i], row);
            let pivot = head[i];
            head[..i].iter_mut().zip(vi).for_each(|(v, l)| *v -= l * pivot);
        }
    }

    /// ε = L⁻¹ (z − μ).
    fn whiten(&self, z: &[f64]) -> Vec<f64> {
        let mut e: Vec<f64> = z.iter().zip(&self.parameters).map(|(z, m)| z - m).collect();
        self.solve(&mut e);
        e
    }

    /// L (d, d).
    pub fn factor(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.d, self.d), |(i, j)| if j <= i { self.row(i)[j] } else { 0.0 })
    }
}

impl Variational for FullRank {
    fn dim(&self) -> usize {
        self.d
    }

    fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    fn with_parameters(&self, parameters: &[f64]) -> Result<Self> {
        check_parameters("parameters of a full-rank Gaussian", parameters, self.parameters.len())?;
        Self::from_parameters(self.d, parameters.to_vec())
    }

    fn assign(&mut self, parameters: &[f64]) -> Result<()> {
        check_parameters("parameters of a full-rank Gaussian", parameters, self.parameters.len())?;
        let triangle = &parameters[self.d..];
        check_scales((0..self.d).map(|i| triangle[row_start(i) + i]))?;
        self.parameters.copy_from_slice(parameters);
        self.lower.copy_from_slice(triangle);
        (0..self.d).for_each(|i| self.lower[row_start(i) + i] = triangle[row_start(i) + i].exp());
        Ok(())
    }

    fn sample(&self, rng: &mut dyn Rng, z: &mut [f64]) {
        sample_by_transform(self, rng, z);
    }

    fn log_prob(&self, z: &[f64]) -> f64 {
        // log q = −½ (‖L⁻¹ (z − μ)‖² + log det Σ + d log 2π)
        let e = self.whiten(z);
        -0.5 * (dot(&e, &e) + self.log_det() + self.d as f64 * TAU.ln())
    }

    fn add_score(&self, z: &[f64], scale: f64, gradient: &mut [f64]) {
        // with ε = L⁻¹ (z − μ), a = L⁻ᵀ ε:   ∂ log q/∂μ = a,   ∂/∂L_ij = a_i ε_j (i > j),   ∂/∂ log L_ii = a_i ε_i L_ii − 1
        let e = self.whiten(z);
        let mut a = e.clone();
        self.solve_transposed(&mut a);
        let (location, triangle) = gradient.split_at_mut(self.d);
        for (i, (g, a)) in location.iter_mut().zip(&a).enumerate() {
            *g += scale * a;
            let row = &mut triangle[row_start(i)..row_start(i + 1)];
            row[..i].iter_mut().zip(&e).for_each(|(g, e)| *g += scale * a * e);
            row[i] += scale * (a * e[i] * self.row(i)[i] - 1.0);
        }
    }

    fn entropy(&self) -> f64 {
        // H = Σ log L_ii + d/2 log 2πe
        let nat = if planted("entropy_half_d") { 0.0 } else { 1.0 };
        0.5 * (self.log_det() + self.d as f64 * (TAU.ln() + nat))
    }

    fn add_entropy_grad(&self, scale: f64, gradient: &mut [f64]) {
        let triangle = &mut gradient[self.d..];
        (0..self.d).for_each(|i| triangle[row_start(i) + i] += scale);
    }
}

impl Family for FullRank {
    fn noise_dim(&self) -> usize {
        self.d
    }

    fn transform(&self, noise: &[f64], z: &mut [f64]) {
        // z = μ + L ε
        for (i, (z, m)) in z.iter_mut().zip(&self.parameters).enumerate() {
            *z = m + dot(self.row(i), &noise[..=i]);
            if planted("cholesky_transposed") {
                *z = m + (i..self.d).map(|k| self.row(k)[i] * noise[k]).sum::<f64>();
            }
        }
    }

    fn add_log_prob_grad(&self, z: &[f64], gradient: &mut [f64]) {
        // ∇_z log q = −L⁻ᵀ L⁻¹ (z − μ)
        let mut a = self.whiten(z);
        self.solve_transposed(&mut a);
        gradient.iter_mut().zip(&a).for_each(|(g, a)| *g -= a);
    }

    fn add_pullback(&self, noise: &[f64], z_gradient: &[f64], gradient: &mut [f64]) {
        // ∂z_i/∂μ_i = 1,   ∂z_i/∂L_ij = ε_j,   ∂z_i/∂ log L_ii = L_ii ε_i
        let (location, triangle) = gradient.split_at_mut(self.d);
        for (i, (gm, g)) in location.iter_mut().zip(z_gradient).enumerate() {
            *gm += g;
            let row = &mut triangle[row_start(i)..row_start(i + 1)];
            row[..i].iter_mut().zip(noise).for_each(|(l, e)| *l += g * e);
            row[i] += g * noise[i] * self.row(i)[i];
        }
    }

    fn add_expected_pullback(&self, constant: &[f64], slope: ArrayView2<'_, f64>, gradient: &mut [f64]) {
        // E[g] = c,   E[g εᵀ] = H L
        let moved = linalg::matmul(slope, self.factor().view());
        let (location, triangle) = gradient.split_at_mut(self.d);
        location.iter_mut().zip(constant).for_each(|(g, c)| *g += c);
        for (i, moved) in moved.rows().into_iter().enumerate() {
            let row = &mut triangle[row_start(i)..row_start(i + 1)];
            row[..i].iter_mut().zip(moved).for_each(|(l, m)| *l += m);
            row[i] += moved[i] * self.row(i)[i];
        }
    }

    fn mean(&self) -> Array1<f64> {
        Array1::from(self.location().to_vec())
    }

    fn covariance(&self) -> Array2<f64> {
        let l = self.factor();
        linalg::matmul(l.view(), l.t())
    }

    fn standard_deviations(&self) -> Array1<f64> {
        (0..self.d).map(|i| dot(self.row(i), self.row(i)).sqrt()).collect()
    }
}

impl Gaussian for FullRank {
    fn location(&self) -> &[f64] {
        &self.parameters[..self.d]
    }

    fn log_det(&self) -> f64 {
        2.0 * (0..self.d).map(|i| self.parameters[self.d + row_start(i) + i]).sum::<f64>()
    }

    fn mahalanobis(&self, v: &[f64]) -> f64 {
        let mut e = v.to_vec();
        self.solve(&mut e);
        dot(&e, &e)
    }

    fn factor_column(&self, k: usize, column: &mut [f64]) {
        column[..k].fill(0.0);
        (k..self.d).for_each(|i| column[i] = self.row(i)[k]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn bad_parameters_are_named() {
        assert!(FullRank::new(&[0.0; 2], array![[1.0, 0.0], [2.0, 1.0]].view()).unwrap_err().to_string().contains("minor 1"));
        assert!(FullRank::new(&[0.0; 2], array![[1.0]].view()).is_err());
        assert!(FullRank::standard(0).is_err());
        assert!(FullRank::from_factor(&[0.0], array![[-1.0]].view()).unwrap_err().to_string().contains("diagonal entry 0"));
        assert!(FullRank::standard(2).unwrap().with_parameters(&[0.0; 4]).is_err());
    }
}
