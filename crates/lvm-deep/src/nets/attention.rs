//! Self-attention.

use super::sequence::Steps;
use super::{Linear, Net};
use crate::error::{Error, Result};
use crate::parameters::{Scope, Start};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A transformer over sequences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttentionSpec {
    /// What a row holds.
    pub steps: Steps,
    /// W, the width of everything between input and output.
    pub width: i64,
    /// Heads, which share the width out.
    pub heads: i64,
    /// Blocks one above the other.
    pub layers: i64,
}

impl AttentionSpec {
    /// # Errors
    /// If a width is less than 1, heads do not share out the width, or a row has no whole number of steps.
    pub fn check(&self, columns: i64) -> Result<()> {
        if self.width < 1 || self.layers < 1 || self.heads < 1 || self.width % self.heads != 0 {
            let message = format!(
                "{} heads, {} layers of width {}: at least 1 each, and a width that is a multiple of the heads",
                self.heads, self.layers, self.width
            );
            return Err(Error::config("width", message));
        }
        self.steps.check(columns)
    }
}

/// Which positions a position sees.
#[derive(Debug)]
pub(super) enum Sight {
    /// All.
    All,
    /// Itself and those before it.
    Past,
    /// Those where this (M, 1, 1, S) is 0 and not −∞.
    Marked(Tensor),
}

/// Blocks of self-attention with the norm before each half (Xiong et al. 2020), and a norm at the end:
///
/// ```text
/// h ← h + O softmax(Q Kᵀ/√d) V of LN(h),   h ← h + B gelu(A LN(h) + a) + b,   A of width 4 W
/// ```
#[derive(Debug)]
pub(super) struct Attention {
    heads: i64,
    /// (S, W).
    positions: Tensor,
    blocks: Vec<Block>,
    norm: Norm,
}

impl Attention {
    /// Over S positions. Positions start as N(0, 0.02²).
    pub(super) fn new(scope: &mut Scope<'_>, spec: &AttentionSpec, length: i64) -> Result<Self> {
        let positions = scope.trained("positions", &[length, spec.width], Start::Normal(0.02))?;
        let blocks = (0..spec.layers).map(|l| Block::new(&mut scope.at(&l.to_string()), spec.width)).collect::<Result<_>>()?;
        let norm = Norm::new(&mut scope.at("norm"), spec.width)?;
        Ok(Attention { heads: spec.heads, positions, blocks, norm })
    }

    /// (M, S', W) → (M, S', W) for the first S' ≤ S positions.
    pub(super) fn forward(&self, x: &Tensor, sight: &Sight) -> Tensor {
        let mut h = x + self.positions.narrow(0, 0, x.size()[1]);
        for block in &self.blocks {
            h = block.forward(&h, self.heads, sight);
        }
        self.norm.forward(&h)
    }

    pub(super) fn shared(&self) -> Self {
        Attention {
            heads: self.heads,
            positions: self.positions.shallow_clone(),
            blocks: self.blocks.iter().map(Block::shared).collect(),
            norm: self.norm.shared(),
        }
    }
}

#[derive(Debug)]
struct Block {
    before_attention: Norm,
    /// Q, K and V, one behind the other.
    project: Linear,
    join: Linear,
    before_net: Norm,
    up: Linear,
    down: Linear,
}

impl Block {
    fn new(scope: &mut Scope<'_>, width: i64) -> Result<Self> {
        Ok(Block {
            before_attention: Norm::new(&mut scope.at("norm1"), width)?,
            project: Linear::new(&mut scope.at("project"), width, 3 * width)?,
            join: Linear::new(&mut scope.at("join"), width, width)?,
            before_net: Norm::new(&mut scope.at("norm2"), width)?,
            up: Linear::new(&mut scope.at("up"), width, 4 * width)?,
            down: Linear::new(&mut scope.at("down"), 4 * width, width)?,
        })
    }

