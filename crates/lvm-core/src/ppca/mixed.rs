//! The leading part of a spectrum by way of single precision, checked in double.
//!
//! 1. A pass in f32 makes S̃ ≈ S; mean and variances of the columns are summed in f64 in the same pass.
//! 2. A Lanczos process on S̃ finds its leading eigenvectors V (D, m).
//! 3. A pass in f64 makes Θ = Vᵀ S V and S V G for eight random combinations G of the columns of V. The eigenpairs of Θ are the answer.
//!
//! Eigenvalues and likelihood err by the square of what V errs by; the certificate says by how much.
//!
//! With R = S V − V Θ and μ the largest eigenvalue of S orthogonal to V, λ_i − θ_i ≤ ‖R‖²/(θ_i − μ) (Mathias 1998), to lowest order
//! ‖r_i‖²/(θ_i − μ). The log-likelihood per row, L = −½ [D log 2π + Σ_{i≤q} log λ_i + (D − q) log σ² + D] with
//! (D − q) σ² = tr S − Σ_{i≤q} λ_i, thus lacks no more than
//! ```text
//! B = Σ_i c_i ‖r_i‖²,   c_i = ½ (1/σ² − 1/θ_i) / (θ_i − μ)
//! ```
//! of its maximum. For G = diag(√c) times standard normals, ‖R G‖²/8 (the sum of squares) is an unbiased estimate of B, and even if R has
//! rank one it is less than B/30 with probability P(χ²_8 < 0.27) = 1e-5 only: 30 times the estimate is taken for B. μ is bounded by a
//! Cholesky factor: if s I − S̃ + V Θ Vᵀ has one, nothing beyond s was missed in S̃; and S̃ is within
//! ‖S̃ − S‖ ≤ 4 √n u tr S of S, with n roundings a product and u = 2⁻²⁴ (the probabilistic bound of Higham & Mary 2019).

mod passes;

use super::{Spectrum, fix_signs};
use crate::error::{ErrorKind, Result};
use crate::fit::Passes;
use crate::linalg;
use crate::linalg::lanczos::{Look, Ritz, leading};
use crate::linear_gaussian::LOG_2PI;
use crate::moments::{Moments, provisional_centre, small_blocks};
use crate::random::{Purpose, stream};
use crate::rows::{RowSource, n_present};
use crate::simd::{SingleStrips, SingleSums, single_roundings};
use crate::sweep::{LARGEST, Merge, sweep_unchecked};
use ndarray::{Array1, Array2, ArrayView2, Axis, CowArray, Ix2, Slice};
use passes::{Gathered, scores};
use rand_distr::{Distribution, StandardNormal};

/// Axes beyond q among which the cut with the widest gap may be made.
const BEYOND: usize = 6;
/// What B may be, as a share of the log-likelihood.
const TOLERANCE: f64 = 1e-12;
/// The bound on the angle between V and the eigenvectors that is let pass. Rounding to f32 leaves angles about a hundredth of it where gaps
/// are a tenth of λ_q.
const ANGLE: f64 = 1e-4;
/// Vectors in a block of the Lanczos process.
const BLOCK: usize = 24;
/// How many times its estimate is taken for B.
const SAFETY: f64 = 30.0;
/// The least share of the variance that the first q axes may leave.
const LEAST_REST: f64 = 1e-3;
/// Combinations in G.
const COMBINATIONS: usize = 8;

/// Whether the way is worth going: against the covariance in f64 it saves half of D² operations a row and the decomposition, and costs
/// 2 D m operations a row and a second reading. Depends on nothing but the shape, so that a table in memory and the same in a file get
/// the same answer.
pub(super) fn worthwhile(rows: usize, columns: usize, components: usize) -> bool {
    columns >= 256 && rows >= 4 * columns && columns >= 12 * (components + BEYOND) && components > 0
}

/// Sums of the pass in single precision.
struct Rough {
    weight: f64,
    first: Vec<f64>,
    squares: Vec<f64>,
    second: Vec<f64>,
    strips: SingleStrips,
    gathered: Gathered,
}

