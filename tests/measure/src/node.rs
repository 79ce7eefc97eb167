//! The real binary as a process, measured from outside.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::harness::peak_memory_bytes;

/// How often a process is looked at: the uncertainty of when a reply was there.
const PAUSE: Duration = Duration::from_millis(2);

/// The replies of a group are written piece by piece, within this time.
const GROUP_TIME: Duration = Duration::from_millis(100);

/// Where a release build of the main package puts its binary.
const DEFAULT_BINARY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/release/exactly-once"
);

/// The binary that is measured, and what its `run` is given besides the directory.
#[derive(Debug, Clone)]
pub struct Binary {
    path: PathBuf,
    arguments: Vec<String>,
}

impl Binary {
    /// The binary at a path, or else where the main package has its release build.
    pub fn new(path: Option<PathBuf>, arguments: Vec<String>) -> anyhow::Result<Self> {
        let path = path.unwrap_or(DEFAULT_BINARY.into());
        ensure!(
            path.is_file(),
            "no binary at {}: run `cargo build --release` in the main package, or name one with \
             --binary",
            path.display()
        );
        Ok(Self { path, arguments })
    }

    /// What the binary says its version is, such as `exactly-once 0.1.0`.
    pub(crate) fn version(&self) -> anyhow::Result<String> {
        let output = Command::new(&self.path).arg("--version").output();
        let output = output.context("running the binary")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts a node on a directory.
    pub(crate) fn spawn(
        &self,
        state: &Path,
        input: impl Into<Stdio>,
        output: impl Into<Stdio>,
    ) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.path);
        command.args(["run", "--quiet", "--data-dir"]).arg(state);
        let command = command.args(&self.arguments).stdin(input).stdout(output);
        command.spawn().context("running the binary")
    }

    /// Has a node answer a file of requests into a file of replies, from its start to its end.
    pub(crate) fn answer(
        &self,
        state: &Path,
        input: &Path,
        output: &Path,
    ) -> anyhow::Result<Answered> {
        let input = File::open(input).context("opening the requests")?;
        let output = File::create(output).context("making the file of replies")?;
        let replies = output.try_clone()?;
        let mut looks = Vec::new();
        let started = Instant::now();
        let mut child = self.spawn(state, input, output)?;
        let peak_memory_bytes = wait(&mut child, || {
            looks.push((started.elapsed(), replies.metadata()?.len()));
            Ok(())
        })?;
        Ok(Answered::new(&looks, peak_memory_bytes))
    }
}

/// Waits until a node has ended well, and looks on meanwhile. Returns the most memory that it had,
/// in bytes; what was added in the last pause is missed.
pub(crate) fn wait(
    child: &mut Child,
    mut look: impl FnMut() -> io::Result<()>,
) -> anyhow::Result<u64> {
    let mut peak = 0;
    loop {
        let status = child.try_wait().context("waiting for the node")?;
        peak = peak_memory_bytes(child.id()).unwrap_or(peak);
        look().context("looking at the replies")?;
        if let Some(status) = status {
            let cause = "it says why on standard error above";
            ensure!(status.success(), "the node failed ({status}); {cause}");
            return Ok(peak);
        }
        std::thread::sleep(PAUSE);
    }
}

/// How a file was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    /// From before the process was started until it had ended.
    pub(crate) elapsed: Duration,
    /// Until the first replies were in the file.
    pub(crate) start: Duration,
    /// From the last reply to the end of the process.
    pub(crate) end: Duration,
    /// Which share of all replies came in a second, from the first to the last. The replies of the
    /// first group are left out, as is the time until then. None if all came at once.
    pub(crate) shares_a_second: Option<f64>,
    /// The most memory of the process.
    pub(crate) peak_memory_bytes: u64,
}

impl Answered {
    /// What follows from when the file of replies had how many bytes.
    fn new(looks: &[(Duration, u64)], peak_memory_bytes: u64) -> Self {
        let (elapsed, all) = looks.last().copied().unwrap_or_default();
        let reached = |bytes| looks.iter().find(|look| look.1 >= bytes);
        let reached = |bytes| reached(bytes).map_or(elapsed, |look| look.0);
        let (start, last) = (reached(1), reached(all));
        let in_group = looks.iter().rfind(|look| look.0 <= start + GROUP_TIME);
        let group = in_group.map_or(all, |look| look.1);
        let seconds = last.saturating_sub(reached(group)).as_secs_f64();
        Self {
            elapsed,
            start,
            end: elapsed - last,
            shares_a_second: (seconds > 0.0).then(|| (1.0 - group as f64 / all as f64) / seconds),
            peak_memory_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four seconds in which a file had this many bytes after this many milliseconds.
    fn answered(looks: &[(u64, u64)]) -> Answered {
        let looks = looks.iter().chain([looks.last().expect("there are some")]);
        let mut looks: Vec<_> = looks
            .map(|&(ms, bytes)| (Duration::from_millis(ms), bytes))
            .collect();
        looks.last_mut().expect("there are some").0 = Duration::from_secs(4);
        Answered::new(&looks, 0)
    }

    #[test]
    fn neither_start_nor_end_nor_the_first_group_is_part_of_the_rate() {
        let answered = answered(&[(0, 0), (500, 100), (510, 200), (550, 300), (1550, 900)]);
        assert_eq!(answered.start, Duration::from_millis(500));
        assert_eq!(answered.end, Duration::from_millis(2450));
        let share = answered.shares_a_second.expect("there is a rate");
        assert!((share - 6.0 / 9.0).abs() < 1e-9, "{share}");
    }

    #[test]
    fn replies_that_all_come_at_once_have_no_rate() {
        assert_eq!(answered(&[(5, 900)]).shares_a_second, None);
        assert_eq!(answered(&[(5, 0)]).shares_a_second, None);
    }
}
