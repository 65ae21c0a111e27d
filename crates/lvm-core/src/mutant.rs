//! Planted faults, for the proof that the checks of `cargo xtask verify` can fail.
//!
//! ```text
//! let df = if planted("wishart_df") { self.df + 1.0 } else { self.df };
//! ```
//!
//! [`planted`] is the constant `false`, and the branch is gone, in every build but that of `cargo xtask verify --mutants`, which compiles
//! the workspace with `--cfg lvm_mutant`. That one build serves all faults: the environment variable `LVM_MUTANT` names the one that is
//! there. No feature of a manifest can turn it on. Every name stands in the catalogue of `lvm-verify`, with the check that must find it.

/// Whether the fault of this name is planted.
#[cfg(not(lvm_mutant))]
#[inline(always)]
pub const fn planted(_name: &str) -> bool {
    false
}

/// Whether the fault of this name is planted.
#[cfg(lvm_mutant)]
pub fn planted(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("LVM_MUTANT").ok()).as_deref() == Some(name)
}

/// Whether this is the build that can have faults.
pub const POSSIBLE: bool = cfg!(lvm_mutant);
