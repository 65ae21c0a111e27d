//! Stochastic steps over rows that are never in memory all at once.

use lvm_core::Result;
use lvm_core::fit::Stopping;
use lvm_core::rows::RowSource;
use lvm_vi::cavi::mixture::{BayesianMixture, StochasticBayesianMixture};

/// Rows made when they are read, of which no more are ever asked for at once than `most` says.
struct Made {
    rows: usize,
    most: std::sync::atomic::AtomicUsize,
}

impl RowSource for Made {
    fn n_rows(&self) -> usize {
        self.rows
    }
    fn n_cols(&self) -> usize {
        2
    }
    fn read(&self, start: usize, mut out: ndarray::ArrayViewMut2<'_, f64>) -> Result<()> {
        self.most.fetch_max(out.nrows(), std::sync::atomic::Ordering::Relaxed);
        for (i, mut row) in out.outer_iter_mut().enumerate() {
            let n = start + i;
            row[0] = (n % 2) as f64 * 9.0 + ((n * 7919) as f64).sin();
            row[1] = ((n * 104_729) as f64).cos();
        }
        Ok(())
    }
}

#[test]
fn stochastic_steps_read_no_more_at_once_from_a_longer_table() {
    let most = |rows: usize| {
        let data = Made { rows, most: 0.into() };
        let mixture = BayesianMixture { components: 2, stopping: Stopping { max_iterations: 1, tolerance: 0.0 }, ..Default::default() };
        let svi = StochasticBayesianMixture { batch: 200, ..StochasticBayesianMixture::new(mixture) };
        // the whole fit: prior, start, steps, and the bound of all rows
        assert!(svi.fit(&data, 1).unwrap().objective().is_finite());
        data.most.into_inner()
    };
    let (short, long) = (most(50_000), most(400_000));
    // blocks of a pass, whatever N: what is made of them is of the size of the model
    assert_eq!(short, long);
    assert!(long <= 8192, "{long}");
}
