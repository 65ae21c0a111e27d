//! C on real tables, with truth from LAPACK: what no reference file covers. Densities, responsibilities, posteriors, imputation and optima.

use super::factors::{gradient, heywood};
use super::mixture::{against_lapack, dense};
use super::shared::{covariance_scale, standardised};
use crate::check::{Layer, Source, Tolerance};
use crate::oracle::{self, Lapack, gaussian, linear_gaussian as truth, linear_gaussian::Factors};
use crate::suite::{Group, Outcome, Suite};
use crate::tables;
use lvm_core::fa::{FaMl, FactorAnalysis};
use lvm_core::fit::Stopping;
use lvm_core::gmm::{CovarianceType, GmmEm};
use lvm_core::imputation::Imputation;
use lvm_core::ppca::{Ppca, PpcaEm, PpcaMl};
use lvm_core::rows::Rows;
use ndarray::{Array1, Array2, Axis};

/// Everything on real tables.
pub fn all(suite: &mut Suite<'_>) {
    for kind in CovarianceType::ALL {
        for (table, k) in [("iris", 3), ("faithful", 2), ("wine", 3), ("digits", 10), ("diamonds", 4)] {
            with_lapack(suite, "C1", &format!("{table}, {kind} mixture of {k}, LAPACK"), |g, l| mixture(g, l, table, kind, k));
        }
    }
    for (table, q) in [("iris", 2), ("faithful", 1), ("wine", 3), ("breast_cancer", 5), ("digits", 10), ("diamonds", 6)] {
        with_lapack(suite, "C4", &format!("{table}, PPCA with {q} latents, LAPACK"), |g, l| ppca(g, l, table, q));
    }
    for (table, q) in [("wine", 3), ("breast_cancer", 2), ("digits", 5)] {
        with_lapack(suite, "C5", &format!("{table}, {q} factors, LAPACK"), |g, l| factors(g, l, table, q));
    }
    for kind in CovarianceType::ALL {
        with_lapack(suite, "C1", &format!("iris with holes, {kind} mixture, LAPACK"), |g, l| mixture_with_holes(g, l, kind));
    }
    with_lapack(suite, "C4", "wine with holes, PPCA, LAPACK", ppca_with_holes);
    with_lapack(suite, "C5", "wine with holes, factor analysis, LAPACK", factors_with_holes);
    with_lapack(suite, "C4", "digits, 30 rows of 61 columns, PPCA, LAPACK", wide);
}

/// A group that needs LAPACK; without it, it is listed as not run.
fn with_lapack(suite: &mut Suite<'_>, id: &str, case: &str, body: impl FnOnce(&mut Group<'_>, Lapack) -> Outcome) {
    suite.group(Layer::C, id, case, |g| match Lapack::get() {
        Some(lapack) => body(g, lapack),
        None => {
            g.not_run("against dense formulas on LAPACK", oracle::ABSENT, oracle::ENABLE);
            Ok(())
        }
    });
}

/// A table with variances of 1 where its columns are in different units; the digits are all in grey levels.
fn table(name: &'static str) -> Result<Array2<f64>, String> {
    let x = tables::real(name)?.x;
    Ok(if matches!(name, "wine" | "breast_cancer" | "diamonds") { standardised(&x) } else { x })
}

fn mixture(g: &mut Group<'_>, lapack: Lapack, name: &'static str, kind: CovarianceType, k: usize) -> Outcome {
    let mut x = table(name)?;
    if name == "digits" {
        // Some pixels are constant within a digit: ten leading principal scores vary in every component.
        let p = truth::ppca(lapack, &x, 10)?;
        x = (&x - &p.factors.mean).dot(&p.factors.loadings);
    }
    let iterations = if g.quick { 5 } else { 30 };
    let stopping = Stopping { max_iterations: iterations, tolerance: 0.0 };
    // The columns of the diamonds are coded factors: collinear inside a cluster, so they get a ridge of 1 % of their variance.
    let ridge = if name == "diamonds" { 0.01 } else { 0.0 };
    let algorithm = GmmEm { components: k, covariance: kind, restarts: 1, stopping, ridge, ..Default::default() };
    let fitted = g.subject.fit_mixture(&algorithm, &x, 20)?;
    super::shared::monotone_if(g, &fitted.trace, x.nrows() as f64, x.ncols(), fitted.repairs.is_empty() && ridge == 0.0);
    against_lapack(g, lapack, &fitted.model, &x)?;
    let total: f64 = dense(&fitted.model).log_density(lapack, &x)?.sum();
    let n = x.nrows() as f64;
    let size = total.abs() / n + x.ncols() as f64;
    let t = Tolerance::absolute(
        8.0 * (n + 16.0) * f64::EPSILON * size * x.ncols() as f64,
        "8·(N+16)·ε·D·(mean |log p| + D): a sum of N densities",
    );
    g.scalar("the trace's last entry is the model's", Source::Q, fitted.objective(), total / n, &t);
    Ok(())
}

