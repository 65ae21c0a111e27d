//! S1, S2, S6 and P6 on a Gaussian of two latents, where bound, gradient and divergences are known in closed form.

use crate::check::{Layer, Source, Tolerance};
use crate::stochastic::{Claim, Truth};
use crate::suite::{Group, Outcome, Suite};
use lvm_core::random::{Purpose, stream};
use lvm_vi::bound::{elbo, elbo_closed_entropy, iwae};
use lvm_vi::diagnose::{WeightedDraws, error_bounds};
use lvm_vi::estimator::{Control, Gradient, Memory};
use lvm_vi::expectation::GaussianTarget;
use lvm_vi::family::{Family, FullRank, MeanField, Variational, kl};
use lvm_vi::target::{LogDensity, TargetError};
use ndarray::{Array1, Array2, array};

/// The case of all these checks.
const CASE: &str = "two correlated latents";

/// All of them.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::S, "S1", CASE, bounds);
    suite.group(Layer::S, "S2", CASE, gradients);
    suite.group(Layer::S, "S6", CASE, importance);
    suite.group(Layer::P, "P6", CASE, divergence);
    suite.group(Layer::D, "D1", "draws of a bound", streams);
}

/// Λ = [[2, 0.6], [0.6, 1]], det 1.64, about (0.5, −1).
const PRECISION: [[f64; 2]; 2] = [[2.0, 0.6], [0.6, 1.0]];
const MEAN: [f64; 2] = [0.5, -1.0];

fn target() -> lvm_core::Result<GaussianTarget> {
    GaussianTarget::from_precision(Array1::from(MEAN.to_vec()), array![PRECISION[0], PRECISION[1]])
}

/// A q beside the target, not too far for draws: m, s and L.
const Q_MEAN: [f64; 2] = [0.7, -0.8];
const Q_SD: [f64; 2] = [0.6, 1.2];
const Q_FACTOR: [[f64; 2]; 2] = [[0.6, 0.0], [-0.3, 1.1]];

fn mean_field() -> lvm_core::Result<MeanField> {
    MeanField::new(&Q_MEAN, &Q_SD)
}

fn full_rank() -> lvm_core::Result<FullRank> {
    FullRank::from_factor(&Q_MEAN, array![Q_FACTOR[0], Q_FACTOR[1]].view())
}

/// E_q[log p] + H(q) written out for S = L Lᵀ: −½ [(m − μ)ᵀΛ(m − μ) + tr ΛS − 2 − log det Λ − log det S].
fn exact_elbo(l: [[f64; 2]; 2]) -> f64 {
    let (a, b) = (Q_MEAN[0] - MEAN[0], Q_MEAN[1] - MEAN[1]);
    let shift = 2.0 * a * a + 1.2 * a * b + b * b;
    let s = [l[0][0] * l[0][0], l[0][0] * l[1][0], l[1][0] * l[1][0] + l[1][1] * l[1][1]];
    let trace = 2.0 * s[0] + 1.2 * s[1] + s[2];
    -0.5 * (shift + trace - 2.0 - 1.64_f64.ln() - 2.0 * (l[0][0] * l[1][1]).ln())
}

const DIAGONAL: [[f64; 2]; 2] = [[Q_SD[0], 0.0], [0.0, Q_SD[1]]];

