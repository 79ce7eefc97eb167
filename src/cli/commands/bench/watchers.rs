//! Two processes that watch while a node answers: `stats --watch` and `outputs --follow`.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

/// The processes, whose output is discarded.
pub(super) struct Watchers(Vec<Child>);

impl Watchers {
    /// Starts them on a directory that this process has open.
    pub(super) fn start(directory: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut watchers = Self(Vec::new());
        for arguments in [&["stats", "--watch"][..], &["outputs", "--follow"]] {
            let mut command = Command::new(&program);
            command.args(arguments).arg("--data-dir").arg(directory);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            let started = command.stderr(Stdio::null()).spawn();
            watchers.0.push(started.context("starting a watcher")?);
        }
        Ok(watchers)
    }

    /// Stops them; fails if one has ended before.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        for watcher in &mut self.0 {
            let ended = watcher.try_wait().context("checking a watcher")?;
            ensure!(
                ended.is_none(),
                "a watcher ended during the run; run the bench without --watched"
            );
        }
        Ok(())
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        for watcher in &mut self.0 {
            // Killing a process that has ended fails without harm.
            watcher.kill().unwrap_or_default();
            watcher.wait().map(drop).unwrap_or_default();
        }
    }
}
