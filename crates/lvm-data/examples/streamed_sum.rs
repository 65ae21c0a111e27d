//! Adds up every column of a file that stays on disk, and says how much memory that took:
//! `cargo run --release --example streamed_sum -- FILE`.
#![allow(clippy::print_stdout)]

use lvm_core::rows::RowSource;
use lvm_core::sweep::{Merge, Plan, sweep};
use lvm_data::{ReadOptions, Source};
use std::time::Instant;

struct Sums(Vec<f64>);

impl Merge for Sums {
    fn merge(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("a file is needed")?;
    let start = Instant::now();
    let source = Source::open(&path, &ReadOptions::default(), Source::IN_MEMORY)?;
    println!("{} rows, {} columns, opened in {:.2?}", source.n_rows(), source.n_cols(), start.elapsed());
    let start = Instant::now();
    let sums = sweep(
        &source,
        Plan::new(source.n_cols(), 8 * source.n_cols()),
        || Sums(vec![0.0; source.n_cols()]),
        |total, block| {
            total.0.iter_mut().enumerate().for_each(|(j, sum)| *sum += block.column(j).iter().sum::<f64>());
            Ok(())
        },
    )?;
    println!("one pass in {:.2?}, total {}", start.elapsed(), sums.0.iter().sum::<f64>());
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        status.lines().filter(|l| l.starts_with("VmHWM")).for_each(|l| println!("{l}"));
    }
    Ok(())
}
