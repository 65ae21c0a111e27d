//! Stochastic checks of a group: look, draw more, look again.

use super::{Group, Outcome, Problem, fnv};
use crate::check::{Check, Shown, Source, Stochastic, Verdict};
use crate::stochastic::{
    Claim, Estimate, LOOKS, MISS, Truth, VectorEstimate, detectable_bias, dkwm, judge_distribution, kolmogorov, t2_quantile,
};
use ndarray::{Array1, Array2};

/// Rows of a vector estimate that are held at once.
const PORTION: usize = 100_000;

impl Group<'_> {
    /// A seed for the random stream `index` of this group: its own for every run, check and case.
    pub fn seed(&self, index: u64) -> u64 {
        let name = self.id.bytes().chain([0]).chain(self.case.bytes()).chain([0]);
        fnv(name.chain(self.seed.to_le_bytes()).chain(index.to_le_bytes()))
    }

    /// α of one of the four looks of a stochastic comparison.
    pub fn alpha_of_look(&self) -> f64 {
        self.error_budget.alpha_of_look()
    }

    /// A claim on the mean of what `draw` gives: `draw(n)` returns n fresh values. Draws n, 4 n, 8 n, then 16 n in all, until a look
    /// decides; undecided at the last, the check fails as one that can't certify.
    ///
    /// # Errors
    /// What `draw` says.
    pub fn expectation(
        &mut self,
        quantity: impl Into<String>,
        (truth, source): (Truth, Source),
        claim: Claim,
        n: usize,
        reason: &str,
        mut draw: impl FnMut(usize) -> Result<Vec<f64>, Problem>,
    ) -> Outcome {
        let z = self.error_budget.z_of_look();
        let mut estimate = Estimate::default();
        let (mut verdict, mut looks) = (Verdict::Undecided, 0);
        for total in LOOKS.map(|l| l * n) {
            draw(total - estimate.draws)?.into_iter().for_each(|v| estimate.push(v));
            looks += 1;
            verdict = estimate.judge(truth, claim, z);
            if verdict != Verdict::Undecided {
                break;
            }
        }
        let mut check = self.blank(quantity.into(), source, Shown::Number(estimate.mean), Shown::Number(truth.value));
        let off = estimate.mean - truth.value;
        check.difference = match claim {
            Claim::Within(_) | Claim::Equal(_) => off.abs(),
            Claim::AtMost(_) => off.max(0.0),
            Claim::AtLeast(_) => (-off).max(0.0),
        };
        let standard_error = estimate.standard_error().hypot(truth.error);
        let (tolerance, test) = match claim {
            Claim::Within(margin) => (margin, "equivalence: the whole interval within the margin"),
            Claim::Equal(_) => (z * standard_error, "no significant difference, and power to see one of the margin"),
            Claim::AtMost(_) | Claim::AtLeast(_) => (z * standard_error, "one-sided, with power to see an excess of the margin"),
        };
        check.tolerance = tolerance;
        check.reason = format!("{reason}; {test} ({:.3e}), z = {z:.2} at each of four looks", claim.margin());
        let detectable_bias = detectable_bias(standard_error, z);
        self.stochastic(check, verdict, Stochastic { standard_error, detectable_bias, draws: estimate.draws, looks });
        Ok(())
    }

    /// Records a stochastic check after its last look.
    fn stochastic(&mut self, mut check: Check, verdict: Verdict, power: Stochastic) {
        check.verdict = if verdict == Verdict::Undecided { Verdict::Fail } else { verdict };
        check.note =
            (verdict == Verdict::Undecided).then(|| "cannot certify: too noisy for its margin after 16 times the draws".to_owned());
        check.stochastic = Some(power);
        self.push(check);
    }

    /// The [`expectation`](Group::expectation) is within `margin` of an exact truth.
    ///
    /// # Errors
    /// What `draw` says.
    pub fn mean(
        &mut self,
        quantity: impl Into<String>,
        truth: f64,
        margin: f64,
        n: usize,
        reason: &str,
        draw: impl FnMut(usize) -> Result<Vec<f64>, Problem>,
    ) -> Outcome {
        self.expectation(quantity, (truth.into(), Source::E), Claim::Within(margin), n, reason, draw)
    }

    /// The mean of random vectors is `truth`, by Hotelling's T², with power to see a bias of length `margin` in any direction.
    /// `draw(n)` returns n fresh rows (n, d). In directions without variance ours may differ by `rounding`.
    ///
    /// # Errors
    /// What `draw` says.
    #[allow(clippy::too_many_arguments)]
    pub fn unbiased(
        &mut self,
        quantity: impl Into<String>,
        (truth, source): (&Array1<f64>, Source),
        (margin, rounding): (f64, f64),
        n: usize,
        reason: &str,
        mut draw: impl FnMut(usize) -> Result<Array2<f64>, Problem>,
    ) -> Outcome {
        let alpha = self.alpha_of_look();
        let mut estimate = VectorEstimate::new(truth.len());
        let (mut found, mut looks) = (None, 0);
        for total in LOOKS.map(|l| l * n) {
            // in portions: millions of rows at once would not fit memory
            while estimate.draws < total {
                draw((total - estimate.draws).min(PORTION))?.rows().into_iter().for_each(|row| estimate.push(row));
            }
            looks += 1;
            let look = estimate.judge(truth.view(), margin, rounding, alpha)?;
            found = Some(look);
            if look.verdict != Verdict::Undecided {
                break;
            }
        }
        let Some(found) = found else { return Err(Problem("no look was taken".into())) };
        let mut check = self.blank(quantity.into(), source, Shown::Text(format!("p = {:.1e}", found.p)), Shown::Text("unbiased".into()));
        check.difference = found.t2;
        check.tolerance = t2_quantile(alpha, truth.len(), estimate.draws);
        check.reason = format!("{reason}; Hotelling's T², α = {alpha:.2e} at each of four looks, power to see a bias of {margin:.2e}");
        check.compared = truth.len();
        let power =
            Stochastic { standard_error: found.standard_error, detectable_bias: found.detectable_bias, draws: estimate.draws, looks };
        self.stochastic(check, found.verdict, power);
        Ok(())
    }

    /// Every entry of the mean of random vectors is within `margin` of `truth`, an equivalence test for each at α over their number
    /// (Bonferroni), which is one comparison. `draw(n)` returns n fresh rows (n, d). The entry nearest to its margin is shown.
    ///
    /// # Errors
    /// What `draw` says; if there is nothing to compare.
    pub fn within_each(
        &mut self,
        quantity: impl Into<String>,
        (truth, error, source): (&Array1<f64>, f64, Source),
        margin: f64,
        n: usize,
        reason: &str,
        mut draw: impl FnMut(usize) -> Result<Array2<f64>, Problem>,
    ) -> Outcome {
        let d = truth.len();
        let z = crate::stochastic::two_sided(self.alpha_of_look() / d.max(1) as f64);
        let mut estimates = vec![Estimate::default(); d];
        let (mut verdict, mut looks, mut worst, mut drawn) = (Verdict::Undecided, 0, 0, 0);
        for total in LOOKS.map(|l| l * n) {
            for row in draw(total - drawn)?.rows() {
                estimates.iter_mut().zip(row).for_each(|(e, v)| e.push(*v));
            }
            drawn = total;
            looks += 1;
            let of = |i: usize| Truth { value: truth[i], error };
            let all: Vec<Verdict> = (0..d).map(|i| estimates[i].judge(of(i), Claim::Within(margin), z)).collect();
            let reach = |i: &usize| (estimates[*i].mean - truth[*i]).abs() + z * estimates[*i].standard_error();
            worst = (0..d).max_by(|a, b| reach(a).total_cmp(&reach(b))).ok_or_else(|| Problem("nothing to compare".into()))?;
            verdict = match () {
                () if all.contains(&Verdict::Fail) => Verdict::Fail,
                () if all.contains(&Verdict::Undecided) => Verdict::Undecided,
                () => Verdict::Pass,
            };
            if verdict != Verdict::Undecided {
                break;
            }
        }
        let estimate = estimates[worst];
        let mut check = self.blank(quantity.into(), source, Shown::Number(estimate.mean), Shown::Number(truth[worst]));
        check.quantity.push_str(&format!("[{worst}]"));
        check.difference = (estimate.mean - truth[worst]).abs();
        check.tolerance = margin;
        check.reason = format!(
            "{reason}; equivalence of each of {d}: the whole interval within the margin ({margin:.3e}), z = {z:.2} at each of four looks"
        );
        check.compared = d;
        let standard_error = estimate.standard_error().hypot(error);
        let power = Stochastic { standard_error, detectable_bias: detectable_bias(standard_error, z), draws: drawn, looks };
        self.stochastic(check, verdict, power);
        Ok(())
    }

    /// Draws follow a continuous distribution, by the band of Dvoretzky, Kiefer, Wolfowitz and Massart, with power to see a distance of
    /// `margin`. `draw(n)` returns F at n fresh draws.
    ///
    /// # Errors
    /// What `draw` says.
    pub fn distributed(
        &mut self,
        quantity: impl Into<String>,
        source: Source,
        margin: f64,
        n: usize,
        reason: &str,
        mut draw: impl FnMut(usize) -> Result<Vec<f64>, Problem>,
    ) -> Outcome {
        let alpha = self.alpha_of_look();
        let mut all = Vec::new();
        let (mut verdict, mut looks, mut distance) = (Verdict::Undecided, 0, f64::NAN);
        for total in LOOKS.map(|l| l * n) {
            all.extend(draw(total - all.len())?);
            looks += 1;
            distance = kolmogorov(all.clone());
            verdict = judge_distribution(distance, all.len(), margin, alpha);
            if verdict != Verdict::Undecided {
                break;
            }
        }
        let mut check = self.blank(quantity.into(), source, Shown::Number(distance), Shown::Number(0.0));
        let band = dkwm(all.len(), alpha);
        (check.difference, check.tolerance) = (distance, band);
        check.reason = format!("{reason}; sup |F_n − F| by DKWM, α = {alpha:.2e} at each of four looks, power to see {margin:.2e}");
        // a distribution function at one point has at most this standard error
        let standard_error = 0.5 / (all.len() as f64).sqrt();
        let power = Stochastic { standard_error, detectable_bias: band + dkwm(all.len(), MISS), draws: all.len(), looks };
        self.stochastic(check, verdict, power);
        Ok(())
    }
}
