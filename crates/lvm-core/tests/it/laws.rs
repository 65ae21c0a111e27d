//! The laws of lvm-testkit over every model and every way to fit it, with and without missing entries, for tables of f64 and of f32.

use lvm_core::Result;
use lvm_core::model::Infer;
use lvm_core::rows::{RowSource, Rows};
use ndarray::{Array1, Array2};

/// A table with two clumps, correlated columns and different scales, from a fixed linear congruence: no seed, no library.
fn table(n: usize, d: usize) -> Array2<f64> {
    let mut state = 20_261_120_u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut x = Array2::zeros((n, d));
    for mut row in x.rows_mut() {
        let clump = if uniform() < 0.4 { -2.0 } else { 2.0 };
        let (a, b) = (uniform() + uniform() - 1.0, uniform() + uniform() - 1.0);
        for (j, v) in row.iter_mut().enumerate() {
            let noise = uniform() + uniform() + uniform() - 1.5;
            *v =
                (1.0 + j as f64) * (clump * (0.3 + 0.1 * j as f64) + a * (j as f64 * 1.3).cos() + b * (j as f64 * 0.7).sin() + 0.5 * noise);
        }
    }
    x
}

/// The table with a hole in every third row and a second one in some: rows of several patterns, none of them empty.
fn holed(n: usize, d: usize) -> Array2<f64> {
    let mut x = table(n, d);
    for i in (0..n).step_by(3) {
        x[[i, i % d]] = f64::NAN;
        if i % 7 == 0 {
            x[[i, (i + 1) % d]] = f64::NAN;
        }
    }
    x
}

/// NaN means missing.
fn missing(x: &dyn RowSource) -> Rows<'_> {
    Rows::new(x).missing_as_nan()
}

/// The numbers of a model as one list, for bitwise comparisons.
trait Numbers {
    fn numbers(&self) -> Vec<f64>;
}

/// A posterior that is not the right one: elsewhere and wider, so that bounds have a gap to close and no draw is rare.
trait Elsewhere: Infer {
    fn elsewhere(&self, x: &dyn RowSource) -> Result<Self::Q>;
}

/// A fit reduced to its numbers.
fn numbers<M: Numbers>(
    fit: impl Fn(&dyn RowSource) -> Result<lvm_core::fit::Fitted<M>> + Sync,
) -> impl Fn(&dyn RowSource) -> Result<Vec<f64>> + Sync {
    move |x| {
        let fitted = fit(x)?;
        let mut all = fitted.model.numbers();
        all.push(fitted.objective());
        Ok(all)
    }
}

/// Laws of any fitted model with an exact posterior.
macro_rules! model_laws {
    ($model:expr, $x:expr) => {
        mod model {
            use super::*;
            use lvm_core::random::{Purpose, stream};
            use lvm_testkit::{bound, calibration, density};

            #[test]
            fn bayes_identity() {
                density::bayes_identity(&$model, &$x, &mut stream(5, Purpose::Sample, 0)).unwrap();
            }

            #[test]
            fn bayes_identity_with_missing_entries() {
                let x = $x;
                let x = holed(x.nrows(), x.ncols());
                density::bayes_identity(&$model, &missing(&x), &mut stream(5, Purpose::Sample, 1)).unwrap();
                let narrow = x.mapv(|v| v as f32);
                density::bayes_identity(&$model, &missing(&narrow), &mut stream(5, Purpose::Sample, 1)).unwrap();
            }

            #[test]
            fn tables_of_f32_obey_the_same_laws() {
                let x = $x.mapv(|v| v as f32);
                density::bayes_identity(&$model, &x, &mut stream(5, Purpose::Sample, 5)).unwrap();
                density::map_is_the_mode(&$model, &x, &mut stream(5, Purpose::Sample, 6)).unwrap();
                density::rows_are_independent(&$model, &x).unwrap();
                let model = $model;
                bound::exact_posterior_closes_the_bound(&model, &model.infer(&x).unwrap(), &x, 5).unwrap();
                let q = model.elsewhere(&x).unwrap();
                bound::elbo_is_below_the_evidence(&model, &q, &x, 6).unwrap();
                bound::importance_weighting_tightens(&model, &q, &x, 7).unwrap();
            }

            #[test]
            fn map_is_the_mode() {
                density::map_is_the_mode(&$model, &$x, &mut stream(5, Purpose::Sample, 2)).unwrap();
            }

            #[test]
            fn the_exact_posterior_closes_the_bound() {
                let x = $x;
                let model = $model;
                bound::exact_posterior_closes_the_bound(&model, &model.infer(&x).unwrap(), &x, 5).unwrap();
            }

            #[test]
            fn bounds_of_a_wrong_posterior_are_bounds() {
                let x = $x;
                let model = $model;
                let q = model.elsewhere(&x).unwrap();
                bound::elbo_is_below_the_evidence(&model, &q, &x, 6).unwrap();
                bound::importance_weighting_tightens(&model, &q, &x, 7).unwrap();
                // and there is a gap to speak of: bounds of the posterior itself would prove nothing
                let evidence = lvm_core::model::Evidence::log_evidence(&model, &x).unwrap().sum();
                assert!(lvm_core::bound::elbo(&model, &q, &x, 100, 8).unwrap().total.mean < evidence - 0.1 * x.nrows() as f64);
            }

            #[test]
            fn rows_are_independent() {
                density::rows_are_independent(&$model, &$x).unwrap();
            }

            #[test]
            fn shapes_fit() {
                density::shapes_fit(&$model, &mut stream(5, Purpose::Sample, 3)).unwrap();
            }

            #[test]
            fn posterior_is_calibrated() {
                calibration::posterior_is_calibrated(&$model, &mut stream(5, Purpose::Sample, 4)).unwrap();
            }
        }
    };
}

