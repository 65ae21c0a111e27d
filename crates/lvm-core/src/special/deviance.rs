//! Small differences of logarithms that cancel when written down naively.

/// log(1 + u) − u for u > −1, without the cancellation at small u; relative error a few ulp.
///
/// It is minus the deviance of 1 from 1 + u: the term that is left when a density is compared with its value at the mode.
pub fn log1p_minus(u: f64) -> f64 {
    if !(-0.4..=0.6).contains(&u) {
        // no cancellation worth speaking of: |log(1 + u) − u| > |u| / 6
        return u.ln_1p() - u;
    }
    // With r = u/(2 + u): log(1 + u) = 2 artanh r and u = 2r/(1 − r), so
    // log(1 + u) − u = −r u + 2 Σ_{k≥1} r^{2k+1}/(2k + 1)          (Abramowitz & Stegun 4.1.27)
    let r = u / (2.0 + u);
    let square = r * r;
    let mut power = r * square;
    let mut sum = power / 3.0;
    let mut k = 5.0;
    loop {
        power *= square;
        let term = power / k;
        sum += term;
        if term.abs() <= sum.abs() * 1e-17 || term == 0.0 {
            break;
        }
        k += 2.0;
    }
    2.0 * sum - r * u
}

/// The Poisson deviance x log(x/m) − (x − m) ≥ 0 for x ≥ 0, m > 0, given also the difference x − m as exactly as it is known.
///
/// C. Loader, *Fast and accurate computation of binomial probabilities* (2000): densities written with it and
/// [`stirling_error`](super::stirling_error) lose no digits at large counts and shapes.
pub fn deviance(x: f64, m: f64, x_minus_m: f64) -> f64 {
    if x == 0.0 {
        return m;
    }
    // x log(x/m) − (x − m) = −x [log(1 + s) − s],  s = (m − x)/x; for m ≪ x the left side knows m better
    let s = -x_minus_m / x;
    if s.is_infinite() {
        m
    } else if s > -0.9 {
        -x * log1p_minus(s)
    } else {
        x * (x / m).ln() - x_minus_m
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log1p_minus_follows_its_series_and_its_definition() {
        // −u²/2 + u³/3 − u⁴/4: the next term is u⁵/5, 2e-40 relative to the first at u = 1e-10
        let u = 1e-10;
        let series = -u * u / 2.0 + u * u * u / 3.0;
        assert!((log1p_minus(u) / series - 1.0).abs() < 1e-15);
        for u in [-0.9, -0.4000001, -0.3999999, 0.5999999, 0.6000001, 3.0_f64] {
            // the direct form loses a factor |u / result| ≤ 6 of an ulp or two
            assert!((log1p_minus(u) - (u.ln_1p() - u)).abs() < 8.0 * f64::EPSILON * u.abs());
        }
        assert_eq!(log1p_minus(0.0), 0.0);
    }

    #[test]
    fn deviance_is_zero_at_the_mean_only() {
        assert_eq!(deviance(5.0, 5.0, 0.0), 0.0);
        assert_eq!(deviance(0.0, 2.0, -2.0), 2.0);
        // (x − m)²/(2m) to first order
        assert!((deviance(1e10 + 1.0, 1e10, 1.0) / 0.5e-10 - 1.0).abs() < 1e-9);
    }
}
