//! Identities of the conjugate models: order of rows, words and components, a row twice or with weight two, units.

use super::{doubled, orthogonal, rounding_of_rows};
use crate::check::{Layer, Source, Tolerance};
use crate::layers::documents_by_hand as lda;
use crate::suite::{Group, Outcome, Problem, Suite};
use crate::tables;
use lvm_core::fit::Stopping;
use lvm_core::gmm::CovarianceType;
use lvm_core::rows::{RowSource, Rows};
use lvm_vi::cavi::bayesian_ppca::BayesianPpca;
use lvm_vi::cavi::documents::Documents;
use lvm_vi::cavi::lda::{Lda, LdaStart, LocalStopping};
use lvm_vi::cavi::mixture::{BayesianMixture, MixtureStart, WeightPrior};
use lvm_vi::cavi::multinomial_mixture::{BayesianMultinomialMixture, MultinomialMixtureEm, MultinomialStart};
use ndarray::{Array1, Array2, Axis};

/// All of them.
pub fn all(suite: &mut Suite<'_>) {
    for kind in [CovarianceType::Full, CovarianceType::Diagonal] {
        suite.group(Layer::M, "M1", &format!("iris, Bayesian mixture ({kind})"), |g| mixture(g, kind));
    }
    suite.group(Layer::M, "M1", "wine, Bayesian PPCA", pca);
    suite.group(Layer::M, "M1", "documents, LDA", allocation);
    suite.group(Layer::M, "M1", "documents, mixtures of multinomials", multinomials);
}

const ITERATIONS: usize = 15;
const STOPPING: Stopping = Stopping { max_iterations: ITERATIONS, tolerance: 0.0 };

/// Soft responsibilities that go with their rows.
fn thirds(x: &Array2<f64>) -> Array2<f64> {
    Array2::from_shape_fn((x.nrows(), 3), |(n, k)| if n * 3 / x.nrows() == k { 0.8 } else { 0.1 })
}

fn mixture(g: &mut Group<'_>, kind: CovarianceType) -> Outcome {
    let x = tables::real("iris")?.x;
    let (n, d) = x.dim();
    let r = thirds(&x);
    let run = |data: &dyn RowSource, r: &Array2<f64>| -> Result<Array1<f64>, Problem> {
        let start = MixtureStart::Responsibilities(r.clone());
        // sticks are broken in order: only the Dirichlet does not tell labels apart
        let weights = WeightPrior::Dirichlet { concentration: 1.0 };
        let config =
            BayesianMixture { components: 3, covariance: kind, weights, start, restarts: 1, stopping: STOPPING, ..Default::default() };
        Ok(Array1::from(config.fit(data, 0)?.trace))
    };
    let base = run(&x, &r)?;
    // species differ by a fifth of a centimetre in their narrowest direction
    let t = rounding_of_rows(&x, 0.1, ITERATIONS);
    let reversed: Vec<usize> = (0..n).rev().collect();
    let other = run(&x.select(Axis(0), &reversed), &r.select(Axis(0), &reversed))?;
    g.array("row order: trace", Source::I, &other, &base, &t);
    let columns: Vec<usize> = (0..d).map(|j| (j + 1) % d).collect();
    g.array("column order: trace", Source::I, &run(&x.select(Axis(1), &columns), &r)?, &base, &t);
    g.array("labels: trace", Source::I, &run(&x, &r.select(Axis(1), &[2, 0, 1]))?, &base, &t);
    // the default prior has the units of the table; powers of two scale exactly
    let factors = Array1::from_shape_fn(d, |j| [8.0, 0.25, 1024.0, 2.0][j % 4]);
    let log_det: f64 = factors.iter().map(|f: &f64| f.ln()).sum();
    g.array("unit change: trace + log|det|", Source::I, &(run(&(&x * &factors), &r)? + log_det), &base, &t);
    let (rows, weights) = doubled(n);
    let twice = run(&x.select(Axis(0), &rows), &r.select(Axis(0), &rows))?;
    g.array("weight 2 = row twice: trace", Source::I, &run(&Rows::new(&x).weighted(weights.view())?, &r)?, &twice, &t);
    Ok(())
}

