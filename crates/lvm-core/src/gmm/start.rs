//! Starting points: k-means++ and random rows.

mod kmeans;
mod sample;

use crate::error::Result;
use crate::fit::Passes;
use crate::gmm::columns::Columns;
use crate::gmm::covariance::{CovarianceType, Covariances};
use crate::gmm::em::GmmEm;
use crate::gmm::expectation::{Expectation, Rule};
use crate::gmm::floor::Floor;
use crate::gmm::maximisation::{Parameters, maximise};
use crate::gmm::mixture::GaussianMixture;
use crate::gmm::reseed::{pool, set};
use crate::random::{Purpose, stream};
use crate::rows::RowSource;
use ndarray::{Array1, Array2, Array3, Axis};
use sample::Sample;

/// Equal components at `centres` (K, D) with the variances of the columns: their most probable component is the nearest centre on
/// standardised columns, and a missing entry stands at its centre with the variance of its column.
pub(super) fn reference(columns: &Columns, centres: Array2<f64>) -> Result<GaussianMixture> {
    let k = centres.nrows();
    let variance = columns.variance.mapv(|v| if v > 0.0 { v } else { 1.0 });
    let variances = Array2::from_shape_fn(centres.raw_dim(), |(_, j)| variance[j]);
    GaussianMixture::new(Array1::from_elem(k, 1.0 / k as f64), centres, Covariances::Diagonal(variances))
}

/// Clusters by k-means, then a mixture from the clusters.
///
/// A cluster of few rows has a singular covariance, in which EM would be caught. So the covariance of a cluster counts with its N_k
/// rows and the average of all clusters with D + 2 more:
///
/// ```text
/// Σ_k = (N_k S_k + (D + 2) S̄) / (N_k + D + 2),   S̄ = Σ_k N_k S_k / N
/// ```
pub(super) fn kmeans(
    em: &GmmEm,
    data: &dyn RowSource,
    columns: &Columns,
    floor: &Floor,
    (seed, restart): (u64, u64),
    passes: &mut Passes<'_>,
) -> Result<Expectation> {
    let mut rng = stream(seed, Purpose::Start, restart);
    let k = em.components;
    let sample = Sample::draw(data, columns, k, &mut rng)?;
    passes.done()?;
    let centres = sample.to_data(&kmeans::centres(&sample, k, &mut rng, passes)?, columns);
    let clusters = Expectation { mixture: reference(columns, centres)?, rule: Rule::Hard };
    let statistics = clusters.gather(data, em.covariance, None, None)?;
    passes.done()?;
    let empty: Vec<usize> = (0..k).filter(|&k| statistics.counts[k] <= 0.0).collect();
    let settled = maximise(&statistics, clusters.mixture.means().view(), &empty, em.ridge, floor).settle(floor)?;
    let mut parameters = Parameters::of(&settled.mixture);
    let rows = statistics.counts.mapv(|n| n / columns.row_weight());
    let average = pool(&parameters.covariances, &parameters.weights);
    let extra = data.n_cols() as f64 + 2.0;
    for k in 0..k {
        let share = rows[k] / (rows[k] + extra);
        let own = blend(&parameters.covariances, k, &average, share);
        set(&mut parameters.covariances, k, &own);
    }
    // one row more for each, so that a centre without rows has a weight
    let weights = &rows + 1.0;
    parameters.weights = &weights / weights.sum();
    Ok(Expectation { mixture: parameters.mixture()?, rule: Rule::Posterior })
}

/// share · Σ_k + (1 − share) · average, as a covariance of one component.
fn blend(covariances: &Covariances, k: usize, average: &Covariances, share: f64) -> Covariances {
    match (covariances, average) {
        (Covariances::Full(c), Covariances::Full(a)) => Covariances::Full(share * &c.select(Axis(0), &[k]) + (1.0 - share) * a),
        (Covariances::Diagonal(c), Covariances::Diagonal(a)) => Covariances::Diagonal(share * &c.select(Axis(0), &[k]) + (1.0 - share) * a),
        (Covariances::Spherical(c), Covariances::Spherical(a)) => {
            Covariances::Spherical(share * &c.select(Axis(0), &[k]) + (1.0 - share) * a)
        }
        _ => average.clone(),
    }
}

/// Random distinct rows as means, the covariance of the table for all.
pub(super) fn random_rows(
    em: &GmmEm,
    data: &dyn RowSource,
    columns: &Columns,
    floor: &Floor,
    (seed, restart): (u64, u64),
    passes: &mut Passes<'_>,
) -> Result<Expectation> {
    let mut rng = stream(seed, Purpose::Start, restart);
    let (k, d) = (em.components, data.n_cols());
    let sample = Sample::draw(data, columns, k, &mut rng)?;
    passes.done()?;
    let means = sample.to_data(&sample.distinct_rows(k, &mut rng), columns);
    // the table as one component
    let whole = Expectation { mixture: reference(columns, columns.mean.clone().insert_axis(Axis(0)))?, rule: Rule::Hard };
    let statistics = whole.gather(data, em.covariance, None, None)?;
    passes.done()?;
    let settled = maximise(&statistics, whole.mixture.means().view(), &[], em.ridge, floor).settle(floor)?;
    let single = settled.mixture.covariances();
    let mut covariances = match em.covariance {
        CovarianceType::Full => Covariances::Full(Array3::zeros((k, d, d))),
        CovarianceType::Tied => single.clone(),
        CovarianceType::Diagonal => Covariances::Diagonal(Array2::zeros((k, d))),
        CovarianceType::Spherical => Covariances::Spherical(Array1::zeros(k)),
    };
    (0..k).for_each(|k| set(&mut covariances, k, single));
    let mixture = GaussianMixture::new(Array1::from_elem(k, 1.0 / k as f64), means, covariances)?;
    Ok(Expectation { mixture, rule: Rule::Posterior })
}
