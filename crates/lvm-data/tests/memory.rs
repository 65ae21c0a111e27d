//! What fits need in memory: for rows on disk blocks and statistics, for rows in memory not much beside them. A binary of its own with one
//! test, since it measures the process.
#![cfg(target_os = "linux")]

use lvm_core::fit::Stopping;
use lvm_core::gmm::{CovarianceType, GmmEm, Start};
use lvm_core::rows::RowSource;
use lvm_core::sweep::{Merge, Plan, sweep};
use lvm_data::{NpyRows, ReadOptions, Source};
use ndarray::{Array2, Axis};
use std::io::Write;
use std::path::Path;

/// D of all tables here.
const COLS: usize = 32;

struct Sum(f64);
impl Merge for Sum {
    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }
}

/// A field of what the system says about this process, in KiB.
fn status(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The largest resident memory of this process so far, in KiB.
fn peak() -> usize {
    status("VmHWM:")
}

/// A number for the cell `i`: one of two clumps a row, and noise, of which no two are the same.
fn cell(i: usize) -> f64 {
    let mut z = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^= z >> 27;
    let noise = (z >> 11) as f64 / (1_u64 << 53) as f64;
    (i / COLS % 2) as f64 * 3.0 + noise
}

/// A `.npy` file of so many rows.
fn file(path: &Path, rows: usize) {
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {COLS}), }}");
    header.push_str(&" ".repeat(117 - header.len()));
    header.push('\n');
    let mut file = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(path).unwrap());
    file.write_all(b"\x93NUMPY\x01\x00\x76\x00").unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let mut row = [0; 8 * COLS];
    for n in 0..rows {
        row.chunks_exact_mut(8).enumerate().for_each(|(j, bytes)| bytes.copy_from_slice(&cell(n * COLS + j).to_le_bytes()));
        file.write_all(&row).unwrap();
    }
    file.flush().unwrap();
}

fn em(covariance: CovarianceType, start: Start) -> GmmEm {
    GmmEm { components: 4, covariance, start, restarts: 1, stopping: Stopping { max_iterations: 2, tolerance: 0.0 }, ..Default::default() }
}

/// By how much the peak rises in `work`, in KiB. What was freed before and is used again does not show, so the larger comes first or
/// stands for itself.
fn growth(work: impl FnOnce()) -> usize {
    let before = peak();
    work();
    peak() - before
}

#[test]
fn memory_does_not_grow_with_the_file() {
    // what EM may take beside the data, in KiB
    const BESIDE: usize = 64 << 10;
    let folder = tempfile::tempdir().unwrap();

    // a file of 1.2 GiB and all that a fit of it takes: below 300 MiB resident
    let large = folder.path().join("large.npy");
    file(&large, 5_033_165);
    assert!(std::fs::metadata(&large).unwrap().len() > 1_288_000_000);
    let source = Source::open(&large, &ReadOptions::default(), Source::IN_MEMORY).unwrap();
    assert!(matches!(source, Source::Npy(_)));
    let beside = growth(|| {
        let fitted = em(CovarianceType::Diagonal, Start::KMeansPlusPlus).fit(&source, 1).unwrap();
        assert_eq!(fitted.iterations(), 2);
    });
    assert!(peak() < 300 << 10, "{} KiB resident", peak());
    assert!(beside < BESIDE, "a streamed fit of 1.2 GiB took {beside} KiB");
    drop(source);
    std::fs::remove_file(&large).unwrap();

    // a pass over 256 MiB: a thread holds a block of 256 KiB twice, as bytes and as numbers; 16 MiB are room for 32 threads
    const ROWS: usize = 1 << 20;
    let path = folder.path().join("x.npy");
    file(&path, ROWS);
    let rows = NpyRows::open(&path, &ReadOptions::default()).unwrap();
    let mut total = 0.0;
    let grown = growth(|| {
        let add = |a: &mut Sum, b: &lvm_core::sweep::Block<'_>| {
            a.0 += b.columns().iter().sum::<f64>();
            Ok(())
        };
        total = sweep(&rows, Plan::new(COLS, 8), || Sum(0.0), add).unwrap().0;
    });
    assert!(grown < 16 << 10, "memory grew by {grown} KiB");
    // half of the cells are 3 more than the mean ½ of the noise; 7 standard errors √(1/12 n): one failure in 10¹¹, were it not fixed
    let n = (ROWS * COLS) as f64;
    assert!((total - 2.0 * n).abs() < 7.0 * (n / 12.0).sqrt());
    for covariance in CovarianceType::ALL {
        let grown = growth(|| drop(em(covariance, Start::KMeansPlusPlus).fit(&rows, 1).unwrap()));
        assert!(grown < BESIDE, "a streamed {covariance} fit took {grown} KiB");
    }

    // rows in memory, and responsibilities given with them: neither is copied
    let mut x = Array2::zeros((ROWS, COLS));
    for (i, part) in x.axis_chunks_iter_mut(Axis(0), 4096).enumerate() {
        rows.read(4096 * i, part).unwrap();
    }
    drop(rows);
    let given = Array2::from_shape_fn((ROWS, 4), |(n, k)| if n % 4 == k { 0.7 } else { 0.1 });
    // from here on the peak is what is there now, if the system allows to say so; it is about that anyway
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let data = 8 * (x.len() + given.len()) / 1024;
    assert!(status("VmRSS:") >= data, "the data is not resident");
    let starts = [Start::KMeansPlusPlus, Start::Responsibilities(given)];
    for start in starts {
        let em = em(CovarianceType::Full, start);
        let before = status("VmRSS:");
        drop(em.fit(&x, 1).unwrap());
        let beside = peak().saturating_sub(before);
        assert!(beside < BESIDE, "a fit in memory took {beside} KiB beside the data");
    }
}
