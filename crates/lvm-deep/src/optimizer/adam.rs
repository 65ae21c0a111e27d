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

    /// The t-th step, along `scale` times the gradient.
    pub(crate) fn rule(&self, t: u64, rate: f64, scale: f64) -> Rule {
        let t = t.min(i32::MAX as u64) as i32;
        Rule {
            beta1: self.beta1,
            beta2: self.beta2,
            // η m̂/(√v̂ + ε) with m̂ = m/(1 − β₁ᵗ), √v̂ = √v/√(1 − β₂ᵗ)
            rate: rate / (1.0 - self.beta1.powi(t)),
            root: 1.0 / (1.0 - self.beta2.powi(t)).sqrt(),
            epsilon: self.epsilon,
            scale,
        }
    }

    /// One step along the gradients of the trained parameters (of a loss, so downwards), each times `scale`. A parameter with an undefined
    /// gradient stays as it is.
    pub(crate) fn step(&self, parameters: &Parameters, gradients: &[Tensor], moments: &mut Moments, rate: f64, scale: f64) {
        moments.steps += 1;
        let rule = self.rule(moments.steps, rate, scale);
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
pub(crate) struct Piece<'a, E> {
    pub(crate) theta: &'a mut [E],
    pub(crate) gradient: &'a [E],
    pub(crate) m: &'a mut [E],
    pub(crate) v: &'a mut [E],
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
pub(crate) struct Rule {
    beta1: f64,
    beta2: f64,
    rate: f64,
    root: f64,
    epsilon: f64,
    scale: f64,
}

/// Arithmetic of one kind of number.
pub(crate) trait Update: Number {
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
    /// No step at all.
    pub(crate) const NONE: Rule = Rule { beta1: 0.0, beta2: 0.0, rate: 0.0, root: 1.0, epsilon: 1.0, scale: 0.0 };

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
        sum_of_squares(self.0)
    }
}

