//! F1: bad input ends in a typed error, in a reported repair, or in a right answer; never in a silent number, never in a panic.

use crate::check::{Layer, Source, Tolerance};
use crate::suite::{Group, Outcome, Suite};
use crate::tables;
use lvm_core::fa::{FaMl, FactorAnalysis};
use lvm_core::fit::Stopping;
use lvm_core::gmm::{CovarianceType, Covariances, GaussianMixture, GmmEm, Start};
use lvm_core::model::LatentModel;
use lvm_core::ppca::{Ppca, PpcaEm, PpcaMl};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, Rows};
use lvm_core::{Error, Result};
use ndarray::{Array1, Array2, Array3, Axis, array};

mod inference;

/// What a fit came to: every parameter, the log density of every row (empty where they can't be had), repairs.
pub struct Answer {
    numbers: Vec<f64>,
    /// log p(x_n); NaN where the model that was fitted refuses the table it was fitted to.
    densities: Vec<f64>,
    repairs: usize,
}

/// The densities, or a NaN that no check takes for an answer.
fn or_nan(densities: Result<Array1<f64>>) -> Vec<f64> {
    densities.map_or_else(|_| vec![f64::NAN], |v| v.to_vec())
}

impl Answer {
    fn is_finite(&self) -> bool {
        self.numbers.iter().chain(&self.densities).all(|v| v.is_finite())
    }
}

