//! `lvm infer`: p(z | x) by a method of choice, judged by the exact one.

use crate::args::{InferArgs, InferMethod};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::output::{self, Numbers};
use crate::report::{self, TableReport, nested};
use crate::stored::{self, Model, Stored};
use lvm_core::fa::FactorAnalysis;
use lvm_core::fit::{Fitted, Status, Stopping};
use lvm_core::gmm::GaussianMixture;
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::model::Infer;
use lvm_core::rows::RowSource;
use lvm_vi::amortized::{AmortizedVi, EncoderConfig, LinearEncoderNewton};
use lvm_vi::family::{Family, FullRank};
use lvm_vi::fit::Vi;
use lvm_vi::local::{LocalGaussian, PerDatum, RowTarget, ScoreFunctionAscent, Shape, coordinate_ascent_step, elbo_rows, mean_field};
use ndarray::{Array1, Array2, Axis, concatenate};
use rayon::prelude::*;
use serde::Serialize;

/// `lvm infer`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct InferReport {
    pub(crate) model: &'static str,
    pub(crate) method: &'static str,
    #[serde(flatten)]
    pub(crate) table: TableReport,
    pub(crate) status: Status,
    /// Iterations of the slowest row, steps or epochs; 0 for a closed form.
    pub(crate) iterations: usize,
    /// Total, nats; rows count as often as their weight says. So do all totals and means.
    pub(crate) elbo: f64,
    pub(crate) mean_elbo: f64,
    pub(crate) log_likelihood: f64,
    pub(crate) mean_log_likelihood: f64,
    /// Σ KL(q ‖ p(z | x)), by its own formula and not as the difference of the two above.
    pub(crate) kl_total: f64,
    pub(crate) kl_mean: f64,
    pub(crate) kl_max: f64,
    /// Mean over the rows of what the encoder loses against the best q of its shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amortization_gap: Option<f64>,
    /// KL of each row.
    pub(crate) kl: Vec<f64>,
    /// ELBO of each row.
    pub(crate) elbo_rows: Vec<f64>,
    /// E_q z (N x q).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mean: Option<Vec<Vec<f64>>>,
    /// Standard deviations of q (N x q).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sd: Option<Vec<Vec<f64>>>,
    /// q(z = k) (N x K), for mixtures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) responsibilities: Option<Vec<Vec<f64>>>,
    /// The file written, if any.
    pub(crate) output: Option<String>,
}

/// q of every row, and how it was found.
struct Found<Q> {
    q: Q,
    status: Status,
    iterations: usize,
    gap: Option<f64>,
}

impl<Q> Found<Q> {
    fn exact(q: Q) -> Self {
        Found { q, status: Status::ClosedForm, iterations: 0, gap: None }
    }

    fn by(fitted: Fitted<Q>) -> Self {
        Found { status: fitted.status, iterations: fitted.iterations(), q: fitted.model, gap: None }
    }
}

/// Everything of q that is reported.
struct Judged {
    names: Vec<String>,
    numbers: Array2<f64>,
    elbo: Array1<f64>,
    kl: Array1<f64>,
    status: Status,
    iterations: usize,
    gap: Option<f64>,
    moments: Option<(Array2<f64>, Array2<f64>)>,
    responsibilities: Option<Array2<f64>>,
}

/// Infers.
pub(crate) fn run(args: &InferArgs) -> Outcome {
    output::check_table_target(args.output.as_deref(), &[Some(&args.data.data)])?;
    let stored = stored::load(&args.model)?;
    check(args, &stored)?;
    let input = Input::for_model(&args.data, &stored)?;
    let rows = input.rows();
    let explain = |e| input.explain(stored.family(), e);
    let judged = match &stored.model {
        Model::Gmm(model) => categorical(args, model, &rows).map_err(explain)?,
        Model::Ppca(model) => gaussian(args, model.linear_gaussian(), &rows).map_err(explain)?,
        Model::Fa(model) => gaussian(args, &factors(args, model)?, &rows).map_err(explain)?,
        Model::Bgmm(_) | Model::Bppca(_) | Model::Multinomial(_) | Model::Lda(_) => return Err(own_posterior(args, &stored)),
    };
    let evidence = stored.log_evidence(&rows).map_err(explain)?;
    if let Some(path) = &args.output {
        let columns = judged.names.iter().cloned().chain(["elbo".to_owned(), "kl".to_owned()]).collect();
        let (elbo, kl) = (judged.elbo.view().insert_axis(Axis(1)), judged.kl.view().insert_axis(Axis(1)));
        // invariant: all have one row for each row of the table
        let x = concatenate(Axis(1), &[judged.numbers.view(), elbo, kl]).expect("rows agree");
        Numbers { columns, x }.write(Some(path))?;
    }
    report::print(&report(args, &stored, &input, judged, &evidence), args.json, report::inference::text)
}

