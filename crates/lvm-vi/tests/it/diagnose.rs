//! The tail fit against other programs, and verdicts against Gaussians whose error is known.

use lvm_vi::diagnose::{Diagnose, Known, Level, Optimality, Vsbc, WeightedDraws, psis, vsbc};
use lvm_vi::family::{Family, MeanField};
use lvm_vi::fit::{Stopping, Vi};
use lvm_vi::target::{LogDensity, LogDensityGrad, TargetError};
use ndarray::{Array1, Array2, array};
use rand_distr::{Distribution, StandardNormal};
use serde_json::Value;

#[test]
fn pareto_k_and_smoothed_weights_are_those_of_loo() {
    let path = format!("{}/tests/reference/psis_a.json", env!("CARGO_MANIFEST_DIR"));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = json["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let number = |key: &str| case[key].as_f64().unwrap();
        let vector = |key: &str| -> Vec<f64> { case[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
        let fitted = psis(&vector("log_weights")).unwrap();
        assert_eq!(fitted.tail_length as f64, number("tail_length"));
        // three programs agree to 1e-12; our sums are the same in another order
        assert!((fitted.pareto_k - number("pareto_k_own")).abs() < 1e-10, "{}: {}", case["name"], fitted.pareto_k);
        for (ours, theirs) in fitted.log_weights.iter().zip(vector("smoothed_normalised_log_weights_first_5")) {
            assert!((ours - theirs).abs() < 1e-8, "{}: {ours} {theirs}", case["name"]); // the file's tolerance
        }
        assert!((fitted.effective_draws / number("psis_n_eff_r_loo") - 1.0).abs() < 1e-8);
    }
}

/// N(mean, precision⁻¹), with the log evidence given.
struct Gaussian {
    mean: Array1<f64>,
    precision: Array2<f64>,
    constant: f64,
}

impl LogDensity for Gaussian {
    fn dim(&self) -> usize {
        self.mean.len()
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        let r = Array1::from(z.to_vec()) - &self.mean;
        Ok(self.constant - 0.5 * r.dot(&self.precision.dot(&r)))
    }
}

impl LogDensityGrad for Gaussian {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let r = Array1::from(z.to_vec()) - &self.mean;
        gradient.copy_from_slice((-self.precision.dot(&r)).as_slice().unwrap());
        self.log_density(z)
    }
}

/// Two latents of correlation `rho`, unit variances, log evidence 7.
fn correlated(rho: f64) -> Gaussian {
    let determinant = 1.0 - rho * rho;
    let precision = array![[1.0, -rho], [-rho, 1.0]] / determinant;
    Gaussian { mean: array![1.0, -2.0], precision, constant: 7.0 - std::f64::consts::TAU.ln() - 0.5 * determinant.ln() }
}

/// The mean-field optimum of `correlated(rho)`: variances 1/Λ_ii = 1 − ρ².
fn best(rho: f64) -> MeanField {
    let s = (1.0 - rho * rho).sqrt();
    MeanField::new(&[1.0, -2.0], &[s, s]).unwrap()
}

#[test]
fn the_elbo_and_its_spread_are_the_exact_ones() {
    let rho: f64 = 0.6;
    let draws = WeightedDraws::new(&best(rho), &correlated(rho), 100_000, 1).unwrap();
    // KL = (Σ log Λ_ii − log det Λ)/2 = −½ log(1 − ρ²);  Var log w = (‖R‖² − d)/2 = ρ²
    let exact = 7.0 + 0.5 * (1.0 - rho * rho).ln();
    let elbo = draws.elbo();
    assert!((elbo.mean - exact).abs() < 5.0 * elbo.std_err); // fails with probability 6e-7
    assert!((elbo.std_err * 1e5f64.sqrt() / rho - 1.0).abs() < 0.05); // ten standard errors of a standard deviation at this kurtosis
    let evidence = draws.log_evidence();
    assert!((evidence.mean - 7.0).abs() < 5.0 * evidence.std_err && evidence.std_err < 0.01);
}

#[test]
fn pareto_k_is_near_the_exact_tail_index() {
    // k = 1 − λ_min(R) = ρ, R = ((1, −ρ), (−ρ, 1)); the file of a Gaussian target puts the scatter at this many draws at 0.05
    for rho in [0.3, 0.6, 0.9] {
        let draws = WeightedDraws::new(&best(rho), &correlated(rho), 100_000, 2).unwrap();
        assert!((draws.smoothed().unwrap().pareto_k - rho).abs() < 0.2, "{rho}");
    }
}

#[test]
fn optimality_is_the_newton_step_of_a_gaussian() {
    let target = correlated(0.5);
    // at mean m and standard deviations s the location step is s_i g_i = −s_i (Λ (m − μ))_i and that of log s is (1 − s_i² Λ_ii)/2
    let q = MeanField::new(&[1.3, -2.0], &[0.5, 2.0]).unwrap();
    let found = Optimality::new(&q, &target, 200_000, 4).unwrap();
    let (l, o) = (4.0 / 3.0, -2.0 / 3.0);
    let expected = [-0.5 * l * 0.3, -2.0 * o * 0.3, (1.0 - 0.25 * l) / 2.0, (1.0 - 4.0 * l) / 2.0];
    let ours = [found.location[0], found.location[1], found.log_scale[0], found.log_scale[1]];
    let errors = [found.location_std_err[0], found.location_std_err[1], found.log_scale_std_err[0], found.log_scale_std_err[1]];
    for ((ours, expected), std_err) in ours.iter().zip(expected).zip(errors) {
        assert!((ours - expected).abs() < 5.0 * std_err, "{ours} {expected} ± {std_err}"); // four comparisons at 6e-7
        assert!(std_err < 0.01);
    }
    // at the optimum nothing is left to do
    assert_eq!(Optimality::new(&best(0.5), &target, 10_000, 4).unwrap().worst(5.0).0, 0.0);
}

#[test]
fn a_pass_means_what_it_says() {
    let judge = Diagnose::default();
    let level = |q: &MeanField, target: &Gaussian| judge.run(q, target, 11).unwrap().verdict.level;
    // weak correlation: standard deviations off by 2 %
    assert_eq!(level(&best(0.2), &correlated(0.2)), Level::Pass);
    // off by 20 %: the weights are fine and measure it
    assert_eq!(level(&best(0.6), &correlated(0.6)), Level::Warn);
    assert_eq!(level(&best(0.95), &correlated(0.95)), Level::Fail);
    let independent = correlated(0.0);
    // a mean off by 0.15 and 0.05 standard deviations, standard deviations off by 25 % and 10 % either way
    assert_ne!(level(&MeanField::new(&[1.15, -2.0], &[1.0, 1.0]).unwrap(), &independent), Level::Pass);
    assert_eq!(level(&MeanField::new(&[1.05, -2.0], &[1.0, 1.0]).unwrap(), &independent), Level::Pass);
    for wrong in [0.75, 1.25] {
        assert_ne!(level(&MeanField::new(&[1.0, -2.0], &[1.0, wrong]).unwrap(), &independent), Level::Pass, "{wrong}");
    }
    for right in [0.93, 1.07] {
        assert_eq!(level(&MeanField::new(&[1.0, -2.0], &[1.0, right]).unwrap(), &independent), Level::Pass, "{right}");
    }
}

#[test]
fn a_q_that_is_the_posterior_has_no_error_and_no_tail() {
    let found = Diagnose::default().run(&best(0.0), &correlated(0.0), 1).unwrap();
    assert_eq!(found.verdict.level, Level::Pass, "{}", found.verdict);
    assert!(found.pareto_k <= 0.5);
    // differences of log densities of order 10 round by 1e-15 each
    assert!((found.log_evidence.mean - 7.0).abs() < 1e-12 && (found.elbo.mean - 7.0).abs() < 1e-12);
    assert!((found.upper_bound.unwrap() - 7.0).abs() < 1e-12);
}

/// Has no density on half of the line, by error or by NaN.
struct Half(bool);

impl LogDensity for Half {
    fn dim(&self) -> usize {
        1
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        match (z[0] > 0.0, self.0) {
            (true, _) => Ok(-0.5 * z[0] * z[0]),
            (false, true) => Err(TargetError::Recoverable("the logarithm of a negative number".into())),
            (false, false) => Ok(f64::NAN),
        }
    }
}

impl LogDensityGrad for Half {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        gradient[0] = -z[0];
        self.log_density(z)
    }
}

