//! Several bijections side by side.

use super::{Bijection, check_lengths};
use lvm_core::Result;

/// Bijections of consecutive stretches of u and x.
///
/// ```
/// use lvm_vi::bijection::{Bijection, Blocks, Identity, Positive, Simplex};
/// // two regression coefficients, a standard deviation, three mixing proportions
/// let b = Blocks::new(vec![Box::new(Identity(2)), Box::new(Positive::exp(1)), Box::new(Simplex::new(3)?)]);
/// assert_eq!((b.unconstrained_dim(), b.constrained_dim()), (5, 6));
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Blocks(Vec<Box<dyn Bijection>>);

impl Blocks {
    /// The bijections in the order of their stretches.
    pub fn new(blocks: Vec<Box<dyn Bijection>>) -> Self {
        Blocks(blocks)
    }

    /// Each block with where its stretches of u and of x start.
    fn places(&self) -> impl Iterator<Item = (&dyn Bijection, std::ops::Range<usize>, std::ops::Range<usize>)> {
        self.0.iter().scan((0, 0), |(u, x), b| {
            let (from_u, from_x) = (*u, *x);
            *u += b.unconstrained_dim();
            *x += b.constrained_dim();
            Some((&**b, from_u..*u, from_x..*x))
        })
    }
}

impl Bijection for Blocks {
    fn unconstrained_dim(&self) -> usize {
        self.0.iter().map(|b| b.unconstrained_dim()).sum()
    }

    fn constrained_dim(&self) -> usize {
        self.0.iter().map(|b| b.constrained_dim()).sum()
    }

    fn constrain(&self, u: &[f64], x: &mut [f64]) -> f64 {
        self.places().map(|(b, at_u, at_x)| b.constrain(&u[at_u], &mut x[at_x])).sum()
    }

    fn unconstrain(&self, x: &[f64], u: &mut [f64]) -> Result<()> {
        check_lengths(self, x, u)?;
        self.places().try_for_each(|(b, at_u, at_x)| b.unconstrain(&x[at_x], &mut u[at_u]))
    }

    fn pull_back(&self, u: &[f64], x: &[f64], x_gradient: &[f64], jacobian: f64, u_gradient: &mut [f64]) {
        for (b, at_u, at_x) in self.places() {
            b.pull_back(&u[at_u.clone()], &x[at_x.clone()], &x_gradient[at_x], jacobian, &mut u_gradient[at_u]);
        }
    }
}
