//! Bijections: there and back, log-Jacobians against determinants, pulled-back gradients against differences, limits.

use crate::targets::differences;
use lvm_vi::bijection::{
    Bijection, Blocks, Constrained, CorrelationFactor, CovarianceFactor, Identity, Interval, Ordered, Positive, Simplex,
};
use lvm_vi::check;
use lvm_vi::target::{Batch, DataLogDensity, FullData, LogDensity, LogDensityGrad, TargetError};

/// Each bijection, with the entries of x that are free.
fn all() -> Vec<(Box<dyn Bijection>, Vec<usize>)> {
    fn whole(b: impl Bijection + 'static) -> (Box<dyn Bijection>, Vec<usize>) {
        let n = b.constrained_dim();
        (Box::new(b), (0..n).collect())
    }
    let blocks = Blocks::new(vec![Box::new(Identity(2)), Box::new(Simplex::new(3).unwrap()), Box::new(Positive::exp(1))]);
    vec![
        whole(Identity(2)),
        whole(Positive::exp(3)),
        whole(Positive::softplus(3)),
        whole(Interval::unit(3)),
        whole(Interval::new(2, -3.0, 0.5).unwrap()),
        (Box::new(Simplex::new(4).unwrap()), vec![0, 1, 2]),
        (Box::new(Simplex::new(2).unwrap()), vec![0]),
        whole(Ordered(4)),
        whole(CovarianceFactor { d: 3 }),
        (Box::new(CorrelationFactor { d: 4 }), vec![1, 3, 4, 6, 7, 8]),
        (Box::new(CorrelationFactor { d: 1 }), vec![]),
        (Box::new(blocks), vec![0, 1, 2, 3, 5]),
    ]
}

fn point(m: usize, scale: f64) -> Vec<f64> {
    (0..m).map(|i| scale * (1.7 * i as f64 + 0.4).sin()).collect()
}

fn constrain(b: &dyn Bijection, u: &[f64]) -> (Vec<f64>, f64) {
    let mut x = vec![f64::NAN; b.constrained_dim()];
    let log_jacobian = b.constrain(u, &mut x);
    (x, log_jacobian)
}

#[test]
fn there_and_back() {
    for (b, _) in all() {
        for scale in [0.0, 0.3, 1.0, 2.5] {
            let u = point(b.unconstrained_dim(), scale);
            let (x, _) = constrain(&*b, &u);
            let mut back = vec![f64::NAN; u.len()];
            b.unconstrain(&x, &mut back).unwrap();
            for (a, b) in u.iter().zip(&back) {
                assert!((a - b).abs() < 1e-12, "{u:?} {back:?}");
            }
        }
    }
}

#[test]
fn the_way_back_is_precise_wherever_x_is() {
    // x holds u to rounding where x is not near a border at distance of order 1 from 0
    for b in [Positive::exp(1), Positive::softplus(1)] {
        for u in [-600.0, -40.0, -1e-9, 3.0, 30.0, 600.0] {
            let (x, _) = constrain(&b, &[u]);
            let mut back = [0.0];
            b.unconstrain(&x, &mut back).unwrap();
            // e^u is rounded at 1e-16 relative, so u is known to 1e-16 and its own last place, 1e-13
            assert!((back[0] - u).abs() <= 1e-12, "{b:?} {u} {}", back[0]);
        }
    }
    let simplex = Simplex::new(3).unwrap();
    let u = [-200.0, 50.0];
    let mut back = [0.0; 2];
    simplex.unconstrain(&constrain(&simplex, &u).0, &mut back).unwrap();
    assert!(u.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-12));
}

/// log |det| by elimination with row exchanges.
fn log_abs_det(mut a: Vec<Vec<f64>>) -> f64 {
    let mut sum = 0.0;
    for k in 0..a.len() {
        let pivot = (k..a.len()).max_by(|&i, &j| a[i][k].abs().total_cmp(&a[j][k].abs())).unwrap();
        a.swap(k, pivot);
        sum += a[k][k].abs().ln();
        for i in k + 1..a.len() {
            let factor = a[i][k] / a[k][k];
            for j in k..a.len() {
                a[i][j] -= factor * a[k][j];
            }
        }
    }
    sum
}

