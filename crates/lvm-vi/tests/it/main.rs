//! Integration tests of lvm-vi, one binary.

mod bijections;
mod bounds;
mod estimators;
mod exact;
mod families;
mod gradient_check;
mod reference;
mod refusals;
mod targets;
