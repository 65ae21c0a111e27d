//! D2: the golden digest. Every deterministic output beside what it was when the file `reference/golden.json` was last renewed with a
//! written reason: a change that nobody meant turns it red.
//!
//! A hash of bits would differ between processors, whose kernels differ in the last bits (fused multiply-add, widths of sums). So an
//! output x is recorded by its length and by eight sketches Σ_i ±x_i with fixed pseudo-random signs (Alon, Matias & Szegedy 1999). A
//! rounding of every entry by a share r moves a sketch by at most r Σ|x_i|, which is the tolerance; a change of one entry moves every
//! sketch by exactly that change, and changes of several entries cancel in all eight only by chance. What is exact on every machine
//! (random bits, labels, bytes of model files) is recorded by a hash of its bits instead.

use crate::check::{Layer, Source, Tolerance};
use crate::subject::Subject;
use crate::suite::{Group, Outcome, Problem, Suite, digest};
use crate::tables;
use lvm_core::fa::{FaMl, Method};
use lvm_core::file::Header;
use lvm_core::fit::Stopping;
use lvm_core::gmm::{CovarianceType, GmmEm};
use lvm_core::model::{LatentModel, MapLatent};
use lvm_core::ppca::{Ppca, PpcaEm, PpcaMl};
use lvm_core::random::{Purpose, stream};
use lvm_core::regression::least_squares;
use lvm_core::special;
use ndarray::{Array1, Axis, Slice, array};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

mod inference;

/// How far an output may differ between machines.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Portable {
    /// Not at all.
    Exactly,
    /// By roundings: 1e-12 of Σ|x| for one evaluation, several hundred ulp each.
    Evaluation,
    /// Ten iterations amplify roundings: 1e-10 of Σ|x|, as three implementations of EM agree (reference README).
    Path,
    /// Stopped by a rule: as far as the rule lets the end be from the optimum, 1e-6 of Σ|x|.
    Optimum,
}

impl Portable {
    fn tolerance(self) -> (f64, &'static str) {
        match self {
            Portable::Exactly => (0.0, "the same bits on every machine"),
            Portable::Evaluation => (1e-12, "one evaluation: 1e-12·Σ|x| for other widths and fused operations"),
            Portable::Path => (1e-10, "ten iterations: 1e-10·Σ|x|, as implementations of EM agree"),
            Portable::Optimum => (1e-6, "an optimum found by iteration: 1e-6·Σ|x|, a fixed point's tolerance"),
        }
    }
}

/// One recorded output.
struct Output {
    name: String,
    portable: Portable,
    values: Vec<f64>,
}

/// What the file holds of one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    length: usize,
    /// FNV-1a of the bits, for what is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bits: Option<String>,
    /// Σ_i ±x_i, for what is rounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sketches: Vec<f64>,
    /// Σ|x_i|.
    #[serde(default)]
    magnitude: f64,
}

/// `reference/golden.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Golden {
    schema: String,
    /// Why it was renewed, oldest first.
    reasons: Vec<String>,
    outputs: BTreeMap<String, Record>,
}

const SCHEMA: &str = "lvm-golden/1";
const SKETCHES: u64 = 8;
const RENEW: &str = "if that is meant: cargo xtask verify --renew-golden 'WHY IT CHANGED'";