/// Σ g², to be inlined into code for the processor at hand.
#[inline(always)]
pub(crate) fn sum_of_squares<E: Number + Into<f64>>(g: &[E]) -> f64 {
    let mut sums = [0.0; LANES];
    let whole = g.chunks_exact(LANES);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Start;
    use crate::tensor::to_values;
    use lvm_core::random::{Purpose, stream};
    use rand::RngExt;
    use tch::Device;

    /// Parameters of these sizes, uniform on ±1.
    fn parameters(kind: Kind, sizes: &[i64]) -> Parameters {
        let mut parameters = Parameters::new(kind, Device::Cpu);
        let mut rng = stream(2, Purpose::Start, 0);
        let mut root = parameters.root(&mut rng);
        for (i, &size) in sizes.iter().enumerate() {
            let _ = root.trained(&i.to_string(), &[size], Start::Uniform(1.0)).unwrap();
        }
        parameters
    }

    fn gradients(kind: Kind, sizes: &[i64], salt: u64) -> Vec<Tensor> {
        let mut rng = stream(salt, Purpose::Sample, 0);
        let mut of = |n: i64| Tensor::from_slice(&(0..n).map(|_| rng.random::<f64>() - 0.5).collect::<Vec<_>>()).to_kind(kind);
        sizes.iter().map(|&n| of(n)).collect()
    }

    fn values(parameters: &Parameters) -> Vec<Vec<f64>> {
        parameters.entries().iter().map(|p| to_values(&p.value)).collect()
    }

    // θ, m, v by the algorithm of Kingma & Ba, one number at a time, with the bias corrections written out
    #[test]
    fn three_steps_by_hand() {
        let adam = Adam { beta1: 0.8, beta2: 0.95, epsilon: 1e-3 };
        let (rate, scale) = (0.1, 0.5);
        let parameters = parameters(Kind::Double, &[2]);
        let mut moments = Moments::new(&parameters);
        let mut theta = values(&parameters).remove(0);
        let (mut m, mut v) = ([0.0; 2], [0.0; 2]);
        for t in 1..=3 {
            let gradient = gradients(Kind::Double, &[2], t as u64);
            for (i, g) in to_values(&gradient[0]).into_iter().map(|g| g * scale).enumerate() {
                m[i] = adam.beta1 * m[i] + (1.0 - adam.beta1) * g;
                v[i] = adam.beta2 * v[i] + (1.0 - adam.beta2) * g * g;
                let (mean, square) = (m[i] / (1.0 - adam.beta1.powi(t)), v[i] / (1.0 - adam.beta2.powi(t)));
                theta[i] -= rate * mean / (square.sqrt() + adam.epsilon);
            }
            adam.step(&parameters, &gradient, &mut moments, rate, scale);
            for (found, expected) in values(&parameters)[0].iter().zip(&theta) {
                // a few roundings of numbers of order 1
                assert!((found - expected).abs() < 1e-15, "step {t}: {found} against {expected}");
            }
        }
        assert_eq!(moments.steps, 3);
    }

    #[test]
    fn slices_are_the_tensor_way() {
        for (kind, tolerance) in [(Kind::Float, 3e-7), (Kind::Double, 3e-16)] {
            let (by_slices, by_tensors) = (parameters(kind, &[1000]), parameters(kind, &[1000]));
            let (mut a, mut b) = (Moments::new(&by_slices), Moments::new(&by_tensors));
            let adam = Adam::default();
            for t in 1..=3 {
                let gradient = gradients(kind, &[1000], t);
                adam.step(&by_slices, &gradient, &mut a, 1e-2, 1.0);
                b.steps += 1;
                let mut value = by_tensors.entries()[0].value.shallow_clone();
                let rule = adam.rule(b.steps, 1e-2, 1.0);
                tch::no_grad(|| rule.tensors(&mut value, &gradient[0], &mut b.first[0], &mut b.second[0]));
            }
            for (a, b) in values(&by_slices)[0].iter().zip(&values(&by_tensors)[0]) {
                // three steps of 1e-2, each rounded relative to a parameter below 1
                assert!((a - b).abs() <= tolerance, "{kind:?}: {a} against {b}");
            }
        }
    }

    #[test]
    fn threads_do_not_show_in_the_result() {
        // more than one chunk, enough for threads to be woken, and a last chunk that is not whole
        let sizes = [MANY as i64 + 17, 5, CHUNK as i64];
        for kind in [Kind::Float, Kind::Double] {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let parameters = parameters(kind, &sizes);
                    let mut moments = Moments::new(&parameters);
                    Adam::default().step(&parameters, &gradients(kind, &sizes, 7), &mut moments, 1e-3, 0.3);
                    values(&parameters)
                })
            };
            assert!(run(1) == run(4), "{kind:?}");
        }
    }

    #[test]
    fn what_has_no_gradient_stays() {
        let parameters = parameters(Kind::Float, &[3, 4]);
        let before = values(&parameters);
        let mut moments = Moments::new(&parameters);
        let mut gradient = gradients(Kind::Float, &[3, 4], 1);
        gradient[0] = Tensor::new();
        Adam::default().step(&parameters, &gradient, &mut moments, 1e-3, 1.0);
        let after = values(&parameters);
        assert_eq!(before[0], after[0]);
        assert!(before[1].iter().zip(&after[1]).all(|(a, b)| a != b));
        assert!(to_values(&moments.first[0]).iter().all(|m| *m == 0.0));
    }

    #[test]
    fn the_norm_is_that_of_all_numbers_and_shows_what_is_not_finite() {
        for kind in [Kind::Float, Kind::Double] {
            let mut gradient = gradients(kind, &[100, 3], 5);
            gradient.push(Tensor::new());
            // 103 numbers seen as f64: the sum in another order
            let expected: f64 = gradient[..2].iter().flat_map(to_values).map(|g| g * g).sum();
            assert!((square_norm(&gradient) - expected).abs() < 1e-13);
            gradient[1] = Tensor::from_slice(&[0.0, f64::NAN, 1.0]).to_kind(kind);
            assert!(square_norm(&gradient).is_nan());
        }
    }
}
