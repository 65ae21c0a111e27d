//! Loops over many numbers at once, with the widest instructions the running processor has.
//!
//! A binary built for any x86-64 carries three copies of these loops (baseline, AVX2 with FMA, AVX-512) and picks one at run time
//! through the crate `pulp`. Loops come in two kinds: written over a generic vector type where registers must be planned (products),
//! and plain loops over slices, which the compiler vectorises inside [`run`] (elementwise functions).

mod exp;
mod exp_digamma;
mod log;
mod outer_products;
mod scores;
mod single_strips;
mod strips;
mod whole_strips;

pub(crate) use exp::exp_negative;
pub(crate) use exp_digamma::ExpDigamma;
pub(crate) use log::log;
use outer_products::OuterProducts;
pub(crate) use scores::{Axes, ScoreSums};
pub(crate) use single_strips::{SingleStrips, Sums as SingleSums, roundings as single_roundings};
pub(crate) use strips::{Strips, Weighted};
pub(crate) use whole_strips::{REACH, WholeStrips};

use pulp::{Arch, Simd, WithSimd};

/// f64 in the widest vector. Columns are padded to a multiple of it, so that loops over vectors need no tail on any processor.
pub(crate) const LANES: usize = 8;

/// `n` rounded up to whole vectors.
pub(crate) fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

/// Runs `op` compiled for the processor at hand.
pub(crate) fn run<Op: WithSimd>(op: Op) -> Op::Output {
    Arch::new().dispatch(op)
}

/// a b + c, fused where the processor fuses it; a call into the C library otherwise would cost more than the product.
#[inline(always)]
pub(crate) fn mul_add<S: Simd>(a: f64, b: f64, c: f64) -> f64 {
    if S::F64_LANES > 1 { a.mul_add(b, c) } else { a * b + c }
}

/// The slice as whole vectors; its length is a multiple of [`LANES`].
#[inline(always)]
pub(crate) fn vectors<S: Simd>(x: &[f64]) -> &[S::f64s] {
    S::as_simd_f64s(x).0
}

/// The slice as whole vectors; its length is a multiple of [`LANES`].
#[inline(always)]
pub(crate) fn vectors_mut<S: Simd>(x: &mut [f64]) -> &mut [S::f64s] {
    S::as_mut_simd_f64s(x).0
}

/// Scratch space that starts on a cache line: a vector of 64 bytes that straddles two lines loads at half the speed.
#[derive(Debug, Default)]
pub(crate) struct Scratch<T = f64> {
    buffer: Vec<T>,
    offset: usize,
    len: usize,
}

impl<T: Copy + Default> Scratch<T> {
    /// Makes room for `len` numbers; what they hold is not said.
    pub(crate) fn resize(&mut self, len: usize) {
        let line = 64 / size_of::<T>();
        if len + line > self.buffer.len() {
            self.buffer = vec![T::default(); len + line];
            self.offset = self.buffer.as_ptr().align_offset(64).min(line);
        }
        self.len = len;
    }

    /// The numbers.
    pub(crate) fn get(&self) -> &[T] {
        &self.buffer[self.offset..self.offset + self.len]
    }

    /// The numbers, to write.
    pub(crate) fn get_mut(&mut self) -> &mut [T] {
        &mut self.buffer[self.offset..self.offset + self.len]
    }

    /// Room for `len` numbers, all zero.
    pub(crate) fn zeros(&mut self, len: usize) -> &mut [T] {
        self.resize(len);
        let out = self.get_mut();
        out.fill(T::default());
        out
    }
}
