//! Two processes that look on while a node answers: `stats --watch` and `outputs --follow`.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

/// The processes. What they say goes nowhere.
pub(super) struct Watchers(Vec<Child>);

impl Watchers {
    /// Starts them, on a directory that this process holds.
    pub(super) fn start(directory: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut watchers = Self(Vec::new());
        for arguments in [&["stats", "--watch"][..], &["outputs", "--follow"]] {
            let mut command = Command::new(&program);
            command.args(arguments).arg("--data-dir").arg(directory);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            let started = command.stderr(Stdio::null()).spawn();
            watchers.0.push(started.context("starting who looks on")?);
        }
        Ok(watchers)
    }

    /// Stops them, and says whether they looked on until then.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        for watcher in &mut self.0 {
            let ended = watcher.try_wait().context("asking who looked on")?;
            ensure!(ended.is_none(), "one of those who look on has failed");
        }
        Ok(())
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        for watcher in &mut self.0 {
            // One that has ended by itself needs no more.
            watcher.kill().unwrap_or_default();
            watcher.wait().map(drop).unwrap_or_default();
        }
    }
}
