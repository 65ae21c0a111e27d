//! What is reported, and what the batch and its missing entries have to do with it.

use crate::checks::{close, gradient_of, noise, normal_rows, random_vae, sum};
use lvm_deep::architecture::{Architecture, BlockSpec, EncoderSpec, LikelihoodSpec, PosteriorSpec, PriorSpec};
use lvm_deep::data::Batch;
use lvm_deep::likelihood::Library;
use lvm_deep::objective::{Elbo, Evaluation, GumbelSoftmax, Iwae, IwaeGradient, KlTerm, Objective, ScoreFunction};
use lvm_deep::posterior::Positive;
use lvm_deep::tensor::to_values;
use lvm_deep::vae::Vae;
use lvm_deep::{Kind, Tensor};

fn architecture(latents: i64, posterior: PosteriorSpec, prior: PriorSpec) -> Architecture {
    Architecture { encoder: EncoderSpec::mlp(&[5]), posterior, prior, mask: true, ..Architecture::mlp(3, latents, &[4]) }
}

fn vae(posterior: PosteriorSpec, prior: PriorSpec) -> Vae {
    random_vae(architecture(2, posterior, prior), 0.5, 4)
}

fn diagonal() -> Vae {
    vae(PosteriorSpec::Diagonal, PriorSpec::StandardNormal)
}

fn discrete(k: i64) -> Vae {
    random_vae(architecture(k, PosteriorSpec::Categorical, PriorSpec::Categorical { trained: true }), 0.5, 5)
}

fn elbo(elbo: Elbo, vae: &Vae, batch: &Batch, index: u64) -> Evaluation {
    Objective::Elbo(elbo).evaluate(vae, batch, 1.0, &mut noise(index)).unwrap()
}

#[test]
fn the_bound_reported_is_the_elbo_whatever_is_maximised() {
    for vae in [diagonal(), discrete(3)] {
        let batch = normal_rows(6, 3, 50);
        let plain = elbo(Elbo::default(), &vae, &batch, 51);
        let other =
            Objective::Elbo(Elbo { beta: 4.0, free_nats: 0.5, ..Elbo::default() }).evaluate(&vae, &batch, 0.3, &mut noise(51)).unwrap();
        close(&plain.bound, &other.bound, 0.0, "bound");
        close(&plain.bound, &plain.surrogate.detach(), 1e-13, "with nothing else asked for the bound is maximised");
        close(&(&plain.reconstruction - &plain.kl), &plain.bound, 0.0, "its two terms");
        let scaled = Objective::Elbo(Elbo { beta: 4.0, ..Elbo::default() }).evaluate(&vae, &batch, 0.25, &mut noise(51)).unwrap();
        close(&scaled.surrogate.detach(), &plain.bound, 1e-13, "beta times warm-up is 1");
        let beta = elbo(Elbo { beta: 4.0, ..Elbo::default() }, &vae, &batch, 51);
        close(&beta.surrogate.detach(), &(&plain.reconstruction - &plain.kl * 4.0), 1e-13, "beta");
    }
}

#[test]
fn the_bound_is_summed_over_columns_and_latents() {
    // the same column and the same latent three times over: three times the nats
    let one = Architecture {
        likelihood: LikelihoodSpec::Gaussian(lvm_deep::likelihood::gaussian::Variance::Fixed(0.5)),
        ..Architecture::mlp(1, 1, &[])
    };
    let three = Architecture { columns: 3, latents: 3, ..one.clone() };
    let batch = normal_rows(4, 1, 52);
    let thrice = Batch::new(batch.x.expand([4, 3], false));
    let vae = |architecture: Architecture| {
        let vae = Vae::untrained(architecture, None, Kind::Double, tch::Device::Cpu, 0).unwrap();
        for parameter in vae.parameters.trained() {
            // decoder 0: reconstructions do not depend on draws
            let value = if parameter.name.ends_with("bias") { 0.4 } else { 0.0 };
            let _ = tch::no_grad(|| parameter.value.shallow_clone().fill_(value));
        }
        vae
    };
    let (a, b) = (elbo(Elbo::default(), &vae(one), &batch, 53), elbo(Elbo::default(), &vae(three), &thrice, 54));
    for (a, b) in [(&a.bound, &b.bound), (&a.reconstruction, &b.reconstruction), (&a.kl, &b.kl)] {
        close(&(a * 3.0), b, 1e-13, "three times");
    }
}

