//! Rows with missing entries: fits, imputation, Bartlett scores.

use super::*;

/// mtcars with every fifth entry or so missing.
fn with_holes(x: &Array2<f64>) -> Array2<f64> {
    Array2::from_shape_fn(x.dim(), |(i, j)| if (i * 7 + j * 3) % 5 == 0 && (i + j) % 2 == 0 { f64::NAN } else { x[[i, j]] })
}

#[test]
fn missing_entries_are_integrated_out() {
    let x = standardised(&case("fa_mtcars_2").x);
    let holes = with_holes(&x);
    let rows = Rows::new(&holes).missing_as_nan();
    let stopping = Stopping { max_iterations: 20_000, tolerance: 1e-14 };
    let fitted = FaMl { factors: 2, stopping, restarts: 2, ..Default::default() }.fit(&rows, 1).unwrap();
    let model = &fitted.model;
    assert_eq!(fitted.status, Status::Converged);
    let objective = |m: &FactorAnalysis| m.log_evidence(&rows).unwrap().mean().unwrap();
    assert_close("objective", [objective(model)], [fitted.objective()], 1e-12);
    assert!(fitted.trace.windows(2).all(|w| w[1] >= w[0] - 1e-12));
    // the gradient of the likelihood of the observed entries vanishes: central differences in each parameter
    let step = 1e-4;
    for j in 0..11 {
        for parameter in 0..4 {
            let moved = |s: f64| {
                let (mut mean, mut w, mut psi) = (model.mean().clone(), model.loadings().clone(), model.noise_variances().clone());
                match parameter {
                    0 => mean[j] += s,
                    1 => psi[j] *= s.exp(),
                    k => w[[j, k - 2]] += s,
                }
                objective(&FactorAnalysis::new(mean, w, psi).unwrap())
            };
            let slope = (moved(step) - moved(-step)) / (2.0 * step);
            // EM stopped at a change of 1e-14 a step: slopes of about √1e-14 · rate; differences add step² times a third derivative
            assert!(slope.abs() < 2e-6, "variable {j} parameter {parameter}: {slope:e}");
        }
    }
    // resumed is the same fit
    let steps = |n, start| {
        let stopping = Stopping { max_iterations: n, tolerance: 0.0 };
        FaMl { factors: 2, start, restarts: 1, stopping, ..Default::default() }.fit(&rows, 1).unwrap()
    };
    let first = steps(3, Start::default());
    let second = steps(4, Start::Parameters(first.model));
    assert_eq!(steps(7, Start::default()).trace[3..], second.trace[..]);
    // nothing missing: the answer of the complete method
    let complete = FaMl { factors: 2, ..Default::default() }.fit(&Rows::new(&x).missing_as_nan(), 1).unwrap();
    assert_close("complete", [complete.objective()], [fit(2, &x).objective()], 1e-13);
    // one row with a hole among complete ones: nearly that answer, through the other code
    let mut one = x.clone();
    one[[31, 10]] = f64::NAN;
    let nearly = FaMl { factors: 2, stopping, restarts: 1, ..Default::default() }.fit(&Rows::new(&one).missing_as_nan(), 1).unwrap();
    assert_close("nearly complete", nearly.model.uniquenesses(), complete.model.uniquenesses(), 0.05);
    // weights are repetitions here too
    let weights = Array1::from_shape_fn(32, |i| (i % 3) as f64);
    let repeated: Vec<usize> = (0..32).flat_map(|i| std::iter::repeat_n(i, i % 3)).collect();
    let ml = FaMl { factors: 1, restarts: 1, ..Default::default() };
    let weighted = ml.fit(&rows.weighted(weights.view()).unwrap(), 1).unwrap();
    let copies = holes.select(Axis(0), &repeated);
    let plain = ml.fit(&Rows::new(&copies).missing_as_nan(), 1).unwrap();
    assert_close("weighted", [weighted.objective()], [plain.objective()], 1e-9);
    // no factors: means and variances of the observed entries
    let none = FaMl { factors: 0, ..Default::default() }.fit(&rows, 1).unwrap();
    let observed: Vec<f64> = holes.column(0).iter().copied().filter(|v| !v.is_nan()).collect();
    assert_close("mean", [none.model.mean()[0]], [observed.iter().sum::<f64>() / observed.len() as f64], 1e-14);
    assert_close("objective", [none.objective()], [objective(&none.model)], 1e-12);
}

