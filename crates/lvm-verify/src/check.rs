//! One comparison, as data: what was compared, with which truth, how far apart the two may be and why.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The layers of the suite, in the order of their dependence: a red layer makes the ones after it hard to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Layer {
    /// Numerics: special functions, densities, cancellation, exact least squares.
    N,
    /// Log joints and their gradients, transforms of constrained parameters, ratios of conditionals.
    L,
    /// Stochastic estimators at fixed q: ELBO and its gradients, unbiased and of the variance they should have.
    S,
    /// Closed-form models: EM trajectories and fixed points, PPCA, factor analysis, conjugate posteriors.
    C,
    /// Optimisers: whether a run ends at q*, the best member of the family.
    O,
    /// Posteriors: how far q* is from the truth, and whether the library says so.
    P,
    /// Bayesian calibration: simulated data, ranks and symmetry.
    B,
    /// Neural models: autoencoders against quadrature and against the exact models they contain.
    V,
    /// Metamorphic: identities that hold whatever the data.
    M,
    /// Refusals: bad input gives a typed error or a flag, never a silent number.
    F,
    /// Determinism: the same answer bit for bit on any number of threads, resumed or repeated.
    D,
}

impl Layer {
    /// All layers, in order.
    pub const ALL: [Layer; 11] =
        [Layer::N, Layer::L, Layer::S, Layer::C, Layer::O, Layer::P, Layer::B, Layer::V, Layer::M, Layer::F, Layer::D];

    /// What the layer is about, in a few words.
    pub fn title(self) -> &'static str {
        match self {
            Layer::N => "numerics",
            Layer::L => "log joints and gradients",
            Layer::S => "stochastic estimators",
            Layer::C => "closed-form models",
            Layer::O => "optimisers",
            Layer::P => "posteriors and verdicts",
            Layer::B => "Bayesian calibration",
            Layer::V => "neural models",
            Layer::M => "metamorphic identities",
            Layer::F => "refusals and contract",
            Layer::D => "determinism",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Layer {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Layer::ALL
            .into_iter()
            .find(|l| l.to_string().eq_ignore_ascii_case(s))
            .ok_or_else(|| format!("no layer \"{s}\"; there are {}", Layer::ALL.map(|l| l.to_string()).join(", ")))
    }
}

/// Where the truth comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Exact: closed form, rational, or at least 40 digits.
    E,
    /// Quadrature, or the same formula on another stack (LAPACK) with a known rounding error.
    Q,
    /// Reference draws.
    R,
    /// Monte Carlo: a mean of independent draws or runs of our own, with its standard error.
    M,
    /// Another implementation: scikit-learn, mclust, factanal.
    X,
    /// An internal identity: no outside truth is needed.
    I,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Within the tolerance.
    Pass,
    /// Outside the tolerance, or an error where there should be a number.
    Fail,
    /// A stochastic check whose interval still straddles the margin: more draws are made, and after the last look it is a failure to
    /// certify.
    Undecided,
    /// Could not be done here; the note says why and how to enable it.
    NotRun,
    /// A case of a kind that this version has no checks for.
    NotSupported,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Undecided => "UNDECIDED",
            Verdict::NotRun => "NOT RUN",
            Verdict::NotSupported => "NOT SUPPORTED",
        })
    }
}

/// How far apart ours and truth may be, and why: |ours − truth| ≤ absolute + relative · scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Tolerance {
    /// In the unit of the quantity.
    pub absolute: f64,
    /// As a share of the scale, which is |truth| unless the check gives another.
    pub relative: f64,
    /// Where the figure comes from.
    pub reason: String,
}

impl Tolerance {
    /// |ours − truth| ≤ `absolute`.
    pub fn absolute(absolute: f64, reason: impl Into<String>) -> Self {
        Tolerance { absolute, relative: 0.0, reason: reason.into() }
    }
    /// |ours − truth| ≤ `relative` · scale.
    pub fn relative(relative: f64, reason: impl Into<String>) -> Self {
        Tolerance { absolute: 0.0, relative, reason: reason.into() }
    }
    /// |ours − truth| ≤ `absolute` + `relative` · scale.
    pub fn both(absolute: f64, relative: f64, reason: impl Into<String>) -> Self {
        Tolerance { absolute, relative, reason: reason.into() }
    }
    /// Rounding of a sum of `terms` products whose absolute values add up to `magnitude`: 8 · (terms + 16) · ε · magnitude. The first
    /// order bound of recursive summation is terms · ε · Σ|terms| (Higham 2002, §4.2); the factor 8 covers two such sums on two stacks.
    pub fn rounding(terms: usize, magnitude: f64) -> Self {
        Tolerance::absolute(
            8.0 * (terms + 16) as f64 * f64::EPSILON * magnitude.abs(),
            format!("8·(n+16)·ε·Σ|terms|, n = {terms}, Σ|terms| = {magnitude:.3e}: two recursive sums (Higham §4.2)"),
        )
    }
    /// No difference at all.
    pub fn exact(reason: impl Into<String>) -> Self {
        Tolerance::absolute(0.0, reason)
    }
    /// The largest difference allowed at this scale.
    pub fn allowed(&self, scale: f64) -> f64 {
        // 0 · inf would be NaN.
        if self.relative == 0.0 { self.absolute } else { self.absolute + self.relative * scale.abs() }
    }
}

