//! Models and trainings as bytes and as files.
//!
//! The bytes are a [safetensors](https://github.com/huggingface/safetensors) file: every parameter under its name, in the kind of number it
//! was trained in, and one line of JSON under the metadata key `lvm-model` with the architecture and everything else. A checkpoint of a
//! training holds besides, under names that begin with `adam.` and `best.`, what the next step needs: a training that is read back goes on
//! bit for bit as if it had not been interrupted (on a CPU, with the same number of threads). `docs/model-files.md` is the specification.

use crate::architecture::Architecture;
use crate::error::{Error, ErrorKind, Result};
use crate::parameters::Parameters;
use crate::train::{Epoch, State, Training};
use crate::vae::Vae;
use lvm_core::file::Header;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};

const KEY: &str = "lvm-model";
const FORMAT: &str = "lvm-model";
const VERSION: u64 = 1;

/// What stands in the JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    format: String,
    version: u64,
    kind: String,
    architecture: Architecture,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training: Option<Progress>,
    #[serde(default)]
    header: Header,
    /// CRC-32 of the numbers, in order of the names.
    crc32: u32,
}

/// How far a training has come.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    settings: Training,
    epochs: Vec<Epoch>,
    attempts: u64,
    steps: u64,
    skipped: u64,
    skipped_in_a_row: u64,
    seed: u64,
    best: Option<usize>,
    rows: usize,
}

/// A model with what is known about it.
pub struct Saved {
    /// The model.
    pub vae: Vae,
    /// Names of its columns, how it was fitted.
    pub header: Header,
}

/// A training that can go on.
pub struct Resumed {
    /// Where it stood.
    pub state: State,
    /// How it was set up.
    pub training: Training,
    /// Names of the columns.
    pub header: Header,
    /// The number of rows it was trained on.
    pub rows: usize,
}

/// A model as bytes.
///
/// # Errors
/// Never for a model made by this crate.
pub fn encode(vae: &Vae, header: &Header) -> Result<Vec<u8>> {
    write(tensors(&vae.parameters), describe(vae, header, None))
}

/// A training as bytes, with the settings and the number of rows it runs on.
///
/// # Errors
/// Never for a state made by this crate.
pub fn encode_training(state: &State, training: &Training, rows: usize, header: &Header) -> Result<Vec<u8>> {
    let mut all = tensors(&state.vae.parameters);
    let names: Vec<&str> = state.vae.parameters.trained().map(|p| p.name.as_str()).collect();
    for (part, values) in [("adam.first", &state.moments.first), ("adam.second", &state.moments.second)] {
        all.extend(names.iter().zip(values).map(|(name, value)| (format!("{part}.{name}"), value.shallow_clone())));
    }
    if let Some((_, best)) = &state.best {
        let entries = state.vae.parameters.entries();
        all.extend(entries.iter().zip(best).map(|(p, value)| (format!("best.{}", p.name), value.shallow_clone())));
    }
    let progress = Progress {
        settings: training.clone(),
        epochs: state.epochs.clone(),
        attempts: state.attempts,
        steps: state.moments.steps,
        skipped: state.skipped,
        skipped_in_a_row: state.skipped_in_a_row,
        seed: state.seed,
        best: state.best.as_ref().map(|(epoch, _)| *epoch),
        rows,
    };
    write(all, describe(&state.vae, header, Some(progress)))
}

/// Reads a model onto a device; of a training, the model as it stands, at the best held-out bound where there was one.
///
/// # Errors
/// [`ErrorKind::ModelFile`] if the bytes are cut short or damaged, of another format, version or kind, or do not fit the architecture.
pub fn decode(bytes: &[u8], device: Device) -> Result<Saved> {
    let mut file = read(bytes)?;
    let prefix = if file.description.training.as_ref().is_some_and(|t| t.best.is_some()) { "best." } else { "" };
    let vae = file.vae(prefix, device)?;
    Ok(Saved { vae, header: file.description.header })
}

