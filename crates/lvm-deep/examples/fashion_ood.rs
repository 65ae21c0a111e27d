//! Fashion-MNIST by a convolutional autoencoder, and whether it notices that digits are no clothes.
//!
//! `cargo run --release -p lvm-deep --example fashion_ood -- [--quick] [--likelihood logistic|bernoulli] [--data FOLDER] [--digits FOLDER] [--device cuda] [--minutes M] [--seed 1]`
//!
//! Published AUROC, Fashion against MNIST: .87 by the ELBO, .99 by likelihood regret. Which likelihood it is matters more than which score:
//! `logistic` is a discretised logistic density of the 256 grey levels; `bernoulli` takes pixels above one half as ones, for both sets. The epoch is
//! chosen by rows of the training file that are not trained on; the test files are read for the figures alone.

#![allow(clippy::print_stdout)]

mod shared;

use lvm_deep::Kind;
use lvm_deep::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec};
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::evidence::{Ascent, EvaluationMemory, Expectation, elbo};
use lvm_deep::likelihood::Scale;
use lvm_deep::nets::{Activation, ConvolutionSpec, Image};
use lvm_deep::objective::KlTerm;
use lvm_deep::optimizer::Schedule;
use lvm_deep::tasks::auroc;
use lvm_deep::tasks::ood::{likelihood_regret, surprise, typicality};
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;
use ndarray::{Array1, Array2};
use shared::{Arguments, Outcome, activity, device, mean_of, rows, some, table, to_train_and_choose_by, train};

const SOURCE: &str = "github.com/zalandoresearch/fashion-mnist (data/fashion) and the MNIST files of the same names";

fn main() -> Outcome {
    let arguments = Arguments::new();
    let folder = arguments.folder("fashion_mnist", SOURCE)?;
    let digits: String = arguments.option("digits", folder.with_file_name("mnist").display().to_string())?;
    let (quick, seed) = (arguments.flag("quick"), arguments.option("seed", 1)?);
    let kind: String = arguments.option("likelihood", "logistic".to_owned())?;
    let (likelihood, binary) = match kind.as_str() {
        "logistic" => (LikelihoodSpec::DiscretizedLogistic { levels: 256, scale: Scale::Entries }, false),
        "bernoulli" => (LikelihoodSpec::Bernoulli, true),
        other => return Err(format!("--likelihood {other}: logistic or bernoulli").into()),
    };
    let device = device(&arguments)?;
    let load = |x: Array2<f64>| -> Outcome<Dataset> {
        let x = x / 255.0;
        let x = if binary { x.mapv(|v| f64::from(u8::from(v > 0.5))) } else { x };
        Ok(Dataset::new(&x, Kind::Float, device)?)
    };
    let (n, m) = if quick { (4000, 200) } else { (54_000, 2000) };
    let all = table(folder.join("train-images-idx3-ubyte.gz"))?;
    let (to_train, to_choose) = to_train_and_choose_by(all.nrows(), arguments.option("rows", n)?);
    let (data, valid) = (load(rows(&all, &to_train))?, load(rows(&all, &to_choose))?);
    let m = arguments.option("test-rows", m)?;
    let clothes = load(some(&table(folder.join("t10k-images-idx3-ubyte.gz"))?, m))?;
    let digits = load(some(&table(std::path::Path::new(&digits).join("t10k-images-idx3-ubyte.gz"))?, m))?;

    let image = Image { channels: 1, height: 28, width: 28 };
    let net = |channels: &[i64]| ConvolutionSpec { image, channels: channels.to_vec(), hidden: vec![128], activation: Activation::Relu };
    let architecture = Architecture {
        encoder: EncoderSpec::Convolution(net(&[16, 32])),
        decoder: DecoderSpec::Convolution(net(&[32, 16])),
        likelihood,
        ..Architecture::mlp(784, 16, &[])
    };
    let training = Training {
        epochs: arguments.option("epochs", if quick { 6 } else { 20 })?,
        batch_size: 128,
        learning_rate: Schedule::Exponential { start: 2e-3, end: 2e-4 },
        clip_norm: Some(1e4),
        ..Training::default()
    };
    let trained = train(&training, Vae::new(architecture, &data, seed)?, &data, Some(&valid), &arguments)?;
    let vae = trained.vae;

    let bound = |batch: &Batch| elbo(&vae, batch, KlTerm::Analytic, 5, EvaluationMemory::default(), 7);
    let each = |bound: &lvm_core::bound::Bound| bound.rows.iter().map(|r| r.mean).collect::<Array1<f64>>();
    let of_training = each(&bound(&data.rows.narrow(0, m.min(data.n_rows()) as i64))?);
    let (usual, strange) = (bound(&clothes.rows)?, bound(&digits.rows)?);
    println!("test ELBO: clothes {:.2}, digits {:.2} nats a picture; likelihood: {kind}", mean_of(&usual).0, mean_of(&strange).0);
    let (usual, strange) = (each(&usual), each(&strange));
    let tell = |score: &str, usual: Array1<f64>, strange: Array1<f64>, published: &str| -> Outcome {
        println!("AUROC by {score:18} {:.3}   published {published}", auroc(&usual.to_vec(), &strange.to_vec())?);
        Ok(())
    };
    tell("-ELBO", surprise(&usual), surprise(&strange), ".87")?;
    tell("typicality", typicality(&usual, &of_training), typicality(&strange, &of_training), "-")?;
    // each row's own q is an optimisation: of fewer rows
    let few = m.min(if quick { 50 } else { 200 }) as i64;
    let ascent = Ascent { max_iterations: 30, gradient_tolerance: 1e-2, ..Ascent::default() };
    let regret = |batch: &Batch| likelihood_regret(&vae, &batch.narrow(0, few), Expectation::Draws(4), &ascent, 7);
    tell("likelihood regret", regret(&clothes.rows)?, regret(&digits.rows)?, ".99")?;
    activity(&vae, &clothes.rows)
}
