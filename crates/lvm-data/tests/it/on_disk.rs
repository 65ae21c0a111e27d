//! Rows that stay on disk: the same numbers as in memory, and errors instead of crashes when the file changes.

use super::numpy::npy;
use lvm_core::rows::{Missing, RowSource};
use lvm_core::sweep::{Merge, Plan, sweep};
use lvm_data::{CsvRows, ErrorKind, MappedNpy, NpyRows, ReadOptions, Source, Table, output};
use ndarray::{Array2, Axis, s};
use std::io::Write;
use std::path::{Path, PathBuf};

/// 1000 rows and 5 columns; the last column can serve as weights.
fn numbers() -> Array2<f64> {
    Array2::from_shape_fn((1000, 5), |(i, j)| if j == 4 { (i % 3) as f64 } else { ((i * 5 + j) as f64).sin() * 10f64.powi(j as i32) })
}

fn names() -> Vec<String> {
    (1..=5).map(|j| format!("x{j}")).collect()
}

/// The same table in every format that stays on disk.
fn files(folder: &Path) -> Vec<PathBuf> {
    let x = numbers();
    let files = ["c.npy", "fortran.npy", "big_endian.npy", "t.csv", "t.tsv"].map(|name| folder.join(name));
    output::write(&files[0], &names(), &x).unwrap();
    let columns: Vec<u8> = x.t().iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(&files[1], npy("<f8", "True", "(1000, 5)", &columns)).unwrap();
    let big: Vec<u8> = x.iter().flat_map(|v| v.to_be_bytes()).collect();
    std::fs::write(&files[2], npy(">f8", "False", "(1000, 5)", &big)).unwrap();
    output::write(&files[3], &names(), &x).unwrap();
    output::write(&files[4], &names(), &x).unwrap();
    files.to_vec()
}

fn open(path: &Path, options: &ReadOptions) -> Source {
    let source = Source::open(path, options, 0).unwrap();
    assert!(!matches!(source, Source::Table(_)), "{} is in memory", path.display());
    source
}

/// The rows of a file that stays there, in every way there is to read them.
fn ways(path: &Path, options: &ReadOptions) -> Vec<Box<dyn RowSource>> {
    let mut ways: Vec<Box<dyn RowSource>> = vec![Box::new(open(path, options))];
    if path.extension().is_some_and(|e| e == "npy") {
        ways.push(Box::new(MappedNpy::open(path, options).unwrap()));
    }
    ways
}

#[test]
fn every_range_of_rows_is_the_same_as_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        ReadOptions { columns: Some(vec!["x4".into(), "x1".into(), "x3".into()]), weights: Some("x5".into()), ..Default::default() };
    let x = numbers().select(Axis(1), &[3, 0, 2]);
    for path in files(folder.path()) {
        assert_eq!(open(&path, &options).columns(), ["x4", "x1", "x3"]);
        for source in ways(&path, &options) {
            assert_eq!((source.n_rows(), source.n_cols()), (1000, 3));
            assert_eq!(source.column_name(1).as_deref(), Some("x1"));
            assert_eq!(source.weights().unwrap(), numbers().column(4));
            for (start, rows) in [(0, 1000), (0, 1), (999, 1), (63, 2), (64, 64), (127, 130), (500, 0), (1000, 0)] {
                let mut block = Array2::zeros((rows, 3));
                source.read(start, block.view_mut()).unwrap();
                assert_eq!(block, x.slice(s![start..start + rows, ..]), "{} {start} {rows}", path.display());
            }
        }
    }
}

struct Sums(Vec<f64>);
impl Merge for Sums {
    fn merge(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
    }
}

fn column_sums(data: &dyn RowSource) -> Vec<u64> {
    let fold = |total: &mut Sums, block: &lvm_core::sweep::Block<'_>| {
        for (j, sum) in total.0.iter_mut().enumerate() {
            let weights = block.weights();
            *sum += block.column(j).iter().enumerate().map(|(i, v)| v * weights.map_or(1.0, |w| w[i])).sum::<f64>();
        }
        Ok(())
    };
    let sums = sweep(data, Plan { block_rows: 64, leaves: 8 }, || Sums(vec![0.0; data.n_cols()]), fold).unwrap();
    sums.0.iter().map(|s| s.to_bits()).collect()
}

