//! One step: forward and backward, then gradients and Adam.

use super::density::Density;
use super::elementary::Real;
use super::lanes::LANES;
use super::panel::{Model, Panel, Pass};
use super::plan::{LogVariance, Plan};
use super::product::Factors;
use super::rows::Table;
use super::threads::Team;
use super::update::{Job, ROWS, Run, Source, Target};
use crate::data::{Batch, Dataset};
use crate::error::{Error, Result};
use crate::noise::Noise;
use crate::optimizer::adam::Rule;
use crate::raw::{slice, slice_mut, visible};
use crate::train::record::Sums;
use crate::train::{State, Training};
use crate::vae::Vae;
use lvm_core::random::Purpose;
use pulp::Arch;
use tch::{Device, Tensor};

/// Products of a weight and a number of one row from which a second thread is worth its while.
const MANY: usize = 1 << 21;

/// Training steps of one model, with buffers that are kept between them.
pub(in crate::train) struct Stepper<E> {
    plan: Plan,
    panels: Vec<Panel<E>>,
    team: Team,
    /// Whether zeros of the encoder's input are passed over.
    sparse: bool,
    epsilon: Vec<f64>,
    /// The gradients, where they are kept.
    pub(super) gradients: Vec<Tensor>,
}

/// What is known after forward and backward.
pub(super) struct Evaluated {
    pub(super) sums: Sums,
    /// Whether every number of the gradient is sure to be finite.
    pub(super) finite: bool,
}

impl<E: Real> Stepper<E> {
    /// `None` where the model is left to libtorch.
    pub(super) fn new(training: &Training, vae: &Vae, data: &Dataset) -> Option<Self> {
        let plan = Plan::of(&vae.architecture, &training.objective, &vae.parameters)?;
        let (table, reading) = (Table::<E>::of(&data.rows)?, plan.reading::<E>(&vae.parameters)?);
        let conditions = plan.decoder.widths[0] - plan.latents;
        if (table.columns, table.conditions) != (plan.columns, conditions) || !vae.parameters.trained().all(|p| visible::<E>(&p.value)) {
            return None;
        }
        let panels = training.batch_size.min(data.n_rows()).div_ceil(LANES);
        let panels = (0..panels).map(|_| Panel::new(&plan, &table, &reading)).collect();
        Some(Stepper { plan, panels, team: Team::default(), sparse: finite(vae), epsilon: Vec::new(), gradients: Vec::new() })
    }

    /// One step on the rows of these numbers, at a learning rate and a weight of the KL term.
    pub(super) fn step(
        &mut self,
        training: &Training,
        state: &mut State,
        numbers: &[i64],
        (rate, kl_weight): (f64, f64),
        data: &Dataset,
    ) -> Result<()> {
        let Evaluated { sums, finite } = self.evaluate(state, numbers, kl_weight, &data.rows)?;
        state.attempts += 1;
        if finite && sums.bound.is_finite() && training.clip_norm.is_none() {
            let rule = training.adam.rule(state.moments.steps + 1, rate, 1.0);
            let norm = self.descend(state, &rule, numbers.len());
            state.moments.steps += 1;
            state.accept(&sums, norm)?;
            return Ok(());
        }
        let norm = self.keep(&state.vae, numbers.len());
        if state.accept(&sums, norm)? {
            let scale = training.clip_norm.map_or(1.0, |limit| (limit / norm).min(1.0));
            training.adam.step(&state.vae.parameters, &self.gradients, &mut state.moments, rate, scale);
        }
        Ok(())
    }

    fn threads(&self, rows: usize) -> usize {
        if self.plan.work() * rows < MANY { 1 } else { rayon::current_num_threads() }
    }

    fn panels_of(rows: usize) -> usize {
        rows.div_ceil(LANES)
    }

    /// Forward and backward: afterwards the slopes in all activations stand in the panels.
    pub(super) fn evaluate(&mut self, state: &State, numbers: &[i64], kl_weight: f64, rows: &Batch) -> Result<Evaluated> {
        let (n, plan) = (numbers.len(), &self.plan);
        let mut noise = Noise::new(state.seed, Purpose::Noise, state.attempts, E::KIND, Device::Cpu);
        noise.fill_normal(plan.draws * n * plan.latents, &mut self.epsilon);
        let values: Vec<Tensor> = state.vae.parameters.trained().map(|p| p.value.shallow_clone()).collect();
        let elsewhere = || Error::config("device", "changed while a model was trained: train it again from a checkpoint");
        let table = Table::<E>::of(rows).ok_or_else(elsewhere)?;
        let weight = |n: usize| table.weights.map_or(1.0, |w| w[n].wide());
        let total: f64 = numbers.iter().map(|&n| weight(n as usize)).sum();
        let model = Model {
            encoder: plan.encoder.at(&values).ok_or_else(elsewhere)?,
            decoder: plan.decoder.at(&values).ok_or_else(elsewhere)?,
            density: density(plan, &state.vae, &values),
            reading: plan.reading(&state.vae.parameters).ok_or_else(elsewhere)?,
            table: Table::of(rows).ok_or_else(elsewhere)?,
            numbers,
            sparse: self.sparse,
            epsilon: &self.epsilon,
            share: 1.0 / total.max(1e-30),
            beta: plan.beta * kl_weight,
        };
        let threads = self.threads(n);
        let panels = &mut self.panels[..Self::panels_of(n)];
        let each = panels.len().div_ceil(threads);
        let work = panels.chunks_mut(each).enumerate();
        let work: Vec<Pass<'_, E>> = work.map(|(unit, panels)| Pass { model: &model, panels, first: unit * each * LANES }).collect();
        self.team.share(threads, work, || (), |(), pass| Arch::new().dispatch(pass));

        let mut sums = Sums { weight: total, ..Sums::default() };
        for (place, &n) in numbers.iter().enumerate() {
            let (panel, lane, w) = (&panels[place / LANES], place % LANES, weight(n as usize));
            sums.reconstruction += w * panel.reconstruction[lane];
            sums.kl += w * panel.latent.kl[lane];
            sums.bound += w * (panel.reconstruction[lane] - panel.latent.kl[lane]);
        }
        Ok(Evaluated { sums, finite: bounded(panels) })
    }

