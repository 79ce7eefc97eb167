//! The memory of a process.

use std::fs;

/// Resident bytes: text, heap, and the parts of mapped files that were touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub now: u64,
    /// The most since the process began.
    pub peak: u64,
}

impl Memory {
    /// The memory of a process that has not been waited for.
    pub fn of(pid: u32) -> Self {
        let path = format!("/proc/{pid}/status");
        let status = fs::read_to_string(path).expect("the process has not been waited for");
        Self {
            now: bytes(&status, "VmRSS:"),
            peak: bytes(&status, "VmHWM:"),
        }
    }
}

/// Returns 0 if there is no such line, as for a process that has just ended.
fn bytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.map_or("0", |rest| rest.trim_end_matches("kB").trim());
    kib.parse::<u64>().expect("Linux writes a number of KiB") * 1024
}
