//! Fits a Gaussian mixture to a file that stays on disk, and says how much memory that took:
//! `cargo run --release --example streamed_fit -- FILE COMPONENTS ITERATIONS`.
#![allow(clippy::print_stdout)]

use lvm_core::fit::Stopping;
use lvm_core::gmm::GmmEm;
use lvm_core::rows::RowSource;
use lvm_data::{ReadOptions, Source};
use std::ops::ControlFlow;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("a file is needed")?;
    let components = arguments.next().map_or(Ok(3), |k| k.parse())?;
    let max_iterations = arguments.next().map_or(Ok(10), |i| i.parse())?;
    let source = Source::open(&path, &ReadOptions::default(), Source::IN_MEMORY)?;
    println!("{} rows, {} columns", source.n_rows(), source.n_cols());
    let start = Instant::now();
    let em = GmmEm { components, stopping: Stopping { max_iterations, tolerance: 0.0 }, ..GmmEm::default() };
    let mut last = start;
    let fitted = em.fit_watched(&source, 0, &mut |progress| {
        match progress.iteration {
            0 => println!("start {}, a pass: {:.2?}", progress.restart, last.elapsed()),
            iteration => println!("start {}, iteration {iteration}: {:.2?}", progress.restart, last.elapsed()),
        }
        last = Instant::now();
        ControlFlow::Continue(())
    })?;
    println!("{:.2?} in all, mean log-likelihood {}", start.elapsed(), fitted.objective());
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        status.lines().filter(|l| l.starts_with("VmHWM")).for_each(|l| println!("{l}"));
    }
    Ok(())
}
