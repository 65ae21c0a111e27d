//! EM on the sufficient statistics (Rubin & Thayer 1982), and ECME.

use super::concentrated::Concentrated;
use super::coordinate::best_change;
use super::sample_covariance::SampleCovariance;
use super::solution::Solution;
use crate::error::Result;
use crate::fit::{Algorithm, Step};
use crate::linalg;
use ndarray::{Array1, Array2, Axis, Zip};

/// Rubin and Thayer's EM: O(D² q) an iteration, whatever N.
///
/// ```text
/// M = I + Wᵀ Ψ⁻¹ W,   B = M⁻¹ Wᵀ Ψ⁻¹,   E = M⁻¹ + B C Bᵀ
/// W ← C Bᵀ E⁻¹,   ψ_j ← C_jj − (W B C)_jj
/// ```
pub(super) struct Em {
    /// W and ψ to start from, in the units of the sample covariance.
    pub(super) start: Solution,
    /// Floor of ψ_j as a share of the variance.
    pub(super) floor: f64,
    /// Converged when no derivative of the mean log-likelihood is larger; below zero: never.
    pub(super) gradient_tolerance: f64,
}

/// ECME (Liu & Rubin 1994) with both steps on the likelihood itself: W by its maximum given ψ (an eigenproblem), then ψ_1 … ψ_D each by
/// its maximum given all else (Zhao, Yu & Jiang 2008). O(D³) an iteration, far fewer iterations than EM.
pub(super) struct Ecme {
    /// ψ to start from, in the units of the sample covariance.
    pub(super) start: Array1<f64>,
    /// Floor of ψ_j as a share of the variance.
    pub(super) floor: f64,
    /// As [`Em::gradient_tolerance`].
    pub(super) gradient_tolerance: f64,
}

/// (W, ψ) with what the next E-step and the likelihood need.
pub(super) struct State {
    solution: Solution,
    floor: Array1<f64>,
    /// Cholesky factor of M.
    lower: Array2<f64>,
    /// C Ψ⁻¹ W (D, q).
    product: Array2<f64>,
    /// F = log det Σ + tr(Σ⁻¹ C).
    value: f64,
}

impl State {
    fn new(sample: &SampleCovariance, solution: Solution, floor: Array1<f64>) -> Result<Self> {
        let (w, psi) = (&solution.loadings, &solution.psi);
        let weighted = w / &psi.view().insert_axis(Axis(1));
        let mut m = Array2::eye(w.ncols());
        linalg::add_lower(1.0, weighted.view(), w.view(), m.view_mut());
        let lower = linalg::cholesky(m.view()).map_err(|e| e.of("I + WᵀΨ⁻¹W"))?;
        let product = linalg::matmul(sample.c.view(), weighted.view());
        // tr(Σ⁻¹ C) = Σ_j C_jj/ψ_j − tr(M⁻¹ Wᵀ Ψ⁻¹ C Ψ⁻¹ W)
        let mut explained = linalg::matmul(weighted.t(), product.view());
        linalg::cholesky_solve(lower.view(), explained.view_mut());
        let trace = Zip::from(&sample.variance).and(psi).fold(0.0, |sum, v, psi| sum + v / psi) - explained.diag().sum();
        let value = psi.mapv(f64::ln).sum() + linalg::log_det(lower.view()) + trace;
        Ok(State { solution, floor, lower, product, value })
    }

