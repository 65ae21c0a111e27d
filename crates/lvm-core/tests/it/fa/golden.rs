//! The reference cases, and the improper solutions among them.

use super::*;

#[test]
fn golden_optimum_from_default_settings() {
    for Case { x, factors, file } in cases() {
        let truth = &file["truth"];
        let n = x.nrows() as f64;
        let fitted = fit(factors, &x);
        let model = &fitted.model;
        assert_eq!(fitted.status, Status::Converged);
        assert!(fitted.repairs.is_empty());
        // The reference is the optimum to 1e-13; a gradient of 1e-9 a row leaves 1e-17 of the likelihood and 1e-8 of ψ. What remains is
        // rounding of sums of N D terms of size up to |log p|, far inside the file's own 1e-6 and 1e-4.
        let log_likelihood = truth["log_likelihood"].as_f64().unwrap();
        assert_close("log-likelihood", [fitted.objective() * n], [log_likelihood], 1e-9 * log_likelihood.abs());
        assert_close("evidence", [model.log_evidence(&x).unwrap().sum()], [log_likelihood], 1e-9 * log_likelihood.abs());
        assert_close("uniqueness", model.uniquenesses(), vector(&truth["uniquenesses"]), 1e-7);
        assert_close("communality", model.communalities(), vector(&truth["communalities"]), 1e-7);
        let relative = model.noise_variances() / &vector(&truth["psi"]);
        assert_close("psi", relative, Array1::ones(x.ncols()), 1e-7);
        let sd = moments(&x).unwrap().covariance.diag().mapv(f64::sqrt);
        let w = model.loadings() / &sd.clone().insert_axis(Axis(1));
        assert_close("WWt", w.dot(&w.t()), matrix(&truth["WWt_correlation_scale"]), 1e-7);
        // canonical frame: Wᵀ Ψ⁻¹ W is diagonal
        let scaled = model.loadings() / &model.noise_variances().mapv(f64::sqrt).insert_axis(Axis(1));
        let mut gram = scaled.t().dot(&scaled);
        let mut strengths = gram.diag().to_vec();
        strengths.sort_by(|a, b| b.total_cmp(a));
        assert_close("eigenvalue", strengths, vector(&truth["eigenvalues_of_scaled_loadings"]), 1e-5);
        gram.diag_mut().fill(0.0);
        assert!(gram.iter().all(|v| v.abs() < 1e-9));
        let free = truth["n_covariance_parameters"].as_u64().unwrap() as usize;
        assert_eq!(model.n_parameters(), free + x.ncols());

        let rows: Vec<usize> = vector(&truth["posterior"]["rows_0based"]).iter().map(|r| *r as usize).collect();
        let posterior = model.infer(&x).unwrap();
        let wz = posterior.mean().select(Axis(0), &rows).dot(&model.loadings().t());
        let reference = matrix(&truth["posterior"]["W_times_mean"]);
        assert_close("W E[z|x]", (&wz - &reference) / &sd, Array1::zeros(reference.len()), 1e-6);
        let (mut eigenvalues, _) = lvm_core::linalg::eigh(posterior.covariance(0)).unwrap();
        eigenvalues.invert_axis(Axis(0));
        assert_close("posterior covariance", eigenvalues, vector(&truth["posterior"]["covariance_eigenvalues"]), 1e-7);

        // Bartlett-corrected likelihood ratio from the reference's discrepancy
        let test = LikelihoodRatio::of(model, moments(&x).unwrap().covariance.view(), n).unwrap();
        let (d, q) = (x.ncols() as f64, factors as f64);
        let f = truth["discrepancy_F"].as_f64().unwrap();
        assert_close("likelihood ratio", [test.statistic], [(n - 1.0 - (2.0 * d + 5.0) / 6.0 - 2.0 * q / 3.0) * f], 1e-6);
        assert!(test.p_value > 0.0 && test.p_value < 1.0);
    }
}

