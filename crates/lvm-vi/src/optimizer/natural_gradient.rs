//! The natural gradient: the Fisher information of q as the metric of its parameters.
//!
//! ```text
//! KL(q_{λ+Δ} ‖ q_λ) = ½ Δᵀ F(λ) Δ + O(Δ³),   natural gradient = F⁻¹ ∇ELBO      Amari 1998
//! ```
//!
//! In the parameters used here (logarithms of scales, Cholesky factors: a square-root form) every step keeps the covariance positive
//! definite, whatever its length.

use crate::family::{Family, FullRank, LowRank, MeanField, Variational};
use lvm_core::linalg;
use lvm_core::mutant::planted;
use ndarray::{Array2, ArrayView1};

/// A family that knows the units of its parameters, the first d of which are the means.
pub trait Geometry: Family {
    /// g ← F⁻¹ g, exactly or by a positive definite stand-in (its documentation says which), for a gradient g (parameters).
    fn precondition(&self, gradient: &mut [f64]);

    /// Moves `parameters` among those that stand for the same q to where they are nearest to `reference`: parameters known only up to a
    /// symmetry are averaged and compared after this. Nothing, where other parameters are another q.
    fn align(&self, _reference: &[f64], _parameters: &mut [f64]) {}
}

impl Geometry for MeanField {
    /// Exact: F = diag(1/σ², 2).
    fn precondition(&self, gradient: &mut [f64]) {
        let d = self.dim();
        let (location, log_scale) = gradient.split_at_mut(d);
        for ((gm, gs), l) in location.iter_mut().zip(log_scale).zip(&self.parameters()[d..]) {
            *gm *= (2.0 * l).exp();
            *gs *= 0.5;
        }
    }
}

impl Geometry for FullRank {
    /// Exact: with Δμ = L a and ΔL = L A, A lower triangular, KL = ½ ‖a‖² + ½ Σ_{i>j} A_ij² + Σ_i A_ii² (Tan 2021), so
    /// a = Lᵀ g_μ, A = tril(Lᵀ G) with half its diagonal, for G = ∂/∂L.
    fn precondition(&self, gradient: &mut [f64]) {
        let (d, l) = (self.dim(), self.factor());
        let start = |i: usize| i * (i + 1) / 2;
        let (location, triangle) = gradient.split_at_mut(d);
        let moved = l.dot(&l.t().dot(&ArrayView1::from(&*location)));
        location.iter_mut().zip(moved).for_each(|(g, m)| *g = m);
        // G, on the diagonal ∂/∂L_ii from ∂/∂ log L_ii
        let mut g = Array2::zeros((d, d));
        for i in 0..d {
            g.row_mut(i).iter_mut().zip(&triangle[start(i)..start(i + 1)]).for_each(|(g, t)| *g = *t);
            g[[i, i]] /= l[[i, i]];
        }
        let mut a = linalg::matmul(l.t(), g.view());
        for (i, mut row) in a.rows_mut().into_iter().enumerate() {
            row[i] *= 0.5;
            row.iter_mut().skip(i + 1).for_each(|v| *v = 0.0);
        }
        // on the diagonal Δ log L_ii = A_ii
        let step = linalg::matmul(l.view(), a.view());
        for i in 0..d {
            triangle[start(i)..start(i + 1)].iter_mut().zip(step.row(i)).for_each(|(t, v)| *t = *v);
            triangle[start(i) + i] = a[[i, i]];
        }
    }
}

impl Geometry for LowRank {
    /// Exact for μ: Σ g. For log δ and F the bounds F ≤ 2 and F ≤ 2 Σ⁻¹ ⊗ I of the Fisher information stand in: g/2 and ½ Σ g.
    fn precondition(&self, gradient: &mut [f64]) {
        let (d, parameters) = (self.dim(), self.parameters());
        let r = parameters.len() / d - 2;
        let (log_scale, factor) = parameters[d..].split_at(d);
        let (location, rest) = gradient.split_at_mut(d);
        let (scale_gradient, factor_gradient) = rest.split_at_mut(d);
        let mut inner = vec![0.0; r];
        // (diag δ² + F Fᵀ) g, for g with a stride
        let mut times_covariance = |g: &mut [f64], offset: usize, stride: usize, share: f64| {
            inner.fill(0.0);
            for i in 0..d {
                inner.iter_mut().zip(&factor[i * r..(i + 1) * r]).for_each(|(t, f)| *t += f * g[offset + i * stride]);
            }
            for i in 0..d {
                let low: f64 = inner.iter().zip(&factor[i * r..(i + 1) * r]).map(|(t, f)| t * f).sum();
                g[offset + i * stride] = share * ((2.0 * log_scale[i]).exp() * g[offset + i * stride] + low);
            }
        };
        times_covariance(location, 0, 1, 1.0);
        (0..r).for_each(|k| times_covariance(factor_gradient, k, r, 0.5));
        scale_gradient.iter_mut().for_each(|g| *g *= 0.5);
    }

