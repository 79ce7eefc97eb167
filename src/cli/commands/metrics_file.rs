//! A file of figures for Prometheus that is updated while a node runs.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use exactly_once::StorageError;
use exactly_once::inspect::Stats;
use exactly_once::node::Monitor;
use tracing::warn;

use crate::cli::address::Address;
use crate::cli::commands::{prometheus, stats};
use crate::cli::connection::connect;
use crate::cli::files::replace_file;
use crate::cli::state::OpenState;

/// A file of figures for node-exporter's textfile collector, which a thread writes repeatedly.
pub(crate) struct MetricsFile {
    path: PathBuf,
    directory: PathBuf,
    monitor: Monitor,
    finished: Sender<()>,
    /// Returns the last figures that it read.
    thread: JoinHandle<Option<Stats>>,
}

impl MetricsFile {
    /// Starts to write the figures of this process, which has the directory open.
    ///
    /// # Errors
    ///
    /// [`StorageError::Thread`] if its thread cannot start.
    pub(crate) fn start(
        path: &Path,
        every: Duration,
        directory: &Path,
        monitor: &Monitor,
    ) -> Result<Self, StorageError> {
        monitor.keep_last_state();
        let (finished, is_finished) = channel();
        let (file, state) = (path.to_owned(), directory.to_owned());
        let thread = std::thread::Builder::new().spawn(move || {
            let mut last = None;
            loop {
                let written = ask(&state).and_then(|stats| {
                    let stats = last.insert(stats);
                    write(&file, stats, &state)
                });
                if is_finished.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    // A failure is not logged, as a process that is ending does not reply.
                    return last;
                }
                tell(&file, written);
            }
        });
        let thread = thread.map_err(StorageError::Thread)?;
        Ok(Self {
            path: path.to_owned(),
            directory: directory.to_owned(),
            monitor: monitor.clone(),
            finished,
            thread,
        })
    }

    /// Writes the last figures, after the node has ended. If it has failed, the figures of the
    /// state are those that were read last.
    pub(crate) fn finish(self) {
        drop(self.finished);
        // A panic of the metrics thread must not fail the command.
        let asked = self.thread.join().unwrap_or_default();
        let asked = asked.map(|mut stats| {
            stats.process = Some(self.monitor.process());
            stats
        });
        if let Some(last) = self.monitor.last_stats().or(asked) {
            tell(&self.path, write(&self.path, &last, &self.directory));
        }
    }
}

fn ask(directory: &Path) -> anyhow::Result<Stats> {
    let client = connect(Address::Directory(directory));
    let client = client.context("connecting to the control socket")?;
    stats::ask(&mut OpenState::Live(client))
}

fn write(path: &Path, stats: &Stats, directory: &Path) -> anyhow::Result<()> {
    replace_file(
        path,
        prometheus::text(stats, Address::Directory(directory))?.as_bytes(),
    )
}

fn tell(path: &Path, written: anyhow::Result<()>) {
    if let Err(error) = written {
        let path = path.display();
        warn!("the metrics in {path} are not up to date: {error:#}");
    }
}
