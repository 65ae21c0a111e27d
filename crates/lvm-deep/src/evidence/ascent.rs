//! Many small maximisations at once: one for each row.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Maximises f_n(a_n) of every row n over its own a_n, all rows in one batch of tensors.
///
/// Each row has its own limited-memory BFGS with its own backtracking line search (Nocedal & Wright 2006, algorithms 7.4 and 3.1). The rows
/// share nothing but the tensors they are computed in, so the result of a row does not depend on which other rows are there.
///
/// Ends when the gradient of every row is short enough. Where f has kinks (rectified layers) some rows stop at one, with a gradient that is
/// not short: [`Maximum::gradient_norm`] says so.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ascent {
    /// Steps at most.
    pub max_iterations: usize,
    /// A row is done when the Euclidean norm of its gradient is at most this (nats per unit of a).
    pub gradient_tolerance: f64,
    /// Steps that are remembered for the curvature.
    pub history: usize,
}

impl Default for Ascent {
    fn default() -> Self {
        Ascent { max_iterations: 500, gradient_tolerance: 1e-6, history: 10 }
    }
}

/// Where the rows ended.
#[derive(Debug)]
pub struct Maximum {
    /// a (N, F).
    pub point: Tensor,
    /// f (N).
    pub value: Tensor,
    /// ‖∇f‖ (N).
    pub gradient_norm: Tensor,
    /// Whether each row's gradient met the tolerance.
    pub converged: Vec<bool>,
    /// Steps taken.
    pub iterations: usize,
}

/// Halvings of a step before a row stays where it is.
const BACKTRACKS: usize = 30;
/// The part of the promised rise that a step must keep (Armijo).
const SUFFICIENT: f64 = 1e-4;

/// f and its gradient somewhere.
pub(crate) struct Evaluated {
    /// f (N).
    pub(crate) value: Tensor,
    /// ∇f (N, F).
    pub(crate) gradient: Tensor,
}

/// f with its gradient at points (N, F).
type Objective<'a> = &'a mut dyn FnMut(&Tensor) -> Result<Evaluated>;

/// g ↦ P g of gradients (N, F), P positive definite: about the inverse of minus the Hessian, up to a factor.
pub(crate) type Preconditioner<'a> = &'a dyn Fn(&Tensor) -> Tensor;

/// One remembered step of all rows; `rho` is 0 in rows where it says nothing of the curvature.
struct Pair {
    s: Tensor,
    y: Tensor,
    rho: Tensor,
}

