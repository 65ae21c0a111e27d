//! Posteriors and priors: normalised, differentiable, and what is drawn is what is evaluated.

use crate::checks::{close, gradient_is_right, grid, mean_is, noise, normal_rows, random_vae, sum};
use lvm_deep::architecture::{Architecture, EncoderSpec, PosteriorSpec, PriorSpec};
use lvm_deep::data::{Batch, Dataset};
use lvm_deep::posterior::{Family, FullCovariance, Positive, Posterior, Spread};
use lvm_deep::prior::{Prior, flow::Step};
use lvm_deep::tensor::to_values;
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};
use ndarray::Array2;
use tch::Device;

fn vae(latents: i64, posterior: PosteriorSpec, prior: PriorSpec) -> Vae {
    let architecture = Architecture { encoder: EncoderSpec::mlp(&[4]), posterior, prior, ..Architecture::mlp(3, latents, &[]) };
    random_vae(architecture, 0.25, 3)
}

/// Of two latents, one of every family that has a density of given z.
fn densities() -> Vec<(&'static str, Vae)> {
    let standard = || PriorSpec::StandardNormal;
    vec![
        ("diagonal", vae(2, PosteriorSpec::Diagonal, standard())),
        ("full covariance, exp", vae(2, PosteriorSpec::FullCovariance { diagonal: Positive::Exp }, standard())),
        ("full covariance, softplus", vae(2, PosteriorSpec::FullCovariance { diagonal: Positive::Softplus }, standard())),
        ("inverse autoregressive", vae(2, PosteriorSpec::InverseAutoregressive { steps: 2, context: 0, hidden: vec![6] }, standard())),
        ("the same with context", vae(2, PosteriorSpec::InverseAutoregressive { steps: 2, context: 3, hidden: vec![6] }, standard())),
        (
            "hierarchical",
            vae(2, PosteriorSpec::Hierarchical { upper: 1, hidden: vec![5] }, PriorSpec::Hierarchical { upper: 1, hidden: vec![4] }),
        ),
    ]
}

/// Of two latents, one of every prior.
fn priors() -> Vec<(&'static str, Vae)> {
    let diagonal = || PosteriorSpec::Diagonal;
    let flow = |step| PriorSpec::Flow { step, steps: 3, hidden: vec![6] };
    vec![
        ("standard normal", vae(2, diagonal(), PriorSpec::StandardNormal)),
        ("mixture", vae(2, diagonal(), PriorSpec::Mixture { components: 3, trained: true })),
        ("fixed mixture", vae(2, diagonal(), PriorSpec::Mixture { components: 3, trained: false })),
        ("vamp", vae(2, diagonal(), PriorSpec::Vamp { components: 4 })),
        ("vamp of full covariances", vae(2, PosteriorSpec::FullCovariance { diagonal: Positive::Exp }, PriorSpec::Vamp { components: 4 })),
        ("couplings", vae(2, diagonal(), flow(Step::Coupling))),
        ("autoregressive", vae(2, diagonal(), flow(Step::Autoregressive))),
        ("hierarchical", vae(2, diagonal(), PriorSpec::Hierarchical { upper: 1, hidden: vec![4] })),
    ]
}

fn features(vae: &Vae, rows: i64) -> Tensor {
    noise(20).normal(&[rows, vae.parts.family.n_features()]) * 0.6
}

fn planar(latents: i64, amortised: bool) -> Vae {
    vae(latents, PosteriorSpec::Planar { steps: 3, amortised }, PriorSpec::StandardNormal)
}

/// Expectations of z, z², z₁z₂ and cos 2z under draws (M, 2) are those of the density on the grid: twelve or fewer comparisons at 4e-8.
fn draws_agree(draws: &Tensor, log_prob: &dyn Fn(&Tensor) -> Tensor, what: &str) {
    let (points, cell) = grid(2, 20.0, 1001);
    let weight = tch::no_grad(|| log_prob(&points)).exp() * cell;
    let of = |z: &Tensor| {
        let (a, b) = (z.select(1, 0), z.select(1, 1));
        vec![a.shallow_clone(), b.shallow_clone(), a.square(), b.square(), &a * &b, (a * 2.0).cos(), (b * 2.0).cos()]
    };
    for (i, (on_grid, drawn)) in of(&points).iter().zip(of(draws)).enumerate() {
        mean_is(&to_values(&drawn), sum(&(on_grid * &weight)).double_value(&[]), &format!("{what}, moment {i}"));
    }
}

