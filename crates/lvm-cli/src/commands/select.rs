//! `lvm select`: several sizes, one winner.

use super::fit::{factor_analysis, mixture, record, shape};
use crate::args::{
    FaCriterion, GmmCriterion, PpcaCriterion, SaveArgs, SelectCommand, SelectFaArgs, SelectGmmArgs, SelectPpcaArgs, SizeArgs,
};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::output;
use crate::progress::Bar;
use crate::report::{self, SelectReport};
use crate::stored::{Family, Model};
use lvm_core::ErrorKind;
use lvm_core::fa::FaSelect;
use lvm_core::gmm::GmmSelect;
use lvm_core::ppca::PpcaSelect;
use lvm_core::selection::{Criterion, Selection};

/// Compares what was asked for.
pub(crate) fn run(command: SelectCommand) -> Outcome {
    match command {
        SelectCommand::Gmm(args) => gmm(&args),
        SelectCommand::Ppca(args) => ppca(&args),
        SelectCommand::Fa(args) => fa(&args),
    }
}

fn gmm(args: &SelectGmmArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref(), &args.data.data)?;
    let select = GmmSelect {
        components: sizes(&args.sizes, 1)?,
        covariances: args.covariance.iter().map(|s| shape(*s)).collect(),
        criterion: match args.criterion {
            GmmCriterion::Bic => Criterion::Bic,
            GmmCriterion::Aic => Criterion::Aic,
            GmmCriterion::Icl => Criterion::Icl,
            GmmCriterion::HeldOut => Criterion::HeldOut,
        },
        em: mixture(&args.mixture),
        folds: folds(&args.sizes, args.criterion == GmmCriterion::HeldOut)?,
    };
    let input = Input::open(&args.data)?;
    let bar = Bar::new("fitting");
    let selection = select.select_watched(&input.rows(), args.mixture.run.seed, &mut |p| bar.watch(p));
    drop(bar);
    finish(&input, selection.map_err(|e| explain(&input, Family::Gmm, e))?, Model::Gmm, &args.save)
}

fn ppca(args: &SelectPpcaArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref(), &args.data.data)?;
    let select = PpcaSelect {
        components: sizes(&args.sizes, 0)?,
        criterion: match args.criterion {
            PpcaCriterion::Bic => Criterion::Bic,
            PpcaCriterion::Aic => Criterion::Aic,
            PpcaCriterion::Evidence => Criterion::LaplaceEvidence,
            PpcaCriterion::HeldOut => Criterion::HeldOut,
        },
        folds: folds(&args.sizes, args.criterion == PpcaCriterion::HeldOut)?,
        ..PpcaSelect::default()
    };
    let input = Input::open(&args.data)?;
    let bar = Bar::new("fitting");
    let selection = select.select_watched(&input.rows(), args.seed, &mut |p| bar.watch(p));
    drop(bar);
    finish(&input, selection.map_err(|e| explain(&input, Family::Ppca, e))?, Model::Ppca, &args.save)
}

fn fa(args: &SelectFaArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref(), &args.data.data)?;
    let select = FaSelect {
        factors: sizes(&args.sizes, 0)?,
        criterion: match args.criterion {
            FaCriterion::Bic => Criterion::Bic,
            FaCriterion::Aic => Criterion::Aic,
            FaCriterion::HeldOut => Criterion::HeldOut,
        },
        ml: factor_analysis(&args.factor, args.data.missing)?,
        folds: folds(&args.sizes, args.criterion == FaCriterion::HeldOut)?,
    };
    let input = Input::open(&args.data)?;
    let bar = Bar::new("fitting");
    let selection = select.select_watched(&input.rows(), args.factor.run.seed, &mut |p| bar.watch(p));
    drop(bar);
    finish(&input, selection.map_err(|e| explain(&input, Family::Fa, e))?, Model::Fa, &args.save)
}

/// Folds of the cross-validation, if there is one: 5 if nothing else was said.
fn folds(args: &SizeArgs, held_out: bool) -> Outcome<usize> {
    match (args.folds, held_out) {
        (Some(_), false) => Err(Failure::usage("--folds concerns --criterion held-out; add it, or leave --folds out")),
        (folds, true) => Ok(folds.unwrap_or(5)),
        (None, false) => Ok(0),
    }
}

/// An error of the fits, in terms of the options of this command.
fn explain(input: &Input, family: Family, error: lvm_core::Error) -> Failure {
    match error.kind() {
        ErrorKind::TooFewRows { .. } => {
            Failure::fault(format!("{}: {error}\n  hint: use a smaller --max or fewer columns (--columns), or more rows", input.path()))
        }
        _ => input.explain(family, error),
    }
}

/// min ..= max.
fn sizes(args: &SizeArgs, smallest: usize) -> Outcome<Vec<usize>> {
    if args.min < smallest {
        return Err(Failure::usage(format!("--min {}: at least {smallest} is needed", args.min)));
    }
    if args.min > args.max {
        return Err(Failure::usage(format!("--min {} is larger than --max {}", args.min, args.max)));
    }
    Ok((args.min..=args.max).collect())
}

fn finish<M>(input: &Input, selection: Selection<M>, model: fn(M) -> Model, save: &SaveArgs) -> Outcome {
    let report = SelectReport {
        criterion: selection.criterion,
        best: selection.best,
        candidates: selection.table.iter().map(Into::into).collect(),
        winner: record(input, &selection.fitted.map(model), save)?,
    };
    report::print(&report, save.json, report::human::select)
}
