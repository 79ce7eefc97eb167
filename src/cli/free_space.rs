//! The option for how much of the disk must stay free.

use clap::Args;
use exactly_once::Options;

/// How much of the disk must stay free.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct FloorArgs {
    /// Refuse to write while fewer bytes than this are free on the disk
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().min_free_bytes)]
    pub(crate) min_free_bytes: u64,
}
