//! Help for what a newcomer types wrongly.

use crate::args::Cli;
use crate::failure::Outcome;
use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::io::{Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

/// Prints what clap has to say, with a hint of our own where we know what was meant, and gives the exit code: 2, or 0 for help and version.
///
/// # Errors
/// If help or version can't be written to standard output.
pub(crate) fn explain(error: &clap::Error) -> Outcome<ExitCode> {
    if !error.use_stderr() {
        error.print()?;
        stdout().flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    // nothing is left to do if standard error is gone
    let _ = match hint(error) {
        Some(hint) => writeln!(stderr(), "{hint}"),
        None => error.print(),
    };
    Ok(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)))
}

/// What we know better than clap.
fn hint(error: &clap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::InvalidSubcommand => subcommand(error),
        ErrorKind::UnknownArgument => argument(error),
        ErrorKind::MissingRequiredArgument => missing(error),
        _ => None,
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

fn usage(error: &clap::Error) -> String {
    error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default()
}

/// A file where the name of a model belongs, a model where the verb belongs, or the verb of another program.
fn subcommand(error: &clap::Error) -> Option<String> {
    let word = text(error, ContextKind::InvalidSubcommand)?;
    let path = Path::new(word);
    let is_file = path.exists() || path.extension().is_some();
    let usage = usage(error);
    let verb = ["fit", "select"].into_iter().find(|verb| usage.contains(&format!("lvm {verb}")));
    match (is_file, verb) {
        (true, Some("select")) => Some(format!(
            "error: '{word}' is a file; say first which family to choose from\n\n  lvm select gmm {word} --max 6   Gaussian mixtures\n  \
             lvm select ppca {word} --max 6  probabilistic PCA\n  lvm select fa {word} --max 6    factor analysis"
        )),
        (true, Some(_)) => Some(format!(
            "error: '{word}' is a file; say first which model to fit to it\n\n  lvm fit gmm {word} -k 3   Gaussian mixture\n  \
             lvm fit ppca {word} -q 2  probabilistic PCA\n  lvm fit fa {word} -q 2    factor analysis"
        )),
        (true, None) => Some(format!(
            "error: '{word}' is a file; say first what to do with it\n\n  lvm fit gmm {word} -k 3\n  lvm select gmm {word} --max 6\n\n\
             For more information, try '--help'."
        )),
        (false, None) => synonym(word).map(|meant| tell(&format!("there is no command '{word}'"), meant)),
        (false, Some("select")) if matches!(word, "bgmm" | "bppca" | "multinomial-mixture" | "lda") => Some(tell(
            &format!("select compares gmm, ppca and fa, not '{word}'"),
            &format!("lvm fit {word} DATA for several sizes, and compare the ELBO; bgmm and bppca leave unused what they do not need"),
        )),
        (false, Some(_)) => family(word).map(|meant| tell(&format!("there is no model '{word}'"), meant)),
    }
}

/// What other programs call our commands.
fn synonym(word: &str) -> Option<&'static str> {
    Some(match word.to_lowercase().as_str() {
        "gmm" | "ppca" | "fa" => "say first what to do: lvm fit gmm|ppca|fa DATA, or lvm select gmm|ppca|fa DATA --max MAX",
        "bgmm" | "bppca" | "multinomial-mixture" | "lda" => "say first what to do: lvm fit bgmm|bppca|multinomial-mixture|lda DATA",
        "vae" | "autoencoder" => "lvm fit vae DATA fits a variational autoencoder",
        "continue" | "restart" => "lvm resume CHECKPOINT DATA goes on with a training",
        "decode" | "denoise" => "lvm reconstruct MODEL DATA gives rows as a neural model sees them",
        "anomaly" | "anomalies" | "outliers" | "novelty" => "lvm ood MODEL DATA --against REFERENCE tells how strange rows are",
        "check" | "diagnose" | "validate" => "lvm verify MODEL DATA judges a fit and its posterior",
        "inference" | "approximate" => "lvm infer MODEL DATA --method METHOD approximates the posterior",
        "train" | "learn" | "estimate" => "lvm fit gmm|ppca|fa DATA fits a model",
        "predict" | "cluster" | "classify" | "label" => {
            "lvm map MODEL DATA gives the component of each row, lvm posterior its probabilities"
        }
        "transform" | "project" | "embed" | "encode" | "responsibilities" => {
            "lvm posterior MODEL DATA gives the latent of each row, lvm map the most probable one"
        }
        "generate" | "simulate" | "draw" => "lvm sample MODEL -n N draws new rows",
        "evaluate" | "test" | "loglik" | "likelihood" => "lvm score MODEL DATA gives log p(x) of each row",
        "fill" | "complete" => "lvm impute MODEL DATA fills missing cells",
        "show" | "print" | "describe" | "summary" => "lvm info MODEL tells what a model file holds",
        _ => return None,
    })
}

/// What other programs call our models.
fn family(word: &str) -> Option<&'static str> {
    Some(match word.to_lowercase().as_str() {
        "mixture" | "gm" | "kmeans" | "k-means" | "gaussianmixture" => "gmm is the Gaussian mixture",
        "vbgmm" | "dpgmm" | "dpmm" | "bayesiangaussianmixture" => "bgmm is the Bayesian Gaussian mixture",
        "bpca" | "vbpca" | "vbppca" | "bayesianpca" => "bppca is Bayesian PCA",
        "multinomial" | "mmm" => "multinomial-mixture puts rows of counts in clusters",
        "topics" | "topic" | "latentdirichletallocation" => "lda is latent Dirichlet allocation",
        "autoencoder" | "neural" | "iwae" | "betavae" => "vae is the variational autoencoder",
        "factor" | "factors" | "efa" | "factoranalysis" => "fa is factor analysis",
        _ => return None,
    })
}

