//! Opens the sled database, and reopens it while it is in use.
//!
//! An open of sled reads the log that was written since the open before. A database that was never
//! reopened would take ever longer to start. So all handles of sled are in one place, with a lock:
//! a reopening waits for the readers, and readers wait for it.

pub(crate) mod call;
pub(crate) mod log;
mod message;
mod readable;
pub(crate) mod tree;
pub(crate) mod trees;
pub(crate) mod view;

use std::error::Error;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{ArcRwLockReadGuard, RawRwLock, RwLock};
use rustix::io::Errno;

use crate::error::StorageError;
use crate::error::remedy::{errno_of, remedy};
use crate::store::bytes::tree_name::TreeName;
use crate::store::database::call::{Guarded, call, contained};
use crate::store::database::readable::check_readable;
use crate::store::directory::generation::DATABASE;
use crate::store::directory::leftover::file_changes;
use crate::store::threads;
use crate::store::watchdog::{Watchdog, time_to_read};

const OPENING: &str = "opening";
const READING: &str = "reading its log";

/// What helps if sled finds its own file damaged.
const DAMAGED: &str = "check the directory with `exactly-once verify`, which says what is damaged, \
                       and restore it from a copy if something is";

/// How long an open waits for sled's lock: sled releases it only a moment after it is dropped (sled
/// issue 1289), and this process may just have closed the directory.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Number of threads that sled starts at its first open in a process, and never again. It waits for
/// ever if it could not start them.
const SLED_THREADS: usize = 7;
static HAS_THREADS: AtomicBool = AtomicBool::new(false);

/// sled's own handles.
#[derive(Debug)]
pub(crate) struct OpenDatabase {
    pub(crate) db: sled::Db,
    /// In the order of [`TreeName::ALL`].
    pub(crate) trees: [sled::Tree; TreeName::ALL.len()],
}

impl OpenDatabase {
    fn open(path: &Path, cache_bytes: u64, is_copy: bool) -> Result<Self, StorageError> {
        let deadline = Instant::now() + LOCK_PATIENCE;
        let config = sled::Config::new()
            .path(path)
            // A copy need not survive a crash, so sled need not sync it.
            .temporary(is_copy)
            // sled's default is 1 GiB.
            .cache_capacity(cache_bytes)
            // sled's flusher is off: its garbage collection could write more than a segment of log
            // between two of our syncs, and a power cut could then lose a transaction.
            .flush_every_ms(None);
        let db = loop {
            match config.open() {
                Err(sled::Error::Io(error))
                    if is_still_locked(&error) && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                other => break other.map_err(failed_in(Some(path), OPENING))?,
            }
        };
        let tree = |tree: TreeName| db.open_tree(tree.on_disk()).map_err(failed(OPENING));
        let trees: Result<Vec<_>, _> = TreeName::ALL.into_iter().map(tree).collect();
        let trees = trees?.try_into();
        Ok(Self {
            trees: trees.expect("as many were opened as there are"),
            db,
        })
    }
}

type Slot = Option<Guarded<OpenDatabase>>;
/// Keeps the database open for as long as it lives.
pub(crate) type OpenGuard = ArcRwLockReadGuard<RawRwLock, Slot>;

/// A handle on the database, which may be closed.
#[derive(Debug, Clone)]
pub(crate) struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    cache_bytes: u64,
    /// The size of the file if it is a copy, which may have no name; `None` for an original.
    copied_bytes: Option<u64>,
    watchdog: Watchdog,
    /// Empty after the database was closed, or could not be reopened.
    open: Arc<RwLock<Slot>>,
}

impl Database {
    /// Opens the database in a directory that was prepared for it.
    ///
    /// # Errors
    ///
    /// [`StorageError`], also if sled panics or cannot start its threads.
    pub(crate) fn open(
        path: &Path,
        cache_bytes: u64,
        watchdog: &Watchdog,
    ) -> Result<Self, StorageError> {
        Self::opened(path, cache_bytes, watchdog, None)
    }

    /// Opens a copy of a database. The names of its files may be removed afterwards.
    ///
    /// # Errors
    ///
    /// As for [`Database::open`].
    pub(crate) fn open_copy(
        path: &Path,
        cache_bytes: u64,
        watchdog: &Watchdog,
    ) -> Result<Self, StorageError> {
        let bytes = path.join(DATABASE).metadata().map_or(0, |file| file.len());
        Self::opened(path, cache_bytes, watchdog, Some(bytes))
    }

    fn opened(
        path: &Path,
        cache_bytes: u64,
        watchdog: &Watchdog,
        copied_bytes: Option<u64>,
    ) -> Result<Self, StorageError> {
        if !HAS_THREADS.load(Ordering::Acquire) {
            threads::check_room_for(SLED_THREADS)?;
        }
        let database = Self(Arc::new(Inner {
            path: path.to_owned(),
            cache_bytes,
            copied_bytes,
            watchdog: watchdog.clone(),
            open: Arc::default(),
        }));
        database.fill(&mut database.0.open.write())?;
        HAS_THREADS.store(true, Ordering::Release);
        Ok(database)
    }

