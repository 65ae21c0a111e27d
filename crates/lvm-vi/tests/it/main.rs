//! Integration tests of lvm-vi, one binary.

mod cavi_documents;
mod cavi_linear;
mod cavi_mixture;
