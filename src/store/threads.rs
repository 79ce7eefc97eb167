//! Threads of this program: each is started here, as each start may meet a limit of threads.
//!
//! What a start of the process needs fails with [`StorageError::Thread`]. Work in mid-stream that
//! only saves time is done by the caller instead ([`Aside`]).

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, JoinHandle, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use tracing::warn;

use crate::error::StorageError;

/// How long the system may take to give back the place of a thread that has ended.
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

/// Checks that this many threads more can be started, and leaves none of them.
///
/// # Errors
///
/// [`StorageError::Thread`] if they cannot.
pub(crate) fn check_room_for(threads: usize) -> Result<(), StorageError> {
    let before = running();
    let (end, ended) = bounded::<()>(0);
    let wait = |_| {
        let ended = ended.clone();
        // The other end is dropped, which is an error and ends the thread.
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
    // The system counts a thread for a moment after it has ended.
    let deadline = Instant::now() + PATIENCE;
    while running() > before && Instant::now() < deadline {
        thread::sleep(LOOK_EVERY);
    }
    result
}

/// How many threads the process has; 0 where the system does not say.
fn running() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Work that a thread of its own does, or the caller where none can be started.
#[derive(Debug)]
pub(crate) enum Aside<T> {
    Running(JoinHandle<T>),
    Done(T),
}

impl<T: Send + 'static> Aside<T> {
    /// Starts the work; returns only after it where no thread can be started.
    pub(crate) fn start<F>(name: &str, work: F) -> Self
    where
        F: FnOnce() -> T + Send + 'static,
    {
        // A start that fails drops what it was given.
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

    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Running(thread) => thread.is_finished(),
            Self::Done(_) => true,
        }
    }

    /// Waits for the end of the work; an error is its panic.
    pub(crate) fn join(self) -> thread::Result<T> {
        match self {
            Self::Running(thread) => thread.join(),
            Self::Done(result) => Ok(result),
        }
    }
}

fn take<F>(work: &Mutex<Option<F>>) -> F {
    let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
    work.expect("only the thread or its caller takes it")
}
