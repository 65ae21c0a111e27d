//! Golden numbers: special functions, densities, divergences, conjugate families, exact regression, cancellation.

use lvm_core::conjugate::{BetaBernoulli, DirichletCategorical, GammaPoisson, NormalGamma, NormalMean};
use lvm_core::dist::{self, Univariate};
use lvm_core::{moments, regression, special};
use ndarray::{Array1, Array2};
use serde_json::Value;

/// What is compared, ours, the reference's.
type Row = (String, f64, f64);

fn case(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn number(v: &Value) -> f64 {
    match v {
        Value::String(s) if s == "inf" => f64::INFINITY,
        Value::String(s) if s == "-inf" => f64::NEG_INFINITY,
        _ => v.as_f64().unwrap_or_else(|| panic!("not a number: {v}")),
    }
}

fn vector(v: &Value) -> Array1<f64> {
    v.as_array().unwrap().iter().map(number).collect()
}

fn matrix(v: &Value) -> Array2<f64> {
    let rows: Vec<Array1<f64>> = v.as_array().unwrap().iter().map(vector).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

/// Fails with the whole list of rows that are off by more than `relative`, or by more than `absolute`.
fn compare(rows: &[Row], relative: f64, absolute: f64) {
    let off = |(_, ours, truth): &&Row| {
        let difference = (ours - truth).abs();
        // 1e-300: below it doubles lose digits (README of the reference)
        !(ours == truth || difference <= absolute || difference <= relative * truth.abs().max(1e-300))
    };
    let bad: Vec<&Row> = rows.iter().filter(off).collect();
    assert!(bad.is_empty(), "{} of {} are off: {bad:#?}", bad.len(), rows.len());
}

fn function(name: &str, a: &[f64]) -> f64 {
    match name {
        "lgamma" => special::lgamma(a[0]),
        "digamma" => special::digamma(a[0]),
        "trigamma" => special::trigamma(a[0]),
        "softplus" => special::softplus(a[0]),
        "log_sigmoid" => special::log_sigmoid(a[0]),
        "sigmoid" => special::sigmoid(a[0]),
        "logit" => special::logit(a[0]),
        "erf" => special::erf(a[0]),
        "erfc" => special::erfc(a[0]),
        "norm_cdf" => special::norm_cdf(a[0]),
        "log_norm_cdf" => special::log_norm_cdf(a[0]),
        "norm_quantile" => special::norm_quantile(a[0]),
        "expm1" => a[0].exp_m1(),
        "gammainc_lower_regularised" => special::gammainc_lower(a[0], a[1]),
        "gammainc_upper_regularised" => special::gammainc_upper(a[0], a[1]),
        "betainc_regularised" => special::betainc(a[0], a[1], a[2]),
        "multivariate_lgamma(d,a)" => special::multivariate_lgamma(a[0] as usize, a[1]),
        "lgamma_delta" => special::lgamma_delta(a[0], a[1]),
        "lgamma_bregman" => special::lgamma_bregman(a[0], a[1], a[0] - a[1]),
        "lbeta" => special::lbeta(a[0], a[1]),
        "log_beta_kernel" => special::log_beta_kernel(a[0], a[1], a[2]),
        other => panic!("unknown function {other}"),
    }
}

fn density(case: &Value) -> f64 {
    let p = |name: &str| number(&case["parameters"][name]);
    let x = &case["x"];
    let at = |d: &dyn Univariate| d.log_prob(number(x));
    match case["density"].as_str().unwrap().split(' ').next().unwrap() {
        "normal" => at(&dist::Normal::new(p("mean"), p("sd")).unwrap()),
        "cauchy" => at(&dist::Cauchy::new(p("loc"), p("scale")).unwrap()),
        "laplace" => at(&dist::Laplace::new(p("loc"), p("scale")).unwrap()),
        "logistic" => at(&dist::Logistic::new(p("loc"), p("scale")).unwrap()),
        "student_t" => at(&dist::StudentT::new(p("df"), p("loc"), p("scale")).unwrap()),
        "gamma_shape_rate" => at(&dist::Gamma::new(p("shape"), p("rate")).unwrap()),
        "inverse_gamma_shape_scale" => at(&dist::InverseGamma::new(p("shape"), p("scale")).unwrap()),
        "lognormal" => at(&dist::LogNormal::new(p("mu"), p("sigma")).unwrap()),
        "weibull" => at(&dist::Weibull::new(p("shape"), p("scale")).unwrap()),
        "half_cauchy" => at(&dist::HalfCauchy::new(p("scale")).unwrap()),
        "half_normal" => at(&dist::HalfNormal::new(p("scale")).unwrap()),
        "beta" => at(&dist::Beta::new(p("a"), p("b")).unwrap()),
        "binomial_logit" => at(&dist::BinomialLogit::new(p("n") as u64, p("logit")).unwrap()),
        "poisson_log" => at(&dist::PoissonLog::new(p("log_rate")).unwrap()),
        "negative_binomial_2" => at(&dist::NegativeBinomial2::new(p("mean"), p("dispersion")).unwrap()),
        "dirichlet" => {
            let alpha = vector(&case["parameters"]["alpha"]);
            dist::Dirichlet::new(alpha.view()).unwrap().log_prob(vector(x).view()).unwrap()
        }
        "mvn" => mvn(&case["parameters"]).log_prob(vector(x).view()).unwrap(),
        "multivariate_t" => {
            let (loc, scale) = (vector(&case["parameters"]["loc"]), matrix(&case["parameters"]["scale_matrix"]));
            dist::MultivariateT::new(p("df"), loc.view(), scale.view()).unwrap().log_prob(vector(x).view()).unwrap()
        }
        "wishart" => wishart(&case["parameters"]).log_prob(matrix(x).view()).unwrap(),
        "inverse_wishart" => {
            let scale = matrix(&case["parameters"]["scale"]);
            dist::InverseWishart::new(p("df"), scale.view()).unwrap().log_prob(matrix(x).view()).unwrap()
        }
        other => panic!("unknown density {other}"),
    }
}

fn mvn(v: &Value) -> dist::MultivariateNormal {
    dist::MultivariateNormal::new(vector(&v["mean"]).view(), matrix(&v["cov"]).view()).unwrap()
}

fn wishart(v: &Value) -> dist::Wishart {
    dist::Wishart::new(number(&v["df"]), matrix(&v["scale"]).view()).unwrap()
}

fn divergence(case: &Value) -> f64 {
    let parameters = &case["parameters"];
    let (q, p) = (&parameters["q"], &parameters["p"]);
    let normal = |v: &Value| dist::Normal::new(number(&v[0]), number(&v[1])).unwrap();
    let gamma = |v: &Value| dist::Gamma::new(number(&v[0]), number(&v[1])).unwrap();
    let beta = |v: &Value| dist::Beta::new(number(&v[0]), number(&v[1])).unwrap();
    let dirichlet = |v: &Value| dist::Dirichlet::new(vector(v).view()).unwrap();
    match case["divergence"].as_str().unwrap() {
        "KL(normal||normal)" => normal(q).kl(&normal(p)),
        "Renyi alpha=2 D(normal||normal)" => normal(q).renyi(&normal(p), 2.0),
        "Wasserstein-2(normal,normal)" => normal(q).wasserstein_2(&normal(p)),
        "KL(gamma||gamma) shape,rate" => gamma(q).kl(&gamma(p)),
        "KL(beta||beta)" => beta(q).kl(&beta(p)),
        "KL(dirichlet||dirichlet)" => dirichlet(q).kl(&dirichlet(p)).unwrap(),
        "KL(mvn||mvn)" => mvn(q).kl(&mvn(p)).unwrap(),
        "Wasserstein-2(mvn,mvn)" => mvn(q).wasserstein_2(&mvn(p)).unwrap(),
        "KL(wishart||wishart) df,scale" => wishart(q).kl(&wishart(p)).unwrap(),
        "entropy(mvn)" => {
            let cov = matrix(&parameters["cov"]);
            dist::MultivariateNormal::new(Array1::zeros(cov.nrows()).view(), cov.view()).unwrap().entropy()
        }
        other => panic!("unknown divergence {other}"),
    }
}

/// Every function, density and divergence of a file of kind `special`.
fn check_special(file: &str) {
    let file = case(file);
    let relative = number(&file["tolerance"]["relative"]);
    let (mut plain, mut with_zeros, mut far_right) = (Vec::new(), Vec::new(), Vec::new());
    for f in file["functions"].as_array().unwrap() {
        let name = f["f"].as_str().unwrap();
        let row = (format!("{name} {}", f["args"]), function(name, vector(&f["args"]).as_slice().unwrap()), number(&f["value"]));
        match name {
            "lgamma" | "digamma" | "multivariate_lgamma(d,a)" => with_zeros.push(row),
            "log_norm_cdf" => far_right.push(row),
            _ => plain.push(row),
        }
    }
    for d in file["densities"].as_array().unwrap() {
        plain.push((d.to_string(), density(d), number(&d["log_density"])));
    }
    for d in file["divergences"].as_array().unwrap() {
        plain.push((d.to_string(), divergence(d), number(&d["value"])));
    }
    compare(&plain, relative, 0.0);
    // the file asks for 1e-13 absolute at the zeros of these
    compare(&with_zeros, relative, 1e-13);
    // the reference takes log(1 − tiny) in 50 digits, so where log Φ is below 1e-49 it says 0
    compare(&far_right, relative, 1e-49);
}

#[test]
fn special_a() {
    check_special(include_str!("../reference/special_a.json"));
}

#[test]
fn special_grid() {
    check_special(include_str!("../reference/special_grid.json"));
}

#[test]
fn numerics_a() {
    let file = case(include_str!("../reference/numerics_a.json"));
    for c in file["cases"].as_array().unwrap() {
        let tolerance = number(&c["tolerance_relative"]);
        match c["name"].as_str().unwrap() {
            "mean_variance_with_offset" => {
                let x = vector(&c["x"]);
                let n = x.len() as f64;
                let m = moments::moments(&x.insert_axis(ndarray::Axis(1))).unwrap();
                let rows = [
                    ("mean".into(), m.mean[0], number(&c["mean"])),
                    ("variance_n".into(), m.covariance[[0, 0]], number(&c["variance_n"])),
                    ("variance_n_minus_1".into(), m.covariance[[0, 0]] * n / (n - 1.0), number(&c["variance_n_minus_1"])),
                ];
                compare(&rows, tolerance, 0.0);
            }
            "mvn_log_density_ill_conditioned" => {
                let ours = mvn(c).log_prob(vector(&c["x"]).view()).unwrap();
                compare(&[("log density".into(), ours, number(&c["log_density"]))], tolerance, 0.0);
            }
            // a Gaussian mixture: tested with the mixtures
            "gmm_far_tail_responsibilities" => {}
            other => panic!("unknown case {other}"),
        }
    }
}

#[test]
fn conjugate_a() {
    let file = case(include_str!("../reference/conjugate_a.json"));
    for c in file["cases"].as_array().unwrap() {
        let rows = match c["name"].as_str().unwrap() {
            "normal_known_variance" => normal_known_variance(c),
            "beta_bernoulli" => beta_bernoulli(c),
            "gamma_poisson" => gamma_poisson(c),
            "normal_gamma_and_cavi" => normal_gamma(c),
            "dirichlet_categorical" => dirichlet_categorical(c),
            other => panic!("unknown case {other}"),
        };
        // closed forms of a few dozen roundings (VERIFY C7)
        compare(&rows, 1e-12, 0.0);
    }
}

fn normal_known_variance(c: &Value) -> Vec<Row> {
    let prior = dist::Normal::new(number(&c["prior"]["mean"]), number(&c["prior"]["sd"])).unwrap();
    let (model, data) = (NormalMean::new(prior, number(&c["noise_sd"])).unwrap(), vector(&c["data"]));
    let posterior = model.posterior(data.view()).unwrap().mean();
    vec![
        ("mean".into(), posterior.mean(), number(&c["posterior"]["mean"])),
        ("sd".into(), posterior.sd(), number(&c["posterior"]["sd"])),
        ("evidence".into(), model.log_evidence(data.view()).unwrap(), number(&c["log_evidence"])),
    ]
}

fn beta_bernoulli(c: &Value) -> Vec<Row> {
    let (successes, trials) = (number(&c["data"]["successes"]) as u64, number(&c["data"]["trials"]) as u64);
    let model = BetaBernoulli { probability: dist::Beta::new(number(&c["prior"]["a"]), number(&c["prior"]["b"])).unwrap() };
    let posterior = model.posterior(successes, trials).unwrap().probability;
    let truth = &c["posterior"];
    let mut rows: Vec<Row> = vec![
        ("a".into(), posterior.a(), number(&truth["a"])),
        ("b".into(), posterior.b(), number(&truth["b"])),
        ("mean".into(), posterior.mean(), number(&truth["mean"])),
        ("sd".into(), posterior.variance().sqrt(), number(&truth["sd"])),
        ("logit mean".into(), posterior.mean_logit(), number(&truth["logit_mean"])),
        ("logit sd".into(), posterior.variance_logit().sqrt(), number(&truth["logit_sd"])),
        ("evidence".into(), model.log_evidence(successes, trials).unwrap(), number(&c["log_evidence"])),
    ];
    for (p, x) in truth["quantiles"].as_object().unwrap() {
        rows.push((format!("quantile {p}"), posterior.quantile(p.parse().unwrap()), number(x)));
    }
    rows
}

fn gamma_poisson(c: &Value) -> Vec<Row> {
    let model = GammaPoisson { rate: dist::Gamma::new(number(&c["prior"]["shape"]), number(&c["prior"]["rate"])).unwrap() };
    let data = vector(&c["data"]);
    let after = model.posterior(data.view()).unwrap();
    let (posterior, truth, vi) = (after.rate, &c["posterior"], &c["gaussian_vi_on_log"]);
    let (gaussian, kl) = after.gaussian_on_log_rate().unwrap();
    let evidence = model.log_evidence(data.view()).unwrap();
    let rows = vec![
        ("shape".into(), posterior.shape(), number(&truth["shape"])),
        ("rate".into(), posterior.rate(), number(&truth["rate"])),
        ("mean".into(), posterior.mean(), number(&truth["mean"])),
        ("sd".into(), posterior.variance().sqrt(), number(&truth["sd"])),
        ("log mean".into(), posterior.mean_log(), number(&truth["log_mean"])),
        ("log sd".into(), posterior.variance_log().sqrt(), number(&truth["log_sd"])),
        ("evidence".into(), evidence, number(&c["log_evidence"])),
        ("vi mean".into(), gaussian.mean(), number(&vi["mean"])),
        ("vi sd".into(), gaussian.sd(), number(&vi["sd"])),
        ("vi elbo".into(), evidence - kl, number(&vi["elbo"])),
    ];
    // the file gives the KL as a difference of two numbers near 76, known to 1e-14 each
    compare(&[("vi kl".into(), kl, number(&vi["kl_to_posterior"]))], 0.0, 1e-13);
    rows
}

fn normal_gamma(c: &Value) -> Vec<Row> {
    let prior = |name: &str| number(&c["prior"][name]);
    let model = NormalGamma::new(prior("mean"), prior("lam"), dist::Gamma::new(prior("shape"), prior("rate")).unwrap()).unwrap();
    let data = vector(&c["data"]);
    let (posterior, truth, field) = (model.posterior(data.view()).unwrap(), &c["exact"], &c["mean_field"]);
    let best = model.mean_field_optimum(data.view()).unwrap();
    let mut rows: Vec<Row> = vec![
        ("mean".into(), posterior.mean(), number(&truth["mean"])),
        ("lambda".into(), posterior.lambda(), number(&truth["lam"])),
        ("shape".into(), posterior.precision().shape(), number(&truth["shape"])),
        ("rate".into(), posterior.precision().rate(), number(&truth["rate"])),
        ("evidence".into(), model.log_evidence(data.view()).unwrap(), number(&truth["log_evidence"])),
        ("mu sd".into(), posterior.mean_marginal().unwrap().variance().sqrt(), number(&truth["mu_sd"])),
        ("tau mean".into(), posterior.precision().mean(), number(&truth["tau_mean"])),
        ("tau sd".into(), posterior.precision().variance().sqrt(), number(&truth["tau_sd"])),
        ("q mu mean".into(), best.mean.mean(), number(&field["q_mu_mean"])),
        ("q mu sd".into(), best.mean.sd(), number(&field["q_mu_sd"])),
        ("q tau shape".into(), best.precision.shape(), number(&field["q_tau_shape"])),
        ("q tau rate".into(), best.precision.rate(), number(&field["q_tau_rate"])),
        ("elbo".into(), best.elbo, number(&field["elbo"])),
    ];
    let elbos = vector(&c["cavi"]["elbo_first_12"]);
    for (i, q) in model.mean_field(data.view(), 1.0, elbos.len()).unwrap().iter().enumerate() {
        rows.push((format!("elbo {i}"), q.elbo, elbos[i]));
    }
    // the file gives the KL as a difference of two numbers near 65, known to 1e-14 each
    compare(&[("kl".into(), best.kl, number(&field["kl_to_posterior"]))], 0.0, 1e-13);
    rows
}

fn dirichlet_categorical(c: &Value) -> Vec<Row> {
    let model = DirichletCategorical { probabilities: dist::Dirichlet::new(vector(&c["prior"]).view()).unwrap() };
    let counts = vector(&c["data"]["counts"]);
    let (posterior, truth) = (model.posterior(counts.view()).unwrap().probabilities, &c["posterior"]);
    let mut rows: Vec<Row> = vec![
        ("evidence".into(), model.log_evidence(counts.view()).unwrap(), number(&c["log_evidence"])),
        ("entropy".into(), posterior.entropy(), number(&truth["entropy"])),
    ];
    let vectors = [
        ("alpha", posterior.alpha().to_owned()),
        ("mean", posterior.mean()),
        ("sd", posterior.variance().mapv(f64::sqrt)),
        ("expected_log", posterior.mean_log()),
    ];
    for (name, ours) in vectors {
        let truth = vector(&truth[name]);
        assert_eq!(ours.len(), truth.len());
        rows.extend(ours.iter().zip(&truth).map(|(o, t)| (name.to_string(), *o, *t)));
    }
    rows
}

/// Everything in a file of kind `exact_regression`, to `relative`.
fn check_regression(file: &str, relative: f64) {
    let file = case(file);
    let table = matrix(&file["data"]["rows"]);
    let (rows, columns) = table.dim();
    let x = table.slice_axis(ndarray::Axis(1), ndarray::Slice::from(0..columns - 1));
    let fit = regression::least_squares(x, table.column(columns - 1)).unwrap();
    let (posterior, truth) = (fit.flat_posterior().unwrap(), &file["truth"]);
    assert_eq!(fit.degrees_of_freedom, rows - (columns - 1));
    let mut out: Vec<Row> = vec![
        ("residual_sd".into(), fit.residual_sd(), number(&truth["residual_sd"])),
        ("rss".into(), fit.rss, number(&truth["rss"])),
        ("sigma_mean".into(), posterior.sigma_mean, number(&truth["posterior"]["sigma_mean"])),
        ("sigma_sd".into(), posterior.sigma_sd, number(&truth["posterior"]["sigma_sd"])),
    ];
    let mut push = |name: &str, ours: Vec<f64>, truth: Vec<f64>| {
        assert_eq!(ours.len(), truth.len());
        out.extend(ours.into_iter().zip(truth).enumerate().map(|(i, (o, t))| (format!("{name} {i}"), o, t)));
    };
    push("ols", fit.coefficients.to_vec(), vector(&truth["ols"]).to_vec());
    push("standard_errors", fit.standard_errors().to_vec(), vector(&truth["standard_errors"]).to_vec());
    push("beta_mean", posterior.beta_mean.to_vec(), vector(&truth["posterior"]["beta_mean"]).to_vec());
    push("beta_sd", posterior.beta_sd().to_vec(), vector(&truth["posterior"]["beta_sd"]).to_vec());
    push(
        "beta_cov",
        posterior.beta_covariance.iter().copied().collect(),
        matrix(&truth["posterior"]["beta_cov"]).iter().copied().collect(),
    );
    compare(&out, relative, 0.0);
}

#[test]
fn exact_ols_swiss() {
    // the file asks for 1e-6; condition 807 times the rounding of its decimals is below 1e-12
    check_regression(include_str!("../reference/exact_ols_swiss.json"), 1e-12);
}

#[test]
fn exact_ols_of_ill_conditioned_tables() {
    // rows are exact doubles and the refinement works in twice the precision: a few roundings are left
    check_regression(include_str!("../reference/exact_ols_longley.json"), 1e-12);
    check_regression(include_str!("../reference/exact_ols_polynomial.json"), 1e-12);
    check_regression(include_str!("../reference/exact_ols_hilbert.json"), 1e-12);
}

/// Every univariate distribution, with an interval that holds all but 1e-9 of it, and whether it is of counts.
fn univariate() -> Vec<(&'static str, Box<dyn Univariate>, f64, f64, bool)> {
    fn boxed<D: Univariate + 'static>(d: lvm_core::Result<D>) -> Box<dyn Univariate> {
        Box::new(d.unwrap())
    }
    vec![
        ("normal", boxed(dist::Normal::new(1.0, 2.0)), -15.0, 17.0, false),
        ("student_t", boxed(dist::StudentT::new(9.0, 1.0, 0.5)), -30.0, 32.0, false),
        ("laplace", boxed(dist::Laplace::new(0.5, 0.7)), -19.5, 20.5, false),
        ("logistic", boxed(dist::Logistic::new(-0.5, 0.7)), -25.5, 24.5, false),
        ("gamma", boxed(dist::Gamma::new(12.5, 3.0)), 0.0, 25.0, false),
        ("inverse gamma", boxed(dist::InverseGamma::new(11.0, 3.0)), 1e-3, 10.0, false),
        ("lognormal", boxed(dist::LogNormal::new(0.1, 0.4)), 1e-3, 20.0, false),
        ("weibull", boxed(dist::Weibull::new(2.5, 1.5)), 0.0, 8.0, false),
        ("half normal", boxed(dist::HalfNormal::new(1.5)), 0.0, 12.0, false),
        ("beta", boxed(dist::Beta::new(3.0, 12.0)), 0.0, 1.0, false),
        ("binomial", boxed(dist::BinomialLogit::new(40, -0.5)), 0.0, 40.0, true),
        ("poisson", boxed(dist::PoissonLog::new(2.5)), 0.0, 80.0, true),
        ("negative binomial", boxed(dist::NegativeBinomial2::new(9.0, 14.0)), 0.0, 120.0, true),
    ]
}

#[test]
fn densities_integrate_to_one_and_have_their_moments_and_draws_agree() {
    let mut rng = lvm_core::random::stream(11, lvm_core::random::Purpose::Sample, 0);
    for (name, d, low, high, counts) in univariate() {
        // Simpson's rule with 20000 steps; a sum for counts
        let steps = if counts { (high - low) as usize } else { 20_000 };
        let h = (high - low) / steps as f64;
        let weight = |i: usize| match (counts, i) {
            (true, _) => 1.0,
            (_, i) if i == 0 || i == steps => h / 3.0,
            (_, i) => h / 3.0 * if i % 2 == 1 { 4.0 } else { 2.0 },
        };
        let moment = |f: &dyn Fn(f64) -> f64| -> f64 {
            (0..=steps).map(|i| low + i as f64 * h).enumerate().map(|(i, x)| weight(i) * d.log_prob(x).exp() * f(x)).sum()
        };
        let (one, mean) = (moment(&|_| 1.0), moment(&|x| x));
        let variance = moment(&|x| (x - d.mean()).powi(2));
        // the interval leaves out 1e-9, times at most (30 sd)² in the variance
        assert!((one - 1.0).abs() < 1e-7, "{name} integrates to {one}");
        assert!((mean - d.mean()).abs() < 1e-6 * d.variance().sqrt().max(1.0), "{name}: mean {mean}, said {}", d.mean());
        assert!((variance / d.variance() - 1.0).abs() < 1e-5, "{name}: variance {variance}, said {}", d.variance());
        assert!(d.log_prob(d.mode()) >= d.log_prob(d.mean().floor().max(low)), "{name}: mode");
        assert!(d.log_prob(f64::NAN).is_nan(), "{name} at NaN");

        // draws: the mean of 40000 within 5.5 standard errors (3.8e-8 by the normal limit, 13 distributions: 5e-7 for the test)
        let n = 40_000;
        let draws: Vec<f64> = (0..n).map(|_| d.sample(&mut rng)).collect();
        let off = draws.iter().sum::<f64>() / f64::from(n) - d.mean();
        assert!(off.abs() < 5.5 * (d.variance() / f64::from(n)).sqrt(), "{name}: the mean of the draws is off by {off}");
    }
}

#[test]
fn constructors_refuse_what_is_outside_the_range() {
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(dist::Normal::new(0.0, bad).is_err() && dist::Gamma::new(bad, 1.0).is_err() && dist::Beta::new(1.0, bad).is_err());
        assert!(dist::StudentT::new(bad, 0.0, 1.0).is_err() && dist::Weibull::new(1.0, bad).is_err());
    }
    let asymmetric = ndarray::array![[1.0, 0.5], [0.2, 1.0]];
    let indefinite = ndarray::array![[1.0, 2.0], [2.0, 1.0]];
    let mean = ndarray::array![0.0, 0.0];
    assert!(dist::MultivariateNormal::new(mean.view(), asymmetric.view()).is_err());
    assert!(dist::MultivariateNormal::new(mean.view(), indefinite.view()).is_err());
    assert!(dist::Wishart::new(0.9, ndarray::Array2::eye(2).view()).is_err());
    let dependent = ndarray::array![[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]];
    let error = regression::least_squares(dependent.view(), ndarray::array![1.0, 2.0, 4.0].view()).unwrap_err();
    assert!(error.to_string().contains("column 1"), "{error}");
}
