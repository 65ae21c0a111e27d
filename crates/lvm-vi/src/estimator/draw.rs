//! Draws z ~ q with the log density of the target there, and the account of those that were of no use.

use crate::family::{Family, Variational, draw_noise};
use crate::target::{LogDensity, LogDensityGrad, TargetError};
use lvm_core::{Error, ErrorKind, Result};
use rand::Rng;

/// How many draws were used and how many left out.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) used: usize,
    pub(crate) skipped: usize,
    why: String,
}

impl Tally {
    /// The value, if it is usable; counts it if not.
    pub(crate) fn admit(&mut self, value: std::result::Result<f64, TargetError>, gradient: &[f64]) -> Result<Option<f64>> {
        let why = match value {
            Ok(v) if !v.is_finite() => format!("the log density is {v}"),
            Ok(v) => match gradient.iter().position(|g| !g.is_finite()) {
                None => return Ok(Some(v)),
                Some(i) => format!("entry {i} of the gradient is {}", gradient[i]),
            },
            Err(TargetError::Recoverable(why)) => why,
            Err(fatal) => return Err(ErrorKind::Density(Box::new(fatal)).into()),
        };
        self.leave_out(why);
        Ok(None)
    }

    pub(crate) fn leave_out(&mut self, why: String) {
        self.skipped += 1;
        self.why = why;
    }

    pub(crate) fn merge(&mut self, later: Tally) {
        self.used += later.used;
        self.skipped += later.skipped;
        if later.skipped > 0 {
            self.why = later.why;
        }
    }

    /// 1 / used.
    ///
    /// # Errors
    /// If no draw was used.
    pub(crate) fn weight(&self) -> Result<f64> {
        match self.used {
            0 => Err(ErrorKind::NoUsableDraw { draws: self.skipped, why: self.why.clone() }.into()),
            n => Ok(1.0 / n as f64),
        }
    }
}

/// z = T(ε; λ) with ∇_z log p.
#[derive(Debug)]
pub(crate) struct Draw {
    pub(crate) noise: Vec<f64>,
    pub(crate) z: Vec<f64>,
    /// ∇_z log p(z).
    pub(crate) gradient: Vec<f64>,
}

impl Draw {
    pub(crate) fn new<F: Family>(q: &F) -> Self {
        Draw { noise: vec![0.0; q.noise_dim()], z: vec![0.0; q.dim()], gradient: vec![0.0; q.dim()] }
    }

    /// Draws anew; log p(z) with its gradient in `gradient`, or `None` if the draw is to be left out.
    ///
    /// # Errors
    /// If the target fails for good.
    pub(crate) fn next<F: Family, T: LogDensityGrad + ?Sized>(
        &mut self,
        q: &F,
        target: &T,
        rng: &mut dyn Rng,
        tally: &mut Tally,
    ) -> Result<Option<f64>> {
        draw_noise(rng, &mut self.noise);
        q.transform(&self.noise, &mut self.z);
        let value = target.log_density_grad(&self.z, &mut self.gradient);
        tally.admit(value, &self.gradient)
    }
}

/// log p(z) at a fresh z ~ q, written over `z`, or `None` if the draw is to be left out.
pub(crate) fn next_value<V: Variational, T: LogDensity + ?Sized>(
    q: &V,
    target: &T,
    rng: &mut dyn Rng,
    z: &mut [f64],
    tally: &mut Tally,
) -> Result<Option<f64>> {
    q.sample(rng, z);
    tally.admit(target.log_density(z), &[])
}

/// Refuses a target of another dimension than q.
pub(crate) fn check_dimension<V: Variational, T: LogDensity + ?Sized>(q: &V, target: &T) -> Result<()> {
    match (q.dim(), target.dim()) {
        (expected, found) if expected != found => {
            Err(ErrorKind::Shape { what: "dimension of the target beside that of q", expected, found }.into())
        }
        _ => Ok(()),
    }
}

/// Refuses zero of something.
pub(crate) fn check_positive(field: &'static str, n: usize) -> Result<()> {
    if n == 0 { Err(Error::config(field, "0 is too few; at least 1 is needed")) } else { Ok(()) }
}
