//! Newton and quasi-Newton steps on the concentrated likelihood, with every uniqueness held at or above its floor.
//!
//! No optimiser library: the Hessian has a structure none of them can use, and the floor needs a step that reaches it at once. In
//! log ψ a Heywood variable would creep towards −∞ by one unit an iteration; where F is seen to be linear in ψ_j, ψ_j goes to the floor
//! in one step, and comes back if the likelihood says so.

use super::concentrated::{Concentrated, Point};
use super::coordinate::best_change;
use super::fisher::Fisher;
use super::solution::Solution;
use crate::error::Result;
use crate::fit::{Algorithm, Step};
use crate::linalg;
use crate::mutant::planted;
use ndarray::{Array1, Array2, Axis};

/// Steps of an iteration where the Hessian is the Fisher information, which is also how many curvature pairs are kept: none is from
/// before, so that an iteration depends on nothing but the ψ it starts from, and a resumed fit is one run. Pairs from far away say little
/// about the optimum: an iteration that starts there is short.
const STEPS: usize = 12;
const STEPS_FROM_AFAR: usize = 4;
/// The derivative of the mean log-likelihood from which on a start is far away.
const AFAR: f64 = 1.0;
/// Residual of the eigenpairs, where they are not all computed, at the end of an iteration, and that of a point far from the optimum: it
/// enters F squared.
const SHARP: f64 = 1e-13;
const ROUGH: f64 = 1e-6;
/// In place of [`SHARP`] where the gradient magnifies the residual.
const SHARPEST: f64 = 1e-15;
/// Residual of the eigenpairs at a start that is a guess.
const GUESS: f64 = 1e-2;
/// The derivative from which on a step needs no more than its direction.
const GROSS: f64 = 0.1;
/// The gradient from which on a point is far from the optimum.
const FAR: f64 = 1e-3;
/// Longest step of one log ψ_j.
const LONGEST: f64 = 2.0;
/// Below this share of the variance a uniqueness may go to its floor in one step.
const NEAR_FLOOR: f64 = 0.03;
/// Halvings of a step at most.
const HALVINGS: usize = 30;
/// A search that finds no better point has converged to rounding if the gradient is below this.
const ROUNDING: f64 = 1e-6;
/// So many times what rounding makes of F hide a gain.
const HIDDEN: f64 = 8.0;

/// The algorithm: ψ_free ← ψ_free exp(−α H⁻¹ ∂F/∂log ψ), α by backtracking. An iteration is one such step with the Hessian, and up to
/// twelve where H is the Fisher information corrected by L-BFGS.
pub(super) struct QuasiNewton {
    /// ψ to start from, in the units of the sample covariance.
    pub(super) start: Array1<f64>,
    /// Whether that is where another fit stopped: what it knew there must be known again. What else one starts from is not worth it.
    pub(super) resumed: bool,
    /// Floor of ψ_j as a share of the variance.
    pub(super) floor: f64,
    /// Converged when no |∂ mean log-likelihood / ∂ log ψ_j| of a free ψ_j is larger; below zero: never.
    pub(super) gradient_tolerance: f64,
}

/// ψ with what the next step needs. Between iterations all of it is a function of ψ.
pub(super) struct State {
    point: Point,
    floor: Array1<f64>,
    factors: usize,
    /// (Δx, Δ ∂F/∂x), newest last.
    pairs: Vec<(Array1<f64>, Array1<f64>)>,
    /// Whether steps have come to rest.
    rest: Rest,
    /// An iteration has led back to where it began: the next would be the same.
    stuck: bool,
}

/// Whether steps have come to rest, and why.
#[derive(Clone, Copy, PartialEq)]
enum Rest {
    No,
    /// The gradient is within its tolerance.
    Flat,
    /// No better point is to be found.
    Exhausted,
    /// Nor is a gain predicted that rounding of F would not hide.
    Rounding,
}

/// A positive definite model of the Hessian.
enum Curvature {
    /// The Hessian itself, by its Cholesky factor.
    Hessian {
        /// L (F, F).
        lower: Array2<f64>,
    },
    /// The Fisher information.
    Fisher(Fisher),
}

