//! Forward and backward through the whole model, over some panels.

use super::density::Density;
use super::elementary::Real;
use super::lanes::{LANES, Lanes, transpose, zeros};
use super::latent::Latent;
use super::perceptron::{Perceptron, Trace};
use super::plan::Plan;
use super::product::Factors;
use super::rows::{Reading, Rows, Table};
use pulp::{Simd, WithSimd};

/// The model at its present parameters, and the batch.
pub(super) struct Model<'a, E> {
    pub(super) encoder: Perceptron<'a, E>,
    pub(super) decoder: Perceptron<'a, E>,
    pub(super) density: Density<E>,
    pub(super) reading: Reading<'a, E>,
    pub(super) table: Table<'a, E>,
    /// Which rows of the table.
    pub(super) numbers: &'a [i64],
    /// Whether zeros of the encoder's input are passed over.
    pub(super) sparse: bool,
    /// ε (S, N, L).
    pub(super) epsilon: &'a [f64],
    /// 1/Σ w.
    pub(super) share: f64,
    /// The weight of the KL term.
    pub(super) beta: f64,
}

/// Everything that is kept of sixteen rows.
pub(super) struct Panel<E> {
    pub(super) rows: Rows<E>,
    pub(super) encoder: Trace<E>,
    pub(super) latent: Latent<E>,
    /// One for each draw.
    pub(super) decoders: Vec<Trace<E>>,
    /// The slope in the log-variances of the columns (D), where they are trained.
    pub(super) spread: Vec<Lanes<E>>,
    /// E_q[log p(x | z)] of every row, nats.
    pub(super) reconstruction: [f64; LANES],
    /// Σ |δ| and Σ |h| of every layer, the encoder's first, and behind them of the log-variances.
    pub(super) bulk: Vec<[f64; 2]>,
}

impl<E: Real> Panel<E> {
    pub(super) fn new(plan: &Plan, table: &Table<'_, E>, reading: &Reading<'_, E>) -> Self {
        Panel {
            rows: Rows::new(table, reading, plan.encoder.widths[0]),
            encoder: Trace::new(&plan.encoder.widths, false),
            latent: Latent::new(plan.latents, plan.draws),
            decoders: (0..plan.draws).map(|_| Trace::new(&plan.decoder.widths, true)).collect(),
            spread: zeros(if plan.trains_log_variance() { plan.columns } else { 0 }),
            reconstruction: [0.0; LANES],
            bulk: Vec::new(),
        }
    }

    /// Adds up how large slopes and values are.
    #[inline(always)]
    fn weigh(&mut self) {
        let Panel { encoder, decoders, spread, bulk, .. } = self;
        bulk.clear();
        for traces in [std::slice::from_ref(&*encoder), &decoders[..]] {
            let layers = traces.first().map_or(0, |t| t.by_row.len());
            bulk.extend((0..layers).map(|l| {
                let over = |part: fn(&Trace<E>, usize) -> &[Lanes<E>]| traces.iter().map(|t| size(part(t, l))).sum::<f64>();
                [over(|t, l| &t.deltas[l + 1]), over(|t, l| &t.values[l])]
            }));
        }
        bulk.push([size(spread), 1.0]);
    }

    /// log p of every draw with its slope in the outputs.
    #[inline(always)]
    fn evaluate<S: Simd>(&mut self, model: &Model<'_, E>) {
        let Panel { rows, encoder, decoders, spread, reconstruction, .. } = self;
        let (draws, columns) = (decoders.len() as f64, model.table.columns);
        let targets = if rows.targets.is_empty() { &encoder.values[0][..columns] } else { &rows.targets[..] };
        let weight = rows.weight.map(|w| w * E::of(1.0 / draws));
        *reconstruction = [0.0; LANES];
        spread.fill(Lanes::ZERO);
        for decoder in decoders.iter_mut() {
            let Trace { values, deltas, .. } = decoder;
            if let (Some(outputs), Some(slope)) = (values.last(), deltas.last_mut()) {
                model.density.evaluate::<S>(outputs, (targets, &rows.observed[..]), weight, reconstruction, slope, spread);
            }
        }
        reconstruction.iter_mut().for_each(|r| *r /= draws);
    }

    /// What the gradient of one layer is made of, of every draw.
    pub(super) fn decoder_factors(&self, layer: usize) -> impl Iterator<Item = Factors<'_, E>> {
        self.decoders.iter().map(move |t| t.factors(layer))
    }
}

/// Σ |a|.
#[inline(always)]
fn size<E: Real>(values: &[Lanes<E>]) -> f64 {
    let lanes = values.iter().fold(Lanes::ZERO, |sum: Lanes<E>, v| sum.with(*v, |sum, v| sum + v.abs()));
    lanes.0.iter().map(|v| v.wide()).sum()
}

/// One thread's panels, which begin at this row of the batch.
pub(super) struct Pass<'a, E> {
    pub(super) model: &'a Model<'a, E>,
    pub(super) panels: &'a mut [Panel<E>],
    pub(super) first: usize,
}

impl<E: Real> WithSimd for Pass<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Pass { model, panels, first } = self;
        let rows = model.numbers.len();
        let share = |n: usize| E::of(model.table.weights.map_or(1.0, |w| w[n].wide()) * model.share);
        for (panel, first) in panels.iter_mut().zip((first..).step_by(LANES)) {
            let numbers = &model.numbers[first..rows.min(first + LANES)];
            panel.rows.take(&model.table, &model.reading, numbers, &share, &mut panel.encoder);
            if model.sparse {
                panel.encoder.look_through();
            }
        }
        model.encoder.forward(simd, &mut panels.iter_mut().map(|p| &mut p.encoder).collect::<Vec<_>>());
        for (panel, first) in panels.iter_mut().zip((first..).step_by(LANES)) {
            let Panel { rows: own, encoder, latent, decoders, .. } = panel;
            latent.draw::<S>(encoder.outputs(), model.epsilon, (first, rows), &own.condition, decoders);
            for Trace { values, by_row, .. } in decoders {
                transpose(&values[0], &mut by_row[0]);
            }
        }
        model.decoder.forward(simd, &mut panels.iter_mut().flat_map(|p| &mut p.decoders).collect::<Vec<_>>());
        panels.iter_mut().for_each(|panel| panel.evaluate::<S>(model));
        model.decoder.backward(simd, &mut panels.iter_mut().flat_map(|p| &mut p.decoders).collect::<Vec<_>>());
        for panel in panels.iter_mut() {
            let Trace { values, deltas, .. } = &mut panel.encoder;
            if let (Some(features), Some(slope)) = (values.last(), deltas.last_mut()) {
                let weight = panel.rows.weight.map(|w| w * E::of(model.beta));
                panel.latent.backward(features, weight, &panel.decoders, slope);
            }
        }
        model.encoder.backward(simd, &mut panels.iter_mut().map(|p| &mut p.encoder).collect::<Vec<_>>());
        panels.iter_mut().for_each(Panel::weigh);
    }
}