#[test]
fn draws_without_a_density_are_counted_and_never_pass() {
    for how in [true, false] {
        let found = Diagnose::default().run(&MeanField::standard(1).unwrap(), &Half(how), 1).unwrap();
        assert!(found.refused > found.draws / 3);
        assert_ne!(found.verdict.level, Level::Pass);
    }
}

#[test]
fn what_can_not_be_judged_is_refused() {
    let target = correlated(0.0);
    let three = MeanField::standard(3).unwrap();
    assert!(Diagnose::default().run(&three, &target, 1).unwrap_err().to_string().contains("dimension"));
    let none = Diagnose { draws: 0, ..Default::default() };
    assert!(none.run(&best(0.0), &target, 1).unwrap_err().to_string().contains("draws"));
    let nowhere = MeanField::new(&[-100.0], &[0.1]).unwrap();
    assert!(WeightedDraws::new(&nowhere, &Half(false), 100, 1).unwrap_err().to_string().contains("none of 100 draws"));
}

#[cfg(feature = "nuts")]
#[test]
fn simulation_finds_the_moments_of_a_gaussian() {
    let simulation = lvm_vi::simulate::Nuts::default().run(&correlated(0.8), 5).unwrap();
    assert!(simulation.max_r_hat() < 1.02 && simulation.divergences == 0);
    let (mean, sd, error) = (simulation.mean(), simulation.standard_deviations(), simulation.mean_std_err());
    for (i, exact) in [1.0, -2.0].into_iter().enumerate() {
        assert!((mean[i] - exact).abs() < 5.0 * error[i], "{mean} ± {error}"); // fails with probability 1e-6
        assert!((sd[i] - 1.0).abs() < 0.1); // over five standard errors at 800 effective draws
    }
}

