//! `lvm plot`: pictures of a model.

mod cells;
mod latent;
mod rows;
mod source;
mod trace;

use crate::args::{PictureArgs, PlotCommand};
use crate::failure::Outcome;
use crate::figure::{self, Figure};
use crate::report;
use serde::Serialize;
use std::path::Path;

/// Draws what was asked for.
pub(crate) fn run(command: &PlotCommand) -> Outcome {
    match command {
        PlotCommand::Latent(args) => latent::run(args),
        PlotCommand::Samples(args) => rows::samples(args),
        PlotCommand::Reconstructions(args) => rows::reconstructions(args),
        PlotCommand::Trace(args) => trace::run(args),
    }
}

/// What was drawn.
#[derive(Serialize)]
struct Drawn {
    model: &'static str,
    /// `latent`, `images`, `curves`, `histograms`, `pairs`, `cells` or `trace`.
    picture: &'static str,
    /// Rows in it, or iterations.
    n: usize,
    output: String,
}

/// The last part of a path: titles have no room for folders.
fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}

/// Writes the picture and says where it is.
fn finish(model: &'static str, picture: &'static str, n: usize, figure: &impl Figure, out: &PictureArgs) -> Outcome {
    figure::save(figure, &out.output)?;
    let drawn = Drawn { model, picture, n, output: out.output.display().to_string() };
    report::print(&drawn, out.json, |drawn| format!("{}: {} of {}\n", drawn.output, drawn.picture, drawn.n))
}
