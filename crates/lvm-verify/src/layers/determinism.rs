//! D1: the same bits on 1, 2 and 16 threads, in a second run, in a run resumed half-way, from f32 and from any memory layout.

use crate::check::Layer;
use crate::suite::{Group, Outcome, Problem, Suite};
use crate::tables;
use lvm_core::fa::{FaMl, FactorAnalysis, Method, Start as FaStart};
use lvm_core::fit::{Fitted, Stopping};
use lvm_core::gmm::{CovarianceType, GaussianMixture, GmmEm, Start};
use lvm_core::model::{LatentModel, MapLatent};
use lvm_core::ppca::{Ppca, PpcaEm, PpcaMl, Solver, Start as PpcaStart};
use lvm_core::random::{Purpose, stream};
use lvm_core::rows::{RowSource, Rows};
use ndarray::{Array2, Axis, ShapeBuilder, Slice};

mod inference;

/// All of determinism.
pub fn all(suite: &mut Suite<'_>) {
    for kind in CovarianceType::ALL {
        suite.group(Layer::D, "D1", &format!("diamonds, {kind} mixture"), |g| mixture(g, kind));
    }
    suite.group(Layer::D, "D1", "digits, PPCA", ppca);
    suite.group(Layer::D, "D1", "wine with holes, PPCA by EM", ppca_em);
    suite.group(Layer::D, "D1", "digits, factor analysis", factors);
    suite.group(Layer::D, "D1", "draws", draws);
    suite.group(Layer::D, "D1", "memory layouts and f32", layouts);
    suite.group(Layer::D, "D1", "rows are scored one by one", subsets);
    inference::all(suite);
}

/// A pool of its own with so many threads.
fn on_threads<T: Send>(threads: usize, body: impl FnOnce() -> T + Send) -> Result<T, Problem> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| Problem(e.to_string()))?;
    Ok(pool.install(body))
}

/// Everything a mixture fit returns, as numbers.
fn of_mixture(f: &Fitted<GaussianMixture>) -> Vec<f64> {
    let m = &f.model;
    let mut out: Vec<f64> = m.weights().iter().chain(m.means()).chain(&f.trace).copied().collect();
    for k in 0..m.n_components() {
        out.extend(m.covariances().matrix(k, m.dim()).iter());
    }
    out
}

fn of_ppca(f: &Fitted<Ppca>) -> Vec<f64> {
    let m = &f.model;
    m.mean().iter().chain(m.loadings()).chain(&f.trace).chain([&m.noise_variance()]).copied().collect()
}

fn of_factors(f: &Fitted<FactorAnalysis>) -> Vec<f64> {
    let m = &f.model;
    m.mean().iter().chain(m.loadings()).chain(m.noise_variances()).chain(&f.trace).copied().collect()
}

/// Runs `body` on 1, 2 and 16 threads and once more on 2.
fn same_on_all(g: &mut Group<'_>, what: &str, body: impl Fn(&dyn crate::subject::Subject) -> Result<Vec<f64>, Problem> + Sync) -> Outcome {
    let subject = g.subject;
    let one = on_threads(1, || body(subject))??;
    for threads in [2, 16] {
        let other = on_threads(threads, || body(subject))??;
        g.bits(format!("{what}: {threads} threads = 1 thread"), &other, &one, "fixed blocks, ordered merges");
    }
    let again = on_threads(2, || body(subject))??;
    g.bits(format!("{what}: run twice"), &again, &one, "the same data, settings and seed");
    Ok(())
}

fn mixture(g: &mut Group<'_>, kind: CovarianceType) -> Outcome {
    let x = tables::real("diamonds")?.x;
    let iterations = if g.quick { 4 } else { 12 };
    let em = |start: Start, iterations: usize| GmmEm {
        components: 4,
        covariance: kind,
        start,
        restarts: 2,
        stopping: Stopping { max_iterations: iterations, tolerance: 0.0 },
        ridge: 0.01,
        ..Default::default()
    };
    same_on_all(g, "fit", |s| Ok(of_mixture(&s.fit_mixture(&em(Start::KMeansPlusPlus, iterations), &x, 5)?)))?;
    let whole = g.subject.fit_mixture(&em(Start::KMeansPlusPlus, iterations), &x, 5)?;
    let model = whole.model.clone();
    same_on_all(g, "log p(x) and responsibilities", |s| {
        let mut out = s.mixture_evidence(&model, &x)?.to_vec();
        out.extend(s.responsibilities(&model, &x)?);
        Ok(out)
    })?;
    // From a given start: no restart can win over the one that is resumed.
    let start = Start::Parameters(model.clone());
    let ten = g.subject.fit_mixture(&em(start.clone(), 10), &x, 5)?;
    let four = g.subject.fit_mixture(&em(start, 4), &x, 5)?;
    let six = g.subject.fit_mixture(&em(Start::Parameters(four.model.clone()), 6), &x, 5)?;
    let joined: Vec<f64> = four.trace.iter().chain(&six.trace).copied().collect();
    g.bits("4 + 6 iterations = 10: trace", &joined, &ten.trace, "a model is all the state there is");
    g.bits("4 + 6 iterations = 10: parameters", &of_mixture(&six)[..20], &of_mixture(&ten)[..20], "a model is all the state there is");
    let other = g.subject.fit_mixture(&em(Start::RandomRows, 1), &x, 6)?;
    let first = g.subject.fit_mixture(&em(Start::RandomRows, 1), &x, 5)?;
    let differ = of_mixture(&other) != of_mixture(&first);
    g.holds("another seed starts elsewhere", format!("{differ}"), "true", differ, "a seed that changes nothing is not used");
    Ok(())
}