impl Curvature {
    /// H⁻¹ b in place of b.
    fn solve(&self, b: &mut Array1<f64>) -> Result<()> {
        match self {
            Curvature::Hessian { lower } => {
                linalg::cholesky_solve(lower.view(), b.view_mut().insert_axis(Axis(1)));
                Ok(())
            }
            Curvature::Fisher(fisher) => fisher.solve(b),
        }
    }
}

impl Algorithm<Concentrated<'_>> for QuasiNewton {
    type State = State;
    type Output = Solution;

    fn init(&self, f: &Concentrated<'_>, _seed: u64) -> Result<State> {
        let floor = &f.sample.variance * if planted("fa_psi_unfloored") { 1e-200 } else { self.floor };
        let mut psi = self.start.clone();
        ndarray::Zip::from(&mut psi).and(&floor).and(&f.sample.variance).for_each(|psi, floor, v| *psi = psi.clamp(*floor, *v));
        let point = if self.resumed { self.anew(f, psi, &floor)? } else { f.at(psi, None, GUESS)? };
        Ok(State { point, floor, factors: f.factors, pairs: Vec::new(), rest: Rest::No, stuck: false })
    }

    fn step(&self, state: &mut State, f: &Concentrated<'_>) -> Result<Step> {
        if state.point.is_full() {
            if state.rest == Rest::No {
                self.improve(state, f)?;
            }
        } else {
            self.improve_often(state, f)?;
        }
        let largest = state.largest(&state.free(self.gradient_tolerance));
        let converged = self.gradient_tolerance >= 0.0
            && match state.rest {
                Rest::No => false,
                Rest::Flat => largest <= self.gradient_tolerance,
                Rest::Exhausted => largest <= self.gradient_tolerance.max(ROUNDING),
                Rest::Rounding => true,
            };
        Ok(Step { objective: f.sample.mean_log_likelihood(state.point.value), converged, repairs: Vec::new() })
    }

    fn finish(&self, state: State) -> Result<Solution> {
        Ok(Solution::new(None, state.point.loadings(state.factors), state.point.psi))
    }
}

/// The variables of a point that may move: all but those at the floor that the gradient keeps there.
fn free(p: &Point, floor: &Array1<f64>, gradient_tolerance: f64) -> Vec<usize> {
    let pushed = -2.0 * gradient_tolerance.max(1e-9);
    (0..p.psi.len()).filter(|&j| p.psi[j] > floor[j] || p.gradient[j] < pushed).collect()
}

/// The residual of eigenpairs near the optimum.
fn sharp(p: &Point) -> f64 {
    if p.magnified() > 1.0 { SHARPEST } else { SHARP }
}

impl State {
    /// The variables that may move: all but those at the floor that the gradient keeps there.
    fn free(&self, gradient_tolerance: f64) -> Vec<usize> {
        free(&self.point, &self.floor, gradient_tolerance)
    }

    /// Largest |∂ mean log-likelihood / ∂x_j| = ½ |∂F/∂x_j| of the free variables.
    fn largest(&self, free: &[usize]) -> f64 {
        free.iter().map(|&j| 0.5 * self.point.gradient[j].abs()).fold(0.0, f64::max)
    }

    /// A positive definite model of the Hessian of the free variables, with its exact diagonal where that is known.
    fn curvature(&self, free: &[usize]) -> (Curvature, Option<Array1<f64>>) {
        let of_free = |h: Array2<f64>| if free.len() == h.nrows() { h } else { h.select(Axis(0), free).select(Axis(1), free) };
        let mut exact = None;
        if self.point.is_full() {
            let h = of_free(self.point.hessian());
            exact = Some(h.diag().to_owned());
            if let Ok(lower) = linalg::cholesky(h.view()) {
                return (Curvature::Hessian { lower }, exact);
            }
        }
        // Far from the optimum the Hessian can be indefinite; the Fisher information never is.
        (Curvature::Fisher(self.point.fisher(free)), exact)
    }

