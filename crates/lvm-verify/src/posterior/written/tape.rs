//! A log density as a graph of elementary operations over affine forms of the latents, with its gradient by going back through it.

use lvm_core::special::{digamma, lgamma, log_norm_cdf, sigmoid, softplus};
use std::collections::{BTreeMap, HashMap};
use std::f64::consts::PI;

/// c + Σ_i a_i u_i.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Form {
    pub(super) constant: f64,
    pub(super) coefficients: BTreeMap<usize, f64>,
}

impl Form {
    pub(super) fn value(&self, u: &[f64]) -> f64 {
        self.constant + self.coefficients.iter().map(|(i, a)| a * u[*i]).sum::<f64>()
    }

    fn is_constant(&self) -> bool {
        self.coefficients.is_empty()
    }

    fn plus(&self, other: &Form, times: f64) -> Form {
        let mut out = self.clone();
        out.constant += times * other.constant;
        for (i, a) in &other.coefficients {
            *out.coefficients.entry(*i).or_insert(0.0) += times * a;
        }
        out.coefficients.retain(|_, a| *a != 0.0);
        out
    }
}

/// The place of an operation in its graph.
pub(super) type Id = usize;

/// An elementary operation on earlier ones.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    /// An affine form of the latents; a number if it has no coefficients.
    Form(Form),
    Sum(Id, Id),
    Product(Id, Id),
    Quotient(Id, Id),
    Exp(Id),
    Log(Id),
    /// a to a power that is a number.
    Power(Id, f64),
    /// |a|; its derivative at 0 is taken as 0.
    Abs(Id),
    /// log(1 + eᵃ).
    Softplus(Id),
    /// log Φ(a).
    LogNormalCdf(Id),
    /// log Γ(a).
    LogGamma(Id),
    /// log(eᵃ + eᵇ).
    LogAddExp(Id, Id),
}

/// Operations, each after those it needs; sums and multiples of affine forms are affine forms again.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    pub(super) ops: Vec<Op>,
}

impl Graph {
    fn push(&mut self, op: Op) -> Id {
        self.ops.push(op);
        self.ops.len() - 1
    }

    pub(super) fn number(&mut self, value: f64) -> Id {
        self.push(Op::Form(Form { constant: value, ..Form::default() }))
    }

    pub(super) fn variable(&mut self, i: usize) -> Id {
        self.push(Op::Form(Form { constant: 0.0, coefficients: BTreeMap::from([(i, 1.0)]) }))
    }

    /// The affine form an operation is.
    pub(super) fn form(&self, a: Id) -> Option<&Form> {
        if let Op::Form(form) = &self.ops[a] { Some(form) } else { None }
    }

    /// The number an operation is.
    pub(super) fn constant(&self, a: Id) -> Option<f64> {
        self.form(a).filter(|f| f.is_constant()).map(|f| f.constant)
    }

    pub(super) fn sum(&mut self, a: Id, b: Id) -> Id {
        if let (Some(f), Some(g)) = (self.form(a), self.form(b)) {
            let form = f.plus(g, 1.0);
            return self.push(Op::Form(form));
        }
        match (self.constant(a), self.constant(b)) {
            (Some(0.0), _) => b,
            (_, Some(0.0)) => a,
            _ => self.push(Op::Sum(a, b)),
        }
    }

    pub(super) fn product(&mut self, a: Id, b: Id) -> Id {
        if let Some(c) = self.constant(b).filter(|_| self.constant(a).is_none()) {
            return self.scaled(a, c);
        }
        if let Some(c) = self.constant(a) {
            return self.scaled(b, c);
        }
        if let (Op::Exp(x), Op::Exp(y)) = (&self.ops[a], &self.ops[b]) {
            let (x, y) = (*x, *y);
            let exponent = self.sum(x, y);
            return self.exp(exponent);
        }
        self.push(Op::Product(a, b))
    }

    pub(super) fn scaled(&mut self, a: Id, c: f64) -> Id {
        if c == 1.0 {
            return a;
        }
        if let Some(f) = self.form(a) {
            let form = Form::default().plus(f, c);
            return self.push(Op::Form(form));
        }
        if c == 0.0 {
            return self.number(0.0);
        }
        if let (Op::Exp(x), true) = (&self.ops[a], c > 0.0) {
            let (x, log) = (*x, self.number(c.ln()));
            let exponent = self.sum(x, log);
            return self.exp(exponent);
        }
        let c = self.number(c);
        self.push(Op::Product(c, a))
    }