#[test]
fn with_one_draw_iwae_is_the_elbo() {
    for vae in
        [diagonal(), vae(PosteriorSpec::FullCovariance { diagonal: Positive::Exp }, PriorSpec::Mixture { components: 3, trained: true })]
    {
        let batch = normal_rows(6, 3, 55);
        let a = elbo(Elbo { kl: KlTerm::Draws, ..Elbo::default() }, &vae, &batch, 56);
        let gradient = gradient_of(&vae, &a.surrogate);
        for kind in [IwaeGradient::Pathwise, IwaeGradient::DoublyReparameterized] {
            let b = Objective::Iwae(Iwae { draws: 1, gradient: kind }).evaluate(&vae, &batch, 1.0, &mut noise(56)).unwrap();
            close(&a.bound, &b.bound, 1e-13, "bound");
            if kind == IwaeGradient::Pathwise {
                close(&gradient, &gradient_of(&vae, &b.surrogate), 1e-12, "gradient");
            } else {
                // with one draw the doubly reparameterised gradient is sticking the landing
                let c = elbo(Elbo { kl: KlTerm::StickingTheLanding, ..Elbo::default() }, &vae, &batch, 56);
                close(&gradient_of(&vae, &c.surrogate), &gradient_of(&vae, &b.surrogate), 1e-12, "gradient");
            }
        }
    }
}

#[test]
fn both_iwae_gradients_report_the_log_of_the_mean_of_weights() {
    let (vae, batch) = (diagonal(), normal_rows(5, 3, 57));
    let log_w = vae.terms(&batch, 4, &mut noise(58)).log_weights();
    let expected = (log_w.exp().mean_dim([0].as_slice(), false, None::<Kind>)).log();
    for gradient in [IwaeGradient::Pathwise, IwaeGradient::DoublyReparameterized] {
        let bound = Objective::Iwae(Iwae { draws: 4, gradient }).evaluate(&vae, &batch, 1.0, &mut noise(58)).unwrap().bound;
        close(&bound, &expected, 1e-12, "bound");
    }
}

fn continuous_objectives() -> Vec<Objective> {
    vec![
        Objective::Elbo(Elbo::default()),
        Objective::Elbo(Elbo { kl: KlTerm::Draws, beta: 2.0, ..Elbo::default() }),
        Objective::Elbo(Elbo { kl: KlTerm::StickingTheLanding, ..Elbo::default() }),
        Objective::Iwae(Iwae { draws: 1, gradient: IwaeGradient::DoublyReparameterized }),
        Objective::Autoencoder,
    ]
}

#[test]
fn a_batch_is_the_sum_of_its_parts() {
    // one draw a row: the noise of a batch is that of its parts, one after the other
    for objective in continuous_objectives() {
        let (vae, batch) = (diagonal(), normal_rows(10, 3, 59));
        let mut stream = noise(60);
        let whole = objective.evaluate(&vae, &batch, 1.0, &mut stream).unwrap();
        let mut stream = noise(60);
        let first = objective.evaluate(&vae, &batch.narrow(0, 3), 1.0, &mut stream).unwrap();
        let second = objective.evaluate(&vae, &batch.narrow(3, 7), 1.0, &mut stream).unwrap();
        close(&whole.bound, &Tensor::cat(&[&first.bound, &second.bound], 0), 1e-13, "bound");
        let gradient = gradient_of(&vae, &whole.surrogate);
        let parts = gradient_of(&vae, &first.surrogate) + gradient_of(&vae, &second.surrogate);
        close(&gradient, &parts, 1e-12, "gradient");
    }
}

#[test]
fn missing_entries_have_no_influence() {
    let mut objectives = continuous_objectives();
    objectives.push(Objective::Iwae(Iwae { draws: 5, gradient: IwaeGradient::Pathwise }));
    objectives.push(Objective::Iwae(Iwae { draws: 5, gradient: IwaeGradient::DoublyReparameterized }));
    for objective in objectives {
        let vae = diagonal();
        let x = noise(61).normal(&[4, 3]);
        let observed = Tensor::from_slice(&[1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]).view([4, 3]);
        let of = |fill: f64| {
            let x = &x * &observed + (-&observed + 1.0) * fill;
            let batch = Batch { observed: Some(observed.copy()), ..Batch::new(x) };
            let evaluation = objective.evaluate(&vae, &batch, 1.0, &mut noise(62)).unwrap();
            close(batch.observed.as_ref().unwrap(), &observed, 0.0, "the mask is left alone");
            (evaluation.bound.copy(), gradient_of(&vae, &evaluation.surrogate))
        };
        let (a, b) = (of(0.0), of(1e3));
        close(&a.0, &b.0, 0.0, "bound");
        close(&a.1, &b.1, 0.0, "gradient");
        // and the entries that are there have: the likelihood is the sum over them
        let batch = Batch { observed: Some(observed.copy()), ..Batch::new(x.copy()) };
        let z = noise(63).normal(&[2, 4, 2]);
        let entries = vae.parts.likelihood.log_prob_entries(&vae.outputs(&z, &batch), &batch);
        let expected = entries.select(-1, 0) * observed.select(1, 0)
            + entries.select(-1, 1) * observed.select(1, 1)
            + entries.select(-1, 2) * observed.select(1, 2);
        close(&vae.log_likelihood(&z, &batch), &expected, 1e-14, "observed entries");
    }
}

