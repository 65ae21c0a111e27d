//! `lvm score`: log p(x) of every row.

use crate::args::ScoreArgs;
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::output::{self, Numbers};
use crate::report::{self, ScoreReport};
use crate::stored::{self, Model};
use lvm_core::criteria::Criteria;
use ndarray::Axis;
use std::path::Path;

/// Scores a table.
pub(crate) fn run(args: &ScoreArgs) -> Outcome {
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if to_stdout && args.json {
        return Err(Failure::usage("-o - and --json both want standard output; --json has log p(x) of every row"));
    }
    let target = args.output.as_deref().filter(|_| !to_stdout);
    output::check_table_target(target, &[Some(&args.data.data)])?;
    let stored = stored::load(&args.model)?;
    #[cfg(feature = "deep")]
    stored.refuse(&[("--sandwich", args.sandwich)])?;
    #[cfg(feature = "deep")]
    if let Some(option) = args.estimate.given() {
        let family = stored.family().name();
        return Err(Failure::usage(format!(
            "{option} is for neural models; {} is a model of family {family}, whose log p(x) needs no draws",
            stored.path
        )));
    }
    let input = Input::for_model(&args.data, &stored)?;
    let evidence = stored.log_evidence(&input.rows()).map_err(|e| input.explain(stored.family(), e))?;
    // log L = Σ_n w_n log p(x_n); rows of weight zero are not there.
    let log_likelihood = match input.weights() {
        None => evidence.sum(),
        Some(weights) => evidence.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(l, w)| l * w).sum(),
    };
    let n = input.total_weight();
    let criteria = stored::n_parameters(&stored.model).map(|n_parameters| Criteria { log_likelihood, n_parameters, n });
    let words = match &stored.model {
        Model::Multinomial(_) | Model::Lda(_) => Some(stored::documents(&input.rows())?.total_words()),
        _ => None,
    };
    if args.output.is_some() {
        let numbers = Numbers { columns: vec!["log_evidence".to_owned()], x: evidence.clone().insert_axis(Axis(1)) };
        numbers.write(target)?;
    }
    let report = ScoreReport {
        model: stored.family().name(),
        table: input.report(),
        log_evidence: evidence.to_vec(),
        log_likelihood,
        mean_log_likelihood: log_likelihood / n,
        log_likelihood_per_word: words.map(|words| log_likelihood / words),
        lower_bound: matches!(stored.model, Model::Lda(_)),
        n_parameters: criteria.map(|c| c.n_parameters),
        bic: criteria.map(|c| c.bic()),
        aic: criteria.map(|c| c.aic()),
        output: target.map(|path| path.display().to_string()),
    };
    match to_stdout {
        true => Ok(()),
        false => report::print(&report, args.json, report::human::score),
    }
}
