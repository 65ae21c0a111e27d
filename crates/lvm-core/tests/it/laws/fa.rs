//! Factor analysis: Newton, quasi-Newton, EM, ECME and SQUAREM; without rotation, with an orthogonal and with an oblique one.

use super::*;
use lvm_core::fa::{FaMl, FactorAnalysis, Method, Rotation, Start};
use lvm_core::fit::{Fitted, Stopping};
use lvm_core::linear_gaussian::GaussianPosterior;
use lvm_core::random::{Purpose, stream};
use lvm_testkit::{density, estimation};

impl Numbers for FactorAnalysis {
    fn numbers(&self) -> Vec<f64> {
        self.mean().iter().chain(self.loadings().iter()).chain(self.noise_variances().iter()).copied().collect()
    }
}

impl Elsewhere for FactorAnalysis {
    fn elsewhere(&self, x: &dyn RowSource) -> Result<GaussianPosterior> {
        let mean = self.mean() + 0.3 * self.noise_variances().mapv(f64::sqrt);
        let plain = self.linear_gaussian().loadings().clone();
        let other = FactorAnalysis::new(mean, plain, 1.7 * self.noise_variances())?;
        match self.rotation() {
            None => other.infer(x),
            Some(rotated) => other.with_rotation(rotated.clone())?.infer(x),
        }
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
    estimation::trace_is_monotone(&ml(&table(400, 7).mapv(|v| v as f32)).unwrap(), 7).unwrap();
}

/// Factors of prior N(0, Φ), Φ = I but for the oblique ones.
fn rotated(rotation: Rotation) -> FactorAnalysis {
    ml(&table(300, 7)).unwrap().model.rotated(rotation).unwrap()
}

mod varimax {
    use super::*;
    model_laws!(rotated(Rotation::varimax()), table(60, 7));
}

mod oblimin {
    use super::*;
    model_laws!(rotated(Rotation::oblimin()), table(60, 7));

    #[test]
    fn its_factors_are_correlated() {
        // or these laws would be those of another orthogonal rotation
        assert!(rotated(Rotation::oblimin()).factor_correlations()[[0, 1]].abs() > 0.05);
    }
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
    density::integrates_to_one::<f64>(&model, &[0.0, 0.0], 32.0, 2049).unwrap();
    density::integrates_to_one::<f32>(&model, &[0.0, 0.0], 32.0, 2049).unwrap();
}

#[test]
fn draws_agree_with_evidence() {
    // one column and one factor: x ~ N(0.5, 1.3² + 0.4)
    let line = FactorAnalysis::new(ndarray::array![0.5], ndarray::array![[1.3]], ndarray::array![0.4]).unwrap();
    density::draws_agree_with_evidence::<f64>(&line, 0.5, 16.0, &mut stream(5, Purpose::Sample, 9)).unwrap();
    density::draws_agree_with_evidence::<f32>(&line, 0.5, 16.0, &mut stream(5, Purpose::Sample, 10)).unwrap();
    let turned = line.rotated(Rotation::oblimin()).unwrap();
    density::draws_agree_with_evidence::<f64>(&turned, 0.5, 16.0, &mut stream(5, Purpose::Sample, 11)).unwrap();
}

fn steps(method: Method, x: &dyn RowSource, iterations: usize, from: Option<&FactorAnalysis>) -> Result<Fitted<FactorAnalysis>> {
    let start = from.map_or(Start::PartialVariances, |model| Start::Parameters(model.clone()));
    let stopping = Stopping { max_iterations: iterations, tolerance: 0.0 };
    FaMl { factors: 2, method, start, stopping, restarts: 1, ..Default::default() }.fit(x, 1)
}

mod by_em {
    use super::*;
    // fifteen iterations amplify the rounding of sums in another order
    em_laws!(|x: &dyn RowSource, n, from| steps(Method::Em, x, n, from), table(400, 7), 1e-9);
}

mod by_ecme {
    use super::*;
    // as above
    em_laws!(|x: &dyn RowSource, n, from| steps(Method::Ecme, x, n, from), table(400, 7), 1e-9);
}

mod by_newton {
    use super::*;
    // the optimum, as for the fit above
    em_laws!(|x: &dyn RowSource, n, from| steps(Method::QuasiNewton, x, n, from), table(400, 7), 1e-6);
}

mod by_quasi_newton {
    use super::*;
    // as above, of more columns than the Hessian is made for
    em_laws!(|x: &dyn RowSource, n, from| steps(Method::QuasiNewton, x, n, from), table(500, 100), 1e-6);
}

mod by_squarem {
    use super::*;
    // long steps amplify more: 15 iterations are 30 of EM and as many extrapolations
    em_laws!(|x: &dyn RowSource, n, from| steps(Method::Squarem, x, n, from), table(400, 7), 1e-6);
}

mod with_missing_entries {
    use super::*;
    // as above, from a start that is itself an optimum of sums in another order
    em_laws!(|x: &dyn RowSource, n, from| steps(Method::Em, &missing(x), n, from), holed(400, 7), 1e-8);
}

mod by_squarem_with_missing_entries {
    use super::*;
    // as with complete rows
    em_laws!(|x: &dyn RowSource, n, from| steps(Method::Squarem, &missing(x), n, from), holed(400, 7), 1e-6);
}

#[test]
fn restarts_restart() {
    let x = holed(200, 7);
    let stopping = Stopping { max_iterations: 5, tolerance: 0.0 };
    let ml = FaMl { factors: 2, restarts: 4, stopping, ..Default::default() };
    estimation::restarts_restart(&ml.fit(&missing(&x), 3).unwrap()).unwrap();
    estimation::restarts_restart(&ml.fit(&missing(&x.mapv(|v| v as f32)), 3).unwrap()).unwrap();
}
