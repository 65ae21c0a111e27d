//! Commands of neural models, in a build without them.

use clap::Args;
use std::ffi::OsString;

/// Whatever was typed.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct AbsentArgs {
    /// Not looked at
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) rest: Vec<OsString>,
}
