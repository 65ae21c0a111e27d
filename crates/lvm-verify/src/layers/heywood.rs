//! C5: a Heywood case with an answer in closed form.

use super::factors::heywood;
use crate::check::{Layer, Source, Tolerance};
use crate::suite::{Group, Outcome, Suite};
use lvm_core::fa::FaMl;
use ndarray::array;

/// The one case.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::C, "C5", "three columns, one factor, improper", improper);
}

/// Correlations 0.9, 0.8, 0.65: one factor would need the loading √(0.9·0.8/0.65) > 1 on the first column. The likelihood rises as ψ₁ falls,
/// without end, so ψ₁ is held at the floor and reported; then the factor is the first column and the others are regressed on it.
fn improper(g: &mut Group<'_>) -> Outcome {
    let c = array![[1.0, 0.9, 0.8], [0.9, 1.0, 0.65], [0.8, 0.65, 1.0]];
    let algorithm = FaMl { factors: 1, ..Default::default() };
    let fitted = g.subject.fit_factors_to_covariance(&algorithm, c.view(), 500.0)?;
    let psi = fitted.model.noise_variances();
    let reported = heywood(&fitted.repairs);
    let t = Tolerance::relative(1e-6, "held there");
    g.scalar("ψ of the improper column, at the floor", Source::E, psi[0], algorithm.floor, &t);
    let right = reported == [0];
    g.holds("Heywood case reported", format!("{reported:?}"), "[0]", right, "and no other (statsmodels 4169)");
    let truth = array![1.0 - 0.81, 1.0 - 0.64];
    let t = Tolerance::absolute(1e-6, "the limit of ψ₁ = 1e-9: of order 1e-8");
    g.array("ψ of the others", Source::E, &array![psi[1], psi[2]], &truth, &t);
    Ok(())
}
