//! New rows from a neural model.

use super::Neural;
use crate::args::{InterpolateArgs, SampleArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Emit, Numbers, latent_names};
use crate::report::{Skipped, nested};
use crate::stored::Family;
use lvm_core::random::Purpose;
use lvm_deep::noise::Noise;
use lvm_deep::tasks::{generation, interpolation, reconstruction};
use lvm_deep::tensor::{from_matrix, to_matrix};
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
    output::check_table_target(args.out.output.as_deref())?;
    let neural = Neural::load(&args.model, &args.device)?;
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
            let mut noise = Noise::new(args.seed, Purpose::Sample, 1, kind, device);
            tch::no_grad(|| neural.vae.parts.prior.sample(args.rows as i64, &mut noise))
        }
        false => from_matrix(&Array2::from_shape_fn((args.rows, l), |(_, k)| args.latent[k]), kind, device),
    };
    let fault = |error: lvm_core::Error| Failure::fault(format!("{}: {error}", neural.path));
    let x = match args.means {
        true => generation::decode(&neural.vae, &z, None),
        false => generation::sample_given(&neural.vae, &z, None, args.seed),
    };
    let (z, x) = (to_matrix(&z).map_err(fault)?, to_matrix(&x.map_err(fault)?).map_err(fault)?);
    let columns = neural.columns();
    let report = GeneratedReport {
        model: "vae",
        n: args.rows,
        d: columns.len(),
        seed: Some(args.seed),
        columns: columns.clone(),
        z: args.with_latent.then(|| nested(z.view())),
        x: if args.out.json { nested(x.view()) } else { Vec::new() },
    };
    let numbers = numbers(columns, x, args.with_latent.then_some(z));
    Emit { what: "sample", out: &args.out, skipped: &[] as &[Skipped] }.emit(&numbers, &report)
}

/// `lvm interpolate`: E[x | z] along a path between the latents of two rows.
pub(crate) fn interpolate(args: &InterpolateArgs) -> Outcome {
    output::check_table_target(args.out.output.as_deref())?;
    let &[a, b] = args.rows.as_slice() else {
        return Err(Failure::usage(format!("--rows names {} rows; two are needed, such as --rows 0,1", args.rows.len())));
    };
    let neural = Neural::load(&args.model, &args.device)?;
    let input = neural.input(&args.data)?;
    let data = neural.dataset(&input)?;
    if let Some(row) = [a, b].into_iter().find(|row| *row >= data.n_rows()) {
        let n = data.n_rows();
        return Err(Failure::fault(format!("{}: there is no row {row}; it has {n}, from 0 to {}", input.path(), n - 1)));
    }
    let path = || {
        let ends = [a, b].map(|row| reconstruction::posterior_modes(&neural.vae, &data.rows.narrow(row as i64, 1)));
        let [from, to] = ends;
        let steps = args.steps as i64;
        let z = if args.spherical { interpolation::spherical(&from?, &to?, steps)? } else { interpolation::linear(&from?, &to?, steps)? };
        let z = z.squeeze_dim(1);
        Ok((to_matrix(&z)?, to_matrix(&generation::decode(&neural.vae, &z, None)?)?))
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
