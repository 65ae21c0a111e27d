//! A trained linear autoencoder beside probabilistic PCA.

use super::trained::Linear;
use crate::check::{Source, Tolerance};
use crate::suite::{Group, Outcome};
use lvm_core::model::{Evidence, Infer};
use lvm_core::ppca::Ppca;
use ndarray::{Array1, Array2, ArrayView1, Axis};

/// Both, on the same rows.
pub(super) struct Comparison<'a> {
    /// (N, D).
    pub(super) x: &'a Array2<f64>,
    /// The closed form.
    pub(super) ppca: &'a Ppca,
    /// What was trained.
    pub(super) linear: &'a Linear,
    /// Its bound, nats a row.
    pub(super) elbo: f64,
}

impl Comparison<'_> {
    /// Everything that must agree; single directions only where q is diagonal.
    pub(super) fn all(&self, g: &mut Group<'_>, diagonal: bool) -> Outcome {
        if diagonal {
            self.directions(g);
        }
        let angle = subspace_angle(self.ppca.loadings(), &self.linear.w);
        g.bounded(
            "angle between the space of the decoder and that of PPCA",
            Source::E,
            angle,
            &Tolerance::absolute(1e-2, "the catalogue's 1e-2 radians: the evidence is flat of second order at its maximum"),
        );
        self.parameters(g);
        self.posterior(g)
    }

    /// Columns are principal directions, and their squared lengths are λ − σ².
    fn directions(&self, g: &mut Group<'_>) {
        let length = |c: &ArrayView1<'_, f64>| c.dot(c).sqrt();
        for (l, axis) in self.ppca.loadings().columns().into_iter().enumerate() {
            let cosine = |c: &ArrayView1<'_, f64>| (c.dot(&axis) / (length(c) * length(&axis))).abs();
            let columns = self.linear.w.columns().into_iter();
            let Some(nearest) = columns.max_by(|a, b| cosine(a).total_cmp(&cosine(b))) else { continue };
            let found = cosine(&nearest);
            g.holds(
                format!("a decoder column along principal direction {l}"),
                format!("|cos| = {found:.7}"),
                "|cos| > 0.999",
                found > 0.999,
                "Lucas et al. 2019, §4",
            );
            let ratio = nearest.dot(&nearest) / axis.dot(&axis);
            g.scalar(
                format!("its squared length over λ − σ², direction {l}"),
                Source::E,
                ratio,
                1.0,
                &Tolerance::absolute(3e-2, "the root of 1e-3 nats a row: the evidence is flat of second order at its maximum"),
            );
        }
    }

    /// What rotations leave alone.
    fn parameters(&self, g: &mut Group<'_>) {
        let axes = self.ppca.loadings();
        // The likelihood is flat of second order at its maximum: 1e-3 nats a row leave √1e-3 of relative error in a parameter, over its curvature.
        let root = Tolerance::absolute(3e-2, "the root of 1e-3 nats a row: the evidence is flat of second order at its maximum");
        g.scalar("sigma^2 over that of PPCA", Source::E, self.linear.sigma2 / self.ppca.noise_variance(), 1.0, &root);
        let (ours, truth) = (self.linear.w.dot(&self.linear.w.t()), axes.dot(&axes.t()));
        g.array_norm("W W'", Source::E, &ours, &truth, &Tolerance::relative(3e-2, root.reason.clone()));
    }

    /// q against the posterior of the trained parameters themselves: log p(x) − ELBO is the KL of q to it, mean of the rows.
    fn posterior(&self, g: &mut Group<'_>) -> Outcome {
        let Linear { w, mu, sigma2, mean, covariance } = self.linear;
        let trained = Ppca::new(mu.clone(), w.clone(), *sigma2)?;
        let evidence = trained.log_evidence(self.x)?.mean().ok_or("no rows".to_owned())?;
        let kl = Tolerance::absolute(1e-3, "a part of the gap to the evidence of PPCA, both parts of which are positive: 1e-3 nats a row");
        g.bounded("KL of q to the exact posterior, mean of the rows", Source::E, evidence - self.elbo, &kl);
        let posterior = trained.infer(self.x)?;
        let exact = posterior.covariance(0);
        let sd = exact.diag().mapv(f64::sqrt);
        let off = (mean - posterior.mean()) / &sd;
        let worst = off.columns().into_iter().map(|c| (c.dot(&c) / c.len() as f64).sqrt()).fold(0.0, f64::max);
        // KL ≥ ½ (Δm/s)² in every direction, and for variances KL ≥ ¼ (Δs²/s²)² to lowest order: 1e-3 nats
        g.bounded(
            "means of q less posterior means, in posterior sds, root mean square",
            Source::E,
            worst,
            &Tolerance::absolute(0.045, "√(2 · 1e-3): KL ≥ ½ (Δm/s)²"),
        );
        let scale = sd.view().insert_axis(Axis(1)).dot(&sd.view().insert_axis(Axis(0)));
        let off = (0..covariance.len_of(Axis(0))).map(|row| {
            let difference = (&covariance.index_axis(Axis(0), row) - &exact) / &scale;
            difference.mapv(f64::abs).fold(0.0, |m: f64, v| m.max(*v))
        });
        g.bounded(
            "covariances of q less those of the posterior, over products of posterior sds, the worst entry of any row",
            Source::E,
            off.fold(0.0, f64::max),
            &Tolerance::absolute(0.1, "2 √(1e-3), KL ≥ ¼ (Δs²/s²)², and half as much again for the worst row"),
        );
        Ok(())
    }
}

/// At least the largest angle between the spaces of the columns: the root of Σ_l ‖u_l − P u_l‖², u_l the unit columns of `truth`, P the
/// projection on those of `ours`.
fn subspace_angle(truth: &Array2<f64>, ours: &Array2<f64>) -> f64 {
    // Gram-Schmidt, twice is enough
    let mut basis: Vec<Array1<f64>> = Vec::new();
    let without = |v: Array1<f64>, basis: &[Array1<f64>]| basis.iter().fold(v, |v, b| &v - &(b * b.dot(&v)));
    for column in ours.columns() {
        let v = without(without(column.to_owned(), &basis), &basis);
        let length = v.dot(&v).sqrt();
        basis.push(v / length);
    }
    let residual = |u: Array1<f64>| {
        let length = u.dot(&u).sqrt();
        let r = without(u / length, &basis);
        r.dot(&r)
    };
    truth.columns().into_iter().map(|u| residual(u.to_owned())).sum::<f64>().sqrt()
}