#[test]
fn weights_do_not_touch_the_mask() {
    let observed = Tensor::from_slice(&[1.0, 0.0, 1.0, 1.0]).view([2, 2]);
    let x = Tensor::from_slice(&[1.0, 0.0, 3.0, 4.0]).view([2, 2]);
    let weights = Tensor::from_slice(&[2.0, 5.0]);
    let rows = Batch { observed: Some(observed.shallow_clone()), weights: Some(weights), ..Batch::new(x) };
    let data = lvm_deep::data::Dataset { rows, total_weight: 7.0 };
    let _ = Vae::new(Architecture::mlp(2, 1, &[]), &data, 0).unwrap();
    assert_eq!(to_values(&observed), [1.0, 0.0, 1.0, 1.0]);
}

#[test]
fn rows_of_weight_zero_do_not_count_towards_the_floor() {
    let vae = diagonal();
    let batch = normal_rows(3, 3, 64);
    let weighted = Batch { weights: Some(Tensor::from_slice(&[1.0, 1.0, 0.0])), ..batch.narrow(0, 3) };
    let floor = Elbo { free_nats: 0.05, ..Elbo::default() };
    let (all, two) = (elbo(floor, &vae, &weighted, 65), elbo(floor, &vae, &batch.narrow(0, 2), 65));
    close(&all.surrogate.narrow(0, 0, 2), &two.surrogate, 1e-13, "surrogate");
}

#[test]
fn below_the_floor_the_kl_is_not_pushed() {
    let (vae, batch) = (diagonal(), normal_rows(5, 3, 66));
    let high = elbo(Elbo { free_nats: 1e3, ..Elbo::default() }, &vae, &batch, 67);
    let none = elbo(Elbo { beta: 0.0, ..Elbo::default() }, &vae, &batch, 67);
    close(&gradient_of(&vae, &high.surrogate), &gradient_of(&vae, &none.surrogate), 1e-13, "gradient");
    let low = elbo(Elbo { free_nats: 1e-9, ..Elbo::default() }, &vae, &batch, 67);
    let full = elbo(Elbo::default(), &vae, &batch, 67);
    close(&gradient_of(&vae, &low.surrogate), &gradient_of(&vae, &full.surrogate), 1e-12, "gradient");
}

#[test]
fn summation_gives_evidence_and_posterior() {
    let (vae, batch) = (discrete(4), normal_rows(6, 3, 68));
    let exact = vae.summation(&batch).unwrap();
    // decoder on K one-hots for every row by the ordinary way
    let z = vae.parts.prior.support().unwrap().unsqueeze(1).expand([4, 6, 4], false);
    let joint = vae.log_joint(&z, &batch);
    close(&exact.log_joint(), &(joint.log_likelihood + joint.log_prior), 1e-13, "log joint");
    let posterior = exact.log_posterior();
    close(&sum(&posterior.exp()), &Tensor::from(6.0), 1e-13, "normalised");
    // Bayes: log p(x, k) − log p(k | x) = log p(x)
    let difference = exact.log_joint().transpose(0, 1) - &posterior;
    close(&difference, &exact.log_evidence().unsqueeze(1).expand([6, 4], false), 1e-12, "Bayes");
    // ELBO = log p(x) − KL(q ‖ p(z | x))
    let log_q = vae.posterior(&batch).log_probabilities().unwrap();
    let gap = (log_q.exp() * (&log_q - &posterior)).sum_dim_intlist([1].as_slice(), false, None::<Kind>);
    let bound = elbo(Elbo::default(), &vae, &batch, 69).bound;
    close(&bound, &(exact.log_evidence() - gap), 1e-12, "ELBO");
    assert!(diagonal().summation(&batch).is_none());
}

