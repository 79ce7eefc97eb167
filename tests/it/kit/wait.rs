//! Waits that end: each is a panic after [`PATIENCE`].

use std::thread;
use std::time::{Duration, Instant};

/// How long the slowest machine may take for anything before a test calls it a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a wait pauses before it looks again.
const TRY_EVERY: Duration = Duration::from_millis(5);

/// Waits until something is so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// Waits until something is there, and gives it.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(TRY_EVERY);
    }
}
