//! The confusion table of the verdict: what it said of each q, against what is known of that q.

use super::chart::escape;
use crate::check::number;
use lvm_vi::diagnose::Level;
use serde::Serialize;
use std::fmt::Write as _;

/// The margins that a pass promises: means in posterior standard deviations, standard deviations as a share.
pub const MEAN_MARGIN: f64 = 0.1;
/// See [`MEAN_MARGIN`].
pub const SCALE_MARGIN: f64 = 0.15;

/// A q, its verdict and its true errors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// The posterior.
    pub case: String,
    /// The family, and what was done to its optimum.
    pub q: String,
    /// Whether q is the optimum of its family, or one made worse on purpose.
    pub optimum: bool,
    /// The verdict.
    pub level: Level,
    /// k-hat.
    #[serde(serialize_with = "number")]
    pub pareto_k: f64,
    /// The largest error of a mean, in posterior standard deviations.
    #[serde(serialize_with = "number")]
    pub mean_error: f64,
    /// The largest error of a standard deviation, as a share of the true one.
    #[serde(serialize_with = "number")]
    pub scale_error: f64,
}

impl Judgement {
    /// Whether q keeps what a pass promises.
    pub fn is_good(&self) -> bool {
        self.mean_error <= MEAN_MARGIN && self.scale_error <= SCALE_MARGIN
    }
}

/// A name, and who belongs to it.
type Group = (&'static str, fn(&Judgement) -> bool);

/// What is counted together.
const GROUPS: [Group; 3] = [
    ("mean-field optima", |j| j.optimum && j.q.starts_with("mean field")),
    ("full-rank optima", |j| j.optimum && !j.q.starts_with("mean field")),
    ("optima spoilt on purpose", |j| !j.optimum),
];

/// The levels, as columns.
const LEVELS: [Level; 3] = [Level::Pass, Level::Warn, Level::Fail];

/// Counts of pass, warn and fail among those of a group that are good, or not.
fn counts(all: &[Judgement], group: impl Fn(&Judgement) -> bool, good: bool) -> [usize; 3] {
    LEVELS.map(|level| all.iter().filter(|j| group(j) && j.is_good() == good && j.level == level).count())
}

/// Group, truth, counts: one line each; the last two are all together.
fn lines(all: &[Judgement]) -> Vec<(&'static str, &'static str, [usize; 3])> {
    let everything: (&str, fn(&Judgement) -> bool) = ("all", |_| true);
    let groups = GROUPS.into_iter().chain([everything]);
    groups.flat_map(|(name, group)| [(name, "within", counts(all, group, true)), (name, "beyond", counts(all, group, false))]).collect()
}

/// Rows: what is true of q. Columns: what the verdict says.
pub fn table(all: &[Judgement]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut out = String::from("\n== verdicts against the truth: within 0.1 sd (means) and 15 % (sds), or beyond ==\n");
    let _ = writeln!(out, "{:26} {:8} {:>6} {:>6} {:>6}", "q", "truth", "pass", "warn", "fail");
    for (name, truth, [pass, warn, fail]) in lines(all) {
        let _ = writeln!(out, "{name:26} {truth:8} {pass:>6} {warn:>6} {fail:>6}");
    }
    out
}

/// The same for the page.
pub fn html(all: &[Judgement]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<h2>Verdicts against the truth</h2><p class=\"mute\">q is within where every mean is within 0.1 posterior standard deviations of the \
         truth and every standard deviation within 15 %. A pass beyond is a false pass.</p><div class=\"scroll\"><table class=\"summary\"><thead><tr>\
         <th>q<th>truth<th class=\"n\">pass<th class=\"n\">warn<th class=\"n\">fail</tr></thead><tbody>",
    );
    for (name, truth, counts) in lines(all) {
        let _ = write!(out, "<tr><td>{}<td>{truth}", escape(name));
        for (level, n) in LEVELS.iter().zip(counts) {
            let class = if truth == "beyond" && *level == Level::Pass && n > 0 { " FAIL" } else { "" };
            let _ = write!(out, "<td class=\"n{class}\">{n}");
        }
        out.push_str("</tr>");
    }
    out + "</tbody></table></div>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_q_is_counted_once_in_its_group_and_once_in_all() {
        let of = |q: &str, optimum, level, mean_error| Judgement {
            case: "a".into(),
            q: q.into(),
            optimum,
            level,
            pareto_k: 0.3,
            mean_error,
            scale_error: 0.0,
        };
        let all = [
            of("mean field", true, Level::Fail, 0.0),
            of("full rank", true, Level::Pass, 0.1),
            of("full rank, every mean 1 sd off", false, Level::Pass, 1.0),
            of("full rank, every mean 1 sd off", false, Level::Warn, f64::NAN),
        ];
        let found = lines(&all);
        assert_eq!(found[0], ("mean-field optima", "within", [0, 0, 1]));
        assert_eq!(found[2], ("full-rank optima", "within", [1, 0, 0]));
        // what is not known to be within is beyond
        assert_eq!(found[5], ("optima spoilt on purpose", "beyond", [1, 1, 0]));
        assert_eq!((found[6].2, found[7].2), ([1, 0, 1], [1, 1, 0]));
        assert!(html(&all).contains("class=\"n FAIL\">1") && table(&[]).is_empty() && html(&[]).is_empty());
    }
}
