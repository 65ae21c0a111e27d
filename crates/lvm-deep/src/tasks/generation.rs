//! New rows, from the prior, from given latents, and from the latents of given rows.

use crate::data::Batch;
use crate::error::{Error, ErrorKind, Result, guard};
use crate::noise::Noise;
use crate::tensor::to_values;
use crate::vae::Vae;
use lvm_core::random::{Purpose, stream};
use rand::RngExt;
use tch::Tensor;

/// Latents and the rows drawn from them.
#[derive(Debug)]
pub struct Simulated {
    /// z (N, L).
    pub z: Tensor,
    /// x ~ p(x | z), with the condition of the rows that were given.
    pub batch: Batch,
}

/// (z, x) ~ p(z) p(x | z), n times. Each z is an exact draw from p(z | x) of its own row.
///
/// `like`: n rows whose condition and size the new ones share, for models that are told one.
///
/// # Errors
/// If `like` does not fit.
pub fn simulate(vae: &Vae, n: i64, like: Option<&Batch>, seed: u64) -> Result<Simulated> {
    guard("generating rows", || {
        let mut noise = noise(vae, seed);
        let z = tch::no_grad(|| vae.parts.prior.sample(n, &mut noise));
        let x = generate(vae, &z, like, &mut noise)?;
        let condition = like.and_then(|rows| rows.condition.as_ref()).map(Tensor::shallow_clone);
        Ok(Simulated { z, batch: Batch { condition, ..Batch::new(x) } })
    })
}

/// x ~ p(x | z), (M, D), of latents (M, L).
///
/// `like`: M rows from which the condition is taken and, where the likelihood is told it, the size of the row.
///
/// # Errors
/// If the latents or `like` do not fit, or the likelihood is told the size of a row and there is none ([`rows_of_size`] makes one).
pub fn sample_given(vae: &Vae, z: &Tensor, like: Option<&Batch>, seed: u64) -> Result<Tensor> {
    guard("generating rows", || generate(vae, z, like, &mut noise(vae, seed)))
}

/// E[x | z], (M, D), of latents (M, L).
///
/// `like`: as in [`sample_given`].
///
/// # Errors
/// If the latents or `like` do not fit, or rows are built entry after entry (then there is no mean given z alone).
pub fn decode(vae: &Vae, z: &Tensor, like: Option<&Batch>) -> Result<Tensor> {
    if crate::evidence::memory::reads_x(vae) {
        return Err(Error::config("decoder", "builds rows entry after entry and has no mean given z alone: draw rows and average them"));
    }
    let batch = rows_for(vae, z, like)?;
    guard("decoding", || {
        let _no_grad = tch::no_grad_guard();
        let outputs = vae.outputs(&z.unsqueeze(0), &batch);
        Ok(vae.parts.likelihood.mean(&outputs, &batch).squeeze_dim(0))
    })
}

/// n rows of a given size, with a condition (n, C) if the model has one: what draws and means need to be told of x, and nothing else.
///
/// Where the density is told the size of several groups of columns, each has this size.
///
/// ```
/// use lvm_deep::architecture::{Architecture, LikelihoodSpec};
/// use lvm_deep::tasks::generation::{rows_of_size, simulate};
/// use lvm_deep::{Kind, vae::Vae};
/// let words = Architecture { likelihood: LikelihoodSpec::Multinomial, ..Architecture::mlp(5, 2, &[]) };
/// let vae = Vae::untrained(words, None, Kind::Double, tch::Device::Cpu, 1)?;
/// let documents = simulate(&vae, 3, Some(&rows_of_size(&vae, 3, Some(40.0), None)?), 1)?;
/// assert_eq!(documents.batch.x.sum(Kind::Double).double_value(&[]), 120.0);
/// assert!(simulate(&vae, 3, None, 1).is_err());
/// # Ok::<(), lvm_core::Error>(())
/// ```
///
/// # Errors
/// If a size is needed and missing, given and not needed, or no whole number of at least 1; or if the condition does not fit.
pub fn rows_of_size(vae: &Vae, n: i64, size: Option<f64>, condition: Option<&Tensor>) -> Result<Batch> {
    let sized = vae.parts.likelihood.sized_columns();
    let x = Tensor::zeros([n, vae.n_columns()], (vae.parameters.kind(), vae.parameters.device()));
    match size {
        None if !sized.is_empty() => return Err(size_needed()),
        Some(_) if sized.is_empty() => {
            return Err(Error::config("size", "is nothing that the likelihood of this model is told: leave it out"));
        }
        Some(size) if !(size >= 1.0 && size.fract() == 0.0 && size < 1e9) => {
            return Err(Error::config("size", format!("is {size}; the counts of a row add up to a whole number of at least 1")));
        }
        Some(size) => {
            for group in sized {
                let mut cells = x.narrow(1, group[0], 1);
                let _ = cells.fill_(size);
            }
        }
        None => {}
    }
    let batch = Batch { condition: condition.map(Tensor::shallow_clone), ..Batch::new(x) };
    vae.check(&batch)?;
    Ok(batch)
}

