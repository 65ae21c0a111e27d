//! The number of components, and the plain PCA view.

use super::*;
use lvm_core::ppca::{Pca, PpcaSelect};
use lvm_core::selection::{Criterion, Selection};

/// Sums of twelve uniforms of Knuth's linear congruential generator, less six: the same numbers in any language.
fn lcg_normals(seed: u64, n: usize) -> Vec<f64> {
    let mut s = seed;
    let mut uniform = || {
        s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (s >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..n).map(|_| (0..12).map(|_| uniform()).sum::<f64>() - 6.0).collect()
}

/// N rows Z Wᵀ + noise E from those normals, in the order W, Z, E.
fn lcg_table(seed: u64, n: usize, d: usize, q: usize, noise: f64) -> Array2<f64> {
    let v = lcg_normals(seed, d * q + n * q + n * d);
    let w = Array2::from_shape_vec((d, q), v[..d * q].to_vec()).unwrap();
    let z = Array2::from_shape_vec((n, q), v[d * q..d * q + n * q].to_vec()).unwrap();
    let e = Array2::from_shape_vec((n, d), v[d * q + n * q..].to_vec()).unwrap();
    z.dot(&w.t()) + noise * e
}

fn select(components: std::ops::Range<usize>, criterion: Criterion, x: &dyn RowSource) -> Selection<Ppca> {
    PpcaSelect { components: components.collect(), criterion, ..Default::default() }.select(x, 0).unwrap()
}

#[test]
fn laplace_evidence_is_scikit_learn_s() {
    // sklearn.decomposition._pca._assess_dimension (1.9.1) on the eigenvalues divided by N, at q = 3, and the choice of
    // PCA(n_components='mle', svd_solver='full'), which divides by N − 1
    let tables: [(Array2<f64>, f64, usize); 7] = [
        (iris(), 442.4251800715262, 3),
        (digits(), -8836.331096184265, 22),
        (lcg_table(1, 200, 10, 3, 0.5), 454.76794881753574, 3),
        (lcg_table(2, 60, 20, 5, 1.0), -801.5784307681582, 5),
        (lcg_table(3, 500, 8, 2, 2.0), -3281.0284350882175, 2),
        (lcg_table(4, 40, 12, 4, 0.1), -143.21588921118502, 4),
        (lcg_table(5, 100, 15, 0, 1.0), -11.371171154757867, 1),
    ];
    for (x, evidence, choice) in &tables {
        let selection = select(1..x.ncols(), Criterion::LaplaceEvidence, x);
        // differences of nearly equal eigenvalues carry their rounding into the logarithms
        near(selection.table[2].laplace_evidence.unwrap(), *evidence, 1e-9);
        assert_eq!(selection.fitted.model.components(), *choice);
    }
}

#[test]
fn selection_finds_the_components_that_are_there() {
    let x = lcg_table(1, 200, 10, 3, 0.5);
    for criterion in [Criterion::Bic, Criterion::Aic, Criterion::LaplaceEvidence, Criterion::HeldOut] {
        let selection = select(0..10, criterion, &x);
        assert_eq!(selection.fitted.model.components(), 3, "{criterion:?}");
        assert_eq!(selection.table[selection.best].size, 3);
    }
    let selection = select(0..11, Criterion::Bic, &x);
    for candidate in &selection.table[..10] {
        let model = PpcaMl { components: candidate.size, ..Default::default() }.fit(&x, 0).unwrap().model;
        near(candidate.criteria.unwrap().log_likelihood, model.log_likelihood(&x).unwrap(), 1e-12);
        assert_eq!(candidate.criteria.unwrap().n_parameters, model.n_parameters());
    }
    assert!(selection.table[10].error.as_ref().unwrap().contains("10 columns"), "{:?}", selection.table[10].error);
    // the same rows with holes go through EM
    let holes = with_holes(&x, 0.05, 6);
    let rows = Rows::new(&holes).missing_as_nan();
    assert_eq!(select(1..6, Criterion::Bic, &rows).fitted.model.components(), 3);
    assert!(PpcaSelect { criterion: Criterion::LaplaceEvidence, ..Default::default() }.select(&rows, 0).is_err());
    assert!(PpcaSelect { criterion: Criterion::Icl, ..Default::default() }.select(&x, 0).is_err());
    assert!(PpcaSelect { components: vec![], ..Default::default() }.select(&x, 0).is_err());
    assert!(PpcaSelect { folds: 1, criterion: Criterion::HeldOut, ..Default::default() }.select(&x, 0).is_err());
}

#[test]
fn held_out_likelihood_is_that_of_models_that_never_saw_the_rows() {
    // leaving out one row at a time needs no random split
    let x = lcg_table(4, 25, 5, 1, 0.5);
    let select = PpcaSelect { components: vec![1, 2], criterion: Criterion::HeldOut, folds: 25, ..Default::default() };
    let table = select.select(&x, 3).unwrap().table;
    for q in [1, 2] {
        let total: f64 = (0..25)
            .map(|i| {
                let others: Vec<usize> = (0..25).filter(|j| *j != i).collect();
                let model = ml(q, Solver::Auto, &x.select(Axis(0), &others));
                model.log_likelihood(&x.slice(s![i..i + 1, ..])).unwrap()
            })
            .sum();
        near(table[q - 1].held_out.unwrap(), total / 25.0, 1e-11);
    }
}

#[test]
fn pca_view_inverts_and_whitens() {
    let x = iris();
    let pca = Pca::fit(&x, 4, Solver::Auto, 0).unwrap();
    let scores = pca.transform(&x).unwrap();
    near_all(&pca.inverse_transform(&scores).unwrap(), &x, 1e-14);
    near_all(&pca.components().dot(&pca.components().t()), &Array2::eye(4), 1e-14);
    let covariance = scores.t().dot(&scores) / 150.0;
    near_all(&covariance, &Array2::from_diag(pca.explained_variance()), 1e-13);
    near(pca.explained_variance_ratio().sum(), 1.0, 1e-14);
    // eigenvalue and trace of the reference case
    near(pca.explained_variance_ratio()[0], 4.200053427994631 / 4.542470666666668, 1e-12);
    let white = pca.whiten(&x).unwrap();
    near_all(&(white.t().dot(&white) / 150.0), &Array2::eye(4), 1e-12);
    near_all(&pca.unwhiten(&white).unwrap(), &x, 1e-14);

    // the view of a fitted model is the PCA of its data
    let model = ml(2, Solver::Auto, &x);
    let view = model.pca().unwrap();
    near_all(view.components(), &pca.components().slice(s![..2, ..]).to_owned(), 1e-12);
    near(view.explained_variance()[1], pca.explained_variance()[1], 1e-12);
    near(view.explained_variance_ratio()[0], pca.explained_variance_ratio()[0], 1e-12);
    near_all(&view.inverse_transform(&view.transform(&x).unwrap()).unwrap(), &model.project(&x).unwrap(), 1e-13);

    // σ² → 0: posterior means are whitened scores
    let sharp = Ppca::new(model.mean().clone(), &view.components().t() * &view.explained_variance().mapv(f64::sqrt), 1e-14).unwrap();
    near_all(&sharp.map_z(&x).unwrap(), &view.whiten(&x).unwrap(), 1e-11);
}

#[test]
fn whitening_a_rank_deficient_table_is_refused_or_works_in_its_span() {
    let x = iris();
    let wide = concatenate(Axis(1), &[x.view(), x.slice(s![.., ..2])]).unwrap();
    let all = Pca::fit(&wide, 6, Solver::Auto, 0).unwrap();
    let error = all.whiten(&wide).unwrap_err();
    assert!(error.to_string().contains("at most 4"), "{error}");
    let span = Pca::fit(&wide, 4, Solver::Auto, 0).unwrap();
    let white = span.whiten(&wide).unwrap();
    near_all(&(white.t().dot(&white) / 150.0), &Array2::eye(4), 1e-11);
    near_all(&span.unwhiten(&white).unwrap(), &wide, 1e-13);
    // fewer rows than columns: N − 1 axes
    let few = digits().slice(s![..6, ..]).to_owned();
    assert!(Pca::fit(&few, 7, Solver::Auto, 0).is_err());
    assert!(Pca::fit(&few, 6, Solver::Auto, 0).unwrap().whiten(&few).is_err());
    let white = Pca::fit(&few, 5, Solver::Auto, 0).unwrap();
    near_all(&white.unwhiten(&white.whiten(&few).unwrap()).unwrap(), &few, 1e-13);
    let floored = PpcaMl { components: 8, ..Default::default() }.fit(&few, 0).unwrap().model;
    assert!(floored.pca().unwrap().whiten(&few).is_err());
}

#[test]
fn a_watch_sees_every_fit_of_a_selection_and_can_stop_it() {
    let mut x = iris();
    x[[3, 1]] = f64::NAN;
    let rows = Rows::new(&x).missing_as_nan();
    let select = PpcaSelect { components: vec![1, 2, 3], ..Default::default() };
    let mut calls = 0;
    let all = select
        .select_watched(&rows, 0, &mut |_| {
            calls += 1;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert!(calls >= all.fitted.iterations() && all.table.len() == 3);
    let stopped = select
        .select_watched(&rows, 0, &mut |p| match p.iteration {
            0 => std::ops::ControlFlow::Continue(()),
            _ => std::ops::ControlFlow::Break(()),
        })
        .unwrap();
    assert_eq!((stopped.table.len(), stopped.fitted.status), (1, Status::Cancelled));
}

#[test]
fn candidates_that_fail_without_a_fold_say_so() {
    let mut x = iris();
    x.column_mut(2).fill(f64::NAN);
    x[[5, 2]] = 1.0;
    let rows = Rows::new(&x).missing_as_nan();
    let select = PpcaSelect { components: vec![1], criterion: Criterion::HeldOut, ..Default::default() };
    let error = select.select(&rows, 0).unwrap_err().to_string();
    assert!(error.contains("without one of the folds: every entry of column 2"), "{error}");
}
