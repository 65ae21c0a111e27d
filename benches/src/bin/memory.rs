//! Peak memory of stochastic variational inference on a table that stays on disk, at two numbers of rows.
//!
//! `cargo run --release -p lvm-bench --bin memory [N …]` writes tables of N rows, fits each in a process of its own and prints that process's
//! peak resident set, which should not depend on N.

#![allow(clippy::print_stdout)]

use lvm_core::fit::Algorithm;
use lvm_data::{NpyRows, ReadOptions};
use lvm_vi::cavi::mixture::{BayesianMixture, StochasticBayesianMixture};
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

/// D and K.
const SHAPE: (usize, usize) = (16, 8);
/// Steps, of batches of 1024.
const STEPS: u64 = 500;

/// Clusters around K centres, row by row, so that nothing is held.
fn write(path: &Path, n: usize) -> std::io::Result<()> {
    let (d, k) = SHAPE;
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({n}, {d}), }}");
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"\x93NUMPY\x01\x00")?;
    file.write_all(&(header.len() as u16).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for i in 0..n {
        for j in 0..d {
            let noise = ((i * 7919 + j * 104_729) as f64).sin() + ((i * 31 + j * 17) as f64 * 0.37).cos();
            let centre = if (i % k) == j % k { 5.0 } else { 0.0 };
            file.write_all(&(centre + noise).to_le_bytes())?;
        }
    }
    file.flush()
}

/// The fit, in this process: its peak resident set.
fn fit(path: &Path) -> Result<(), Box<dyn Error>> {
    let rows = NpyRows::open(path, &ReadOptions::default())?;
    let mixture = BayesianMixture { components: SHAPE.1, ..Default::default() };
    let svi = StochasticBayesianMixture::new(mixture);
    let mut state = svi.init(&rows, 1)?;
    svi.advance(&mut state, &rows, STEPS)?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    let kib: f64 = peak.split_whitespace().next().ok_or("no number")?.parse()?;
    println!("{:.1}", kib / 1024.0);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, path] = args.as_slice()
        && flag == "--fit"
    {
        return fit(Path::new(path));
    }
    let sizes: Vec<usize> = args.iter().map(|a| a.parse()).collect::<Result<_, _>>()?;
    let sizes = if sizes.is_empty() { vec![100_000, 4_000_000] } else { sizes };
    let folder = tempfile::tempdir()?;
    println!(
        "| stochastic Bayesian mixture, D={} K={}, {STEPS} steps of 1024 rows | data, MiB | peak, MiB |\n|---|---|---|",
        SHAPE.0, SHAPE.1
    );
    for n in sizes {
        let path = folder.path().join(format!("{n}.npy"));
        write(&path, n)?;
        let out = Command::new(std::env::current_exe()?).arg("--fit").arg(&path).output()?;
        if !out.status.success() {
            return Err(String::from_utf8_lossy(&out.stderr).into());
        }
        let data = (n * SHAPE.0 * 8) as f64 / (1 << 20) as f64;
        println!("| N={n} | {data:.0} | {} |", String::from_utf8_lossy(&out.stdout).trim());
        std::fs::remove_file(&path)?;
    }
    Ok(())
}