fn ppca(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("digits")?.x;
    for (name, solver) in [("covariance", Solver::Covariance), ("randomized", Solver::Randomized { oversampling: 10, power_iterations: 4 })]
    {
        same_on_all(g, name, |s| Ok(of_ppca(&s.fit_ppca(&PpcaMl { components: 5, solver }, &x, 11)?)))?;
    }
    let wide = x.select(Axis(0), &(0..50).collect::<Vec<_>>());
    same_on_all(g, "Gram", |s| Ok(of_ppca(&s.fit_ppca(&PpcaMl { components: 5, solver: Solver::Gram }, &wide, 11)?)))?;
    let model = g.subject.fit_ppca(&PpcaMl { components: 5, ..Default::default() }, &x, 11)?.model;
    same_on_all(g, "log p(x) and posterior", |s| {
        let mut out = s.ppca_evidence(&model, &x)?.to_vec();
        out.extend(s.ppca_posterior(&model, &x)?.mean);
        Ok(out)
    })
}

fn ppca_em(g: &mut Group<'_>) -> Outcome {
    let holes = super::real::with_holes(&super::shared::standardised(&tables::real("wine")?.x));
    let rows = Rows::new(&holes).missing_as_nan();
    let em = |start, iterations| PpcaEm {
        components: 2,
        start,
        stopping: Stopping { max_iterations: iterations, tolerance: 0.0 },
        ..Default::default()
    };
    same_on_all(g, "fit", |s| Ok(of_ppca(&s.fit_ppca_em(&em(PpcaStart::Principal, 20), &rows, 3)?)))?;
    let ten = g.subject.fit_ppca_em(&em(PpcaStart::Principal, 10), &rows, 3)?;
    let four = g.subject.fit_ppca_em(&em(PpcaStart::Principal, 4), &rows, 3)?;
    let six = g.subject.fit_ppca_em(&em(PpcaStart::Parameters(four.model.clone()), 6), &rows, 3)?;
    let joined: Vec<f64> = four.trace.iter().chain(&six.trace).copied().collect();
    g.bits("4 + 6 iterations = 10: trace", &joined, &ten.trace, "a model is all the state there is");
    Ok(())
}

fn factors(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("digits")?.x.select(Axis(1), &(18..42).collect::<Vec<_>>());
    same_on_all(g, "fit", |s| Ok(of_factors(&s.fit_factors(&FaMl { factors: 4, restarts: 2, ..Default::default() }, &x, 2)?)))?;
    let em = |start, iterations| FaMl {
        factors: 4,
        method: Method::Em,
        start,
        restarts: 1,
        stopping: Stopping { max_iterations: iterations, tolerance: 0.0 },
        ..Default::default()
    };
    same_on_all(g, "EM", |s| Ok(of_factors(&s.fit_factors(&em(FaStart::PartialVariances, 20), &x, 2)?)))?;
    let model = g.subject.fit_factors(&em(FaStart::PartialVariances, 5), &x, 2)?.model;
    same_on_all(g, "log p(x) and posterior", |s| {
        let mut out = s.factor_evidence(&model, &x)?.to_vec();
        out.extend(s.factor_posterior(&model, &x)?.mean);
        Ok(out)
    })
}

