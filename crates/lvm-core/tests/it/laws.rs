//! The laws of lvm-testkit over every model. f32 tables go through the same laws: `f32_is_f64` holds each fit to the last bit.

use lvm_core::Result;
use lvm_core::rows::RowSource;
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

/// The numbers of a model as one list, for bitwise comparisons.
trait Numbers {
    fn numbers(&self) -> Vec<f64>;
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
            use lvm_testkit::{calibration, density};

            #[test]
            fn bayes_identity() {
                density::bayes_identity(&$model, &$x, &mut stream(5, Purpose::Sample, 0)).unwrap();
            }

            #[test]
            fn bayes_identity_with_missing_entries() {
                let mut x = $x;
                for n in 0..x.nrows() {
                    let d = x.ncols();
                    if n % 3 == 0 {
                        x[[n, n % d]] = f64::NAN;
                    }
                }
                let rows = lvm_core::rows::Rows::new(&x).missing_as_nan();
                density::bayes_identity(&$model, &rows, &mut stream(5, Purpose::Sample, 1)).unwrap();
            }

            #[test]
            fn map_is_the_mode() {
                density::map_is_the_mode(&$model, &$x, &mut stream(5, Purpose::Sample, 2)).unwrap();
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
            }

            #[test]
            fn runs_repeat() {
                invariance::runs_repeat(&numbers($fit), &$x).unwrap();
            }

            #[test]
            fn f32_is_f64() {
                invariance::f32_is_f64(&numbers($fit), &$x, 0.0).unwrap();
            }

            #[test]
            fn weights_are_repetition() {
                invariance::weights_are_repetition(&numbers($fit), &$x, $relative).unwrap();
            }

            #[test]
            fn layout_does_not_matter() {
                invariance::layout_does_not_matter(&numbers($fit), &$x).unwrap();
            }

            #[test]
            fn objective_belongs_to_the_model_also_with_weights() {
                let x = $x;
                let weights = Array1::from_shape_fn(x.nrows(), |n| (n % 3) as f64);
                let rows = lvm_core::rows::Rows::new(&x).weighted(weights.view()).unwrap();
                lvm_testkit::estimation::objective_belongs_to_the_model(&$fit(&rows).unwrap(), &rows).unwrap();
            }
        }
    };
}

mod gmm {
    use super::*;
    use lvm_core::fit::{Fitted, Stopping};
    use lvm_core::gmm::{CovarianceType, Covariances, GaussianMixture, GmmEm, Start};
    use lvm_testkit::{density, estimation};
    use ndarray::Axis;

    impl Numbers for GaussianMixture {
        fn numbers(&self) -> Vec<f64> {
            let mut all: Vec<f64> = self.weights().iter().chain(self.means().iter()).copied().collect();
            match self.covariances() {
                Covariances::Full(c) => all.extend(c.iter()),
                Covariances::Tied(c) | Covariances::Diagonal(c) => all.extend(c.iter()),
                Covariances::Spherical(c) => all.extend(c.iter()),
            }
            all
        }
    }

    /// A start that does not draw: rows 0, 1, … as means would move with repetition of rows; these responsibilities move with the row.
    fn start(x: &dyn RowSource, components: usize) -> Result<Array2<f64>> {
        lvm_core::sweep::map_rows(
            x,
            components,
            || (),
            |(), block, mut out| {
                for (i, mut row) in out.rows_mut().into_iter().enumerate() {
                    let v = block.x()[[i, 0]];
                    for (k, r) in row.iter_mut().enumerate() {
                        *r = 1.0 / (1.0 + (if v.is_finite() { v } else { 0.0 } - 2.0 * k as f64).powi(2));
                    }
                    let sum = row.sum();
                    row /= sum;
                }
                Ok(())
            },
        )
    }

    fn em(x: &dyn RowSource, covariance: CovarianceType, iterations: usize) -> Result<Fitted<GaussianMixture>> {
        let rows = lvm_core::rows::Rows::new(x).missing_as_nan();
        GmmEm {
            components: 3,
            covariance,
            start: Start::Responsibilities(start(&rows, 3)?),
            stopping: Stopping { max_iterations: iterations, tolerance: 0.0 },
            ..Default::default()
        }
        .fit(x, 1)
    }

