//! Rotations against published loadings, their own stationarity, and what they must not change.

use super::*;

/// Covariances of six ability tests of 112 people (R datasets::ability.cov; Smith & Stanley 1983).
fn ability() -> Array2<f64> {
    array![
        [24.641, 5.991, 33.520, 6.023, 20.755, 29.701],
        [5.991, 6.700, 18.137, 1.782, 4.936, 7.204],
        [33.520, 18.137, 149.831, 19.424, 31.430, 50.753],
        [6.023, 1.782, 19.424, 12.711, 4.757, 9.075],
        [20.755, 4.936, 31.430, 4.757, 52.604, 66.762],
        [29.701, 7.204, 50.753, 9.075, 66.762, 135.292]
    ]
}

/// λ_jk = loadings in units of the columns' standard deviations.
fn standardised_loadings(model: &FactorAnalysis) -> Array2<f64> {
    model.loadings() / &model.covariance().diag().mapv(f64::sqrt).insert_axis(Axis(1))
}

#[test]
fn published_rotations_of_the_ability_tests() {
    // What R prints for `factanal(factors = 2, covmat = ability.cov)`, three decimals, and with rotation = "promax". R's varimax stops
    // when its criterion changes by 1e-5 of itself, which leaves the angle, and with it the loadings, uncertain by √1e-5 = 3.2e-3.
    let angle = 3.2e-3 + 5e-4;
    let fitted =
        FaMl { factors: 2, rotation: Some(Rotation::varimax()), ..Default::default() }.fit_covariance(ability().view(), 112.0, 0).unwrap();
    let model = &fitted.model;
    assert_close("uniqueness", model.uniquenesses(), [0.455, 0.589, 0.218, 0.769, 0.052, 0.334], 5.1e-4);
    let varimax = array![[0.499, 0.543], [0.156, 0.622], [0.206, 0.860], [0.109, 0.468], [0.956, 0.182], [0.785, 0.225]];
    let ours = standardised_loadings(model);
    // R does not order the factors as we do
    let order = if ours[[4, 0]] > 0.9 { [0, 1] } else { [1, 0] };
    assert_close("varimax", ours.select(Axis(1), &order), varimax, angle);
    let test = LikelihoodRatio::of(model, ability().view(), 112.0).unwrap();
    assert_close("chi square", [test.statistic, test.p_value], [6.11, 0.191], 5.1e-3);
    assert_eq!(test.degrees_of_freedom, 4);
    let promax = standardised_loadings(&model.rotated(Rotation::promax()).unwrap());
    let order = if promax[[4, 0]] > 0.9 { [0, 1] } else { [1, 0] };
    // small loadings are left blank in R's print
    let promax = promax.select(Axis(1), &order);
    assert_close("promax", promax.row(0).to_vec(), [0.364, 0.470], angle);
    assert_close("promax", promax.column(1).iter().skip(1).take(3).copied().collect::<Vec<_>>(), [0.671, 0.932, 0.508], angle);
    assert_close("promax", [promax[[4, 0]], promax[[5, 0]]], [1.023, 0.811], angle);
}

#[test]
fn rotations_agree_with_factor_analyzer() {
    // factor_analyzer 0.5 on the reference optimum: first two rows, columns ordered and signed as ours.
    let Case { x, factors, .. } = case("fa_bfi_5");
    let model = fit(factors, &x).model;
    let check = |rotation, rows: Array2<f64>, tolerance| {
        let rotated = model.rotated(rotation).unwrap();
        assert!(rotated.rotation().unwrap().converged);
        let lambda = standardised_loadings(&rotated);
        assert_close(&rotation.to_string(), lambda.select(Axis(0), &[0, 1]), rows, tolerance);
        rotated
    };
    // six digits printed; its iterations stop at a relative change of 1e-12 of the criterion, whose square root moves the loadings
    check(
        Rotation::varimax(),
        array![[-0.032133, 0.005033, 0.021179, -0.523798, -0.161968], [-0.217684, -0.066346, 0.189625, 0.664264, 0.039733]],
        2e-5,
    );
    check(
        Rotation::Quartimax { normalization: Normalization::None },
        array![[0.096014, -0.086345, -0.034506, -0.510111, -0.155005], [-0.140843, -0.162321, -0.163372, 0.675720, 0.033138]],
        2e-5,
    );
    let oblimin = check(
        Rotation::oblimin(),
        array![[0.112570, 0.071375, -0.206325, -0.521424, -0.122601], [-0.093434, 0.113493, -0.011417, 0.675400, -0.011684]],
        2e-5,
    );
    assert_close("Φ", oblimin.factor_correlations().row(0).to_vec(), [1.000000, -0.243252, 0.202805, -0.113681, -0.043943], 2e-5);
}

