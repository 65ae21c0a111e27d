//! Small real tables. Origin, licence and checksum of each are in `data/README.md` of the package.
//!
//! [`iris`], [`wine`], [`digits`] and [`breast_cancer`] are in the crate, under a stated licence. [`old_faithful`], [`bfi`] and [`tobamovirus`] are
//! numbers from publications that come without one: they are in the repository for tests, and not in the published package, where these functions
//! return an error that says where the table is to be had.

use crate::error::{Error, ErrorKind, Result};
use crate::table::{ReadOptions, Table};
use lvm_core::rows::Missing;
use std::path::{Path, PathBuf};

fn shipped(name: &str, bytes: &[u8], labels: Option<&str>) -> Result<Table> {
    Table::from_bytes(name, bytes, &ReadOptions { labels: labels.map(str::to_owned), ..ReadOptions::default() })
}

/// Where a table lies that is in the repository and not in the package.
fn in_repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// A table that is in the repository and not in the package, or who else has it.
fn unpackaged(name: &str, elsewhere: &'static str, options: &ReadOptions) -> Result<Table> {
    let path = in_repository(name);
    if path.exists() { Table::read(path, options) } else { Err(Error::new(name, ErrorKind::NotInPackage { elsewhere })) }
}

/// Iris flowers, 150 x 4 lengths in cm, with the species (50 each of setosa, versicolor, virginica) as labels.
///
/// Anderson, *The irises of the Gaspé peninsula* (1935); Fisher, *The use of multiple measurements in taxonomic problems* (1936). The
/// file is that of scikit-learn (BSD-3-Clause), equal to R's.
///
/// ```
/// let iris = lvm_data::datasets::iris()?;
/// assert_eq!(iris.columns, ["sepal_length", "sepal_width", "petal_length", "petal_width"]);
/// assert_eq!(iris.labels.unwrap()[149], "virginica");
/// # Ok::<(), lvm_data::Error>(())
/// ```
///
/// # Errors
/// None, unless the package is damaged.
pub fn iris() -> Result<Table> {
    shipped("iris.csv", include_bytes!("../data/iris.csv"), Some("species"))
}

/// Old Faithful geyser, 272 x 2: minutes an eruption lasts, minutes until the next.
///
/// Azzalini & Bowman, *A look at some data on the Old Faithful geyser*, Applied Statistics 39 (1990) 357. The file is that of
/// Rdatasets (repository GPL-3; no licence of the data themselves is known).
///
/// # Errors
/// Outside a clone of the repository: [`ErrorKind::NotInPackage`].
pub fn old_faithful() -> Result<Table> {
    unpackaged("old_faithful.csv", "R has it as `faithful`", &ReadOptions::default())
}

/// Handwritten digits, 1797 x 64 pixels with values 0 … 16, with the digit in words as labels. Three pixels are always 0.
///
/// Alpaydin & Kaynak, *Optical recognition of handwritten digits*, UCI repository (1998), test part. The file is that of
/// scikit-learn (BSD-3-Clause).
///
/// ```
/// let digits = lvm_data::datasets::digits()?;
/// assert_eq!(digits.x.dim(), (1797, 64));
/// assert!(digits.x.iter().all(|v| (0.0..=16.0).contains(v)));
/// # Ok::<(), lvm_data::Error>(())
/// ```
///
/// # Errors
/// As [`iris`].
pub fn digits() -> Result<Table> {
    shipped("digits.csv.gz", include_bytes!("../data/digits.csv.gz"), Some("digit"))
}

/// Wines, 178 x 13 chemical measurements, with the cultivar (59, 71, 48) as labels.
///
/// Forina et al., UCI repository (1991). The file is that of scikit-learn (BSD-3-Clause).
///
/// ```
/// let wine = lvm_data::datasets::wine()?;
/// assert_eq!((wine.x.dim(), wine.columns[0].as_str()), ((178, 13), "alcohol"));
/// assert_eq!(wine.labels.unwrap().iter().filter(|label| *label == "first").count(), 59);
/// # Ok::<(), lvm_data::Error>(())
/// ```
///
/// # Errors
/// As [`iris`].
pub fn wine() -> Result<Table> {
    shipped("wine.csv", include_bytes!("../data/wine.csv"), Some("cultivar"))
}

/// Breast tumours, 569 x 30 measurements of cell nuclei, with the diagnosis (212 malignant, 357 benign) as labels.
///
/// Wolberg, Street & Mangasarian, UCI repository (1995). The file is that of scikit-learn (BSD-3-Clause).
///
/// ```
/// let table = lvm_data::datasets::breast_cancer()?;
/// assert_eq!((table.x.dim(), table.labels.unwrap().len()), ((569, 30), 569));
/// # Ok::<(), lvm_data::Error>(())
/// ```
///
/// # Errors
/// As [`iris`].
pub fn breast_cancer() -> Result<Table> {
    shipped("breast_cancer.csv.gz", include_bytes!("../data/breast_cancer.csv.gz"), Some("diagnosis"))
}

