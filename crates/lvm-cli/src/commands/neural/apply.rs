//! What a neural model says about given rows: the posterior, its mode, the rows without noise, what is missing.

use super::{Neural, by_rows, settings};
use crate::args::{ImputeArgs, InfoArgs, MapArgs, NeuralArgs, PosteriorArgs, ReconstructArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Emit, Numbers, latent_names};
use crate::report::{self, TableReport, VaeInfo, nested};
use crate::stored::Family;
use lvm_deep::evidence::Ascent;
use lvm_deep::posterior::Spread;
use lvm_deep::tasks::{self, Impute, Proposal, reconstruction};
use lvm_deep::tensor::to_matrix;
use lvm_deep::{Kind, Tensor};
use ndarray::Array2;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A table about rows.
#[derive(Serialize)]
struct RowsReport<'a> {
    model: &'static str,
    #[serde(flatten)]
    table: &'a TableReport,
    /// Names of the columns of `x`.
    names: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<Vec<Vec<f64>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sd: Option<Vec<Vec<f64>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    covariance: Option<Vec<Vec<Vec<f64>>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    responsibilities: Option<Vec<Vec<f64>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    z: Option<Vec<Vec<f64>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_joint: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    converged: Option<Vec<bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<Vec<Vec<f64>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_draws: Option<Vec<f64>>,
    /// Files of completed tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

impl<'a> RowsReport<'a> {
    fn new(table: &'a TableReport, names: &'a [String]) -> Self {
        RowsReport {
            model: "vae",
            table,
            names,
            mean: None,
            sd: None,
            covariance: None,
            responsibilities: None,
            component: None,
            z: None,
            log_joint: None,
            converged: None,
            x: None,
            effective_draws: None,
            tables: None,
            warning: None,
        }
    }
}

/// `lvm posterior`: mean and standard deviation of q(z | x), or its probabilities.
pub(crate) fn posterior(args: &PosteriorArgs) -> Outcome {
    if let Some(k) = args.clusters {
        return super::cluster::cluster(args, k);
    }
    output::check_table_target(args.out.output.as_deref(), &[Some(&args.data.data), args.neural.condition_from.as_deref()])?;
    let neural = Neural::load(&args.model, &args.neural)?;
    let input = neural.input(&args.data)?;
    let data = neural.dataset(&input, &args.data.format)?;
    let explained = |error| input.explain(Family::Vae, error);
    let table = input.report();
    let l = neural.vae.latents() as usize;
    let no_grad = tch::no_grad_guard();
    if neural.is_discrete() {
        let x = by_rows(&data.rows, |batch| Ok(neural.vae.posterior(batch).probabilities().unwrap_or_else(|| batch.x.zeros_like())));
        let numbers = Numbers { columns: (0..l).map(|k| format!("component_{k}")).collect(), x: x.map_err(explained)? };
        let mut report = RowsReport::new(&table, &numbers.columns);
        report.responsibilities = args.out.json.then(|| nested(numbers.x.view()));
        return Emit { what: "posterior", out: &args.out, skipped: &table.skipped_columns }.emit(&numbers, &report);
    }
    // mean and spread side by side: sd (L), or the covariance (L L)
    let x = by_rows(&data.rows, |batch| {
        let q = neural.vae.posterior(batch);
        let Some(gaussian) = q.gaussian() else { return Ok(q.mode()) };
        let n = batch.n_rows();
        let spread = match (&gaussian.spread, args.covariance) {
            (Spread::Diagonal(log_variance), false) => (log_variance * 0.5).exp(),
            (Spread::Diagonal(log_variance), true) => log_variance.exp().diag_embed(0, -2, -1).view([n, -1]),
            (Spread::Cholesky(c), false) => c.square().sum_dim_intlist([-1].as_slice(), false, None).sqrt(),
            (Spread::Cholesky(c), true) => c.matmul(&c.transpose(-1, -2)).reshape([n, -1]),
        };
        Ok(Tensor::cat(&[gaussian.mean, spread], 1))
    });
    drop(no_grad);
    let x = x.map_err(explained)?;
    let mut columns = latent_names(l);
    let lower: Vec<(usize, usize)> = (0..l).flat_map(|j| (0..=j).map(move |k| (j, k))).collect();
    let gaussian = x.ncols() > l;
    let numbers = match (gaussian, args.covariance) {
        (false, true) => {
            let message = format!("{}: q(z | x) of this model is pushed through a flow and has no covariance; leave it out", neural.path);
            return Err(Failure::fault(message));
        }
        (false, false) => Numbers { columns, x: x.clone() },
        (true, false) => {
            columns.extend((0..l).map(|k| format!("sd_z{k}")));
            Numbers { columns, x: x.clone() }
        }
        (true, true) => {
            columns.extend(lower.iter().map(|(j, k)| format!("cov_z{j}_z{k}")));
            let at = |c: usize| if c < l { c } else { l + lower[c - l].0 * l + lower[c - l].1 };
            Numbers { x: Array2::from_shape_fn((x.nrows(), columns.len()), |(i, c)| x[[i, at(c)]]), columns }
        }
    };
    let mut report = RowsReport::new(&table, &numbers.columns);
    if args.out.json {
        let (mean, rest) = x.view().split_at(ndarray::Axis(1), l);
        report.mean = Some(nested(mean));
        report.sd = (gaussian && !args.covariance).then(|| nested(rest));
        let square = |row: ndarray::ArrayView1<'_, f64>| (0..l).map(|j| (0..l).map(|k| row[j * l + k]).collect()).collect();
        report.covariance = (gaussian && args.covariance).then(|| rest.rows().into_iter().map(square).collect());
    }
    Emit { what: "posterior", out: &args.out, skipped: &table.skipped_columns }.emit(&numbers, &report)
}

