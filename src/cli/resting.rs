//! A resting directory, as every command takes it that looks into one.

use std::path::PathBuf;

use clap::Args;
use exactly_once::inspect::Inspection;

use super::timeout::TimeoutArgs;

/// A directory to look into.
#[derive(Debug, Args)]
pub(super) struct RestingArgs {
    /// Where the state lives
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    pub(super) data_dir: PathBuf,
}

impl RestingArgs {
    /// Opens a copy of the directory.
    pub(super) fn inspection(
        &self,
        with_incidentals: bool,
        timeout: TimeoutArgs,
    ) -> anyhow::Result<Inspection> {
        let timeout = timeout.storage_timeout();
        Ok(Inspection::open(
            &self.data_dir,
            with_incidentals,
            &timeout,
        )?)
    }
}
