//! Stochastic gradients have the right expectation, and the variance that is claimed for them.

use crate::checks::{close, gradient_is_right, gradient_of, gradient_with, mean_is, noise, normal_rows, random_vae, sum};
use lvm_deep::architecture::{Architecture, EncoderSpec, PosteriorSpec, PriorSpec};
use lvm_deep::data::Batch;
use lvm_deep::objective::{Elbo, GumbelSoftmax, Iwae, IwaeGradient, KlTerm, Objective, ScoreFunction};
use lvm_deep::posterior::Positive;
use lvm_deep::tensor::to_values;
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};
use std::f64::consts::PI;

/// R gradients of the parameters below `prefix` with independent noise, (R, P).
fn replicates(objective: Objective, vae: &Vae, batch: &Batch, prefix: &str, count: u64) -> Tensor {
    let of = |index| gradient_with(vae, &objective.evaluate(vae, batch, 1.0, &mut noise(5000 + index)).unwrap().surrogate, prefix);
    Tensor::stack(&(0..count).map(of).collect::<Vec<_>>(), 0)
}

/// Every column's mean is `expected` within 5.5 standard errors: 4e-8 a column, below 1e-5 for all columns of all tests here.
fn expectation_is(gradients: &Tensor, expected: &Tensor, what: &str) {
    for column in 0..gradients.size()[1] {
        mean_is(&to_values(&gradients.select(1, column)), expected.double_value(&[column]), &format!("{what}, parameter {column}"));
    }
}

fn variance(gradients: &Tensor) -> f64 {
    sum(&gradients.var_dim([0].as_slice(), true, false)).double_value(&[])
}

fn small() -> (Vae, Batch) {
    let architecture = Architecture { encoder: EncoderSpec::mlp(&[3]), ..Architecture::mlp(2, 2, &[3]) };
    (random_vae(architecture, 0.6, 8), normal_rows(2, 2, 80))
}

/// The ELBO of a linear model with one noise variance in closed form, from its parameters:
/// E_q log p(x | z) = −½ [D log 2πσ² + (‖x − W m − b‖² + Σ_l s_l² ‖w_l‖²)/σ²].
fn linear_elbo(vae: &Vae, x: &Tensor) -> Tensor {
    let get = |name: &str| vae.parameters.get(name).unwrap();
    let features = x.linear(get("encoder.0.weight"), Some(get("encoder.0.bias")));
    let l = vae.latents();
    let (m, v) = (features.narrow(1, 0, l), features.narrow(1, l, l));
    let (w, log_variance) = (get("decoder.0.weight"), get("likelihood.log_variance"));
    let rows = |t: Tensor| t.sum_dim_intlist([-1].as_slice(), false, None::<Kind>);
    let square = rows((x - m.linear(w, Some(get("decoder.0.bias")))).square())
        + rows(v.exp() * w.square().sum_dim_intlist([0].as_slice(), false, None::<Kind>));
    let reconstruction = (square * (-log_variance).exp() + (log_variance + (2.0 * PI).ln()) * x.size()[1] as f64) * -0.5;
    reconstruction - rows((v.exp() + m.square() - 1.0 - v) * 0.5)
}

#[test]
fn on_a_linear_gaussian_model_the_expected_gradient_is_the_analytic_one() {
    let vae = random_vae(Architecture::linear(3, 2), 0.5, 9);
    let batch = normal_rows(4, 3, 81);
    let expected = gradient_of(&vae, &linear_elbo(&vae, &batch.x));
    for kl in [KlTerm::Analytic, KlTerm::Draws, KlTerm::StickingTheLanding] {
        let gradients = replicates(Objective::Elbo(Elbo { draws: 4, kl, ..Elbo::default() }), &vae, &batch, "", 500);
        expectation_is(&gradients, &expected, &format!("{kl:?}"));
    }
    let gradients = replicates(Objective::ScoreFunction(ScoreFunction { draws: 8, beta: 1.0 }), &vae, &batch, "", 500);
    expectation_is(&gradients, &expected, "score function");
}

#[test]
fn both_iwae_gradients_have_one_expectation_and_the_doubly_reparameterised_less_variance() {
    let (vae, batch) = small();
    let of = |gradient, prefix: &str| replicates(Objective::Iwae(Iwae { draws: 8, gradient }), &vae, &batch, prefix, 1500);
    let (pathwise, doubly) = (of(IwaeGradient::Pathwise, "encoder"), of(IwaeGradient::DoublyReparameterized, "encoder"));
    // the same noise in both: the differences have mean 0
    expectation_is(&(&pathwise - &doubly), &Tensor::zeros([pathwise.size()[1]], (Kind::Double, tch::Device::Cpu)), "difference");
    // 1500 replicates know either variance to about 5 %
    let (a, b) = (variance(&pathwise), variance(&doubly));
    assert!(b < 0.8 * a, "{b} against {a}");
    // the decoder's gradient is the same draw by draw
    let decoder = |gradient| replicates(Objective::Iwae(Iwae { draws: 8, gradient }), &vae, &batch, "decoder", 2);
    close(&decoder(IwaeGradient::Pathwise), &decoder(IwaeGradient::DoublyReparameterized), 1e-12, "decoder");
}

