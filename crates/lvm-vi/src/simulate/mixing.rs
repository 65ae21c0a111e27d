//! Whether chains agree with each other and with themselves: R̂ and the effective number of draws.

use ndarray::{ArrayView2, Axis, Slice, concatenate};

/// Split-R̂ of one quantity over chains (C, S): √(((S−1)/S W + B/S) / W) with each chain cut into halves. 1 where the chains agree; NaN
/// if nothing moves or there are fewer than four draws a chain.
///
/// Source: Gelman et al., Bayesian Data Analysis (3rd ed.), eq. 11.4.
pub fn split_r_hat(chains: ArrayView2<'_, f64>) -> f64 {
    let (within, total, _) = variances(chains);
    (total / within).sqrt()
}

/// The effective number of draws of one quantity over chains (C, S), by Geyer's initial monotone sequence; at most C S log₁₀(C S).
///
/// Source: Gelman et al., Bayesian Data Analysis (3rd ed.), eq. 11.8; Geyer (1992); the cap of Vehtari et al. (2021).
pub fn effective_draws(chains: ArrayView2<'_, f64>) -> f64 {
    let (within, total, halves) = variances(chains);
    let (m, n) = halves.dim();
    let draws = (m * n) as f64;
    if !(total > 0.0) {
        return f64::NAN;
    }
    // ρ_t = 1 − (W − mean autocovariance at lag t)/V⁺
    let rho = |lag: usize| {
        let autocovariance: f64 = halves
            .rows()
            .into_iter()
            .map(|chain| {
                let mean = chain.sum() / n as f64;
                (0..n - lag).map(|t| (chain[t] - mean) * (chain[t + lag] - mean)).sum::<f64>() / n as f64
            })
            .sum();
        1.0 - (within - autocovariance / m as f64) / total
    };
    let (mut tau, mut least) = (-1.0, f64::INFINITY);
    for pair in (0..n.saturating_sub(1)).step_by(2) {
        let sum = if pair == 0 { 1.0 + rho(1) } else { rho(pair) + rho(pair + 1) };
        if !(sum > 0.0) {
            break;
        }
        least = least.min(sum);
        tau += 2.0 * least;
    }
    draws / tau.max(1.0 / draws.log10())
}

/// W, V⁺ and the half chains (2C, S/2).
fn variances(chains: ArrayView2<'_, f64>) -> (f64, f64, ndarray::Array2<f64>) {
    let half = chains.ncols() / 2;
    let first = chains.slice_axis(Axis(1), Slice::from(..half));
    let second = chains.slice_axis(Axis(1), Slice::from(chains.ncols() - half..));
    // invariant: both have C rows and S/2 columns
    let halves = concatenate(Axis(0), &[first, second]).expect("equal shapes");
    let n = half as f64;
    let means = halves.sum_axis(Axis(1)) / n;
    let within =
        halves.rows().into_iter().zip(&means).map(|(c, m)| c.iter().map(|x| (x - m).powi(2)).sum::<f64>() / (n - 1.0)).sum::<f64>()
            / halves.nrows() as f64;
    let grand = means.sum() / means.len() as f64;
    // B/S
    let between = means.iter().map(|m| (m - grand).powi(2)).sum::<f64>() / (means.len() as f64 - 1.0);
    (within, (n - 1.0) / n * within + between, halves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvm_core::random::{Purpose, stream};
    use ndarray::Array2;
    use rand_distr::{Distribution, StandardNormal};

    /// x_t = a x_{t−1} + √(1 − a²) ε_t.
    fn autoregressive(a: f64, chains: usize, draws: usize) -> Array2<f64> {
        let mut rng = stream(1, Purpose::Sample, 0);
        let mut x = Array2::zeros((chains, draws));
        for mut chain in x.rows_mut() {
            let mut last: f64 = StandardNormal.sample(&mut rng);
            for v in &mut chain {
                let e: f64 = StandardNormal.sample(&mut rng);
                last = a * last + (1.0 - a * a).sqrt() * e;
                *v = last;
            }
        }
        x
    }

    #[test]
    fn the_effective_draws_of_an_autoregression_are_known() {
        // τ = (1 + a)/(1 − a); at 40000 draws the estimate scatters by a few percent
        for a in [0.0, 0.5, 0.8, -0.3] {
            let ess = effective_draws(autoregressive(a, 4, 10_000).view());
            let exact = 40_000.0 * (1.0 - a) / (1.0 + a);
            assert!((ess / exact - 1.0).abs() < 0.15, "{a}: {ess} {exact}");
        }
    }

    #[test]
    fn chains_that_disagree_show() {
        let mut x = autoregressive(0.3, 4, 1000);
        assert!(split_r_hat(x.view()) < 1.02);
        // two of eight halves shifted by 2: the variance between them is 4 · 2 · 6/(8 · 7) = 6/7, so R̂ ≈ √(1 + 6/7)
        x.row_mut(2).mapv_inplace(|v| v + 2.0);
        assert!(split_r_hat(x.view()) > 1.3);
    }

    #[test]
    fn what_does_not_move_has_no_answer() {
        assert!(split_r_hat(Array2::<f64>::zeros((2, 10)).view()).is_nan());
        assert!(effective_draws(Array2::<f64>::zeros((2, 10)).view()).is_nan());
    }
}
