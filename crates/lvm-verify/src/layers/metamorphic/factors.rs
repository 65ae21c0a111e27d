//! Identities of factor analysis.

use super::{doubled, orthogonal, rounding_of_rows};
use crate::check::{Layer, Source, Tolerance};
use crate::oracle::gaussian;
use crate::suite::{Group, Outcome, Problem, Suite};
use crate::tables;
use lvm_core::fa::{FaMl, FactorAnalysis, Rotation};
use lvm_core::model::{Infer, LatentDist, LatentModel, MapLatent};
use lvm_core::ppca::{Ppca, PpcaMl};
use lvm_core::rows::{RowSource, Rows};
use ndarray::{Array1, Array2, Axis};

/// All identities of factor analysis.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::M, "M1", "wine, 2 factors", |g| identities(g, "wine", 2));
    suite.group(Layer::M, "M1", "breast cancer, first 10 columns, 1 factor", |g| identities(g, "breast_cancer", 1));
    suite.group(Layer::M, "M1", "wine, factor analysis with equal noise is PPCA", equal_noise);
}

fn table(name: &'static str) -> Result<Array2<f64>, Problem> {
    let x = tables::real(name)?.x;
    Ok(if name == "breast_cancer" { x.select(Axis(1), &[1, 4, 5, 6, 7, 8, 9]) } else { x })
}

struct Fit {
    model: FactorAnalysis,
    likelihood: f64,
    uniquenesses: Array1<f64>,
}

fn fit(g: &Group<'_>, data: &dyn RowSource, q: usize) -> Result<Fit, Problem> {
    let algorithm = FaMl { factors: q, ..Default::default() };
    let fitted = g.subject.fit_factors(&algorithm, data, 0)?;
    Ok(Fit { likelihood: fitted.objective(), uniquenesses: g.subject.uniquenesses(&fitted.model), model: fitted.model })
}

fn identities(g: &mut Group<'_>, name: &'static str, q: usize) -> Outcome {
    let x = table(name)?;
    let (n, d) = x.dim();
    let base = fit(g, &x, q)?;
    // Two optima, each to gradient 1e-9: log ψ to 1e-9 over the smallest curvature, for which 1e-3 is assumed; the likelihood is second order.
    let u = Tolerance::absolute(2e-6, "2 · gradient_tolerance 1e-9 / smallest curvature in log ψ, 1e-3 assumed");
    let likelihood = Tolerance::absolute(
        1e-10,
        "second order in the distance to the optimum (1e-9 · 1e-6), and 1e-10 of rounding in N D terms and κ(C)",
    );

    let factors = Array1::from_shape_fn(d, |j| [1000.0, 0.001, 7.0, 0.3][j % 4]);
    let scaled = fit(g, &(&x * &factors), q)?;
    g.array("unit change: uniquenesses unchanged", Source::I, &scaled.uniquenesses, &base.uniquenesses, &u);
    let log_det: f64 = factors.iter().map(|f: &f64| f.ln()).sum();
    g.scalar("unit change: log-likelihood - Σ log s", Source::I, scaled.likelihood, base.likelihood - log_det, &likelihood);
    let moved = fit(g, &(&x + 1000.0), q)?;
    g.array("shift by 1000: uniquenesses", Source::I, &moved.uniquenesses, &base.uniquenesses, &u);

    let reversed: Vec<usize> = (0..n).rev().collect();
    let other = fit(g, &x.select(Axis(0), &reversed), q)?;
    g.array("row order: uniquenesses", Source::I, &other.uniquenesses, &base.uniquenesses, &u);
    g.scalar("row order: log-likelihood", Source::I, other.likelihood, base.likelihood, &likelihood);
    let columns: Vec<usize> = (0..d).map(|j| (j + 1) % d).collect();
    let other = fit(g, &x.select(Axis(1), &columns), q)?;
    g.array("column order: uniquenesses", Source::I, &other.uniquenesses, &base.uniquenesses.select(Axis(0), &columns), &u);

    let (rows, weights) = doubled(n);
    let twice = fit(g, &x.select(Axis(0), &rows), q)?;
    let weighted = fit(g, &Rows::new(&x).weighted(weights.view())?, q)?;
    g.array("weight 2 = row twice: uniquenesses", Source::I, &weighted.uniquenesses, &twice.uniquenesses, &u);
    g.scalar("weight 2 = row twice: log-likelihood", Source::I, weighted.likelihood, twice.likelihood, &likelihood);
    let complete = fit(g, &Rows::new(&x).missing_as_nan(), q)?;
    g.array("nothing missing = complete: uniquenesses", Source::I, &complete.uniquenesses, &base.uniquenesses, &u);

    let (_, scatter) = gaussian::moments(&x, None);
    let from_matrix = g.subject.fit_factors_to_covariance(&FaMl { factors: q, ..Default::default() }, scatter.view(), n as f64)?;
    g.array("from rows = from covariance: uniquenesses", Source::I, &g.subject.uniquenesses(&from_matrix.model), &base.uniquenesses, &u);
    g.scalar("from rows = from covariance: log-likelihood", Source::I, from_matrix.objective(), base.likelihood, &likelihood);
    latents(g, &base.model, &x)
}

