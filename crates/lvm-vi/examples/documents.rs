//! Topics of this project's own documentation: a mixture of multinomials clusters its sections by argmax p(z | x), latent Dirichlet
//! allocation finds several topics in each.
//!
//! Run with `cargo run --release -p lvm-vi --example documents` in a checkout of the repository.

#![allow(clippy::print_stdout)]

use lvm_vi::cavi::documents::Documents;
use lvm_vi::cavi::lda::Lda;
use lvm_vi::cavi::multinomial_mixture::MultinomialMixtureEm;
use ndarray::{Array2, ArrayView1};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// A word of the vocabulary stands in at least this many sections, and in at most a quarter of them.
const FEWEST: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sections = sections(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")))?;
    let (vocabulary, documents) = count(&sections)?;
    println!("{} sections of the book, {} words in the vocabulary.\n", documents.len(), vocabulary.len());

    let mixture = MultinomialMixtureEm { components: 6, prior_count: 0.1, ..Default::default() }.fit(&documents, 1)?;
    let clusters = mixture.model.clusters(&documents)?;
    println!("Mixture of multinomials, one topic a section:");
    for k in 0..6 {
        let titles: Vec<&str> = sections.iter().zip(&clusters).filter(|(_, c)| **c == k).map(|(s, _)| s.0.as_str()).take(4).collect();
        println!("  {:<70} {}", top(&vocabulary, mixture.model.words().row(k)), titles.join(" · "));
    }

    let lda = Lda { topics: 6, ..Default::default() }.fit(&documents, 1)?;
    let topics: Array2<f64> = lda.model.topics();
    println!("\nLatent Dirichlet allocation, several topics a section ({:.3} nats a word):", lda.model.per_word_bound(&documents)?);
    for row in topics.rows() {
        println!("  {}", top(&vocabulary, row));
    }
    let shares = lda.model.infer(&documents)?.shares();
    println!("\nShares of the topics in the first five sections:");
    for (section, shares) in sections.iter().zip(shares.rows()).take(5) {
        let shares: Vec<String> = shares.iter().map(|s| format!("{s:.2}")).collect();
        println!("  {:<40} {}", section.0, shares.join("  "));
    }
    Ok(())
}

/// The seven likeliest words of a topic.
fn top(vocabulary: &[String], probabilities: ArrayView1<'_, f64>) -> String {
    let mut order: Vec<usize> = (0..vocabulary.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order.iter().take(7).map(|&w| vocabulary[w].as_str()).collect::<Vec<_>>().join(" ")
}

/// Title and text of every section of the pages in a folder, in the order of their files.
fn sections(folder: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut pages: Vec<_> = [folder.to_owned(), folder.join("models"), folder.join("algorithms")]
        .iter()
        .filter_map(|f| std::fs::read_dir(f).ok())
        .flatten()
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.sort();
    let mut sections: Vec<(String, String)> = Vec::new();
    for page in pages {
        for line in std::fs::read_to_string(page)?.lines() {
            match line.strip_prefix('#') {
                Some(title) => sections.push((title.trim_start_matches(['#', ' ']).to_owned(), String::new())),
                None => {
                    if let Some((_, text)) = sections.last_mut() {
                        text.push_str(line);
                        text.push('\n');
                    }
                }
            }
        }
    }
    sections.retain(|(_, text)| text.split_whitespace().count() >= 30);
    Ok(sections)
}

/// The vocabulary and the counts of its words in each section.
fn count(sections: &[(String, String)]) -> lvm_core::Result<(Vec<String>, Documents)> {
    let counts: Vec<BTreeMap<String, f64>> = sections
        .iter()
        .map(|(_, text)| {
            let mut counts = BTreeMap::new();
            for word in text.split(|c: char| !c.is_alphabetic()).filter(|w| w.chars().count() > 3) {
                *counts.entry(word.to_lowercase()).or_insert(0.0) += 1.0;
            }
            counts
        })
        .collect();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    counts.iter().flat_map(|c| c.keys()).for_each(|w| *places.entry(w).or_insert(0) += 1);
    let vocabulary: Vec<String> =
        places.iter().filter(|(_, n)| **n >= FEWEST && 4 * **n <= sections.len()).map(|(w, _)| (*w).to_owned()).collect();
    let index: HashMap<&str, usize> = vocabulary.iter().enumerate().map(|(i, w)| (w.as_str(), i)).collect();
    let rows = counts.iter().map(|c| c.iter().filter_map(|(w, n)| index.get(w.as_str()).map(|&i| (i, *n))).collect::<Vec<_>>());
    Ok((vocabulary.clone(), Documents::from_rows(vocabulary.len(), rows)?))
}
