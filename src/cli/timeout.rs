//! The time limit for the storage: when it passes, a line is printed and the process ends.

use std::time::Duration;

use clap::Args;
use exactly_once::{OnTimeout, StorageTimeout};

use crate::cli::cleanup;
use crate::cli::help::RARE;
use crate::cli::status::STORAGE;
use crate::cli::streams::stderr::say;

/// How long a process waits for its storage.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct TimeoutArgs {
    /// End the process if one read, write or sync takes longer than this; opening or copying the
    /// database may take a second more for each 4 MB
    #[arg(long, value_name = "SECONDS", help_heading = RARE,
          default_value_t = StorageTimeout::default().limit.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..))]
    storage_timeout: u64,
}

impl TimeoutArgs {
    /// Returns the time limit; passing it prints a line and ends the process.
    pub(crate) fn storage_timeout(self) -> StorageTimeout {
        StorageTimeout {
            limit: Duration::from_secs(self.storage_timeout),
            then: OnTimeout::new(|error| {
                say(error);
                cleanup::exit(STORAGE);
            }),
        }
    }
}
