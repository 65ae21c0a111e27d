//! Latent Dirichlet allocation: the model ([`LdaModel`]), batch coordinate ascent ([`Lda`]) and online variational Bayes
//! ([`OnlineLda`]).

mod batch;
mod document;
mod model;
mod online;
mod topics;

pub use batch::{Lda, LdaStart, LdaState};
pub use document::LocalStopping;
pub use model::{DocumentTopics, LdaModel};
pub use online::{OnlineLda, OnlineLdaState};
