//! Components that have lost their rows.

use crate::error::Result;
use crate::gmm::covariance::Covariances;
use crate::gmm::maximisation::Parameters;
use crate::gmm::mixture::GaussianMixture;
use crate::rows::RowSource;
use crate::special::log_sum_exp;
use crate::sweep::{Merge, Plan, sweep};
use ndarray::{Array1, Array2, Axis};

/// A row and how well it is explained.
struct Place {
    log_p: f64,
    row: usize,
    x: Vec<f64>,
}

/// The worst explained rows, worst first, no two with equal entries.
struct Worst {
    places: Vec<Place>,
    keep: usize,
    logs: Array2<f64>,
}

impl Worst {
    fn insert(&mut self, place: Place) {
        let at = self.places.partition_point(|p| p.log_p <= place.log_p);
        if at < self.keep && !self.places.iter().any(|p| p.x == place.x) {
            self.places.insert(at, place);
            self.places.truncate(self.keep);
        }
    }
}

impl Merge for Worst {
    fn merge(&mut self, other: Self) {
        other.places.into_iter().for_each(|p| self.insert(p));
    }
}

/// The `keep` rows of smallest log p(x), missing entries replaced by column means.
fn worst(mixture: &GaussianMixture, data: &dyn RowSource, mean: &Array1<f64>, keep: usize) -> Result<Vec<Place>> {
    let (k, d) = mixture.means().dim();
    let new = || Worst { places: Vec::new(), keep, logs: Array2::zeros((0, k)) };
    let found = sweep(data, Plan::new(d, 8 * keep * d), new, |worst, block| {
        if worst.logs.nrows() != block.n_rows() {
            worst.logs = Array2::zeros((block.n_rows(), k));
        }
        mixture.block_log_densities(block, worst.logs.view_mut())?;
        for i in 0..block.n_rows() {
            let log_p = log_sum_exp(worst.logs.row(i));
            if worst.places.len() < keep || worst.places.last().is_some_and(|p| log_p < p.log_p) {
                let x = (0..d).map(|j| block.column(j)[i]).enumerate().map(|(j, v)| if v.is_nan() { mean[j] } else { v }).collect();
                worst.insert(Place { log_p, row: block.row_number(i), x });
            }
        }
        Ok(())
    })?;
    Ok(found.places)
}

/// Puts the `dead` components at the rows the others explain worst, with weight 1/K and the pooled covariance of the
/// others; returns component and row of each.
pub(crate) fn reseed(parameters: &mut Parameters, dead: &[usize], data: &dyn RowSource, mean: &Array1<f64>) -> Result<Vec<(usize, usize)>> {
    let k = parameters.weights.len();
    let live: Vec<usize> = (0..k).filter(|k| !dead.contains(k)).collect();
    let weights = parameters.weights.select(Axis(0), &live);
    let weights = &weights / weights.sum();
    let covariances = match &parameters.covariances {
        Covariances::Full(c) => Covariances::Full(c.select(Axis(0), &live)),
        Covariances::Tied(c) => Covariances::Tied(c.clone()),
        Covariances::Diagonal(c) => Covariances::Diagonal(c.select(Axis(0), &live)),
        Covariances::Spherical(c) => Covariances::Spherical(c.select(Axis(0), &live)),
    };
    let others = GaussianMixture::new(weights.clone(), parameters.means.select(Axis(0), &live), covariances)?;
    let places = worst(&others, data, mean, dead.len())?;
    let share = 1.0 / k as f64;
    live.iter().zip(&weights).for_each(|(&k, w)| parameters.weights[k] = w * (1.0 - share * dead.len() as f64));
    let pooled = pool(others.covariances(), &weights);
    let mut seeded = Vec::with_capacity(dead.len());
    for (index, &k) in dead.iter().enumerate() {
        // fewer distinct rows than dead components: some share a place
        let place = &places[index % places.len()];
        parameters.weights[k] = share;
        parameters.means.row_mut(k).iter_mut().zip(&place.x).for_each(|(m, x)| *m = *x);
        set(&mut parameters.covariances, k, &pooled);
        seeded.push((k, place.row));
    }
    Ok(seeded)
}

/// Σ_k π_k Σ_k, as a covariance of one component.
pub(crate) fn pool(covariances: &Covariances, weights: &Array1<f64>) -> Covariances {
    let k = weights.len();
    match covariances {
        Covariances::Full(c) => {
            let flat = c.outer_iter().zip(weights).fold(Array2::zeros((c.dim().1, c.dim().2)), |sum, (c, w)| sum + *w * &c);
            Covariances::Full(flat.insert_axis(Axis(0)))
        }
        Covariances::Tied(c) => Covariances::Tied(c.clone()),
        Covariances::Diagonal(c) => {
            Covariances::Diagonal((0..k).fold(Array2::zeros((1, c.ncols())), |sum, k| sum + weights[k] * &c.row(k)))
        }
        Covariances::Spherical(c) => Covariances::Spherical(Array1::from_elem(1, c.dot(weights))),
    }
}

/// Gives component `k` the covariance of the one component of `single`.
pub(crate) fn set(covariances: &mut Covariances, k: usize, single: &Covariances) {
    match (covariances, single) {
        (Covariances::Full(c), Covariances::Full(s)) => c.index_axis_mut(Axis(0), k).assign(&s.index_axis(Axis(0), 0)),
        (Covariances::Diagonal(c), Covariances::Diagonal(s)) => c.row_mut(k).assign(&s.row(0)),
        (Covariances::Spherical(c), Covariances::Spherical(s)) => c[k] = s[0],
        // tied: it is everybody's
        _ => {}
    }
}

/// Leaves components that have been given up where `before` had them.
pub(crate) fn place_back(parameters: &mut Parameters, given_up: &[usize], before: &GaussianMixture) {
    for &k in given_up {
        parameters.means.row_mut(k).assign(&before.means().row(k));
        let single = match before.covariances() {
            Covariances::Full(c) => Covariances::Full(c.select(Axis(0), &[k])),
            Covariances::Tied(c) => Covariances::Tied(c.clone()),
            Covariances::Diagonal(c) => Covariances::Diagonal(c.select(Axis(0), &[k])),
            Covariances::Spherical(c) => Covariances::Spherical(c.select(Axis(0), &[k])),
        };
        set(&mut parameters.covariances, k, &single);
    }
}
