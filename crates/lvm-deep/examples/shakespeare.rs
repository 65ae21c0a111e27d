//! Lines of Shakespeare by a recurrent decoder, whose latent must not be ignored.
//!
//! `cargo run --release -p lvm-deep --example shakespeare -- [--quick] [--data FOLDER] [--device cuda] [--minutes M] [--seed 1]`
//!
//! A decoder that sees the characters before is good enough without z, and training then ends at KL 0. Against it: the weight of the KL term
//! rises slowly and each latent has some free nats. The judge is a language model: the same nets with the KL term weighted so heavily that z
//! tells nothing. Wanted: a bound within 2 nats of it with KL > 1. Nine tenths of the lines are trained on, half of the rest choose the epoch of
//! both, the other half is the test.

#![allow(clippy::print_stdout)]

mod shared;

use lvm_deep::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec};
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::evidence::{EvaluationMemory, elbo, importance};
use lvm_deep::nets::{Cell, RecurrentSpec, Steps};
use lvm_deep::objective::{Elbo, KlTerm, Objective};
use lvm_deep::optimizer::Schedule;
use lvm_deep::tasks::generation::{sample_given, simulate};
use lvm_deep::tasks::interpolation::linear;
use lvm_deep::tensor::{from_matrix, to_matrix};
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};
use ndarray::Array2;
use shared::{Arguments, Outcome, activity, device, lines, mean_of, train};

const SOURCE: &str = "data/tinyshakespeare/input.txt of github.com/karpathy/char-rnn, compressed by gzip or not";
/// Characters of a line with its end; longer ones are left out.
const LENGTH: usize = 40;

fn main() -> Outcome {
    let arguments = Arguments::new();
    let folder = arguments.folder("tiny_shakespeare", SOURCE)?;
    let (quick, seed) = (arguments.flag("quick"), arguments.option("seed", 1)?);
    let lines = lines(folder.join("input.txt.gz"))?;
    let lines: Vec<&str> = lines.iter().map(|l| l.trim()).filter(|l| !l.is_empty() && l.len() < LENGTH && !l.ends_with(':')).collect();
    let mut alphabet: Vec<char> = lines.iter().flat_map(|l| l.chars()).collect();
    alphabet.sort_unstable();
    alphabet.dedup();
    // the last code ends a line
    let codes = alphabet.len() as i64 + 1;
    let (n, device) = (lines.len(), device(&arguments)?);
    let train_rows = if quick { 4000.min(n * 9 / 10) } else { n * 9 / 10 };
    let part = |lines: &[&str]| encode(lines, &alphabet, device);
    let data = part(&lines[..train_rows])?;
    let judged = if quick { 300.min(n / 20) } else { n / 20 };
    let (valid, test) = (part(&lines[n * 9 / 10..n * 95 / 100][..judged])?, part(&lines[n * 95 / 100..][..judged])?);
    println!("{} lines of up to {LENGTH} characters, {codes} codes", data.n_rows());

    let spec = |hidden| RecurrentSpec { steps: Steps::Tokens { codes, embedding: 24 }, cell: Cell::Gru, hidden, layers: 1 };
    let hidden = arguments.option("hidden", if quick { 64 } else { 256 })?;
    let architecture = Architecture {
        encoder: EncoderSpec::Recurrent(spec(hidden)),
        decoder: DecoderSpec::Recurrent(spec(hidden)),
        likelihood: LikelihoodSpec::Categorical { codes },
        ..Architecture::mlp(LENGTH as i64, 16, &[])
    };
    let epochs = arguments.option("epochs", if quick { 8 } else { 30 })?;
    let objective = |beta, free_nats| Objective::Elbo(Elbo { beta, free_nats, ..Elbo::default() });
    let training = Training {
        objective: objective(1.0, 0.25),
        epochs,
        batch_size: 64,
        learning_rate: Schedule::Exponential { start: 4e-3, end: 4e-4 },
        clip_norm: Some(10.0),
        warm_up: epochs / 2,
        ..Training::default()
    };
    let start = || Vae::new(architecture.clone(), &data, seed);
    println!("with latents:");
    let vae = train(&training, start()?, &data, Some(&valid), &arguments)?.vae;
    println!("without (KL weighted 100 times):");
    let language = Training { objective: objective(100.0, 0.0), warm_up: 0, ..training };
    let language = train(&language, start()?, &data, Some(&valid), &arguments)?.vae;

    let memory = EvaluationMemory::default();
    let of = |vae: &Vae| -> Outcome<(f64, f64)> {
        let (bound, _) = mean_of(&elbo(vae, &test.rows, KlTerm::Analytic, 4, memory, 7)?);
        let q = tch::no_grad(|| vae.posterior(&test.rows));
        let kl = tch::no_grad(|| vae.parts.prior.kl(q.as_ref())).ok_or("no closed form")?;
        Ok((bound, kl.mean(Kind::Double).double_value(&[])))
    };
    let ((bound, kl), (language_bound, language_kl)) = (of(&vae)?, of(&language)?);
    let (log_p, _) = mean_of(&importance(&vae, &test.rows, 50, memory, 7)?.bound);
    println!(
        "test ELBO {bound:.2} nats a line with KL {kl:.2}, L_50 {log_p:.2}; language model {language_bound:.2} with KL {language_kl:.3}"
    );
    let within = bound - language_bound > -2.0;
    println!("wanted: KL > 1 ({}), at most 2 nats below the language model ({})", said(kl > 1.0), said(within));
    activity(&vae, &test.rows)?;

    println!("\ndrawn from the prior:");
    show(&simulate(&vae, 8, None, seed)?.batch.x, &alphabet)?;
    println!("\non the way from one line to another:");
    let ends = test.rows.narrow(0, 2);
    let z = tch::no_grad(|| vae.posterior(&ends).mode());
    let path = linear(&z.select(0, 0), &z.select(0, 1), 5)?;
    show(&ends.x.narrow(0, 0, 1), &alphabet)?;
    show(&sample_given(&vae, &path, None, seed)?, &alphabet)?;
    show(&ends.x.narrow(0, 1, 1), &alphabet)
}

fn said(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// Codes, with what is behind the end missing.
fn encode(lines: &[&str], alphabet: &[char], device: tch::Device) -> Outcome<Dataset> {
    let end = alphabet.len() as f64;
    let (mut x, mut observed) = (Array2::zeros((lines.len(), LENGTH)), Array2::zeros((lines.len(), LENGTH)));
    for (n, line) in lines.iter().enumerate() {
        let codes = line.chars().map(|c| alphabet.binary_search(&c).map_or(end, |at| at as f64));
        for (t, code) in codes.chain([end]).enumerate() {
            x[(n, t)] = code;
            observed[(n, t)] = 1.0;
        }
    }
    let mut data = Dataset::new(&x, Kind::Float, device)?;
    data.rows = Batch { observed: Some(from_matrix(&observed, Kind::Float, device)), ..data.rows };
    Ok(data)
}

/// Prints codes as text, up to the end of the line.
fn show(x: &Tensor, alphabet: &[char]) -> Outcome {
    for row in to_matrix(x)?.outer_iter() {
        let text: String = row.iter().map_while(|c| alphabet.get(*c as usize)).collect();
        println!("  | {text}");
    }
    Ok(())
}