/// |difference| allowed between a density by q x q matrices and one by D x D matrices.
fn density_tolerance(lapack: Lapack, f: &Factors) -> Result<Tolerance, crate::suite::Problem> {
    let c = f.covariance();
    let kappa = gaussian::condition(lapack, &(&c / &covariance_scale(&c)))?;
    let d = f.mean.len() as f64;
    let unit = 8.0 * d * f64::EPSILON * kappa;
    Ok(Tolerance::both(
        unit * 8.0 * d,
        2.0 * unit,
        format!("8·D·ε·κ·(2|log p| + 8D): backward error of the D x D and the Woodbury route, κ = {kappa:.1e}"),
    ))
}

fn ppca(g: &mut Group<'_>, lapack: Lapack, name: &'static str, q: usize) -> Outcome {
    let x = table(name)?;
    let (n, d) = x.dim();
    let expected = truth::ppca(lapack, &x, q)?;
    let fitted = g.subject.fit_ppca(&PpcaMl { components: q, ..Default::default() }, &x, 0)?;
    let model = &fitted.model;
    let top = expected.eigenvalues[0];
    let weyl = 8.0 * (n + d) as f64 * f64::EPSILON * top;
    let t = Tolerance::absolute(weyl, "8·(N+D)·ε·λ₁: rounding of the scatter matrix and backward error of two eigensolvers (Weyl)");
    g.scalar("sigma2 = mean discarded eigenvalue", Source::Q, model.noise_variance(), expected.factors.noise[0], &t);
    let leading: Array1<f64> = expected.eigenvalues.iter().take(q).copied().collect();
    let ours: Array1<f64> = super::shared::spectrum_of(model)?.iter().take(q).copied().collect();
    g.array("leading eigenvalues, dsyev", Source::Q, &ours, &leading, &t);
    let gap = expected.eigenvalues[q - 1] - expected.eigenvalues[q];
    let signal = expected.factors.loadings.dot(&expected.factors.loadings.t());
    let t =
        Tolerance::absolute(weyl * (2.0 + 4.0 * top / gap), format!("the bound above times 2 + 4 λ₁/gap (Davis-Kahan), gap = {gap:.2e}"));
    g.array("W Wᵀ", Source::Q, &model.loadings().dot(&model.loadings().t()), &signal, &t);
    // d log L / d λ is at most N / (2 σ²) for each of D eigenvalues.
    let t = Tolerance::absolute(
        weyl * d as f64 / expected.factors.noise[0] + 1e-13,
        "8·(N+D)·ε·λ₁·D/σ²: slope of the mean log-likelihood in the eigenvalues",
    );
    g.scalar("mean log-likelihood", Source::Q, fitted.objective(), expected.log_likelihood / n as f64, &t);

    let f = Factors { mean: model.mean().clone(), loadings: model.loadings().clone(), noise: Array1::from_elem(d, model.noise_variance()) };
    let t = density_tolerance(lapack, &f)?;
    let dense = gaussian::log_density(lapack, &x, &f.mean, &f.covariance())?;
    g.array("log p(x) of all rows, dense", Source::Q, &g.subject.ppca_evidence(model, &x)?, &dense, &t);
    let some = x.select(Axis(0), &(0..20).collect::<Vec<_>>());
    let (means, covariances) = f.posterior(lapack, &some)?;
    let latents = g.subject.ppca_posterior(model, &some)?;
    let t = Tolerance::both(t.relative, t.relative, "8·D·ε·κ: conditioning of the joint Gaussian of (x, z)");
    g.array_norm("E[z|x] by conditioning the joint", Source::Q, &latents.mean, &means, &t);
    g.array("Cov[z|x] by conditioning the joint", Source::Q, &latents.covariance, &covariances[0], &t);
    Ok(())
}

