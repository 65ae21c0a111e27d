//! Distributions as the cases name them, and their log densities as graphs.

use super::tape::{Graph, Id, Op};
use lvm_core::special::{HALF_LOG_2PI, lbeta, lgamma};
use lvm_vi::expectation::{Affine, Expression, LogJoint};
use std::f64::consts::{LN_2, PI};

/// A family of distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Normal,
    HalfNormal,
    Cauchy,
    HalfCauchy,
    Student,
    HalfStudent,
    Laplace,
    Logistic,
    LogNormal,
    Exponential,
    Gamma,
    InverseGamma,
    ScaledInverseChiSquare,
    Weibull,
    Beta,
    Uniform,
    Bernoulli,
    Binomial,
    Poisson,
    NegativeBinomial,
}

/// The distribution that a word names, however it is written.
pub(super) fn named(word: &str) -> Option<Name> {
    let plain: String = word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '+').collect::<String>().to_lowercase();
    Some(match plain.as_str() {
        "normal" | "n" | "gaussian" => Name::Normal,
        "halfnormal" | "normal+" | "n+" | "halfgaussian" => Name::HalfNormal,
        "cauchy" => Name::Cauchy,
        "halfcauchy" | "cauchy+" | "c+" => Name::HalfCauchy,
        "studentt" | "student" | "t" => Name::Student,
        "halfstudentt" | "halfstudent" | "halft" | "studentt+" => Name::HalfStudent,
        "laplace" | "doubleexponential" => Name::Laplace,
        "logistic" => Name::Logistic,
        "lognormal" => Name::LogNormal,
        "exponential" => Name::Exponential,
        "gamma" => Name::Gamma,
        "inversegamma" | "invgamma" => Name::InverseGamma,
        "scaledinversechisquare" | "scaledinvchisquare" => Name::ScaledInverseChiSquare,
        "weibull" => Name::Weibull,
        "beta" => Name::Beta,
        "uniform" => Name::Uniform,
        "bernoulli" | "bernoullilogit" => Name::Bernoulli,
        "binomial" | "binomiallogit" => Name::Binomial,
        "poisson" | "poissonlog" => Name::Poisson,
        "negbinomial" | "negativebinomial" | "negbinomial2" | "negativebinomial2" => Name::NegativeBinomial,
        _ => return None,
    })
}

/// A distribution with its arguments.
#[derive(Debug, Clone)]
pub(super) struct Distribution {
    pub(super) name: Name,
    pub(super) arguments: Vec<Id>,
    /// Whether probabilities are given by their logits, means by their logarithms.
    pub(super) canonical: bool,
}