/// Turning and rotating the factors, Bayes' identity, columns missing.
fn latents(g: &mut Group<'_>, model: &FactorAnalysis, x: &Array2<f64>) -> Outcome {
    let evidence = g.subject.factor_evidence(model, x)?;
    let sd = model.noise_variances().iter().copied().fold(f64::INFINITY, f64::min).sqrt();
    let t = rounding_of_rows(x, sd, 1);
    let w = model.linear_gaussian().loadings();
    let turned = FactorAnalysis::new(model.mean().clone(), w.dot(&orthogonal(model.factors())), model.noise_variances().clone())?;
    g.array("turned factors: log p(x)", Source::I, &g.subject.factor_evidence(&turned, x)?, &evidence, &t);
    if model.factors() > 1 {
        for rotation in [Rotation::varimax(), Rotation::promax(), Rotation::oblimin()] {
            let name = format!("{rotation:?}");
            let name = name.split([' ', '{']).next().unwrap_or("").to_lowercase();
            let rotated = model.rotated(rotation)?;
            g.array(format!("{name}: log p(x)"), Source::I, &g.subject.factor_evidence(&rotated, x)?, &evidence, &t);
            let u = Tolerance::absolute(64.0 * f64::EPSILON * model.factors() as f64, "64·q·ε: a rotation and back");
            g.array(format!("{name}: uniquenesses"), Source::I, &g.subject.uniquenesses(&rotated), &g.subject.uniquenesses(model), &u);
        }
    }
    let z = model.map_z(x)?;
    let bayes = model.log_joint(x, &z)? - model.infer(x)?.log_prob(&z)?;
    g.array("log p(x,z) - log p(z|x) = log p(x)", Source::I, &bayes, &evidence, &t);
    let keep: Vec<usize> = (1..x.ncols()).collect();
    let mut holes = x.clone();
    holes.column_mut(0).fill(f64::NAN);
    let part =
        FactorAnalysis::new(model.mean().select(Axis(0), &keep), w.select(Axis(0), &keep), model.noise_variances().select(Axis(0), &keep))?;
    let missing = g.subject.factor_evidence(model, &Rows::new(&holes).missing_as_nan())?;
    g.array("a column missing = the column absent", Source::I, &missing, &g.subject.factor_evidence(&part, &x.select(Axis(1), &keep))?, &t);
    Ok(())
}

/// Factor analysis at PPCA's parameters is PPCA, in density and posterior; and its optimum is at least as likely.
fn equal_noise(g: &mut Group<'_>) -> Outcome {
    let x = super::super::shared::standardised(&tables::real("wine")?.x);
    let ppca: Ppca = g.subject.fit_ppca(&PpcaMl { components: 2, ..Default::default() }, &x, 0)?.model;
    let noise = Array1::from_elem(x.ncols(), ppca.noise_variance());
    let same = FactorAnalysis::new(ppca.mean().clone(), ppca.loadings().clone(), noise)?;
    let t = rounding_of_rows(&x, ppca.noise_variance().sqrt(), 1);
    g.array("log p(x)", Source::I, &g.subject.factor_evidence(&same, &x)?, &g.subject.ppca_evidence(&ppca, &x)?, &t);
    let (a, b) = (g.subject.factor_posterior(&same, &x)?, g.subject.ppca_posterior(&ppca, &x)?);
    g.array("E[z|x]", Source::I, &a.mean, &b.mean, &t);
    g.array("Cov[z|x]", Source::I, &a.covariance, &b.covariance, &t);
    let (free, tied) = (fit(g, &x, 2)?.likelihood, g.subject.ppca_criteria(&ppca, &x)?.mean_log_likelihood());
    g.holds(
        "free noise is at least as likely",
        format!("{free:.6}"),
        format!(">= {tied:.6}"),
        free >= tied,
        "PPCA is nested in factor analysis",
    );
    Ok(())
}
