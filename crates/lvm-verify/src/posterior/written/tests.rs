use super::super::tests::{agrees_with_itself, read_case, shipped};
use super::super::{Posterior, read, second_reading};
use crate::tables::reference_folder;
use serde_json::{Value, json};

/// A model in words over data, as a case states it.
fn stated(parameters: &[(&str, &str)], density: &str, data: Value) -> Result<Box<dyn Posterior>, String> {
    let mut value = shipped("mtcars_wt");
    value["model"]["parameters"] = parameters.iter().map(|(n, s)| json!({"name": n, "support": s})).collect();
    value["model"]["density"] = json!(density);
    value["model"].as_object_mut().unwrap().remove("design");
    value["data"] = data;
    read_case(&value, |case| read(case).unwrap())
}

#[test]
fn every_shipped_posterior_reads_the_same_by_hand_and_from_its_words() {
    let all = crate::case::folder(&reference_folder()).unwrap();
    let mut read_twice = 0;
    // a Gaussian process has no sentence for each row, and the words on radon leave open that y is the column log_radon
    let by_hand_alone = ["gp_regr", "radon_mn_noncentered"];
    for case in all.into_iter().map(|(_, c)| c.unwrap()).filter(|c| c.kind == "posterior" && !by_hand_alone.contains(&c.id.as_str())) {
        let words = second_reading(&case).unwrap().unwrap_or_else(|e| panic!("{}: {e}", case.id));
        let hand = read(&case).unwrap().unwrap();
        assert_eq!(words.dim(), hand.dim(), "{}", case.id);
        for (k, node) in case.get("log_joint_checks").unwrap().list().unwrap().iter().enumerate() {
            let u = node.get("u").unwrap().vector().unwrap().to_vec();
            let (mut a, mut b) = (vec![0.0; u.len()], vec![0.0; u.len()]);
            let (v, w) = (hand.log_density_grad(&u, &mut a).unwrap(), words.log_density_grad(&u, &mut b).unwrap());
            assert!((v - w).abs() <= 1e-9 * v.abs(), "{} at {k}: {v} {w}", case.id);
            let size = a.iter().fold(1.0, |m: f64, g| m.max(g.abs()));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-8 * size), "{} at {k}", case.id);
        }
        read_twice += 1;
    }
    assert!(read_twice >= 13, "{read_twice}");
}

