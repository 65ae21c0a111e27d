//! Engines without noise: the same answer from every run, with a statement of its own error.

mod fixed_point;

pub use fixed_point::{FixedPoint, GaussianOptimum, Shape, Start};