fn factors(g: &mut Group<'_>, lapack: Lapack, name: &'static str, q: usize) -> Outcome {
    let mut x = table(name)?;
    if name == "breast_cancer" {
        // Radius, perimeter and area are nearly one quantity: seven other measurements, which still give a Heywood case.
        x = x.select(Axis(1), &[1, 4, 5, 6, 7, 8, 9]);
    }
    if name == "digits" {
        // The middle of the picture; it gives a Heywood case.
        x = x.select(Axis(1), &(18..42).collect::<Vec<_>>());
    }
    let fitted = g.subject.fit_factors(&FaMl { factors: q, ..Default::default() }, &x, 0)?;
    let f = super::factors::dense(&fitted.model);
    let (_, scatter) = gaussian::moments(&x, None);
    let held = heywood(&fitted.repairs);
    let at_floor: Vec<usize> = (0..f.noise.len()).filter(|&j| f.noise[j] / scatter[[j, j]] < 1e-6).collect();
    let same = held == at_floor;
    g.holds(
        "Heywood cases reported",
        format!("{held:?}"),
        format!("{at_floor:?}"),
        same,
        "the variables whose uniqueness is at the floor, and no others",
    );
    gradient(g, lapack, &scatter, &f, &held)?;
    let t = density_tolerance(lapack, &f)?;
    let dense = gaussian::log_density(lapack, &x, &f.mean, &f.covariance())?;
    g.array("log p(x) of all rows, dense", Source::Q, &g.subject.factor_evidence(&fitted.model, &x)?, &dense, &t);
    let (_, _, likelihood) = truth::factor_gradient(lapack, &scatter, &f)?;
    let t = Tolerance::absolute(t.allowed(likelihood), t.reason.clone());
    g.scalar("mean log-likelihood by trace formula", Source::Q, fitted.objective(), likelihood, &t);
    let some = x.select(Axis(0), &(0..20).collect::<Vec<_>>());
    let (means, covariances) = f.posterior(lapack, &some)?;
    let latents = g.subject.factor_posterior(&fitted.model, &some)?;
    let t = Tolerance::both(t.absolute, 0.0, "the bound of the densities: conditioning of the joint Gaussian of (x, z)");
    g.array("E[z|x] by conditioning the joint", Source::Q, &latents.mean, &means, &t);
    g.array("Cov[z|x] by conditioning the joint", Source::Q, &latents.covariance, &covariances[0], &t);
    Ok(())
}

/// About a seventh of the entries made NaN, in a fixed pattern that leaves no row and no column empty.
pub fn with_holes(x: &Array2<f64>) -> Array2<f64> {
    Array2::from_shape_fn(
        x.dim(),
        |(i, j)| if (i * 31 + j * 17 + (i * j) % 5) % 7 == 3 && j != i % x.ncols() { f64::NAN } else { x[[i, j]] },
    )
}

/// Imputed means and covariances against conditionals of one dense Gaussian.
fn imputation(g: &mut Group<'_>, lapack: Lapack, ours: &Imputation, holes: &Array2<f64>, f: &Factors, t: &Tolerance) -> Outcome {
    let c = f.covariance();
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for block in ours.blocks.iter().take(40) {
        let (mean, covariance) = gaussian::conditional(lapack, holes.row(block.row), &f.mean, &c)?;
        a.extend(block.mean.iter().chain(&block.covariance).copied());
        b.extend(mean.iter().chain(&covariance).copied());
    }
    g.array("imputation: E and Cov of missing given observed", Source::Q, &Array1::from(a), &Array1::from(b), t);
    let kept = holes.indexed_iter().filter(|(_, v)| !v.is_nan()).all(|(i, v)| ours.x[i] == *v);
    g.holds("imputation leaves observed entries alone", format!("{kept}"), "true", kept, "bit for bit");
    Ok(())
}

