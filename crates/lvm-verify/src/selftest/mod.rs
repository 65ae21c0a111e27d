//! Whether the suite can fail: published bugs are planted one by one, and the check that names each must turn red.
//!
//! A bug that survives is a missing check. The controls (the library itself, and the naive twin with nothing planted) must stay green.

mod broken;
mod twin;

use crate::check::{Check, Layer, Verdict};
use crate::run::{Options, run};
use crate::subject::Library;
use crate::suite::{Budget, Selection};
use broken::{Broken, Plant};
use std::fmt::Write as _;
use twin::Switch;

/// A bug, where it is looked for, and the check that must find it.
#[derive(Debug, Clone, Copy)]
struct Fault {
    plant: Plant,
    what: &'static str,
    layer: Layer,
    /// The check that must turn red.
    id: &'static str,
    /// The case it is looked for in.
    case: &'static str,
    /// What the red check's quantity starts with.
    quantity: &'static str,
}

const fn fault(plant: Plant, what: &'static str, layer: Layer, id: &'static str, case: &'static str, quantity: &'static str) -> Fault {
    Fault { plant, what, layer, id, case, quantity }
}

use Layer::{C, D, F, M};

/// Every planted fault.
const FAULTS: [Fault; 42] = [
    fault(Plant::Em(Switch::OldMeans), "covariance about the old means", C, "C1", "gmm_em_faithful_full", "log-likelihood of"),
    fault(Plant::Em(Switch::Unbiased), "1/(N-1) for 1/N", C, "C1", "gmm_em_faithful_full", "log-likelihood of"),
    fault(Plant::Em(Switch::TiedUnweighted), "tied covariance without weights", C, "C1", "gmm_em_iris_tied", "log-likelihood of"),
    fault(Plant::Em(Switch::NotRenormalised), "responsibilities not renormalised", C, "C1", "gmm_em_faithful_full", "log-likelihood of"),
    fault(Plant::Em(Switch::SilentRidge), "ridge of 1e-6 counted in the likelihood", C, "C1", "gmm_em_faithful_full", "log-likelihood of"),
    fault(Plant::Em(Switch::RawMoments), "E[x²] - μ²", M, "M1", "iris, full mixture", "shift"),
    fault(Plant::Em(Switch::StaleTrace), "objective of the parameters before", C, "C1", "gmm_em_iris_diag", "log-likelihood of"),
    fault(Plant::Em(Switch::WeightsIgnored), "row weights ignored", M, "M1", "iris, diag mixture", "weight 2"),
    fault(
        Plant::Em(Switch::SphericalSum),
        "spherical variance summed over columns",
        C,
        "C1",
        "gmm_em_faithful_spherical",
        "log-likelihood of",
    ),
    fault(Plant::Em(Switch::NoPrior), "mixing weights left out of the E-step", C, "C1", "gmm_em_faithful_full", "log-likelihood of"),
    fault(Plant::Em(Switch::DoubleLogDet), "log|Σ| without ½", M, "M1", "iris, full mixture", "unit change"),
    fault(Plant::Em(Switch::SinglePrecision), "means accumulated in f32", C, "C1", "gmm_em_faithful_full", "log-likelihood of"),
    fault(Plant::TwoPiOmitted, "2π omitted", C, "C2", "gmm_em_acidity_full", "log p(x) of single rows"),
    fault(Plant::NaiveLogSumExp, "log-sum-exp without the maximum", F, "F1", "scoring", "mixture: a row 1e6 away"),
    fault(Plant::BicSign, "BIC with the other sign", C, "C2", "gmm_em_iris_diag", "BIC"),
    fault(Plant::CountsAllWeights, "K weights counted, not K - 1", C, "C2", "gmm_em_iris_diag", "free parameters"),
    fault(Plant::HalfEntropy, "ICL with half the entropy", C, "C2", "gmm_em_iris_diag", "ICL"),
    fault(Plant::SortedComponents, "components in another order than started", C, "C2", "gmm_em_faithful_full", "fixed point: weights"),
    fault(Plant::NanIsZero, "NaN read as 0", F, "F1", "full mixture: cells", "NaN in the data"),
    fault(Plant::MeanFilled, "missing entries filled with means", M, "M1", "iris, Bayes", "full: columns missing"),
    fault(Plant::MeanFilled, "the same in PPCA", M, "M1", "iris, PPCA", "a column missing"),
    fault(Plant::MeanFilled, "the same in factor analysis", M, "M1", "wine, 2 factors", "a column missing"),
    fault(Plant::UnbiasedScatter, "PPCA: 1/(N-1) for 1/N, seen as a change", D, "D2", "golden digest", "wine, PPCA: W W"),
    fault(Plant::SeedByThread, "generator shared across threads", D, "D1", "diamonds, spherical", "fit: "),
    fault(Plant::OwnSeed, "the seed given is not used", D, "D1", "diamonds, spherical", "fit: run twice"),
    fault(Plant::ResumeForgets, "a resumed fit goes another way", D, "D1", "diamonds, spherical", "4 + 6"),
    fault(Plant::NoiseOverD, "sigma2 over D instead of D - q", C, "C4", "ppca_iris_2", "sigma2"),
    fault(Plant::UnbiasedScatter, "PPCA: 1/(N-1) for 1/N", C, "C4", "ppca_iris_2", "log-likelihood of the model"),
    fault(Plant::UnshrunkLoadings, "PPCA: √λ for √(λ - σ²)", C, "C4", "ppca_iris_2", "W Wᵀ"),
    fault(Plant::PosteriorWithoutM, "PPCA: posterior mean without M⁻¹", C, "C4", "ppca_iris_2", "W E[z|x]"),
    fault(Plant::CovarianceWithoutNoise, "PPCA: posterior covariance without σ²", C, "C4", "ppca_iris_2", "W Cov[z|x]"),
    fault(Plant::CountsRotation, "PPCA: rotation counted as parameters", C, "C4", "ppca_iris_2", "free parameters"),
    fault(Plant::ShortEm, "PPCA EM: one iteration too few", C, "C4", "ppca_iris_2", "log-likelihood of"),
    fault(Plant::RawUniquenesses, "uniquenesses not divided by the variance", C, "C5", "fa_mtcars_2", "uniquenesses"),
    fault(Plant::SilentHeywood, "Heywood case not reported", F, "F1", "factor analysis: tables", "a column twice"),
    fault(Plant::BartlettAsPosterior, "Bartlett scores for posterior means", C, "C5", "fa_mtcars_2", "W E[z|x]"),
    fault(Plant::MeanNotCounted, "FA: the mean's parameters not counted", C, "C5", "fa_mtcars_2", "free parameters"),
    fault(Plant::HighFloor, "FA: psi floored at 0.1 in silence", C, "C5", "fa_mtcars_2", "uniquenesses"),
    fault(Plant::SilentJitter, "degenerate data jittered in silence", F, "F1", "full mixture: tables", "two distinct rows"),
    fault(Plant::VersionIgnored, "model file: version not looked at", F, "F2", "model file of PPCA", "another version"),
    fault(Plant::SinglePrecisionFile, "model file: noise written as f32", F, "F2", "model file of PPCA", "log p(x) of the model read"),
    fault(Plant::UnreadableReplaced, "model file: unreadable, a standard model instead", F, "F2", "model file of PPCA", "cut short"),
];

