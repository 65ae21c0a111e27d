//! The settings of a neural model: defaults, then the file that `--config` names, then what was typed.

use crate::args::{ActivationChoice, DeviceChoice, FitVaeArgs, LikelihoodChoice, NeuralModelArgs, PosteriorChoice, TrainingArgs};
use crate::failure::{Failure, Outcome};
use clap::ValueEnum;
use lvm_deep::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec, PosteriorSpec, PriorSpec};
use lvm_deep::device::Device;
use lvm_deep::likelihood::gaussian::Variance;
use lvm_deep::nets::{Activation, Input};
use lvm_deep::train::Training;
use serde::{Deserialize, Serialize};
use std::path::Path;
use toml::{Table, Value};

/// All settings, as the file has them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    pub(super) model: Model,
    pub(super) training: Training,
    pub(super) run: Run,
}

/// What the model is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Model {
    pub(super) latents: i64,
    pub(super) hidden: Vec<i64>,
    pub(super) activation: Activation,
    /// `None`: as the likelihood suggests.
    pub(super) input: Option<Input>,
    pub(super) mask: bool,
    /// `None`: as the likelihood suggests.
    pub(super) standardise: Option<bool>,
    pub(super) likelihood: LikelihoodSpec,
    pub(super) posterior: PosteriorSpec,
    pub(super) prior: PriorSpec,
    /// `None`: layers of the widths `hidden`.
    pub(super) encoder: Option<EncoderSpec>,
    /// `None`: layers of the widths `hidden`, in reverse.
    pub(super) decoder: Option<DecoderSpec>,
}

impl Default for Model {
    fn default() -> Self {
        Model {
            latents: 2,
            hidden: vec![64],
            activation: Activation::Relu,
            input: None,
            mask: false,
            standardise: None,
            likelihood: LikelihoodSpec::Gaussian(Variance::Columns),
            posterior: PosteriorSpec::default(),
            prior: PriorSpec::default(),
            encoder: None,
            decoder: None,
        }
    }
}

/// What else there is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Run {
    pub(super) seed: u64,
    pub(super) held_out: f64,
    pub(super) f64: bool,
    pub(super) device: String,
}

impl Default for Run {
    fn default() -> Self {
        Run { seed: 0, held_out: 0.1, f64: false, device: "auto".to_owned() }
    }
}

impl Settings {
    /// What was asked for, for a table of `n` rows in which the largest number is `largest`.
    pub(super) fn of(args: &FitVaeArgs, n: usize, largest: f64) -> Outcome<Self> {
        let mut table = match &args.config {
            Some(path) => read(path)?,
            None => Table::new(),
        };
        let source = args.config.as_ref().map_or("--set".to_owned(), |path| path.display().to_string());
        if args.model.hidden.is_some() || args.model.activation.is_some() {
            // layers that were typed replace those of the file
            if let Some(Value::Table(model)) = table.get_mut("model") {
                model.remove("encoder");
                model.remove("decoder");
            }
        }
        for (path, value) in typed(args, largest) {
            put(&mut table, &path.split('.').collect::<Vec<_>>(), value);
        }
        for text in &args.set {
            let (path, value) = assignment(text)?;
            put(&mut table, &path.split('.').collect::<Vec<_>>(), value);
        }
        let mut settings = Settings::parse(table.clone(), &source)?;
        // TOML has no whole numbers above 2⁶³
        settings.run.seed = args.training.seed.unwrap_or(settings.run.seed);
        if !(0.0..1.0).contains(&settings.run.held_out) {
            return Err(Failure::fault(format!(
                "{source}: run.held_out is {}; a share from 0 to below 1 is needed",
                settings.run.held_out
            )));
        }
        let given = |section: &str, key: &str| table.get(section).and_then(|t| t.get(key)).is_some();
        Ok(settings.completed(n, given("training", "batch_size"), given("model", "prior")))
    }

    fn parse(table: Table, source: &str) -> Outcome<Self> {
        let settings: Settings = Value::Table(table.clone())
            .try_into()
            .map_err(|error: toml::de::Error| Failure::fault(format!("{source}: {}{WHERE}", error.to_string().trim())))?;
        // whatever is known is there again when the settings are written
        let known = Value::try_from(&settings).map_err(|error| Failure::fault(format!("{source}: {error}")))?;
        if let Some(stray) = stray(&table, &known, "") {
            return Err(Failure::fault(format!("{source}: there is no setting \"{stray}\"{WHERE}")));
        }
        Ok(settings)
    }