/// The same seed draws the same rows.
fn draws(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    let mixture = g.subject.fit_mixture(&GmmEm { components: 3, ..Default::default() }, &x, 0)?.model;
    let ppca = g.subject.fit_ppca(&PpcaMl::default(), &x, 0)?.model;
    let draw = |seed: u64| -> Result<Vec<f64>, Problem> {
        let mut rng = stream(seed, Purpose::Sample, 0);
        let mut out: Vec<f64> = mixture.sample_x(&mixture.sample_z(100, &mut rng), &mut rng)?.iter().copied().collect();
        out.extend(ppca.sample_x(&ppca.sample_z(100, &mut rng), &mut rng)?);
        Ok(out)
    };
    let first = draw(1)?;
    g.bits("the same seed", &on_threads(16, || draw(1))??, &first, "one stream a purpose and seed");
    let differ = draw(2)? != first;
    g.holds("another seed", format!("differs: {differ}"), "differs: true", differ, "a seed that changes nothing is not used");
    Ok(())
}

/// Row order in memory, strides and f32 do not matter.
fn layouts(g: &mut Group<'_>) -> Outcome {
    // A multiple of 1/64 is exact in f32.
    let x = tables::real("iris")?.x.mapv(|v| (v * 64.0).round() / 64.0);
    let (n, d) = x.dim();
    let single = x.mapv(|v| v as f32);
    let columns_first = Array2::from_shape_fn((n, d).f(), |i| x[i]);
    let spread = Array2::from_shape_fn((2 * n, d + 3), |(i, j)| if i % 2 == 0 && j < d { x[[i / 2, j]] } else { f64::NAN });
    let strided = spread.slice_axis(Axis(0), Slice::new(0, None, 2));
    let strided = strided.slice_axis(Axis(1), Slice::from(0..d));
    let backwards = Array2::from_shape_fn((n, d), |(i, j)| x[[n - 1 - i, j]]);
    let reversed = backwards.slice_axis(Axis(0), Slice::new(0, None, -1));
    let run = |g: &Group<'_>, data: &dyn RowSource| -> Result<Vec<f64>, Problem> {
        let em = GmmEm { components: 3, restarts: 1, stopping: Stopping { max_iterations: 10, tolerance: 0.0 }, ..Default::default() };
        let mut out = of_mixture(&g.subject.fit_mixture(&em, data, 1)?);
        let ppca = g.subject.fit_ppca(&PpcaMl::default(), data, 1)?;
        out.extend(of_ppca(&ppca));
        out.extend(g.subject.ppca_evidence(&ppca.model, data)?);
        out.extend(of_factors(&g.subject.fit_factors(&FaMl::default(), data, 1)?));
        Ok(out)
    };
    let base = run(g, &x)?;
    for (name, data) in [
        ("f32 table of the same numbers", &single as &dyn RowSource),
        ("column-major table", &columns_first),
        ("every second row of a wider table", &strided),
        ("a view that runs backwards", &reversed),
    ] {
        let other = run(g, data)?;
        g.bits(name, &other, &base, "a source of rows is read in rows, whatever its layout");
    }
    Ok(())
}

/// What a row gets does not depend on the rows around it.
fn subsets(g: &mut Group<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    let mixture = g.subject.fit_mixture(&GmmEm { components: 3, ..Default::default() }, &x, 0)?.model;
    let ppca = g.subject.fit_ppca(&PpcaMl::default(), &x, 0)?.model;
    let factors = g.subject.fit_factors(&FaMl::default(), &x, 0)?.model;
    let some: Vec<usize> = (0..150).filter(|i| i % 7 == 2).collect();
    let part = x.select(Axis(0), &some);
    let pick = |v: Vec<f64>| some.iter().map(|&i| v[i]).collect::<Vec<f64>>();
    let t = "each row is evaluated by itself";
    for (name, whole, alone) in [
        ("mixture: log p(x)", g.subject.mixture_evidence(&mixture, &x)?.to_vec(), g.subject.mixture_evidence(&mixture, &part)?.to_vec()),
        ("PPCA: log p(x)", g.subject.ppca_evidence(&ppca, &x)?.to_vec(), g.subject.ppca_evidence(&ppca, &part)?.to_vec()),
        (
            "factor analysis: log p(x)",
            g.subject.factor_evidence(&factors, &x)?.to_vec(),
            g.subject.factor_evidence(&factors, &part)?.to_vec(),
        ),
    ] {
        let size = whole.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let tolerance = crate::check::Tolerance::absolute(
            64.0 * f64::EPSILON * size,
            "64·ε·max|log p|: a block's width may change the order of D products",
        );
        let (a, b) = (ndarray::Array1::from(alone), ndarray::Array1::from(pick(whole)));
        g.array(format!("{name} of a subset"), crate::check::Source::I, &a, &b, &tolerance);
    }
    let all = mixture.map_z(&x)?;
    let same = mixture.map_z(&part)?.iter().zip(&some).all(|(z, &i)| *z == all[i]);
    g.holds("mixture: MAP component of a subset", format!("{same}"), "true", same, t);
    Ok(())
}