    /// Makes the gradient, and returns its norm.
    pub(super) fn keep(&mut self, vae: &Vae, rows: usize) -> f64 {
        let mut gradients = std::mem::take(&mut self.gradients);
        if gradients.is_empty() {
            gradients = vae.parameters.trained().map(|p| p.value.detach().zeros_like()).collect();
        }
        let targets = gradients.iter_mut().map(|g| slice_mut(g).map(Target::Keep)).collect();
        let norm = self.make(targets, &Rule::NONE, rows);
        self.gradients = gradients;
        norm
    }

    /// Makes the gradient and steps along it, and returns its norm.
    fn descend(&self, state: &mut State, rule: &Rule, rows: usize) -> f64 {
        let mut values: Vec<Tensor> = state.vae.parameters.trained().map(|p| p.value.shallow_clone()).collect();
        let moments = state.moments.first.iter_mut().zip(&mut state.moments.second);
        let targets = values.iter_mut().zip(moments).map(|(theta, (m, v))| {
            let (theta, m, v) = (slice_mut(theta)?, slice_mut(m)?, slice_mut(v)?);
            Some(Target::Step { theta, m, v })
        });
        self.make(targets.collect(), rule, rows)
    }

    /// Makes the gradient of every trained parameter for its target, and returns its norm.
    fn make(&self, mut targets: Vec<Option<Target<'_, E>>>, rule: &Rule, rows: usize) -> f64 {
        let (plan, panels) = (&self.plan, &self.panels[..Self::panels_of(rows)]);
        let layers = plan.encoder.places.iter().enumerate().map(|(l, place)| {
            let factors: Vec<Factors<'_, E>> = panels.iter().map(|p| p.encoder.factors(l)).collect();
            (place, plan.encoder.widths[l], factors)
        });
        let layers: Vec<_> = layers
            .chain(plan.decoder.places.iter().enumerate().map(|(l, place)| {
                let factors = panels.iter().flat_map(|p| p.decoder_factors(l)).collect();
                (place, plan.decoder.widths[l], factors)
            }))
            .collect();
        let spread: Vec<Factors<'_, E>> = panels.iter().map(|p| Factors { delta: &p.spread, h: &[], present: None }).collect();
        let mut work: Vec<(Source<'_, E>, Target<'_, E>)> = Vec::new();
        for ((weight, bias), inputs, factors) in &layers {
            if let Some(target) = targets[*weight].take() {
                let pieces = target.pieces(ROWS * inputs).into_iter().enumerate();
                work.extend(pieces.map(|(i, target)| (Source::Weights { factors, first: i * ROWS, inputs: *inputs }, target)));
            }
            work.extend(targets[*bias].take().map(|target| (Source::Sums(factors), target)));
        }
        if let LogVariance::Trained(place) = plan.log_variance
            && let Some(target) = targets[place].take()
        {
            let source = if target.len() == plan.columns { Source::Sums(&spread) } else { Source::Total(&spread) };
            work.push((source, target));
        }
        let mut squares = vec![0.0; work.len()];
        let jobs: Vec<Job<'_, E>> =
            work.into_iter().zip(&mut squares).map(|((source, target), squares)| Job { source, target, squares }).collect();
        self.team.share(self.threads(rows), jobs, Vec::new, |room, job| Arch::new().dispatch(Run { job, rule, room }));
        squares.iter().sum::<f64>().sqrt()
    }
}

/// Whether all parameters are finite.
fn finite(vae: &Vae) -> bool {
    vae.parameters.trained().all(|p| p.value.isfinite().all().int64_value(&[]) == 1)
}

/// The density at the present parameters.
fn density<E: Real>(plan: &Plan, vae: &Vae, values: &[Tensor]) -> Density<E> {
    if plan.bernoulli {
        return Density::Bernoulli;
    }
    let fixed = |name: &str| vae.parameters.get(name).and_then(slice::<E>);
    let log_variance = match plan.log_variance {
        LogVariance::None => None,
        LogVariance::Fixed => fixed("likelihood.log_variance"),
        LogVariance::Trained(place) => slice(&values[place]),
    };
    Density::gaussian(log_variance, fixed("likelihood.scale"), plan.columns)
}

/// Whether |∂W_ij| ≤ Σ_n |δ_ni| Σ_n |h_nj| shows that all of the gradient is finite.
fn bounded<E: Real>(panels: &[Panel<E>]) -> bool {
    let layers = panels.first().map_or(0, |p| p.bulk.len());
    (0..layers).all(|l| {
        let sum = |which: usize| panels.iter().map(|p| p.bulk[l][which]).sum::<f64>();
        let (slopes, values) = (sum(0), sum(1));
        slopes < E::CERTAIN && values < E::CERTAIN && slopes * values.max(1.0) < E::CERTAIN
    })
}
