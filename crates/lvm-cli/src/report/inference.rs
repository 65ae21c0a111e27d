//! `lvm infer` for people.

use super::grid::{count, grid, number};
use super::human::{facts, left_out, status_name, table_line};
use crate::commands::infer::InferReport;
use lvm_core::fit::Status;

/// The summary.
pub(crate) fn text(report: &InferReport) -> String {
    let status = match report.status {
        Status::ClosedForm => "exact, in closed form".to_owned(),
        // a method of so many steps, done
        Status::MaxIterations => format!("done after {}", count(report.iterations, "iteration")),
        status => format!("{} after {}", status_name(status), count(report.iterations, "iteration")),
    };
    let per_row = |total: f64, mean: f64| format!("{}  ({} nats per row)", number(total), number(mean));
    let mut lines = vec![
        ("method", report.method.to_owned()),
        ("data", table_line(&report.table)),
        ("status", status),
        ("log p(x)", per_row(report.log_likelihood, report.mean_log_likelihood)),
        ("ELBO", per_row(report.elbo, report.mean_elbo)),
        (
            "KL to exact",
            format!("{}  ({} nats per row, at most {})", number(report.kl_total), number(report.kl_mean), number(report.kl_max)),
        ),
    ];
    if let Some(gap) = report.amortization_gap {
        lines.push(("amortization", format!("the encoder loses {} nats per row against the best q of its shape", number(gap))));
    }
    let mut text = facts(&lines);
    let mut order: Vec<usize> = (0..report.kl.len()).collect();
    order.sort_by(|a, b| report.kl[*b].total_cmp(&report.kl[*a]));
    order.truncate(5);
    // below that KL is rounding and its order means nothing
    order.retain(|&row| report.kl[row] > 1e-9);
    if !order.is_empty() {
        let rows: Vec<_> = order.iter().map(|&r| vec![r.to_string(), number(report.kl[r]), number(report.elbo_rows[r])]).collect();
        text += "\nthe rows farthest from the exact posterior (numbered from 0)\n";
        text += &grid(&["row", "KL", "ELBO"].map(str::to_owned), &rows);
    }
    text += &left_out(&report.table.skipped_columns);
    text + &match &report.output {
        Some(path) => format!("\nq of every row is in {path}\n"),
        None => "\nq of every row: -o FILE\n".to_owned(),
    }
}