/// ±1 for entry i of sketch j, by the mixing function of SplitMix64 (Steele, Lea & Flood 2014).
fn sign(i: usize, j: u64) -> f64 {
    let mut v = (SKETCHES * i as u64 + j + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    v = (v ^ (v >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    v = (v ^ (v >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    if (v ^ (v >> 31)) & 1 == 0 { 1.0 } else { -1.0 }
}

fn record(output: &Output) -> Record {
    let length = output.values.len();
    if output.portable == Portable::Exactly {
        return Record { length, bits: Some(format!("{:016x}", digest(&output.values))), sketches: Vec::new(), magnitude: 0.0 };
    }
    let sketch = |j: u64| output.values.iter().enumerate().map(|(i, v)| sign(i, j) * v).sum();
    Record { length, bits: None, sketches: (0..SKETCHES).map(sketch).collect(), magnitude: output.values.iter().map(|v| v.abs()).sum() }
}

fn file() -> PathBuf {
    tables::reference_folder().join("golden.json")
}

fn read() -> Result<Golden, Problem> {
    let named = |e: &dyn std::fmt::Display| Problem(format!("{}: {e}", file().display()));
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(file()).map_err(|e| named(&e))?).map_err(|e| named(&e))?;
    if golden.schema == SCHEMA { Ok(golden) } else { Err(named(&format!("schema \"{}\", expected \"{SCHEMA}\"", golden.schema))) }
}

/// The golden digest.
pub fn all(suite: &mut Suite<'_>) {
    suite.group(Layer::D, "D2", "golden digest", |g| compare(g, &read()?));
}

fn compare(g: &mut Group<'_>, golden: &Golden) -> Outcome {
    let all = outputs(g.subject)?;
    for output in &all {
        match golden.outputs.get(&output.name) {
            Some(truth) => one(g, output, truth),
            None => g.failed(output.name.clone(), format!("not in the file; {RENEW}")),
        }
    }
    for name in golden.outputs.keys().filter(|n| all.iter().all(|o| o.name != **n)) {
        g.failed(name.clone(), format!("in the file, but no longer computed; {RENEW}"));
    }
    Ok(())
}

fn one(g: &mut Group<'_>, output: &Output, truth: &Record) {
    let (ours, (relative, why)) = (record(output), output.portable.tolerance());
    if ours.length != truth.length || ours.bits.is_some() != truth.bits.is_some() {
        return g.failed(output.name.clone(), format!("{} numbers, recorded were {}; {RENEW}", ours.length, truth.length));
    }
    if let (Some(a), Some(b)) = (&ours.bits, &truth.bits) {
        return g.holds(output.name.clone(), a.clone(), b.clone(), a == b, &format!("{why}; {RENEW}"));
    }
    let tolerance = Tolerance::absolute(relative * truth.magnitude, format!("{why}; {RENEW}"));
    g.array(output.name.clone(), Source::I, &Array1::from(ours.sketches), &Array1::from(truth.sketches.clone()), &tolerance);
}

/// Writes the file anew and returns which outputs changed beyond their tolerance, came or went.
///
/// # Errors
/// If no reason is given, a fit is refused or the file can't be written.
pub fn renew(subject: &dyn Subject, reason: &str) -> Result<Vec<String>, String> {
    if reason.trim().len() < 10 {
        return Err("a golden digest is renewed with a reason of at least ten letters that says what changed and why it is right".into());
    }
    let mut golden = read().unwrap_or_default();
    let mut suite = Suite::new(subject, crate::suite::Selection::default());
    suite.group(Layer::D, "D2", "golden digest", |g| compare(g, &golden));
    let changed = suite.checks.iter().filter(|c| c.verdict == crate::check::Verdict::Fail).map(|c| c.quantity.clone()).collect();
    golden.schema = SCHEMA.into();
    golden.reasons.push(reason.trim().to_owned());
    golden.outputs = outputs(subject).map_err(|p| p.0)?.iter().map(|o| (o.name.clone(), record(o))).collect();
    let text = serde_json::to_string_pretty(&golden).map_err(|e| e.to_string())?;
    std::fs::write(file(), text + "\n").map_err(|e| format!("{}: {e}", file().display()))?;
    Ok(changed)
}

/// Every deterministic output.
fn outputs(subject: &dyn Subject) -> Result<Vec<Output>, Problem> {
    let mut out = Vec::new();
    let mut put = |name: &str, portable, values: Vec<f64>| out.push(Output { name: name.into(), portable, values });
    mixtures(subject, &mut put)?;
    factors(subject, &mut put)?;
    kernels(subject, &mut put)?;
    inference::outputs(&mut put)?;
    Ok(out)
}

/// Takes a named output.
type Put<'p> = dyn FnMut(&str, Portable, Vec<f64>) + 'p;

const TEN: Stopping = Stopping { max_iterations: 10, tolerance: 0.0 };

fn mixtures(subject: &dyn Subject, put: &mut Put<'_>) -> Outcome {
    let x = tables::real("iris")?.x;
    for kind in CovarianceType::ALL {
        let algorithm = GmmEm { components: 3, covariance: kind, restarts: 1, stopping: TEN, ..Default::default() };
        let fitted = subject.fit_mixture(&algorithm, &x, 7)?;
        let m = &fitted.model;
        let mut parameters: Vec<f64> = m.weights().iter().chain(m.means()).copied().collect();
        (0..3).for_each(|k| parameters.extend(m.covariances().matrix(k, 4).iter()));
        put(&format!("iris, {kind} mixture: parameters"), Portable::Path, parameters);
        put(&format!("iris, {kind} mixture: trace"), Portable::Path, fitted.trace.clone());
        put(&format!("iris, {kind} mixture: log p(x)"), Portable::Path, subject.mixture_evidence(m, &x)?.to_vec());
        put(&format!("iris, {kind} mixture: responsibilities"), Portable::Path, subject.responsibilities(m, &x)?.iter().copied().collect());
        put(&format!("iris, {kind} mixture: labels"), Portable::Exactly, m.map_z(&x)?.iter().map(|&z| z as f64).collect());
        let criteria = subject.mixture_criteria(m, &x)?;
        put(&format!("iris, {kind} mixture: BIC and AIC"), Portable::Path, vec![subject.bic(&criteria), subject.aic(&criteria)]);
        let mut rng = stream(7, Purpose::Sample, 0);
        let draws = m.sample_x(&m.sample_z(20, &mut rng), &mut rng)?;
        put(&format!("iris, {kind} mixture: 20 draws"), Portable::Path, draws.iter().copied().collect());
    }
    Ok(())
}

fn factors(subject: &dyn Subject, put: &mut Put<'_>) -> Outcome {
    let x = super::shared::standardised(&tables::real("wine")?.x);
    let model = subject.fit_ppca(&PpcaMl { components: 3, ..Default::default() }, &x, 7)?.model;
    let w = model.loadings();
    put("wine, PPCA: W Wᵀ", Portable::Evaluation, w.dot(&w.t()).iter().copied().collect());
    put("wine, PPCA: σ²", Portable::Evaluation, vec![model.noise_variance()]);
    put("wine, PPCA: log p(x)", Portable::Evaluation, subject.ppca_evidence(&model, &x)?.to_vec());
    let latents = subject.ppca_posterior(&model, &x)?;
    put("wine, PPCA: W E[z|x]", Portable::Evaluation, w.dot(&latents.mean.t()).iter().copied().collect());
    put("wine, PPCA: W Cov[z|x] Wᵀ", Portable::Evaluation, w.dot(&latents.covariance).dot(&w.t()).iter().copied().collect());
    let em = subject.fit_ppca_em(&PpcaEm { components: 3, stopping: TEN, ..Default::default() }, &x, 7)?;
    put("wine, PPCA by EM: trace", Portable::Path, em.trace);

    let model = subject.fit_factors(&FaMl { factors: 2, ..Default::default() }, &x, 7)?.model;
    put("wine, factor analysis: uniquenesses", Portable::Optimum, subject.uniquenesses(&model).to_vec());
    put("wine, factor analysis: log p(x)", Portable::Optimum, subject.factor_evidence(&model, &x)?.to_vec());
    let em = FaMl { factors: 2, method: Method::Em, restarts: 1, stopping: TEN, ..Default::default() };
    put("wine, factor analysis by EM: trace", Portable::Path, subject.fit_factors(&em, &x, 7)?.trace);
    Ok(())
}

/// A special function.
type Function = fn(f64) -> f64;

/// What the models are made of.
fn kernels(subject: &dyn Subject, put: &mut Put<'_>) -> Outcome {
    let mut rng = stream(7, Purpose::Start, 3);
    put("random bits", Portable::Exactly, (0..64).map(|_| f64::from(rng.random::<u32>())).collect());
    let model = Ppca::new(array![0.0, 1.0, -2.5], array![[2.0, 0.0], [0.5, 1.0], [0.25, -4.0]], 0.125)?;
    let header = Header { columns: ["a", "b", "c"].map(String::from).to_vec(), ..Header::default() };
    let bytes = subject.encode(&model.into(), &header)?;
    put("a model file", Portable::Exactly, bytes.into_iter().map(f64::from).collect());
    let grid: Vec<f64> = (1..200).map(|i| 0.05 * f64::from(i)).collect();
    let functions: [(&str, Function); 6] = [
        ("lgamma", special::lgamma),
        ("digamma", special::digamma),
        ("trigamma", special::trigamma),
        ("log Φ", special::log_norm_cdf),
        ("softplus", special::softplus),
        ("Φ⁻¹", |v| special::norm_quantile(v / 10.0)),
    ];
    for (name, f) in functions {
        put(&format!("{name} on a grid"), Portable::Evaluation, grid.iter().map(|&v| f(v)).collect());
    }
    let x = tables::real("iris")?.x;
    let fit = least_squares(x.slice_axis(Axis(1), Slice::from(..3)), x.column(3))?;
    let posterior = fit.flat_posterior()?;
    let numbers = fit.coefficients.iter().chain(&posterior.beta_covariance).copied().chain([fit.rss, posterior.sigma_mean]);
    put("iris, least squares and its posterior", Portable::Evaluation, numbers.collect());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::subject::Library;
    use crate::suite::Selection;

    fn verdict(output: &Output, truth: &Record) -> Verdict {
        let mut suite = Suite::new(&Library, Selection::default());
        suite.group(Layer::D, "D2", "test", |g| {
            one(g, output, truth);
            Ok(())
        });
        suite.checks[0].verdict
    }

    #[test]
    fn a_digest_forgives_the_roundings_of_another_machine_and_nothing_more() {
        let values: Vec<f64> = (0..500).map(|i| f64::from(i).sin()).collect();
        let output = |values: Vec<f64>| Output { name: "x".into(), portable: Portable::Evaluation, values };
        let truth = record(&output(values.clone()));
        let rounded = values.iter().enumerate().map(|(i, v)| v * (1.0 + 4.0 * sign(i, 0) * f64::EPSILON)).collect();
        assert_eq!(verdict(&output(rounded), &truth), Verdict::Pass);
        for entry in [0, 250, 499] {
            let mut other = values.clone();
            other[entry] += 1e-9;
            assert_eq!(verdict(&output(other), &truth), Verdict::Fail);
        }
        // two entries exchanged: the same sum and the same magnitude
        let mut other = values.clone();
        other.swap(3, 4);
        assert_eq!(verdict(&output(other), &truth), Verdict::Fail);
        assert_eq!(verdict(&output(values[1..].to_vec()), &truth), Verdict::Fail);
        let mut other = values;
        other[7] = f64::NAN;
        assert_eq!(verdict(&output(other), &truth), Verdict::Fail);
    }

    #[test]
    fn what_is_exact_has_no_tolerance() {
        let output = |v: f64| Output { name: "x".into(), portable: Portable::Exactly, values: vec![v, 2.0] };
        let truth = record(&output(1.0));
        assert_eq!(verdict(&output(1.0), &truth), Verdict::Pass);
        assert_eq!(verdict(&output(1.0 + f64::EPSILON), &truth), Verdict::Fail);
    }

    #[test]
    fn an_output_that_came_or_went_is_a_change() {
        let mut golden = read().unwrap();
        let lost = golden.outputs.pop_first().unwrap().0;
        golden.outputs.insert("of yesterday".into(), record(&Output { name: String::new(), portable: Portable::Path, values: vec![] }));
        let mut suite = Suite::new(&Library, Selection::default());
        suite.group(Layer::D, "D2", "test", |g| compare(g, &golden));
        let red: Vec<&str> = suite.checks.iter().filter(|c| c.verdict == Verdict::Fail).map(|c| c.quantity.as_str()).collect();
        assert_eq!(red, [lost.as_str(), "of yesterday"]);
        assert!(renew(&Library, "because").is_err());
    }
}