    /// −H⁻¹ g on the free variables: H corrected by the curvature pairs (two-loop recursion, Nocedal & Wright 7.4).
    fn direction(&self, free: &[usize], curvature: &Curvature) -> Result<Array1<f64>> {
        let mut d = -self.point.gradient.select(Axis(0), free);
        let pairs: Vec<_> = self.pairs.iter().map(|(s, y)| (s.select(Axis(0), free), y.select(Axis(0), free))).collect();
        let usable = |s: &Array1<f64>, y: &Array1<f64>| s.dot(y) > 1e-10 * s.dot(s).sqrt() * y.dot(y).sqrt();
        let pairs: Vec<_> = pairs.iter().filter(|(s, y)| usable(s, y)).collect();
        let mut alphas = vec![0.0; pairs.len()];
        for (alpha, (s, y)) in alphas.iter_mut().zip(&pairs).rev() {
            *alpha = s.dot(&d) / s.dot(y);
            d.scaled_add(-*alpha, y);
        }
        curvature.solve(&mut d)?;
        for (alpha, (s, y)) in alphas.iter().zip(&pairs) {
            let beta = y.dot(&d) / s.dot(y);
            d.scaled_add(alpha - beta, s);
        }
        Ok(d)
    }
}

impl QuasiNewton {
    /// The point at ψ, as a function of nothing else.
    fn anew(&self, f: &Concentrated<'_>, psi: Array1<f64>, floor: &Array1<f64>) -> Result<Point> {
        let point = f.at(psi, None, ROUGH)?;
        let far = free(&point, floor, self.gradient_tolerance).iter().any(|&j| point.gradient[j].abs() > FAR + point.residual);
        if far || point.is_full() { Ok(point) } else { f.at(point.psi.clone(), Some(&point), sharp(&point)) }
    }

    /// Steps with a memory of their own. Eigenvectors that are warm from them would be a memory too: they are computed anew.
    fn improve_often(&self, state: &mut State, f: &Concentrated<'_>) -> Result<()> {
        if state.stuck {
            return Ok(());
        }
        let (start, value) = (state.point.psi.clone(), state.point.value);
        state.pairs.clear();
        state.rest = Rest::No;
        let steps = if state.largest(&state.free(self.gradient_tolerance)) > AFAR { STEPS_FROM_AFAR } else { STEPS };
        for _ in 0..steps {
            self.improve(state, f)?;
            if state.rest != Rest::No {
                break;
            }
        }
        state.point = self.anew(f, state.point.psi.clone(), &state.floor)?;
        if state.point.value > value {
            // at the optimum steps are of the size of rounding: none is kept that leads away from it
            state.point = self.anew(f, start.clone(), &state.floor)?;
            state.rest = Rest::Exhausted;
        }
        if state.point.psi == start && state.point.value == value {
            state.stuck = true;
            if state.rest != Rest::Rounding {
                state.rest = Rest::Exhausted;
            }
        }
        Ok(())
    }

    /// One accepted step, or rest.
    fn improve(&self, state: &mut State, f: &Concentrated<'_>) -> Result<()> {
        let free = state.free(self.gradient_tolerance);
        if state.largest(&free) <= self.gradient_tolerance.max(0.0) {
            return self.release(state, f, Rest::Flat);
        }
        let (curvature, exact) = state.curvature(&free);
        let mut d = state.direction(&free, &curvature)?;
        let g = state.point.gradient.select(Axis(0), &free);
        if d.dot(&g) >= 0.0 || d.iter().any(|v| !v.is_finite()) {
            state.pairs.clear();
            d = state.direction(&free, &curvature)?;
        }
        // F linear or concave in ψ_j: ∂²F/∂ψ² = (H_jj − g_j)/ψ², and Newton's step in ψ_j goes to zero or beyond if H_jj ≤ 2 g_j.
        let jump: Vec<bool> = free
            .iter()
            .enumerate()
            .map(|(i, &j)| {
                let psi = state.point.psi[j];
                let straight = exact.as_ref().is_some_and(|h| h[i] <= 2.0 * g[i]);
                psi > state.floor[j] && psi < NEAR_FLOOR * f.sample.variance[j] && g[i] > 0.0 && straight
            })
            .collect();
        let longest = d.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let clipped = d.mapv(|v| v.clamp(-LONGEST, LONGEST));
        d = if clipped.dot(&g) < 0.25 * d.dot(&g) / longest.max(1.0) { clipped } else { d * (LONGEST / longest.max(LONGEST)) };
        if jump.contains(&true) && self.search(state, f, &free, &d, &jump, 1)? {
            return Ok(());
        }
        if !self.search(state, f, &free, &d, &vec![false; free.len()], HALVINGS)? {
            if state.pairs.is_empty() {
                let hidden = -d.dot(&g) <= HIDDEN * state.point.rounding;
                return self.release(state, f, if hidden { Rest::Rounding } else { Rest::Exhausted });
            }
            state.pairs.clear();
        }
        Ok(())
    }

