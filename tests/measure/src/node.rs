//! A node as a process, measured from outside: the real binary, or the node on SQLite.

use std::fs::File;
use std::path::{Path, PathBuf, absolute};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::harness::wait;

/// The time within which all replies of a group are written, piece by piece.
const GROUP_TIME: Duration = Duration::from_millis(100);

/// The place of the binary after a release build of the main package.
const DEFAULT_BINARY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/release/exactly-once"
);

/// The program of the node on SQLite, which is built beside the programs that measure it.
const SQLITE_NODE: &str = "sqlite_node";

/// The arguments of exactly-once before the directory.
const RUN: &[&str] = &["run", "--quiet", "--data-dir"];

/// The program of a node, and its arguments before and after the state directory.
#[derive(Debug, Clone)]
pub struct Binary {
    path: PathBuf,
    before: &'static [&'static str],
    after: Vec<String>,
}

impl Binary {
    /// Takes the build of exactly-once at a path; without a path, the release build of the main
    /// package. The arguments are those of its `run` besides the directory.
    pub fn new(path: Option<PathBuf>, arguments: Vec<String>) -> anyhow::Result<Self> {
        let path = path.unwrap_or(DEFAULT_BINARY.into());
        ensure!(
            path.is_file(),
            "no binary at {}: run `cargo build --release` in the main package, or name one with \
             --binary",
            path.display()
        );
        Ok(Self {
            // A command without a slash would be searched for in PATH.
            path: absolute(path).context("finding the --binary")?,
            before: RUN,
            after: arguments,
        })
    }

    /// Takes the node on SQLite that is beside the running program.
    pub fn sqlite() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding the running program")?;
        let path = program.with_file_name(SQLITE_NODE);
        ensure!(
            path.is_file(),
            "no node on SQLite at {}: run `cargo build --release` in tests/measure",
            path.display()
        );
        Ok(Self {
            path,
            before: &[],
            after: Vec::new(),
        })
    }

    /// Returns the version that exactly-once prints, such as `exactly-once 0.1.0`.
    pub(crate) fn version(&self) -> anyhow::Result<String> {
        let output = Command::new(&self.path).arg("--version").output();
        let output = output.context("running the binary")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Returns the name of the program's file.
    pub(crate) fn file_name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// A command of exactly-once on a state directory.
    pub(crate) fn command(&self, name: &str, state: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.arg(name).arg("--data-dir").arg(state);
        command
    }

    /// Starts a node on a directory.
    pub(crate) fn spawn(
        &self,
        state: &Path,
        input: impl Into<Stdio>,
        output: impl Into<Stdio>,
    ) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.path);
        command.args(self.before).arg(state).args(&self.after);
        let command = command.stdin(input).stdout(output);
        command.spawn().context("running the binary")
    }

    /// Runs a node from a file of requests to a file of replies, and measures it.
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
        Ok(Answered::new(looks, peak_memory_bytes.unwrap_or_default()))
    }
}

/// The times and the memory of a run from a file to a file.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    /// The time from before the start of the process until it had ended.
    pub(crate) elapsed: Duration,
    /// The time until the first replies were in the file.
    pub(crate) start: Duration,
    /// The time from the last reply to the end of the process.
    pub(crate) end: Duration,
    /// The share of all replies that came in a second, between the first reply and the last one. It
    /// leaves out the first group and the time until then. `None` if all came at once.
    pub(crate) shares_a_second: Option<f64>,
    /// Peak memory of the process, in bytes.
    pub(crate) peak_memory_bytes: u64,
    /// Times, and the sizes of the file of replies then.
    looks: Vec<(Duration, u64)>,
}

impl Answered {
    /// Computes the times from `looks`: each is a time and the size of the file of replies then.
    pub(crate) fn new(looks: Vec<(Duration, u64)>, peak_memory_bytes: u64) -> Self {
        let (elapsed, all) = looks.last().copied().unwrap_or_default();
        let (start, last) = (reached(&looks, 1), reached(&looks, all));
        let in_group = looks.iter().rfind(|look| look.0 <= start + GROUP_TIME);
        let group = in_group.map_or(all, |look| look.1);
        let seconds = last.saturating_sub(reached(&looks, group)).as_secs_f64();
        Self {
            elapsed,
            start,
            end: elapsed - last,
            shares_a_second: (seconds > 0.0).then(|| (1.0 - group as f64 / all as f64) / seconds),
            peak_memory_bytes,
            looks,
        }
    }

    /// Returns the time until the file of replies had this many bytes.
    pub(crate) fn reached(&self, bytes: u64) -> Duration {
        reached(&self.looks, bytes)
    }
}

/// Returns the time of the first look at which the file had this many bytes, or else the last one.
fn reached(looks: &[(Duration, u64)], bytes: u64) -> Duration {
    let look = looks.iter().find(|look| look.1 >= bytes).or(looks.last());
    look.map_or(Duration::ZERO, |look| look.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of four seconds. Each look is a time in milliseconds and the file's size then.
    fn answered(looks: &[(u64, u64)]) -> Answered {
        let looks = looks.iter().chain([looks.last().expect("there are some")]);
        let mut looks: Vec<_> = looks
            .map(|&(ms, bytes)| (Duration::from_millis(ms), bytes))
            .collect();
        looks.last_mut().expect("there are some").0 = Duration::from_secs(4);
        Answered::new(looks, 0)
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
