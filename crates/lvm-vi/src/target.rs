//! What a user writes: log p(z, data) as a function of unconstrained z ∈ ℝᵈ, with its gradient, for all the data or by minibatches.

use lvm_core::mutant::planted;
use std::fmt;

/// Why a log density could not be evaluated at a point.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetError {
    /// This point has no density worth the name (overflow, a matrix that is not positive definite there …); other points do. The draw is
    /// left out and counted.
    Recoverable(String),
    /// The target is broken; the run ends.
    Fatal(String),
}

impl TargetError {
    /// Whether a run goes on at another point.
    pub fn is_recoverable(&self) -> bool {
        matches!(self, TargetError::Recoverable(_))
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetError::Recoverable(what) | TargetError::Fatal(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for TargetError {}

/// log p(z, data) over z ∈ ℝᵈ, in nats, with every constant kept: then the ELBO is a bound of the log evidence.
///
/// A parameter with constraints is expressed by an unconstrained one, with the log-Jacobian added (module `bijection`).
///
/// ```
/// use lvm_vi::target::{LogDensity, TargetError};
/// /// z ~ N(0, 1), one observation x ~ N(z, 1).
/// struct Observed(f64);
/// impl LogDensity for Observed {
///     fn dim(&self) -> usize { 1 }
///     fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
///         Ok(-0.5 * (z[0] * z[0] + (self.0 - z[0]).powi(2)) - std::f64::consts::TAU.ln())
///     }
/// }
/// assert!((Observed(2.0).log_density(&[1.0])? + 1.0 + std::f64::consts::TAU.ln()).abs() < 1e-15);
/// # Ok::<(), TargetError>(())
/// ```
///
/// # Panics
/// A panic in an implementation is not caught anywhere: it unwinds to whoever asked, also out of work done on other threads. What can't be
/// evaluated is an error, not a panic.
pub trait LogDensity: Sync {
    /// d, the number of latents.
    fn dim(&self) -> usize;

    /// log p(z, data). `z` has d entries.
    ///
    /// # Errors
    /// [`TargetError::Recoverable`] where the density can't be evaluated at this z, [`TargetError::Fatal`] where it never can.
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError>;
}

/// A log density with its gradient.
pub trait LogDensityGrad: LogDensity {
    /// log p(z, data), and ∇_z log p(z, data) written over `gradient` (d).
    ///
    /// # Errors
    /// As [`LogDensity::log_density`].
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError>;
}

/// log p(z) + Σ_n log p(x_n | z), with the data addressed by row, so that a minibatch B of them gives the unbiased
///
/// ```text
/// log p(z) + (N / |B|) Σ_{n ∈ B} log p(x_n | z)
/// ```
///
/// The scale N / |B| is put in by [`Batch`], never by who writes the model.
pub trait DataLogDensity: Sync {
    /// d, the number of latents.
    fn dim(&self) -> usize;

    /// N, the number of data.
    fn n_data(&self) -> usize;

    /// log p(z), and its gradient written over `gradient` (d).
    ///
    /// # Errors
    /// As [`LogDensity::log_density`].
    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError>;

    /// Σ_{n ∈ rows} log p(x_n | z), unscaled, and its gradient written over `gradient` (d).
    ///
    /// # Errors
    /// As [`LogDensity::log_density`].
    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError>;

    /// [`log_likelihood_grad`](Self::log_likelihood_grad) of all rows, for a model that can do them faster when they come in order.
    ///
    /// # Errors
    /// As [`LogDensity::log_density`].
    fn log_likelihood_grad_all(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let rows: Vec<usize> = (0..self.n_data()).collect();
        self.log_likelihood_grad(&rows, z, gradient)
    }
}

/// A [`DataLogDensity`] seen through some of its rows, scaled by N / |rows|.
#[derive(Debug)]
pub struct Batch<'a, T> {
    target: &'a T,
    rows: &'a [usize],
}

impl<'a, T: DataLogDensity> Batch<'a, T> {
    /// The target seen through `rows` (indices below N, not empty).
    ///
    /// # Errors
    /// If `rows` is empty, longer than N, or names a row that is not there.
    pub fn new(target: &'a T, rows: &'a [usize]) -> lvm_core::Result<Self> {
        let n = target.n_data();
        if rows.is_empty() {
            return Err(lvm_core::Error::config("rows", "the batch is empty; it needs at least one row"));
        }
        if rows.len() > n {
            return Err(lvm_core::Error::config(
                "rows",
                format!("the batch has {} rows and the data only {n}; take at most {n}", rows.len()),
            ));
        }
        match rows.iter().find(|&&r| r >= n) {
            Some(r) => Err(lvm_core::Error::config("rows", format!("row {r} is not there: the data has {n} rows, counted from 0"))),
            None => Ok(Batch { target, rows }),
        }
    }

    /// N / |rows|.
    pub fn scale(&self) -> f64 {
        if planted("batch_scale_missing") { 1.0 } else { self.target.n_data() as f64 / self.rows.len() as f64 }
    }
}

impl<T: DataLogDensity> LogDensity for Batch<'_, T> {
    fn dim(&self) -> usize {
        self.target.dim()
    }

    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut vec![0.0; z.len()])
    }
}

