//! New rows from a neural model.

use super::{Neural, by_rows};
use crate::args::{DataArgs, FormatArgs, InterpolateArgs, NewRowsArgs, SampleArgs};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::output::{self, Emit, Numbers, latent_names};
use crate::report::{Skipped, nested};
use crate::stored::Family;
use lvm_core::ErrorKind;
use lvm_core::random::Purpose;
use lvm_deep::architecture::DecoderSpec;
use lvm_deep::data::Batch;
use lvm_deep::noise::Noise;
use lvm_deep::tasks::{clustering, generation, interpolation, reconstruction};
use lvm_deep::tensor::{from_matrix, to_matrix};
use lvm_deep::{Kind, Tensor};
use ndarray::{Array2, Axis, concatenate};
use serde::Serialize;

#[derive(Serialize)]
struct GeneratedReport {
    model: &'static str,
    n: usize,
    d: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    columns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    z: Option<Vec<Vec<f64>>>,
    x: Vec<Vec<f64>>,
}

/// `lvm sample`: z ~ p(z) or as given, x ~ p(x | z) or its mean.
pub(crate) fn sample(args: &SampleArgs) -> Outcome {
    output::check_table_target(args.out.output.as_deref(), &[args.new.like.as_deref()])?;
    let neural = Neural::load(&args.model, &args.neural)?;
    let (kind, device) = (neural.vae.parameters.kind(), neural.vae.parameters.device());
    let l = neural.vae.latents() as usize;
    if args.component.is_some() {
        return Err(Failure::usage(format!("--component is for mixtures; {} has latent coordinates: --latent Z1,Z2,..", neural.path)));
    }
    if !args.latent.is_empty() && args.latent.len() != l {
        return Err(Failure::usage(format!("--latent has {} numbers, but {} has {l} latents", args.latent.len(), neural.path)));
    }
    let z = match args.latent.is_empty() {
        true => {
            let mut noise = Noise::new(args.new.seed, Purpose::Sample, 1, kind, device);
            tch::no_grad(|| neural.vae.parts.prior.sample(args.rows as i64, &mut noise))
        }
        false => from_matrix(&Array2::from_shape_fn((args.rows, l), |(_, k)| args.latent[k]), kind, device),
    };
    let like = rows_like(&neural, args.rows, &args.new)?;
    let fault = |error: lvm_core::Error| Failure::fault(format!("{}: {error}", neural.path));
    let x = match args.means {
        true => generation::decode(&neural.vae, &z, Some(&like)),
        false => generation::sample_given(&neural.vae, &z, Some(&like), args.new.seed),
    };
    let (z, x) = (to_matrix(&z).map_err(fault)?, to_matrix(&x.map_err(fault)?).map_err(fault)?);
    let columns = neural.columns();
    let report = GeneratedReport {
        model: "vae",
        n: args.rows,
        d: columns.len(),
        seed: Some(args.new.seed),
        columns: columns.clone(),
        z: args.with_latent.then(|| nested(z.view())),
        x: if args.out.json { nested(x.view()) } else { Vec::new() },
    };
    let numbers = numbers(columns, x, args.with_latent.then_some(z));
    Emit { what: "sample", out: &args.out, skipped: &[] as &[Skipped] }.emit(&numbers, &report)
}

/// So many rows that have what new rows are told: a condition, and their size where the likelihood needs it.
fn rows_like(neural: &Neural, n: usize, new: &NewRowsArgs) -> Outcome<Batch> {
    let n = n as i64;
    if let Some(path) = &new.like {
        let data = DataArgs::of(path.clone());
        let input = neural.input(&data)?;
        let rows = neural.dataset(&input, &data.format)?.rows;
        let picked: Vec<i64> = (0..n).map(|i| i % rows.n_rows()).collect();
        return Ok(rows.select(&Tensor::from_slice(&picked).to_device(rows.x.device())));
    }
    let told = told_once(neural, &new.given)?.map(|told| told.expand([n, -1], false).contiguous());
    generation::rows_of_size(&neural.vae, n, new.size.map(|size| size as f64), told.as_ref()).map_err(|error| match error.kind() {
        ErrorKind::Config { field: "size", message } => {
            let hint = if new.size.is_some() { "" } else { "\n  hint: --size S, or --like DATA for the sizes of its rows" };
            Failure::usage(format!("{}: the size {message}{hint}", neural.path))
        }
        _ => Failure::fault(format!("{}: {error}", neural.path)),
    })
}

/// New rows, and whether they are draws of x and no means: decoders that build rows entry after entry have no mean given z.
pub(crate) fn drawn(neural: &Neural, n: usize, noise: bool, new: &NewRowsArgs) -> Outcome<(Array2<f64>, bool)> {
    let (kind, device) = (neural.vae.parameters.kind(), neural.vae.parameters.device());
    let like = rows_like(neural, n, new)?;
    let z = tch::no_grad(|| neural.vae.parts.prior.sample(n as i64, &mut Noise::new(new.seed, Purpose::Sample, 1, kind, device)));
    let stepwise = matches!(neural.vae.architecture.decoder, DecoderSpec::Recurrent(_) | DecoderSpec::Attention(_));
    let noise = noise || stepwise;
    let x = match noise {
        true => generation::sample_given(&neural.vae, &z, Some(&like), new.seed),
        false => generation::decode(&neural.vae, &z, Some(&like)),
    };
    let x = x.and_then(|x| to_matrix(&x)).map_err(|error| Failure::fault(format!("{}: {error}", neural.path)))?;
    Ok((x, noise))
}

