//! Hamiltonian transitions of many chains at once, along a path of densities.

use super::memory::in_pieces;
use super::row_noise::RowNoise;
use crate::data::Batch;
use crate::error::Result;
use crate::posterior::Posterior;
use crate::vae::Vae;
use tch::{Kind, Tensor};

/// The two ends of the path: log f_β = (1 − β) log f₀ + β log p(x, z).
pub(super) struct Ends<'a> {
    pub vae: &'a Vae,
    pub batch: &'a Batch,
    /// f₀ = q(z | x); `None`: the prior.
    pub posterior: Option<Box<dyn Posterior>>,
    /// Latents with a graph that fit into memory.
    pub points: i64,
}

/// Chains (M, N) with what is known where they are.
pub(super) struct Chains {
    /// z (M, N, L).
    pub z: Tensor,
    /// log p(x, z) (M, N).
    pub log_joint: Tensor,
    /// log f₀(z) (M, N).
    pub log_start: Tensor,
    joint_slope: Tensor,
    start_slope: Tensor,
}

impl Chains {
    /// log f_β (M, N).
    fn log_density(&self, beta: f64) -> Tensor {
        &self.log_start * (1.0 - beta) + &self.log_joint * beta
    }

    fn slope(&self, beta: f64) -> Tensor {
        &self.start_slope * (1.0 - beta) + &self.joint_slope * beta
    }

    /// log p(x, z) − log f₀(z) (M, N), in f64: what the log weights grow by, times the step in β.
    pub(super) fn difference(&self) -> Tensor {
        self.log_joint.to_kind(Kind::Double) - self.log_start.to_kind(Kind::Double)
    }

    fn choose(self, accept: &Tensor, old: &Chains) -> Chains {
        let wide = accept.unsqueeze(-1);
        Chains {
            z: self.z.where_self(&wide, &old.z),
            joint_slope: self.joint_slope.where_self(&wide, &old.joint_slope),
            start_slope: self.start_slope.where_self(&wide, &old.start_slope),
            log_joint: self.log_joint.where_self(accept, &old.log_joint),
            log_start: self.log_start.where_self(accept, &old.log_start),
        }
    }
}

impl Ends<'_> {
    /// Both densities and their slopes at z (M, N, L).
    pub(super) fn at(&self, z: &Tensor) -> Result<Chains> {
        let z = z.detach();
        let [log_joint, joint_slope] = in_pieces(&z, self.batch, self.points, &mut |z, batch| {
            tch::with_grad(|| {
                let leaf = z.detach().copy().set_requires_grad(true);
                let joint = self.vae.log_joint(&leaf, batch);
                Ok(sloped(&(joint.log_likelihood + joint.log_prior), &leaf))
            })
        })?;
        let [log_start, start_slope] = tch::with_grad(|| {
            let leaf = z.copy().set_requires_grad(true);
            let value = self.posterior.as_ref().and_then(|q| q.log_prob(&leaf)).unwrap_or_else(|| self.vae.parts.prior.log_prob(&leaf));
            sloped(&value, &leaf)
        });
        Ok(Chains { z, log_joint, log_start, joint_slope, start_slope })
    }
}

fn sloped(value: &Tensor, leaf: &Tensor) -> [Tensor; 2] {
    let slope = Tensor::run_backward(&[value.sum(None::<Kind>)], &[leaf], false, false).swap_remove(0);
    [value.detach(), slope]
}

/// One trajectory: leapfrogs of a step of its own for every row and latent.
pub(super) struct Trajectory<'a> {
    /// β.
    pub beta: f64,
    /// Step of each row (N).
    pub step: &'a Tensor,
    /// Scale of each row's latents (N, L): positions move by step · scale, which is a mass matrix of 1/scale².
    pub scale: &'a Tensor,
    /// Number of leapfrogs.
    pub leapfrogs: usize,
}

/// Steps vary by this factor up and down from trajectory to trajectory, so that none comes back to where it started for ever.
const JITTER: f64 = 0.2;

impl Trajectory<'_> {
    /// Moves all chains, leaving f_β invariant: Duane et al. 1987; Neal 2011, figure 2. Returns the acceptance probabilities (M, N) too.
    pub(super) fn run(&self, ends: &Ends<'_>, chains: Chains, noise: &mut RowNoise) -> Result<(Chains, Tensor)> {
        let (m, l) = (chains.z.size()[0], chains.z.size()[2]);
        let jitter = (noise.uniform(m) - 0.5) * (2.0 * JITTER) + 1.0;
        let e = (jitter * self.step).unsqueeze(-1) * self.scale;
        let momentum = noise.normal(m, l);
        // the logarithm of a uniform number
        let threshold = noise.uniform(m).log();
        // p ← p + ½ ε ∇ log f,  (z ← z + ε p,  p ← p + ε ∇ log f) …, the last of p a half again
        let mut p = &momentum + &e * chains.slope(self.beta) * 0.5;
        let mut z = chains.z.shallow_clone();
        let mut last = None;
        for leap in 1..=self.leapfrogs {
            z = &z + &e * &p;
            let here = ends.at(&z)?;
            let part = if leap == self.leapfrogs { 0.5 } else { 1.0 };
            p += &e * here.slope(self.beta) * part;
            last = Some(here);
        }
        let Some(proposal) = last else {
            let none = chains.log_joint.zeros_like();
            return Ok((chains, none));
        };
        let kinetic = |p: &Tensor| p.square().sum_dim_intlist([-1].as_slice(), false, None) * 0.5;
        let rise = (proposal.log_density(self.beta) - kinetic(&p)) - (chains.log_density(self.beta) - kinetic(&momentum));
        // a trajectory that left the numbers is refused
        let rise = rise.where_self(&rise.isfinite(), &rise.full_like(f64::NEG_INFINITY));
        let accept = threshold.lt_tensor(&rise);
        Ok((proposal.choose(&accept, &chains), rise.clamp_max(0.0).exp()))
    }
}
