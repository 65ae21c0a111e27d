//! The laws over discrete latents hold on a right mixture and fail on one broken in the way the law is about.

use lvm_core::model::{Evidence, Infer, LatentDist, LatentModel, MapLatent};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::RowSource;
use lvm_core::sweep::{check_shape, map_rows};
use lvm_core::{ErrorKind, Result};
use lvm_testkit::{bound, calibration, density};
use ndarray::{Array1, Array2};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// What is wrong with the model.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    None,
    /// The evidence is that of components of equal weight.
    EvidenceForgetsWeights,
    /// The posterior is a softmax of the likelihoods.
    PosteriorForgetsWeights,
    /// The posterior's probabilities are squared and normalised: too sure.
    PosteriorTooSure,
    /// The MAP latent is the nearest mean.
    MapForgetsWeights,
    /// Components are drawn with the weights exchanged.
    DrawsExchanged,
    /// Rows are drawn from the other component.
    RowsExchanged,
    /// Probabilities of the posterior are looked up with the components exchanged.
    LabelsExchanged,
}

/// Weights of the components.
const WEIGHTS: [f64; 2] = [0.85, 0.15];

/// z is 0 or 1 with these weights, x | z ~ N(2 z, 1).
struct Coin(Fault);

/// log p(z_n = k | x_n), (N, 2).
struct CoinPosterior {
    log_probabilities: Array2<f64>,
    exchanged: bool,
}

fn log_likelihood(x: f64, k: usize) -> f64 {
    -0.5 * ((x - 2.0 * k as f64).powi(2) + (2.0 * std::f64::consts::PI).ln())
}

fn log_sum(a: f64, b: f64) -> f64 {
    a.max(b) + (-(a - b).abs()).exp().ln_1p()
}

fn column(x: &dyn RowSource) -> Result<Array1<f64>> {
    check_shape(x, Some(1))?;
    let cells = map_rows(
        x,
        1,
        || (),
        |(), block, mut out| {
            out.column_mut(0).assign(&block.x().column(0));
            Ok(())
        },
    )?;
    Ok(cells.column(0).to_owned())
}

impl LatentModel for Coin {
    type Z = Array1<usize>;
    fn dim(&self) -> usize {
        1
    }
    fn n_parameters(&self) -> usize {
        0
    }
    fn sample_z(&self, n: usize, rng: &mut dyn Rng) -> Array1<usize> {
        let first = WEIGHTS[usize::from(self.0 == Fault::DrawsExchanged)];
        Array1::from_shape_simple_fn(n, || usize::from(rng.random::<f64>() >= first))
    }
    fn sample_x(&self, z: &Array1<usize>, rng: &mut dyn Rng) -> Result<Array2<f64>> {
        let place = |z: usize| if self.0 == Fault::RowsExchanged { 1 - z } else { z };
        Ok(z.mapv(|z| 2.0 * place(z) as f64 + rng.sample::<f64, _>(StandardNormal)).insert_axis(ndarray::Axis(1)))
    }
    fn log_joint(&self, x: &dyn RowSource, z: &Array1<usize>) -> Result<Array1<f64>> {
        Ok(column(x)?.iter().zip(z).map(|(x, z)| WEIGHTS[*z].ln() + log_likelihood(*x, *z)).collect())
    }
}

impl Evidence for Coin {
    fn log_evidence(&self, x: &dyn RowSource) -> Result<Array1<f64>> {
        let weights = if self.0 == Fault::EvidenceForgetsWeights { [0.5, 0.5] } else { WEIGHTS };
        Ok(column(x)?.mapv(|x| log_sum(weights[0].ln() + log_likelihood(x, 0), weights[1].ln() + log_likelihood(x, 1))))
    }
}

impl Infer for Coin {
    const EXACT: bool = true;
    type Q = CoinPosterior;
    fn infer(&self, x: &dyn RowSource) -> Result<CoinPosterior> {
        let weights = if self.0 == Fault::PosteriorForgetsWeights { [0.5, 0.5] } else { WEIGHTS };
        let power = if self.0 == Fault::PosteriorTooSure { 2.0 } else { 1.0 };
        let x = column(x)?;
        let log_joint = Array2::from_shape_fn((x.len(), 2), |(n, k)| power * (weights[k].ln() + log_likelihood(x[n], k)));
        let log_probabilities =
            Array2::from_shape_fn((x.len(), 2), |(n, k)| log_joint[[n, k]] - log_sum(log_joint[[n, 0]], log_joint[[n, 1]]));
        Ok(CoinPosterior { log_probabilities, exchanged: self.0 == Fault::LabelsExchanged })
    }
}