#[test]
fn golden_em_trajectory() {
    for Case { x, factors, file } in cases() {
        let (n, d) = x.dim();
        let z = standardised(&x);
        let w = Array2::from_shape_fn((d, factors), |(j, k)| if j % factors == k { 0.7 } else { 0.0 });
        let start = FactorAnalysis::new(Array1::zeros(d), w, Array1::from_elem(d, 0.5)).unwrap();
        let stopping = Stopping { max_iterations: 20, tolerance: 0.0 };
        let em = FaMl { factors, method: Method::Em, start: Start::Parameters(start), stopping, ..Default::default() };
        let fitted = em.fit(&z, 0).unwrap();
        let reference = vector(&file["em"]["log_likelihood_first_20"]);
        assert_eq!(fitted.trace.len(), 20);
        assert_eq!(fitted.status, Status::MaxIterations);
        // 20 updates of sums of N D terms
        assert_close("EM trajectory", fitted.trace.iter().map(|v| v * n as f64), reference.to_vec(), 1e-10 * reference[0].abs());
        // the parameters returned are those of the last entry
        assert_close("objective", [fitted.model.log_evidence(&z).unwrap().sum()], [reference[19]], 1e-10 * reference[0].abs());
    }
}

/// Tables whose best solution is improper: the likelihood at ψ_j = 0⁺, by L-BFGS-B from ten starts in SciPy 1.15 with ψ ≥ 1e-9 (1/N
/// scale, without the constant ½ N D log 2π; its eigenvalues carry rounding of 1e-7 a row).
#[test]
fn improper_solutions_are_found_and_reported() {
    for (name, factors, best) in [
        ("fa_mtcars_2", 4, 62.61507),
        ("fa_mtcars_2", 5, 68.26920),
        ("fa_statex77_1", 2, -106.82067),
        ("fa_statex77_1", 3, -93.80798),
        ("fa_statex77_1", 4, -85.60549),
    ] {
        let z = standardised(&case(name).x);
        let (n, d) = (z.nrows() as f64, z.ncols() as f64);
        let fitted = fit(factors, &z);
        let log_likelihood = fitted.objective() * n + 0.5 * n * d * std::f64::consts::TAU.ln();
        assert_close(name, [log_likelihood], [best], 2e-5);
        assert_eq!(fitted.status, Status::Converged);
        let heywood: Vec<usize> = fitted
            .repairs
            .iter()
            .map(|r| match r.kind {
                RepairKind::Heywood { variable, floor } => {
                    assert_eq!(floor, 1e-9);
                    variable
                }
                _ => panic!("{r}"),
            })
            .collect();
        assert!(!heywood.is_empty());
        let u = fitted.model.uniquenesses();
        for j in 0..z.ncols() {
            assert_eq!(heywood.contains(&j), u[j] < 1e-6, "variable {j} has uniqueness {}", u[j]);
        }
        // the model as it is returned has this likelihood, in spite of a noise variance of 1e-9
        let evidence = fitted.model.log_evidence(&z).unwrap().sum() / n;
        assert_close("evidence", [evidence], [fitted.objective()], 1e-10);
        assert!(fitted.trace.windows(2).all(|w| w[1] >= w[0] - 1e-12));
        // at a constrained maximum nothing is gained by lifting the floor's variables or moving the others
        assert!(is_constrained_maximum(&fitted.model, &z, &heywood));
    }
}

/// ∂ log p / ∂ψ_j = ½ [Σ⁻¹ (S − Σ) Σ⁻¹]_jj is zero where ψ_j is free and negative at the floor.
fn is_constrained_maximum(model: &FactorAnalysis, z: &Array2<f64>, floor: &[usize]) -> bool {
    let lower = lvm_core::linalg::cholesky(model.covariance().view()).unwrap();
    let inverse = lvm_core::linalg::cholesky_inverse(lower.view());
    let s = moments(z).unwrap().covariance;
    let slope = inverse.dot(&s).dot(&inverse) - &inverse;
    // condition numbers of these correlation matrices times 1e-9 of floor: seven digits of slopes of size 1 to 100
    (0..z.ncols()).all(|j| if floor.contains(&j) { slope[[j, j]] < 0.0 } else { (slope[[j, j]] * model.noise_variances()[j]).abs() < 1e-6 })
}

#[test]
fn a_higher_floor_is_held() {
    let z = standardised(&case("fa_statex77_1").x);
    let fitted = FaMl { factors: 2, floor: 0.005, ..Default::default() }.fit(&z, 1).unwrap();
    assert_eq!(fitted.repairs.len(), 1);
    assert_eq!(fitted.status, Status::Converged);
    let u = fitted.model.uniquenesses();
    let least = u.iter().cloned().fold(1.0, f64::min);
    // ψ is the floor exactly; Σ_jj of the model differs from S_jj at a bound, by less than the floor
    assert!((least - 0.005).abs() < 1e-4);
    assert!(fitted.objective() < fit(2, &z).objective());
}
