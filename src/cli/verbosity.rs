//! How much is said on standard error.

use clap::Args;

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Verbosity {
    /// Say nothing on standard error but errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Also say on standard error how a run begins and ends
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}
