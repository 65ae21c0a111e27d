//! Mixtures of multinomials, documents of one component each: the model ([`MultinomialMixture`]), EM ([`MultinomialMixtureEm`]) and
//! variational Bayes ([`BayesianMultinomialMixture`]).

mod ascent;
mod bayesian;
mod em;
mod mixture;
mod posterior;
mod responsibilities;
mod start;

pub use bayesian::BayesianMultinomialMixture;
pub use em::MultinomialMixtureEm;
pub use mixture::MultinomialMixture;
pub use posterior::MultinomialMixturePosterior;
pub use start::MultinomialStart;
