//! `lvm plot samples` and `lvm plot reconstructions`.

use super::source::{Kind, Source, not_for};
use super::{cells, file_name};
use crate::args::{DataArgs, PlotReconstructionsArgs, PlotSamplesArgs};
use crate::failure::{Failure, Outcome};
use crate::figure::{self, Images};
use crate::input::Input;
use crate::stored::{Model, Stored};
use lvm_core::model::{Infer, LatentModel};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::RowSource;
use ndarray::{Array2, Axis};

/// `lvm plot samples`.
pub(super) fn samples(args: &PlotSamplesArgs) -> Outcome {
    figure::check_target(&args.out.output)?;
    let source = Source::load(&args.model)?;
    let kind = source.kind(&args.kind)?;
    let n = args.rows.unwrap_or(match kind {
        Kind::Images(_) => 64,
        Kind::Curves(_) => 12,
        Kind::Table => 1000,
    });
    if args.data.is_some() && kind != Kind::Table {
        return Err(Failure::usage("DATA is for samples of tables, beside which it is drawn; leave it out, or say --as table"));
    }
    let (x, drawn) = drawn(&source, args, n, args.noise || kind == Kind::Table)?;
    let what = if drawn { "x ~ p(x | z)" } else { "E[x | z]" };
    let title = format!("{}: samples", file_name(source.path()));
    let note = format!("{what} at z ~ p(z), seed {}", args.new.seed);
    match kind {
        Kind::Images(shape) => {
            let rows: Vec<Vec<f64>> = x.rows().into_iter().map(|row| row.to_vec()).collect();
            let columns = (n as f64).sqrt().ceil() as usize;
            let lines = rows.chunks(columns).map(|line| (String::new(), line.to_vec())).collect();
            let figure = Images { title, note, shape, lines, range: range(&x) };
            super::finish(source.name(), "images", n, &figure, &args.out)
        }
        Kind::Curves(width) => {
            let rows: Vec<Vec<f64>> = x.rows().into_iter().map(|row| row.to_vec()).collect();
            let figure = cells::curves(title, note, width, &[], &rows, &[]);
            super::finish(source.name(), "curves", n, &figure, &args.out)
        }
        Kind::Table => {
            let data = args.data.as_ref().map(|path| table(&source.input(&DataArgs::of(path.clone()), None)?)).transpose()?;
            let (picture, figure) = cells::samples(title, &source.columns(), &x, data.as_ref());
            super::finish(source.name(), picture, n, &figure, &args.out)
        }
    }
}

/// New rows, and whether they are draws of x and no means.
fn drawn(source: &Source, args: &PlotSamplesArgs, n: usize, noise: bool) -> Outcome<(Array2<f64>, bool)> {
    match source {
        Source::Exact(stored) => {
            #[cfg(feature = "deep")]
            stored.refuse(&args.new.neural())?;
            exact(stored, args.new.seed, n, noise)
        }
        #[cfg(feature = "deep")]
        Source::Neural(neural) => crate::commands::neural::drawn(neural, n, noise, &args.new),
    }
}

fn exact(stored: &Stored, seed: u64, n: usize, noise: bool) -> Outcome<(Array2<f64>, bool)> {
    let rng = &mut stream(seed, Purpose::Sample, 0);
    let linear = |model: &lvm_core::linear_gaussian::LinearGaussian, z: Array2<f64>, x: Array2<f64>| -> Outcome<(Array2<f64>, bool)> {
        if noise { Ok((x, true)) } else { Ok((model.mean_given(&z)?, false)) }
    };
    match &stored.model {
        Model::Gmm(model) => {
            let z = model.sample_z(n, rng);
            Ok((model.sample_x(&z, rng)?, true))
        }
        Model::Ppca(model) => {
            let z = model.sample_z(n, rng);
            let x = model.sample_x(&z, rng)?;
            linear(model.linear_gaussian(), z, x)
        }
        Model::Fa(model) => {
            let z = model.sample_z(n, rng);
            let x = model.sample_x(&z, rng)?;
            linear(model.linear_gaussian(), z, x)
        }
        _ => Err(not_for(stored, "samples", "lvm sample draws them; gmm, ppca, fa and vae can be drawn")),
    }
}

