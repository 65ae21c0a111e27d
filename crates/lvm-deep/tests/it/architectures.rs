//! Every net and likelihood in a whole model: it is built, written down, trained a little, and its draws are in its support.

use lvm_core::random::Purpose;
use lvm_deep::architecture::{Architecture, BlockSpec, DecoderSpec, EncoderSpec, LikelihoodSpec};
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::likelihood::{Dispersion, Library, Scale, gaussian::Variance};
use lvm_deep::nets::{Activation, AttentionSpec, Cell, ConvolutionSpec, Image, RecurrentSpec, Steps};
use lvm_deep::noise::Noise;
use lvm_deep::train::Training;
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};
use ndarray::Array2;

const ROWS: usize = 96;

/// A table whose rows come in two sorts, `of(sort, row, column)`.
fn table(columns: usize, of: impl Fn(usize, usize, usize) -> f64) -> Array2<f64> {
    Array2::from_shape_fn((ROWS, columns), |(i, j)| of(i % 2, i, j))
}

/// In both kinds of numbers; the model in f64 is returned.
fn runs(architecture: &Architecture, x: &Array2<f64>, condition: Option<Array2<f64>>) -> Vae {
    // sums of a few hundred terms in another order
    run_in(Kind::Float, 1e-4, architecture, x, condition.as_ref());
    run_in(Kind::Double, 1e-10, architecture, x, condition.as_ref())
}

/// Trains for some epochs; the bound must rise and what is generated must be in the support.
fn run_in(kind: Kind, rounding: f64, architecture: &Architecture, x: &Array2<f64>, condition: Option<&Array2<f64>>) -> Vae {
    let written = serde_json::to_string(architecture).unwrap();
    assert_eq!(architecture, &serde_json::from_str(&written).unwrap());
    let mut data = Dataset::new(x, kind, tch::Device::Cpu).unwrap();
    if let Some(condition) = condition {
        data = data.with_condition(condition).unwrap();
    }
    let vae = Vae::new(architecture.clone(), &data, 3).unwrap();
    let training = Training { epochs: 8, batch_size: 32, ..Training::default() };
    let trained = training.fit(vae, &data, None, 3).unwrap();
    assert_eq!(trained.skipped, 0);
    let (first, last) = (trained.epochs[0].train.bound, trained.epochs[7].train.bound);
    assert!(last > first, "{written}: {first} to {last}");
    let vae = trained.vae;
    let batch = data.rows.narrow(0, 10);
    let mut noise = Noise::new(1, Purpose::Sample, 0, kind, tch::Device::Cpu);
    let z = vae.parts.prior.sample(10, &mut noise);
    let drawn = vae.parts.decoder.generate(&z, &batch, vae.parts.likelihood.as_ref(), &mut noise);
    assert_eq!(drawn.size(), [10, x.ncols() as i64]);
    let drawn = Batch { x: drawn, observed: None, condition: batch.condition.as_ref().map(Tensor::shallow_clone), weights: None };
    vae.parts.likelihood.check(&drawn).unwrap();
    // log p(x | z) of three draws at once is that of each
    let z = noise.normal(&[3, 10, vae.latents()]);
    let all = vae.log_likelihood(&z, &batch);
    for k in 0..3 {
        let one = vae.log_likelihood(&z.narrow(0, k, 1), &batch).select(0, 0);
        assert!((all.select(0, k) - &one).abs().max().double_value(&[]) < rounding * (1.0 + one.abs().max().double_value(&[])));
    }
    vae
}

fn count(sort: usize, i: usize, j: usize) -> f64 {
    (((i * 7 + j * 3) % 5) + if sort == j % 2 { 6 } else { 0 }) as f64
}

#[test]
fn counts() {
    let x = table(6, count);
    let with = |likelihood| Architecture { likelihood, latents: 3, input: lvm_deep::nets::Input::Log1p, ..Architecture::mlp(6, 3, &[16]) };
    for library in [Library::None, Library::Latent] {
        runs(&with(LikelihoodSpec::Poisson { library }), &x, None);
        for dispersion in [Dispersion::Shared, Dispersion::Columns, Dispersion::Entries] {
            runs(&with(LikelihoodSpec::NegativeBinomial { dispersion, library }), &x, None);
            runs(&with(LikelihoodSpec::ZeroInflatedNegativeBinomial { dispersion, library }), &x, None);
        }
    }
    let condition = Array2::from_shape_fn((ROWS, 1), |(i, _)| x.row(i).sum().ln());
    for library in [Library::Exposure(0), Library::Condition(0)] {
        let likelihood = LikelihoodSpec::NegativeBinomial { dispersion: Dispersion::Columns, library };
        runs(&Architecture { condition: 1, ..with(likelihood) }, &x, Some(condition.clone()));
    }
}

