//! Integration tests of lvm-vi, one binary.

mod amortized;
mod bernoulli_factor;
mod bijections;
mod bounds;
mod cavi_documents;
mod cavi_linear;
mod cavi_mixture;
mod cavi_refusals;
mod cavi_stream;
mod conjugate;
mod degenerate;
mod diagnose;
mod estimators;
mod exact;
mod families;
mod gradient_check;
mod local;
mod model_files;
mod reference;
mod refusals;
mod regression_models;
mod stochastic;
mod targets;
mod variational_em;
