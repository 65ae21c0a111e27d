//! One-sided Jacobi: eigenpairs of Xᵀ X to high relative accuracy, however badly the columns of X are scaled.
//!
//! With a uniqueness at its floor, Ψ^−½ S Ψ^−½ has one entry of 10⁹ beside entries of 1; a method that is only backward stable then
//! loses nine digits of the small eigenvalues. Rotating columns does not (Demmel & Veselić 1992, SIAM J. Matrix Anal. 13:1204).

use ndarray::{Array1, Array2, Axis};

/// Sweeps at most; ten are already rare.
const SWEEPS: usize = 40;

/// Squared singular values (descending) and right singular vectors (as columns) of X (m, n) with n columns.
pub(super) fn right_singular(x: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let n = x.ncols();
    // de Rijk: the largest column first makes a graded matrix converge in few sweeps
    let mut order: Vec<usize> = (0..n).collect();
    let norms: Vec<f64> = x.columns().into_iter().map(|c| c.dot(&c)).collect();
    order.sort_by(|a, b| norms[*b].total_cmp(&norms[*a]));
    let mut columns: Vec<Vec<f64>> = order.iter().map(|&j| x.column(j).to_vec()).collect();
    let mut vectors: Vec<Vec<f64>> = order.iter().map(|&j| (0..n).map(|i| f64::from(i == j)).collect()).collect();
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for i in 0..n {
            for j in i + 1..n {
                rotated |= orthogonalise(&mut columns, &mut vectors, i, j);
            }
        }
        if !rotated {
            break;
        }
    }
    let values: Vec<f64> = columns.iter().map(|c| dot(c, c)).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    let mut v = Array2::zeros((n, n));
    for (to, &from) in order.iter().enumerate() {
        v.column_mut(to).assign(&Array1::from_vec(vectors[from].clone()));
    }
    (Array1::from_vec(values).select(Axis(0), &order), v)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Rotates columns i and j until they are orthogonal; false if they were.
fn orthogonalise(columns: &mut [Vec<f64>], vectors: &mut [Vec<f64>], i: usize, j: usize) -> bool {
    let (a, b, g) = (dot(&columns[i], &columns[i]), dot(&columns[j], &columns[j]), dot(&columns[i], &columns[j]));
    if g.abs() <= 4.0 * f64::EPSILON * (a * b).sqrt() {
        return false;
    }
    // t = tan of the smaller angle that diagonalises [[a, g], [g, b]]
    let zeta = (b - a) / (2.0 * g);
    let t = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
    let cosine = 1.0 / t.hypot(1.0);
    let sine = cosine * t;
    for set in [columns, vectors] {
        let (head, tail) = set.split_at_mut(j);
        for (u, v) in head[i].iter_mut().zip(&mut tail[0]) {
            (*u, *v) = (cosine * *u - sine * *v, sine * *u + cosine * *v);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn small_eigenvalues_of_a_graded_matrix_keep_their_digits() {
        // XᵀX for X = diag-scaled unit triangle; exact values from the 2x2 characteristic equation with the large root factored out.
        let big = 1e8;
        let x = array![[big, 0.5], [0.0, 1.0]];
        let (values, v) = right_singular(&x);
        // det(XᵀX) = big², trace = big² + 1.25: the small root is det / large = 1 / (1 + 0.25/big² + …) = 1 to 1e-16
        assert!((values[1] - 1.0).abs() < 1e-15, "{values}");
        assert!((values[0] / (big * big) - 1.0).abs() < 1e-15);
        // and eigenvectors are orthonormal to rounding
        let gram = v.t().dot(&v);
        assert!((&gram - &Array2::<f64>::eye(2)).iter().all(|e| e.abs() < 1e-15));
    }
}