#[test]
fn a_given_size_is_kept() {
    let x = table(6, count);
    let architecture = |likelihood| Architecture { likelihood, ..Architecture::mlp(6, 2, &[16]) };
    let vae = runs(&architecture(LikelihoodSpec::Multinomial), &x, None);
    let data = Dataset::new(&x, Kind::Double, tch::Device::Cpu).unwrap();
    let mut noise = Noise::new(1, Purpose::Sample, 0, Kind::Double, tch::Device::Cpu);
    let z = vae.parts.prior.sample(ROWS as i64, &mut noise);
    let drawn = vae.parts.decoder.generate(&z, &data.rows, vae.parts.likelihood.as_ref(), &mut noise);
    let sums = |x: &Tensor| x.sum_dim_intlist([1].as_slice(), false, Kind::Double);
    assert_eq!(sums(&drawn), sums(&data.rows.x));
    let zero_inflated = LikelihoodSpec::ZeroInflatedNegativeBinomial { dispersion: Dispersion::Columns, library: Library::Observed };
    runs(&architecture(zero_inflated), &x, None);
}

#[test]
fn mixed_table() {
    let x = table(4, |sort, i, j| match j {
        0 => (i as f64 * 0.37).sin() + sort as f64,
        1 => ((i + sort) % 3) as f64,
        2 => sort as f64,
        _ => count(sort, i, 1),
    });
    let block = |columns: &[i64], likelihood| BlockSpec { columns: columns.to_vec(), likelihood };
    let blocks = vec![
        block(&[0], LikelihoodSpec::Gaussian(Variance::Columns)),
        block(&[2], LikelihoodSpec::Bernoulli),
        block(&[1], LikelihoodSpec::Categorical { codes: 3 }),
        block(&[3], LikelihoodSpec::NegativeBinomial { dispersion: Dispersion::Columns, library: Library::None }),
    ];
    runs(&Architecture { likelihood: LikelihoodSpec::Mixed(blocks), ..Architecture::mlp(4, 2, &[16]) }, &x, None);
}

#[test]
fn images() {
    for (channels, height, width) in [(1, 8, 8), (3, 8, 4)] {
        let image = Image { channels, height, width };
        let columns = image.columns();
        let convolution =
            |layers: &[i64]| ConvolutionSpec { image, channels: layers.to_vec(), hidden: vec![16], activation: Activation::Relu };
        let base = Architecture {
            encoder: EncoderSpec::Convolution(convolution(&[4, 8])),
            decoder: DecoderSpec::Convolution(convolution(&[8, 4])),
            ..Architecture::mlp(columns, 2, &[])
        };
        let grey = table(columns as usize, |sort, i, j| ((i * 13 + j * 5) % 64 + 128 * sort) as f64 / 255.0);
        for scale in [Scale::Shared, Scale::Columns, Scale::Entries] {
            let likelihood = LikelihoodSpec::DiscretizedLogistic { levels: 256, scale };
            runs(&Architecture { likelihood, ..base.clone() }, &grey, None);
        }
        let binary = grey.mapv(|g| f64::from(g > 0.4));
        let told = Array2::from_shape_fn((ROWS, 2), |(i, j)| f64::from(i % 2 == j));
        runs(&Architecture { likelihood: LikelihoodSpec::Bernoulli, condition: 2, mask: true, ..base.clone() }, &binary, Some(told));
        runs(&Architecture { likelihood: LikelihoodSpec::Categorical { codes: 2 }, ..base }, &binary, None);
    }
}

#[test]
fn the_decoder_of_images_starts_at_the_mean_image() {
    let image = Image { channels: 1, height: 4, width: 4 };
    let spec = ConvolutionSpec { image, channels: vec![4], hidden: vec![], activation: Activation::Relu };
    let architecture = Architecture { decoder: DecoderSpec::Convolution(spec), ..Architecture::mlp(16, 2, &[]) };
    let x = table(16, |sort, i, j| sort as f64 + (i * j) as f64 / 100.0);
    let data = Dataset::new(&x, Kind::Double, tch::Device::Cpu).unwrap();
    let vae = Vae::new(architecture, &data, 3).unwrap();
    let bias = vae.parts.decoder.output_bias().unwrap();
    let mean = data.rows.x.mean_dim([0].as_slice(), false, None);
    assert!((bias - mean).abs().max().double_value(&[]) < 1e-12);
}

