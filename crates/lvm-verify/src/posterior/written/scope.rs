//! What the words of a formula stand for: parameters, families of them, data, definitions.

use super::super::columns::{Columns, Entry, deviation, mean};
use super::formula::Formula;
use super::tape::{Graph, Id};
use ndarray::{Array1, Array2};
use std::collections::{BTreeMap, HashMap};

/// Index letters and their values, counted from 1; the empty letter is the row of a bare column.
pub(super) type Bindings = Vec<(String, usize)>;

/// A definition, `err_t = …`: general in its letters, or of one entry.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) letters: Vec<Index>,
    pub(super) right: Formula,
    /// s_t^2 = … is the definition of a square.
    pub(super) square: bool,
}

/// An index as it stands at a name.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Index {
    Letter(String),
    Number(usize),
}

/// What a base name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Definition,
    Family,
    Data,
}

/// Names and what they stand for.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) g: Graph,
    /// Parameters, without brackets.
    pub(super) names: Vec<String>,
    /// Their values as operations.
    pub(super) values: Vec<Id>,
    /// base → index → parameter.
    pub(super) families: BTreeMap<String, BTreeMap<Vec<usize>, usize>>,
    pub(super) columns: Columns,
    /// Columns that the design defines.
    pub(super) extra: BTreeMap<String, Array1<f64>>,
    /// The rows x_i and the parameters β of x_i · β.
    pub(super) design: Option<(Array2<f64>, Vec<usize>)>,
    pub(super) definitions: BTreeMap<String, Vec<Definition>>,
    memo: HashMap<(String, Vec<usize>), Id>,
    open: Vec<String>,
    /// Whether a definition refers to itself: then rows are not independent of each other.
    pub(super) recursive: bool,
}

