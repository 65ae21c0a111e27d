//! L3: constrained parameters: there and back, log |J| against a numerical determinant, gradients pulled back, limits, densities that
//! integrate to one.

use crate::check::{Layer, Source, Tolerance};
use crate::suite::{Group, Outcome, Suite};
use lvm_vi::bijection::{
    Bijection, Blocks, Constrained, CorrelationFactor, CovarianceFactor, Identity, Interval, Ordered, Positive, Simplex,
};
use lvm_vi::check::derivative;
use lvm_vi::target::{Batch, DataLogDensity, FullData, LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2};
use std::convert::Infallible;

/// A bijection with the entries of x that are free.
type Named = (&'static str, Box<dyn Bijection>, Vec<usize>);

fn named(name: &'static str, b: impl Bijection + 'static, free: &[usize]) -> Named {
    (name, Box::new(b), free.to_vec())
}

fn all_bijections() -> lvm_core::Result<Vec<Named>> {
    let blocks = Blocks::new(vec![Box::new(Identity(1)), Box::new(Simplex::new(3)?), Box::new(Positive::exp(1))]);
    Ok(vec![
        named("identity", Identity(2), &[0, 1]),
        named("positive by exp", Positive::exp(3), &[0, 1, 2]),
        named("positive by softplus", Positive::softplus(3), &[0, 1, 2]),
        named("unit interval", Interval::unit(2), &[0, 1]),
        named("interval", Interval::new(2, -3.0, 0.5)?, &[0, 1]),
        named("simplex", Simplex::new(4)?, &[0, 1, 2]),
        named("ordered", Ordered(4), &[0, 1, 2, 3]),
        named("covariance factor", CovarianceFactor { d: 3 }, &[0, 1, 2, 3, 4, 5]),
        named("correlation factor", CorrelationFactor { d: 3 }, &[1, 3, 4]),
        named("blocks", blocks, &[0, 1, 2, 4]),
    ])
}

/// All of L3.
pub fn all(suite: &mut Suite<'_>) {
    match all_bijections() {
        Err(e) => suite.group(Layer::L, "L3", "transforms", |_| Err(e.into())),
        Ok(bijections) => {
            for (name, b, free) in &bijections {
                suite.group(Layer::L, "L3", &format!("transform: {name}"), |g| transform(g, b.as_ref(), free));
            }
        }
    }
    suite.group(Layer::L, "L3", "transform: uniform weights", uniform);
    suite.group(Layer::L, "L3", "densities of constrained parameters", densities);
}

fn constrain(b: &dyn Bijection, u: &[f64]) -> (Vec<f64>, f64) {
    let mut x = vec![f64::NAN; b.constrained_dim()];
    let log_jacobian = b.constrain(u, &mut x);
    (x, log_jacobian)
}

/// The derivative of `f` in entry j of u.
fn slope(f: impl Fn(&[f64]) -> f64, u: &[f64], j: usize) -> f64 {
    let along = |t: f64| {
        let mut u = u.to_vec();
        u[j] += t;
        Ok::<f64, Infallible>(f(&u))
    };
    derivative(along, 0.25).map_or(f64::NAN, |d| d.value)
}

/// log |det|, by elimination with row exchanges.
fn log_abs_det(mut a: Array2<f64>) -> f64 {
    let n = a.nrows();
    let mut sum = 0.0;
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| a[[i, k]].abs().total_cmp(&a[[j, k]].abs())).unwrap_or(k);
        (0..n).for_each(|j| a.swap([k, j], [pivot, j]));
        sum += a[[k, k]].abs().ln();
        for i in k + 1..n {
            let factor = a[[i, k]] / a[[k, k]];
            for j in k..n {
                let above = a[[k, j]];
                a[[i, j]] -= factor * above;
            }
        }
    }
    sum
}

