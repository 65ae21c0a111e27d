//! The exact optimum over Gaussians where the expectations of log p are known.

use crate::expectation::{Covariance, Expectation, GaussianExpectation};
use crate::family::{FullRank, MeanField};
use lvm_core::fit::{self, Algorithm, Fitted, Step, Stopping, Watch};
use lvm_core::mutant::planted;
use lvm_core::{Error, ErrorKind, Result, linalg};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// Halvings of a step, and of a start whose expectation is not finite, at most.
const HALVINGS: usize = 60;
/// A search that finds no better point has converged to rounding if the whitened gradient is below this.
const ROUNDING: f64 = 1e-8;
/// A whitened gradient below which the change of the ELBO, its square, may drown in rounding.
const NEAR: f64 = 1e-4;
/// Curvature, in units of the present precision, that stands in where the expected log density is not concave: the standard deviation
/// doubles.
const NOT_CONCAVE: f64 = 0.25;

/// Which Gaussians.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Diagonal covariances: mean field.
    Diagonal,
    /// All covariances: full rank.
    Full,
}

/// The q to start from: N(mean, diag(sd²)).
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Means (d).
    pub mean: Array1<f64>,
    /// Standard deviations (d).
    pub standard_deviations: Array1<f64>,
}

/// Fixed-point iteration for the best Gaussian q(u) = N(m, S), with the exact ELBO as its safeguard.
///
/// *Objective* ELBO(m, S) = E_q\[log p\] + ½ log det S + d/2 log 2πe.
///
/// *Update* With g = E_q\[∇ log p\] and H = E_q\[∇² log p\] of the present q,
///
/// ```text
/// S ← (−H)⁻¹   (full),   s_i² ← −1/H_ii   (diagonal),   m ← m + (−H)⁻¹ g
/// ```
///
/// the natural-gradient step of length one (Khan and Rue 2023, eq. 8), whose fixed points are the stationary points g = 0, S⁻¹ = −H
/// (Bonnet; Price; Opper and Archambeau 2009). It is taken on the eigenvalues of the whitened −LᵀHL, where a curvature that is not
/// positive is replaced, and halved along ω ↦ ω^ρ, which keeps S positive definite and is an ascent direction of the ELBO, until the
/// ELBO rises. Where the change of the ELBO is below rounding the largest whitened gradient has to fall instead.
///
/// *Needs* a [`GaussianExpectation`]. A Gaussian target takes one step from any start.
///
/// *Fails* on an improper target, whose ELBO has no maximum: the status is then `MaxIterations`.
///
/// *Cost* one expectation and one eigen-decomposition O(d³) an iteration; linear convergence, slower the less Gaussian p is.
///
/// ```
/// use lvm_vi::{deterministic::{FixedPoint, Shape}, expectation::GaussianTarget};
/// let p = GaussianTarget::from_precision(ndarray::array![3.0, -1.0], ndarray::array![[2.0, 1.0], [1.0, 4.0]])?;
/// let fitted = FixedPoint { shape: Shape::Diagonal, ..FixedPoint::default() }.fit(&p)?;
/// assert!((fitted.model.covariance[[1, 1]] - 0.25).abs() < 1e-15 && fitted.iterations() <= 2);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FixedPoint {
    /// Mean field or full rank.
    pub shape: Shape,
    /// N(0, I) without one. Standard deviations are halved until the expectation there is finite.
    pub start: Option<Start>,
    /// Converged when no whitened gradient is larger: |Lᵀg|, |I + LᵀHL| (its diagonal for mean field).
    pub gradient_tolerance: f64,
    /// Iterations at most.
    pub max_iterations: usize,
}

impl Default for FixedPoint {
    fn default() -> Self {
        FixedPoint { shape: Shape::Full, start: None, gradient_tolerance: 1e-12, max_iterations: 1000 }
    }
}

/// The best Gaussian.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianOptimum {
    /// m (d).
    pub mean: Array1<f64>,
    /// S (d, d).
    pub covariance: Array2<f64>,
    /// ELBO(m, S), exact, in nats.
    pub elbo: f64,
    /// The largest whitened gradient left: about the largest error of m in units of q's standard deviation, and of log s.
    pub gradient: f64,
}

impl GaussianOptimum {
    /// √diag S (d).
    pub fn standard_deviations(&self) -> Array1<f64> {
        self.covariance.diag().mapv(f64::sqrt)
    }

    /// The mean-field Gaussian of these means and standard deviations.
    ///
    /// # Errors
    /// If a standard deviation has underflowed.
    pub fn mean_field(&self) -> Result<MeanField> {
        MeanField::new(&self.mean.to_vec(), &self.standard_deviations().to_vec())
    }

    /// The Gaussian of these means and this covariance.
    ///
    /// # Errors
    /// If the covariance is not positive definite to rounding.
    pub fn full_rank(&self) -> Result<FullRank> {
        FullRank::new(&self.mean.to_vec(), self.covariance.view())
    }
}

