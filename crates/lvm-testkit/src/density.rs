//! Laws between densities, and between densities and draws.

use crate::{Verdict, Violation, broken, compare, raised};
use lvm_core::model::{Evidence, Infer, LatentDist, LatentModel};
use lvm_core::rows::{Element, RowSource};
use ndarray::Array2;
use rand::Rng;

/// log p(x, z) − log p(z | x) = log p(x) for any z; here for z drawn from the posterior and from the prior.
///
/// The three are sums of at most a few D terms of their own size: `1e4 D eps` of the sum of magnitudes leaves room for factorisations of
/// condition up to about 1e3.
///
/// # Errors
/// The first row where it does not hold.
pub fn bayes_identity<M: Infer + Evidence>(model: &M, x: &dyn RowSource, rng: &mut dyn Rng) -> Verdict {
    const LAW: &str = "Bayes identity";
    let posterior = model.infer(x).map_err(raised(LAW))?;
    let evidence = model.log_evidence(x).map_err(raised(LAW))?;
    let unit = 1e4 * model.dim() as f64 * f64::EPSILON;
    for (from, z) in [("posterior draw", posterior.sample(rng)), ("prior draw", model.sample_z(x.n_rows(), rng))] {
        let joint = model.log_joint(x, &z).map_err(raised(LAW))?;
        let conditional = posterior.log_prob(&z).map_err(raised(LAW))?;
        let scale =
            1.0 + joint.iter().chain(&conditional).chain(&evidence).fold(0.0_f64, |m, v| if v.is_finite() { m.max(v.abs()) } else { m });
        // a component of zero posterior probability has −∞ on both sides
        let difference = joint.iter().zip(&conditional).zip(&evidence).map(|((j, c), e)| if j == c { 0.0 * e } else { j - c - e });
        compare(LAW, from, difference, vec![0.0; x.n_rows()], |_, _| unit * scale)?;
    }
    Ok(())
}

/// The posterior's mode is the MAP latent, and no draw has a higher joint density.
///
/// # Errors
/// The first row where it does not hold.
pub fn map_is_the_mode<M>(model: &M, x: &dyn RowSource, rng: &mut dyn Rng) -> Verdict
where
    M: Infer + lvm_core::model::MapLatent,
{
    const LAW: &str = "MAP is the mode of the joint";
    let map = model.map_z(x).map_err(raised(LAW))?;
    let posterior = model.infer(x).map_err(raised(LAW))?;
    let at_map = model.log_joint(x, &map).map_err(raised(LAW))?;
    let at_mode = model.log_joint(x, &posterior.mode()).map_err(raised(LAW))?;
    compare(LAW, "log joint at the MAP and at the mode", at_map.iter().copied(), at_mode, |a, _| 1e-9 * (1.0 + a.abs()))?;
    for _ in 0..20 {
        let at_draw = model.log_joint(x, &posterior.sample(rng)).map_err(raised(LAW))?;
        if let Some(n) = (0..x.n_rows()).find(|&n| at_draw[n] > at_map[n] + 1e-9 * (1.0 + at_map[n].abs())) {
            return Err(broken(LAW, format!("row {n}: a draw has log joint {} above the MAP's {}", at_draw[n], at_map[n])));
        }
    }
    Ok(())
}

/// ∫ p(x) dx = 1 for a model of one or two columns, by the trapezoid rule over `centre ± half_width` with `points` a side.
///
/// For densities that are smooth on the grid's scale and negligible at its edge the rule converges exponentially: 1e-8.
///
/// `E` is the number type of the grid; its points must be numbers of that type (for f32: a step and a centre with few binary digits).
///
/// # Errors
/// If the integral is not 1.
pub fn integrates_to_one<E: Element + Narrow>(model: &impl Evidence, centre: &[f64], half_width: f64, points: usize) -> Verdict {
    const LAW: &str = "densities integrate to 1";
    let d = model.dim();
    let step = 2.0 * half_width / (points - 1) as f64;
    let total = points.pow(d as u32);
    let grid = Array2::from_shape_fn((total, d), |(n, j)| centre[j] - half_width + (n / points.pow(j as u32) % points) as f64 * step);
    let log_p = model.log_evidence(&narrowed::<E>(LAW, &grid)?).map_err(raised(LAW))?;
    let integral = log_p.iter().map(|v| v.exp()).sum::<f64>() * step.powi(d as i32);
    compare(LAW, "integral", [integral], [1.0], |_, _| 1e-8)
}