#[test]
fn every_likelihood_is_summed_as_row_by_row() {
    let bits = normal_rows(6, 3, 74).x.gt(0.0).to_kind(Kind::Double);
    // no row of zeros: its size is the size of the row
    let _ = bits.select(1, 0).fill_(1.0);
    let gaussian = LikelihoodSpec::Gaussian(lvm_deep::likelihood::gaussian::Variance::Entries);
    for likelihood in [
        gaussian.clone(),
        LikelihoodSpec::Bernoulli,
        LikelihoodSpec::Categorical { codes: 3 },
        LikelihoodSpec::Poisson { library: Library::Observed },
        LikelihoodSpec::NegativeBinomial { dispersion: Default::default(), library: Library::None },
        LikelihoodSpec::ZeroInflatedNegativeBinomial { dispersion: Default::default(), library: Library::Observed },
        LikelihoodSpec::DiscretizedLogistic { levels: 2, scale: Default::default() },
        LikelihoodSpec::Multinomial,
        LikelihoodSpec::Mixed(vec![
            BlockSpec { columns: vec![2, 0], likelihood: LikelihoodSpec::Categorical { codes: 2 } },
            BlockSpec { columns: vec![1], likelihood: gaussian },
        ]),
    ] {
        let architecture =
            Architecture { likelihood, ..architecture(3, PosteriorSpec::Categorical, PriorSpec::Categorical { trained: true }) };
        let vae = random_vae(architecture, 0.5, 7);
        let mut batch = Batch::new(bits.copy());
        for holes in [false, true] {
            batch.observed = holes.then(|| Tensor::from_slice(&[1.0, 0.0, 1.0]).expand([6, 3], false).contiguous());
            let z = vae.parts.prior.support().unwrap().unsqueeze(1).expand([3, 6, 3], false);
            let expected = vae.log_likelihood(&z, &batch);
            close(&vae.summation(&batch).unwrap().log_likelihood, &expected, 1e-13, &format!("{:?}", vae.architecture.likelihood));
        }
    }
}

#[test]
fn a_decoder_that_reads_conditions_is_summed_row_by_row() {
    let architecture =
        Architecture { condition: 2, ..architecture(3, PosteriorSpec::Categorical, PriorSpec::Categorical { trained: false }) };
    let vae = random_vae(architecture, 0.5, 6);
    let mut batch = normal_rows(5, 3, 70);
    batch.condition = Some(noise(71).normal(&[5, 2]));
    let all = vae.summation(&batch).unwrap();
    for row in 0..5 {
        let one = vae.summation(&batch.narrow(row, 1)).unwrap();
        close(&all.log_evidence().narrow(0, row, 1), &one.log_evidence(), 1e-13, "evidence");
    }
}

#[test]
fn objectives_refuse_what_they_can_not_do() {
    let batch = normal_rows(3, 3, 72);
    let planar = vae(PosteriorSpec::Planar { steps: 2, amortised: true }, PriorSpec::StandardNormal);
    let refused = |objective: Objective, vae: &Vae, kl_weight: f64, what: &str| {
        let error = objective.evaluate(vae, &batch, kl_weight, &mut noise(73)).err().map(|e| e.to_string());
        assert!(error.as_deref().is_some_and(|e| e.contains(what)), "{error:?} against {what}");
    };
    let dreg = Iwae { draws: 2, gradient: IwaeGradient::DoublyReparameterized };
    refused(Objective::Iwae(dreg), &planar, 1.0, "pathwise");
    refused(Objective::Iwae(dreg), &diagonal(), 0.5, "warm_up");
    refused(Objective::Elbo(Elbo { kl: KlTerm::StickingTheLanding, ..Elbo::default() }), &planar, 1.0, "draws");
    refused(Objective::Elbo(Elbo { free_nats: 0.1, ..Elbo::default() }), &planar, 1.0, "diagonal");
    refused(Objective::ScoreFunction(ScoreFunction::default()), &planar, 1.0, "elbo");
    refused(Objective::GumbelSoftmax(GumbelSoftmax::default()), &diagonal(), 1.0, "categorical");
    refused(Objective::Autoencoder, &discrete(3), 1.0, "elbo");
    for bad in [
        Objective::Iwae(Iwae { draws: 0, ..dreg }),
        Objective::ScoreFunction(ScoreFunction { draws: 1, beta: 1.0 }),
        Objective::GumbelSoftmax(GumbelSoftmax { temperature: 0.0, ..Default::default() }),
        Objective::Elbo(Elbo { beta: -1.0, ..Elbo::default() }),
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}