impl FixedPoint {
    /// The best Gaussian for `target`.
    ///
    /// # Errors
    /// If the configuration is unusable, or no q around the start has a finite ELBO.
    pub fn fit(&self, target: &dyn GaussianExpectation) -> Result<Fitted<GaussianOptimum>> {
        self.fit_watched(target, &mut fit::unwatched)
    }

    /// As [`FixedPoint::fit`], told of every iteration.
    ///
    /// # Errors
    /// As [`FixedPoint::fit`].
    pub fn fit_watched(&self, target: &dyn GaussianExpectation, watch: Watch<'_>) -> Result<Fitted<GaussianOptimum>> {
        // the ELBO stands still long before the gradient does: only the algorithm's own criterion counts
        let stopping = Stopping { max_iterations: self.max_iterations, tolerance: 0.0 };
        fit::run(self, target, stopping, 0, watch)
    }

    /// The ELBO of a fixed N(mean, covariance), exactly.
    ///
    /// # Errors
    /// If the shapes are not those of the target or the covariance is not positive definite.
    pub fn elbo(target: &dyn GaussianExpectation, mean: ArrayView1<'_, f64>, covariance: ArrayView2<'_, f64>) -> Result<f64> {
        let point = Point::at(target, Shape::Full, mean.to_owned(), covariance.to_owned())?;
        Ok(point.elbo)
    }

    fn start(&self, d: usize) -> Result<Start> {
        let start = self.start.clone().unwrap_or_else(|| Start { mean: Array1::zeros(d), standard_deviations: Array1::ones(d) });
        for found in [start.mean.len(), start.standard_deviations.len()] {
            if found != d {
                return Err(ErrorKind::Shape { what: "start of a Gaussian", expected: d, found }.into());
            }
        }
        let usable = start.mean.iter().all(|m| m.is_finite()) && start.standard_deviations.iter().all(|s| *s > 0.0 && s.is_finite());
        if usable { Ok(start) } else { Err(Error::config("start", "means must be finite, standard deviations positive and finite")) }
    }
}

/// A q with its expectations.
#[derive(Debug, Clone)]
struct Point {
    mean: Array1<f64>,
    covariance: Array2<f64>,
    /// L, S = L Lᵀ.
    factor: Array2<f64>,
    elbo: f64,
    /// Lᵀ g.
    gradient: Array1<f64>,
    /// −Lᵀ H L.
    curvature: Array2<f64>,
    /// The largest whitened gradient.
    largest: f64,
    /// |Lᵀg|² + ½ |I + LᵀHL|², the squared length of the natural gradient: near the optimum every step shortens it.
    length: f64,
}

impl Point {
    fn at(target: &dyn GaussianExpectation, shape: Shape, mean: Array1<f64>, covariance: Array2<f64>) -> Result<Self> {
        let d = target.dim();
        if let Some(&found) = [mean.len(), covariance.nrows(), covariance.ncols()].iter().find(|n| **n != d) {
            return Err(ErrorKind::Shape { what: "mean or covariance of a Gaussian", expected: d, found }.into());
        }
        let factor = linalg::cholesky(covariance.view()).map_err(|e| e.of("covariance of q"))?;
        let mut e = Expectation::zeros(d);
        match shape {
            Shape::Diagonal => target.expectation(mean.view(), Covariance::Diagonal(covariance.diag()), &mut e)?,
            Shape::Full if planted("full_rank_expects_diagonal") => {
                target.expectation(mean.view(), Covariance::Diagonal(covariance.diag()), &mut e)?
            }
            Shape::Full => target.expectation(mean.view(), Covariance::Full(covariance.view()), &mut e)?,
        }
        // ELBO = E_q[log p] + ½ log det S + d/2 log 2πe
        let constant = if planted("elbo_without_constant") { 0.0 } else { 0.5 * d as f64 * (TAU.ln() + 1.0) };
        let elbo = e.value + 0.5 * linalg::log_det(factor.view()) + constant;
        let gradient = factor.t().dot(&e.gradient);
        let mut curvature = -factor.t().dot(&e.hessian.dot(&factor));
        curvature = 0.5 * (&curvature + &curvature.t());
        let excess = curvature.indexed_iter().filter(|((i, j), _)| shape == Shape::Full || i == j);
        let largest = excess.map(|((i, j), c)| if i == j { (1.0 - c).abs() } else { c.abs() });
        let largest = largest.chain(gradient.iter().map(|g| g.abs())).fold(0.0, f64::max);
        let largest = if e.is_finite() { largest } else { f64::INFINITY };
        let excess = curvature.indexed_iter().filter(|((i, j), _)| shape == Shape::Full || i == j);
        let excess: f64 = excess.map(|((i, j), c)| if i == j { (1.0 - c).powi(2) } else { c * c }).sum();
        let length = gradient.dot(&gradient) + 0.5 * excess;
        Ok(Point { mean, covariance, factor, elbo, gradient, curvature, largest, length })
    }

