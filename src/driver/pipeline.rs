//! The two halves of the driver joined by a queue and one thread, for any number of callers.
//!
//! A caller takes its *turn*: it locks the applier and applies a batch of requests on its own
//! thread. The order of the turns is the order of all requests. The thread of the pipeline persists
//! one group after the other and delivers its replies.
//!
//! A group contains the requests that came while the one before it was persisted, up to a limit. It
//! ends when it is full, when a turn needs its end, or when the persister is idle and no caller is
//! announced. While one group is persisted, the next is applied.
//!
//! A caller locks the applier, then the queue. The persister may lock the queue first; then it only
//! tries to lock the applier. It waits for the applier only while it holds no queue lock. A caller
//! unlocks the applier while it has the queue locked. So one of the two always notices that the
//! current group must be persisted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::thread::ThreadId;
use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::{Condvar, Mutex};

use crate::driver::persister::Persister;
use crate::driver::read_ahead::{Planned, ReadAhead, ReadAheadLimits, is_worth_it, plan_ahead};
use crate::driver::shared::{Announced, FailAtPanic, Front, LOOK_EVERY, Queue, Shared};
use crate::driver::{Applier, Figures, Ticket, Turn, unix_ms};
use crate::error::StorageError;
use crate::processor::{Preparation, Preparer};
use crate::store::cache::{Cache, Excerpts, UsedExcerpts};
use crate::store::threads;
use crate::store::{DurableState, Reader, Store};

/// A running pipeline. When the last clone is dropped, it ends and closes the store.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline(Arc<Owner>);

/// The callers' end of a pipeline.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    preparer: Preparer,
    reader: Reader,
    cache: Cache,
    read_ahead_requests: usize,
    /// Number of reads at the last [`Pipeline::read_ahead_if_worth_it`].
    reads_before: AtomicU64,
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
        let (reader, cache) = (store.reader(), store.cache().clone());
        let read_ahead_requests = applier.read_ahead_requests();
        let index_parts = applier.index_parts().cloned();
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
            announced: AtomicUsize::new(0),
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
        let persister = Persister::new(Arc::clone(&shared), store, woken, index_parts);
        let (end, ended) = bounded(0);
        let run = move || {
            let _end: Sender<()> = end;
            persister.run();
        };
        Ok(Self(Arc::new(Owner {
            shared,
            preparer,
            reader,
            cache,
            read_ahead_requests,
            reads_before: AtomicU64::new(0),
            persister: threads::start("persist", run)?.thread().id(),
            ended,
        })))
    }

    /// Returns what prepares requests, on any thread.
    pub(crate) fn preparer(&self) -> Preparer {
        self.0.preparer
    }

    /// Figures of the pipeline, which outlive it.
    pub(crate) fn figures(&self) -> &Arc<Figures> {
        &self.0.shared.figures
    }

    /// Announces that this caller will take a turn.
    pub(crate) fn announce(&self) -> Announced {
        let shared = &self.0.shared;
        shared.announced.fetch_add(1, Ordering::AcqRel);
        Announced(Arc::clone(shared))
    }

    /// Waits for a turn, and applies a batch in it: about `requests` requests, which take
    /// `held_bytes` of memory until they are answered.
    ///
    /// # Errors
    ///
    /// The first [`StorageError`] that a turn or the persister has met.
    pub(crate) fn turn<R>(
        &self,
        announced: Announced,
        requests: usize,
        held_bytes: usize,
        apply: impl FnOnce(&mut Turn<'_>) -> Result<R, StorageError>,
    ) -> Result<R, Arc<StorageError>> {
        let shared = &*self.0.shared;
        let mut front = shared.lock_front()?;
        drop(announced);
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
                // In this order, as the persister may be waiting for the queue and must then find
                // the applier unlocked.
                drop(front);
                drop(queue);
                Ok(applied)
            }
            Err(error) => {
                // No other caller may go on with half-changed memory.
                let cause = shared.record(error);
                drop(front);
                shared.notify_failure();
                Err(cause)
            }
        }
    }

    /// Number of blocks and parts of the index that had to be read to find earlier events.
    pub(crate) fn reads(&self) -> u64 {
        self.0.cache.reads()
    }

    /// What a sender may take at most to be read ahead together.
    pub(crate) fn read_ahead_limits(&self) -> ReadAheadLimits {
        ReadAheadLimits::new(self.0.read_ahead_requests, &self.0.cache)
    }

    /// Plans what batches of prepared requests need of the store, for as many of them as it can be
    /// read ahead.
    ///
    /// # Errors
    ///
    /// Those of [`Pipeline::turn`].
    pub(crate) fn plan_ahead<'a>(
        &self,
        batches: impl IntoIterator<Item = &'a [Preparation]>,
    ) -> Result<Planned, Arc<StorageError>> {
        let most = self.0.read_ahead_requests;
        plan_ahead(batches, most, &self.0.cache, |together, plan| {
            self.turn(self.announce(), 0, 0, |turn| turn.plan(together, plan))
        })
    }

    /// Reads what is planned. No other caller waits meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`Pipeline::turn`].
    pub(crate) fn read_planned(&self, planned: Planned) -> Result<ReadAhead, Arc<StorageError>> {
        // A failure of the store ends the pipeline.
        planned
            .read(&self.0.reader, &self.0.cache)
            .or_else(|error| self.turn(self.announce(), 0, 0, |_| Err(error)))
    }

    /// Plans what a batch needs of the store, and reads it.
    ///
    /// # Errors
    ///
    /// Those of [`Pipeline::turn`].
    pub(crate) fn read_ahead(
        &self,
        preparations: &[Preparation],
    ) -> Result<ReadAhead, Arc<StorageError>> {
        self.read_planned(self.plan_ahead([preparations])?)
    }

    /// Finds excerpts that were read ahead for the caller whose turn it is.
    pub(crate) fn using(&self, excerpts: Option<&Arc<Excerpts>>) -> UsedExcerpts<'_> {
        self.0.cache.using(excerpts)
    }

    /// Reads ahead for a batch of any caller, if events needed many reads since the last call.
    pub(crate) fn read_ahead_if_worth_it(&self, preparations: &[Preparation]) -> ReadAhead {
        let reads = self.reads();
        let before = self.0.reads_before.swap(reads, Ordering::Relaxed);
        if !is_worth_it(reads.saturating_sub(before), preparations.len()) {
            return ReadAhead::default();
        }
        // If this fails, the turn of the batch fails too.
        let read = self.read_ahead(preparations).unwrap_or_default();
        // What was read ahead counts as needed, so that the next batch is read ahead too.
        let now = self.0.reads_before.load(Ordering::Relaxed);
        let counted = now.saturating_sub(read.reads);
        self.0.reads_before.store(counted, Ordering::Relaxed);
        read
    }

    /// Ends the pipeline for all clones: waits until everything that was applied is persisted, and
    /// closes the store.
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

    /// Returns the [`Health`], which outlives the pipeline.
    pub(crate) fn health(&self) -> Health {
        Health(Arc::clone(&self.0.shared))
    }

    /// Sets a function that gets the last durable state, just before the store is closed.
    pub(crate) fn before_close(&self, look: impl FnOnce(DurableState) + Send + 'static) {
        *self.0.shared.before_close.lock() = Some(Box::new(look));
    }

    /// Calls `then` once the pipeline has failed.
    pub(crate) fn when_failed(&self, then: impl FnOnce() + Send + 'static) {
        let shared = &self.0.shared;
        shared.when_failed.lock().push(Box::new(then));
        if shared.failure.get().is_some() {
            shared.call_when_failed();
        }
    }
}

