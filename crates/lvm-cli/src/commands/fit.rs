//! `lvm fit`: estimation.

use crate::args::{FaMethod, FitCommand, FitFaArgs, FitGmmArgs, FitPpcaArgs, Initial, MixtureArgs, PpcaMethod, RotationChoice};
use crate::args::{FactorArgs, SaveArgs, Shape, StoppingArgs};
use crate::commands::bayesian;
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::output;
use crate::progress::Bar;
use crate::report::{self, FitReport, Parameters};
use crate::stored::{self, Family, Model};
use lvm_core::criteria::Criteria;
use lvm_core::fa::{self, FaMl, Method, Rotation};
use lvm_core::fit::{Fitted, Stopping};
use lvm_core::gmm::{CovarianceType, GmmEm, Start};
use lvm_core::ppca::{self, PpcaEm, PpcaMl, Scheme, Solver};

/// Why `--init FILE` and `--restarts` do not go together.
const FIXED_START: &str = "--restarts needs a random start, but --init FILE always starts at the same place; leave one of them out";

/// Fits what was asked for.
pub(crate) fn run(command: FitCommand) -> Outcome {
    match command {
        FitCommand::Gmm(args) => fit_gmm(args),
        FitCommand::Ppca(args) => fit_ppca(&args),
        FitCommand::Fa(args) => fit_fa(&args),
        FitCommand::Bgmm(args) => bayesian::fit_mixture(&args),
        FitCommand::Bppca(args) => bayesian::fit_ppca(&args),
        FitCommand::MultinomialMixture(args) => bayesian::fit_multinomial(&args),
        FitCommand::Lda(args) => bayesian::fit_lda(&args),
        #[cfg(feature = "deep")]
        FitCommand::Vae(args) => crate::commands::neural::fit(&args),
        #[cfg(not(feature = "deep"))]
        FitCommand::Vae(_) => Err(crate::commands::absent()),
    }
}

fn fit_gmm(args: FitGmmArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref(), &args.data.data)?;
    let start = start(&args.init)?;
    let components = match (&start, args.components) {
        (_, Some(components)) => components,
        (Start::Responsibilities(r), None) => r.ncols(),
        (Start::Parameters(model) | Start::Resume(Fitted { model, .. }), None) => model.n_components(),
        (_, None) => return Err(Failure::usage("how many components? Say -k K, or let lvm select gmm DATA --max K choose")),
    };
    let given = matches!(start, Start::Responsibilities(_) | Start::Parameters(_) | Start::Resume(_));
    if given && args.mixture.run.restarts.is_some_and(|r| r > 1) {
        return Err(Failure::usage(FIXED_START));
    }
    let mut em = mixture(&args.mixture);
    em.components = components;
    em.covariance = match (&start, args.covariance) {
        (_, Some(covariance)) => shape(covariance),
        (Start::Parameters(model) | Start::Resume(Fitted { model, .. }), None) => model.covariance_type(),
        (_, None) => CovarianceType::Full,
    };
    em.start = start;
    let input = Input::open(&args.data)?;
    if let Initial::Model(path) = &args.init {
        input.check_start(path)?;
    }
    let bar = Bar::new("reading");
    let fitted = em.fit_watched(&input.rows(), args.mixture.run.seed, &mut |p| bar.watch(p));
    drop(bar);
    finish(&input, fitted.map_err(|e| input.explain(Family::Gmm, e))?.map(Model::Gmm), &args.save)
}

/// The start that `--init` names.
fn start(init: &Initial) -> Outcome<Start> {
    match init {
        Initial::KMeansPlusPlus => Ok(Start::KMeansPlusPlus),
        Initial::Random => Ok(Start::RandomRows),
        Initial::Responsibilities(path) => Ok(Start::Responsibilities(Input::matrix(path)?)),
        Initial::Model(path) => {
            let stored = stored::load(path)?;
            match &stored.model {
                Model::Gmm(model) => Ok(stored.fitted(model.clone()).map_or_else(|| Start::Parameters(model.clone()), Start::Resume)),
                other => Err(stored::wrong_family(path, other, "a Gaussian mixture")),
            }
        }
    }
}

