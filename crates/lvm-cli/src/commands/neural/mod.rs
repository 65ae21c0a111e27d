//! Neural models: fitted by gradients, asked through bounds.

mod apply;
mod evidence;
mod fit;
mod generate;
mod ood;
mod resume;
mod settings;
mod standard;
mod training;

pub(super) use apply::{impute, info, map, posterior, reconstruct};
pub(crate) use evidence::log_evidence;
pub(super) use evidence::score;
pub(super) use fit::fit;
pub(super) use generate::{interpolate, sample};
pub(super) use ood::ood;
pub(super) use resume::resume;

use crate::args::{DataArgs, DeviceArgs, DeviceChoice};
use crate::failure::{Failure, Outcome};
use crate::hint;
use crate::input::Input;
use crate::stored::Family;
use lvm_core::file::Header;
use lvm_deep::checkpoint;
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::device::Device;
use lvm_deep::tensor::to_matrix;
use lvm_deep::vae::Vae;
use ndarray::{Array2, Axis, concatenate};
use std::path::Path;

/// Rows that are encoded at once.
const ROWS: i64 = 1024;

/// A note in the header: what every number of the table was divided by.
const SCALE: &str = "scale";

/// A model from a file.
pub(crate) struct Neural {
    pub(crate) path: String,
    pub(crate) vae: Vae,
    pub(crate) header: Header,
}

impl Neural {
    /// Reads a model onto a device.
    pub(crate) fn load(path: &Path, device: &DeviceArgs) -> Outcome<Self> {
        let device = resolve(device)?;
        let saved = lvm_data::model::load_with(path, |bytes| checkpoint::decode(bytes, device)).map_err(hint::data)?;
        let shown = path.display().to_string();
        if saved.header.notes.contains_key(standard::NOTE) {
            return Err(Failure::fault(format!(
                "{shown}: a checkpoint of a training in units of standard deviations, not a finished model\n  \
                 hint: lvm resume {shown} DATA -o MODEL ends the training; --epochs of those already done writes the model as it stands"
            )));
        }
        Ok(Neural { path: shown, vae: saved.vae, header: saved.header })
    }

    /// Names of the columns.
    pub(crate) fn columns(&self) -> Vec<String> {
        let d = self.vae.n_columns() as usize;
        match self.header.columns.len() == d {
            true => self.header.columns.clone(),
            false => (1..=d).map(|j| format!("x{j}")).collect(),
        }
    }

    /// What every number of its tables was divided by.
    pub(crate) fn scale(&self) -> Option<f64> {
        self.header.notes.get(SCALE).and_then(|text| text.parse().ok())
    }

    /// The table to apply it to, divided as the one it was fitted to.
    pub(crate) fn input(&self, args: &DataArgs) -> Outcome<Input> {
        self.labelled(args, None)
    }

    /// The same with a column of labels.
    fn labelled(&self, args: &DataArgs, labels: Option<&str>) -> Outcome<Input> {
        let args = DataArgs { scale: args.scale.or(self.scale()), ..args.clone() };
        Input::labelled(&args, &self.path, &self.columns(), labels)
    }

    /// The rows on the model's device.
    pub(crate) fn dataset(&self, input: &Input) -> Outcome<Dataset> {
        let parameters = &self.vae.parameters;
        let data = Dataset::new(&input.rows(), parameters.kind(), parameters.device());
        let data = data.map_err(|error| input.explain(Family::Vae, error))?;
        self.vae.check(&data.rows).map_err(|error| input.explain(Family::Vae, error))?;
        Ok(data)
    }
}

/// The device that was asked for.
fn resolve(args: &DeviceArgs) -> Outcome<tch::Device> {
    let device = match args.device {
        None | Some(DeviceChoice::Auto) => Device::Auto,
        Some(DeviceChoice::Cpu) => Device::Cpu,
        Some(DeviceChoice::Cuda(index)) => Device::Cuda(index),
    };
    located(device)
}

/// A device that is there.
fn located(device: Device) -> Outcome<tch::Device> {
    device.resolve().map_err(|error| Failure::fault(format!("{error}\n  hint: lvm doctor tells what there is; --device cpu always works")))
}

/// The device in words.
fn device_name(device: tch::Device) -> String {
    match device {
        tch::Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

/// A function of rows (n, ·), of all rows by some at a time.
fn by_rows(batch: &Batch, mut of: impl FnMut(&Batch) -> lvm_core::Result<lvm_deep::Tensor>) -> lvm_core::Result<Array2<f64>> {
    let n = batch.n_rows();
    let mut parts = Vec::new();
    for start in (0..n).step_by(ROWS as usize) {
        parts.push(to_matrix(&of(&batch.narrow(start, ROWS.min(n - start)))?)?);
    }
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    concatenate(Axis(0), &views).map_err(|error| lvm_core::Error::config("rows", error.to_string()))
}
