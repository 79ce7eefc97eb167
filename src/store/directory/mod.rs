//! The state directory around the database: its lock, its sentinel, and what must be done to
//! its files before sled may open them.
//!
//! ```text
//! lock       names the process that writes here; locked with flock
//! sentinel   marks the directory as ours and names the present database; see `sentinel`
//! the files of one database or more; see `generation`
//! ```
//!
//! The sentinel distinguishes a new directory from one whose database was lost: sled would open a
//! missing or empty `db` as a new database, and every event would be counted a second time.
//! Replacing the sentinel also makes a generation that was built the present one.

pub(crate) mod files;
pub(crate) mod generation;
#[cfg(feature = "cli")]
pub(crate) mod glance;
mod holder;
pub(crate) mod identity;
pub(crate) mod leftover;
mod lock;
pub(crate) mod place;
pub(crate) mod scratch;
pub(crate) mod sentinel;
pub(crate) mod space;
pub(crate) mod watermark;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{OpenError, StorageError};
use crate::store::bytes::FORMAT;
use crate::store::directory::files::{create_directory, sync, unusable};
use crate::store::directory::generation::{
    CONFIG, DATABASE, Generation, blob_files, finished_sled_snapshots,
    remove_unfinished_sled_snapshots,
};
use crate::store::directory::leftover::file_changes;
use crate::store::directory::lock::{LOCK, Lock};
use crate::store::directory::sentinel::{
    NEW_SENTINEL, READY, SENTINEL, Sentinel, check_present_format, name_generation, read_sentinel,
    write_sentinel,
};
use crate::store::directory::watermark::{Mark, Watermark};

/// What a directory contains.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Nothing, or what an unfinished first start or load has left.
    Empty,
    Ours(Generation),
}

/// A state directory that is locked for writing while this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    generation: Generation,
    stage: LifeStage,
    _lock: Arc<Lock>,
}

/// The stage of a database's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LifeStage {
    /// A first start is about to create it.
    Creating,
    /// It is being built, and the sentinel does not name it yet.
    Building,
    /// It is in use.
    Ready,
}

/// A directory in which no writer may work while this lives. Without a lock file nothing is locked:
/// see `is_still_locked`.
#[derive(Debug, Clone)]
pub(crate) struct RestingDirectory {
    path: PathBuf,
    generation: Generation,
    lock: Arc<Lock>,
}

impl Directory {
    /// Locks a directory for writing. Creates a missing one, or fails if `must_exist`.
    pub(crate) fn lock(path: &Path, must_exist: bool) -> Result<Self, OpenError> {
        if must_exist {
            check_state(path)?;
        }
        create_directory(path)?;
        // This check comes before anything is created: a foreign directory stays as it is.
        inspect(path)?;
        check_present_format(path)?;
        let lock = Arc::new(Lock::for_writing(path)?);
        let (generation, stage) = match inspect(path)? {
            Contents::Empty if must_exist => {
                let path = path.to_owned();
                return Err(OpenError::NoState { path });
            }
            Contents::Empty => {
                write_sentinel(path, Sentinel::Creating, FORMAT)?;
                (Generation::FIRST, LifeStage::Creating)
            }
            Contents::Ours(generation) => (generation, LifeStage::Ready),
        };
        if stage == LifeStage::Ready {
            // An old sentinel may name a database that is gone: nothing must be removed then.
            check_database(path, &generation.folder(path))?;
        }
        remove_unfinished_generations(path, generation)?;
        if stage == LifeStage::Ready && read_sentinel(path)? == Some(Sentinel::Creating) {
            name_generation(path, generation, FORMAT)?;
        }
        Ok(Self {
            path: path.to_owned(),
            generation,
            stage,
            _lock: lock,
        })
    }

