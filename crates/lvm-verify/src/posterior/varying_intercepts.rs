//! A regression whose intercept varies by group: radon in the houses of counties.

use super::formula::Names;
use super::scale::{is_of_scale, is_on_line, on_line, on_log};
use super::text::{Clause, Prior, Statement, capture, squeeze};
use super::{Parametrisation, Posterior, finite};
use lvm_core::special::HALF_LOG_2PI;
use lvm_vi::expectation::GaussianExpectation;
use lvm_vi::target::{DataLogDensity, LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2, ArrayView1};

/// y_n ~ N(α_{g(n)} + x_n · β, σ²), α_c ~ N(μ, τ²); z = (α_1 … α_J, β, μ, log τ, log σ), or z_c in the place of α_c = μ + τ z_c.
#[derive(Debug, Clone)]
pub struct VaryingIntercepts {
    /// X (N, p), without a constant.
    pub x: Array2<f64>,
    /// y (N).
    pub y: Array1<f64>,
    /// The group of each row, from 0 (N).
    pub group: Vec<usize>,
    /// J.
    pub groups: usize,
    /// How α is written.
    pub parametrisation: Parametrisation,
    /// Priors of β, then of μ.
    pub line: Vec<Prior>,
    /// Priors of τ and of σ.
    pub scales: [Prior; 2],
}

impl VaryingIntercepts {
    /// The model a case states; none if it states another.
    pub(super) fn of(s: &Statement) -> Option<VaryingIntercepts> {
        let groups =
            s.names.iter().filter(|n| capture("z{}", n).or(capture("alpha{}", n)).is_some_and(|f| f[0].parse::<usize>().is_ok())).count();
        let rest = s.names.get(groups..)?;
        let (scales, line) = (rest.get(rest.len().checked_sub(2)?..)?, rest.get(..rest.len() - 2)?);
        if scales != ["sigma_alpha", "sigma_y"] || line.last()? != "mu_alpha" || groups == 0 {
            return None;
        }
        let inner = s.sampled("y_i")?.strip_prefix("Normal(alpha_{")?.strip_suffix(", sigma_y)")?;
        let (index, predictor) = inner.split_once("(i)} + ")?;
        let centred = s.sampled("alpha_c").map(squeeze);
        let noncentred = s.clauses.contains(&Clause::Other("alpha_c=mu_alpha+sigma_alphaz_c".to_owned()));
        let (parametrisation, letter) = match (centred.as_deref(), noncentred) {
            (Some("Normal(mu_alpha,sigma_alpha)"), false) => (Parametrisation::Centred, "alpha"),
            (None, true) if squeeze(s.sampled("z_c")?) == "Normal(0,1)" => (Parametrisation::NonCentred, "z"),
            _ => return None,
        };
        let mut clauses = s.without(&["y_i", "z_c", "alpha_c"]);
        clauses.retain(|c| *c != Clause::Other("alpha_c=mu_alpha+sigma_alphaz_c".to_owned()));
        let priors = Statement::priors(&clauses, rest)?;
        let (line_priors, scale_priors) = priors.split_at(line.len());
        let y = s.columns.column("log_radon")?.clone();
        let x = Names::new(&s.columns).linear(predictor, &line[..line.len() - 1], y.len())?;
        let group: Vec<usize> = s.columns.column(index)?.iter().map(|c| *c as usize).collect();
        let agrees = s.names[..groups].iter().enumerate().all(|(j, n)| *n == format!("{letter}{}", j + 1))
            && group.len() == y.len()
            && group.iter().all(|g| (1..=groups).contains(g))
            && line_priors.iter().all(is_on_line)
            && scale_priors.iter().all(is_of_scale);
        agrees.then(|| VaryingIntercepts {
            x,
            y,
            group: group.into_iter().map(|g| g - 1).collect(),
            groups,
            parametrisation,
            line: line_priors.to_vec(),
            scales: [scale_priors[0], scale_priors[1]],
        })
    }

    /// The places of μ, log τ and log σ.
    pub(super) fn places(&self) -> [usize; 3] {
        let mu = self.groups + self.x.ncols();
        [mu, mu + 1, mu + 2]
    }
}

impl DataLogDensity for VaryingIntercepts {
    fn dim(&self) -> usize {
        self.groups + self.x.ncols() + 3
    }

    fn n_data(&self) -> usize {
        self.y.len()
    }

    fn log_prior_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let [mu, tau, sigma] = self.places();
        let mut value = 0.0;
        for (i, prior) in (self.groups..).zip(&self.line) {
            let (v, g) = on_line(*prior, z[i]);
            value += v;
            gradient[i] = g;
        }
        for (i, prior) in [tau, sigma].into_iter().zip(self.scales) {
            let (v, g) = on_log(prior, z[i]);
            value += v;
            gradient[i] = g;
        }
        finite(value + self.parametrisation.log_prior_grad(self.groups, z[mu], z[tau], z, gradient, [mu, tau]))
    }

    fn log_likelihood_grad(&self, rows: &[usize], z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        // −n (log σ + ½ log 2π) − ½ Σ (y_n − α_{g(n)} − x_n · β)² / σ²
        let [mu, tau, sigma] = self.places();
        let beta = ArrayView1::from(&z[self.groups..mu]);
        let precision = (-2.0 * z[sigma]).exp();
        let n = rows.len() as f64;
        let mut squares = 0.0;
        gradient.fill(0.0);
        for &row in rows {
            let (x, c) = (self.x.row(row), self.group[row]);
            let r = self.y[row] - self.parametrisation.effect(z[c], z[mu], z[tau]) - x.dot(&beta);
            squares += r * r;
            gradient[self.groups..mu].iter_mut().zip(x).for_each(|(g, x)| *g += precision * r * x);
            self.parametrisation.add_effect_grad(precision * r, c, z, gradient, [mu, tau]);
        }
        gradient[sigma] = precision * squares - n;
        finite(-n * (z[sigma] + HALF_LOG_2PI) - 0.5 * precision * squares)
    }
}

super::all_rows!(VaryingIntercepts);

impl Posterior for VaryingIntercepts {
    fn form(&self) -> &'static str {
        match self.parametrisation {
            Parametrisation::Centred => "varying intercepts, centred",
            Parametrisation::NonCentred => "varying intercepts, non-centred",
        }
    }
    fn expectation(&self) -> lvm_core::Result<Box<dyn GaussianExpectation + '_>> {
        Ok(Box::new(super::terms::varying_intercepts(self)?))
    }
    fn by_rows(&self) -> Option<&dyn DataLogDensity> {
        Some(self)
    }
}
