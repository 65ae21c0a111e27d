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
    if file.description.training.is_none() {
        file.nothing_left()?;
    }
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
        if progress.epochs.get(epoch).is_none_or(|e| e.held_out.is_none()) {
            return Err(broken(format!("its best epoch is number {epoch} from 0, which has no held-out bound")));
        }
        let best = state.vae.parameters.entries().iter().map(|p| {
            let saved = file.take(&format!("best.{}", p.name))?;
            fits(&p.name, &p.value, &saved)?;
            Ok(saved.to_device(device))
        });
        state.best = Some((epoch, best.collect::<Result<Vec<Tensor>>>()?));
    }
    file.nothing_left()?;
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
/// If the file can't be written ([`ErrorKind::Output`]); what was there before is then as it was.
pub fn save(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    lvm_data::output::replace(path, |out| out.write_all(bytes)).map_err(|e| ErrorKind::Output(Box::new(e)).into())
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

    /// An error if there are tensors that the architecture has no place for.
    fn nothing_left(&self) -> Result<()> {
        match self.tensors.keys().min() {
            None => Ok(()),
            Some(name) => Err(broken(format!("it holds a tensor \"{name}\", which the architecture in its header has no place for"))),
        }
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
        false => Err(broken(format!("what belongs to {name} has shape {:?} where {:?} is needed", found.size(), expected.size()))),
    }
}

fn broken(message: impl Into<String>) -> Error {
    ErrorKind::ModelFile { message: message.into() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;
    use ndarray::Array2;

    fn table() -> Dataset {
        let x = Array2::from_shape_fn((20, 3), |(i, j)| ((i * (j + 1)) as f64 * 0.37).sin());
        Dataset::new(&x, Kind::Double, Device::Cpu).unwrap()
    }

    fn model(hidden: &[i64]) -> Vae {
        Vae::new(Architecture::mlp(3, 1, hidden), &table(), 1).unwrap()
    }

    fn refused<T>(result: Result<T>, word: &str) {
        let error = result.err().expect("an error");
        assert!(matches!(error.kind(), ErrorKind::ModelFile { .. }) && error.to_string().contains(word), "{error}");
    }

    /// The numbers of one model under the header of another.
    #[test]
    fn header_and_tensors_must_agree() {
        let of = |numbers: &Vae, header: &Vae| {
            let bytes = write(tensors(&numbers.parameters), describe(header, &Header::default(), None)).unwrap();
            decode(&bytes, Device::Cpu)
        };
        assert!(of(&model(&[4]), &model(&[4])).is_ok());
        refused(of(&model(&[4]), &model(&[5])), "shape");
        refused(of(&model(&[4]), &model(&[4, 4])), "shape");
        refused(of(&model(&[4, 4]), &model(&[4])), "shape");
        refused(of(&model(&[]), &model(&[1])), "shape");
        // two layers of 2 by 2 where one is expected: every shape that is looked for is right
        let square = |hidden: &[i64]| Vae::untrained(Architecture::mlp(2, 1, hidden), None, Kind::Double, Device::Cpu, 1).unwrap();
        refused(of(&square(&[2, 2]), &square(&[2])), "no place for");
    }

    fn trained() -> (State, Training) {
        let (training, rows) = (Training { epochs: 2, batch_size: 10, ..Training::default() }, table());
        let mut state = training.init(model(&[4]), &rows, 1).unwrap();
        training.run(&mut state, &rows, Some(&rows), &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        (state, training)
    }

    #[test]
    fn what_training_needs_must_have_the_shapes_of_the_parameters() {
        let bytes = |change: &dyn Fn(&mut State)| {
            let (mut state, training) = trained();
            change(&mut state);
            encode_training(&state, &training, 20, &Header::default()).unwrap()
        };
        assert!(decode_training(&bytes(&|_| {}), Device::Cpu).is_ok());
        let other = || Tensor::zeros([7], (Kind::Double, Device::Cpu));
        refused(decode_training(&bytes(&|state| state.moments.first[0] = other()), Device::Cpu), "shape [7]");
        refused(decode_training(&bytes(&|state| state.moments.second[1] = other()), Device::Cpu), "shape [7]");
        let best = |state: &mut State| state.best.as_mut().unwrap().1[0] = other();
        refused(decode_training(&bytes(&best), Device::Cpu), "shape [7]");
        refused(decode_training(&bytes(&|state| state.best.as_mut().unwrap().0 = 9), Device::Cpu), "best epoch is number 9");
        refused(decode_training(&bytes(&|state| drop(state.moments.second.pop())), Device::Cpu), "there is no tensor");
    }

    #[test]
    fn trainings_that_are_cut_short_are_refused() {
        let (state, training) = trained();
        let bytes = encode_training(&state, &training, 20, &Header::default()).unwrap();
        for cut in [0, 8, bytes.len() / 3, bytes.len() - 1] {
            refused(decode_training(&bytes[..cut], Device::Cpu), "cut short");
        }
    }
}
