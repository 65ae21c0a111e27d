//! Variational autoencoders: log p(x) is not known where there are more than two latents, so what is judged is how far its bounds are apart,
//! and why.
//!
//! ```text
//! log p(x) − ELBO = [log p(x) − ELBO(q*)] + [ELBO(q*) − ELBO(q)]      the price of the family, and of one encoder for all rows
//! ```

use super::finding::{Limits, size};
use super::{Checks, VerifyReport, finish};
use crate::args::VerifyArgs;
use crate::commands::neural::{Neural, annealed_sandwich};
use crate::failure::Outcome;
use crate::output;
use crate::stored::Family;
use lvm_core::Result;
use lvm_core::random::Purpose;
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::evidence::{Annealed, Ascent, EvaluationMemory, Expectation, Optimum, Quadrature, elbo, iwae, summation};
use lvm_deep::noise::Noise;
use lvm_deep::objective::KlTerm;
use lvm_deep::tasks::{Activity, gaps};
use lvm_deep::tensor::to_values;
use lvm_vi::diagnose::{Level, psis, psis_threshold};
use ndarray::Array1;

/// Rows that are looked at, at most.
const ROWS: i64 = 200;
/// Draws of bounds and weights for each of them.
const DRAWS: usize = 1000;
/// Rows to which q is fitted, at most, where that takes draws.
const FITTED: i64 = 50;
/// Standard errors within which a bound may lie on the wrong side: 200 rows pass by chance with probability 1 − 1e-7.
const ERRORS: f64 = 6.0;

/// The rows judged, with what all checks need.
struct Judged<'a> {
    neural: &'a Neural,
    rows: Batch,
    seed: u64,
    elbo: Array1<f64>,
    elbo_errors: Array1<f64>,
    iwae: Array1<f64>,
    /// log p(x) of each row, where it can be computed.
    exact: Option<Array1<f64>>,
}

/// Judges a neural model.
pub(crate) fn run(args: &VerifyArgs) -> Outcome {
    output::check_page_target(args.html.as_deref())?;
    let neural = Neural::load(&args.model, &args.neural)?;
    let input = neural.input(&args.data)?;
    let data = neural.dataset(&input, &args.data.format)?;
    let explain = |error| input.explain(Family::Vae, error);
    let mut checks = Checks::default();
    let judged = Judged::new(&neural, &data, args.seed, &mut checks).map_err(explain)?;
    judged.check(&data, &mut checks).map_err(explain)?;
    let fit = neural.header.fit.as_ref();
    let recorded = fit.and_then(|fit| fit.trace.last().copied());
    let exact = judged.exact.as_ref();
    finish(
        args,
        &VerifyReport {
            model: "vae",
            table: input.report(),
            verdict: checks.findings.iter().map(|f| f.verdict).max().unwrap_or(Level::Pass),
            fitted_to_these_rows: false,
            objective: if exact.is_some() { "log p(x)" } else { "IWAE of 1000 draws, at most log p(x)" },
            mean_log_likelihood: exact.unwrap_or(&judged.iwae).mean().unwrap_or(f64::NAN),
            recorded_mean_log_likelihood: recorded,
            checks: checks.findings,
            notes: checks.notes,
            mean_field_kl: None,
            trace: fit.map_or_else(Vec::new, |fit| fit.trace.clone()),
            output: args.html.as_ref().map(|path| path.display().to_string()),
        },
    )
}

impl<'a> Judged<'a> {
    fn new(neural: &'a Neural, data: &Dataset, seed: u64, checks: &mut Checks) -> Result<Self> {
        let n = data.rows.n_rows();
        let count = n.min(ROWS);
        let picked: Vec<i64> = (0..count).map(|i| i * n / count).collect();
        let rows = data.rows.select(&lvm_deep::Tensor::from_slice(&picked).to_device(data.rows.x.device()));
        let rows = Batch { weights: None, ..rows };
        if count < n {
            checks.notes.push(format!("{count} of {n} rows, evenly spread, were looked at"));
        }
        let vae = &neural.vae;
        let memory = EvaluationMemory::default();
        let lower = elbo(vae, &rows, KlTerm::Analytic, DRAWS, memory, seed)?;
        let values = |bound: &lvm_core::bound::Bound| bound.rows.iter().map(|e| e.mean).collect::<Array1<f64>>();
        let exact = match (neural.is_discrete(), vae.latents()) {
            (true, _) => Some(summation(vae, &rows)?),
            (false, 1 | 2) => {
                let found = Quadrature::default().evaluate(vae, &rows)?;
                let coarse = found.coarse_difference.iter().copied().fold(0.0, f64::max);
                let reason = "what every second point of the grid would change; the error is far below it where the decoder is smooth";
                let limits = Limits { pass: 1e-3, warn: f64::INFINITY, worst: Level::Warn };
                let quantity = "error of the quadrature, of the worst row".to_owned();
                let remedy = "some posteriors are narrower than the grid of 0.05: take what follows from log p(x) with care";
                checks.add(Some(size("quadrature", quantity, coarse, count as usize, &limits, reason, remedy)));
                Some(found.log_evidence)
            }
            _ => None,
        };
        Ok(Judged {
            neural,
            seed,
            elbo: values(&lower),
            elbo_errors: lower.rows.iter().map(|e| e.std_err).collect(),
            iwae: values(&iwae(vae, &rows, DRAWS, 1, memory, seed)?),
            exact,
            rows,
        })
    }

