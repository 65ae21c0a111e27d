//! How much the latents tell of the row that they come from.

use crate::data::Batch;
use crate::error::{Error, Result, guard};
use crate::evidence::importance_weighted::Moments;
use crate::noise::Noise;
use crate::posterior::{Draws, Posterior};
use crate::tensor::to_values;
use crate::vae::Vae;
use lvm_core::bound::Estimate;
use lvm_core::random::Purpose;
use tch::{Kind, Tensor};

/// The mean KL of a bound in its two parts, by which the aggregated posterior is told from the prior:
///
/// ```text
/// E_n KL(q(z | x_n) ‖ p(z)) = I_q(x; z) + KL(q(z) ‖ p(z)),   q(z) = Σ_n w_n q(z | x_n)/Σ_n w_n
/// I_q(x; z) = E_n E_{q(z | x_n)}[log q(z | x_n) − log q(z)]
/// ```
///
/// I_q is at most the logarithm of the number of rows, which no more can be told apart; near 0 the latents are ignored (collapse), whatever is
/// active. A large second part says that draws from p(z) lie where no row's q lies.
///
/// The sum over rows in log q(z) is over all of them, so there is no error but that of the draws. Of N rows it evaluates N² densities of q a
/// draw: some thousand rows are enough. Discrete latents are summed over, without draws. Hoffman & Johnson 2016, *ELBO surgery*.
///
/// ```
/// use lvm_deep::{Kind, architecture::Architecture, data::Dataset, tasks::Information, vae::Vae};
/// let x = lvm_data::datasets::iris()?.x;
/// let data = Dataset::new(&x, Kind::Float, tch::Device::Cpu)?;
/// let vae = Vae::new(Architecture::mlp(4, 2, &[16]), &data, 7)?;
/// let found = Information::new(&vae, &data.rows, 4, 1)?;
/// assert!(found.mutual.mean < 150_f64.ln() && (found.mutual.mean + found.prior_gap.mean - found.kl.mean).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Information {
    /// I_q(x; z), nats.
    pub mutual: Estimate,
    /// E_n KL(q(z | x_n) ‖ p(z)), nats: in closed form where there is one, else by the same draws.
    pub kl: Estimate,
    /// KL(q(z) ‖ p(z)), nats: the one less the other.
    pub prior_gap: Estimate,
}

/// Numbers of a tensor (draws, rows, latents) held at once.
const PIECE: i64 = 1 << 20;

impl Information {
    /// Of the posteriors of these rows, with `draws` draws a row; the errors are those of the draws, the rows being what they are.
    ///
    /// # Errors
    /// If the rows do not fit the model, `draws` is 0, or q has a density at its own draws only.
    pub fn new(vae: &Vae, batch: &Batch, draws: usize, seed: u64) -> Result<Self> {
        if draws == 0 {
            return Err(Error::config("draws", "is 0; at least 1 is needed"));
        }
        vae.check(batch)?;
        guard("measuring mutual information", || {
            let _no_grad = tch::no_grad_guard();
            let q = vae.posterior(batch);
            let shares = Shares::of(batch);
            if let Some(log_q) = q.log_probabilities() {
                return summed(vae, q.as_ref(), &log_q, &shares);
            }
            let mut noise = Noise::new(seed, Purpose::Diagnosis, 0, vae.parameters.kind(), vae.parameters.device());
            let Draws { z, log_q } = q.draw(draws as i64, &mut noise);
            let log_q = log_q.to_kind(Kind::Double);
            let aggregated = aggregated(q.as_ref(), &z, &shares)?;
            let log_p = vae.parts.prior.log_prob(&z).to_kind(Kind::Double);
            let mutual = shares.mean(&(&log_q - &aggregated));
            let (kl, prior_gap) = match vae.parts.prior.kl(q.as_ref()) {
                Some(kl) => {
                    let kl = shares.exact_mean(&kl);
                    (kl, Estimate { mean: kl.mean - mutual.mean, ..mutual })
                }
                None => (shares.mean(&(&log_q - &log_p)), shares.mean(&(aggregated - log_p))),
            };
            Ok(Information { mutual, kl, prior_gap })
        })
    }
}