/// `lvm plot reconstructions`.
pub(super) fn reconstructions(args: &PlotReconstructionsArgs) -> Outcome {
    figure::check_target(&args.out.output)?;
    let source = Source::load(&args.model)?;
    let kind = source.kind(&args.kind)?;
    let input = source.input(&args.data, None)?;
    let rows = picked(args, kind, input.n_rows(), input.path())?;
    let x = table(&input)?.select(Axis(0), &rows);
    let made = made(&source, &input, args, &rows)?;
    let title = format!("{}: reconstructions of {}", file_name(source.path()), file_name(input.path()));
    let list = |x: &Array2<f64>| x.rows().into_iter().map(|row| row.to_vec()).collect::<Vec<Vec<f64>>>();
    let names: Vec<String> = rows.iter().map(|row| format!("row {row}")).collect();
    match kind {
        Kind::Images(shape) => {
            let lines = vec![("rows".to_owned(), list(&x)), ("reconstructions".to_owned(), list(&made))];
            let note = format!("rows {}", rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
            let figure = Images { title, note, shape, lines, range: range(&x) };
            super::finish(source.name(), "images", rows.len(), &figure, &args.out)
        }
        Kind::Curves(width) => {
            let figure = cells::curves(title, "E[x | z] at the mode of q(z | x)".to_owned(), width, &names, &list(&made), &list(&x));
            super::finish(source.name(), "curves", rows.len(), &figure, &args.out)
        }
        Kind::Table => {
            let figure = cells::against(title, &source.columns(), &x, &made);
            super::finish(source.name(), "cells", rows.len(), &figure, &args.out)
        }
    }
}

/// As asked for, or evenly spread.
fn picked(args: &PlotReconstructionsArgs, kind: Kind, n: usize, path: &str) -> Outcome<Vec<usize>> {
    if let Some(row) = args.rows.iter().find(|row| **row >= n) {
        return Err(Failure::fault(format!("{path}: there is no row {row}; it has {n}, from 0 to {}", n - 1)));
    }
    if !args.rows.is_empty() {
        return Ok(args.rows.clone());
    }
    let count = match kind {
        Kind::Images(_) => 10,
        Kind::Curves(_) => 9,
        // more points than this hide each other
        Kind::Table => 2000,
    };
    let count = count.min(n);
    Ok((0..count).map(|i| i * n / count).collect())
}

fn made(source: &Source, input: &Input, args: &PlotReconstructionsArgs, rows: &[usize]) -> Outcome<Array2<f64>> {
    #[cfg(not(feature = "deep"))]
    let _ = args;
    match source {
        Source::Exact(stored) => {
            let explain = |error| input.explain(stored.family(), error);
            let all = input.rows();
            let made = match &stored.model {
                Model::Ppca(model) => model.linear_gaussian().mean_given(model.infer(&all).map_err(explain)?.mean()).map_err(explain)?,
                Model::Fa(model) => model.linear_gaussian().mean_given(model.infer(&all).map_err(explain)?.mean()).map_err(explain)?,
                _ => return Err(not_for(stored, "reconstructions", "it has no decoder; ppca, fa and vae have")),
            };
            Ok(made.select(Axis(0), rows))
        }
        #[cfg(feature = "deep")]
        Source::Neural(neural) => crate::commands::neural::reconstructed(neural, input, &args.data.format, rows),
    }
}

fn table(input: &Input) -> Outcome<Array2<f64>> {
    let rows = input.rows();
    let mut x = Array2::zeros((rows.n_rows(), rows.n_cols()));
    rows.read(0, x.view_mut())?;
    Ok(x)
}

/// What is black and what is white: 0 and 1 where all numbers are between them, else the smallest and the largest.
fn range(x: &Array2<f64>) -> (f64, f64) {
    let finite = x.iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    match low >= 0.0 && high <= 1.0 || low >= high {
        true => (0.0, 1.0),
        false => (low, high),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn grey_levels_keep_their_range_and_other_numbers_get_one() {
        assert_eq!(range(&array![[0.2, 0.7]]), (0.0, 1.0));
        assert_eq!(range(&array![[-3.0, f64::NAN, 16.0]]), (-3.0, 16.0));
    }
}
