//! What the settings mean, and the file that says so.

use super::Settings;

/// A setting: its place in the file, what it means, and the options that set it.
pub(super) struct Setting {
    pub(super) key: &'static str,
    meaning: &'static str,
    /// Without their dashes; empty where a table is set as a whole by others.
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with the command line by a test"))]
    pub(super) options: &'static [&'static str],
    /// What to write where it has no value unless one is given.
    unset: Option<&'static str>,
}

const fn setting(key: &'static str, meaning: &'static str, options: &'static [&'static str]) -> Setting {
    Setting { key, meaning, options, unset: None }
}

const fn unset(key: &'static str, meaning: &'static str, options: &'static [&'static str], example: &'static str) -> Setting {
    Setting { key, meaning, options, unset: Some(example) }
}

/// All of them, in the order of the file.
pub(super) const SETTINGS: &[Setting] = &[
    setting("model.latents", "L, the number of latents", &["latents"]),
    setting(
        "model.condition",
        "columns that encoder and decoder are told and do not explain: numbers, or labels as zeros and a one (COLUMN=levels)",
        &["condition"],
    ),
    setting("model.hidden", "widths of the encoder's hidden layers, in reverse those of the decoder; [] is linear", &["hidden"]),
    setting("model.activation", "relu, tanh, softplus, sigmoid, gelu, silu or elu", &["activation"]),
    setting("model.input", "what the encoder sees of x: plain, standardised, or log1p for counts", &["input"]),
    setting("model.mask", "whether the encoder is told which cells are missing (--missing)", &["mask"]),
    setting(
        "model.standardise",
        "train in units of the columns' standard deviations; the model is put back into those of the table",
        &["standardise"],
    ),
    setting(
        "model.likelihood",
        "p(x | z): bernoulli, multinomial, or a table: gaussian = \"columns\", \"shared\", \"entries\" or { fixed = 0.1 }; \
         standardised_gaussian = { variance = \"columns\" }; categorical = { codes = 10 }; poisson = {}; \
         negative_binomial = { dispersion = \"columns\", library = \"observed\" }; zero_inflated_negative_binomial = {}; \
         discretized_logistic = { levels = 256 }; mixed = [{ columns = [0, 1], likelihood = \"bernoulli\" }, ...]",
        &["likelihood", "variance", "codes", "levels", "dispersion", "library"],
    ),
    setting(
        "model.posterior",
        "q(z | x): diagonal, categorical, or a table: full_covariance = {}; planar = { steps = 4 }; \
         inverse_autoregressive = { steps = 2, hidden = [64] }; hierarchical = { upper = 2 }",
        &["posterior", "flow-steps", "flow-hidden", "upper"],
    ),
    setting(
        "model.prior",
        "p(z): standard_normal, or a table: mixture = { components = 10, trained = true }; vamp = { components = 50 }; \
         flow = { steps = 4, hidden = [64] }; hierarchical = { upper = 2 }; categorical = { trained = true }",
        &["prior", "prior-components"],
    ),
    unset(
        "model.encoder",
        "instead of hidden and activation: mlp, convolution = { image = { channels = 1, height = 28, width = 28 }, channels = [32, 64] }, \
         recurrent = { steps = { numbers = { columns = 1 } }, cell = \"gru\", hidden = 64 } or \
         attention = { steps = { tokens = { codes = 80, embedding = 32 } }, width = 64, heads = 4, layers = 2 }",
        &["net", "image", "channels", "tokens", "embedding", "step-columns", "layers", "heads", "width"],
        "{ mlp = { hidden = [64], activation = \"relu\" } }",
    ),
    unset("model.decoder", "as the encoder, from latents to outputs", &["net"], "{ mlp = { hidden = [64], activation = \"relu\" } }"),
    setting("training.epochs", "passes over the rows at most", &["epochs"]),
    setting("training.batch_size", "rows a step (where it is not given, at most all there are)", &["batch-size"]),
    setting("training.warm_up", "epochs over which the weight of the KL term rises to 1", &["warm-up"]),
    setting("training.held_out_draws", "draws a row for the held-out bound", &["held-out-draws"]),
    unset("training.clip_norm", "gradients longer than this are shortened to it", &["clip"], "10.0"),
    unset("training.patience", "stop when the held-out bound has not risen for so many epochs", &["patience"], "20"),
    setting(
        "training.objective",
        "what is maximised: elbo = { draws = 1, kl = \"analytic\", beta = 1.0, free_nats = 0.0 }, iwae = { draws = 50 }, \
         score_function = { draws = 4 }, gumbel_softmax = { temperature = 0.5 }, or autoencoder",
        &["objective", "draws", "kl", "beta", "free-nats", "temperature", "iwae"],
    ),
    setting(
        "training.learning_rate",
        "constant = 0.001, cosine = { start = 0.001, end = 0.0001 }, exponential = { start = 0.001, end = 0.0001 }, or burda",
        &["rate", "final-rate", "schedule"],
    ),
    setting("training.adam", "Kingma & Ba 2015", &["beta1", "beta2", "epsilon"]),
    setting("run.seed", "the seed of all random numbers", &["seed"]),
    setting("run.held_out", "the share of rows held out to judge by; 0 for none", &["held-out"]),
    setting("run.f64", "numbers of 64 bits instead of 32", &["f64"]),
    setting("run.device", "auto, cpu, or cuda:0, cuda:1, …", &["device"]),
];

