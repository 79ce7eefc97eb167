//! Builds a database in a new folder of a locked directory. Once the database has been checked, the
//! sentinel names it. Giving up removes every trace.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::store::bytes::FORMAT;
use crate::store::copy::RestingCopy;
use crate::store::directory::files::create_directory;
use crate::store::directory::leftover::{Leftover, file_changes};
use crate::store::directory::place::check_place;
use crate::store::directory::{Directory, RestingDirectory};
use crate::store::options::Options;
use crate::store::storage_timeout::StorageTimeout;
use crate::store::watchdog::Watchdog;
use crate::store::writer::Store;

/// The place of a database that is being built.
#[derive(Debug)]
pub(crate) struct BuildSite {
    /// The directory, with the generation that is being built.
    directory: RestingDirectory,
    leftover: Leftover,
}

impl BuildSite {
    /// Prepares a directory without a state, which is created if it does not exist.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose variant says why.
    pub(crate) fn in_empty(path: &Path, timeout: &StorageTimeout) -> Result<Self, OpenError> {
        let watchdog = Watchdog::start(timeout)?;
        let _watched = watchdog.watch("locking the directory");
        let _file_changes = file_changes();
        check_place(path)?;
        let missing: Vec<PathBuf> = missing_directories(path);
        let locked = create_directory(path).and_then(|()| RestingDirectory::lock_empty(path));
        if locked.is_err() {
            remove_empty(&missing);
        }
        let locked = locked?;
        let made = locked.make_next_generation();
        if made.is_err() {
            locked.remove_sentinel_and_lock();
            remove_empty(&missing);
        }
        let directory = made?;
        let given_up = directory.clone();
        let leftover = Leftover::new(move || {
            remove_generation(&given_up);
            given_up.remove_sentinel_and_lock();
            remove_empty(&missing);
        });
        Ok(Self {
            directory,
            leftover,
        })
    }

    /// Prepares a directory that has a state, beside its present database.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the folder cannot be made.
    pub(super) fn after(present: &RestingDirectory) -> Result<Self, OpenError> {
        let _file_changes = file_changes();
        let directory = present.make_next_generation()?;
        let given_up = directory.clone();
        Ok(Self {
            directory,
            leftover: Leftover::new(move || remove_generation(&given_up)),
        })
    }

    /// Opens a new database there.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose variant says why.
    pub(crate) fn open(&self, options: &Options) -> Result<Store, OpenError> {
        let directory = Directory::to_build(&self.directory);
        let watchdog = Watchdog::start(&options.storage_timeout)?;
        Store::open(directory, options, &watchdog)
    }

    /// Opens a copy of the database after it has been closed.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose variant says why.
    pub(crate) fn copy(
        &self,
        cache_bytes: u64,
        timeout: &StorageTimeout,
    ) -> Result<RestingCopy, OpenError> {
        RestingCopy::of_locked(&self.directory, cache_bytes, timeout)
    }

    /// Returns the size of the database's files in bytes.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if they cannot be listed.
    pub(crate) fn bytes(&self) -> Result<u64, OpenError> {
        self.directory.bytes()
    }

    /// Makes the new database the present one of the directory.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the sentinel cannot be written; the new database is removed then.
    pub(crate) fn finish(self) -> Result<(), OpenError> {
        let Self {
            directory,
            leftover,
        } = self;
        let _file_changes = file_changes();
        // From here on neither a signal nor an error may remove what the sentinel names.
        let remove = leftover.take();
        let finished = directory.make_present(FORMAT);
        if finished.is_err() && directory.is_surely_not_named() {
            remove();
        }
        finished
    }
}

fn remove_generation(directory: &RestingDirectory) {
    // The next command that writes removes what stays.
    let removed = directory.generation().remove(directory.path());
    removed.unwrap_or_default();
}

/// Removes directories that were made here, the innermost first. One that is not empty is in use
/// and stays.
fn remove_empty(created: &[PathBuf]) {
    for directory in created {
        fs::remove_dir(directory).unwrap_or_default();
    }
}

/// Returns the directories of a path that do not exist, the innermost first.
fn missing_directories(path: &Path) -> Vec<PathBuf> {
    let missing = path.ancestors().take_while(|path| !path.exists());
    let named = missing.filter(|path| *path != Path::new(""));
    named.map(Path::to_owned).collect()
}
