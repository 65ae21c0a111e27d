//! Variational Bayes for Gaussian mixtures and latent Dirichlet allocation against scikit-learn.

use super::{Peer, Result, Settings, cpu_seconds, median};
use lvm_bench::data::{Layout, documents, table};
use lvm_bench::npy;
use lvm_core::fit::{Algorithm, Stopping};
use lvm_core::random::{Purpose, stream};
use lvm_vi::cavi::documents::Documents;
use lvm_vi::cavi::lda::{Lda, LdaModel, LocalStopping, OnlineLda};
use lvm_vi::cavi::mixture::{BayesianMixture, MixtureStart, WeightPrior};
use ndarray::{Array1, Array2, Ix2};
use rand::RngExt;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// N, D and K of the mixture.
const MIXTURE: (usize, usize, usize) = (100_000, 64, 10);
/// Documents, words and topics where no documents are given.
const DOCUMENTS: (usize, usize, usize) = (11_000, 10_000, 50);
/// Words of a document on average.
const LENGTH: usize = 100;
/// Passes over the documents.
const PASSES: usize = 3;

/// Prints the tables.
pub(crate) fn compare(settings: &Settings, out: &mut impl Write) -> Result<()> {
    let (mixtures, topics) = ("Bayesian Gaussian mixture, N=100000 D=64 K=10", "LDA, 50 topics");
    if !mixtures.contains(&settings.only) && !topics.contains(&settings.only) {
        return Ok(());
    }
    let mut peer = Peer::new(&settings.python, "conjugate.py")?;
    if mixtures.contains(&settings.only) {
        mixture(settings, &mut peer, out)?;
    }
    if topics.contains(&settings.only) {
        lda(settings, &mut peer, out)?;
    }
    Ok(())
}