/// EM as the options that `fit` and `select` share say.
pub(crate) fn mixture(args: &MixtureArgs) -> GmmEm {
    let mut em = GmmEm { ridge: args.reg, ..GmmEm::default() };
    em.stopping = stopping(&args.run.stopping, em.stopping);
    em.restarts = args.run.restarts.unwrap_or(em.restarts);
    em
}

/// The covariance type of a shape.
pub(crate) fn shape(shape: Shape) -> CovarianceType {
    match shape {
        Shape::Full => CovarianceType::Full,
        Shape::Tied => CovarianceType::Tied,
        Shape::Diag => CovarianceType::Diagonal,
        Shape::Spherical => CovarianceType::Spherical,
    }
}

/// The stopping rule: what was typed, and the default for the rest.
pub(crate) fn stopping(args: &StoppingArgs, default: Stopping) -> Stopping {
    Stopping { max_iterations: args.max_iter.unwrap_or(default.max_iterations), tolerance: args.tol.unwrap_or(default.tolerance) }
}

fn fit_ppca(args: &FitPpcaArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref(), &args.data.data)?;
    let by_em = matches!(args.method, PpcaMethod::Em | PpcaMethod::PxEm) || (args.method == PpcaMethod::Auto && args.data.missing);
    check_ppca(args, by_em)?;
    let em = by_em.then(|| ppca_em(args)).transpose()?;
    let input = Input::open(&args.data)?;
    if let Some(path) = &args.init {
        input.check_start(path)?;
    }
    let bar = Bar::new("fitting");
    let fitted = match em {
        Some(em) => em.fit_watched(&input.rows(), args.run.seed, &mut |p| bar.watch(p)),
        None => {
            let ml = PpcaMl { components: args.components, solver: solver(args.method) };
            ml.fit_watched(&input.rows(), args.run.seed, &mut |p| bar.watch(p))
        }
    };
    drop(bar);
    finish(&input, fitted.map_err(|e| input.explain(Family::Ppca, e))?.map(Model::Ppca), &args.save)
}

/// Options that do not go together.
fn check_ppca(args: &FitPpcaArgs, by_em: bool) -> Outcome {
    if args.data.missing && !by_em {
        return Err(Failure::usage("--missing needs --method em (or auto): the other methods have no place for missing values"));
    }
    let for_em = [
        ("--max-iter", args.run.stopping.max_iter.is_some()),
        ("--tol", args.run.stopping.tol.is_some()),
        ("--restarts", args.run.restarts.is_some()),
        ("--init", args.init.is_some()),
    ];
    match for_em.iter().find(|(_, given)| *given) {
        Some((option, _)) if !by_em => {
            Err(Failure::usage(format!("{option} concerns EM, and this fit is in closed form; add --method em, or leave it out")))
        }
        _ => Ok(()),
    }
}

fn solver(method: PpcaMethod) -> Solver {
    match method {
        PpcaMethod::Auto | PpcaMethod::Em | PpcaMethod::PxEm => Solver::Auto,
        PpcaMethod::Eigen => Solver::Covariance,
        PpcaMethod::Gram => Solver::Gram,
        PpcaMethod::Randomized => Solver::Randomized { oversampling: 10, power_iterations: 6 },
    }
}

/// Ends a fit: the model file first, then the report.
pub(crate) fn finish(input: &Input, fitted: Fitted<Model>, save: &SaveArgs) -> Outcome {
    let report = record(input, &fitted, save)?;
    report::print(&report, save.json, report::human::fit)
}

/// Writes the model file, if one was asked for, and makes the report.
pub(crate) fn record(input: &Input, fitted: &Fitted<Model>, save: &SaveArgs) -> Outcome<FitReport> {
    let criteria = Criteria {
        log_likelihood: fitted.objective() * input.total_weight(),
        n_parameters: stored::n_parameters(&fitted.model).unwrap_or(0),
        n: input.total_weight(),
    };
    if let Some(path) = &save.output {
        stored::save(path, input, fitted, Some(criteria))?;
    }
    let output = save.output.as_ref().map(|path| path.display().to_string());
    Ok(FitReport::new(fitted.model.family().name(), input.report(), fitted, criteria, Parameters::of(&fitted.model), output))
}

