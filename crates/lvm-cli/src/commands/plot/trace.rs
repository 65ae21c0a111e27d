//! `lvm plot trace`: the objective of a fit.

use crate::args::PlotTraceArgs;
use crate::failure::{Failure, Outcome};
use crate::figure::{self, Bounds, Legend, Marks, Panel, Panels, group};
use crate::stored;
use lvm_core::fit::Status;

/// The objective after each step of a fit.
struct Trace {
    model: &'static str,
    path: String,
    values: Vec<f64>,
    status: Status,
    seed: u64,
    step: &'static str,
    objective: &'static str,
}

/// Draws it.
pub(super) fn run(args: &PlotTraceArgs) -> Outcome {
    figure::check_target(&args.out.output)?;
    let trace = trace(args)?;
    if trace.values.len() < 2 {
        return Err(Failure::fault(format!(
            "{}: the fit has no iterations, as of one in closed form; there is nothing to draw",
            trace.path
        )));
    }
    if args.skip + 2 > trace.values.len() {
        return Err(Failure::usage(format!(
            "--skip {}: {} has {} {}s, and two at least are needed",
            args.skip,
            trace.path,
            trace.values.len(),
            trace.step
        )));
    }
    let points: Vec<[f64; 2]> = trace.values.iter().enumerate().skip(args.skip).map(|(i, v)| [i as f64 + 1.0, *v]).collect();
    let last = points[points.len() - 1];
    let panel = Panel {
        title: String::new(),
        x_name: trace.step.to_owned(),
        y_name: trace.objective.to_owned(),
        x: Bounds::around(points.iter().map(|p| p[0])),
        y: Bounds::around(points.iter().map(|p| p[1])),
        marks: vec![
            Marks::Line { points: points.clone(), colour: group(0), width: 2.0 },
            Marks::Points { points: vec![last], colours: vec![group(3)], radius: 4.5 },
        ],
    };
    let ended = match trace.status {
        Status::Converged => "converged",
        Status::MaxIterations => "as many as allowed",
        _ => "ended early",
    };
    let note = format!("{} {}s, {ended}, seed {}; the last: {:.4}", trace.values.len(), trace.step, trace.seed, last[1]);
    let figure = Panels::single(format!("{}: objective of the fit", super::file_name(&trace.path)), note, panel, Legend::None);
    super::finish(trace.model, "trace", trace.values.len(), &figure, &args.out)
}

fn trace(args: &PlotTraceArgs) -> Outcome<Trace> {
    #[cfg(feature = "deep")]
    if stored::is_neural(&args.model) {
        let neural = crate::commands::neural::Neural::load(&args.model, &crate::args::NeuralArgs::on_cpu())?;
        let lost = || Failure::fault(format!("{}: the file has no record of its training", neural.path));
        let fit = neural.header.fit.clone().ok_or_else(lost)?;
        let path = neural.path;
        return Ok(Trace {
            model: "vae",
            path,
            values: fit.trace,
            status: fit.status,
            seed: fit.seed,
            step: "epoch",
            objective: "ELBO, nats per row",
        });
    }
    let stored = stored::load(&args.model)?;
    let record = stored.record().ok_or_else(|| Failure::fault(format!("{}: the file has no record of a fit", stored.path)))?;
    let objective = match stored::n_parameters(&stored.model) {
        Some(_) => "log p(x), nats per row",
        None => "ELBO, nats per row",
    };
    Ok(Trace {
        model: stored.family().name(),
        path: stored.path,
        values: record.trace,
        status: record.status,
        seed: record.seed,
        step: "iteration",
        objective,
    })
}
