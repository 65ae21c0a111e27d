//! q(θ_d) and q(z_d) of one document, topics given.

use super::topics::{ExpectedTopics, LANES};
use lvm_core::mutant::planted;
use lvm_core::special::{digamma, exp_digamma, lgamma};
use pulp::{Arch, Simd, WithSimd};

/// When the ascent in one document stops.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocalStopping {
    /// Sweeps over the words of the document at most.
    pub max_iterations: usize,
    /// Done when γ changes by less than this, in words, on average over the topics. Zero: exactly `max_iterations`.
    pub tolerance: f64,
}

impl Default for LocalStopping {
    /// 100 sweeps, a thousandth of a word: what is left is far below what a step of the topics changes.
    fn default() -> Self {
        LocalStopping { max_iterations: 100, tolerance: 1e-3 }
    }
}

/// The buffers of one thread.
#[derive(Default)]
pub(super) struct Workspace {
    /// b_w of the document's words (W, K padded).
    b: Vec<f64>,
    theta: Vec<f64>,
    gamma: Vec<f64>,
    sums: Vec<f64>,
    shares: Vec<f64>,
}

/// The end of the ascent in one document.
pub(super) struct Local {
    /// γ_d (K).
    pub(super) gamma: Vec<f64>,
    /// exp E\[log θ_dk\] up to a factor (K padded).
    pub(super) theta: Vec<f64>,
    /// n_w / Σ_k θ_k b_wk of each word.
    pub(super) shares: Vec<f64>,
    /// The document's part of the ELBO, nats.
    pub(super) bound: f64,
}

/// One document against topics.
pub(super) struct Ascent<'a> {
    pub(super) topics: &'a ExpectedTopics,
    pub(super) k: usize,
    pub(super) alpha: f64,
    pub(super) stopping: LocalStopping,
}

impl Ascent<'_> {
    /// Coordinate ascent from γ, or from N_d/K words in each topic:
    ///
    /// ```text
    /// φ_wk ∝ exp(E[log θ_k] + E[log β_kw]),   γ_k = α + Σ_w n_w φ_wk             Blei, Ng & Jordan 2003, eqs 16 and 17
    /// ```
    ///
    /// Written as γ_k = α + θ_k Σ_w (n_w / Σ_j θ_j b_wj) b_wk, so that no φ is stored.
    pub(super) fn run(&self, words: &[u32], counts: &[f64], start: Option<&[f64]>, space: &mut Workspace) -> Local {
        let (k, stride) = (self.k, self.topics.stride);
        space.b.clear();
        words.iter().for_each(|w| space.b.extend_from_slice(self.topics.row(self.topics.position(*w))));
        let n: f64 = counts.iter().sum();
        space.gamma.clear();
        match start {
            Some(start) => space.gamma.extend_from_slice(start),
            None => space.gamma.resize(k, self.alpha + n / k as f64),
        }
        space.theta.clear();
        space.theta.resize(stride, 0.0);
        space.sums.resize(stride, 0.0);
        space.shares.resize(words.len(), 0.0);
        exp_digamma(&space.gamma, &mut space.theta[..k]);
        for _ in 0..self.stopping.max_iterations {
            self.sweep(counts, space);
            let mut change = 0.0;
            for ((gamma, theta), sum) in space.gamma.iter_mut().zip(&space.theta).zip(&space.sums) {
                let new = self.alpha + theta * sum;
                change += (new - *gamma).abs();
                *gamma = new;
            }
            exp_digamma(&space.gamma, &mut space.theta[..k]);
            if change < self.stopping.tolerance * k as f64 {
                break;
            }
        }
        // φ of the last γ
        self.sweep(counts, space);
        let bound = self.bound(words, counts, space);
        Local { gamma: space.gamma.clone(), theta: space.theta.clone(), shares: space.shares.clone(), bound }
    }

    fn sweep(&self, counts: &[f64], space: &mut Workspace) {
        space.sums.fill(0.0);
        let Workspace { b, theta, sums, shares, .. } = space;
        Arch::new().dispatch(Sweep { b, theta, counts, sums, shares });
    }

    /// Σ_w n_w log Σ_k exp(E\[log θ_k\] + E\[log β_kw\]) − KL(Dir(γ) ‖ Dir(α)): the parts of θ_d, z_d and the words, φ at its optimum.
    fn bound(&self, words: &[u32], counts: &[f64], space: &Workspace) -> f64 {
        let k = self.k as f64;
        let total: f64 = space.gamma.iter().sum();
        let at_total = digamma(total);
        let word =
            |((w, n), share): ((&u32, &f64), &f64)| n * ((n / share).ln() + self.topics.largest(self.topics.position(*w)) - at_total);
        let words: f64 = words.iter().zip(counts).zip(&space.shares).map(word).sum();
        let kl: f64 = space.gamma.iter().map(|g| (g - self.alpha) * (digamma(*g) - at_total) - lgamma(*g)).sum::<f64>() + lgamma(total)
            - lgamma(k * self.alpha)
            + k * lgamma(self.alpha);
        if planted("lda_without_kl_of_theta") { words } else { words - kl }
    }
}

