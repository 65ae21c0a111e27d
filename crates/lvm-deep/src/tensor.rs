//! Between ndarray and libtorch, by slices.

use crate::error::{Error, Result};
use lvm_core::rows::{Missing, RowSource};
use ndarray::{Array1, Array2, ArrayRef2};
use tch::{Device, Kind, Tensor};

/// A matrix as a tensor (N, D).
pub fn from_matrix(x: &ArrayRef2<f64>, kind: Kind, device: Device) -> Tensor {
    let shape = [x.nrows() as i64, x.ncols() as i64];
    let values: Vec<f64> = x.iter().copied().collect();
    Tensor::from_slice(&values).view(shape).to_kind(kind).to_device(device)
}

/// A vector as a tensor (N).
pub fn from_vector(x: &[f64], kind: Kind, device: Device) -> Tensor {
    Tensor::from_slice(x).to_kind(kind).to_device(device)
}

/// A tensor of two dimensions as a matrix.
///
/// # Errors
/// If it has not two dimensions.
pub fn to_matrix(x: &Tensor) -> Result<Array2<f64>> {
    let (rows, cols) =
        x.size2().map_err(|_| Error::config("tensor", format!("has shape {:?}, where (rows, columns) is needed", x.size())))?;
    Array2::from_shape_vec((rows as usize, cols as usize), to_values(x)).map_err(|e| Error::config("tensor", e.to_string()))
}

/// All numbers of a tensor in one vector.
pub fn to_vector(x: &Tensor) -> Array1<f64> {
    Array1::from(to_values(x))
}

/// All numbers of a tensor, in row-major order.
pub fn to_values(x: &Tensor) -> Vec<f64> {
    let flat = x.detach().to_device(Device::Cpu).to_kind(Kind::Double).contiguous().view([-1]);
    let mut values = vec![0.0; flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    values
}

/// All rows of a source: the numbers with 0 where an entry is missing, and which entries are there (1 or 0), unless all are.
///
/// # Errors
/// If the source can't be read, or has NaN without saying that it means missing, or infinite entries; the error names row and column.
pub fn from_rows(source: &dyn RowSource, kind: Kind, device: Device) -> Result<(Tensor, Option<Tensor>)> {
    let mut x = Array2::zeros((source.n_rows(), source.n_cols()));
    source.read(0, x.view_mut())?;
    let mut observed: Option<Array2<f64>> = None;
    for ((row, column), value) in x.indexed_iter_mut() {
        if value.is_nan() && source.missing() == Missing::Integrate {
            observed.get_or_insert_with(|| Array2::ones((source.n_rows(), source.n_cols())))[(row, column)] = 0.0;
            *value = 0.0;
        } else if value.is_nan() {
            return Err(lvm_core::ErrorKind::NotANumber { row, column, name: source.column_name(column) }.into());
        } else if value.is_infinite() {
            return Err(lvm_core::ErrorKind::Infinite { row, column, name: source.column_name(column) }.into());
        }
    }
    Ok((from_matrix(&x, kind, device), observed.map(|o| from_matrix(&o, kind, device))))
}