fn sequence_nets(steps: Steps) -> Vec<(EncoderSpec, DecoderSpec)> {
    let recurrent = |cell| RecurrentSpec { steps, cell, hidden: 8, layers: 1 };
    let attention = AttentionSpec { steps, width: 8, heads: 2, layers: 1 };
    vec![
        (EncoderSpec::Recurrent(recurrent(Cell::Gru)), DecoderSpec::Recurrent(recurrent(Cell::Lstm))),
        (EncoderSpec::Recurrent(recurrent(Cell::Lstm)), DecoderSpec::Recurrent(recurrent(Cell::Gru))),
        (EncoderSpec::Attention(attention.clone()), DecoderSpec::Attention(attention)),
    ]
}

#[test]
fn sequences() {
    let tokens = table(7, |sort, i, j| ((i + j * (1 + sort)) % 4) as f64);
    for (encoder, decoder) in sequence_nets(Steps::Tokens { codes: 4, embedding: 3 }) {
        let likelihood = LikelihoodSpec::Categorical { codes: 4 };
        runs(&Architecture { encoder, decoder, likelihood, ..Architecture::mlp(7, 2, &[]) }, &tokens, None);
    }
    let series = table(8, |sort, i, j| (i as f64 + j as f64 * (0.5 + sort as f64)).sin());
    let told = Array2::from_shape_fn((ROWS, 2), |(i, j)| f64::from(i % 2 == j));
    for (encoder, decoder) in sequence_nets(Steps::Numbers { columns: 2 }) {
        for variance in [Variance::Columns, Variance::Entries] {
            let (encoder, decoder, likelihood) = (encoder.clone(), decoder.clone(), LikelihoodSpec::Gaussian(variance));
            let architecture = Architecture { encoder, decoder, likelihood, condition: 2, mask: true, ..Architecture::mlp(8, 2, &[]) };
            runs(&architecture, &series, Some(told.clone()));
        }
    }
}

#[test]
fn padding_adds_nothing() {
    // log p of rows of five steps of which the last two are missing is that of the same rows with anything there
    for (encoder, decoder) in sequence_nets(Steps::Tokens { codes: 4, embedding: 3 }) {
        let likelihood = LikelihoodSpec::Categorical { codes: 4 };
        let architecture = Architecture { encoder, decoder, likelihood, ..Architecture::mlp(5, 2, &[]) };
        let vae = Vae::untrained(architecture, None, Kind::Double, tch::Device::Cpu, 3).unwrap();
        let x = Tensor::from_slice(&[1.0, 3.0, 0.0, 2.0, 1.0, 2.0, 2.0, 1.0, 0.0, 3.0]).view([2, 5]);
        let observed = Tensor::from_slice(&[1.0, 1.0, 1.0, 0.0, 0.0]).expand([2, 5], false).contiguous();
        let z = Tensor::from_slice(&[0.3, -0.8, 1.1, 0.4]).view([1, 2, 2]);
        let masked = |x: Tensor| Batch { x, observed: Some(observed.shallow_clone()), condition: None, weights: None };
        let one = vae.log_likelihood(&z, &masked(x.shallow_clone()));
        let other = vae.log_likelihood(&z, &masked(x * &observed));
        assert!((&one - other).abs().max().double_value(&[]) < 1e-13);
        assert!(one.lt(0.0).all().int64_value(&[]) == 1);
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let refuse = |architecture: Architecture| {
        let built = Vae::untrained(architecture, None, Kind::Double, tch::Device::Cpu, 3);
        built.err().unwrap().to_string()
    };
    let base = || Architecture::mlp(6, 1, &[]);
    let latent = LikelihoodSpec::Poisson { library: Library::Latent };
    assert!(refuse(Architecture { likelihood: latent.clone(), ..base() }).contains("latents"));
    let recurrent = RecurrentSpec { steps: Steps::Numbers { columns: 1 }, cell: Cell::Gru, hidden: 4, layers: 1 };
    let decoder = DecoderSpec::Recurrent(recurrent.clone());
    assert!(refuse(Architecture { likelihood: latent, latents: 2, decoder, ..base() }).contains("step by step"));
    let encoder = EncoderSpec::Recurrent(recurrent);
    assert!(refuse(Architecture { encoder, input: lvm_deep::nets::Input::Standardised, ..base() }).contains("must be plain"));
    assert!(refuse(Architecture { likelihood: LikelihoodSpec::Categorical { codes: 1 }, ..base() }).contains("at least 2"));
    let image = Image { channels: 1, height: 3, width: 2 };
    let convolution = ConvolutionSpec { image, channels: vec![2], hidden: vec![], activation: Activation::Relu };
    assert!(refuse(Architecture { encoder: EncoderSpec::Convolution(convolution), ..base() }).contains("2 and 4 can"));
    let blocks = vec![BlockSpec { columns: vec![0, 1], likelihood: LikelihoodSpec::Bernoulli }];
    assert!(refuse(Architecture { likelihood: LikelihoodSpec::Mixed(blocks), ..base() }).contains("column 2 belongs to no block"));
}