/// Tells if a pipeline has failed, while it runs and after it.
#[derive(Debug, Clone)]
pub(crate) struct Health(Arc<Shared>);

impl Health {
    /// Returns the failure of the pipeline, if it has one.
    ///
    /// # Errors
    ///
    /// The first [`StorageError`] that it has met.
    pub(crate) fn check(&self) -> Result<(), Arc<StorageError>> {
        self.0.check()
    }

    /// True if a wait for replies may never end, as the storage has not returned from a call.
    pub(crate) fn is_stuck(&self) -> bool {
        self.0.is_stuck()
    }

    /// Wakes `waker` if the storage does not return from a call, until [`Health::take_back`] is
    /// called with the same number.
    pub(crate) fn wake_if_stuck(&self, number: usize, waker: Waker) {
        let replaced = self.0.wakers.lock().insert(number, waker);
        // Dropped without the lock, as a task and all that it owns may go with its last waker.
        drop(replaced);
    }

    /// Removes a waker.
    pub(crate) fn take_back(&self, number: usize) {
        let removed = self.0.wakers.lock().remove(&number);
        drop(removed);
    }
}

impl Owner {
    /// Makes the persister close the store when nothing is left to persist.
    fn end(&self) {
        // If the storage is stuck, the persister will not look at the queue.
        if let Ok(mut queue) = self.shared.lock_queue() {
            queue.is_closing = true;
        }
        self.shared.wake();
    }

    /// Waits until the persister has ended, unless the storage is stuck.
    fn wait(&self) {
        // If a delivery drops the last clone, this is the persister's thread, which cannot wait for
        // itself.
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
            // Threads that read in the background may never end, and dropping would wait for them.
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
