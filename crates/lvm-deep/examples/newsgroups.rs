//! Documents in groups: one discrete latent, summed out exactly, over bags of words.
//!
//! `cargo run --release -p lvm-deep --example newsgroups -- [--quick] [--groups 20] [--data FOLDER] [--device cuda] [--minutes M] [--seed 1]`
//!
//! p(z) p(x | z) with z one of K values is a mixture of multinomials; q(z | x) is read off by a net. Printed: the words that tell each group
//! from the rest, agreement with the 20 newsgroups that the documents come from (which training never sees), and perplexity exp(−Σ log p/Σ length),
//! where log p is that of the words in their order, so without the multinomial coefficient. No epoch is chosen: the last one is the model.

#![allow(clippy::print_stdout)]

mod shared;

use lvm_deep::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec, PosteriorSpec, PriorSpec};
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::nets::Input;
use lvm_deep::optimizer::Schedule;
use lvm_deep::tasks::clustering::categories;
use lvm_deep::tasks::{adjusted_rand_index, normalized_mutual_information};
use lvm_deep::tensor::{to_matrix, to_values};
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};
use ndarray::{Array2, Axis};
use shared::{Arguments, Outcome, device, lines, mean, train};
use std::path::Path;

const SOURCE: &str = "data/20ng.zip of github.com/jiacheng-xu/vmf_vae_nlp: train.feat, test.feat, vocab.new, compressed by gzip or not";
const WORDS: usize = 2000;

fn main() -> Outcome {
    let arguments = Arguments::new();
    let folder = arguments.folder("news20_nvdm", SOURCE)?;
    let (quick, seed) = (arguments.flag("quick"), arguments.option("seed", 1)?);
    let words: Vec<String> = lines(folder.join("vocab.new.gz"))?.iter().map(|l| l.split(' ').next().unwrap_or("").to_owned()).collect();
    let (x, _) = documents(&folder.join("train.feat.gz"))?;
    let (y, labels) = documents(&folder.join("test.feat.gz"))?;
    let device = device(&arguments)?;
    let (data, test) = (Dataset::new(&x, Kind::Float, device)?, Dataset::new(&y, Kind::Float, device)?);

    let groups: i64 = arguments.option("groups", 20)?;
    let architecture = Architecture {
        input: Input::Log1p,
        encoder: EncoderSpec::mlp(&[100]),
        posterior: PosteriorSpec::Categorical,
        prior: PriorSpec::Categorical { trained: true },
        decoder: DecoderSpec::mlp(&[]),
        likelihood: LikelihoodSpec::Multinomial,
        ..Architecture::mlp(WORDS as i64, groups, &[])
    };
    let epochs = arguments.option("epochs", if quick { 8 } else { 60 })?;
    let learning_rate = Schedule::Exponential { start: 5e-3, end: 5e-4 };
    let training = Training { epochs, batch_size: 128, learning_rate, warm_up: epochs / 4, ..Training::default() };
    let vae = train(&training, Vae::new(architecture, &data, seed)?, &data, None, &arguments)?.vae;

    // log p(x) exactly, by summation over the groups
    let log_p = to_values(&tch::no_grad(|| vae.summation(&test.rows).map(|s| s.log_evidence())).ok_or("the latent is not discrete")?);
    let orders = vae.parts.likelihood.log_prob_row(&test.rows).map(|c| to_values(&c)).ok_or("no coefficient")?;
    let lengths = y.sum_axis(Axis(1));
    let in_order: f64 = log_p.iter().zip(&orders).map(|(l, c)| l - c).sum();
    let (nats, error) = mean(&log_p);
    println!("test log p(x) {nats:.2} +- {error:.2} nats a document (exact); perplexity {:.1}", (-in_order / lengths.sum()).exp());
    let background: f64 = {
        let counts = x.sum_axis(Axis(0)) + 1.0;
        let total = counts.sum();
        (y.sum_axis(Axis(0)) * counts.mapv(|c| (c / total).ln())).sum()
    };
    println!("perplexity of one multinomial for all documents {:.1}", (-background / lengths.sum()).exp());

    let found = categories(&vae, &test.rows)?;
    println!(
        "groups against newsgroups, {} test documents: ARI {:.3}, NMI {:.3}",
        y.nrows(),
        adjusted_rand_index(&found, &labels)?,
        normalized_mutual_information(&found, &labels)?
    );
    tell_groups(&vae, &found, &words, &x)
}

/// Counts (N, words) and newsgroups of lines `label index:count …`.
fn documents(path: &Path) -> Outcome<(Array2<f64>, Vec<usize>)> {
    let lines = lines(path)?;
    let mut x = Array2::zeros((lines.len(), WORDS));
    let mut labels = Vec::with_capacity(lines.len());
    for (n, line) in lines.iter().enumerate() {
        let mut fields = line.split_whitespace();
        labels.push(fields.next().ok_or("an empty line")?.parse()?);
        for field in fields {
            let (word, count) = field.split_once(':').ok_or_else(|| format!("{}: line {}: {field}", path.display(), n + 1))?;
            x[(n, word.parse::<usize>()? - 1)] += count.parse::<f64>()?;
        }
    }
    Ok((x, labels))
}

/// The words of every group that add most to its divergence from the whole.
fn tell_groups(vae: &Vae, found: &[usize], words: &[String], x: &Array2<f64>) -> Outcome {
    let k = vae.latents();
    let z = Tensor::eye(k, (vae.parameters.kind(), vae.parameters.device()));
    let nothing = Batch::new(Tensor::zeros([k, WORDS as i64], (vae.parameters.kind(), vae.parameters.device())));
    let log_shares = to_matrix(&tch::no_grad(|| vae.outputs(&z.unsqueeze(0), &nothing).squeeze_dim(0).log_softmax(-1, None)))?;
    let counts = x.sum_axis(Axis(0)) + 1.0;
    let log_whole = (&counts / counts.sum()).ln();
    for (group, log_share) in log_shares.outer_iter().enumerate() {
        let telling = log_share.exp() * (&log_share - &log_whole);
        let mut order: Vec<usize> = (0..words.len()).collect();
        order.sort_by(|a, b| telling[*b].total_cmp(&telling[*a]));
        let size = found.iter().filter(|g| **g == group).count();
        let top: Vec<&str> = order.iter().take(8).map(|w| words[*w].as_str()).collect();
        println!("group {group:2}, {size:4} documents: {}", top.join(" "));
    }
    Ok(())
}