/// Laws of a way to fit: `$relative` is the rounding allowed where sums are taken in another order.
macro_rules! fit_laws {
    ($fit:expr, $x:expr, $relative:expr) => {
        mod fit {
            use super::*;
            use lvm_testkit::invariance;

            #[test]
            fn threads_do_not_matter() {
                invariance::threads_do_not_matter(&numbers($fit), &$x).unwrap();
                invariance::threads_do_not_matter(&numbers($fit), &$x.mapv(|v| v as f32)).unwrap();
            }

            #[test]
            fn runs_repeat() {
                invariance::runs_repeat(&numbers($fit), &$x).unwrap();
                invariance::runs_repeat(&numbers($fit), &$x.mapv(|v| v as f32)).unwrap();
            }

            #[test]
            fn f32_is_f64() {
                invariance::f32_is_f64(&numbers($fit), &$x, 0.0).unwrap();
            }

            #[test]
            fn weights_are_repetition() {
                invariance::weights_are_repetition(&numbers($fit), &$x, $relative).unwrap();
                invariance::weights_are_repetition(&numbers($fit), &$x.mapv(|v| v as f32), $relative).unwrap();
            }

            #[test]
            fn layout_does_not_matter() {
                invariance::layout_does_not_matter(&numbers($fit), &$x).unwrap();
                invariance::layout_does_not_matter(&numbers($fit), &$x.mapv(|v| v as f32)).unwrap();
            }

            #[test]
            fn objective_belongs_to_the_model_also_with_weights() {
                let x = $x;
                let narrow = x.mapv(|v| v as f32);
                let weights = Array1::from_shape_fn(x.nrows(), |n| (n % 3) as f64);
                for table in [Rows::new(&x), Rows::new(&narrow)] {
                    let rows = table.weighted(weights.view()).unwrap();
                    let rows = if x.iter().any(|v| v.is_nan()) { rows.missing_as_nan() } else { rows };
                    lvm_testkit::estimation::objective_belongs_to_the_model(&$fit(&rows).unwrap(), &rows).unwrap();
                }
            }
        }
    };
}

/// Laws of EM: `$fit(data, iterations, from)` does exactly that many iterations, from its own start or from a model. `$terms` is how
/// many terms of the objective's size it is rounded as a sum of; D if not given.
macro_rules! em_laws {
    ($fit:expr, $x:expr, $relative:expr) => {
        em_laws!($fit, $x, $relative, $x.ncols());
    };
    ($fit:expr, $x:expr, $relative:expr, $terms:expr) => {
        mod em {
            use super::*;
            use lvm_testkit::estimation;

            fit_laws!(|x: &dyn RowSource| $fit(x, 15, None), $x, $relative);

            #[test]
            fn trace_is_monotone() {
                let x = $x;
                estimation::trace_is_monotone(&$fit(&x, 60, None).unwrap(), $terms).unwrap();
                estimation::trace_is_monotone(&$fit(&x.mapv(|v| v as f32), 60, None).unwrap(), $terms).unwrap();
            }

            #[test]
            fn resume_is_one_run() {
                let x = $x;
                estimation::resume_is_one_run(&|iterations, from| $fit(&x, iterations, from), &Numbers::numbers, 7, 9).unwrap();
                let x = x.mapv(|v| v as f32);
                estimation::resume_is_one_run(&|iterations, from| $fit(&x, iterations, from), &Numbers::numbers, 7, 9).unwrap();
            }
        }
    };
}

mod fa;
mod gmm;
mod ppca;
