//! Reference cases with fixed weights, in f64.

use lvm_deep::architecture::{Architecture, DecoderSpec, EncoderSpec, LikelihoodSpec};
use lvm_deep::data::Batch;
use lvm_deep::likelihood::gaussian::Variance;
use lvm_deep::nets::Activation;
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor, tensor};
use ndarray::{Array1, Array2};
use serde_json::Value;

/// A model with the weights of a case, its rows, and the case.
pub(crate) struct Exact {
    pub(crate) vae: Vae,
    pub(crate) batch: Batch,
    pub(crate) case: Value,
}

/// Reads a case of kind `vae_exact` in f64.
pub(crate) fn load(id: &str) -> Exact {
    load_as(id, Kind::Double)
}

/// Reads a case of kind `vae_exact`.
pub(crate) fn load_as(id: &str, kind: Kind) -> Exact {
    let file = format!("{}/../lvm-verify/reference/cases/{id}.json", env!("CARGO_MANIFEST_DIR"));
    let case: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let model = &case["model"];
    let activation = serde_json::from_value::<Activation>(model["activation"].clone()).unwrap();
    let weights = &case["weights"];
    let width = |name: &str| vec![vector(&weights[name]).len() as i64];
    let gaussian = model["likelihood"] == "gaussian";
    let architecture = Architecture {
        encoder: EncoderSpec::Mlp { hidden: width("enc_b1"), activation },
        decoder: DecoderSpec::Mlp { hidden: width("dec_b1"), activation },
        likelihood: if gaussian { LikelihoodSpec::Gaussian(Variance::Columns) } else { LikelihoodSpec::Bernoulli },
        ..Architecture::mlp(model["data_dim"].as_i64().unwrap(), model["latent"].as_i64().unwrap(), &[])
    };
    let mut vae = Vae::untrained(architecture, None, kind, tch::Device::Cpu, 1).unwrap();
    for (name, value) in tensors(weights) {
        vae.parameters.set(name, &value).unwrap();
    }
    let x = tensor::from_matrix(&matrix(&case["x"]), kind, tch::Device::Cpu);
    Exact { vae, batch: Batch::new(x), case }
}

/// Weights, or their gradients, by the names of our parameters. Features are means with log-variances behind them.
fn tensors(weights: &Value) -> Vec<(&'static str, Tensor)> {
    let m = |name: &str| tensor::from_matrix(&matrix(&weights[name]), Kind::Double, tch::Device::Cpu);
    let v = |name: &str| Tensor::from_slice(&vector(&weights[name]).to_vec());
    let mut all = vec![
        ("encoder.0.weight", m("enc_w1")),
        ("encoder.0.bias", v("enc_b1")),
        ("encoder.1.weight", Tensor::cat(&[m("enc_wm"), m("enc_wv")], 0)),
        ("encoder.1.bias", Tensor::cat(&[v("enc_bm"), v("enc_bv")], 0)),
        ("decoder.0.weight", m("dec_w1")),
        ("decoder.0.bias", v("dec_b1")),
        ("decoder.1.weight", m("dec_w2")),
        ("decoder.1.bias", v("dec_b2")),
    ];
    if !weights["log_sigma"].is_null() {
        // log σ² = 2 log σ
        all.push(("likelihood.log_variance", v("log_sigma") * 2.0));
    }
    all
}

/// The case's gradient of the mean ELBO by the names of our parameters.
pub(crate) fn gradients(case: &Value) -> Vec<(&'static str, Tensor)> {
    let mut all = tensors(&case["truth"]["gradient_of_mean_elbo"]);
    for (name, value) in &mut all {
        if *name == "likelihood.log_variance" {
            // d/d log σ² = ½ d/d log σ; `tensors` has doubled it
            *value = &*value * 0.25;
        }
    }
    all
}

pub(crate) fn vector(value: &Value) -> Array1<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

pub(crate) fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Array1<f64>> = value.as_array().unwrap().iter().map(vector).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

/// The largest difference of two lists of numbers.
pub(crate) fn largest(a: impl IntoIterator<Item = f64>, b: impl IntoIterator<Item = f64>) -> f64 {
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    let mut worst: f64 = 0.0;
    loop {
        match (a.next(), b.next()) {
            (Some(x), Some(y)) => worst = if x.is_nan() || y.is_nan() { f64::INFINITY } else { worst.max((x - y).abs()) },
            (None, None) => return worst,
            _ => panic!("lists of different length"),
        }
    }
}