#[test]
fn imputation_is_the_conditional_of_the_joint() {
    let x = standardised(&case("fa_mtcars_2").x);
    let model = fit(2, &x).model.rotated(Rotation::oblimin()).unwrap();
    let holes = with_holes(&x);
    let imputed = model.impute(&Rows::new(&holes).missing_as_nan()).unwrap();
    let sigma = model.covariance();
    let block = &imputed.blocks[1];
    let observed: Vec<usize> = (0..11).filter(|j| !block.columns.contains(j)).collect();
    let part = |a: &[usize], b: &[usize]| sigma.select(Axis(0), a).select(Axis(1), b);
    let lower = lvm_core::linalg::cholesky(part(&observed, &observed).view()).unwrap();
    let k = part(&block.columns, &observed).dot(&lvm_core::linalg::cholesky_inverse(lower.view()));
    let residual = holes.row(block.row).select(Axis(0), &observed) - model.mean().select(Axis(0), &observed);
    assert_close("mean", k.dot(&residual) + model.mean().select(Axis(0), &block.columns), block.mean.clone(), 1e-12);
    let covariance = part(&block.columns, &block.columns) - k.dot(&part(&observed, &block.columns));
    assert_close("covariance", covariance, block.covariance.clone(), 1e-12);
    assert_eq!(imputed.x[[block.row, block.columns[0]]], block.mean[0]);
}

#[test]
fn bartlett_scores_are_unbiased_and_know_missing_entries() {
    let x = standardised(&case("fa_mtcars_2").x);
    let model = fit(2, &x).model;
    // without noise, x = μ + W z, they return z exactly
    let z = array![[0.3, -1.2], [2.0, 0.7]];
    let clean = model.mean_given(&z).unwrap();
    assert_close("noise-free", model.bartlett_scores(&clean).unwrap().scores, z.clone(), 1e-12);
    let mut holes = clean.clone();
    holes[[1, 4]] = f64::NAN;
    let scores = model.bartlett_scores(&Rows::new(&holes).missing_as_nan()).unwrap();
    assert_close("with a hole", scores.scores.clone(), z, 1e-12);
    assert_eq!(scores.incomplete.len(), 1);
    assert!(scores.covariance_of(1)[[0, 0]] > scores.covariance_of(0)[[0, 0]]);
}

#[test]
fn accelerated_em_ends_where_em_does_and_sooner() {
    let x = standardised(&case("fa_mtcars_2").x);
    let holes = with_holes(&x);
    let rows = Rows::new(&holes).missing_as_nan();
    let stopping = Stopping { max_iterations: 20_000, tolerance: 1e-13 };
    let by = |method| FaMl { factors: 2, method, stopping, restarts: 1, ..Default::default() }.fit(&rows, 1).unwrap();
    let (plain, fast) = (by(Method::Em), by(Method::Squarem));
    assert_eq!((plain.status, fast.status), (Status::Converged, Status::Converged));
    // EM gains 1e-13 an iteration when it stops, with a rate of some 0.99: 1e-11 are left; the accelerated one is no worse
    assert!(fast.objective() > plain.objective() - 1e-10, "{} {}", fast.objective(), plain.objective());
    // no step down but for the rounding of a mean of 32 rows
    assert!(fast.trace.windows(2).all(|w| w[1] >= w[0] - 1e-13));
    // each iteration is at most five passes over the rows
    assert!(5 * fast.iterations() < plain.iterations(), "{} {}", fast.iterations(), plain.iterations());
    assert_close("objective", [fast.model.log_evidence(&rows).unwrap().mean().unwrap()], [fast.objective()], 1e-12);
    // exactly so many iterations when asked for
    let stopping = Stopping { max_iterations: 11, tolerance: 0.0 };
    let eleven = FaMl { factors: 2, method: Method::Squarem, stopping, restarts: 1, ..Default::default() }.fit(&rows, 1).unwrap();
    assert_eq!(eleven.iterations(), 11);
    // and on complete rows it is another way to the same place
    let complete = FaMl { factors: 2, method: Method::Squarem, restarts: 1, ..Default::default() }.fit(&x, 1).unwrap();
    assert_close("complete", [complete.objective()], [fit(2, &x).objective()], 1e-9);
}
