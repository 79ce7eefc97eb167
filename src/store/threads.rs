//! Starts every thread of this program, as each start may meet a limit of threads.
//!
//! If a thread that the process needs cannot be started, the process fails with
//! [`StorageError::Thread`]. Later work that only saves time is then done by the caller instead
//! ([`Aside`]).

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, JoinHandle, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use tracing::warn;

use crate::error::StorageError;

/// The system still counts a thread for a moment after its end. This is far more than that.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Starts a thread.
///
/// # Errors
///
/// [`StorageError::Thread`] if there is no room for it.
pub(crate) fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StorageError> {
    let thread = Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(StorageError::Thread)
}

/// Starts a thread that ends within a scope.
///
/// # Errors
///
/// [`StorageError::Thread`] if there is no room for it.
pub(crate) fn start_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, StorageError> {
    let thread = Builder::new()
        .name(name.to_owned())
        .spawn_scoped(scope, work);
    thread.map_err(StorageError::Thread)
}

/// Checks that this many more threads can be started, then ends them all.
///
/// # Errors
///
/// [`StorageError::Thread`] if one of them cannot be started.
pub(crate) fn check_room_for(threads: usize) -> Result<(), StorageError> {
    let before = running();
    let (end, ended) = bounded::<()>(0);
    let wait = |_| {
        let ended = ended.clone();
        // The sender is dropped later; `recv` then fails and the thread ends.
        start("check", move || ended.recv().unwrap_or_default())
    };
    let started: Vec<_> = (0..threads).map(wait).collect();
    drop(end);
    let mut result = Ok(());
    for thread in started {
        match thread {
            Ok(thread) => thread.join().unwrap_or_default(),
            Err(error) => result = Err(error),
        }
    }
    // Without this wait, the next start of a thread could meet the limit.
    let deadline = Instant::now() + PATIENCE;
    while running() > before && Instant::now() < deadline {
        thread::sleep(LOOK_EVERY);
    }
    result
}

/// Returns the number of threads of the process, or 0 if the system does not say.
fn running() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Work that another thread does, or the caller if no thread can be started.
#[derive(Debug)]
pub(crate) enum Aside<T> {
    Running(JoinHandle<T>),
    Done(T),
}

impl<T: Send + 'static> Aside<T> {
    /// Starts the work. If no thread can be started, does the work before it returns.
    pub(crate) fn start<F>(name: &str, work: F) -> Self
    where
        F: FnOnce() -> T + Send + 'static,
    {
        // A failed start drops its closure, so the work is kept here too.
        let work = Arc::new(Mutex::new(Some(work)));
        let in_thread = Arc::clone(&work);
        match start(name, move || take(&in_thread)()) {
            Ok(thread) => Self::Running(thread),
            Err(error) => {
                warn!("{error}; until then the node pauses now and then");
                Self::Done(take(&work)())
            }
        }
    }
}

impl<T> Aside<T> {
    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Running(thread) => thread.is_finished(),
            Self::Done(_) => true,
        }
    }

    /// Waits for the end of the work. An error is the panic of the thread.
    pub(crate) fn join(self) -> thread::Result<T> {
        match self {
            Self::Running(thread) => thread.join(),
            Self::Done(result) => Ok(result),
        }
    }

    /// Waits for the end of the work, whatever it is.
    pub(crate) fn wait(self) {
        self.join().map(drop).unwrap_or_default();
    }
}

fn take<F>(work: &Mutex<Option<F>>) -> F {
    let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
    work.expect("only the thread or its caller takes it")
}