    fn check(&self, data: &Dataset, checks: &mut Checks) -> Result<()> {
        self.numbers(checks);
        self.order(checks);
        if !self.neural.is_discrete() {
            self.tails(checks)?;
        }
        match &self.exact {
            Some(exact) => self.against(exact, checks),
            None => self.annealed(data, checks)?,
        }
        self.gaps(checks)?;
        self.activity(checks)
    }

    fn numbers(&self, checks: &mut Checks) {
        let unusable = self.elbo.iter().chain(&self.iwae).filter(|v| !v.is_finite()).count();
        let limits = Limits { pass: 0.0, warn: 0.0, worst: Level::Fail };
        let quantity = "bounds that are no number".to_owned();
        let remedy = "rows far from all that the model was fitted to, or a training that went astray: lvm score -o FILE names them";
        checks.add(Some(size(
            "numbers",
            quantity,
            unusable as f64,
            self.elbo.len(),
            &limits,
            "log p(x) of every row must be a number",
            remedy,
        )));
    }

    /// By how many standard errors the ELBO exceeds what is above it, in the worst row.
    fn order(&self, checks: &mut Checks) {
        let above = self.exact.as_ref().unwrap_or(&self.iwae);
        // 1e-4: numbers of 32 bits
        let excess = |n: usize| (self.elbo[n] - above[n]) / (self.elbo_errors[n] + 1e-4 * (1.0 + above[n].abs()));
        let worst = (0..self.elbo.len()).map(excess).fold(0.0, f64::max);
        let limits = Limits { pass: ERRORS, warn: ERRORS, worst: Level::Fail };
        let above = if self.exact.is_some() { "log p(x)" } else { "IWAE" };
        let reason = format!(
            "the ELBO is at most {above}; 6 standard errors of its {DRAWS} draws in the worst row, which chance exceeds once in 10⁷ runs"
        );
        let quantity = format!("ELBO above {above}, in standard errors");
        checks.add(Some(size("order", quantity, worst, self.elbo.len(), &limits, &reason, super::finding::PROGRAM)));
    }

    /// The share of rows whose weights p/q have too heavy a tail.
    fn tails(&self, checks: &mut Checks) -> Result<()> {
        let mut noise = Noise::new(self.seed, Purpose::Diagnosis, 7, self.rows.x.kind(), self.rows.x.device());
        let mut heavy = 0;
        let n = self.rows.n_rows();
        for row in 0..n {
            let one = self.rows.narrow(row, 1);
            let weights = lvm_deep::error::guard("weighing draws", || {
                Ok(tch::no_grad(|| to_values(&self.neural.vae.terms(&one, DRAWS as i64, &mut noise).log_weights())))
            })?;
            // weights that can't be smoothed are the heaviest
            heavy += usize::from(psis(&weights).map_or(true, |p| p.pareto_k > psis_threshold(DRAWS)));
        }
        let limits = Limits { pass: 0.05, warn: 0.5, worst: Level::Fail };
        let reason = "k-hat of the weights p(x, z)/q(z | x) of 1000 draws above 0.67: q is too narrow there, and IWAE and imputation can't be relied on \
                      (Vehtari et al. 2024); a twentieth of the rows is within what an encoder misses";
        let remedy = "a richer q (--posterior full-covariance, or a flow), longer training, or --objective iwae; impute with --fitted";
        checks.add(Some(size(
            "k_hat",
            "share of rows with heavy tails of p/q".to_owned(),
            heavy as f64 / n as f64,
            n as usize,
            &limits,
            reason,
            remedy,
        )));
        Ok(())
    }

