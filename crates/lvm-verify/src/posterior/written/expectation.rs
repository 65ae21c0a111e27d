//! Expectations of a compiled model: terms in closed form, every other by Gauss-Hermite quadrature over the few forms it depends on.

use super::super::quadrature::{ByQuadrature, Tensor};
use super::Written;
use super::tape::Tape;
use lvm_core::{Error, Result, linalg};
use lvm_vi::expectation::{Covariance, Expectation, GaussianExpectation};
use lvm_vi::target::{LogDensity, TargetError};
use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

/// Forms that a product rule can have.
const WIDEST: usize = 4;
/// Latents of a model that is integrated as a whole.
const LARGEST: usize = 6;

/// The expectations of a compiled model.
pub(super) fn of(model: &Written) -> Result<Box<dyn GaussianExpectation + '_>> {
    let open = |t: &usize| !model.is_closed[*t];
    let widest = (0..model.terms.len()).filter(open).map(|t| model.terms[t].forms.len()).max().unwrap_or(0);
    if widest > WIDEST {
        if model.dim > LARGEST {
            let message = format!("a term of {widest} latents in a model of {}: no product rule is that wide", model.dim);
            return Err(Error::config("terms", message));
        }
        return Ok(Box::new(ByQuadrature::whole(model)?));
    }
    let rules = (1..=widest).map(Tensor::affordable).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(ByTerms { model, open: (0..model.terms.len()).filter(open).collect(), rules }))
}

/// Closed terms, and the others by rules of as many dimensions as they have forms.
struct ByTerms<'m> {
    model: &'m Written,
    open: Vec<usize>,
    rules: Vec<Tensor>,
}

/// E\[f\], E\[∇f\] and E\[∇²f\] by the forms of one term.
struct Moments {
    value: f64,
    gradient: Array1<f64>,
    hessian: Array2<f64>,
}

impl ByTerms<'_> {
    fn moments(&self, tape: &Tape, mean: ArrayView1<'_, f64>, covariance: Covariance<'_>) -> Result<Moments> {
        let k = tape.forms.len();
        let centre: Vec<f64> = tape.forms.iter().map(|f| f.coefficients.iter().map(|(i, c)| c * mean[*i]).sum()).collect();
        if k == 0 {
            return Ok(Moments { value: tape.value_grad(&[], &mut []), gradient: Array1::zeros(0), hessian: Array2::zeros((0, 0)) });
        }
        let s = Array2::from_shape_fn((k, k), |(a, b)| {
            let (a, b) = (&tape.forms[a].coefficients, &tape.forms[b].coefficients);
            match covariance {
                Covariance::Diagonal(v) => a.iter().filter_map(|(i, c)| Some(c * b.get(i)? * v[*i])).sum::<f64>(),
                Covariance::Full(s) => a.iter().map(|(i, c)| c * b.iter().map(|(j, d)| d * s[[*i, *j]]).sum::<f64>()).sum(),
            }
        });
        let l = linalg::cholesky(s.view()).map_err(|e| e.of("covariance of the forms of a term"))?;
        let rule = &self.rules[k - 1];
        let mut out = Moments { value: 0.0, gradient: Array1::zeros(k), hessian: Array2::zeros((k, k)) };
        let (mut moment, mut gradient, mut x) = (Array2::<f64>::zeros((k, k)), vec![0.0; k], vec![0.0; k]);
        for (node, w) in rule.nodes.rows().into_iter().zip(&rule.weights) {
            for i in 0..k {
                x[i] = centre[i] + (0..=i).map(|j| l[[i, j]] * node[j]).sum::<f64>();
            }
            out.value += w * tape.value_grad(&x, &mut gradient);
            for i in 0..k {
                out.gradient[i] += w * gradient[i];
                moment.row_mut(i).scaled_add(w * gradient[i], &node);
            }
        }
        // E[∇² f] = E[∇f εᵀ] L⁻¹   (Price's theorem)
        let hessian = moment.dot(&linalg::inverse_lower(l.view()));
        out.hessian.assign(&((&hessian + &hessian.t()) * 0.5));
        Ok(out)
    }
}

impl LogDensity for ByTerms<'_> {
    fn dim(&self) -> usize {
        self.model.dim
    }
    fn log_density(&self, z: &[f64]) -> std::result::Result<f64, TargetError> {
        let mut unused = vec![0.0; z.len()];
        let open: f64 = self.open.iter().map(|t| self.model.add(*t, z, &mut unused)).sum();
        Ok(self.model.closed.log_density(z)? + open)
    }
}

impl GaussianExpectation for ByTerms<'_> {
    fn expectation(&self, mean: ArrayView1<'_, f64>, covariance: Covariance<'_>, out: &mut Expectation) -> Result<()> {
        self.model.closed.expectation(mean, covariance, out)?;
        let terms = &self.model.terms;
        let found: Vec<Moments> = self.open.par_iter().map(|t| self.moments(&terms[*t], mean, covariance)).collect::<Result<_>>()?;
        for (t, m) in self.open.iter().zip(found) {
            let forms = &terms[*t].forms;
            out.value += m.value;
            for (a, f) in forms.iter().enumerate() {
                for (i, c) in &f.coefficients {
                    out.gradient[*i] += c * m.gradient[a];
                    for (b, h) in forms.iter().enumerate() {
                        h.coefficients.iter().for_each(|(j, d)| out.hessian[[*i, *j]] += c * d * m.hessian[[a, b]]);
                    }
                }
            }
        }
        Ok(())
    }
}