/// Personality items, 2800 x 25 answers 1 … 6, five for each of five traits; 508 cells are missing, and NaN means missing.
///
/// Revelle's `bfi` of the R package psych, items of the International Personality Item Pool (public domain). The file is that of
/// Rdatasets (repository GPL-3; no licence of the data themselves is known). Gender (1 male, 2 female),
/// education (1 … 5) and age in years are in the file, too.
///
/// # Errors
/// As [`old_faithful`].
pub fn bfi() -> Result<Table> {
    let items = ["A", "C", "E", "N", "O"].iter().flat_map(|trait_| (1..=5).map(move |i| format!("{trait_}{i}")));
    let options = ReadOptions { columns: Some(items.collect()), missing: Missing::Integrate, ..ReadOptions::default() };
    unpackaged("bfi.csv.gz", "the R package psych has it as `bfi`", &options)
}

/// The rows of [`bfi`] without a missing cell: 2436 x 25.
///
/// # Errors
/// As [`old_faithful`].
pub fn bfi_complete() -> Result<Table> {
    let mut table = bfi()?;
    let complete: Vec<usize> = (0..table.n_rows()).filter(|&n| table.x.row(n).iter().all(|v| !v.is_nan())).collect();
    table.x = table.x.select(ndarray::Axis(0), &complete);
    table.missing = Missing::Refuse;
    Ok(table)
}

/// Tobamoviruses, 38 x 18: how many residues of each of 18 amino acids the coat protein of each virus has.
///
/// Fauquet et al. (1988) in Ripley, *Pattern Recognition and Neural Networks* (1996); the example of Tipping & Bishop, *Probabilistic
/// principal component analysis* (1999). No licence is stated where the file comes from.
///
/// # Errors
/// As [`old_faithful`].
pub fn tobamovirus() -> Result<Table> {
    unpackaged("tobamovirus.csv", "the data of Ripley's book have it as `virus3.dat`", &ReadOptions::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(table: &Table, shape: (usize, usize), sum: f64) {
        assert_eq!(table.x.dim(), shape);
        let found: f64 = table.x.iter().filter(|v| !v.is_nan()).sum();
        // up to 20,000 additions of numbers read exactly
        assert!((found - sum).abs() <= 1e-11 * sum, "{found} {sum}");
    }

    #[track_caller]
    fn check_label(table: &Table, label: &str, count: usize) {
        assert_eq!(table.labels.as_ref().unwrap().iter().filter(|l| *l == label).count(), count);
    }

    // The sums are those of the source files, added up by another program.
    #[test]
    fn shapes_labels_and_sums() {
        check(&iris().unwrap(), (150, 4), 2078.7);
        check_label(&iris().unwrap(), "versicolor", 50);
        check(&digits().unwrap(), (1797, 64), 561718.0);
        check_label(&digits().unwrap(), "zero", 178);
        check(&wine().unwrap(), (178, 13), 159975.296);
        check_label(&wine().unwrap(), "second", 71);
        check(&breast_cancer().unwrap(), (569, 30), 1056474.4596356);
        check_label(&breast_cancer().unwrap(), "malignant", 212);
    }

    #[test]
    fn shapes_and_sums_of_what_only_a_clone_has() {
        let clone = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask").is_dir();
        if !clone {
            let message = old_faithful().unwrap_err().to_string();
            assert!(message.contains("crates/lvm-data/data") && message.contains("`faithful`"), "{message}");
            return;
        }
        check(&old_faithful().unwrap(), (272, 2), 20232.677);
        check(&bfi().unwrap(), (2800, 25), 261887.0);
        assert_eq!(bfi().unwrap().x.iter().filter(|v| v.is_nan()).count(), 508);
        assert_eq!(bfi_complete().unwrap().x.dim(), (2436, 25));
        check(&tobamovirus().unwrap(), (38, 18), 5943.0);
    }

    #[test]
    fn a_table_that_is_not_there_says_where_it_is() {
        let error = unpackaged("lost.csv", "R has it as `faithful`", &ReadOptions::default()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotInPackage { .. }));
        let message = error.to_string();
        for words in ["lost.csv", "no known licence", "github.com", "crates/lvm-data/data", "R has it as `faithful`", "Table::read"] {
            assert!(message.contains(words), "{words}: {message}");
        }
    }
}