/// A linear model of which q is the exact posterior: m = M⁻¹Wᵀ(x − b), C Cᵀ = σ² M⁻¹, M = WᵀW + σ² I.
fn at_the_posterior() -> Vae {
    let architecture = Architecture { posterior: PosteriorSpec::FullCovariance { diagonal: Positive::Exp }, ..Architecture::linear(3, 2) };
    let mut vae = random_vae(architecture, 0.7, 10);
    let get = |name: &str| vae.parameters.get(name).unwrap().detach().copy();
    let (w, b, variance) = (get("decoder.0.weight"), get("decoder.0.bias"), get("likelihood.log_variance").exp());
    let inverse = (w.transpose(0, 1).matmul(&w) + Tensor::eye(2, (Kind::Double, tch::Device::Cpu)) * &variance).inverse();
    let map = inverse.matmul(&w.transpose(0, 1));
    let c = (inverse * variance).linalg_cholesky(false);
    let weight = Tensor::zeros([5, 3], (Kind::Double, tch::Device::Cpu));
    weight.narrow(0, 0, 2).copy_(&map);
    let log_variances = c.diagonal(0, 0, 1).log() * 2.0;
    let bias = Tensor::cat(&[-map.matmul(&b), log_variances, c.narrow(0, 1, 1).narrow(1, 0, 1).reshape([1])], 0);
    vae.parameters.set("encoder.0.weight", &weight).unwrap();
    vae.parameters.set("encoder.0.bias", &bias).unwrap();
    vae
}

#[test]
fn at_the_exact_posterior_every_weight_is_the_evidence_and_the_encoders_gradient_has_no_noise() {
    let (vae, batch) = (at_the_posterior(), normal_rows(5, 3, 82));
    let log_w = vae.terms(&batch, 7, &mut noise(83)).log_weights();
    // log N(x; b, W Wᵀ + σ² I)
    let get = |name: &str| vae.parameters.get(name).unwrap().detach();
    let w = get("decoder.0.weight");
    let covariance = w.matmul(&w.transpose(0, 1)) + Tensor::eye(3, (Kind::Double, tch::Device::Cpu)) * get("likelihood.log_variance").exp();
    let centred = &batch.x - get("decoder.0.bias");
    let square = (centred.matmul(&covariance.inverse()) * &centred).sum_dim_intlist([1].as_slice(), false, None::<Kind>);
    let evidence = (square + covariance.logdet() + 3.0 * (2.0 * PI).ln()) * -0.5;
    close(&log_w, &evidence.unsqueeze(0).expand([7, 5], false), 1e-12, "log weights");
    for (objective, quiet) in [
        (Objective::Elbo(Elbo { kl: KlTerm::StickingTheLanding, ..Elbo::default() }), true),
        (Objective::Iwae(Iwae { draws: 4, gradient: IwaeGradient::DoublyReparameterized }), true),
        (Objective::ScoreFunction(ScoreFunction { draws: 4, beta: 1.0 }), false),
        (Objective::Elbo(Elbo { kl: KlTerm::Draws, ..Elbo::default() }), false),
    ] {
        let evaluation = objective.evaluate(&vae, &batch, 1.0, &mut noise(84)).unwrap();
        let gradient = gradient_with(&vae, &evaluation.surrogate, "encoder");
        let largest = gradient.abs().max().double_value(&[]);
        // rounding of sums of numbers of order 10
        assert_eq!(largest < 1e-11, quiet, "{objective:?}: {largest}");
    }
}

fn discrete() -> (Vae, Batch) {
    let architecture = Architecture {
        encoder: EncoderSpec::mlp(&[3]),
        posterior: PosteriorSpec::Categorical,
        prior: PriorSpec::Categorical { trained: true },
        ..Architecture::mlp(2, 3, &[])
    };
    (random_vae(architecture, 0.7, 11), normal_rows(2, 2, 85))
}

#[test]
fn sums_over_values_and_the_score_function_have_one_expectation() {
    let (vae, batch) = discrete();
    for beta in [1.0, 2.5] {
        let exact = Objective::Elbo(Elbo { beta, ..Elbo::default() }).evaluate(&vae, &batch, 1.0, &mut noise(86)).unwrap();
        let expected = gradient_of(&vae, &exact.surrogate);
        let gradients = replicates(Objective::ScoreFunction(ScoreFunction { draws: 4, beta }), &vae, &batch, "", 1500);
        expectation_is(&gradients, &expected, "score function");
    }
}

