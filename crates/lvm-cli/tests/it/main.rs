//! The program as a user meets it: exit code, standard output, standard error, files.

mod apply;
mod bad_input;
mod bayesian;
mod book;
#[cfg(feature = "deep")]
mod book_neural;
mod compare;
mod fit;
mod golden;
mod harness;
mod infer;
#[cfg(feature = "deep")]
mod neural;
#[cfg(feature = "deep")]
mod neural_bad_input;
#[cfg(feature = "deep")]
mod neural_kept;
#[cfg(feature = "deep")]
mod neural_told;
#[cfg(not(feature = "deep"))]
mod no_neural;
mod options;
mod outputs;
mod plot;
mod select;
mod streamed;
mod tour;
mod typos;
mod verify;
