//! Integration tests of lvm-vi, one binary.

mod diagnose;
mod exact;
mod local;
mod reference;
mod cavi_mixture;
mod bijections;
mod bounds;
mod estimators;
mod families;
mod gradient_check;
mod refusals;
mod targets;