#[test]
fn passes_give_the_same_bits_as_in_memory_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let options = ReadOptions { weights: Some("x5".into()), ..Default::default() };
    for path in files(folder.path()) {
        let table = Table::read(&path, &options).unwrap();
        for source in ways(&path, &options) {
            for threads in [1, 4] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                assert_eq!(pool.install(|| column_sums(&*source)), column_sums(&table), "{}", path.display());
            }
        }
    }
}

#[test]
fn missing_cells_stay_missing() {
    let folder = tempfile::tempdir().unwrap();
    let options = ReadOptions { missing: Missing::Integrate, ..Default::default() };
    let path = folder.path().join("t.csv");
    std::fs::write(&path, "a;b\n1;NA\n;2\n").unwrap();
    let rows = CsvRows::open(&path, &options).unwrap();
    let mut block = Array2::zeros((2, 2));
    rows.read(0, block.view_mut()).unwrap();
    assert_eq!(rows.missing(), Missing::Integrate);
    assert_eq!(block.mapv(f64::is_nan), ndarray::array![[false, true], [true, false]]);
}

#[test]
fn a_file_that_changes_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for path in files(folder.path()) {
        let bytes = std::fs::read(&path).unwrap();
        let sources = ways(&path, &ReadOptions::default());
        let refused = |what: &str| {
            for source in &sources {
                let error = source.read(0, Array2::zeros((1000, 5)).view_mut()).unwrap_err();
                assert!(error.to_string().contains(what), "{error}");
            }
        };
        sources.iter().for_each(|source| source.read(0, Array2::zeros((1000, 5)).view_mut()).unwrap());

        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(bytes.len() as u64 / 2).unwrap();
        refused("shrank");

        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&bytes).unwrap();
        refused("grew");

        // as long as before, but written to later
        std::fs::write(&path, &bytes).unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
        file.set_modified(later).unwrap();
        refused("was written to");
    }
}

/// Both ways to leave an array in its file refuse it, with the same words.
fn npy_refused(bytes: &[u8], options: &ReadOptions) -> lvm_data::Error {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    std::fs::write(&path, bytes).unwrap();
    let (read, mapped) = (NpyRows::open(&path, options).unwrap_err(), MappedNpy::open(&path, options).unwrap_err());
    assert_eq!(read.to_string(), mapped.to_string());
    mapped
}

#[test]
fn arrays_that_can_not_be_used() {
    let with = |weights: &str| ReadOptions { weights: Some(weights.into()), ..Default::default() };
    let plain = ReadOptions::default();
    let le = |values: [f64; 4]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let table = |values| npy("<f8", "False", "(2, 2)", &le(values));
    assert!(matches!(npy_refused(&npy("<f8", "False", "(0, 2)", &[]), &plain).kind(), ErrorKind::Empty));
    assert!(matches!(npy_refused(&npy("<c16", "False", "(1, 1)", &[0; 16]), &plain).kind(), ErrorKind::Format { .. }));
    assert!(matches!(npy_refused(b"", &plain).kind(), ErrorKind::Format { .. }));
    assert!(matches!(npy_refused(&table([1.0; 4]), &with("x7")).kind(), ErrorKind::UnknownColumn { .. }));
    assert!(matches!(npy_refused(&table([1.0, -1.0, 1.0, 1.0]), &with("x2")).kind(), ErrorKind::Weight { .. }));
    assert!(matches!(npy_refused(&table([1.0, 0.0, 1.0, 0.0]), &with("x2")).kind(), ErrorKind::NoWeight { .. }));
    let far = npy("<f8", "False", "(9223372036854775807, 9223372036854775807)", &[0; 8]);
    assert!(matches!(npy_refused(&far, &plain).kind(), ErrorKind::Format { .. }));
    assert!(MappedNpy::open("/", &plain).is_err() && MappedNpy::open("nowhere.npy", &plain).is_err());
}

