//! Training a linear autoencoder to the end, and what it ends with.

use crate::suite::{Budget, Problem};
use lvm_deep::architecture::{Architecture, LikelihoodSpec, PosteriorSpec};
use lvm_deep::data::Dataset;
use lvm_deep::evidence::Ascent;
use lvm_deep::likelihood::Unit;
use lvm_deep::likelihood::gaussian::Variance;
use lvm_deep::nets::Input;
use lvm_deep::optimizer::Schedule;
use lvm_deep::posterior::Spread;
use lvm_deep::tensor::{from_matrix, to_matrix, to_values};
use lvm_deep::train::{Nodes, SampleAverage, Training};
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};
use ndarray::{Array1, Array2, Array3, Axis};
use std::f64::consts::PI;

/// Epochs of Adam on all rows.
const EPOCHS: usize = 300;
/// Steps of the ascent at most where they are dear: a thousand images.
const LEAST_STEPS: usize = 300;

/// Parameters and posteriors in the units of the table.
pub(super) struct Linear {
    /// W (D, q).
    pub(super) w: Array2<f64>,
    /// μ (D).
    pub(super) mu: Array1<f64>,
    /// σ².
    pub(super) sigma2: f64,
    /// Means of q (N, q).
    pub(super) mean: Array2<f64>,
    /// Covariances of q (N, q, q).
    pub(super) covariance: Array3<f64>,
}

impl Linear {
    /// By Adam with draws, then by ascent of the bound itself: log p(x | z) is quadratic in z, so that the nodes of a simplex stand for
    /// all draws.
    pub(super) fn train(x: &Array2<f64>, latents: usize, posterior: PosteriorSpec, effort: (Budget, u64, u64)) -> Result<Self, Problem> {
        Self::of(&train(x, architecture(x, latents, posterior, LEARNED), effort)?, x)
    }

    /// With diagonal q, from the axes of one with full covariance: of latents with nearly equal eigenvalues the bound of a diagonal q hardly tells
    /// the axes apart, and training alone takes thousands of steps to turn them (Bao, Lucas, Sachdeva & Grosse 2020).
    pub(super) fn train_from_axes(x: &Array2<f64>, latents: usize, effort: (Budget, u64, u64)) -> Result<Self, Problem> {
        let full = train(x, architecture(x, latents, PosteriorSpec::FullCovariance { diagonal: Default::default() }, LEARNED), effort)?;
        let covariance = Self::of(&full, x)?.covariance;
        let data = Dataset::new(x, Kind::Double, tch::Device::Cpu)?;
        let mut diagonal = Vae::new(architecture(x, latents, PosteriorSpec::Diagonal, LEARNED), &data, effort.1)?;
        turn(&full, &covariance, &mut diagonal)?;
        Self::of(&ascend(diagonal, x, effort)?, x)
    }

    fn of(vae: &Vae, x: &Array2<f64>) -> Result<Self, Problem> {
        let value = |name: &str| vae.parameters.get(name).ok_or_else(|| Problem(format!("no parameter {name}")));
        // from the units of training to those of the table
        let scale = to_values(value("likelihood.scale")?)[0];
        let location = Array1::from(to_values(value("likelihood.location")?));
        let w = to_matrix(value("decoder.0.weight")?)? * scale;
        let mu = location + Array1::from(to_values(value("decoder.0.bias")?)) * scale;
        let sigma2 = to_values(value("likelihood.log_variance")?)[0].exp() * scale * scale;
        let data = Dataset::new(x, Kind::Double, tch::Device::Cpu)?;
        let moments = tch::no_grad(|| vae.posterior(&data.rows)).gaussian().ok_or("q is not Gaussian".to_owned())?;
        let (n, q) = (x.nrows(), w.ncols());
        let mut covariance = Array3::zeros((n, q, q));
        match &moments.spread {
            Spread::Diagonal(v) => {
                let v = to_matrix(v)?;
                for row in 0..n {
                    for l in 0..q {
                        covariance[[row, l, l]] = v[[row, l]].exp();
                    }
                }
            }
            Spread::Cholesky(factor) => {
                let factors = Array3::from_shape_vec((n, q, q), to_values(factor)).map_err(|e| e.to_string())?;
                for row in 0..n {
                    let c = factors.index_axis(Axis(0), row);
                    covariance.index_axis_mut(Axis(0), row).assign(&c.dot(&c.t()));
                }
            }
        }
        Ok(Linear { w, mu, sigma2, mean: to_matrix(&moments.mean)?, covariance })
    }

