//! The concentrated likelihood: W profiled out, a function of the uniquenesses alone (Lawley 1940; Jöreskog 1967).
//!
//! With x_j = log ψ_j and A = Ψ^−½ C Ψ^−½ = Σ_m θ_m u_m u_mᵀ, θ descending, the best W for given Ψ is
//! Ψ^½ U_r (Θ_r − I)^½ over the r ≤ q eigenvalues above 1, and twice the negative log-likelihood per row is, up to D log 2π,
//!
//! ```text
//! F(x) = Σ_j x_j + Σ_{m≤r} (1 + log θ_m) + Σ_{m>r} θ_m
//! ∂F/∂x_j = Σ_{m>r} (1 − θ_m) u_jm²  =  1 − A_jj + Σ_{m≤r} (θ_m − 1) u_jm²
//! ```

use super::fisher::Fisher;
use super::jacobi;
use super::krylov;
use super::sample_covariance::SampleCovariance;
use crate::error::Result;
use crate::linalg;
use ndarray::{Array1, Array2, ArrayView1, Axis, Slice};

/// Up to this D all eigenpairs are computed and the Hessian is exact; above, only the q leading ones.
pub(super) const FULL_SPECTRUM: usize = 96;

/// Below this share of the variance a uniqueness makes A so graded that Jacobi's accuracy is needed.
const GRADED: f64 = 1e-4;

/// F and what its derivatives need, at one x.
#[derive(Debug, Clone)]
pub(super) struct Point {
    /// ψ (D), in the units of the sample covariance. This, not x, is what the point is: a fit resumed from ψ is the same fit.
    pub(super) psi: Array1<f64>,
    /// x = log ψ (D).
    pub(super) x: Array1<f64>,
    /// F.
    pub(super) value: f64,
    /// What rounding can make of F.
    pub(super) rounding: f64,
    /// What inexact eigenpairs can make of the gradient: their residual.
    pub(super) residual: f64,
    /// ∂F/∂x (D).
    pub(super) gradient: Array1<f64>,
    /// r, the number of leading eigenvalues above 1, at most q.
    active: usize,
    /// θ: all D, or the leading q.
    theta: Array1<f64>,
    /// U (D, D) or (D, q).
    u: Array2<f64>,
}

/// F for one sample covariance and one q.
#[derive(Debug)]
pub(super) struct Concentrated<'a> {
    pub(super) sample: &'a SampleCovariance,
    pub(super) factors: usize,
    /// X with C = Xᵀ X, for graded spectra.
    root: Option<Array2<f64>>,
}

impl<'a> Concentrated<'a> {
    pub(super) fn new(sample: &'a SampleCovariance, factors: usize) -> Result<Self> {
        let root = if sample.dim() <= FULL_SPECTRUM { Some(root(sample)?) } else { None };
        Ok(Concentrated { sample, factors, root })
    }

