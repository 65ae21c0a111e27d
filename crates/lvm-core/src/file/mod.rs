//! Model files: a fitted model as bytes and back, with every check on the way in.
//!
//! The bytes are a [safetensors](https://github.com/huggingface/safetensors) file: the parameters as f64 tensors, and one line of
//! JSON under the metadata key `lvm-model` with everything else ([`Header`]). `docs/model-files.md` is the specification. A model that
//! was read back is the model that was written, bit for bit: it gives the same scores, and a fit started from it goes on as if it had
//! not been interrupted.
//!
//! ```
//! use lvm_core::file::{Header, Model, decode, encode};
//! use lvm_core::ppca::Ppca;
//! use ndarray::array;
//! let model = Model::Ppca(Ppca::new(array![0.0, 1.0], array![[2.0], [0.5]], 0.1)?);
//! let header = Header { columns: vec!["height".into(), "width".into()], ..Header::default() };
//! let bytes = encode(&model, &header)?;
//! assert_eq!(decode(&bytes)?, (model, header));
//! assert!(decode(&bytes[..bytes.len() - 1]).is_err());
//! # Ok::<(), lvm_core::Error>(())
//! ```

mod header;
mod kinds;
mod tensors;

pub use header::{FitRecord, Header};
pub use tensors::{Tensors, broken, crc32};

use crate::error::Result;
use crate::fa::FactorAnalysis;
use crate::gmm::GaussianMixture;
use crate::model::LatentModel;
use crate::ppca::Ppca;
use kinds::Particulars;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The name of the format.
const FORMAT: &str = "lvm-model";

/// The version written, and the only one read.
const VERSION: u64 = 1;

/// A model of any kind that has a file format.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Model {
    /// A Gaussian mixture.
    Gmm(GaussianMixture),
    /// Probabilistic PCA.
    Ppca(Ppca),
    /// Factor analysis.
    Fa(FactorAnalysis),
}

impl Model {
    /// `gmm`, `ppca` or `fa`.
    pub fn kind(&self) -> &'static str {
        match self {
            Model::Gmm(_) => "gmm",
            Model::Ppca(_) => "ppca",
            Model::Fa(_) => "fa",
        }
    }

    /// D, the number of columns of x.
    pub fn dim(&self) -> usize {
        match self {
            Model::Gmm(model) => model.dim(),
            Model::Ppca(model) => model.dim(),
            Model::Fa(model) => model.dim(),
        }
    }
}

impl From<GaussianMixture> for Model {
    fn from(model: GaussianMixture) -> Self {
        Model::Gmm(model)
    }
}

impl From<Ppca> for Model {
    fn from(model: Ppca) -> Self {
        Model::Ppca(model)
    }
}

impl From<FactorAnalysis> for Model {
    fn from(model: FactorAnalysis) -> Self {
        Model::Fa(model)
    }
}

/// The JSON of a file.
#[derive(Serialize, Deserialize)]
struct Envelope<P> {
    format: String,
    version: u64,
    kind: String,
    /// CRC-32 of the numbers.
    crc32: u32,
    #[serde(flatten)]
    particulars: P,
    #[serde(flatten)]
    header: Header,
}

/// What every version of the format has, read before anything else is believed.
#[derive(Deserialize)]
struct Stamp {
    format: String,
    version: u64,
}

/// The bytes of a model file. The same model and header give the same bytes.
///
/// # Errors
/// If the header does not name every column exactly once.
pub fn encode(model: &Model, header: &Header) -> Result<Vec<u8>> {
    let (tensors, particulars) = kinds::take_apart(model);
    encode_kind(model.kind(), model.dim(), &tensors, &particulars, header)
}

