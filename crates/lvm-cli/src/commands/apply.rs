//! `lvm posterior` and `lvm map`: what a model says about the latents of each row.

use crate::args::{MapArgs, PosteriorArgs};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::output::{self, Emit, Numbers};
use crate::report::{TableReport, nested};
use crate::stored::{self, Model, Stored};
use lvm_core::linear_gaussian::GaussianPosterior;
use lvm_core::model::{Infer, MapLatent};
use lvm_core::rows::RowSource;
use ndarray::{Array2, ArrayView2, Axis};
use serde::Serialize;

#[derive(Serialize)]
struct PosteriorReport {
    model: &'static str,
    #[serde(flatten)]
    table: TableReport,
    /// p(z = k | x) (N x K), for mixtures.
    #[serde(skip_serializing_if = "Option::is_none")]
    responsibilities: Option<Vec<Vec<f64>>>,
    /// E[θ | x] (N x K), the shares of topics in each document, for lda.
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<Vec<Vec<f64>>>,
    /// E[z | x] (N x q).
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<Vec<Vec<f64>>>,
    /// Cov[z | x] (N x q x q), where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    covariance: Option<Vec<Vec<Vec<f64>>>>,
}

/// p(z | x) of every row.
pub(crate) fn posterior(args: &PosteriorArgs) -> Outcome {
    output::check_table_target(args.out.output.as_deref(), &[Some(&args.data.data)])?;
    let stored = stored::load(&args.model)?;
    #[cfg(feature = "deep")]
    stored.refuse(&[("--clusters", args.clusters.is_some()), ("--condition-from", args.neural.condition_from.is_some())])?;
    if args.covariance && !matches!(stored.model, Model::Ppca(_) | Model::Fa(_) | Model::Bppca(_)) {
        return Err(Failure::usage(
            "--covariance is for PPCA and factor analysis; the latent of this model is a component or shares of topics",
        ));
    }
    let input = Input::for_model(&args.data, &stored)?;
    let rows = input.rows();
    let mut report = PosteriorReport {
        model: stored.family().name(),
        table: input.report(),
        responsibilities: None,
        topics: None,
        mean: None,
        covariance: None,
    };
    let numbers = match &stored.model {
        Model::Gmm(model) => {
            let r = model.responsibilities(&rows).map_err(|e| input.explain(stored.family(), e))?;
            report.responsibilities = args.out.json.then(|| nested(r.view()));
            Numbers { columns: (0..r.ncols()).map(|k| format!("component_{k}")).collect(), x: r }
        }
        Model::Ppca(model) => gaussian(args, &mut report, &model.infer(&rows).map_err(|e| input.explain(stored.family(), e))?),
        Model::Fa(model) => gaussian(args, &mut report, &model.infer(&rows).map_err(|e| input.explain(stored.family(), e))?),
        Model::Bppca(model) => {
            let q = model.point_estimate().and_then(|model| model.infer(&rows));
            gaussian(args, &mut report, &q.map_err(|e| input.explain(stored.family(), e))?)
        }
        Model::Bgmm(_) | Model::Multinomial(_) | Model::Lda(_) => {
            let r = shares(&stored.model, &rows).map_err(|e| input.explain(stored.family(), e))?;
            let nested = args.out.json.then(|| nested(r.view()));
            let name = if matches!(stored.model, Model::Lda(_)) { "topic" } else { "component" };
            *if name == "topic" { &mut report.topics } else { &mut report.responsibilities } = nested;
            Numbers { columns: (0..r.ncols()).map(|k| format!("{name}_{k}")).collect(), x: r }
        }
    };
    Emit { what: "posterior", out: &args.out, skipped: &report.table.skipped_columns }.emit(&numbers, &report)
}

/// q(z = k) of each row, or the shares of topics in each document.
fn shares(model: &Model, rows: &dyn RowSource) -> lvm_core::Result<Array2<f64>> {
    match model {
        Model::Gmm(model) => model.responsibilities(rows),
        Model::Bgmm(model) => model.responsibilities(rows),
        Model::Multinomial(model) => Ok(model.infer(&stored::documents(rows)?)?.probabilities()),
        Model::Lda(model) => Ok(model.infer(&stored::documents(rows)?)?.shares()),
        Model::Ppca(_) | Model::Fa(_) | Model::Bppca(_) => Err(lvm_core::Error::config("model", "its latents are coordinates")),
    }
}

