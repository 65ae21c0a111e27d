//! Adam, with all its state in the open so that a run can be resumed exactly.

use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::raw::{Number, slice, slice_mut, visible};
use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};
use tch::{Kind, Tensor};

/// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← θ + η m̂/(√v̂ + ε), with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).
///
/// Kingma & Ba 2015, algorithm 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Adam {
    /// β₁.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// ε.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// The state of [`Adam`].
#[derive(Debug)]
pub struct Moments {
    /// t, the steps taken.
    pub steps: u64,
    /// m of every trained parameter.
    pub first: Vec<Tensor>,
    /// v of every trained parameter.
    pub second: Vec<Tensor>,
}

impl Moments {
    /// Before the first step.
    pub fn new(parameters: &Parameters) -> Self {
        let zeros = || parameters.trained().map(|p| p.value.detach().zeros_like()).collect();
        Moments { steps: 0, first: zeros(), second: zeros() }
    }
}

/// Numbers of one parameter handled by one thread at a time.
const CHUNK: usize = 1 << 14;

/// Numbers from which several threads are worth being woken.
const MANY: usize = 1 << 18;

impl Adam {
    pub(crate) fn check(&self) -> Result<()> {
        for (field, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::config(field, format!("is {value}; it must be in [0, 1)")));
            }
        }
        if !(self.epsilon > 0.0) {
            return Err(Error::config("epsilon", format!("is {}; it must be positive", self.epsilon)));
        }
        Ok(())
    }

    /// One step along the gradients of the trained parameters (of a loss, so downwards), each times `scale`. A parameter with an undefined
    /// gradient stays as it is.
    pub(crate) fn step(&self, parameters: &Parameters, gradients: &[Tensor], moments: &mut Moments, rate: f64, scale: f64) {
        moments.steps += 1;
        let t = moments.steps.min(i32::MAX as u64) as i32;
        let rule = Rule {
            beta1: self.beta1,
            beta2: self.beta2,
            // η m̂/(√v̂ + ε) = η √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε √(1 − β₂ᵗ))
            rate: rate / (1.0 - self.beta1.powi(t)),
            root: 1.0 / (1.0 - self.beta2.powi(t)).sqrt(),
            epsilon: self.epsilon,
            scale,
        };
        let mut values: Vec<Tensor> = parameters.trained().map(|p| p.value.shallow_clone()).collect();
        let (mut single, mut double): (Vec<Piece<'_, f32>>, Vec<Piece<'_, f64>>) = (Vec::new(), Vec::new());
        let places = values.iter_mut().zip(gradients).zip(moments.first.iter_mut().zip(&mut moments.second));
        for ((value, gradient), (m, v)) in places.filter(|((_, gradient), _)| gradient.defined()) {
            match value.kind() {
                Kind::Float if visible::<f32>(value) && visible::<f32>(gradient) => pieces::<f32>(value, gradient, m, v, &mut single),
                Kind::Double if visible::<f64>(value) && visible::<f64>(gradient) => pieces::<f64>(value, gradient, m, v, &mut double),
                _ => tch::no_grad(|| rule.tensors(value, gradient, m, v)),
            }
        }
        over(&rule, single);
        over(&rule, double);
    }
}

/// A few numbers of one parameter with all that a step needs.
struct Piece<'a, E> {
    theta: &'a mut [E],
    gradient: &'a [E],
    m: &'a mut [E],
    v: &'a mut [E],
}

/// Cuts a parameter into pieces.
fn pieces<'a, E: Number>(theta: &'a mut Tensor, gradient: &'a Tensor, m: &'a mut Tensor, v: &'a mut Tensor, to: &mut Vec<Piece<'a, E>>) {
    if let (Some(theta), Some(g), Some(m), Some(v)) = (slice_mut(theta), slice(gradient), slice_mut(m), slice_mut(v)) {
        let chunks = theta.chunks_mut(CHUNK).zip(g.chunks(CHUNK)).zip(m.chunks_mut(CHUNK).zip(v.chunks_mut(CHUNK)));
        to.extend(chunks.map(|((theta, gradient), (m, v))| Piece { theta, gradient, m, v }));
    }
}