/// `lvm map`: argmax p(x, z) of every row, as far as an ascent from the mode of q finds it.
pub(crate) fn map(args: &MapArgs) -> Outcome {
    output::check_table_target(args.out.output.as_deref(), &[Some(&args.data.data), args.neural.condition_from.as_deref()])?;
    if args.bartlett {
        return Err(Failure::usage("--bartlett is for factor analysis; leave it out"));
    }
    let neural = Neural::load(&args.model, &args.neural)?;
    let input = neural.input(&args.data)?;
    let data = neural.dataset(&input, &args.data.format)?;
    let (mut log_joint, mut converged) = (Vec::new(), Vec::new());
    let ascent = match neural.vae.parameters.kind() {
        Kind::Double => Ascent::default(),
        // gradients of 32 bits do not get as short
        _ => Ascent { gradient_tolerance: 1e-3, ..Ascent::default() },
    };
    let z = by_rows(&data.rows, |batch| {
        let found = tasks::map(&neural.vae, batch, &ascent)?;
        log_joint.extend(found.log_joint);
        converged.extend(found.converged);
        Ok(found.z)
    });
    let z = z.map_err(|error| input.explain(Family::Vae, error))?;
    let table = input.report();
    let numbers = match neural.is_discrete() {
        true => {
            let largest = |row: ndarray::ArrayView1<'_, f64>| row.iter().position(|v| *v > 0.5).unwrap_or(0) as f64;
            let component = z.map_axis(ndarray::Axis(1), largest);
            Numbers { columns: vec!["component".to_owned()], x: component.insert_axis(ndarray::Axis(1)) }
        }
        false => Numbers { columns: latent_names(z.ncols()), x: z },
    };
    let mut report = RowsReport::new(&table, &numbers.columns);
    if args.out.json {
        match neural.is_discrete() {
            true => report.component = Some(numbers.x.iter().map(|k| *k as usize).collect()),
            false => report.z = Some(nested(numbers.x.view())),
        }
        report.log_joint = Some(log_joint);
        report.converged = Some(converged);
    }
    Emit { what: "most probable latents", out: &args.out, skipped: &table.skipped_columns }.emit(&numbers, &report)
}

