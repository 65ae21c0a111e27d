//! What was typed, by the names of the file.

use super::{Facts, put};
use crate::args::{
    ActivationChoice, DispersionChoice, FitVaeArgs, InputChoice, KlChoice, LikelihoodChoice, NetArgs, NetChoice, NeuralModelArgs,
    ObjectiveArgs, ObjectiveChoice, PosteriorChoice, PriorChoice, ScheduleChoice, TrainingArgs,
};
use crate::failure::{Failure, Outcome};
use clap::ValueEnum;
use lvm_deep::architecture::{DecoderSpec, EncoderSpec, LikelihoodSpec, PosteriorSpec, PriorSpec};
use lvm_deep::likelihood::{Dispersion, Library, Scale, gaussian::Variance};
use lvm_deep::nets::{Activation, AttentionSpec, Cell, ConvolutionSpec, Image, RecurrentSpec, Steps};
use serde::Serialize;
use toml::{Table, Value};

/// Puts what was typed into the settings of the file.
pub(super) fn put_typed(table: &mut Table, args: &FitVaeArgs, facts: Facts) -> Outcome {
    let plain = args.net.net.is_none_or(|net| net == NetChoice::Mlp);
    if plain && (args.net.net.is_some() || args.net.hidden.is_some() || args.net.activation.is_some()) {
        // layers that were typed replace those of the file
        if let Some(Value::Table(model)) = table.get_mut("model") {
            model.remove("encoder");
            model.remove("decoder");
        }
    }
    let mut list = model(args, facts)?;
    list.extend(nets(&args.net, facts)?);
    list.extend(training(&args.training));
    list.extend(args.neural.device.map(|device| ("run.device".to_owned(), Value::String(device.to_string()))));
    for (path, value) in list {
        put(table, &path.split('.').collect::<Vec<_>>(), value);
    }
    objective(table, &args.training.objective)
}

type Settings = Vec<(String, Value)>;

fn whole(value: usize) -> Value {
    Value::Integer(value as i64)
}

/// The words of a file for one of a list of choices.
fn name(choice: impl ValueEnum) -> String {
    choice.to_possible_value().map_or(String::new(), |value| value.get_name().replace('-', "_"))
}

/// A part of the settings as the file has it.
fn written(part: impl Serialize) -> Value {
    // invariant: the settings are numbers, words and tables of them, which TOML has
    Value::try_from(part).expect("a value")
}

