//! The traits of lvm-core on a VAE.

use crate::exact_linear::iris;
use crate::vae_exact::{Exact, largest, load, matrix, vector};
use lvm_core::bound;
use lvm_core::model::{Evidence, Infer, LatentDist, LatentModel, MapLatent};
use lvm_core::random::{Purpose, stream};
use lvm_deep::evidence::{EvaluationMemory, iwae};
use lvm_deep::model::VaeModel;
use ndarray::{Array2, Axis};

#[test]
fn bounds_of_core_meet_the_exact_evidence_of_ppca() {
    let (ppca, vae, x) = iris();
    let model = VaeModel::new(vae).unwrap();
    assert_eq!((model.dim(), model.n_parameters()), (4, 4 * 2 + 4 + 1));
    let exact = ppca.log_evidence(&x).unwrap();
    let q = model.infer(&x).unwrap();
    // with q the posterior itself every draw is log p(x): rounding of terms near 10, enlarged by x²/σ² near 1e3
    let found = bound::elbo(&model, &q, &x, 3, 1).unwrap();
    assert!(largest(found.means(), exact.iter().copied()) < 1e-10);
    assert!(found.rows.iter().all(|row| row.std_err < 1e-10));
    assert!(largest(model.iwae(&x, 5, 1, EvaluationMemory::default(), 2).unwrap().means(), exact) < 1e-10);
    // the mode is the mean, and the ascent finds it from there; gradient tolerance 1e-6 over curvature above 1
    assert!(largest(model.map_z(&x).unwrap(), ppca.map_z(&x).unwrap()) < 1e-6);
    assert!(largest(q.mode(), ppca.map_z(&x).unwrap()) < 1e-10);
    let z = q.sample(&mut stream(3, Purpose::Sample, 0));
    assert!(largest(model.log_joint(&x, &z).unwrap(), ppca.log_joint(&x, &z).unwrap()) < 1e-10);
}

#[test]
fn importance_weighting_of_core_agrees_with_our_own() {
    let Exact { vae, batch, case } = load("vae_bernoulli_2d");
    let x = matrix(&case["x"]);
    let own = iwae(&vae, &batch, 20, 300, EvaluationMemory::default(), 5).unwrap();
    let model = VaeModel::new(vae).unwrap();
    let of_core = bound::iwae(&model, &model.infer(&x).unwrap(), &x, 20, 300, 6).unwrap();
    for (a, b) in own.rows.iter().zip(&of_core.rows) {
        // 6 standard errors of the difference of two independent estimates, 24 rows: below 1e-6 for means of 300
        assert!((a.mean - b.mean).abs() < 6.0 * a.std_err.hypot(b.std_err), "{a:?} {b:?}");
    }
    assert!(of_core.total.mean < vector(&case["truth"]["log_p"]).sum());
}

#[test]
fn samples_have_the_moments_of_the_model() {
    let (ppca, vae, _) = iris();
    let model = VaeModel::new(vae).unwrap();
    let n = 20_000;
    let mut rng = stream(9, Purpose::Sample, 0);
    let z = model.sample_z(n, &mut rng);
    let x = model.sample_x(&z, &mut rng).unwrap();
    let covariance = ppca.linear_gaussian().covariance();
    let mean = x.mean_axis(Axis(0)).unwrap();
    let centred = &x - &mean;
    let found: Array2<f64> = centred.t().dot(&centred) / n as f64;
    for i in 0..4 {
        // 5.5 standard errors of 4 means and 16 covariances: below 1e-6
        assert!((mean[i] - ppca.mean()[i]).abs() < 5.5 * (covariance[(i, i)] / n as f64).sqrt());
        for j in 0..4 {
            let variance = covariance[(i, i)] * covariance[(j, j)] + covariance[(i, j)].powi(2);
            assert!((found[(i, j)] - covariance[(i, j)]).abs() < 5.5 * (variance / n as f64).sqrt());
        }
    }
}

#[test]
fn misfits_are_refused() {
    let (_, vae, x) = iris();
    let model = VaeModel::new(vae).unwrap();
    assert!(model.infer(&Array2::<f64>::zeros((2, 3))).is_err());
    assert!(model.log_joint(&x, &Array2::zeros((150, 3))).unwrap_err().to_string().contains("columns of z"));
    assert!(model.log_joint(&x, &Array2::zeros((149, 2))).unwrap_err().to_string().contains("rows of z"));
    assert!(model.sample_x(&Array2::zeros((1, 1)), &mut stream(1, Purpose::Sample, 0)).is_err());
    let mut hole = x.clone();
    hole[(3, 1)] = f64::NAN;
    assert!(model.infer(&hole).is_err());
    assert!(model.infer(&x).unwrap().log_prob(&Array2::zeros((1, 2))).is_err());
}