    fn is_finite(&self) -> bool {
        self.elbo.is_finite() && self.largest.is_finite()
    }

    /// Whether this is a step up from `old`: in the ELBO, or below its rounding in the gradient.
    fn improves(&self, old: &Point) -> bool {
        // sums of some hundred terms of the size of the ELBO
        let rounding = 1e-13 * (1.0 + old.elbo.abs());
        // Squares much larger than the ELBO may cancel in it, which matters only near the optimum: a gradient of 1e-4 has 1e-8 nats to
        // gain, and below that a gradient that falls is a step up whatever the ELBO's last digits say.
        let hidden = if old.largest < NEAR { NEAR * NEAR } else { rounding };
        let change = self.elbo - old.elbo;
        self.is_finite() && (change > rounding || (change >= -hidden && self.length < old.length))
    }
}

/// A start with what the next step needs.
#[derive(Debug, Clone)]
pub struct State {
    point: Point,
    /// No better point is to be found.
    settled: bool,
}

impl<'t> Algorithm<dyn GaussianExpectation + 't> for FixedPoint {
    type State = State;
    type Output = GaussianOptimum;

    fn init(&self, target: &(dyn GaussianExpectation + 't), _seed: u64) -> Result<State> {
        let Start { mean, mut standard_deviations } = self.start(target.dim())?;
        for _ in 0..HALVINGS {
            let covariance = Array2::from_diag(&standard_deviations.mapv(|s| s * s));
            let point = Point::at(target, self.shape, mean.clone(), covariance)?;
            if point.is_finite() {
                return Ok(State { point, settled: false });
            }
            standard_deviations *= 0.5;
        }
        Err(Error::config(
            "start",
            "the expectation of log p is not finite, however narrow q is made there; start at a point where log p is",
        ))
    }

    fn step(&self, state: &mut State, target: &(dyn GaussianExpectation + 't)) -> Result<Step> {
        if !state.settled && state.point.largest > self.gradient_tolerance {
            match self.improve(&state.point, target)? {
                Some(better) => state.point = better,
                None => state.settled = true,
            }
        }
        let tolerance = if state.settled { self.gradient_tolerance.max(ROUNDING) } else { self.gradient_tolerance };
        Ok(Step { objective: state.point.elbo, converged: state.point.largest <= tolerance, repairs: Vec::new() })
    }

    fn finish(&self, state: State) -> Result<GaussianOptimum> {
        let Point { mean, covariance, elbo, largest, .. } = state.point;
        Ok(GaussianOptimum { mean, covariance, elbo, gradient: largest })
    }
}

impl FixedPoint {
    fn improve(&self, old: &Point, target: &(dyn GaussianExpectation + '_)) -> Result<Option<Point>> {
        let (omega, v) = linalg::eigh(old.curvature.view())?;
        let rotated = v.t().dot(&old.gradient);
        let mut rho = if planted("newton_step_halved") { 0.5 } else { 1.0 };
        for _ in 0..HALVINGS {
            // m ← m + ρ L V ω^{−ρ} Vᵀ Lᵀ g
            let pull: Array1<f64> = rotated.iter().zip(&omega).map(|(g, w)| rho * g * concave(*w).max(w.abs()).powf(-rho)).collect();
            let mean = &old.mean + &old.factor.dot(&v.dot(&pull));
            let covariance = match self.shape {
                // S ← L V ω^{−ρ} Vᵀ Lᵀ
                Shape::Full => {
                    let mut root = old.factor.dot(&v);
                    root.axis_iter_mut(Axis(1)).zip(&omega).for_each(|(mut c, w)| c *= concave(*w).powf(-0.5 * rho));
                    root.dot(&root.t())
                }
                // s_i² ← s_i² (−s_i² H_ii)^{−ρ}
                Shape::Diagonal => {
                    let mut variances = old.covariance.diag().to_owned();
                    variances.zip_mut_with(&old.curvature.diag(), |s, c| *s *= concave(*c).powf(-rho));
                    Array2::from_diag(&variances)
                }
            };
            // a covariance that overflows or loses rank is a step too long
            match Point::at(target, self.shape, mean, covariance) {
                Ok(new) if new.improves(old) => return Ok(Some(new)),
                Ok(_) => {}
                Err(e) if matches!(e.kind(), ErrorKind::NotPositiveDefinite { .. }) => {}
                Err(e) => return Err(e),
            }
            rho *= 0.5;
        }
        Ok(None)
    }
}

/// The curvature, or what stands in for one that is not positive.
fn concave(curvature: f64) -> f64 {
    if curvature > 1e-12 { curvature } else { NOT_CONCAVE }
}
