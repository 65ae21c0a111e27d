//! A diagnosis for people: the verdict, then each latent with what is known of its error.

use super::verdict::Diagnosis;
use std::fmt;

impl fmt::Display for Diagnosis {
    /// The verdict with its reasons; then for each latent the errors of q's mean (posterior standard deviations) and standard deviation, as
    /// measured by weighted draws, and what bounds them (in standard deviations of q), or "no bound".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        write!(f, "  {:>6}  {:>10}  {:>8}  {:>10}  {:>8}", "latent", "mean error", "at most", "sd error", "at most")?;
        for i in 0..self.mean_error.len() {
            let measured = self.pareto_k < self.pareto_k_threshold;
            let number = |known: bool, value: f64| if known { format!("{value:+.3}") } else { "unknown".to_owned() };
            let bound = |value: Option<f64>| value.map_or("no bound".to_owned(), |v| format!("{v:.3}"));
            // q's own standard deviation, in which the bounds are told
            let unit = self.scale_ratio[i] * self.moments.standard_deviation[i];
            write!(
                f,
                "\n  {i:>6}  {:>10}  {:>8}  {:>10}  {:>8}",
                number(measured, self.mean_error[i]),
                bound(self.bounds.as_ref().map(|b| b.mean[i] / unit)),
                number(measured, self.scale_ratio[i] - 1.0),
                bound(self.bounds.as_ref().map(|b| b.standard_deviation[i] / unit)),
            )?;
        }
        Ok(())
    }
}
