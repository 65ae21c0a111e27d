//! V8: the densities p(x | z) of decoders: golden values, sums to 1, gradients, draws.

use crate::check::{Source, Tolerance};
use crate::suite::{Group, Outcome, Problem};
use crate::tables::reference_folder;
use lvm_core::random::{Purpose, stream};
use lvm_deep::architecture::LikelihoodSpec;
use lvm_deep::data::Batch;
use lvm_deep::likelihood::{Library, Likelihood};
use lvm_deep::noise::Noise;
use lvm_deep::parameters::Parameters;
use lvm_deep::tensor::{from_matrix, to_matrix, to_values};
use lvm_deep::{Kind, Tensor};
use ndarray::{Array1, Array2};
use serde::Deserialize;
use std::collections::BTreeMap;
use tch::Device;

/// The file of golden values.
#[derive(Deserialize)]
struct Golden {
    densities: Vec<Density>,
}

/// One density with rows and log p of their entries by other programs.
#[derive(Deserialize)]
struct Density {
    name: String,
    likelihood: LikelihoodSpec,
    parameters: BTreeMap<String, Numbers>,
    outputs: Vec<f64>,
    condition: Option<Vec<Vec<f64>>>,
    x: Vec<Vec<f64>>,
    log_prob: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    One(f64),
    Many(Vec<f64>),
}

/// A density over parameters of its own.
struct Built {
    likelihood: Box<dyn Likelihood>,
    parameters: Parameters,
    outputs: Tensor,
    batch: Batch,
}

impl Density {
    fn build(&self) -> Result<Built, Problem> {
        let x = rows(&self.x)?;
        let mut parameters = Parameters::new(Kind::Double, Device::Cpu);
        let likelihood = self.likelihood.build(&mut parameters.root(&mut stream(1, Purpose::Start, 0)), x.ncols() as i64)?;
        for (name, value) in &self.parameters {
            let value = match value {
                Numbers::One(v) => Tensor::from(*v),
                Numbers::Many(v) => Tensor::from_slice(v),
            };
            parameters.set(name, &value)?;
        }
        let mut batch = Batch::new(from_matrix(&x, Kind::Double, Device::Cpu));
        batch.condition =
            self.condition.as_ref().map(|c| Ok::<_, Problem>(from_matrix(&rows(c)?, Kind::Double, Device::Cpu))).transpose()?;
        Ok(Built { likelihood, parameters, outputs: Tensor::from_slice(&self.outputs).view([1, -1]), batch })
    }

    /// The unit of output `i`: in that of its logistic for the mean of a grey level, as log p bends on that length.
    fn unit(&self, i: usize) -> f64 {
        let columns = self.x[0].len();
        match &self.likelihood {
            LikelihoodSpec::DiscretizedLogistic { .. } if i < columns => {
                self.outputs.get(columns + i).map_or(1.0, |log_scale| log_scale.exp())
            }
            _ => 1.0,
        }
    }

    /// The points of one column over which the density sums to 1 up to 1e-15, where it is a sum over points and columns don't share a size.
    fn points(&self) -> Option<Vec<f64>> {
        let up_to = |n: usize| Some((0..n).map(|v| v as f64).collect());
        match &self.likelihood {
            LikelihoodSpec::Bernoulli => up_to(2),
            LikelihoodSpec::Categorical { codes } => up_to(*codes as usize),
            // means up to 1808 and dispersions from 0.37: beyond the last point is less than e^{−40}
            LikelihoodSpec::Poisson { library: Library::None } => up_to(5000),
            LikelihoodSpec::NegativeBinomial { library: Library::None, .. }
            | LikelihoodSpec::ZeroInflatedNegativeBinomial { library: Library::None, .. } => up_to(40_000),
            LikelihoodSpec::DiscretizedLogistic { levels, .. } => Some((0..*levels).map(|v| v as f64 / (*levels - 1) as f64).collect()),
            _ => None,
        }
    }
}

fn rows(x: &[Vec<f64>]) -> Result<Array2<f64>, Problem> {
    let columns = x.first().map_or(0, Vec::len);
    Ok(Array2::from_shape_vec((x.len(), columns), x.concat()).map_err(|e| e.to_string())?)
}

/// V8.
///
/// # Errors
/// If the golden values can't be read or the library refuses.
pub(in super::super) fn densities(g: &mut Group<'_>) -> Outcome {
    let file = reference_folder().join("neural/densities.json");
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let golden: Golden = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    for density in &golden.densities {
        let built = density.build()?;
        built.likelihood.check(&built.batch)?;
        values(g, density, &built)?;
        total(g, density, &built)?;
        gradients(g, density, &built)?;
        draws(g, density, &built)?;
    }
    Ok(())
}

/// Against programs that nobody here wrote.
fn values(g: &mut Group<'_>, density: &Density, built: &Built) -> Outcome {
    let ours = to_matrix(&tch::no_grad(|| built.likelihood.log_prob_entries(&built.outputs, &built.batch)))?;
    let rounding = Tolerance::both(
        3e-10,
        1e-12,
        "64 ulp of the largest log gamma function (2e4 at counts of 2000), 1e-12 of the value where there is none",
    );
    g.array(format!("{}: log p of every entry", density.name), Source::X, &ours, &rows(&density.log_prob)?, &rounding);
    Ok(())
}

