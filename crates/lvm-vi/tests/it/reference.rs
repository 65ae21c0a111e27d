//! Posteriors whose best Gaussians are known: the reference cases that can be composed of terms.

use lvm_vi::expectation::{Affine, Expression, GaussianTarget, LogJoint};
use ndarray::{Array1, Array2};
use serde_json::Value;
use std::path::Path;

/// A reference case with its table, if it has one.
pub(crate) struct Case {
    pub(crate) json: Value,
    data: Value,
}

fn read(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lvm-verify/reference").join(path);
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

pub(crate) fn vector(v: &Value) -> Array1<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

pub(crate) fn matrix(v: &Value) -> Array2<f64> {
    let rows: Vec<Array1<f64>> = v.as_array().unwrap().iter().map(vector).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

impl Case {
    pub(crate) fn read(id: &str) -> Case {
        let json = read(&format!("cases/{id}.json"));
        let data = match json["data"]["file"].as_str() {
            Some(file) => read(file.trim_start_matches("shared/reference/")),
            None => json["data"].clone(),
        };
        Case { json, data }
    }

    fn column(&self, name: &str) -> Array1<f64> {
        vector(&self.data[name])
    }

    /// u = (β, log σ): y ~ N(β₁ + β₂ hs + β₃ iq, σ), β flat, σ ~ half-Cauchy(0, 2.5).
    pub(crate) fn kidiq(&self) -> LogJoint {
        let mut p = LogJoint::new(4).unwrap();
        let (hs, iq, y) = (self.column("mom_hs"), self.column("mom_iq"), self.column("kid_score"));
        for n in 0..y.len() {
            p.normal(Affine::predictor(0, &[1.0, hs[n], iq[n]]) - y[n], Affine::variable(3)).unwrap();
        }
        p.half_cauchy(Affine::variable(3), 2.5).unwrap();
        p
    }

    /// u = (z₁ … z₈, μ, log τ): y_j ~ N(μ + τ z_j, σ_j), z ~ N(0, 1), μ ~ N(0, 5), τ ~ half-Cauchy(0, 5).
    pub(crate) fn eight_schools(&self) -> LogJoint {
        let mut p = LogJoint::new(10).unwrap();
        let (y, sigma) = (self.column("y"), self.column("sigma"));
        for j in 0..8 {
            let theta = Expression::from(Affine::variable(8)) + Affine::variable(j).times_exp(Affine::variable(9));
            p.normal(theta - y[j], sigma[j].ln()).unwrap();
            p.normal(Affine::variable(j), 0.0).unwrap();
        }
        p.normal(Affine::variable(8), 5_f64.ln()).unwrap();
        p.half_cauchy(Affine::variable(9), 5.0).unwrap();
        p
    }

    /// u = (α, β₁, β₂): switched ~ Bernoulli(logit⁻¹(α + β₁ dist/100 + β₂ arsenic)), flat.
    pub(crate) fn wells(&self) -> LogJoint {
        let mut p = LogJoint::new(3).unwrap();
        let (dist, arsenic, y) = (self.column("dist"), self.column("arsenic"), self.column("switched"));
        p.binomial((0..y.len()).map(|n| (y[n], 1.0, Affine::predictor(0, &[1.0, dist[n] / 100.0, arsenic[n]])))).unwrap();
        p
    }

    /// u = (α, β₁, β₂, β₃): C ~ Poisson(exp(α + β₁ t + β₂ t² + β₃ t³)), flat.
    pub(crate) fn poisson(&self) -> LogJoint {
        let mut p = LogJoint::new(4).unwrap();
        for (t, c) in self.column("year").iter().zip(&self.column("C")) {
            p.poisson(*c, Affine::predictor(0, &[1.0, *t, t * t, t.powi(3)])).unwrap();
        }
        p
    }

    /// The target of a case of kind `gaussian_target`.
    pub(crate) fn gaussian(&self) -> GaussianTarget {
        GaussianTarget::from_covariance(vector(&self.json["target"]["mean"]), matrix(&self.json["target"]["covariance"])).unwrap()
    }

    /// The posteriors above by their names.
    pub(crate) fn log_joint(id: &str) -> (Case, LogJoint) {
        let case = Case::read(id);
        let target = match id {
            "kidiq_momhsiq" => case.kidiq(),
            "eight_schools_noncentered" => case.eight_schools(),
            "wells_dist100ars" => case.wells(),
            _ => case.poisson(),
        };
        (case, target)
    }
}

/// Reference posteriors composed of terms.
pub(crate) const COMPOSED: [&str; 4] = ["kidiq_momhsiq", "eight_schools_noncentered", "wells_dist100ars", "glm_poisson"];