    /// F, its gradient and the eigenpairs at ψ. `warm` gives leading eigenvectors to start from, `accuracy` is how small the residual
    /// of an eigenpair must be relative to its θ; both matter only where the spectrum is not computed in full.
    pub(super) fn at(&self, psi: Array1<f64>, warm: Option<&Point>, accuracy: f64) -> Result<Point> {
        let d = psi.len();
        let x = psi.mapv(f64::ln);
        let half = psi.mapv(|psi| 1.0 / psi.sqrt());
        let (theta, u) = match &self.root {
            Some(root) => {
                let graded = psi.iter().zip(&self.sample.variance).any(|(psi, v)| *psi < GRADED * v);
                match graded {
                    true => jacobi::right_singular(&(root * &half)),
                    false => linalg::eigh((&self.sample.c * &half * half.view().insert_axis(Axis(1))).view())?,
                }
            }
            None => krylov::leading(&self.sample.c, &half, self.factors, warm.map(|p| &p.u), accuracy)?,
        };
        let active = theta.iter().take(self.factors).take_while(|t| **t > 1.0).count();
        let leading: f64 = theta.iter().take(active).map(|t| 1.0 + t.ln()).sum();
        let (rest, gradient);
        let mut terms = d as f64;
        if theta.len() == d {
            rest = theta.iter().skip(active).sum();
            let tail = u.slice_axis(Axis(1), Slice::from(active..));
            let squares = tail.mapv(|u| u * u);
            let misfit = theta.slice_axis(Axis(0), Slice::from(active..)).mapv(|t| 1.0 - t);
            gradient = squares.dot(&misfit);
        } else {
            let diagonal = &self.sample.variance / &psi;
            // a difference of large numbers where some ψ_j is small
            terms += diagonal.sum();
            rest = diagonal.sum() - theta.iter().take(active).sum::<f64>();
            let head = u.slice_axis(Axis(1), Slice::from(..active)).mapv(|u| u * u);
            let lift = theta.slice_axis(Axis(0), Slice::from(..active)).mapv(|t| t - 1.0);
            gradient = 1.0 - &diagonal + head.dot(&lift);
        }
        let value = x.sum() + leading + rest;
        // ∂F/∂x_j has θ u_j² in it, and u errs by the residual relative to θ, once or twice
        let residual = if theta.len() == d { 0.0 } else { 4.0 * accuracy * theta.first().copied().unwrap_or(0.0) };
        let rounding = 16.0 * f64::EPSILON * (value.abs() + terms);
        Ok(Point { psi, x, value, rounding, residual, gradient, active, theta, u })
    }
}

/// X with Xᵀ X = C: the transposed Cholesky factor, or, for a singular C, Λ^½ Vᵀ.
fn root(sample: &SampleCovariance) -> Result<Array2<f64>> {
    if let Ok(l) = linalg::cholesky(sample.c.view()) {
        return Ok(l.reversed_axes());
    }
    let (values, v) = linalg::eigh(sample.c.view())?;
    let mut root = v.reversed_axes();
    root *= &values.mapv(|l| l.max(0.0).sqrt()).insert_axis(Axis(1));
    Ok(root)
}

impl Point {
    /// W = Ψ^½ U_r (Θ_r − I)^½ (D, q), columns beyond r zero, in the units of the sample covariance.
    pub(super) fn loadings(&self, factors: usize) -> Array2<f64> {
        let mut w = Array2::zeros((self.x.len(), factors));
        for k in 0..self.active {
            let strength = (self.theta[k] - 1.0).sqrt();
            let column = self.u.column(k);
            for (j, out) in w.column_mut(k).iter_mut().enumerate() {
                *out = self.psi[j].sqrt() * column[j] * strength;
            }
        }
        w
    }

    /// ∂²F/∂x∂xᵀ (D, D), exactly; needs the whole spectrum.
    ///
    /// From ∂u_m/∂x_i = −½ Σ_{n≠m} u_n u_in u_im (θ_m + θ_n)/(θ_m − θ_n), with ∘ the entrywise product:
    ///
    /// ```text
    /// H = P ∘ T + Σ_{n≤r} (u_n u_nᵀ) ∘ Σ_{m>r} (1 − θ_m) (θ_n + θ_m)/(θ_n − θ_m) u_m u_mᵀ
    /// P = Σ_{m>r} u_m u_mᵀ,  T = Σ_{m>r} θ_m u_m u_mᵀ                                     Clarke 1970
    /// ```
    pub(super) fn hessian(&self) -> Array2<f64> {
        let tail = self.u.slice_axis(Axis(1), Slice::from(self.active..));
        let theta = self.theta.slice_axis(Axis(0), Slice::from(self.active..));
        let weighted = |weights: ArrayView1<'_, f64>| linalg::matmul((&tail * &weights).view(), tail.t());
        let mut h = linalg::matmul(tail, tail.t()) * weighted(theta);
        for n in 0..self.active {
            let tn = self.theta[n];
            // An eigenvalue that is met twice across the cut has no derivative; the difference is kept away from zero.
            let coefficients = theta.mapv(|t| (1.0 - t) * (tn + t) / (tn - t).max(1e-8 * tn));
            let inner = weighted(coefficients.view());
            let un = self.u.column(n);
            for ((i, j), value) in inner.indexed_iter() {
                h[[i, j]] += un[i] * un[j] * value;
            }
        }
        h
    }