#[test]
fn models_without_a_form_of_their_own_are_read() {
    let x = [1.0, 2.5, 4.0, 8.0, 12.0, 20.0];
    let y = [1.8, 1.85, 2.1, 2.3, 2.5, 2.6];
    // name, parameters with their supports, density, data
    type Model<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a str, Value);
    let models: Vec<Model<'_>> = vec![
        (
            "growth",
            vec![("alpha", "real"), ("beta", "real"), ("lambda", "(0.5, 1)"), ("tau", "positive")],
            "Y_i ~ Normal(alpha - beta lambda^x_i, 1/sqrt(tau)); alpha, beta ~ Normal(0, 1000); lambda ~ Uniform(0.5, 1); tau ~ Gamma(0.0001, rate 0.0001)",
            json!({"x": x, "Y": y}),
        ),
        (
            "robust regression",
            vec![("a", "real"), ("b", "real"), ("sigma", "positive"), ("nu", "> 1")],
            "y_i ~ Student-t(nu, a + b x_i, sigma), i = 1..6; a, b ~ Laplace(0, 2.5); sigma ~ Exponential(rate 1); nu ~ InverseGamma(3, scale 20)",
            json!({"x": x, "y": y}),
        ),
        (
            "garch",
            vec![("mu", "real"), ("alpha0", "positive"), ("alpha1", "(0,1)"), ("beta1", "(0, 1 - alpha1)")],
            "y_t ~ Normal(mu, sigma_t), t = 1..T; sigma_1 = sigma1; sigma_t^2 = alpha0 + alpha1 (y_{t-1} - mu)^2 + beta1 sigma_{t-1}^2; flat priors",
            json!({"T": 6, "y": y, "sigma1": 0.5}),
        ),
        (
            "random slopes",
            vec![
                ("alpha[1]", "real"),
                ("alpha[2]", "real"),
                ("beta[1]", "real"),
                ("beta[2]", "real"),
                ("mu_alpha", "real"),
                ("mu_beta", "real"),
                ("sigma_y", "positive"),
                ("sigma_alpha", "positive"),
                ("sigma_beta", "positive"),
            ],
            "y_n ~ Normal(alpha_{rat(n)} + beta_{rat(n)} (x_n - xbar), sigma_y); alpha_i ~ Normal(mu_alpha, sigma_alpha); beta_i ~ Normal(mu_beta, sigma_beta); mu_alpha, mu_beta ~ Normal(0, 100); sigma_y, sigma_alpha, sigma_beta ~ half-normal(0, 10) (density 2 N(s|0,10))",
            json!({"rat": [1, 1, 1, 2, 2, 2], "x": x, "y": y, "xbar": 8.0}),
        ),
        (
            "item response",
            vec![
                ("theta[1]", "real"),
                ("theta[2]", "real"),
                ("theta[3]", "real"),
                ("a[1]", "positive"),
                ("a[2]", "positive"),
                ("b[1]", "real"),
                ("b[2]", "real"),
                ("sigma_a", "positive"),
            ],
            "y_ij ~ Bernoulli(logit^-1(a_i (theta_j - b_i))); theta_j ~ Normal(0, 1); a_i ~ lognormal(0, sigma_a); b_i ~ Normal(0, 2); sigma_a ~ half-Cauchy(0, 2)",
            json!({"y": [[1, 0, 1], [0, 0, 1]]}),
        ),
        (
            "overdispersed seeds",
            vec![("alpha0", "real"), ("alpha12", "real"), ("b[1]", "real"), ("b[2]", "real"), ("b[3]", "real"), ("sigma", "positive")],
            "n_i ~ Binomial(N_i, logit^-1(alpha0 + alpha12 x1_i x2_i + b_i)), i = 1..I; b_i ~ Normal(0, sigma); alpha0, alpha12 ~ Normal(0, 1000); sigma^2 = 1",
            json!({"I": 3, "n": [10, 23, 2], "N": [39, 62, 8], "x1": [0, 1, 1], "x2": [1, 1, 0]}),
        ),
        (
            "two normals and their weight",
            vec![("theta", "(0,1)"), ("mu[1]", "real"), ("mu[2]", "real")],
            "y_n ~ theta N(mu1, 1) + (1-theta) N(mu2, 1); theta ~ Uniform(0, 1); mu_k ~ Normal(0, 10)",
            json!({"y": y}),
        ),
        (
            "negative binomial regression with a probit of its own",
            vec![("a", "real"), ("b", "real"), ("phi", "positive"), ("c", "real")],
            "k_i ~ NegBinomial2(exp(a + b x_i), phi); z_i ~ Bernoulli(Phi(c)); a, b, c ~ Normal(0, 2); log phi ~ Normal(0, 1) (density in log phi; the Jacobian cancels)",
            json!({"x": x, "k": [0, 1, 3, 2, 8, 9], "z": [1, 0, 0, 1, 1, 1]}),
        ),
    ];
    for (what, parameters, density, data) in models {
        let found = stated(&parameters, density, data);
        if what == "overdispersed seeds" {
            // sigma is defined and has no prior
            assert!(found.is_err());
            continue;
        }
        let model = found.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(model.dim(), parameters.len());
        agrees_with_itself(model.as_ref());
    }
}

#[test]
fn what_is_not_understood_is_named() {
    let xy = || json!({"x": [1.0, 2.0], "y": [0.5, 1.0]});
    let p = [("a", "real"), ("s", "positive")];
    for (density, why) in [
        ("y_i ~ Wishart(a, s); a ~ Normal(0, 1); s ~ Exponential(1)", "Wishart"),
        ("y_i ~ Normal(a w_i, s); a ~ Normal(0, 1); s ~ Exponential(1)", "w_i"),
        ("y_i ~ Normal(a x_i, s); s ~ Exponential(1)", "a has no prior"),
        ("y_i ~ Normal(a x_i, s); a, s ~ Normal(0, 1) T[0,]", "T[0,]"),
        ("y_i ~ Normal(a x_i, s), i = 1..3; a ~ Normal(0, 1); s ~ Exponential(1)", "3"),
        ("y_i ~ Normal(a x_i, s); a ~ Normal(0, 1); a, s ~ Exponential(1)", "two priors"),
        ("a ~ Normal(0, 1); s ~ half-normal(0, 1): log p = log 2 - 0.5 s^2", "spelled out is not the one named"),
        ("a ~ Normal(0, 1); s ~ half-normal(0, 1): log p = log two - 0.5 s^2", "\"two\" is neither a parameter"),
        ("a ~ Normal(0, 1); s ~ Exponential(1)", "no data"),
        ("y_i ~ Normal(a x_i, s); a ~ Normal(0, 1); s ~ Exponential(1); only if (it rains)", "it rains"),
        ("y_i ~ Normal(a x_i, s); a ~ Normal(0, 1) on a < 1/2; s ~ Exponential(1)", "on a < 1/2"),
    ] {
        let found = stated(&p, density, xy()).err().unwrap_or_else(|| panic!("{density} was read"));
        assert!(found.contains(why), "{density}: {found}");
    }
    let found = stated(&[("a", "circle")], "y_i ~ Normal(a, 1); a ~ Normal(0, 1)", xy()).err().unwrap();
    assert!(found.contains("circle"), "{found}");
}