fn pca(g: &mut Group<'_>) -> Outcome {
    let x = crate::layers::shared::standardised(&tables::real("wine")?.x);
    let (n, d) = x.dim();
    let run = |data: &dyn RowSource| -> Result<Array1<f64>, Problem> {
        let config = BayesianPpca { components: Some(4), stopping: STOPPING, ..Default::default() };
        Ok(Array1::from(config.fit(data, 0)?.trace))
    };
    let base = run(&x)?;
    // the smallest standard deviation that is fitted is that of the noise, about a half
    let t = rounding_of_rows(&x, 0.3, ITERATIONS);
    let reversed: Vec<usize> = (0..n).rev().collect();
    g.array("row order: trace", Source::I, &run(&x.select(Axis(0), &reversed))?, &base, &t);
    let columns: Vec<usize> = (0..d).map(|j| (j + 5) % d).collect();
    g.array("column order: trace", Source::I, &run(&x.select(Axis(1), &columns))?, &base, &t);
    g.array("rotated data: trace", Source::I, &run(&x.dot(&orthogonal(d).t()))?, &base, &t);
    let moved = run(&(&x * 4.0))? + d as f64 * 4f64.ln();
    g.array("unit change: trace + D log 4", Source::I, &moved, &base, &t);
    let (rows, weights) = doubled(n);
    let twice = run(&x.select(Axis(0), &rows))?;
    g.array("weight 2 = row twice: trace", Source::I, &run(&Rows::new(&x).weighted(weights.view())?)?, &twice, &t);
    Ok(())
}

/// What changes only the order of sums, after some iterations.
fn sums() -> Tolerance {
    Tolerance::relative(1e-10, "the same sums in another order, fifteen contracting iterations (VERIFY: 1e-10)")
}

/// What a fit of documents, seen in some order, leaves as numbers.
type Run<'a> = &'a dyn Fn(&Documents, &Seen) -> Result<Vec<f64>, Problem>;

/// The orders that are tried, of documents and of words, and documents twice as against with weight 2.
fn identities(g: &mut Group<'_>, name: &str, run: Run<'_>) -> Outcome {
    let counts = lda::counts(24);
    let (m, v) = counts.dim();
    let plain = Seen { documents: (0..m).collect(), words: (0..v).collect() };
    let trace = |seen: &Seen, weights: Option<Vec<f64>>| -> Result<Array1<f64>, Problem> {
        let table = counts.select(Axis(0), &seen.documents).select(Axis(1), &seen.words);
        let documents = lda::documents(&table)?;
        Ok(Array1::from(run(&weights.map_or(Ok(documents.clone()), |w| documents.clone().weighted(w))?, seen)?))
    };
    let base = trace(&plain, None)?;
    let reversed = Seen { documents: (0..m).rev().collect(), ..plain.clone() };
    g.array(format!("{name}: order of documents: trace"), Source::I, &trace(&reversed, None)?, &base, &sums());
    let turned = Seen { words: (0..v).map(|w| (5 * w + 3) % v).collect(), ..plain.clone() };
    g.array(format!("{name}: order of words: trace"), Source::I, &trace(&turned, None)?, &base, &sums());
    let (rows, weights) = doubled(m);
    let twice = trace(&Seen { documents: rows, ..plain.clone() }, None)?;
    g.array(format!("{name}: weight 2 = document twice: trace"), Source::I, &trace(&plain, Some(weights.to_vec()))?, &twice, &sums());
    Ok(())
}

/// Which documents and words a run sees, in which order.
#[derive(Clone)]
struct Seen {
    documents: Vec<usize>,
    words: Vec<usize>,
}

fn allocation(g: &mut Group<'_>) -> Outcome {
    identities(g, "LDA", &|documents, seen| {
        let lda = Lda {
            topics: lda::K,
            start: LdaStart::Lambda(lda::lambda().select(Axis(0), &seen.words)),
            // a fixed number, so that no rounding decides whether there is one more
            local: LocalStopping { max_iterations: 40, tolerance: 0.0 },
            stopping: STOPPING,
            ..Default::default()
        };
        Ok(lda.fit(documents, 0)?.trace)
    })?;
    let documents = lda::documents(&lda::counts(24))?;
    let run = |topics: &[usize]| -> Result<Array1<f64>, Problem> {
        let start = LdaStart::Lambda(lda::lambda().select(Axis(1), topics));
        let lda = Lda {
            topics: lda::K,
            start,
            local: LocalStopping { max_iterations: 40, tolerance: 0.0 },
            stopping: STOPPING,
            ..Default::default()
        };
        Ok(Array1::from(lda.fit(&documents, 0)?.trace))
    };
    g.array("LDA: order of topics: trace", Source::I, &run(&[2, 0, 1])?, &run(&[0, 1, 2])?, &sums());
    Ok(())
}

fn multinomials(g: &mut Group<'_>) -> Outcome {
    let start = |seen: &Seen| {
        let of = |d: usize, k: usize| if d % 3 == k { 0.8 } else { 0.1 };
        MultinomialStart::Responsibilities(Array2::from_shape_fn((seen.documents.len(), 3), |(i, k)| of(seen.documents[i], k)))
    };
    identities(g, "EM", &|documents, seen| {
        let em = MultinomialMixtureEm { components: 3, start: start(seen), stopping: STOPPING, ..Default::default() };
        Ok(em.fit(documents, 0)?.trace)
    })?;
    identities(g, "Bayesian", &|documents, seen| {
        let vb = BayesianMultinomialMixture { components: 3, start: start(seen), stopping: STOPPING, ..Default::default() };
        Ok(vb.fit(documents, 0)?.trace)
    })
}