/// The bytes of a file of a model of another crate: its kind, its D, its arrays, and what it needs besides numbers as fields of the JSON.
///
/// ```
/// use lvm_core::file::{Header, Tensors, contents, encode_kind};
/// use ndarray::{Ix1, array};
/// use std::collections::BTreeMap;
/// let mut tensors = Tensors::default();
/// tensors.put("rates", &array![0.5, 2.0]);
/// let header = Header { columns: vec!["wine".into(), "bread".into()], ..Header::default() };
/// let bytes = encode_kind("poisson", 2, &tensors, &BTreeMap::from([("link", "log")]), &header)?;
/// let mut back = contents(&bytes)?;
/// assert_eq!((back.kind.as_str(), &back.header), ("poisson", &header));
/// assert_eq!(back.tensors.take::<Ix1>("rates")?, array![0.5, 2.0]);
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If the header does not name every column exactly once.
pub fn encode_kind(kind: &str, dim: usize, tensors: &Tensors, particulars: &impl Serialize, header: &Header) -> Result<Vec<u8>> {
    check_columns(dim, header)?;
    let envelope = Envelope {
        format: FORMAT.into(),
        version: VERSION,
        kind: kind.into(),
        crc32: tensors.crc32(),
        particulars,
        header: header.clone(),
    };
    let json = serde_json::to_string(&envelope).map_err(|e| broken(e.to_string()))?;
    tensors.encode(json)
}

/// What a model file holds, before it is made a model of some kind.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Which kind of model.
    pub kind: String,
    /// Its parameters.
    pub tensors: Tensors,
    /// What the file says of it in words.
    pub header: Header,
    json: String,
}

/// The contents of the bytes of a model file of any kind, with every check that does not depend on the kind.
///
/// # Errors
/// As [`decode`], but for what concerns the parameters.
pub fn contents(bytes: &[u8]) -> Result<Contents> {
    let (tensors, json) = Tensors::decode(bytes)?;
    let stamp: Stamp = parse(&json)?;
    if stamp.format != FORMAT {
        return Err(broken(format!("its format is \"{}\", not \"{FORMAT}\"", stamp.format)));
    }
    if stamp.version != VERSION {
        return Err(broken(format!(
            "it is of version {}, and this program reads version {VERSION}; use the program that wrote it",
            stamp.version
        )));
    }
    let envelope: Envelope<Nothing> = parse(&json)?;
    if tensors.crc32() != envelope.crc32 {
        return Err(broken("its numbers are not the ones that were written (the checksum differs): the file is damaged"));
    }
    Ok(Contents { kind: envelope.kind, tensors, header: envelope.header, json })
}

impl Contents {
    /// What a model of this kind needs besides numbers.
    ///
    /// # Errors
    /// If the JSON lacks a field or has another in its place.
    pub fn particulars<P: DeserializeOwned>(&self) -> Result<P> {
        parse(&self.json)
    }

    /// The names of the columns are those of a model of D = `dim`.
    ///
    /// # Errors
    /// If there are more or fewer, or one stands twice.
    pub fn check_columns(&self, dim: usize) -> Result<()> {
        check_columns(dim, &self.header)
    }

    /// The model, of a kind of this crate.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn model(self) -> Result<(Model, Header)> {
        let particulars = self.particulars::<Particulars>()?;
        let model = kinds::put_together(&self.kind, self.tensors, particulars)?;
        check_columns(model.dim(), &self.header)?;
        Ok((model, self.header))
    }
}

/// No particulars.
#[derive(Serialize, Deserialize)]
struct Nothing {}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|e| broken(format!("its header can't be read: {e}")))
}

/// The model and the header of the bytes of a model file.
///
/// # Errors
/// [`ErrorKind::ModelFile`](crate::ErrorKind::ModelFile) if the bytes are no model file, are cut short or damaged, are of another
/// version or kind, or lack a tensor or have one too many; if a parameter is not finite or not one that its model can have. Never
/// panics, whatever the bytes.
pub fn decode(bytes: &[u8]) -> Result<(Model, Header)> {
    contents(bytes)?.model()
}

fn check_columns(dim: usize, header: &Header) -> Result<()> {
    if header.columns.len() != dim {
        return Err(broken(format!("the header names {} columns for a model of {dim}", header.columns.len())));
    }
    let mut sorted: Vec<&String> = header.columns.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(broken(format!("the header names column \"{}\" twice", pair[0]))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