/// Reads a training onto a device.
///
/// # Errors
/// As [`decode`], and if the file holds a model without its training.
pub fn decode_training(bytes: &[u8], device: Device) -> Result<Resumed> {
    let mut file = read(bytes)?;
    let Some(progress) = file.description.training.take() else {
        return Err(broken(
            "it holds a finished model, not a training that could go on; a checkpoint is written with --checkpoint or by encode_training",
        ));
    };
    let vae = file.vae("", device)?;
    let names: Vec<String> = vae.parameters.trained().map(|p| p.name.clone()).collect();
    let mut state = State::new(vae, progress.seed);
    for (part, values) in [("adam.first", &mut state.moments.first), ("adam.second", &mut state.moments.second)] {
        for (name, value) in names.iter().zip(values) {
            let saved = file.take(&format!("{part}.{name}"))?;
            fits(name, value, &saved)?;
            tch::no_grad(|| value.copy_(&saved));
        }
    }
    if let Some(epoch) = progress.best {
        let names: Vec<String> = state.vae.parameters.entries().iter().map(|p| p.name.clone()).collect();
        let best: Result<Vec<Tensor>> = names.iter().map(|name| Ok(file.take(&format!("best.{name}"))?.to_device(device))).collect();
        state.best = Some((epoch, best?));
    }
    state.moments.steps = progress.steps;
    state.epochs = progress.epochs;
    state.attempts = progress.attempts;
    state.skipped = progress.skipped;
    state.skipped_in_a_row = progress.skipped_in_a_row;
    Ok(Resumed { state, training: progress.settings, header: file.description.header, rows: progress.rows })
}

/// Writes bytes to a file, whole or not at all.
///
/// # Errors
/// If the file can't be written; what was there before is then as it was.
pub fn save(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    lvm_data::output::replace(path, |out| out.write_all(bytes)).map_err(|e| ErrorKind::Source(Box::new(e)).into())
}

/// The bytes of a file.
///
/// # Errors
/// If it can't be read.
pub fn load(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let path = path.as_ref();
    std::fs::read(path).map_err(|e| broken(format!("{} can't be read: {e}", path.display())))
}

fn describe(vae: &Vae, header: &Header, training: Option<Progress>) -> Description {
    Description {
        format: FORMAT.into(),
        version: VERSION,
        kind: "vae".into(),
        architecture: vae.architecture.clone(),
        training,
        header: header.clone(),
        crc32: 0,
    }
}

fn tensors(parameters: &Parameters) -> Vec<(String, Tensor)> {
    parameters.entries().iter().map(|p| (p.name.clone(), p.value.detach())).collect()
}

/// Shape, kind and bytes of a tensor.
type Numbers = (Vec<usize>, Dtype, Vec<u8>);