/// Seconds per iteration.
fn mixture(settings: &Settings, peer: &mut Peer, out: &mut impl Write) -> Result<()> {
    let (n, d, k) = MIXTURE;
    writeln!(
        out,
        "\n| Bayesian Gaussian mixture, full, N={n} D={d} K={k} | lvm, s | scikit-learn {}, s | ratio | target | CPU, s | CPU, s | ratio | means differ by |",
        peer.version
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    for (name, layout) in [("clusters", Layout::Clusters), ("one cloud", Layout::Cloud)] {
        let x = table(layout, n, d, k);
        let folder = tempfile::tempdir()?;
        let start = responsibilities(n, k);
        npy::write(&folder.path().join("x.npy"), &x)?;
        npy::write(&folder.path().join("responsibilities.npy"), &start)?;
        let vb = BayesianMixture {
            components: k,
            weights: WeightPrior::Dirichlet { concentration: 1.0 },
            start: MixtureStart::Responsibilities(start),
            // ours begins with the update of the parameters, which scikit-learn does before its first iteration: with one more, both have
            // made as many, and the means can be compared
            stopping: Stopping { max_iterations: settings.iterations + 1, tolerance: 0.0 },
            ..Default::default()
        };
        let (mut a, mut b, mut cpu_a, mut cpu_b, mut difference) = (vec![], vec![], vec![], vec![], 0.0_f64);
        for _ in 0..settings.rounds {
            let mut times = Vec::new();
            let fitted = vb.fit_watched(&x, 0, &mut |_| {
                times.push((Instant::now(), cpu_seconds()));
                ControlFlow::Continue(())
            })?;
            a.extend(times.windows(2).map(|t| (t[1].0 - t[0].0).as_secs_f64()));
            if let [first, .., last] = times.as_slice() {
                cpu_a.push((last.1 - first.1) / (times.len() - 1) as f64);
            }
            let answer = peer.ask(&format!("{} mixture {}", folder.path().display(), settings.iterations))?;
            b.extend(answer["wall"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64));
            cpu_b.push(answer["cpu"].as_f64().unwrap_or(f64::NAN));
            let theirs = npy::read(&folder.path().join("means.npy"))?.into_dimensionality::<Ix2>()?;
            difference = (fitted.model.components().means() - &theirs).iter().fold(difference, |m, e| m.max(e.abs()));
        }
        let (a, b, cpu_a, cpu_b) = (median(a), median(b), median(cpu_a), median(cpu_b));
        writeln!(
            out,
            "| {name} | {a:.4} | {b:.4} | {:.1} | 10 | {cpu_a:.3} | {cpu_b:.3} | {:.1} | {difference:.0e} |",
            b / a,
            cpu_b / cpu_a
        )?;
        out.flush()?;
    }
    Ok(())
}

/// Responsibilities (N, K) drawn uniformly from the simplex: no row is without a share of any component at first.
fn responsibilities(n: usize, k: usize) -> Array2<f64> {
    let mut rng = stream(12, Purpose::Sample, n as u64);
    let mut out = Array2::from_shape_simple_fn((n, k), || -(1.0 - rng.random::<f64>()).ln());
    out.rows_mut().into_iter().for_each(|mut row| {
        let total = row.sum();
        row /= total;
    });
    out
}

/// Seconds per pass, and the bound per word of documents held out.
fn lda(settings: &Settings, peer: &mut Peer, out: &mut impl Write) -> Result<()> {
    let (name, all) = match &settings.documents {
        Some(path) => ("documents given", read_documents(path)?),
        None => ("documents drawn from an LDA", documents(DOCUMENTS.0, DOCUMENTS.1, DOCUMENTS.2, LENGTH)),
    };
    let topics = DOCUMENTS.2;
    // every eleventh document is held out
    let (held, kept): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(|d| d % 11 == 0);
    let (held, kept) = (all.select(&held), all.select(&kept));
    let folder = tempfile::tempdir()?;
    write_documents(folder.path(), &kept)?;
    let online = OnlineLda::new(Lda { topics, ..Default::default() });
    let batches = kept.len().div_ceil(online.batch) as u64;
    let concentration = 1.0 / topics as f64;
    let (mut a, mut cpu_a, mut mine) = (vec![], vec![], f64::NAN);
    let (mut b, mut bounds) = ([vec![], vec![]], [f64::NAN; 2]);
    for _ in 0..settings.rounds {
        let mut state = Algorithm::init(&online, &kept, 1)?;
        let (begin, work) = (Instant::now(), cpu_seconds());
        online.advance(&mut state, &kept, PASSES as u64 * batches)?;
        a.push(begin.elapsed().as_secs_f64() / PASSES as f64);
        cpu_a.push((cpu_seconds() - work) / PASSES as f64);
        mine = state.model.per_word_bound(&held)?;
        for jobs in [1, 2] {
            let answer = peer.ask(&format!("{} lda-{topics}-{jobs} {PASSES}", folder.path().display()))?;
            b[jobs - 1].push(answer["wall"].as_f64().unwrap_or(f64::NAN));
            let lambda = npy::read(&folder.path().join("lambda.npy"))?.into_dimensionality::<Ix2>()?;
            bounds[jobs - 1] = LdaModel::new(lambda, concentration, concentration, LocalStopping::default())?.per_word_bound(&held)?;
        }
    }
    writeln!(
        out,
        "\n| LDA, {topics} topics, online, {PASSES} passes: {name} | lvm, s a pass | CPU, s | scikit-learn {}, s a pass | with two processes, s | ratio to the faster | target | held-out bound, nats a word | scikit-learn |",
        peer.version
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    let [one, two] = b.map(median);
    let (a, cpu_a) = (median(a), median(cpu_a));
    writeln!(
        out,
        "| {} documents, {} words, {} tokens | {a:.3} | {cpu_a:.3} | {one:.3} | {two:.3} | {:.1} | 3 | {mine:.4} | {:.4} |",
        kept.len(),
        kept.vocabulary(),
        kept.total_words(),
        one.min(two) / a,
        bounds[0]
    )?;
    out.flush()?;
    Ok(())
}

/// Documents in compressed rows as the peer reads them.
fn write_documents(folder: &Path, documents: &Documents) -> Result<()> {
    let (mut offsets, mut words, mut counts) = (vec![0.0], Vec::new(), Vec::new());
    for d in 0..documents.len() {
        let (w, c) = documents.get(d);
        words.extend(w.iter().map(|w| f64::from(*w)));
        counts.extend_from_slice(c);
        offsets.push(words.len() as f64);
    }
    let shape = vec![documents.len() as f64, documents.vocabulary() as f64];
    for (name, values) in [("offsets", offsets), ("words", words), ("counts", counts), ("shape", shape)] {
        npy::write(&folder.join(format!("{name}.npy")), &Array1::from(values))?;
    }
    Ok(())
}

/// Lines `LABEL WORD:COUNT WORD:COUNT …`, words counted from 1; a path that ends in gz is unpacked.
fn read_documents(path: &Path) -> Result<Documents> {
    let file = std::fs::File::open(path)?;
    let unpacked = path.extension().is_some_and(|e| e == "gz");
    let lines: Box<dyn BufRead> =
        if unpacked { Box::new(BufReader::new(flate2::read::GzDecoder::new(file))) } else { Box::new(BufReader::new(file)) };
    let mut rows = Vec::new();
    for line in lines.lines() {
        let line = line?;
        let pair = |p: &str| -> Result<(usize, f64)> {
            let (word, count) = p.split_once(':').ok_or_else(|| format!("{p} is no WORD:COUNT"))?;
            Ok((word.parse::<usize>()?.checked_sub(1).ok_or("words are counted from 1")?, count.parse()?))
        };
        rows.push(line.split_whitespace().skip(1).map(pair).collect::<Result<Vec<_>>>()?);
    }
    let vocabulary = rows.iter().flatten().map(|(w, _)| w + 1).max().unwrap_or(0);
    Ok(Documents::from_rows(vocabulary, rows.into_iter().filter(|r| !r.is_empty()))?)
}
