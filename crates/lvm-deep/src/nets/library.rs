//! The size of a row as a latent.

use super::Decoder;
use crate::data::{Batch, Dataset};
use crate::error::Result;
use crate::parameters::Scope;
use crate::vae::{column_means, column_standard};
use tch::Tensor;

/// A decoder of z_1 … z_{L−1}, behind whose outputs stands log ℓ = m + s z_L.
///
/// m and s are mean and standard deviation of the log sums of the training rows, over the entries that are there. Lopez et al. 2018.
pub struct LibraryDecoder {
    inner: Box<dyn Decoder>,
    mean: Tensor,
    scale: Tensor,
}

impl LibraryDecoder {
    /// Around a decoder of one latent less; m = 0 and s = 1 without data.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn new(scope: &mut Scope<'_>, inner: Box<dyn Decoder>, data: Option<&Dataset>) -> Result<Self> {
        let (mean, scale) = match data {
            Some(data) => {
                let mut sums = Batch::new(data.rows.x.sum_dim_intlist([1].as_slice(), true, None).clamp_min(1.0).log());
                sums.weights = data.rows.weights.as_ref().map(Tensor::shallow_clone);
                let (_, scale) = column_standard(&sums);
                (column_means(&sums), scale)
            }
            None => {
                let options = (scope.kind(), scope.device());
                (Tensor::zeros([1], options), Tensor::ones([1], options))
            }
        };
        Ok(LibraryDecoder { inner, mean: scope.fixed("log_library_mean", &mean)?, scale: scope.fixed("log_library_sd", &scale)? })
    }
}

impl Decoder for LibraryDecoder {
    fn outputs(&self, z: &Tensor, batch: &Batch) -> Tensor {
        let rest = z.size()[1] - 1;
        let log_size = &self.mean + &self.scale * z.narrow(1, rest, 1);
        Tensor::cat(&[self.inner.outputs(&z.narrow(1, 0, rest), batch), log_size], 1)
    }

    fn reads_rows(&self, batch: &Batch) -> bool {
        self.inner.reads_rows(batch)
    }

    fn output_bias(&self) -> Option<Tensor> {
        self.inner.output_bias()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::{agrees, row, scoped};
    use crate::nets::{Linear, NetDecoder};
    use ndarray::array;
    use tch::{Device, Kind};

    #[test]
    fn the_last_latent_is_the_log_size() {
        let x = array![[1.0, 0.0], [3.0, 1.0]];
        let data = Dataset::new(&x, Kind::Double, Device::Cpu).unwrap();
        scoped(|scope| {
            let inner = NetDecoder::new(Box::new(Linear::new(&mut scope.at("inner"), 2, 2).unwrap()));
            let decoder = LibraryDecoder::new(scope, Box::new(inner), Some(&data)).unwrap();
            let outputs = decoder.outputs(&row(&[0.1, 0.2, 2.0]), &data.rows);
            // log sums are 0 and log 4: mean and sd are log 2
            agrees(&outputs.narrow(1, 2, 1), &[3.0 * 2f64.ln()], 1e-14);
            assert_eq!(outputs.size(), [1, 3]);
        });
    }
}