    /// P ∘ P with P = I − U_r U_rᵀ for the variables named: the Hessian where the model fits (θ_m = 1 for m > r). Where ψ_j is small F is
    /// about linear in it and has the second derivative ∂F/∂x_j in x_j, which P ∘ P lacks: the moduli of the derivatives are added.
    pub(super) fn fisher(&self, variables: &[usize]) -> Fisher {
        let head = self.u.slice_axis(Axis(1), Slice::from(..self.active)).select(Axis(0), variables);
        Fisher::new(head, variables.iter().map(|&j| self.gradient[j].abs() + 1e-12).collect())
    }

    /// What the residual of an eigenpair, relative to θ, can be magnified by on the way to ∂F/∂x_j: θ u_j², of which a share of 1/D is usual,
    /// all of it where some ψ_j are so small that an eigenvector is theirs.
    pub(super) fn magnified(&self) -> f64 {
        let largest = self.theta.first().copied().unwrap_or(0.0);
        if largest > 1e3 * self.x.len() as f64 { largest } else { 1.0 }
    }

    /// Whether all eigenpairs are known.
    pub(super) fn is_full(&self) -> bool {
        self.theta.len() == self.x.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn sample() -> SampleCovariance {
        let r = array![
            [1.0, 0.6, 0.5, 0.1, 0.2, 0.3],
            [0.6, 1.0, 0.4, 0.2, 0.1, 0.1],
            [0.5, 0.4, 1.0, 0.3, 0.2, 0.2],
            [0.1, 0.2, 0.3, 1.0, 0.5, 0.4],
            [0.2, 0.1, 0.2, 0.5, 1.0, 0.6],
            [0.3, 0.1, 0.2, 0.4, 0.6, 1.0]
        ];
        SampleCovariance::of_matrix(r.view(), 100.0).unwrap()
    }

    #[test]
    fn derivatives_agree_with_differences() {
        let sample = sample();
        let f = Concentrated::new(&sample, 2).unwrap();
        for x in [array![-0.7, -0.5, -1.1, -0.4, -0.8, -0.6], array![-0.7, -0.5, -0.2, -12.0, -0.8, -0.6]] {
            let p = f.at(x.mapv(f64::exp), None, 0.0).unwrap();
            let h = p.hessian();
            let step = 1e-5;
            for j in 0..6 {
                let shifted = |s: f64| {
                    let mut y = x.clone();
                    y[j] += s;
                    f.at(y.mapv(f64::exp), None, 0.0).unwrap()
                };
                let (up, down) = (shifted(step), shifted(-step));
                // central differences: rounding eps |F| / step = 1e-10, truncation step² F‴ = 1e-10
                assert!(((up.value - down.value) / (2.0 * step) - p.gradient[j]).abs() < 2e-9);
                for i in 0..6 {
                    let difference = (up.gradient[i] - down.gradient[i]) / (2.0 * step);
                    assert!((difference - h[[i, j]]).abs() < 2e-9, "({i}, {j}) {difference} {}", h[[i, j]]);
                }
            }
        }
    }

    #[test]
    fn both_forms_of_spectrum_agree() {
        let sample = sample();
        let f = Concentrated::new(&sample, 2).unwrap();
        let partial = Concentrated { sample: &sample, factors: 2, root: None };
        let x = array![-0.7, -0.5, -1.1, -0.4, -0.8, -0.6];
        let (a, b) = (f.at(x.mapv(f64::exp), None, 0.0).unwrap(), partial.at(x.mapv(f64::exp), None, 1e-13).unwrap());
        // a dozen roundings of numbers of size 10
        assert!((a.value - b.value).abs() < 1e-13);
        assert!((&a.gradient - &b.gradient).iter().all(|e| e.abs() < 1e-12));
    }
}