#[test]
fn rotated_loadings_are_stationary() {
    let Case { x, factors, .. } = case("fa_bfi_5");
    let model = fit(factors, &x).model;
    let plain = standardised_loadings(&model);
    for (gamma, normalization) in
        [(1.0, Normalization::Kaiser), (1.0, Normalization::None), (0.0, Normalization::Kaiser), (0.0, Normalization::None)]
    {
        let rotation = if gamma == 1.0 { Rotation::Varimax { normalization } } else { Rotation::Quartimax { normalization } };
        let rotated = model.rotated(rotation).unwrap();
        let t = &rotated.rotation().unwrap().matrix;
        assert_close("orthogonal", t.t().dot(t), Array2::eye(factors), 1e-13);
        assert_close("Λ = W T", plain.dot(t), standardised_loadings(&rotated), 1e-13);
        let mut lambda = plain.dot(t);
        if normalization == Normalization::Kaiser {
            let lengths: Array1<f64> = lambda.rows().into_iter().map(|r| r.dot(&r).sqrt()).collect();
            lambda /= &lengths.insert_axis(Axis(1));
        }
        // at a maximum over orthogonal matrices Λᵀ ∂f/∂Λ is symmetric, with ∂f/∂λ_jk ∝ λ_jk³ − γ λ_jk Σ_i λ_ik² / D
        let means = lambda.mapv(|v| v * v).mean_axis(Axis(0)).unwrap() * gamma;
        let gradient = lambda.mapv(|v| v.powi(3)) - &lambda * &means;
        let s = lambda.t().dot(&gradient);
        // D products of numbers below 1
        assert_close("stationary", s.to_owned(), s.t().to_owned(), 1e-12);
    }
    for (gamma, normalization) in [(0.0, Normalization::None), (-1.0, Normalization::Kaiser), (-0.5, Normalization::None)] {
        let rotated = model.rotated(Rotation::Oblimin { gamma, normalization }).unwrap();
        assert!(rotated.rotation().unwrap().converged);
        let t = rotated.rotation().unwrap().matrix.clone();
        let value = |t: &Array2<f64>| {
            // Λ = W T⁻ᵀ: solve T Λᵀ = Wᵀ by normal equations of a well-conditioned T
            let gram = lvm_core::linalg::cholesky(t.t().dot(t).view()).unwrap();
            let mut lambda = plain.dot(t).dot(&lvm_core::linalg::cholesky_inverse(gram.view()));
            if normalization == Normalization::Kaiser {
                lambda /= &plain.rows().into_iter().map(|r| r.dot(&r).sqrt()).collect::<Array1<f64>>().insert_axis(Axis(1));
            }
            let l2 = lambda.mapv(|v| v * v);
            let d = l2.nrows() as f64;
            let (mut f, sums) = (0.0, l2.sum_axis(Axis(0)));
            for k in 0..factors {
                for l in (0..factors).filter(|l| *l != k) {
                    f += 0.25 * (l2.column(k).dot(&l2.column(l)) - gamma / d * sums[k] * sums[l]);
                }
            }
            f
        };
        let least = value(&t);
        for i in 0..factors {
            for k in 0..factors {
                let moved = |step: f64| {
                    let mut t = t.clone();
                    t[[i, k]] += step;
                    let length = t.column(k).dot(&t.column(k)).sqrt();
                    t.column_mut(k).mapv_inplace(|v| v / length);
                    value(&t)
                };
                let step = 1e-4;
                // rounding 1e-16 / step and truncation step² f‴
                assert!(((moved(step) - moved(-step)) / (2.0 * step)).abs() < 1e-6);
                assert!(moved(1e-2) > least && moved(-1e-2) > least);
            }
        }
    }
}