impl MapLatent for Coin {
    fn map_z(&self, x: &dyn RowSource) -> Result<Array1<usize>> {
        if self.0 == Fault::MapForgetsWeights {
            return Ok(column(x)?.mapv(|x| usize::from(x > 1.0)));
        }
        Ok(Coin(Fault::None).infer(x)?.mode())
    }
}

impl LatentDist for CoinPosterior {
    type Z = Array1<usize>;
    fn sample(&self, rng: &mut dyn Rng) -> Array1<usize> {
        self.log_probabilities.column(0).mapv(|first| usize::from(rng.random::<f64>() >= first.exp()))
    }
    fn log_prob(&self, z: &Array1<usize>) -> Result<Array1<f64>> {
        if z.len() != self.log_probabilities.nrows() {
            return Err(ErrorKind::Shape { what: "rows of z", expected: self.log_probabilities.nrows(), found: z.len() }.into());
        }
        let place = |z: usize| if self.exchanged { 1 - z } else { z };
        Ok(z.iter().enumerate().map(|(n, z)| self.log_probabilities[[n, place(*z)]]).collect())
    }
    fn mode(&self) -> Array1<usize> {
        self.log_probabilities.rows().into_iter().map(|p| usize::from(p[1] > p[0])).collect()
    }
}

fn data() -> Array2<f64> {
    Array2::from_shape_fn((60, 1), |(n, _)| 1.0 + 2.5 * (n as f64 * 0.7).sin())
}

/// The law holds on the right model and is broken by each of `faults`.
fn holds_but_for(law: impl Fn(&Coin) -> lvm_testkit::Verdict, faults: &[Fault]) {
    law(&Coin(Fault::None)).unwrap();
    for &fault in faults {
        assert!(law(&Coin(fault)).is_err(), "{fault:?} was not caught");
    }
}

#[test]
fn bayes_identity() {
    let law = |m: &Coin| density::bayes_identity(m, &data(), &mut stream(1, Purpose::Sample, 0));
    let faults = [Fault::EvidenceForgetsWeights, Fault::PosteriorForgetsWeights, Fault::PosteriorTooSure, Fault::LabelsExchanged];
    holds_but_for(law, &faults);
}

#[test]
fn map_is_the_mode() {
    let law = |m: &Coin| density::map_is_the_mode(m, &data(), &mut stream(1, Purpose::Sample, 1));
    holds_but_for(law, &[Fault::MapForgetsWeights]);
}

#[test]
fn posterior_is_calibrated() {
    let law = |m: &Coin| calibration::posterior_is_calibrated(m, &mut stream(1, Purpose::Sample, 2));
    let faults = [Fault::PosteriorForgetsWeights, Fault::PosteriorTooSure, Fault::DrawsExchanged, Fault::RowsExchanged];
    holds_but_for(law, &faults);
}

#[test]
fn draws_agree_with_evidence() {
    let law = |m: &Coin| density::draws_agree_with_evidence::<f64>(m, 0.0, 16.0, &mut stream(1, Purpose::Sample, 3));
    holds_but_for(law, &[Fault::EvidenceForgetsWeights, Fault::DrawsExchanged, Fault::RowsExchanged]);
}

#[test]
fn bounds() {
    let x = data();
    let model = Coin(Fault::None);
    let of = |fault: Fault| Coin(fault).infer(&x).unwrap();
    bound::exact_posterior_closes_the_bound(&model, &of(Fault::None), &x, 4).unwrap();
    assert!(bound::exact_posterior_closes_the_bound(&model, &of(Fault::PosteriorForgetsWeights), &x, 4).is_err());
    // a wrong q is below the evidence and comes nearer with more draws, as long as its own density is right
    bound::elbo_is_below_the_evidence(&model, &of(Fault::PosteriorForgetsWeights), &x, 5).unwrap();
    bound::importance_weighting_tightens(&model, &of(Fault::PosteriorForgetsWeights), &x, 6).unwrap();
    assert!(bound::elbo_is_below_the_evidence(&Coin(Fault::EvidenceForgetsWeights), &of(Fault::None), &x, 5).is_err());
    assert!(bound::elbo_is_below_the_evidence(&model, &of(Fault::LabelsExchanged), &x, 5).is_err());
}
