//! Verification of latent-variable models against exact truths: checks as data, reports as table, JSON and HTML.
//!
//! A [check](check::Check) says what is compared, with which truth and of which source, how far apart the two may be and why. Checks live
//! in [`layers`]; they call the code under test through one trait, [`subject::Subject`], so that a deliberately broken implementer can
//! take its place: a check that can't fail checks nothing. Truth comes from reference files ([`case`]) or, with the feature `oracle`, from
//! textbook formulas on LAPACK that share no code with the library. [`target`] checks a log density of one's own, which needs no truth.
//!
//! ```
//! use lvm_verify::{run::{Options, run}, subject::Library, suite::Selection};
//! let selection = Selection { cases: vec!["no such case".into()], ..Default::default() };
//! let report = run(&Library, &Options { selection, ..Default::default() }, |_| {});
//! assert!(report.checks.is_empty() && !report.passed());
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod case;
pub mod check;
pub mod headline;
pub mod layers;
pub mod mutants;
pub mod neural;
pub mod oracle;
pub mod posterior;
pub mod report;
pub mod run;
pub mod selftest;
pub mod stochastic;
pub mod subject;
pub mod suite;
pub mod tables;

pub use layers::target;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