/// These models have no exact posterior to compare with.
fn own_posterior(args: &InferArgs, stored: &Stored) -> Failure {
    Failure::fault(format!(
        "{}: a model of family {} has a variational posterior of its own and no exact one to judge another by; lvm posterior gives it \
         (infer is for gmm, ppca and fa)",
        args.model.display(),
        stored.family().name()
    ))
}

/// Options that do not go together.
fn check(args: &InferArgs, stored: &Stored) -> Outcome {
    if stored::n_parameters(&stored.model).is_none() {
        return Err(own_posterior(args, stored));
    }
    if matches!(stored.model, Model::Gmm(_)) && matches!(args.method, InferMethod::FullRank | InferMethod::Amortized) {
        return Err(Failure::usage(
            "the latent of a mixture is a component, and q any distribution over components: --method exact, mean-field or stochastic",
        ));
    }
    if !args.hidden.is_empty() && args.method != InferMethod::Amortized {
        return Err(Failure::usage("--hidden is for --method amortized, which has an encoder"));
    }
    if args.hidden.len() > 2 {
        return Err(Failure::usage("--hidden takes at most two layers"));
    }
    Ok(())
}

/// The factors as they are reported elsewhere: after an orthogonal rotation they are those of a model with rotated loadings.
fn factors(args: &InferArgs, model: &FactorAnalysis) -> Outcome<LinearGaussian> {
    let correlated = model.factor_correlations().indexed_iter().any(|((i, j), c)| i != j && c.abs() > 1e-12);
    if correlated {
        return Err(Failure::fault(format!(
            "{}: oblique factors are correlated before any data, which these methods do not provide for; fit without --rotation, or with an \
             orthogonal one (lvm posterior gives the exact posterior of any)",
            args.model.display()
        )));
    }
    Ok(LinearGaussian::new(model.mean().clone(), model.loadings().clone(), model.noise_variances().clone())?)
}

fn gaussian(args: &InferArgs, model: &LinearGaussian, rows: &dyn RowSource) -> lvm_core::Result<Judged> {
    let exact = model.infer(rows)?;
    let found = match args.method {
        InferMethod::Exact => Found::exact(LocalGaussian::from(&exact)),
        InferMethod::MeanField => Found::exact(mean_field(model, rows)?),
        InferMethod::FullRank => Found::by(PerDatum { shape: Shape::Full, ..PerDatum::default() }.fit(model, rows)?),
        InferMethod::Stochastic => stochastic(model, rows, args.seed)?,
        InferMethod::Amortized => amortized(args, model, rows)?,
    };
    let (elbo, kl) = (elbo_rows(model, &found.q, rows)?, found.q.kl(&exact)?);
    let (mean, sd) = (found.q.mean().clone(), found.q.standard_deviations());
    let latents = mean.ncols();
    let names = output::latent_names(latents).into_iter().chain((0..latents).map(|k| format!("sd_z{k}"))).collect();
    // invariant: both are (N, q)
    let numbers = concatenate(Axis(1), &[mean.view(), sd.view()]).expect("rows agree");
    let Found { status, iterations, gap, .. } = found;
    Ok(Judged { names, numbers, elbo, kl, status, iterations, gap, moments: Some((mean, sd)), responsibilities: None })
}

