//! What must not be left on the disk, however the process ends.
//!
//! A command that copies or builds a database removes its work itself, also when it fails. A
//! signal ends a process without that, so what is to be removed is noted here, where
//! [`remove_leftovers`] finds it. Only SIGKILL and a power cut leave anything: the next command
//! removes it.

use std::collections::BTreeMap;
use std::fmt;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

/// How something is removed.
pub(crate) type Removal = Box<dyn FnOnce() + Send>;

/// What is to be removed, by number, and the number of the next.
static NOTED: Mutex<(u64, BTreeMap<u64, Removal>)> = Mutex::new((0, BTreeMap::new()));

/// Held to read by what makes, keeps or removes files, so that nothing is made anew after it was
/// removed, and no removal is cut short.
static NAMING: RwLock<()> = RwLock::new(());

#[cfg(feature = "cli")]
/// How long [`remove_leftovers`] waits for what is just giving names: sled may be opening a large
/// database, or the disk may not answer.
const NAMING_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// To be held while a file or directory is made that could be left.
pub(crate) fn naming() -> RwLockReadGuard<'static, ()> {
    NAMING.read_recursive()
}

/// Something on the disk that goes when this is dropped, or when the process calls
/// [`remove_leftovers`].
pub(crate) struct Leftover {
    number: u64,
}

impl Leftover {
    /// Notes how something is removed, which must be safe at any time from now on.
    pub(crate) fn new(remove: impl FnOnce() + Send + 'static) -> Self {
        let (next, removals) = &mut *NOTED.lock();
        let number = *next;
        *next += 1;
        removals.insert(number, Box::new(remove));
        Self { number }
    }

    /// Notes it no longer: from here on only the caller removes it, if it must go.
    pub(crate) fn take(self) -> Removal {
        let removal = NOTED.lock().1.remove(&self.number);
        // Without one, the process is ending, and it has been removed.
        removal.unwrap_or_else(|| Box::new(|| ()))
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        let _naming = naming();
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
/// Removes every copy and every unfinished directory that this process has made and not finished:
/// for a program that ends without returning, by a signal or by [`std::process::exit`].
///
/// From then on every other thread waits for ever when it is about to make a file of a database, so
/// this is called just before the end.
pub fn remove_leftovers() {
    if let Some(held) = NAMING.try_write_for(NAMING_PATIENCE) {
        std::mem::forget(held);
    }
    let removals = std::mem::take(&mut NOTED.lock().1);
    for remove in removals.into_values() {
        remove();
    }
}
