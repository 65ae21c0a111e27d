//! From the sentences of a case to a log density.

use super::super::design::design;
use super::super::formula::{Names, Quantity};
use super::super::text::{Statement, split};
use super::Written;
use super::distribution::{Distribution, Name, named};
use super::formula::{Formula, read};
use super::scope::{Bindings, Definition, Index, Kind, Scope};
use super::tape::{Id, Tape};
use super::words::{Part, Sentence, parts, sentences};
use lvm_vi::expectation::LogJoint;
use std::collections::BTreeMap;

/// A term of the log density.
struct Term {
    value: Id,
    /// The row of the data it belongs to; none for priors and Jacobians.
    row: Option<usize>,
    /// Whether the closed expectations have it.
    closed: bool,
}

/// Compiles; the reason where the words are not understood.
pub(super) fn compile(s: &Statement) -> Result<Written, String> {
    let mut scope = Scope::default();
    scope.columns = s.columns.clone();
    let mut c = Compiler { scope, ..Compiler::new(s)? };
    c.parameters(s)?;
    c.design(s)?;
    let sentences = sentences(&s.density).map_err(|words| format!("{words} is not understood"))?;
    c.definitions(&sentences)?;
    for sentence in &sentences {
        match sentence {
            Sentence::Sampled { left, right } => {
                for left in left {
                    c.sampled(left, right).map_err(|why| format!("\"{left} ~ {right}\": {why}"))?;
                }
            }
            Sentence::Ordered { names, right } => c.ordered(names, right)?,
            Sentence::Flat { names } if names.is_empty() => c.otherwise_flat = true,
            Sentence::Flat { names } => {
                for name in names {
                    let p = c.scope.exact(&bare(name)).ok_or_else(|| format!("\"{name}: flat\" names no parameter"))?;
                    c.state(p)?;
                }
            }
            Sentence::Density { name, right } => {
                let p = c.scope.exact(&bare(name)).ok_or_else(|| format!("\"{name}: density {right}\" names no parameter"))?;
                c.state(p)?;
                let value = c.scope.value(&read(right)?, &Vec::new())?;
                let log = c.scope.g.log(value);
                c.term(log, None, false);
            }
            Sentence::Defined { .. } | Sentence::Range { .. } => {}
        }
    }
    c.finish(s)
}

struct Compiler {
    scope: Scope,
    closed: LogJoint,
    terms: Vec<Term>,
    stated: Vec<bool>,
    otherwise_flat: bool,
    others: Option<String>,
    ranges: BTreeMap<String, (usize, usize)>,
    rows: usize,
}

fn bare(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace() && !"[]".contains(*c)).collect()
}

fn library(e: lvm_core::Error) -> String {
    e.to_string()
}

impl Compiler {
    fn new(s: &Statement) -> Result<Self, String> {
        Ok(Compiler {
            scope: Scope::default(),
            closed: LogJoint::new(s.names.len()).map_err(library)?,
            terms: Vec::new(),
            stated: vec![false; s.names.len()],
            otherwise_flat: false,
            others: None,
            ranges: BTreeMap::new(),
            rows: 0,
        })
    }

    fn term(&mut self, value: Id, row: Option<usize>, closed: bool) {
        self.terms.push(Term { value, row, closed });
    }

    fn state(&mut self, parameter: usize) -> Result<(), String> {
        match std::mem::replace(&mut self.stated[parameter], true) {
            true => Err(format!("{} has two priors", self.scope.names[parameter])),
            false => Ok(()),
        }
    }