fn mixture_with_holes(g: &mut Group<'_>, lapack: Lapack, kind: CovarianceType) -> Outcome {
    let holes = with_holes(&table("iris")?);
    let rows = Rows::new(&holes).missing_as_nan();
    let stopping = Stopping { max_iterations: 40, tolerance: 0.0 };
    let fitted =
        g.subject.fit_mixture(&GmmEm { components: 2, covariance: kind, restarts: 1, stopping, ..Default::default() }, &rows, 3)?;
    super::shared::monotone(g, &fitted.trace, holes.nrows() as f64, holes.ncols());
    against_lapack_rows(g, lapack, &fitted.model, &holes)?;
    let mixture = dense(&fitted.model);
    let r = mixture.responsibilities(lapack, &holes)?;
    let ours = g.subject.impute_mixture(&fitted.model, &rows)?;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for block in &ours.blocks {
        // E[x_m | x_o] = Σ_k γ_k E_k[x_m | x_o]
        let mut mean: Array1<f64> = Array1::zeros(block.columns.len());
        for k in 0..mixture.weights.len() {
            let (m, _) = gaussian::conditional(lapack, holes.row(block.row), &mixture.means[k], &mixture.covariances[k])?;
            mean = mean + m * r[[block.row, k]];
        }
        a.extend(block.mean.iter().copied());
        b.extend(mean);
    }
    let largest = holes.iter().filter(|v| !v.is_nan()).fold(0.0, |m: f64, v| m.max(v.abs()));
    let t = mixture_tolerance(lapack, &mixture)?;
    let t = Tolerance::absolute(t.absolute * largest, format!("{}; times max|x|", t.reason));
    g.array("imputation: Σ_k γ_k E_k[missing | observed]", Source::Q, &Array1::from(a), &Array1::from(b), &t);
    Ok(())
}

/// |difference| allowed between densities of the observed entries: a marginal's condition is at most the whole's (Cauchy interlacing).
fn mixture_tolerance(lapack: Lapack, mixture: &oracle::mixture::Mixture) -> Result<Tolerance, crate::suite::Problem> {
    let kappa = super::mixture::worst_condition(lapack, mixture)?;
    let d = mixture.means[0].len() as f64;
    let unit = 8.0 * d * f64::EPSILON * kappa;
    Ok(Tolerance::both(unit * 8.0 * d, 2.0 * unit, format!("8·D·ε·κ·(2|log p| + 8D): backward error of two dense routes, κ = {kappa:.1e}")))
}

/// log p of the observed entries of each row.
fn against_lapack_rows(g: &mut Group<'_>, lapack: Lapack, model: &lvm_core::gmm::GaussianMixture, holes: &Array2<f64>) -> Outcome {
    let expected = dense(model).log_density(lapack, holes)?;
    let rows = Rows::new(holes).missing_as_nan();
    let t = mixture_tolerance(lapack, &dense(model))?;
    g.array("log p(observed) of all rows, dense marginals", Source::Q, &g.subject.mixture_evidence(model, &rows)?, &expected, &t);
    Ok(())
}

/// Σ log p of the observed entries, by dense marginals.
fn observed_likelihood(lapack: Lapack, holes: &Array2<f64>, f: &Factors) -> Result<f64, crate::suite::Problem> {
    Ok(gaussian::log_density_of_observed(lapack, holes, &f.mean, &f.covariance())?.mean().unwrap_or(f64::NAN))
}

/// At a maximum no direction climbs: central differences along fixed directions in μ, W and log ψ (or log σ²).
fn no_direction_climbs(
    g: &mut Group<'_>,
    lapack: Lapack,
    holes: &Array2<f64>,
    f: &Factors,
    isotropic: bool,
    tolerance: &Tolerance,
) -> Outcome {
    let h = 1e-4;
    let mut slopes = Vec::new();
    for direction in 0..4 {
        let wave = |i: usize, j: usize| ((7 * i + 3 * j + 11 * direction + 1) as f64).sin();
        let at = |t: f64| -> Result<f64, crate::suite::Problem> {
            let moved = Factors {
                mean: Array1::from_shape_fn(f.mean.len(), |i| f.mean[i] + t * wave(i, 0)),
                loadings: Array2::from_shape_fn(f.loadings.dim(), |(i, k)| f.loadings[[i, k]] + t * wave(i, k + 1)),
                noise: Array1::from_shape_fn(f.noise.len(), |i| f.noise[i] * (t * wave(if isotropic { 0 } else { i }, 9)).exp()),
            };
            observed_likelihood(lapack, holes, &moved)
        };
        slopes.push((at(h)? - at(-h)?) / (2.0 * h));
    }
    g.array("slope of the likelihood along 4 directions", Source::Q, &Array1::from(slopes), &Array1::zeros(4), tolerance);
    Ok(())
}

