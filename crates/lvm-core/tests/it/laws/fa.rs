//! Factor analysis: Newton, EM and ECME.

use super::*;
use lvm_core::fa::{FaMl, FactorAnalysis, Method, Start};
use lvm_core::fit::{Fitted, Stopping};
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

mod with_missing_entries {
    use super::*;
    // as above, from a start that is itself an optimum of sums in another order
    em_laws!(|x: &dyn RowSource, n, from| steps(Method::Em, &missing(x), n, from), holed(400, 7), 1e-8);
}

#[test]
fn restarts_restart() {
    let x = holed(200, 7);
    let stopping = Stopping { max_iterations: 5, tolerance: 0.0 };
    let fitted = FaMl { factors: 2, restarts: 4, stopping, ..Default::default() }.fit(&missing(&x), 3).unwrap();
    estimation::restarts_restart(&fitted).unwrap();
}