/// `lvm reconstruct`: E[x | z] at the mode of q(z | x), or averaged over draws.
pub(crate) fn reconstruct(args: &ReconstructArgs) -> Outcome {
    output::check_table_target(args.out.output.as_deref(), &[Some(&args.data.data), args.neural.condition_from.as_deref()])?;
    let neural = Neural::load(&args.model, &args.neural)?;
    let input = neural.input(&args.data)?;
    let data = neural.dataset(&input, &args.data.format)?;
    let mut block = 0;
    let x = by_rows(&data.rows, |batch| {
        block += 1;
        match args.draws {
            Some(k) => reconstruction::reconstruct_averaged(&neural.vae, batch, k as i64, args.seed.wrapping_add(block - 1)),
            None => reconstruction::reconstruct(&neural.vae, batch),
        }
    });
    let numbers = Numbers { columns: input.columns().to_vec(), x: x.map_err(|error| input.explain(Family::Vae, error))? };
    let table = input.report();
    let mut report = RowsReport::new(&table, &numbers.columns);
    report.x = args.out.json.then(|| nested(numbers.x.view()));
    Emit { what: "reconstruction", out: &args.out, skipped: &table.skipped_columns }.emit(&numbers, &report)
}

/// Rows of which fewer draws count than this are not to be relied on.
const FEW_DRAWS: f64 = 10.0;
/// Draws by which q is fitted to a row.
const FITTING_DRAWS: i64 = 100;

/// `lvm impute`: missing cells by importance resampling.
pub(crate) fn impute(args: &ImputeArgs) -> Outcome {
    output::check_table_target(args.out.output.as_deref(), &[Some(&args.data.data), args.neural.condition_from.as_deref()])?;
    output::check_table_target(
        args.sd.as_deref(),
        &[Some(&args.data.data), args.out.output.as_deref(), args.neural.condition_from.as_deref()],
    )?;
    if let Some((path, imputations)) = args.out.output.as_deref().zip(args.imputations) {
        let taken = [Some(args.data.data.as_path()), args.sd.as_deref(), args.neural.condition_from.as_deref()];
        (1..=imputations).try_for_each(|number| output::check_table_target(Some(&numbered(path, number)), &taken))?;
    }
    let neural = Neural::load(&args.model, &args.neural)?;
    let input = neural.input(&crate::args::DataArgs { missing: true, ..args.data.clone() })?;
    let data = neural.dataset(&input, &args.data.format)?;
    let default = Impute::default();
    let impute = Impute {
        proposal: if args.fitted { Proposal::Fitted(FITTING_DRAWS) } else { Proposal::Encoder },
        importance_draws: args.draws.unwrap_or(default.importance_draws),
        imputations: args.imputations.unwrap_or(1),
        ..default
    };
    let explained = |error| input.explain(Family::Vae, error);
    let done = impute.run(&neural.vae, &data.rows, args.seed).map_err(explained)?;
    let observed = data.rows.observed.as_ref().map(to_matrix).transpose().map_err(explained)?;
    let filled = observed.as_ref().map_or(0, |o| o.iter().filter(|o| **o == 0.0).count());
    let few = few_draws(&done.effective_draws, observed.as_ref());
    // what was there stays as it was, to the last bit
    let complete = |tensor: &Tensor| -> Outcome<Array2<f64>> {
        let mut x = to_matrix(tensor).map_err(explained)?;
        input.keep_observed(&mut x).map_err(explained)?;
        Ok(x)
    };
    let columns = input.columns().to_vec();
    if let Some(path) = &args.sd {
        Numbers { columns: columns.clone(), x: to_matrix(&done.sd).map_err(explained)? }.write(Some(path))?;
    }
    let table = input.report();
    let numbers = Numbers { x: complete(&done.mean)?, columns: columns.clone() };
    let mut report = RowsReport::new(&table, &columns);
    if args.out.json {
        report.x = Some(nested(numbers.x.view()));
        report.sd = Some(nested(to_matrix(&done.sd).map_err(explained)?.view()));
        report.effective_draws = Some(done.effective_draws.clone());
    }
    report.warning = few.as_ref().map(|few| few.warning(args.fitted));
    let warning = report.warning.clone().map_or(String::new(), |warning| format!("\n{warning}\n"));
    let (Some(m), Some(path)) = (args.imputations, &args.out.output) else {
        let what = format!("completed table ({} filled in)", report::count(filled, "cell"));
        Emit { what: &what, out: &args.out, skipped: &table.skipped_columns }.emit(&numbers, &report)?;
        // on standard output the table alone
        return if args.out.json || args.out.output.is_none() { Ok(()) } else { report::print(&(), false, |()| warning.clone()) };
    };
    let mut written = Vec::new();
    for draw in 0..m {
        let path = numbered(path, draw + 1);
        Numbers { columns: columns.clone(), x: complete(&done.draws.get(draw as i64))? }.write(Some(&path))?;
        written.push(path.display().to_string());
    }
    report.tables = Some(written.clone());
    let last = written.last().cloned().unwrap_or_default();
    let filled = report::count(filled, "cell");
    report::print(&report, args.out.json, |_| {
        format!(
            "{} drawn from p(missing | observed), {filled} filled in each: {} … {last}\n{warning}",
            report::count(m, "completed table"),
            written[0]
        )
    })
}

