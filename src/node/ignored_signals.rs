//! Signals that a process was started to ignore, for example by `nohup`.

use std::fs;

/// The signals that this process ignores.
#[derive(Debug, Clone, Copy)]
pub struct IgnoredSignals(u64);

impl IgnoredSignals {
    /// Reads the signals that are ignored now; none if the operating system does not say.
    #[must_use]
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        Self(mask.unwrap_or_default())
    }

    /// True if a signal is ignored; `signal` is its number, from 1 to 64.
    #[must_use]
    pub fn contains(self, signal: i32) -> bool {
        self.0 >> (signal - 1) & 1 == 1
    }
}