impl<T: DataLogDensity> LogDensityGrad for Batch<'_, T> {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let mut likelihood_gradient = vec![0.0; z.len()];
        let likelihood = self.target.log_likelihood_grad(self.rows, z, &mut likelihood_gradient)?;
        let prior = self.target.log_prior_grad(z, gradient)?;
        // log p(z) + N/|B| Σ_{n ∈ B} log p(x_n | z)   Hoffman et al. 2013, eq. 28
        let scale = self.scale();
        let of_prior = if planted("batch_scale_on_prior") { scale } else { 1.0 };
        gradient.iter_mut().zip(&likelihood_gradient).for_each(|(g, l)| *g = of_prior * *g + scale * l);
        Ok(of_prior * prior + scale * likelihood)
    }
}

/// A [`DataLogDensity`] with all its rows.
#[derive(Debug)]
pub struct FullData<'a, T> {
    target: &'a T,
}

impl<'a, T: DataLogDensity> FullData<'a, T> {
    /// The target with all its rows.
    pub fn new(target: &'a T) -> Self {
        FullData { target }
    }
}

impl<T: DataLogDensity> LogDensity for FullData<'_, T> {
    fn dim(&self) -> usize {
        self.target.dim()
    }

    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut vec![0.0; z.len()])
    }
}

impl<T: DataLogDensity> LogDensityGrad for FullData<'_, T> {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let mut likelihood_gradient = vec![0.0; z.len()];
        let likelihood = self.target.log_likelihood_grad_all(z, &mut likelihood_gradient)?;
        let prior = self.target.log_prior_grad(z, gradient)?;
        gradient.iter_mut().zip(&likelihood_gradient).for_each(|(g, l)| *g += l);
        Ok(prior + likelihood)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// z ~ N(0, 1), x_n ~ N(z, 1), without constants.
    #[derive(Debug)]
    struct Location(Vec<f64>);

    impl DataLogDensity for Location {
        fn dim(&self) -> usize {
            1
        }
        fn n_data(&self) -> usize {
            self.0.len()
        }
        fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
            gradient[0] = -z[0];
            Ok(-0.5 * z[0] * z[0])
        }
        fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
            gradient[0] = rows.iter().map(|&n| self.0[n] - z[0]).sum();
            Ok(rows.iter().map(|&n| -0.5 * (self.0[n] - z[0]).powi(2)).sum())
        }
    }

    #[test]
    fn batches_average_to_the_whole() {
        let target = Location(vec![1.0, 2.0, 4.0, -3.0]);
        let (mut whole, mut mean) = ([0.0], 0.0);
        let value = FullData::new(&target).log_density_grad(&[0.3], &mut whole).unwrap();
        let mut value_mean = 0.0;
        for n in 0..4 {
            let mut g = [0.0];
            value_mean += Batch::new(&target, &[n]).unwrap().log_density_grad(&[0.3], &mut g).unwrap() / 4.0;
            mean += g[0] / 4.0;
        }
        // sums of eight numbers below 100
        assert!((whole[0] - mean).abs() < 1e-13 && (value - value_mean).abs() < 1e-13);
    }

    #[test]
    fn a_batch_that_can_not_be_is_refused() {
        let target = Location(vec![1.0, 2.0]);
        assert!(Batch::new(&target, &[]).unwrap_err().to_string().contains("empty"));
        assert!(Batch::new(&target, &[0, 1, 0]).unwrap_err().to_string().contains("at most 2"));
        assert!(Batch::new(&target, &[2]).unwrap_err().to_string().contains("row 2"));
    }
}