#[test]
fn posteriors_integrate_to_one() {
    let (points, cell) = grid(2, 20.0, 1001);
    for (name, vae) in densities() {
        let q = vae.parts.family.at(&features(&vae, 2));
        let z = points.unsqueeze(1).expand([-1, 2, -1], false);
        let mass = tch::no_grad(|| q.log_prob(&z).unwrap()).exp().sum_dim_intlist([0].as_slice(), false, None::<Kind>) * cell;
        // the rule is exact to rounding for smooth densities; the second derivative of elu jumps at 0, an error of h³ = 6e-5 times the jump
        let tolerance = if name.contains("autoregressive") || name.contains("context") { 1e-6 } else { 1e-10 };
        close(&mass, &Tensor::from_slice(&[1.0, 1.0]), tolerance, name);
    }
}

#[test]
fn priors_integrate_to_one() {
    let (points, cell) = grid(2, 20.0, 1001);
    for (name, vae) in priors() {
        let mass = sum(&tch::no_grad(|| vae.parts.prior.log_prob(&points)).exp()) * cell;
        // what lies outside the grid, and scales that nets make narrow: both below 1e-8 where all is smooth
        close(&mass, &Tensor::from_slice(&[1.0]).squeeze(), 1e-8, name);
    }
}

#[test]
fn a_planar_flow_of_one_latent_integrates_to_one() {
    for amortised in [false, true] {
        let vae = planar(1, amortised);
        // with this base every draw's ε is known: draws come back in the order of the noise, so sort and integrate along z
        let q = vae.parts.family.at(&features(&vae, 1));
        let draws = tch::no_grad(|| q.draw(200_000, &mut noise(21)));
        let mut pairs: Vec<(f64, f64)> = to_values(&draws.z).into_iter().zip(to_values(&draws.log_q)).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mass: f64 = pairs.windows(2).map(|w| (w[1].0 - w[0].0) * 0.5 * (w[0].1.exp() + w[1].1.exp())).sum();
        // 1/200000 in either tail, and the trapezoidal rule over gaps of that mass
        assert!((mass - 1.0).abs() < 1e-4, "{mass}");
    }
}

#[test]
fn planar_draws_weigh_to_one() {
    for amortised in [false, true] {
        let vae = planar(3, amortised);
        let q = vae.parts.family.at(&(features(&vae, 2) * 0.5));
        let draws = tch::no_grad(|| q.draw(40_000, &mut noise(22)));
        assert!(q.log_prob(&draws.z).is_none());
        // E_q[r/q] = 1 for any density r; r = N(mean of q, 1/4 of its variance) keeps the ratio bounded enough for the normal law
        let mean = draws.z.mean_dim([0].as_slice(), true, None::<Kind>);
        let sd = (&draws.z - &mean).square().mean_dim([0].as_slice(), true, None::<Kind>).sqrt() * 0.5;
        let log_r = (((&draws.z - mean) / &sd).square() * -0.5 - sd.log() - 0.5 * (2.0 * std::f64::consts::PI).ln()).sum_dim_intlist(
            [-1].as_slice(),
            false,
            None::<Kind>,
        );
        let ratio = (log_r - &draws.log_q).exp();
        for row in 0..2 {
            mean_is(&to_values(&ratio.select(1, row)), 1.0, "E[r/q]");
        }
    }
}

#[test]
fn draws_know_their_density() {
    for (name, vae) in densities() {
        let q = vae.parts.family.at(&features(&vae, 4));
        let draws = q.draw(3, &mut noise(23));
        // inverses of two gated steps lose a few digits
        close(&draws.log_q, &q.log_prob(&draws.z).unwrap(), 1e-10, name);
        assert_eq!((draws.z.size(), q.mode().size()), (vec![3, 4, 2], vec![4, 2]));
    }
}

#[test]
fn posterior_draws_agree_with_log_prob() {
    for (name, vae) in densities() {
        let q = vae.parts.family.at(&features(&vae, 1));
        let draws = tch::no_grad(|| q.draw(40_000, &mut noise(24))).z.select(1, 0);
        draws_agree(&draws, &|z| q.log_prob(&z.unsqueeze(1)).unwrap().squeeze_dim(1), name);
    }
}

#[test]
fn prior_draws_agree_with_log_prob() {
    for (name, vae) in priors() {
        let draws = tch::no_grad(|| vae.parts.prior.sample(40_000, &mut noise(25)));
        draws_agree(&draws, &|z| vae.parts.prior.log_prob(z), name);
    }
}

