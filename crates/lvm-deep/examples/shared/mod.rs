//! What the examples share: where the data lies, the arguments, tables of results.

#![allow(dead_code, clippy::print_stdout)]

use lvm_data::{ReadOptions, Table};
use ndarray::{Array2, Axis};
use std::path::{Path, PathBuf};

/// Whatever goes wrong ends the example with its message.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The arguments: `--name value`, `--flag`, and one folder.
pub(crate) struct Arguments {
    words: Vec<String>,
}

impl Arguments {
    /// Of the command line.
    pub(crate) fn new() -> Self {
        Arguments { words: std::env::args().skip(1).collect() }
    }

    /// Whether `--name` was given.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.words.iter().any(|w| w.strip_prefix("--") == Some(name))
    }

    /// What stands behind `--name`, or `default`.
    pub(crate) fn option<T: std::str::FromStr>(&self, name: &str, default: T) -> Outcome<T> {
        match self.words.iter().position(|w| w.strip_prefix("--") == Some(name)).map(|at| self.words.get(at + 1)) {
            None => Ok(default),
            Some(None) => Err(format!("--{name} needs a value").into()),
            Some(Some(text)) => text.parse().map_err(|_| format!("--{name} {text}: this is no value it can have").into()),
        }
    }

    /// The folder of a data set: `--data FOLDER`, else `name` below the variable LVM_DATA, else below ../shared/data.
    ///
    /// # Errors
    /// If it is not there; the message says where to get the files.
    pub(crate) fn folder(&self, name: &str, source: &str) -> Outcome<PathBuf> {
        let given: String = self.option("data", String::new())?;
        let folder = match (given.is_empty(), std::env::var_os("LVM_DATA")) {
            (false, _) => PathBuf::from(given),
            (true, Some(root)) => PathBuf::from(root).join(name),
            (true, None) => PathBuf::from("../shared/data").join(name),
        };
        if folder.is_dir() {
            return Ok(folder);
        }
        Err(format!(
            "THE DATA IS NOT THERE: no folder {}.\nGive it by --data FOLDER, or set LVM_DATA to the folder above {name}.\nWhere to get it: {source}",
            folder.display()
        )
        .into())
    }
}

/// All numbers of an idx, csv or Matrix Market file, compressed or not.
pub(crate) fn table(path: impl AsRef<Path>) -> Outcome<Array2<f64>> {
    Ok(Table::read(path, &ReadOptions::default())?.x)
}

/// The lines of a text file that may be compressed.
pub(crate) fn lines(path: impl AsRef<Path>) -> Outcome<Vec<String>> {
    use std::io::Read;
    let file = std::fs::File::open(&path).map_err(|e| format!("{}: {e}", path.as_ref().display()))?;
    let mut text = String::new();
    if path.as_ref().extension().is_some_and(|e| e == "gz") {
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text)?;
    } else {
        std::io::BufReader::new(file).read_to_string(&mut text)?;
    }
    Ok(text.lines().map(str::to_owned).collect())
}

/// The first `n` rows.
pub(crate) fn first(x: &Array2<f64>, n: usize) -> Array2<f64> {
    x.slice_axis(Axis(0), (0..n.min(x.nrows())).into()).to_owned()
}

/// The rows of these numbers.
pub(crate) fn rows(x: &Array2<f64>, index: &[usize]) -> Array2<f64> {
    x.select(Axis(0), index)
}

/// User and system time of this process in seconds, where the system tells it.
pub(crate) fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // behind the name, which is in parentheses: fields 3, 4, …; ticks of 10 ms
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) / 100.0)
}
