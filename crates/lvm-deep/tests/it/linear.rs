//! A linear autoencoder ends at probabilistic PCA.

use lvm_core::model::Evidence;
use lvm_core::ppca::PpcaMl;
use lvm_deep::Kind;
use lvm_deep::architecture::Architecture;
use lvm_deep::data::Dataset;
use lvm_deep::objective::{Elbo, Objective};
use lvm_deep::optimizer::Schedule;
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;

#[test]
fn linear_vae_is_ppca_on_iris() {
    let x = lvm_data::datasets::iris().unwrap().x;
    let ppca = PpcaMl { components: 2, ..Default::default() }.fit(&x, 0).unwrap().model;
    let target = ppca.log_evidence(&x).unwrap().mean().unwrap();
    let data = Dataset::new(&x, Kind::Double, tch::Device::Cpu).unwrap();
    let vae = Vae::new(Architecture::linear(4, 2), &data, 1).unwrap();
    let training = Training {
        objective: Objective::Elbo(Elbo { draws: 8, ..Default::default() }),
        epochs: 3000,
        batch_size: 150,
        learning_rate: Schedule::Exponential { start: 3e-2, end: 1e-5 },
        held_out_draws: 1000,
        ..Default::default()
    };
    let trained = training.fit(vae, &data, None, 1).unwrap();
    let last = &trained.epochs[trained.epochs.len() - 1];
    panic!("{target} {last:?}");
}