    /// Backtracks along d, projected on the bounds; true if a better point was found.
    fn search(
        &self,
        state: &mut State,
        f: &Concentrated<'_>,
        free: &[usize],
        d: &Array1<f64>,
        jump: &[bool],
        tries: usize,
    ) -> Result<bool> {
        let old = &state.point;
        let largest = state.largest(free);
        // L-BFGS learns from differences of gradients, which must be right to be worth keeping
        let accuracy = (if largest > GROSS { 1e-2 } else { 1e-5 } * largest / old.magnified()).clamp(sharp(old), 1e-2);
        // what rounding makes of F, and inexact eigenpairs: their error enters it squared
        let inexact = if old.is_full() { 0.0 } else { accuracy * accuracy * state.factors as f64 };
        let noise = old.rounding + inexact;
        let mut alpha = 1.0;
        for _ in 0..tries {
            let mut psi = old.psi.clone();
            let mut predicted = 0.0;
            for (i, &j) in free.iter().enumerate() {
                let step = if jump[i] { f64::NEG_INFINITY } else { alpha * d[i] };
                psi[j] = (old.psi[j] * step.exp()).clamp(state.floor[j], f.sample.variance[j]);
                if !jump[i] {
                    predicted += old.gradient[j] * (psi[j] / old.psi[j]).ln();
                }
            }
            let point = f.at(psi, Some(old), accuracy)?;
            if point.value <= old.value + 1e-4 * predicted.min(0.0) + noise {
                let pair = (&point.x - &old.x, &point.gradient - &old.gradient);
                let full = point.is_full();
                let before = std::mem::replace(&mut state.point, point);
                let gained = before.value - state.point.value > noise;
                if !gained && state.largest(&state.free(self.gradient_tolerance)) >= largest {
                    // rounding alone moves the point now: keep the better gradient
                    state.point = before;
                    return Ok(false);
                }
                if !full {
                    state.pairs.push(pair);
                }
                return Ok(true);
            }
            alpha *= 0.5;
        }
        Ok(false)
    }

    /// Lifts the variable at its floor whose likelihood rises fastest when it is lifted; if there is none, steps rest for `why`.
    fn release(&self, state: &mut State, f: &Concentrated<'_>, why: Rest) -> Result<()> {
        let w = state.point.loadings(state.factors);
        let mut best: Option<(usize, f64)> = None;
        for j in (0..state.floor.len()).filter(|&j| state.point.psi[j] <= state.floor[j]) {
            let (change, precision) = best_change(f.sample, &w, &state.point.psi, j)?;
            // ∂F/∂ψ_j relative to its terms, which are known to about nine digits
            if change * precision > 1e-5 && best.is_none_or(|(_, b)| change > b) {
                best = Some((j, change));
            }
        }
        if let Some((j, change)) = best {
            let mut psi = state.point.psi.clone();
            psi[j] = (psi[j] + change).min(f.sample.variance[j]);
            let point = f.at(psi, Some(&state.point), 1e-9)?;
            if point.value < state.point.value {
                state.point = point;
                state.pairs.clear();
                return Ok(());
            }
        }
        state.rest = why;
        Ok(())
    }
}
