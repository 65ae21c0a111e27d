//! Probabilistic PCA: closed form and EM.

use super::*;
use lvm_core::fit::{Fitted, Stopping};
use lvm_core::ppca::{Ppca, PpcaEm, PpcaMl, Solver, Start};
use lvm_testkit::{density, estimation};

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

fn em(x: &dyn RowSource, iterations: usize, from: Option<&Ppca>) -> Result<Fitted<Ppca>> {
    let start = from.map_or(Start::Principal, |model| Start::Parameters(model.clone()));
    let stopping = Stopping { max_iterations: iterations, tolerance: 0.0 };
    PpcaEm { components: 2, start, stopping, ..Default::default() }.fit(x, 1)
}

mod complete {
    use super::*;
    // fifteen iterations amplify the rounding of sums in another order
    em_laws!(em, table(400, 6), 1e-10, terms());

    /// The objective is a difference of tr S / σ² and what W explains of it, so that much larger numbers are rounded.
    fn terms() -> usize {
        let x = table(400, 6);
        let fitted = ml(&x).unwrap();
        let subtracted = lvm_core::moments::moments(&x).unwrap().covariance.diag().sum() / fitted.model.noise_variance();
        (6.0 * (1.0 + subtracted / (1.0 + fitted.objective().abs()))).ceil() as usize
    }
}

mod with_missing_entries {
    use super::*;
    // as above
    em_laws!(|x: &dyn RowSource, n, from| em(&missing(x), n, from), holed(400, 6), 1e-10);
}

#[test]
fn restarts_restart() {
    let x = holed(200, 6);
    let stopping = Stopping { max_iterations: 5, tolerance: 0.0 };
    let fitted = PpcaEm { components: 2, start: Start::Random, restarts: 4, stopping, ..Default::default() }.fit(&missing(&x), 3);
    estimation::restarts_restart(&fitted.unwrap()).unwrap();
}

#[test]
fn draws_agree_with_evidence() {
    let line = Ppca::new(ndarray::array![0.5], Array2::zeros((1, 0)), 0.3).unwrap();
    let mut rng = lvm_core::random::stream(5, lvm_core::random::Purpose::Sample, 9);
    density::draws_agree_with_evidence(&line, 0.5, 6.0, &mut rng).unwrap();
}
