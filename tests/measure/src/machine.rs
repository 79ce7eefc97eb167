//! A description of the machine, without its name or any path.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;
use time::OffsetDateTime;

/// The properties of a machine that figures depend on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    processor: String,
    cores: usize,
    memory_bytes: u64,
    /// The version of Linux, without the suffix of a distribution or provider.
    kernel: String,
    /// The type of the file system that is measured, such as `ext4`.
    file_system: String,
    /// The day in UTC, as YYYY-MM-DD.
    pub(crate) date: String,
}

impl Machine {
    /// Describes this machine today, and the file system of a directory. An unknown text is empty.
    pub fn of(directory: &Path) -> Self {
        let memory = field("/proc/meminfo", "MemTotal");
        let kilobytes: Option<u64> = memory.trim_end_matches(" kB").parse().ok();
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut df = Command::new("df");
        let df = df.arg("--output=fstype").arg(directory).output();
        let types = df.map(|output| output.stdout).unwrap_or_default();
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kilobytes.unwrap_or_default() * 1024,
            kernel: release.trim().split('-').next().unwrap_or_default().into(),
            file_system: String::from_utf8_lossy(&types)
                .lines()
                .nth(1)
                .unwrap_or_default()
                .into(),
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

/// Returns the first value of a name in a file of `name : value` lines.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    value.unwrap_or_default().trim().to_owned()
}
