//! The direct way against libtorch's: gradients, bounds, whole trainings.

use super::Direct;
use super::step::Stepper;
use crate::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec};
use crate::data::Dataset;
use crate::likelihood::{Unit, gaussian::Variance};
use crate::nets::{Activation, Input};
use crate::noise::Noise;
use crate::objective::{Elbo, KlTerm, Objective};
use crate::tensor::to_values;
use crate::train::record::Sums;
use crate::train::{State, Training, Way};
use crate::vae::Vae;
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::Rows;
use ndarray::{Array1, Array2};
use rand::RngExt;
use tch::{Device, Kind, Tensor};

/// What a case is made of besides the architecture.
#[derive(Clone, Copy, Default)]
struct Given {
    bits: bool,
    /// Two columns of three are 0 throughout.
    sparse: bool,
    missing: bool,
    weights: bool,
    condition: bool,
}

fn table(n: usize, columns: usize, given: Given, kind: Kind) -> Dataset {
    let mut rng = stream(31, Purpose::Sample, 0);
    let mut x = Array2::from_shape_fn((n, columns), |_| rng.random::<f64>() * 2.0);
    if given.bits {
        x.mapv_inplace(|v| f64::from(u8::from(v > 1.3)));
    }
    if given.sparse {
        x.columns_mut().into_iter().enumerate().filter(|(j, _)| j % 3 > 0).for_each(|(_, mut c)| c.fill(0.0));
    }
    if given.missing {
        for i in 0..n {
            x[(i, i % columns)] = f64::NAN;
        }
    }
    // row 3 is not there
    let weights = Array1::from_shape_fn(n, |i| if i == 3 { 0.0 } else { 0.5 + (i % 4) as f64 });
    let mut rows = Rows::new(&x);
    if given.missing {
        rows = rows.missing_as_nan();
    }
    if given.weights {
        rows = rows.weighted(weights.view()).unwrap();
    }
    let data = Dataset::new(&rows, kind, Device::Cpu).unwrap();
    if given.condition { data.with_condition(&Array2::from_shape_fn((n, 2), |(i, j)| ((i + j) as f64 * 0.7).sin())).unwrap() } else { data }
}

fn net(hidden: &[i64], activation: Activation) -> (EncoderSpec, DecoderSpec) {
    let hidden = hidden.to_vec();
    (EncoderSpec::Mlp { hidden: hidden.clone(), activation }, DecoderSpec::Mlp { hidden, activation })
}

fn elbo(draws: i64, beta: f64) -> Training {
    Training { objective: Objective::Elbo(Elbo { draws, beta, ..Elbo::default() }), batch_size: 37, ..Training::default() }
}

/// Sums and gradient of the first step are libtorch's.
fn same_gradient(architecture: Architecture, given: Given, training: &Training, what: &str) {
    let n = 40;
    let data = table(n, architecture.columns as usize, given, Kind::Double);
    let vae = Vae::new(architecture, &data, 5).unwrap();
    let state = State::new(vae, 9);
    let numbers: Vec<i64> = (0..37).map(|i| (i * 7) % n as i64).collect();
    let kl_weight = 0.8;

    let mut stepper = Stepper::<f64>::new(training, &state.vae, &data).unwrap_or_else(|| panic!("{what} is not supported"));
    let found = stepper.evaluate(&state, &numbers, kl_weight, &data.rows).unwrap();
    let norm = stepper.keep(&state.vae, numbers.len());
    assert!(found.finite, "{what}: the gradient is finite, but was not shown to be");

    let batch = data.rows.select(&Tensor::from_slice(&numbers));
    let mut noise = Noise::new(state.seed, Purpose::Noise, 0, Kind::Double, Device::Cpu);
    let evaluation = training.objective.evaluate(&state.vae, &batch, kl_weight, &mut noise).unwrap();
    let loss = match &batch.weights {
        Some(w) => -(&evaluation.surrogate * w).sum(None::<Kind>) / w.sum(None::<Kind>),
        None => -evaluation.surrogate.mean(None::<Kind>),
    };
    let trained: Vec<&Tensor> = state.vae.parameters.trained().map(|p| &p.value).collect();
    let gradients = Tensor::run_backward(&[loss], &trained, false, false);
    let expected = Sums::of(&evaluation, &batch);
    // sums of at most 3000 terms of order 1, rounded in another order
    let close = |a: f64, b: f64, scale: f64, which: &str| assert!((a - b).abs() <= 1e-12 * scale, "{what}, {which}: {a} against {b}");
    for (which, a, b) in [
        ("bound", found.sums.bound, expected.bound),
        ("reconstruction", found.sums.reconstruction, expected.reconstruction),
        ("KL", found.sums.kl, expected.kl),
        ("weight", found.sums.weight, expected.weight),
    ] {
        close(a, b, 1.0 + b.abs(), which);
    }
    let mut square = 0.0;
    for ((parameter, a), b) in state.vae.parameters.trained().zip(&stepper.gradients).zip(&gradients) {
        let (a, b) = (to_values(a), to_values(b));
        let scale = 1.0 + b.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        a.iter().zip(&b).for_each(|(a, b)| close(*a, *b, scale, &parameter.name));
        square += b.iter().map(|v| v * v).sum::<f64>();
    }
    close(norm, square.sqrt(), 1.0 + norm, "norm");
    assert!(norm > 1e-3, "{what}: nothing is compared");
}

