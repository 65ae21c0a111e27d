//! Each kind of model as tensors, and back through its own constructor, which checks the parameters.

use super::Model;
use super::tensors::{Tensors, broken};
use crate::error::{Error, Result};
use crate::fa::{FactorAnalysis, Rotated, Rotation};
use crate::gmm::{CovarianceType, Covariances, GaussianMixture};
use crate::ppca::Ppca;
use ndarray::{Array1, arr1};
use serde::{Deserialize, Serialize};

/// What a kind of model needs besides numbers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Particulars {
    /// Shape of a mixture's covariances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    covariance: Option<CovarianceType>,
    /// Criterion of a rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<RotationRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RotationRecord {
    criterion: Rotation,
    converged: bool,
}

const WEIGHTS: &str = "weights";
const MEANS: &str = "means";
const COVARIANCES: &str = "covariances";
const MEAN: &str = "mean";
const LOADINGS: &str = "loadings";
const NOISE_VARIANCE: &str = "noise_variance";
const NOISE_VARIANCES: &str = "noise_variances";
const ROTATION_MATRIX: &str = "rotation_matrix";

pub(super) fn take_apart(model: &Model) -> (Tensors, Particulars) {
    let mut tensors = Tensors::default();
    let mut particulars = Particulars::default();
    match model {
        Model::Gmm(model) => {
            particulars.covariance = Some(model.covariance_type());
            tensors.put(WEIGHTS, model.weights());
            tensors.put(MEANS, model.means());
            match model.covariances() {
                Covariances::Full(c) => tensors.put(COVARIANCES, c),
                Covariances::Tied(c) | Covariances::Diagonal(c) => tensors.put(COVARIANCES, c),
                Covariances::Spherical(c) => tensors.put(COVARIANCES, c),
            }
        }
        Model::Ppca(model) => {
            tensors.put(MEAN, model.mean());
            tensors.put(LOADINGS, model.loadings());
            tensors.put(NOISE_VARIANCE, &arr1(&[model.noise_variance()]));
        }
        Model::Fa(model) => {
            tensors.put(MEAN, model.mean());
            tensors.put(LOADINGS, model.linear_gaussian().loadings());
            tensors.put(NOISE_VARIANCES, model.noise_variances());
            if let Some(rotated) = model.rotation() {
                tensors.put(ROTATION_MATRIX, &rotated.matrix);
                particulars.rotation = Some(RotationRecord { criterion: rotated.rotation, converged: rotated.converged });
            }
        }
    }
    (tensors, particulars)
}

pub(super) fn put_together(kind: &str, mut tensors: Tensors, particulars: Particulars) -> Result<Model> {
    let model = match kind {
        "gmm" => Model::Gmm(gmm(&mut tensors, particulars.covariance)?),
        "ppca" => Model::Ppca(ppca(&mut tensors)?),
        "fa" => Model::Fa(fa(&mut tensors, particulars.rotation)?),
        other => return Err(broken(format!("it holds a model of kind \"{other}\"; this program knows gmm, ppca and fa"))),
    };
    tensors.finish()?;
    Ok(model)
}

/// The parameters are numbers, but no model's.
fn invalid(error: Error) -> Error {
    broken(format!("its parameters are not those of a model: {error}"))
}

fn gmm(tensors: &mut Tensors, covariance: Option<CovarianceType>) -> Result<GaussianMixture> {
    let covariances = match covariance.ok_or_else(|| broken("its header does not say the shape of the covariances"))? {
        CovarianceType::Full => Covariances::Full(tensors.take(COVARIANCES)?),
        CovarianceType::Tied => Covariances::Tied(tensors.take(COVARIANCES)?),
        CovarianceType::Diagonal => Covariances::Diagonal(tensors.take(COVARIANCES)?),
        CovarianceType::Spherical => Covariances::Spherical(tensors.take(COVARIANCES)?),
    };
    GaussianMixture::new(tensors.take(WEIGHTS)?, tensors.take(MEANS)?, covariances).map_err(invalid)
}

fn ppca(tensors: &mut Tensors) -> Result<Ppca> {
    let noise: Array1<f64> = tensors.take(NOISE_VARIANCE)?;
    if noise.len() != 1 {
        return Err(broken(format!("tensor \"{NOISE_VARIANCE}\" has {} entries where one is needed", noise.len())));
    }
    Ppca::new(tensors.take(MEAN)?, tensors.take(LOADINGS)?, noise[0]).map_err(invalid)
}

fn fa(tensors: &mut Tensors, rotation: Option<RotationRecord>) -> Result<FactorAnalysis> {
    let model = FactorAnalysis::new(tensors.take(MEAN)?, tensors.take(LOADINGS)?, tensors.take(NOISE_VARIANCES)?).map_err(invalid)?;
    match rotation {
        None => Ok(model),
        Some(record) => {
            let matrix = tensors.take(ROTATION_MATRIX)?;
            model.with_rotation(Rotated { rotation: record.criterion, matrix, converged: record.converged }).map_err(invalid)
        }
    }
}
