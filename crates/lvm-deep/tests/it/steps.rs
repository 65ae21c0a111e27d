//! Steps that are skipped or shortened, and the epoch that training goes back to.

use lvm_core::fit::Status;
use lvm_core::random::{Purpose, stream};
use lvm_deep::architecture::Architecture;
use lvm_deep::data::Dataset;
use lvm_deep::noise::Noise;
use lvm_deep::objective::{Elbo, Iwae, IwaeGradient, Objective};
use lvm_deep::optimizer::{Adam, Schedule};
use lvm_deep::tensor::to_values;
use lvm_deep::train::{State, Training};
use lvm_deep::vae::Vae;
use lvm_deep::{ErrorKind, Kind};
use ndarray::{Array2, Axis};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::ops::ControlFlow;
use tch::Device;

fn go_on(_: &State) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// 150 and 28 rows of 13 standardised columns.
fn wine() -> (Dataset, Dataset) {
    let x = lvm_data::datasets::wine().unwrap().x;
    let (mean, sd) = (x.mean_axis(Axis(0)).unwrap(), x.std_axis(Axis(0), 0.0));
    let x = (x - mean) / sd;
    let (train, held_out) = x.view().split_at(Axis(0), 150);
    (Dataset::new(&train, Kind::Double, Device::Cpu).unwrap(), Dataset::new(&held_out, Kind::Double, Device::Cpu).unwrap())
}

fn noise_table(n: usize, columns: usize, index: u64) -> Dataset {
    let mut rng = stream(41, Purpose::Sample, index);
    let x = Array2::from_shape_fn((n, columns), |_| rng.sample::<f64, _>(StandardNormal));
    Dataset::new(&x, Kind::Double, Device::Cpu).unwrap()
}

fn numbers(vae: &Vae) -> Vec<f64> {
    vae.parameters.entries().iter().flat_map(|p| to_values(&p.value)).collect()
}

fn iwae(draws: i64) -> Objective {
    Objective::Iwae(Iwae { draws, gradient: IwaeGradient::DoublyReparameterized })
}

/// The first is differentiated by hand, the second by libtorch.
fn both_ways() -> [Objective; 2] {
    [Objective::Elbo(Elbo::default()), iwae(3)]
}

#[test]
fn steps_that_are_not_finite_are_skipped_and_counted_and_the_others_taken() {
    for objective in both_ways() {
        let (mut data, _) = wine();
        let vae = Vae::new(Architecture::mlp(13, 2, &[8]), &data, 3).unwrap();
        // one row, so one of the three batches of every epoch
        let training = Training { objective, epochs: 4, batch_size: 50, ..Training::default() };
        let mut state = training.init(vae, &data, 3).unwrap();
        let _ = data.rows.x.narrow(0, 7, 1).fill_(f64::NAN);
        training.run(&mut state, &data, None, &mut go_on).unwrap();
        assert_eq!((state.attempts, state.skipped, state.moments.steps), (12, 4, 8), "{objective:?}");
        for (i, epoch) in state.epochs.iter().enumerate() {
            assert_eq!(epoch.skipped, i as u64 + 1);
            assert!(epoch.train.bound.is_finite() && epoch.longest_gradient.is_finite(), "{objective:?}: {epoch:?}");
        }
        assert!(numbers(&state.vae).iter().all(|v| v.is_finite()));

        // where nothing can be taken, training gives up with the hundredth step, and has moved nothing
        let _ = data.rows.x.fill_(f64::NAN);
        let before = numbers(&state.vae);
        let training = Training { epochs: 1000, ..training };
        let error = training.run(&mut state, &data, None, &mut go_on).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Objective { .. }), "{error}");
        let in_a_row = state.skipped - 4;
        // the last step of the epoch before may be one of them
        assert!((99..=100).contains(&in_a_row) && state.moments.steps == 8, "{objective:?}: {in_a_row}");
        assert_eq!(before, numbers(&state.vae));
    }
}

