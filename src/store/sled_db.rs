//! The sled database itself: how it is opened, its trees, and its errors as ours.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::StorageError;
use crate::store::directory::DATABASE;
use crate::store::handle::{Handle, contained};
use crate::store::tree::Tree;
use crate::store::watchdog::{Watchdog, time_to_read};

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
    pub(super) watchdog: Watchdog,
}

/// Opens the database in a directory that has been made ready for it.
///
/// # Errors
///
/// [`StorageError`], also where sled panics.
pub(super) fn open(
    path: &Path,
    cache_bytes: u64,
    watchdog: &Watchdog,
) -> Result<(Handle<sled::Db>, Trees), StorageError> {
    const ACTION: &str = "opening";
    let bytes = path.join(DATABASE).metadata().map_or(0, |file| file.len());
    let longer = time_to_read(bytes);
    let _watched = watchdog.watch_longer(ACTION, longer);
    contained(ACTION, || {
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
                other => break Handle::new(other.map_err(failed(ACTION))?, watchdog.clone()),
            }
        };
        let tree = |name: &str| {
            let tree = db.open_tree(name).map_err(failed(ACTION))?;
            Ok::<_, StorageError>(Tree::new(tree, watchdog.clone()))
        };
        let trees = Trees {
            meta: tree("meta")?,
            journal: tree("journal")?,
            sets: tree("sets")?,
            counts: tree("counts")?,
            checkpoints: tree("checkpoints")?,
            commits: tree("commits")?,
            watchdog: watchdog.clone(),
        };
        Ok((db, trees))
    })
}

/// Names what was being done when sled reported an error.
pub(super) fn failed(action: &'static str) -> impl Fn(sled::Error) -> StorageError {
    move |error| StorageError::Database {
        action,
        source: match error {
            // Its own text has a pointer in it that tells nobody anything.
            sled::Error::Corruption { .. } => "a part of its file is damaged".into(),
            other => Box::new(other),
        },
    }
}