/// Σ_x p(x | z) of every column, and Σ_x x p(x | z) against the mean that is told.
fn total(g: &mut Group<'_>, density: &Density, built: &Built) -> Outcome {
    let d = density.x[0].len() as i64;
    let (points, width) = match (&density.likelihood, density.points()) {
        (_, Some(points)) => (points, 1.0),
        // within ± 60 standard deviations of the widest normal here, e^2
        (LikelihoodSpec::Gaussian(_), None) => ((-90_000..=90_000).map(|i| f64::from(i) * 5e-3).collect(), 5e-3),
        _ => return Ok(()),
    };
    let n = points.len() as i64;
    let x = Tensor::from_slice(&points).view([n, 1]);
    let batch = Batch::new(x.expand([n, d], false).contiguous());
    let p = tch::no_grad(|| built.likelihood.log_prob_entries(&built.outputs, &batch)).exp() * width;
    let sum = |t: &Tensor| Array1::from(to_values(&t.sum_dim_intlist([0].as_slice(), false, None::<Kind>)));
    let rounding = Tolerance::absolute(3e-10, "the tolerance of log p, in which p is wrong by as much relatively");
    g.array(format!("{}: sum over x", density.name), Source::I, &sum(&p), &Array1::ones(d as usize), &rounding);
    let told = Array1::from(to_values(&tch::no_grad(|| built.likelihood.mean(&built.outputs, &batch.narrow(0, 1)))));
    let mean = sum(&(&p * &x));
    let allowed = Tolerance::both(1e-9, 1e-9, "the same of a sum of terms that are all positive, or of order 1");
    g.array(format!("{}: mean", density.name), Source::I, &told, &mean, &allowed);
    Ok(())
}

/// The gradient of Σ log p for outputs and own parameters, against differences.
fn gradients(g: &mut Group<'_>, density: &Density, built: &Built) -> Outcome {
    let outputs = built.outputs.detach().copy().set_requires_grad(true);
    let own: Vec<&Tensor> = built.parameters.trained().map(|p| &p.value).collect();
    let at: Vec<&Tensor> = std::iter::once(&outputs).chain(own).collect();
    let value = || built.likelihood.log_prob_entries(&outputs, &built.batch).sum(Kind::Double);
    let found: Vec<f64> = Tensor::run_backward(&[value()], &at, false, false).iter().flat_map(to_values).collect();
    let mut differences = Vec::new();
    for (which, place) in at.iter().enumerate() {
        for i in 0..place.numel() as i64 {
            let unit = if which == 0 { density.unit(i as usize) } else { 1.0 };
            let shifted = |h: f64| {
                let entry = place.detach().view([-1]).narrow(0, i, 1);
                let before = entry.copy();
                tch::no_grad(|| {
                    entry.shallow_clone().copy_(&(&before + h));
                    let moved = value().double_value(&[]);
                    entry.shallow_clone().copy_(&before);
                    moved
                })
            };
            let central = |h: f64| (shifted(h) - shifted(-h)) / (2.0 * h);
            // Richardson: the error of order h² is taken out
            differences.push((4.0 * central(5e-4 * unit) - central(1e-3 * unit)) / 3.0);
        }
    }
    let allowed = Tolerance::both(
        2e-6,
        1e-7,
        "rounding of 12 log p of 2e4 over a step of 1e-3, 16 ε 2.4e5/5e-4 (of grey levels, 5e3 over 1e-3 of the scale, where slopes are as much larger); and the term of order h⁴, below 1e-7 of the slope",
    );
    g.array(format!("{}: gradient", density.name), Source::I, &Array1::from(found), &Array1::from(differences), &allowed);
    Ok(())
}

/// Rows that are drawn at a time.
const DRAWS: i64 = 2000;

/// Draws agree with the density: E[log p(x)] over them is −H, known from the sum over x; checked where the sum is short.
fn draws(g: &mut Group<'_>, density: &Density, built: &Built) -> Outcome {
    let Some(points) = density.points() else { return Ok(()) };
    let d = density.x[0].len() as i64;
    let n = points.len() as i64;
    let batch = Batch::new(Tensor::from_slice(&points).view([n, 1]).expand([n, d], false).contiguous());
    let log_p = tch::no_grad(|| built.likelihood.log_prob_entries(&built.outputs, &batch));
    let negative_entropy = (log_p.exp() * log_p.clamp_min(-700.0)).sum(Kind::Double).double_value(&[]);
    let seed = g.seed(density.name.len() as u64);
    let mut call = 0;
    g.expectation(
        format!("{}: E[log p] over draws", density.name),
        (crate::stochastic::Truth::from(negative_entropy), Source::I),
        crate::stochastic::Claim::Equal(0.2),
        DRAWS as usize,
        "draws of x have the density p: E[log p(x)] = Σ p log p",
        |n| {
            call += 1;
            let mut noise = Noise::new(seed, Purpose::Diagnosis, call, Kind::Double, Device::Cpu);
            let n = n as i64;
            let blank = Batch::new(Tensor::zeros([n, d], (Kind::Double, Device::Cpu)));
            let outputs = built.outputs.expand([n, -1], false);
            let x = tch::no_grad(|| built.likelihood.sample(&outputs, &blank, &mut noise));
            let log_p = tch::no_grad(|| built.likelihood.log_prob_entries(&outputs, &Batch::new(x)));
            Ok::<_, Problem>(to_values(&log_p.sum_dim_intlist([1].as_slice(), false, None::<Kind>)))
        },
    )
}