#[test]
fn the_control_variate_is_worth_having() {
    let (vae, batch) = discrete();
    let with = replicates(Objective::ScoreFunction(ScoreFunction { draws: 4, beta: 1.0 }), &vae, &batch, "encoder", 500);
    // without: Σ f log q / S by hand
    let without: Vec<Tensor> = (0..500)
        .map(|index| {
            let posterior = vae.posterior(&batch);
            let z = posterior.draw(4, &mut noise(9000 + index)).z;
            let f = vae.log_likelihood(&z, &batch).detach();
            gradient_with(&vae, &((f * posterior.log_prob(&z).unwrap()) / 4.0), "encoder")
        })
        .collect();
    let (a, b) = (variance(&with), variance(&Tensor::stack(&without, 0)));
    assert!(a < 0.5 * b, "{a} against {b}");
}

#[test]
fn the_importance_weighted_score_function_has_the_gradient_of_the_expected_bound() {
    // two draws of three values: E over all nine pairs, each with its probability
    let (vae, batch) = discrete();
    let posterior = vae.posterior(&batch);
    let log_q = posterior.log_probabilities().unwrap().transpose(0, 1);
    let log_w = vae.summation(&batch).unwrap().log_joint() - &log_q;
    let mut expected = Tensor::zeros([2], (Kind::Double, tch::Device::Cpu));
    for i in 0..3 {
        for j in 0..3 {
            let bound = Tensor::stack(&[log_w.get(i), log_w.get(j)], 0).logsumexp([0].as_slice(), false) - 2.0_f64.ln();
            expected += (log_q.get(i) + log_q.get(j)).exp() * bound;
        }
    }
    let expected = gradient_of(&vae, &expected);
    let gradients = replicates(Objective::Iwae(Iwae { draws: 2, gradient: IwaeGradient::Pathwise }), &vae, &batch, "", 3000);
    expectation_is(&gradients, &expected, "VIMCO");
}

#[test]
fn the_relaxation_is_differentiated_and_reports_the_discrete_bound() {
    let (vae, batch) = discrete();
    let objective = Objective::GumbelSoftmax(GumbelSoftmax { draws: 2, temperature: 0.7, beta: 1.0 });
    // its gradient in the features through the encoder's bias, with the noise held
    let bias = vae.parameters.get("encoder.1.bias").unwrap();
    let start = bias.detach().copy();
    let evaluation = objective.evaluate(&vae, &batch, 1.0, &mut noise(87)).unwrap();
    let gradient = to_values(&gradient_with(&vae, &evaluation.surrogate, "encoder.1.bias"));
    let h = 1e-5;
    for k in 0..3 {
        let value = |by: f64| {
            tch::no_grad(|| {
                bias.shallow_clone().copy_(&start);
                let _ = bias.get(k).g_add_scalar_(by);
            });
            sum(&objective.evaluate(&vae, &batch, 1.0, &mut noise(87)).unwrap().surrogate).double_value(&[])
        };
        let difference = (value(h) - value(-h)) / (2.0 * h);
        // step h: an error of h² and 1e-16/h
        assert!(
            (gradient[k as usize] - difference).abs() < 1e-7 * (1.0 + difference.abs()),
            "{} against {difference}",
            gradient[k as usize]
        );
    }
    tch::no_grad(|| bias.shallow_clone().copy_(&start));
    let exact = Objective::Elbo(Elbo::default()).evaluate(&vae, &batch, 1.0, &mut noise(88)).unwrap().bound;
    let bounds: Vec<Tensor> = (0..2000).map(|i| objective.evaluate(&vae, &batch, 1.0, &mut noise(20_000 + i)).unwrap().bound).collect();
    expectation_is(&Tensor::stack(&bounds, 0), &exact, "bound");
}

#[test]
fn objectives_are_differentiated_right_with_their_noise_held() {
    let (vae, batch) = small();
    for objective in [
        Objective::Elbo(Elbo { draws: 2, ..Elbo::default() }),
        Objective::Elbo(Elbo { draws: 2, kl: KlTerm::Draws, beta: 0.3, ..Elbo::default() }),
        Objective::Iwae(Iwae { draws: 3, gradient: IwaeGradient::Pathwise }),
        Objective::Autoencoder,
    ] {
        // by the data: the one input all of it depends on
        let of = |x: &Tensor| sum(&objective.evaluate(&vae, &Batch::new(x.shallow_clone()), 1.0, &mut noise(89)).unwrap().surrogate);
        gradient_is_right(&of, &batch.x, &format!("{objective:?}"));
    }
}
