//! What machine it is, in words that name neither it nor a path of it.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A machine, as far as figures depend on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// The model that the processor gives itself.
    pub processor: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// All of its memory.
    pub memory_bytes: u64,
    /// The version of Linux, without what a distribution or provider adds to it.
    pub kernel: String,
    /// The type of the file system that is measured, such as `ext4`.
    pub file_system: String,
    /// The day in UTC, as YYYY-MM-DD.
    pub date: String,
}

impl Machine {
    /// This machine today, and the file system of a directory.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        Self {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_bytes().unwrap_or_default(),
            kernel: kernel().unwrap_or_else(unknown),
            file_system: file_system(directory).unwrap_or_else(unknown),
            date: OffsetDateTime::now_utc().date().to_string(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory_gib = self.memory_bytes as f64 / f64::from(1 << 30);
        write!(
            f,
            "{}, {} cores, {memory_gib:.0} GiB of memory, {}, Linux {}",
            self.processor, self.cores, self.file_system, self.kernel
        )
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The first value of a name in a file of `name : value` lines.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

fn memory_bytes() -> Option<u64> {
    let total = field("/proc/meminfo", "MemTotal")?;
    let kilobytes: u64 = total.strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

fn kernel() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(release.trim().split('-').next()?.to_owned())
}

/// The type of the mount with the longest path above the directory; of two at one path, the later
/// one hides the other.
fn file_system(directory: &Path) -> Option<String> {
    let directory = fs::canonicalize(directory).ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = |line: &str| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    mounts
        .lines()
        .filter_map(mount)
        .filter(|(path, _)| directory.starts_with(path))
        .max_by_key(|(path, _)| path.len())
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known() {
        let machine = Machine::of(Path::new("."));
        assert!(machine.cores > 0 && machine.memory_bytes > 1 << 20);
        assert_ne!(machine.file_system, "unknown");
        assert_eq!(machine.date.len(), 10);
    }
}
