//! C4, C5: variational EM with the parameters unknown: with any covariance it is EM, and even the mean field ends at the maximum of the
//! likelihood, since W turns until the mean field has nothing to lose.

use super::Kind;
use crate::check::{Source, Tolerance};
use crate::oracle::{ABSENT, ENABLE, Lapack, linear_gaussian as oracle};
use crate::suite::{Budget, Group, Outcome};
use lvm_core::fa::FaMl;
use lvm_core::fit::Stopping;
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::ppca::PpcaMl;
use lvm_vi::local::{Noise, Shape, VariationalEm};
use ndarray::Array2;

/// What is left of a sequence whose last two gains are a and b and go on like a geometric one: b r/(1 − r), r = b/a. Gains at the level
/// of rounding have no ratio that means something: then what they are.
fn remaining(trace: &[f64]) -> f64 {
    let n = trace.len();
    if n < 12 {
        return f64::INFINITY;
    }
    // over ten iterations each, so that rounding does not speak
    let (a, b) = (trace[n - 6] - trace[n - 11], trace[n - 1] - trace[n - 6]);
    let r = (b / a).powf(0.2);
    if r < 1.0 && r > 0.0 { (b / 5.0).max(0.0) * r / (1.0 - r) } else { b.abs() }
}

/// Variational EM from random loadings against the maximum by eigen-decomposition (PPCA) or quasi-Newton (factor analysis); `unique` says
/// that factor analysis of this table has one proper maximum, which EM must then reach.
///
/// # Errors
/// If the library refuses.
pub(super) fn variational_em(g: &mut Group<'_>, x: &Array2<f64>, (kind, unique): (Kind, bool), q: usize) -> Outcome {
    let n = x.nrows() as f64;
    let (best, name, source) = match (kind, Lapack::get()) {
        (Kind::Ppca, Some(lapack)) => (oracle::ppca(lapack, x, q)?.log_likelihood / n, "dsyev", Source::Q),
        (Kind::Ppca, None) => {
            g.not_run("the maximum by LAPACK", ABSENT, ENABLE);
            (PpcaMl { components: q, ..Default::default() }.fit(x, 0)?.objective(), "eigen-decomposition", Source::I)
        }
        (Kind::Factors, _) => (FaMl { factors: q, ..Default::default() }.fit(x, 0)?.objective(), "quasi-Newton", Source::I),
    };
    // the likelihood of PPCA has no maximum but the largest (Tipping & Bishop 1999, appendix A); that of factor analysis may have several
    let global = kind == Kind::Ppca || unique;
    let noise = if kind == Kind::Ppca { Noise::Equal } else { Noise::PerColumn };
    let most = if g.budget == Budget::Quick { 500 } else { 3000 };
    for (shape, family) in [(Shape::Full, "full rank"), (Shape::Diagonal, "mean field")] {
        let stopping = Stopping { max_iterations: most, tolerance: 1e-10 };
        let config = VariationalEm { latents: q, noise, shape, stopping, ..Default::default() };
        let fitted = config.fit(x, g.seed(1))?;
        crate::layers::shared::monotone(g, &fitted.trace, n, x.ncols());
        let left = remaining(&fitted.trace);
        let reason = format!("three times what a geometric sequence has left after {} iterations: {left:.1e}", fitted.trace.len());
        let t = Tolerance::absolute(3.0 * left + 1e-9, format!("{reason}; and 1e-9"));
        if global {
            g.scalar(format!("{family}: ELBO a row at the end, the maximum by {name}"), source, fitted.objective(), best, &t);
        } else {
            // several maxima, or one on the boundary that EM does not reach in any number of iterations
            let excess = (fitted.objective() - best).max(0.0);
            g.bounded(format!("{family}: ELBO a row at the end above the maximum by {name}"), source, excess, &t);
        }
        let model: &LinearGaussian = &fitted.model;
        if let (Kind::Ppca, Some(lapack)) = (kind, Lapack::get()) {
            // the likelihood falls by ¼ ‖C*^{-½} (C − C*) C*^{-½}‖² a row near its maximum
            let best = oracle::ppca(lapack, x, q)?.factors.covariance();
            let scale = crate::layers::shared::covariance_scale(&best);
            let t = Tolerance::relative(4.0 * t.absolute.sqrt(), format!("twice 2 √δ for the δ nats a row that are left: {}", t.reason));
            g.array_scaled(format!("{family}: W Wᵀ + σ² I, that of dsyev"), Source::Q, &model.covariance(), &best, &scale, &t);
        }
        let evidence = model.log_likelihood(x)? / n;
        let above = fitted.objective() - evidence;
        let rounding = Tolerance::rounding(x.len(), 1.0 + evidence.abs());
        g.bounded(format!("{family}: ELBO above the likelihood of its own parameters"), Source::I, above.max(0.0), &rounding);
        g.bounded(format!("{family}: what the bound loses at its end"), Source::E, above, &t);
    }
    Ok(())
}
