//! The floor of free disk space. Requests are refused before the disk is full: once sled has met a
//! full disk, none of its writes succeed until it is opened again.

use std::path::{Path, PathBuf};

use crate::error::StorageError;
use crate::store::watchdog::Watchdog;

/// The free space and the floor that it is below, both in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LowSpace {
    pub(crate) free_bytes: u64,
    pub(crate) floor_bytes: u64,
}

/// The space that must stay free on the disk of the state directory.
#[derive(Debug, Clone)]
pub(crate) struct SpaceFloor {
    path: PathBuf,
    floor_bytes: u64,
    watchdog: Watchdog,
}

impl SpaceFloor {
    pub(crate) fn new(path: &Path, floor_bytes: u64, watchdog: Watchdog) -> Self {
        Self {
            path: path.to_owned(),
            floor_bytes,
            watchdog,
        }
    }

    /// Returns the free space if that is below the floor.
    ///
    /// # Errors
    ///
    /// [`StorageError::Space`] if the free space cannot be read.
    pub(crate) fn check(&self) -> Result<Option<LowSpace>, StorageError> {
        self.check_room_for(0)
    }

    /// Like [`SpaceFloor::check`], but as if these bytes had been written already.
    pub(crate) fn check_room_for(&self, bytes: u64) -> Result<Option<LowSpace>, StorageError> {
        let _watched = self.watchdog.watch("reading the free space");
        let disk = rustix::fs::statvfs(&self.path).map_err(|e| StorageError::Space(e.into()))?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        let floor_bytes = self.floor_bytes;
        Ok(
            (free_bytes < floor_bytes.saturating_add(bytes)).then_some(LowSpace {
                free_bytes,
                floor_bytes,
            }),
        )
    }
}
