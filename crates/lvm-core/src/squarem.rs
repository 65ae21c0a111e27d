//! Squared extrapolation (SQUAREM): from two steps of a slow monotone map to a long one.
//!
//! Near its fixed point EM is linear with a matrix whose largest eigenvalues, the shares of missing information, are close to 1, and it
//! creeps. From θ₀, θ₁ = M(θ₀), θ₂ = M(θ₁), Varadhan and Roland take
//!
//! ```text
//! r = θ₁ − θ₀,   v = (θ₂ − θ₁) − r,   s = ‖r‖ / ‖v‖            (scheme S3, with s = −α)
//! θ(s) = θ₀ + 2 s r + s² v,   θ(1) = θ₂
//! ```
//!
//! which is what the map would reach in many steps along its slowest direction. Whether θ(s) is better than θ₂ is for the caller to see;
//! shorter steps lead back to θ₂.
//!
//! Varadhan & Roland, *Simple and globally convergent methods for accelerating the convergence of any EM algorithm*, Scandinavian
//! Journal of Statistics 35 (2008) 335.

/// The parabola θ(s) through three points of a map.
pub(crate) struct Extrapolation {
    start: Vec<f64>,
    r: Vec<f64>,
    v: Vec<f64>,
}

impl Extrapolation {
    /// From θ₀, θ₁ and θ₂, in coordinates of comparable size.
    pub(crate) fn new(start: Vec<f64>, first: &[f64], second: &[f64]) -> Self {
        let r: Vec<f64> = first.iter().zip(&start).map(|(a, b)| a - b).collect();
        let v = second.iter().zip(first).zip(&r).map(|((b, a), r)| (b - a) - r).collect();
        Extrapolation { start, r, v }
    }

    /// s and, should it be too long, the middle between it and the plain step, and √s; none if the map does not creep (s ≤ 1).
    pub(crate) fn lengths(&self) -> impl Iterator<Item = f64> {
        let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let longest = norm(&self.r) / norm(&self.v);
        // √s, since ‖v‖ may be rounding alone, and s then any number
        [longest, 0.5 * (1.0 + longest), longest.sqrt()].into_iter().filter(|s| s.is_finite() && *s > 1.0)
    }

    /// θ(s).
    pub(crate) fn at(&self, s: f64) -> Vec<f64> {
        self.start.iter().zip(&self.r).zip(&self.v).map(|((t, r), v)| t + s * (2.0 * r + s * v)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_map_of_one_rate_is_solved_in_one_step() {
        // θ ← 3 + 0.99 (θ − 3): s = 1 / (1 − 0.99)
        let map = |t: &[f64]| t.iter().map(|t| 3.0 + 0.99 * (t - 3.0)).collect::<Vec<_>>();
        let start = vec![0.0, 10.0];
        let first = map(&start);
        let second = map(&first);
        let path = Extrapolation::new(start, &first, &second);
        let lengths: Vec<f64> = path.lengths().collect();
        // differences of numbers near 3 · 0.01² = 3e-4 keep twelve digits
        assert!((lengths[0] - 100.0).abs() < 1e-8 && lengths.len() == 3);
        assert!(path.at(lengths[0]).iter().all(|t| (t - 3.0).abs() < 1e-8));
        assert!(path.at(1.0).iter().zip(&second).all(|(a, b)| (a - b).abs() < 1e-14));
    }

    #[test]
    fn a_map_that_has_arrived_takes_no_long_step() {
        let path = Extrapolation::new(vec![1.0], &[1.0], &[1.0]);
        assert_eq!(path.lengths().count(), 0);
    }
}
