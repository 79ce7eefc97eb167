//! The most memory that a running process has had.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The kernel keeps the peak, so only what is added in the last pause before an end is missed.
const PAUSE: Duration = Duration::from_millis(5);

/// A thread that reads the peak of a process until it is stopped, because Linux forgets it when
/// the process ends.
#[derive(Debug)]
pub struct MemoryWatch {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    peak_bytes: AtomicU64,
}

impl MemoryWatch {
    /// Watches a process of this system.
    #[must_use]
    pub fn start(pid: u32) -> Self {
        let shared = Arc::new(Shared::default());
        let watching = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !watching.is_over.load(Ordering::Relaxed) {
                if let Some(bytes) = peak_bytes(pid) {
                    watching.peak_bytes.fetch_max(bytes, Ordering::Relaxed);
                }
                std::thread::sleep(PAUSE);
            }
        });
        Self { shared, thread }
    }

    /// Stops, and tells the peak in bytes; 0 if the process was never seen.
    #[must_use]
    pub fn stop(self) -> u64 {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default();
        self.shared.peak_bytes.load(Ordering::Relaxed)
    }
}

/// `VmHWM` of /proc/PID/status; a process that has ended has none.
fn peak_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_peak() {
        let watch = MemoryWatch::start(std::process::id());
        std::thread::sleep(PAUSE * 4);
        assert!(watch.stop() > 100_000);
    }
}