    macro_rules! of_type {
        ($name:ident, $type:expr) => {
            mod $name {
                use super::*;
                model_laws!(em(&table(300, 4), $type, 8).unwrap().model, table(60, 4));
                // fifteen iterations amplify the rounding of sums in another order
                fit_laws!(|x: &dyn RowSource| em(x, $type, 15), table(400, 4), 1e-9);

                #[test]
                fn trace_is_monotone() {
                    estimation::trace_is_monotone(&em(&table(400, 4), $type, 60).unwrap(), 4).unwrap();
                }

                #[test]
                fn resume_is_one_run() {
                    let x = table(300, 4);
                    let fit = |iterations: usize, from: Option<&GaussianMixture>| {
                        let start = match from {
                            Some(model) => Start::Parameters(model.clone()),
                            None => Start::Responsibilities(start(&x, 3)?),
                        };
                        GmmEm {
                            components: 3,
                            covariance: $type,
                            start,
                            stopping: Stopping { max_iterations: iterations, tolerance: 0.0 },
                            ..Default::default()
                        }
                        .fit(&x, 1)
                    };
                    estimation::resume_is_one_run(&fit, &GaussianMixture::numbers, 7, 9).unwrap();
                }

                #[test]
                fn restarts_restart() {
                    let x = table(200, 4);
                    let fitted = GmmEm { components: 6, covariance: $type, restarts: 4, ..Default::default() }.fit(&x, 3).unwrap();
                    estimation::restarts_restart(&fitted).unwrap();
                }

                #[test]
                fn integrates_to_one_in_two_columns() {
                    let x = table(200, 4).select(Axis(1), &[0, 1]);
                    let model = em(&x, $type, 8).unwrap().model;
                    density::integrates_to_one(&model, &[0.0, 0.0], 40.0, 1601).unwrap();
                }

                #[test]
                fn draws_agree_with_evidence() {
                    let x = table(200, 1);
                    let model = em(&x, $type, 8).unwrap().model;
                    let mut rng = lvm_core::random::stream(5, lvm_core::random::Purpose::Sample, 9);
                    density::draws_agree_with_evidence(&model, 0.0, 30.0, &mut rng).unwrap();
                }
            }
        };
    }

    of_type!(full, CovarianceType::Full);
    of_type!(tied, CovarianceType::Tied);
    of_type!(diagonal, CovarianceType::Diagonal);
    of_type!(spherical, CovarianceType::Spherical);
}

mod ppca {
    use super::*;
    use lvm_core::fit::Fitted;
    use lvm_core::ppca::{Ppca, PpcaMl, Solver};
    use lvm_testkit::density;

    impl Numbers for Ppca {
        fn numbers(&self) -> Vec<f64> {
            self.mean().iter().chain(self.loadings().iter()).copied().chain([self.noise_variance()]).collect()
        }
    }

    fn ml(x: &dyn RowSource) -> Result<Fitted<Ppca>> {
        PpcaMl { components: 2.min(x.n_cols() - 1), solver: Solver::Auto }.fit(x, 1)
    }

    model_laws!(ml(&table(300, 6)).unwrap().model, table(60, 6));
    // one eigen-decomposition of sums in another order
    fit_laws!(ml, table(400, 6), 1e-10);

    #[test]
    fn integrates_to_one_in_two_columns() {
        let x = table(300, 2);
        density::integrates_to_one(&ml(&x).unwrap().model, &[0.0, 0.0], 60.0, 1601).unwrap();
    }
}
mod fa {
    use super::*;
    use lvm_core::fa::{FaMl, FactorAnalysis};
    use lvm_core::fit::Fitted;
    use lvm_testkit::{density, estimation};

    impl Numbers for FactorAnalysis {
        fn numbers(&self) -> Vec<f64> {
            self.mean().iter().chain(self.loadings().iter()).chain(self.noise_variances().iter()).copied().collect()
        }
    }

    fn ml(x: &dyn RowSource) -> Result<Fitted<FactorAnalysis>> {
        FaMl { factors: 2, ..Default::default() }.fit(x, 1)
    }

    model_laws!(ml(&table(300, 7)).unwrap().model, table(60, 7));
    // the optimum of a smooth function from sums in another order: the gradient tolerance over the smallest curvature
    fit_laws!(ml, table(400, 7), 1e-6);

    #[test]
    fn trace_is_monotone() {
        estimation::trace_is_monotone(&ml(&table(400, 7)).unwrap(), 7).unwrap();
    }

    #[test]
    fn integrates_to_one_in_two_columns() {
        let x = table(400, 7);
        let fitted = ml(&x).unwrap().model;
        let two = ndarray::Slice::from(..2);
        let model = FactorAnalysis::new(
            fitted.mean().slice_axis(ndarray::Axis(0), two).to_owned(),
            fitted.loadings().slice_axis(ndarray::Axis(0), two).to_owned(),
            fitted.noise_variances().slice_axis(ndarray::Axis(0), two).to_owned(),
        )
        .unwrap();
        density::integrates_to_one(&model, &[0.0, 0.0], 30.0, 2401).unwrap();
    }
}
