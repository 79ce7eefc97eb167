//! The option for how much of the disk must stay free.

use clap::Args;
use exactly_once::Options;

use crate::cli::help::RARE;
use crate::cli::timeout::TimeoutArgs;

/// How much of the disk must stay free.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct FloorArgs {
    /// Refuse to write while fewer bytes than this are free on the disk
    #[arg(long, value_name = "BYTES", help_heading = RARE,
          default_value_t = Options::default().min_free_bytes)]
    pub(crate) min_free_bytes: u64,
}

impl FloorArgs {
    /// The options of an engine that a command opens.
    pub(crate) fn options(self, timeout: TimeoutArgs) -> Options {
        let mut options = Options::default();
        options.min_free_bytes = self.min_free_bytes;
        options.storage_timeout = timeout.storage_timeout();
        options
    }
}