#[test]
fn log_jacobians_meet_numerical_determinants() {
    for (b, free) in all() {
        for scale in [0.2, 1.3] {
            let u = point(b.unconstrained_dim(), scale);
            let rows: Vec<Vec<f64>> = free.iter().map(|&i| differences(|u| constrain(&*b, u).0[i], &u)).collect();
            let (_, log_jacobian) = constrain(&*b, &u);
            // derivatives good to 1e-9
            assert!((log_jacobian - log_abs_det(rows)).abs() < 1e-7, "{b:?}");
        }
    }
}

#[test]
fn gradients_are_pulled_back_with_that_of_the_jacobian() {
    for (b, _) in all() {
        let u = point(b.unconstrained_dim(), 0.9);
        let (x, _) = constrain(&*b, &u);
        let g: Vec<f64> = (0..x.len()).map(|i| (2.3 * i as f64 + 1.0).cos()).collect();
        for weight in [0.0, 1.0] {
            let mut pulled = vec![f64::NAN; u.len()];
            b.pull_back(&u, &x, &g, weight, &mut pulled);
            let along = |u: &[f64]| {
                let (x, log_jacobian) = constrain(&*b, u);
                x.iter().zip(&g).map(|(x, g)| x * g).sum::<f64>() + weight * log_jacobian
            };
            for (a, n) in pulled.iter().zip(differences(along, &u)) {
                assert!((a - n).abs() < 1e-8, "{b:?}: {a} {n}");
            }
        }
    }
}

#[test]
fn the_limits_are_finite_and_inside() {
    for (b, _) in all() {
        let m = b.unconstrained_dim();
        let extremes = (0..8).map(|k| (0..m).map(|i| if (k >> (i % 3)) & 1 == 0 { 700.0 } else { -700.0 }).collect::<Vec<f64>>());
        for u in extremes {
            let (x, log_jacobian) = constrain(&*b, &u);
            assert!(log_jacobian.is_finite() && x.iter().all(|x| x.is_finite()), "{b:?} {u:?} {x:?} {log_jacobian}");
            let mut pulled = vec![f64::NAN; m];
            b.pull_back(&u, &x, &vec![0.5; x.len()], 1.0, &mut pulled);
            assert!(pulled.iter().all(|g| g.is_finite()), "{b:?} {u:?} {pulled:?}");
        }
    }
    for u in [-700.0, 700.0] {
        let (x, _) = constrain(&Interval::unit(1), &[u]);
        assert!(x[0] > 0.0 && x[0] < 1.0 && x[0].ln().is_finite() && (-x[0]).ln_1p().is_finite());
        let (x, _) = constrain(&Interval::new(1, -2.0, 5.0).unwrap(), &[u]);
        assert!(x[0] > -2.0 && x[0] < 5.0);
        let (x, _) = constrain(&Simplex::new(3).unwrap(), &[u, -u]);
        assert!(x.iter().all(|x| *x > 0.0));
        let (x, _) = constrain(&Ordered(3), &[u, -u, -u]);
        assert!(x.windows(2).all(|w| w[0] < w[1]));
    }
}

#[test]
fn what_is_outside_is_refused_by_name() {
    let refuse = |b: &dyn Bijection, x: &[f64]| {
        let mut u = vec![0.0; b.unconstrained_dim()];
        b.unconstrain(x, &mut u).unwrap_err().to_string()
    };
    assert!(refuse(&Positive::exp(2), &[1.0, -1.0]).contains("entry 1 is -1"));
    assert!(refuse(&Positive::exp(2), &[1.0]).contains("expected 2, found 1"));
    assert!(refuse(&Interval::unit(1), &[1.0]).contains("between 0 and 1"));
    assert!(refuse(&Simplex::new(2).unwrap(), &[0.5, 0.4]).contains("sum to 0.9"));
    assert!(refuse(&Ordered(2), &[1.0, 1.0]).contains("above the entry before"));
    assert!(refuse(&CovarianceFactor { d: 1 }, &[0.0]).contains("diagonal"));
    assert!(refuse(&CorrelationFactor { d: 2 }, &[1.0, 0.5, 0.5]).contains("squared length 0.5"));
    assert!(Simplex::new(1).is_err() && Interval::new(1, 1.0, 1.0).is_err() && Interval::new(1, 0.0, f64::INFINITY).is_err());
}

