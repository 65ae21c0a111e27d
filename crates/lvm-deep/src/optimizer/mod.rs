//! Steps from gradients.

pub mod adam;
pub mod schedule;

pub use adam::{Adam, Moments};
pub use schedule::Schedule;
