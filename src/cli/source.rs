//! Where a state is looked at: in a resting directory, or by asking the process that holds it.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use exactly_once::OpenError;
use exactly_once::inspect::{Inspection, Query};

use super::connection::Connection;
use super::timeout::TimeoutArgs;

/// How long a process that holds the directory may take to answer on its socket, which it does not
/// before it has opened the directory; and how often it is tried.
const PATIENCE: Duration = Duration::from_secs(10);
const TRY_EVERY: Duration = Duration::from_millis(20);

/// A directory to look into.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// Where the state lives
    #[arg(long, value_name = "DIR", env = "EXACTLY_ONCE_DATA_DIR")]
    pub(super) data_dir: PathBuf,
    #[command(flatten)]
    pub(super) timeout: TimeoutArgs,
}

impl SourceArgs {
    /// Opens a copy of the directory, or connects to the process that holds it.
    pub(super) fn open(&self) -> anyhow::Result<Source> {
        either(
            &self.data_dir,
            || {
                let timeout = self.timeout.storage_timeout();
                let inspection = Inspection::open(&self.data_dir, &timeout)?;
                Ok(Source::Resting(Box::new(inspection)))
            },
            |connection| Ok(Source::Live(connection)),
        )
    }

    /// Answers one question: calls `sink` with each record as JSON.
    pub(super) fn answer(
        &self,
        query: &Query,
        sink: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.open()?.answer(query, sink)
    }
}

/// Does something with a directory itself, or, if a process holds it, with a connection to that
/// process.
pub(super) fn either<T>(
    directory: &Path,
    mut resting: impl FnMut() -> anyhow::Result<T>,
    live: impl FnOnce(Connection) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let held = match resting() {
            Err(error) if is_held(&error) => error,
            result => return result,
        };
        match Connection::open(directory) {
            Ok(connection) => return live(connection),
            Err(error) if Instant::now() > deadline => {
                let context = format!("{held}; it does not answer on its control socket ({error})");
                return Err(held.context(context));
            }
            Err(_) => sleep(TRY_EVERY),
        }
    }
}

/// Whether another process holds the directory.
pub(super) fn is_held(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<OpenError>();
    matches!(error, Some(OpenError::HeldByWriter { .. }))
}

/// A state to be looked at.
pub(super) enum Source {
    Resting(Box<Inspection>),
    Live(Connection),
}

impl Source {
    /// Answers a question: calls `sink` with each record as JSON.
    pub(super) fn answer(
        &mut self,
        query: &Query,
        sink: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Resting(inspection) => inspection.answer(query, sink),
            Self::Live(connection) => connection.ask(query, sink),
        }
    }
}
