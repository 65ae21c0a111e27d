//! Encoders: gradients against differences, the amortization gap against its closed forms.

use crate::local::{model, table};
use lvm_core::Result;
use lvm_core::fit::{Status, Stopping};
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::model::{Infer, LatentModel};
use lvm_core::ppca::{Ppca, PpcaMl};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, Rows};
use lvm_testkit::{bound, invariance};
use lvm_vi::amortized::{
    Activation, Amortized, AmortizedGradient, AmortizedVi, Encoder, EncoderConfig, JointAscent, LinearEncoderNewton, TrainingState,
};
use lvm_vi::local::{self, Shape};
use lvm_vi::models::BernoulliFactor;
use ndarray::{Array1, Array2};

fn draws<M: LatentModel<Z = Array2<f64>>>(model: &M, n: usize) -> Array2<f64> {
    let mut rng = stream(21, Purpose::Sample, 0);
    model.sample_x(&model.sample_z(n, &mut rng), &mut rng).unwrap()
}

#[test]
fn the_affine_encoder_of_a_linear_gaussian_model_has_no_gap() {
    let model = model(7, 3);
    let x = draws(&model, 300);
    for shape in [Shape::Diagonal, Shape::Full] {
        let fitted = LinearEncoderNewton { shape, ..Default::default() }.fit(&model, &x).unwrap();
        assert_eq!(fitted.status, Status::Converged);
        let gap = fitted.model.amortization_gap(&x).unwrap();
        assert_eq!(gap.status, Status::Converged);
        // asked for in nats a row: 1e-6; reached: the rounding of the objective
        assert!(gap.rows.iter().all(|g| *g > -1e-11 && *g < 1e-9), "{shape:?}: {}", gap.rows);
        // the encoder is M⁻¹ Wᵀ Ψ⁻¹ (x − μ)
        let means = fitted.model.infer(&x).unwrap().mean().clone();
        let exact = model.infer(&x).unwrap();
        assert!((&means - exact.mean()).iter().all(|e| e.abs() < 1e-6));
        assert!(fitted.trace.windows(2).all(|t| t[1] >= t[0]));
        // Newton's method doubles the digits
        assert!(fitted.iterations() <= 12, "{shape:?}: {}", fitted.iterations());
        if shape == Shape::Full {
            assert!((gap.amortized.sum() - model.log_likelihood(&x).unwrap()).abs() < 1e-8);
        } else {
            let best = local::elbo(&model, &local::mean_field(&model, &x).unwrap(), &x).unwrap();
            assert!((gap.amortized.sum() - best).abs() < 1e-8);
        }
    }
}

#[test]
fn constant_columns_do_no_harm() {
    let model = model(5, 2);
    let mut x = draws(&model, 100);
    x.column_mut(3).fill(2.0);
    let fitted = LinearEncoderNewton::default().fit(&model, &x).unwrap();
    assert!(fitted.model.amortization_gap(&x).unwrap().mean < 1e-9);
}

#[test]
fn training_by_minibatches_closes_the_gap_too() {
    let model = model(6, 2);
    let x = draws(&model, 330);
    let config = AmortizedVi { stopping: Stopping { max_iterations: 300, tolerance: 0.0 }, ..Default::default() };
    let fitted = config.fit(&model, &x, 1).unwrap();
    let gap = fitted.model.amortization_gap(&x).unwrap();
    // the affine encoder can represent the optimum, where the minibatch noise of the exact gradient vanishes
    assert!(gap.mean < 1e-5, "{}", gap.mean);
    assert!((fitted.objective() - gap.amortized.mean().unwrap()).abs() < 1e-12);
    // draws add noise of their own
    let gradient = AmortizedGradient::Pathwise { draws: 4 };
    let noisy = AmortizedVi { gradient, ..config.clone() }.fit(&model, &x, 1).unwrap();
    let gap = noisy.model.amortization_gap(&x).unwrap();
    assert!(gap.mean < 1e-2, "{}", gap.mean);
    assert!(gap.rows.iter().all(|g| *g > -1e-11));
}