    /// The M-step and the largest derivative of the mean log-likelihood with respect to W_jk/√ψ_j and log ψ_j before it.
    fn maximise(&self, sample: &SampleCovariance) -> Result<(Array2<f64>, Array1<f64>, f64)> {
        // C Bᵀ = C Ψ⁻¹ W M⁻¹
        let mut cb = self.product.clone();
        linalg::cholesky_solve(self.lower.view(), cb.view_mut().reversed_axes());
        let (w, psi) = (&self.solution.loadings, &self.solution.psi);
        // E = M⁻¹ + B C Bᵀ, with B = M⁻¹ Wᵀ Ψ⁻¹
        let weighted = w / &psi.view().insert_axis(Axis(1));
        let mut e = linalg::matmul(weighted.t(), cb.view());
        linalg::cholesky_solve(self.lower.view(), e.view_mut());
        e += &linalg::cholesky_inverse(self.lower.view());
        // Fisher's identity: ∂/∂W = Ψ⁻¹ (C Bᵀ − W E); with respect to Ψ^−½ W, so that a small ψ_j does not magnify rounding
        let slope = (&cb - &linalg::matmul(w.view(), e.view())) / &psi.mapv(f64::sqrt).insert_axis(Axis(1));
        let mut steepest = slope.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let factor = linalg::cholesky(e.view()).map_err(|e| e.of("second moment of the factors"))?;
        let mut new = cb.clone();
        linalg::cholesky_solve(factor.view(), new.view_mut().reversed_axes());
        let mut uniquenesses = Array1::zeros(psi.len());
        for j in 0..psi.len() {
            // residual variance about the old W: C_jj − 2 (C Bᵀ Wᵀ)_jj + (W E Wᵀ)_jj, whose excess over ψ_j is the slope
            let old = w.row(j);
            let residual = sample.variance[j] - 2.0 * old.dot(&cb.row(j)) + old.dot(&e.dot(&old));
            let derivative = 0.5 * (residual / psi[j] - 1.0);
            if psi[j] > self.floor[j] || derivative > 0.0 {
                steepest = steepest.max(derivative.abs());
            }
            uniquenesses[j] = (sample.variance[j] - new.row(j).dot(&cb.row(j))).max(self.floor[j]);
        }
        Ok((new, uniquenesses, steepest))
    }
}

impl Algorithm<Concentrated<'_>> for Em {
    type State = State;
    type Output = Solution;

    fn init(&self, f: &Concentrated<'_>, _seed: u64) -> Result<State> {
        let floor = &f.sample.variance * self.floor;
        let mut solution = self.start.clone();
        Zip::from(&mut solution.psi).and(&floor).for_each(|psi, floor| *psi = psi.max(*floor));
        State::new(f.sample, solution, floor)
    }

    fn step(&self, state: &mut State, f: &Concentrated<'_>) -> Result<Step> {
        let (w, psi, steepest) = state.maximise(f.sample)?;
        let converged = steepest <= self.gradient_tolerance;
        let new = State::new(f.sample, Solution::canonical(None, w, psi)?, state.floor.clone())?;
        // Converged parameters are kept if the last step was rounding alone.
        if !(converged && new.value > state.value) {
            *state = new;
        }
        Ok(Step { objective: f.sample.mean_log_likelihood(state.value), converged, repairs: Vec::new() })
    }

    fn finish(&self, state: State) -> Result<Solution> {
        Ok(state.solution)
    }
}

impl Algorithm<Concentrated<'_>> for Ecme {
    type State = State;
    type Output = Solution;

    fn init(&self, f: &Concentrated<'_>, _seed: u64) -> Result<State> {
        let floor = &f.sample.variance * self.floor;
        let mut psi = self.start.clone();
        Zip::from(&mut psi).and(&floor).for_each(|psi, floor| *psi = psi.max(*floor));
        profile(f, psi, floor)
    }

    fn step(&self, state: &mut State, f: &Concentrated<'_>) -> Result<Step> {
        let mut psi = state.solution.psi.clone();
        let mut steepest = 0.0_f64;
        for j in 0..psi.len() {
            let (change, precision) = best_change(f.sample, &state.solution.loadings, &psi, j)?;
            // ∂ mean log-likelihood / ∂ log ψ_j = ½ ψ_j (b − a) = ½ ψ_j a² δ
            let derivative = 0.5 * psi[j] * precision * precision * change;
            if psi[j] > state.floor[j] || derivative > 0.0 {
                steepest = steepest.max(derivative.abs());
            }
            psi[j] = (psi[j] + change).max(state.floor[j]);
        }
        let converged = steepest <= self.gradient_tolerance;
        let new = profile(f, psi, state.floor.clone())?;
        if !(converged && new.value > state.value) {
            *state = new;
        }
        Ok(Step { objective: f.sample.mean_log_likelihood(state.value), converged, repairs: Vec::new() })
    }

    fn finish(&self, state: State) -> Result<Solution> {
        Ok(state.solution)
    }
}

/// The state at ψ with the best W for it.
fn profile(f: &Concentrated<'_>, psi: Array1<f64>, floor: Array1<f64>) -> Result<State> {
    let point = f.at(psi, None, 1e-11)?;
    State::new(f.sample, Solution::new(None, point.loadings(f.factors), point.psi), floor)
}