#[test]
fn single_precision_from_a_mapping_is_that_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let x = Array2::from_shape_fn((100, 3), |(i, j)| ((i * 3 + j) as f32).sqrt());
    let rows: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
    let big: Vec<u8> = x.iter().flat_map(|v| v.to_be_bytes()).collect();
    let columns: Vec<u8> = x.t().iter().flat_map(|v| v.to_be_bytes()).collect();
    for bytes in [npy("<f4", "False", "(100, 3)", &rows), npy(">f4", "False", "(100, 3)", &big), npy(">f4", "True", "(100, 3)", &columns)] {
        std::fs::write(&path, bytes).unwrap();
        let mapped = MappedNpy::open(&path, &ReadOptions::default()).unwrap();
        let mut block = Array2::zeros((60, 3));
        mapped.read(40, block.view_mut()).unwrap();
        assert_eq!(block, x.slice(s![40.., ..]).mapv(f64::from));
    }
}

#[test]
fn opening_refuses_what_reading_would() {
    let folder = tempfile::tempdir().unwrap();
    let good = npy("<f8", "False", "(2, 2)", &[0; 32]);
    for bad in [&good[..good.len() - 1], &good[..20], &[good.as_slice(), &[0]].concat(), b"\x93NUMPY\x09\x00\x00\x00"] {
        assert!(matches!(npy_refused(bad, &ReadOptions::default()).kind(), ErrorKind::Format { .. }));
    }
    let path = folder.path().join("x.csv");
    std::fs::write(&path, "a,b\n1,2\n3,x\n4,5\n").unwrap();
    let error = CsvRows::open(&path, &ReadOptions::default()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Text { cell, .. } if cell.line == Some(3)), "{error}");
    std::fs::write(&path, b"\x1f\x8b\x08\x00").unwrap();
    assert!(CsvRows::open(&path, &ReadOptions::default()).unwrap_err().to_string().contains("unpack"));
    assert!(CsvRows::open(folder.path(), &ReadOptions::default()).is_err());
}

#[test]
fn nan_in_a_streamed_npy_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let mut x = numbers();
    x[[700, 2]] = f64::NAN;
    output::write_npy(&path, &x).unwrap();
    for rows in ways(&path, &ReadOptions::default()) {
        let error = sweep(&*rows, Plan::new(5, 0), || Sums(Vec::new()), |_, _| Ok(())).err().unwrap();
        assert!(matches!(error.kind(), lvm_core::ErrorKind::NotANumber { row: 700, column: 2, name: Some(_) }), "{error}");
    }
}

/// Maximum likelihood from disk is that from memory, bit for bit.
#[test]
fn fits_from_disk_are_those_from_memory() {
    use lvm_core::gmm::GmmEm;
    let folder = tempfile::tempdir().unwrap();
    let iris = lvm_data::datasets::iris().unwrap();
    let em = GmmEm { components: 3, ..GmmEm::default() };
    let want = em.fit(&iris, 7).unwrap();
    for name in ["iris.npy", "iris.csv"] {
        let path = folder.path().join(name);
        output::write(&path, &iris.columns, &iris.x).unwrap();
        for source in ways(&path, &ReadOptions::default()) {
            let found = em.fit(&*source, 7).unwrap();
            assert_eq!(found.model, want.model);
            assert_eq!(found.trace, want.trace);
        }
    }
}

