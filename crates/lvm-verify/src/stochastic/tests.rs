use super::*;
use lvm_core::random::{Purpose, stream};
use ndarray::array;
use rand::RngExt;

/// A mean and its standard error, as an estimate.
fn estimate(mean: f64, standard_error: f64) -> Estimate {
    let n = 1001.0;
    Estimate { draws: 1001, mean, squares: standard_error * standard_error * n * (n - 1.0) }
}

#[test]
fn the_budget_is_that_of_the_rules() {
    let b = ErrorBudget::default();
    assert!((b.alpha() - 5e-7).abs() < 1e-20);
    assert!((b.z() - 5.03).abs() < 5e-3 && (b.z_of_look() - 5.29).abs() < 5e-3);
    // 9.8 standard errors (R4)
    assert!((detectable_bias(1.0, b.z()) - 9.8).abs() < 0.03);
    // 76 000 draws see a distance of 0.01 (R4)
    assert!((dkwm(76_000, b.alpha()) - 0.01).abs() < 1e-5);
}

#[test]
fn every_claim_can_pass_fail_and_be_undecided() {
    let z = ErrorBudget::default().z_of_look();
    let at = |mean, se, claim| estimate(mean, se).judge(1.0.into(), claim, z);
    use Verdict::{Fail, Pass, Undecided};
    assert_eq!(at(1.001, 1e-4, Claim::Within(0.01)), Pass);
    assert_eq!(at(1.02, 1e-4, Claim::Within(0.01)), Fail);
    assert_eq!(at(1.0, 0.1, Claim::Within(0.01)), Undecided);
    // a bias below the margin is no equivalence failure, but it is none of an unbiased estimator
    assert_eq!(at(1.001, 1e-4, Claim::Equal(0.01)), Fail);
    assert_eq!(at(1.0001, 1e-4, Claim::Equal(0.01)), Pass);
    assert_eq!(at(1.0001, 0.01, Claim::Equal(0.01)), Undecided);
    assert_eq!(at(0.5, 1e-4, Claim::AtMost(0.01)), Pass);
    assert_eq!(at(1.5, 1e-4, Claim::AtMost(0.01)), Fail);
    assert_eq!(at(0.5, 1.0, Claim::AtMost(0.01)), Undecided);
    assert_eq!(at(1.5, 1e-4, Claim::AtLeast(0.01)), Pass);
    assert_eq!(at(0.5, 1e-4, Claim::AtLeast(0.01)), Fail);
    assert_eq!(at(f64::NAN, 1e-4, Claim::AtLeast(0.01)), Fail);
    assert_eq!(at(1.0, f64::NAN, Claim::Within(0.01)), Fail);
    // a truth known to 0.1 can't certify 0.01
    assert_eq!(estimate(1.0, 1e-6).judge(Truth { value: 1.0, error: 0.1 }, Claim::Within(0.01), z), Undecided);
    // one draw has no standard error
    assert_eq!([1.0].into_iter().collect::<Estimate>().judge(1.0.into(), Claim::Within(0.01), z), Undecided);
}

#[test]
fn hotelling_agrees_with_f_and_finds_a_bias_of_one_coordinate() {
    // d = 1, n = 3: T² is the square of Student's t with 2 degrees of freedom, P(|t| > √2) = 1 − 1/√2
    assert!((t2_tail(2.0, 1, 3) - (1.0 - 0.5_f64.sqrt())).abs() < 1e-12);
    assert!((t2_tail(t2_quantile(1e-7, 5, 1000), 5, 1000) / 1e-7 - 1.0).abs() < 1e-9);
    let alpha = ErrorBudget::default().alpha_of_look();
    let run = |bias: f64, n: usize| {
        let mut rng = stream(5, Purpose::Sample, 0);
        let mut mean = VectorEstimate::new(3);
        for _ in 0..n {
            // variances 1/12; the third coordinate is the sum of the others: a singular covariance
            let (a, b) = (rng.random::<f64>() - 0.5, rng.random::<f64>() - 0.5);
            mean.push(array![a + bias, b, a + b].view());
        }
        mean.judge(array![0.0, 0.0, 0.0].view(), 0.05, 1e-12, alpha).unwrap()
    };
    // a false alarm of a right estimator: probability 1.25e-7
    assert_eq!(run(0.0, 20_000).verdict, Verdict::Pass);
    assert_eq!(run(0.0, 200).verdict, Verdict::Undecided);
    let biased = run(0.05, 20_000);
    assert!(biased.verdict == Verdict::Fail && biased.p < 1e-9, "{biased:?}");
    // without any variance only rounding is allowed
    let mut still = VectorEstimate::new(2);
    (0..10).for_each(|_| still.push(array![1.0, 2.0].view()));
    assert_eq!(still.judge(array![1.0, 2.0].view(), 0.1, 1e-10, alpha).unwrap().verdict, Verdict::Pass);
    assert_eq!(still.judge(array![1.0, 2.1].view(), 0.1, 1e-10, alpha).unwrap().verdict, Verdict::Fail);
    assert_eq!(still.judge(array![1.0, f64::NAN].view(), 0.1, 1e-10, alpha).unwrap().verdict, Verdict::Fail);
}

#[test]
fn the_band_of_a_distribution_function_can_pass_fail_and_be_undecided() {
    assert_eq!(kolmogorov(vec![0.5]), 0.5);
    assert_eq!(kolmogorov(vec![0.75, 0.25]), 0.25);
    assert!(kolmogorov(vec![0.2, f64::NAN]).is_nan());
    let alpha = ErrorBudget::default().alpha_of_look();
    let distance = |power: f64, n: usize| {
        let mut rng = stream(6, Purpose::Sample, 0);
        kolmogorov((0..n).map(|_| rng.random::<f64>().powf(power)).collect())
    };
    // false alarm 1.25e-7 by Massart's inequality
    assert_eq!(judge_distribution(distance(1.0, 400_000), 400_000, 0.02, alpha), Verdict::Pass);
    assert_eq!(judge_distribution(distance(1.2, 400_000), 400_000, 0.02, alpha), Verdict::Fail);
    assert_eq!(judge_distribution(distance(1.0, 400), 400, 0.02, alpha), Verdict::Undecided);
    assert_eq!(judge_distribution(f64::NAN, 400_000, 0.02, alpha), Verdict::Fail);
}
