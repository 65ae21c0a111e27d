//! The trained tensors of a model, by name.

use crate::error::{Error, ErrorKind, Result};
use lvm_core::random::Stream;
use rand::RngExt;
use rand_distr::StandardNormal;
use tch::{Device, Kind, Tensor};

/// How a parameter starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// All zero.
    Zero,
    /// All equal.
    Constant(f64),
    /// Uniform on (−bound, bound).
    Uniform(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
}

/// One named tensor.
#[derive(Debug)]
pub struct Parameter {
    /// Its place in the model, such as `decoder.0.weight`.
    pub name: String,
    /// The numbers; shared with the net that uses them.
    pub value: Tensor,
    /// Whether it is trained; what is not (standardisation of the columns, pseudo-inputs held fixed) is saved all the same.
    pub trained: bool,
}

/// The parameters of one model, in the order in which they were made.
#[derive(Debug)]
pub struct Parameters {
    entries: Vec<Parameter>,
    kind: Kind,
    device: Device,
}

impl Parameters {
    /// None yet.
    pub fn new(kind: Kind, device: Device) -> Self {
        Parameters { entries: Vec::new(), kind, device }
    }

    /// The kind of number.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where they are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// All of them.
    pub fn entries(&self) -> &[Parameter] {
        &self.entries
    }

    /// Those that are trained.
    pub fn trained(&self) -> impl Iterator<Item = &Parameter> {
        self.entries.iter().filter(|p| p.trained)
    }

    /// How many numbers are trained.
    pub fn count(&self) -> usize {
        self.trained().map(|p| p.value.numel()).sum()
    }

    /// The parameter of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.entries.iter().find(|p| p.name == name).map(|p| &p.value)
    }

    /// Overwrites the numbers of one parameter, in place: nets that share it see them.
    ///
    /// # Errors
    /// If there is no parameter of that name or its shape is another.
    pub fn set(&mut self, name: &str, value: &Tensor) -> Result<()> {
        let Some(parameter) = self.entries.iter_mut().find(|p| p.name == name) else {
            return Err(ErrorKind::ModelFile { message: format!("there is no parameter {name} in this architecture") }.into());
        };
        if parameter.value.size() != value.size() {
            let message =
                format!("parameter {name} has shape {:?} in the architecture, {:?} was given", parameter.value.size(), value.size());
            return Err(ErrorKind::ModelFile { message }.into());
        }
        tch::no_grad(|| parameter.value.copy_(value));
        Ok(())
    }

    /// A copy of all numbers.
    pub fn snapshot(&self) -> Vec<Tensor> {
        tch::no_grad(|| self.entries.iter().map(|p| p.value.detach().copy()).collect())
    }

    /// Puts back what [`snapshot`](Self::snapshot) copied.
    pub fn restore(&mut self, snapshot: &[Tensor]) {
        tch::no_grad(|| {
            for (parameter, value) in self.entries.iter_mut().zip(snapshot) {
                parameter.value.copy_(value);
            }
        });
    }

    /// The place where parameters are made; `rng` draws their starting values.
    pub fn root<'a>(&'a mut self, rng: &'a mut Stream) -> Scope<'a> {
        Scope { parameters: self, rng, prefix: String::new() }
    }
}

/// A place in the tree of names at which parameters are made.
pub struct Scope<'a> {
    parameters: &'a mut Parameters,
    rng: &'a mut Stream,
    prefix: String,
}

impl Scope<'_> {
    /// The place below, `name` or `prefix.name`.
    pub fn at(&mut self, name: &str) -> Scope<'_> {
        let prefix = self.name(name);
        Scope { parameters: self.parameters, rng: self.rng, prefix }
    }

    /// A trained parameter.
    ///
    /// # Errors
    /// If there is one of that name already.
    pub fn trained(&mut self, name: &str, shape: &[i64], start: Start) -> Result<Tensor> {
        let value = self.draw(shape, start).set_requires_grad(true);
        self.add(name, value, true)
    }

    /// A trained parameter that starts at the given numbers.
    ///
    /// # Errors
    /// If there is one of that name already.
    pub fn trained_from(&mut self, name: &str, start: &Tensor) -> Result<Tensor> {
        let value = start.detach().copy().to_kind(self.parameters.kind).to_device(self.parameters.device).set_requires_grad(true);
        self.add(name, value, true)
    }

    /// The generator of starting values, for starts of other kinds.
    pub fn rng(&mut self) -> &mut Stream {
        self.rng
    }

    /// A tensor that is saved with the model but not trained.
    ///
    /// # Errors
    /// If there is one of that name already.
    pub fn fixed(&mut self, name: &str, value: &Tensor) -> Result<Tensor> {
        let value = value.detach().copy().to_kind(self.parameters.kind).to_device(self.parameters.device);
        self.add(name, value, false)
    }

    /// The same, with a start.
    ///
    /// # Errors
    /// If there is one of that name already.
    pub fn fixed_at(&mut self, name: &str, shape: &[i64], start: Start) -> Result<Tensor> {
        let value = self.draw(shape, start);
        self.add(name, value, false)
    }

    /// The kind of number.
    pub fn kind(&self) -> Kind {
        self.parameters.kind
    }

    /// Where parameters are.
    pub fn device(&self) -> Device {
        self.parameters.device
    }

    fn name(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    fn add(&mut self, name: &str, value: Tensor, trained: bool) -> Result<Tensor> {
        let name = self.name(name);
        if self.parameters.get(&name).is_some() {
            return Err(Error::config("name", format!("there is a parameter {name} already; give this part another name")));
        }
        let shared = value.shallow_clone();
        self.parameters.entries.push(Parameter { name, value, trained });
        Ok(shared)
    }

    fn draw(&mut self, shape: &[i64], start: Start) -> Tensor {
        let n: i64 = shape.iter().product();
        let values: Vec<f64> = (0..n)
            .map(|_| match start {
                Start::Zero => 0.0,
                Start::Constant(value) => value,
                Start::Uniform(bound) => self.rng.random_range(-1.0..1.0) * bound,
                Start::Normal(sd) => sd * self.rng.sample::<f64, _>(StandardNormal),
            })
            .collect();
        Tensor::from_slice(&values).view(shape).to_kind(self.parameters.kind).to_device(self.parameters.device)
    }
}
