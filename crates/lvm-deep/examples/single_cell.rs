//! Single cells: negative binomial counts with a latent library size and a batch covariate, the model of scVI.
//!
//! `cargo run --release -p lvm-deep --example single_cell -- [--quick] [--set worm|mixology] [--data FOLDER] [--library latent|observed] [--genes 1000] [--draws 200] [--device cuda] [--minutes M] [--seed 1]`
//!
//! ```text
//! z ~ N(0, I),  log ℓ ~ N(m, s²),  ρ = softmax(net(z, batch)),  x_g ~ NB(ℓ ρ_g, θ_g)
//! ```
//!
//! One hidden layer of 128, ten latents, a dispersion for each gene (Lopez et al. 2018). A tenth of the cells is the test, another tenth chooses
//! the epoch, the rest is trained on. Reported: log p of the test cells (bounds, nats a cell), how well groups of the latents of all cells agree
//! with the cell types (never seen in training), and imputation of hidden counts. The worm neurons' floor is PCA with k-means: ARI .452,
//! NMI .591. Mixology is five cell lines on three plates: the plate is the covariate.

#![allow(clippy::print_stdout)]

mod shared;

use lvm_core::gmm::{CovarianceType, GmmEm};
use lvm_core::model::MapLatent;
use lvm_deep::architecture::{Architecture, DecoderSpec, LikelihoodSpec};
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::evidence::{EvaluationMemory, elbo, importance};
use lvm_deep::likelihood::{Dispersion, Library};
use lvm_deep::nets::Input;
use lvm_deep::objective::KlTerm;
use lvm_deep::optimizer::Schedule;
use lvm_deep::tasks::clustering::centres;
use lvm_deep::tasks::{Impute, adjusted_rand_index, normalized_mutual_information};
use lvm_deep::tensor::from_matrix;
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};
use ndarray::{Array1, Array2, Axis};
use rand::RngExt;
use shared::{Arguments, Outcome, activity, device, lines, mean_of, rows, shuffled, table, train};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Counts with what is known of the cells.
struct Cells {
    counts: Array2<f64>,
    types: Vec<usize>,
    batches: Vec<usize>,
}