#[cfg(feature = "nuts")]
#[test]
fn simulation_refuses_what_it_can_not_compare() {
    use lvm_vi::simulate::Nuts;
    let one = Nuts { chains: 1, ..Default::default() };
    assert!(one.run(&correlated(0.0), 1).unwrap_err().to_string().contains("chains"));
}

#[test]
fn what_is_known_besides_enters_the_verdict() {
    let (q, target, judge) = (best(0.2), correlated(0.2), Diagnose::default());
    let level = |known: &Known<'_, MeanField>| judge.run_knowing(&q, &target, 1, known).unwrap();
    let right = level(&Known { log_evidence: Some(7.0), restarts: &[best(0.2)], ..Default::default() });
    assert_eq!((right.verdict.level, right.restart_difference), (Level::Pass, Some(0.0)), "{}", right.verdict);
    // IWAE lies between the ELBO and the evidence
    assert!(right.elbo.mean < right.iwae.mean && right.iwae.mean < 7.0 + 5.0 * right.iwae.std_err);
    // an evidence below the ELBO: a constant has been forgotten
    assert_eq!(level(&Known { log_evidence: Some(6.0), ..Default::default() }).verdict.level, Level::Fail);
    let elsewhere = [MeanField::new(&[4.0, -2.0], &[1.0, 1.0]).unwrap()];
    assert_eq!(level(&Known { restarts: &elsewhere, ..Default::default() }).verdict.level, Level::Warn);
}

#[test]
fn the_signal_to_noise_of_the_gradient_is_small_at_the_optimum_only() {
    let target = correlated(0.5);
    assert!(Diagnose::default().run(&best(0.5), &target, 1).unwrap().gradient_signal_to_noise < 5.0); // four ratios at 6e-7
    let off = MeanField::new(&[1.3, -2.0], &[0.8, 0.8]).unwrap();
    assert!(Diagnose::default().run(&off, &target, 1).unwrap().gradient_signal_to_noise > 10.0);
}

/// Two well separated modes of equal weight, each N(±8, 1), with log evidence 0.
struct TwoModes;

impl LogDensity for TwoModes {
    fn dim(&self) -> usize {
        1
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        self.log_density_grad(z, &mut [0.0])
    }
}

impl LogDensityGrad for TwoModes {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        let part = |m: f64| -0.5 * (z[0] - m).powi(2);
        let (near, far, m) = if z[0] >= 0.0 { (part(8.0), part(-8.0), 8.0) } else { (part(-8.0), part(8.0), -8.0) };
        let share = 1.0 / (1.0 + (far - near).exp());
        gradient[0] = share * (m - z[0]) + (1.0 - share) * (-m - z[0]);
        Ok(near + (far - near).exp().ln_1p() - 0.5 * std::f64::consts::TAU.ln() - 2f64.ln())
    }
}

#[test]
fn a_mode_that_q_misses_is_found_by_the_exact_evidence_and_by_restarts() {
    let (judge, one) = (Diagnose::default(), MeanField::new(&[8.0], &[1.0]).unwrap());
    // draws of q alone can not know: this is what a pass does not cover
    assert_eq!(judge.run(&one, &TwoModes, 1).unwrap().verdict.level, Level::Pass);
    let known = Known { log_evidence: Some(0.0), ..Default::default() };
    let found = judge.run_knowing(&one, &TwoModes, 1, &known).unwrap().verdict;
    assert!(found.level == Level::Fail && found.to_string().contains("50 % of the exact evidence"), "{found}");
    // restarts of one fit end in either mode: of 8 starts from N(0, 5²) all end in one with probability 2⁻⁷, and the seed is fixed
    let vi = Vi { restarts: 8, ..Vi::new(MeanField::new(&[3.0], &[5.0]).unwrap()) };
    let fitted = vi.fit(&TwoModes, 1).unwrap().model;
    assert_eq!(fitted.restarts.len(), 8);
    let found = judge.run_optimum(&fitted, &TwoModes, 1).unwrap();
    assert!(found.restart_difference.unwrap() > 10.0, "{:?}", found.restart_difference);
    assert!(found.verdict.level >= Level::Warn && found.verdict.to_string().contains("restarts disagree"), "{}", found.verdict);
    // a single run has none, and a target of one mode agrees
    assert!(Vi::new(one).fit(&TwoModes, 1).unwrap().model.restarts.is_empty());
    let fitted = Vi { restarts: 3, ..Vi::new(MeanField::standard(2).unwrap()) }.fit(&correlated(0.2), 1).unwrap().model;
    let found = judge.run_optimum(&fitted, &correlated(0.2), 1).unwrap();
    assert!(found.restart_difference.unwrap() < 0.1 && found.verdict.to_string().contains("restarts agree"), "{}", found.verdict);
}

