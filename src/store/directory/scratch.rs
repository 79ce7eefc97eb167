//! Temporary directories, which are removed when the work that needs them ends.
//!
//! A directory is removed when it is dropped, and when a signal ends the process (see
//! `remove_leftovers`). If the process is killed, the next process that
//! makes one in the same place removes it: a lock that ends with its process shows that it is
//! unused.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::store::directory::identity::leads_to;
use crate::store::directory::leftover::{Leftover, file_changes};

/// A file in each scratch directory, locked by the process that uses it. A directory without it
/// was made by something else.
const MARKER: &str = "exactly-once.scratch";

/// The beginning of each name.
const PREFIX: &str = ".exactly-once-";

/// Number of random characters at the end of each name.
const RANDOM_CHARS: usize = 8;

/// Maximum number of tries: another process may find and remove each directory before it is locked.
const TRIES: usize = 16;

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Dropped before the lock, which tells other processes that the directory is in use.
    leftover: Leftover,
    _lock: File,
}

impl Scratch {
    /// Makes a directory, and removes those that killed processes have left in the same place.
    ///
    /// # Errors
    ///
    /// The operating system's error if no directory can be made.
    pub fn new_in(parent: &Path) -> io::Result<Self> {
        remove_dead(parent);
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for _ in 0..TRIES {
            match Self::make(parent) {
                Err(error) if is_raced(&error) && parent.is_dir() => last = error,
                made => return made,
            }
        }
        Err(last)
    }

    fn make(parent: &Path) -> io::Result<Self> {
        let _file_changes = file_changes();
        let mut directory = tempfile::Builder::new();
        directory.prefix(PREFIX).rand_bytes(RANDOM_CHARS);
        directory.permissions(Permissions::from_mode(0o700));
        let path = directory.tempdir_in(parent)?.keep();
        let removed = path.clone();
        let leftover = Leftover::new(move || remove(&removed));
        let marker = path.join(MARKER);
        let lock = File::create_new(&marker)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        if !leads_to(&marker, &lock) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self {
            path,
            leftover,
            _lock: lock,
        })
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn remove(self) {
        drop(self.leftover);
    }
}

/// True if another process may have found a directory before it was locked, and removed it.
fn is_raced(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::WouldBlock
    )
}

/// Removes the directories whose processes have ended. One that cannot be removed stays: it may
/// belong to another user.
pub(crate) fn remove_dead(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    let is_scratch = |name: &OsStr| {
        let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        random.is_some_and(|random| {
            random.len() == RANDOM_CHARS && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    for entry in entries.flatten() {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory && is_scratch(&entry.file_name()) {
            remove_if_dead(&entry.path());
        }
    }
}

fn remove_if_dead(path: &Path) {
    let Ok(marker) = File::open(path.join(MARKER)) else {
        // A process that is killed before it makes the marker leaves an empty directory. One with
        // other files but no marker is not ours, and stays.
        fs::remove_dir(path).unwrap_or_default();
        return;
    };
    if rustix::fs::flock(&marker, FlockOperation::NonBlockingLockExclusive).is_ok() {
        remove(path);
    }
}

/// Removes a directory and, last of its files, the marker: if something cannot be removed now, the
/// next process tries again.
fn remove(path: &Path) {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut others = entries.filter(|entry| entry.file_name() != MARKER);
    let all_removed = others.all(|entry| {
        let path = entry.path();
        match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => fs::remove_dir_all(path).is_ok(),
            false => fs::remove_file(path).is_ok(),
        }
    });
    if all_removed {
        fs::remove_file(path.join(MARKER)).unwrap_or_default();
        fs::remove_dir(path).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parent: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(parent).expect("it is there");
        entries
            .map(|entry| entry.expect("it can be listed").path())
            .collect()
    }

    #[test]
    fn a_directory_in_use_stays_and_one_of_a_dead_process_goes() {
        let home = tempfile::tempdir().expect("there is room");
        let first = Scratch::new_in(home.path()).expect("there is room");
        let dead = home.path().join(format!("{PREFIX}0123abcd"));
        fs::create_dir_all(dead.join("folder")).expect("there is room");
        fs::write(dead.join(MARKER), "").expect("there is room");
        let empty = home.path().join(format!("{PREFIX}00000000"));
        fs::create_dir(&empty).expect("there is room");
        let second = Scratch::new_in(home.path()).expect("there is room");
        assert!(!dead.exists() && !empty.exists());
        assert!(first.path().is_dir() && second.path().is_dir());
        drop((first, second));
        assert!(names(home.path()).is_empty());
    }

    #[test]
    fn a_directory_that_something_else_made_stays() {
        let home = tempfile::tempdir().expect("there is room");
        for name in ["01234567", "backup", "0123456789"] {
            let theirs = home.path().join(format!("{PREFIX}{name}"));
            fs::create_dir(&theirs).expect("there is room");
            fs::write(theirs.join("mine"), "").expect("there is room");
        }
        let scratch = Scratch::new_in(home.path()).expect("there is room");
        scratch.remove();
        assert_eq!(names(home.path()).len(), 3);
    }
}