impl Merge for Rough {
    fn merge(&mut self, mut other: Self) {
        self.strips.flush(&mut self.second);
        other.strips.flush(&mut other.second);
        self.weight += other.weight;
        let add = |a: &mut [f64], b: &[f64]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        add(&mut self.first, &other.first);
        add(&mut self.squares, &other.squares);
        add(&mut self.second, &other.second);
    }
}

/// What the first pass finds.
struct Sketch<'a> {
    weight: f64,
    /// c (D).
    centre: Array1<f64>,
    /// δ = x̄ − c (D).
    shift: Array1<f64>,
    /// tr S, in f64.
    total: f64,
    /// S̃ (D, D), with the exact variances on its diagonal.
    covariance: CowArray<'a, f64, Ix2>,
    /// Whether S̃ is S.
    exact: bool,
}

/// A power of two that brings the first rows to the size of 1, so that their products can't leave the range of f32.
fn scale(data: &dyn RowSource, centre: &Array1<f64>) -> Result<f64> {
    let mut rows = Array2::zeros((data.n_rows().min(64), data.n_cols()));
    data.read(0, rows.view_mut())?;
    rows -= centre;
    let largest = rows.iter().filter(|v| v.is_finite()).fold(0.0, |m: f64, v| m.max(v.abs()));
    Ok(if largest > 0.0 { (-largest.log2().round()).clamp(-500.0, 500.0).exp2() } else { 1.0 })
}

/// S̃ about `centre`; `None` where single precision overflows.
fn sketch(data: &dyn RowSource, centre: Array1<f64>) -> Result<Option<Sketch<'static>>> {
    let d = centre.len();
    let scale = scale(data, &centre)?;
    let about = centre.to_vec();
    let new = || Rough {
        weight: 0.0,
        first: vec![0.0; d],
        squares: vec![0.0; d],
        second: vec![0.0; d * d],
        strips: SingleStrips::default(),
        gathered: Gathered::default(),
    };
    let mut sums = sweep_unchecked(data, small_blocks(d, 8 * d * d), new, |sums, block| {
        sums.weight += block.weights.map_or(block.rows as f64, |w| w.iter().sum());
        let rows = sums.gathered.of(block, &about);
        let into = &mut SingleSums { first: &mut sums.first, squares: &mut sums.squares, second: &mut sums.second };
        sums.strips.add(rows, scale, into);
        // a cell that can't be used makes its column's sum NaN or huge; all sums then stay so, and rows are checked one block after another
        let usable = sums.squares.iter().all(|v| *v < LARGEST);
        if usable { Ok(()) } else { block.check() }
    })?;
    sums.strips.flush(&mut sums.second);
    if sums.weight <= 0.0 {
        return Err(ErrorKind::NoWeight.into());
    }
    let shift = Array1::from(sums.first) / sums.weight;
    let variances = (Array1::from(sums.squares) / sums.weight - &shift * &shift).mapv_into(|v| v.max(0.0));
    // S = Σ w (x − c)(x − c)ᵀ / N − δ δᵀ
    let factor = 1.0 / (scale * scale * sums.weight);
    // invariant: d · d sums were made above
    let mut covariance = Array2::from_shape_vec((d, d), sums.second).expect("square");
    for (i, mut line) in covariance.outer_iter_mut().enumerate() {
        line.iter_mut().zip(&shift).take(i + 1).for_each(|(s, other)| *s = *s * factor - shift[i] * other);
        line[i] = variances[i];
    }
    linalg::mirror_lower(&mut covariance);
    let finite = covariance.iter().all(|v| v.is_finite());
    Ok(finite.then(|| Sketch { weight: sums.weight, centre, shift, total: variances.sum(), covariance: covariance.into(), exact: false }))
}