const BITS: Given = Given { bits: true, sparse: false, missing: false, weights: false, condition: false };

#[test]
fn every_activation_and_depth() {
    use Activation::{Elu, Relu, Sigmoid, Silu, Softplus, Tanh};
    for (i, activation) in [Relu, Tanh, Softplus, Sigmoid, Silu, Elu].into_iter().enumerate() {
        for hidden in [&[][..], &[13][..], &[20, 7, 33][..]] {
            let (encoder, decoder) = net(hidden, activation);
            let base = Architecture::mlp(11 + i as i64, 3, &[]);
            let architecture = Architecture { encoder, decoder, likelihood: LikelihoodSpec::Bernoulli, ..base };
            for sparse in [false, true] {
                let what = format!("{activation:?} {hidden:?} {sparse}");
                same_gradient(architecture.clone(), Given { sparse, ..BITS }, &elbo(1, 1.0), &what);
            }
        }
    }
}

#[test]
fn every_likelihood_with_every_way_of_giving_rows() {
    let variances = [Variance::Fixed(0.3), Variance::Shared, Variance::Columns, Variance::Entries];
    let mut likelihoods = vec![(LikelihoodSpec::Bernoulli, true)];
    likelihoods.extend(variances.map(|v| (LikelihoodSpec::Gaussian(v), false)));
    likelihoods.extend(variances.map(|v| (LikelihoodSpec::StandardisedGaussian { variance: v, unit: Unit::Columns }, false)));
    for (likelihood, bits) in likelihoods {
        for which in 0..32 {
            let on = |bit: i32| (which >> bit) & 1 == 1;
            let given = Given { bits, sparse: which % 3 == 0, missing: on(0), weights: on(1), condition: on(2) };
            let input = if on(4) { Input::Standardised } else { Input::Plain };
            let condition = if given.condition { 2 } else { 0 };
            let base = Architecture::mlp(18, 2, &[9]);
            let architecture = Architecture { likelihood: likelihood.clone(), mask: on(3), input, condition, ..base };
            let draws = 1 + i64::from(on(1)) * 2;
            same_gradient(architecture, given, &elbo(draws, 0.7), &format!("{likelihood:?} {which:05b}"));
        }
    }
    let architecture = Architecture { input: Input::Log1p, ..Architecture::mlp(5, 2, &[4]) };
    same_gradient(architecture, Given::default(), &elbo(2, 0.0), "log1p");
}

/// Log-variances at and beyond their limits, where nothing depends on them any more.
#[test]
fn clamps_have_no_slope() {
    let data = table(40, 4, Given::default(), Kind::Double);
    let mut vae = Vae::new(Architecture::mlp(4, 2, &[]), &data, 5).unwrap();
    let far = Tensor::from_slice(&[0.1, -0.2, 25.0, -30.0]);
    vae.parameters.set("encoder.0.bias", &far).unwrap();
    vae.parameters.set("likelihood.log_variance", &Tensor::from_slice(&[21.0, 20.0, -20.5, 0.0])).unwrap();
    let (state, training) = (State::new(vae, 2), elbo(1, 1.0));
    let numbers: Vec<i64> = (0..37).collect();
    let mut stepper = Stepper::<f64>::new(&training, &state.vae, &data).unwrap();
    stepper.evaluate(&state, &numbers, 1.0, &data.rows).unwrap();
    stepper.keep(&state.vae, 37);
    let at = |name: &str| state.vae.parameters.trained().position(|p| p.name == name).unwrap();
    let spread = to_values(&stepper.gradients[at("likelihood.log_variance")]);
    assert!(spread[0] == 0.0 && spread[1] != 0.0 && spread[2] == 0.0 && spread[3] != 0.0, "{spread:?}");
    let bias = to_values(&stepper.gradients[at("encoder.0.bias")]);
    assert!(bias[2] == 0.0 && bias[3] == 0.0 && bias[0] != 0.0, "{bias:?}");
}

fn digits(kind: Kind) -> (Dataset, Architecture) {
    // few pixels: zeros are passed over
    let data = table(300, 60, Given { sparse: true, ..BITS }, kind);
    (data, Architecture { likelihood: LikelihoodSpec::Bernoulli, ..Architecture::mlp(60, 5, &[64]) })
}

