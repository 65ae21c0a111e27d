//! A linear autoencoder with the weights of a fitted PPCA: everything about it is known.

use lvm_core::model::Infer;
use lvm_core::ppca::{Ppca, PpcaMl};
use lvm_deep::architecture::Architecture;
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor, tensor};
use ndarray::{Array2, Axis, concatenate};

/// Maximum-likelihood PPCA of iris with two latents, and the autoencoder that equals it: its loadings are orthogonal, so the posterior is
/// diagonal and the encoder has it exactly.
pub(crate) fn iris() -> (Ppca, Vae, Array2<f64>) {
    let x = lvm_data::datasets::iris().unwrap().x;
    let ppca = PpcaMl { components: 2, ..Default::default() }.fit(&x, 0).unwrap().model;
    let vae = of(&ppca);
    (ppca, vae, x)
}

/// The autoencoder whose decoder is that of a PPCA with orthogonal loadings and whose encoder is its posterior.
pub(crate) fn of(ppca: &Ppca) -> Vae {
    let (d, l) = ppca.loadings().dim();
    let mut vae = Vae::untrained(Architecture::linear(d as i64, l as i64), None, Kind::Double, tch::Device::Cpu, 1).unwrap();
    // E[z | x] = A (x − μ): row j of the posterior means at μ + e_j is column j of A
    let posterior = ppca.infer(&(&Array2::<f64>::eye(d) + ppca.mean())).unwrap();
    let a = posterior.mean().t().to_owned();
    let offset = -a.dot(ppca.mean());
    let log_variance = posterior.covariance(0).diag().mapv(f64::ln);
    let matrix = |m: &Array2<f64>| tensor::from_matrix(m, Kind::Double, tch::Device::Cpu);
    let mut set = |name: &str, value: Tensor| vae.parameters.set(name, &value).unwrap();
    set("encoder.0.weight", matrix(&concatenate(Axis(0), &[a.view(), Array2::zeros((l, d)).view()]).unwrap()));
    set("encoder.0.bias", Tensor::from_slice(&concatenate(Axis(0), &[offset.view(), log_variance.view()]).unwrap().to_vec()));
    set("decoder.0.weight", matrix(ppca.loadings()));
    set("decoder.0.bias", Tensor::from_slice(&ppca.mean().to_vec()));
    set("likelihood.log_variance", Tensor::from(ppca.noise_variance().ln()));
    vae
}