/// S̃ about a centre within two standard deviations of the mean in every column.
fn centred_sketch(data: &dyn RowSource) -> Result<Option<Sketch<'static>>> {
    let mut found = sketch(data, provisional_centre(data)?)?;
    let off = |s: &Sketch<'_>| s.covariance.diag().iter().zip(&s.shift).any(|(v, delta)| !(delta * delta <= 4.0 * v));
    if let Some(first) = &found
        && off(first)
    {
        found = sketch(data, &first.centre + &first.shift)?;
    }
    Ok(found)
}

/// Approximate eigenvectors of S and what is known about the rest of its spectrum.
struct Cut {
    /// V (D, m).
    axes: Array2<f64>,
    /// Eigenvalues of S̃ that go with them.
    values: Array1<f64>,
    /// What no other eigenvalue of S̃ may reach, half way across the gap.
    middle: f64,
    /// A bound on the eigenvalues of S orthogonal to V, if none reaches it.
    beyond: f64,
}

/// Where to cut: the first of the gaps after θ_q … θ_{q + BEYOND} that is wider than a fiftieth of its eigenvalue, or the widest.
fn cut_after(values: &Array1<f64>, q: usize) -> usize {
    let gap = |m: usize| values[m - 1] - values[m];
    let wide = (q..=q + BEYOND).find(|&m| gap(m) > 0.02 * values[m - 1]);
    wide.unwrap_or_else(|| (q..=q + BEYOND).fold(q, |best, m| if gap(m) > gap(best) { m } else { best }))
}

/// c_i of the bound on the log-likelihood, for all columns of V.
fn costs(values: &Array1<f64>, beyond: f64, noise: f64) -> Array1<f64> {
    values.mapv(|v| 0.5 * (1.0 / noise - 1.0 / v).max(0.0) / (v - beyond))
}

