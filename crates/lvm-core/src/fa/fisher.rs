//! The Fisher information of the uniquenesses, and equations with it.

use crate::error::Result;
use crate::linalg;
use ndarray::{Array1, Array2, Axis};

/// P ∘ P + diag(a) with P = I − U Uᵀ, a ≥ 0: twice the Fisher information per row of the log ψ_j where the model fits, with something
/// added to its diagonal. Positive definite by Schur's product theorem.
#[derive(Debug)]
pub(super) struct Fisher {
    /// U (F, r), rows of orthonormal columns.
    u: Array2<f64>,
    /// a (F).
    added: Array1<f64>,
}

/// Rounds of conjugate gradients at most.
const ROUNDS: usize = 100;

/// The residual, relative to the right side, at which an equation is solved.
const ACCURACY: f64 = 1e-13;

impl Fisher {
    pub(super) fn new(u: Array2<f64>, added: Array1<f64>) -> Self {
        Fisher { u, added }
    }

    /// Σ_k u_jk² (F).
    fn communalities(&self) -> Array1<f64> {
        self.u.rows().into_iter().map(|u| u.dot(&u)).collect()
    }

    /// The matrix itself (F, F).
    pub(super) fn matrix(&self) -> Array2<f64> {
        let mut p = -linalg::matmul(self.u.view(), self.u.t());
        p.diag_mut().mapv_inplace(|v| v + 1.0);
        p.mapv_inplace(|v| v * v);
        p.diag_mut().zip_mut_with(&self.added, |v, a| *v += a);
        p
    }

    /// The product with v, in O(F r²):
    ///
    /// ```text
    /// (P ∘ P) v = (1 − 2 s) ∘ v + diag(U (Uᵀ diag(v) U) Uᵀ),   s_j = Σ_k u_jk²
    /// ```
    fn times(&self, s: &Array1<f64>, v: &Array1<f64>) -> Array1<f64> {
        let inner = linalg::matmul((&self.u * &v.view().insert_axis(Axis(1))).t(), self.u.view());
        let image = linalg::matmul(self.u.view(), inner.view());
        let mut out: Array1<f64> = image.rows().into_iter().zip(self.u.rows()).map(|(a, b)| a.dot(&b)).collect();
        ndarray::Zip::from(&mut out).and(s).and(&self.added).and(v).for_each(|out, s, a, v| *out += (1.0 - 2.0 * s + a) * v);
        out
    }

    /// Solves in place: by conjugate gradients scaled by the diagonal, which hardly anything stands beside when q is much smaller than
    /// D; by the Cholesky factor if that takes too long.
    ///
    /// # Errors
    /// If the matrix is not positive definite to rounding.
    pub(super) fn solve(&self, b: &mut Array1<f64>) -> Result<()> {
        if let Some(x) = self.conjugate_gradients(b) {
            *b = x;
            return Ok(());
        }
        let lower = linalg::cholesky(self.matrix().view()).map_err(|e| e.of("Fisher information of the uniquenesses"))?;
        linalg::cholesky_solve(lower.view(), b.view_mut().insert_axis(Axis(1)));
        Ok(())
    }

    fn conjugate_gradients(&self, b: &Array1<f64>) -> Option<Array1<f64>> {
        let s = self.communalities();
        // (1 − s)² is the diagonal of P ∘ P
        let diagonal = ndarray::Zip::from(&s).and(&self.added).map_collect(|s, a| (1.0 - s) * (1.0 - s) + a);
        let mut x = Array1::zeros(b.len());
        let mut residual = b.clone();
        let mut scaled = &residual / &diagonal;
        let mut direction = scaled.clone();
        let mut size = residual.dot(&scaled);
        let enough = ACCURACY * ACCURACY * size;
        for _ in 0..ROUNDS {
            if size <= enough {
                return Some(x);
            }
            let image = self.times(&s, &direction);
            let curvature = direction.dot(&image);
            // negated so that a NaN is caught too
            if !(curvature > 0.0) {
                return None;
            }
            x.scaled_add(size / curvature, &direction);
            residual.scaled_add(-size / curvature, &image);
            scaled = &residual / &diagonal;
            let new = residual.dot(&scaled);
            direction = &scaled + &(direction * (new / size));
            size = new;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_solve_agree() {
        for (f, r) in [(3, 1), (40, 0), (40, 5), (200, 7)] {
            // columns of a matrix of cosines are orthogonal
            let u = Array2::from_shape_fn((f, r), |(j, k)| {
                (std::f64::consts::PI * (j as f64 + 0.5) * (k + 1) as f64 / f as f64).cos() * (2.0 / f as f64).sqrt()
            });
            let fisher = Fisher::new(u, Array1::from_shape_fn(f, |j| 1e-3 * (j % 3) as f64));
            let b = Array1::from_shape_fn(f, |j| (j as f64 * 0.7).sin());
            let mut x = b.clone();
            fisher.solve(&mut x).unwrap();
            let image = fisher.matrix().dot(&x);
            // the accuracy asked for, and rounding of sums of f numbers of size 1
            assert!((&image - &b).iter().all(|e| e.abs() < 1e-12 * (f as f64).sqrt()), "{f} {r}");
            let s = fisher.communalities();
            assert!((&fisher.times(&s, &x) - &image).iter().all(|e| e.abs() < 1e-13 * f as f64));
        }
    }
}