    /// Defaults that depend on the table or on other settings.
    fn completed(mut self, n: usize, batch_given: bool, prior_given: bool) -> Self {
        if !batch_given {
            let held_out = held_out_rows(n, self.run.held_out);
            self.training.batch_size = self.training.batch_size.min(n - held_out).max(1);
        }
        let model = &mut self.model;
        if model.posterior == PosteriorSpec::Categorical && !prior_given {
            model.prior = PriorSpec::Categorical { trained: true };
        }
        let layers = model.encoder.is_none() && model.decoder.is_none();
        let by_column = matches!(model.likelihood, LikelihoodSpec::Gaussian(Variance::Columns | Variance::Entries));
        model.standardise.get_or_insert(layers && by_column);
        model.input.get_or_insert(match model.likelihood {
            LikelihoodSpec::Gaussian(_) if layers => Input::Standardised,
            LikelihoodSpec::Poisson { .. }
            | LikelihoodSpec::NegativeBinomial { .. }
            | LikelihoodSpec::ZeroInflatedNegativeBinomial { .. }
            | LikelihoodSpec::Multinomial => Input::Log1p,
            _ => Input::Plain,
        });
        self
    }

    /// The model for `columns` columns.
    pub(super) fn architecture(&self, columns: usize) -> Architecture {
        let model = &self.model;
        let reversed: Vec<i64> = model.hidden.iter().rev().copied().collect();
        let activation = model.activation;
        Architecture {
            columns: columns as i64,
            latents: model.latents,
            condition: 0,
            input: model.input.unwrap_or_default(),
            mask: model.mask,
            encoder: model.encoder.clone().unwrap_or(EncoderSpec::Mlp { hidden: model.hidden.clone(), activation }),
            posterior: model.posterior.clone(),
            prior: model.prior.clone(),
            decoder: model.decoder.clone().unwrap_or(DecoderSpec::Mlp { hidden: reversed, activation }),
            likelihood: model.likelihood.clone(),
        }
    }

    /// Where it is computed.
    pub(super) fn device(&self) -> Outcome<Device> {
        match self.run.device.as_str() {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            other => match other.strip_prefix("cuda:").and_then(|index| index.parse().ok()) {
                Some(index) => Ok(Device::Cuda(index)),
                None => Err(Failure::fault(format!("run.device is \"{other}\"; auto, cpu, or cuda:0, cuda:1, … is needed"))),
            },
        }
    }
}

/// What to do about a setting that can't be used.
const WHERE: &str = "\n  hint: lvm fit vae DATA --print-config prints all settings with what each means";

/// How many of n rows are held out.
pub(super) fn held_out_rows(n: usize, share: f64) -> usize {
    let rows = (n as f64 * share).round() as usize;
    if share > 0.0 { rows.clamp(usize::from(n > 1), n.saturating_sub(1)) } else { 0 }
}

fn read(path: &Path) -> Outcome<Table> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::fault(format!("{}: {error}", path.display())))?;
    text.parse::<Table>().map_err(|error| Failure::fault(format!("{}: {}{WHERE}", path.display(), error.to_string().trim())))
}

/// `key=value` as TOML; a word that is nothing else is a string.
fn assignment(text: &str) -> Outcome<(String, Value)> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(Failure::usage(format!("--set {text}: KEY=VALUE is needed, such as training.adam.beta1=0.8")));
    };
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    Ok((key.trim().to_owned(), parsed.unwrap_or_else(|| Value::String(value.trim().to_owned()))))
}

