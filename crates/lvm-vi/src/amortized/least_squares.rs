//! The best affine encoder without stochastic gradients.

use super::encoder::{Encoder, EncoderConfig, outputs};
use super::gap::Amortized;
use crate::local::{Derivatives, LocalModel, Shape, check_stopping, entropy_of, gather};
use lvm_core::fit::{Algorithm, Fitted, Step, Stopping, run, unwatched};
use lvm_core::rows::RowSource;
use lvm_core::sweep::{Merge, Plan, sweep};
use lvm_core::{Result, linalg};
use ndarray::{Array1, Array2, Axis};

/// An affine encoder m(x) = A x̃, log L_ii(x) = B x̃ (x̃ the standardised row with 1 appended) by Newton-type steps on all data.
///
/// *Objective*: mean ELBO per row of the encoder's output.
///
/// *Update*, with g_n, P_n the expected derivatives at the encoder's output, P̄ the mean of P_n, s_nk the slopes of −ELBO_n in column k of L
/// (log L_kk, then L_ik for i > k) and H̄_k the mean of its curvature there:
/// ```text
/// A ← A + ρ P̄⁻¹ (Σ_n g_n x̃_nᵀ) C⁺,    C = Σ_n x̃_n x̃_nᵀ
/// B_k ← B_k − ρ H̄_k⁻¹ (Σ_n s_nk x̃_nᵀ) C⁺,      ρ = 1, halved until the objective does not fall
/// H_k = ⎡ 1 + L_kk² P_kk   L_kk P_ki ⎤
///       ⎣ L_kk P_ik        P_ij      ⎦,   i, j > k;   1 stands for L_kk (P L)_kk, which it is at the optimum
/// ```
/// For probabilistic PCA and factor analysis with complete rows P_n is the same for all n, the step in A is the least-squares regression of
/// the posterior means on the rows, and one step is exact: A x̃ = M⁻¹ Wᵀ Ψ⁻¹ (x − μ), amortization gap zero; those in B are Newton's.
///
/// *Needs* all data in every iteration, O(N (D² + D q² + q³)).
///
/// *When it fails*: with posteriors whose curvature differs much between rows the fixed metric makes it slow; the gap that an affine encoder
/// leaves is measured by [`Amortized::amortization_gap`].
///
/// ```
/// use lvm_core::linear_gaussian::LinearGaussian;
/// use lvm_vi::amortized::LinearEncoderNewton;
/// use ndarray::array;
/// let model = LinearGaussian::new(array![0.0, 0.0], array![[1.0], [1.0]], array![1.0, 1.0])?;
/// let x = array![[1.0, 2.0], [0.0, -1.0], [-2.0, 0.5], [1.0, -1.0]];
/// let amortized = LinearEncoderNewton::default().fit(&model, &x)?.model;
/// assert!(amortized.amortization_gap(&x)?.mean < 1e-12);
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LinearEncoderNewton {
    /// Diagonal or full covariance.
    pub shape: Shape,
    /// When to stop.
    pub stopping: Stopping,
}

impl Default for LinearEncoderNewton {
    /// Diagonal covariance, until an iteration gains less than 1e-13 nats a row, or 200 are done.
    fn default() -> Self {
        LinearEncoderNewton { shape: Shape::Diagonal, stopping: Stopping { max_iterations: 200, tolerance: 1e-13 } }
    }
}

impl LinearEncoderNewton {
    /// The model with its best affine encoder.
    ///
    /// # Errors
    /// If the data does not fit the model or the stopping rule is out of range.
    pub fn fit<M: LocalModel + Clone>(&self, model: &M, x: &dyn RowSource) -> Result<Fitted<Amortized<M>>> {
        check_stopping(self.stopping)?;
        model.check(x)?;
        run(&Run { config: self, model }, x, self.stopping, 0, &mut unwatched)
    }
}

struct Run<'a, M> {
    config: &'a LinearEncoderNewton,
    model: &'a M,
}

struct State {
    encoder: Encoder,
    sums: Sums,
}