impl Ascent {
    /// From `start` (N, F); `f` maps points (N, F) to values (N), row by row, differentiably.
    ///
    /// # Errors
    /// If a setting is outside its range, f fails, or f is not finite at the start of some row.
    pub fn maximise(&self, start: &Tensor, f: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Maximum> {
        self.maximise_by(start, &Tensor::shallow_clone, &mut |point| {
            let leaf = point.detach().copy().set_requires_grad(true);
            let value = f(&leaf)?;
            let gradient = Tensor::run_backward(&[value.sum(None::<Kind>)], &[&leaf], false, false).swap_remove(0);
            Ok(Evaluated { value: value.detach(), gradient })
        })
    }

    /// The same, of an f that brings its gradient, with what is known of its curvature beforehand.
    ///
    /// # Errors
    /// As [`maximise`](Self::maximise).
    pub(crate) fn maximise_by(&self, start: &Tensor, precondition: Preconditioner<'_>, f: Objective<'_>) -> Result<Maximum> {
        if !(self.gradient_tolerance >= 0.0) || self.history == 0 {
            return Err(Error::config("gradient_tolerance", "must not be negative, and history at least 1"));
        }
        let mut point = start.detach().copy();
        let mut at = f(&point)?;
        if at.value.isfinite().all().int64_value(&[]) == 0 {
            return Err(Error::config("start", "the objective is not finite at the start of some row"));
        }
        let mut pairs: Vec<Pair> = Vec::new();
        let mut gamma = dot(&at.gradient, &precondition(&at.gradient)).sqrt().clamp_min(1.0).reciprocal();
        // rows that could not rise any more
        let mut stuck = at.value.zeros_like();
        let mut iterations = 0;
        while iterations < self.max_iterations {
            let long = norm(&at.gradient).gt(self.gradient_tolerance).to_kind(point.kind());
            let open: Tensor = long * (1.0 - &stuck);
            if open.sum(Kind::Double).double_value(&[]) == 0.0 {
                break;
            }
            let direction = direction(&at.gradient, &pairs, &gamma, precondition) * open.unsqueeze(1);
            let (step, next) = self.search(&point, &at, &direction, f)?;
            stuck = stuck.maximum(&(&open * step.eq(0.0).to_kind(point.kind())));
            let s = &direction * step.unsqueeze(1);
            // curvature of −f along the step
            let y = &at.gradient - &next.gradient;
            let (sy, yy) = (dot(&s, &y), dot(&y, &y));
            let scaled = dot(&y, &precondition(&y));
            let valid = sy.gt_tensor(&((dot(&s, &s) * &yy).sqrt() * 1e-10));
            let rho = sy.reciprocal().where_self(&valid, &sy.zeros_like());
            gamma = (&sy / &scaled).where_self(&valid, &gamma);
            point += &s;
            at = next;
            pairs.push(Pair { s, y, rho });
            if pairs.len() > self.history {
                pairs.remove(0);
            }
            iterations += 1;
        }
        let gradient_norm = norm(&at.gradient);
        let converged = crate::tensor::to_values(&gradient_norm).iter().map(|g| *g <= self.gradient_tolerance).collect();
        Ok(Maximum { point, value: at.value, gradient_norm, converged, iterations })
    }

    /// Step lengths (N), 0 where none rises, and the evaluation there.
    fn search(&self, point: &Tensor, at: &Evaluated, direction: &Tensor, f: Objective<'_>) -> Result<(Tensor, Evaluated)> {
        let slope = dot(&at.gradient, direction);
        // near the top the values differ by rounding only
        let epsilon = if point.kind() == Kind::Double { f64::EPSILON } else { f64::from(f32::EPSILON) };
        let slack = (at.value.abs() + 1.0) * (10.0 * epsilon);
        let mut step = slope.ones_like();
        for backtrack in 0..=BACKTRACKS {
            let next = f(&(point + direction * step.unsqueeze(1)))?;
            let needed = &at.value + &step * &slope * SUFFICIENT - &slack;
            let finite = next.value.isfinite().logical_and(&next.gradient.isfinite().all_dim(1, false));
            let good = next.value.ge_tensor(&needed).logical_and(&finite);
            // a step of 0 is the point itself
            let good = good.logical_or(&step.eq(0.0));
            if good.all().int64_value(&[]) != 0 {
                return Ok((step, next));
            }
            let shorter = if backtrack + 1 == BACKTRACKS { step.zeros_like() } else { &step * 0.5 };
            step = step.where_self(&good, &shorter);
        }
        Ok((step.zeros_like(), f(point)?))
    }
}

/// The two-loop recursion: H ∇f with H about the inverse of minus the Hessian; γ P ∇f where that would not rise.
fn direction(gradient: &Tensor, pairs: &[Pair], gamma: &Tensor, precondition: Preconditioner<'_>) -> Tensor {
    let mut q = gradient.copy();
    let mut alphas = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let alpha = &pair.rho * dot(&pair.s, &q);
        q -= &pair.y * alpha.unsqueeze(1);
        alphas.push(alpha);
    }
    let mut q = precondition(&q) * gamma.unsqueeze(1);
    for (pair, alpha) in pairs.iter().zip(alphas.iter().rev()) {
        let beta = &pair.rho * dot(&pair.y, &q);
        q += &pair.s * (alpha - beta).unsqueeze(1);
    }
    let rises = dot(gradient, &q).gt(0.0).unsqueeze(1);
    q.where_self(&rises, &(precondition(gradient) * gamma.unsqueeze(1)))
}

fn dot(a: &Tensor, b: &Tensor) -> Tensor {
    (a * b).sum_dim_intlist([1].as_slice(), false, None)
}

fn norm(a: &Tensor) -> Tensor {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::to_values;

    #[test]
    fn rosenbrock_of_every_row_is_met_and_rows_do_not_disturb_each_other() {
        // −[(1 − a)² + c (b − a²)²] with another c in every row: the top is (1, 1) with value 0
        let c = Tensor::from_slice(&[1.0, 10.0, 100.0]);
        let of = |start: &Tensor, c: &Tensor| {
            Ascent { gradient_tolerance: 1e-9, ..Default::default() }
                .maximise(start, &mut |p| {
                    let (a, b) = (p.select(1, 0), p.select(1, 1));
                    Ok(-((&a - 1.0).square() + c * (b - a.square()).square()))
                })
                .unwrap()
        };
        let start = Tensor::from_slice(&[-1.2, 1.0, -1.2, 1.0, -1.2, 1.0]).view([3, 2]);
        let all = of(&start, &c);
        assert!(all.converged.iter().all(|c| *c), "{:?}", all.gradient_norm);
        // gradient below 1e-9 and curvature above 0.4
        assert!(to_values(&all.point).iter().all(|a| (a - 1.0).abs() < 1e-8));
        let alone = of(&start.narrow(0, 2, 1), &c.narrow(0, 2, 1));
        assert!(to_values(&alone.point).iter().all(|a| (a - 1.0).abs() < 1e-8));
    }
}
