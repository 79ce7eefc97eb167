//! Removes unfinished files when the process ends, unless by SIGKILL or a power cut.
//!
//! A command that copies or builds a database removes its work itself, also if it fails. A signal
//! ends the process without that, so each removal is registered here, and [`remove_leftovers`]
//! carries them out. Only SIGKILL and a power cut leave anything: the next command removes it.

use std::collections::BTreeMap;
use std::fmt;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

/// Removes something from the disk.
pub(crate) type Removal = Box<dyn FnOnce() + Send>;

/// The number of the next leftover, and the removals by number.
static NOTED: Mutex<(u64, BTreeMap<u64, Removal>)> = Mutex::new((0, BTreeMap::new()));

/// Locked for reading while files are made, kept or removed. `remove_leftovers` locks it for
/// writing, so that nothing is made after its removal and no removal is interrupted.
static FILE_CHANGES: RwLock<()> = RwLock::new(());

#[cfg(feature = "cli")]
/// How long [`remove_leftovers`] waits for threads that are making files: sled may be opening a
/// large database, or the disk may not answer.
const FILE_CHANGES_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// Returns a guard to be kept while a file or directory is made that could be left.
pub(crate) fn file_changes() -> RwLockReadGuard<'static, ()> {
    FILE_CHANGES.read_recursive()
}

/// Something on the disk that is removed when this is dropped, or when the process calls
/// [`remove_leftovers`].
pub(crate) struct Leftover {
    number: u64,
}

impl Leftover {
    /// Registers a removal, which must be safe at any time from now on.
    pub(crate) fn new(remove: impl FnOnce() + Send + 'static) -> Self {
        let (next, removals) = &mut *NOTED.lock();
        let number = *next;
        *next += 1;
        removals.insert(number, Box::new(remove));
        Self { number }
    }

    /// Returns the removal and forgets it: from now on only the caller can run it.
    pub(crate) fn take(self) -> Removal {
        let removal = NOTED.lock().1.remove(&self.number);
        // If there is none, `remove_leftovers` has run it, and the process is ending.
        removal.unwrap_or_else(|| Box::new(|| ()))
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        let _file_changes = file_changes();
        let removal = NOTED.lock().1.remove(&self.number);
        if let Some(remove) = removal {
            remove();
        }
    }
}

impl fmt::Debug for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leftover")
    }
}

#[cfg(feature = "cli")]
/// Removes every copy and every unfinished directory of this process. A program that ends by a
/// signal or by [`std::process::exit`] must call it.
///
/// It waits at most `FILE_CHANGES_PATIENCE` for threads that make files. If they are done by then,
/// no thread makes a file afterwards. So call this just before the end.
pub fn remove_leftovers() {
    if let Some(held) = FILE_CHANGES.try_write_for(FILE_CHANGES_PATIENCE) {
        std::mem::forget(held);
    }
    let removals = std::mem::take(&mut NOTED.lock().1);
    for remove in removals.into_values() {
        remove();
    }
}
