//! A resting state directory that is locked by this process alone. The present database can be
//! copied and the next one built; the one before can be removed or made present again.

use std::ffi::OsString;
use std::path::Path;

use crate::error::OpenError;
use crate::store::build::BuildSite;
use crate::store::copy::RestingCopy;
use crate::store::directory::RestingDirectory;
use crate::store::directory::files::sync;
use crate::store::directory::leftover::file_changes;
use crate::store::directory::sentinel::check_present_format;
use crate::store::storage_timeout::StorageTimeout;
use crate::store::watchdog::Watchdog;

/// A resting state directory that no other process can read or write while this value lives.
#[derive(Debug)]
pub struct LockedDirectory {
    directory: RestingDirectory,
}

/// The database that a compaction has replaced and kept.
#[derive(Debug)]
pub struct Kept<'a> {
    held: &'a LockedDirectory,
    directory: RestingDirectory,
}

impl LockedDirectory {
    /// Locks a state directory. Waits for a command that is copying it.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose variant says why.
    pub fn lock(path: &Path, timeout: &StorageTimeout) -> Result<Self, OpenError> {
        check_present_format(path)?;
        Self::lock_of_any_format(path, timeout)
    }

    /// Locks a state directory of any format that can be read.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose variant says why.
    pub fn lock_of_any_format(path: &Path, timeout: &StorageTimeout) -> Result<Self, OpenError> {
        let watchdog = Watchdog::start(timeout)?;
        let _watched = watchdog.watch("locking the directory");
        let directory = RestingDirectory::lock_alone(path)?;
        Ok(Self { directory })
    }

    pub(crate) fn copy(
        &self,
        cache_bytes: u64,
        timeout: &StorageTimeout,
    ) -> Result<RestingCopy, OpenError> {
        RestingCopy::of_locked(&self.directory, cache_bytes, timeout)
    }

    /// Prepares the place of the next database.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if its folder cannot be made.
    pub(crate) fn next(&self) -> Result<BuildSite, OpenError> {
        BuildSite::after(&self.directory)
    }

    /// Returns the size of the present database's files in bytes.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the files cannot be listed.
    pub fn bytes(&self) -> Result<u64, OpenError> {
        self.directory.bytes()
    }

    /// Returns the number of the present database: 0 at first, one more after each compaction.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.directory.generation().0
    }

    /// Returns the database that the last compaction has kept, unless it was removed.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the directory cannot be listed.
    pub fn kept(&self) -> Result<Option<Kept<'_>>, OpenError> {
        let kept = self.directory.with_kept_generation()?;
        Ok(kept.map(|directory| Kept {
            held: self,
            directory,
        }))
    }
}

impl Kept<'_> {
    /// Returns its number, which is lower than that of the present database.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.directory.generation().0
    }

    /// Returns the size of its files in bytes.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the files cannot be listed.
    pub fn bytes(&self) -> Result<u64, OpenError> {
        self.directory.bytes()
    }

    /// Returns the files in its folder that this program did not make and does not remove.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the files cannot be listed.
    pub fn other_files(&self) -> Result<Vec<OsString>, OpenError> {
        let generation = self.directory.generation();
        generation.other_files(self.directory.path())
    }

    /// Opens a copy of this database.
    pub(crate) fn copy(
        &self,
        cache_bytes: u64,
        timeout: &StorageTimeout,
    ) -> Result<RestingCopy, OpenError> {
        RestingCopy::of_locked(&self.directory, cache_bytes, timeout)
    }

    /// Removes its files. Files that this program did not make stay, and so does their folder.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if a file cannot be removed.
    pub fn remove(self) -> Result<(), OpenError> {
        let _file_changes = file_changes();
        // The sentinel must be durable before the database that it no longer names is removed.
        sync(self.directory.path())?;
        self.directory.generation().remove(self.directory.path())
    }

    /// True if nothing has changed the present database since the compaction.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if its watermark cannot be read.
    pub fn is_up_to_date(&self) -> Result<bool, OpenError> {
        self.held.directory.is_as_built()
    }

    /// Makes this the present database again, which has the given disk format, and removes the one
    /// that replaced it.
    ///
    /// The caller must have checked that it [is up to date](Kept::is_up_to_date) and can be read.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the sentinel cannot be written, or a file cannot be removed.
    pub fn make_present(self, format: u32) -> Result<(), OpenError> {
        let _file_changes = file_changes();
        self.directory.make_present(format)?;
        let replaced = &self.held.directory;
        replaced.generation().remove(replaced.path())
    }
}
