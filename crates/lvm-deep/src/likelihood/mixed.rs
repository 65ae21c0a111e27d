//! Tables with columns of different kinds.

use super::Likelihood;
use crate::data::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::noise::Noise;
use tch::Tensor;

/// Some columns of a table with their density.
pub struct Block {
    /// The columns, from 0, in the order in which the density takes them.
    pub columns: Vec<i64>,
    /// Their density.
    pub likelihood: Box<dyn Likelihood>,
}

/// log p(x | z) = Σ_b log p_b(x_b | z): each block of columns has a density of its own.
///
/// Outputs are those of the blocks, one behind the other. Every column belongs to one block.
pub struct Mixed {
    blocks: Vec<Block>,
    /// Where a column stands when blocks are put one behind the other; `None`: where it stands in the table.
    place: Option<Vec<i64>>,
}

impl Mixed {
    /// Of D columns.
    ///
    /// # Errors
    /// If a column belongs to no block or to two, or is not in the table.
    pub fn new(columns: i64, blocks: Vec<Block>) -> Result<Self> {
        let mut place = vec![-1; columns as usize];
        for (position, &column) in blocks.iter().flat_map(|b| &b.columns).enumerate() {
            match place.get_mut(column as usize) {
                None => {
                    return Err(Error::config(
                        "mixed",
                        format!("there is no column {column}: columns are counted from 0 to {}", columns - 1),
                    ));
                }
                Some(taken) if *taken >= 0 => return Err(Error::config("mixed", format!("column {column} belongs to two blocks"))),
                Some(free) => *free = position as i64,
            }
        }
        if let Some(column) = place.iter().position(|&p| p < 0) {
            return Err(Error::config("mixed", format!("column {column} belongs to no block: every column needs a likelihood")));
        }
        let sorted = place.iter().enumerate().all(|(column, &position)| column as i64 == position);
        Ok(Mixed { blocks, place: (!sorted).then_some(place) })
    }

    /// For every block its outputs and the batch of its columns.
    fn parts<'a>(&'a self, outputs: &'a Tensor, batch: &'a Batch) -> impl Iterator<Item = (&'a Block, Tensor, Batch)> {
        let mut start = 0;
        self.blocks.iter().map(move |block| {
            let length = block.likelihood.n_outputs();
            let part = outputs.narrow(-1, start, length);
            start += length;
            (block, part, columns(batch, &block.columns))
        })
    }

    /// Entries of the blocks (…, N, D_b) in the order of the table.
    fn assemble(&self, parts: &[Tensor]) -> Tensor {
        let all = Tensor::cat(parts, -1);
        match &self.place {
            None => all,
            Some(place) => all.index_select(-1, &Tensor::from_slice(place).to_device(all.device())),
        }
    }
}

/// The batch of some columns.
fn columns(batch: &Batch, columns: &[i64]) -> Batch {
    let consecutive = columns.windows(2).all(|w| w[1] == w[0] + 1);
    let of = |t: &Tensor| match columns.first() {
        Some(&first) if consecutive => t.narrow(1, first, columns.len() as i64),
        _ => t.index_select(1, &Tensor::from_slice(columns).to_device(t.device())),
    };
    Batch {
        x: of(&batch.x),
        observed: batch.observed.as_ref().map(of),
        condition: batch.condition.as_ref().map(Tensor::shallow_clone),
        weights: batch.weights.as_ref().map(Tensor::shallow_clone),
    }
}

impl Likelihood for Mixed {
    fn n_outputs(&self) -> i64 {
        self.blocks.iter().map(|b| b.likelihood.n_outputs()).sum()
    }

    fn log_prob_entries(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        let parts: Vec<Tensor> = self.parts(outputs, batch).map(|(b, outputs, x)| b.likelihood.log_prob_entries(&outputs, &x)).collect();
        self.assemble(&parts)
    }

    fn log_prob_row(&self, batch: &Batch) -> Option<Tensor> {
        self.blocks.iter().filter_map(|b| b.likelihood.log_prob_row(&columns(batch, &b.columns))).reduce(|sum, row| sum + row)
    }

    fn mean(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        let parts: Vec<Tensor> = self.parts(outputs, batch).map(|(b, outputs, x)| b.likelihood.mean(&outputs, &x)).collect();
        self.assemble(&parts)
    }

    fn mode(&self, outputs: &Tensor, batch: &Batch) -> Tensor {
        let parts: Vec<Tensor> = self.parts(outputs, batch).map(|(b, outputs, x)| b.likelihood.mode(&outputs, &x)).collect();
        self.assemble(&parts)
    }

    fn sample(&self, outputs: &Tensor, batch: &Batch, noise: &mut Noise) -> Tensor {
        let parts: Vec<Tensor> = self.parts(outputs, batch).map(|(b, outputs, x)| b.likelihood.sample(&outputs, &x, noise)).collect();
        self.assemble(&parts)
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        for block in &self.blocks {
            block.likelihood.check(&columns(batch, &block.columns)).map_err(|error| in_table(error, &block.columns))?;
        }
        Ok(())
    }

