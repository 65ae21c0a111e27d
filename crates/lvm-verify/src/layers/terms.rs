//! How large the terms are that a log density is the sum of: the scale of its rounding error where the sum passes through zero.

use crate::case::Node;
use crate::oracle::gaussian::LOG_2PI;
use crate::suite::Problem;
use lvm_core::special::lgamma;
use std::f64::consts::{LN_2, PI};

/// Σ|terms| by the textbook formula of the density; a lower bound (at least 0) where the terms need a matrix decomposition, which only
/// makes the tolerance smaller.
///
/// # Errors
/// If the case lacks a field.
pub fn magnitude(name: &str, item: &Node<'_>) -> Result<f64, Problem> {
    let parameters = item.get("parameters")?;
    let p = |field: &str| -> Result<f64, Problem> { Ok(parameters.get(field)?.number()?) };
    let ln = |v: f64| v.ln().abs();
    let point = item.get("x")?;
    let x = || -> Result<f64, Problem> { Ok(point.number()?) };
    let standard = |location: &str, scale: &str| -> Result<(f64, f64), Problem> { Ok(((x()? - p(location)?) / p(scale)?, ln(p(scale)?))) };
    Ok(match name {
        "normal" => {
            let (z, log_scale) = standard("mean", "sd")?;
            0.5 * z * z + log_scale + 0.5 * LOG_2PI
        }
        "lognormal" => {
            let z = (x()?.ln() - p("mu")?) / p("sigma")?;
            0.5 * z * z + ln(p("sigma")?) + 0.5 * LOG_2PI + ln(x()?)
        }
        "half_normal" => 0.5 * (x()? / p("scale")?).powi(2) + ln(p("scale")?) + 0.5 * LOG_2PI + LN_2,
        "cauchy" => {
            let (z, log_scale) = standard("loc", "scale")?;
            (z * z).ln_1p() + log_scale + PI.ln()
        }
        "half_cauchy" => (x()? / p("scale")?).powi(2).ln_1p() + ln(p("scale")?) + PI.ln() + LN_2,
        "laplace" => {
            let (z, log_scale) = standard("loc", "scale")?;
            z.abs() + log_scale + LN_2
        }
        "logistic" => {
            let (z, log_scale) = standard("loc", "scale")?;
            z.abs() + log_scale + 2.0 * (-z.abs()).exp().ln_1p()
        }
        "student_t" => {
            let ((z, log_scale), df) = (standard("loc", "scale")?, p("df")?);
            let half = 0.5 * (df + 1.0);
            lgamma(half).abs() + lgamma(0.5 * df).abs() + 0.5 * ln(df * PI) + log_scale + half * (z * z / df).ln_1p()
        }
        "gamma_shape_rate" => {
            let (a, b, x) = (p("shape")?, p("rate")?, x()?);
            a * ln(b) + lgamma(a).abs() + (a - 1.0).abs() * ln(x) + b * x
        }
        "inverse_gamma_shape_scale" => {
            let (a, b, x) = (p("shape")?, p("scale")?, x()?);
            a * ln(b) + lgamma(a).abs() + (a + 1.0) * ln(x) + b / x
        }
        "weibull" => {
            let (k, x) = (p("shape")?, x()? / p("scale")?);
            ln(k) + ln(p("scale")?) + (k - 1.0).abs() * ln(x) + x.powf(k)
        }
        "beta" => {
            let (a, b, x) = (p("a")?, p("b")?, x()?);
            let normaliser = lgamma(a).abs() + lgamma(b).abs() + lgamma(a + b).abs();
            (a - 1.0).abs() * ln(x) + (b - 1.0).abs() * (-x).ln_1p().abs() + normaliser
        }
        "mvn" | "multivariate_t" => 0.5 * point.vector()?.len() as f64 * LOG_2PI,
        // log probabilities and matrix densities: relative throughout
        _ => 0.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;

    #[test]
    fn terms_that_cancel_keep_their_size() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        // log N(0; 0, sd) = 0 at sd = 1/√2π: two terms of 0.919 that cancel
        let json = r#"{"schema": "lvm-reference/1", "id": "a", "kind": "special", "x": 0.0, "parameters": {"mean": 0.0, "sd": 0.3989422804014327}}"#;
        std::fs::write(&file, json).unwrap();
        let case = Case::read(&file, folder.path()).unwrap();
        assert!((magnitude("normal", &case.root()).unwrap() - LOG_2PI).abs() < 1e-15);
        assert_eq!(magnitude("poisson_log", &case.root()).unwrap(), 0.0);
        assert!(magnitude("beta", &case.root()).is_err());
    }
}