/// w_n/Σ w, the same for draws of the same row.
struct Shares(Vec<f64>);

impl Shares {
    fn of(batch: &Batch) -> Self {
        let weights = batch.weights.as_ref().map_or_else(|| vec![1.0; batch.n_rows() as usize], to_values);
        let total: f64 = weights.iter().sum();
        Shares(weights.iter().map(|w| w / total).collect())
    }

    /// Σ_n w_n v_n of exact values (N).
    fn exact_mean(&self, values: &Tensor) -> Estimate {
        Estimate::exact(to_values(values).iter().zip(&self.0).map(|(v, w)| w * v).sum())
    }

    /// Σ_n w_n mean_s v_sn of draws (S, N); the rows are strata.
    fn mean(&self, values: &Tensor) -> Estimate {
        let (values, n) = (to_values(values), self.0.len());
        let mut rows = vec![Moments::default(); n];
        values.iter().enumerate().for_each(|(i, v)| rows[i % n].add(*v));
        let rows: Vec<Estimate> = rows.iter().map(Moments::estimate).collect();
        let mean = rows.iter().zip(&self.0).map(|(row, w)| w * row.mean).sum();
        // a row of weight 0 has no part in it, even where its own error is infinite
        let counted = rows.iter().zip(&self.0).filter(|(_, w)| **w > 0.0);
        let variance: f64 = counted.map(|(row, w)| (w * row.std_err).powi(2)).sum();
        Estimate { mean, std_err: variance.sqrt(), draws: values.len() / n }
    }

    /// log w_n (N).
    fn logarithms(&self, like: &Tensor) -> Tensor {
        let logs: Vec<f64> = self.0.iter().map(|w| w.ln()).collect();
        Tensor::from_slice(&logs).to_device(like.device())
    }
}

/// log q(z) = log Σ_n w_n q(z | x_n), (S, N), of z (S, N, L).
fn aggregated(q: &dyn Posterior, z: &Tensor, shares: &Shares) -> Result<Tensor> {
    let (s, n, l) = (z.size()[0], z.size()[1], z.size()[2]);
    let flat = z.reshape([s * n, 1, l]);
    let logs = shares.logarithms(z);
    let piece = (PIECE / (n * l)).max(1);
    let mut all = Vec::new();
    for start in (0..s * n).step_by(piece as usize) {
        let some = flat.narrow(0, start, piece.min(s * n - start));
        // every z under the q of every row: (piece, N)
        let Some(log_q) = q.log_prob(&some.expand([some.size()[0], n, l], false)) else {
            let message = "has a density at its own draws only, but that of all rows together is asked for: no mutual information";
            return Err(Error::config("posterior", message));
        };
        all.push((log_q.to_kind(Kind::Double) + &logs).logsumexp([1].as_slice(), false));
    }
    Ok(Tensor::cat(&all, 0).view([s, n]))
}

/// The same of log q(k | x_n), (N, K), by sums over the values.
fn summed(vae: &Vae, q: &dyn Posterior, log_q: &Tensor, shares: &Shares) -> Result<Information> {
    let Some(kl) = vae.parts.prior.kl(q) else {
        return Err(Error::config("posterior", "is discrete, but the prior is not: choose a categorical prior"));
    };
    let log_q = log_q.to_kind(Kind::Double);
    let aggregated = (&log_q + shares.logarithms(&log_q).unsqueeze(1)).logsumexp([0].as_slice(), true);
    // Σ_k q_nk log (q_nk/q_k), with 0 log 0 = 0
    let terms = log_q.exp() * (&log_q - aggregated);
    let terms = terms.nan_to_num(0.0, None::<f64>, None::<f64>);
    let mutual = shares.exact_mean(&terms.sum_dim_intlist([1].as_slice(), false, Kind::Double));
    let kl = shares.exact_mean(&kl);
    Ok(Information { mutual, kl, prior_gap: Estimate::exact(kl.mean - mutual.mean) })
}