/// Some rows of a table as the model sees them.
pub(crate) fn reconstructed(neural: &Neural, input: &Input, format: &FormatArgs, rows: &[usize]) -> Outcome<Array2<f64>> {
    let data = neural.dataset(input, format)?.rows;
    let picked: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
    let batch = data.select(&Tensor::from_slice(&picked).to_device(data.x.device()));
    let stepwise = matches!(neural.vae.architecture.decoder, DecoderSpec::Recurrent(_) | DecoderSpec::Attention(_));
    let x = match stepwise {
        // no mean given z alone: one draw
        true => {
            reconstruction::posterior_modes(&neural.vae, &batch).and_then(|z| generation::sample_given(&neural.vae, &z, Some(&batch), 0))
        }
        false => reconstruction::reconstruct(&neural.vae, &batch),
    };
    x.and_then(|x| to_matrix(&x)).map_err(|error| input.explain(Family::Vae, error))
}

/// The centre of q(z | x) of every row (N, L).
pub(crate) fn centres(neural: &Neural, input: &Input, format: &FormatArgs) -> Outcome<Array2<f64>> {
    let data = neural.dataset(input, format)?;
    let centres =
        by_rows(&data.rows, |batch| clustering::centres(&neural.vae, batch).map(|z| from_matrix(&z, Kind::Double, batch.x.device())));
    centres.map_err(|error| input.explain(Family::Vae, error))
}

/// `--given` as numbers (1, C), if the model is told anything.
fn told_once(neural: &Neural, given: &[String]) -> Outcome<Option<Tensor>> {
    if neural.condition.0.is_empty() {
        return match given {
            [] => Ok(None),
            _ => Err(Failure::usage(format!("--given: {} is told nothing besides x; leave it out", neural.path))),
        };
    }
    let numbers = neural.condition.given(given)?;
    Ok(Some(from_matrix(&numbers, neural.vae.parameters.kind(), neural.vae.parameters.device())))
}

/// `lvm interpolate`: E[x | z] along a path between the latents of two rows.
pub(crate) fn interpolate(args: &InterpolateArgs) -> Outcome {
    output::check_table_target(args.out.output.as_deref(), &[Some(&args.data.data), args.neural.condition_from.as_deref()])?;
    let &[a, b] = args.rows.as_slice() else {
        return Err(Failure::usage(format!("--rows names {} rows; two are needed, such as --rows 0,1", args.rows.len())));
    };
    let neural = Neural::load(&args.model, &args.neural)?;
    let input = neural.input(&args.data)?;
    let data = neural.dataset(&input, &args.data.format)?;
    if let Some(row) = [a, b].into_iter().find(|row| *row >= data.n_rows()) {
        let n = data.n_rows();
        return Err(Failure::fault(format!("{}: there is no row {row}; it has {n}, from 0 to {}", input.path(), n - 1)));
    }
    let path = || {
        let rows = [a, b].map(|row| data.rows.narrow(row as i64, 1));
        let [from, to] = [0, 1].map(|end| reconstruction::posterior_modes(&neural.vae, &rows[end]));
        let steps = args.steps as i64;
        let between = generation::rows_between(&neural.vae, &rows[0], &rows[1], steps)?;
        let z = if args.spherical { interpolation::spherical(&from?, &to?, steps)? } else { interpolation::linear(&from?, &to?, steps)? };
        let z = z.squeeze_dim(1);
        Ok((to_matrix(&z)?, to_matrix(&generation::decode(&neural.vae, &z, Some(&between))?)?))
    };
    let (z, x) = path().map_err(|error| input.explain(Family::Vae, error))?;
    let columns = neural.columns();
    let report = GeneratedReport {
        model: "vae",
        n: args.steps,
        d: columns.len(),
        seed: None,
        columns: columns.clone(),
        z: Some(nested(z.view())),
        x: if args.out.json { nested(x.view()) } else { Vec::new() },
    };
    let numbers = numbers(columns, x, args.with_latent.then_some(z));
    Emit { what: "path", out: &args.out, skipped: &input.report().skipped_columns }.emit(&numbers, &report)
}

/// Rows, with their latents in front if asked for.
fn numbers(columns: Vec<String>, x: Array2<f64>, z: Option<Array2<f64>>) -> Numbers {
    let Some(z) = z else { return Numbers { columns, x } };
    let mut names = latent_names(z.ncols());
    names.extend(columns);
    // invariant: both have one row for each draw
    Numbers { columns: names, x: concatenate(Axis(1), &[z.view(), x.view()]).expect("rows agree") }
}
