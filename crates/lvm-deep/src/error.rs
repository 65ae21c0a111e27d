//! Errors are those of `lvm-core`; what libtorch says becomes an [`ErrorKind::Backend`].

pub use lvm_core::{Error, ErrorKind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs tensor code whose shapes are right by construction and turns what libtorch may still report (memory exhausted, device lost) into
/// an error. tch panics there; the panic ends here.
///
/// # Errors
/// What `work` returns, or libtorch's report ([`ErrorKind::Backend`]).
///
/// ```
/// use lvm_deep::error::{ErrorKind, guard};
/// use lvm_deep::{Kind, Tensor};
/// use tch::Device;
/// let zeros = |n: i64| Tensor::zeros([n], (Kind::Float, Device::Cpu));
/// let error = guard("adding", || Ok(zeros(2) + zeros(3))).unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::Backend { name: "libtorch", doing: "adding", .. }), "{error}");
/// ```
pub fn guard<T>(doing: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(torch(doing, text.as_deref().unwrap_or("no reason given")))
        }
    }
}

/// libtorch's report as an error.
pub(crate) fn torch(doing: &'static str, report: &str) -> Error {
    let message = report.split("\\n").next().unwrap_or(report).lines().next().unwrap_or(report).to_owned();
    ErrorKind::Backend { name: "libtorch", doing, message }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Architecture;
    use crate::checkpoint::{decode_training, encode_training};
    use crate::data::Dataset;
    use crate::train::Training;
    use crate::vae::Vae;
    use lvm_core::file::Header;
    use ndarray::Array2;
    use std::ops::ControlFlow;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn what_libtorch_panics_about_is_an_error() {
        let zeros = |n| Tensor::zeros([n], (Kind::Float, Device::Cpu));
        let error = guard("adding", || Ok(zeros(2) + zeros(3))).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Backend { name: "libtorch", doing: "adding", .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.starts_with("libtorch failed while adding: ") && error.contains("size of tensor"), "{error}");
        assert_eq!(error.lines().count(), 1);
        assert_eq!(guard("nothing", || Ok(7)).unwrap(), 7);
    }

    fn table(columns: usize) -> Dataset {
        Dataset::new(&Array2::from_shape_fn((20, columns), |(i, j)| ((i * (j + 1)) as f64 * 0.37).sin()), Kind::Double, Device::Cpu)
            .unwrap()
    }

    /// A device that is lost is a panic of libtorch between two steps; rows that can't be multiplied are one too.
    #[test]
    fn a_training_outlives_a_failure_of_libtorch() {
        let rows = table(3);
        let training = Training { epochs: 3, batch_size: 10, ..Training::default() };
        let mut state = training.init(Vae::new(Architecture::mlp(3, 1, &[4]), &rows, 1).unwrap(), &rows, 1).unwrap();
        let watch = &mut |_: &crate::train::State| ControlFlow::Continue(());
        let error = training.run(&mut state, &rows, Some(&table(5)), watch).unwrap_err().to_string();
        assert!(error.starts_with("libtorch failed while "), "{error}");
        // two steps are done and no epoch; what there is can be written, read, and gone on with
        assert_eq!((state.attempts, state.epochs.len()), (2, 0));
        let bytes = encode_training(&state, &training, 20, &Header::default()).unwrap();
        let mut back = decode_training(&bytes, Device::Cpu).unwrap().state;
        training.run(&mut back, &rows, Some(&rows), watch).unwrap();
        assert_eq!(back.epochs.len(), 3);
        assert!(back.epochs[2].train.bound.is_finite());
    }
}
