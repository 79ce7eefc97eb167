//! Reports a call of the storage that takes too long.
//!
//! On a damaged or full disk sled can loop or, rarely, wait forever, and a failing disk may never
//! answer a call. Such a call cannot be cancelled, so a thread watches how long each call takes and
//! reports one that takes too long. The program may then end, which for the guarantee is a crash
//! like any other.

use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::StorageError;
use crate::store::storage_timeout::StorageTimeout;
use crate::store::threads;

/// Time between two checks of the calls. The thread counts its checks and reads no clock, so a
/// process that was stopped for an hour is not taken for stuck.
const TICK: Duration = Duration::from_millis(250);

/// Even the slowest disks read and write faster than this.
const BYTES_A_SECOND: u64 = 4_000_000;

/// Returns the longest time a healthy disk takes to read or write this many bytes.
pub(crate) fn time_to_read(bytes: u64) -> Duration {
    Duration::from_secs(bytes / BYTES_A_SECOND)
}

/// Watches the calls of the storage for one directory.
#[derive(Debug, Clone)]
pub(crate) struct Watchdog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: Duration,
    calls: Arc<Mutex<Calls>>,
    listeners: Arc<Listeners>,
    /// Ends the watching thread when it is dropped.
    _end: Sender<()>,
}

/// Functions to call with a stuck call's error, besides the configured [`StorageTimeout::then`].
#[derive(Default)]
struct Listeners(Mutex<Vec<Listener>>);

pub(crate) type Listener = Box<dyn Fn(&StorageError) + Send>;

impl Listeners {
    fn tell(&self, stuck: &StorageError) {
        let listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().for_each(|listener| listener(stuck));
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listeners")
    }
}

/// The calls that have not returned yet.
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
    is_told: bool,
}

impl Watchdog {
    /// Starts the watching thread.
    ///
    /// # Errors
    ///
    /// [`StorageError::Thread`] if the thread cannot be started.
    pub(crate) fn start(timeout: &StorageTimeout) -> Result<Self, StorageError> {
        let calls = Arc::<Mutex<Calls>>::default();
        let (end, ended) = channel();
        let listeners = Arc::<Listeners>::default();
        let (watched, then) = (Arc::clone(&calls), timeout.then.clone());
        let told = Arc::clone(&listeners);
        let watch = move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let stuck = locked(&watched).grow_older();
                if let Some(stuck) = stuck {
                    told.tell(&stuck);
                    then.stuck(&stuck);
                }
            }
        };
        threads::start("watchdog", watch)?;
        Ok(Self(Arc::new(Inner {
            limit: timeout.limit,
            calls,
            listeners,
            _end: end,
        })))
    }

    /// Adds a listener that is called once for each stuck call.
    pub(crate) fn tell(&self, listener: Listener) {
        let listeners = &self.0.listeners.0;
        let mut listeners = listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.push(listener);
    }

    /// Watches a call until the result is dropped.
    pub(crate) fn watch(&self, action: &'static str) -> Watched {
        self.watch_longer(action, Duration::ZERO)
    }

    /// Like [`Watchdog::watch`], for a call that may take this much longer.
    pub(crate) fn watch_longer(&self, action: &'static str, longer: Duration) -> Watched {
        let mut calls = locked(&self.0.calls);
        let number = calls.next;
        calls.next += 1;
        calls.going_on.push(Call {
            number,
            action,
            age: Duration::ZERO,
            limit: self.0.limit.saturating_add(longer),
            is_told: false,
        });
        Watched {
            calls: Arc::clone(&self.0.calls),
            number,
        }
    }
}

impl Calls {
    /// Adds a tick to the age of every call. Returns the error of a call that has become too old,
    /// once for each call.
    fn grow_older(&mut self) -> Option<StorageError> {
        for call in &mut self.going_on {
            call.age += TICK;
        }
        let mut calls = self.going_on.iter_mut();
        let stuck = calls.find(|call| call.age > call.limit && !call.is_told)?;
        stuck.is_told = true;
        Some(StorageError::Stuck {
            action: stuck.action,
            limit: stuck.limit,
        })
    }
}

fn locked(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that is watched until this value is dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    calls: Arc<Mutex<Calls>>,
    number: u64,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let going_on = &mut locked(&self.calls).going_on;
        going_on.retain(|call| call.number != self.number);
    }
}
