//! The options for how much is printed on standard error.

use clap::Args;

/// How much is printed on standard error.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Verbosity {
    /// Print only errors on standard error
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Also print on standard error when a node starts and ends
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}
