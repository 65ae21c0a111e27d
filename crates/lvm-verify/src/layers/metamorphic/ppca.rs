//! Identities of probabilistic PCA.

use super::{doubled, log_abs_det, orthogonal, rounding_of_rows};
use crate::check::{Layer, Source, Tolerance};
use crate::oracle::gaussian;
use crate::suite::{Group, Outcome, Problem, Suite};
use crate::tables;
use lvm_core::model::{Infer, LatentDist, LatentModel, MapLatent};
use lvm_core::ppca::{Ppca, PpcaMl, Solver};
use lvm_core::rows::{RowSource, Rows};
use ndarray::{Array1, Array2, Axis};

/// All identities of PPCA.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::M, "M1", "iris, PPCA with 2 latents", |g| identities(g, "iris", 2));
    suite.group(Layer::M, "M1", "breast cancer, PPCA with 3 latents", |g| identities(g, "breast_cancer", 3));
    suite.group(Layer::M, "M1", "iris, limits of PPCA", limits);
    suite.group(Layer::M, "M1", "digits, solvers of PPCA agree", solvers);
}

fn fit(g: &Group<'_>, data: &dyn RowSource, q: usize) -> Result<(Ppca, f64), Problem> {
    let fitted = g.subject.fit_ppca(&PpcaMl { components: q, ..Default::default() }, data, 0)?;
    let objective = fitted.objective();
    Ok((fitted.model, objective))
}

fn identities(g: &mut Group<'_>, table: &'static str, q: usize) -> Outcome {
    let x = tables::real(table)?.x;
    let (n, d) = x.dim();
    let (model, likelihood) = fit(g, &x, q)?;
    let sigma2 = model.noise_variance();
    // A relative change δ of the data changes eigenvalues by 2 δ λ₁ (Weyl), σ² by as much, the log-likelihood by D times that over σ².
    let (_, scatter) = gaussian::moments(&x, None);
    let trace = scatter.diag().sum();
    let largest = x.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let unit = 16.0 * (n + d) as f64 * f64::EPSILON * (trace + largest * trace.sqrt());
    let weyl = Tolerance::absolute(unit, "16·(N+D)·ε·(tr S + max|x|·√tr S): rounding of rows and scatter, and Weyl");
    let density = Tolerance::absolute(unit * d as f64 / sigma2, "the same divided by σ², times D: the slope of the log-likelihood");

    let shifted = &x + 1000.0;
    let extra = 16.0 * (n + d) as f64 * f64::EPSILON * 1000.0 * trace.sqrt();
    let t = Tolerance::absolute(density.absolute + extra * d as f64 / sigma2, format!("{}; the shift adds max|x| = 1000", density.reason));
    g.scalar("shift by 1000: log-likelihood", Source::I, fit(g, &shifted, q)?.1, likelihood, &t);
    let (scaled, shift) = fit(g, &(&x * 4.0), q)?;
    g.scalar("unit change: log-likelihood - D log 4", Source::I, shift, likelihood - d as f64 * 4f64.ln(), &density);
    g.scalar("unit change: σ² times 16", Source::I, scaled.noise_variance() / 16.0, sigma2, &weyl);
    let (turned, same) = fit(g, &x.dot(&orthogonal(d).t()), q)?;
    g.scalar("rotated data: log-likelihood", Source::I, same, likelihood, &density);
    g.scalar("rotated data: σ²", Source::I, turned.noise_variance(), sigma2, &weyl);

    let reversed: Vec<usize> = (0..n).rev().collect();
    let (other, value) = fit(g, &x.select(Axis(0), &reversed), q)?;
    g.scalar("row order: log-likelihood", Source::I, value, likelihood, &density);
    g.scalar("row order: σ²", Source::I, other.noise_variance(), sigma2, &weyl);
    let columns: Vec<usize> = (0..d).map(|j| (j + 1) % d).collect();
    g.scalar("column order: log-likelihood", Source::I, fit(g, &x.select(Axis(1), &columns), q)?.1, likelihood, &density);

    let (rows, weights) = doubled(n);
    let (a, twice) = fit(g, &x.select(Axis(0), &rows), q)?;
    let (b, weighted) = fit(g, &Rows::new(&x).weighted(weights.view())?, q)?;
    g.scalar("weight 2 = row twice: log-likelihood", Source::I, weighted, twice, &density);
    g.scalar("weight 2 = row twice: σ²", Source::I, b.noise_variance(), a.noise_variance(), &weyl);
    g.array("weight 2 = row twice: mean", Source::I, b.mean(), a.mean(), &Tolerance::rounding(n, largest));
    latents(g, &model, &x, &density)
}

