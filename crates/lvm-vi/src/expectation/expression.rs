//! Affine forms of u and products of their exponentials with affine forms: what normal models with scales are written in.

use lvm_core::{Error, Result};
use ndarray::Array1;
use std::ops::{Add, Mul, Neg, Sub};

/// c + Σ_i a_i u_i.
///
/// ```
/// use lvm_vi::expectation::Affine;
/// let intercept_and_slope = Affine::variable(0) + Affine::variable(1) * 2.5 - 1.0;
/// assert_eq!(intercept_and_slope.value(&[10.0, 2.0]), 14.0);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Affine {
    /// c.
    pub constant: f64,
    /// (i, a_i); an index that stands twice is added up.
    pub coefficients: Vec<(usize, f64)>,
}

impl Affine {
    /// A constant.
    pub fn constant(value: f64) -> Self {
        Affine { constant: value, coefficients: Vec::new() }
    }

    /// u_i, i from 0.
    pub fn variable(i: usize) -> Self {
        Affine { constant: 0.0, coefficients: vec![(i, 1.0)] }
    }

    /// Σ_j x_j u_{first + j}: a linear predictor.
    pub fn predictor<'a>(first: usize, x: impl IntoIterator<Item = &'a f64>) -> Self {
        Affine { constant: 0.0, coefficients: x.into_iter().enumerate().map(|(j, x)| (first + j, *x)).collect() }
    }

    /// The value at u.
    pub fn value(&self, u: &[f64]) -> f64 {
        self.constant + self.coefficients.iter().map(|(i, a)| a * u[*i]).sum::<f64>()
    }

    /// exp(exponent(u)) times this.
    pub fn times_exp(self, exponent: Affine) -> Expression {
        Expression { terms: vec![(exponent, self)] }
    }

    /// The coefficients as a vector (d).
    ///
    /// # Errors
    /// If an index is d or larger, or a number is not finite.
    pub(super) fn dense(&self, d: usize) -> Result<Array1<f64>> {
        let mut dense = Array1::zeros(d);
        for &(i, a) in &self.coefficients {
            if i >= d {
                return Err(Error::config("terms", format!("a term names latent {i}; there are {d}, counted from 0")));
            }
            dense[i] += a;
        }
        if let Some(v) = dense.iter().chain([&self.constant]).find(|v| !v.is_finite()) {
            return Err(Error::config("terms", format!("a coefficient is {v}; every one must be finite")));
        }
        Ok(dense)
    }
}

/// Σ_k exp(a_k(u)) b_k(u) with affine a_k, b_k: for example μ + e^η z.
///
/// ```
/// use lvm_vi::expectation::{Affine, Expression};
/// let theta = Expression::from(Affine::variable(0)) + Affine::variable(1).times_exp(Affine::variable(2));
/// assert_eq!(theta.value(&[1.0, 3.0, 0.0]), 4.0);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expression {
    /// (a_k, b_k).
    pub terms: Vec<(Affine, Affine)>,
}

impl Expression {
    /// The value at u.
    pub fn value(&self, u: &[f64]) -> f64 {
        self.terms.iter().map(|(a, b)| a.value(u).exp() * b.value(u)).sum()
    }

    /// The affine form this is, if there is no exponential in it.
    pub fn affine(&self) -> Option<Affine> {
        self.terms
            .iter()
            .all(|(a, _)| a.coefficients.iter().all(|(_, c)| *c == 0.0))
            .then(|| self.terms.iter().fold(Affine::default(), |sum, (a, b)| sum + b.clone() * a.constant.exp()))
    }
}

impl From<Affine> for Expression {
    fn from(affine: Affine) -> Self {
        Expression { terms: vec![(Affine::default(), affine)] }
    }
}

impl From<f64> for Expression {
    fn from(value: f64) -> Self {
        Affine::constant(value).into()
    }
}

impl From<f64> for Affine {
    fn from(value: f64) -> Self {
        Affine::constant(value)
    }
}

impl<T: Into<Affine>> Add<T> for Affine {
    type Output = Affine;
    fn add(mut self, other: T) -> Affine {
        let other = other.into();
        self.constant += other.constant;
        self.coefficients.extend(other.coefficients);
        self
    }
}

impl<T: Into<Affine>> Sub<T> for Affine {
    type Output = Affine;
    fn sub(self, other: T) -> Affine {
        self + -other.into()
    }
}

impl Neg for Affine {
    type Output = Affine;
    fn neg(self) -> Affine {
        self * -1.0
    }
}

impl Mul<f64> for Affine {
    type Output = Affine;
    fn mul(mut self, factor: f64) -> Affine {
        self.constant *= factor;
        self.coefficients.iter_mut().for_each(|(_, a)| *a *= factor);
        self
    }
}

impl<T: Into<Expression>> Add<T> for Expression {
    type Output = Expression;
    fn add(mut self, other: T) -> Expression {
        self.terms.extend(other.into().terms);
        self
    }
}

impl<T: Into<Expression>> Sub<T> for Expression {
    type Output = Expression;
    fn sub(self, other: T) -> Expression {
        self + other.into() * -1.0
    }
}

impl Mul<f64> for Expression {
    type Output = Expression;
    fn mul(mut self, factor: f64) -> Expression {
        self.terms.iter_mut().for_each(|(_, b)| *b = std::mem::take(b) * factor);
        self
    }
}