    fn fill(&self, slot: &mut Slot) -> Result<(), StorageError> {
        let Inner {
            path,
            cache_bytes,
            copied_bytes,
            watchdog,
            ..
        } = &*self.0;
        let bytes = self.file_bytes();
        let _watched = watchdog.watch_longer(OPENING, time_to_read(bytes));
        let is_copy = copied_bytes.is_some();
        let _file_changes = file_changes();
        check_readable(path).map_err(|error| failed_in(Some(path), READING)(error.into()))?;
        let open = contained(OPENING, || OpenDatabase::open(path, *cache_bytes, is_copy))?;
        let open = Guarded::new(open, watchdog.clone());
        if is_copy {
            *slot = Some(open);
            return Ok(());
        }
        // sled has just replaced its own snapshot file, and syncs no directory. If a power cut
        // brought the old file back after later writes, sled might open the log as an empty one.
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
    pub(crate) fn reopen(&self) -> Result<(), StorageError> {
        let mut slot = self.0.open.write();
        slot.take().map_or(Ok(()), Guarded::close)?;
        self.fill(&mut slot)
    }

    /// Closes the database. Later calls return [`StorageError::Stopped`].
    ///
    /// # Errors
    ///
    /// [`StorageError`] if that fails; what was persisted stays durable.
    pub(crate) fn close(&self) -> Result<(), StorageError> {
        let handle = self.0.open.write().take();
        handle.map_or(Ok(()), Guarded::close)
    }

    /// Returns true if the pages of sled's own tree, in which nothing is stored, can be read. sled
    /// moves these pages like all others: if it cannot read one while a group is persisted, only a
    /// part of the group becomes durable.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if they cannot be read for another reason than damage.
    pub(crate) fn sled_tree_is_readable(&self) -> Result<bool, StorageError> {
        self.call(OPENING, |open| match open.db.get([]) {
            Ok(_) => Ok(true),
            Err(sled::Error::Corruption { .. }) => Ok(false),
            Err(error) => Err(failed(OPENING)(error)),
        })
    }

    /// Keeps sled open until the process ends. Closing it would flush it, and after an error in a
    /// transaction that could make half of the transaction durable.
    pub(crate) fn keep_open_until_exit(&self) {
        if let Some(open) = &*self.hold() {
            std::mem::forget(open.db.clone());
        }
    }

    /// If a reopen waits for the guards of other threads, waits for its end. Without this, threads
    /// that take one guard after the other could keep the reopen waiting. The thread must have no
    /// guard.
    pub(crate) fn let_reopen(&self) {
        drop(self.0.open.read());
    }

    /// Returns a guard that keeps the database open. A thread may take another while it has one.
    pub(crate) fn hold(&self) -> OpenGuard {
        self.0.open.read_arc_recursive()
    }

    /// Calls sled, with the database kept open.
    pub(crate) fn call<T>(
        &self,
        action: &'static str,
        f: impl FnOnce(&OpenDatabase) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let held = self.hold();
        let open = held.as_ref().ok_or(StorageError::Stopped)?;
        call(&self.0.watchdog, action, || f(open))
    }

    /// The size of the file in bytes; 0 if it is gone.
    pub(crate) fn file_bytes(&self) -> u64 {
        let file = || self.0.path.join(DATABASE).metadata();
        let copied = self.0.copied_bytes;
        copied.unwrap_or_else(|| file().map_or(0, |file| file.len()))
    }

    pub(crate) fn watchdog(&self) -> &Watchdog {
        &self.0.watchdog
    }
}

/// True if sled has not released its lock yet, which it reports only as text.
fn is_still_locked(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock") && errno_of(error) == Some(Errno::AGAIN)
}

/// Converts an error of sled; `action` is what was being done.
pub(crate) fn failed(action: &'static str) -> impl Fn(sled::Error) -> StorageError {
    failed_in(None, action)
}

/// Like [`failed`]; the remedy is about the directory `path`.
fn failed_in(path: Option<&Path>, action: &'static str) -> impl Fn(sled::Error) -> StorageError {
    move |error| {
        let (remedy, source): (_, Box<dyn Error + Send + Sync>) = match error {
            // Its own text contains a pointer that means nothing to a user.
            sled::Error::Corruption { .. } => {
                (DAMAGED.to_owned(), "a part of its file is damaged".into())
            }
            sled::Error::Io(error) => (remedy(path, &error), plain(error).into()),
            other => (remedy(path, &other), other.into()),
        };
        StorageError::Database {
            action,
            remedy,
            source,
        }
    }
}

/// Returns the system's own error, which sled may have kept only as text.
fn plain(error: io::Error) -> io::Error {
    let errno = error
        .raw_os_error()
        .map_or_else(|| errno_of(&error), |_| None);
    errno.map_or(error, io::Error::from)
}