/// Sums over the rows at one encoder.
struct Sums {
    elbo: f64,
    weight: f64,
    /// Σ w x̃ x̃ᵀ.
    second: Array2<f64>,
    /// Σ w P.
    precision: Array2<f64>,
    /// Σ w H_k for each column of L: (1, 1) for a diagonal covariance, (q − k, q − k) for a full one.
    columns: Vec<Array2<f64>>,
    /// Σ w x̃ (gradient in the outputs)ᵀ (D + 1, outputs).
    gradient: Array2<f64>,
}

impl Merge for Sums {
    fn merge(&mut self, other: Self) {
        self.elbo += other.elbo;
        self.weight += other.weight;
        self.second += &other.second;
        self.precision += &other.precision;
        self.columns.iter_mut().zip(&other.columns).for_each(|(a, b)| *a += b);
        self.gradient += &other.gradient;
    }
}

impl<M: LocalModel> Run<'_, M> {
    fn sums(&self, encoder: &Encoder, x: &dyn RowSource) -> Result<Sums> {
        let (d, q) = (encoder.dim(), encoder.latents());
        let n_out = outputs(encoder.shape(), q);
        let size = |k: usize| column(encoder.shape(), q, k).len();
        let new = || Sums {
            elbo: 0.0,
            weight: 0.0,
            second: Array2::zeros((d + 1, d + 1)),
            precision: Array2::zeros((q, q)),
            columns: (0..q).map(|k| Array2::zeros((size(k), size(k)))).collect(),
            gradient: Array2::zeros((d + 1, n_out)),
        };
        sweep(x, Plan::new(d, 8 * ((d + 1) * (d + 1 + n_out) + q * q * q)), new, |sums, block| {
            let pass = encoder.forward(block.x().to_owned());
            let mut design = Array2::ones((block.n_rows(), d + 1));
            let mut inputs = block.x().to_owned();
            encoder.standardise(&mut inputs);
            design.slice_axis_mut(Axis(1), (..d).into()).assign(&inputs);
            let mut slopes = Array2::zeros((block.n_rows(), n_out));
            let mut derivatives = Derivatives::new(q);
            let mut row = Vec::new();
            for i in 0..block.n_rows() {
                gather(block, i, &mut row);
                let weight = block.weights().map_or(1.0, |w| w[i]);
                let (mean, lower) = encoder.gaussian(pass.output().row(i));
                let value = self.model.expected_derivatives(&row, &mean, lower.dot(&lower.t()).view(), &mut derivatives);
                sums.elbo += weight * (value + entropy_of(lower.view()));
                sums.weight += weight;
                sums.precision.scaled_add(weight, &derivatives.precision);
                let slope = -derivatives.precision.dot(&lower);
                for (k, block) in sums.columns.iter_mut().enumerate() {
                    let p = &derivatives.precision;
                    let scale = |i: usize| if i == 0 { lower[[k, k]] } else { 1.0 };
                    for ((i, j), h) in block.indexed_iter_mut() {
                        *h += weight * scale(i) * scale(j) * p[[k + i, k + j]];
                    }
                    block[[0, 0]] += weight;
                }
                for k in 0..q {
                    slopes[[i, k]] = weight * derivatives.gradient[k];
                    slopes[[i, q + k]] = weight * (slope[[k, k]] * lower[[k, k]] + 1.0);
                    if encoder.shape() == Shape::Full {
                        (0..k).for_each(|c| slopes[[i, 2 * q + k * (k - 1) / 2 + c]] = weight * slope[[k, c]]);
                    }
                }
            }
            linalg::add_matmul(1.0, design.t(), slopes.view(), sums.gradient.view_mut());
            if let Some(weights) = block.weights() {
                let weighted = &design * &Array1::from(weights.to_vec()).insert_axis(Axis(1));
                linalg::add_matmul(1.0, design.t(), weighted.view(), sums.second.view_mut());
            } else {
                linalg::add_matmul(1.0, design.t(), design.view(), sums.second.view_mut());
            }
            Ok(())
        })
    }

    /// The step in the parameters, laid out as the network has them: weights (D, outputs) row by row, then biases, which are the last
    /// row of a table (D + 1, outputs).
    fn direction(&self, sums: &Sums, shape: Shape, q: usize) -> Result<Array2<f64>> {
        let mut step = pseudo_solve(&sums.second, &sums.gradient)?;
        if q == 0 {
            return Ok(step);
        }
        let mean_precision = &sums.precision / sums.weight;
        let mut means = step.slice_axis(Axis(1), (..q).into()).reversed_axes().as_standard_layout().into_owned();
        // a log joint that is not concave has no Newton step; its gradient is still a way up
        if let Ok(lower) = linalg::cholesky(mean_precision.view()) {
            linalg::cholesky_solve(lower.view(), means.view_mut());
        }
        step.slice_axis_mut(Axis(1), (..q).into()).assign(&means.t());
        for (k, block) in sums.columns.iter().enumerate() {
            let mean = block / sums.weight;
            let places = column(shape, q, k);
            let mut part = Array2::from_shape_fn((places.len(), step.nrows()), |(i, r)| step[[r, places[i]]]);
            match linalg::cholesky(mean.view()) {
                Ok(lower) => linalg::cholesky_solve(lower.view(), part.view_mut()),
                Err(_) => part.rows_mut().into_iter().zip(mean.diag()).for_each(|(mut row, h)| row /= h.max(1.0)),
            }
            for (row, place) in part.rows().into_iter().zip(&places) {
                step.column_mut(*place).assign(&row);
            }
        }
        Ok(step)
    }
}

