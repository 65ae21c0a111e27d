//! Orthomax rotations by planar rotations: in each plane the best angle is known in closed form (Kaiser 1958).

use ndarray::Array2;

/// Sweeps over all planes at most.
const SWEEPS: usize = 1000;

/// T orthogonal that maximises Σ_k [Σ_j λ_jk⁴ − γ/D (Σ_j λ_jk²)²] of Λ = A T, and whether the last sweep changed no angle.
///
/// γ = 1 is varimax, γ = 0 quartimax.
pub(super) fn rotate(a: &Array2<f64>, gamma: f64) -> (Array2<f64>, bool) {
    let (d, q) = a.dim();
    let mut lambda = a.clone();
    let mut t = Array2::eye(q);
    for _ in 0..SWEEPS {
        let mut largest = 0.0_f64;
        for k in 0..q {
            for l in k + 1..q {
                // With u = λ_k² − λ_l², v = 2 λ_k λ_l the criterion of the plane turned by φ is a cosine in 4φ.
                let (mut su, mut sv, mut difference, mut product) = (0.0, 0.0, 0.0, 0.0);
                for j in 0..d {
                    let (x, y) = (lambda[[j, k]], lambda[[j, l]]);
                    let (u, v) = (x * x - y * y, 2.0 * x * y);
                    su += u;
                    sv += v;
                    difference += u * u - v * v;
                    product += 2.0 * u * v;
                }
                let numerator = product - 2.0 * gamma * su * sv / d as f64;
                let denominator = difference - gamma * (su * su - sv * sv) / d as f64;
                if numerator == 0.0 && denominator >= 0.0 {
                    continue;
                }
                let angle = 0.25 * numerator.atan2(denominator);
                largest = largest.max(angle.abs());
                turn(&mut lambda, k, l, angle);
                turn(&mut t, k, l, angle);
            }
        }
        // An angle is known to rounding of sums of D products; nothing is gained below.
        if largest <= 1e-14 * d as f64 {
            return (t, true);
        }
    }
    (t, false)
}

fn turn(a: &mut Array2<f64>, k: usize, l: usize, angle: f64) {
    let (sine, cosine) = angle.sin_cos();
    for mut row in a.rows_mut() {
        (row[k], row[l]) = (cosine * row[k] + sine * row[l], cosine * row[l] - sine * row[k]);
    }
}