#[test]
fn hidden_layers_leave_a_gap_that_refinement_closes() {
    let loadings = Array2::from_shape_fn((8, 2), |(j, i)| 2.0 * ((j + 3 * i) as f64).cos());
    let model = BernoulliFactor::new(loadings, Array1::from_shape_fn(8, |j| 0.3 * (j as f64).sin())).unwrap();
    let x = draws(&model, 200);
    let gap_of = |hidden: Vec<usize>, activation| {
        let encoder = EncoderConfig { hidden, activation, shape: Shape::Full };
        let stopping = Stopping { max_iterations: 60, tolerance: 0.0 };
        let fitted = AmortizedVi { encoder, stopping, batch: 32, ..Default::default() }.fit(&model, &x, 2).unwrap();
        assert!(fitted.objective() > fitted.trace[0]);
        let amortized = fitted.model;
        let gap = amortized.amortization_gap(&x).unwrap();
        assert!(gap.rows.iter().all(|g| *g > -1e-10) && gap.mean > 0.0);
        let after = |steps| {
            let refined = amortized.refine(&x, steps).unwrap();
            (&gap.optimum - &local::elbo_rows(&model, &refined, &x).unwrap()).mean().unwrap()
        };
        assert!(after(1) < 0.3 * gap.mean && after(2) < after(1) && after(12) < 1e-9, "{} {} {}", after(1), after(2), after(12));
        bound::elbo_is_below_the_evidence(&Known(&model), &amortized.infer(&x).unwrap(), &x, 3).unwrap();
        gap.mean
    };
    let affine = gap_of(vec![], Activation::Tanh);
    // a wider class of encoders has a smaller gap on the rows it was trained on
    assert!(gap_of(vec![24], Activation::Tanh) < affine);
    assert!(gap_of(vec![16, 16], Activation::Softplus) < affine);
    assert!(gap_of(vec![24], Activation::Relu) < affine);
}

/// The model with its evidence.
struct Known<'a>(&'a BernoulliFactor);

impl LatentModel for Known<'_> {
    type Z = Array2<f64>;
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn n_parameters(&self) -> usize {
        self.0.n_parameters()
    }
    fn sample_z(&self, n: usize, rng: &mut dyn rand::Rng) -> Array2<f64> {
        self.0.sample_z(n, rng)
    }
    fn sample_x(&self, z: &Array2<f64>, rng: &mut dyn rand::Rng) -> Result<Array2<f64>> {
        self.0.sample_x(z, rng)
    }
    fn log_joint(&self, x: &dyn RowSource, z: &Array2<f64>) -> Result<Array1<f64>> {
        self.0.log_joint(x, z)
    }
}

impl lvm_core::model::Evidence for Known<'_> {
    fn log_evidence(&self, x: &dyn RowSource) -> Result<Array1<f64>> {
        self.0.log_evidence(x)
    }
}

#[test]
fn missing_entries_go_in_as_the_mean() {
    let model = model(6, 2);
    let mut x = draws(&model, 120);
    (0..120).step_by(2).for_each(|n| x[[n, n % 6]] = f64::NAN);
    let x = Rows::new(&x).missing_as_nan();
    let fitted = LinearEncoderNewton { shape: Shape::Full, ..Default::default() }.fit(&model, &x).unwrap();
    let gap = fitted.model.amortization_gap(&x).unwrap();
    assert!(gap.mean > 1e-3 && gap.rows.iter().all(|g| *g > -1e-10));
    assert!((gap.optimum.sum() - model.log_likelihood(&x).unwrap()).abs() < 1e-8);
}

#[test]
fn joint_ascent_is_the_linear_vae_and_reaches_the_eigen_decomposition() {
    let truth = Ppca::new(Array1::zeros(5), Array2::from_shape_fn((5, 2), |(j, i)| ((j * (i + 2)) as f64).cos() * 2.0), 0.5).unwrap();
    let x = draws(&truth, 400);
    let ml = PpcaMl { components: 2, ..Default::default() }.fit(&x, 0).unwrap();
    let start = Ppca::new(Array1::zeros(5), Array2::from_shape_fn((5, 2), |(j, i)| 0.3 * ((j + 2 * i) as f64).sin()), 1.0).unwrap();
    for shape in [Shape::Full, Shape::Diagonal] {
        let encoder = EncoderConfig { shape, ..EncoderConfig::default() };
        let stopping = Stopping { max_iterations: 400, tolerance: 0.0 };
        let fitted = JointAscent(AmortizedVi { encoder, stopping, ..Default::default() }).fit(&start, &x, 1).unwrap();
        let learned = &fitted.model.model;
        // minibatch noise in θ dies with the step size; what is left is second order in it
        let likelihood = learned.log_likelihood(&x).unwrap() / 400.0;
        assert!(fitted.objective() <= likelihood && likelihood <= ml.objective());
        assert!(ml.objective() - fitted.objective() < 5e-3, "{shape:?}: {} {}", fitted.objective(), ml.objective());
    }
}

fn short() -> AmortizedVi {
    AmortizedVi { batch: 50, stopping: Stopping { max_iterations: 3, tolerance: 0.0 }, ..Default::default() }
}

#[test]
fn laws_of_training() {
    let model = model(5, 2);
    let fit = |x: &dyn RowSource| {
        let fitted = AmortizedVi { gradient: AmortizedGradient::Pathwise { draws: 2 }, ..short() }.fit(&model, x, 7)?;
        Ok(fitted.model.encoder.parameters().iter().copied().chain([fitted.objective()]).collect())
    };
    let x = table(220, 5);
    invariance::threads_do_not_matter(&fit, &x).unwrap();
    invariance::runs_repeat(&fit, &x).unwrap();
    invariance::f32_is_f64(&fit, &x, 0.0).unwrap();
    invariance::layout_does_not_matter(&fit, &x).unwrap();
    let newton = |x: &dyn RowSource| {
        let fitted =
            LinearEncoderNewton { stopping: Stopping { max_iterations: 4, tolerance: 0.0 }, ..Default::default() }.fit(&model, x)?;
        Ok(fitted.model.encoder.parameters().iter().copied().chain([fitted.objective()]).collect())
    };
    invariance::threads_do_not_matter(&newton, &x).unwrap();
    // a regression on sums in another order
    invariance::weights_are_repetition(&newton, &x, 1e-8).unwrap();
}