/// Rows for the points of a path between two rows (1, ·): sizes and conditions go along straight lines, at `steps` values of t from 0 to 1; what is
/// missing at an end has no size. To be given to [`decode`] with the latents of the path.
///
/// # Errors
/// If one of the two does not fit the model or is not one row, or there are fewer than two steps.
pub fn rows_between(vae: &Vae, a: &Batch, b: &Batch, steps: i64) -> Result<Batch> {
    vae.check(a)?;
    vae.check(b)?;
    let between = |a: &Tensor, b: &Tensor| super::interpolation::linear(a, b, steps).map(|path| path.squeeze_dim(1));
    let condition = match (&a.condition, &b.condition) {
        (Some(a), Some(b)) => Some(between(a, b)?),
        _ => None,
    };
    let x = Tensor::zeros([steps, vae.n_columns()], (a.x.kind(), a.x.device()));
    for group in vae.parts.likelihood.sized_columns() {
        let index = Tensor::from_slice(&group).to_device(a.x.device());
        let size = |rows: &Batch| rows.x.index_select(1, &index).sum_dim_intlist([1].as_slice(), true, None);
        x.narrow(1, group[0], 1).copy_(&between(&size(a), &size(b))?.round().clamp_min(1.0));
    }
    Ok(Batch { condition, ..Batch::new(x) })
}

fn size_needed() -> Error {
    let message = "of a row is told to the likelihood of this model, and none was given: give rows to take it from, or one number for all";
    Error::config("size", message)
}

/// z ~ q(z) = Σ_n w_n q(z | x_n)/Σ_n w_n, the aggregated posterior, m times: (m, L). A model whose samples from here look better than those
/// from the prior has a prior that does not fit its posteriors.
///
/// # Errors
/// If the rows do not fit the model.
pub fn aggregated_posterior(vae: &Vae, batch: &Batch, m: usize, seed: u64) -> Result<Tensor> {
    vae.check(batch)?;
    let weights = batch.weights.as_ref().map_or_else(|| vec![1.0; batch.n_rows() as usize], to_values);
    let picked = draw_index(&weights, m, &mut stream(seed, Purpose::Sample, 1));
    guard("drawing from the aggregated posterior", || {
        let _no_grad = tch::no_grad_guard();
        let rows = batch.select(&Tensor::from_slice(&picked).to_device(batch.x.device()));
        Ok(vae.posterior(&rows).draw(1, &mut noise(vae, seed)).z.squeeze_dim(0))
    })
}

/// m numbers below the number of weights, each with probability proportional to its weight.
pub(super) fn draw_index(weights: &[f64], m: usize, rng: &mut lvm_core::random::Stream) -> Vec<i64> {
    let cumulative: Vec<f64> = weights
        .iter()
        .scan(0.0, |sum, w| {
            *sum += w;
            Some(*sum)
        })
        .collect();
    let total = cumulative.last().copied().unwrap_or(0.0);
    let at = |u: f64| cumulative.partition_point(|c| *c <= u).min(weights.len().saturating_sub(1)) as i64;
    (0..m).map(|_| at(rng.random::<f64>() * total)).collect()
}

pub(super) fn noise(vae: &Vae, seed: u64) -> Noise {
    Noise::new(seed, Purpose::Sample, 0, vae.parameters.kind(), vae.parameters.device())
}

fn generate(vae: &Vae, z: &Tensor, like: Option<&Batch>, noise: &mut Noise) -> Result<Tensor> {
    let batch = rows_for(vae, z, like)?;
    Ok(tch::no_grad(|| vae.parts.decoder.generate(z, &batch, vae.parts.likelihood.as_ref(), noise)))
}