fn ppca_with_holes(g: &mut Group<'_>, lapack: Lapack) -> Outcome {
    let holes = with_holes(&table("wine")?);
    let rows = Rows::new(&holes).missing_as_nan();
    let stopping = Stopping { max_iterations: 5000, tolerance: 1e-14 };
    let fitted = g.subject.fit_ppca_em(&PpcaEm { components: 2, stopping, ..Default::default() }, &rows, 0)?;
    super::shared::monotone(g, &fitted.trace, holes.nrows() as f64, holes.ncols());
    let model: &Ppca = &fitted.model;
    let noise = Array1::from_elem(holes.ncols(), model.noise_variance());
    let f = Factors { mean: model.mean().clone(), loadings: model.loadings().clone(), noise };
    let t = density_tolerance(lapack, &f)?;
    let expected = gaussian::log_density_of_observed(lapack, &holes, &f.mean, &f.covariance())?;
    g.array("log p(observed) of all rows, dense marginals", Source::Q, &g.subject.ppca_evidence(model, &rows)?, &expected, &t);
    g.scalar("the trace's last entry is the model's", Source::Q, fitted.objective(), expected.mean().unwrap_or(f64::NAN), &t);
    imputation(g, lapack, &g.subject.impute_ppca(model, &rows)?, &holes, &f, &t)?;
    let slope = Tolerance::absolute(
        1e-5,
        "central differences h = 1e-4: h² of third derivatives (about 1e-7), and EM stopped at gains of 1e-14 a row, √(1e-14) = 1e-7 in the slope, times √100 directions",
    );
    no_direction_climbs(g, lapack, &holes, &f, true, &slope)
}

fn factors_with_holes(g: &mut Group<'_>, lapack: Lapack) -> Outcome {
    let holes = with_holes(&table("wine")?);
    let rows = Rows::new(&holes).missing_as_nan();
    let stopping = Stopping { max_iterations: 5000, tolerance: 1e-14 };
    let fitted = g.subject.fit_factors(&FaMl { factors: 2, restarts: 1, stopping, ..Default::default() }, &rows, 0)?;
    super::shared::monotone(g, &fitted.trace, holes.nrows() as f64, holes.ncols());
    let model: &FactorAnalysis = &fitted.model;
    let f = super::factors::dense(model);
    let t = density_tolerance(lapack, &f)?;
    let expected = gaussian::log_density_of_observed(lapack, &holes, &f.mean, &f.covariance())?;
    g.array("log p(observed) of all rows, dense marginals", Source::Q, &g.subject.factor_evidence(model, &rows)?, &expected, &t);
    g.scalar("the trace's last entry is the model's", Source::Q, fitted.objective(), expected.mean().unwrap_or(f64::NAN), &t);
    imputation(g, lapack, &g.subject.impute_factors(model, &rows)?, &holes, &f, &t)?;
    let slope = Tolerance::absolute(
        1e-5,
        "central differences h = 1e-4: h² of third derivatives (about 1e-7), and EM stopped at gains of 1e-14 a row, √(1e-14) = 1e-7 in the slope, times √100 directions",
    );
    no_direction_climbs(g, lapack, &holes, &f, false, &slope)
}

/// Fewer rows than columns: the Gram route against dgesvd of the centred table.
fn wide(g: &mut Group<'_>, lapack: Lapack) -> Outcome {
    let x = table("digits")?.select(Axis(0), &(0..30).collect::<Vec<_>>());
    let (n, d) = x.dim();
    let q = 6;
    let model = g.subject.fit_ppca(&PpcaMl { components: q, ..Default::default() }, &x, 0)?.model;
    let (mean, _) = gaussian::moments(&x, None);
    let values = lapack.singular_values(&(&x - &mean))?.mapv(|s| s * s / n as f64);
    let t = Tolerance::absolute(8.0 * (n + d) as f64 * f64::EPSILON * values[0], "8·(N+D)·ε·λ₁ (Weyl)");
    let leading: Array1<f64> = values.iter().take(q).copied().collect();
    let ours: Array1<f64> = super::shared::spectrum_of(&model)?.iter().take(q).copied().collect();
    g.array("leading eigenvalues = squared singular values / N", Source::Q, &ours, &leading, &t);
    let noise = values.iter().skip(q).sum::<f64>() / (d - q) as f64;
    g.scalar("sigma2 counts the D - N directions of no variance", Source::Q, model.noise_variance(), noise, &t);
    Ok(())
}
