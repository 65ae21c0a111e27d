//! `lvm doctor`.

use clap::Args;

/// `lvm doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print one JSON object instead of the list
    #[arg(long)]
    pub(crate) json: bool,
}