/// Steps with every piece, all in one go: waking threads for each parameter would cost more than the work. The calling thread works too.
fn over<E: Update>(rule: &Rule, pieces: Vec<Piece<'_, E>>) {
    let arch = Arch::new();
    let threads = if pieces.iter().map(|p| p.gradient.len()).sum::<usize>() < MANY { 1 } else { rayon::current_num_threads() };
    if threads == 1 {
        return pieces.into_iter().for_each(|piece| arch.dispatch(Stepping { rule, piece }));
    }
    let queue = Mutex::new(pieces.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(piece) = next() {
            arch.dispatch(Stepping { rule, piece });
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|_| work());
        }
        work();
    });
}

/// One piece's step, in the code that is compiled for the processor at hand.
struct Stepping<'a, E> {
    rule: &'a Rule,
    piece: Piece<'a, E>,
}

impl<E: Update> WithSimd for Stepping<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        E::update(self.rule, self.piece);
    }
}

/// One step, worked out once for all parameters.
#[derive(Clone, Copy)]
struct Rule {
    beta1: f64,
    beta2: f64,
    rate: f64,
    root: f64,
    epsilon: f64,
    scale: f64,
}

/// Arithmetic of one number.
trait Update: Number {
    fn update(rule: &Rule, piece: Piece<'_, Self>);
}

macro_rules! update {
    ($number:ty) => {
        impl Update for $number {
            #[inline(always)]
            fn update(rule: &Rule, piece: Piece<'_, Self>) {
                let (b1, b2, rate) = (rule.beta1 as $number, rule.beta2 as $number, rule.rate as $number);
                let (c1, c2) = ((1.0 - rule.beta1) as $number, (1.0 - rule.beta2) as $number);
                let (root, epsilon, scale) = (rule.root as $number, rule.epsilon as $number, rule.scale as $number);
                for (((theta, g), m), v) in piece.theta.iter_mut().zip(piece.gradient).zip(piece.m).zip(piece.v) {
                    let g = g * scale;
                    *m = b1 * *m + c1 * g;
                    *v = b2 * *v + c2 * g * g;
                    *theta -= rate * *m / (v.sqrt() * root + epsilon);
                }
            }
        }
    };
}

update!(f32);
update!(f64);

impl Rule {
    fn tensors(&self, value: &mut Tensor, gradient: &Tensor, m: &mut Tensor, v: &mut Tensor) {
        let g = gradient * self.scale;
        m.copy_(&(&*m * self.beta1 + &g * (1.0 - self.beta1)));
        v.copy_(&(&*v * self.beta2 + g.square() * (1.0 - self.beta2)));
        value.copy_(&(&*value - &*m * self.rate / (v.sqrt() * self.root + self.epsilon)));
    }
}

/// Σ g² over all gradients; NaN or infinite where one of them is.
pub(crate) fn square_norm(gradients: &[Tensor]) -> f64 {
    let of = |g: &Tensor| {
        if !g.defined() {
            0.0
        } else if let Some(g) = slice::<f32>(g) {
            squares(g)
        } else if let Some(g) = slice::<f64>(g) {
            squares(g)
        } else {
            g.square().sum(Kind::Double).double_value(&[])
        }
    };
    gradients.iter().map(of).sum()
}

/// Sums that go on side by side, for a processor that adds many numbers at once; always so many, so that the result is the same on all.
const LANES: usize = 16;

/// Σ g², in f64 and on one thread: reading is all that takes time.
fn squares<E: Number + Into<f64>>(g: &[E]) -> f64 {
    Arch::new().dispatch(Squares(g))
}

struct Squares<'a, E>(&'a [E]);

impl<E: Number + Into<f64>> WithSimd for Squares<'_, E> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f64 {
        let mut sums = [0.0; LANES];
        let whole = self.0.chunks_exact(LANES);
        let rest: f64 = whole.remainder().iter().map(|&v| v.into() * v.into()).sum();
        for lanes in whole {
            // first all of them as f64, which is what makes the compiler use vectors
            let lanes: [f64; LANES] = std::array::from_fn(|i| lanes[i].into());
            for (sum, v) in sums.iter_mut().zip(lanes) {
                *sum += v * v;
            }
        }
        sums.iter().sum::<f64>() + rest
    }
}