/// shares_w = n_w / Σ_k θ_k b_wk, sums_k = Σ_w shares_w b_wk.
struct Sweep<'a> {
    b: &'a [f64],
    theta: &'a [f64],
    counts: &'a [f64],
    sums: &'a mut [f64],
    shares: &'a mut [f64],
}

/// Words whose products run at once, so that their sums do not wait for each other.
const WORDS: usize = 4;

/// A sum below this would make its share overflow; the word is then as good as unexplained.
const LEAST: f64 = 1e-290;

impl WithSimd for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Sweep { b, theta, counts, sums, shares } = self;
        let stride = theta.len();
        debug_assert_eq!(stride % LANES, 0);
        let theta = S::as_simd_f64s(theta).0;
        let sums = S::as_mut_simd_f64s(sums).0;
        for (group, (b, counts)) in b.chunks(stride * WORDS).zip(counts.chunks(WORDS)).enumerate() {
            let shares = &mut shares[group * WORDS..][..counts.len()];
            if counts.len() == WORDS {
                let rows: [&[S::f64s]; WORDS] = std::array::from_fn(|r| S::as_simd_f64s(&b[r * stride..(r + 1) * stride]).0);
                let mut products = [simd.splat_f64s(0.0); WORDS];
                for (i, &t) in theta.iter().enumerate() {
                    for r in 0..WORDS {
                        products[r] = simd.mul_add_e_f64s(t, rows[r][i], products[r]);
                    }
                }
                let mut factors = [simd.splat_f64s(0.0); WORDS];
                for r in 0..WORDS {
                    shares[r] = counts[r] / simd.reduce_sum_f64s(products[r]).max(LEAST);
                    factors[r] = simd.splat_f64s(shares[r]);
                }
                for (i, sum) in sums.iter_mut().enumerate() {
                    for r in 0..WORDS {
                        *sum = simd.mul_add_e_f64s(factors[r], rows[r][i], *sum);
                    }
                }
            } else {
                for ((row, &n), share) in b.chunks_exact(stride).zip(counts).zip(shares) {
                    let row = S::as_simd_f64s(row).0;
                    let mut product = simd.splat_f64s(0.0);
                    for (&t, &b) in theta.iter().zip(row) {
                        product = simd.mul_add_e_f64s(t, b, product);
                    }
                    *share = n / simd.reduce_sum_f64s(product).max(LEAST);
                    let factor = simd.splat_f64s(*share);
                    for (sum, &b) in sums.iter_mut().zip(row) {
                        *sum = simd.mul_add_e_f64s(factor, b, *sum);
                    }
                }
            }
        }
    }
}
