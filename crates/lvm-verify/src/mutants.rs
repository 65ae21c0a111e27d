//! Faults planted in the source of the library (VERIFY §3.4), each of which must turn the check red that names it.
//!
//! They exist only in the build of `cargo xtask verify --mutants` ([`lvm_core::mutant`]). Each is run in a process of its own, so that a
//! fault that hangs, aborts or poisons a global can't spoil the others, and with all checks of its layer on its case.

use crate::check::Layer;
use crate::selftest::{Kill, KillMatrix};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A fault, and the check that must find it.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// The name in the source.
    pub name: &'static str,
    /// What is wrong.
    pub what: &'static str,
    /// The layer that is run.
    pub layer: Layer,
    /// The check that must turn red.
    pub id: &'static str,
    /// The case it is looked for in.
    pub case: &'static str,
    /// What the red check's quantity starts with.
    pub quantity: &'static str,
}

const fn mutant(
    name: &'static str,
    what: &'static str,
    layer: Layer,
    id: &'static str,
    case: &'static str,
    quantity: &'static str,
) -> Mutant {
    Mutant { name, what, layer, id, case, quantity }
}

use Layer::{C, N};

/// Every planted fault.
pub const CATALOGUE: &[Mutant] = &[
    mutant("mvn_two_pi", "2π omitted from the multivariate normal", N, "N1", "special_a", "mvn"),
    mutant("wishart_df", "Wishart degrees of freedom off by one", N, "N1", "special_a", "wishart"),
    mutant("log_sum_exp_naive", "log-sum-exp without its maximum", N, "N2", "numerics_a", "[4] log density"),
    mutant("moments_n_minus_1", "1/(N − 1) for 1/N in the covariance", N, "N2", "numerics_a", "[0] variance with an offset, over N"),
    mutant("gmm_old_means", "covariance about the old means", C, "C1", "gmm_em_faithful_full", "log-likelihood of"),
    mutant("gmm_spherical_sum", "spherical variance summed over columns", C, "C1", "gmm_em_faithful_spherical", "log-likelihood of"),
    mutant("ppca_noise_over_d", "σ² over D instead of D − q", C, "C4", "ppca_iris_2", "sigma2"),
    mutant("fa_raw_uniquenesses", "uniquenesses not divided by the variance", C, "C5", "fa_mtcars_2", "uniquenesses"),
    mutant("normal_gamma_n", "n for n/2 in the posterior of a precision", C, "C7", "conjugate_a", "normal-gamma"),
];

/// Runs every fault with `program`, which must be the build that can have them; `watch` is told of each as it ends.
///
/// # Errors
/// If the program can't be started.
pub fn kill_matrix(program: &Path, names: &[String], mut watch: impl FnMut(&Kill)) -> Result<KillMatrix, String> {
    let mut matrix = KillMatrix { kills: Vec::new(), false_alarms: Vec::new() };
    for m in CATALOGUE.iter().filter(|m| names.is_empty() || names.iter().any(|n| n == m.name)) {
        let found = red(program, m, Some(m.name))?;
        let kill = judge(m, &found);
        watch(&kill);
        matrix.kills.push(kill);
        // the same build with nothing planted must be green
        let controls = red(program, m, None)?.unwrap_or_else(|e| vec![Red::broken(&e)]);
        matrix.false_alarms.extend(controls.iter().map(|r| format!("{} {} · {}", r.id, m.case, r.quantity)));
    }
    Ok(matrix)
}

/// A red check.
#[derive(Debug, Clone, PartialEq)]
struct Red {
    id: String,
    quantity: String,
    ratio: f64,
}

impl Red {
    fn broken(why: &str) -> Self {
        Red { id: "-".into(), quantity: why.into(), ratio: f64::INFINITY }
    }
}

fn judge(m: &Mutant, found: &Result<Vec<Red>, String>) -> Kill {
    let named = format!("{} {} · {}", m.id, m.case, m.quantity);
    let (red, note) = match found {
        Ok(red) => (red.as_slice(), String::new()),
        Err(why) => (&[][..], format!(" ({why})")),
    };
    let hits: Vec<&Red> = red.iter().filter(|r| r.id == m.id && r.quantity.starts_with(m.quantity)).collect();
    let mut by_id: Vec<(String, usize)> = Vec::new();
    for r in red {
        match by_id.iter_mut().find(|(id, _)| *id == r.id) {
            Some((_, n)) => *n += 1,
            None => by_id.push((r.id.clone(), 1)),
        }
    }
    Kill {
        what: format!("{}: {}{note}", m.name, m.what),
        named,
        killed: !hits.is_empty(),
        red: by_id,
        beyond: hits.iter().map(|r| r.ratio).fold(0.0, f64::max),
    }
}

