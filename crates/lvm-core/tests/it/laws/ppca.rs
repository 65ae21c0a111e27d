//! Probabilistic PCA: closed form and EM.

use super::*;
use lvm_core::fit::{Fitted, Stopping};
use lvm_core::linear_gaussian::GaussianPosterior;
use lvm_core::ppca::{Ppca, PpcaEm, PpcaMl, Scheme, Solver, Start};
use lvm_core::random::{Purpose, stream};
use lvm_testkit::{density, estimation};

impl Numbers for Ppca {
    fn numbers(&self) -> Vec<f64> {
        self.mean().iter().chain(self.loadings().iter()).copied().chain([self.noise_variance()]).collect()
    }
}

impl Elsewhere for Ppca {
    fn elsewhere(&self, x: &dyn RowSource) -> Result<GaussianPosterior> {
        Ppca::new(self.mean() + 0.3 * self.noise_variance().sqrt(), self.loadings().clone(), 1.7 * self.noise_variance())?.infer(x)
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
    density::integrates_to_one::<f64>(&ml(&x).unwrap().model, &[0.0, 0.0], 64.0, 2049).unwrap();
    density::integrates_to_one::<f32>(&ml(&x.mapv(|v| v as f32)).unwrap().model, &[0.0, 0.0], 64.0, 2049).unwrap();
}

fn em(x: &dyn RowSource, iterations: usize, from: Option<&Ppca>) -> Result<Fitted<Ppca>> {
    by(Scheme::Plain, x, iterations, from)
}

fn by(scheme: Scheme, x: &dyn RowSource, iterations: usize, from: Option<&Ppca>) -> Result<Fitted<Ppca>> {
    let start = from.map_or(Start::Principal, |model| Start::Parameters(model.clone()));
    let stopping = Stopping { max_iterations: iterations, tolerance: 0.0 };
    PpcaEm { components: 2, scheme, start, stopping, ..Default::default() }.fit(x, 1)
}

/// The objective of complete rows is a difference of tr S / σ² and what W explains of it, so that much larger numbers are rounded.
fn terms() -> usize {
    let x = table(400, 6);
    let fitted = ml(&x).unwrap();
    let subtracted = lvm_core::moments::moments(&x).unwrap().covariance.diag().sum() / fitted.model.noise_variance();
    (6.0 * (1.0 + subtracted / (1.0 + fitted.objective().abs()))).ceil() as usize
}

mod complete {
    use super::*;
    // fifteen iterations amplify the rounding of sums in another order
    em_laws!(em, table(400, 6), 1e-10, terms());
}

mod expanded {
    use super::*;
    // as above
    em_laws!(|x: &dyn RowSource, n, from| by(Scheme::ParameterExpanded, x, n, from), table(400, 6), 1e-10, terms());
}

mod expanded_with_missing_entries {
    use super::*;
    // as above
    em_laws!(|x: &dyn RowSource, n, from| by(Scheme::ParameterExpanded, &missing(x), n, from), holed(400, 6), 1e-10);
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
    let em = PpcaEm { components: 2, start: Start::Random, restarts: 4, stopping, ..Default::default() };
    estimation::restarts_restart(&em.fit(&missing(&x), 3).unwrap()).unwrap();
    estimation::restarts_restart(&em.fit(&missing(&x.mapv(|v| v as f32)), 3).unwrap()).unwrap();
}

#[test]
fn draws_agree_with_evidence() {
    // noise alone, and one column with one latent: x ~ N(0.5, 1.3² + 0.3)
    for loadings in [Array2::zeros((1, 0)), ndarray::array![[1.3]]] {
        let line = Ppca::new(ndarray::array![0.5], loadings, 0.3).unwrap();
        density::draws_agree_with_evidence::<f64>(&line, 0.5, 16.0, &mut stream(5, Purpose::Sample, 9)).unwrap();
        density::draws_agree_with_evidence::<f32>(&line, 0.5, 16.0, &mut stream(5, Purpose::Sample, 10)).unwrap();
    }
}
