//! How much memory a process takes.

use std::fs;

/// Resident bytes: text, heap and what of the mapped files was touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub now: u64,
    /// The most since the process began.
    pub peak: u64,
}

impl Memory {
    /// That of a process which has not been waited for.
    pub fn of(pid: u32) -> Self {
        let path = format!("/proc/{pid}/status");
        let status = fs::read_to_string(path).expect("the process has not been waited for");
        Self {
            now: bytes(&status, "VmRSS:"),
            peak: bytes(&status, "VmHWM:"),
        }
    }
}

/// A process that has just ended has no such line, and no memory.
fn bytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.map_or("0", |rest| rest.trim_end_matches("kB").trim());
    kib.parse::<u64>().expect("Linux writes a number of KiB") * 1024
}
