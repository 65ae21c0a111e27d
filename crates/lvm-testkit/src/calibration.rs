//! Calibration: latents drawn with the data are distributed as the posterior says.

use crate::{Verdict, broken, raised};
use lvm_core::model::{Infer, LatentDist};
use ndarray::{Array1, Array2};
use rand::Rng;

/// Statistics of a latent whose average under the prior can be compared with its average under the posterior.
pub trait Statistics {
    /// One vector of statistics for each row.
    fn statistics(&self) -> Array2<f64>;
}

impl Statistics for Array1<usize> {
    /// Indicators of the first eight components.
    fn statistics(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.len(), 8), |(n, k)| f64::from(u8::from(self[n] == k)))
    }
}

impl Statistics for Array2<f64> {
    /// z_j and z_j².
    fn statistics(&self) -> Array2<f64> {
        let q = self.ncols();
        Array2::from_shape_fn((self.nrows(), 2 * q), |(n, j)| if j < q { self[[n, j]] } else { self[[n, j - q]].powi(2) })
    }
}

/// For (z, x) drawn from the model and z' drawn from p(z | x), the pair (x, z') has the law of (x, z): t(z) − t(z') and
/// (t(z) − t(z'))·x_j average to zero for every statistic t and every column j.
///
/// 50 000 draws; each average is compared with its own standard error at z = 6.5, so that a correct model with a hundred averages
/// fails with probability below 1e-8.
///
/// # Errors
/// The first average that is not zero.
pub fn posterior_is_calibrated<M>(model: &M, rng: &mut dyn Rng) -> Verdict
where
    M: Infer,
    M::Z: Statistics,
{
    const LAW: &str = "posterior is calibrated";
    let n = 50_000;
    let z = model.sample_z(n, rng);
    let x = model.sample_x(&z, rng).map_err(raised(LAW))?;
    let other = model.infer(&x).map_err(raised(LAW))?.sample(rng);
    let difference = z.statistics() - other.statistics();
    let centre = x.mean_axis(ndarray::Axis(0)).unwrap_or_default();
    for t in 0..difference.ncols() {
        let column = difference.column(t);
        for j in 0..=x.ncols() {
            let terms = column.iter().enumerate().map(|(i, d)| if j == 0 { *d } else { d * (x[[i, j - 1]] - centre[j - 1]) });
            let (mut sum, mut squares) = (0.0, 0.0);
            for v in terms {
                sum += v;
                squares += v * v;
            }
            let (mean, error) = (sum / n as f64, squares.sqrt() / n as f64);
            if mean.abs() > 6.5 * error {
                return Err(broken(
                    LAW,
                    format!(
                        "statistic {t} times column {j} (0: one): average {mean:.3e} is {:.1} standard errors from zero",
                        mean.abs() / error
                    ),
                ));
            }
        }
    }
    Ok(())
}