impl Distribution {
    /// log p(x) with every normalising constant; the reason if that can't be said.
    pub(super) fn log_density(&self, g: &mut Graph, x: Id) -> Result<Id, String> {
        let a = &self.arguments;
        let needs = |n: usize| if a.len() == n { Ok(()) } else { Err(format!("{:?} with {} arguments", self.name, a.len())) };
        Ok(match self.name {
            Name::Normal => {
                needs(2)?;
                let r = g.difference(x, a[0]);
                normal(g, r, a[1])
            }
            Name::HalfNormal => {
                let scale = self.scale_of_half(g)?;
                let n = normal(g, x, scale);
                plus(g, n, LN_2)
            }
            Name::Cauchy | Name::HalfCauchy | Name::Student | Name::HalfStudent => self.student(g, x)?,
            Name::Laplace => {
                needs(2)?;
                // −log 2b − |x − m|/b
                let r = g.difference(x, a[0]);
                let z = g.quotient(r, a[1]);
                let size = g.abs(z);
                let log = g.log(a[1]);
                let both = g.sum(size, log);
                let out = g.scaled(both, -1.0);
                plus(g, out, -LN_2)
            }
            Name::Logistic => {
                needs(2)?;
                // −z − 2 log(1 + e⁻ᶻ) − log s
                let r = g.difference(x, a[0]);
                let z = g.quotient(r, a[1]);
                let (first, second) = (g.log_sigmoid(z), g.scaled(z, -1.0));
                let second = g.log_sigmoid(second);
                let both = g.sum(first, second);
                let log = g.log(a[1]);
                g.difference(both, log)
            }
            Name::LogNormal => {
                needs(2)?;
                let log = g.log(x);
                let r = g.difference(log, a[0]);
                let n = normal(g, r, a[1]);
                g.difference(n, log)
            }
            Name::Exponential => {
                needs(1)?;
                let (log, p) = (g.log(a[0]), g.product(a[0], x));
                g.difference(log, p)
            }
            Name::Gamma => {
                needs(2)?;
                // a log b − log Γ(a) + (a − 1) log x − b x
                let log_x = g.log(x);
                let linear = g.product(a[1], x);
                power_law(g, (a[0], 1.0), (a[1], log_x), linear)
            }
            Name::InverseGamma => {
                needs(2)?;
                // a log b − log Γ(a) − (a + 1) log x − b/x
                let log_x = g.log(x);
                let minus = g.scaled(log_x, -1.0);
                let linear = g.quotient(a[1], x);
                let body = power_law(g, (a[0], 1.0), (a[1], minus), linear);
                // (a − 1)(−log x) is short of 2 (−log x)
                let two = g.scaled(log_x, -2.0);
                g.sum(body, two)
            }
            Name::ScaledInverseChiSquare => {
                needs(2)?;
                // InverseGamma(ν/2, ν s²/2)
                let half = g.scaled(a[0], 0.5);
                let square = g.product(a[1], a[1]);
                let rate = g.product(half, square);
                Distribution { name: Name::InverseGamma, arguments: vec![half, rate], canonical: false }.log_density(g, x)?
            }
            Name::Weibull => {
                needs(2)?;
                let k = g.constant(a[0]).ok_or("the shape of a Weibull distribution must be a number")?;
                let z = g.quotient(x, a[1]);
                let (log_z, log_s, tail) = (g.log(z), g.log(a[1]), g.power(z, k));
                let first = g.scaled(log_z, k - 1.0);
                let first = g.difference(first, log_s);
                let out = g.difference(first, tail);
                plus(g, out, k.ln())
            }
            Name::Beta => {
                needs(2)?;
                let (p, q) = (number(g, a[0])?, number(g, a[1])?);
                let one = g.number(1.0);
                let rest = g.difference(one, x);
                let (log_x, log_rest) = (g.log(x), g.log(rest));
                let (first, second) = (g.scaled(log_x, p - 1.0), g.scaled(log_rest, q - 1.0));
                let out = g.sum(first, second);
                plus(g, out, -lbeta(p, q))
            }
            Name::Uniform => {
                needs(2)?;
                let width = g.difference(a[1], a[0]);
                let log = g.log(width);
                g.scaled(log, -1.0)
            }
            Name::Bernoulli => {
                needs(1)?;
                let one = g.number(1.0);
                let logit = self.logit(g, a[0])?;
                binomial(g, x, one, logit)?
            }
            Name::Binomial => {
                needs(2)?;
                let logit = self.logit(g, a[1])?;
                binomial(g, x, a[0], logit)?
            }
            Name::Poisson => {
                needs(1)?;
                let (log, rate) = if self.canonical { (a[0], g.exp(a[0])) } else { (g.log(a[0]), a[0]) };
                let y = number(g, x)?;
                let first = g.scaled(log, y);
                let out = g.difference(first, rate);
                plus(g, out, -lgamma(y + 1.0))
            }
            Name::NegativeBinomial => {
                needs(2)?;
                // log Γ(y + φ) − log Γ(φ) − log y! + φ log(φ/(φ + μ)) + y log(μ/(φ + μ))
                let y = number(g, x)?;
                let log_mu = if self.canonical { a[0] } else { g.log(a[0]) };
                let log_phi = g.log(a[1]);
                let both = g.log_add_exp(log_mu, log_phi);
                let more = plus(g, a[1], y);
                let (top, bottom) = (g.log_gamma(more), g.log_gamma(a[1]));
                let choose = g.difference(top, bottom);
                let (first, second) = (g.difference(log_phi, both), g.difference(log_mu, both));
                let (first, second) = (g.product(a[1], first), g.scaled(second, y));
                let rates = g.sum(first, second);
                let out = g.sum(choose, rates);
                plus(g, out, -lgamma(y + 1.0))
            }
        })
    }