    fn forward(&self, h: &Tensor, heads: i64, sight: &Sight) -> Tensor {
        let (m, length, width) = (h.size()[0], h.size()[1], h.size()[2]);
        // (3, M, heads, S, W/heads)
        let projected = self.project.forward(&self.before_attention.forward(h));
        let qkv = projected.view([m, length, 3, heads, width / heads]).permute([2, 0, 3, 1, 4]);
        let (mask, past) = match sight {
            Sight::All => (None, false),
            Sight::Past => (None, true),
            Sight::Marked(mask) => (Some(mask), false),
        };
        let seen =
            Tensor::scaled_dot_product_attention(&qkv.select(0, 0), &qkv.select(0, 1), &qkv.select(0, 2), mask, 0.0, past, None, false);
        let h = h + self.join.forward(&seen.transpose(1, 2).reshape([m, length, width]));
        let net = self.down.forward(&self.up.forward(&self.before_net.forward(&h)).gelu("none"));
        h + net
    }

    fn shared(&self) -> Self {
        Block {
            before_attention: self.before_attention.shared(),
            project: self.project.shared(),
            join: self.join.shared(),
            before_net: self.before_net.shared(),
            up: self.up.shared(),
            down: self.down.shared(),
        }
    }
}

/// g ∘ (h − mean)/√(variance + 10⁻⁵) + b over the width. Ba et al. 2016.
#[derive(Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn new(scope: &mut Scope<'_>, width: i64) -> Result<Self> {
        let weight = scope.trained("weight", &[width], Start::Constant(1.0))?;
        let bias = scope.trained("bias", &[width], Start::Zero)?;
        Ok(Norm { weight, bias })
    }

    fn forward(&self, h: &Tensor) -> Tensor {
        h.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), 1e-5, true)
    }

    fn shared(&self) -> Self {
        Norm { weight: self.weight.shallow_clone(), bias: self.bias.shallow_clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, scoped};
    use crate::nets::proof::numbers;
    use crate::tensor::to_values;

    /// One block as its equations say, head by head, seeing what `mask` (S, S) leaves at 0.
    fn by_hand(block: &Block, h: &Tensor, heads: i64, mask: &Tensor) -> Tensor {
        let norm = |n: &Norm, h: &Tensor| {
            let centred = h - h.mean_dim([-1].as_slice(), true, None);
            let variance = centred.square().mean_dim([-1].as_slice(), true, None);
            centred / (variance + 1e-5).sqrt() * &n.weight + &n.bias
        };
        let projected = block.project.forward(&norm(&block.before_attention, h)).chunk(3, -1);
        let split: Vec<Vec<Tensor>> = projected.iter().map(|p| p.chunk(heads, -1)).collect();
        let width = (h.size()[2] / heads) as f64;
        let seen: Vec<Tensor> = (0..heads as usize)
            .map(|i| {
                let scores = split[0][i].matmul(&split[1][i].transpose(-2, -1)) / width.sqrt() + mask;
                scores.softmax(-1, None).matmul(&split[2][i])
            })
            .collect();
        let h = h + block.join.forward(&Tensor::cat(&seen, -1));
        let up = block.up.forward(&norm(&block.before_net, &h));
        &h + block.down.forward(&up.gelu("none"))
    }

    #[test]
    fn a_block_is_its_equations() {
        let block = scoped(|scope| Block::new(scope, 6).unwrap());
        let h = numbers(&[2, 4, 6]);
        let future = Tensor::full([4, 4], f64::NEG_INFINITY, (h.kind(), h.device())).triu(1);
        // a dozen sums of six numbers
        agrees(&block.forward(&h, 2, &Sight::All), &to_values(&by_hand(&block, &h, 2, &future.zeros_like())), 1e-13);
        agrees(&block.forward(&h, 2, &Sight::Past), &to_values(&by_hand(&block, &h, 2, &future)), 1e-13);
        let mask = Tensor::from_slice(&[0.0, 0.0, f64::NEG_INFINITY, 0.0]);
        let marked = Sight::Marked(mask.view([1, 1, 1, 4]).expand([2, 1, 1, 4], false));
        agrees(&block.forward(&h, 2, &marked), &to_values(&by_hand(&block, &h, 2, &mask)), 1e-13);
    }
}
