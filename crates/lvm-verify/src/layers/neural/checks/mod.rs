//! The checks of neural models.

mod evidence;
mod fixed;
mod forward;
mod linear;
mod loss;

pub(super) use evidence::{estimators, gaps};
pub(super) use forward::{forward, gradient};
pub(super) use linear::linear;
pub(super) use loss::scaling;