    pub(super) fn difference(&mut self, a: Id, b: Id) -> Id {
        let b = self.scaled(b, -1.0);
        self.sum(a, b)
    }

    pub(super) fn quotient(&mut self, a: Id, b: Id) -> Id {
        if let Some(c) = self.constant(b) {
            return self.scaled(a, 1.0 / c);
        }
        if let Op::Exp(x) = self.ops[b] {
            let minus = self.scaled(x, -1.0);
            let inverse = self.exp(minus);
            return self.product(a, inverse);
        }
        self.push(Op::Quotient(a, b))
    }

    pub(super) fn exp(&mut self, a: Id) -> Id {
        match (self.constant(a), &self.ops[a]) {
            (Some(c), _) => self.number(c.exp()),
            (_, Op::Log(x)) => *x,
            _ => self.push(Op::Exp(a)),
        }
    }

    pub(super) fn log(&mut self, a: Id) -> Id {
        match (self.constant(a), &self.ops[a]) {
            (Some(c), _) => self.number(c.ln()),
            (_, Op::Exp(x)) => *x,
            _ => self.push(Op::Log(a)),
        }
    }

    pub(super) fn power(&mut self, a: Id, p: f64) -> Id {
        match (self.constant(a), &self.ops[a]) {
            (Some(c), _) => self.number(c.powf(p)),
            (_, Op::Exp(x)) => {
                let x = *x;
                let exponent = self.scaled(x, p);
                self.exp(exponent)
            }
            _ if p == 1.0 => a,
            _ => self.push(Op::Power(a, p)),
        }
    }

    pub(super) fn abs(&mut self, a: Id) -> Id {
        match (self.constant(a), &self.ops[a]) {
            (Some(c), _) => self.number(c.abs()),
            (_, Op::Exp(_)) => a,
            _ => self.push(Op::Abs(a)),
        }
    }

    pub(super) fn softplus(&mut self, a: Id) -> Id {
        match self.constant(a) {
            Some(c) => self.number(softplus(c)),
            None => self.push(Op::Softplus(a)),
        }
    }

    /// −log(1 + e⁻ᵃ).
    pub(super) fn log_sigmoid(&mut self, a: Id) -> Id {
        let minus = self.scaled(a, -1.0);
        let softplus = self.softplus(minus);
        self.scaled(softplus, -1.0)
    }

    pub(super) fn log_normal_cdf(&mut self, a: Id) -> Id {
        match self.constant(a) {
            Some(c) => self.number(log_norm_cdf(c)),
            None => self.push(Op::LogNormalCdf(a)),
        }
    }

    pub(super) fn log_gamma(&mut self, a: Id) -> Id {
        match self.constant(a) {
            Some(c) => self.number(lgamma(c)),
            None => self.push(Op::LogGamma(a)),
        }
    }

    pub(super) fn log_add_exp(&mut self, a: Id, b: Id) -> Id {
        self.push(Op::LogAddExp(a, b))
    }

    /// What `root` needs, as a program over the forms that occur in it, each of which is not a combination of the others.
    pub(super) fn tape(&self, root: Id) -> Tape {
        let mut tape = Tape::default();
        let mut places = HashMap::new();
        self.emit(root, &mut tape, &mut places);
        tape
    }

    fn emit(&self, root: Id, tape: &mut Tape, places: &mut HashMap<Id, usize>) {
        // operations only point backwards: collect what is needed, then write it in order
        let mut needed = vec![root];
        let mut all = std::collections::BTreeSet::new();
        while let Some(id) = needed.pop() {
            if all.insert(id) {
                needed.extend(children(&self.ops[id]));
            }
        }
        for id in all {
            let at = |c: &Id| places[c];
            let step = match &self.ops[id] {
                Op::Form(form) => tape.leaf(form),
                Op::Sum(a, b) => Op::Sum(at(a), at(b)),
                Op::Product(a, b) => Op::Product(at(a), at(b)),
                Op::Quotient(a, b) => Op::Quotient(at(a), at(b)),
                Op::Exp(a) => Op::Exp(at(a)),
                Op::Log(a) => Op::Log(at(a)),
                Op::Power(a, p) => Op::Power(at(a), *p),
                Op::Abs(a) => Op::Abs(at(a)),
                Op::Softplus(a) => Op::Softplus(at(a)),
                Op::LogNormalCdf(a) => Op::LogNormalCdf(at(a)),
                Op::LogGamma(a) => Op::LogGamma(at(a)),
                Op::LogAddExp(a, b) => Op::LogAddExp(at(a), at(b)),
            };
            tape.ops.push(step);
            places.insert(id, tape.ops.len() - 1);
        }
    }
}

