//! What a trained model is asked: to generate, to say which latents a row has, to fill in what is missing, to tell what is unusual, to group.
//!
//! Functions take a [`Vae`](crate::vae::Vae) and rows on its device; [`VaeModel`](crate::model::VaeModel) asks the same of any row source.

pub mod generation;
