//! The settings of a neural model: defaults, then the file that `--config` names, then what was typed.

mod meanings;
mod typed;

pub(super) use meanings::print;

use crate::args::FitVaeArgs;
use crate::failure::{Failure, Outcome};
use lvm_deep::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec, PosteriorSpec, PriorSpec};
use lvm_deep::device::Device;
use lvm_deep::likelihood::gaussian::Variance;
use lvm_deep::nets::{Activation, Input};
use lvm_deep::train::Training;
use serde::{Deserialize, Serialize};
use std::path::Path;
use toml::{Table, Value};

/// What settings may depend on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts {
    /// Rows of the table; `None`: there is no table.
    pub(super) rows: Option<usize>,
    /// Columns that the model explains.
    pub(super) columns: Option<usize>,
    /// The largest number.
    pub(super) largest: Option<f64>,
}

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
    /// Columns that encoder and decoder are told.
    pub(super) condition: Vec<String>,
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
            condition: Vec::new(),
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
    /// What was asked for.
    pub(super) fn of(args: &FitVaeArgs, facts: Facts) -> Outcome<Self> {
        let mut table = match &args.config {
            Some(path) => read(path)?,
            None => Table::new(),
        };
        let source = args.config.as_ref().map_or("--set".to_owned(), |path| path.display().to_string());
        typed::put_typed(&mut table, args, facts)?;
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
        Ok(settings.completed(facts.rows.filter(|_| !given("training", "batch_size")), given("model", "prior")))
    }

    /// Columns that the model is told, as they were typed or as the file has them: known before the table is read.
    pub(super) fn condition(args: &FitVaeArgs) -> Outcome<Vec<String>> {
        if !args.condition.is_empty() {
            return Ok(args.condition.clone());
        }
        let mut table = args.config.as_deref().map_or_else(|| Ok(Table::new()), read)?;
        for text in &args.set {
            let (path, value) = assignment(text)?;
            put(&mut table, &path.split('.').collect::<Vec<_>>(), value);
        }
        // what is no list of words is an error when all settings are read
        let list = table.get("model").and_then(|model| model.get("condition")).and_then(Value::as_array);
        Ok(list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
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
    fn completed(mut self, rows: Option<usize>, prior_given: bool) -> Self {
        if let Some(n) = rows {
            let held_out = held_out_rows(n, self.run.held_out);
            self.training.batch_size = self.training.batch_size.min(n - held_out).max(1);
        }
        let model = &mut self.model;
        match &model.posterior {
            PosteriorSpec::Categorical if !prior_given => model.prior = PriorSpec::Categorical { trained: true },
            PosteriorSpec::Hierarchical { upper, hidden } if !prior_given => {
                model.prior = PriorSpec::Hierarchical { upper: *upper, hidden: hidden.clone() };
            }
            _ => {}
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

    /// The model for `columns` columns and a condition of so many numbers.
    pub(super) fn architecture(&self, columns: usize, condition: usize) -> Architecture {
        let model = &self.model;
        let reversed: Vec<i64> = model.hidden.iter().rev().copied().collect();
        let activation = model.activation;
        Architecture {
            columns: columns as i64,
            latents: model.latents,
            condition: condition as i64,
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
        self.run.device.parse::<Device>().map_err(|error| Failure::fault(format!("run.device is \"{}\"; {error}", self.run.device)))
    }
}

/// What to do about a setting that can't be used.
const WHERE: &str = "\n  hint: lvm fit vae --print-config prints all settings with what each means";

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
            (Some(known), given) => stray_within(given, known, &path),
        }
    })
}

/// The same for any value: tables may stand in lists.
fn stray_within(given: &Value, known: &Value, path: &str) -> Option<String> {
    match (given, known) {
        (Value::Table(inner), known) => stray(inner, known, path),
        (Value::Array(given), Value::Array(known)) => {
            let items = given.iter().zip(known).enumerate();
            items.into_iter().find_map(|(i, (given, known))| stray_within(given, known, &format!("{path}[{i}]")))
        }
        _ => None,
    }
}

/// The parts of a finished model under the keys of the settings, for `lvm info`.
pub(super) fn written_model(architecture: &Architecture, condition: &[String]) -> String {
    let model = Model {
        latents: architecture.latents,
        condition: condition.to_vec(),
        input: Some(architecture.input),
        mask: architecture.mask,
        likelihood: architecture.likelihood.clone(),
        posterior: architecture.posterior.clone(),
        prior: architecture.prior.clone(),
        encoder: Some(architecture.encoder.clone()),
        decoder: Some(architecture.decoder.clone()),
        ..Model::default()
    };
    let mut table = match Value::try_from(model) {
        Ok(Value::Table(table)) => table,
        _ => return String::new(),
    };
    // the layers stand under encoder and decoder
    ["hidden", "activation"].iter().for_each(|key| drop(table.remove(*key)));
    toml::to_string(&Table::from_iter([("model".to_owned(), Value::Table(table))])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_do_not_exist_are_found_in_lists_too() {
        let blocks = |extra: &str| {
            let text = format!(
                "[model.likelihood]\nmixed = [{{ columns = [0], likelihood = \"bernoulli\" }}, {{ columns = [1], likelihood = {{ poisson = {{ {extra} }} }} }}]"
            );
            Settings::parse(text.parse().unwrap(), "f.toml").map_err(|failure| failure.to_string())
        };
        assert!(blocks("library = \"none\"").is_ok());
        let message = blocks("libary = \"none\"").unwrap_err();
        assert!(message.contains("model.likelihood.mixed[1].likelihood.poisson.libary"), "{message}");
    }

    #[test]
    fn a_device_is_what_the_flag_takes() {
        for (word, device) in [("cuda", Device::Cuda(0)), ("gpu", Device::Cuda(0)), ("cuda:2", Device::Cuda(2)), ("auto", Device::Auto)] {
            let settings = Settings { run: Run { device: word.into(), ..Run::default() }, ..Settings::default() };
            assert_eq!(settings.device().unwrap(), device);
        }
        let settings = Settings { run: Run { device: "tpu".into(), ..Run::default() }, ..Settings::default() };
        assert!(settings.device().unwrap_err().to_string().contains("run.device is \"tpu\""));
    }

    /// Columns, and how many numbers the model is told, of the tables that the examples of the book are for.
    const EXAMPLES: [(usize, usize); 7] = [(13, 0), (6, 0), (784, 0), (50, 0), (50, 0), (30, 2), (200, 0)];

    #[test]
    fn every_example_of_the_book_is_a_model() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vae-config.md");
        let text = std::fs::read_to_string(page).unwrap();
        let blocks: Vec<&str> = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert_eq!(blocks.len(), EXAMPLES.len());
        for (block, (columns, told)) in blocks.iter().zip(EXAMPLES) {
            let settings = Settings::parse(block.parse().unwrap(), page).map_err(|failure| failure.to_string()).unwrap();
            let settings = settings.completed(None, block.contains("prior"));
            let architecture = settings.architecture(columns, told);
            let vae = lvm_deep::vae::Vae::untrained(architecture, None, lvm_deep::Kind::Float, tch::Device::Cpu, 0);
            assert!(vae.is_ok(), "{block}: {}", vae.err().unwrap());
        }
    }
}