fn put(table: &mut Table, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => {
            table.insert((*key).to_owned(), value);
        }
        [key, rest @ ..] => {
            let inner = table.entry((*key).to_owned()).or_insert_with(|| Value::Table(Table::new()));
            if !inner.is_table() {
                *inner = Value::Table(Table::new());
            }
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// The first key of `given` that `known` has not.
fn stray(given: &Table, known: &Value, prefix: &str) -> Option<String> {
    given.iter().find_map(|(key, value)| {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (known.get(key), value) {
            (None, _) => Some(path),
            (Some(known), Value::Table(inner)) => stray(inner, known, &path),
            _ => None,
        }
    })
}

/// What was typed, by the names of the file.
fn typed(args: &FitVaeArgs, largest: f64) -> Vec<(String, Value)> {
    let mut list = Vec::new();
    let mut say = |path: &str, value: Option<Value>| list.extend(value.map(|value| (path.to_owned(), value)));
    let whole = |value: Option<usize>| value.map(|v| Value::Integer(v as i64));
    let NeuralModelArgs { latents, hidden, activation, likelihood, posterior, standardise } = &args.model;
    say("model.latents", whole(*latents));
    say("model.hidden", hidden.as_ref().map(|widths| Value::Array(widths.iter().map(|w| Value::Integer(*w as i64)).collect())));
    say("model.activation", activation.map(|a| Value::String(name(a))));
    say("model.standardise", standardise.map(Value::Boolean));
    say("model.likelihood", likelihood.map(|choice| written(density(choice, largest))));
    say(
        "model.posterior",
        posterior.map(|choice| {
            written(match choice {
                PosteriorChoice::Diagonal => PosteriorSpec::Diagonal,
                PosteriorChoice::FullCovariance => PosteriorSpec::FullCovariance { diagonal: Default::default() },
                PosteriorChoice::Categorical => PosteriorSpec::Categorical,
            })
        }),
    );
    let TrainingArgs { epochs, batch_size, rate, final_rate, clip, held_out, patience, warm_up, free_nats, beta, iwae, f64, .. } =
        &args.training;
    say("training.epochs", whole(*epochs));
    say("training.batch_size", whole(*batch_size));
    let schedule = |kind: &str, fields: &[(&str, f64)]| {
        let table = fields.iter().map(|(key, value)| ((*key).to_owned(), Value::Float(*value))).collect();
        Value::Table([(kind.to_owned(), Value::Table(table))].into_iter().collect())
    };
    let constant = |rate: f64| Value::Table([("constant".to_owned(), Value::Float(rate))].into_iter().collect());
    say(
        "training.learning_rate",
        match (rate, final_rate) {
            (Some(rate), None) => Some(constant(*rate)),
            (rate, Some(end)) => Some(schedule("cosine", &[("start", rate.unwrap_or(1e-3)), ("end", *end)])),
            (None, None) => None,
        },
    );
    say("training.clip_norm", clip.map(Value::Float));
    say("training.patience", whole(*patience));
    say("training.warm_up", whole(*warm_up));
    say("training.objective.elbo.free_nats", free_nats.map(Value::Float));
    say("training.objective.elbo.beta", beta.map(Value::Float));
    let iwae = iwae.map(|k| Value::Table([("draws".to_owned(), Value::Integer(k as i64))].into_iter().collect()));
    say("training.objective", iwae.map(|iwae| Value::Table([("iwae".to_owned(), iwae)].into_iter().collect())));
    say("run.held_out", held_out.map(Value::Float));
    say("run.f64", f64.then_some(Value::Boolean(true)));
    say("run.device", args.device.device.map(|device| Value::String(device_name(device))));
    list
}

/// The words of a file for one of a list of choices.
fn name(choice: ActivationChoice) -> String {
    choice.to_possible_value().map_or(String::new(), |value| value.get_name().replace('-', "_"))
}

fn device_name(device: DeviceChoice) -> String {
    match device {
        DeviceChoice::Auto => "auto".to_owned(),
        DeviceChoice::Cpu => "cpu".to_owned(),
        DeviceChoice::Cuda(index) => format!("cuda:{index}"),
    }
}

/// A part of the settings as the file has it.
fn written(part: impl Serialize) -> Value {
    // invariant: the settings are numbers, words and tables of them, which TOML has
    Value::try_from(part).expect("a value")
}

fn density(choice: LikelihoodChoice, largest: f64) -> LikelihoodSpec {
    use lvm_deep::likelihood::{Dispersion, Library, Scale};
    let (dispersion, library) = (Dispersion::Columns, Library::Observed);
    match choice {
        LikelihoodChoice::Gaussian => LikelihoodSpec::Gaussian(Variance::Columns),
        LikelihoodChoice::GaussianShared => LikelihoodSpec::Gaussian(Variance::Shared),
        LikelihoodChoice::GaussianEntries => LikelihoodSpec::Gaussian(Variance::Entries),
        LikelihoodChoice::Bernoulli => LikelihoodSpec::Bernoulli,
        LikelihoodChoice::Categorical => LikelihoodSpec::Categorical { codes: if largest < 1e6 { largest.max(1.0) as i64 + 1 } else { 2 } },
        LikelihoodChoice::Poisson => LikelihoodSpec::Poisson { library: Library::None },
        LikelihoodChoice::NegativeBinomial => LikelihoodSpec::NegativeBinomial { dispersion, library: Library::None },
        LikelihoodChoice::Zinb => LikelihoodSpec::ZeroInflatedNegativeBinomial { dispersion, library },
        LikelihoodChoice::Multinomial => LikelihoodSpec::Multinomial,
        LikelihoodChoice::DiscretizedLogistic => LikelihoodSpec::DiscretizedLogistic { levels: 256, scale: Scale::Columns },
    }
}

/// What the settings mean, by their place in the file.
const MEANINGS: &[(&str, &str)] = &[
    ("model.latents", "L, the number of latents"),
    ("model.hidden", "widths of the encoder's hidden layers, in reverse those of the decoder; [] is linear"),
    ("model.activation", "relu, tanh, softplus, sigmoid, gelu, silu or elu"),
    ("model.input", "what the encoder sees of x: plain, standardised, or log1p for counts"),
    ("model.mask", "whether the encoder is told which cells are missing (--missing)"),
    ("model.standardise", "train in units of the columns' standard deviations; the model is put back into those of the table"),
    (
        "model.likelihood",
        "p(x | z): bernoulli, multinomial, or a table: gaussian = \"columns\", \"shared\", \"entries\" or { fixed = 0.1 }; \
         categorical = { codes = 10 }; poisson = {}; negative_binomial = { dispersion = \"columns\", library = \"observed\" }; \
         zero_inflated_negative_binomial = {}; discretized_logistic = { levels = 256 }",
    ),
    (
        "model.posterior",
        "q(z | x): diagonal, categorical, or a table: full_covariance = {}; planar = { steps = 4 }; \
         inverse_autoregressive = { steps = 2, hidden = [64] }; hierarchical = { upper = 2 }",
    ),
    (
        "model.prior",
        "p(z): standard_normal, or a table: mixture = { components = 10, trained = true }; vamp = { components = 50 }; \
         flow = { steps = 4, hidden = [64] }; hierarchical = { upper = 2 }; categorical = { trained = true }",
    ),
    (
        "model.encoder",
        "instead of hidden and activation: mlp, convolution = { image = { channels = 1, height = 28, width = 28 }, channels = [32, 64] }, \
         recurrent or attention",
    ),
    ("training.epochs", "passes over the rows at most"),
    ("training.batch_size", "rows a step"),
    ("training.clip_norm", "gradients longer than this are shortened to it"),
    ("training.warm_up", "epochs over which the weight of the KL term rises to 1"),
    ("training.patience", "stop when the held-out bound has not risen for so many epochs"),
    ("training.held_out_draws", "draws a row for the held-out bound"),
    (
        "training.objective",
        "what is maximised: elbo = { draws = 1, kl = \"analytic\", beta = 1.0, free_nats = 0.0 }, iwae = { draws = 50 }, or autoencoder",
    ),
    (
        "training.learning_rate",
        "constant = 0.001, cosine = { start = 0.001, end = 0.0001 }, exponential = { start = 0.001, end = 0.0001 }, or burda",
    ),
    ("training.adam", "Kingma & Ba 2015"),
    ("run.seed", "the seed of all random numbers"),
    ("run.held_out", "the share of rows held out to judge by; 0 for none"),
    ("run.f64", "numbers of 64 bits instead of 32"),
    ("run.device", "auto, cpu, or cuda:0, cuda:1, …"),
];

/// The settings as a file, each with what it means.
pub(super) fn print(settings: &Settings) -> String {
    let mut text = "# Settings of lvm fit vae: lvm fit vae DATA --config THIS_FILE\n# What is left out has its default.\n".to_owned();
    let file = toml::to_string(settings).unwrap_or_default();
    let mut section = String::new();
    for line in file.lines() {
        let path = match (line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')), line.split_once(" = ")) {
            (Some(name), _) => {
                section = name.to_owned();
                section.clone()
            }
            (None, Some((key, _))) => format!("{section}.{key}"),
            (None, None) => String::new(),
        };
        if let Some((_, meaning)) =
            MEANINGS.iter().find(|(name, _)| *name == path || matches!(path.strip_prefix(*name), Some(".elbo" | ".iwae")))
        {
            text += if text.ends_with("\n\n") { "" } else { "\n" };
            text += &format!("# {meaning}\n");
        }
        text += line;
        text.push('\n');
    }
    text + "\n# not set above, as they have no value: training.clip_norm = 10.0, training.patience = 20,\n# model.encoder and model.decoder: instead of hidden and activation, mlp = { hidden = [64] },\n# convolution = { image = { channels = 1, height = 28, width = 28 }, channels = [32, 64] }, recurrent or attention\n"
}