fn children(op: &Op) -> Vec<Id> {
    match op {
        Op::Form(_) => Vec::new(),
        Op::Sum(a, b) | Op::Product(a, b) | Op::Quotient(a, b) | Op::LogAddExp(a, b) => vec![*a, *b],
        Op::Exp(a) | Op::Log(a) | Op::Power(a, _) | Op::Abs(a) | Op::Softplus(a) | Op::LogNormalCdf(a) | Op::LogGamma(a) => vec![*a],
    }
}

/// A function of a few affine forms of the latents. In its operations a form is one of the inputs: `coefficients` are by input.
#[derive(Debug, Clone, Default)]
pub(super) struct Tape {
    /// The inputs, without constants (k).
    pub(super) forms: Vec<Form>,
    ops: Vec<Op>,
}

impl Tape {
    /// Operations.
    pub(super) fn len(&self) -> usize {
        self.ops.len()
    }

    /// `form` as a combination of inputs; it becomes an input itself if it is none.
    fn leaf(&mut self, form: &Form) -> Op {
        if form.is_constant() {
            return Op::Form(form.clone());
        }
        let bare = Form { constant: 0.0, coefficients: form.coefficients.clone() };
        let coefficients = match combination(&self.forms, &bare) {
            Some(found) => found,
            None => {
                self.forms.push(bare);
                BTreeMap::from([(self.forms.len() - 1, 1.0)])
            }
        };
        Op::Form(Form { constant: form.constant, coefficients })
    }

    /// The value at inputs x (k), its derivatives by them written to `gradient` (k).
    pub(super) fn value_grad(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let mut v: Vec<f64> = Vec::with_capacity(self.ops.len());
        for op in &self.ops {
            v.push(match op {
                Op::Form(f) => f.value(x),
                Op::Sum(a, b) => v[*a] + v[*b],
                Op::Product(a, b) => v[*a] * v[*b],
                Op::Quotient(a, b) => v[*a] / v[*b],
                Op::Exp(a) => v[*a].exp(),
                Op::Log(a) => v[*a].ln(),
                Op::Power(a, p) => power(v[*a], *p),
                Op::Abs(a) => v[*a].abs(),
                Op::Softplus(a) => softplus(v[*a]),
                Op::LogNormalCdf(a) => log_norm_cdf(v[*a]),
                Op::LogGamma(a) => lgamma(v[*a]),
                Op::LogAddExp(a, b) => {
                    let (a, b) = (v[*a], v[*b]);
                    a.max(b) + (-(a - b).abs()).exp().ln_1p()
                }
            });
        }
        let mut adjoint = vec![0.0; self.ops.len()];
        gradient.fill(0.0);
        let Some(last) = adjoint.last_mut() else { return 0.0 };
        *last = 1.0;
        for (i, op) in self.ops.iter().enumerate().rev() {
            let d = adjoint[i];
            if d == 0.0 {
                continue;
            }
            match op {
                Op::Form(f) => f.coefficients.iter().for_each(|(k, c)| gradient[*k] += d * c),
                Op::Sum(a, b) => {
                    adjoint[*a] += d;
                    adjoint[*b] += d;
                }
                Op::Product(a, b) => {
                    adjoint[*a] += d * v[*b];
                    adjoint[*b] += d * v[*a];
                }
                Op::Quotient(a, b) => {
                    adjoint[*a] += d / v[*b];
                    adjoint[*b] -= d * v[i] / v[*b];
                }
                Op::Exp(a) => adjoint[*a] += d * v[i],
                Op::Log(a) => adjoint[*a] += d / v[*a],
                Op::Power(a, p) => adjoint[*a] += d * p * power(v[*a], p - 1.0),
                Op::Abs(a) if v[*a] == 0.0 => {}
                Op::Abs(a) => adjoint[*a] += d * v[*a].signum(),
                Op::Softplus(a) => adjoint[*a] += d * sigmoid(v[*a]),
                // φ(a)/Φ(a)
                Op::LogNormalCdf(a) => adjoint[*a] += d * (-0.5 * v[*a] * v[*a] - 0.5 * (2.0 * PI).ln() - v[i]).exp(),
                Op::LogGamma(a) => adjoint[*a] += d * digamma(v[*a]),
                Op::LogAddExp(a, b) => {
                    let first = sigmoid(v[*a] - v[*b]);
                    adjoint[*a] += d * first;
                    adjoint[*b] += d * (1.0 - first);
                }
            }
        }
        v.last().copied().unwrap_or(0.0)
    }
}

