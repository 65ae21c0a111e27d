//! What an evaluation takes stays within the bound that was given: in a program of its own, since what is measured is the whole process.

#![cfg(target_os = "linux")]

use lvm_deep::Kind;
use lvm_deep::architecture::{Architecture, LikelihoodSpec};
use lvm_deep::data::Dataset;
use lvm_deep::evidence::{EvaluationMemory, importance};
use lvm_deep::vae::Vae;
use ndarray::Array2;

/// A line of /proc/self/status, in bytes.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

/// The most that was resident while something was done, beyond what was before.
fn peak(of: impl FnOnce()) -> u64 {
    // sets the high-water mark back to what is resident now
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    of();
    status("VmHWM").saturating_sub(before)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// L_5000 of MNIST in small: the same net and images, fewer of them and fewer draws, each more than fit at once.
#[test]
fn the_peak_of_an_evaluation_is_within_the_bound() {
    let x = Array2::from_shape_fn((600, 784), |(i, j)| f64::from(u8::from((i * 31 + j * 17) % 5 == 0)));
    let data = Dataset::new(&x, Kind::Float, tch::Device::Cpu).unwrap();
    let vae = Vae::new(Architecture { likelihood: LikelihoodSpec::Bernoulli, ..Architecture::mlp(784, 20, &[400]) }, &data, 1).unwrap();
    let run = |mebibytes: u64, draws: usize| {
        let memory = EvaluationMemory { bytes: mebibytes << 20 };
        mean(&importance(&vae, &data.rows, draws, memory, 3).unwrap().bound.means().to_vec())
    };
    // threads and their stacks, tables of libraries: what is there once and for all
    run(32, 64);
    let mut bounds = Vec::new();
    for mebibytes in [32, 128] {
        let used = peak(|| bounds.push(run(mebibytes, 300)));
        assert!(used <= mebibytes << 20, "{} KiB were used of {mebibytes} MiB", used >> 10);
        // and it is used: more room is more rows at a time
        assert!(used >= (mebibytes << 20) / 8, "only {} KiB were used of {mebibytes} MiB", used >> 10);
    }
    // the draws of a row do not depend on the pieces; sums of 784 terms in f32 do
    assert!((bounds[0] - bounds[1]).abs() < 1e-3, "{bounds:?}");
}