    /// Values of the parameters by their supports, with the Jacobians.
    fn parameters(&mut self, s: &Statement) -> Result<(), String> {
        for (i, (name, support)) in s.names.iter().zip(&s.supports).enumerate() {
            self.scope.parameter(name);
            let u = self.scope.g.variable(i);
            let squeezed: String = support.chars().filter(|c| !c.is_whitespace()).collect();
            let support = squeezed.as_str();
            let is_positive = ["positive", ">0", "(0,inf)", "[0,inf)", "nonnegative"].contains(&support);
            let value = if support == "real" {
                u
            } else if is_positive {
                self.jacobian(u)?;
                self.scope.g.exp(u)
            } else if let Some(bound) = support.strip_prefix('>') {
                self.jacobian(u)?;
                let (bound, gap) = (self.support(bound)?, self.scope.g.exp(u));
                self.scope.g.sum(bound, gap)
            } else if let Some(bound) = support.strip_prefix('<') {
                self.jacobian(u)?;
                let (bound, gap) = (self.support(bound)?, self.scope.g.exp(u));
                self.scope.g.difference(bound, gap)
            } else if let Some(inner) = support.strip_prefix(['(', '[']).and_then(|t| t.strip_suffix([')', ']'])) {
                self.interval(u, inner)?
            } else {
                return Err(format!("the support \"{support}\" of {name} is not one of real, positive, > a, < a, (a, b)"));
            };
            self.scope.values.push(value);
        }
        Ok(())
    }

    fn jacobian(&mut self, u: Id) -> Result<(), String> {
        let form = self.scope.g.form(u).map(super::distribution::affine).ok_or("no form")?;
        self.closed.affine(form).map_err(library)?;
        self.term(u, None, true);
        Ok(())
    }

    fn support(&mut self, text: &str) -> Result<Id, String> {
        self.scope.value(&read(text)?, &Vec::new())
    }

    /// x = a + (b − a) σ(u), log|J| = log(b − a) + log σ(u) + log σ(−u).
    fn interval(&mut self, u: Id, inner: &str) -> Result<Id, String> {
        let ends = split(inner, ',');
        let [a, b] = ends.as_slice() else { return Err(format!("the support ({inner}) has not two ends")) };
        let (a, b) = (self.support(a)?, self.support(b)?);
        let g = &mut self.scope.g;
        let (width, minus) = (g.difference(b, a), g.scaled(u, -1.0));
        let (first, second, log) = (g.log_sigmoid(u), g.log_sigmoid(minus), g.log(width));
        let share = g.exp(first);
        let both = g.sum(first, second);
        let jacobian = g.sum(both, log);
        let step = g.product(width, share);
        let value = g.sum(a, step);
        self.term(jacobian, None, false);
        Ok(value)
    }

    /// The rows x_i, the response, and columns defined by the words of the design.
    fn design(&mut self, s: &Statement) -> Result<(), String> {
        if s.design.is_empty() {
            return Ok(());
        }
        if let Some(found) = design(s) {
            let p = found.x.ncols();
            let real: Vec<usize> = (0..s.names.len()).filter(|i| s.supports[*i] == "real").collect();
            let family = self.scope.families.get("beta").filter(|f| f.len() == p).map(|f| f.values().copied().collect::<Vec<_>>());
            let beta = if real.len() == p { Some(real) } else { family };
            self.scope.design = Some((found.x, beta.ok_or(format!("the design has {p} columns, and there are not as many coefficients"))?));
            if let Some(y) = found.y {
                self.scope.extra.insert("y".into(), y);
            }
            return Ok(());
        }
        // definitions of columns such as `t = year`
        let columns = s.columns.clone();
        let mut names = Names::new(&columns);
        for part in split(&s.design, ';').into_iter().flat_map(|p| split(p, ',')).filter(|p| !p.is_empty()) {
            let unread = || format!("\"{part}\" in the design is not understood");
            let (left, right) = part.split_once('=').ok_or_else(unread)?;
            let left = left.trim().strip_suffix("_i").unwrap_or(left.trim()).to_owned();
            let value = names.evaluate(right.trim()).ok_or_else(unread)?;
            names.defined.insert(left.clone(), value.clone());
            if let Quantity::Column(x) = value {
                self.scope.extra.insert(left, x);
            }
        }
        Ok(())
    }

