//! The centre of the suite: probabilistic PCA and factor analysis on real tables, where the posterior p(z_n | x_n) = N(z̄_n, Λ⁻¹) is known,
//! and with it the best Gaussian of every family, its ELBO and its KL.
//!
//! ```text
//! mean field   m_n = z̄_n, s_i² = 1/Λ_ii,   log p(x_n) − ELBO = KL = ½ (Σ_i log Λ_ii − log det Λ)
//! full rank    the posterior itself,        ELBO = log p(x_n)
//! ```
//!
//! The loadings are turned away from the principal axes, since along those Λ is diagonal and the mean field has nothing to lose.

mod engines;
mod learning;
mod optima;
mod stochastic;
mod truth;

use super::shared::standardised;
use crate::check::Layer;
use crate::suite::{Budget, Problem, Suite};
use crate::tables;
use lvm_core::fa::FaMl;
use lvm_core::linear_gaussian::LinearGaussian;
use lvm_core::ppca::PpcaMl;
use ndarray::{Array1, Array2, Axis};
use truth::Truth;

/// A table, and how it is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    /// Its name in [`tables`].
    name: &'static str,
    /// Latents of PPCA and of factor analysis.
    latents: [usize; 2],
    /// Whether columns differ in unit, and go in divided by their standard deviations.
    standardise: bool,
    /// The columns factor analysis has; all if none. A column that hardly varies has no uniqueness to speak of.
    of_factors: Option<(usize, usize)>,
    /// Whether the likelihood of factor analysis has one maximum here, inside the boundary, so that EM must reach it.
    one_maximum: bool,
    /// Whether the table is small enough for iterations and draws within a minute.
    small: bool,
}

const TABLES: [Table; 3] = [
    // the middle of the picture: its edge is white in nearly all
    Table { name: "digits", latents: [10, 5], standardise: false, of_factors: Some((18, 42)), one_maximum: false, small: false },
    Table { name: "wine", latents: [3, 3], standardise: true, of_factors: None, one_maximum: true, small: true },
    Table { name: "diamonds", latents: [6, 4], standardise: true, of_factors: None, one_maximum: false, small: false },
];

/// PPCA and factor analysis on every table by every method.
pub fn all(suite: &mut Suite<'_>) {
    for table in TABLES {
        for (name, kind, q) in [("PPCA", Kind::Ppca, table.latents[0]), ("FA", Kind::Factors, table.latents[1])] {
            let case = format!("{}, {name} with {q} latents", table.name);
            suite.group(Layer::P, "P1", &case, |g| optima::posteriors(g, &Setting::new(table, kind, q)?));
            suite.group(Layer::O, "O1", &case, |g| engines::all(g, &Setting::new(table, kind, q)?));
            if suite.selection.budget == Budget::Quick && !table.small {
                continue;
            }
            suite.group(Layer::O, "O1", &format!("{case}, a few rows"), |g| stochastic::few_rows(g, &Setting::new(table, kind, q)?));
            suite.group(Layer::C, if kind == Kind::Ppca { "C4" } else { "C5" }, &format!("{case}, variational EM"), |g| {
                learning::variational_em(g, &table_of(table, kind)?, (kind, table.one_maximum), q)
            });
        }
    }
}

/// Which of the two models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Ψ = σ² I.
    Ppca,
    /// Ψ diagonal.
    Factors,
}

/// A table with a model of it.
pub(super) struct Setting {
    /// (N, D).
    pub x: Array2<f64>,
    /// The maximum-likelihood model with its loadings turned.
    pub model: LinearGaussian,
}

/// A table as the model is to see it.
fn table_of(table: Table, kind: Kind) -> Result<Array2<f64>, Problem> {
    let mut x = tables::real(table.name)?.x;
    if let (Kind::Factors, Some((from, to))) = (kind, table.of_factors) {
        x = x.select(Axis(1), &(from..to).collect::<Vec<_>>());
    }
    Ok(if table.standardise { standardised(&x) } else { x })
}

impl Setting {
    fn new(table: Table, kind: Kind, q: usize) -> Result<Self, Problem> {
        let x = table_of(table, kind)?;
        let model = match kind {
            Kind::Ppca => {
                let p = PpcaMl { components: q, ..Default::default() }.fit(&x, 0)?.model;
                LinearGaussian::new(p.mean().clone(), turned(p.loadings()), Array1::from_elem(x.ncols(), p.noise_variance()))?
            }
            Kind::Factors => {
                let stopping = lvm_core::fit::Stopping { max_iterations: 300, tolerance: 1e-9 };
                let f = FaMl { factors: q, restarts: 1, stopping, ..Default::default() }.fit(&x, 0)?.model;
                let f = f.linear_gaussian();
                // Heywood cases have ψ near zero, and every truth by dense inverses would lose its digits: at least 5 % of the variance
                let variance = f.covariance().diag().to_owned();
                let noise = f.noise().iter().zip(&variance).map(|(psi, v)| psi.max(0.05 * v)).collect();
                LinearGaussian::new(f.mean().clone(), turned(f.loadings()), noise)?
            }
        };
        Ok(Setting { x, model })
    }

    /// What is known of the posterior.
    fn truth(&self) -> Result<Truth, Problem> {
        Truth::of(&self.model, &self.x)
    }
}

/// W R, R turning latent i towards i + 1 by 0.6 radians for i = 1, …, q − 1 one after the other.
fn turned(w: &Array2<f64>) -> Array2<f64> {
    let (sin, cos) = 0.6_f64.sin_cos();
    let mut w = w.clone();
    for i in 1..w.ncols() {
        let (a, b) = (w.column(i - 1).to_owned(), w.column(i).to_owned());
        w.column_mut(i - 1).assign(&(&a * cos + &b * sin));
        w.column_mut(i).assign(&(&b * cos - &a * sin));
    }
    w
}