/// What came of one fault.
#[derive(Debug, Clone)]
pub struct Kill {
    /// The bug.
    pub what: String,
    /// The check that must find it.
    pub named: String,
    /// Whether it did.
    pub killed: bool,
    /// Ids of all red checks with how many.
    pub red: Vec<(String, usize)>,
    /// How far beyond its tolerance the named check was.
    pub beyond: f64,
}

/// The outcome of a self-test.
#[derive(Debug, Clone)]
pub struct KillMatrix {
    /// One row a fault.
    pub kills: Vec<Kill>,
    /// Red checks of the controls; must be none.
    pub false_alarms: Vec<String>,
}

impl KillMatrix {
    /// Every fault killed by the check that names it, and no false alarm.
    pub fn passed(&self) -> bool {
        self.false_alarms.is_empty() && self.kills.iter().all(|k| k.killed)
    }

    /// The matrix as text.
    pub fn table(&self) -> String {
        let width = |text: fn(&Kill) -> &str| self.kills.iter().map(|k| text(k).chars().count()).max().unwrap_or(0).max(44);
        let (a, b) = (width(|k| &k.what), width(|k| &k.named));
        let mut out = format!("{:a$} {:b$} {:>9}  {:8} red checks\n", "planted fault", "the check that names it", "diff/tol", "verdict");
        for k in &self.kills {
            let red: Vec<String> = k.red.iter().map(|(id, n)| format!("{id} x{n}")).collect();
            let verdict = if k.killed { "killed" } else { "SURVIVED" };
            let _ = writeln!(out, "{:a$} {:b$} {:>9.1e}  {verdict:8} {}", k.what, k.named, k.beyond, red.join(" "));
        }
        let killed = self.kills.iter().filter(|k| k.killed).count();
        let _ =
            writeln!(out, "\n{killed} of {} faults killed; false alarms of the controls: {}", self.kills.len(), self.false_alarms.len());
        for alarm in &self.false_alarms {
            let _ = writeln!(out, "  {alarm}");
        }
        out
    }
}

