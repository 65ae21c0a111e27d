//! The code under test, seen through one trait, so that a deliberately broken implementer can be put in its place.

/// Everything the checks call. The defaults call the library; a planted fault overrides one of them.
pub trait Subject: Sync {
    /// What is tested.
    fn name(&self) -> &str {
        "lvm-core"
    }
}

/// The library as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Library;

impl Subject for Library {}