    fn sized_columns(&self) -> Vec<Vec<i64>> {
        let in_table = |block: &Block, group: Vec<i64>| group.into_iter().map(|column| block.columns[column as usize]).collect();
        self.blocks.iter().flat_map(|b| b.likelihood.sized_columns().into_iter().map(move |group| in_table(b, group))).collect()
    }

    fn start(&self, mean: &Tensor) -> Option<Tensor> {
        let parts: Vec<Tensor> = self
            .blocks
            .iter()
            .map(|b| {
                let of_block = mean.index_select(0, &Tensor::from_slice(&b.columns).to_device(mean.device()));
                let zero = || Tensor::zeros([b.likelihood.n_outputs()], (mean.kind(), mean.device()));
                b.likelihood.start(&of_block).unwrap_or_else(zero)
            })
            .collect();
        Some(Tensor::cat(&parts, 0))
    }
}

/// The same error with the column as the table counts it.
fn in_table(error: Error, columns: &[i64]) -> Error {
    match error.kind() {
        ErrorKind::OutsideSupport { row, column, value, allowed } => {
            let column = columns.get(*column).map_or(*column, |&c| c as usize);
            ErrorKind::OutsideSupport { row: *row, column, value: *value, allowed }.into()
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, gradient_is_right, noise, row};
    use crate::likelihood::{Bernoulli, Categorical, Library, Multinomial, Poisson};

    /// Columns: binary, count, code of 3, binary, and two words.
    fn table() -> Mixed {
        let block = |columns: &[i64], likelihood| Block { columns: columns.to_vec(), likelihood };
        Mixed::new(
            6,
            vec![
                block(&[0, 3], Box::new(Bernoulli { columns: 2 })),
                block(&[1], Box::new(Poisson { columns: 1, library: Library::None })),
                block(&[2], Box::new(Categorical { columns: 1, codes: 3 })),
                block(&[4, 5], Box::new(Multinomial { columns: 2 })),
            ],
        )
        .unwrap()
    }

    const OUTPUTS: [f64; 8] = [0.3, -2.0, -1.0, 0.1, -0.4, 2.0, 0.2, 0.2];
    const X: [f64; 6] = [1.0, 3.0, 2.0, 0.0, 1.0, 2.0];

    #[test]
    fn entries_are_those_of_the_blocks_in_the_order_of_the_table() {
        let batch = Batch::new(row(&X));
        let half = 0.5f64.ln();
        // the golden values of the blocks' own tests
        let expected = [-0.5543552444685271, -5.159638910399497, -0.21534245978042232, -0.12692801104297252, half, 2.0 * half];
        agrees(&table().log_prob_entries(&row(&OUTPUTS), &batch), &expected, 1e-13);
        agrees(&table().log_prob_row(&batch).unwrap(), &[3f64.ln()], 1e-13);
        // the bag of words stands in columns 4 and 5
        assert_eq!(table().sized_columns(), [vec![4, 5]]);
    }

    #[test]
    fn gradient() {
        gradient_is_right(&table(), &row(&OUTPUTS), &Batch::new(row(&X)));
    }

    #[test]
    fn draws_are_in_the_support_and_means_in_place() {
        let batch = Batch::new(row(&X).expand([50, 6], false).contiguous());
        let outputs = row(&OUTPUTS).expand([50, 8], false);
        let x = table().sample(&outputs, &batch, &mut noise(3));
        table().check(&Batch::new(x)).unwrap();
        let mean = table().mean(&row(&OUTPUTS), &Batch::new(row(&X)));
        let sigmoid = |a: f64| 1.0 / (1.0 + (-a).exp());
        let weights = [0.1f64.exp(), (-0.4f64).exp(), 2f64.exp()];
        let code = (weights[1] + 2.0 * weights[2]) / weights.iter().sum::<f64>();
        agrees(&table().mode(&row(&OUTPUTS), &Batch::new(row(&X))), &[1.0, (-1f64).exp(), 2.0, 0.0, 1.5, 1.5], 1e-13);
        agrees(&mean, &[sigmoid(0.3), (-1f64).exp(), code, sigmoid(-2.0), 1.5, 1.5], 1e-13);
    }

    #[test]
    fn errors_name_the_column_of_the_table() {
        let error = table().check(&Batch::new(row(&[1.0, 3.0, 2.0, 0.5, 1.0, 2.0]))).unwrap_err().to_string();
        assert!(error.contains("column 3"), "{error}");
        let bernoulli =
            |columns: &[i64]| Block { columns: columns.to_vec(), likelihood: Box::new(Bernoulli { columns: columns.len() as i64 }) as _ };
        for (blocks, text) in [
            (vec![bernoulli(&[0])], "column 1 belongs to no block"),
            (vec![bernoulli(&[0, 1]), bernoulli(&[1])], "column 1 belongs to two blocks"),
            (vec![bernoulli(&[0, 1, 2])], "there is no column 2"),
        ] {
            let error = Mixed::new(2, blocks).err().unwrap().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
