//! C8: draws from a model follow the model's own density. Stochastic: an equivalence test with its power printed.

use super::metamorphic::log_abs_det;
use crate::check::Layer;
use crate::oracle::gaussian::LOG_2PI;
use crate::suite::{Group, Outcome, Problem, Suite};
use crate::tables;
use lvm_core::fa::FaMl;
use lvm_core::gmm::{CovarianceType, GmmEm};
use lvm_core::model::LatentModel;
use lvm_core::ppca::PpcaMl;
use lvm_core::random::{Purpose, stream};
use ndarray::{Array1, Array2};

/// Draws of every model.
pub fn all(suite: &mut Suite<'_>) {
    for kind in CovarianceType::ALL {
        suite.group(Layer::C, "C8", &format!("draws from an iris {kind} mixture"), |g| mixture(g, kind));
    }
    suite.group(Layer::C, "C8", "draws from PPCA of iris", ppca);
    suite.group(Layer::C, "C8", "draws from factor analysis of iris", factors);
}

/// Draws in portions of 50 000 rows, each turned into one value a row.
fn draws(
    model: &(impl LatentModel + ?Sized),
    seed: u64,
    value: impl Fn(&Array2<f64>) -> Result<Vec<f64>, Problem>,
) -> impl FnMut(usize) -> Result<Vec<f64>, Problem> {
    let mut rng = stream(seed, Purpose::Sample, 0);
    move |n| {
        let mut out = Vec::with_capacity(n);
        while out.len() < n {
            let z = model.sample_z(50_000.min(n - out.len()), &mut rng);
            out.extend(value(&model.sample_x(&z, &mut rng)?)?);
        }
        Ok(out)
    }
}

fn mixture(g: &mut Group<'_>, kind: CovarianceType) -> Outcome {
    let x = tables::real("iris")?.x;
    let model = g.subject.fit_mixture(&GmmEm { components: 3, covariance: kind, ..Default::default() }, &x, 0)?.model;
    let (mean, covariance) = super::mixture::dense(&model).moments();
    let subject = g.subject;
    let (m, s) = (mean[2], covariance[[2, 2]].sqrt());
    let scaled = |x: &Array2<f64>| Ok(x.column(2).iter().map(|v| (v - m) / s).collect());
    let seed = g.seed(1);
    g.mean("mean of column 2, in sd", 0.0, 0.02, 250_000, "0.02 sd (R3)", draws(&model, seed, scaled))?;
    let squared = |x: &Array2<f64>| Ok(x.column(2).iter().map(|v| ((v - m) / s).powi(2)).collect());
    let seed = g.seed(2);
    g.mean("variance of column 2, as a share", 1.0, 0.04, 250_000, "2 % of an sd (R3) is 4 % of a variance", draws(&model, seed, squared))?;
    let product = covariance[[0, 2]];
    let (a, b) = (mean[0], covariance[[0, 0]].sqrt());
    let crossed = move |x: &Array2<f64>| Ok(x.rows().into_iter().map(|r| (r[0] - a) / b * (r[2] - m) / s).collect());
    let seed = g.seed(3);
    g.mean("correlation of columns 0 and 2", product / (b * s), 0.04, 250_000, "as the variance", draws(&model, seed, crossed))?;
    let share = |x: &Array2<f64>| Ok(subject.responsibilities(&model, x)?.column(0).to_vec());
    let seed = g.seed(4);
    g.mean("E[γ_0(x)] = π_0", model.weights()[0], 0.01, 250_000, "0.02 of an sd, which is at most ½", draws(&model, seed, share))
}

/// −½ (D log 2π + D + log|C|): the mean of log p(x) under the model itself.
fn negative_entropy(covariance: &Array2<f64>) -> f64 {
    let d = covariance.nrows() as f64;
    -0.5 * (d * LOG_2PI + d + log_abs_det(covariance))
}

const EVIDENCE: &str = "0.02 nat (R3); the variance of log p(x) is D/2 exactly";

fn ppca(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    let model = g.subject.fit_ppca(&PpcaMl { components: 2, ..Default::default() }, &x, 0)?.model;
    let c = model.loadings().dot(&model.loadings().t()) + Array2::from_diag_elem(4, model.noise_variance());
    let subject = g.subject;
    let value = |x: &Array2<f64>| Ok(subject.ppca_evidence(&model, x)?.to_vec());
    let seed = g.seed(5);
    g.mean("E[log p(x)] = minus entropy", negative_entropy(&c), 0.02, 500_000, EVIDENCE, draws(&model, seed, value))?;
    // Averaged over the model, the posterior mean has covariance I − σ² M⁻¹; its first entry's square has this mean.
    let latents = subject.ppca_posterior(&model, &x)?;
    let expected = 1.0 - latents.covariance[[0, 0]];
    let square = |x: &Array2<f64>| Ok(subject.ppca_posterior(&model, x)?.mean.column(0).iter().map(|v| v * v).collect());
    let seed = g.seed(6);
    g.mean(
        "E[z̄²] + Var[z|x] = 1 (total variance)",
        expected,
        0.04 * expected,
        250_000,
        "4 % of a variance (R3)",
        draws(&model, seed, square),
    )
}

fn factors(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    let model = g.subject.fit_factors(&FaMl::default(), &x, 0)?.model;
    let c = model.loadings().dot(&model.loadings().t()) + Array2::from_diag(&Array1::clone(model.noise_variances()));
    let subject = g.subject;
    let value = |x: &Array2<f64>| Ok(subject.factor_evidence(&model, x)?.to_vec());
    let seed = g.seed(7);
    g.mean("E[log p(x)] = minus entropy", negative_entropy(&c), 0.02, 500_000, EVIDENCE, draws(&model, seed, value))
}
