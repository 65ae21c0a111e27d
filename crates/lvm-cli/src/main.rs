//! The program `lvm`: fit, choose, score and use latent-variable models from the command line.
//!
//! Typed arguments ([`args`]) become checked requests in [`commands`], which call `lvm-core` and `lvm-data` and hand what they learn to
//! [`report`]. Standard output carries the answer, standard error carries nothing unless something is wrong.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod failure;
mod figure;
mod hint;
mod input;
mod output;
mod progress;
mod report;
mod stored;
mod typo;

use args::Cli;
use clap::Parser;
use failure::{Failure, Outcome};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let ended = match Cli::try_parse() {
        Ok(cli) => in_pool(cli.threads, || commands::run(cli.command)).map(|()| ExitCode::SUCCESS),
        Err(error) => typo::explain(&error),
    };
    ended.unwrap_or_else(|failure| {
        let code = failure.code();
        if code != 0 {
            // Nothing is left to do if standard error is gone too.
            let _ = writeln!(std::io::stderr(), "{failure}");
        }
        ExitCode::from(code)
    })
}

/// Runs `work` on `threads` threads, or on rayon's own pool.
fn in_pool(threads: Option<usize>, work: impl FnOnce() -> Outcome + Send) -> Outcome {
    let Some(threads) = threads else { return work() };
    #[cfg(feature = "deep")]
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| Failure::fault(format!("can't start {threads} threads: {error}")))?;
    pool.install(work)
}
