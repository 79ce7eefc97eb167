//! The real binary as a process, measured from outside.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::memory::MemoryWatch;

/// How often the size of the replies is looked at: the uncertainty of when a reply was there.
const PAUSE: Duration = Duration::from_millis(2);

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
    ///
    /// # Errors
    ///
    /// If there is no such file.
    pub fn new(path: Option<&Path>, arguments: Vec<String>) -> anyhow::Result<Self> {
        let path = path.unwrap_or(Path::new(DEFAULT_BINARY)).to_owned();
        ensure!(
            path.is_file(),
            "no binary at {}: run `cargo build --release` in the main package, or name one with \
             --binary",
            path.display()
        );
        Ok(Self { path, arguments })
    }

    /// What the binary says its version is, such as `exactly-once 0.1.0`.
    ///
    /// # Errors
    ///
    /// If it cannot be run.
    pub fn version(&self) -> anyhow::Result<String> {
        let output = Command::new(&self.path).arg("--version").output();
        let output = output.with_context(|| format!("running {}", self.path.display()))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts a node on a directory.
    ///
    /// # Errors
    ///
    /// If it cannot be run.
    pub fn spawn(&self, state: &Path, input: Stdio, output: Stdio) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.path);
        command.args(["run", "--quiet", "--data-dir"]).arg(state);
        let command = command.args(&self.arguments).stdin(input).stdout(output);
        let child = command.spawn();
        child.with_context(|| format!("running {}", self.path.display()))
    }

    /// Has a node answer a file of requests into a file of replies, from its start to its end.
    ///
    /// # Errors
    ///
    /// If a file cannot be used, or the node fails.
    pub fn answer(&self, state: &Path, input: &Path, output: &Path) -> anyhow::Result<Answered> {
        let input = File::open(input).context("opening the requests")?;
        let replies = File::create(output).context("creating the file of replies")?;
        let started = Instant::now();
        let mut child = self.spawn(state, input.into(), replies.into())?;
        let watch = MemoryWatch::start(child.id());
        let mut growth = Growth::default();
        let status = loop {
            let status = child.try_wait().context("waiting for the node")?;
            growth.look(fs::metadata(output)?.len(), started.elapsed());
            match status {
                Some(status) => break status,
                None => std::thread::sleep(PAUSE),
            }
        };
        let elapsed = started.elapsed();
        let peak_memory_bytes = watch.stop();
        check_status(status)?;
        Ok(growth.answered(elapsed, peak_memory_bytes))
    }
}

/// A node must end well wherever nobody kills it.
pub(crate) fn check_status(status: ExitStatus) -> anyhow::Result<()> {
    ensure!(
        status.success(),
        "the node failed ({status}); it says why on standard error above"
    );
    Ok(())
}

/// The replies of a group are written piece by piece, within so much time.
const GROUP_TIME: Duration = Duration::from_millis(100);

/// When a file of replies grew.
#[derive(Debug, Default)]
struct Growth {
    bytes: u64,
    first: Option<Duration>,
    /// When the replies of the first group were there, and how many bytes.
    first_group: Option<(Duration, u64)>,
    last: Duration,
}

impl Growth {
    fn look(&mut self, bytes: u64, now: Duration) {
        if bytes > self.bytes {
            let first = *self.first.get_or_insert(now);
            if now - first <= GROUP_TIME {
                self.first_group = Some((now, bytes));
            }
            self.last = now;
        }
        self.bytes = bytes;
    }

    fn answered(&self, elapsed: Duration, peak_memory_bytes: u64) -> Answered {
        let (from, first_bytes) = self.first_group.unwrap_or((elapsed, self.bytes));
        let later_share = 1.0 - first_bytes as f64 / self.bytes.max(1) as f64;
        let seconds = self.last.saturating_sub(from).as_secs_f64();
        Answered {
            elapsed,
            start: self.first.unwrap_or(elapsed),
            end: elapsed.saturating_sub(self.last),
            shares_a_second: (seconds > 0.0).then(|| later_share / seconds),
            peak_memory_bytes,
        }
    }
}

/// How a file was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    /// From before the process was started until it had ended.
    pub elapsed: Duration,
    /// Until the first replies were in the file.
    pub start: Duration,
    /// From the last reply to the end of the process.
    pub end: Duration,
    /// Which share of all replies came in a second, from the first to the last; those of the
    /// first group are left out, as is the time until then. None if all came at once.
    pub shares_a_second: Option<f64>,
    /// The most memory of the process.
    pub peak_memory_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What four seconds were like in which a file had so many bytes after so many milliseconds.
    fn answered(looks: &[(u64, u64)]) -> Answered {
        let mut growth = Growth::default();
        for &(ms, bytes) in looks {
            growth.look(bytes, Duration::from_millis(ms));
        }
        growth.answered(Duration::from_secs(4), 0)
    }

    #[test]
    fn start_and_end_are_no_part_of_the_rate() -> anyhow::Result<()> {
        let answered = answered(&[(0, 0), (500, 100), (700, 500), (1500, 900), (1600, 900)]);
        assert_eq!(answered.start, Duration::from_millis(500));
        assert_eq!(answered.end, Duration::from_millis(2500));
        let share = answered.shares_a_second.context("there is no rate")?;
        assert!((share - 8.0 / 9.0).abs() < 1e-9, "{share}");
        Ok(())
    }

    #[test]
    fn the_first_group_is_no_part_of_the_rate_though_it_comes_in_pieces() -> anyhow::Result<()> {
        let answered = answered(&[(0, 0), (500, 100), (510, 200), (550, 300), (1550, 900)]);
        assert_eq!(answered.start, Duration::from_millis(500));
        let share = answered.shares_a_second.context("there is no rate")?;
        assert!((share - 6.0 / 9.0).abs() < 1e-9, "{share}");
        Ok(())
    }

    #[test]
    fn replies_that_all_come_at_once_have_no_rate() {
        let mut growth = Growth::default();
        growth.look(900, Duration::from_millis(5));
        assert_eq!(
            growth.answered(Duration::from_secs(1), 0).shares_a_second,
            None
        );
    }
}
