//! Posteriors of one or two latents by quadrature: the truth for models without a closed form.

use super::{Derivatives, LocalModel, gather};
use lvm_core::rows::RowSource;
use lvm_core::sweep::map_rows;
use lvm_core::{Error, Result, linalg};
use ndarray::{Array1, Array2, ArrayViewMut1, Axis};

/// Log evidence, posterior mean and covariance of each row by the trapezoid rule, for models whose log joint is concave in z.
///
/// ```text
/// z = m + L u,   m = argmax_z log p(x, z),   L Lᵀ = (−∇∇ᵀ log p(x, m))⁻¹
/// p(x) = ∫ p(x, z) dz ≈ h^q |L| Σ_grid p(x, m + L u)
/// ```
///
/// On an integrand that is analytic in a strip about the real axis the rule converges exponentially in 1/h (Trefethen & Weideman 2014), where
/// Gauss–Hermite rules are limited by the poles of the links. The step is halved until log evidence, mean and standard deviations agree to
/// `tolerance`. Each line of the grid is followed outwards until the integrand is below e⁻⁴⁰ of its maximum and falling, which for a log
/// concave one leaves out less than 1e-16 of the integral. Only rows of at most two latents: cost (18/h)^q evaluations a row.
///
/// ```
/// use lvm_core::{linear_gaussian::LinearGaussian, model::Evidence};
/// use ndarray::array;
/// let model = LinearGaussian::new(array![0.0, 0.0], array![[1.0, 0.0], [1.0, 1.0]], array![1.0, 1.0])?;
/// let x = array![[1.0, 2.0]];
/// let truth = lvm_vi::local::Quadrature::default().posterior(&model, &x)?;
/// assert!((truth.log_evidence[0] - model.log_evidence(&x)?[0]).abs() < 1e-12);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Quadrature {
    /// Largest change by the last halving of the step: nats for the log evidence, posterior standard deviations for the moments.
    pub tolerance: f64,
    /// Halvings at most, from a step of half a standard deviation.
    pub halvings: usize,
}

impl Default for Quadrature {
    /// 1e-11, at most 8 halvings.
    fn default() -> Self {
        Quadrature { tolerance: 1e-11, halvings: 8 }
    }
}

/// What quadrature finds.
#[derive(Debug, Clone, PartialEq)]
pub struct QuadraturePosterior {
    /// log p(x_n) in nats (N).
    pub log_evidence: Array1<f64>,
    /// E\[z | x_n\] (N, q).
    pub mean: Array2<f64>,
    /// Cov\[z | x_n\] of each row (q, q).
    pub covariance: Vec<Array2<f64>>,
    /// What the last halving changed (N), in the units of the tolerance. The error left is far smaller.
    pub change: Array1<f64>,
}

impl Quadrature {
    /// The posterior of each row.
    ///
    /// # Errors
    /// If the model has more than two latents, the data does not fit it, or the tolerance is not met in some row.
    pub fn posterior<M: LocalModel>(&self, model: &M, x: &dyn RowSource) -> Result<QuadraturePosterior> {
        let q = model.latents();
        if q > 2 {
            return Err(Error::config("latents", format!("quadrature is for at most 2 latents, not {q}; bound the evidence instead")));
        }
        model.check(x)?;
        let width = 2 + q + q * q;
        let table = map_rows(x, width, Vec::new, |cells, block, mut out| {
            for i in 0..block.n_rows() {
                gather(block, i, cells);
                let mut integrand = Integrand::new(model, cells)?;
                if !self.converge(&mut integrand, out.row_mut(i)) {
                    return Err(Error::config(
                        "tolerance",
                        format!(
                            "{:e} is not met in row {} after {} halvings; is the log joint concave in z?",
                            self.tolerance,
                            block.row_number(i),
                            self.halvings
                        ),
                    ));
                }
            }
            Ok(())
        })?;
        let covariance = |n: usize| Array2::from_shape_fn((q, q), |(i, k)| table[[n, 2 + q + i * q + k]]);
        Ok(QuadraturePosterior {
            log_evidence: table.column(0).to_owned(),
            change: table.column(1).to_owned(),
            mean: table.slice_axis(Axis(1), (2..2 + q).into()).to_owned(),
            covariance: (0..x.n_rows()).map(covariance).collect(),
        })
    }

