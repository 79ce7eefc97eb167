//! Every call of sled goes through here: its panics become errors, and it may not take for ever.
//!
//! On a damaged or a full disk sled panics, goes round in circles or, rarely, waits for something
//! that never comes. A panic ends as [`StorageError::Panicked`]. A call that does not return
//! cannot be taken back, so a thread watches how long each has been going on, and ends the process
//! when one has for too long. For the guarantee that is a crash like any other.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::debug;

use crate::error::StorageError;
use crate::patience::Patience;

/// Why a handle can be used.
const OPEN: &str = "only closing a handle takes its inside, and takes the handle too";

/// How often the watching thread looks. It counts its looks and reads no clock, so that a process
/// that was stopped for an hour has not been stuck for one.
const TICK: Duration = Duration::from_millis(250);

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread would become a [`StorageError::Panicked`]: a panic hook need not
/// tell of it, as the error does.
#[must_use]
pub fn is_guarded() -> bool {
    IS_GUARDED.get()
}

/// Guards the calls of one database.
#[derive(Debug, Clone)]
pub(super) struct Guard(Arc<Watchdog>);

#[derive(Debug)]
struct Watchdog {
    limit: Duration,
    calls: Arc<Mutex<Calls>>,
    /// Ends the watching thread when it is dropped.
    _end: Sender<()>,
}

/// The calls that are going on.
#[derive(Debug, Default)]
struct Calls {
    next: u64,
    going_on: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    number: u64,
    action: &'static str,
    age: Duration,
    limit: Duration,
}

impl Guard {
    /// Starts to watch.
    ///
    /// # Errors
    ///
    /// [`StorageError::Watchdog`] if the thread cannot be started.
    pub(super) fn start(patience: &Patience) -> Result<Self, StorageError> {
        let calls = Arc::<Mutex<Calls>>::default();
        let (end, ended) = channel();
        let (watched, then) = (Arc::clone(&calls), patience.then.clone());
        let watch = move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if let Some(stuck) = locked(&watched).grow_older() {
                    then.stuck(&stuck);
                }
            }
        };
        let thread = std::thread::Builder::new().name("watchdog".to_owned());
        thread.spawn(watch).map_err(StorageError::Watchdog)?;
        Ok(Self(Arc::new(Watchdog {
            limit: patience.limit,
            calls,
            _end: end,
        })))
    }

    /// Makes a call of sled, and turns a panic into an error.
    pub(super) fn call<T>(
        &self,
        action: &'static str,
        f: impl FnOnce() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let _watched = self.watch(action);
        contained(action, f)
    }

    /// Watches what is done until the result is dropped.
    pub(super) fn watch(&self, action: &'static str) -> Watched {
        self.watch_longer(action, Duration::ZERO)
    }

    /// As [`Guard::watch`], for something that may take this much longer.
    pub(super) fn watch_longer(&self, action: &'static str, longer: Duration) -> Watched {
        let mut calls = locked(&self.0.calls);
        let number = calls.next;
        calls.next += 1;
        calls.going_on.push(Call {
            number,
            action,
            age: Duration::ZERO,
            limit: self.0.limit.saturating_add(longer),
        });
        Watched {
            calls: Arc::clone(&self.0.calls),
            number,
        }
    }
}

/// A handle on the database. Whichever is dropped last closes the database, which may panic or
/// get stuck as every other call may.
#[derive(Debug)]
pub(super) struct Handle<T> {
    /// There until it is closed.
    inner: Option<T>,
    guard: Guard,
}

impl<T> Handle<T> {
    pub(super) fn new(inner: T, guard: Guard) -> Self {
        Self {
            inner: Some(inner),
            guard,
        }
    }

    /// Drops the handle, and says how that went.
    pub(super) fn close(mut self) -> Result<(), StorageError> {
        self.drop_inner()
    }

    fn drop_inner(&mut self) -> Result<(), StorageError> {
        let inner = self.inner.take();
        self.guard.call("closing", || {
            drop(inner);
            Ok(())
        })
    }

    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }
}

impl<T: Clone> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            guard: self.guard.clone(),
        }
    }
}

impl<T> Deref for Handle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect(OPEN)
    }
}

impl<T> DerefMut for Handle<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect(OPEN)
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        if let Err(error) = self.drop_inner() {
            // Whoever drops a handle has an error to tell already, or has only read.
            debug!("{error}");
        }
    }
}

/// Runs `f` and turns a panic into an error.
pub(super) fn contained<T>(
    action: &'static str,
    f: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    let was_guarded = IS_GUARDED.replace(true);
    // Whoever gets the error stops using what the closure touched, so nothing half-done is seen.
    let result = catch_unwind(AssertUnwindSafe(f));
    IS_GUARDED.set(was_guarded);
    result.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        let message = message.unwrap_or("no message").to_owned();
        Err(StorageError::Panicked { action, message })
    })
}

impl Calls {
    /// Lets a tick pass, and says which call has been going on for too long.
    fn grow_older(&mut self) -> Option<StorageError> {
        for call in &mut self.going_on {
            call.age += TICK;
        }
        let stuck = self.going_on.iter().find(|call| call.age > call.limit)?;
        Some(StorageError::Stuck {
            action: stuck.action,
            limit: stuck.limit,
        })
    }
}

fn locked(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that is watched until this is dropped.
#[derive(Debug)]
pub(super) struct Watched {
    calls: Arc<Mutex<Calls>>,
    number: u64,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let going_on = &mut locked(&self.calls).going_on;
        going_on.retain(|call| call.number != self.number);
    }
}
