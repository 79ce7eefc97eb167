//! The sled database itself: how it is opened, its trees, and its errors and panics as ours.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::StorageError;
use crate::store::tree::Tree;

/// sled gives up its lock a moment after it is dropped (sled issue 1289), so a directory that
/// was closed in this process is waited for this long.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Every tree of the database.
#[derive(Debug, Clone)]
pub(super) struct Trees {
    pub(super) meta: Tree,
    pub(super) journal: Tree,
    pub(super) sets: Tree,
    pub(super) counts: Tree,
    pub(super) checkpoints: Tree,
    pub(super) commits: Tree,
}

/// Opens the database in a directory that has been made ready for it.
///
/// # Errors
///
/// [`StorageError`], also where sled panics.
pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<(sled::Db, Trees), StorageError> {
    const ACTION: &str = "opening";
    guarded(ACTION, || {
        let deadline = Instant::now() + LOCK_PATIENCE;
        let config = sled::Config::new()
            .path(path)
            // The default is 1 GiB.
            .cache_capacity(cache_bytes)
            // With the flusher on, its garbage collection could push more than a segment of log
            // between two of our syncs, and a power cut could then lose a transaction.
            .flush_every_ms(None);
        let db = loop {
            match config.open() {
                Err(sled::Error::Io(error))
                    if error.to_string().contains("could not acquire lock")
                        && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(10));
                }
                other => break other.map_err(failed(ACTION))?,
            }
        };
        let tree = |name: &str| db.open_tree(name).map(Tree::new).map_err(failed(ACTION));
        let trees = Trees {
            meta: tree("meta")?,
            journal: tree("journal")?,
            sets: tree("sets")?,
            counts: tree("counts")?,
            checkpoints: tree("checkpoints")?,
            commits: tree("commits")?,
        };
        Ok((db, trees))
    })
}

/// Names what was being done when sled reported an error.
pub(super) fn failed(action: &'static str) -> impl Fn(sled::Error) -> StorageError {
    move |error| StorageError::Database {
        action,
        source: Box::new(error),
    }
}

/// Runs `f` and turns a panic of sled into an error.
pub(super) fn guarded<T>(
    action: &'static str,
    f: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    // Whoever gets the error stops using what the closure touched, so nothing half-done is seen.
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        let message = message.unwrap_or("no message").to_owned();
        Err(StorageError::Panicked { action, message })
    })
}
