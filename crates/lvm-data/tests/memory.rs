//! A pass over a file on disk needs memory for its blocks, not for the file. A binary of its own, since it measures the process.
#![cfg(target_os = "linux")]

use lvm_core::sweep::{Merge, Plan, sweep};
use lvm_data::{NpyRows, ReadOptions, Source};
use std::io::Write;

struct Sum(f64);
impl Merge for Sum {
    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }
}

/// The largest resident memory of this process so far, in KiB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_does_not_grow_with_the_file() {
    const ROWS: usize = 1 << 20;
    const COLS: usize = 32;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({ROWS}, {COLS}), }}");
    header.push_str(&" ".repeat(117 - header.len()));
    header.push('\n');
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    file.write_all(b"\x93NUMPY\x01\x00\x76\x00").unwrap();
    file.write_all(header.as_bytes()).unwrap();
    for i in 0..ROWS * COLS {
        file.write_all(&((i % 1000) as f64).to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
    drop(file);

    let before = peak();
    let rows = NpyRows::open(&path, &ReadOptions::default()).unwrap();
    let total = sweep(
        &rows,
        Plan::new(COLS, 8),
        || Sum(0.0),
        |a, b| {
            a.0 += b.columns().iter().sum::<f64>();
            Ok(())
        },
    );
    let n = ROWS * COLS;
    let want = (n / 1000 * 499_500 + (n % 1000) * (n % 1000 - 1) / 2) as f64;
    assert_eq!(total.unwrap().0, want);
    // 256 MiB pass through. A thread holds a block of 256 KiB twice, as bytes and as numbers; 16 MiB are room for 32 threads.
    let grown = peak() - before;
    assert!(grown < 16 << 10, "memory grew by {grown} KiB");
    assert!(matches!(Source::open(&path, &ReadOptions::default(), Source::IN_MEMORY).unwrap(), Source::Npy(_)));
}
