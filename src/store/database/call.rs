//! Calls sled: panics become errors, and a [`Watchdog`] watches each call.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::debug;

use crate::error::StorageError;
use crate::store::watchdog::Watchdog;

/// Why a handle always has its inside.
const OPEN: &str = "only closing a handle takes its inside, and takes the handle too";

thread_local! {
    static IS_CALLING: Cell<bool> = const { Cell::new(false) };
}

#[cfg(feature = "cli")]
/// True if a panic of this thread becomes an error: a [`StorageError::Panicked`] or, in a thread of
/// sled, an error for the callers that wait for it. A panic hook need not print it.
#[must_use]
pub fn panic_becomes_error() -> bool {
    let thread = std::thread::current();
    let is_of_sled = thread.name().is_some_and(|name| name.starts_with("sled-"));
    is_of_sled || IS_CALLING.get()
}

/// Runs `f`, which calls sled, under the watchdog, and turns a panic into an error.
pub(crate) fn call<T>(
    watchdog: &Watchdog,
    action: &'static str,
    f: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    let _watched = watchdog.watch(action);
    contained(action, f)
}

/// Runs `f` and turns a panic into an error.
pub(crate) fn contained<T>(
    action: &'static str,
    f: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    let was_calling = IS_CALLING.replace(true);
    // A caller that gets the error stops using what the closure touched, so it sees nothing
    // half-done.
    let result = catch_unwind(AssertUnwindSafe(f));
    IS_CALLING.set(was_calling);
    result.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        let message = message.unwrap_or("no message").to_owned();
        Err(StorageError::Panicked { action, message })
    })
}

/// A handle on the database. Dropping the last one closes the database, which may panic or get
/// stuck like every other call.
#[derive(Debug)]
pub(crate) struct Guarded<T> {
    /// `None` once the handle is closed.
    inner: Option<T>,
    watchdog: Watchdog,
}

impl<T> Guarded<T> {
    pub(crate) fn new(inner: T, watchdog: Watchdog) -> Self {
        Self {
            inner: Some(inner),
            watchdog,
        }
    }

    /// Drops the handle, and returns an error if that fails.
    pub(crate) fn close(mut self) -> Result<(), StorageError> {
        self.drop_inner()
    }

    fn drop_inner(&mut self) -> Result<(), StorageError> {
        let inner = self.inner.take();
        call(&self.watchdog, "closing", || {
            drop(inner);
            Ok(())
        })
    }
}

impl<T> Deref for Guarded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect(OPEN)
    }
}

impl<T> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect(OPEN)
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        if let Err(error) = self.drop_inner() {
            // The caller has another error to report already, or has only read.
            debug!("{error}");
        }
    }
}
