//! What is told of every epoch.

use crate::data::Batch;
use crate::objective::Evaluation;
use crate::raw::slice;
use crate::tensor::to_values;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Weighted sums over rows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sums {
    /// Σ w_n bound_n.
    pub bound: f64,
    /// Σ w_n E_q[log p(x_n | z)].
    pub reconstruction: f64,
    /// Σ w_n KL_n.
    pub kl: f64,
    /// Σ w_n.
    pub weight: f64,
    /// The longest gradient.
    pub longest_gradient: f64,
}

impl Sums {
    pub(crate) fn of(evaluation: &Evaluation, batch: &Batch) -> Self {
        let [bound, reconstruction, kl] = weighted_sums([&evaluation.bound, &evaluation.reconstruction, &evaluation.kl], batch);
        let weight = match &batch.weights {
            Some(w) => w.sum(Kind::Double).double_value(&[]),
            None => batch.n_rows() as f64,
        };
        Sums { bound, reconstruction, kl, weight, longest_gradient: 0.0 }
    }

    pub(crate) fn add(&mut self, other: &Sums, gradient: f64) {
        self.bound += other.bound;
        self.reconstruction += other.reconstruction;
        self.kl += other.kl;
        self.weight += other.weight;
        self.longest_gradient = self.longest_gradient.max(gradient);
    }

    pub(crate) fn means(&self) -> Means {
        Means { bound: self.bound / self.weight, reconstruction: self.reconstruction / self.weight, kl: self.kl / self.weight }
    }
}

/// Means over rows, nats a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Means {
    /// The bound of log p(x), with weight 1 on the KL term and nothing floored.
    pub bound: f64,
    /// E_q[log p(x | z)].
    pub reconstruction: f64,
    /// KL(q(z | x) ‖ p(z)).
    pub kl: f64,
}

/// Σ_n w_n a_n of three lists a (N), in f64, with one wait for the device.
fn weighted_sums(values: [&Tensor; 3], batch: &Batch) -> [f64; 3] {
    if batch.weights.is_none()
        && let [Some(a), Some(b), Some(c)] = values.map(slice::<f32>)
    {
        return [a, b, c].map(|values| values.iter().map(|&v| f64::from(v)).sum());
    }
    let mut all = Tensor::stack(&values, 0).to_kind(Kind::Double);
    if let Some(w) = &batch.weights {
        all *= w;
    }
    let sums = to_values(&all.sum_dim_intlist([1].as_slice(), false, Kind::Double));
    std::array::from_fn(|i| sums[i])
}

/// One pass over the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Over the training rows, each at the parameters of its step; NaN where every step was skipped.
    pub train: Means,
    /// Over the held-out rows, at the parameters after the epoch.
    pub held_out: Option<Means>,
    /// The learning rate.
    pub learning_rate: f64,
    /// The weight of the KL term in what was maximised.
    pub kl_weight: f64,
    /// The longest gradient before it was shortened.
    pub longest_gradient: f64,
    /// Steps skipped so far because loss or gradient was not finite.
    pub skipped: u64,
}