    /// t_ν((x − m)/s)/s, twice that on the half line; ν = 1 is Cauchy's.
    fn student(&self, g: &mut Graph, x: Id) -> Result<Id, String> {
        let a = &self.arguments;
        let (degrees, location, scale, half) = match (self.name, a.as_slice()) {
            (Name::Cauchy, [m, s]) => (g.number(1.0), *m, *s, false),
            (Name::HalfCauchy, [m, s]) => (g.number(1.0), *m, *s, true),
            (Name::HalfCauchy, [s]) => (g.number(1.0), g.number(0.0), *s, true),
            (Name::Student, [nu, m, s]) => (*nu, *m, *s, false),
            (Name::HalfStudent, [nu, m, s]) => (*nu, *m, *s, true),
            (Name::HalfStudent, [nu, s]) => (*nu, g.number(0.0), *s, true),
            _ => return Err(format!("{:?} with {} arguments", self.name, a.len())),
        };
        if half && g.constant(location) != Some(0.0) {
            return Err(format!("{:?} about another place than 0", self.name));
        }
        let r = g.difference(x, location);
        let z = g.quotient(r, scale);
        // log(1 + z²/ν); of z = eᵃ that is log(1 + e^{2a}/ν), which can't overflow
        let tail = match g.ops[z] {
            Op::Exp(exponent) => {
                let twice = g.scaled(exponent, 2.0);
                let log_nu = g.log(degrees);
                let of = g.difference(twice, log_nu);
                g.softplus(of)
            }
            _ => {
                let square = g.product(z, z);
                let ratio = g.quotient(square, degrees);
                let whole = plus(g, ratio, 1.0);
                g.log(whole)
            }
        };
        // log Γ((ν + 1)/2) − log Γ(ν/2) − ½ log νπ − log s − (ν + 1)/2 log(1 + z²/ν)
        let more = plus(g, degrees, 1.0);
        let (upper, lower) = (g.scaled(more, 0.5), g.scaled(degrees, 0.5));
        let weighted = g.product(upper, tail);
        let (top, bottom) = (g.log_gamma(upper), g.log_gamma(lower));
        let log_nu = g.log(degrees);
        let (log_nu, log_s) = (g.scaled(log_nu, 0.5), g.log(scale));
        let mut out = g.difference(top, bottom);
        for part in [log_nu, log_s, weighted] {
            out = g.difference(out, part);
        }
        Ok(plus(g, out, -0.5 * PI.ln() + if half { LN_2 } else { 0.0 }))
    }

    fn scale_of_half(&self, g: &Graph) -> Result<Id, String> {
        match self.arguments.as_slice() {
            [s] => Ok(*s),
            [m, s] if g.constant(*m) == Some(0.0) => Ok(*s),
            _ => Err("a half-normal distribution about another place than 0".into()),
        }
    }

    /// log p/(1 − p).
    fn logit(&self, g: &mut Graph, p: Id) -> Result<Id, String> {
        if self.canonical {
            return Ok(p);
        }
        let one = g.number(1.0);
        let rest = g.difference(one, p);
        let (log_p, log_rest) = (g.log(p), g.log(rest));
        Ok(g.difference(log_p, log_rest))
    }

    /// The same density as terms whose expectations are known, added to `p`; `false` if it has none.
    pub(super) fn add_closed(&self, g: &Graph, x: Id, p: &mut LogJoint) -> lvm_core::Result<bool> {
        let a = &self.arguments;
        let done = |found: Option<lvm_core::Result<()>>| found.map_or(Ok(false), |r| r.map(|()| true));
        let eta = match &g.ops[x] {
            Op::Exp(eta) => g.form(*eta).map(affine),
            _ => None,
        };
        match (self.name, a.as_slice()) {
            (Name::Normal, [m, s]) => {
                let found = || Some((expression(g, x)? - expression(g, *m)?, log_affine(g, *s)?));
                done(found().map(|(residual, log_sd)| p.normal(residual, log_sd)))
            }
            (Name::HalfNormal, _) => {
                let found = || Some((eta?, self.scale_of_half(g).ok().and_then(|s| g.constant(s))?));
                done(found().map(|(eta, s)| p.half_normal(eta.clone(), s).and_then(|()| p.affine(-eta))))
            }
            (Name::HalfCauchy, _) => {
                let found = || Some((eta?, g.constant(*a.last()?)?));
                done(found().map(|(eta, s)| p.half_cauchy(eta.clone(), s).and_then(|()| p.affine(-eta))))
            }
            (Name::Gamma, [shape, rate]) => {
                let found = || Some((eta?, g.constant(*shape)?, g.constant(*rate)?));
                done(found().map(|(eta, shape, rate)| p.gamma(eta.clone(), shape, rate).and_then(|()| p.affine(-eta))))
            }
            (Name::Student, [nu, m, s]) => {
                let found = || {
                    let at = Expression::from(affine(g.form(x)?)) - Expression::from(affine(g.form(*m)?));
                    Some((at.affine()?, g.constant(*nu)?, g.constant(*s)?))
                };
                done(found().map(|(x, nu, s)| p.student_t(x, nu, s)))
            }
            (Name::Bernoulli, [e]) if self.canonical => {
                let found = || Some((g.constant(x)?, affine(g.form(*e)?)));
                done(found().map(|(y, e)| p.binomial([(y, 1.0, e)])))
            }
            (Name::Binomial, [m, e]) if self.canonical => {
                let found = || Some((g.constant(x)?, g.constant(*m)?, affine(g.form(*e)?)));
                done(found().map(|row| p.binomial([row])))
            }
            (Name::Poisson, [e]) => {
                let log_rate = if self.canonical { g.form(*e).map(affine) } else { log_affine(g, *e) };
                let found = || Some((g.constant(x)?, log_rate?));
                done(found().map(|(y, e)| p.poisson(y, e)))
            }
            _ => Ok(false),
        }
    }
}

