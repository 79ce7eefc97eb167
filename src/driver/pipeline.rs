//! The two halves of the driver joined by a queue and one thread, for any number of callers.
//!
//! A caller takes its *turn*: it locks the applier and applies a batch of requests on its own
//! thread. So turns are the order of all requests. The thread of the pipeline persists one group
//! after the other and delivers what they are answered.
//!
//! A group is what was waiting anyway, up to a limit, and nothing waits for it: the group in hand
//! ends when the persister is idle and no caller is expected, or when it is full. While one group
//! is persisted, the next is applied.
//!
//! Both locks are only ever taken in one order: the applier, then the queue. The persister, which
//! holds the queue when it looks for work, tries to lock the applier and never waits for it. A
//! caller gives the applier back while it holds the queue: so either of them sees the other, and
//! what is in hand is never left lying.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::thread::ThreadId;
use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::{Condvar, Mutex};

use crate::driver::persister::Persister;
use crate::driver::shared::{Expected, FailAtPanic, Front, LOOK_EVERY, Queue, Shared};
use crate::driver::{Applier, Figures, Ticket, Turn, unix_ms};
use crate::error::StorageError;
use crate::processor::Preparer;
use crate::store::threads;
use crate::store::{DurableState, Store};

/// A running pipeline. It ends, and the store is closed, when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline(Arc<Owner>);

/// The callers' end of a pipeline.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    preparer: Preparer,
    persister: ThreadId,
    /// Disconnected when the persister has ended.
    ended: Receiver<()>,
}

impl Pipeline {
    /// Starts the thread that persists.
    ///
    /// # Errors
    ///
    /// [`StorageError::Thread`] if it cannot be started.
    pub(crate) fn start(applier: Applier<Ticket>, store: Store) -> Result<Self, StorageError> {
        let (wake, woken) = bounded(1);
        let receipt = store.receipt();
        let figures = Figures::new(applier.statistics(), store.durable());
        let preparer = applier.preparer();
        let loading = applier.loading().cloned();
        let shared = Arc::new(Shared {
            front: Mutex::new(Front {
                applier,
                receipt,
                is_closed: false,
            }),
            queue: Mutex::new(Queue {
                groups: VecDeque::new(),
                receipt,
                is_idle: true,
                is_closing: false,
            }),
            changed: Condvar::new(),
            wake,
            expected: AtomicUsize::new(0),
            figures: Arc::new(figures),
            failure: OnceLock::new(),
            is_stuck: AtomicBool::new(false),
            when_failed: Mutex::default(),
            wakers: Mutex::default(),
            before_close: Mutex::default(),
        });
        let failing = Arc::downgrade(&shared);
        store.when_stuck(move |stuck| {
            if let (Some(shared), &StorageError::Stuck { action, limit }) =
                (failing.upgrade(), stuck)
            {
                shared.is_stuck.store(true, Ordering::Release);
                shared.fail(StorageError::Stuck { action, limit });
            }
        });
        let persister = Persister::new(Arc::clone(&shared), store, woken, loading);
        let (end, ended) = bounded(0);
        let run = move || {
            let _end: Sender<()> = end;
            persister.run();
        };
        Ok(Self(Arc::new(Owner {
            shared,
            preparer,
            persister: threads::start("persist", run)?.thread().id(),
            ended,
        })))
    }

    /// What prepares requests, on any thread.
    pub(crate) fn preparer(&self) -> Preparer {
        self.0.preparer
    }

    /// Figures of the pipeline, which outlive it.
    pub(crate) fn figures(&self) -> &Arc<Figures> {
        &self.0.shared.figures
    }

    /// Says that this caller will take a turn.
    pub(crate) fn expect(&self) -> Expected {
        let shared = &self.0.shared;
        shared.expected.fetch_add(1, Ordering::AcqRel);
        Expected(Arc::clone(shared))
    }