/// What a stochastic check adds: without power a pass is not a pass.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stochastic {
    /// Standard error of ours.
    #[serde(serialize_with = "number", deserialize_with = "read_number")]
    pub standard_error: f64,
    /// The smallest bias this check finds with a miss rate below 1e-6: z + 4.75 standard errors.
    #[serde(serialize_with = "number", deserialize_with = "read_number")]
    pub detectable_bias: f64,
    /// Draws made.
    pub draws: usize,
    /// Looks taken, of four.
    pub looks: usize,
}

/// One comparison and its verdict.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Check {
    /// The layer.
    pub layer: Layer,
    /// The check of the catalogue, such as `C1`.
    pub id: String,
    /// The case (a reference file's id, or a table and what is done with it).
    pub case: String,
    /// What is compared; of an array, the entry nearest to its tolerance is shown.
    pub quantity: String,
    /// What the library says.
    pub ours: Shown,
    /// What is true.
    pub truth: Shown,
    /// Where the truth comes from.
    pub source: Source,
    /// |ours − truth|.
    #[serde(serialize_with = "number", deserialize_with = "read_number")]
    pub difference: f64,
    /// The largest difference allowed.
    #[serde(serialize_with = "number", deserialize_with = "read_number")]
    pub tolerance: f64,
    /// Why that much.
    pub reason: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Why it failed or was not run, and what would enable it.
    pub note: Option<String>,
    /// For checks on random draws.
    pub stochastic: Option<Stochastic>,
    /// Numbers compared in this check.
    pub compared: usize,
    /// Seconds since the check before it.
    pub seconds: f64,
    /// The command that runs this check again.
    pub reproduce: String,
}

impl Check {
    /// difference / tolerance: at most 1 for a pass; 0 when both are 0.
    pub fn ratio(&self) -> f64 {
        if self.difference == 0.0 { 0.0 } else { self.difference / self.tolerance }
    }
}

/// A number or a word in the columns "ours" and "truth".
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// A number.
    Number(f64),
    /// A behaviour.
    Text(String),
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Shown::Number(v) => number(v, serializer),
            Shown::Text(t) => serializer.serialize_str(t),
        }
    }
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(v) => Shown::Number(v),
            NumberOrText::Text(t) => special(&t).map_or(Shown::Text(t), Shown::Number),
        })
    }
}

/// What [`number`] writes.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(f64),
    Text(String),
}

fn special(text: &str) -> Option<f64> {
    match text {
        "nan" => Some(f64::NAN),
        "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Reads what [`number`] wrote.
fn read_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match NumberOrText::deserialize(deserializer)? {
        NumberOrText::Number(v) => Ok(v),
        NumberOrText::Text(t) => special(&t).ok_or_else(|| serde::de::Error::custom(format!("\"{t}\" is not a number"))),
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::Number(v) => f.pad(&show(*v)),
            Shown::Text(t) => f.pad(t),
        }
    }
}

/// About ten significant digits, in whichever notation is shorter.
pub fn show(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        return v.to_string();
    }
    let magnitude = v.abs().log10().floor() as i32;
    let text = if (-4..9).contains(&magnitude) { format!("{v:.*}", (9 - magnitude).max(0) as usize) } else { return format!("{v:.9e}") };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A number as JSON has it, and "inf", "-inf", "nan" for what JSON has not.
pub(crate) fn number<S: Serializer>(v: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *v {
        v if v.is_finite() => serializer.serialize_f64(v),
        v if v.is_nan() => serializer.serialize_str("nan"),
        v if v > 0.0 => serializer.serialize_str("inf"),
        _ => serializer.serialize_str("-inf"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_ten_digits() {
        for (v, text) in [(0.0, "0"), (1.0, "1"), (-1130.2639601847413, "-1130.26396"), (5e-12, "5.000000000e-12"), (f64::NAN, "NaN")] {
            assert_eq!(show(v), text);
        }
    }
}