#[test]
fn the_jacobian_of_a_covariance_meets_the_determinant() {
    let b = CovarianceFactor { d: 3 };
    let (l, _) = constrain(&b, &point(6, 0.8));
    let entry = |l: &[f64], i: usize, j: usize| (0..=j).map(|k| l[i * (i + 1) / 2 + k] * l[j * (j + 1) / 2 + k]).sum::<f64>();
    let places = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)];
    let rows = places.map(|(i, j)| differences(|l| entry(l, i, j), &l)).to_vec();
    assert!((b.log_jacobian_of_covariance(&l) - log_abs_det(rows)).abs() < 1e-7);
    let mut g = vec![0.0; 6];
    b.add_log_jacobian_of_covariance_grad(&l, &mut g);
    let numeric = differences(|l| b.log_jacobian_of_covariance(l), &l);
    assert!(g.iter().zip(&numeric).all(|(a, n)| (a - n).abs() < 1e-8));
}

/// n counts y ~ Poisson(x), x ~ Gamma(2, 1), with data in rows.
struct Rate(Vec<f64>);

impl DataLogDensity for Rate {
    fn dim(&self) -> usize {
        1
    }
    fn n_data(&self) -> usize {
        self.0.len()
    }
    fn log_prior_grad(&self, x: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        gradient[0] = 1.0 / x[0] - 1.0;
        Ok(x[0].ln() - x[0])
    }
    fn log_likelihood_grad(&self, rows: &[usize], x: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        gradient[0] = rows.iter().map(|&n| self.0[n] / x[0] - 1.0).sum();
        Ok(rows.iter().map(|&n| self.0[n] * x[0].ln() - x[0]).sum())
    }
}

#[test]
fn a_constrained_model_keeps_its_gradient_and_counts_the_jacobian_once() {
    let model = Constrained::with_data(Rate(vec![3.0, 1.0, 4.0, 1.0]), Positive::softplus(1)).unwrap();
    let (u, whole) = ([0.7], FullData::new(&model));
    assert!(check::gradient(&whole, &[u.to_vec(), vec![-2.0]]).unwrap().is_right());
    let mut exact = [0.0];
    let value = whole.log_density_grad(&u, &mut exact).unwrap();
    let (mut value_mean, mut gradient_mean) = (0.0, 0.0);
    for n in 0..4 {
        let mut g = [0.0];
        value_mean += Batch::new(&model, &[n]).unwrap().log_density_grad(&u, &mut g).unwrap() / 4.0;
        gradient_mean += g[0] / 4.0;
    }
    // sums of a dozen numbers of order 10
    assert!((value - value_mean).abs() < 1e-13 && (exact[0] - gradient_mean).abs() < 1e-13);
    assert!((model.unconstrain(&model.constrain(&u)).unwrap()[0] - 0.7).abs() < 1e-14);
    assert!(Constrained::with_data(Rate(vec![1.0]), Positive::exp(2)).is_err());
}

/// Gamma(a, b) in x.
struct GammaDensity(f64, f64);

impl LogDensity for GammaDensity {
    fn dim(&self) -> usize {
        1
    }
    fn log_density(&self, x: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(x, &mut [0.0])
    }
}

impl LogDensityGrad for GammaDensity {
    fn log_density_grad(&self, x: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let (a, b) = (self.0, self.1);
        gradient[0] = (a - 1.0) / x[0] - b;
        Ok(a * b.ln() - lvm_core::special::lgamma(a) + (a - 1.0) * x[0].ln() - b * x[0])
    }
}

#[test]
fn a_density_stays_normalised_and_its_best_gaussian_is_the_known_one() {
    let (a, b) = (3.5, 2.0);
    let target = Constrained::new(GammaDensity(a, b), Positive::exp(1)).unwrap();
    // trapezoid rule of a smooth density that vanishes at the ends: exact to rounding
    let sum: f64 = (-4000..4000).map(|i| 0.01 * target.log_density(&[0.01 * f64::from(i)]).unwrap().exp()).sum();
    assert!((sum - 1.0).abs() < 1e-12);
    assert!(check::gradient(&target, &[vec![0.3], vec![-1.0]]).unwrap().is_right());
    // q* = N(log(a/b) − 1/(2a), 1/a): E_q of the gradient vanishes, E_q of the second derivative is −a   (Bonnet, Price)
    let (m, s) = ((a / b).ln() - 0.5 / a, a.powf(-0.5));
    let grid = (-800..=800).map(|i| 0.01 * f64::from(i));
    let expected: f64 = grid
        .map(|e| {
            let mut g = [0.0];
            target.log_density_grad(&[m + s * e], &mut g).unwrap();
            g[0] * 0.01 * (-0.5 * e * e).exp() / std::f64::consts::TAU.sqrt()
        })
        .sum();
    assert!(expected.abs() < 1e-12, "{expected}");
}