    fn definitions(&mut self, all: &[Sentence]) -> Result<(), String> {
        for sentence in all {
            match sentence {
                Sentence::Defined { left, right } => {
                    let why = |e: String| format!("\"{left} = {right}\": {e}");
                    let (name, square) = match read(left).map_err(why)? {
                        Formula::Power(base, p) if *p == Formula::Number(2.0) => (*base, true),
                        other => (other, false),
                    };
                    let Formula::Name(word, subscripts) = name else { return Err(why("the left side is no name".into())) };
                    let (base, letters) = match word.rsplit_once('_') {
                        Some((base, suffix)) if subscripts.is_empty() && (suffix.len() <= 2 || suffix.parse::<usize>().is_ok()) => {
                            let letter = |c: char| Index::Letter(c.to_string());
                            let index = suffix.parse().map_or_else(|_| suffix.chars().map(letter).collect(), |n| vec![Index::Number(n)]);
                            (base.to_owned(), index)
                        }
                        _ => self.scope.indexed(&word, &subscripts).unwrap_or((word.clone(), Vec::new())),
                    };
                    let right = read(right).map_err(why)?;
                    self.scope.definitions.entry(base).or_default().push(Definition { letters, right, square });
                }
                Sentence::Range { letter, first, last } => {
                    let end =
                        |c: &mut Self, text: &str| -> Result<usize, String> { Ok(c.scope.number(&read(text)?, &Vec::new())? as usize) };
                    let range = (end(self, first)?, end(self, last)?);
                    if self.ranges.insert(letter.clone(), range).is_some_and(|before| before != range) {
                        return Err(format!("two ranges of {letter}"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// `left ~ right`.
    fn sampled(&mut self, left: &str, right: &str) -> Result<(), String> {
        if left == "others" {
            self.others = Some(right.to_owned());
            return Ok(());
        }
        if let Some(p) = self.scope.exact(&bare(left)) {
            self.state(p)?;
            let x = self.scope.values[p];
            return self.density(x, right, &Vec::new(), None, Some(&bare(left)));
        }
        // the logarithm of a parameter: its density is that of the parameter times the parameter
        let inner = left.strip_prefix("log ").or_else(|| left.strip_prefix("log(").and_then(|t| t.strip_suffix(')')));
        if let Some(p) = inner.and_then(|t| self.scope.exact(&bare(t))) {
            self.state(p)?;
            let x = self.scope.values[p];
            let log = self.scope.g.log(x);
            self.density(log, right, &Vec::new(), None, None)?;
            let minus = self.scope.g.scaled(log, -1.0);
            let form =
                self.scope.g.form(minus).map(super::distribution::affine).ok_or("the logarithm of a parameter that is not positive")?;
            self.closed.affine(form).map_err(library)?;
            self.term(minus, None, true);
            return Ok(());
        }
        let formula = read(left)?;
        let (word, subscripts) = match &formula {
            Formula::Name(word, subscripts) => (word.clone(), subscripts.clone()),
            // log(y_i) ~ …: a density of the transformed data
            Formula::Call(_, inner) => match inner.as_slice() {
                [Formula::Name(word, subscripts)] => (word.clone(), subscripts.clone()),
                _ => return Err("the left side is no name".into()),
            },
            _ => return Err("the left side is no name".into()),
        };
        let (base, letters) = self.scope.indexed(&word, &subscripts).unwrap_or((word, Vec::new()));
        let kind = self.scope.kind(&base).ok_or_else(|| format!("\"{base}\" is neither a parameter nor data nor defined"))?;
        if kind == Kind::Family {
            let members: Vec<(Vec<usize>, usize)> = self.scope.families[&base].iter().map(|(k, p)| (k.clone(), *p)).collect();
            for (index, p) in members {
                self.state(p)?;
                let x = self.scope.values[p];
                let bindings = bind(&letters, &index);
                self.density(x, right, &bindings, None, None)?;
            }
            return Ok(());
        }
        for index in self.indices(&base, kind, &letters)? {
            let bindings = bind(&letters, &index);
            let x = self.scope.value(&formula, &bindings)?;
            let row = self.rows;
            self.rows += 1;
            self.density(x, right, &bindings, Some(row), None)?;
        }
        Ok(())
    }

    /// All indices of data or of a definition.
    fn indices(&self, base: &str, kind: Kind, letters: &[Index]) -> Result<Vec<Vec<usize>>, String> {
        let range = |i: usize| match letters.get(i) {
            Some(Index::Letter(l)) => self.ranges.get(l).copied(),
            _ => None,
        };
        if kind == Kind::Definition {
            let (first, last) = range(0).ok_or_else(|| format!("{base} is sampled, and nothing says over which indices"))?;
            return Ok((first..=last).map(|i| vec![i]).collect());
        }
        if let Some(x) = self.scope.column(base) {
            let (first, last) = range(0).unwrap_or((1, x.len()));
            if last != x.len() || first == 0 {
                return Err(format!("indices {first} to {last}, and {base} has {} entries", x.len()));
            }
            return Ok((first..=last).map(|i| vec![i]).collect());
        }
        match self.scope.columns.find(base) {
            Some(super::super::columns::Entry::Matrix(x)) if letters.len() == 2 => {
                Ok((1..=x.nrows()).flat_map(|i| (1..=x.ncols()).map(move |j| vec![i, j])).collect())
            }
            _ => Err(format!("{base} is no column")),
        }
    }

    /// Adds log p(x) of a right side: one distribution, or a mixture of several.
    fn density(&mut self, x: Id, right: &str, b: &Bindings, row: Option<usize>, name: Option<&str>) -> Result<(), String> {
        let (all, behind) = parts(right)?;
        if let [one] = all.as_slice()
            && one.weight.is_empty()
        {
            let distribution = self.distribution(one, b)?;
            let value = distribution.log_density(&mut self.scope.g, x)?;
            self.spelled_out(&behind, value, name)?;
            let closed = distribution.add_closed(&self.scope.g, x, &mut self.closed).map_err(library)?;
            self.term(value, row, closed);
            return Ok(());
        }
        if !behind.is_empty() {
            return Err(format!("\"{behind}\" behind a mixture"));
        }
        let mut sum = None;
        for part in &all {
            let weight = self.scope.value(&read(&part.weight)?, b)?;
            let distribution = self.distribution(part, b)?;
            let log = distribution.log_density(&mut self.scope.g, x)?;
            let weight = self.scope.g.log(weight);
            let term = self.scope.g.sum(weight, log);
            sum = Some(match sum {
                None => term,
                Some(before) => self.scope.g.log_add_exp(before, term),
            });
        }
        self.term(sum.ok_or("no distribution")?, row, false);
        Ok(())
    }

    /// What stands behind a distribution must be a remark in brackets, or the very density.
    fn spelled_out(&mut self, behind: &str, value: Id, name: Option<&str>) -> Result<(), String> {
        if behind.is_empty() || (behind.starts_with('(') && behind.ends_with(')')) {
            return Ok(());
        }
        let (Some(text), Some(_)) = (behind.strip_prefix(": log p ="), name) else {
            return Err(format!("\"{behind}\" is not understood"));
        };
        let spelled = self.scope.value(&read(text)?, &Vec::new())?;
        let difference = self.scope.g.difference(spelled, value);
        let tape = self.scope.g.tape(difference);
        for at in [-1.3, 0.4, 1.1] {
            let x = vec![at; tape.forms.len()];
            let off = tape.value_grad(&x, &mut vec![0.0; x.len()]);
            if !(off.abs() <= 1e-9) {
                return Err(format!("the density spelled out is not the one named: they differ by {off:.3}"));
            }
        }
        Ok(())
    }

    fn distribution(&mut self, part: &Part, b: &Bindings) -> Result<Distribution, String> {
        let name = named(&part.distribution).ok_or_else(|| format!("\"{}\" is no distribution known here", part.distribution))?;
        let mut canonical = part.distribution.to_lowercase().ends_with("logit") || part.distribution.to_lowercase().ends_with("_log");
        let mut arguments = Vec::new();
        for (i, argument) in part.arguments.iter().enumerate() {
            let (word, rest) =
                argument.split_once([' ', '=']).map_or(("", argument.as_str()), |(w, r)| (w, r.trim_start_matches(['=', ' '])));
            let is_word = ["rate", "scale", "shape", "mean", "sd", "variance", "precision", "location", "df"].contains(&word);
            let mut formula = read(if is_word { rest } else { argument })?;
            if let (Name::Bernoulli | Name::Binomial, Formula::Call(f, inner)) = (name, &formula)
                && ["inv_logit", "logistic", "sigmoid"].contains(&f.as_str())
                && inner.len() == 1
                && i + 1 == part.arguments.len()
            {
                canonical = true;
                formula = inner[0].clone();
            }
            let value = self.scope.value(&formula, b)?;
            let g = &mut self.scope.g;
            arguments.push(match (name, word, is_word) {
                (Name::Gamma | Name::Exponential, "scale", true) => g.power(value, -1.0),
                (Name::Normal, "variance", true) => g.power(value, 0.5),
                (Name::Normal, "precision", true) => g.power(value, -0.5),
                _ => value,
            });
        }
        Ok(Distribution { name, arguments, canonical })
    }

    /// Two draws of one distribution put in order: twice their densities.
    fn ordered(&mut self, names: &[String], right: &str) -> Result<(), String> {
        for name in names {
            self.sampled(name, right)?;
        }
        // n! orders
        let orders: f64 = (1..=names.len()).map(|k| k as f64).product();
        let value = self.scope.g.number(orders.ln());
        self.closed.affine(lvm_vi::expectation::Affine::constant(orders.ln())).map_err(library)?;
        self.term(value, None, true);
        Ok(())
    }

    fn finish(mut self, s: &Statement) -> Result<Written, String> {
        if let Some(right) = self.others.take() {
            for p in 0..self.stated.len() {
                if !self.stated[p] {
                    self.state(p)?;
                    let x = self.scope.values[p];
                    self.density(x, &right, &Vec::new(), None, None)?;
                }
            }
        }
        if let (Some(p), false) = (self.stated.iter().position(|s| !s), self.otherwise_flat) {
            return Err(format!("{} has no prior", s.names[p]));
        }
        if self.rows == 0 {
            return Err("no data are sampled from anything".into());
        }
        let g = &mut self.scope.g;
        let mut terms: Vec<(Option<usize>, bool, Tape)> = Vec::new();
        if self.scope.recursive {
            // entries of a recursion share what came before them: one program for all
            let mut sum = g.number(0.0);
            for t in &self.terms {
                sum = g.sum(sum, t.value);
            }
            terms.push((None, false, g.tape(sum)));
            // they are all in that program
            self.closed = LogJoint::new(s.names.len()).map_err(library)?;
            self.rows = 0;
        } else {
            terms.extend(self.terms.iter().map(|t| (t.row, t.closed, g.tape(t.value))));
        }
        Ok(Written::new(s.names.len(), self.rows, terms, self.closed))
    }
}

/// Letters bound to an index; the first is also the row of columns without one.
fn bind(letters: &[Index], index: &[usize]) -> Bindings {
    let mut out: Bindings =
        letters.iter().zip(index).filter_map(|(l, v)| if let Index::Letter(l) = l { Some((l.clone(), *v)) } else { None }).collect();
    out.extend(index.first().map(|v| (String::new(), *v)));
    out
}