/// Draws x ~ p(x) of a model of one column have the distribution function that log p(x) integrates to.
///
/// Dvoretzky–Kiefer–Wolfowitz: P(sup |F_n − F| > ε) ≤ 2 exp(−2 n ε²). With n = 200 000 a correct model fails with probability 1e-9 at
/// ε = 0.0073, to which the grid of 16 385 points adds at most 1e-4.
///
/// `E` as in [`integrates_to_one`].
///
/// # Errors
/// If the distribution functions differ.
pub fn draws_agree_with_evidence<E: Element + Narrow>(model: &impl Evidence, centre: f64, half_width: f64, rng: &mut dyn Rng) -> Verdict {
    const LAW: &str = "draws agree with the evidence";
    let n = 200_000;
    let z = model.sample_z(n, rng);
    let x = model.sample_x(&z, rng).map_err(raised(LAW))?;
    let mut draws: Vec<f64> = x.column(0).to_vec();
    draws.sort_by(f64::total_cmp);
    let points = 16_385;
    let step = 2.0 * half_width / (points - 1) as f64;
    let grid = Array2::from_shape_fn((points, 1), |(i, _)| centre - half_width + i as f64 * step);
    let p = model.log_evidence(&narrowed::<E>(LAW, &grid)?).map_err(raised(LAW))?.mapv(f64::exp);
    let mut cdf = 0.0;
    let mut worst = 0.0_f64;
    for i in 1..points {
        cdf += 0.5 * (p[i - 1] + p[i]) * step;
        let below = draws.partition_point(|v| *v <= grid[[i, 0]]) as f64 / n as f64;
        worst = worst.max((below - cdf).abs());
    }
    let limit = ((2.0_f64 / 1e-9).ln() / (2.0 * n as f64)).sqrt() + 1e-4;
    if worst <= limit { Ok(()) } else { Err(broken(LAW, format!("distribution functions differ by {worst:.4}, limit {limit:.4}"))) }
}

/// A number type that an f64 can be rounded to.
pub trait Narrow {
    /// The nearest number of this type.
    fn narrow(value: f64) -> Self;
}

impl Narrow for f32 {
    fn narrow(value: f64) -> f32 {
        value as f32
    }
}

impl Narrow for f64 {
    fn narrow(value: f64) -> f64 {
        value
    }
}

/// The same numbers as a table of `E`.
fn narrowed<E: Element + Narrow>(law: &'static str, grid: &Array2<f64>) -> Result<Array2<E>, Violation> {
    let table = grid.mapv(E::narrow);
    match grid.iter().zip(&table).find(|(wide, narrow)| narrow.widen() != **wide) {
        Some((wide, _)) => Err(broken(law, format!("grid point {wide} is rounded: choose a centre and a width of few binary digits"))),
        None => Ok(table),
    }
}

/// What is asked of a model is not changed: log p(x, z) of one row does not depend on the other rows, nor log p(x).
///
/// # Errors
/// The first row whose evidence depends on its neighbours.
pub fn rows_are_independent<M: Evidence, E: Element>(model: &M, x: &Array2<E>) -> Verdict {
    const LAW: &str = "the evidence of a row does not depend on other rows";
    let together = model.log_evidence(x).map_err(raised(LAW))?;
    for (n, row) in x.rows().into_iter().enumerate() {
        let alone = model.log_evidence(&row.insert_axis(ndarray::Axis(0))).map_err(raised(LAW))?;
        // the same sums in another blocking
        compare(LAW, &format!("row {n}"), [alone[0]], [together[n]], |a, _| 1e-12 * (1.0 + a.abs()))?;
    }
    Ok(())
}

/// The number of columns, the shape of draws and the refusal of a table of another width.
///
/// # Errors
/// What did not fit.
pub fn shapes_fit<M: LatentModel + Evidence>(model: &M, rng: &mut dyn Rng) -> Verdict {
    const LAW: &str = "shapes fit";
    let z = model.sample_z(5, rng);
    let x = model.sample_x(&z, rng).map_err(raised(LAW))?;
    if x.dim() != (5, model.dim()) {
        return Err(broken(LAW, format!("5 draws have shape {:?}", x.dim())));
    }
    if model.log_evidence(&Array2::<f64>::zeros((2, model.dim() + 1))).is_ok() {
        return Err(broken(LAW, "a table with a column too many was accepted"));
    }
    Ok(())
}