fn power(a: f64, p: f64) -> f64 {
    match p {
        2.0 => a * a,
        0.0 => 1.0,
        1.0 => a,
        _ if p.fract() == 0.0 && p.abs() < 64.0 => a.powi(p as i32),
        _ => a.powf(p),
    }
}

/// Coefficients by index.
type Coefficients = BTreeMap<usize, f64>;

/// The coefficients by which `form` is a combination of `basis`, if it is one but for rounding (Gram-Schmidt, twice).
fn combination(basis: &[Form], form: &Form) -> Option<Coefficients> {
    let dot = |a: &BTreeMap<usize, f64>, b: &BTreeMap<usize, f64>| a.iter().filter_map(|(i, v)| Some(v * b.get(i)?)).sum::<f64>();
    // orthogonal directions, each with what it is of the basis
    let mut directions: Vec<(Coefficients, Coefficients)> = Vec::new();
    let reduce = |directions: &[(Coefficients, Coefficients)], v: &Coefficients| {
        let (mut rest, mut of) = (v.clone(), BTreeMap::new());
        for _ in 0..2 {
            for (direction, made) in directions {
                let c = dot(&rest, direction) / dot(direction, direction);
                if c == 0.0 {
                    continue;
                }
                direction.iter().for_each(|(i, d)| *rest.entry(*i).or_insert(0.0) -= c * d);
                made.iter().for_each(|(i, d)| *of.entry(*i).or_insert(0.0) += c * d);
            }
        }
        (rest, of)
    };
    for (k, b) in basis.iter().enumerate() {
        let (rest, of) = reduce(&directions, &b.coefficients);
        let mut made: BTreeMap<usize, f64> = of.into_iter().map(|(i, c)| (i, -c)).collect();
        *made.entry(k).or_insert(0.0) += 1.0;
        directions.push((rest, made));
    }
    let (rest, of) = reduce(&directions, &form.coefficients);
    let size = dot(&form.coefficients, &form.coefficients);
    (dot(&rest, &rest) <= 1e-24 * size).then_some(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_differences_and_forms_are_shared() {
        let mut g = Graph::default();
        let (a, b) = (g.variable(0), g.variable(3));
        let both = g.sum(a, b);
        let (e, l) = (g.exp(a), g.softplus(both));
        let p = g.product(e, l);
        let s = g.scaled(both, 2.0);
        let c = g.log_normal_cdf(s);
        let q = g.power(p, 1.5);
        let r = g.log_add_exp(q, c);
        let t = g.quotient(r, p);
        let gamma = g.log_gamma(p);
        let all = g.sum(t, gamma);
        let tape = g.tape(all);
        // u0, u0 + u3 and 2 (u0 + u3) are two forms
        assert_eq!(tape.forms.len(), 2);
        let at = |u: &[f64]| {
            let x: Vec<f64> = tape.forms.iter().map(|f| f.value(u)).collect();
            let mut d = vec![0.0; 2];
            let value = tape.value_grad(&x, &mut d);
            let mut gradient = vec![0.0; 4];
            tape.forms.iter().zip(d).for_each(|(f, d)| f.coefficients.iter().for_each(|(i, c)| gradient[*i] += c * d));
            (value, gradient)
        };
        let u = [0.3, 0.0, 0.0, -0.4];
        for i in [0, 3] {
            let moved = |h: f64| {
                let mut u = u;
                u[i] += h;
                at(&u).0
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((at(&u).1[i] - difference).abs() < 1e-8, "{i}");
        }
    }
}
