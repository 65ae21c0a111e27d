//! What a trained model is asked: to generate, to say which latents a row has, to fill in what is missing, to tell what is unusual, to group.
//!
//! Functions take a [`Vae`](crate::vae::Vae) and rows on its device; [`VaeModel`](crate::model::VaeModel) asks the same of any row source.

pub mod activity;
pub mod clustering;
pub mod gaps;
pub mod generation;
pub mod impute;
pub mod information;
pub mod interpolation;
pub mod map;
pub mod ood;
pub mod reconstruction;

pub use activity::{Activity, Collapse};
pub use clustering::{adjusted_rand_index, normalized_mutual_information};
pub use impute::{Imputations, Impute, Proposal};
pub use information::Information;
pub use map::{MapLatents, map};
pub use ood::auroc;