fn options(f: &Fault) -> Options {
    let selection =
        Selection { layers: vec![f.layer], cases: vec![f.case.to_owned()], budget: Budget::Quick, ids: vec![f.id.to_owned()], seed: 0 };
    Options { selection, ..Default::default() }
}

fn is_red(c: &Check) -> bool {
    matches!(c.verdict, Verdict::Fail | Verdict::Undecided)
}

/// Plants every fault and runs the checks it concerns.
pub fn kill_matrix() -> KillMatrix {
    let kills = FAULTS.iter().map(kill).collect();
    let mut false_alarms = Vec::new();
    let mut controls: Vec<Fault> = Vec::new();
    for f in &FAULTS {
        if !controls.iter().any(|c| c.case == f.case && c.id == f.id) {
            controls.push(*f);
        }
    }
    let twin = Broken::new(Plant::Em(Switch::Nothing));
    for f in &controls {
        let by_library = run(&Library, &options(f), |_| {});
        let mut checks = by_library.checks;
        // The twin stands in for the fit alone, without the library's floor and missing entries.
        if matches!(f.id, "C1") {
            checks.extend(run(&twin, &options(f), |_| {}).checks);
        }
        if checks.is_empty() {
            false_alarms.push(format!("{} {}: no such check", f.id, f.case));
        }
        false_alarms.extend(checks.iter().filter(|c| is_red(c)).map(|c| format!("{} {} · {}", c.id, c.case, c.quantity)));
    }
    KillMatrix { kills, false_alarms }
}

fn kill(f: &Fault) -> Kill {
    let report = run(&Broken::new(f.plant), &options(f), |_| {});
    let red: Vec<&Check> = report.checks.iter().filter(|c| is_red(c)).collect();
    let named: Vec<&&Check> = red.iter().filter(|c| c.id == f.id && c.quantity.starts_with(f.quantity)).collect();
    let mut by_id: Vec<(String, usize)> = Vec::new();
    for c in &red {
        match by_id.iter_mut().find(|(id, _)| *id == c.id) {
            Some((_, n)) => *n += 1,
            None => by_id.push((c.id.clone(), 1)),
        }
    }
    Kill {
        what: f.what.to_owned(),
        named: format!("{} {} · {}", f.id, f.case, f.quantity),
        killed: !named.is_empty(),
        red: by_id,
        beyond: named.iter().map(|c| c.ratio()).filter(|r| !r.is_nan()).fold(0.0, f64::max),
    }
}