    /// IWAE against log p(x) itself.
    fn against(&self, exact: &Array1<f64>, checks: &mut Checks) {
        let short = (exact - &self.iwae).mean().unwrap_or(f64::NAN);
        let limits = Limits { pass: 0.05, warn: f64::INFINITY, worst: Level::Warn };
        let reason = "what IWAE of 1000 draws is short of log p(x), mean over rows; 0.05 nats is below most differences between models";
        let remedy = "score with --estimator quadrature (sum for a categorical latent), not by IWAE";
        checks.add(Some(size("iwae", "log p(x) − IWAE, nats per row".to_owned(), short, exact.len(), &limits, reason, remedy)));
    }

    /// Where nothing is exact: bounds from both sides on rows drawn from the model.
    fn annealed(&self, data: &Dataset, checks: &mut Checks) -> Result<()> {
        let annealed = Annealed { chains: 4, temperatures: 100, pilots: 2, ..Annealed::default() };
        let both = annealed_sandwich(self.neural, data, &annealed, self.seed)?;
        let limits = Limits { pass: 1.0, warn: 10.0, worst: Level::Warn };
        let reason = "log p(x) of rows drawn from the model lies between the two on average; a nat a row is what their 100 temperatures leave open in models \
                      that anneal well";
        let remedy =
            "AIS is not to be relied on for this model without more --temperatures: lvm score --estimator ais --sandwich tells how many";
        let quantity = "width of the annealed bounds, nats per row".to_owned();
        checks.add(Some(size("sandwich", quantity, both.width, both.rows, &limits, reason, remedy)));
        Ok(())
    }

    /// The two parts of the gap, by quadrature, sums, or draws.
    fn gaps(&self, checks: &mut Checks) -> Result<()> {
        let vae = &self.neural.vae;
        let count = self.rows.n_rows().min(FITTED);
        let rows = self.rows.narrow(0, count);
        let gradient_tolerance = if vae.parameters.kind() == lvm_deep::Kind::Double { 1e-5 } else { 1e-3 };
        let ascent = Ascent { gradient_tolerance, max_iterations: 100, ..Ascent::default() };
        let gaussian = tch::no_grad(|| vae.posterior(&rows).gaussian().is_some());
        let (approximation, amortization) = match self.exact.is_some() && (self.neural.is_discrete() || gaussian) {
            true => {
                let found = gaps::exact_gaps(vae, &rows, &Quadrature::default(), &ascent)?.gaps;
                (Some(found.approximation), found.amortization)
            }
            false => {
                let found = Optimum::new(vae, &rows, Expectation::Draws(64), &ascent, self.seed)?;
                (None, &found.elbo - &found.elbo_of_encoder)
            }
        };
        let mean = |gap: &Array1<f64>| gap.mean().unwrap_or(f64::NAN);
        let limits = || Limits { pass: 1.0, warn: f64::INFINITY, worst: Level::Warn };
        let count = count as usize;
        if let Some(gap) = &approximation {
            let reason = "what the best q of the family leaves of log p(x); models compared by ELBO differ by as much for no other reason";
            let remedy = "a richer family: --posterior full-covariance, planar or inverse-autoregressive";
            checks.add(Some(size(
                "approximation",
                "approximation gap, nats per row".to_owned(),
                mean(gap),
                count,
                &limits(),
                reason,
                remedy,
            )));
        }
        let reason = "what each row's own q would gain over that of the encoder (Cremer et al. 2018)";
        let remedy = "a larger encoder or longer training; of rows unlike those of the fit it is large by right (lvm ood)";
        let quantity = "amortization gap, nats per row".to_owned();
        checks.add(Some(size("amortization", quantity, mean(&amortization).max(0.0), count, &limits(), reason, remedy)));
        Ok(())
    }

    fn activity(&self, checks: &mut Checks) -> Result<()> {
        let vae = &self.neural.vae;
        let active = Activity::new(vae, &self.rows)?.active().len();
        let idle = vae.latents() as usize - active;
        let limits = Limits { pass: vae.latents() as f64 / 2.0, warn: f64::INFINITY, worst: Level::Warn };
        let reason =
            "latents whose posterior mean varies by less than 0.01 over the rows (Burda et al. 2016); up to half of them is common";
        let remedy = "if more were expected: --warm-up, --free-nats, or a weaker decoder; if not, fewer latents give the same model";
        checks.add(Some(size(
            "activity",
            "latents that are not used".to_owned(),
            idle as f64,
            vae.latents() as usize,
            &limits,
            reason,
            remedy,
        )));
        Ok(())
    }
}
