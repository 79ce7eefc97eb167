//! A state directory at rest that this process holds alone: the present database can be copied,
//! the next one built, and the one before removed or made the present one again.

use std::ffi::OsString;
use std::path::Path;

use crate::error::OpenError;
use crate::store::build::BuildSite;
use crate::store::copy::RestingCopy;
use crate::store::directory::RestingDirectory;
use crate::store::directory::files::sync;
use crate::store::directory::leftover::naming;
use crate::store::directory::sentinel::check_present_format;
use crate::store::storage_timeout::StorageTimeout;
use crate::store::watchdog::Watchdog;

/// A state directory at rest that no other process can read or write to for as long as this
/// lives.
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
    /// Locks a state directory. A command that is just copying it is waited for.
    ///
    /// # Errors
    ///
    /// [`OpenError`], by what stands in the way.
    pub fn lock(path: &Path, timeout: &StorageTimeout) -> Result<Self, OpenError> {
        let watchdog = Watchdog::start(timeout)?;
        let _watched = watchdog.watch("locking the directory");
        check_present_format(path)?;
        let directory = RestingDirectory::lock_alone(path)?;
        Ok(Self { directory })
    }

    /// Opens a copy of the present database.
    pub(crate) fn copy(
        &self,
        cache_bytes: u64,
        timeout: &StorageTimeout,
    ) -> Result<RestingCopy, OpenError> {
        RestingCopy::of_locked(&self.directory, cache_bytes, timeout)
    }

    /// Where the next database can be built.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the directory cannot be listed.
    pub(crate) fn next(&self) -> Result<BuildSite, OpenError> {
        BuildSite::after(&self.directory)
    }

    /// Bytes that the files of the present database have.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if they cannot be listed.
    pub fn bytes(&self) -> Result<u64, OpenError> {
        self.directory.bytes()
    }

    /// The number of the present database: 0 for the first, and one more after each compaction.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.directory.generation().0
    }

    /// The database that the last compaction has kept, if it was not removed.
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
    /// Its number, lower than that of the present database.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.directory.generation().0
    }

    /// Bytes that its files have.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if they cannot be listed.
    pub fn bytes(&self) -> Result<u64, OpenError> {
        self.directory.bytes()
    }

    /// Files in its folder that this program did not make, and does not remove.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if they cannot be listed.
    pub fn other_files(&self) -> Result<Vec<OsString>, OpenError> {
        let generation = self.directory.generation();
        generation.other_files(self.directory.path())
    }

    /// Opens a copy of it.
    pub(crate) fn copy(
        &self,
        cache_bytes: u64,
        timeout: &StorageTimeout,
    ) -> Result<RestingCopy, OpenError> {
        RestingCopy::of_locked(&self.directory, cache_bytes, timeout)
    }

    /// Removes its files. What this program did not make stays, and so does the folder then.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if a file cannot be removed.
    pub fn remove(self) -> Result<(), OpenError> {
        let _naming = naming();
        // What the sentinel says must outlive a power cut before what it had named.
        sync(self.directory.path())?;
        self.directory.generation().remove(self.directory.path())
    }

    /// Whether the present database is as the compaction left it: nothing was carried out since.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if its watermark cannot be read.
    pub fn is_up_to_date(&self) -> Result<bool, OpenError> {
        self.held.directory.is_as_built()
    }

    /// Makes it the present database again, and removes the one that had taken its place.
    ///
    /// The caller has found that it [is up to date](Kept::is_up_to_date) and can be read.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the sentinel cannot be written, or a file cannot be removed.
    pub fn make_present(self) -> Result<(), OpenError> {
        let _naming = naming();
        self.directory.make_present()?;
        let replaced = &self.held.directory;
        replaced.generation().remove(replaced.path())
    }
}
