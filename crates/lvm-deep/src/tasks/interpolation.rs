//! Paths between two points of the latent space.

use crate::error::{Error, Result};
use tch::{Kind, Tensor};

/// z_t = (1 − t) a + t b at `steps` values of t from 0 to 1; (steps, N, L) for a and b (N, L).
///
/// In many dimensions the middle of a straight path lies nearer to the origin than draws from N(0, I) do.
///
/// # Errors
/// If the shapes differ or there are fewer than two steps.
pub fn linear(a: &Tensor, b: &Tensor, steps: i64) -> Result<Tensor> {
    let t = times(a, b, steps)?;
    Ok(a * (1.0 - &t) + b * t)
}

/// z_t = [sin((1 − t)Ω) a + sin(tΩ) b]/sin Ω, Ω the angle between a and b: along the great circle, with lengths as of draws from N(0, I)
/// where a and b have them. The straight path where a and b point the same way (or opposite ways, where no great circle is preferred).
///
/// Shoemake 1985; White 2016.
///
/// # Errors
/// As [`linear`].
pub fn spherical(a: &Tensor, b: &Tensor, steps: i64) -> Result<Tensor> {
    let t = times(a, b, steps)?;
    let length = |v: &Tensor| v.square().sum_dim_intlist([-1].as_slice(), true, None).sqrt();
    let cosine = (a * b).sum_dim_intlist([-1].as_slice(), true, None) / (length(a) * length(b)).clamp_min(f64::from(f32::MIN_POSITIVE));
    let omega = cosine.clamp(-1.0, 1.0).acos();
    let sine = omega.sin();
    let rest: Tensor = 1.0 - &t;
    let path = ((&rest * &omega).sin() * a + (&t * &omega).sin() * b) / &sine;
    // below this angle the two paths agree to rounding of f32
    let curved = sine.gt(1e-4).logical_and(&cosine.isfinite());
    Ok(path.where_self(&curved, &(a * rest + b * t)))
}

/// t of each step (steps, 1, 1).
fn times(a: &Tensor, b: &Tensor, steps: i64) -> Result<Tensor> {
    if a.size() != b.size() || a.dim() != 2 {
        return Err(Error::config("latents", format!("have shapes {:?} and {:?}; both must be (N, L)", a.size(), b.size())));
    }
    if steps < 2 {
        return Err(Error::config("steps", format!("is {steps}; the two ends are 2 steps")));
    }
    Ok(Tensor::linspace(0.0, 1.0, steps, (Kind::Double, a.device())).to_kind(a.kind()).view([steps, 1, 1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::to_values;

    #[test]
    fn great_circles_keep_the_length_and_meet_both_ends() {
        let a = Tensor::from_slice(&[3.0, 0.0, 1.0, 1.0]).view([2, 2]);
        let b = Tensor::from_slice(&[0.0, 3.0, 2.0, 2.0]).view([2, 2]);
        let path = spherical(&a, &b, 3).unwrap();
        let half = 3.0 / 2.0_f64.sqrt();
        // the second row points one way all along: a straight path
        let expected = [3.0, 0.0, 1.0, 1.0, half, half, 1.5, 1.5, 0.0, 3.0, 2.0, 2.0];
        assert!(to_values(&path).iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-12), "{path:?}");
        assert_eq!(to_values(&linear(&a, &b, 2).unwrap()), [3.0, 0.0, 1.0, 1.0, 0.0, 3.0, 2.0, 2.0]);
        assert!(linear(&a, &b, 1).is_err() && linear(&a, &b.narrow(0, 0, 1), 2).is_err());
    }
}
