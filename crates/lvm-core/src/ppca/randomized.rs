//! A randomized block Lanczos method for the leading eigenpairs of a covariance that is never formed.

use super::{Spectrum, fix_signs};
use crate::error::Result;
use crate::fit::Passes;
use crate::linalg;
use crate::moments::mean_and_variances;
use crate::random::{Purpose, stream};
use crate::rows::{RowSource, n_present};
use crate::sweep::{Merge, Plan, sweep};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, ShapeBuilder, Slice, concatenate};
use rand_distr::{Distribution, StandardNormal};

/// S Q as a sum over rows, with the buffers for a centred block and its scores.
struct Product {
    sum: Array2<f64>,
    centred: Vec<f64>,
}

impl Merge for Product {
    fn merge(&mut self, other: Self) {
        self.sum += &other.sum;
    }
}

/// S Q = Σ_n w_n (x_n − x̄) ((x_n − x̄)ᵀ Q) / N in one pass; (D, l).
fn apply(data: &dyn RowSource, mean: &Array1<f64>, weight: f64, q: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    let (d, l) = q.dim();
    let product = sweep(
        data,
        Plan::new(d, 8 * d * l),
        || Product { sum: Array2::zeros((d, l).f()), centred: Vec::new() },
        |product, block| {
            product.centred.clear();
            for j in 0..d {
                product.centred.extend(block.column(j).iter().map(|v| v - mean[j]));
            }
            // invariant: d columns of the block's rows were just written
            let centred = ArrayViewMut2::from_shape((block.n_rows(), d).f(), &mut product.centred[..]).expect("block shape");
            let mut scores = linalg::matmul(centred.view(), q);
            if let Some(weights) = block.weights() {
                scores.axis_iter_mut(Axis(0)).zip(weights).for_each(|(mut row, w)| row *= *w);
            }
            linalg::add_matmul(1.0, centred.view().reversed_axes(), scores.view(), product.sum.view_mut());
            Ok(())
        },
    )?;
    Ok(product.sum / weight)
}

/// An orthonormal basis of what the columns of `y` add to `space`; fewer columns, or none, where they lie in it to rounding.
fn orthonormal(space: Option<&Array2<f64>>, y: &Array2<f64>) -> Result<Array2<f64>> {
    let outside = |mut q: Array2<f64>| {
        if let Some(space) = space {
            let inside = linalg::matmul(space.t(), q.view());
            linalg::add_matmul(-1.0, space.view(), inside.view(), q.view_mut());
        }
        linalg::qr(q.view())
    };
    let norm = |c: ArrayView1<'_, f64>| c.dot(&c).sqrt();
    let level = 16.0 * y.nrows() as f64 * f64::EPSILON * y.columns().into_iter().map(norm).fold(0.0, f64::max);
    let (q, r) = outside(y.clone())?;
    // a column that the others and the space leave nothing of but rounding has no direction: Q holds an arbitrary one
    let kept: Vec<usize> = (0..q.ncols()).filter(|&j| r[[j, j]].abs() > level).collect();
    if kept.is_empty() {
        return Ok(Array2::zeros((y.nrows(), 0)));
    }
    // twice is enough
    Ok(outside(q.select(Axis(1), &kept))?.0)
}

pub(super) fn spectrum(
    data: &dyn RowSource,
    components: usize,
    (oversampling, power_iterations): (usize, usize),
    seed: u64,
    passes: &mut Passes<'_>,
) -> Result<Spectrum> {
    let d = data.n_cols();
    let (weight, mean, variances) = mean_and_variances(data)?;
    passes.done()?;
    let l = (components + oversampling).clamp(1, d);
    let mut rng = stream(seed, Purpose::Projection, 0);
    let start = Array2::from_shape_simple_fn((d, l), || StandardNormal.sample(&mut rng));
    let mut block = orthonormal(None, &start)?;
    let mut space = block.clone();
    let mut image = apply(data, &mean, weight, block.view())?;
    passes.done()?;
    let mut last = image.clone();
    for _ in 0..power_iterations {
        let room = (d - space.ncols()).min(last.ncols());
        if room == 0 {
            break;
        }
        block = orthonormal(Some(&space), &last.slice_axis(Axis(1), Slice::from(..room)).to_owned())?;
        if block.ncols() == 0 {
            break;
        }
        last = apply(data, &mean, weight, block.view())?;
        passes.done()?;
        // invariant: both have d rows
        space = concatenate(Axis(1), &[space.view(), block.view()]).expect("Krylov space");
        // invariant: as above
        image = concatenate(Axis(1), &[image.view(), last.view()]).expect("image of the Krylov space");
    }
    // Rayleigh–Ritz: eigenpairs of Qᵀ S Q
    let mut ritz = linalg::matmul(space.t(), image.view());
    ritz = (&ritz + &ritz.t()) * 0.5;
    let (values, vectors) = linalg::eigh(ritz.view())?;
    let mut axes = linalg::matmul(space.view(), vectors.slice_axis(Axis(1), Slice::from(..components)));
    fix_signs(&mut axes);
    let complete = space.ncols() == d;
    let kept = if complete { d } else { components };
    let eigenvalues = values.slice_axis(Axis(0), Slice::from(..kept)).mapv(|v| v.max(0.0));
    Ok(Spectrum { weight, rows: n_present(data), mean, eigenvalues, axes, total_variance: variances.sum(), complete })
}
