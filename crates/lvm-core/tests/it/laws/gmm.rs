//! Gaussian mixtures.

use super::*;
use lvm_core::fit::{Fitted, Stopping};
use lvm_core::gmm::{ComponentPosterior, CovarianceType, Covariances, GaussianMixture, GmmEm, Start};
use lvm_core::random::{Purpose, stream};
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

impl Elsewhere for GaussianMixture {
    /// Every component of every row at a probability that some of a hundred draws meet.
    fn elsewhere(&self, x: &dyn RowSource) -> Result<ComponentPosterior> {
        ComponentPosterior::from_log_scores(self.infer(x)?.log_probabilities().mapv(|a| (0.3 * a).max(-1.5)))
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

fn em(x: &dyn RowSource, covariance: CovarianceType, iterations: usize, from: Option<&GaussianMixture>) -> Result<Fitted<GaussianMixture>> {
    let start = match from {
        Some(model) => Start::Parameters(model.clone()),
        None => Start::Responsibilities(start(&missing(x), 3)?),
    };
    let stopping = Stopping { max_iterations: iterations, tolerance: 0.0 };
    GmmEm { components: 3, covariance, start, stopping, ..Default::default() }.fit(x, 1)
}

macro_rules! of_type {
    ($name:ident, $type:expr) => {
        mod $name {
            use super::*;
            model_laws!(em(&table(300, 4), $type, 8, None).unwrap().model, table(60, 4));
            // fifteen iterations amplify the rounding of sums in another order
            em_laws!(|x: &dyn RowSource, n, from| em(x, $type, n, from), table(400, 4), 1e-9);

            mod with_missing_entries {
                use super::*;
                // as above
                em_laws!(|x: &dyn RowSource, n, from| em(&missing(x), $type, n, from), holed(300, 4), 1e-9);
            }

            #[test]
            fn restarts_restart() {
                let x = table(200, 4);
                let em = GmmEm { components: 6, covariance: $type, restarts: 4, ..Default::default() };
                estimation::restarts_restart(&em.fit(&x, 3).unwrap()).unwrap();
                estimation::restarts_restart(&em.fit(&x.mapv(|v| v as f32), 3).unwrap()).unwrap();
            }

            #[test]
            fn integrates_to_one_in_two_columns() {
                let x = table(200, 4).select(Axis(1), &[0, 1]);
                let model = em(&x, $type, 8, None).unwrap().model;
                density::integrates_to_one::<f64>(&model, &[0.0, 0.0], 32.0, 2049).unwrap();
                let narrow = em(&x.mapv(|v| v as f32), $type, 8, None).unwrap().model;
                density::integrates_to_one::<f32>(&narrow, &[0.0, 0.0], 32.0, 2049).unwrap();
            }

            #[test]
            fn draws_agree_with_evidence() {
                let x = table(200, 1);
                let model = em(&x, $type, 8, None).unwrap().model;
                density::draws_agree_with_evidence::<f64>(&model, 0.0, 32.0, &mut stream(5, Purpose::Sample, 9)).unwrap();
                let narrow = em(&x.mapv(|v| v as f32), $type, 8, None).unwrap().model;
                density::draws_agree_with_evidence::<f32>(&narrow, 0.0, 32.0, &mut stream(5, Purpose::Sample, 10)).unwrap();
            }
        }
    };
}

of_type!(full, CovarianceType::Full);
of_type!(tied, CovarianceType::Tied);
of_type!(diagonal, CovarianceType::Diagonal);
of_type!(spherical, CovarianceType::Spherical);