/// A fault may take this long before it counts as one that hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// The red checks of the layer and case of `m` with a fault planted; an inner error if the run wrote no report.
fn red(program: &Path, m: &Mutant, planted: Option<&str>) -> Result<Result<Vec<Red>, String>, String> {
    let folder = std::env::temp_dir().join(format!("lvm-mutant-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let (json, html) = (folder.join("report.json"), folder.join("report.html"));
    let _ = std::fs::remove_file(&json);
    let mut command = Command::new(program);
    command.args(["--budget", "quick", "--summary", "--layer", &m.layer.to_string(), "--case", m.case, "--json"]).arg(&json);
    command.arg("--html").arg(&html).stdout(Stdio::null()).stderr(Stdio::null()).env_remove("LVM_MUTANT");
    if let Some(name) = planted {
        command.env("LVM_MUTANT", name);
    }
    let mut child = command.spawn().map_err(|e| format!("{}: {e}", program.display()))?;
    let start = Instant::now();
    while child.try_wait().map_err(|e| e.to_string())?.is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let found = std::fs::read_to_string(&json).map_err(|e| format!("no report: {e}")).and_then(|text| red_checks(&text));
    let _ = std::fs::remove_dir_all(&folder);
    Ok(found)
}

/// The red checks of a report.
fn red_checks(json: &str) -> Result<Vec<Red>, String> {
    let report: Value = serde_json::from_str(json).map_err(|e| e.to_string())?;
    let checks = report["checks"].as_array().filter(|c| !c.is_empty()).ok_or("nothing was checked")?;
    // a number that JSON has not is written as a word
    let number = |v: &Value| v.as_f64().unwrap_or(f64::INFINITY);
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let red = checks.iter().filter(|c| matches!(c["verdict"].as_str(), Some("FAIL" | "UNDECIDED")));
    Ok(red
        .map(|c| Red { id: text(&c["id"]), quantity: text(&c["quantity"]), ratio: number(&c["difference"]) / number(&c["tolerance"]) })
        .collect())
}

/// Faults by checks: how many checks of each id each fault turned red.
pub fn grid(matrix: &KillMatrix) -> String {
    let mut ids: Vec<&str> = matrix.kills.iter().flat_map(|k| k.red.iter().map(|(id, _)| id.as_str())).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut out = format!("{:22}", "") + &ids.iter().map(|id| format!("{id:>5}")).collect::<String>() + "\n";
    for k in &matrix.kills {
        let count = |id: &str| k.red.iter().find(|(i, _)| i == id).map_or(".".to_owned(), |(_, n)| n.to_string());
        let name = k.what.split(':').next().unwrap_or_default();
        let cells: String = ids.iter().map(|id| format!("{:>5}", count(id))).collect();
        out.push_str(&format!("{name:22}{cells}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"checks": [
        {"id": "N1", "quantity": "mvn[0]", "verdict": "FAIL", "difference": 2.0, "tolerance": 1.0},
        {"id": "N1", "quantity": "gamma[0]", "verdict": "PASS", "difference": 0.0, "tolerance": 1.0},
        {"id": "N2", "quantity": "far", "verdict": "FAIL", "difference": "nan", "tolerance": 1.0}]}"#;

    #[test]
    fn a_fault_is_killed_only_by_the_check_that_names_it() {
        let red = red_checks(REPORT);
        assert_eq!(red.as_ref().unwrap().len(), 2);
        let kill = judge(&CATALOGUE[0], &red);
        assert!(kill.killed && kill.beyond == 2.0, "{kill:?}");
        assert!(!judge(&CATALOGUE[1], &red).killed);
        assert!(!judge(&CATALOGUE[0], &Err("no report".into())).killed);
        assert!(red_checks(r#"{"checks": []}"#).is_err());
        let matrix = KillMatrix { kills: vec![kill], false_alarms: Vec::new() };
        assert_eq!(grid(&matrix).lines().last().unwrap().split_whitespace().collect::<Vec<_>>(), ["mvn_two_pi", "1", "1"]);
    }

    #[test]
    fn this_build_has_no_faults_unless_it_was_made_for_them() {
        assert_eq!(lvm_core::mutant::POSSIBLE, cfg!(lvm_mutant));
        assert!(!lvm_core::mutant::planted("mvn_two_pi"));
    }
}
