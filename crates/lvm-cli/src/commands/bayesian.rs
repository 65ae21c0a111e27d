//! `lvm fit bgmm|bppca|multinomial-mixture|lda`: estimation by variational inference.

use crate::args::{BayesianShape, FitBgmmArgs, FitBppcaArgs, FitLdaArgs, FitMultinomialArgs, SaveArgs, WeightsPrior};
use crate::commands::fit::stopping;
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::output;
use crate::progress::Bar;
use crate::report::{self, Bound, BoundReport, Parameters};
use crate::stored::{self, Family, Model, documents};
use lvm_core::fit::Fitted;
use lvm_core::gmm::CovarianceType;
use lvm_core::rows::RowSource;
use lvm_vi::cavi::bayesian_ppca::BayesianPpca;
use lvm_vi::cavi::document_source::{CountTable, DocumentSource};
use lvm_vi::cavi::lda::{Lda, LdaModel, OnlineLda};
use lvm_vi::cavi::mixture::{BayesianMixture, WeightPrior};
use lvm_vi::cavi::multinomial_mixture::BayesianMultinomialMixture;

pub(crate) fn fit_mixture(args: &FitBgmmArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref(), &args.data.data)?;
    let default = BayesianMixture::default();
    let vb = BayesianMixture {
        components: args.components,
        covariance: match args.covariance {
            BayesianShape::Full => CovarianceType::Full,
            BayesianShape::Diag => CovarianceType::Diagonal,
        },
        weights: match args.weights_prior {
            WeightsPrior::Dirichlet => WeightPrior::Dirichlet { concentration: args.concentration.unwrap_or(1.0 / args.components as f64) },
            WeightsPrior::Dp => WeightPrior::DirichletProcess { concentration: args.concentration.unwrap_or(1.0) },
        },
        restarts: args.run.restarts.unwrap_or(default.restarts),
        stopping: stopping(&args.run.stopping, default.stopping),
        ..default
    };
    let input = open(&args.data, "a Bayesian mixture")?;
    let bar = Bar::new("reading");
    let fitted = vb.fit_watched(&input.rows(), args.run.seed, &mut |p| bar.watch(p));
    drop(bar);
    finish(&input, fitted.map_err(|e| input.explain(Family::Bgmm, e))?.map(Model::Bgmm), None, &args.save)
}

pub(crate) fn fit_ppca(args: &FitBppcaArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref(), &args.data.data)?;
    let default = BayesianPpca::default();
    let vb = BayesianPpca { components: Some(args.components), stopping: stopping(&args.stopping, default.stopping), ..default };
    let input = open(&args.data, "Bayesian PCA")?;
    let bar = Bar::new("reading");
    let fitted = vb.fit_watched(&input.rows(), 0, &mut |p| bar.watch(p));
    drop(bar);
    finish(&input, fitted.map_err(|e| input.explain(Family::Bppca, e))?.map(Model::Bppca), None, &args.save)
}

pub(crate) fn fit_multinomial(args: &FitMultinomialArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref(), &args.data.data)?;
    let default = BayesianMultinomialMixture::default();
    let vb = BayesianMultinomialMixture {
        components: args.components,
        weight_concentration: args.concentration,
        word_concentration: args.word_concentration,
        restarts: args.run.restarts.unwrap_or(default.restarts),
        stopping: stopping(&args.run.stopping, default.stopping),
        ..default
    };
    let input = open(&args.data, "a mixture of multinomials")?;
    let counts = documents(&input.rows()).map_err(|e| input.explain(Family::Multinomial, e))?;
    let bar = Bar::new("fitting");
    let fitted = vb.fit_watched(&counts, args.run.seed, &mut |p| bar.watch(p));
    drop(bar);
    let fitted = fitted.map_err(|e| input.explain(Family::Multinomial, e))?;
    finish(&input, fitted.map(Model::Multinomial), Some(counts.total_words()), &args.save)
}

pub(crate) fn fit_lda(args: &FitLdaArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref(), &args.data.data)?;
    if args.online && args.run.restarts.is_some_and(|r| r > 1) {
        return Err(Failure::usage("--online makes one start; leave --restarts out, or --online"));
    }
    let default = Lda::default();
    let lda = Lda {
        topics: args.topics,
        alpha: args.concentration,
        eta: args.word_concentration,
        restarts: args.run.restarts.unwrap_or(default.restarts),
        stopping: stopping(&args.run.stopping, default.stopping),
        ..default
    };
    let input = open(&args.data, "latent Dirichlet allocation")?;
    let explain = |e| input.explain(Family::Lda, e);
    let rows = input.rows();
    if args.online {
        let fitted = match input.is_on_disk() {
            // a table that is read from disk stays there
            true => {
                let counts = CountTable::new(&rows).map_err(explain)?;
                if counts.n_documents() != rows.n_rows() {
                    return Err(explain(stored::weightless()));
                }
                fit_online(lda, &counts, args)
            }
            false => fit_online(lda, &documents(&rows).map_err(explain)?, args),
        };
        let (fitted, words) = fitted?.map_err(explain)?;
        return finish(&input, fitted.map(Model::Lda), Some(words), &args.save);
    }
    let counts = documents(&rows).map_err(explain)?;
    let bar = Bar::new("fitting");
    let fitted = lda.fit_watched(&counts, args.run.seed, &mut |p| bar.watch(p));
    drop(bar);
    finish(&input, fitted.map_err(explain)?.map(Model::Lda), Some(counts.total_words()), &args.save)
}

/// An online fit with the number of words.
fn fit_online(lda: Lda, counts: &impl DocumentSource, args: &FitLdaArgs) -> Outcome<lvm_core::Result<(Fitted<LdaModel>, f64)>> {
    let all = counts.n_documents();
    if let Some(batch) = args.batch.filter(|batch| *batch > all) {
        return Err(Failure::fault(format!("{}: --batch {batch} is more than the {all} documents", args.data.data.display())));
    }
    let online = OnlineLda::new(lda);
    let batch = args.batch.unwrap_or(online.batch.min(all));
    let bar = Bar::new("fitting");
    let fitted = OnlineLda { batch, ..online }.fit_watched(counts, args.run.seed, &mut |p| bar.watch(p));
    drop(bar);
    Ok(fitted.and_then(|fitted| Ok((fitted, counts.total_words()?))))
}

/// The table, without missing cells.
fn open(data: &crate::args::DataArgs, what: &str) -> Outcome<Input> {
    match data.missing {
        true => {
            Err(Failure::usage(format!("--missing: {what} has no place for missing values; lvm impute fills them under another model")))
        }
        false => Input::open_complete(data),
    }
}

/// Ends a fit, of so many words where rows are documents: the model file first, then the report.
fn finish(input: &Input, fitted: Fitted<Model>, words: Option<f64>, save: &SaveArgs) -> Outcome {
    if let Some(path) = &save.output {
        stored::save(path, input, &fitted, None)?;
    }
    let report = BoundReport {
        model: fitted.model.family().name(),
        table: input.report(),
        seed: fitted.seed,
        status: fitted.status,
        iterations: fitted.iterations(),
        trace: fitted.trace.clone(),
        bound: Bound::new(fitted.objective(), input.total_weight(), words),
        in_use: stored::in_use(&fitted.model),
        parameters: Parameters::of(&fitted.model),
        repairs: fitted.repairs.clone(),
        restarts: fitted.restarts.clone(),
        output: save.output.as_ref().map(|path| path.display().to_string()),
    };
    report::print(&report, save.json, report::bound::fit)
}
