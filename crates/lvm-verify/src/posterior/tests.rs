use super::*;
use crate::tables::reference_folder;
use serde_json::{Value, json};

pub(super) fn shipped(id: &str) -> Value {
    let file = reference_folder().join("cases").join(format!("{id}.json"));
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// A case written down beside the shipped ones.
pub(super) fn read_case<T>(value: &Value, with: impl Fn(&Case) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("case.json");
    std::fs::write(&file, value.to_string()).unwrap();
    with(&Case::read(&file, &reference_folder()).unwrap())
}

fn model(value: &Value) -> Option<Box<dyn Posterior>> {
    read_case(value, |case| recognise(case).unwrap())
}

/// The case with some words of its model replaced.
fn reworded(id: &str, field: &str, words: &[(&str, &str)]) -> Value {
    let mut value = shipped(id);
    let mut text = value["model"][field].as_str().unwrap().to_owned();
    for (from, to) in words {
        assert!(text.contains(from), "{from} in {text}");
        text = text.replace(from, to);
    }
    value["model"][field] = json!(text);
    value
}

fn named(mut value: Value, names: &[(&str, &str)]) -> Value {
    value["model"]["parameters"] = names.iter().map(|(n, s)| json!({"name": n, "support": s})).collect();
    value
}

/// The hand-written gradient against central differences, and the hand-written value against that of the terms.
pub(super) fn agrees_with_itself(model: &dyn Posterior) {
    let u: Vec<f64> = (0..model.dim()).map(|i| 0.3 * ((i as f64) * 1.7).sin() - 0.1).collect();
    let mut gradient = vec![0.0; u.len()];
    let value = model.log_density_grad(&u, &mut gradient).unwrap();
    let terms = model.expectation().unwrap().log_density(&u).unwrap();
    assert!((value - terms).abs() <= 1e-9 * value.abs(), "{}: {value} {terms}", model.form());
    for i in 0..u.len() {
        let at = |h: f64| {
            let mut u = u.clone();
            u[i] += h;
            model.log_density(&u).unwrap()
        };
        let h = 1e-4;
        let difference = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        // rounding ε |value| / h, and the fifth derivative times h⁴
        let allowed = 1e-7 * (1.0 + gradient[i].abs()) + 1e-11 * value.abs();
        assert!((gradient[i] - difference).abs() <= allowed, "{} {i}: {} {difference}", model.form(), gradient[i]);
    }
}

#[test]
fn every_shipped_posterior_is_recognised_and_agrees_with_itself() {
    let all = crate::case::folder(&reference_folder()).unwrap();
    for case in all.into_iter().map(|(_, c)| c.unwrap()).filter(|c| c.kind == "posterior") {
        let model = recognise(&case).unwrap_or_else(|e| panic!("{e}"));
        let model = model.unwrap_or_else(|| panic!("{} is not recognised", case.id));
        assert_eq!(model.dim(), case.get("model.parameters").unwrap().list().unwrap().len(), "{}", case.id);
        agrees_with_itself(model.as_ref());
    }
}

#[test]
fn other_data_and_other_scales_of_a_form_known_are_recognised() {
    // fewer columns, other priors
    let design = [("x_i = (1, mom_hs_i, mom_iq_i)", "x_i = (1, log(mom_iq_i))")];
    let mut value = reworded("kidiq_momhsiq", "design", &design);
    let density = reworded("kidiq_momhsiq", "density", &[("; beta[3]: flat (density 1)", ""), ("2.5", "10")]);
    value["model"]["density"] = density["model"]["density"].clone();
    let value = named(value, &[("beta[1]", "real"), ("beta[2]", "real"), ("sigma", "positive")]);
    let found = model(&value).expect("a regression with a slope");
    assert_eq!(found.dim(), 3);
    agrees_with_itself(found.as_ref());

    // centred effects, and a log-normal scale
    let schools = [
        ("y_j ~ Normal(mu + tau z_j, sigma_j); z_j ~ Normal(0,1)", "y_j ~ Normal(theta_j, sigma_j); theta_j ~ Normal(mu, tau)"),
        (
            "tau ~ half-Cauchy(0,5.0): log p = log(2/(pi*5.0)) - log(1+(tau/5.0)^2)",
            "log tau ~ Normal(1.0, 0.5) (density in log tau; the Jacobian cancels)",
        ),
    ];
    let value = reworded("eight_schools_noncentered", "density", &schools);
    let names: Vec<String> = (1..=8).map(|j| format!("theta[{j}]")).collect();
    let mut names: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "real")).collect();
    names.extend([("mu", "real"), ("tau", "positive")]);
    let found = model(&named(value, &names)).expect("centred schools");
    assert_eq!(found.form(), "group means, centred");
    agrees_with_itself(found.as_ref());

    let radon = [("alpha_c = mu_alpha + sigma_alpha z_c, z_c ~ Normal(0,1)", "alpha_c ~ Normal(mu_alpha, sigma_alpha)")];
    let mut value = reworded("radon_mn_noncentered", "density", &radon);
    for p in value["model"]["parameters"].as_array_mut().unwrap() {
        p["name"] = json!(p["name"].as_str().unwrap().replace("z[", "alpha["));
    }
    let found = model(&value).expect("centred radon");
    assert_eq!(found.form(), "varying intercepts, centred");
    agrees_with_itself(found.as_ref());

    // a binomial regression written out in its coefficients
    let density = "C_i ~ Binomial(N_i, logit^-1(alpha + beta1 t + beta2 t^2)); alpha, beta1, beta2 ~ Normal(0,100)";
    let mut value = named(shipped("glm_poisson"), &[("alpha", "real"), ("beta1", "real"), ("beta2", "real")]);
    value["model"]["density"] = json!(density);
    value["data"] = json!({"year": [-1.0, 0.0, 1.0], "C": [3, 5, 9], "N": [10, 11, 12]});
    let found = model(&value).expect("a binomial regression");
    assert_eq!(found.form(), "binomial regression");
    agrees_with_itself(found.as_ref());
}