fn bounds(g: &mut Group<'_>) -> Outcome {
    let (p, diagonal, full) = (target()?, mean_field()?, full_rank()?);
    let rounding = Tolerance::rounding(12, 10.0);
    let whole = FullRank::new(&MEAN, (array![[1.0, -0.6], [-0.6, 2.0]] / 1.64).view())?;
    for (name, l, entropy) in [("mean field", DIAGONAL, diagonal.entropy()), ("full rank", Q_FACTOR, full.entropy())] {
        // d/2 log 2πe + log det L
        let exact = 1.0 + std::f64::consts::TAU.ln() + (l[0][0] * l[1][1]).ln();
        g.scalar(format!("{name}: entropy"), Source::E, entropy, exact, &rounding);
    }
    g.scalar("mean field: −KL", Source::E, -kl(&diagonal, &whole)?, exact_elbo(DIAGONAL), &rounding);
    g.scalar("full rank: −KL", Source::E, -kl(&full, &whole)?, exact_elbo(Q_FACTOR), &rounding);
    let n = 1000;
    let mut look = g.seed(0);
    let mut next = || {
        look = look.wrapping_add(1);
        look
    };
    // draws of ten at a time; the margin is that of R3 for d ≤ 5, tenfold: constants and factors forgotten are larger
    let (claim, reason) = (Claim::Equal(0.02), "ELBO of a Gaussian for a Gaussian, in closed form");
    let truth = |l| (Truth::from(exact_elbo(l)), Source::E);
    g.expectation("mean field: ELBO by draws", truth(DIAGONAL), claim, 20 * n, reason, |n| {
        (0..n).map(|_| Ok(elbo(&diagonal, &p, 10, next())?.mean)).collect()
    })?;
    g.expectation("full rank: ELBO by draws", truth(Q_FACTOR), claim, 20 * n, reason, |n| {
        (0..n).map(|_| Ok(elbo(&full, &p, 10, next())?.mean)).collect()
    })?;
    g.expectation("full rank: ELBO, entropy in closed form", truth(Q_FACTOR), claim, 20 * n, reason, |n| {
        (0..n).map(|_| Ok(elbo_closed_entropy(&full, &p, 10, next())?.mean)).collect()
    })
}

/// ∂ELBO/∂m = Λ(μ − m), ∂ELBO/∂L = L⁻ᵀ − ΛL below and on the diagonal, times L_ii for log L_ii.
fn exact_gradient(l: [[f64; 2]; 2]) -> (Vec<f64>, [[f64; 2]; 2]) {
    let (a, b) = (MEAN[0] - Q_MEAN[0], MEAN[1] - Q_MEAN[1]);
    let of_mean = vec![2.0 * a + 0.6 * b, 0.6 * a + b];
    let product = |i: usize, j: usize| PRECISION[i][0] * l[0][j] + PRECISION[i][1] * l[1][j];
    (of_mean, [[1.0 - product(0, 0) * l[0][0], 0.0], [-product(1, 0), 1.0 - product(1, 1) * l[1][1]]])
}

fn gradients(g: &mut Group<'_>) -> Outcome {
    let (mut diagonal, of_factor) = exact_gradient(DIAGONAL);
    diagonal.extend([of_factor[0][0], of_factor[1][1]]);
    let (mut full, of_factor) = exact_gradient(Q_FACTOR);
    full.extend([of_factor[0][0], of_factor[1][0], of_factor[1][1]]);
    let leave_one_out = Gradient::ScoreFunction { control: Control::LeaveOneOut };
    let estimators = [
        ("quadratic control", Gradient::QuadraticControl),
        ("pathwise, closed entropy", Gradient::PathwiseClosedEntropy),
        ("pathwise", Gradient::Pathwise),
        ("sticking the landing", Gradient::StickingTheLanding),
        ("score function", leave_one_out),
        ("importance of one particle", Gradient::Importance { particles: 1 }),
    ];
    for (name, estimator) in estimators {
        unbiased(g, &format!("mean field: {name}"), estimator, &mean_field()?, &diagonal)?;
        unbiased(g, &format!("full rank: {name}"), estimator, &full_rank()?, &full)?;
    }
    particles(g)
}

