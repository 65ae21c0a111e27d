//! Neural models: fitted by gradients, asked through bounds.

mod apply;
mod cluster;
mod condition;
mod evidence;
mod fit;
mod generate;
mod ood;
mod resume;
mod settings;
mod standard;
mod training;

pub(super) use apply::{impute, info, map, posterior, reconstruct};
pub(crate) use condition::Told;
pub(super) use evidence::score;
pub(crate) use evidence::{annealed_sandwich, compared, log_evidence};
pub(super) use fit::fit;
pub(crate) use generate::{centres, drawn, reconstructed};
pub(super) use generate::{interpolate, sample};
pub(super) use ood::ood;
pub(super) use resume::resume;

use crate::args::{DataArgs, FormatArgs, NeuralArgs};
use crate::failure::{Failure, Outcome};
use crate::hint;
use crate::input::Input;
use crate::stored::Family;
use condition::{Condition, Place};
use lvm_core::file::Header;
use lvm_deep::architecture::PosteriorSpec;
use lvm_deep::checkpoint;
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::device::Device;
use lvm_deep::tensor::to_matrix;
use lvm_deep::vae::Vae;
use ndarray::{Array2, Axis, concatenate};
use std::path::{Path, PathBuf};

/// Rows that are encoded at once.
const ROWS: i64 = 1024;

/// A note in the header: what every number of the table was divided by.
const SCALE: &str = "scale";

/// A model from a file.
pub(crate) struct Neural {
    pub(crate) path: String,
    pub(crate) vae: Vae,
    pub(crate) header: Header,
    /// What it is told besides x.
    condition: Condition,
    /// Where that stands, if not in the table.
    condition_from: Option<PathBuf>,
}

impl Neural {
    /// Reads a model onto a device.
    pub(crate) fn load(path: &Path, args: &NeuralArgs) -> Outcome<Self> {
        let device = resolve(args)?;
        let saved = lvm_data::model::load_with(path, |bytes| checkpoint::decode(bytes, device)).map_err(hint::data)?;
        let shown = path.display().to_string();
        if saved.header.notes.contains_key(standard::NOTE) {
            return Err(Failure::fault(format!(
                "{shown}: a checkpoint of a training in units of standard deviations, not a finished model\n  \
                 hint: lvm resume {shown} DATA -o MODEL ends the training; --epochs of those already done writes the model as it stands"
            )));
        }
        let condition = Condition::from_header(&saved.header)?;
        let (told, needed) = (condition.width() as i64, saved.vae.architecture.condition);
        if told != needed {
            let message =
                format!("{shown}: the model is told {needed} numbers a row besides x, but the file does not say which columns they are");
            return Err(Failure::fault(message));
        }
        Ok(Neural { path: shown, vae: saved.vae, header: saved.header, condition, condition_from: args.condition_from.clone() })
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
    pub(crate) fn labelled(&self, args: &DataArgs, labels: Option<&str>) -> Outcome<Input> {
        let args = DataArgs { scale: args.scale.or(self.scale()), ..args.clone() };
        let mut told = told_columns(&self.condition, self.condition_from.as_deref())?;
        // what is a label is no column to explain anyway
        told.retain(|column| Some(column.as_str()) != labels);
        open_told(&args, &told, |args| Input::labelled(args, &self.path, &self.columns(), labels))
    }

    /// The rows on the model's device, with what the model is told.
    pub(crate) fn dataset(&self, input: &Input, format: &FormatArgs) -> Outcome<Dataset> {
        let parameters = &self.vae.parameters;
        let explained = |error| input.explain(Family::Vae, error);
        let mut data = Dataset::new(&input.rows(), parameters.kind(), parameters.device()).map_err(explained)?;
        let from = Place { input, file: self.condition_from.as_deref(), format };
        if let Some(condition) = self.condition.numbers(from)? {
            data = data.with_condition(&condition).map_err(explained)?;
        }
        self.vae.check(&data.rows).map_err(explained)?;
        Ok(data)
    }

    /// Whether the latent is one of L values.
    pub(crate) fn is_discrete(&self) -> bool {
        self.vae.architecture.posterior == PosteriorSpec::Categorical
    }
}

/// The columns of a table that the model is told, if they are in the table and not in a file of their own.
fn told_columns(condition: &Condition, file: Option<&Path>) -> Outcome<Vec<String>> {
    match (condition.0.is_empty(), file) {
        (true, Some(_)) => Err(Failure::usage("--condition-from is for models that are told something (--condition); leave it out")),
        (false, None) => Ok(condition.columns()),
        _ => Ok(Vec::new()),
    }
}

/// A table without the columns that the model is told, which then are no columns to explain.
fn open_told(args: &DataArgs, told: &[String], open: impl Fn(&DataArgs) -> Outcome<Input>) -> Outcome<Input> {
    // columns that were chosen by name are none of them
    if told.is_empty() || !args.columns.is_empty() {
        return open(args);
    }
    let mut without = args.without.clone();
    without.extend_from_slice(told);
    let mut input = open(&DataArgs { without, ..args.clone() })?;
    input.used_for(told, "--condition");
    Ok(input)
}

/// The device that was asked for.
fn resolve(args: &NeuralArgs) -> Outcome<tch::Device> {
    located(args.device.unwrap_or_default())
}

/// A device that is there.
fn located(device: Device) -> Outcome<tch::Device> {
    device.resolve().map_err(|error| Failure::fault(format!("{error}\n  hint: lvm doctor tells what there is; --device cpu always works")))
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