/// The affine form in the words of lvm-vi.
pub(super) fn affine(form: &super::tape::Form) -> Affine {
    Affine { constant: form.constant, coefficients: form.coefficients.iter().map(|(i, a)| (*i, *a)).collect() }
}

/// log of an operation, where that is affine: of numbers and of exponentials of affine forms.
fn log_affine(g: &Graph, a: Id) -> Option<Affine> {
    match &g.ops[a] {
        Op::Exp(e) => g.form(*e).map(affine),
        _ => g.constant(a).filter(|c| *c > 0.0).map(|c| Affine::constant(c.ln())),
    }
}

/// An operation as a sum of affine forms times exponentials of affine forms.
fn expression(g: &Graph, a: Id) -> Option<Expression> {
    match &g.ops[a] {
        Op::Form(form) => Some(affine(form).into()),
        Op::Sum(x, y) => Some(expression(g, *x)? + expression(g, *y)?),
        Op::Exp(e) => Some(Affine::constant(1.0).times_exp(affine(g.form(*e)?))),
        Op::Product(x, y) => match (&g.ops[*x], &g.ops[*y]) {
            (Op::Form(f), Op::Exp(e)) | (Op::Exp(e), Op::Form(f)) => Some(affine(f).times_exp(affine(g.form(*e)?))),
            (Op::Form(_), _) => {
                let (c, mut inner) = (g.constant(*x)?, expression(g, *y)?);
                inner.terms.iter_mut().for_each(|(_, b)| *b = b.clone() * c);
                Some(inner)
            }
            _ => None,
        },
        _ => None,
    }
}

fn plus(g: &mut Graph, a: Id, c: f64) -> Id {
    let c = g.number(c);
    g.sum(a, c)
}

fn number(g: &Graph, a: Id) -> Result<f64, String> {
    g.constant(a).ok_or_else(|| "a parameter stands where a number must".to_owned())
}

/// log N(r; 0, s²) = −½ (r/s)² − log s − ½ log 2π.
fn normal(g: &mut Graph, r: Id, s: Id) -> Id {
    let z = g.quotient(r, s);
    let square = g.product(z, z);
    let (square, log) = (g.scaled(square, -0.5), g.log(s));
    let out = g.difference(square, log);
    plus(g, out, -HALF_LOG_2PI)
}

/// a log b − log Γ(a) + (a − c) log x − linear.
fn power_law(g: &mut Graph, (a, c): (Id, f64), (b, log_x): (Id, Id), linear: Id) -> Id {
    let log_b = g.log(b);
    let first = g.product(a, log_b);
    let gamma = g.log_gamma(a);
    let first = g.difference(first, gamma);
    let less = plus(g, a, -c);
    let second = g.product(less, log_x);
    let out = g.sum(first, second);
    g.difference(out, linear)
}

/// log C(m, y) + y e − m log(1 + eᵉ).
fn binomial(g: &mut Graph, y: Id, m: Id, logit: Id) -> Result<Id, String> {
    let (y, m) = (number(g, y)?, number(g, m)?);
    if !(0.0..=m).contains(&y) {
        return Err(format!("{y} successes in {m} trials"));
    }
    let (first, second) = (g.scaled(logit, y), g.softplus(logit));
    let second = g.scaled(second, m);
    let out = g.difference(first, second);
    Ok(plus(g, out, lgamma(m + 1.0) - lgamma(y + 1.0) - lgamma(m - y + 1.0)))
}