/// The mean of estimates of four draws is the exact gradient.
fn unbiased<F: Family>(g: &mut Group<'_>, name: &str, estimator: Gradient, q: &F, exact: &[f64]) -> Outcome {
    let p = target()?;
    let mut rng = stream(g.seed(name.bytes().map(u64::from).sum()), Purpose::Diagnosis, 0);
    let mut memory = Memory::default();
    let draw = |n: usize| {
        let mut out = Array2::zeros((n, exact.len()));
        for mut row in out.rows_mut() {
            let mut gradient = vec![0.0; exact.len()];
            estimator.estimate(q, &p, 4, &mut memory, &mut rng, &mut gradient)?;
            row.assign(&Array1::from(gradient));
        }
        Ok(out)
    };
    let reason = "VERIFY S2: the exact gradient of the ELBO; a term left out is of order 1";
    g.unbiased(name, (&Array1::from(exact.to_vec()), Source::E), (0.2, 1e-12), 3000, reason, draw)
}

/// The doubly reparameterised gradient of IWAE_k against differences of the bound itself at common random numbers, every coordinate of λ
/// in both families, k = 2, 4, 8.
fn particles(g: &mut Group<'_>) -> Outcome {
    for (index, (word, k)) in [("two", 2), ("four", 4), ("eight", 8)].into_iter().enumerate() {
        if g.quick && k != 4 {
            continue;
        }
        by_differences(g, &format!("{word} particles, mean field"), k, &mean_field()?, 2 * index as u64)?;
        if !g.quick {
            by_differences(g, &format!("{word} particles, full rank"), k, &full_rank()?, 2 * index as u64 + 1)?;
        }
    }
    Ok(())
}

fn by_differences<F: Family>(g: &mut Group<'_>, name: &str, k: usize, q: &F, index: u64) -> Outcome {
    let (p, h) = (target()?, 1e-3);
    let seed = g.seed(77 + index);
    let (mut rng, mut look) = (stream(seed, Purpose::Diagnosis, 1), 0);
    let width = q.parameters().len();
    let moved = |coordinate: usize, by: f64| {
        let mut parameters = q.parameters().to_vec();
        parameters[coordinate] += by;
        q.with_parameters(&parameters)
    };
    let both = (0..width).map(|i| Ok((moved(i, h)?, moved(i, -h)?))).collect::<lvm_core::Result<Vec<_>>>()?;
    let reason = "the gradient of IWAE_k by central differences at common random numbers, error O(h²)";
    let (margin, n) = if g.quick { (0.15, 400) } else { (0.05, 1500) };
    g.unbiased(
        format!("{name}: gradient less differences of the bound"),
        (&Array1::zeros(width), Source::I),
        (margin, 1e-5),
        n,
        reason,
        |n| {
            let mut out = Array2::zeros((n, width));
            for mut row in out.rows_mut() {
                look += 1;
                let mut gradient = vec![0.0; width];
                Gradient::Importance { particles: k }.estimate(q, &p, 25, &mut Memory::default(), &mut rng, &mut gradient)?;
                for (i, (above, below)) in both.iter().enumerate() {
                    let bound = |q: &F| iwae(q, &p, k, 25, seed.wrapping_add(look));
                    row[i] = gradient[i] - (bound(above)?.mean - bound(below)?.mean) / (2.0 * h);
                }
            }
            Ok(out)
        },
    )
}

/// S6: IWAE_k rises from the ELBO to the log evidence, here 0.
fn importance(g: &mut Group<'_>) -> Outcome {
    // w = p/q with p = N(0, 1), q = N(½, 1): KL 1/8, Var w = e^{1/4} − 1, and IWAE_k = −Var(w)/2k + O(1/k²)
    let p = GaussianTarget::from_precision(array![0.0], array![[1.0]])?;
    let q = MeanField::new(&[0.5], &[1.0])?;
    let seed = g.seed(0);
    let mut look = 0;
    let mut of = |k: usize, n: usize| {
        (0..n)
            .map(|_| {
                look += 1;
                Ok(iwae(&q, &p, k, 16, seed.wrapping_add(look))?.mean)
            })
            .collect()
    };
    let first_order = -0.5 * 0.25_f64.exp_m1() / 64.0;
    g.expectation("IWAE_1", (Truth::from(-0.125), Source::E), Claim::Equal(0.02), 1000, "−KL(q ‖ p)", |n| of(1, n))?;
    let truth = (Truth::from(first_order), Source::E);
    g.expectation("IWAE_64", truth, Claim::Within(0.01), 400, "−Var(w)/2k, the next term is of order k⁻²", |n| of(64, n))
}