#[test]
fn rotation_keeps_the_model_and_turns_the_scores() {
    let Case { x, factors, .. } = case("fa_bfi_5");
    let model = fit(factors, &x).model;
    let evidence = model.log_evidence(&x).unwrap();
    let posterior = model.infer(&x).unwrap();
    let bartlett = model.bartlett_scores(&x).unwrap();
    for name in ["varimax", "quartimax", "promax", "oblimin"] {
        let rotation: Rotation = name.parse().unwrap();
        let rotated = model.rotated(rotation).unwrap();
        assert_eq!(rotated.log_evidence(&x).unwrap(), evidence);
        assert_eq!(rotated.uniquenesses(), model.uniquenesses());
        let (t, phi) = (rotated.rotation().unwrap().matrix.clone(), rotated.factor_correlations());
        assert_close("Φ", t.t().dot(&t), phi.clone(), 1e-12);
        assert_close("W = Λ Tᵀ", rotated.loadings().dot(&t.t()), model.loadings().clone(), 1e-12);
        let common = rotated.loadings().dot(&phi).dot(&rotated.loadings().t());
        assert_close("common covariance", common, model.loadings().dot(&model.loadings().t()), 1e-12);
        assert_close("explained", [rotated.explained_variance().sum()], [model.communalities().sum()], 1e-12);
        let explained = rotated.explained_variance();
        let lambda = standardised_loadings(&rotated);
        for k in 0..factors {
            assert!(k == 0 || explained[k] <= explained[k - 1]);
            let column = lambda.column(k);
            assert!(column.iter().cloned().fold(f64::MIN, f64::max) >= -column.iter().cloned().fold(f64::MAX, f64::min));
        }
        let q = rotated.infer(&x).unwrap();
        assert_close("regression scores", q.mean().clone(), posterior.mean().dot(&t), 1e-12);
        assert_close("map", rotated.map_z(&x).unwrap(), q.mean().clone(), 0.0);
        assert_close("covariance", q.covariance(0).to_owned(), t.t().dot(&posterior.covariance(0)).dot(&t), 1e-13);
        // KL to the prior N(0, Φ) does not depend on the axes
        assert_close("KL", q.kl_from_prior(), posterior.kl_from_prior(), 1e-11);
        let b = rotated.bartlett_scores(&x).unwrap();
        assert_close("Bartlett", b.scores.clone(), bartlett.scores.dot(&t), 1e-12);
        // Cov f̂ given f in the rotated axes is (Λᵀ Ψ⁻¹ Λ)⁻¹
        let scaled = rotated.loadings() / &rotated.noise_variances().mapv(f64::sqrt).insert_axis(Axis(1));
        assert_close("Bartlett covariance", b.covariance.dot(&scaled.t().dot(&scaled)), Array2::eye(factors), 1e-11);
        // a model read back from its parts is the same model
        let again = model.with_rotation(rotated.rotation().unwrap().clone()).unwrap();
        assert_eq!(again, rotated);
        // fitting with the rotation is rotating the fit
        let direct = FaMl { factors, rotation: Some(rotation), ..Default::default() }.fit(&x, 7).unwrap();
        assert_eq!(direct.model, rotated);
    }
    // one factor has nothing to turn
    let one = fit(1, &x).model;
    assert_close("one factor", one.rotated(Rotation::oblimin()).unwrap().loadings().clone(), one.loadings().clone(), 1e-15);
}

#[test]
fn the_matrix_of_an_orthogonal_rotation_is_orthogonal() {
    use lvm_core::fa::Rotated;
    let Case { x, .. } = case("fa_mtcars_2");
    let model = fit(2, &x).model;
    // columns of length 1 with a cosine of 0.6 between them: factors of that correlation
    let oblique = array![[1.0, 0.6], [0.0, 0.8]];
    let with = |rotation, matrix: &Array2<f64>| model.with_rotation(Rotated { rotation, matrix: matrix.clone(), converged: true });
    for rotation in [Rotation::varimax(), Rotation::quartimax()] {
        let error = with(rotation, &oblique).unwrap_err().to_string();
        assert!(error.contains("columns 0 and 1") && error.contains("not orthogonal"), "{error}");
    }
    for rotation in [Rotation::promax(), Rotation::oblimin()] {
        assert_close("Φ", with(rotation, &oblique).unwrap().factor_correlations(), array![[1.0, 0.6], [0.6, 1.0]], 1e-15);
    }
    // a rotation and a reflection are orthogonal; rounding of eight digits is let pass, NaN is not
    for turned in [array![[0.6, 0.8], [-0.8, 0.6]], array![[0.6, 0.8], [0.8, -0.6]], array![[0.6 + 1e-9, 0.8], [-0.8, 0.6]]] {
        assert_eq!(with(Rotation::varimax(), &turned).unwrap().factor_correlations(), Array2::<f64>::eye(2));
    }
    assert!(with(Rotation::varimax(), &array![[f64::NAN, 0.8], [-0.8, 0.6]]).is_err());
}
