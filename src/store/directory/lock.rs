//! The lock of a state directory: a file named `lock`, locked with flock. The system releases it
//! however the process ends.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::OpenError;
use crate::store::directory::files::unusable;
use crate::store::directory::holder;
use crate::store::directory::identity::leads_to;
use crate::store::directory::leftover::file_changes;

pub(crate) const LOCK: &str = "lock";

/// How long a lock is tried for while other commands copy the directory, and how often.
const READER_PATIENCE: Duration = Duration::from_secs(30);
const TRY_EVERY: Duration = Duration::from_millis(10);

/// A lock that lasts as long as this lives.
#[derive(Debug)]
pub(crate) enum Lock {
    Held(File),
    /// There is no lock file, as in a copy without one. Writers make it before they change
    /// anything.
    Missing(PathBuf),
}

impl Lock {
    /// Locks a directory against every other process, and writes to the lock file which process
    /// this is. Waits while another command copies the directory.
    pub(crate) fn for_writing(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(LOCK);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let opening = || {
            let _file_changes = file_changes();
            options
                .open(&path)
                .map_err(unusable(&path, "opening it to write"))
        };
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        let mut file = Self::take(directory, exclusive, opening)?;
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder::of_this_process().as_bytes())
        };
        write().map_err(unusable(&path, "writing to it"))?;
        Ok(Self::Held(file))
    }

    /// Locks a directory against writers, without changing it. If there is no lock file, what is
    /// read is valid only if [`Lock::is_valid`] is true afterwards.
    pub(crate) fn for_reading(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(LOCK);
        if !path.exists() {
            return Ok(Self::Missing(path));
        }
        let opening = || File::open(&path).map_err(unusable(&path, "opening it"));
        let shared = FlockOperation::NonBlockingLockShared;
        Self::take(directory, shared, opening).map(Self::Held)
    }

    /// True if no writer can have changed anything since the directory was locked.
    pub(crate) fn is_valid(&self) -> bool {
        match self {
            Self::Held(_) => true,
            Self::Missing(path) => !path.exists(),
        }
    }

    /// Locks the file that `opening` opens, which may be removed meanwhile.
    fn take(
        directory: &Path,
        operation: FlockOperation,
        opening: impl Fn() -> Result<File, OpenError>,
    ) -> Result<File, OpenError> {
        let deadline = Instant::now() + READER_PATIENCE;
        loop {
            let file = opening()?;
            let held = match rustix::fs::flock(&file, operation) {
                Ok(()) if leads_to(&directory.join(LOCK), &file) => return Ok(file),
                // The load that had the lock has failed, and removed the file.
                Ok(()) if Instant::now() <= deadline => {
                    sleep(TRY_EVERY);
                    continue;
                }
                Ok(()) => {
                    let gone = io::ErrorKind::NotFound.into();
                    return Err(unusable(&directory.join(LOCK), "locking it")(gone));
                }
                Err(Errno::WOULDBLOCK) => held(directory, &file),
                Err(error) => return Err(unusable(directory, "locking it")(error.into())),
            };
            if !matches!(held, OpenError::HeldByReader { .. }) || Instant::now() > deadline {
                return Err(held);
            }
            sleep(TRY_EVERY);
        }
    }
}

impl Drop for Lock {
    /// Closing the file is not enough: a child process that another thread is just starting has a
    /// copy of the file for a moment, and the copy keeps the lock.
    fn drop(&mut self) {
        if let Self::Held(file) = self {
            // If the lock cannot be released here, closing the file releases it.
            rustix::fs::flock(file, FlockOperation::Unlock).unwrap_or_default();
        }
    }
}

/// The error for a lock that could not be taken. If a shared lock is possible, readers have the
/// lock; otherwise the writer that the file names has it.
fn held(directory: &Path, mut lock: &File) -> OpenError {
    let path = directory.to_owned();
    if rustix::fs::flock(lock, FlockOperation::NonBlockingLockShared).is_ok() {
        // Other waiting processes must not take this one for a reader.
        rustix::fs::flock(lock, FlockOperation::Unlock).unwrap_or_default();
        return OpenError::HeldByReader { path };
    }
    let mut text = String::new();
    // If the text cannot be read or is not there yet, no process is named.
    lock.read_to_string(&mut text).unwrap_or_default();
    let holder = holder::parse(&text);
    OpenError::HeldByWriter { path, holder }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A child process has a copy of every file from its fork to its exec.
    #[test]
    fn a_copy_of_the_file_in_a_child_that_is_just_starting_does_not_keep_the_lock() {
        let directory = tempfile::tempdir().expect("there is room");
        let lock = Lock::for_writing(directory.path()).expect("no process has it");
        let Lock::Held(file) = &lock else {
            panic!("a writer makes the file");
        };
        let _copy = file.try_clone().expect("there is a descriptor left");
        assert!(Lock::for_writing(directory.path()).is_err());
        drop(lock);
        assert!(Lock::for_writing(directory.path()).is_ok());
    }
}