fn write(tensors: Vec<(String, Tensor)>, mut description: Description) -> Result<Vec<u8>> {
    let mut all: Vec<(String, Numbers)> =
        tensors.into_iter().map(|(name, value)| numbers(&value).map(|n| (name, n))).collect::<Result<_>>()?;
    all.sort_by(|a, b| a.0.cmp(&b.0));
    description.crc32 = all.iter().fold(0, |crc, (_, (_, _, bytes))| lvm_core::file::crc32(crc, bytes));
    let json = serde_json::to_string(&description).map_err(|e| broken(e.to_string()))?;
    let views: Result<Vec<(&str, TensorView<'_>)>> = all
        .iter()
        .map(|(name, (shape, kind, bytes))| {
            let view = TensorView::new(*kind, shape.clone(), bytes).map_err(|e| broken(e.to_string()))?;
            Ok((name.as_str(), view))
        })
        .collect();
    safetensors::serialize(views?, Some(HashMap::from([(KEY.to_owned(), json)]))).map_err(|e| broken(e.to_string()))
}

fn numbers(value: &Tensor) -> Result<Numbers> {
    let value = value.to_device(Device::Cpu).contiguous();
    let (kind, width) = match value.kind() {
        Kind::Float => (Dtype::F32, 4),
        Kind::Double => (Dtype::F64, 8),
        other => return Err(broken(format!("parameters of kind {other:?} have no place in model files"))),
    };
    let mut bytes = vec![0; value.numel() * width];
    value.copy_data_u8(&mut bytes, value.numel());
    Ok((value.size().iter().map(|&s| s as usize).collect(), kind, bytes))
}

/// A file that was taken apart.
struct File {
    description: Description,
    tensors: HashMap<String, Tensor>,
    kind: Kind,
}

fn read(bytes: &[u8]) -> Result<File> {
    let whole = |e: safetensors::SafeTensorError| broken(format!("{e}; the file is cut short, damaged, or something else"));
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(whole)?;
    let json = metadata.metadata().as_ref().and_then(|m| m.get(KEY)).cloned();
    let json = json.ok_or_else(|| broken(format!("it holds tensors but no \"{KEY}\" header; it was not written by lvm")))?;
    let plain: serde_json::Value = serde_json::from_str(&json).map_err(|e| broken(e.to_string()))?;
    match (plain["format"].as_str(), plain["version"].as_u64(), plain["kind"].as_str()) {
        (Some(FORMAT), Some(VERSION), Some("vae")) => {}
        (Some(FORMAT), Some(VERSION), Some(kind)) => return Err(broken(format!("it holds a model of kind \"{kind}\", not a vae"))),
        (Some(FORMAT), Some(version), _) => {
            return Err(broken(format!("it is of version {version}; this program reads version {VERSION}")));
        }
        _ => return Err(broken("its header names no known format")),
    }
    let description: Description = serde_json::from_value(plain).map_err(|e| broken(format!("its header can't be read: {e}")))?;
    let mut views = SafeTensors::deserialize(bytes).map_err(whole)?.tensors();
    views.sort_by(|a, b| a.0.cmp(&b.0));
    let crc = views.iter().fold(0, |crc, (_, view)| lvm_core::file::crc32(crc, view.data()));
    if crc != description.crc32 {
        return Err(broken("its numbers are damaged (their checksum is another)"));
    }
    let mut tensors = HashMap::new();
    let mut kinds = Vec::new();
    for (name, view) in views {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            other => return Err(broken(format!("tensor \"{name}\" holds {other}, where F32 or F64 is needed"))),
        };
        let shape: Vec<i64> = view.shape().iter().map(|&s| s as i64).collect();
        kinds.push(kind);
        tensors.insert(name, Tensor::from_data_size(view.data(), &shape, kind));
    }
    let kind = *kinds.first().ok_or_else(|| broken("it holds no tensors"))?;
    if kinds.iter().any(|&k| k != kind) {
        return Err(broken("its tensors are of different kinds"));
    }
    Ok(File { description, tensors, kind })
}

impl File {
    fn take(&mut self, name: &str) -> Result<Tensor> {
        self.tensors.remove(name).ok_or_else(|| broken(format!("there is no tensor \"{name}\", which the architecture needs")))
    }

    /// The model with the parameters whose names begin with `prefix`.
    fn vae(&mut self, prefix: &str, device: Device) -> Result<Vae> {
        let mut vae = Vae::untrained(self.description.architecture.clone(), None, self.kind, device, 0)?;
        let names: Vec<String> = vae.parameters.entries().iter().map(|p| p.name.clone()).collect();
        for name in names {
            let value = self.take(&format!("{prefix}{name}"))?;
            vae.parameters.set(&name, &value)?;
        }
        Ok(vae)
    }
}

fn fits(name: &str, expected: &Tensor, found: &Tensor) -> Result<()> {
    match expected.size() == found.size() {
        true => Ok(()),
        false => Err(broken(format!("the state of {name} has shape {:?} where {:?} is needed", found.size(), expected.size()))),
    }
}

fn broken(message: impl Into<String>) -> Error {
    ErrorKind::ModelFile { message: message.into() }.into()
}