impl Sketch<'_> {
    /// 4 √n u tr S, what the norm of S̃ − S stays below.
    fn error(&self) -> f64 {
        if self.exact { 0.0 } else { 4.0 * single_roundings().sqrt() * self.total / (1_u64 << 24) as f64 }
    }

    /// σ² of q components with these variances along the first axes.
    fn noise(&self, values: &Array1<f64>, q: usize) -> f64 {
        (self.total - values.iter().take(q).sum::<f64>()) / (self.centre.len() - q) as f64
    }

    /// |L| of q components.
    fn size_of_likelihood(&self, values: &Array1<f64>, q: usize) -> f64 {
        let d = self.centre.len() as f64;
        let logs: f64 = values.iter().take(q).map(|v| v.ln()).sum();
        0.5 * (d * LOG_2PI + logs + (d - q as f64) * self.noise(values, q).ln() + d).abs().max(1.0)
    }

    /// V with a gap behind it, if [`nothing_missed`](Self::nothing_missed); `None` if there is none that single precision can tell.
    fn cut(&self, q: usize) -> Result<Option<Cut>> {
        let look = |ritz: &Ritz| {
            let m = cut_after(&ritz.values, q);
            let values = ritz.values.slice_axis(Axis(0), Slice::from(..m)).to_owned();
            let (beyond, noise) = (ritz.values[m], self.noise(&ritz.values, q));
            // Ritz values lie below the eigenvalues, so that this is more than the noise: σ² is a difference of tr S and Σ λ_i, and must
            // not cost digits
            if !(noise * (self.centre.len() - q) as f64 >= LEAST_REST * self.total) {
                return Look::Hopeless;
            }
            let costs = costs(&values, beyond, noise);
            let lost: f64 = costs.iter().zip(&ritz.residuals).map(|(c, r)| c * r * r).sum();
            // a thousandth of what the certificate will let pass: what f32 leaves is more; false without a gap
            let close = ritz.residuals.iter().zip(&values).all(|(r, v)| *r <= 1e-3 * ANGLE * (v - beyond));
            let little = SAFETY * lost <= 1e-3 * TOLERANCE * self.size_of_likelihood(&ritz.values, q);
            if close && little { Look::Enough } else { Look::More }
        };
        let mut rng = stream(0, Purpose::Projection, 1);
        let start = Array2::from_shape_simple_fn((self.centre.len(), BLOCK), || StandardNormal.sample(&mut rng));
        let apply = |x: ArrayView2<'_, f64>| linalg::matmul_by_bands(self.covariance.view(), x);
        let Some(ritz) = leading(apply, start.view(), 13 * (q + BEYOND) / 2, look)? else { return Ok(None) };
        let m = cut_after(&ritz.values, q);
        let middle = 0.5 * (ritz.values[m - 1] + ritz.values[m]);
        let cut = Cut {
            axes: ritz.vectors(m),
            values: ritz.values.slice_axis(Axis(0), Slice::from(..m)).to_owned(),
            middle,
            beyond: middle + self.error(),
        };
        let told_apart = cut.values[m - 1] - cut.beyond > 0.5 * (cut.values[m - 1] - middle);
        Ok(told_apart.then_some(cut))
    }

    /// Whether s I − S̃ + V Θ Vᵀ is positive definite for s in the middle of the gap: S̃ has no eigenvalue beyond s but those of V.
    fn nothing_missed(&self, cut: &Cut) -> bool {
        let mut rest = linalg::matmul_by_bands((&cut.axes * &cut.values).view(), cut.axes.t());
        rest -= &self.covariance;
        rest.diag_mut().mapv_inplace(|v| v + cut.middle);
        linalg::cholesky(rest.view()).is_ok()
    }

    /// The pass in f64: the eigenpairs of S in the span of V, if the certificate lets them pass.
    fn refine(&self, data: &dyn RowSource, cut: &Cut, q: usize) -> Result<Option<Spectrum>> {
        let (d, m) = cut.axes.dim();
        let noise = self.noise(&cut.values, q);
        let costs = costs(&cut.values, cut.beyond, noise);
        let mut rng = stream(0, Purpose::Projection, 2);
        let combinations = Array2::from_shape_fn((m, COMBINATIONS), |(i, _)| {
            let normal: f64 = StandardNormal.sample(&mut rng);
            costs[i].sqrt() * normal
        });
        let sums = scores(data, &self.centre, &cut.axes, &combinations)?;
        // Θ = Vᵀ S V and S V G, about the mean
        let offset = cut.axes.t().dot(&self.shift);
        let width = m.next_multiple_of(8);
        let theta = Array2::from_shape_fn((m, m), |(i, j)| {
            let (i, j) = (i.max(j), i.min(j));
            sums.inner[i * width + j] / self.weight - offset[i] * offset[j]
        });
        let combined_offset = combinations.t().dot(&offset);
        let mut residual = Array2::from_shape_fn((d, COMBINATIONS), |(i, k)| {
            sums.back[i * COMBINATIONS + k] / self.weight - self.shift[i] * combined_offset[k]
        });
        // R G = S V G − V Θ G
        residual -= &linalg::matmul(cut.axes.view(), theta.dot(&combinations).view());
        let lost = SAFETY * residual.iter().map(|v| v * v).sum::<f64>() / COMBINATIONS as f64;
        let (values, rotation) = linalg::eigh(theta.view())?;
        // sin² ≤ Σ ‖r_i‖²/(θ_i − μ)² ≤ B max_i 1/(c_i (θ_i − μ)²)
        let worst = costs.iter().zip(&cut.values).map(|(c, v)| 1.0 / (c * (v - cut.beyond).powi(2))).fold(0.0, f64::max);
        if !(lost <= TOLERANCE * self.size_of_likelihood(&cut.values, q)) || !(lost * worst <= ANGLE * ANGLE) {
            return Ok(None);
        }
        let mut axes = linalg::matmul(cut.axes.view(), rotation.slice_axis(Axis(1), Slice::from(..q)));
        fix_signs(&mut axes);
        Ok(Some(Spectrum {
            weight: self.weight,
            rows: n_present(data),
            mean: &self.centre + &self.shift,
            eigenvalues: values.slice_axis(Axis(0), Slice::from(..q)).to_owned(),
            axes,
            total_variance: self.total,
            complete: false,
        }))
    }
}