    /// Halves the step until nothing changes; the row's numbers over `out`.
    fn converge<M: LocalModel>(&self, integrand: &mut Integrand<'_, M>, mut out: ArrayViewMut1<'_, f64>) -> bool {
        let q = integrand.centre.len();
        let mut last: Option<Sums> = None;
        for halving in 0..=self.halvings {
            let h = 0.5_f64.powi(halving as i32 + 1);
            let now = integrand.integrate(h);
            let change = last.as_ref().map_or(f64::INFINITY, |last| now.distance(last));
            if change <= self.tolerance || q == 0 {
                integrand.unwhiten(&now, if q == 0 { 0.0 } else { change }, &mut out);
                return true;
            }
            last = Some(now);
        }
        false
    }
}

/// log p(x, m + L u) − log p(x, m) of one row.
struct Integrand<'a, M> {
    model: &'a M,
    x: &'a [f64],
    centre: Vec<f64>,
    lower: Array2<f64>,
    top: f64,
    gradient: Vec<f64>,
    z: Vec<f64>,
}

/// Log of the integral in u, and the moments of u under the posterior.
struct Sums {
    log_integral: f64,
    mean: [f64; 2],
    /// E[u uᵀ] − ū ūᵀ: (0,0), (0,1), (1,1).
    covariance: [f64; 3],
}

impl Sums {
    fn distance(&self, other: &Sums) -> f64 {
        let moments = self.mean.iter().chain(&self.covariance).zip(other.mean.iter().chain(&other.covariance));
        // whitened: the standard deviations are close to 1
        moments.map(|(a, b)| (a - b).abs()).fold((self.log_integral - other.log_integral).abs(), f64::max)
    }
}

impl<'a, M: LocalModel> Integrand<'a, M> {
    fn new(model: &'a M, x: &'a [f64]) -> Result<Self> {
        let (centre, precision) = mode(model, x);
        let q = centre.len();
        let lower = if q == 0 {
            Array2::zeros((0, 0))
        } else {
            let l = linalg::cholesky(precision.view()).map_err(|e| e.of("curvature of the log joint at its mode"))?;
            linalg::cholesky(linalg::cholesky_inverse(l.view()).view()).map_err(|e| e.of("curvature of the log joint at its mode"))?
        };
        let mut gradient = vec![0.0; q];
        let top = model.log_joint_grad(x, &centre, &mut gradient);
        Ok(Integrand { model, x, z: centre.clone(), centre, lower, top, gradient })
    }

    fn value(&mut self, u: [f64; 2]) -> f64 {
        for i in 0..self.centre.len() {
            self.z[i] = self.centre[i] + (0..=i).map(|k| self.lower[[i, k]] * u[k]).sum::<f64>();
        }
        self.model.log_joint_grad(self.x, &self.z, &mut self.gradient) - self.top
    }

    fn integrate(&mut self, h: f64) -> Sums {
        let mut raw = Raw::default();
        let cell = match self.centre.len() {
            0 => {
                raw.add(0.0, [0.0, 0.0]);
                1.0
            }
            1 => {
                self.line(h, 0.0, 0, &mut raw);
                h
            }
            _ => {
                self.plane(h, &mut raw);
                h * h
            }
        };
        let mean = [raw.first[0] / raw.zeroth, raw.first[1] / raw.zeroth];
        let second = |at: usize, i: usize, k: usize| raw.second[at] / raw.zeroth - mean[i] * mean[k];
        Sums { log_integral: (cell * raw.zeroth).ln(), mean, covariance: [second(0, 0, 0), second(1, 0, 1), second(2, 1, 1)] }
    }

    /// Lines u_1 = const, from the middle outwards, each from where the last one had its maximum.
    fn plane(&mut self, h: f64, raw: &mut Raw) {
        let (_, middle) = self.line(h, 0.0, 0, raw);
        for direction in [1.0, -1.0] {
            let (mut last, mut from) = (0.0, middle);
            for step in 1.. {
                let (highest, at) = self.line(h, direction * h * f64::from(step), from, raw);
                if highest < CUT && highest <= last {
                    break;
                }
                (last, from) = (highest, at);
            }
        }
    }