impl Scope {
    /// Adds a parameter; its value is added by the caller.
    pub(super) fn parameter(&mut self, name: &str) {
        let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ',');
        let index: Option<Vec<usize>> = name[base.len()..].split(',').map(|t| t.parse().ok()).collect();
        if let Some(index) = index {
            self.families.entry(base.trim_end_matches('_').to_owned()).or_default().insert(index, self.names.len());
        }
        self.names.push(name.to_owned());
    }

    /// The parameter of exactly this name; `beta_1` is `beta1`.
    pub(super) fn exact(&self, word: &str) -> Option<usize> {
        let at = |w: &str| self.names.iter().position(|n| n == w);
        at(word).or_else(|| {
            let (base, digits) = word.rsplit_once('_')?;
            digits.chars().all(|c| c.is_ascii_digit()).then(|| at(&format!("{base}{digits}"))).flatten()
        })
    }

    /// What a base name is.
    pub(super) fn kind(&self, base: &str) -> Option<Kind> {
        if self.definitions.contains_key(base) {
            Some(Kind::Definition)
        } else if self.families.contains_key(base) {
            Some(Kind::Family)
        } else {
            (self.extra.contains_key(base) || self.columns.find(base).is_some()).then_some(Kind::Data)
        }
    }

    /// A name with its indices taken apart: brackets, else letters or digits behind the last underscore, if what stands before them is
    /// known.
    pub(super) fn indexed(&self, word: &str, subscripts: &[Formula]) -> Option<(String, Vec<Index>)> {
        let index = |f: &Formula| match f {
            Formula::Name(l, none) if none.is_empty() && l.len() == 1 => Some(Index::Letter(l.clone())),
            Formula::Number(n) => Some(Index::Number(*n as usize)),
            _ => None,
        };
        if !subscripts.is_empty() {
            return Some((word.to_owned(), subscripts.iter().map(index).collect::<Option<_>>()?));
        }
        if self.kind(word) == Some(Kind::Data) && self.columns.is_there(word) || self.extra.contains_key(word) {
            return Some((word.to_owned(), Vec::new()));
        }
        let (base, suffix) = word.rsplit_once('_')?;
        if suffix.len() > 2 && !suffix.chars().all(|c| c.is_ascii_digit()) {
            return None;
        }
        let letters: Vec<Index> = match suffix.parse() {
            Ok(n) => vec![Index::Number(n)],
            Err(_) => suffix.chars().map(|c| Index::Letter(c.to_string())).collect(),
        };
        if self.kind(base).is_some() {
            return Some((base.to_owned(), letters));
        }
        // a family called alpha_i
        self.families.contains_key(word).then(|| (word.to_owned(), letters))
    }

    fn row(bindings: &Bindings) -> Option<usize> {
        bindings.iter().find(|(l, _)| l.is_empty()).map(|(_, v)| *v)
    }

    /// The value of a formula.
    pub(super) fn value(&mut self, f: &Formula, b: &Bindings) -> Result<Id, String> {
        Ok(match f {
            Formula::Number(v) => self.g.number(*v),
            Formula::Sum(x, y) => {
                let (x, y) = (self.value(x, b)?, self.value(y, b)?);
                self.g.sum(x, y)
            }
            Formula::Difference(x, y) => {
                let (x, y) = (self.value(x, b)?, self.value(y, b)?);
                self.g.difference(x, y)
            }
            Formula::Product(x, y) => {
                let (x, y) = (self.value(x, b)?, self.value(y, b)?);
                self.g.product(x, y)
            }
            Formula::Quotient(x, y) => {
                let (x, y) = (self.value(x, b)?, self.value(y, b)?);
                self.g.quotient(x, y)
            }
            Formula::Power(x, p) => {
                let (x, p) = (self.value(x, b)?, self.value(p, b)?);
                match self.g.constant(p) {
                    Some(p) => self.g.power(x, p),
                    None => {
                        let log = self.g.log(x);
                        let exponent = self.g.product(log, p);
                        self.g.exp(exponent)
                    }
                }
            }
            Formula::Equal(x, y) => {
                let (x, y) = (self.number(x, b)?, self.number(y, b)?);
                self.g.number(f64::from(u8::from(x == y)))
            }
            Formula::Inner(..) => self.inner(b)?,
            Formula::Call(word, arguments) => self.call(word, arguments, b)?,
            Formula::Name(word, subscripts) => self.name(word, subscripts, b)?,
        })
    }

    /// The value of a formula of data alone.
    pub(super) fn number(&mut self, f: &Formula, b: &Bindings) -> Result<f64, String> {
        let id = self.value(f, b)?;
        self.g.constant(id).ok_or_else(|| "a parameter stands where data must".to_owned())
    }

    fn index(&mut self, f: &Formula, b: &Bindings) -> Result<usize, String> {
        let v = self.number(f, b)?;
        if v >= 0.0 && v.fract() == 0.0 { Ok(v as usize) } else { Err(format!("{v} is no index")) }
    }

    /// x_i · β.
    fn inner(&mut self, b: &Bindings) -> Result<Id, String> {
        let (x, beta) = self.design.clone().ok_or("x_i . beta, and the design is not understood")?;
        let row = Self::row(b).ok_or("x_i . beta outside of a row")?;
        let mut sum = self.g.number(0.0);
        for (j, parameter) in beta.iter().enumerate() {
            let entry = x.get([row - 1, j]).ok_or_else(|| format!("the design has no row {row}"))?;
            let term = self.g.scaled(self.values[*parameter], *entry);
            sum = self.g.sum(sum, term);
        }
        Ok(sum)
    }

    fn call(&mut self, word: &str, arguments: &[Formula], b: &Bindings) -> Result<Id, String> {
        if let (Some(entry), [Formula::Name(column, none)]) = (["mean", "sd"].iter().find(|w| **w == word), arguments)
            && none.is_empty()
        {
            let column = self.column(column).ok_or_else(|| format!("\"{column}\" is no column"))?;
            let value = if *entry == "mean" { mean(&column) } else { deviation(&column) };
            return Ok(self.g.number(value));
        }
        let is_function = ["log", "ln", "exp", "sqrt", "log10", "log1p", "square", "inv_logit", "logistic", "sigmoid", "Phi", "abs"];
        if let ([argument], true) = (arguments, is_function.contains(&word)) {
            let x = self.value(argument, b)?;
            let g = &mut self.g;
            return Ok(match word {
                "log" | "ln" => g.log(x),
                "exp" => g.exp(x),
                "sqrt" => g.power(x, 0.5),
                "square" => g.product(x, x),
                "log10" => {
                    let log = g.log(x);
                    g.scaled(log, std::f64::consts::LN_10.recip())
                }
                "log1p" => {
                    let one = g.number(1.0);
                    let sum = g.sum(one, x);
                    g.log(sum)
                }
                "abs" => g.abs(x),
                "Phi" => {
                    let log = g.log_normal_cdf(x);
                    g.exp(log)
                }
                _ => {
                    let log = g.log_sigmoid(x);
                    g.exp(log)
                }
            });
        }
        if self.exact(word).is_none() && self.kind(word).is_some_and(|k| k != Kind::Data || self.column(word).is_some()) {
            return self.name(word, arguments, b);
        }
        // beta1(x_i - 3)
        match arguments {
            [one] => {
                let (x, y) = (self.name(word, &[], b)?, self.value(one, b)?);
                Ok(self.g.product(x, y))
            }
            _ => Err(format!("\"{word}(…)\" is no function known here")),
        }
    }

    /// A column by its name.
    pub(super) fn column(&self, name: &str) -> Option<Array1<f64>> {
        self.extra.get(name).cloned().or_else(|| self.columns.column(name).cloned())
    }

    fn name(&mut self, word: &str, subscripts: &[Formula], b: &Bindings) -> Result<Id, String> {
        if subscripts.is_empty() {
            if let Some(p) = self.exact(word) {
                return Ok(self.values[p]);
            }
            if let Some((_, v)) = b.iter().find(|(l, _)| l == word) {
                return Ok(self.g.number(*v as f64));
            }
            if word == "pi" {
                return Ok(self.g.number(std::f64::consts::PI));
            }
        }
        if !subscripts.is_empty() {
            let index = subscripts.iter().map(|s| self.index(s, b)).collect::<Result<Vec<_>, _>>()?;
            return self.entry(word, &index, b);
        }
        let unknown = || format!("\"{word}\" is neither a parameter nor data nor defined");
        match self.indexed(word, subscripts) {
            Some((base, letters)) => {
                let of = |i: &Index| match i {
                    Index::Number(n) => Some(*n),
                    Index::Letter(l) => b.iter().find(|(k, _)| k == l).map(|(_, v)| *v),
                };
                let index = letters.iter().map(of).collect::<Option<Vec<_>>>().ok_or_else(unknown)?;
                self.entry(&base, &index, b)
            }
            None => self.entry(word, &[], b),
        }
    }

    /// An entry of what `base` is.
    pub(super) fn entry(&mut self, base: &str, index: &[usize], b: &Bindings) -> Result<Id, String> {
        let outside = || format!("{base} has no entry {index:?}");
        match self.kind(base) {
            Some(Kind::Definition) => self.defined(base, index, b),
            Some(Kind::Family) => {
                let index = if index.is_empty() { Self::row(b).into_iter().collect() } else { index.to_vec() };
                self.families[base].get(&index).map(|p| self.values[*p]).ok_or_else(outside)
            }
            Some(Kind::Data) => {
                let entry = self.extra.get(base).map(|x| Entry::Column(x.clone())).or_else(|| self.columns.find(base).cloned());
                let value = match (entry.ok_or_else(outside)?, index) {
                    (Entry::Number(v), _) => Some(v),
                    (Entry::Column(x), [i]) => x.get(i.wrapping_sub(1)).copied(),
                    (Entry::Column(x), []) => Self::row(b).and_then(|i| x.get(i - 1).copied()),
                    (Entry::Matrix(x), [i, j]) => x.get([i.wrapping_sub(1), j.wrapping_sub(1)]).copied(),
                    _ => None,
                };
                value.map(|v| self.g.number(v)).ok_or_else(outside)
            }
            None => Err(format!("\"{base}\" is neither a parameter nor data nor defined")),
        }
    }

    fn defined(&mut self, base: &str, index: &[usize], b: &Bindings) -> Result<Id, String> {
        let key = (base.to_owned(), if index.is_empty() { Self::row(b).into_iter().collect() } else { index.to_vec() });
        if let Some(found) = self.memo.get(&key) {
            if self.open.iter().any(|o| o == base) {
                self.recursive = true;
            }
            return Ok(*found);
        }
        if self.open.iter().any(|o| o == base) {
            self.recursive = true;
        }
        if self.open.len() > 2000 {
            return Err(format!("the definition of {base} has no beginning"));
        }
        // `err_1 = …` comes before `err_t = …`
        let fits = |d: &&Definition| {
            d.letters.is_empty()
                || d.letters.len() == key.1.len()
                    && d.letters.iter().zip(&key.1).all(|(l, v)| *l == Index::Number(*v) || matches!(l, Index::Letter(_)))
        };
        let all = self.definitions.get(base).cloned().unwrap_or_default();
        let specific = all.iter().filter(fits).find(|d| d.letters.iter().all(|l| matches!(l, Index::Number(_))) && !d.letters.is_empty());
        let definition = specific.or_else(|| all.iter().find(fits)).ok_or_else(|| format!("{base} has no entry {index:?}"))?.clone();
        let mut inner: Bindings = b.clone();
        for (letter, value) in definition.letters.iter().zip(&key.1) {
            if let Index::Letter(letter) = letter {
                inner.retain(|(l, _)| l != letter && !l.is_empty());
                inner.push((letter.clone(), *value));
                inner.push((String::new(), *value));
            }
        }
        self.open.push(base.to_owned());
        let value = self.value(&definition.right, &inner);
        self.open.pop();
        let mut value = value?;
        if definition.square {
            value = self.g.power(value, 0.5);
        }
        self.memo.insert(key, value);
        Ok(value)
    }
}
