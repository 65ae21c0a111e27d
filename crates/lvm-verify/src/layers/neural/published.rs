//! What is known of probabilistic PCA on real tables, to be met by linear autoencoders.

use crate::tables;
use ndarray::{Array2, Axis};

/// A table with the number of latents, and the maximum of the evidence: mean log-likelihood of a row and σ².
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// Name of the table.
    pub table: &'static str,
    /// Whether columns are taken less their means, over their standard deviations (by 1/N).
    pub standardised: bool,
    /// q.
    pub latents: usize,
    /// Nats a row.
    pub evidence: f64,
    /// σ².
    pub noise: f64,
}

impl Published {
    const fn new(table: &'static str, standardised: bool, latents: usize, evidence: f64, noise: f64) -> Self {
        Published { table, standardised, latents, evidence, noise }
    }

    /// As it stands in the names of groups.
    pub fn name(&self) -> String {
        format!("{}{}, {} latents", self.table, if self.standardised { " z-scored" } else { "" }, self.latents)
    }

    /// The table (N, D).
    ///
    /// # Errors
    /// If it can't be read.
    pub fn x(&self) -> Result<Array2<f64>, String> {
        let x = tables::real(self.table)?.x;
        if !self.standardised {
            return Ok(x);
        }
        let (mean, sd) = (x.mean_axis(Axis(0)).ok_or("no rows")?, x.std_axis(Axis(0), 0.0));
        Ok((x - mean) / sd)
    }
}

/// Small tables first.
pub const PUBLISHED: [Published; 6] = [
    Published::new("iris", false, 2, -2.699_752, 0.050_682_15),
    Published::new("tobamovirus", false, 2, -32.787_697, 1.626_908_85),
    Published::new("wine", true, 5, -15.212_645, 0.322_362_74),
    Published::new("breast_cancer", true, 5, -24.625_057, 0.183_188_71),
    Published::new("digits 8x8", false, 10, -159.993_731, 5.824_351_32),
    Published::new("mnist", false, 10, 206.777_045, 0.032_712_85),
];

/// Gaussian families of q.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Latents independent given x.
    Diagonal,
    /// With all covariances.
    FullCovariance,
}