#[test]
fn a_clipped_step_is_the_step_along_the_scaled_gradient() {
    for objective in both_ways() {
        let (data, _) = wine();
        // with β₁ = β₂ = 0 a step is η g/(|g| + ε): the gradient can be read off it
        let (rate, epsilon) = (0.1, 1.0);
        let adam = Adam { beta1: 0.0, beta2: 0.0, epsilon };
        let training =
            Training { objective, epochs: 1, batch_size: 150, learning_rate: Schedule::Constant(rate), adam, ..Training::default() };
        let step = |clip_norm: Option<f64>| {
            let vae = Vae::new(Architecture::mlp(13, 2, &[8]), &data, 3).unwrap();
            let trained = |vae: &Vae| vae.parameters.trained().flat_map(|p| to_values(&p.value)).collect::<Vec<f64>>();
            let before = trained(&vae);
            let done = Training { clip_norm, ..training.clone() }.fit(vae, &data, None, 3).unwrap();
            let step: Vec<f64> = before.iter().zip(trained(&done.vae)).map(|(a, b)| a - b).collect();
            (step, done.epochs[0].longest_gradient)
        };
        let (free, norm) = step(None);
        let gradient: Vec<f64> = free.iter().map(|d| epsilon * d / (rate - d.abs())).collect();
        // 1 − |d|/η is 1/(1 + |g|): roundings of 1e-15 are enlarged by 1 + |g|, here some tens
        let found = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!((found / norm - 1.0).abs() < 1e-9, "{objective:?}: {found} against {norm}");
        for share in [0.5, 0.01] {
            let (clipped, reported) = step(Some(share * norm));
            // what is reported is the length before
            assert!((reported / norm - 1.0).abs() < 1e-12, "{reported} against {norm}");
            for (d, g) in clipped.iter().zip(&gradient) {
                let expected = rate * share * g / (share * g.abs() + epsilon);
                assert!((d - expected).abs() < 1e-9, "{objective:?}, {share}: {d} against {expected}");
            }
            let change = free.iter().zip(&clipped).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(change > 1e-3, "{objective:?}: clipping changes the step by {change} at most");
        }
        // a limit that is not reached changes nothing; by hand the gradient is then made whole first, by the same sums
        let (same, _) = step(Some(2.0 * norm));
        assert!(free.iter().zip(&same).all(|(a, b)| (a - b).abs() < 1e-14), "{objective:?}");
    }
}

#[test]
fn patience_ends_at_the_right_epoch_and_goes_back_to_the_best_one() {
    // 20 rows of pure noise: what is learned of them does not hold for others, so the held-out bound must fall
    let (data, held_out) = (noise_table(20, 6, 0), noise_table(40, 6, 1));
    let heavy = Objective::Elbo(Elbo { beta: 4.0, ..Elbo::default() });
    let [elbo, weighted] = both_ways();
    for objective in [elbo, weighted, heavy] {
        let patience = 4;
        let learning_rate = Schedule::Constant(0.02);
        let training = Training { objective, epochs: 2000, batch_size: 20, learning_rate, patience: Some(patience), ..Training::default() };
        let mut state = training.init(Vae::new(Architecture::mlp(6, 2, &[12]), &data, 5).unwrap(), &data, 5).unwrap();
        let mut seen = Vec::new();
        let mut watch = |state: &State| {
            seen.push(numbers(&state.vae));
            ControlFlow::Continue(())
        };
        let status = training.run(&mut state, &data, Some(&held_out), &mut watch).unwrap();
        let trained = state.finish(status);
        let heights: Vec<f64> = trained.epochs.iter().map(|e| objective.compared(&e.held_out.unwrap())).collect();
        // by hand: the first epoch that none after it exceeds
        let best = (0..heights.len()).fold(0, |best, i| if heights[i] > heights[best] { i } else { best });
        assert_eq!((status, heights.len()), (Status::Converged, best + 1 + patience), "{objective:?}: {heights:?}");
        assert_eq!(numbers(&trained.vae), seen[best], "{objective:?}");
        assert_ne!(numbers(&trained.vae), *seen.last().unwrap(), "{objective:?}");
    }
}

#[test]
fn rows_held_out_are_judged_by_the_bound_that_is_trained() {
    let (data, held_out) = wine();
    let training = Training { objective: iwae(5), epochs: 1, batch_size: 50, held_out_draws: 3, ..Training::default() };
    let trained = training.fit(Vae::new(Architecture::mlp(13, 2, &[8]), &data, 3).unwrap(), &data, Some(&held_out), 3).unwrap();
    let reported = trained.epochs[0].held_out.unwrap();
    // three values of IWAE_5 a row, by the draws that judge; 28 rows are one block
    let mut noise = Noise::new(3, Purpose::Diagnosis, 0, Kind::Double, Device::Cpu);
    let mut mean = |objective: Objective| {
        let bound = objective.evaluate(&trained.vae, &held_out.rows, 1.0, &mut noise).unwrap().bound;
        to_values(&bound).iter().sum::<f64>() / 28.0
    };
    let by_hand = (0..3).map(|_| mean(iwae(5))).sum::<f64>() / 3.0;
    assert!((reported.bound - by_hand).abs() < 1e-10, "{} against {by_hand}", reported.bound);
    // which is not the ELBO: reconstruction − KL, both means over the same draws, is below by Jensen's inequality draw for draw
    assert!(reported.bound > reported.reconstruction - reported.kl + 1e-6, "{reported:?}");
    // and the value does not depend on how the gradient is taken
    assert!(matches!(training.objective.held_out(3), Objective::Iwae(Iwae { draws: 5, gradient: IwaeGradient::Pathwise })));
}
