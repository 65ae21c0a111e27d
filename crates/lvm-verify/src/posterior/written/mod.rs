//! Any model that the words of a case say in full: sampling statements over parameters, data, definitions and recursions, compiled to a
//! log density with its gradient. It reads what no form written by hand here covers, and is a second reading of those that one does.

mod compile;
mod distribution;
mod expectation;
mod formula;
mod scope;
mod tape;
mod words;

use super::text::Statement;
use super::{Posterior, finite};
use lvm_vi::expectation::{GaussianExpectation, LogJoint};
use lvm_vi::target::{DataLogDensity, LogDensity, LogDensityGrad, TargetError};
use tape::Tape;

/// A log density in terms of a few affine forms each.
#[derive(Debug)]
pub struct Written {
    dim: usize,
    /// Terms of each row of the data.
    rows: Vec<Vec<usize>>,
    /// Terms of no row: priors and Jacobians, and a recursion as a whole.
    others: Vec<usize>,
    terms: Vec<Tape>,
    /// The terms whose expectations are closed forms, and which they are.
    closed: LogJoint,
    is_closed: Vec<bool>,
}

impl Written {
    /// The model a case states; the words that are not understood otherwise.
    pub(super) fn of(s: &Statement) -> Result<Written, String> {
        compile::compile(s)
    }

    fn new(dim: usize, rows: usize, terms: Vec<(Option<usize>, bool, Tape)>, closed: LogJoint) -> Self {
        let mut out = Written { dim, rows: vec![Vec::new(); rows], others: Vec::new(), terms: Vec::new(), closed, is_closed: Vec::new() };
        for (row, is_closed, tape) in terms {
            match row.filter(|_| rows > 0) {
                Some(row) => out.rows[row].push(out.terms.len()),
                None => out.others.push(out.terms.len()),
            }
            out.terms.push(tape);
            out.is_closed.push(is_closed);
        }
        out
    }

    /// Adds the derivatives of term `t`, and gives its value.
    fn add(&self, t: usize, z: &[f64], gradient: &mut [f64]) -> f64 {
        let tape = &self.terms[t];
        let x: Vec<f64> = tape.forms.iter().map(|f| f.value(z)).collect();
        let mut d = vec![0.0; x.len()];
        let value = tape.value_grad(&x, &mut d);
        for (form, d) in tape.forms.iter().zip(d) {
            form.coefficients.iter().for_each(|(i, c)| gradient[*i] += c * d);
        }
        value
    }

    fn sum(&self, terms: impl Iterator<Item = usize>, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        gradient.fill(0.0);
        let value = finite(terms.map(|t| self.add(t, z, gradient)).sum())?;
        match gradient.iter().all(|g| g.is_finite()) {
            true => Ok(value),
            false => Err(TargetError::Recoverable("the gradient is not finite here".into())),
        }
    }
}

impl DataLogDensity for Written {
    fn dim(&self) -> usize {
        self.dim
    }
    fn n_data(&self) -> usize {
        self.rows.len()
    }
    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        self.sum(self.others.iter().copied(), z, gradient)
    }
    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        self.sum(rows.iter().flat_map(|r| self.rows[*r].iter().copied()), z, gradient)
    }
}

impl LogDensity for Written {
    fn dim(&self) -> usize {
        self.dim
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut vec![0.0; z.len()])
    }
}

impl LogDensityGrad for Written {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        self.sum(0..self.terms.len(), z, gradient)
    }
}

impl Posterior for Written {
    fn form(&self) -> &'static str {
        "the model as the case writes it"
    }
    fn by_rows(&self) -> Option<&dyn DataLogDensity> {
        (!self.rows.is_empty()).then_some(self)
    }
    fn expectation(&self) -> lvm_core::Result<Box<dyn GaussianExpectation + '_>> {
        expectation::of(self)
    }
    fn cost(&self) -> usize {
        4 * self.terms.iter().map(Tape::len).sum::<usize>()
    }
    fn is_integrated(&self) -> bool {
        self.is_closed.iter().any(|c| !c)
    }
}

#[cfg(test)]
mod tests;
