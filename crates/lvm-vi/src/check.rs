//! Is a gradient written by hand the gradient of the log density beside it?
//!
//! Each partial derivative is compared with central differences extrapolated to step 0 (Richardson), which carry an estimate of their own
//! error. So there are three answers: right, wrong in a coordinate, and "cannot tell" where the differences are too rough.

use crate::target::{LogDensity, LogDensityGrad, TargetError};
use lvm_core::{Error, ErrorKind, Result};
use std::fmt;

/// The step lengths tried: h, h/2, h/4, …
const LEVELS: usize = 9;
/// Relative error of a partial derivative that is worth a complaint; an omitted term is far above it, rounding far below.
const TOLERANCE: f64 = 1e-6;

/// A derivative by differences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Numeric {
    /// The derivative.
    pub value: f64,
    /// An estimate of its error: how far it moves from one order of extrapolation to the next.
    pub error: f64,
}

/// The derivative of `f` at 0 by central differences, extrapolated: of the Romberg table, the entry whose neighbours agree best.
///
/// ```
/// let d = lvm_vi::check::derivative(|t| Ok::<f64, ()>((1.0 + t).ln()), 0.5).unwrap();
/// assert!((d.value - 1.0).abs() < 1e-10 && d.error < 1e-9);
/// ```
///
/// # Errors
/// Those of `f`.
///
/// Ridders 1982, Accurate computation of F'(x) and F'(x)F''(x).
pub fn derivative<E>(mut f: impl FnMut(f64) -> Result<f64, E>, step: f64) -> Result<Numeric, E> {
    let mut best = Numeric { value: f64::NAN, error: f64::INFINITY };
    let mut previous: Vec<f64> = Vec::new();
    let mut h = step;
    for _ in 0..LEVELS {
        // D(h) = (f(h) − f(−h)) / 2h = f' + c₂ h² + c₄ h⁴ + …
        let mut row = vec![(f(h)? - f(-h)?) / (2.0 * h)];
        for (j, coarse) in previous.iter().enumerate() {
            // T_{j+1} = T_j(h/2) + (T_j(h/2) − T_j(h)) / (4^{j+1} − 1)
            let fine = row[j];
            let next = fine + (fine - coarse) / (4f64.powi(j as i32 + 1) - 1.0);
            let error = (next - fine).abs().max((next - coarse).abs());
            if error < best.error {
                best = Numeric { value: next, error };
            }
            row.push(next);
        }
        previous = row;
        h *= 0.5;
    }
    Ok(best)
}

/// What a check of a gradient came to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// Every partial derivative agrees at every point.
    Right,
    /// This partial derivative does not; the report has its values.
    Wrong {
        /// The coordinate, from 0.
        coordinate: usize,
    },
    /// The log density that comes with the gradient is another one than the log density alone.
    ValuesDiffer {
        /// [`LogDensity::log_density`].
        alone: f64,
        /// [`LogDensityGrad::log_density_grad`].
        with_gradient: f64,
    },
    /// Nothing is wrong as far as can be seen, but not everything can be.
    CannotTell {
        /// Why, one line for each point or coordinate.
        reasons: Vec<String>,
    },
}

/// A partial derivative beside its numeric twin.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The point, by its index in what was given.
    pub point: usize,
    /// The coordinate, from 0.
    pub coordinate: usize,
    /// As the target has it.
    pub analytic: f64,
    /// By differences.
    pub numeric: Numeric,
    /// |analytic − numeric| over the scale they are compared on: the larger of the two and a thousandth of the largest entry of the
    /// gradient.
    pub relative: f64,
}

/// What [`gradient`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The answer.
    pub finding: Finding,
    /// The partial derivative that is furthest off, beyond what its numeric twin leaves open; `None` if no one could be compared.
    pub worst: Option<Difference>,
    /// The z of the worst partial derivative, or of the values that differ.
    pub at: Option<Vec<f64>>,
    /// Partial derivatives compared.
    pub compared: usize,
}

impl Report {
    /// Whether every partial derivative was seen to be right.
    pub fn is_right(&self) -> bool {
        self.finding == Finding::Right
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.finding {
            Finding::Right => write!(f, "right: {} partial derivatives agree", self.compared)?,
            Finding::Wrong { coordinate } => write!(f, "wrong in coordinate {coordinate}")?,
            Finding::ValuesDiffer { alone, with_gradient } => {
                write!(f, "log_density is {alone} where log_density_grad says {with_gradient}")?;
            }
            Finding::CannotTell { reasons } => write!(f, "cannot tell: {}", reasons.join("; "))?,
        }
        if let Some(w) = &self.worst {
            let Difference { coordinate, analytic, numeric, .. } = w;
            write!(
                f,
                "; the worst is coordinate {coordinate}: {analytic} by the target, {} by differences (± {:.0e})",
                numeric.value, numeric.error
            )?;
        }
        match &self.at {
            Some(z) if z.len() <= 16 => write!(f, ", at z = {z:?}"),
            _ => Ok(()),
        }
    }
}

