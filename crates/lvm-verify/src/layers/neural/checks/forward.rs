//! V1, V2: log densities, encoder, bound and its gradient at fixed weights.

use super::fixed::{autoencoder, normal_nodes};
use crate::case::Case;
use crate::check::{Source, Tolerance};
use crate::layers::shared::file_tolerance;
use crate::suite::{Group, Outcome};
use lvm_deep::data::Batch;
use lvm_deep::tensor::{to_matrix, to_vector};
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};

/// The parts of the bound of every row, with the expectation over q by quadrature.
struct Bound {
    mean: Tensor,
    log_variance: Tensor,
    reconstruction: Tensor,
    kl: Tensor,
}

fn bound(vae: &Vae, batch: &Batch) -> Result<Bound, String> {
    let q = vae.posterior(batch);
    let moments = q.gaussian().ok_or("q is not Gaussian")?;
    let lvm_deep::posterior::Spread::Diagonal(log_variance) = moments.spread else { return Err("q is not diagonal".into()) };
    let (nodes, weights) = normal_nodes(vae.latents(), batch.x.kind());
    // z = m + e^{v/2} t
    let z = &moments.mean + (&log_variance * 0.5).exp() * nodes;
    let reconstruction = (vae.log_likelihood(&z, batch) * weights.unsqueeze(1)).sum_dim_intlist([0].as_slice(), false, None);
    let kl = vae.parts.prior.kl(q.as_ref()).ok_or("there is no closed form of the KL term")?;
    Ok(Bound { mean: moments.mean, log_variance, reconstruction, kl })
}

/// V1: encoder, reconstruction, KL term and bound of every row, in f64 and f32.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(in super::super) fn forward(g: &mut Group<'_>, case: &Case) -> Outcome {
    for (kind, name, field, otherwise) in [(Kind::Double, "f64", "float64_forward", 1e-10), (Kind::Float, "f32", "float32_forward", 1e-4)] {
        let relative = file_tolerance(case, field, otherwise)?.relative;
        let (vae, batch, _) = autoencoder(case, kind)?;
        let bound = tch::no_grad(|| bound(&vae, &batch))?;
        let truth = |field: &str| case.get(&format!("truth.{field}"));
        let quadrature = truth("error_estimate")?.number()?;
        // a sum of terms is known to so much of its largest term, not of itself
        let terms =
            truth("reconstruction")?.vector()?.iter().chain(truth("kl_to_prior")?.vector()?.iter()).fold(1.0, |m: f64, v| m.max(v.abs()));
        let allowed = Tolerance::absolute(
            relative * terms + 10.0 * quadrature,
            format!(
                "{relative:e} of the largest term {terms:.3} (the file's tolerance of a forward pass in {name}) and 10 times the quadrature's error"
            ),
        );
        g.array(format!("mean of the encoder, {name}"), Source::Q, &to_matrix(&bound.mean)?, &truth("encoder_mean")?.matrix()?, &allowed);
        g.array(
            format!("log variance of the encoder, {name}"),
            Source::Q,
            &to_matrix(&bound.log_variance)?,
            &truth("encoder_log_variance")?.matrix()?,
            &allowed,
        );
        let rows = [("reconstruction", &bound.reconstruction, "reconstruction"), ("KL to the prior", &bound.kl, "kl_to_prior")];
        for (what, ours, field) in rows {
            g.array(format!("{what} of every row, {name}"), Source::Q, &to_vector(ours), &truth(field)?.vector()?, &allowed);
        }
        let elbo = to_vector(&(&bound.reconstruction - &bound.kl));
        g.array(format!("ELBO of every row, {name}"), Source::Q, &elbo, &truth("elbo")?.vector()?, &allowed);
        // log p by the same rule on [−10, 10] in z itself: nothing of q enters
        let (nodes, _) = normal_nodes(vae.latents(), kind);
        let step = 0.1_f64.powi(vae.latents() as i32);
        let joint = tch::no_grad(|| vae.log_joint(&nodes, &batch));
        let log_p = (joint.log_likelihood + joint.log_prior).logsumexp([0].as_slice(), false) + step.ln();
        g.array(format!("log p of every row, {name}"), Source::Q, &to_vector(&log_p), &truth("log_p")?.vector()?, &allowed);
    }
    Ok(())
}

/// V2: the exact gradient of the mean bound for every weight, by differentiating the quadrature.
///
/// # Errors
/// If the case lacks a field or the library refuses.
pub(in super::super) fn gradient(g: &mut Group<'_>, case: &Case) -> Outcome {
    let (vae, batch, places) = autoencoder(case, Kind::Double)?;
    let parts = bound(&vae, &batch)?;
    (parts.reconstruction - parts.kl).mean(None::<Kind>).backward();
    let relative = file_tolerance(case, "float64_forward", 1e-10)?.relative;
    let truth = case.get("truth.gradient_of_mean_elbo")?;
    for place in &places {
        let truth = place.truth(&truth)?;
        let gradient = vae.parameters.get(place.parameter).ok_or("a parameter is not there".to_owned())?.grad();
        let ours = place.of(&gradient)?;
        let allowed = Tolerance::relative(
            100.0 * relative,
            "the file's tolerance of a forward pass, 100 times for the sums of a backward pass, of the largest entry",
        );
        g.array_norm(format!("gradient of the mean ELBO for {}", place.field), Source::Q, &ours, &truth, &allowed);
    }
    Ok(())
}
