//! The sled database itself: how it is opened, and opened again while it is in use.
//!
//! Every handle of sled's is held in one place, behind a lock: an open of sled reads the log that
//! was written since the open before, so that a database that is never opened again would take
//! ever longer to start. Opening it again waits for the readers, and they wait for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{ArcRwLockReadGuard, RawRwLock, RwLock};

use crate::error::StorageError;
use crate::store::directory::DATABASE;
use crate::store::handle::{Handle, call, contained};
use crate::store::tree::Tree;
use crate::store::watchdog::{Watchdog, time_to_read};

const OPENING: &str = "opening";

/// sled gives up its lock a moment after it is dropped (sled issue 1289), so a directory that
/// was closed in this process is waited for this long.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// sled's own handles.
#[derive(Debug)]
pub(super) struct OpenDatabase {
    pub(super) db: sled::Db,
    pub(super) meta: sled::Tree,
    pub(super) journal: sled::Tree,
    pub(super) sets: sled::Tree,
    pub(super) counts: sled::Tree,
    pub(super) checkpoints: sled::Tree,
    pub(super) commits: sled::Tree,
    pub(super) seen: sled::Tree,
}

impl OpenDatabase {
    fn open(path: &Path, cache_bytes: u64) -> Result<Self, StorageError> {
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
                    std::thread::sleep(Duration::from_millis(1));
                }
                other => break other.map_err(failed(OPENING))?,
            }
        };
        let tree = |name: &str| db.open_tree(name).map_err(failed(OPENING));
        Ok(Self {
            meta: tree("meta")?,
            journal: tree("journal")?,
            sets: tree("sets")?,
            counts: tree("counts")?,
            checkpoints: tree("checkpoints")?,
            commits: tree("commits")?,
            seen: tree("seen")?,
            db,
        })
    }
}

type Slot = Option<Handle<OpenDatabase>>;
/// Keeps the database open for as long as it lives.
pub(super) type Held = ArcRwLockReadGuard<RawRwLock, Slot>;

/// The database, for as long as it is open.
#[derive(Debug, Clone)]
pub(super) struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    cache_bytes: u64,
    watchdog: Watchdog,
    /// Empty once it is closed, or could not be opened again.
    open: Arc<RwLock<Slot>>,
}

impl Database {
    /// Opens the database in a directory that has been made ready for it.
    ///
    /// # Errors
    ///
    /// [`StorageError`], also where sled panics.
    pub(super) fn open(
        path: &Path,
        cache_bytes: u64,
        watchdog: &Watchdog,
    ) -> Result<Self, StorageError> {
        let database = Self(Arc::new(Inner {
            path: path.to_owned(),
            cache_bytes,
            watchdog: watchdog.clone(),
            open: Arc::default(),
        }));
        database.fill(&mut database.0.open.write())?;
        Ok(database)
    }

    fn fill(&self, slot: &mut Slot) -> Result<(), StorageError> {
        let Inner {
            path,
            cache_bytes,
            watchdog,
            ..
        } = &*self.0;
        let bytes = path.join(DATABASE).metadata().map_or(0, |file| file.len());
        let _watched = watchdog.watch_longer(OPENING, time_to_read(bytes));
        let open = contained(OPENING, || OpenDatabase::open(path, *cache_bytes))?;
        let open = Handle::new(open, watchdog.clone());
        // sled has just replaced its snapshot and syncs no directory. A power cut that brought the
        // old one back behind later writes could leave a log that sled opens as an empty one.
        let synced = File::open(path).and_then(|directory| directory.sync_all());
        synced.map_err(StorageError::Sync)?;
        *slot = Some(open);
        Ok(())
    }

    /// Closes the database and opens it again, so that the next start has little to read.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if either fails; the database is closed then.
    pub(super) fn reopen(&self) -> Result<(), StorageError> {
        let mut slot = self.0.open.write();
        slot.take().map_or(Ok(()), Handle::close)?;
        self.fill(&mut slot)
    }

    /// Closes the database. Whoever still uses it gets [`StorageError::Stopped`].
    ///
    /// # Errors
    ///
    /// [`StorageError`] if that fails; what was committed stays durable all the same.
    pub(super) fn close(&self) -> Result<(), StorageError> {
        let handle = self.0.open.write().take();
        handle.map_or(Ok(()), Handle::close)
    }

    /// Keeps sled from being closed: that would flush it, which after an error in mid-commit could
    /// make half a transaction durable.
    pub(super) fn never_close(&self) {
        if let Some(open) = &*self.hold() {
            std::mem::forget(open.db.clone());
        }
    }

    /// Keeps the database open for as long as what is returned lives. A thread may do so again
    /// while it does.
    pub(super) fn hold(&self) -> Held {
        self.0.open.read_arc_recursive()
    }

    /// Makes a call of sled.
    pub(super) fn call<T>(
        &self,
        action: &'static str,
        f: impl FnOnce(&OpenDatabase) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let held = self.hold();
        let open = held.as_ref().ok_or(StorageError::Stopped)?;
        call(&self.0.watchdog, action, || f(open))
    }

    pub(super) fn watchdog(&self) -> &Watchdog {
        &self.0.watchdog
    }
}

/// Every tree of the database.
#[derive(Debug, Clone)]
pub(super) struct Trees {
    pub(super) database: Database,
    pub(super) meta: Tree,
    pub(super) journal: Tree,
    pub(super) sets: Tree,
    pub(super) counts: Tree,
    pub(super) checkpoints: Tree,
    pub(super) commits: Tree,
    pub(super) seen: Tree,
}

impl Trees {
    pub(super) fn new(database: Database) -> Self {
        let tree = |choose| Tree::new(database.clone(), choose);
        Self {
            meta: tree(|open| &open.meta),
            journal: tree(|open| &open.journal),
            sets: tree(|open| &open.sets),
            counts: tree(|open| &open.counts),
            checkpoints: tree(|open| &open.checkpoints),
            commits: tree(|open| &open.commits),
            seen: tree(|open| &open.seen),
            database,
        }
    }
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
