//! Statically binarised MNIST: the first figure that every paper on variational autoencoders reports.
//!
//! `cargo run --release -p lvm-deep --example mnist -- [--quick | --full] [--model vae|iwae] [--data FOLDER] [--device cuda] [--minutes M] [--seed 1]`
//!
//! Published (static binarisation, nats): VAE 784-400-z40 by importance sampling with 200 draws, log p ≥ −89.78; IWAE with k = 50 and layers
//! 200-200-z50, L_5000 = −87.10. `--full` is their protocol (500 epochs at 1e-4 in batches of 100; 3280 epochs by Burda's schedule in batches of 20),
//! which is for a GPU; without it the same nets are trained for as many epochs as a CPU does in under an hour. `--quick` takes a minute and shows
//! only that it works. The epoch is chosen by rows of the validation file. Also: --epochs, --rate, --rows (training), --test-rows, --draws.

#![allow(clippy::print_stdout)]

mod shared;

use lvm_deep::Kind;
use lvm_deep::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec};
use lvm_deep::data::Dataset;
use lvm_deep::evidence::{EvaluationMemory, elbo, importance};
use lvm_deep::nets::Activation;
use lvm_deep::objective::{Iwae, IwaeGradient, KlTerm, Objective};
use lvm_deep::optimizer::{Adam, Schedule};
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;
use shared::{Arguments, Outcome, activity, device, mean_of, some, table, train};

const SOURCE: &str = "Larochelle's binarized_mnist_{train,valid,test}.amat, as idx files {train,valid,test}-bin-idx3-ubyte.gz";

/// One of the published experiments.
struct Experiment {
    architecture: Architecture,
    training: Training,
    draws: usize,
    published: &'static str,
}

fn main() -> Outcome {
    let arguments = Arguments::new();
    let folder = arguments.folder("mnist_static", SOURCE)?;
    let (quick, full) = (arguments.flag("quick"), arguments.flag("full"));
    let model: String = arguments.option("model", "vae".to_owned())?;
    let mut experiment = match model.as_str() {
        "vae" => vae(full),
        "iwae" => iwae(full),
        other => return Err(format!("--model {other}: vae or iwae").into()),
    };
    if quick {
        experiment.training.epochs = 10;
        experiment.draws = experiment.draws.min(200);
    }
    let training = &mut experiment.training;
    training.epochs = arguments.option("epochs", training.epochs)?;
    if let Some(rate) = Some(arguments.option("rate", 0.0)?).filter(|r| *r > 0.0) {
        training.learning_rate = Schedule::Exponential { start: rate, end: rate * 0.1 };
    }
    let rows = arguments.option("rows", if quick { 5000 } else { 50_000 })?;
    let test_rows = arguments.option("test-rows", if quick { 200 } else { 10_000 })?;
    let draws = arguments.option("draws", experiment.draws)?;

    let device = device(&arguments)?;
    let part = |name: &str, n| -> Outcome<Dataset> {
        let x = some(&table(folder.join(format!("{name}-bin-idx3-ubyte.gz")))?, n);
        Ok(Dataset::new(&x, Kind::Float, device)?)
    };
    let (data, valid, test) = (part("train", rows)?, part("valid", 1000)?, part("test", test_rows)?);
    println!("static MNIST, {model}: {} training rows, {} epochs, batches of {}", data.n_rows(), training.epochs, training.batch_size);
    let start = Vae::new(experiment.architecture, &data, arguments.option("seed", 1)?)?;
    let trained = train(training, start, &data, Some(&valid), &arguments)?;

    let memory = EvaluationMemory::default();
    let (bound, error) = mean_of(&elbo(&trained.vae, &test.rows, KlTerm::Analytic, 1, memory, 7)?);
    println!("test ELBO     {bound:.3} +- {error:.3} nats a row ({} rows, one draw; the error is that of the rows)", test.n_rows());
    let log_p = importance(&trained.vae, &test.rows, draws, memory, 7)?;
    let (bound, error) = mean_of(&log_p.bound);
    println!("test L_{draws:<6} {bound:.3} +- {error:.3} nats a row, after {} epochs", trained.epochs.len());
    println!("published     {}", experiment.published);
    activity(&trained.vae, &test.rows)
}

/// 784-400-z40, rectified.
fn vae(full: bool) -> Experiment {
    let architecture = Architecture { likelihood: LikelihoodSpec::Bernoulli, ..Architecture::mlp(784, 40, &[400]) };
    let (epochs, learning_rate) = match full {
        true => (500, Schedule::Constant(1e-4)),
        false => (60, Schedule::Exponential { start: 1e-3, end: 1e-4 }),
    };
    let training = Training { epochs, batch_size: 100, learning_rate, ..Training::default() };
    Experiment { architecture, training, draws: 200, published: "-89.78 (VAE, importance sampling with 200 draws, 500 epochs)" }
}

/// 784-200-200-z50, tanh, k = 50. Burda, Grosse & Salakhutdinov 2016.
fn iwae(full: bool) -> Experiment {
    let layers = || (vec![200, 200], Activation::Tanh);
    let ((hidden, activation), (reversed, same)) = (layers(), layers());
    let architecture = Architecture {
        encoder: EncoderSpec::Mlp { hidden, activation },
        decoder: DecoderSpec::Mlp { hidden: reversed, activation: same },
        likelihood: LikelihoodSpec::Bernoulli,
        ..Architecture::mlp(784, 50, &[])
    };
    let (epochs, batch_size, learning_rate, draws) = match full {
        true => (3280, 20, Schedule::Burda, 50),
        false => (20, 100, Schedule::Exponential { start: 1e-3, end: 1e-4 }, 10),
    };
    let objective = Objective::Iwae(Iwae { draws, gradient: IwaeGradient::DoublyReparameterized });
    let adam = Adam { epsilon: 1e-4, ..Adam::default() };
    let training = Training { objective, epochs, batch_size, learning_rate, adam, ..Training::default() };
    Experiment { architecture, training, draws: if full { 5000 } else { 1000 }, published: "-87.10 (IWAE, k = 50, L_5000, 3280 epochs)" }
}