#[test]
fn posterior_gradients_are_central_differences() {
    for (name, vae) in densities() {
        let family = &vae.parts.family;
        let (at, z) = (features(&vae, 2), noise(26).normal(&[3, 2, 2]));
        gradient_is_right(&|f| sum(&family.at(f).log_prob(&z).unwrap()), &at, &format!("{name}, features"));
        let q = family.at(&at);
        gradient_is_right(&|z| sum(&q.log_prob(z).unwrap()), &z, &format!("{name}, z"));
        // the same noise in every evaluation: draws are a smooth function of the features
        let by_draws = |f: &Tensor| {
            let draws = family.at(f).draw(2, &mut noise(27));
            sum(&(draws.z.sin().sum_dim_intlist([-1].as_slice(), false, None::<Kind>) + draws.log_q))
        };
        gradient_is_right(&by_draws, &at, &format!("{name}, draws"));
    }
    for amortised in [false, true] {
        let vae = planar(2, amortised);
        let by_draws = |f: &Tensor| {
            let draws = vae.parts.family.at(f).draw(2, &mut noise(27));
            sum(&(draws.z.sin().sum_dim_intlist([-1].as_slice(), false, None::<Kind>) + draws.log_q))
        };
        gradient_is_right(&by_draws, &features(&vae, 2), "planar, draws");
    }
}

#[test]
fn prior_gradients_are_central_differences() {
    for (name, vae) in priors() {
        gradient_is_right(&|z| sum(&vae.parts.prior.log_prob(z)), &noise(28).normal(&[3, 2]), name);
    }
}

#[test]
fn a_detached_posterior_is_the_same_without_gradients() {
    for (name, vae) in densities() {
        let leaf = features(&vae, 2).set_requires_grad(true);
        let q = vae.parts.family.at(&leaf);
        let z = noise(29).normal(&[3, 2, 2]);
        let detached = q.detach().log_prob(&z).unwrap();
        close(&detached, &q.log_prob(&z).unwrap(), 0.0, name);
        assert!(!detached.requires_grad(), "{name}");
        let shared = vae.parts.family.share().at(&leaf).log_prob(&z).unwrap();
        close(&shared, &detached, 0.0, name);
    }
}

/// Features (m, v, below the diagonal) of three latents.
fn golden() -> (Tensor, Tensor) {
    let features = Tensor::from_slice(&[0.3, -0.7, 1.1, 0.2, -0.4, 0.6, 0.5, -1.2, 0.8]).view([1, 9]);
    (features, Tensor::from_slice(&[0.1, 0.2, -0.3]).view([1, 1, 3]))
}

#[test]
fn gaussians_have_scipys_values() {
    // scipy.stats.multivariate_normal(m, C @ C.T).logpdf(z), C = [[e^.1, 0, 0], [.5, e^-.2, 0], [-1.2, .8, e^.3]]; then with
    // log1p(exp(v)) + 1e-6 on the diagonal; then with diag(exp(v)) for covariance
    let (features, z) = golden();
    let value = |q: Box<dyn Posterior>| q.log_prob(&z).unwrap().double_value(&[0, 0]);
    let full = |positive| FullCovariance::new(3, positive, Device::Cpu).at(&features);
    let diagonal = lvm_deep::posterior::Diagonal { latents: 3 }.at(&features.narrow(1, 0, 6));
    for (value, expected) in [
        (value(full(Positive::Exp)), -5.538593149865031),
        (value(full(Positive::Softplus)), -8.986414076952457),
        (value(diagonal), -4.115214620592438),
    ] {
        assert!((value - expected).abs() < 1e-12, "{value} against {expected}");
    }
}

#[test]
fn mixtures_have_scipys_value() {
    // logsumexp([log_softmax(a)[k] + multivariate_normal(mu[k], diag(exp(v[k]))).logpdf(z) for k in range(2)])
    let mut vae = vae(2, PosteriorSpec::Diagonal, PriorSpec::Mixture { components: 2, trained: true });
    vae.parameters.set("prior.logits", &Tensor::from_slice(&[0.4, -0.3])).unwrap();
    vae.parameters.set("prior.means", &Tensor::from_slice(&[1.0, -2.0, 0.5, 0.25]).view([2, 2])).unwrap();
    vae.parameters.set("prior.log_variances", &Tensor::from_slice(&[0.3, -0.2, -1.0, 0.7]).view([2, 2])).unwrap();
    let value = vae.parts.prior.log_prob(&Tensor::from_slice(&[0.2, -0.6])).double_value(&[]);
    assert!((value - -2.6666233994788424).abs() < 1e-12, "{value}");
}

