//! Faults planted in the source of the library (VERIFY §3.4), each of which must turn the check red that names it.
//!
//! They exist only in the build of `cargo xtask verify --mutants` ([`lvm_core::mutant`]). Each is run in a process of its own, so that a
//! fault that hangs, aborts or poisons a global can't spoil the others, and with the checks of one id on one case.

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
    /// Where it was published: an issue, the equation it breaks, or the list it was gathered in.
    pub published: &'static str,
    /// The layer that is run.
    pub layer: Layer,
    /// The check that must turn red, the only one that is run.
    pub id: &'static str,
    /// The case it is looked for in.
    pub case: &'static str,
    /// What the red check's quantity starts with.
    pub quantity: &'static str,
}

const fn mutant(
    name: &'static str,
    (what, published): (&'static str, &'static str),
    (layer, id): (Layer, &'static str),
    case: &'static str,
    quantity: &'static str,
) -> Mutant {
    Mutant { name, what, published, layer, id, case, quantity }
}

use Layer::{B, C, D, F, L, M, N, O, P, S, V};

/// Every planted fault.
#[rustfmt::skip] // a table
pub const CATALOGUE: &[Mutant] = &[
    mutant("mvn_two_pi", ("2π omitted from the multivariate normal", "VERIFY §3.4"), (N, "N1"), "special_a", "mvn"),
    mutant("half_normal_unfolded", ("factor 2 of a half-prior omitted", "VERIFY §3.4"), (N, "N1"), "special_a", "half_normal"),
    mutant("wishart_df", ("Wishart degrees of freedom off by one", "PRML B.78"), (N, "N1"), "special_a", "wishart"),
    mutant("log_sum_exp_naive", ("log-sum-exp without its maximum", "VERIFY §3.4"), (N, "N2"), "numerics_a", "[4] log density"),
    mutant("moments_n_minus_1", ("1/(N − 1) for 1/N in the covariance", "PRML 2.122"), (N, "N2"), "numerics_a", "[0] variance with an offset, over N"),
    mutant("log_likelihood_f32", ("log-likelihood summed over N in f32", "sklearn 30382"), (C, "C5"), "fa_mtcars_2", "log-likelihood of the model"),
    mutant("gmm_old_means", ("covariance about the old means", "PRML 9.25"), (C, "C1"), "gmm_em_faithful_full", "log-likelihood of"),
    mutant("gmm_spherical_sum", ("spherical variance summed over columns", "PRML 9.25"), (C, "C1"), "gmm_em_faithful_spherical", "log-likelihood of"),
    mutant("gmm_tied_unweighted", ("tied covariance without weights", "VERIFY §3.4"), (C, "C1"), "gmm_em_iris_tied", "log-likelihood of"),
    mutant("gmm_unnormalised", ("responsibilities not renormalised", "PRML 9.23"), (C, "C1"), "gmm_em_faithful_full", "log-likelihood of"),
    mutant("gmm_hidden_ridge", ("reg_covar of 1e-6 counted in the likelihood", "VERIFY §3.4"), (C, "C1"), "gmm_em_faithful_full", "log-likelihood of"),
    mutant("gmm_stale_objective", ("log-likelihood of the parameters before", "scikit-learn, lower_bound_"), (C, "C1"), "gmm_em_faithful_full", "log-likelihood of"),
    mutant("ppca_noise_over_d", ("σ² over D instead of D − q", "Tipping & Bishop 1999, 8"), (C, "C4"), "ppca_iris_2", "sigma2"),
    mutant("fa_raw_uniquenesses", ("uniquenesses not divided by the variance", "Lawley & Maxwell"), (C, "C5"), "fa_mtcars_2", "uniquenesses"),
    mutant("fa_psi_unfloored", ("ψ not floored in a Heywood case", "statsmodels 4169"), (C, "C5"), "three columns, one factor", "ψ of the improper"),
    mutant("normal_gamma_n", ("n for n/2 in the posterior of a precision", "PRML 2.150"), (C, "C7"), "conjugate_a", "normal-gamma"),
    mutant("vb_wishart_df", ("ν + 1 in the update of the Wishart factor", "PRML 10.63"), (C, "C3"), "one column, Dirichlet", "first update: ν"),
    mutant("vb_without_constants", ("bound without the prior's normaliser", "sklearn 8823, 19074"), (C, "C3"), "one column, Dirichlet", "ELBO after"),
    mutant("vb_stale_elbo", ("bound of the responsibilities before", "sklearn 19074"), (C, "C3"), "one column, Dirichlet", "ELBO after"),
    mutant("sticks_reversed", ("sticks broken from the other end", "Blei & Jordan 2006, 18"), (C, "C3"), "one column, Dirichlet process", "first update: q(π)"),
    mutant("jacobian_missing", ("log |J| of a constrained parameter missing", "VERIFY §3.3"), (L, "L3"), "densities of constrained", "log ∫"),
    mutant("jacobian_sign", ("log |J| with the other sign", "VERIFY §3.4"), (L, "L3"), "densities of constrained", "log ∫"),
    mutant("jacobian_gradient_missing", ("log |J| missing from the gradient alone", "VERIFY §3.4"), (L, "L3"), "transform: positive by exp", "gradient with 1 log |J|"),
    mutant("jacobian_in_each_batch", ("log |J| counted in every batch", "VERIFY §3.4"), (L, "L3"), "densities of constrained", "batches of one row"),
    mutant("simplex_reversed", ("simplex: offsets of the stick reversed", "VERIFY §3.4"), (L, "L3"), "transform: uniform weights", "u = 0"),
    mutant("batch_scale_missing", ("N/B missing", "pymc 3221"), (S, "S5"), "kidiq_momhsiq", "batches of 1: log joint"),
    mutant("batch_scale_on_prior", ("N/B applied to the prior too", "VERIFY §3.4"), (S, "S5"), "kidiq_momhsiq", "batches of 1: log joint"),
    mutant("entropy_half_d", ("d/2 omitted from the entropy", "VERIFY §3.4"), (S, "S1"), "two correlated latents", "full rank: entropy"),
    mutant("elbo_without_constant", ("d/2 log 2πe omitted from the bound", "VERIFY §3.4"), (O, "O1"), "gaussian_target_ar1", "mean field: ELBO"),
    mutant("sd_as_variance", ("sd read as a variance", "VERIFY §3.4"), (S, "S1"), "two correlated latents", "mean field: ELBO by draws"),
    mutant("sd_as_log_sd", ("sd read as its logarithm", "VERIFY §3.4"), (S, "S1"), "two correlated latents", "mean field: entropy"),
    mutant("cholesky_transposed", ("upper for lower Cholesky factor in a draw", "VERIFY §3.4"), (S, "S1"), "two correlated latents", "full rank: ELBO by draws"),
    mutant("kl_mean_over_latents", ("KL averaged over latents", "grammarVAE 2"), (S, "S1"), "two correlated latents", "mean field: −KL"),
    mutant("control_without_its_mean", ("control variate without its expectation", "Miller et al. 2017, 9"), (S, "S2"), "two correlated latents", "mean field: quadratic control"),
    mutant("score_without_q", ("score gradient without the q term", "Ranganath et al. 2014, 2"), (S, "S2"), "two correlated latents", "mean field: score function"),
    mutant("baseline_of_its_own_draw", ("baseline of the draw it is taken from", "Kool et al. 2019"), (S, "S2"), "two correlated latents", "mean field: score function"),
    mutant("importance_not_squared", ("w for w² in the DReG gradient", "Tucker et al. 2019"), (S, "S2"), "two correlated latents", "four particles"),
    mutant("landing_wrong_branch", ("sticking the landing on the wrong branch", "Roeder et al. 2017"), (S, "S3"), "gaussian_target_ar1", "largest entry"),
    mutant("iwae_mean_of_logs", ("IWAE as a mean of logarithms", "Burda et al. 2016, 8"), (S, "S6"), "two correlated latents", "IWAE_64"),
    mutant("chi_square_halved", ("½ log E w² for log E w²", "Huggins et al. 2020"), (P, "P6"), "two correlated latents", "D₂"),
    mutant("nan_weight_is_one", ("NaN density with the weight of one", "SBC 50"), (P, "P6"), "two correlated latents", "weights of zero"),
    mutant("psis_unsorted", ("k-hat on unsorted weights", "Vehtari et al. 2024, alg. 1"), (P, "P3"), "weights of a Pareto", "k of quantiles"),
    mutant("psis_unnormalised", ("smoothed weights not normalised", "Vehtari et al. 2024, alg. 1"), (P, "P3"), "weights of a Pareto", "sum of the weights"),
    mutant("psis_nan_dropped", ("NaN weights dropped", "BITFAM 14"), (P, "P3"), "weights that are none", "a log weight of NaN"),
    mutant("adam_uncorrected", ("Adam without bias correction", "Kingma & Ba 2015, alg. 1"), (O, "O2"), "rules for a step", "Adam: three steps"),
    mutant("adam_own_normaliser", ("present gradient in its own normaliser", "pymc 8444"), (O, "O2"), "rules for a step", "Adam, held"),
    mutant("step_not_decayed", ("step size never decayed", "Robbins & Monro 1951"), (O, "O2"), "rules for a step", "Robbins-Monro"),
    mutant("last_iterate", ("last iterate for the average", "Dhaka et al. 2020"), (O, "O2"), "average of the iterates", "mean of the last half"),
    mutant("stop_on_one_elbo", ("stopping on one noisy ELBO", "pymc 2031"), (O, "O4"), "stochastic fit", "natural gradient from N(0, I): end"),
    mutant("elbo_of_the_start", ("ELBO at stale parameters", "VERIFY §3.4"), (O, "O4"), "stochastic fit", "natural gradient from N(0, I): ELBO"),
    mutant("steps_share_stream", ("generator started anew at every step", "VERIFY §3.4"), (O, "O4"), "stochastic fit", "natural gradient from N(0, I): end"),
    mutant("blocks_share_stream", ("generator shared by blocks of draws", "cmdstanr 936"), (D, "D1"), "draws of a bound", "log weights of a bound"),
    mutant("epochs_share_order", ("every epoch in the same order", "VERIFY §3.4"), (D, "D1"), "draws of a bound", "epochs in the same order"),
    mutant("normal_mean_flat_prior", ("posterior of a mean without its prior", "PRML 2.142"), (C, "C7"), "conjugate_a", "normal mean: posterior mean"),
    mutant("lda_missing_scale", ("N/B missing in a step of online LDA", "pybasicbayes 5"), (S, "S5"), "LDA, natural-gradient", "batches of 1"),
    mutant("svi_rho_on_prior", ("prior added whole to a step of length ρ", "Hoffman et al. 2013, 27"), (S, "S5"), "LDA, natural-gradient", "batches of 1"),
    mutant("conjugate_missing_scale", ("N/B missing in a step of a model of one's own", "pybasicbayes 5"), (S, "S5"), "a model of one's own", "batches of 1"),
    mutant("bgmm_missing_scale", ("N/B missing in a step of a mixture", "pybasicbayes 5"), (O, "O7"), "diamonds, Bayesian mixture", "optimum a row less ELBO"),
    mutant("lda_without_kl_of_theta", ("KL of q(θ) left out of the bound", "Blei et al. 2003, 15"), (C, "C9"), "LDA of 60 simulated", "ELBO of a fit"),
    mutant("lda_weights_ignored", ("weights of documents not in the counts", "VERIFY §3.2 M1"), (M, "M1"), "documents, LDA", "LDA: weight 2"),
    mutant("multinomial_no_coefficient", ("multinomial coefficient omitted", "VERIFY §3.4"), (L, "L4"), "ratios: mixture of multinomials", "Σ p(x)"),
    mutant("bppca_ard_off", ("relevance of a direction not from its loadings", "Bishop 1999, 24"), (C, "C9"), "Bayesian PPCA", "q(α): rate"),
    mutant("regression_errors_at_the_mean", ("E‖y − Xw‖² without its trace", "PRML 10.94"), (C, "C6"), "conjugate_a", "q(τ): rate"),
    mutant("sweep_of_old_means", ("all coordinates from the means before", "PRML 10.1.2"), (C, "C6"), "gaussian_target_ar1", "means after each"),
    mutant("mean_field_without_prior", ("precision of the prior left out of Λ", "PRML 12.41"), (P, "P1"), "wine, PPCA", "mean field: variances"),
    mutant("encoder_gradient_transposed", ("δᵀh for hᵀδ in an encoder's gradient", "VERIFY §3.4"), (O, "O1"), "wine, PPCA with 3 latents", "mean field, affine encoder, minibatches"),
    mutant("perdatum_half_step", ("half of each Newton step of a row", "VERIFY §3.2 O6"), (O, "O6"), "rows of a linear-Gaussian", "mean field: means"),
    mutant("newton_step_halved", ("half of each step to the optimum", "VERIFY §3.2 O6"), (O, "O6"), "gaussian_target_ar1", "mean field: mean after"),
    mutant("vem_stale_moments", ("E-step of the parameters before", "VERIFY §3.4"), (C, "C4"), "wine, PPCA with 3 latents, variational EM", "largest decrease of the trace"),
    mutant("gh_nodes_unscaled", ("nodes of a rule not scaled by the sd", "VERIFY §3.3"), (O, "O5"), "wells_dist100ars", "mean field: stationary"),
    mutant("full_rank_expects_diagonal", ("E_q of the full rank by the diagonal of S", "VERIFY §3.2 M2"), (M, "M2"), "sblri_blr", ""),
    mutant("lowrank_woodbury_sign", ("+ for − in Woodbury's identity", "VERIFY §3.4"), (S, "S1"), "diagonal plus low rank", "log q"),
    mutant("lowrank_gauge_unaligned", ("factors averaged without turning them to one", "Schönemann 1966"), (O, "O1"), "diagonal plus low rank, stochastic", "rank 2: runs that"),
    mutant("categorical_score_uncentred", ("score of a label without −π", "Williams 1992"), (S, "S2"), "labels of five irises", "flattened"),
    mutant("weights_truncated", ("importance weights truncated at 1", "Ionides 2008"), (S, "S4"), "gaussian_target_ar1", "variance of log p/q"),
    mutant("verdict_ignores_sd", ("standard deviations not in the verdict", "VERIFY §1.2"), (P, "P4"), "logarithm of a gamma variable of shape 1.5", "logarithm, mean field: no false pass"),
    mutant("optimality_sign", ("−∇ log p in the remaining step", "Opper & Archambeau 2009, 7"), (P, "P4"), "kidiq_momhsiq", "full rank: verdict"),
    mutant("kl_log_det_swapped", ("log determinants exchanged in the KL", "VERIFY §3.3"), (P, "P5"), "gaussian_target_ar1", "KL(q ‖ p)"),
    mutant("vsbc_sd_of_prior", ("P_q with the sd of the prior for that of q", "Yao et al. 2018, alg. 2"), (B, "B2"), "exact posterior", "P_q"),
    mutant("poisson_without_factorial", ("log y! omitted from some rows", "VERIFY §3.4"), (L, "L4"), "ratios: logistic and Poisson", "Poisson: Σ_n"),
    mutant("batch_beyond_the_data", ("batch larger than the data accepted", "VERIFY §3.2 F1"), (F, "F1"), "inference: batches and draws", "stochastic fit: batches of 1000"),
    mutant("test_draws_of_training", ("test seed shared with the train seed", "VERIFY §3.4"), (D, "D1"), "inference: no draw is made twice", "draws of the ELBO"),
    mutant("vae_kl_mean", ("KL averaged over latents instead of summed", "grammarVAE 2"), (V, "V1"), "vae_bernoulli_2d", "KL to the prior"),
    mutant("vae_mean_over_columns", ("log-likelihood averaged over columns", "pytorch/examples 294"), (V, "V1"), "vae_gaussian_1d", "reconstruction"),
    mutant("vae_gaussian_two_pi", ("2π omitted from the decoder's normal", "VERIFY §3.4"), (V, "V1"), "vae_gaussian_1d", "reconstruction"),
    mutant("vae_beta_ignored", ("the KL weight is stored and not used", "lightning-bolts 328"), (V, "V6"), "loss of wine", "the KL weight enters"),
    mutant("vae_log_variance_as_log_sd", ("log variance read as log standard deviation", "VERIFY §3.4"), (V, "V3"), "vae_gaussian_1d", "mean ELBO by draws"),
    mutant("vae_no_log_det", ("log q without the log determinant", "VERIFY §3.4"), (V, "V3"), "vae_gaussian_1d", "mean ELBO by draws"),
    mutant("vae_iwae_mean_of_logs", ("IWAE as the mean of log weights", "VERIFY §3.4"), (V, "V3"), "vae_gaussian_1d", "what IWAE_5000 lacks"),
    mutant("vae_temperatures_reversed", ("temperatures of annealing reversed", "VERIFY §3.4"), (V, "V3"), "vae_gaussian_1d", "log p by annealing"),
    mutant("vae_counts_without_factorial", ("log x! omitted from counts", "VERIFY §3.4"), (V, "V8"), "densities of decoders", "negative binomial, one dispersion"),
    mutant("vae_zero_not_inflated", ("zeros of lost counts not inflated", "Lopez et al. 2018"), (V, "V8"), "densities of decoders", "zero-inflated"),
    mutant("vae_size_ignored", ("size of a row ignored", "Lopez et al. 2018"), (V, "V8"), "densities of decoders", "negative binomial, observed size"),
    mutant("vae_levels_end_closed", ("first grey level not open to the left", "Salimans et al. 2017, 2"), (V, "V8"), "densities of decoders", "grey levels"),
    mutant("vae_flow_log_det_sign", ("log determinant with the other sign", "VERIFY §3.4"), (V, "V9"), "flows", "coupling"),
];

/// Runs every fault with `program`, which must be the build that can have them; `watch` is told of each as it ends.
///
/// # Errors
/// If the program can't be started.
pub fn kill_matrix(program: &Path, names: &[String], mut watch: impl FnMut(&Kill)) -> Result<KillMatrix, String> {
    let mut matrix = KillMatrix { kills: Vec::new(), false_alarms: Vec::new() };
    let mut controls: Vec<(&str, &str)> = Vec::new();
    // faults of neural models are in the build that has them, and in no other
    let here = |m: &&Mutant| m.layer != V || cfg!(feature = "deep");
    for m in CATALOGUE.iter().filter(here).filter(|m| names.is_empty() || names.iter().any(|n| n == m.name)) {
        let found = red(program, m, Some(m.name))?;
        let kill = judge(m, &found);
        watch(&kill);
        matrix.kills.push(kill);
        // the same build with nothing planted must be green, once for every check and case
        if !controls.contains(&(m.id, m.case)) {
            controls.push((m.id, m.case));
            let alarms = red(program, m, None)?.unwrap_or_else(|e| vec![Red::broken(&e)]);
            matrix.false_alarms.extend(alarms.iter().map(|r| format!("{} {} · {}", r.id, m.case, r.quantity)));
        }
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
        what: format!("{}: {} [{}]{note}", m.name, m.what, m.published),
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
    command.args(["--budget", "quick", "--summary", "--layer", &m.layer.to_string(), "--id", m.id, "--case", m.case, "--json"]).arg(&json);
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
    let mut out = format!("{:26}", "") + &ids.iter().map(|id| format!("{id:>5}")).collect::<String>() + "\n";
    for k in &matrix.kills {
        let count = |id: &str| k.red.iter().find(|(i, _)| i == id).map_or(".".to_owned(), |(_, n)| n.to_string());
        let name = k.what.split(':').next().unwrap_or_default();
        let cells: String = ids.iter().map(|id| format!("{:>5}", count(id))).collect();
        out.push_str(&format!("{name:26}{cells}\n"));
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
