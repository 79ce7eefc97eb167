//! Waiting with a time limit: every wait ends in a panic after [`PATIENCE`].

use std::thread;
use std::time::{Duration, Instant};

/// The slowest machine needs less than this for anything, so a longer wait is a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The pause before a wait looks again.
const TRY_EVERY: Duration = Duration::from_millis(5);

/// Waits until a condition holds.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// Waits until `look` finds something, and returns it.
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
