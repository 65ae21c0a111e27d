//! EM against the trajectories and fixed points of other programs.

use lvm_core::fit::{Status, Stopping};
use lvm_core::gmm::{CovarianceType, Covariances, GaussianMixture, GmmEm, Start};
use lvm_core::model::Evidence;
use ndarray::{Array1, Array2, Array3};
use serde_json::Value;

/// A reference case.
struct Case {
    json: Value,
    x: Array2<f64>,
    covariance: CovarianceType,
    components: usize,
    responsibilities: Array2<f64>,
}

fn vector(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn matrix(v: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = v.as_array().unwrap().iter().map(vector).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

impl Case {
    fn load(id: &str) -> Case {
        let path = format!("{}/tests/reference/{id}.json", env!("CARGO_MANIFEST_DIR"));
        let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        Case {
            x: matrix(&json["data"]["rows"]),
            covariance: json["model"]["covariance_type"].as_str().unwrap().parse().unwrap(),
            components: json["model"]["components"].as_u64().unwrap() as usize,
            responsibilities: matrix(&json["initial_responsibilities"]),
            json,
        }
    }

    fn em(&self, max_iterations: usize, tolerance: f64) -> GmmEm {
        GmmEm {
            components: self.components,
            covariance: self.covariance,
            start: Start::Responsibilities(self.responsibilities.clone()),
            stopping: Stopping { max_iterations, tolerance },
            ..Default::default()
        }
    }

    fn covariances(&self, v: &Value) -> Covariances {
        match self.covariance {
            CovarianceType::Full => {
                let all: Vec<Array2<f64>> = v.as_array().unwrap().iter().map(matrix).collect();
                let d = self.x.ncols();
                Covariances::Full(Array3::from_shape_fn((all.len(), d, d), |(k, i, j)| all[k][[i, j]]))
            }
            CovarianceType::Tied => Covariances::Tied(matrix(v)),
            CovarianceType::Diagonal => Covariances::Diagonal(matrix(v)),
            CovarianceType::Spherical => Covariances::Spherical(Array1::from(vector(v))),
        }
    }

    fn tolerance(&self, name: &str) -> f64 {
        self.json["tolerance"][name].as_f64().unwrap()
    }

    /// Weights, means and covariances to the file's relative tolerance.
    fn check_parameters(&self, ours: &GaussianMixture, theirs: &Value) {
        let tolerance = self.tolerance("parameters_relative");
        close(ours.weights().iter(), vector(&theirs["weights"]).iter(), tolerance, "weights");
        close(ours.means().iter(), matrix(&theirs["means"]).iter(), tolerance, "means");
        match (ours.covariances(), self.covariances(&theirs["covariances"])) {
            (Covariances::Full(a), Covariances::Full(b)) => close(a.iter(), b.iter(), tolerance, "covariances"),
            (Covariances::Tied(a), Covariances::Tied(b)) => close(a.iter(), b.iter(), tolerance, "covariances"),
            (Covariances::Diagonal(a), Covariances::Diagonal(b)) => close(a.iter(), b.iter(), tolerance, "covariances"),
            (Covariances::Spherical(a), Covariances::Spherical(b)) => close(a.iter(), b.iter(), tolerance, "covariances"),
            _ => panic!("covariance type"),
        }
    }
}

fn close<'a>(ours: impl Iterator<Item = &'a f64>, theirs: impl Iterator<Item = &'a f64>, relative: f64, what: &str) {
    let (ours, theirs): (Vec<&f64>, Vec<&f64>) = (ours.collect(), theirs.collect());
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        assert!((*a - *b).abs() <= relative * b.abs(), "{what} {i}: {a} {b}, relative {:e}", ((*a - *b) / *b).abs());
    }
}

fn check(id: &str) {
    let case = Case::load(id);
    let n = case.x.nrows() as f64;
    let fitted = case.em(20, 0.0).fit(&case.x, 0).unwrap();
    assert_eq!(fitted.status, Status::MaxIterations);
    assert!(fitted.repairs.is_empty(), "{:?}", fitted.repairs);
    let total: Vec<f64> = fitted.trace.iter().map(|l| l * n).collect();
    close(total.iter(), vector(&case.json["log_likelihood_first_20"]).iter(), case.tolerance("trajectory_relative"), "trajectory");
    for (iteration, theirs) in case.json["parameters_at_iteration"].as_object().unwrap() {
        let fitted = case.em(iteration.parse().unwrap(), 0.0).fit(&case.x, 0).unwrap();
        case.check_parameters(&fitted.model, theirs);
    }

    let converged = &case.json["converged"];
    let number = |name: &str| converged[name].as_f64().unwrap();
    // as many iterations as the reference took to stand still
    let model = case.em(converged["iterations_to_machine_precision"].as_u64().unwrap() as usize, 0.0).fit(&case.x, 0).unwrap().model;
    case.check_parameters(&model, converged);
    let criteria = model.criteria(&case.x).unwrap();
    let absolute = case.tolerance("converged_log_likelihood_abs");
    assert!((criteria.log_likelihood - number("log_likelihood")).abs() < absolute);
    assert_eq!(criteria.n_parameters as f64, number("n_parameters"));
    // −2 log L doubles the error of log L
    assert!((criteria.bic() - number("bic")).abs() < 2.0 * absolute);
    assert!((criteria.aic() - number("aic")).abs() < 2.0 * absolute);
    // the entropy is a smooth function of the parameters, which agree to 1e-6 relative
    close([model.icl(&case.x).unwrap()].iter(), [number("bic_plus_2_entropy")].iter(), case.tolerance("parameters_relative"), "icl");

    let rows: Vec<usize> = converged["per_row"]["rows_0based"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect();
    let (responsibilities, evidence) = (model.responsibilities(&case.x).unwrap(), model.log_evidence(&case.x).unwrap());
    let theirs = matrix(&converged["per_row"]["responsibilities"]);
    let log_density = vector(&converged["per_row"]["log_density"]);
    for (i, &row) in rows.iter().enumerate() {
        // smooth functions of parameters that agree to the file's relative tolerance; responsibilities of 1e-40 have that of their
        // logarithm's scale, so the comparison is absolute
        let tolerance = case.tolerance("parameters_relative");
        assert!((evidence[row] - log_density[i]).abs() < tolerance * log_density[i].abs().max(1.0));
        assert!(responsibilities.row(row).iter().zip(theirs.row(i)).all(|(a, b)| (a - b).abs() < tolerance));
    }
}

#[test]
fn acidity_full() {
    check("gmm_em_acidity_full");
}

#[test]
fn faithful_full() {
    check("gmm_em_faithful_full");
}

#[test]
fn faithful_spherical() {
    check("gmm_em_faithful_spherical");
}

#[test]
fn iris_diagonal() {
    check("gmm_em_iris_diag");
}

#[test]
fn iris_tied() {
    check("gmm_em_iris_tied");
}