#[test]
fn closed_kl_is_the_mean_of_draws() {
    for (name, vae) in densities().into_iter().take(3) {
        let q = vae.parts.family.at(&features(&vae, 2));
        let kl = vae.parts.prior.kl(q.as_ref()).unwrap();
        let draws = q.draw(40_000, &mut noise(30));
        let by_draws = draws.log_q - vae.parts.prior.log_prob(&draws.z);
        for row in 0..2 {
            mean_is(&to_values(&by_draws.select(1, row)), kl.double_value(&[row]), name);
        }
        if let Some(by_latent) = vae.parts.prior.kl_by_latent(q.as_ref()) {
            close(&by_latent.sum_dim_intlist([1].as_slice(), false, None::<Kind>), &kl, 1e-14, "latents add up");
        }
    }
    // ½ (tr S + mᵀm − 3 − log det S) by numpy
    let (features, _) = golden();
    let q = FullCovariance::new(3, Positive::Exp, Device::Cpu).at(&features);
    let kl = lvm_deep::prior::StandardNormal { latents: 3 }.kl(q.as_ref()).unwrap().double_value(&[0]);
    assert!((kl - 2.216920802293159).abs() < 1e-12, "{kl}");
}

#[test]
fn a_kl_over_latents_is_a_sum_not_an_average() {
    // L equal latents have L times the KL of one
    let kl = |latents: i64| {
        let features = Tensor::cat(
            &[Tensor::full([1, latents], 0.7, (Kind::Double, Device::Cpu)), Tensor::full([1, latents], -0.5, (Kind::Double, Device::Cpu))],
            1,
        );
        let q = lvm_deep::posterior::Diagonal { latents }.at(&features);
        lvm_deep::prior::StandardNormal { latents }.kl(q.as_ref()).unwrap().double_value(&[0])
    };
    // ½ (e^−½ + 0.49 − 1 + ½)
    let one = 0.5 * ((-0.5_f64).exp() + 0.49 - 0.5);
    assert!((kl(1) - one).abs() < 1e-14 && (kl(7) - 7.0 * one).abs() < 1e-13);
}

#[test]
fn a_full_covariance_with_nothing_below_is_diagonal() {
    let features = noise(31).normal(&[4, 6]);
    let padded = Tensor::cat(&[&features, &Tensor::zeros([4, 3], (Kind::Double, Device::Cpu))], 1);
    let diagonal = lvm_deep::posterior::Diagonal { latents: 3 }.at(&features);
    let full = FullCovariance::new(3, Positive::Exp, Device::Cpu).at(&padded);
    let (a, b) = (diagonal.draw(2, &mut noise(32)), full.draw(2, &mut noise(32)));
    close(&a.z, &b.z, 1e-14, "z");
    close(&a.log_q, &b.log_q, 1e-14, "log q");
    let prior = lvm_deep::prior::StandardNormal { latents: 3 };
    close(&prior.kl(diagonal.as_ref()).unwrap(), &prior.kl(full.as_ref()).unwrap(), 1e-14, "KL");
    let Some(Spread::Cholesky(factor)) = full.gaussian().map(|g| g.spread) else { panic!("a Cholesky factor") };
    assert_eq!(factor.size(), [4, 3, 3]);
}

#[test]
fn a_vamp_prior_is_the_mean_of_its_posteriors() {
    let x = Array2::from_shape_fn((9, 3), |(i, j)| ((i * 3 + j) as f64 * 0.7).sin());
    let data = Dataset::new(&x, Kind::Double, Device::Cpu).unwrap();
    let architecture = Architecture { prior: PriorSpec::Vamp { components: 5 }, ..Architecture::mlp(3, 2, &[4]) };
    let vae = Vae::new(architecture, &data, 1).unwrap();
    let inputs = vae.parameters.get("prior.inputs").unwrap();
    // they start at rows of the table, no row twice
    let mut rows: Vec<i64> = (0..5)
        .map(|k| (0..9).find(|&n| to_values(&inputs.select(0, k)) == to_values(&data.rows.x.select(0, n))).expect("a row of the table"))
        .collect();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows.len(), 5);
    let z = noise(33).normal(&[7, 2]);
    let mut mean = Tensor::zeros([7], (Kind::Double, Device::Cpu));
    for k in 0..5 {
        let q = vae.posterior(&Batch::new(inputs.narrow(0, k, 1)));
        mean += q.log_prob(&z.unsqueeze(1)).unwrap().squeeze_dim(1).exp() / 5.0;
    }
    close(&vae.parts.prior.log_prob(&z), &mean.log(), 1e-13, "vamp");
    // the gradient reaches pseudo-inputs and encoder
    sum(&vae.parts.prior.log_prob(&z)).backward();
    for name in ["prior.inputs", "encoder.0.weight"] {
        let gradient = vae.parameters.get(name).unwrap().grad();
        assert!(to_values(&gradient).iter().any(|g| *g != 0.0), "{name}");
    }
}