/// Holes and row weights, in every way to leave a file on disk: what EM makes of them is what it makes of the array, bit for bit.
#[test]
fn holes_and_weights_on_disk_are_those_in_memory() {
    use lvm_core::fa::{FaMl, Method};
    use lvm_core::fit::Stopping;
    use lvm_core::gmm::GmmEm;
    use lvm_core::ppca::PpcaEm;
    use lvm_core::rows::Rows;
    let folder = tempfile::tempdir().unwrap();
    let iris = lvm_data::datasets::iris().unwrap();
    let mut x = iris.x.clone();
    (0..150).step_by(4).for_each(|i| x[[i, i % 4]] = f64::NAN);
    let weights = ndarray::Array1::from_shape_fn(150, |i| (i % 3) as f64);
    let mut stored = x.clone();
    stored.push_column(weights.view()).unwrap();
    let names: Vec<String> = (1..=5).map(|j| format!("x{j}")).collect();
    let options = ReadOptions { weights: Some("x5".into()), missing: Missing::Integrate, ..Default::default() };
    let memory = Rows::new(&x).missing_as_nan().weighted(weights.view()).unwrap();
    let stopping = Stopping { max_iterations: 9, tolerance: 0.0 };
    let gmm = GmmEm { components: 3, stopping, ..GmmEm::default() };
    let ppca = PpcaEm { components: 2, stopping, ..PpcaEm::default() };
    let fa = FaMl { factors: 1, method: Method::Squarem, restarts: 2, stopping, ..FaMl::default() };
    let fits = |data: &dyn RowSource| (gmm.fit(data, 7).unwrap(), ppca.fit(data, 7).unwrap(), fa.fit(data, 7).unwrap());
    let want = fits(&memory);
    assert_eq!(want.0.iterations(), 9);
    for name in ["holes.npy", "holes.csv"] {
        let path = folder.path().join(name);
        output::write(&path, &names, &stored).unwrap();
        for source in ways(&path, &options) {
            let found = fits(&*source);
            assert_eq!((found.0.model, found.0.trace), (want.0.model.clone(), want.0.trace.clone()), "{name}");
            assert_eq!((found.1.model, found.1.trace), (want.1.model.clone(), want.1.trace.clone()), "{name}");
            assert_eq!((found.2.model, found.2.trace), (want.2.model.clone(), want.2.trace.clone()), "{name}");
        }
    }
}

/// The way through single precision that PPCA takes for large tables does not depend on where the table is either.
#[test]
fn ppca_by_way_of_single_precision_is_the_same_from_disk() {
    use lvm_core::ppca::{PpcaMl, Solver};
    let folder = tempfile::tempdir().unwrap();
    // N ≥ 4 D, D ≥ 256; three strong directions
    let x = Array2::from_shape_fn((1100, 256), |(i, j)| {
        let (i, j) = (i as f64, j as f64);
        let strong =
            4.0 * (i * 1.3).sin() * (j * 0.7).cos() + 2.0 * (i * 0.37).cos() * (j * 1.9).sin() + (i * 0.11).sin() * (j * 0.3).cos();
        strong + 0.5 * (i * j * 0.917 + j * j * 0.31).sin()
    });
    let fit = |data: &dyn RowSource, solver| PpcaMl { components: 3, solver }.fit(data, 0).unwrap();
    let (want, exact) = (fit(&x, Solver::Auto), fit(&x, Solver::Covariance));
    // the same likelihood, and other bits: it was the other way
    assert!((want.objective() / exact.objective() - 1.0).abs() < 1e-11 && want.model != exact.model);
    let names: Vec<String> = (1..=256).map(|j| format!("x{j}")).collect();
    for name in ["x.npy", "x.csv"] {
        let path = folder.path().join(name);
        output::write(&path, &names, &x).unwrap();
        for source in ways(&path, &ReadOptions::default()) {
            assert_eq!(fit(&*source, Solver::Auto), want, "{name}");
        }
    }
    // weighted rows take the same way
    let weights = ndarray::Array1::from_shape_fn(1100, |i| (i % 3) as f64);
    let mut stored = x.clone();
    stored.push_column(weights.view()).unwrap();
    let options = ReadOptions { weights: Some("x257".into()), ..Default::default() };
    let want = fit(&lvm_core::rows::Rows::new(&x).weighted(weights.view()).unwrap(), Solver::Auto);
    let path = folder.path().join("weighted.npy");
    output::write_npy(&path, &stored).unwrap();
    for source in ways(&path, &options) {
        assert_eq!(fit(&*source, Solver::Auto), want);
    }
}