/// Compares the gradient of `target` with differences of its log density, in every coordinate at every point.
///
/// It costs 18 d + 2 evaluations a point. Points should lie where the posterior has mass and not where the density is symmetric: an error
/// in an odd term shows nowhere else than off the symmetry.
///
/// ```
/// use lvm_vi::{check::gradient, target::{LogDensity, LogDensityGrad, TargetError}};
/// struct Cubic;
/// impl LogDensity for Cubic {
///     fn dim(&self) -> usize { 1 }
///     fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> { Ok(z[0].powi(3) - z[0].powi(4)) }
/// }
/// impl LogDensityGrad for Cubic {
///     fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
///         // the derivative of the fourth power is wrong
///         gradient[0] = 3.0 * z[0].powi(2) - 3.0 * z[0].powi(3);
///         self.log_density(z)
///     }
/// }
/// assert!(!gradient(&Cubic, &[vec![0.7], vec![-1.3]])?.is_right());
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If there is no point, or one is not finite or not of the target's dimension.
pub fn gradient<T: LogDensityGrad + ?Sized>(target: &T, points: &[Vec<f64>]) -> Result<Report> {
    if points.is_empty() {
        return Err(Error::config("points", "there is none; give at least one"));
    }
    for (k, z) in points.iter().enumerate() {
        if z.len() != target.dim() {
            return Err(ErrorKind::Shape { what: "coordinates of a point", expected: target.dim(), found: z.len() }.into());
        }
        if z.iter().any(|v| !v.is_finite()) {
            return Err(Error::config("points", format!("point {k} is not finite")));
        }
    }
    let mut search = Search::default();
    for (k, z) in points.iter().enumerate() {
        if let Some(report) = search.visit(target, k, z) {
            return Ok(report);
        }
    }
    Ok(search.report(points))
}

/// What has been seen so far.
#[derive(Debug, Default)]
struct Search {
    worst: Option<Difference>,
    /// How far the worst is off beyond what its numeric twin leaves open.
    excess: f64,
    reasons: Vec<String>,
    compared: usize,
}

impl Search {
    /// Compares at one point; a report if there is nothing left to ask.
    fn visit<T: LogDensityGrad + ?Sized>(&mut self, target: &T, point: usize, z: &[f64]) -> Option<Report> {
        let mut analytic = vec![f64::NAN; z.len()];
        let (value, alone) = match (target.log_density_grad(z, &mut analytic), target.log_density(z)) {
            (Ok(a), Ok(b)) if a.is_finite() && b.is_finite() => (a, b),
            (Ok(a), Ok(_)) => return self.unclear(format!("the log density is {a} at point {point}")),
            (Err(e), _) | (_, Err(e)) => return self.unclear(format!("no log density at point {point}: {e}")),
        };
        // two summations of the same terms in other orders
        if !((value - alone).abs() <= 1e-8 * value.abs().max(1.0)) {
            let finding = Finding::ValuesDiffer { alone, with_gradient: value };
            return Some(Report { finding, worst: None, at: Some(z.to_vec()), compared: self.compared });
        }
        if let Some(i) = analytic.iter().position(|g| !g.is_finite()) {
            return self.unclear(format!("entry {i} of the gradient is {} at point {point}", analytic[i]));
        }
        let floor = 1e-3 * analytic.iter().fold(0.0f64, |m, g| m.max(g.abs())) + 1e-9 * value.abs().max(1.0);
        for (i, &g) in analytic.iter().enumerate() {
            match along(target, z, i) {
                Ok(numeric) if numeric.value.is_finite() => self.compare(point, i, g, numeric, floor),
                Ok(_) => self.reasons.push(format!("the log density is not finite beside point {point} in coordinate {i}")),
                Err(e) => self.reasons.push(format!("no log density beside point {point} in coordinate {i}: {e}")),
            }
        }
        None
    }

    fn unclear(&mut self, reason: String) -> Option<Report> {
        self.reasons.push(reason);
        None
    }

    fn compare(&mut self, point: usize, coordinate: usize, analytic: f64, numeric: Numeric, floor: f64) {
        self.compared += 1;
        let scale = analytic.abs().max(numeric.value.abs()).max(floor);
        let distance = (analytic - numeric.value).abs();
        // the table's error estimate is one sample of the error: ten times it is believed
        let excess = (distance - 10.0 * numeric.error) / scale;
        if numeric.error > TOLERANCE * scale && excess <= TOLERANCE {
            self.reasons.push(format!("differences at point {point} in coordinate {coordinate} are only good to {:.0e}", numeric.error));
        }
        if self.worst.is_none() || excess > self.excess {
            self.excess = excess;
            self.worst = Some(Difference { point, coordinate, analytic, numeric, relative: distance / scale });
        }
    }

    fn report(self, points: &[Vec<f64>]) -> Report {
        let finding = match &self.worst {
            Some(w) if self.excess > TOLERANCE => Finding::Wrong { coordinate: w.coordinate },
            Some(_) if self.reasons.is_empty() => Finding::Right,
            _ => Finding::CannotTell { reasons: self.reasons },
        };
        let at = self.worst.as_ref().map(|w| points[w.point].clone());
        Report { finding, worst: self.worst, at, compared: self.compared }
    }
}

/// ∂ log p/∂z_i at z by differences, from a first step that still lies well inside the scale of z_i.
fn along<T: LogDensity + ?Sized>(target: &T, z: &[f64], i: usize) -> Result<Numeric, TargetError> {
    let mut moved = z.to_vec();
    let step = 0.125 * z[i].abs().max(1.0);
    derivative(
        |t| {
            moved[i] = z[i] + t;
            target.log_density(&moved)
        },
        step,
    )
}