fn table(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Table(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn widths(list: &[usize]) -> Vec<i64> {
    list.iter().map(|w| *w as i64).collect()
}

fn model(args: &FitVaeArgs, facts: Facts) -> Outcome<Settings> {
    let model = &args.model;
    let NeuralModelArgs { latents, input, mask, standardise, .. } = model;
    let mut list = Settings::new();
    let mut say = |path: &str, value: Option<Value>| list.extend(value.map(|value| (path.to_owned(), value)));
    let condition = |columns: &[String]| Value::Array(columns.iter().map(|column| Value::String(column.clone())).collect());
    say("model.latents", latents.map(whole));
    say("model.condition", (!args.condition.is_empty()).then(|| condition(&args.condition)));
    say("model.input", input.map(|input: InputChoice| Value::String(name(input))));
    say("model.mask", mask.then_some(Value::Boolean(true)));
    say("model.standardise", standardise.map(Value::Boolean));
    say("model.likelihood", density(model, args.net.tokens, facts)?.map(written));
    say("model.posterior", posterior(model)?.map(written));
    say("model.prior", prior(model)?.map(written));
    Ok(list)
}

/// An error where an option was typed that needs another.
fn needs(given: bool, option: &str, needed: &str) -> Outcome {
    if given { Err(Failure::usage(format!("--{option} needs {needed}; add it, or leave it out"))) } else { Ok(()) }
}

fn density(model: &NeuralModelArgs, tokens: Option<usize>, facts: Facts) -> Outcome<Option<LikelihoodSpec>> {
    use LikelihoodChoice as Choice;
    let Some(choice) = model.likelihood.or(tokens.map(|_| Choice::Categorical)).or(model.variance.map(|_| Choice::Gaussian)) else {
        let typed = [("codes", model.codes.is_some()), ("levels", model.levels.is_some())];
        let typed = typed.into_iter().chain([("dispersion", model.dispersion.is_some()), ("library", model.library.is_some())]);
        typed.into_iter().try_for_each(|(option, given)| needs(given, option, "--likelihood"))?;
        return Ok(None);
    };
    let counts = matches!(choice, Choice::Poisson | Choice::NegativeBinomial | Choice::Zinb);
    let spread = matches!(choice, Choice::NegativeBinomial | Choice::Zinb | Choice::DiscretizedLogistic);
    needs(model.library.is_some() && !counts, "library", "--likelihood poisson, negative-binomial or zinb")?;
    needs(model.dispersion.is_some() && !spread, "dispersion", "--likelihood negative-binomial, zinb or discretized-logistic")?;
    needs(model.codes.is_some() && choice != Choice::Categorical, "codes", "--likelihood categorical")?;
    needs(model.levels.is_some() && choice != Choice::DiscretizedLogistic, "levels", "--likelihood discretized-logistic")?;
    needs(model.variance.is_some() && choice != Choice::Gaussian, "variance", "--likelihood gaussian")?;
    let dispersion = match model.dispersion {
        Some(DispersionChoice::Shared) => Dispersion::Shared,
        Some(DispersionChoice::Entries) => Dispersion::Entries,
        Some(DispersionChoice::Columns) | None => Dispersion::Columns,
    };
    let scale = match model.dispersion {
        Some(DispersionChoice::Shared) => Scale::Shared,
        Some(DispersionChoice::Entries) => Scale::Entries,
        Some(DispersionChoice::Columns) | None => Scale::Columns,
    };
    let library = |default| model.library.as_deref().map_or(default, library);
    let largest = facts.largest.filter(|largest| *largest < 1e6);
    Ok(Some(match choice {
        Choice::Gaussian => LikelihoodSpec::Gaussian(model.variance.map_or(Variance::Columns, Variance::Fixed)),
        Choice::GaussianShared => LikelihoodSpec::Gaussian(Variance::Shared),
        Choice::GaussianEntries => LikelihoodSpec::Gaussian(Variance::Entries),
        Choice::Bernoulli => LikelihoodSpec::Bernoulli,
        Choice::Categorical => {
            let found = largest.map_or(2, |largest| largest.max(1.0) as usize + 1);
            LikelihoodSpec::Categorical { codes: tokens.or(model.codes).unwrap_or(found) as i64 }
        }
        Choice::Poisson => LikelihoodSpec::Poisson { library: library(Library::None) },
        Choice::NegativeBinomial => LikelihoodSpec::NegativeBinomial { dispersion, library: library(Library::None) },
        Choice::Zinb => LikelihoodSpec::ZeroInflatedNegativeBinomial { dispersion, library: library(Library::Observed) },
        Choice::Multinomial => LikelihoodSpec::Multinomial,
        Choice::DiscretizedLogistic => LikelihoodSpec::DiscretizedLogistic { levels: model.levels.unwrap_or(256) as i64, scale },
    }))
}

/// A size of a row; the words were checked when they were typed.
fn library(text: &str) -> Library {
    let column = |prefix: &str| text.strip_prefix(prefix).and_then(|column| column.parse().ok());
    match text {
        "observed" => Library::Observed,
        "latent" => Library::Latent,
        _ => column("condition:").map(Library::Condition).or(column("exposure:").map(Library::Exposure)).unwrap_or(Library::None),
    }
}

/// Half of the latents, unless it was said how many.
fn upper(model: &NeuralModelArgs) -> i64 {
    model.upper.unwrap_or((model.latents.unwrap_or(2) / 2).max(1)) as i64
}

fn posterior(model: &NeuralModelArgs) -> Outcome<Option<PosteriorSpec>> {
    use PosteriorChoice as Choice;
    let flows = matches!(model.posterior, Some(Choice::Planar | Choice::InverseAutoregressive)) || model.prior == Some(PriorChoice::Flow);
    let layers = model.posterior == Some(Choice::Hierarchical) || model.prior == Some(PriorChoice::Hierarchical);
    let of = "--posterior planar or inverse-autoregressive, or --prior flow";
    needs(model.flow_steps.is_some() && !flows, "flow-steps", of)?;
    needs(model.flow_hidden.is_some() && !flows, "flow-hidden", of)?;
    needs(model.upper.is_some() && !layers, "upper", "--posterior hierarchical")?;
    let (steps, hidden) = flow(model);
    Ok(model.posterior.map(|choice| match choice {
        Choice::Diagonal => PosteriorSpec::Diagonal,
        Choice::FullCovariance => PosteriorSpec::FullCovariance { diagonal: Default::default() },
        Choice::Planar => PosteriorSpec::Planar { steps, amortised: false },
        Choice::InverseAutoregressive => PosteriorSpec::InverseAutoregressive { steps, context: 0, hidden },
        Choice::Hierarchical => PosteriorSpec::Hierarchical { upper: upper(model), hidden: vec![64] },
        Choice::Categorical => PosteriorSpec::Categorical,
    }))
}

fn flow(model: &NeuralModelArgs) -> (i64, Vec<i64>) {
    (model.flow_steps.unwrap_or(4) as i64, widths(model.flow_hidden.as_deref().unwrap_or(&[64])))
}

fn prior(model: &NeuralModelArgs) -> Outcome<Option<PriorSpec>> {
    use PriorChoice as Choice;
    let mixed = matches!(model.prior, Some(Choice::Mixture | Choice::Vamp));
    needs(model.prior_components.is_some() && !mixed, "prior-components", "--prior mixture or vamp")?;
    let (steps, hidden) = flow(model);
    let components = |default: usize| model.prior_components.unwrap_or(default) as i64;
    Ok(model.prior.map(|choice| match choice {
        Choice::StandardNormal => PriorSpec::StandardNormal,
        Choice::Mixture => PriorSpec::Mixture { components: components(10), trained: true },
        Choice::Vamp => PriorSpec::Vamp { components: components(50) },
        Choice::Flow => PriorSpec::Flow { step: Default::default(), steps, hidden },
        Choice::Hierarchical => PriorSpec::Hierarchical { upper: upper(model), hidden: vec![64] },
        Choice::Categorical => PriorSpec::Categorical { trained: true },
    }))
}

/// Encoder and decoder, where they are no plain layers; else their widths.
fn nets(args: &NetArgs, facts: Facts) -> Outcome<Settings> {
    let NetArgs { net, hidden, activation, image, channels, tokens, embedding, step_columns, layers, heads, width } = args;
    let net = net.unwrap_or(NetChoice::Mlp);
    let sequence = matches!(net, NetChoice::Gru | NetChoice::Lstm | NetChoice::Attention);
    let conv = net == NetChoice::Conv;
    for (option, given) in [("image", image.is_some()), ("channels", channels.is_some())] {
        needs(given && !conv, option, "--net conv")?;
    }
    let of_sequences = [
        ("tokens", tokens.is_some()),
        ("embedding", embedding.is_some()),
        ("step-columns", step_columns.is_some()),
        ("layers", layers.is_some()),
    ];
    for (option, given) in of_sequences {
        needs(given && !sequence, option, "--net gru, lstm or attention")?;
    }
    for (option, given) in [("heads", heads.is_some()), ("width", width.is_some())] {
        needs(given && net != NetChoice::Attention, option, "--net attention")?;
    }
    needs(embedding.is_some() && tokens.is_none(), "embedding", "--tokens")?;
    needs(hidden.is_some() && net == NetChoice::Attention, "hidden", "another net than attention, which has --width")?;
    needs(activation.is_some() && sequence, "activation", "--net mlp or conv")?;
    let kind = activation.map_or(Activation::Relu, activation_of);
    let steps = match tokens {
        Some(codes) => Steps::Tokens { codes: *codes as i64, embedding: embedding.unwrap_or(32) as i64 },
        None => Steps::Numbers { columns: step_columns.unwrap_or(1) as i64 },
    };
    let (encoder, decoder) = match net {
        NetChoice::Mlp => {
            let hidden = hidden.as_ref().map(|list| ("model.hidden".to_owned(), written(widths(list))));
            let activation = activation.map(|a| ("model.activation".to_owned(), Value::String(name(a))));
            return Ok(hidden.into_iter().chain(activation).collect());
        }
        NetChoice::Conv => {
            let hidden = widths(hidden.as_deref().unwrap_or(&[]));
            let channels = widths(channels.as_deref().unwrap_or(&[32, 64]));
            let spec = ConvolutionSpec { image: image_of(image.as_deref(), facts)?, channels, hidden, activation: kind };
            let reversed = |list: &[i64]| -> Vec<i64> { list.iter().rev().copied().collect() };
            let back = ConvolutionSpec { channels: reversed(&spec.channels), hidden: reversed(&spec.hidden), ..spec.clone() };
            (EncoderSpec::Convolution(spec), DecoderSpec::Convolution(back))
        }
        NetChoice::Gru | NetChoice::Lstm => {
            let cell = if net == NetChoice::Gru { Cell::Gru } else { Cell::Lstm };
            let hidden = match hidden.as_deref() {
                None => 64,
                Some([width]) => *width as i64,
                Some(list) => {
                    return Err(Failure::usage(format!(
                        "--hidden has {} numbers; the state of --net gru or lstm has one width",
                        list.len()
                    )));
                }
            };
            let spec = RecurrentSpec { steps, cell, hidden, layers: layers.unwrap_or(1) as i64 };
            (EncoderSpec::Recurrent(spec.clone()), DecoderSpec::Recurrent(spec))
        }
        NetChoice::Attention => {
            let (width, heads) = (width.unwrap_or(64) as i64, heads.unwrap_or(4) as i64);
            let spec = AttentionSpec { steps, width, heads, layers: layers.unwrap_or(2) as i64 };
            (EncoderSpec::Attention(spec.clone()), DecoderSpec::Attention(spec))
        }
    };
    Ok(vec![("model.encoder".to_owned(), written(encoder)), ("model.decoder".to_owned(), written(decoder))])
}

fn activation_of(choice: ActivationChoice) -> Activation {
    match choice {
        ActivationChoice::Relu => Activation::Relu,
        ActivationChoice::Tanh => Activation::Tanh,
        ActivationChoice::Softplus => Activation::Softplus,
        ActivationChoice::Sigmoid => Activation::Sigmoid,
        ActivationChoice::Gelu => Activation::Gelu,
        ActivationChoice::Silu => Activation::Silu,
        ActivationChoice::Elu => Activation::Elu,
    }
}

/// As typed, or a square of grey where the columns are one.
fn image_of(typed: Option<&[usize]>, facts: Facts) -> Outcome<Image> {
    match (typed, facts.columns) {
        (Some(&[channels, height, width]), _) => Ok(Image { channels: channels as i64, height: height as i64, width: width as i64 }),
        (Some(list), _) => {
            Err(Failure::usage(format!("--image has {} numbers; channels, height and width are needed: 1,28,28", list.len())))
        }
        (None, Some(columns)) if columns.isqrt().pow(2) == columns => {
            let side = columns.isqrt() as i64;
            Ok(Image { channels: 1, height: side, width: side })
        }
        (None, Some(columns)) => Err(Failure::usage(format!(
            "--net conv: {columns} columns are no square; --image C,H,W says which channels, height and width they are"
        ))),
        (None, None) => Err(Failure::usage("--net conv: --image C,H,W says channels, height and width")),
    }
}

fn training(args: &TrainingArgs) -> Settings {
    let TrainingArgs { epochs, batch_size, held_out, held_out_draws, patience, warm_up, clip, beta1, beta2, epsilon, f64, .. } = args;
    let mut list = Settings::new();
    let mut say = |path: &str, value: Option<Value>| list.extend(value.map(|value| (path.to_owned(), value)));
    say("training.epochs", epochs.map(whole));
    say("training.batch_size", batch_size.map(whole));
    say("training.learning_rate", schedule(args));
    say("training.adam.beta1", beta1.map(Value::Float));
    say("training.adam.beta2", beta2.map(Value::Float));
    say("training.adam.epsilon", epsilon.map(Value::Float));
    say("training.clip_norm", clip.map(Value::Float));
    say("training.patience", patience.map(whole));
    say("training.warm_up", warm_up.map(whole));
    say("training.held_out_draws", held_out_draws.map(whole));
    say("run.held_out", held_out.map(Value::Float));
    say("run.f64", f64.then_some(Value::Boolean(true)));
    list
}

fn schedule(args: &TrainingArgs) -> Option<Value> {
    let TrainingArgs { rate, final_rate, schedule, .. } = args;
    if rate.is_none() && final_rate.is_none() && schedule.is_none() {
        return None;
    }
    let start = rate.unwrap_or(1e-3);
    let falling = || table([("start", Value::Float(start)), ("end", Value::Float(final_rate.unwrap_or(start / 10.0)))]);
    let chosen = schedule.unwrap_or(if final_rate.is_some() { ScheduleChoice::Cosine } else { ScheduleChoice::Constant });
    Some(match chosen {
        ScheduleChoice::Constant => table([("constant", Value::Float(start))]),
        ScheduleChoice::Cosine => table([("cosine", falling())]),
        ScheduleChoice::Exponential => table([("exponential", falling())]),
        ScheduleChoice::Burda => Value::String("burda".to_owned()),
    })
}

/// What is maximised: what was typed of it is put into the objective that was typed, or else into that of the file.
fn objective(settings: &mut Table, args: &ObjectiveArgs) -> Outcome {
    let ObjectiveArgs { objective, draws, kl, beta, free_nats, temperature, iwae } = args;
    let file = match settings.get("training").and_then(|training| training.get("objective")) {
        Some(Value::Table(table)) => table.keys().next().cloned(),
        Some(Value::String(word)) => Some(word.clone()),
        _ => None,
    };
    let typed = objective.map(name).or(iwae.map(|_| name(ObjectiveChoice::Iwae)));
    let chosen = typed.clone().or(file.clone()).unwrap_or_else(|| name(ObjectiveChoice::Elbo));
    let takes: &[&str] = match chosen.as_str() {
        "elbo" => &["draws", "kl", "beta", "free_nats"],
        "iwae" => &["draws"],
        "score_function" => &["draws", "beta"],
        "gumbel_softmax" => &["draws", "temperature", "beta"],
        _ => &[],
    };
    let draws = draws.or(*iwae).or((typed.as_deref() == Some("iwae") && file.as_deref() != Some("iwae")).then_some(50));
    let fields = [
        ("draws", draws.map(whole)),
        ("kl", kl.map(|kl: KlChoice| Value::String(name(kl)))),
        ("beta", beta.map(Value::Float)),
        ("free_nats", free_nats.map(Value::Float)),
        ("temperature", temperature.map(Value::Float)),
    ];
    let given: Vec<(&'static str, Value)> = fields.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    if let Some((key, _)) = given.iter().find(|(key, _)| !takes.contains(key)) {
        let (option, words) = (key.replace('_', "-"), chosen.replace('_', "-"));
        return Err(Failure::usage(format!(
            "--{option} is nothing that the objective {words} takes; leave it out, or choose another --objective"
        )));
    }
    if typed.is_some() && typed != file {
        let whole = if takes.is_empty() { Value::String(chosen) } else { Value::Table([(chosen, table(given))].into_iter().collect()) };
        put(settings, &["training", "objective"], whole);
        return Ok(());
    }
    for (key, value) in given {
        put(settings, &["training", "objective", &chosen, key], value);
    }
    Ok(())
}
