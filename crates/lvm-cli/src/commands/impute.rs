//! `lvm impute`: missing cells filled with their conditional mean.

use crate::args::ImputeArgs;
use crate::failure::Outcome;
use crate::input::Input;
use crate::output::{self, Emit, Numbers};
use crate::report::{self, TableReport, nested};
use crate::stored;
use lvm_core::imputation::Imputation;
use ndarray::Array2;
use serde::Serialize;

#[derive(Serialize)]
struct ImputeReport {
    model: &'static str,
    #[serde(flatten)]
    table: TableReport,
    /// The table (N x D) with its missing cells filled in.
    x: Vec<Vec<f64>>,
    /// One entry for each row with missing cells.
    imputed: Vec<ImputedRow>,
}

#[derive(Serialize)]
struct ImputedRow {
    /// Row, from 0.
    row: usize,
    /// The missing columns.
    columns: Vec<String>,
    /// E[x_m | x_o].
    mean: Vec<f64>,
    /// Cov[x_m | x_o].
    covariance: Vec<Vec<f64>>,
}

/// Completes a table.
pub(crate) fn run(mut args: ImputeArgs) -> Outcome {
    args.data.missing = true;
    output::check_table_target(args.out.output.as_deref(), &[Some(&args.data.data)])?;
    output::check_table_target(args.sd.as_deref(), &[Some(&args.data.data), args.out.output.as_deref()])?;
    let stored = stored::load(&args.model)?;
    #[cfg(feature = "deep")]
    stored.refuse(&[
        ("--imputations", args.imputations.is_some()),
        ("--fitted", args.fitted),
        ("--condition-from", args.neural.condition_from.is_some()),
    ])?;
    let input = Input::for_model(&args.data, &stored)?;
    let imputation = stored.impute(&input.rows()).map_err(|e| input.explain(stored.family(), e))?;
    let columns = input.columns().to_vec();
    let report = ImputeReport {
        model: stored.family().name(),
        table: input.report(),
        x: if args.out.json { nested(imputation.x.view()) } else { Vec::new() },
        imputed: if args.out.json { imputed(&imputation, &columns) } else { Vec::new() },
    };
    if let Some(path) = &args.sd {
        Numbers { columns: columns.clone(), x: deviations(&imputation) }.write(Some(path))?;
    }
    let filled: usize = imputation.blocks.iter().map(|block| block.columns.len()).sum();
    let what = format!("completed table ({} filled in)", report::count(filled, "cell"));
    Emit { what: &what, out: &args.out, skipped: &report.table.skipped_columns }.emit(&Numbers { columns, x: imputation.x }, &report)
}

/// Conditional standard deviations (N, D); 0 where the cell was observed.
fn deviations(imputation: &Imputation) -> Array2<f64> {
    let mut sd = Array2::zeros(imputation.x.dim());
    for block in &imputation.blocks {
        for (m, &column) in block.columns.iter().enumerate() {
            sd[[block.row, column]] = block.covariance[[m, m]].max(0.0).sqrt();
        }
    }
    sd
}

fn imputed(imputation: &Imputation, columns: &[String]) -> Vec<ImputedRow> {
    let row = |block: &lvm_core::imputation::MissingBlock| ImputedRow {
        row: block.row,
        columns: block.columns.iter().map(|&j| columns[j].clone()).collect(),
        mean: block.mean.to_vec(),
        covariance: nested(block.covariance.view()),
    };
    imputation.blocks.iter().map(row).collect()
}