fn trained(training: &Training, kind: Kind) -> (Vec<f64>, Vec<f64>) {
    let (data, architecture) = digits(kind);
    let trained = training.fit(Vae::new(architecture, &data, 4).unwrap(), &data, None, 4).unwrap();
    let numbers = trained.vae.parameters.entries().iter().flat_map(|p| to_values(&p.value)).collect();
    (numbers, trained.epochs.iter().map(|e| e.train.bound).collect())
}

#[test]
fn training_does_not_depend_on_threads_or_on_whether_the_gradient_is_kept() {
    // 300 rows and 11,000 weights: enough for more than one thread
    let training = Training { epochs: 3, batch_size: 290, ..Training::default() };
    for kind in [Kind::Float, Kind::Double] {
        let run = |threads: usize, training: &Training| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| trained(training, kind))
        };
        let one = run(1, &training);
        assert_eq!(one, run(3, &training));
        assert_eq!(one, run(2, &Training { clip_norm: Some(1e300), ..training.clone() }));
        assert_ne!(one, run(2, &Training { clip_norm: Some(1e-3), ..training.clone() }));
    }
}

#[test]
fn a_training_is_the_one_of_libtorch_up_to_rounding() {
    let (data, architecture) = digits(Kind::Double);
    let training = Training { epochs: 3, batch_size: 128, ..Training::default() };
    let run = |direct: bool| {
        let mut state = training.init(Vae::new(architecture.clone(), &data, 4).unwrap(), &data, 4).unwrap();
        let mut way = if direct { Way::of(&training, &state, &data) } else { Way::Tensors };
        assert_eq!(matches!(way, Way::Direct(_)), direct);
        for _ in 0..3 {
            training.epoch(&mut state, &data, None, &mut way).unwrap();
        }
        (state.vae.parameters.entries().iter().flat_map(|p| to_values(&p.value)).collect::<Vec<f64>>(), state.epochs)
    };
    let ((a, by_hand), (b, by_torch)) = (run(true), run(false));
    // nine steps of 1e-3: Adam divides by the root of a mean square, so a rounding of 1e-16 in a gradient of 1e-8 is one of 1e-8 in a step
    let largest = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(largest < 1e-8, "{largest}");
    for (a, b) in by_hand.iter().zip(&by_torch) {
        assert!((a.train.bound - b.train.bound).abs() < 1e-8 && (a.longest_gradient - b.longest_gradient).abs() < 1e-8);
    }
}

#[test]
fn what_is_not_finite_is_skipped_and_leaves_the_parameters_alone() {
    let (data, architecture) = digits(Kind::Float);
    for (name, value) in [("decoder.1.bias", f64::NAN), ("encoder.0.weight", f64::INFINITY)] {
        let mut vae = Vae::new(architecture.clone(), &data, 4).unwrap();
        // the last column of the table is 0 throughout
        let spoiled = vae.parameters.get(name).unwrap().detach().copy();
        let mut last = spoiled.select(-1, -1);
        let _ = last.fill_(value);
        vae.parameters.set(name, &spoiled).unwrap();
        let before: Vec<u64> = vae.parameters.entries().iter().flat_map(|p| to_values(&p.value)).map(f64::to_bits).collect();
        let training = Training { epochs: 1, batch_size: 100, ..Training::default() };
        let trained = training.fit(vae, &data, None, 4).unwrap();
        assert_eq!(trained.skipped, 3, "{name}");
        let after: Vec<u64> = trained.vae.parameters.entries().iter().flat_map(|p| to_values(&p.value)).map(f64::to_bits).collect();
        assert_eq!(before, after, "{name}");
    }
}

#[test]
fn what_is_not_known_here_is_left_to_libtorch() {
    let (data, base) = digits(Kind::Float);
    let is_direct = |architecture: Architecture, training: &Training| {
        let state = State::new(Vae::new(architecture, &data, 1).unwrap(), 1);
        Direct::of(training, &state, &data).is_some()
    };
    let plain = Training::default();
    assert!(is_direct(base.clone(), &plain));
    let (encoder, decoder) = net(&[8], Activation::Gelu);
    assert!(!is_direct(Architecture { encoder, ..base.clone() }, &plain) && !is_direct(Architecture { decoder, ..base.clone() }, &plain));
    assert!(!is_direct(Architecture { likelihood: LikelihoodSpec::Categorical { codes: 2 }, ..base.clone() }, &plain));
    for elbo in [Elbo { kl: KlTerm::Draws, ..Elbo::default() }, Elbo { free_nats: 0.1, ..Elbo::default() }] {
        assert!(!is_direct(base.clone(), &Training { objective: Objective::Elbo(elbo), ..Training::default() }));
    }
    assert!(!is_direct(base, &Training { objective: Objective::Autoencoder, ..Training::default() }));
}