/// A number or a name without its option, or an option of another family.
fn argument(error: &clap::Error) -> Option<String> {
    let word = text(error, ContextKind::InvalidArg)?;
    let usage = usage(error);
    let select = usage.contains("lvm select");
    let mixture = ["gmm", "multinomial", "lda"].iter().any(|name| usage.contains(name));
    let meant = match word {
        "-k" | "-K" | "-q" | "-Q" | "--components" | "--factors" | "-n" if select => "select tries all sizes up to --max",
        "-q" | "-Q" | "-K" | "-n" if mixture && usage.contains("lvm fit") => "-k is the number of components of a mixture",
        "-k" | "-K" | "-Q" | "-n" if usage.contains("lvm fit") => "-q is the number of latent dimensions or factors",
        "--components" | "--factors" | "--topics" | "--latents" if mixture && usage.contains("lvm fit") => {
            "-k is the number of components of a mixture"
        }
        "--components" | "--factors" | "--topics" | "--latents" if usage.contains("lvm fit") => {
            "-q is the number of latent dimensions or factors"
        }
        _ if word.starts_with('-') => return elsewhere(word, &usage),
        _ if usage.contains("lvm doctor") => "this command looks at this machine and takes no file",
        number if number.parse::<usize>().is_ok() && usage.contains("lvm sample") => "the number of rows to draw goes with -n",
        _ if ["lvm sample", "lvm info", "lvm plot trace"].iter().any(|verb| usage.contains(verb)) => {
            "this command takes a model file and no table"
        }
        file if Path::new(file).is_file() => "one table at a time: put the rows into one file first",
        number if number.parse::<usize>().is_ok() && select => "the largest size to try goes with --max",
        number if number.parse::<usize>().is_ok() && mixture => "the number of components goes with -k",
        number if number.parse::<usize>().is_ok() => "the number of latent dimensions or factors goes with -q",
        _ => "several names are one word, with commas and without blanks: --columns a,b",
    };
    Some(tell(&format!("unexpected argument '{word}'"), meant))
}

/// An option that another command has: those of the same verb, or else all.
fn elsewhere(word: &str, usage: &str) -> Option<String> {
    const SHOWN: usize = 6;
    let option = word.strip_prefix("--")?.split('=').next()?;
    let typed = usage.split_whitespace().skip_while(|word| *word != "lvm").take_while(|word| !word.starts_with(['-', '<', '[']));
    let typed: Vec<&str> = typed.collect();
    let verb = format!("{} ", typed.get(..2)?.join(" "));
    let all = owners(&Cli::command(), "lvm", option);
    let near: Vec<&String> = all.iter().filter(|owner| owner.starts_with(&verb)).collect();
    let owners = if near.is_empty() { all.iter().collect() } else { near };
    let shown: Vec<&str> = owners.iter().take(SHOWN).map(|owner| owner.as_str()).collect();
    let more = if owners.len() > SHOWN { " and others" } else { "" };
    (!shown.is_empty()).then(|| {
        let meant = format!("--{option} is an option of {}{more}, not of {}", shown.join(", "), typed.join(" "));
        tell(&format!("unexpected argument '{word}'"), &meant)
    })
}

/// The commands, as they are typed, that have an option.
fn owners(command: &clap::Command, typed: &str, option: &str) -> Vec<String> {
    let own = command.get_arguments().any(|arg| arg.get_long() == Some(option)).then(|| typed.to_owned());
    let below = command.get_subcommands().flat_map(|sub| owners(sub, &format!("{typed} {}", sub.get_name()), option));
    own.into_iter().chain(below).collect()
}

/// A model, a table or a method that was left out: what it is.
fn missing(error: &clap::Error) -> Option<String> {
    const TABLE: &str = "DATA is the table: a .csv, .tsv or .npy file, or - for standard input";
    const MODEL: &str = "MODEL is a file that lvm fit or lvm select wrote (-o)";
    let Some(ContextValue::Strings(lost)) = error.get(ContextKind::InvalidArg) else { return None };
    let lost = |name: &str| lost.iter().any(|lost| lost.contains(name));
    let meant = match (lost("<MODEL>"), lost("<DATA>")) {
        (true, true) => format!("{MODEL}; {TABLE}"),
        (true, false) => MODEL.to_owned(),
        (false, true) if usage(error).contains("<MODEL>") => format!("the model comes first and the table after it. {TABLE}"),
        (false, true) => TABLE.to_owned(),
        (false, false) if lost("--method") => "METHOD is exact, mean-field, full-rank, stochastic or amortized".to_owned(),
        (false, false) => return None,
    };
    let text = error.render().to_string();
    Some(text.trim_end().replacen("\n\nUsage:", &format!("\n\n  hint: {meant}\n\nUsage:"), 1))
}

fn tell(what: &str, meant: &str) -> String {
    format!("error: {what}\n\n  hint: {meant}\n\nFor more information, try '--help'.")
}