/// Rows with missing cells of which few draws count.
struct FewDraws {
    rows: usize,
    worst: (usize, f64),
}

impl FewDraws {
    fn warning(&self, fitted: bool) -> String {
        let remedy = if fitted { "more draws (-k)" } else { "--fitted, or more draws (-k)" };
        format!(
            "in {} with missing cells fewer than {FEW_DRAWS} draws count (row {}: {:.1}), and what was filled in there is not to be relied on: {remedy}",
            report::count(self.rows, "row"),
            self.worst.0,
            self.worst.1
        )
    }
}

fn few_draws(effective: &[f64], observed: Option<&Array2<f64>>) -> Option<FewDraws> {
    let observed = observed?;
    let holes = |row: usize| observed.row(row).iter().any(|o| *o == 0.0);
    let few: Vec<(usize, f64)> = effective.iter().copied().enumerate().filter(|(row, draws)| *draws < FEW_DRAWS && holes(*row)).collect();
    let worst = few.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(FewDraws { rows: few.len(), worst })
}

/// `t.csv` → `t-1.csv`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map_or(String::new(), |ending| format!(".{}", ending.to_string_lossy()));
    path.with_file_name(format!("{stem}-{number}{ending}"))
}

/// `lvm info`.
pub(crate) fn info(args: &InfoArgs) -> Outcome {
    let neural = Neural::load(&args.model, &NeuralArgs::on_cpu())?;
    let fit = neural.header.fit.as_ref();
    let report = VaeInfo {
        model: "vae",
        n: neural.header.n,
        d: neural.vae.n_columns() as usize,
        columns: neural.columns(),
        latents: neural.vae.latents() as usize,
        likelihood: neural.vae.architecture.likelihood.name(),
        condition: neural.condition.0.clone(),
        told: neural.condition.describe(),
        written: settings::written_model(&neural.vae.architecture, &neural.condition.columns()),
        architecture: neural.vae.architecture.clone(),
        n_parameters: neural.vae.n_model_parameters(),
        n_encoder_parameters: neural.vae.n_encoder_parameters(),
        bits: if neural.vae.parameters.kind() == Kind::Double { 64 } else { 32 },
        scale: neural.scale(),
        seed: fit.map(|f| f.seed),
        status: fit.map(|f| f.status),
        iterations: fit.map(|f| f.trace.len()),
        trace: fit.map(|f| f.trace.clone()),
        bound: fit.and_then(|f| f.trace.last().copied()),
    };
    report::print(&report, args.json, report::vae::info)
}
