//! The program as a user meets it: exit code, standard output, standard error, files.

mod apply;
mod bad_input;
mod fit;
mod golden;
mod harness;
mod select;
mod tour;
mod typos;