/// What no form written by hand covers is compiled: another likelihood, another prior, another link, another beginning.
#[test]
fn other_distributions_and_links_are_compiled() {
    for (id, from, to) in [
        ("kidiq_momhsiq", "Normal(x_i . beta, sigma)", "StudentT(4, x_i . beta, sigma)"),
        ("mtcars_wt", "slope ~ Normal(0, 10)", "slope ~ Laplace(0, 10)"),
        ("pima_logistic", "logit^-1", "Phi"),
        ("arma11", "err_1 = y_1 - (mu + phi mu)", "err_1 = 0"),
        ("eight_schools_noncentered", "mu ~ Normal(0, 5.0)", "mu ~ Cauchy(0, 5.0)"),
        ("surgical_hlogit", "mu ~ Normal(-2.5, 1.0)", "mu ~ logistic(-2.5, 1.0)"),
    ] {
        let found = model(&reworded(id, "density", &[(from, to)])).unwrap_or_else(|| panic!("{id}: {to}"));
        assert_eq!(found.form(), "the model as the case writes it", "{id}");
        agrees_with_itself(found.as_ref());
    }
}

#[test]
fn a_word_not_understood_is_a_model_not_read() {
    for (id, field, from, to) in [
        ("kidiq_momhsiq", "density", "i = 1..434", "i = 1..433"),
        ("kidiq_momhsiq", "design", "mom_iq_i", "mom_age_i"),
        ("mtcars_wt", "density", "slope ~ Normal(0, 10); ", ""),
        ("pima_logistic", "design", "standardised with mean and sd (n-1)", "standardised with mean and sd (n)"),
        ("gp_regr", "density", "sigma I)", "sigma^2 I)"),
        ("arK", "design", "t = 6..200", "t = 7..200"),
        ("low_dim_gauss_mix", "density", "Beta(5,5)", "Beta(5,5) on theta < 1/2"),
        ("surgical_hlogit", "density", "Binomial(K_j", "BetaBinomial(K_j"),
        ("eight_schools_noncentered", "density", "mu ~ Normal(0, 5.0)", "mu ~ Normal(0, 5.0) T[0,]"),
    ] {
        assert!(model(&reworded(id, field, &[(from, to)])).is_none(), "{id}: {to}");
    }
}
