//! Which latents a linear autoencoder of given noise variance uses: exactly the principal directions above it.

use super::trained;
use crate::check::{Source, Tolerance};
use crate::layers::neural::Published;
use crate::suite::{Group, Outcome, Problem};
use lvm_core::ppca::PpcaMl;
use lvm_deep::Kind;
use lvm_deep::architecture::{LikelihoodSpec, PosteriorSpec};
use lvm_deep::data::Dataset;
use lvm_deep::likelihood::gaussian::Variance;
use lvm_deep::tasks::activity::Activity;
use lvm_deep::tensor::to_matrix;
use ndarray::{Array2, Axis};

/// Eigenvalues (1/N) in falling order, as λ_l = ‖w_l‖² + σ² of the largest PPCA that there is.
fn eigenvalues(x: &Array2<f64>) -> Result<Vec<f64>, Problem> {
    let full = PpcaMl { components: x.ncols() - 1, ..Default::default() }.fit(x, 0)?.model;
    let lengths = full.loadings().columns().into_iter().map(|c| c.dot(&c) + full.noise_variance());
    Ok(lengths.collect())
}

/// V5: with σ² fixed between eigenvalues k and k + 1, k of the latents stay active.
///
/// # Errors
/// If the table can't be read or the library refuses.
pub(in super::super::super) fn collapse(g: &mut Group<'_>, published: &Published, latents: usize, active: &[usize]) -> Outcome {
    let x = published.x()?;
    let values = eigenvalues(&x)?;
    let data = Dataset::new(&x, Kind::Double, tch::Device::Cpu)?;
    for &k in active {
        let sigma2 = (values[k - 1] * values[k]).sqrt();
        let likelihood = LikelihoodSpec::Gaussian(Variance::Fixed(sigma2));
        let vae =
            trained::train(&x, trained::architecture(&x, latents, PosteriorSpec::Diagonal, likelihood), (g.budget, g.seed(0), g.seed(1)))?;
        let found = Activity::new(&vae, &data.rows)?.active().len();
        g.holds(
            format!("active latents with sigma^2 = {sigma2:.4} between eigenvalues {k} and {}", k + 1),
            format!("{found} of {latents}"),
            format!("{k} of {latents}"),
            found == k,
            "Lucas et al. 2019, §4.2: a direction is dropped exactly when its eigenvalue is at most sigma^2",
        );
        let w = to_matrix(vae.parameters.get("decoder.0.weight").ok_or("no decoder".to_owned())?)?;
        let mut lengths: Vec<f64> = w.axis_iter(Axis(1)).map(|c| c.dot(&c)).collect();
        lengths.sort_by(|a, b| b.total_cmp(a));
        let truth: Vec<f64> = values.iter().take(latents).map(|v| (v - sigma2).max(0.0)).collect();
        g.array(
            format!("squared lengths of decoder columns, {k} active"),
            Source::E,
            &ndarray::Array1::from(lengths),
            &ndarray::Array1::from(truth),
            &Tolerance::absolute(3e-2 * values[0], "max(λ − σ², 0) to the root of 1e-3 nats a row, of the largest eigenvalue"),
        );
    }
    Ok(())
}
