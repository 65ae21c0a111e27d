//! Integration tests of lvm-vi, one binary.

mod bijections;
mod bounds;
mod estimators;
mod families;
mod gradient_check;
mod refusals;
mod regression_models;
mod targets;