    /// F ← F Q with the orthogonal Q that brings it nearest to the F of the reference (Procrustes; Schönemann 1966).
    fn align(&self, reference: &[f64], parameters: &mut [f64]) {
        if planted("lowrank_gauge_unaligned") {
            return;
        }
        let (d, r) = (self.dim(), self.rank());
        let factor = |p: &[f64]| Array2::from_shape_fn((d, r), |(i, k)| p[2 * d + i * r + k]);
        let present = factor(parameters);
        // min_Q ‖F Q − F_ref‖:   Q = U Vᵀ of Fᵀ F_ref = U S Vᵀ
        let Ok((u, _, vt)) = linalg::svd(linalg::matmul(present.t(), factor(reference).view()).view()) else { return };
        let turned = linalg::matmul(present.view(), linalg::matmul(u.view(), vt.view()).view());
        parameters[2 * d..].iter_mut().zip(&turned).for_each(|(p, t)| *p = *t);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::kl;
    use ndarray::array;

    /// KL(q_{λ + hΔ} ‖ q_λ) / h² → ½ Δᵀ F Δ = ½ gᵀ F⁻¹ g for Δ = F⁻¹ g.
    fn check<F: Geometry + crate::family::Gaussian>(q: &F, exact: bool) {
        let n = q.parameters().len();
        for seed in 0..5 {
            let g: Vec<f64> = (0..n).map(|i| ((i * 7 + seed * 13) as f64).sin()).collect();
            let mut natural = g.clone();
            q.precondition(&mut natural);
            let inner: f64 = g.iter().zip(&natural).map(|(a, b)| a * b).sum();
            let h = 1e-4;
            let moved = |h: f64| {
                let p: Vec<f64> = q.parameters().iter().zip(&natural).map(|(p, d)| p + h * d).collect();
                kl(&q.with_parameters(&p).unwrap(), q).unwrap()
            };
            // symmetric in h: the cubic term is gone
            let curvature = (moved(h) + moved(-h)) / (2.0 * h * h);
            if exact {
                assert!((2.0 * curvature / inner - 1.0).abs() < 1e-4, "{curvature} {inner}");
            } else {
                assert!(inner > 0.0 && 2.0 * curvature <= inner * 4.0, "{curvature} {inner}");
            }
        }
    }

    #[test]
    fn a_factor_that_turns_has_the_average_of_one_that_stands() {
        let factor = Array2::from_shape_fn((5, 2), |(i, k)| ((3 * i + 5 * k) as f64).sin() + 0.2);
        let q = LowRank::new(&[1.0; 5], &[0.5; 5], factor.view()).unwrap();
        let mut sum = vec![0.0; q.parameters().len()];
        // a full turn, every other one reflected: without the alignment their mean is 0
        for step in 0..16 {
            let (s, c) = (std::f64::consts::TAU * f64::from(step) / 16.0).sin_cos();
            let sign = if step % 2 == 0 { 1.0 } else { -1.0 };
            let turned = factor.dot(&array![[c, s * sign], [-s, c * sign]]);
            let other = LowRank::new(&[1.0; 5], &[0.5; 5], turned.view()).unwrap();
            let mut aligned = other.parameters().to_vec();
            q.align(q.parameters(), &mut aligned);
            let same = q.with_parameters(&aligned).unwrap();
            // two products of order 2 of numbers of order 1
            assert!((other.covariance() - same.covariance()).iter().all(|e| e.abs() < 1e-14));
            sum.iter_mut().zip(aligned).for_each(|(s, p)| *s += p / 16.0);
        }
        assert!(sum.iter().zip(q.parameters()).all(|(s, p)| (s - p).abs() < 1e-14));
    }

    #[test]
    fn an_alignment_leaves_q_and_comes_nearer() {
        let member = |seed: usize| {
            let factor = Array2::from_shape_fn((7, 3), |(i, k)| ((3 * i + 5 * k + 7 * seed) as f64).sin());
            LowRank::new(&[0.0; 7], &[0.4; 7], factor.view()).unwrap()
        };
        let far = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        for seed in 0..10 {
            let (reference, q) = (member(seed), member(seed + 20));
            let mut aligned = q.parameters().to_vec();
            q.align(reference.parameters(), &mut aligned);
            let same = q.with_parameters(&aligned).unwrap();
            assert!((q.covariance() - same.covariance()).iter().all(|e| e.abs() < 1e-13));
            assert!(far(&aligned, reference.parameters()) <= far(q.parameters(), reference.parameters()) + 1e-13);
            // once is enough
            let mut twice = aligned.clone();
            q.align(reference.parameters(), &mut twice);
            assert!(far(&twice, &aligned) < 1e-24);
        }
    }

    #[test]
    fn steps_have_the_length_of_the_divergence() {
        check(&MeanField::new(&[1.0, -2.0], &[0.1, 3.0]).unwrap(), true);
        check(&FullRank::new(&[1.0, 0.0, 2.0], array![[4.0, 1.0, -0.5], [1.0, 2.0, 0.3], [-0.5, 0.3, 0.5]].view()).unwrap(), true);
        let low = LowRank::new(&[0.0, 1.0, 2.0], &[0.5, 1.0, 0.2], array![[1.0], [0.5], [-1.0]].view()).unwrap();
        check(&low, false);
    }
}