    /// Adds the points of one line: (u, –) for one latent, (u_1 = `other`, u_2 = u) for two. Returns its highest value and where.
    fn line(&mut self, h: f64, other: f64, from: i32, raw: &mut Raw) -> (f64, i32) {
        let two = self.centre.len() == 2;
        let point = |at: i32| if two { [other, h * f64::from(at)] } else { [h * f64::from(at), 0.0] };
        let mut best = (f64::NEG_INFINITY, from);
        for (first, direction) in [(from, 1), (from - 1, -1)] {
            let (mut at, mut last) = (first, f64::NEG_INFINITY);
            loop {
                let value = self.value(point(at));
                raw.add(value, point(at));
                if value > best.0 {
                    best = (value, at);
                }
                // NaN ends the line, too; the halvings will then not agree
                if !(value >= CUT || value > last) {
                    break;
                }
                last = value;
                at += direction;
            }
        }
        best
    }

    /// Evidence, change, mean and covariance in the coordinates of z.
    fn unwhiten(&self, sums: &Sums, change: f64, out: &mut ArrayViewMut1<'_, f64>) {
        let q = self.centre.len();
        out[0] = self.top + sums.log_integral + self.lower.diag().iter().map(|v| v.ln()).sum::<f64>();
        out[1] = change;
        let c = Array2::from_shape_fn((q, q), |(i, k)| sums.covariance[i + k]);
        let covariance = self.lower.dot(&c).dot(&self.lower.t());
        for i in 0..q {
            out[2 + i] = self.centre[i] + (0..=i).map(|k| self.lower[[i, k]] * sums.mean[k]).sum::<f64>();
            (0..q).for_each(|k| out[2 + q + i * q + k] = covariance[[i, k]]);
        }
    }
}

/// Where the integrand is followed no further: e⁻⁴⁰ of the maximum.
const CUT: f64 = -40.0;

/// Sums over the grid of e^value times 1, u, u uᵀ.
#[derive(Default)]
struct Raw {
    zeroth: f64,
    first: [f64; 2],
    second: [f64; 3],
}

impl Raw {
    fn add(&mut self, value: f64, u: [f64; 2]) {
        let p = value.exp();
        self.zeroth += p;
        self.first[0] += p * u[0];
        self.first[1] += p * u[1];
        self.second[0] += p * u[0] * u[0];
        self.second[1] += p * u[0] * u[1];
        self.second[2] += p * u[1] * u[1];
    }
}

/// argmax_z log p(x, z) and −∇∇ᵀ log p(x, z) there, by Newton's steps, halved while the joint falls.
pub(crate) fn mode<M: LocalModel>(model: &M, x: &[f64]) -> (Vec<f64>, Array2<f64>) {
    let q = model.latents();
    let zero = Array2::zeros((q, q));
    let mut derivatives = Derivatives::new(q);
    let mut z = vec![0.0; q];
    let mut value = model.expected_derivatives(x, &z, zero.view(), &mut derivatives);
    // quadratic convergence: 100 is far more than a concave function needs
    for _ in 0..100 {
        let Some(step) = newton_step(&derivatives) else { break };
        let mut rho = 1.0;
        let next = loop {
            let next: Vec<f64> = z.iter().zip(&step).map(|(z, s)| z + rho * s).collect();
            // near the mode a full step changes the value by less than its rounding
            let allowed = 1e-13 * (1.0 + value.abs());
            if model.expected_log_joint(x, &next, zero.view()) >= value - allowed || rho < 1e-12 {
                break next;
            }
            rho *= 0.5;
        };
        let moved = next.iter().zip(&z).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
        z = next;
        value = model.expected_derivatives(x, &z, zero.view(), &mut derivatives);
        if moved < 1e-14 || rho < 1e-12 {
            break;
        }
    }
    (z, derivatives.precision)
}

fn newton_step(derivatives: &Derivatives) -> Option<Array1<f64>> {
    if derivatives.gradient.is_empty() {
        return None;
    }
    let l = linalg::cholesky(derivatives.precision.view()).ok()?;
    let mut step = derivatives.gradient.clone().insert_axis(Axis(1));
    linalg::cholesky_solve(l.view(), step.view_mut());
    Some(step.index_axis_move(Axis(1), 0))
}
