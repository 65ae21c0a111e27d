//! Gated recurrent units and long short-term memory.

use super::sequence::Steps;
use crate::error::{Error, Result};
use crate::parameters::{Scope, Start};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// What is computed at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Cho et al. 2014.
    #[default]
    Gru,
    /// Hochreiter & Schmidhuber 1997.
    Lstm,
}

/// A recurrent encoder or decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecurrentSpec {
    /// What a row holds.
    pub steps: Steps,
    /// Of every step.
    #[serde(default)]
    pub cell: Cell,
    /// H, the width of the state.
    pub hidden: i64,
    /// One above the other.
    #[serde(default = "one")]
    pub layers: i64,
}

fn one() -> i64 {
    1
}

impl RecurrentSpec {
    /// # Errors
    /// If a width is less than 1 or a row has no whole number of steps.
    pub fn check(&self, columns: i64) -> Result<()> {
        if self.hidden < 1 || self.layers < 1 {
            return Err(Error::config("hidden", format!("{} layers of width {}; both must be at least 1", self.layers, self.hidden)));
        }
        self.steps.check(columns)
    }
}

/// Layers of one kind of cell.
///
/// ```text
/// GRU    r, u = σ(W x_t + V h_{t−1} + b),  n = tanh(W x_t + b + r ∘ (V h_{t−1} + c)),  h_t = (1 − u) ∘ n + u ∘ h_{t−1}
/// LSTM   i, f, o = σ(…), g = tanh(…),  c_t = f ∘ c_{t−1} + i ∘ g,  h_t = o ∘ tanh c_t
/// ```
#[derive(Debug)]
pub struct Recurrent {
    cell: Cell,
    hidden: i64,
    /// W (gates H, inputs), V (gates H, H), their biases (gates H), of every layer.
    weights: Vec<[Tensor; 4]>,
}

/// Where a recurrent net stands between two steps: h and, for [`Cell::Lstm`], c of every layer, (M, H) each.
#[derive(Debug)]
pub struct Memory {
    h: Vec<Tensor>,
    c: Vec<Tensor>,
}

impl Recurrent {
    /// Starts with everything uniform on ±1/√H.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, cell: Cell, inputs: i64, hidden: i64, layers: i64) -> Result<Self> {
        let start = Start::Uniform(1.0 / (hidden as f64).sqrt());
        let gates = hidden * if cell == Cell::Gru { 3 } else { 4 };
        let layer = |l: i64| {
            let mut scope = scope.at(&l.to_string());
            let below = if l == 0 { inputs } else { hidden };
            Ok([
                scope.trained("input_weight", &[gates, below], start)?,
                scope.trained("state_weight", &[gates, hidden], start)?,
                scope.trained("input_bias", &[gates], start)?,
                scope.trained("state_bias", &[gates], start)?,
            ])
        };
        Ok(Recurrent { cell, hidden, weights: (0..layers).map(layer).collect::<Result<_>>()? })
    }

    /// How many numbers a state h has, over all layers.
    pub fn state_width(&self) -> i64 {
        self.hidden * self.weights.len() as i64
    }

    /// h_1 … h_T of the last layer (M, T, H) of x (M, T, inputs), from h_0 (M, layers · H) or 0; c_0 = 0.
    pub fn forward(&self, x: &Tensor, state: Option<&Tensor>) -> Tensor {
        let layers = self.weights.len() as i64;
        let zero = || Tensor::zeros([layers, x.size()[0], self.hidden], (x.kind(), x.device()));
        let h = state.map_or_else(zero, |s| s.view([-1, layers, self.hidden]).transpose(0, 1).contiguous());
        let weights: Vec<&Tensor> = self.weights.iter().flatten().collect();
        // libtorch's own loop over steps; "train" keeps what a gradient on a GPU needs
        match self.cell {
            Cell::Gru => x.gru(&h, &weights, true, layers, 0.0, true, false, true).0,
            Cell::Lstm => x.lstm(&[&h, &zero()], &weights, true, layers, 0.0, true, false, true).0,
        }
    }

    /// Before the first step, with h_0 (M, layers · H).
    pub fn memory(&self, state: &Tensor) -> Memory {
        let h: Vec<Tensor> = state.chunk(self.weights.len() as i64, 1);
        let c = h.iter().map(Tensor::zeros_like).collect();
        Memory { h, c }
    }

    /// h_t of the last layer (M, H) of x_t (M, inputs).
    pub fn step(&self, x: &Tensor, memory: &mut Memory) -> Tensor {
        let mut x = x.shallow_clone();
        for (l, [w, v, b, c]) in self.weights.iter().enumerate() {
            match self.cell {
                Cell::Gru => memory.h[l] = x.gru_cell(&memory.h[l], w, v, Some(b), Some(c)),
                Cell::Lstm => (memory.h[l], memory.c[l]) = x.lstm_cell(&[&memory.h[l], &memory.c[l]], w, v, Some(b), Some(c)),
            }
            x = memory.h[l].shallow_clone();
        }
        x
    }

    /// The same net over the same tensors.
    pub(super) fn shared(&self) -> Self {
        let weights = self.weights.iter().map(|layer| std::array::from_fn(|i| layer[i].shallow_clone())).collect();
        Recurrent { cell: self.cell, hidden: self.hidden, weights }
    }
}

