//! The checks of neural models.

mod densities;
mod devices;
mod evidence;
mod fixed;
mod flows;
mod forward;
mod linear;
mod loss;
mod sampled;

pub(super) use densities::densities;
pub(super) use devices::devices;
pub(super) use evidence::{estimators, gaps};
pub(super) use flows::flows;
pub(super) use forward::{forward, gradient};
pub(super) use linear::{collapse, from_axes, linear};
pub(super) use loss::scaling;
pub(super) use sampled::sampled_gradient;
