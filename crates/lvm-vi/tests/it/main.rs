//! Integration tests of lvm-vi, one binary.

mod exact;
mod reference;
mod bijections;
mod bounds;
mod estimators;
mod families;
mod gradient_check;
mod refusals;
mod targets;