fn transform(g: &mut Group<'_>, b: &dyn Bijection, free: &[usize]) -> Outcome {
    let m = b.unconstrained_dim();
    let point = |scale: f64| -> Vec<f64> { (0..m).map(|i| scale * (1.7 * i as f64 + 0.4).sin()).collect() };
    for scale in [0.0, 0.3, 1.3, 2.5] {
        let u = point(scale);
        let (x, log_jacobian) = constrain(b, &u);
        let mut back = vec![f64::NAN; m];
        b.unconstrain(&x, &mut back)?;
        let t = Tolerance::absolute(1e-12, "VERIFY L3: 1e-12");
        g.array(format!("u → x → u at scale {scale}"), Source::I, &Array1::from(back), &Array1::from(u.clone()), &t);
        let jacobian = Array2::from_shape_fn((m, m), |(i, j)| slope(|u| constrain(b, u).0[free[i]], &u, j));
        let t = Tolerance::absolute(1e-7, "derivatives by extrapolated differences are good to 1e-9, a determinant of six rows to 1e-8");
        g.scalar(format!("log |J| at scale {scale}"), Source::I, log_jacobian, log_abs_det(jacobian), &t);
        let along: Vec<f64> = (0..x.len()).map(|i| (2.3 * i as f64 + 1.0).cos()).collect();
        for weight in [0.0, 1.0] {
            let mut pulled = vec![f64::NAN; m];
            b.pull_back(&u, &x, &along, weight, &mut pulled);
            let value = |u: &[f64]| {
                let (x, log_jacobian) = constrain(b, u);
                x.iter().zip(&along).map(|(x, g)| x * g).sum::<f64>() + weight * log_jacobian
            };
            let numeric = Array1::from_shape_fn(m, |j| slope(value, &u, j));
            let t = Tolerance::both(1e-7, 1e-7, "extrapolated differences are good to 1e-9");
            g.array(format!("gradient with {weight} log |J| at scale {scale}"), Source::I, &Array1::from(pulled), &numeric, &t);
        }
    }
    let finite = [-700.0, 700.0].iter().all(|&u| {
        let (x, log_jacobian) = constrain(b, &vec![u; m]);
        log_jacobian.is_finite() && x.iter().all(|x| x.is_finite())
    });
    g.holds("u = ±700 in every entry", if finite { "finite" } else { "not finite" }, "finite", finite, "VERIFY L3: no inf");
    Ok(())
}

/// u = 0 is the centre of the simplex, whatever K: a stick broken in the wrong order has it elsewhere.
fn uniform(g: &mut Group<'_>) -> Outcome {
    for k in [2, 3, 7] {
        let (x, _) = constrain(&Simplex::new(k)?, &vec![0.0; k - 1]);
        let t = Tolerance::rounding(k, 1.0);
        g.array(format!("u = 0 of {k} weights"), Source::E, &Array1::from(x), &Array1::from_elem(k, 1.0 / k as f64), &t);
    }
    Ok(())
}

/// λ ~ Exponential(1), x_n ~ Exponential(λ), of λ > 0.
struct Exponential(Vec<f64>);

impl LogDensity for Exponential {
    fn dim(&self) -> usize {
        1
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        FullData::new(self).log_density(z)
    }
}

impl DataLogDensity for Exponential {
    fn dim(&self) -> usize {
        1
    }
    fn n_data(&self) -> usize {
        self.0.len()
    }
    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        gradient[0] = -1.0;
        Ok(-z[0])
    }
    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        gradient[0] = rows.iter().map(|&n| 1.0 / z[0] - self.0[n]).sum();
        Ok(rows.iter().map(|&n| z[0].ln() - z[0] * self.0[n]).sum())
    }
}

/// The density of u = log λ integrates to the evidence ∫ λⁿ e^{−λ(1 + Σx)} dλ = n!/(1 + Σx)^{n+1}; the Jacobian is counted once however
/// many batches there are.
fn densities(g: &mut Group<'_>) -> Outcome {
    let data = vec![0.5, 1.5, 0.25];
    let exact = 6.0_f64.ln() - 4.0 * (1.0 + data.iter().sum::<f64>()).ln();
    let target = Constrained::new(Exponential(data.clone()), Positive::exp(1))?;
    // the trapezoid rule on an analytic density that falls off at both ends is exact to rounding
    let step = 0.05;
    let sum = (-800..=800).map(|i| Ok(target.log_density(&[step * f64::from(i)])?.exp())).sum::<Result<f64, TargetError>>()?;
    let t = Tolerance::absolute(1e-12, "trapezoid rule of an analytic density: error e^(−2π·distance of the pole/step)");
    g.scalar("log ∫ of the density of log λ", Source::E, (sum * step).ln(), exact, &t);

    let target = Constrained::with_data(Exponential(data), Positive::exp(1))?;
    let u = [0.3];
    let mut whole = [f64::NAN];
    let value = FullData::new(&target).log_density_grad(&u, &mut whole)?;
    let (mut value_mean, mut mean) = (0.0, 0.0);
    for n in 0..3 {
        let mut gradient = [f64::NAN];
        value_mean += Batch::new(&target, &[n])?.log_density_grad(&u, &mut gradient)? / 3.0;
        mean += gradient[0] / 3.0;
    }
    let t = Tolerance::rounding(6, 10.0);
    g.scalar("batches of one row: mean log joint", Source::I, value_mean, value, &t);
    g.scalar("batches of one row: mean gradient", Source::I, mean, whole[0], &t);
    // d/du of −λ + n log λ − λ Σx + log λ
    let lambda = u[0].exp();
    g.scalar("gradient with its Jacobian", Source::E, whole[0], 4.0 - lambda * 3.25, &t);
    Ok(())
}
