//! First stage: what may be typed. What it means together with the data is checked in [`crate::commands`].

#[cfg(not(feature = "deep"))]
mod absent;
mod apply;
mod bayesian;
mod compare;
mod doctor;
mod fit;
#[cfg(feature = "deep")]
mod neural;
mod plot;
mod select;
mod shared;

#[cfg(not(feature = "deep"))]
pub(crate) use absent::AbsentArgs;
pub(crate) use apply::{
    ImputeArgs, InferArgs, InferMethod, InfoArgs, MapArgs, PosteriorArgs, SampleArgs, ScoreArgs, TableOutArgs, VerifyArgs,
};
pub(crate) use bayesian::{BayesianShape, FitBgmmArgs, FitBppcaArgs, FitLdaArgs, FitMultinomialArgs, WeightsPrior};
pub(crate) use compare::CompareArgs;
pub(crate) use doctor::DoctorArgs;
pub(crate) use fit::{
    FaMethod, FactorArgs, FitCommand, FitFaArgs, FitGmmArgs, FitPpcaArgs, MixtureArgs, PpcaMethod, RotationChoice, Shape,
};
#[cfg(feature = "deep")]
pub(crate) use neural::{
    ActivationChoice, DispersionChoice, EstimateArgs, Estimator, FitVaeArgs, InputChoice, InterpolateArgs, KlChoice, LikelihoodChoice,
    NetArgs, NetChoice, NeuralArgs, NeuralModelArgs, ObjectiveArgs, ObjectiveChoice, OodArgs, PosteriorChoice, PriorChoice,
    ReconstructArgs, ResumeArgs, ScheduleChoice, TrainingArgs,
};
pub(crate) use plot::{
    KindArgs, ModelArgs, PictureArgs, PlotCommand, PlotLatentArgs, PlotReconstructionsArgs, PlotSamplesArgs, PlotTraceArgs, RowKind,
};
pub(crate) use select::{FaCriterion, GmmCriterion, PpcaCriterion, SelectCommand, SelectFaArgs, SelectGmmArgs, SelectPpcaArgs, SizeArgs};
#[cfg(feature = "deep")]
pub(crate) use shared::NewRowsArgs;
pub(crate) use shared::{DataArgs, FormatArgs, Initial, SaveArgs, StoppingArgs};

use clap::{Parser, Subcommand};

/// Latent-variable models from the command line: fit, choose, score and use Gaussian mixtures, probabilistic PCA and factor analysis.
///
/// DATA is a .csv or .tsv file (with or without a header), a .npy, MNIST idx or Matrix Market file, or - for standard input. Every command takes --json, which prints exactly one JSON
/// object on standard output. Exit code 0: done; 1: the data, the model or a file is at fault; 2: the command line is.
#[derive(Debug, Parser)]
#[command(name = "lvm", version, arg_required_else_help = true, max_term_width = 110)]
#[command(after_help = "Examples:\n  lvm fit gmm iris.csv -k 3 -o iris.lvm\n  lvm select gmm iris.csv --max 6\n  \
    lvm posterior iris.lvm iris.csv -o responsibilities.csv\n  lvm sample iris.lvm -n 1000 -o more.csv")]
pub(crate) struct Cli {
    /// Threads to compute with (all cores if not given). The answer does not depend on it
    #[arg(long, global = true, value_name = "N", value_parser = shared::at_least_one)]
    pub(crate) threads: Option<usize>,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fit a model to a table: by maximum likelihood, or by variational inference
    #[command(subcommand)]
    Fit(FitCommand),
    /// Fit several sizes, compare them, and keep the best
    #[command(subcommand)]
    Select(SelectCommand),
    /// Go on with the training of a neural model from its checkpoint
    #[cfg(feature = "deep")]
    Resume(ResumeArgs),
    /// Go on with the training of a neural model (not in this build)
    #[cfg(not(feature = "deep"))]
    Resume(AbsentArgs),
    /// log p(x) of every row; total, mean and BIC
    Score(ScoreArgs),
    /// p(z | x) of every row: component probabilities, or mean and covariance of the latent coordinates
    Posterior(PosteriorArgs),
    /// p(z | x) by a variational method, and how far that is from the exact one
    Infer(InferArgs),
    /// The most probable latent of every row
    Map(MapArgs),
    /// Draw new rows from a model
    Sample(SampleArgs),
    /// Fill missing cells with their conditional mean
    Impute(ImputeArgs),
    /// Rows as a neural model sees them
    #[cfg(feature = "deep")]
    Reconstruct(ReconstructArgs),
    /// Rows as a neural model sees them (not in this build)
    #[cfg(not(feature = "deep"))]
    Reconstruct(AbsentArgs),
    /// Rows on the way from one row to another, by a neural model
    #[cfg(feature = "deep")]
    Interpolate(InterpolateArgs),
    /// Rows on the way from one row to another, by a neural model (not in this build)
    #[cfg(not(feature = "deep"))]
    Interpolate(AbsentArgs),
    /// How strange rows are to a neural model
    #[cfg(feature = "deep")]
    Ood(OodArgs),
    /// How strange rows are to a neural model (not in this build)
    #[cfg(not(feature = "deep"))]
    Ood(AbsentArgs),
    /// Models of any family by their nats on the same rows
    Compare(CompareArgs),
    /// Pictures of a model: its latents, samples, reconstructions, the trace of its fit
    #[command(subcommand)]
    Plot(PlotCommand),
    /// Is the fit what the model file says, and is its posterior right? A verdict with reasons
    Verify(VerifyArgs),
    /// What a model file holds
    Info(InfoArgs),
    /// What this program is made of and what it finds on this machine
    Doctor(DoctorArgs),
}