/// An algorithm, whatever its type: a fit with two components, latents or factors.
type Algorithm = fn(&Group<'_>, &dyn RowSource) -> Result<Answer>;

fn mixture(g: &Group<'_>, kind: CovarianceType, k: usize, data: &dyn RowSource) -> Result<Answer> {
    let stopping = Stopping { max_iterations: 100, tolerance: 1e-8 };
    let fitted = g.subject.fit_mixture(&GmmEm { components: k, covariance: kind, stopping, ..Default::default() }, data, 1)?;
    let m = &fitted.model;
    let mut numbers: Vec<f64> = m.weights().iter().chain(m.means()).copied().collect();
    for c in 0..k {
        numbers.extend(m.covariances().matrix(c, m.dim()).iter());
    }
    numbers.extend(&fitted.trace);
    Ok(Answer { numbers, densities: or_nan(g.subject.mixture_evidence(m, data)), repairs: fitted.repairs.len() })
}

fn ppca(g: &Group<'_>, model: &Ppca, data: &dyn RowSource, repairs: usize) -> Result<Answer> {
    let mut numbers: Vec<f64> = model.mean().iter().chain(model.loadings()).copied().collect();
    numbers.push(model.noise_variance());
    Ok(Answer { numbers, densities: or_nan(g.subject.ppca_evidence(model, data)), repairs })
}

/// Every algorithm with its name.
const ALGORITHMS: [(&str, Algorithm); 7] = [
    ("full mixture", |g, x| mixture(g, CovarianceType::Full, 2, x)),
    ("tied mixture", |g, x| mixture(g, CovarianceType::Tied, 2, x)),
    ("diag mixture", |g, x| mixture(g, CovarianceType::Diagonal, 2, x)),
    ("spherical mixture", |g, x| mixture(g, CovarianceType::Spherical, 2, x)),
    ("PPCA", |g, x| {
        let fitted = g.subject.fit_ppca(&PpcaMl { components: 2, ..Default::default() }, x, 1)?;
        ppca(g, &fitted.model, x, fitted.repairs.len())
    }),
    ("PPCA by EM", |g, x| {
        let stopping = Stopping { max_iterations: 200, tolerance: 1e-8 };
        let fitted = g.subject.fit_ppca_em(&PpcaEm { components: 2, stopping, ..Default::default() }, x, 1)?;
        ppca(g, &fitted.model, x, fitted.repairs.len())
    }),
    ("factor analysis", |g, x| {
        let fitted = g.subject.fit_factors(&FaMl { factors: 1, restarts: 2, ..Default::default() }, x, 1)?;
        let m = &fitted.model;
        let numbers: Vec<f64> = m.mean().iter().chain(m.loadings()).chain(m.noise_variances()).copied().collect();
        Ok(Answer { numbers, densities: or_nan(g.subject.factor_evidence(m, x)), repairs: fitted.repairs.len() })
    }),
];

/// All refusals.
pub fn all(suite: &mut Suite<'_>) {
    for (name, algorithm) in ALGORITHMS {
        suite.group(Layer::F, "F1", &format!("{name}: cells"), |g| cells(g, name, algorithm));
        suite.group(Layer::F, "F1", &format!("{name}: tables"), |g| shapes(g, name, algorithm));
    }
    suite.group(Layer::F, "F1", "row weights", weights);
    suite.group(Layer::F, "F1", "settings of algorithms", settings);
    suite.group(Layer::F, "F1", "parameters of models", parameters);
    suite.group(Layer::F, "F1", "scoring", scoring);
    inference::all(suite);
}

/// The name of an error's kind.
fn kind(error: &Error) -> String {
    let text = format!("{:?}", error.kind());
    text.split([' ', '{', '(']).next().unwrap_or("").to_owned()
}

/// What came of an attempt, in a few words.
fn describe(result: &Result<Answer>) -> String {
    match result {
        Err(e) => kind(e),
        Ok(a) if !a.is_finite() => "a number that is not finite".to_owned(),
        Ok(a) if a.repairs > 0 => format!("an answer with {} repairs", a.repairs),
        Ok(_) => "an answer, unflagged".to_owned(),
    }
}

const REASON: &str = "a typed error, a reported repair or a right answer; zero silent numbers (VERIFY F1)";

/// The attempt must be refused with one of these kinds.
fn refused<T>(g: &mut Group<'_>, what: &str, result: Result<T>, kinds: &[&str]) {
    let found = result.as_ref().err().map_or_else(|| "an answer".to_owned(), kind);
    let clear = result.as_ref().err().is_none_or(|e| e.to_string().len() > 15);
    g.holds(what, found.clone(), kinds.join(" or "), kinds.contains(&found.as_str()) && clear, REASON);
}

/// The attempt must be refused, or flagged by a repair with finite numbers.
fn refused_or_flagged(g: &mut Group<'_>, what: &str, result: &Result<Answer>) {
    let fine = match result {
        Err(_) => true,
        Ok(a) => a.repairs > 0 && a.is_finite(),
    };
    g.holds(what, describe(result), "an error or a flag", fine, REASON);
}

/// The attempt must give finite numbers, repaired or not.
fn finite(g: &mut Group<'_>, what: &str, result: &Result<Answer>) {
    let fine = result.as_ref().is_ok_and(Answer::is_finite);
    g.holds(what, describe(result), "finite numbers", fine, REASON);
}

/// At the ends of the range of f64 a refusal will do; a number that is not finite will not.
fn refused_or_finite(g: &mut Group<'_>, what: &str, result: &Result<Answer>) {
    let fine = result.as_ref().map_or(true, Answer::is_finite);
    g.holds(what, describe(result), "an error or finite numbers", fine, REASON);
}

/// Cells that can't be used: the error names row and column.
fn cells(g: &mut Group<'_>, name: &str, fit: Algorithm) -> Outcome {
    let x = tables::real("iris")?.x;
    for (value, what, kind) in [
        (f64::NAN, "NaN", "NotANumber"),
        (f64::INFINITY, "inf", "Infinite"),
        (f64::NEG_INFINITY, "-inf", "Infinite"),
        (1e200, "1e200, whose square overflows", "TooLarge"),
    ] {
        let mut bad = x.clone();
        bad[[97, 2]] = value;
        let result = fit(g, &bad);
        let named = result.as_ref().err().is_some_and(|e| {
            let text = e.to_string();
            text.contains("row 97") && text.contains("column 2")
        });
        let found = format!("{}{}", describe(&result), if named { " at row 97, column 2" } else { "" });
        let expected = format!("{kind} at row 97, column 2");
        g.holds(format!("{what} in the data"), found.clone(), expected.clone(), found == expected, REASON);
    }
    let mut bad = x.clone();
    bad.row_mut(40).fill(f64::NAN);
    // The closed form of PPCA needs complete rows and says so.
    let kinds: &[&str] = if name == "PPCA" { &["Config"] } else { &["MissingRow"] };
    refused(g, "a row with every entry missing", fit(g, &Rows::new(&bad).missing_as_nan()), kinds);
    let mut bad = x.clone();
    bad.column_mut(1).fill(f64::NAN);
    let kinds: &[&str] = if name == "PPCA" { &["Config"] } else { &["MissingColumn"] };
    refused(g, "a column with every entry missing", fit(g, &Rows::new(&bad).missing_as_nan()), kinds);
    let mut bad = x;
    bad[[3, 0]] = f64::INFINITY;
    refused(g, "inf where NaN means missing", fit(g, &Rows::new(&bad).missing_as_nan()), &["Infinite"]);
    Ok(())
}

/// Tables that leave nothing to fit, and tables at the edge.
fn shapes(g: &mut Group<'_>, name: &str, fit: Algorithm) -> Outcome {
    let x = tables::real("iris")?.x;
    let few = ["TooFewRows", "NoVariation", "ConstantColumn", "Empty"];
    refused(g, "no rows", fit(g, &Array2::<f64>::zeros((0, 4))), &["Empty"]);
    refused(g, "no columns", fit(g, &Array2::<f64>::zeros((9, 0))), &["Empty"]);
    let nothing = Array2::<f64>::zeros((9, 0)).read(0, Array2::zeros((9, 0)).view_mut()).is_ok();
    g.holds("reading rows of no columns", format!("{nothing}"), "true", nothing, "a source of rows does not panic");
    refused(g, "one row", fit(g, &x.select(Axis(0), &[0])), &few);
    refused(g, "all rows equal", fit(g, &Array2::from_elem((30, 4), 1.5)), &few);
    let one_left = Array1::from_shape_fn(150, |i| if i == 7 { 1.0 } else { 0.0 });
    refused(g, "one row of weight above zero", fit(g, &Rows::new(&x).weighted(one_left.view())?), &few);

    let mut constant = x.clone();
    constant.column_mut(2).fill(3.0);
    let result = fit(g, &constant);
    // A model with one noise variance for all columns has a right answer; one with a variance for this column has none.
    match name {
        "spherical mixture" | "PPCA" | "PPCA by EM" => finite(g, "a constant column", &result),
        _ => refused_or_flagged(g, "a constant column", &result),
    }
    let mut twice = x.clone();
    let first = x.column(0).to_owned();
    twice.column_mut(3).assign(&first);
    let result = fit(g, &twice);
    match name {
        "full mixture" | "tied mixture" | "factor analysis" => refused_or_flagged(g, "a column twice: no density", &result),
        _ => finite(g, "a column twice", &result),
    }
    let two_values = Array2::from_shape_fn((60, 4), |(i, j)| if i % 2 == 0 { j as f64 } else { 2.0 * j as f64 + 1.0 });
    refused_or_flagged(g, "two distinct rows, thirty times each", &fit(g, &two_values));
    let mut outlier = x.clone();
    outlier[[149, 1]] = 1e9;
    finite(g, "an outlier at 1e9", &fit(g, &outlier));
    refused_or_finite(g, "values near 1e-150", &fit(g, &(&x * 1e-150)));
    refused_or_finite(g, "values near 1e140", &fit(g, &(&x * 1e140)));
    finite(g, "values near 1e-60", &fit(g, &(&x * 1e-60)));
    finite(g, "values near 1e60", &fit(g, &(&x * 1e60)));
    Ok(())
}

fn weights(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    let weighted = |w: &Array1<f64>| Rows::new(&x).weighted(w.view()).map(|_| ());
    let one = |v: f64| Array1::from_shape_fn(150, |i| if i == 12 { v } else { 1.0 });
    refused(g, "a negative weight", weighted(&one(-1.0)), &["Weight"]);
    refused(g, "a weight of NaN", weighted(&one(f64::NAN)), &["Weight"]);
    refused(g, "an infinite weight", weighted(&one(f64::INFINITY)), &["Weight"]);
    refused(g, "all weights zero", weighted(&Array1::zeros(150)), &["NoWeight"]);
    refused(g, "a weight too few", weighted(&Array1::ones(149)), &["Shape"]);
    // Row 12 has weight zero: its NaN is not there.
    let mut hole = x.clone();
    hole[[12, 0]] = f64::NAN;
    let zero = one(0.0);
    let result = mixture(g, CovarianceType::Full, 2, &x.select(Axis(0), &(0..150).filter(|i| *i != 12).collect::<Vec<_>>()))?;
    let algorithm = GmmEm { components: 2, stopping: Stopping { max_iterations: 100, tolerance: 1e-8 }, ..Default::default() };
    let same = g.subject.fit_mixture(&algorithm, &Rows::new(&hole).weighted(zero.view())?, 1)?;
    let t = Tolerance::absolute(1e-5, "both ends of EM with a gain below 1e-8 a row; the starts differ, the optimum is the same");
    g.scalar("a NaN in a row of weight 0 is not there", Source::I, same.objective(), result.numbers[result.numbers.len() - 1], &t);
    Ok(())
}

fn settings(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    let em = || GmmEm { components: 2, ..Default::default() };
    let gmm = |a: &GmmEm| g_fit(g, a, &x);
    let results = [
        ("components = 0", gmm(&GmmEm { components: 0, ..em() }), vec!["Config"]),
        ("components = 151 of 150 rows", gmm(&GmmEm { components: 151, ..em() }), vec!["TooFewRows", "Config"]),
        ("restarts = 0", gmm(&GmmEm { restarts: 0, ..em() }), vec!["Config"]),
        ("ridge = -1", gmm(&GmmEm { ridge: -1.0, ..em() }), vec!["Config"]),
        ("ridge = NaN", gmm(&GmmEm { ridge: f64::NAN, ..em() }), vec!["Config"]),
        ("tolerance = NaN", gmm(&GmmEm { stopping: Stopping { max_iterations: 10, tolerance: f64::NAN }, ..em() }), vec!["Config"]),
        ("tolerance < 0", gmm(&GmmEm { stopping: Stopping { max_iterations: 10, tolerance: -1.0 }, ..em() }), vec!["Config"]),
        (
            "responsibilities of another number of rows",
            gmm(&GmmEm { start: Start::Responsibilities(Array2::from_elem((149, 2), 0.5)), ..em() }),
            vec!["Config", "Shape"],
        ),
        (
            "responsibilities of another number of components",
            gmm(&GmmEm { start: Start::Responsibilities(Array2::from_elem((150, 3), 1.0 / 3.0)), ..em() }),
            vec!["Config", "Shape"],
        ),
        (
            "responsibilities that do not add up to 1",
            gmm(&GmmEm { start: Start::Responsibilities(Array2::from_elem((150, 2), 0.7)), ..em() }),
            vec!["Config"],
        ),
        (
            "responsibilities of NaN",
            gmm(&GmmEm { start: Start::Responsibilities(Array2::from_elem((150, 2), f64::NAN)), ..em() }),
            vec!["Config"],
        ),
    ];
    for (what, result, kinds) in results {
        refused(g, what, result, &kinds);
    }
    let ppca = |q| g.subject.fit_ppca(&PpcaMl { components: q, ..Default::default() }, &x, 0).map(|_| ());
    let (a, b) = (ppca(4), ppca(9));
    refused(g, "PPCA with as many latents as columns", a, &["Config"]);
    refused(g, "PPCA with more latents than columns", b, &["Config"]);
    let fa = |q| g.subject.fit_factors(&FaMl { factors: q, ..Default::default() }, &x, 0).map(|_| ());
    let (a, b) = (fa(2), fa(4));
    refused(g, "2 factors of 4 columns: not determined", a, &["Config"]);
    refused(g, "as many factors as columns", b, &["Config"]);
    let skew = array![[1.0, 0.5, 0.1], [0.2, 1.0, 0.1], [0.1, 0.1, 1.0]];
    let result = g.subject.fit_factors_to_covariance(&FaMl { factors: 1, ..Default::default() }, skew.view(), 50.0);
    refused(g, "a covariance matrix that is not symmetric", result, &["Config"]);
    let indefinite = array![[1.0, 2.0, 0.1, 0.0], [2.0, 1.0, 0.1, 0.0], [0.1, 0.1, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    let result = g.subject.fit_factors_to_covariance(&FaMl { factors: 1, ..Default::default() }, indefinite.view(), 50.0);
    refused(g, "a covariance matrix that is indefinite", result, &["Config", "NotPositiveDefinite"]);
    Ok(())
}

fn g_fit(g: &Group<'_>, algorithm: &GmmEm, x: &Array2<f64>) -> Result<()> {
    g.subject.fit_mixture(algorithm, x, 0).map(|_| ())
}

fn parameters(g: &mut Group<'_>) -> Outcome {
    let means = || array![[0.0, 0.0], [1.0, 1.0]];
    let new = |w: Array1<f64>, m: Array2<f64>, c: Covariances| GaussianMixture::new(w, m, c).map(|_| ());
    let eye = || Covariances::Tied(Array2::eye(2));
    let any = ["Config", "Shape", "NotPositiveDefinite"];
    refused(g, "mixing weights that add up to 0.9", new(array![0.4, 0.5], means(), eye()), &any);
    refused(g, "a negative mixing weight", new(array![1.5, -0.5], means(), eye()), &any);
    refused(g, "a mean of NaN", new(array![0.5, 0.5], array![[0.0, f64::NAN], [1.0, 1.0]], eye()), &any);
    refused(
        g,
        "a covariance that is not positive definite",
        new(array![0.5, 0.5], means(), Covariances::Tied(array![[1.0, 2.0], [2.0, 1.0]])),
        &any,
    );
    refused(
        g,
        "a covariance that is not symmetric",
        new(array![0.5, 0.5], means(), Covariances::Tied(array![[1.0, 0.5], [0.0, 1.0]])),
        &any,
    );
    refused(g, "a variance of zero", new(array![0.5, 0.5], means(), Covariances::Spherical(array![0.0, 1.0])), &any);
    refused(g, "covariances of three components for two", new(array![0.5, 0.5], means(), Covariances::Full(Array3::ones((3, 2, 2)))), &any);
    refused(g, "PPCA with noise variance 0", Ppca::new(array![0.0, 0.0], array![[1.0], [0.0]], 0.0).map(|_| ()), &any);
    refused(g, "PPCA with noise variance NaN", Ppca::new(array![0.0, 0.0], array![[1.0], [0.0]], f64::NAN).map(|_| ()), &any);
    refused(g, "PPCA with loadings of another D", Ppca::new(array![0.0, 0.0], array![[1.0], [0.0], [1.0]], 1.0).map(|_| ()), &any);
    refused(
        g,
        "factor analysis with a noise variance below 0",
        FactorAnalysis::new(array![0.0, 0.0], array![[1.0], [0.0]], array![1.0, -1.0]).map(|_| ()),
        &any,
    );
    refused(
        g,
        "factor analysis with an infinite loading",
        FactorAnalysis::new(array![0.0, 0.0], array![[f64::INFINITY], [0.0]], array![1.0, 1.0]).map(|_| ()),
        &any,
    );
    Ok(())
}

fn scoring(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    let mixture = g.subject.fit_mixture(&GmmEm { components: 2, ..Default::default() }, &x, 0)?.model;
    let ppca = g.subject.fit_ppca(&PpcaMl::default(), &x, 0)?.model;
    let factors = g.subject.fit_factors(&FaMl::default(), &x, 0)?.model;
    let narrow = x.select(Axis(1), &[0, 1, 2]);
    let mut bad = x.clone();
    bad[[5, 3]] = f64::NAN;
    let mut far = x.select(Axis(0), &[0]);
    far.fill(1e6);
    for (name, score) in [
        ("mixture", &(|d: &dyn RowSource| g.subject.mixture_evidence(&mixture, d)) as &dyn Fn(&dyn RowSource) -> Result<Array1<f64>>),
        ("PPCA", &|d: &dyn RowSource| g.subject.ppca_evidence(&ppca, d)),
        ("factor analysis", &|d: &dyn RowSource| g.subject.factor_evidence(&factors, d)),
    ]
    .map(|(name, score)| (name, [score(&narrow), score(&bad), score(&far)]))
    {
        let [a, b, c] = score;
        refused(g, &format!("{name}: a column too few"), a, &["Shape"]);
        refused(g, &format!("{name}: NaN"), b, &["NotANumber"]);
        let far = c.map_or(f64::NAN, |v| v[0]);
        g.holds(
            format!("{name}: a row 1e6 away has a finite log density"),
            format!("{far:.4e}"),
            "finite, below -1e6",
            far.is_finite() && far < -1e6,
            "log-sum-exp about the maximum: no underflow",
        );
    }
    let r = g.subject.responsibilities(&mixture, &far)?;
    let t = Tolerance::absolute(16.0 * f64::EPSILON, "a sum of two shares");
    g.scalar("mixture: responsibilities 1e6 away add up to 1", Source::I, r.sum(), 1.0, &t);
    let mut rng = stream(1, Purpose::Sample, 0);
    refused(
        g,
        "mixture: draws from a component that is not there",
        mixture.sample_component(7, 3, &mut rng).map(|_| ()),
        &["Config", "Shape"],
    );
    refused(g, "mixture: log p(x, z) with a z too few", mixture.log_joint(&x, &Array1::zeros(149)).map(|_| ()), &["Shape", "Config"]);
    refused(g, "PPCA: draws from latents of another q", ppca.sample_x(&Array2::zeros((3, 5)), &mut rng).map(|_| ()), &["Shape", "Config"]);
    Ok(())
}