/// Stochastic gradients for every row by itself, from the prior.
fn stochastic(model: &LinearGaussian, rows: &dyn RowSource, seed: u64) -> lvm_core::Result<Found<LocalGaussian>> {
    let vi = Vi::new(FullRank::standard(model.latents())?);
    let each = (0..rows.n_rows()).into_par_iter().map(|n| {
        // a stream for each row: golden-ratio steps keep seeds apart
        let seed = seed.wrapping_add((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let fitted = vi.fit(&RowTarget::new(model, rows, n)?, seed)?;
        Ok((fitted.model.q.mean(), fitted.model.q.factor(), fitted.status, fitted.iterations()))
    });
    let each: Vec<_> = each.collect::<lvm_core::Result<_>>()?;
    let mut mean = Array2::zeros((each.len(), model.latents()));
    mean.rows_mut().into_iter().zip(&each).for_each(|(mut row, (m, ..))| row.assign(m));
    let converged = each.iter().all(|(.., status, _)| *status == Status::Converged);
    let iterations = each.iter().map(|(.., iterations)| *iterations).max().unwrap_or(0);
    let q = LocalGaussian::full(mean, each.into_iter().map(|(_, factor, ..)| factor).collect())?;
    Ok(Found { q, status: if converged { Status::Converged } else { Status::MaxIterations }, iterations, gap: None })
}

/// An affine encoder by Newton's method, or one with hidden layers by minibatches.
fn amortized(args: &InferArgs, model: &LinearGaussian, rows: &dyn RowSource) -> lvm_core::Result<Found<LocalGaussian>> {
    let fitted = if args.hidden.is_empty() {
        LinearEncoderNewton { shape: Shape::Full, ..LinearEncoderNewton::default() }.fit(model, rows)?
    } else {
        let encoder = EncoderConfig { hidden: args.hidden.clone(), shape: Shape::Full, ..EncoderConfig::default() };
        let default = AmortizedVi::default();
        AmortizedVi { encoder, batch: default.batch.min(rows.n_rows()), ..default }.fit(model, rows, args.seed)?
    };
    let gap = Some(fitted.model.amortization_gap(rows)?.mean);
    let q = fitted.model.encoder.encode(rows)?;
    Ok(Found { status: fitted.status, iterations: fitted.iterations(), q, gap })
}

fn categorical(args: &InferArgs, model: &GaussianMixture, rows: &dyn RowSource) -> lvm_core::Result<Judged> {
    let exact = model.infer(rows)?;
    let found = match args.method {
        InferMethod::Stochastic => {
            // long enough for the improbable components, which are drawn seldom
            let stopping = Stopping { max_iterations: 2000, tolerance: 0.0 };
            Found::by(ScoreFunctionAscent { stopping, ..ScoreFunctionAscent::default() }.fit(model, rows, args.seed)?)
        }
        // with one discrete latent a row, the best factor is the posterior
        _ => Found::exact(coordinate_ascent_step(model, rows)?),
    };
    let (elbo, kl) = (found.q.elbo_rows(model, rows)?, found.q.kl(exact.log_probabilities())?);
    let r = found.q.probabilities();
    let names = (0..r.ncols()).map(|k| format!("component_{k}")).collect();
    let Found { status, iterations, gap, .. } = found;
    Ok(Judged { names, numbers: r.clone(), elbo, kl, status, iterations, gap, moments: None, responsibilities: Some(r) })
}

fn report(args: &InferArgs, stored: &Stored, input: &Input, judged: Judged, evidence: &Array1<f64>) -> InferReport {
    let total = |values: &Array1<f64>| match input.weights() {
        None => values.sum(),
        Some(weights) => values.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(v, w)| v * w).sum(),
    };
    let n = input.total_weight();
    let (elbo, log_likelihood, kl_total) = (total(&judged.elbo), total(evidence), total(&judged.kl));
    let lists = |m: &Array2<f64>| args.json.then(|| nested(m.view()));
    InferReport {
        model: stored.family().name(),
        method: match args.method {
            InferMethod::Exact => "exact",
            InferMethod::MeanField => "mean-field",
            InferMethod::FullRank => "full-rank",
            InferMethod::Stochastic => "stochastic",
            InferMethod::Amortized => "amortized",
        },
        table: input.report(),
        status: judged.status,
        iterations: judged.iterations,
        elbo,
        mean_elbo: elbo / n,
        log_likelihood,
        mean_log_likelihood: log_likelihood / n,
        kl_total,
        kl_mean: kl_total / n,
        kl_max: judged.kl.iter().copied().fold(0.0, f64::max),
        amortization_gap: judged.gap,
        mean: judged.moments.as_ref().and_then(|(mean, _)| lists(mean)),
        sd: judged.moments.as_ref().and_then(|(_, sd)| lists(sd)),
        responsibilities: judged.responsibilities.as_ref().and_then(lists),
        kl: judged.kl.to_vec(),
        elbo_rows: judged.elbo.to_vec(),
        output: args.output.as_ref().map(|path| path.display().to_string()),
    }
}