fn ppca_em(args: &FitPpcaArgs) -> Outcome<PpcaEm> {
    let scheme = if args.method == PpcaMethod::PxEm { Scheme::ParameterExpanded } else { Scheme::Plain };
    let mut em = PpcaEm { components: args.components, scheme, ..PpcaEm::default() };
    em.stopping = stopping(&args.run.stopping, em.stopping);
    em.restarts = args.run.restarts.unwrap_or(em.restarts);
    if let Some(path) = &args.init {
        let stored = stored::load(path)?;
        em.start = match &stored.model {
            Model::Ppca(model) => stored.fitted(model.clone()).map_or_else(|| ppca::Start::Parameters(model.clone()), ppca::Start::Resume),
            other => return Err(stored::wrong_family(path, other, "probabilistic PCA")),
        };
        if args.run.restarts.is_some_and(|r| r > 1) {
            return Err(Failure::usage(FIXED_START));
        }
    }
    Ok(em)
}

fn fit_fa(args: &FitFaArgs) -> Outcome {
    output::check_model_target(args.save.output.as_deref(), &args.data.data)?;
    let mut ml = factor_analysis(&args.factor, args.data.missing)?;
    ml.factors = args.factors;
    ml.rotation = rotation(args.rotation);
    if let Some(path) = &args.init {
        let stored = stored::load(path)?;
        ml.start = match &stored.model {
            Model::Fa(model) => stored.fitted(model.clone()).map_or_else(|| fa::Start::Parameters(model.clone()), fa::Start::Resume),
            other => return Err(stored::wrong_family(path, other, "factor analysis")),
        };
        if args.factor.run.restarts.is_some_and(|r| r > 1) {
            return Err(Failure::usage(FIXED_START));
        }
    }
    if let Some(n) = args.covariance_of {
        let (input, matrix) = Input::covariance(&args.data.data, &args.data.format, n as f64)?;
        let bar = Bar::new("fitting");
        let fitted = ml.fit_covariance_watched(matrix.view(), n as f64, args.factor.run.seed, &mut |p| bar.watch(p));
        drop(bar);
        let fitted = fitted.map_err(|e| input.explain(Family::Fa, e))?;
        return finish(&input, fitted.map(Model::Fa), &args.save);
    }
    let input = Input::open(&args.data)?;
    if let Some(path) = &args.init {
        input.check_start(path)?;
    }
    let bar = Bar::new("fitting");
    let fitted = ml.fit_watched(&input.rows(), args.factor.run.seed, &mut |p| bar.watch(p));
    drop(bar);
    finish(&input, fitted.map_err(|e| input.explain(Family::Fa, e))?.map(Model::Fa), &args.save)
}

/// Maximum likelihood as the options that `fit` and `select` share say.
pub(crate) fn factor_analysis(args: &FactorArgs, missing: bool) -> Outcome<FaMl> {
    let method = match (args.method, missing) {
        // with missing cells the library makes squarem of it
        (None, _) | (Some(FaMethod::QuasiNewton), false) => Method::QuasiNewton,
        (Some(FaMethod::Em), _) => Method::Em,
        (Some(FaMethod::Squarem), _) => Method::Squarem,
        (Some(FaMethod::Ecme), false) => Method::Ecme,
        (Some(_), true) => {
            return Err(Failure::usage(
                "--missing needs --method squarem or em: the others have no place for missing values; or leave it out",
            ));
        }
    };
    if method == Method::QuasiNewton && !missing && args.run.stopping.tol.is_some_and(|tol| tol > 0.0) {
        let message = "--tol concerns em, squarem and ecme; quasi-newton always goes on until the gradient vanishes (--tol 0: for --max-iter iterations)";
        return Err(Failure::usage(message));
    }
    let default = FaMl::default();
    Ok(FaMl {
        method,
        restarts: args.run.restarts.unwrap_or(default.restarts),
        stopping: stopping(&args.run.stopping, default.stopping),
        ..default
    })
}

fn rotation(choice: RotationChoice) -> Option<Rotation> {
    match choice {
        RotationChoice::None => None,
        RotationChoice::Varimax => Some(Rotation::varimax()),
        RotationChoice::Quartimax => Some(Rotation::quartimax()),
        RotationChoice::Promax => Some(Rotation::promax()),
        RotationChoice::Oblimin => Some(Rotation::oblimin()),
    }
}
