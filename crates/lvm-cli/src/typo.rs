//! Help for what a newcomer types wrongly.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Prints what clap has to say, with a hint of our own where we know what was meant; exit code 2, or 0 for help and version.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    match hint(error) {
        Some(hint) => {
            let _ = writeln!(std::io::stderr(), "{hint}");
        }
        None => {
            let _ = error.print();
        }
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// What we know better than clap.
fn hint(error: &clap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::InvalidSubcommand => subcommand(error),
        ErrorKind::UnknownArgument => argument(error),
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
        _ if word.starts_with('-') => return None,
        number if number.parse::<usize>().is_ok() && usage.contains("lvm sample") => "the number of rows to draw goes with -n",
        _ if usage.contains("lvm sample") || usage.contains("lvm info") => "this command takes a model file and no table",
        file if Path::new(file).is_file() => "one table at a time: put the rows into one file first",
        number if number.parse::<usize>().is_ok() && select => "the largest size to try goes with --max",
        number if number.parse::<usize>().is_ok() && mixture => "the number of components goes with -k",
        number if number.parse::<usize>().is_ok() => "the number of latent dimensions or factors goes with -q",
        _ => "several names are one word, with commas and without blanks: --columns a,b",
    };
    Some(tell(&format!("unexpected argument '{word}'"), meant))
}

fn tell(what: &str, meant: &str) -> String {
    format!("error: {what}\n\n  hint: {meant}\n\nFor more information, try '--help'.")
}