/// The leading part of the spectrum of complete rows; `None` where the certificate does not let it pass.
pub(super) fn spectrum(data: &dyn RowSource, components: usize, passes: &mut Passes<'_>) -> Result<Option<Spectrum>> {
    let sketch = centred_sketch(data)?;
    passes.done()?;
    let Some(sketch) = sketch else { return Ok(None) };
    let Some(cut) = sketch.cut(components)? else { return Ok(None) };
    // the factor takes one thread while the other begins with the pass over the rows, of which there are many parts
    let (refined, complete) = rayon::join(|| sketch.refine(data, &cut, components), || sketch.nothing_missed(&cut));
    let refined = refined?;
    passes.done()?;
    Ok(refined.filter(|_| complete))
}

/// The leading part of the spectrum of a covariance known in f64, by the Lanczos process alone: its residuals are the certificate. `None`
/// where they are not small.
pub(super) fn of_moments(m: &Moments, components: usize) -> Result<Option<Spectrum>> {
    let (shift, total) = (Array1::zeros(m.mean.len()), m.covariance.diag().sum());
    let covariance = m.covariance.view().into();
    let sketch = Sketch { weight: m.weight, centre: m.mean.clone(), shift, total, covariance, exact: true };
    let Some(cut) = sketch.cut(components)?.filter(|cut| sketch.nothing_missed(cut)) else { return Ok(None) };
    let mut axes = cut.axes.slice_axis(Axis(1), Slice::from(..components)).to_owned();
    fix_signs(&mut axes);
    Ok(Some(Spectrum {
        weight: m.weight,
        rows: m.rows,
        mean: sketch.centre,
        eigenvalues: cut.values.slice_axis(Axis(0), Slice::from(..components)).to_owned(),
        axes,
        total_variance: total,
        complete: false,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::{PpcaMl, Solver};
    use super::*;
    use crate::moments::whole_numbers;
    use crate::rows::Rows;
    use rand::RngExt;

    const SHAPE: (usize, usize) = (1100, 256);

    fn spectrum(data: &dyn RowSource, components: usize) -> Result<Option<Spectrum>> {
        super::spectrum(data, components, &mut Passes::new(&mut crate::fit::unwatched, (0, 1), 0))
    }

    fn normal(shape: (usize, usize), index: u64) -> Array2<f64> {
        let mut rng = stream(21, Purpose::Sample, index);
        Array2::from_shape_simple_fn(shape, || StandardNormal.sample(&mut rng))
    }

    /// Rows with these standard deviations along the first random axes, and standard normal noise.
    fn table(signal: &[f64]) -> Array2<f64> {
        let axes = linalg::qr(normal((SHAPE.1, signal.len()), 1).view()).unwrap().0;
        let z = normal((SHAPE.0, signal.len()), 2) * &Array1::from(signal.to_vec());
        z.dot(&axes.t()) + normal(SHAPE, 3)
    }

    fn falling(k: usize) -> Vec<f64> {
        (0..k).map(|i| 20.0 * 0.85_f64.powi(i as i32)).collect()
    }

    /// The route passes its certificate and agrees with the covariance in f64; the widest angle between an axis and its twin.
    #[track_caller]
    fn agrees(data: &dyn RowSource, q: usize) -> f64 {
        assert!(worthwhile(data.n_rows(), data.n_cols(), q));
        let ours = spectrum(data, q).unwrap().expect("the certificate passes");
        let exact = Spectrum::of(data, q, Solver::Covariance, 0).unwrap();
        // B is below 1e-12 of the likelihood, and so is rounding
        let fit = |s: &Spectrum| super::super::ml::from_spectrum(s, q, 0).unwrap().objective();
        assert!((fit(&ours) - fit(&exact)).abs() <= 2.0 * TOLERANCE * fit(&exact).abs(), "{} {}", fit(&ours), fit(&exact));
        // B/c_i bounds each eigenvalue likewise; rounding is relative to the largest
        let size = exact.eigenvalues[0];
        assert!(ours.eigenvalues.iter().zip(&exact.eigenvalues).all(|(a, b)| (a - b).abs() <= 1e-11 * size));
        assert!(ours.mean.iter().zip(&exact.mean).all(|(a, b)| (a - b).abs() <= 1e-12 * (1.0 + b.abs())));
        // sin² of the angles between the two spans: ‖V − U Uᵀ V‖² columns
        let inside = exact.axes.dot(&exact.axes.t().dot(&ours.axes));
        (&ours.axes - &inside).columns().into_iter().fold(0.0, |m: f64, c| m.max(c.dot(&c).sqrt()))
    }

    #[test]
    fn the_answer_is_that_of_the_covariance_in_f64() {
        let x = table(&falling(12));
        let weights = Array1::from_shape_fn(SHAPE.0, |i| ((i * 7) % 4) as f64 * 0.7);
        for q in [1, 5] {
            // the certificate's bound on the angle
            assert!(agrees(&x, q) < ANGLE);
        }
        assert!(agrees(&(&x + 1e5), 5) < ANGLE);
        assert!(agrees(&(&x * 1e-6), 5) < ANGLE);
        assert!(agrees(&x.mapv(|v| v as f32), 5) < ANGLE);
        assert!(agrees(&Rows::new(&x).weighted(weights.view()).unwrap(), 5) < ANGLE);
        // a trend through the table: the first rows are far from the mean
        let trend = Array2::from_shape_fn(SHAPE, |(i, j)| if j == 3 { i as f64 * 0.1 } else { x[[i, j]] });
        assert!(agrees(&trend, 5) < ANGLE);
    }

    #[test]
    fn whole_numbers_go_by_their_exact_covariance() {
        let x = (table(&falling(12)) * 3.0).mapv_into(f64::round);
        for q in [1, 5] {
            let found = of_moments(&whole_numbers(&x).unwrap().unwrap(), q).unwrap().expect("the residuals are small");
            let exact = Spectrum::of(&x, q, Solver::Covariance, 0).unwrap();
            let fit = |s: &Spectrum| super::super::ml::from_spectrum(s, q, 0).unwrap().objective();
            assert!((fit(&found) - fit(&exact)).abs() <= TOLERANCE * fit(&exact).abs(), "{} {}", fit(&found), fit(&exact));
            // residuals are asked to be a thousandth of the angle that may pass
            assert!(found.axes.iter().zip(&exact.axes).all(|(a, b)| (a - b).abs() < 1e-3 * ANGLE));
            assert_eq!(PpcaMl { components: q, ..Default::default() }.fit(&x, 0).unwrap().objective(), fit(&found));
        }
        // noise has hardly a gap; columns twice there leave no noise: the whole decomposition, if need be
        let noise = (normal(SHAPE, 9) * 3.0).mapv_into(f64::round);
        let twice = Array2::from_shape_fn(SHAPE, |(i, j)| x[[i, j % 40]]);
        for data in [&noise, &twice] {
            let fit = |solver| PpcaMl { components: 12, solver }.fit(data, 0).unwrap();
            let (auto, exact) = (fit(Solver::Auto), fit(Solver::Covariance));
            assert!((auto.objective() - exact.objective()).abs() <= 2.0 * TOLERANCE * exact.objective().abs());
            assert_eq!(auto.repairs.len(), exact.repairs.len());
        }
    }

    #[test]
    fn equal_variances_across_the_cut_are_cut_elsewhere() {
        let (n, d) = SHAPE;
        // the sample covariance has exactly these eigenvalues: ten, of which the fifth to seventh are equal
        let variances = [90.0, 70.0, 50.0, 40.0, 30.0, 30.0, 30.0, 20.0, 15.0, 10.0];
        let mut scores = normal((n, d), 5);
        scores -= &scores.mean_axis(Axis(0)).unwrap();
        let scores = linalg::qr(scores.view()).unwrap().0 * (n as f64).sqrt();
        let axes = linalg::qr(normal((d, d), 6).view()).unwrap().0;
        let sd = Array1::from_shape_fn(d, |i| variances.get(i).map_or(1.0 - 0.002 * i as f64, |v| f64::sqrt(*v)));
        let x = (scores * &sd).dot(&axes.t());
        for q in [4, 5, 6] {
            agrees(&x, q);
        }
    }

    #[test]
    fn what_single_precision_cannot_tell_goes_the_exact_way() {
        let x = table(&falling(12));
        // columns of scales 1e-6 … 1e6: small eigenvalues lie below what f32 leaves of the large
        let graded = Array2::from_shape_fn(SHAPE, |(i, j)| x[[i, j]] * 10f64.powi((j % 13) as i32 - 6));
        // pure noise has no gap; duplicated columns are singular; a cell beyond the range of f32 at this scale
        let noise = normal(SHAPE, 9);
        let mut outlier = x.clone();
        outlier[[900, 7]] = 1e45;
        let duplicated = Array2::from_shape_fn(SHAPE, |(i, j)| x[[i, j % 40]]);
        for data in [&graded, &noise, &outlier, &duplicated] {
            for q in [1, 12] {
                let fit = |solver| PpcaMl { components: q, solver }.fit(data, 0).unwrap();
                let (auto, exact) = (fit(Solver::Auto), fit(Solver::Covariance));
                assert!((auto.objective() - exact.objective()).abs() <= 2.0 * TOLERANCE * exact.objective().abs(), "{q}");
                assert_eq!(auto.repairs.len(), exact.repairs.len());
            }
        }
        assert!(spectrum(&outlier, 5).unwrap().is_none());
    }

    #[test]
    fn a_bad_cell_is_named() {
        let mut x = table(&falling(3));
        for (value, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (1e200, "large")] {
            x[[703, 17]] = value;
            let error = PpcaMl { components: 2, ..Default::default() }.fit(&x, 0).unwrap_err();
            assert!(error.to_string().contains("703") && error.to_string().contains("17"), "{name}: {error}");
        }
    }

    #[test]
    fn a_spoilt_cut_is_rejected() {
        let (q, x) = (5, table(&falling(12)));
        let found = || {
            let sketch = centred_sketch(&x).unwrap().unwrap();
            let cut = sketch.cut(q).unwrap().unwrap();
            (sketch, cut)
        };
        let (sketch, cut) = found();
        assert!(sketch.refine(&x, &cut, q).unwrap().is_some());
        // axes turned by 1e-4 … towards anything
        let mut rng = stream(22, Purpose::Sample, 0);
        for size in [1e-4, 1e-2, 1.0] {
            let (sketch, mut cut) = found();
            cut.axes.mapv_inplace(|v| v + size * (rng.random::<f64>() - 0.5));
            cut.axes = linalg::qr(cut.axes.view()).unwrap().0;
            assert!(sketch.refine(&x, &cut, q).unwrap().is_none(), "{size}");
        }
        // exact eigenvectors, but not the leading ones: the residual is small, and the Cholesky factor finds what was missed
        let (sketch, mut cut) = found();
        let (values, vectors) = linalg::eigh(sketch.covariance.view()).unwrap();
        cut.middle = 0.5 * (values[cut.values.len() - 1] + values[cut.values.len()]);
        assert!(sketch.nothing_missed(&cut));
        cut.axes.column_mut(2).assign(&vectors.column(9));
        cut.values[2] = values[9];
        assert!(!sketch.nothing_missed(&cut));
        // single precision gone wrong
        let (mut sketch, _) = found();
        sketch.covariance[[4, 3]] += 1e-3;
        sketch.covariance[[3, 4]] += 1e-3;
        let cut = sketch.cut(q).unwrap().unwrap();
        assert!(sketch.refine(&x, &cut, q).unwrap().is_none());
    }

    #[test]
    fn thread_count_does_not_change_a_bit() {
        let x = table(&falling(12));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| spectrum(&x, 5).unwrap().unwrap())
        };
        assert!(run(1) == run(4));
    }
}