#[test]
fn the_decoder_sees_the_lower_layer_only() {
    let (posterior, prior) =
        (PosteriorSpec::Hierarchical { upper: 2, hidden: vec![4] }, PriorSpec::Hierarchical { upper: 2, hidden: vec![4] });
    let vae = vae(5, posterior, prior);
    assert_eq!((vae.latents(), vae.parts.family.n_features()), (5, 6));
    let batch = normal_rows(4, 3, 34);
    let z = noise(35).normal(&[2, 4, 5]).set_requires_grad(true);
    let gradient = Tensor::run_backward(&[sum(&vae.log_likelihood(&z, &batch))], &[&z], false, false).swap_remove(0);
    assert!(to_values(&gradient.narrow(2, 0, 3)).iter().all(|g| *g != 0.0));
    assert!(to_values(&gradient.narrow(2, 3, 2)).iter().all(|g| *g == 0.0));
    assert_eq!(vae.parts.prior.sample(6, &mut noise(36)).size(), [6, 5]);
}

#[test]
fn categorical_draws_have_their_probabilities() {
    let vae = vae(4, PosteriorSpec::Categorical, PriorSpec::Categorical { trained: true });
    let q = vae.parts.family.at(&features(&vae, 2));
    let probabilities = q.probabilities().unwrap();
    close(&probabilities.sum_dim_intlist([1].as_slice(), false, None::<Kind>), &Tensor::from_slice(&[1.0, 1.0]), 1e-14, "sum to 1");
    let draws = q.draw(20_000, &mut noise(37));
    close(&draws.log_q, &q.log_prob(&draws.z).unwrap(), 0.0, "log q");
    let prior_draws = vae.parts.prior.sample(20_000, &mut noise(38));
    let prior = vae.parts.prior.log_prob(&vae.parts.prior.support().unwrap()).exp();
    for value in 0..4 {
        mean_is(&to_values(&prior_draws.select(1, value)), prior.double_value(&[value]), "prior");
        for row in 0..2 {
            mean_is(&to_values(&draws.z.select(2, value).select(1, row)), probabilities.double_value(&[row, value]), "posterior");
        }
    }
    // KL by its definition
    let by_draws = draws.log_q - vae.parts.prior.log_prob(&draws.z);
    mean_is(&to_values(&by_draws.select(1, 0)), vae.parts.prior.kl(q.as_ref()).unwrap().double_value(&[0]), "KL");
    let largest = probabilities.argmax(-1, false);
    assert_eq!(to_values(&q.mode().argmax(-1, false)), to_values(&largest));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let refused = |latents: i64, condition: i64, posterior: PosteriorSpec, prior: PriorSpec, what: &str| {
        let architecture = Architecture { posterior, prior, condition, ..Architecture::mlp(3, latents, &[]) };
        let error = Vae::untrained(architecture, None, Kind::Double, Device::Cpu, 0).err().map(|e| e.to_string());
        assert!(error.as_deref().is_some_and(|e| e.contains(what)), "{error:?} against {what}");
    };
    let upper = |upper| PriorSpec::Hierarchical { upper, hidden: vec![] };
    refused(3, 0, PosteriorSpec::Categorical, PriorSpec::StandardNormal, "categorical prior");
    refused(3, 0, PosteriorSpec::Diagonal, PriorSpec::Categorical { trained: false }, "categorical posterior");
    refused(3, 0, PosteriorSpec::Hierarchical { upper: 1, hidden: vec![] }, PriorSpec::StandardNormal, "hierarchical");
    refused(3, 0, PosteriorSpec::Hierarchical { upper: 1, hidden: vec![] }, upper(2), "same number");
    refused(3, 0, PosteriorSpec::Diagonal, upper(3), "lower layer");
    refused(3, 0, PosteriorSpec::Planar { steps: 2, amortised: true }, PriorSpec::Vamp { components: 3 }, "planar");
    refused(3, 0, PosteriorSpec::Planar { steps: 0, amortised: true }, PriorSpec::StandardNormal, "at least 1");
    refused(3, 1, PosteriorSpec::Diagonal, PriorSpec::Vamp { components: 3 }, "condition");
    refused(3, 0, PosteriorSpec::Diagonal, PriorSpec::Mixture { components: 0, trained: true }, "at least 1");
}
