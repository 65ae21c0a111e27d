//! `lvm sample`: new rows from a model.

use crate::args::SampleArgs;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Emit, Numbers};
use crate::report::{Skipped, nested};
use crate::stored::{self, Model, Stored};
use lvm_core::model::LatentModel;
use lvm_core::random::{Purpose, Stream, stream};
use ndarray::{Array1, Array2, Axis, concatenate};
use serde::Serialize;

#[derive(Serialize)]
struct SampleReport {
    model: &'static str,
    n: usize,
    d: usize,
    seed: u64,
    columns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    z: Option<Vec<Vec<f64>>>,
    x: Vec<Vec<f64>>,
}

/// The latents that rows were drawn with.
enum Latents {
    Components(Array1<usize>),
    Coordinates(Array2<f64>),
}

/// Draws rows.
pub(crate) fn run(args: &SampleArgs) -> Outcome {
    output::check_table_target(args.out.output.as_deref(), &[])?;
    let stored = stored::load(&args.model)?;
    #[cfg(feature = "deep")]
    {
        stored.refuse(&[("--means", args.means), ("--condition-from", args.neural.condition_from.is_some())])?;
        stored.refuse(&args.new.neural())?;
    }
    check_room(args, &stored)?;
    let mut rng = stream(args.new.seed, Purpose::Sample, 0);
    let (latents, x) = draw(args, &stored, &mut rng)?;
    if x.iter().any(|v| !v.is_finite()) {
        return Err(Failure::fault(format!("{}: numbers too large for double precision were drawn; use a smaller --latent", stored.path)));
    }
    let columns = stored.columns();
    let report = SampleReport {
        model: stored.family().name(),
        n: args.rows,
        d: stored.dim(),
        seed: args.new.seed,
        columns: columns.clone(),
        component: match &latents {
            Latents::Components(z) if args.with_latent => Some(z.to_vec()),
            _ => None,
        },
        z: match &latents {
            Latents::Coordinates(z) if args.with_latent => Some(nested(z.view())),
            _ => None,
        },
        x: if args.out.json { nested(x.view()) } else { Vec::new() },
    };
    let numbers = match args.with_latent {
        true => with_latents(columns, &x, &latents),
        false => Numbers { columns, x },
    };
    Emit { what: "sample", out: &args.out, skipped: &[] as &[Skipped] }.emit(&numbers, &report)
}

/// Says before any work whether the rows have room in memory, twice: with their latents, and as they are put together.
fn check_room(args: &SampleArgs, stored: &Stored) -> Outcome {
    let numbers = args.rows.checked_mul(2 * stored.dim() + 2);
    let room = numbers.is_some_and(|numbers| Vec::<f64>::new().try_reserve_exact(numbers).is_ok());
    if room {
        return Ok(());
    }
    let (rows, d) = (args.rows, stored.dim());
    let message = format!("-n {rows}: so many rows of {d} numbers have no room in memory; draw fewer, several times with another --seed");
    Err(Failure::fault(message))
}

fn draw(args: &SampleArgs, stored: &Stored, rng: &mut Stream) -> Outcome<(Latents, Array2<f64>)> {
    match &stored.model {
        Model::Gmm(model) => components(args, stored, model, model.n_components(), rng),
        Model::Bgmm(model) => components(args, stored, model, model.n_components(), rng),
        Model::Ppca(model) => coordinates(args, stored, model, model.loadings().ncols(), rng),
        Model::Fa(model) => coordinates(args, stored, model, model.loadings().ncols(), rng),
        Model::Bppca(model) => {
            let model = model.point_estimate()?;
            coordinates(args, stored, &model, model.loadings().ncols(), rng)
        }
        Model::Multinomial(_) | Model::Lda(_) => Err(Failure::fault(format!(
            "{}: a model of documents does not say how long a document is, so it can't draw one; the words of each topic are in lvm info --json",
            stored.path
        ))),
    }
}

fn components<M>(args: &SampleArgs, stored: &Stored, model: &M, k: usize, rng: &mut Stream) -> Outcome<(Latents, Array2<f64>)>
where
    M: LatentModel<Z = Array1<usize>>,
{
    if !args.latent.is_empty() {
        return Err(Failure::usage("--latent is for PPCA and factor analysis; a mixture has --component"));
    }
    let z = match args.component {
        Some(component) if component >= k => {
            let message = format!("{}: there is no component {component}; the model has {k}, from 0 to {}", stored.path, k - 1);
            return Err(Failure::fault(message));
        }
        Some(component) => Array1::from_elem(args.rows, component),
        None => model.sample_z(args.rows, rng),
    };
    let x = model.sample_x(&z, rng)?;
    Ok((Latents::Components(z), x))
}

fn coordinates<M>(args: &SampleArgs, stored: &Stored, model: &M, q: usize, rng: &mut Stream) -> Outcome<(Latents, Array2<f64>)>
where
    M: LatentModel<Z = Array2<f64>>,
{
    if args.component.is_some() {
        return Err(Failure::usage(format!("--component is for mixtures; {} has latent coordinates: --latent Z1,Z2,..", stored.path)));
    }
    if !args.latent.is_empty() && args.latent.len() != q {
        let message = format!("--latent has {} numbers, but {} has {q} latent dimensions", args.latent.len(), stored.path);
        return Err(Failure::usage(message));
    }
    let z = match args.latent.is_empty() {
        true => model.sample_z(args.rows, rng),
        false => Array2::from_shape_fn((args.rows, q), |(_, k)| args.latent[k]),
    };
    let x = model.sample_x(&z, rng)?;
    Ok((Latents::Coordinates(z), x))
}

/// The rows with their latents in front.
fn with_latents(columns: Vec<String>, x: &Array2<f64>, latents: &Latents) -> Numbers {
    let (mut names, z) = match latents {
        Latents::Components(z) => (vec!["component".to_owned()], z.mapv(|k| k as f64).insert_axis(Axis(1))),
        Latents::Coordinates(z) => (output::latent_names(z.ncols()), z.clone()),
    };
    names.extend(columns);
    // invariant: both have one row for each draw
    Numbers { columns: names, x: concatenate(Axis(1), &[z.view(), x.view()]).expect("rows agree") }
}