fn gaussian(args: &PosteriorArgs, report: &mut PosteriorReport, q: &GaussianPosterior) -> Numbers {
    let mean = q.mean();
    let (n, latents) = mean.dim();
    report.mean = args.out.json.then(|| nested(mean.view()));
    report.covariance = (args.out.json && args.covariance).then(|| (0..n).map(|i| nested(q.covariance(i))).collect());
    let mut columns = output::latent_names(latents);
    if !args.covariance {
        return Numbers { columns, x: mean.to_owned() };
    }
    let lower: Vec<(usize, usize)> = (0..latents).flat_map(|j| (0..=j).map(move |k| (j, k))).collect();
    columns.extend(lower.iter().map(|(j, k)| format!("cov_z{j}_z{k}")));
    let mut x = Array2::zeros((n, latents + lower.len()));
    for (i, mut row) in x.rows_mut().into_iter().enumerate() {
        let covariance: ArrayView2<'_, f64> = q.covariance(i);
        let entries = mean.row(i).to_vec().into_iter().chain(lower.iter().map(|&(j, k)| covariance[[j, k]]));
        row.iter_mut().zip(entries).for_each(|(to, entry)| *to = entry);
    }
    Numbers { columns, x }
}

#[derive(Serialize)]
struct MapReport {
    model: &'static str,
    #[serde(flatten)]
    table: TableReport,
    /// The most probable component of each row, from 0, for mixtures.
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Vec<usize>>,
    /// The most probable latent coordinates of each row (N x q).
    #[serde(skip_serializing_if = "Option::is_none")]
    z: Option<Vec<Vec<f64>>>,
}

/// argmax_z p(x, z) of every row.
pub(crate) fn map(args: &MapArgs) -> Outcome {
    output::check_table_target(args.out.output.as_deref(), &[Some(&args.data.data)])?;
    let stored = stored::load(&args.model)?;
    if args.bartlett && !matches!(stored.model, Model::Fa(_)) {
        let family = stored.family().name();
        return Err(Failure::usage(format!("--bartlett is for factor analysis; {} is a model of family {family}", stored.path)));
    }
    let input = Input::for_model(&args.data, &stored)?;
    let mut report = MapReport { model: stored.family().name(), table: input.report(), component: None, z: None };
    let numbers = latents(args, &stored, &input, &mut report).map_err(|e| input.explain(stored.family(), e))?;
    Emit { what: "most probable latents", out: &args.out, skipped: &report.table.skipped_columns }.emit(&numbers, &report)
}

fn latents(args: &MapArgs, stored: &Stored, input: &Input, report: &mut MapReport) -> lvm_core::Result<Numbers> {
    let rows = input.rows();
    let z = match &stored.model {
        Model::Gmm(model) => {
            let z = model.map_z(&rows)?;
            report.component = args.out.json.then(|| z.to_vec());
            let x = z.mapv(|k| k as f64).insert_axis(Axis(1));
            return Ok(Numbers { columns: vec!["component".to_owned()], x });
        }
        Model::Bgmm(_) | Model::Multinomial(_) | Model::Lda(_) => {
            let largest = |row: ndarray::ArrayView1<'_, f64>| {
                let best = row.iter().enumerate().fold((0, f64::NEG_INFINITY), |best, (k, &v)| if v > best.1 { (k, v) } else { best });
                best.0
            };
            let z = shares(&stored.model, &rows)?.map_axis(Axis(1), largest);
            report.component = args.out.json.then(|| z.to_vec());
            let x = z.mapv(|k| k as f64).insert_axis(Axis(1));
            let name = if matches!(stored.model, Model::Lda(_)) { "topic" } else { "component" };
            return Ok(Numbers { columns: vec![name.to_owned()], x });
        }
        Model::Bppca(model) => model.point_estimate()?.map_z(&rows)?,
        Model::Ppca(model) => model.map_z(&rows)?,
        Model::Fa(model) if args.bartlett => model.bartlett_scores(&rows)?.scores,
        Model::Fa(model) => model.map_z(&rows)?,
    };
    report.z = args.out.json.then(|| nested(z.view()));
    Ok(Numbers { columns: output::latent_names(z.ncols()), x: z })
}