fn main() -> Outcome {
    let arguments = Arguments::new();
    let (quick, seed) = (arguments.flag("quick"), arguments.option("seed", 1)?);
    let set: String = arguments.option("set", "worm".to_owned())?;
    let genes = arguments.option("genes", if quick { 300 } else { 1000 })?;
    let cells = match set.as_str() {
        "worm" => worm(
            &arguments
                .folder("scrna_worm_neuron", "scRNA-seq data/worm_neuron_cell.h5 of github.com/ttgump/scDeepCluster, as Matrix Market")?,
        )?,
        "mixology" => mixology(&arguments.folder("scrna_mixology", "data/csv of github.com/LuyiTian/sc_mixology")?)?,
        other => return Err(format!("--set {other}: worm or mixology").into()),
    };
    let cells = most_variable(cells, genes);
    let n_types = cells.types.iter().collect::<BTreeSet<_>>().len();
    let n_batches = cells.batches.iter().max().map_or(1, |b| b + 1);
    let n = cells.counts.nrows();
    println!("{set}: {n} cells, {} genes, {n_types} types, {n_batches} batches", cells.counts.ncols());

    let device = device(&arguments)?;
    let order = shuffled(n, seed);
    let (test_cells, others) = order.split_at(n / 10);
    let (valid_cells, train_cells) = others.split_at(n / 10);
    let dataset = |index: &[usize]| -> Outcome<Dataset> {
        let data = Dataset::new(&rows(&cells.counts, index), Kind::Float, device)?;
        if n_batches == 1 {
            return Ok(data);
        }
        let one_hot = Array2::from_shape_fn((index.len(), n_batches), |(i, b)| f64::from(u8::from(cells.batches[index[i]] == b)));
        Ok(data.with_condition(&one_hot)?)
    };
    let (data, valid, test) = (dataset(train_cells)?, dataset(valid_cells)?, dataset(test_cells)?);

    let kind: String = arguments.option("library", "latent".to_owned())?;
    let library = match kind.as_str() {
        "latent" => Library::Latent,
        "observed" => Library::Observed,
        other => return Err(format!("--library {other}: latent or observed").into()),
    };
    let own = i64::from(library == Library::Latent);
    let architecture = Architecture {
        condition: if n_batches > 1 { n_batches as i64 } else { 0 },
        input: Input::Log1p,
        likelihood: LikelihoodSpec::NegativeBinomial { dispersion: Dispersion::Columns, library },
        ..Architecture::mlp(cells.counts.ncols() as i64, 10 + own, &[128])
    };
    // epochs for about as many steps in a small set as in a large one
    let epochs = arguments.option("epochs", if quick { 20 } else { 120 } * (4000 / n).max(1))?;
    let training = Training {
        epochs,
        batch_size: 128.min(train_cells.len()),
        learning_rate: Schedule::Exponential { start: 1e-3, end: 1e-4 },
        warm_up: epochs / 4,
        patience: Some((epochs / 4).max(1)),
        ..Training::default()
    };
    let vae = train(&training, Vae::new(architecture, &data, seed)?, &data, Some(&valid), &arguments)?.vae;

    let memory = EvaluationMemory::default();
    let (bound, error) = mean_of(&elbo(&vae, &test.rows, KlTerm::Analytic, 10, memory, 7)?);
    let draws = arguments.option("draws", if quick { 50 } else { 200 })?;
    let (log_p, _) = mean_of(&importance(&vae, &test.rows, draws, memory, 7)?.bound);
    let given = if library == Library::Latent { "" } else { " given the library sizes" };
    println!("test, {} cells{given}: ELBO {bound:.2} +- {error:.2}, L_{draws} {log_p:.2} nats a cell", test.n_rows());
    println!("  the same with one latent and a linear decoder: ELBO {:.2}", linear(&data, &test, n_batches, library, seed)?);

    let everything: Vec<usize> = (0..n).collect();
    let all = dataset(&everything)?;
    activity(&vae, &all.rows)?;
    // the library's own latent is no cell type
    let z = centres(&vae, &all.rows)?.slice_axis(Axis(1), (0..10).into()).to_owned();
    for (name, covariance) in [("full covariances", CovarianceType::Full), ("spherical, as k-means", CovarianceType::Spherical)] {
        let em = GmmEm { components: n_types, covariance, restarts: 10, ridge: 1e-6, ..GmmEm::default() };
        let found = em.fit(&z, seed)?.model.map_z(&z)?.to_vec();
        println!(
            "Gaussian mixture of the latents, {name:22} against cell types: ARI {:.3}, NMI {:.3}",
            adjusted_rand_index(&found, &cells.types)?,
            normalized_mutual_information(&found, &cells.types)?
        );
        if n_batches > 1 {
            println!("  against batches (0 is wanted): ARI {:.3}", adjusted_rand_index(&found, &cells.batches)?);
        }
    }
    impute(&vae, &test, &data, seed)
}

/// Hides a tenth of the entries of test cells and fills them in.
fn impute(vae: &Vae, test: &Dataset, data: &Dataset, seed: u64) -> Outcome {
    let rows = test.rows.narrow(0, test.rows.n_rows().min(200));
    let (n, d) = (rows.x.size()[0], rows.x.size()[1]);
    let mut rng = lvm_core::random::stream(seed, lvm_core::random::Purpose::Split, 5);
    let hidden = Array2::from_shape_fn((n as usize, d as usize), |_| f64::from(u8::from(rng.random::<f64>() < 0.1)));
    let hidden = from_matrix(&hidden, rows.x.kind(), rows.x.device());
    let there: Tensor = 1.0 - &hidden;
    let seen =
        Batch { x: &rows.x * &there, observed: Some(there), condition: rows.condition.as_ref().map(Tensor::shallow_clone), weights: None };
    let filled = Impute { importance_draws: 100, imputations: 1, ..Default::default() }.run(vae, &seen, seed)?.mean;
    // for comparison: the gene's share of all training counts, times what is seen of the cell
    let sum = |t: &Tensor, dim: i64| t.sum_dim_intlist([dim].as_slice(), true, Kind::Float);
    let share = sum(&data.rows.x, 0);
    let share = &share / share.sum(Kind::Float);
    let size = sum(&seen.x, 1) / sum(&(&share * seen.observed.as_ref().ok_or("no mask")?), 1);
    let deviance = |mean: &Tensor| {
        // Poisson deviance of hidden entries: 2 [x log(x/μ) − x + μ]
        let mean = mean.clamp_min(1e-6);
        let each = (rows.x.xlogy(&(&rows.x / &mean)) - &rows.x + mean) * 2.0;
        ((each * &hidden).sum(Kind::Double) / hidden.sum(Kind::Double)).double_value(&[])
    };
    println!(
        "a tenth of the entries of {n} test cells hidden: Poisson deviance an entry {:.4}, by the gene's mean share {:.4}",
        deviance(&filled),
        deviance(&(share * size))
    );
    Ok(())
}