    /// Waits for a turn, and applies a batch in it: about this many requests, which hold
    /// `held_bytes` of memory until they are answered.
    ///
    /// # Errors
    ///
    /// The first [`StorageError`] that any turn or the persister has met.
    pub(crate) fn turn<R>(
        &self,
        expected: Expected,
        requests: usize,
        held_bytes: usize,
        apply: impl FnOnce(&mut Turn<'_>) -> Result<R, StorageError>,
    ) -> Result<R, Arc<StorageError>> {
        let shared = &*self.0.shared;
        let mut front = shared.lock_front()?;
        drop(expected);
        shared.check()?;
        if front.is_closed {
            return Err(Arc::new(StorageError::Closed));
        }
        let unwinding = FailAtPanic(shared);
        let applied = take_turn(&mut front, shared, requests, held_bytes, apply);
        let handed_over = applied.and_then(|applied| Ok((applied, shared.hand_over(&mut front)?)));
        std::mem::forget(unwinding);
        match handed_over {
            Ok((applied, queue)) => {
                // In this order: the persister, which may be waiting for the queue, must not find
                // the applier locked.
                drop(front);
                drop(queue);
                Ok(applied)
            }
            Err(error) => {
                // No one else may go on with what is half done.
                let cause = shared.record(error);
                drop(front);
                shared.tell_failure();
                Err(cause)
            }
        }
    }

    /// Ends the pipeline for all clones, once everything that was applied is persisted, and closes
    /// the store. Waits for that.
    ///
    /// # Errors
    ///
    /// The first [`StorageError`] that the pipeline has met.
    pub(crate) fn close(self) -> Result<(), Arc<StorageError>> {
        let shared = Arc::clone(&self.0.shared);
        shared.lock_front()?.is_closed = true;
        self.0.end();
        self.0.wait();
        shared.check()
    }

    /// How the pipeline ends, to be asked when it has.
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome(Arc::clone(&self.0.shared))
    }

    /// Calls `look` with what is durable in the end, just before the store is closed.
    pub(crate) fn before_close(&self, look: impl FnOnce(DurableState) + Send + 'static) {
        *self.0.shared.before_close.lock() = Some(Box::new(look));
    }

    /// Calls `then` when the pipeline has met a failure.
    pub(crate) fn when_failed(&self, then: impl FnOnce() + Send + 'static) {
        let shared = &self.0.shared;
        shared.when_failed.lock().push(Box::new(then));
        if shared.failure.get().is_some() {
            shared.call_when_failed();
        }
    }
}

/// How a pipeline goes on, or has ended.
#[derive(Debug, Clone)]
pub(crate) struct Outcome(Arc<Shared>);

impl Outcome {
    /// Fails if the pipeline has.
    ///
    /// # Errors
    ///
    /// The first [`StorageError`] that it has met.
    pub(crate) fn check(&self) -> Result<(), Arc<StorageError>> {
        self.0.check()
    }

    /// True if what waits for replies will perhaps never be told anything else.
    pub(crate) fn is_stuck(&self) -> bool {
        self.0.is_stuck()
    }

    /// Has a waker woken if the storage does not return from a call, until it is taken back by the
    /// same number.
    pub(crate) fn wake_if_stuck(&self, number: usize, waker: Waker) {
        let replaced = self.0.wakers.lock().insert(number, waker);
        // Without the lock: a task may go with its last waker, and what it waits for with it.
        drop(replaced);
    }

    /// Takes a waker back.
    pub(crate) fn take_back(&self, number: usize) {
        let removed = self.0.wakers.lock().remove(&number);
        drop(removed);
    }
}

impl Owner {
    /// Has the persister close the store when there is nothing left to persist.
    fn end(&self) {
        // Where the storage is stuck, the persister will not look.
        if let Ok(mut queue) = self.shared.lock_queue() {
            queue.is_closing = true;
        }
        self.shared.wake();
    }

    /// Waits until the persister has ended, but not for a storage that is stuck.
    fn wait(&self) {
        // What replies are delivered to may drop the last clone: it cannot wait for its own thread.
        if self.persister == std::thread::current().id() {
            return;
        }
        while self.ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            if self.shared.is_stuck() {
                return;
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.end();
        self.wait();
        if self.shared.is_stuck() {
            // What reads in the background may never end: it is not given back, as that would wait.
            std::mem::forget(Arc::clone(&self.shared));
        }
    }
}

/// Applies a batch in the turn of a caller that has locked the applier.
fn take_turn<R>(
    front: &mut Front,
    shared: &Shared,
    requests: usize,
    held_bytes: usize,
    apply: impl FnOnce(&mut Turn<'_>) -> Result<R, StorageError>,
) -> Result<R, StorageError> {
    let started = Instant::now();
    let now_ms = unix_ms(SystemTime::now());
    let batch = front.applier.begin(now_ms, requests, held_bytes)?;
    let mut turn = Turn::new(shared, batch, &mut front.receipt);
    let applied = apply(&mut turn)?;
    turn.set_figures();
    let time = started.elapsed().saturating_sub(turn.waited());
    shared.figures.add_applied(time);
    Ok(applied)
}
