//! The floor of free disk space: requests are refused before sled can meet a full disk, after
//! which none of its writes would succeed until it is opened again.

use std::path::{Path, PathBuf};

use crate::error::StorageError;
use crate::request::Refusal;

/// How much must stay free on the disk of the state directory.
#[derive(Debug, Clone)]
pub(crate) struct SpaceFloor {
    path: PathBuf,
    floor_bytes: u64,
}

impl SpaceFloor {
    pub(crate) fn new(path: &Path, floor_bytes: u64) -> Self {
        Self {
            path: path.to_owned(),
            floor_bytes,
        }
    }

    /// The refusal that requests get while less than the floor is free; `None` while it is not.
    ///
    /// # Errors
    ///
    /// [`StorageError::Space`] if the disk does not answer.
    pub(crate) fn check(&self) -> Result<Option<Refusal>, StorageError> {
        let disk = rustix::fs::statvfs(&self.path).map_err(|e| StorageError::Space(e.into()))?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        let floor_bytes = self.floor_bytes;
        Ok((free_bytes < floor_bytes).then_some(Refusal::LowDisk {
            free_bytes,
            floor_bytes,
        }))
    }
}
