//! The formulas in which the cases write their designs: `log(diam1*diam2)`, `[age_discrete==2]`, `beta1 t^2`, `dist_i/100`.

use super::columns::{Columns, Entry, deviation, mean};
use ndarray::{Array1, Array2};
use std::collections::BTreeMap;

/// A number, or a number a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Quantity {
    /// The same for every row.
    Number(f64),
    /// One a row.
    Column(Array1<f64>),
}

impl Quantity {
    /// As a column of `n` rows; none if it is one of another length.
    pub(super) fn spread(self, n: usize) -> Option<Array1<f64>> {
        match self {
            Quantity::Number(v) => Some(Array1::from_elem(n, v)),
            Quantity::Column(x) => (x.len() == n).then_some(x),
        }
    }

    fn map(self, f: impl Fn(f64) -> f64) -> Quantity {
        match self {
            Quantity::Number(v) => Quantity::Number(f(v)),
            Quantity::Column(x) => Quantity::Column(x.mapv(f)),
        }
    }

    fn with(self, other: Quantity, f: impl Fn(f64, f64) -> f64) -> Option<Quantity> {
        Some(match (self, other) {
            (Quantity::Number(a), Quantity::Number(b)) => Quantity::Number(f(a, b)),
            (Quantity::Number(a), Quantity::Column(b)) => Quantity::Column(b.mapv(|b| f(a, b))),
            (Quantity::Column(a), Quantity::Number(b)) => Quantity::Column(a.mapv(|a| f(a, b))),
            (Quantity::Column(a), Quantity::Column(b)) if a.len() == b.len() => {
                Quantity::Column(a.iter().zip(&b).map(|(a, b)| f(*a, *b)).collect())
            }
            _ => return None,
        })
    }
}

/// What the names of a formula stand for.
#[derive(Debug, Clone)]
pub(super) struct Names<'c> {
    columns: &'c Columns,
    /// Names defined by the text (`z = …`) and values of parameters; they come before the columns.
    pub(super) defined: BTreeMap<String, Quantity>,
}

impl<'c> Names<'c> {
    /// The columns, and nothing defined yet.
    pub(super) fn new(columns: &'c Columns) -> Self {
        Names { columns, defined: BTreeMap::new() }
    }

    fn find(&self, name: &str) -> Option<Quantity> {
        let bare = name.strip_suffix("_i").unwrap_or(name);
        if let Some(found) = self.defined.get(name).or_else(|| self.defined.get(bare)) {
            return Some(found.clone());
        }
        match self.columns.find(name)? {
            Entry::Number(v) => Some(Quantity::Number(*v)),
            Entry::Column(x) => Some(Quantity::Column(x.clone())),
            Entry::Matrix(_) => None,
        }
    }

    /// The value of a formula; none if it is not understood in full.
    pub(super) fn evaluate(&self, formula: &str) -> Option<Quantity> {
        let mut reader = Reader { names: self, rest: formula.trim() };
        let value = reader.sum()?;
        reader.rest.is_empty().then_some(value)
    }

    /// The design matrix (n, p) of a formula linear in the parameters named, by evaluating it at 0 and at each unit vector; none if it is
    /// not understood, or not linear without a constant.
    pub(super) fn linear(&self, formula: &str, parameters: &[String], n: usize) -> Option<Array2<f64>> {
        let at = |values: &dyn Fn(usize) -> f64| {
            let mut names = self.clone();
            names.defined.extend(parameters.iter().enumerate().map(|(j, p)| (p.clone(), Quantity::Number(values(j)))));
            names.evaluate(formula)?.spread(n)
        };
        let mut x = Array2::zeros((n, parameters.len()));
        for j in 0..parameters.len() {
            x.column_mut(j).assign(&at(&|k| if k == j { 1.0 } else { 0.0 })?);
        }
        let (zero, probe) = (at(&|_| 0.0)?, at(&|k| 1.0 + 0.7 * k as f64)?);
        let expected = x.dot(&Array1::from_shape_fn(parameters.len(), |k| 1.0 + 0.7 * k as f64));
        let size = expected.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
        let is_linear = zero.iter().all(|v| *v == 0.0) && (&probe - &expected).iter().all(|v| v.abs() <= 1e-12 * size);
        is_linear.then_some(x)
    }
}

/// Recursive descent; a product may be written without its sign (`beta1 t`).
struct Reader<'n, 't> {
    names: &'n Names<'n>,
    rest: &'t str,
}

impl<'t> Reader<'_, 't> {
    fn take(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(token)?.trim_start();
        Some(())
    }

    /// The longest beginning of characters that `is` allows.
    fn run(&mut self, is: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !is(c)).unwrap_or(self.rest.len());
        let (found, rest) = self.rest.split_at(end);
        self.rest = rest;
        found
    }

    fn sum(&mut self) -> Option<Quantity> {
        let mut value = match self.take("-") {
            Some(()) => self.product()?.map(|v| -v),
            None => self.product()?,
        };
        loop {
            value = if self.take("+").is_some() {
                value.with(self.product()?, |a, b| a + b)?
            } else if self.take("-").is_some() {
                value.with(self.product()?, |a, b| a - b)?
            } else {
                return Some(value);
            };
        }
    }

    fn product(&mut self) -> Option<Quantity> {
        let mut value = self.power()?;
        loop {
            let starts_factor = self.rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '(' || c == '[');
            value = if self.take("/").is_some() {
                value.with(self.power()?, |a, b| a / b)?
            } else if self.take("*").is_some() || starts_factor {
                value.with(self.power()?, |a, b| a * b)?
            } else {
                return Some(value);
            };
        }
    }

    fn power(&mut self) -> Option<Quantity> {
        let base = self.factor()?;
        match self.take("^") {
            Some(()) => base.with(self.factor()?, f64::powf),
            None => Some(base),
        }
    }

    fn factor(&mut self) -> Option<Quantity> {
        if self.take("(").is_some() {
            let value = self.sum()?;
            self.take(")")?;
            return Some(value);
        }
        if self.take("[").is_some() {
            let left = self.sum()?;
            self.take("==")?;
            let right = self.sum()?;
            self.take("]")?;
            return left.with(right, |a, b| f64::from(u8::from(a == b)));
        }
        if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            let number = self.run(|c| c.is_ascii_digit() || c == '.').parse().ok()?;
            self.rest = self.rest.trim_start();
            return Some(Quantity::Number(number));
        }
        let mut name = self.run(|c| c.is_ascii_alphanumeric() || c == '_').to_owned();
        if name.is_empty() {
            return None;
        }
        if self.rest.starts_with('(') && ["log", "log10", "exp", "sqrt", "mean", "sd"].contains(&name.as_str()) {
            self.take("(")?;
            let value = self.sum()?;
            self.take(")")?;
            return apply(&name, value);
        }
        if self.rest.starts_with('[') {
            // beta[1] is the parameter that other texts call beta1
            self.rest = &self.rest[1..];
            name.push_str(self.run(|c| c.is_ascii_digit()));
            self.rest = self.rest.strip_prefix(']')?;
        }
        self.rest = self.rest.trim_start();
        self.names.find(&name)
    }
}

fn apply(function: &str, value: Quantity) -> Option<Quantity> {
    Some(match (function, value) {
        ("log", v) => v.map(f64::ln),
        ("log10", v) => v.map(f64::log10),
        ("exp", v) => v.map(f64::exp),
        ("sqrt", v) => v.map(f64::sqrt),
        ("mean", Quantity::Column(x)) => Quantity::Number(mean(&x)),
        ("sd", Quantity::Column(x)) => Quantity::Number(deviation(&x)),
        _ => return None,
    })
}