/// Turning the latents changes nothing that can be seen; Bayes' identity; columns missing are columns absent.
fn latents(g: &mut Group<'_>, model: &Ppca, x: &Array2<f64>, t: &Tolerance) -> Outcome {
    let evidence = g.subject.ppca_evidence(model, x)?;
    let rounding = rounding_of_rows(x, model.noise_variance().sqrt(), 1);
    let turned = Ppca::new(model.mean().clone(), model.loadings().dot(&orthogonal(model.components())), model.noise_variance())?;
    g.array("rotated latents: log p(x)", Source::I, &g.subject.ppca_evidence(&turned, x)?, &evidence, &rounding);
    let (a, b) = (g.subject.ppca_posterior(&turned, x)?, g.subject.ppca_posterior(model, x)?);
    g.array_norm(
        "rotated latents: W E[z|x]",
        Source::I,
        &a.mean.dot(&turned.loadings().t()),
        &b.mean.dot(&model.loadings().t()),
        &rounding,
    );
    g.scalar(
        "mean of log p(x) = objective of the fit",
        Source::I,
        evidence.mean().unwrap_or(f64::NAN),
        fit(g, x, model.components())?.1,
        t,
    );
    let z = model.map_z(x)?;
    let bayes = model.log_joint(x, &z)? - model.infer(x)?.log_prob(&z)?;
    g.array("log p(x,z) - log p(z|x) = log p(x)", Source::I, &bayes, &evidence, &rounding);
    let nothing_missing = g.subject.ppca_evidence(model, &Rows::new(x).missing_as_nan())?;
    g.array("nothing missing = complete", Source::I, &nothing_missing, &evidence, &rounding);
    let d = x.ncols();
    let keep: Vec<usize> = (1..d).collect();
    let mut holes = x.clone();
    holes.column_mut(0).fill(f64::NAN);
    let part = Ppca::new(model.mean().select(Axis(0), &keep), model.loadings().select(Axis(0), &keep), model.noise_variance())?;
    let absent = g.subject.ppca_evidence(&part, &x.select(Axis(1), &keep))?;
    let missing = g.subject.ppca_evidence(model, &Rows::new(&holes).missing_as_nan())?;
    g.array("a column missing = the column absent", Source::I, &missing, &absent, &rounding);
    Ok(())
}

/// q = D − 1 is the unrestricted Gaussian; σ² → 0 is PCA.
fn limits(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    let (n, d) = x.dim();
    let (mean, scatter) = gaussian::moments(&x, None);
    let (model, likelihood) = fit(g, &x, d - 1)?;
    let best = -0.5 * (d as f64 * gaussian::LOG_2PI + log_abs_det(&scatter) + d as f64);
    // ε times the condition number of this scatter matrix, about 180, times D and the two sums.
    let t =
        Tolerance::absolute(8.0 * (n + 16) as f64 * f64::EPSILON * 180.0 * d as f64, "8·(N+16)·ε·κ·D with κ = 180, this table's condition");
    g.scalar("q = D-1: the unrestricted Gaussian's log-likelihood", Source::I, likelihood, best, &t);
    let covariance = model.loadings().dot(&model.loadings().t()) + Array2::from_diag_elem(d, model.noise_variance());
    g.array_norm("q = D-1: W Wᵀ + σ² I = S", Source::I, &covariance, &scatter, &Tolerance::relative(t.absolute, t.reason.clone()));

    let (model, _) = fit(g, &x, 2)?;
    let near = Ppca::new(model.mean().clone(), model.loadings().clone(), 1e-9)?;
    let denoised = near.reconstruct(&x)?;
    let projected = model.project(&x)?;
    // E[x|z̄] = P(x − μ) shrunk by λ/(λ + σ²) with λ the squared length of a column: off by σ²/λ_min relative.
    let shortest = model.loadings().columns().into_iter().map(|c| c.dot(&c)).fold(f64::INFINITY, f64::min);
    let reach = (&x - &mean).iter().fold(0.0, |m: f64, v| m.max(v.abs())) * (d as f64).sqrt();
    let t = Tolerance::absolute(
        2.0 * 1e-9 / shortest * reach + 1e-12 * reach,
        "σ²/‖w‖² of the distance from the mean (shrinkage), and rounding",
    );
    g.array("σ² → 0: reconstruction is the PCA projection", Source::I, &denoised, &projected, &t);
    let twice = model.project(&projected)?;
    g.array(
        "projecting twice is projecting once",
        Source::I,
        &twice,
        &projected,
        &Tolerance::absolute(64.0 * f64::EPSILON * 10.0, "64·ε·max|x|"),
    );
    Ok(())
}

/// Covariance, Gram and randomized routes end at the same model.
fn solvers(g: &mut Group<'_>) -> Outcome {
    let all = tables::real("digits")?.x;
    for (what, x) in
        [("tall", all.select(Axis(0), &(0..300).collect::<Vec<_>>())), ("wide", all.select(Axis(0), &(0..40).collect::<Vec<_>>()))]
    {
        let (n, d) = x.dim();
        let q = 5;
        let one = |solver| -> Result<Ppca, Problem> { Ok(g.subject.fit_ppca(&PpcaMl { components: q, solver }, &x, 7)?.model) };
        let (a, b) = (one(Solver::Covariance)?, one(Solver::Gram)?);
        let c = one(Solver::Randomized { oversampling: 20, power_iterations: 12 })?;
        let size: f64 = a.loadings().iter().map(|v| v * v).sum();
        let t = Tolerance::absolute(16.0 * (n + d) as f64 * f64::EPSILON * size, "16·(N+D)·ε·‖W‖²: backward error of both eigensolvers");
        let product = |m: &Ppca| m.loadings().dot(&m.loadings().t());
        g.array(format!("{what}: Gram = covariance, W Wᵀ"), Source::I, &product(&b), &product(&a), &t);
        g.scalar(format!("{what}: Gram = covariance, σ²"), Source::I, b.noise_variance(), a.noise_variance(), &t);
        // A Krylov space of 12 · 25 ≥ N or D dimensions holds the leading axes to rounding.
        let t = Tolerance::absolute(
            1e-9 * size,
            "1e-9·‖W‖²: the Krylov space has as many dimensions as the table; what is left is the Rayleigh-Ritz rounding of its basis",
        );
        g.array(format!("{what}: randomized = covariance, W Wᵀ"), Source::I, &product(&c), &product(&a), &t);
        let order: Array1<f64> = a.loadings().columns().into_iter().map(|w| w.dot(&w)).collect();
        let falling = order.windows(2).into_iter().all(|w| w[0] >= w[1]);
        g.holds(format!("{what}: axes by decreasing variance"), format!("{falling}"), "true", falling, "canonical order");
    }
    Ok(())
}