/// How many steps of a row there are, up to its last observed entry (N), of which entries are there (N, T F); in Int64.
pub(super) fn lengths(observed: &Tensor, columns: i64) -> Tensor {
    let any = observed.reshape([observed.size()[0], -1, columns]).amax([-1].as_slice(), false).to_kind(Kind::Int64);
    let steps = Tensor::arange_start(1, any.size()[1] + 1, (Kind::Int64, observed.device()));
    (any * steps).amax([1].as_slice(), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, scoped};
    use crate::nets::proof::{differentiates, numbers};
    use crate::tensor::to_values;

    #[test]
    fn step_by_step_is_all_steps_at_once() {
        scoped(|scope| {
            for (name, cell) in [("gru", Cell::Gru), ("lstm", Cell::Lstm)] {
                let net = Recurrent::new(&mut scope.at(name), cell, 3, 4, 2).unwrap();
                let (x, state) = (numbers(&[2, 5, 3]), numbers(&[2, 8]));
                let all = net.forward(&x, Some(&state));
                assert_eq!(all.size(), [2, 5, 4]);
                let mut memory = net.memory(&state);
                for t in 0..5 {
                    // the same sums in another order: a few roundings
                    agrees(&net.step(&x.select(1, t), &mut memory), &to_values(&all.select(1, t)), 1e-14);
                }
                differentiates(&|x| net.forward(x, Some(&state)), &x, &[&net.weights[0][1]]);
            }
        });
    }

    /// The equations of [`Recurrent`], written out.
    fn by_hand(cell: Cell, [w, v, b, c]: &[Tensor; 4], x: &Tensor, mut h: Tensor) -> Tensor {
        let mut memory = h.zeros_like();
        for t in 0..x.size()[1] {
            let seen = x.select(1, t).linear(w, Some(b));
            let kept = h.linear(v, Some(c));
            match cell {
                Cell::Gru => {
                    let (a, k) = (seen.chunk(3, 1), kept.chunk(3, 1));
                    let (r, u) = ((&a[0] + &k[0]).sigmoid(), (&a[1] + &k[1]).sigmoid());
                    let n = (&a[2] + r * &k[2]).tanh();
                    h = (1.0 - &u) * n + u * h;
                }
                Cell::Lstm => {
                    let a = (seen + kept).chunk(4, 1);
                    memory = a[1].sigmoid() * memory + a[0].sigmoid() * a[2].tanh();
                    h = a[3].sigmoid() * memory.tanh();
                }
            }
        }
        h
    }

    #[test]
    fn cells_are_their_equations() {
        scoped(|scope| {
            for (name, cell) in [("gru", Cell::Gru), ("lstm", Cell::Lstm)] {
                let net = Recurrent::new(&mut scope.at(name), cell, 3, 4, 1).unwrap();
                let (x, state) = (numbers(&[2, 5, 3]), numbers(&[2, 4]));
                let expected = by_hand(cell, &net.weights[0], &x, state.shallow_clone());
                // five steps of a few roundings
                agrees(&net.forward(&x, Some(&state)).select(1, -1), &to_values(&expected), 1e-14);
            }
        });
    }

    #[test]
    fn a_row_ends_at_its_last_entry() {
        let observed = Tensor::from_slice(&[1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]).view([2, 4]);
        assert_eq!(Vec::<i64>::try_from(lengths(&observed, 1)).unwrap(), [2, 4]);
        assert_eq!(Vec::<i64>::try_from(lengths(&observed, 2)).unwrap(), [1, 2]);
    }
}