    /// The ELBO of a row, mean of all, in closed form, by textbook formulas on the parameters.
    ///
    /// ```text
    /// E_q[log p(x | z)] = −½ [D log 2πσ² + (‖x − W m − μ‖² + tr(W S Wᵀ))/σ²],   KL = ½ (tr S + ‖m‖² − q − log det S)
    /// ```
    pub(super) fn elbo(&self, x: &Array2<f64>) -> f64 {
        let gram = self.w.t().dot(&self.w);
        let rows = x.rows().into_iter().zip(self.mean.rows()).zip(self.covariance.outer_iter());
        let of_row = |((row, m), s): ((ndarray::ArrayView1<'_, f64>, ndarray::ArrayView1<'_, f64>), ndarray::ArrayView2<'_, f64>)| {
            let residual = &row - &(self.w.dot(&m) + &self.mu);
            let spread = (&gram * &s).sum();
            let reconstruction =
                -0.5 * (x.ncols() as f64 * (2.0 * PI * self.sigma2).ln() + (residual.dot(&residual) + spread) / self.sigma2);
            reconstruction - 0.5 * (s.diag().sum() + m.dot(&m) - m.len() as f64 - log_det(&s))
        };
        rows.map(of_row).sum::<f64>() / x.nrows() as f64
    }
}

/// log det of a positive definite matrix, by elimination.
fn log_det(s: &ndarray::ArrayView2<'_, f64>) -> f64 {
    let mut a = s.to_owned();
    let mut log_det = 0.0;
    for j in 0..a.nrows() {
        log_det += a[[j, j]].ln();
        for i in j + 1..a.nrows() {
            let factor = a[[i, j]] / a[[j, j]];
            for k in j..a.ncols() {
                a[[i, k]] -= factor * a[[j, k]];
            }
        }
    }
    log_det
}

/// σ² learned, in the units of the table.
const LEARNED: LikelihoodSpec = LikelihoodSpec::StandardisedGaussian { variance: Variance::Shared, unit: Unit::Table };

pub(super) fn architecture(x: &Array2<f64>, latents: usize, posterior: PosteriorSpec, likelihood: LikelihoodSpec) -> Architecture {
    Architecture { input: Input::Standardised, posterior, likelihood, ..Architecture::linear(x.ncols() as i64, latents as i64) }
}

/// A linear autoencoder after Adam and ascent, with the budget, and the seeds of start and training.
pub(super) fn train(x: &Array2<f64>, architecture: Architecture, effort: (Budget, u64, u64)) -> Result<Vae, Problem> {
    let data = Dataset::new(x, Kind::Double, tch::Device::Cpu)?;
    let training = Training {
        epochs: EPOCHS,
        batch_size: x.nrows(),
        learning_rate: Schedule::Cosine { start: 2e-2, end: 1e-3 },
        ..Default::default()
    };
    let (_, start, seed) = effort;
    let trained = training.fit(Vae::new(architecture, &data, start)?, &data, None, seed)?.vae;
    ascend(trained, x, effort)
}

fn ascend(vae: Vae, x: &Array2<f64>, (budget, _, seed): (Budget, u64, u64)) -> Result<Vae, Problem> {
    // one evaluation works on so many numbers; large tables get fewer steps but in a nightly run
    let numbers = x.len() * (vae.latents() as usize + 1);
    let affordable = if budget == Budget::Nightly { 40_000_000_000 } else { 1_500_000_000 };
    let max_iterations = (affordable / numbers.max(1)).clamp(LEAST_STEPS, 5000);
    let ascent = SampleAverage { nodes: Nodes::Simplex, ascent: Ascent { max_iterations, gradient_tolerance: 1e-7, history: 40 } };
    Ok(ascent.run(vae, &Dataset::new(x, Kind::Double, tch::Device::Cpu)?, seed)?.vae)
}

/// Puts the parameters of `full` into a model with diagonal q: z turned to the axes of the mean covariance, which leaves p(x) as it is.
fn turn(full: &Vae, covariances: &Array3<f64>, diagonal: &mut Vae) -> Result<(), Problem> {
    let missing = |name: &str| Problem(format!("no parameter {name}"));
    let mean = covariances.mean_axis(Axis(0)).ok_or("no rows".to_owned())?;
    let (variances, axes) = lvm_core::linalg::eigh(mean.view())?;
    let l = diagonal.latents();
    let axes = from_matrix(&axes, Kind::Double, tch::Device::Cpu);
    let log_variances = Tensor::from_slice(&variances.mapv(f64::ln).to_vec());
    for name in full.parameters.entries().iter().map(|p| p.name.clone()) {
        let value = full.parameters.get(&name).ok_or_else(|| missing(&name))?.detach();
        let turned = match name.as_str() {
            "decoder.0.weight" => value.matmul(&axes),
            // features are means, then what the spread is made of: here the same for all rows
            "encoder.0.weight" => {
                let means = axes.tr().matmul(&value.narrow(0, 0, l));
                Tensor::cat(&[&means, &means.zeros_like()], 0)
            }
            "encoder.0.bias" => Tensor::cat(&[&axes.tr().matmul(&value.narrow(0, 0, l)), &log_variances], 0),
            _ => value,
        };
        diagonal.parameters.set(&name, &turned)?;
    }
    Ok(())
}