/// Where the encoder's outputs hold column k of L: log L_kk behind the q means, and with a full covariance L_ik for i > k.
fn column(shape: Shape, q: usize, k: usize) -> Vec<usize> {
    let below = if shape == Shape::Full { k + 1..q } else { 0..0 };
    std::iter::once(q + k).chain(below.map(|i| 2 * q + i * (i - 1) / 2 + k)).collect()
}

/// C⁺ G for symmetric C, directions of eigenvalue below 1e-12 of the largest left out (columns that do not vary).
fn pseudo_solve(c: &Array2<f64>, g: &Array2<f64>) -> Result<Array2<f64>> {
    let (values, vectors) = linalg::eigh(c.view())?;
    let mut coordinates = linalg::matmul(vectors.t(), g.view());
    let floor = 1e-12 * values[0];
    for (mut row, value) in coordinates.rows_mut().into_iter().zip(&values) {
        row *= if *value > floor { 1.0 / value } else { 0.0 };
    }
    Ok(linalg::matmul(vectors.view(), coordinates.view()))
}

impl<M: LocalModel + Clone> Algorithm<dyn RowSource + '_> for Run<'_, M> {
    type State = State;
    type Output = Amortized<M>;

    fn init(&self, x: &(dyn RowSource + '_), seed: u64) -> Result<State> {
        let config = EncoderConfig { shape: self.config.shape, ..EncoderConfig::default() };
        let encoder = Encoder::new(&config, self.model.latents(), x, seed)?;
        let sums = self.sums(&encoder, x)?;
        Ok(State { encoder, sums })
    }

    fn step(&self, state: &mut State, x: &(dyn RowSource + '_)) -> Result<Step> {
        let direction = self.direction(&state.sums, state.encoder.shape(), state.encoder.latents())?;
        let before = state.encoder.parameters().to_vec();
        // ½ gᵀ step: what a quadratic objective would gain, and the whole gap where P is the same for all rows
        let gain = 0.5 * state.sums.gradient.iter().zip(&direction).map(|(g, s)| g * s).sum::<f64>();
        let rounding = f64::EPSILON * state.sums.elbo.abs();
        for halvings in 0..30 {
            let rho = 0.5_f64.powi(halvings);
            if halvings > 0 && rho * gain < rounding {
                break;
            }
            let moved: Vec<f64> = before.iter().zip(&direction).map(|(p, s)| p + rho * s).collect();
            state.encoder.set_parameters(&moved)?;
            let sums = self.sums(&state.encoder, x)?;
            if sums.elbo >= state.sums.elbo {
                state.sums = sums;
                return Ok(Step { objective: state.sums.elbo / state.sums.weight, converged: false, repairs: Vec::new() });
            }
        }
        state.encoder.set_parameters(&before)?;
        Ok(Step { objective: state.sums.elbo / state.sums.weight, converged: true, repairs: Vec::new() })
    }

    fn finish(&self, state: State) -> Result<Amortized<M>> {
        Amortized::new(self.model.clone(), state.encoder)
    }
}