/// Mean ELBO of the test cells by one latent and a linear decoder, for comparison.
fn linear(data: &Dataset, test: &Dataset, batches: usize, library: Library, seed: u64) -> Outcome<f64> {
    let own = i64::from(library == Library::Latent);
    let architecture = Architecture {
        condition: if batches > 1 { batches as i64 } else { 0 },
        input: Input::Log1p,
        likelihood: LikelihoodSpec::NegativeBinomial { dispersion: Dispersion::Columns, library },
        decoder: DecoderSpec::mlp(&[]),
        ..Architecture::mlp(data.n_cols() as i64, 1 + own, &[128])
    };
    let training = Training {
        epochs: 20,
        batch_size: 128.min(data.n_rows()),
        learning_rate: Schedule::Exponential { start: 5e-3, end: 5e-4 },
        ..Training::default()
    };
    let vae = training.fit(Vae::new(architecture, data, seed)?, data, None, seed)?.vae;
    Ok(mean_of(&elbo(&vae, &test.rows, KlTerm::Analytic, 10, EvaluationMemory::default(), 7)?).0)
}

fn worm(folder: &Path) -> Outcome<Cells> {
    let counts = table(folder.join("counts.mtx.gz"))?;
    let types = lines(folder.join("labels.txt"))?.iter().map(|l| l.trim().parse()).collect::<Result<Vec<usize>, _>>()?;
    let batches = vec![0; types.len()];
    Ok(Cells { counts, types, batches })
}

/// Three plates of five cell lines, on the genes that all three have; doublets are left out.
fn mixology(folder: &Path) -> Outcome<Cells> {
    let mut plates = Vec::new();
    for plate in 1..=3 {
        let meta = lines(folder.join(format!("sc_celseq2_5cl_p{plate}.metadata.csv.gz")))?;
        let cells: Vec<Option<String>> = meta[1..]
            .iter()
            .map(|line| {
                let mut fields = line.rsplit(',').map(|f| f.trim_matches('"').to_owned());
                let class = fields.next();
                fields.next().filter(|_| class.as_deref() == Some("SNG"))
            })
            .collect();
        let mut genes: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for line in &lines(folder.join(format!("sc_celseq2_5cl_p{plate}.count.csv.gz")))?[1..] {
            let (gene, counts) = line.split_once(',').ok_or("a line without counts")?;
            genes.insert(gene.trim_matches('"').to_owned(), counts.split(',').map(str::parse).collect::<Result<_, _>>()?);
        }
        plates.push((cells, genes));
    }
    let common: Vec<&String> = plates[0].1.keys().filter(|g| plates[1..].iter().all(|(_, genes)| genes.contains_key(*g))).collect();
    let names: BTreeSet<&String> = plates.iter().flat_map(|(cells, _)| cells.iter().flatten()).collect();
    let names: Vec<&String> = names.into_iter().collect();
    let (mut flat, mut types, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    for (batch, (cells, genes)) in plates.iter().enumerate() {
        for (at, line) in cells.iter().enumerate().filter_map(|(at, line)| Some((at, line.as_ref()?))) {
            flat.extend(common.iter().map(|g| genes[*g][at]));
            types.push(names.iter().position(|n| *n == line).ok_or("an unknown line")?);
            batches.push(batch);
        }
    }
    Ok(Cells { counts: Array2::from_shape_vec((types.len(), common.len()), flat)?, types, batches })
}

/// The genes of which log(1 + share · median size) varies most, and the cells that have any of them.
fn most_variable(cells: Cells, genes: usize) -> Cells {
    let sizes = cells.counts.sum_axis(Axis(1));
    let mut sorted = sizes.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(1.0);
    let variance: Array1<f64> = cells
        .counts
        .axis_iter(Axis(1))
        .map(|gene| gene.iter().zip(&sizes).map(|(x, size)| (x * median / size.max(1.0)).ln_1p()).collect::<Array1<f64>>().var(0.0))
        .collect();
    let mut order: Vec<usize> = (0..variance.len()).collect();
    order.sort_by(|a, b| variance[*b].total_cmp(&variance[*a]));
    let counts = cells.counts.select(Axis(1), &order[..genes.min(order.len())]);
    let kept: Vec<usize> = (0..counts.nrows()).filter(|n| counts.row(*n).sum() > 0.0).collect();
    let of = |labels: &[usize]| kept.iter().map(|n| labels[*n]).collect();
    Cells { counts: rows(&counts, &kept), types: of(&cells.types), batches: of(&cells.batches) }
}
