//! Expectations under a Gaussian by a tensor product of Gauss-Hermite rules, for models whose terms have no closed form.

use lvm_core::{Result, linalg};
use lvm_vi::expectation::{Covariance, Expectation, GaussianExpectation, LogJoint};
use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

/// A function of some of the latents, with its gradient in them; none where it can't be evaluated.
pub(super) type Part<'m> = Box<dyn Fn(&[f64], &mut [f64]) -> Option<f64> + Sync + 'm>;

/// Nodes and weights of E[f(ε)], ε ~ N(0, I), in few dimensions.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    /// (K, d).
    pub(super) nodes: Array2<f64>,
    /// They add up to 1 (K).
    pub(super) weights: Vec<f64>,
}

impl Tensor {
    /// `n` nodes each in `d` dimensions; those of weight below 1e-18 are left out.
    pub(super) fn new(n: usize, d: usize) -> Result<Tensor> {
        // The Jacobi matrix of the Hermite polynomials has √k beside its diagonal   (Golub and Welsch 1969)
        let jacobi = Array2::from_shape_fn((n, n), |(i, j)| if i.abs_diff(j) == 1 { (i.max(j) as f64).sqrt() } else { 0.0 });
        let (x, v) = linalg::eigh(jacobi.view())?;
        let w: Vec<f64> = (0..n).map(|k| v[[0, k]].powi(2)).collect();
        let (mut nodes, mut weights) = (Vec::new(), Vec::new());
        for index in 0..n.pow(d as u32) {
            let digits: Vec<usize> = (0..d).map(|a| index / n.pow(a as u32) % n).collect();
            let weight: f64 = digits.iter().map(|k| w[*k]).product();
            if weight > 1e-18 {
                nodes.extend(digits.iter().map(|k| x[*k]));
                weights.push(weight);
            }
        }
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        let shape = (weights.len(), d);
        let nodes = Array2::from_shape_vec(shape, nodes).map_err(|e| lvm_core::Error::config("nodes", e.to_string()))?;
        Ok(Tensor { nodes, weights })
    }

    /// About 10 000 nodes in all, 24 an axis at most.
    pub(super) fn affordable(d: usize) -> Result<Tensor> {
        let n = (1e4_f64.powf(1.0 / d as f64) + 1e-9).floor() as usize;
        Tensor::new(n.clamp(2, 24), d)
    }

    /// Adds the expectations of `part`, a function of the latents at `places`, under N(mean, covariance).
    fn add(
        &self,
        part: &Part<'_>,
        places: &[usize],
        mean: ArrayView1<'_, f64>,
        covariance: Covariance<'_>,
        out: &mut Expectation,
    ) -> Result<()> {
        let d = places.len();
        let s = Array2::from_shape_fn((d, d), |(i, j)| match covariance {
            Covariance::Diagonal(v) => {
                if i == j {
                    v[places[i]]
                } else {
                    0.0
                }
            }
            Covariance::Full(s) => s[[places[i], places[j]]],
        });
        let l = linalg::cholesky(s.view()).map_err(|e| e.of("covariance of q"))?;
        let at = |k: usize| {
            let u: Vec<f64> = (0..d).map(|i| mean[places[i]] + l.row(i).dot(&self.nodes.row(k))).collect();
            let mut gradient = vec![0.0; d];
            part(&u, &mut gradient).map(|value| (value, gradient))
        };
        // in parallel, and added up in order
        let found: Vec<Option<(f64, Vec<f64>)>> = (0..self.weights.len()).into_par_iter().with_min_len(64).map(at).collect();
        let (mut g, mut moment) = (Array1::<f64>::zeros(d), Array2::<f64>::zeros((d, d)));
        for (k, found) in found.into_iter().enumerate() {
            let Some((value, gradient)) = found else {
                out.value = f64::NAN;
                return Ok(());
            };
            out.value += self.weights[k] * value;
            for i in 0..d {
                g[i] += self.weights[k] * gradient[i];
                moment.row_mut(i).scaled_add(self.weights[k] * gradient[i], &self.nodes.row(k));
            }
        }
        // E[∇² f] = E[∇f εᵀ] L⁻¹   (Price's theorem; symmetric but for the error of the rule)
        let hessian = moment.dot(&linalg::inverse_lower(l.view()));
        for i in 0..d {
            out.gradient[places[i]] += g[i];
            for j in 0..d {
                out.hessian[[places[i], places[j]]] += 0.5 * (hessian[[i, j]] + hessian[[j, i]]);
            }
        }
        Ok(())
    }
}

/// log p as terms in closed form, and parts of few latents each by quadrature.
pub(super) struct ByQuadrature<'m> {
    pub(super) closed: Option<LogJoint>,
    pub(super) parts: Vec<(Vec<usize>, Part<'m>)>,
    pub(super) rule: Tensor,
    pub(super) dim: usize,
}

impl<'m> ByQuadrature<'m> {
    /// The whole of a model of few latents.
    pub(super) fn whole(model: &'m dyn LogDensityGrad) -> Result<Self> {
        let dim = model.dim();
        let part: Part<'m> = Box::new(move |u, g| model.log_density_grad(u, g).ok());
        Ok(ByQuadrature { closed: None, parts: vec![((0..dim).collect(), part)], rule: Tensor::affordable(dim)?, dim })
    }
}

impl LogDensity for ByQuadrature<'_> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        let mut value = self.closed.as_ref().map_or(Ok(0.0), |c| c.log_density(z))?;
        for (places, part) in &self.parts {
            let u: Vec<f64> = places.iter().map(|i| z[*i]).collect();
            value += part(&u, &mut vec![0.0; u.len()]).ok_or_else(|| TargetError::Recoverable("a part can't be evaluated".into()))?;
        }
        Ok(value)
    }
}

impl GaussianExpectation for ByQuadrature<'_> {
    fn expectation(&self, mean: ArrayView1<'_, f64>, covariance: Covariance<'_>, out: &mut Expectation) -> Result<()> {
        match &self.closed {
            Some(closed) => closed.expectation(mean, covariance, out)?,
            None => *out = Expectation::zeros(self.dim),
        }
        self.parts.iter().try_for_each(|(places, part)| self.rule.add(part, places, mean, covariance, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvm_vi::expectation::GaussianTarget;
    use ndarray::array;

    #[test]
    fn a_gaussian_is_integrated_exactly() {
        let target = GaussianTarget::from_precision(array![0.3, -1.0], array![[2.0, 0.7], [0.7, 1.0]]).unwrap();
        let (mean, covariance) = (array![1.0, 0.5], array![[0.4, -0.1], [-0.1, 0.9]]);
        let (mut exact, mut found) = (Expectation::zeros(2), Expectation::zeros(2));
        target.expectation(mean.view(), Covariance::Full(covariance.view()), &mut exact).unwrap();
        let rule = ByQuadrature::whole(&target).unwrap();
        rule.expectation(mean.view(), Covariance::Full(covariance.view()), &mut found).unwrap();
        // quadratics are exact with 24 nodes an axis but for rounding
        assert!((exact.value - found.value).abs() < 1e-12);
        assert!((&exact.gradient - &found.gradient).iter().chain(&(&exact.hessian - &found.hessian)).all(|v| v.abs() < 1e-12));
    }
}