#[test]
fn rows_of_weight_zero_are_not_seen() {
    let model = model(5, 2);
    let mut x = table(100, 5);
    let mut weights = Array1::ones(100);
    (0..100).step_by(10).for_each(|n| {
        x.row_mut(n).fill(f64::NAN);
        weights[n] = 0.0;
    });
    let kept: Vec<usize> = (0..100).filter(|n| n % 10 != 0).collect();
    let a = short().fit(&model, &Rows::new(&x).weighted(weights.view()).unwrap(), 1).unwrap();
    let b = short().fit(&model, &x.select(ndarray::Axis(0), &kept), 1).unwrap();
    // weighted and plain sums add in another order
    assert!(a.trace.iter().zip(&b.trace).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b.abs())), "{:?} {:?}", a.trace, b.trace);
}

#[test]
fn bad_settings_are_refused() {
    let model: LinearGaussian = model(4, 2);
    let x = table(10, 4);
    let message = |config: AmortizedVi| config.fit(&model, &x, 0).unwrap_err().to_string();
    assert!(message(AmortizedVi { batch: 0, ..short() }).contains("at least 1"));
    assert!(message(AmortizedVi { batch: 11, ..short() }).contains("at most 10"));
    assert!(message(AmortizedVi { batch: 5, step: f64::NAN, ..short() }).contains("step"));
    assert!(message(AmortizedVi { batch: 5, gradient: AmortizedGradient::Pathwise { draws: 0 }, ..short() }).contains("draws"));
    let deep = EncoderConfig { hidden: vec![2, 2, 2], ..EncoderConfig::default() };
    assert!(message(AmortizedVi { batch: 5, encoder: deep, ..short() }).contains("hidden"));
    let encoder = Encoder::new(&EncoderConfig::default(), 2, &table(10, 3), 0).unwrap();
    assert!(Amortized::new(model.clone(), encoder).is_err());
}

#[test]
fn training_resumes_bit_for_bit() {
    let model = model(6, 2);
    let x = draws(&model, 130);
    let weights = Array1::from_shape_fn(130, |n| (n % 3) as f64);
    let x = Rows::new(&x).weighted(weights.view()).unwrap();
    let stopping = Stopping { max_iterations: 12, tolerance: 0.0 };
    let affine = AmortizedVi { batch: 40, stopping, ..Default::default() };
    let encoder = EncoderConfig { hidden: vec![5], ..Default::default() };
    let hidden = AmortizedVi { encoder, gradient: AmortizedGradient::Pathwise { draws: 2 }, ..affine.clone() };
    let stored = |state: &TrainingState<LinearGaussian>| -> TrainingState<LinearGaussian> {
        serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
    };
    for config in [affine.clone(), hidden.clone()] {
        let whole = config.fit(&model, &x, 5).unwrap();
        let mut state = config.init(&model, &x, 5).unwrap();
        let mut trace = vec![];
        for epoch in 0..12 {
            trace.push(config.step(&mut state, &model, &x).unwrap().objective);
            if epoch % 5 == 2 {
                state = stored(&state);
            }
        }
        assert_eq!(trace, whole.trace);
        let finished = config.finish(stored(&state), &model, &x).unwrap();
        assert_eq!(finished.encoder.parameters(), whole.model.encoder.parameters());
        // the state of another encoder
        let mut other = stored(&state);
        let larger = AmortizedVi { encoder: EncoderConfig { hidden: vec![3, 3], ..Default::default() }, ..config.clone() };
        assert!(larger.step(&mut other, &model, &x).unwrap_err().to_string().contains("parameters of the state"));
    }
    let start = Ppca::new(Array1::zeros(6), Array2::from_shape_fn((6, 2), |(j, i)| 0.1 * ((j + 2 * i) as f64).cos()), 1.0).unwrap();
    let joint = JointAscent(hidden);
    let whole = joint.fit(&start, &x, 5).unwrap();
    let mut state = joint.init(&start, &x, 5).unwrap();
    (0..7).for_each(|_| drop(joint.step(&mut state, &start, &x).unwrap()));
    let mut state: TrainingState<Ppca> = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    (7..12).for_each(|_| drop(joint.step(&mut state, &start, &x).unwrap()));
    let finished = joint.finish(state, &start, &x).unwrap();
    assert_eq!(finished.encoder.parameters(), whole.model.encoder.parameters());
    assert_eq!(finished.model.log_likelihood(&x).unwrap(), whole.model.model.log_likelihood(&x).unwrap());
}