/// P6: D₂(p ‖ q) of two normals, and the bounds it gives, which hold and are not far from the truth.
fn divergence(g: &mut Group<'_>) -> Outcome {
    let (m, t) = (0.3, 0.8_f64);
    let p = GaussianTarget::from_precision(array![m], array![[1.0 / (t * t)]])?;
    let q = MeanField::standard(1)?;
    // log ∫ p²/q
    let v = 2.0 - t * t;
    let exact = -(t * v.sqrt()).ln() + m * m / v;
    let seed = g.seed(0);
    let mut look = 0;
    let reason = "D₂(N(m, t²) ‖ N(0, 1)) = −log t√(2 − t²) + m²/(2 − t²); its estimate is off by O(1/S)";
    g.expectation("D₂ by weighted draws", (Truth::from(exact), Source::E), Claim::Within(0.01), 200, reason, |n| {
        (0..n)
            .map(|_| {
                look += 1;
                Ok(WeightedDraws::new(&q, &p, 2000, seed.wrapping_add(look))?.renyi_2())
            })
            .collect()
    })?;
    let bounds = error_bounds(&q, exact);
    let one = Tolerance::absolute(1.0, "an inequality: error over bound is at most 1");
    g.bounded("error of the mean over its bound", Source::E, m / bounds.mean[0], &one);
    g.bounded("error of the sd over its bound", Source::E, (1.0 - t) / bounds.standard_deviation[0], &one);
    // a target that is no number above 0: half of all weights are zero
    let half = WeightedDraws::new(&q, &BelowZero, 2000, seed)?;
    let positive = (0..half.len()).filter(|&s| half.z[[s, 0]] > 0.0).count();
    let zero = half.log_weights.iter().filter(|w| **w == f64::NEG_INFINITY).count();
    g.scalar("weights of zero where the density is no number", Source::I, zero as f64, positive as f64, &Tolerance::exact("a count"));
    Ok(())
}

/// N(0, 1), and NaN above 0.
struct BelowZero;

impl LogDensity for BelowZero {
    fn dim(&self) -> usize {
        1
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        Ok(if z[0] > 0.0 { f64::NAN } else { -0.5 * z[0] * z[0] })
    }
}

/// D1: no two draws of a run are alike: a stream shared by blocks, chunks or threads repeats itself.
fn streams(g: &mut Group<'_>) -> Outcome {
    let (p, q) = (target()?, mean_field()?);
    let mut distinct = |what: &str, values: &[f64]| {
        let mut bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
        bits.sort_unstable();
        bits.dedup();
        let t = Tolerance::exact("two draws of 53 random bits agree with probability 1e-10");
        g.scalar(format!("{what}: different draws"), Source::I, bits.len() as f64, values.len() as f64, &t);
    };
    distinct("log weights of a bound", &lvm_vi::bound::log_weights(&q, &p, 1000, 1)?.values);
    distinct("weighted draws", &WeightedDraws::new(&q, &p, 1000, 1)?.log_weights);
    let order = lvm_vi::cavi::minibatch::Minibatches::new(1000, 100, 1)?;
    let epochs: Vec<Vec<usize>> = (0..20).map(|epoch| order.rows(epoch, 0)).collect();
    let repeated = (0..20).flat_map(|i| (0..i).map(move |j| (i, j))).filter(|&(i, j)| epochs[i] == epochs[j]).count();
    g.scalar("epochs in the same order", Source::I, repeated as f64, 0.0, &Tolerance::exact("one in 10^140 orders"));
    Ok(())
}
