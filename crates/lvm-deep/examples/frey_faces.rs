//! Frey faces: grey levels under a discretised logistic density, in bits a pixel.
//!
//! `cargo run --release -p lvm-deep --example frey_faces -- [--quick] [--data FOLDER] [--device cuda] [--minutes M] [--seed 1]`
//!
//! 1565 frames for training, 200 held out, 200 for testing, at random; frames of one film, so neighbours of test frames are among the training
//! ones, as in the literature. A density of 256 levels: no noise is added to the pixels and the figure is a true number of bits.

#![allow(clippy::print_stdout)]

mod shared;

use lvm_deep::Kind;
use lvm_deep::architecture::{Architecture, LikelihoodSpec};
use lvm_deep::data::Dataset;
use lvm_deep::evidence::{EvaluationMemory, elbo, importance};
use lvm_deep::likelihood::Scale;
use lvm_deep::objective::KlTerm;
use lvm_deep::optimizer::Schedule;
use lvm_deep::tasks::reconstruction::reconstruct;
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;
use shared::{Arguments, Outcome, activity, device, mean_of, rows, shuffled, table, train};
use std::f64::consts::LN_2;

const SOURCE: &str = "freyfaces.pkl of github.com/jmtomczak/vae_vampprior, as an idx file freyfaces-idx3-ubyte.gz";

fn main() -> Outcome {
    let arguments = Arguments::new();
    let folder = arguments.folder("freyfaces", SOURCE)?;
    let x = table(folder.join("freyfaces-idx3-ubyte.gz"))? / 255.0;
    let seed = arguments.option("seed", 1)?;
    let order = shuffled(x.nrows(), seed);
    let device = device(&arguments)?;
    let part = |index: &[usize]| Dataset::new(&rows(&x, index), Kind::Float, device);
    let (data, valid, test) = (part(&order[..1565])?, part(&order[1565..1765])?, part(&order[1765..])?);

    let likelihood = LikelihoodSpec::DiscretizedLogistic { levels: 256, scale: Scale::Entries };
    let architecture = Architecture { likelihood, ..Architecture::mlp(560, 20, &[300, 300]) };
    let epochs = arguments.option("epochs", if arguments.flag("quick") { 60 } else { 1000 })?;
    let learning_rate = Schedule::Exponential { start: 1e-3, end: 1e-4 };
    let training = Training {
        epochs,
        batch_size: 100,
        learning_rate,
        warm_up: epochs / 5,
        clip_norm: Some(1e4),
        patience: Some(100),
        ..Training::default()
    };
    let trained = train(&training, Vae::new(architecture, &data, seed)?, &data, Some(&valid), &arguments)?;

    let memory = EvaluationMemory::default();
    for (name, bound) in [
        ("ELBO", elbo(&trained.vae, &test.rows, KlTerm::Analytic, 10, memory, 7)?),
        ("L_500", importance(&trained.vae, &test.rows, 500, memory, 7)?.bound),
    ] {
        let (bound, error) = mean_of(&bound);
        println!("test {name:5} {bound:.2} +- {error:.2} nats a face = {:.3} bits a pixel", -bound / (560.0 * LN_2));
    }
    let wrong = (reconstruct(&trained.vae, &test.rows)? - &test.rows.x).abs().mean(Kind::Double).double_value(&[]);
    println!("reconstructions are wrong by {:.1} of 256 grey levels on average", wrong * 255.0);
    activity(&trained.vae, &test.rows)
}
