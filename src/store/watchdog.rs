//! Nothing that the storage does may take for ever.
//!
//! On a damaged or a full disk sled goes round in circles or, rarely, waits for something that
//! never comes, and a dying disk answers no call. A call that does not return cannot be taken
//! back, so a thread watches how long each has been going on, and tells when one has for too long.
//! A program may end then: for the guarantee that is a crash like any other.

use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::StorageError;
use crate::store::storage_timeout::StorageTimeout;
use crate::store::threads;

/// How often the watching thread looks. It counts its looks and reads no clock, so that a process
/// that was stopped for an hour has not been stuck for one.
const TICK: Duration = Duration::from_millis(250);

/// The slowest disks read and write more than this.
const BYTES_A_SECOND: u64 = 4_000_000;

/// The longest that a healthy disk takes to read or write so many bytes.
pub(crate) fn time_to_read(bytes: u64) -> Duration {
    Duration::from_secs(bytes / BYTES_A_SECOND)
}

/// Watches what is done to one directory.
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

/// Who is told of a call that does not return, beside the owner of the process.
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
    is_told: bool,
}

impl Watchdog {
    /// Starts to watch.
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

    /// Has a listener told of every call that does not return.
    pub(crate) fn tell(&self, listener: Listener) {
        let listeners = &self.0.listeners.0;
        let mut listeners = listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.push(listener);
    }

    /// Watches what is done until the result is dropped.
    pub(crate) fn watch(&self, action: &'static str) -> Watched {
        self.watch_longer(action, Duration::ZERO)
    }

    /// As [`Watchdog::watch`], for something that may take this much longer.
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
    /// Lets a tick pass, and says which call has been going on for too long, once.
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

/// Something that is watched until this is dropped.
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
