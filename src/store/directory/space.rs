//! The floor of free disk space: requests are refused before sled can meet a full disk, after
//! which none of its writes would succeed until it is opened again.

use std::path::{Path, PathBuf};

use crate::error::StorageError;
use crate::store::watchdog::Watchdog;

/// Less is free than must be, both in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LowSpace {
    pub(crate) free_bytes: u64,
    pub(crate) floor_bytes: u64,
}

/// How much must stay free on the disk of the state directory.
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

    /// What is free if that is less than the floor.
    ///
    /// # Errors
    ///
    /// [`StorageError::Space`] if the disk does not answer.
    pub(crate) fn check(&self) -> Result<Option<LowSpace>, StorageError> {
        self.check_room_for(0)
    }

    /// As [`SpaceFloor::check`], once these bytes have been written.
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