    /// A generation of a locked directory, to be built in the folder that was made for it.
    pub(crate) fn to_build(resting: &RestingDirectory) -> Self {
        Self {
            path: resting.path.clone(),
            generation: resting.generation,
            stage: LifeStage::Building,
            _lock: Arc::clone(&resting.lock),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder with the files of the database.
    pub(crate) fn folder(&self) -> PathBuf {
        self.generation.folder(&self.path)
    }

    /// True until the sentinel names the database as ready.
    pub(crate) fn is_new(&self) -> bool {
        self.stage != LifeStage::Ready
    }

    /// True if it is being built: nothing is answered from it, and it gets its watermark last.
    pub(crate) fn is_being_built(&self) -> bool {
        self.stage == LifeStage::Building
    }

    /// Makes the files safe for sled to open, and returns our own handle on the database file.
    ///
    /// The handle is opened before sled's, so that an error of any later write-back is reported to
    /// it. The store keeps it and makes groups durable by syncing it. A second handle does not
    /// disturb sled, whose flock is of a handle and not of a process.
    pub(crate) fn prepare(&self) -> Result<File, OpenError> {
        let folder = self.folder();
        match self.stage {
            // A start that was killed here has answered nothing, so its files can go.
            LifeStage::Creating => {
                check_never_answered(&self.path)?;
                Generation::FIRST.remove(&self.path)?;
            }
            LifeStage::Building => {}
            LifeStage::Ready => check_database(&self.path, &folder)?,
        }
        remove_unfinished_sled_snapshots(&folder)?;
        let path = folder.join(DATABASE);
        let mut options = File::options();
        options.read(true).write(true).create(self.is_new());
        let _file_changes = file_changes();
        let file = options
            .open(&path)
            .map_err(unusable(&path, "opening it to write"))?;
        // What a killed process wrote may be in the page cache only. sled's recovery writes a
        // snapshot file that refers to it, and our first reply may depend on it.
        file.sync_data().map_err(StorageError::Sync)?;
        Ok(file)
    }

    /// Makes a new database and its names durable, and marks it as created.
    pub(crate) fn finish_creation(&mut self, mark: Mark) -> Result<(), OpenError> {
        if self.stage != LifeStage::Creating {
            return Ok(());
        }
        self.make_durable(mark)?;
        write_sentinel(&self.path, READY, FORMAT)?;
        self.stage = LifeStage::Ready;
        Ok(())
    }

    /// Writes the watermark of a built, closed database. The sentinel may name it from now on.
    pub(crate) fn finish_building(&self, mark: Mark) -> Result<(), OpenError> {
        self.make_durable(mark)?;
        sync(&self.path)
    }

    /// Makes durable what sled never syncs. The names of its files must be durable before the first
    /// reply, and before the sentinel.
    fn make_durable(&self, mark: Mark) -> Result<(), OpenError> {
        let folder = self.folder();
        Watermark::replace(&folder, mark)?;
        sync(&folder.join(CONFIG))?;
        sync(&folder)
    }
}

impl RestingDirectory {
    /// Locks an existing state directory against writers, without changing a byte of it.
    pub(crate) fn lock(path: &Path) -> Result<Self, OpenError> {
        Self::locked(path, Lock::for_reading)
    }

    /// Locks an existing state directory against every other process, and removes unfinished
    /// generations.
    pub(crate) fn lock_alone(path: &Path) -> Result<Self, OpenError> {
        let locked = Self::locked(path, Lock::for_writing)?;
        remove_unfinished_generations(path, locked.generation)?;
        Ok(locked)
    }

    /// Locks an existing directory without a state against every other process, and removes what a
    /// killed start or load left.
    pub(crate) fn lock_empty(path: &Path) -> Result<Self, OpenError> {
        let locked = Self {
            path: path.to_owned(),
            generation: Generation::FIRST,
            lock: Arc::new(Lock::for_writing(path)?),
        };
        if let Contents::Ours(_) = inspect(path)? {
            return Err(OpenError::HasState { path: locked.path });
        }
        let cleared = write_sentinel(path, Sentinel::Creating, FORMAT)
            .and_then(|()| remove_unfinished_generations(path, Generation::FIRST))
            .and_then(|()| Generation::FIRST.remove(path));
        if cleared.is_err() {
            locked.remove_sentinel_and_lock();
        }
        cleared.map(|()| locked)
    }

    fn locked(
        path: &Path,
        take: impl FnOnce(&Path) -> Result<Lock, OpenError>,
    ) -> Result<Self, OpenError> {
        check_state(path)?;
        let no_state = || OpenError::NoState {
            path: path.to_owned(),
        };
        let lock = Arc::new(take(path)?);
        let Contents::Ours(generation) = inspect(path)? else {
            return Err(no_state());
        };
        check_not_stale(path, generation)?;
        let locked = Self {
            path: path.to_owned(),
            generation,
            lock,
        };
        check_database(path, &locked.folder())?;
        Ok(locked)
    }

    /// Makes the folder of the next generation, and returns the same directory with it.
    pub(crate) fn make_next_generation(&self) -> Result<Self, OpenError> {
        let generation = self.generation.next_free(&self.path)?;
        generation.make_folder(&self.path)?;
        Ok(Self {
            generation,
            ..self.clone()
        })
    }

    /// True if the sentinel could be read and does not name this generation.
    pub(crate) fn is_surely_not_named(&self) -> bool {
        let named = read_sentinel(&self.path).map(|sentinel| match sentinel {
            Some(Sentinel::Ready { generation, .. }) => Some(generation),
            _ => None,
        });
        named.is_ok_and(|named| named != Some(self.generation))
    }

    /// The same directory with the latest generation before the present one, if it was kept.
    pub(crate) fn with_kept_generation(&self) -> Result<Option<Self>, OpenError> {
        let all = Generation::all(&self.path)?;
        let kept = all.into_iter().rev().find(|kept| *kept < self.generation);
        Ok(kept.map(|generation| Self {
            generation,
            ..self.clone()
        }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// Bytes of the files of the database.
    pub(crate) fn bytes(&self) -> Result<u64, OpenError> {
        self.generation.bytes(&self.path)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.generation.folder(&self.path)
    }

    /// Makes this generation, which must be whole, the present one.
    pub(crate) fn make_present(&self, format: u32) -> Result<(), OpenError> {
        name_generation(&self.path, self.generation, format)
    }

    /// True if no group was persisted since the present generation was built.
    pub(crate) fn is_as_built(&self) -> Result<bool, OpenError> {
        let Some(Sentinel::Ready { built_at, .. }) = read_sentinel(&self.path)? else {
            return Ok(false);
        };
        let mark = Watermark::read(&self.folder())?;
        Ok(mark.is_some_and(|mark| mark.group == built_at))
    }

    /// Removes the sentinel and the lock, which a failed load left in a directory without a state.
    pub(crate) fn remove_sentinel_and_lock(&self) {
        for name in [SENTINEL, NEW_SENTINEL, LOCK] {
            // The next start or load uses what stays.
            fs::remove_file(self.path.join(name)).unwrap_or_default();
        }
    }

    /// True if no writer can have changed a file since the directory was locked.
    pub(crate) fn is_still_locked(&self) -> bool {
        self.lock.is_valid()
    }

    /// The names of the files in sled's folder for values that are too large for its log.
    pub(crate) fn blob_files(&self) -> Result<Vec<OsString>, OpenError> {
        blob_files(&self.folder())
    }

    /// The files that a copy needs: `db`, `conf` and sled's finished snapshot files.
    pub(crate) fn database_files(&self) -> Result<Vec<PathBuf>, OpenError> {
        let folder = self.folder();
        let mut files = vec![folder.join(DATABASE)];
        // sled makes a missing `conf` again.
        files.extend(Some(folder.join(CONFIG)).filter(|path| path.exists()));
        files.extend(finished_sled_snapshots(&folder)?);
        Ok(files)
    }
}

/// Refuses a directory without a state, unless a start may be creating one.
fn check_state(path: &Path) -> Result<(), OpenError> {
    let no_state = || OpenError::NoState {
        path: path.to_owned(),
    };
    match inspect(path) {
        Ok(Contents::Ours(_)) => Ok(()),
        // A first start may be creating it just now.
        Ok(Contents::Empty) if path.join(LOCK).exists() => Ok(()),
        Ok(Contents::Empty) => Err(no_state()),
        Err(OpenError::Unusable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(no_state())
        }
        Err(OpenError::NotOurs { path, found }) => Err(OpenError::NotAState { path, found }),
        Err(error) => Err(error),
    }
}

pub(crate) fn inspect(path: &Path) -> Result<Contents, OpenError> {
    match read_sentinel(path)? {
        Some(Sentinel::Ready { generation, .. }) => Ok(Contents::Ours(generation)),
        Some(Sentinel::Creating) => match loaded_generation(path)? {
            Some(loaded) => Ok(Contents::Ours(loaded)),
            None => match check_never_answered(path) {
                // A first start has just ended.
                Err(_) if read_sentinel(path)? != Some(Sentinel::Creating) => inspect(path),
                checked => checked.map(|()| Contents::Empty),
            },
        },
        None => {
            let reading = || unusable(path, "reading the directory");
            for entry in fs::read_dir(path).map_err(reading())? {
                let name = entry.map_err(reading())?.file_name();
                if name == SENTINEL {
                    // Another process has just made it.
                    return inspect(path);
                }
                if name != LOCK && name != NEW_SENTINEL {
                    let found = format!("it holds {name:?} and no file named {SENTINEL:?}");
                    return Err(OpenError::NotOurs {
                        path: path.to_owned(),
                        found,
                    });
                }
            }
            Ok(Contents::Empty)
        }
    }
}

/// The whole and only generation of a load that was killed before the sentinel named it.
fn loaded_generation(path: &Path) -> Result<Option<Generation>, OpenError> {
    let all = Generation::all(path)?;
    let loaded = Generation::FIRST.next();
    let is_whole = all == [loaded] && Watermark::read(&loaded.folder(path))?.is_some();
    Ok(is_whole.then_some(loaded))
}

/// Refuses a directory that has a state, though its old sentinel says `creating`.
fn check_never_answered(path: &Path) -> Result<(), OpenError> {
    for generation in Generation::all(path)? {
        let is_whole = Watermark::read(&generation.folder(path))?.is_some();
        let is_built = generation != Generation::FIRST && is_whole;
        if is_built || !generation.was_never_used(path)? {
            return Err(stale(path));
        }
    }
    match Watermark::read(path)? {
        Some(Mark { group: 1.., .. }) => Err(stale(path)),
        _ => Ok(()),
    }
}

/// Refuses a directory whose old sentinel names a generation that has been replaced.
fn check_not_stale(path: &Path, present: Generation) -> Result<(), OpenError> {
    for later in Generation::all(path)?.into_iter().filter(|g| *g > present) {
        if !later.was_never_used(path)? {
            return Err(stale(path));
        }
    }
    Ok(())
}

fn stale(path: &Path) -> OpenError {
    OpenError::SentinelStale {
        path: path.to_owned(),
    }
}

/// Removes the generations after the present one, which a killed process left unfinished.
fn remove_unfinished_generations(path: &Path, present: Generation) -> Result<(), OpenError> {
    check_not_stale(path, present)?;
    let mut later = Generation::all(path)?;
    later.retain(|generation| *generation > present);
    if !later.is_empty() {
        // After a power cut an older sentinel could name one of these. So the present sentinel must
        // be durable first.
        sync(path)?;
    }
    later.into_iter().try_for_each(|later| later.remove(path))?;
    present.next().remove_empty_folder(path);
    Ok(())
}

/// Refuses a missing or empty database, which sled would open as a new one.
fn check_database(path: &Path, folder: &Path) -> Result<(), OpenError> {
    let file = folder.join(DATABASE);
    let found = match fs::metadata(&file) {
        Ok(metadata) if metadata.len() > 0 => return Ok(()),
        Ok(_) => "empty",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "missing",
        Err(error) => return Err(unusable(&file, "reading its size")(error)),
    };
    let others = Generation::all(path)?.into_iter();
    if others.filter(|other| other.folder(path) != folder).count() > 0 {
        return Err(stale(path));
    }
    Err(OpenError::DatabaseGone {
        path: path.to_owned(),
        file,
        found,
    })
}

/// The error if sled opens a database without our data.
pub(crate) fn foreign_database(path: &Path, folder: &Path) -> OpenError {
    OpenError::DatabaseGone {
        path: path.to_owned(),
        file: folder.join(DATABASE),
        found: "not the one that was created",
    }
}