/// The rows given for latents (M, L), or rows of zeros where nothing of x is needed.
fn rows_for(vae: &Vae, z: &Tensor, like: Option<&Batch>) -> Result<Batch> {
    let found = z.size();
    if found.len() != 2 || found[1] != vae.latents() {
        let found = found.last().copied().unwrap_or(0) as usize;
        return Err(ErrorKind::Shape { what: "columns of z", expected: vae.latents() as usize, found }.into());
    }
    match like {
        Some(rows) if rows.n_rows() != found[0] => {
            Err(ErrorKind::Shape { what: "rows to take the condition from", expected: found[0] as usize, found: rows.n_rows() as usize }
                .into())
        }
        Some(rows) => {
            vae.check(rows)?;
            Ok(rows.narrow(0, found[0]))
        }
        None if vae.architecture.condition > 0 => {
            let needed = vae.architecture.condition;
            Err(Error::config("condition", format!("this model is told {needed} numbers a row besides x, none were given")))
        }
        None if !vae.parts.likelihood.sized_columns().is_empty() => Err(size_needed()),
        None => Ok(Batch::new(Tensor::zeros([found[0], vae.n_columns()], (vae.parameters.kind(), vae.parameters.device())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::{Architecture, BlockSpec, LikelihoodSpec};
    use crate::likelihood::Library;
    use tch::{Device, Kind};

    fn block(columns: &[i64], likelihood: LikelihoodSpec) -> BlockSpec {
        BlockSpec { columns: columns.to_vec(), likelihood }
    }

    fn vae(likelihood: LikelihoodSpec) -> Vae {
        let architecture = Architecture { likelihood, ..Architecture::mlp(5, 2, &[]) };
        Vae::untrained(architecture, None, Kind::Double, Device::Cpu, 1).unwrap()
    }

    fn sums(x: &Tensor, columns: &[i64]) -> Vec<f64> {
        to_values(&x.index_select(1, &Tensor::from_slice(columns)).sum_dim_intlist([1].as_slice(), false, None))
    }

    #[test]
    fn every_group_of_columns_has_the_size_it_is_told() {
        let mixed = LikelihoodSpec::Mixed(vec![
            block(&[1, 3], LikelihoodSpec::Multinomial),
            block(&[0, 2], LikelihoodSpec::Poisson { library: Library::Observed }),
            block(&[4], LikelihoodSpec::Bernoulli),
        ]);
        let vae = vae(mixed);
        let like = rows_of_size(&vae, 4, Some(30.0), None).unwrap();
        assert_eq!((sums(&like.x, &[1, 3]), sums(&like.x, &[0, 2])), (vec![30.0; 4], vec![30.0; 4]));
        let drawn = simulate(&vae, 4, Some(&like), 3).unwrap().batch.x;
        assert_eq!(sums(&drawn, &[1, 3]), [30.0; 4]);
        let mean = decode(&vae, &Tensor::zeros([4, 2], (Kind::Double, Device::Cpu)), Some(&like)).unwrap();
        // shares of 30 add up to it, in f64
        assert!(sums(&mean, &[0, 2]).iter().all(|s| (s - 30.0).abs() < 1e-12));
        let row = |x: [f64; 5]| Batch::new(Tensor::from_slice(&x).view([1, 5]));
        let between = rows_between(&vae, &row([2.0, 9.0, 2.0, 1.0, 0.0]), &row([0.0, 0.0, 8.0, 20.0, 1.0]), 3).unwrap();
        assert_eq!((sums(&between.x, &[1, 3]), sums(&between.x, &[0, 2])), (vec![10.0, 15.0, 20.0], vec![4.0, 6.0, 8.0]));
    }

    #[test]
    fn no_size_is_made_up() {
        let counts = |library| LikelihoodSpec::NegativeBinomial { dispersion: Default::default(), library };
        for likelihood in [LikelihoodSpec::Multinomial, counts(Library::Observed)] {
            let vae = vae(likelihood);
            let z = Tensor::zeros([2, 2], (Kind::Double, Device::Cpu));
            let refused = |error: Option<Error>| assert!(error.is_some_and(|e| e.to_string().contains("size")));
            refused(simulate(&vae, 2, None, 1).err());
            refused(sample_given(&vae, &z, None, 1).err());
            refused(decode(&vae, &z, None).err());
            refused(rows_of_size(&vae, 2, None, None).err());
            refused(rows_of_size(&vae, 2, Some(2.5), None).err());
            refused(rows_of_size(&vae, 2, Some(f64::NAN), None).err());
        }
        for likelihood in [counts(Library::None), counts(Library::Latent), LikelihoodSpec::Bernoulli] {
            let vae = vae(likelihood);
            assert!(simulate(&vae, 2, None, 1).is_ok() && rows_of_size(&vae, 2, None, None).is_ok());
            assert!(rows_of_size(&vae, 2, Some(5.0), None).is_err());
        }
    }
}
