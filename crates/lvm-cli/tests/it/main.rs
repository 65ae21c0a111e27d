//! The program as a user meets it: exit code, standard output, standard error, files.

mod apply;
mod bad_input;
mod bayesian;
mod fit;
mod golden;
mod harness;
mod infer;
mod select;
mod tour;
mod typos;
mod verify;