#[test]
fn the_report_says_what_is_bounded_and_what_is_not() {
    let judge = Diagnose::default();
    let good = judge.run(&best(0.2), &correlated(0.2), 11).unwrap();
    let text = good.to_string();
    assert!(good.bounds.is_some() && text.contains("log evidence by bounds") && !text.contains("no bound"), "{text}");
    assert_eq!(text.lines().filter(|l| l.trim_start().starts_with(['0', '1'])).count(), 2, "{text}");
    // k̂ between 1/2 and its threshold: the weighted draws are good, q is not, and nothing is bounded
    let fair = [0.65, 0.7, 0.75, 0.8, 0.85]
        .into_iter()
        .map(|r| judge.run(&best(r), &correlated(r), 11).unwrap())
        .find(|f| (0.5..f.pareto_k_threshold).contains(&f.pareto_k))
        .unwrap();
    let text = fair.to_string();
    assert!(fair.bounds.is_none() && fair.pareto_k < fair.pareto_k_threshold, "{}", fair.pareto_k);
    for said in ["no bound on the error of any moment", "no bound from above", "are good although those of q are not", "no bound"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let bad = judge.run(&best(0.95), &correlated(0.95), 11).unwrap().to_string();
    assert!(bad.contains("unknown") && !bad.contains("are good although"), "{bad}");
    // a q that has not arrived: the ratio is told
    let off = judge.run(&MeanField::new(&[1.3, -2.0], &[0.98, 0.98]).unwrap(), &correlated(0.2), 1).unwrap().verdict;
    assert!(off.to_string().contains("still wants a step") && off.to_string().contains("signal-to-noise"), "{off}");
}

/// z ~ N(0, 1) and y_1 … y_5 ~ N(z, 1): p(z | y) = N(Σ y/6, 1/6).
struct FiveData(f64);

impl LogDensity for FiveData {
    fn dim(&self) -> usize {
        1
    }
    fn log_density(&self, z: &[f64]) -> Result<f64, TargetError> {
        Ok(self.0 * z[0] - 3.0 * z[0] * z[0])
    }
}

impl LogDensityGrad for FiveData {
    fn log_density_grad(&self, z: &[f64], gradient: &mut [f64]) -> Result<f64, TargetError> {
        gradient[0] = self.0 - 6.0 * z[0];
        self.log_density(z)
    }
}

#[test]
fn calibration_over_simulated_data_joins_the_verdict_of_a_fit() {
    let simulate = |rng: &mut lvm_core::random::Stream| {
        let mut normal = || -> f64 { StandardNormal.sample(rng) };
        let z = normal();
        (vec![z], (0..5).map(|_| z + normal()).sum())
    };
    // 300 short fits; `shift` is what a faulty program would add to every mean
    let calibrate = |shift: f64| {
        let stopping = Stopping { tolerance: 0.0, max_iterations: 100, ..Stopping::default() };
        let fit = |y: &f64, s: u64| {
            let q = Vi { stopping, elbo_draws: 2, ..Vi::new(MeanField::standard(1).unwrap()) }.fit(&FiveData(*y), s)?.model.q;
            MeanField::new(&[q.mean()[0] + shift * q.standard_deviations()[0]], &q.standard_deviations().to_vec())
        };
        vsbc(300, simulate, fit, 7).unwrap()
    };
    let target = FiveData(4.2);
    let fitted = Vi::new(MeanField::standard(1).unwrap()).fit(&target, 2).unwrap().model;
    let judged = |vsbc: &Vsbc| {
        let known = Known { vsbc: Some(vsbc), restarts: &fitted.restarts, ..Default::default() };
        Diagnose::default().run_knowing(&fitted.q, &target, 3, &known).unwrap().verdict
    };
    // a right method is called biased with probability 0.01; the seeds are fixed
    let right = judged(&calibrate(0.0));
    assert!(right.level == Level::Pass && right.to_string().contains("over 300 simulated data sets no mean is seen"), "{right}");
    // half a standard deviation moves the statistic by 0.19 · 300, three of its standard deviations of √300
    let wrong = judged(&calibrate(0.5));
    assert!(wrong.level == Level::Warn && wrong.to_string().contains("latent 0 is biased"), "{wrong}");
}
