use super::*;
use crate::subject::Library;
use ndarray::{Array1, Array2, array};

fn verdicts(body: impl FnOnce(&mut Group<'_>) -> Outcome) -> Vec<Verdict> {
    let mut suite = Suite::new(&Library, Selection::default());
    suite.group(Layer::C, "T", "test", body);
    suite.checks.iter().map(|c| c.verdict).collect()
}

#[test]
fn nan_wrong_shape_panic_error_and_silence_all_fail() {
    let t = Tolerance::relative(1.0, "test");
    assert_eq!(
        verdicts(|g| {
            g.scalar("nan", Source::E, f64::NAN, 1.0, &t);
            Ok(())
        }),
        [Verdict::Fail]
    );
    assert_eq!(
        verdicts(|g| {
            g.array("shape", Source::E, &array![1.0], &array![1.0, 2.0], &t);
            Ok(())
        }),
        [Verdict::Fail]
    );
    assert_eq!(verdicts(|_| panic!("on purpose")), [Verdict::Fail]);
    assert_eq!(verdicts(|_| Err(Problem("on purpose".into()))), [Verdict::Fail]);
    assert_eq!(verdicts(|_| Ok(())), [Verdict::Fail]);
}

#[test]
fn equal_infinities_agree_and_the_worst_entry_is_shown() {
    let t = Tolerance::absolute(0.1, "test");
    let mut suite = Suite::new(&Library, Selection::default());
    suite.group(Layer::C, "T", "test", |g| {
        g.scalar("inf", Source::E, f64::INFINITY, f64::INFINITY, &t);
        g.array("worst", Source::E, &array![[1.0, 2.0], [3.05, 4.0]], &array![[1.0, 2.0], [3.0, 4.01]], &t);
        Ok(())
    });
    assert!(suite.checks.iter().all(|c| c.verdict == Verdict::Pass));
    assert_eq!(suite.checks[1].quantity, "worst[1,0]");
}

#[test]
fn an_equivalence_test_needs_power_to_pass() {
    // Mean 0 exactly, variance 1: the standard error with n = 100 is 0.1, far above the margin 0.01, even at 16 n.
    let noisy = |n: usize| Ok((0..n).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect());
    let mut suite = Suite::new(&Library, Selection { seed: 7, budget: Budget::Nightly, ..Default::default() });
    suite.group(Layer::C, "T", "test", |g| {
        g.mean("weak", 0.0, 0.01, 100, "test", noisy)?;
        g.mean("strong", 0.0, 0.6, 100, "test", noisy)?;
        g.mean("biased", 2.0, 0.6, 100, "test", noisy)
    });
    let verdicts: Vec<Verdict> = suite.checks.iter().map(|c| c.verdict).collect();
    assert_eq!(verdicts, [Verdict::Fail, Verdict::Pass, Verdict::Fail]);
    assert!(suite.checks[0].note.as_ref().unwrap().starts_with("cannot certify"));
    let looks: Vec<(usize, usize)> = suite.checks.iter().filter_map(|c| c.stochastic).map(|s| (s.draws, s.looks)).collect();
    assert_eq!(looks, [(1600, 4), (100, 1), (100, 1)]);
    assert!(suite.checks[0].reproduce.ends_with("--case 'test' --budget nightly --seed 7"));
}

#[test]
fn a_biased_vector_and_a_wrong_distribution_fail() {
    let rows = |shift: f64| move |n: usize| Ok(Array2::from_shape_fn((n, 2), |(i, j)| ((i >> j) % 2) as f64 - 0.5 + shift));
    // uniform to one part in n
    let even = |power: i32| move |n: usize| Ok((0..n).map(|i| ((i as f64 + 0.5) / n as f64).powi(power)).collect());
    let zero = Array1::zeros(2);
    assert_eq!(
        verdicts(|g| {
            g.unbiased("right", (&zero, Source::E), (0.1, 1e-12), 20_000, "test", rows(0.0))?;
            g.unbiased("biased", (&zero, Source::E), (0.1, 1e-12), 20_000, "test", rows(0.1))?;
            g.distributed("right", Source::E, 0.05, 20_000, "test", even(1))?;
            g.distributed("wrong", Source::E, 0.05, 20_000, "test", even(2))
        }),
        [Verdict::Pass, Verdict::Fail, Verdict::Pass, Verdict::Fail]
    );
}

#[test]
fn the_family_wise_error_is_counted_and_its_excess_fails() {
    let mut suite = Suite::new(&Library, Selection::default());
    suite.error_budget.comparisons = 2;
    let body = |g: &mut Group<'_>| g.mean("zero", 0.0, 0.1, 10, "test", |n| Ok(vec![0.0; n]));
    for _ in 0..3 {
        suite.group(Layer::C, "T", "test", body);
    }
    suite.check_error_budget();
    let verdicts: Vec<Verdict> = suite.checks.iter().map(|c| c.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Pass, Verdict::Pass, Verdict::Fail]);
    assert_eq!((suite.comparisons, suite.checks[3].quantity.as_str()), (3, "error budget"));
}

#[test]
fn seeds_differ_by_run_check_case_and_index() {
    let mut seeds = Vec::new();
    for (seed, id, case, index) in [(0, "S1", "a", 0), (1, "S1", "a", 0), (0, "S2", "a", 0), (0, "S1", "b", 0), (0, "S1", "a", 1)] {
        let mut suite = Suite::new(&Library, Selection { seed, ..Default::default() });
        suite.group(Layer::S, id, case, |g| {
            seeds.push(g.seed(index));
            Ok(())
        });
    }
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 5);
}