/// The settings as a file, each with what it means.
pub(in super::super) fn print(settings: &Settings) -> String {
    let mut text = "# Settings of lvm fit vae: lvm fit vae DATA --config THIS_FILE\n# What is left out has its default.\n".to_owned();
    let file = toml::to_string(settings).unwrap_or_default();
    let mut section = String::new();
    let mut told = Vec::new();
    for line in file.lines() {
        let path = match (line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')), line.split_once(" = ")) {
            (Some(name), _) => {
                section = name.to_owned();
                section.clone()
            }
            (None, Some((key, _))) => format!("{section}.{key}"),
            (None, None) => String::new(),
        };
        // a table is explained where its first line stands
        let within = |key: &str| path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if let Some(setting) = SETTINGS.iter().find(|s| within(s.key)).filter(|s| !told.contains(&s.key)) {
            told.push(setting.key);
            text += if text.ends_with("\n\n") { "" } else { "\n" };
            text += &format!("# {}\n", setting.meaning);
        }
        text += line;
        text.push('\n');
    }
    let unset: Vec<&Setting> = SETTINGS.iter().filter(|s| s.unset.is_some() && !told.contains(&s.key)).collect();
    if !unset.is_empty() {
        text += "\n# Not set above, as they have no value unless they are given one:\n";
    }
    for setting in unset {
        text += &format!("# {}\n#   {} = {}\n", setting.meaning, setting.key, setting.unset.unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use crate::args::Cli;
    use clap::CommandFactory;
    use toml::{Table, Value};

    /// Every option of `lvm fit vae` that concerns the settings belongs to one, and every setting has an option that exists.
    #[test]
    fn every_setting_is_an_option_and_every_option_a_setting() {
        let cli = Cli::command();
        let fit = cli.find_subcommand("fit").and_then(|fit| fit.find_subcommand("vae")).unwrap();
        let headings = ["Model", "Nets", "Training", "Objective", "Neural models"];
        let of_settings = fit.get_arguments().filter(|a| a.get_help_heading().is_some_and(|h| headings.contains(&h)));
        let options: Vec<&str> = of_settings.filter_map(|a| a.get_long()).filter(|long| *long != "condition-from").collect();
        for option in &options {
            assert!(SETTINGS.iter().any(|s| s.options.contains(option)), "--{option} sets nothing that has a meaning");
        }
        for setting in SETTINGS {
            assert!(!setting.options.is_empty(), "{} has no option", setting.key);
            for option in setting.options {
                assert!(options.contains(option), "{}: there is no --{option}", setting.key);
            }
        }
    }

    fn keys(table: &Table, prefix: &str, depth: usize, list: &mut Vec<String>) {
        for (key, value) in table {
            match value {
                Value::Table(inner) if depth < 1 => keys(inner, &format!("{prefix}{key}."), depth + 1, list),
                _ => list.push(format!("{prefix}{key}")),
            }
        }
    }

    #[test]
    fn every_key_of_the_file_has_a_meaning() {
        let Ok(Value::Table(table)) = Value::try_from(Settings::default()) else { panic!("a table") };
        let mut list = Vec::new();
        keys(&table, "", 0, &mut list);
        assert!(list.len() > 15);
        for key in list {
            assert!(SETTINGS.iter().any(|s| s.key == key), "{key}");
        }
    }
}
