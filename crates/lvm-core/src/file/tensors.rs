//! Named arrays with a line of JSON, as safetensors bytes.

use crate::error::{Error, ErrorKind, Result};
use ndarray::{Array, ArrayRef, Dimension};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};

/// The key of the safetensors metadata under which the JSON stands.
const KEY: &str = "lvm-model";

/// The error that a model file can't be used.
pub fn broken(message: impl Into<String>) -> Error {
    ErrorKind::ModelFile { message: message.into() }.into()
}

/// f64 arrays by name: the parameters of a model in a file.
///
/// ```
/// use lvm_core::file::Tensors;
/// use ndarray::{Ix1, Ix2, array};
/// let mut tensors = Tensors::default();
/// tensors.put("mean", &array![1.0, 2.0]);
/// assert!(tensors.clone().take::<Ix2>("mean").is_err());
/// assert_eq!(tensors.take::<Ix1>("mean")?, array![1.0, 2.0]);
/// // what is not taken belongs to no model
/// tensors.finish()?;
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tensors(BTreeMap<String, Tensor>);

#[derive(Debug, Clone, PartialEq)]
struct Tensor {
    shape: Vec<usize>,
    /// Little-endian f64, rows first.
    bytes: Vec<u8>,
}

impl Tensors {
    /// Adds an array.
    pub fn put<D: Dimension>(&mut self, name: &str, array: &ArrayRef<f64, D>) {
        let bytes = array.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.0.insert(name.to_owned(), Tensor { shape: array.shape().to_vec(), bytes });
    }

    /// Takes out the array of that name, which must have as many axes as `D`.
    ///
    /// # Errors
    /// If there is none, it has other axes, or an entry is not finite.
    pub fn take<D: Dimension>(&mut self, name: &str) -> Result<Array<f64, D>> {
        let tensor = self.0.remove(name).ok_or_else(|| broken(format!("there is no tensor \"{name}\"")))?;
        let (found, wanted) = (tensor.shape.len(), D::NDIM.unwrap_or(tensor.shape.len()));
        let axes = || broken(format!("tensor \"{name}\" has {found} axes where {wanted} are needed"));
        let mut shape = D::zeros(wanted);
        if found != wanted {
            return Err(axes());
        }
        shape.slice_mut().copy_from_slice(&tensor.shape);
        // invariant: chunks_exact gives 8 bytes each
        let values: Vec<f64> = tensor.bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("8 bytes"))).collect();
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(broken(format!("entry {at} (from 0) of tensor \"{name}\" is {}", values[at])));
        }
        Array::from_shape_vec(shape, values).map_err(|_| axes())
    }

    #[cfg(test)]
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Every array has been taken.
    ///
    /// # Errors
    /// If one has not: it does not belong to this kind of model.
    pub fn finish(self) -> Result<()> {
        match self.0.keys().next() {
            Some(name) => Err(broken(format!("tensor \"{name}\" does not belong to this kind of model"))),
            None => Ok(()),
        }
    }

    /// CRC-32 of all the numbers, in order of the names.
    pub(super) fn crc32(&self) -> u32 {
        self.0.values().fold(0, |crc, tensor| crc32(crc, &tensor.bytes))
    }

    pub(super) fn encode(&self, json: String) -> Result<Vec<u8>> {
        let mut views = Vec::with_capacity(self.0.len());
        for (name, tensor) in &self.0 {
            let view = TensorView::new(Dtype::F64, tensor.shape.clone(), &tensor.bytes).map_err(|e| broken(e.to_string()))?;
            views.push((name, view));
        }
        let metadata = HashMap::from([(KEY.to_owned(), json)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| broken(e.to_string()))
    }

    /// The arrays and the JSON.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, String)> {
        let whole = |e: safetensors::SafeTensorError| broken(format!("{e}; the file is cut short, damaged, or something else"));
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(whole)?;
        let json = metadata.metadata().as_ref().and_then(|m| m.get(KEY)).cloned();
        let json = json.ok_or_else(|| broken(format!("it holds tensors but no \"{KEY}\" header; it was not written by lvm")))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in SafeTensors::deserialize(bytes).map_err(whole)?.tensors() {
            if view.dtype() != Dtype::F64 {
                return Err(broken(format!("tensor \"{name}\" holds {} where F64 is needed", view.dtype())));
            }
            tensors.insert(name, Tensor { shape: view.shape().to_vec(), bytes: view.data().to_vec() });
        }
        Ok((Tensors(tensors), json))
    }
}

/// CRC-32 (IEEE 802.3, as in zlib) of what gave `crc` followed by `bytes`.
pub fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut c = i as u32;
            let mut bit = 0;
            while bit < 8 {
                c = if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 };
                bit += 1;
            }
            table[i] = c;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!crc, |c, b| TABLE[((c ^ u32::from(*b)) & 0xff) as usize] ^ (c >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Ix1, Ix2, array};

    #[test]
    fn crc32_of_the_standard_check_string() {
        assert_eq!(crc32(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(crc32(0, b"1234"), b"56789"), 0xcbf4_3926);
    }

    #[test]
    fn arrays_come_back_bit_for_bit() {
        let a = array![[0.1, -0.0], [5e-324, f64::MAX]];
        let mut tensors = Tensors::default();
        tensors.put("a", &a.t());
        let bytes = tensors.encode("{}".into()).unwrap();
        let (mut back, json) = Tensors::decode(&bytes).unwrap();
        assert_eq!(json, "{}");
        assert_eq!(back, tensors);
        let b = back.take::<Ix2>("a").unwrap();
        assert!(a.t().iter().zip(&b).all(|(x, y)| x.to_bits() == y.to_bits()));
        back.finish().unwrap();
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut tensors = Tensors::default();
        tensors.put("a", &array![1.0, f64::NAN]);
        assert!(tensors.clone().take::<Ix2>("a").is_err());
        assert!(tensors.clone().take::<Ix1>("b").is_err());
        assert!(tensors.clone().take::<Ix1>("a").unwrap_err().to_string().contains("entry 1"));
        assert!(tensors.finish().is_err());
    }
}
