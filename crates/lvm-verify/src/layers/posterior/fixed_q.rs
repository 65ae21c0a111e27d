//! S1: the ELBO of a fixed q, by expectations in closed form or quadrature and by draws.

use super::{Reference, family, field};
use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::posterior::Posterior;
use crate::stochastic::{Claim, Truth};
use crate::suite::{Budget, Group, Outcome, Problem};
use lvm_core::linalg;
use lvm_vi::deterministic::{FixedPoint, Shape};
use lvm_vi::diagnose::WeightedDraws;
use lvm_vi::expectation::{Covariance, Expectation, GaussianExpectation};
use lvm_vi::family::{Family, FullRank, MeanField};
use ndarray::{Array1, Array2};

/// Numbers that draws of one look may read.
fn room(budget: Budget) -> f64 {
    match budget {
        Budget::Quick => 4e5,
        Budget::Full => 4e7,
        Budget::Nightly => 2e9,
    }
}

/// S1.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(super) fn bounds(g: &mut Group<'_>, case: &Case, model: &dyn Posterior) -> Outcome {
    let expectation = model.expectation()?;
    if let Some(fixed) = case.find("elbo_at_fixed_q") {
        for (i, q) in fixed.list()?.into_iter().enumerate() {
            let (mean, sd, truth) = (q.get("mean")?.vector()?, q.get("sd")?.vector()?, q.get("elbo")?.number()?);
            let covariance = Array2::from_diag(&sd.mapv(|s| s * s));
            let ours = FixedPoint::elbo(expectation.as_ref(), mean.view(), covariance.view())?;
            let t = Tolerance::relative(1e-10, "VERIFY S1: deterministic 1e-10");
            g.scalar(format!("ELBO of the fixed q {i}"), Source::E, ours, truth, &t);
            let q = MeanField::new(&mean.to_vec(), &sd.to_vec())?;
            by_draws(g, format!("ELBO of the fixed q {i} by draws"), &q, (model, expectation.as_ref()), truth)?;
        }
    }
    for shape in [Shape::Diagonal, Shape::Full] {
        if case.find(&format!("vi_optimum.{}", field(shape))).is_none() {
            continue;
        }
        let reference = Reference::of(case, shape)?;
        let ours = FixedPoint::elbo(expectation.as_ref(), reference.mean.view(), reference.covariance.view())?;
        g.scalar(format!("ELBO of the file's {} optimum", family(shape)), Source::Q, ours, reference.elbo, &reference.of_elbo());
        if g.budget == Budget::Quick && model.cost() > 3000 {
            continue;
        }
        let quantity = format!("ELBO of the file's {} optimum by draws", family(shape));
        let q = FullRank::new(&reference.mean.to_vec(), reference.covariance.view())?;
        by_draws(g, quantity, &q, (model, expectation.as_ref()), reference.elbo)?;
    }
    Ok(())
}

/// What log p − log q does to second order about the mean of q, less its expectation:
///
/// ```text
/// v(u) = gᵀ(u − m) + ½ (u − m)ᵀ H (u − m) − ½ tr HS + ½ (‖L⁻¹(u − m)‖² − d),   g = E_q[∇ log p], H = E_q[∇² log p]
/// ```
///
/// E_q\[v\] = 0 whatever g and H are, so that taking v from log p − log q leaves its mean as it is; what is left to vary is of third order.
struct Control {
    mean: Array1<f64>,
    gradient: Array1<f64>,
    hessian: Array2<f64>,
    trace: f64,
    inverse: Array2<f64>,
}

impl Control {
    fn of<F: Family>(q: &F, expectation: &dyn GaussianExpectation) -> Result<Control, Problem> {
        let (mean, covariance) = (q.mean(), q.covariance());
        let mut e = Expectation::zeros(mean.len());
        expectation.expectation(mean.view(), Covariance::Full(covariance.view()), &mut e)?;
        let l = linalg::cholesky(covariance.view()).map_err(|e| e.of("covariance of q"))?;
        let trace = (&e.hessian * &covariance).sum();
        Ok(Control { mean, gradient: e.gradient, hessian: e.hessian, trace, inverse: linalg::inverse_lower(l.view()) })
    }

    fn value(&self, u: ndarray::ArrayView1<'_, f64>) -> f64 {
        let away = &u - &self.mean;
        let noise = self.inverse.dot(&away);
        let quadratic = away.dot(&self.hessian.dot(&away)) - self.trace;
        self.gradient.dot(&away) + 0.5 * quadratic + 0.5 * (noise.dot(&noise) - away.len() as f64)
    }
}

fn by_draws<F: Family>(
    g: &mut Group<'_>,
    quantity: String,
    q: &F,
    (model, expectation): (&dyn Posterior, &dyn GaussianExpectation),
    truth: f64,
) -> Outcome {
    let seed = g.seed(quantity.bytes().map(u64::from).sum());
    let control = Control::of(q, expectation)?;
    let values = |n: usize, seed: u64| -> Result<Vec<f64>, Problem> {
        let draws = WeightedDraws::new(q, model, n, seed)?;
        Ok(draws.z.rows().into_iter().zip(&draws.log_weights).map(|(u, w)| w - control.value(u)).collect())
    };
    let room = (room(g.budget) / model.cost() as f64).clamp(500.0, 200_000.0) as usize;
    let pilot: crate::stochastic::Estimate = values(room.min(4000), seed)?.into_iter().collect();
    let spread = pilot.standard_error() * (pilot.draws as f64).sqrt();
    // R3: 0.01 nats, 0.001 in up to five dimensions; z + 4.75 standard errors must fit into it
    let asked = if q.dim() <= 5 { 0.001 } else { 0.01 };
    // a pilot of skewed values tells too small a spread as often as not
    let needed = 3.0 * (10.1 * spread / asked).powi(2);
    let n = (needed as usize).clamp(500, room);
    let seen = 2.0 * 10.1 * spread / (16.0 * n as f64).sqrt();
    let margin = seen.max(asked);
    let reason = match margin > asked {
        false => format!("mean of log p − log q less its second-order part; R3's margin of {asked} nats"),
        true => format!(
            "mean of log p − log q less its second-order part; R3 asks for {asked} nats, which takes {:.0e} draws: the {} that there is room for see {margin:.1e}",
            needed,
            16 * n
        ),
    };
    let mut looks = 0;
    let truth = (Truth { value: truth, error: 1e-9 * truth.abs() }, Source::Q);
    g.expectation(quantity, truth, Claim::Equal(margin), n, &reason, |n| {
        looks += 1;
        values(n, seed.wrapping_add(looks))
    })
}
