//! `lvm posterior --clusters`: rows in groups by their latents, and how well the groups agree with labels.

use super::Neural;
use crate::args::PosteriorArgs;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Emit, Numbers};
use crate::report::{self, TableReport, grid::grid, grid::number};
use crate::stored::Family;
use lvm_core::gmm::GmmEm;
use lvm_deep::tasks::{adjusted_rand_index, clustering, normalized_mutual_information};
use ndarray::Array2;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct ClusterReport<'a> {
    model: &'static str,
    #[serde(flatten)]
    table: &'a TableReport,
    clusters: usize,
    seed: u64,
    /// Rows in each group.
    sizes: Vec<usize>,
    /// The group of each row, from 0.
    component: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agreement: Option<Agreement>,
}

/// How alike two groupings are: 1 where they are the same, about 0 where they have nothing to do with each other.
#[derive(Serialize)]
struct Agreement {
    label: String,
    labels: usize,
    adjusted_rand_index: f64,
    normalized_mutual_information: f64,
}

/// Groups rows.
pub(super) fn cluster(args: &PosteriorArgs, k: usize) -> Outcome {
    output::check_table_target(args.out.output.as_deref(), &[Some(&args.data.data), args.neural.condition_from.as_deref()])?;
    let neural = Neural::load(&args.model, &args.neural)?;
    let input = neural.labelled(&args.data, args.label.as_deref())?;
    let data = neural.dataset(&input, &args.data.format)?;
    let explained = |error| input.explain(Family::Vae, error);
    let component = match neural.is_discrete() {
        true if k as i64 != neural.vae.latents() => {
            let values = neural.vae.latents();
            return Err(Failure::usage(format!("--clusters {k}: the latent of {} has {values} values, which are its groups", neural.path)));
        }
        true => clustering::categories(&neural.vae, &data.rows).map_err(explained)?,
        false => {
            let em = GmmEm { components: k, ..GmmEm::default() };
            clustering::gaussian_mixture(&neural.vae, &data.rows, &em, args.seed).map_err(explained)?.1
        }
    };
    let mut sizes = vec![0; k];
    component.iter().for_each(|&group| sizes[group] += 1);
    let agreement = args.label.as_ref().map(|name| -> Outcome<Agreement> {
        let labels = input.labels().ok_or_else(|| Failure::fault(format!("{}: column {name} can't be read as labels", input.path())))?;
        let (labels, places) = places(labels);
        Ok(Agreement {
            label: name.clone(),
            labels,
            adjusted_rand_index: adjusted_rand_index(&component, &places).map_err(explained)?,
            normalized_mutual_information: normalized_mutual_information(&component, &places).map_err(explained)?,
        })
    });
    let table = input.report();
    let report =
        ClusterReport { model: "vae", table: &table, clusters: k, seed: args.seed, sizes, component, agreement: agreement.transpose()? };
    if args.out.output.is_none() && !args.out.json && report.agreement.is_some() {
        // a verdict for people; the groups of every row with -o
        return report::print(&report, false, human);
    }
    let x = Array2::from_shape_fn((report.component.len(), 1), |(i, _)| report.component[i] as f64);
    let numbers = Numbers { columns: vec!["component".to_owned()], x };
    Emit { what: "groups", out: &args.out, skipped: &table.skipped_columns }.emit(&numbers, &report)?;
    match (&report.agreement, args.out.json) {
        (Some(_), false) => report::print(&report, false, human),
        _ => Ok(()),
    }
}

/// The number of different labels, and which each row has.
fn places(labels: &[String]) -> (usize, Vec<usize>) {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let of = labels
        .iter()
        .map(|label| {
            let next = known.len();
            *known.entry(label).or_insert(next)
        })
        .collect();
    (known.len(), of)
}

fn human(report: &ClusterReport<'_>) -> String {
    let mut text = report::human::facts(&[("data", report::human::table_line(report.table)), ("seed", report.seed.to_string())]);
    text += "\n";
    let rows: Vec<Vec<String>> = report.sizes.iter().enumerate().map(|(k, n)| vec![k.to_string(), n.to_string()]).collect();
    text += &grid(&["group".to_owned(), "rows".to_owned()], &rows);
    if let Some(agreement) = &report.agreement {
        text += &format!(
            "\nagainst the {} of {}: adjusted Rand index {}, normalised mutual information {}\n(1: the same groups; about 0: nothing to do with each other)\n",
            report::count(agreement.labels, "label"),
            agreement.label,
            number(agreement.adjusted_rand_index),
            number(agreement.normalized_mutual_information)
        );
    }
    text
}
