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

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::thread::ThreadId;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::driver::persister::Persister;
use crate::driver::{Answered, Applier, Figures, Ticket, Turn, unix_ms};
use crate::error::StorageError;
use crate::processor::Preparer;
use crate::store::{DurableState, Receipt, Store, Unpersisted};
use crate::threads;

/// Groups that are full, or that a view has ended, and may wait while the next is applied.
const MAX_WAITING_GROUPS: usize = 3;

/// How often a wait looks whether the pipeline has failed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A group on its way to the persister.
pub(super) type Group = Unpersisted<Vec<Answered<Ticket>>>;

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

/// What the callers and the persister share.
pub(super) struct Shared {
    pub(super) front: Mutex<Front>,
    pub(super) queue: Mutex<Queue>,
    /// Notified when the queue has room, when everything in it is persisted, and on a failure.
    pub(super) changed: Condvar,
    /// Wakes the persister.
    wake: Sender<()>,
    /// Callers that wait for their turn, or will.
    pub(super) expected: AtomicUsize,
    pub(super) figures: Arc<Figures>,
    /// Why nothing is answered any more.
    pub(super) failure: OnceLock<Arc<StorageError>>,
    /// Whether the storage has not returned from a call, be that the failure or after it.
    is_stuck: AtomicBool,
    /// Called when there is a failure.
    when_failed: Mutex<Vec<WhenFailed>>,
    /// Of those who wait for answers without a thread.
    wakers: Mutex<HashMap<usize, Waker>>,
    /// Called with what is durable in the end.
    pub(super) before_close: Mutex<Option<BeforeClose>>,
}

type WhenFailed = Box<dyn FnOnce() + Send>;
type BeforeClose = Box<dyn FnOnce(DurableState) + Send>;

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// What the caller has whose turn it is.
pub(super) struct Front {
    pub(super) applier: Applier<Ticket>,
    /// The newest that a turn has had.
    pub(super) receipt: Receipt,
    /// Whether a caller has closed the pipeline for all.
    is_closed: bool,
}

/// Groups on their way to the persister.
pub(super) struct Queue {
    pub(super) groups: VecDeque<Group>,
    /// Of the last group that was persisted.
    pub(super) receipt: Receipt,
    /// True if every group that has ended is persisted.
    pub(super) is_idle: bool,
    pub(super) is_closing: bool,
}

/// A caller that will take a turn: until then the group in hand does not end for want of requests.
#[derive(Debug)]
pub(crate) struct Expected(Arc<Shared>);

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.expected.fetch_sub(1, Ordering::AcqRel);
    }
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
        let applied = front.turn(shared, requests, held_bytes, apply);
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

    /// True if what waits for answers will perhaps never be told anything else.
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
        // What answers are delivered to may drop the last clone: it cannot wait for its own thread.
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

impl Front {
    fn turn<R>(
        &mut self,
        shared: &Shared,
        requests: usize,
        held_bytes: usize,
        apply: impl FnOnce(&mut Turn<'_>) -> Result<R, StorageError>,
    ) -> Result<R, StorageError> {
        let started = Instant::now();
        let now_ms = unix_ms(SystemTime::now());
        let batch = self.applier.begin(now_ms, requests, held_bytes)?;
        let mut turn = Turn::new(shared, batch, &mut self.receipt);
        let applied = apply(&mut turn)?;
        turn.set_figures();
        let time = started.elapsed().saturating_sub(turn.waited());
        shared.figures.add_applied(time);
        Ok(applied)
    }
}

impl Shared {
    /// Fails if the pipeline has.
    pub(super) fn check(&self) -> Result<(), Arc<StorageError>> {
        self.failure
            .get()
            .map_or(Ok(()), |cause| Err(Arc::clone(cause)))
    }

    /// True if the storage has not returned from a call.
    fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Acquire)
    }

    /// Ends the pipeline with an error.
    pub(super) fn fail(&self, error: StorageError) {
        self.record(error);
        self.tell_failure();
    }

    /// Notes the first error, from which on nothing is applied or persisted, and returns it.
    fn record(&self, error: StorageError) -> Arc<StorageError> {
        Arc::clone(self.failure.get_or_init(|| Arc::new(error)))
    }

    /// Tells of a failure those who wait; not to be called with a lock.
    fn tell_failure(&self) {
        self.changed.notify_all();
        self.wake();
        self.call_when_failed();
    }

    fn call_when_failed(&self) {
        let waiting = std::mem::take(&mut *self.when_failed.lock());
        waiting.into_iter().for_each(|then| then());
        if self.is_stuck() {
            let wakers = std::mem::take(&mut *self.wakers.lock());
            wakers.into_values().for_each(Waker::wake);
        }
    }

    fn wake(&self) {
        // A message that is there already wakes it as well.
        self.wake.try_send(()).unwrap_or_default();
    }

    /// Waits for the turn of a caller.
    fn lock_front(&self) -> Result<MutexGuard<'_, Front>, Arc<StorageError>> {
        loop {
            if let Some(front) = self.front.try_lock_for(LOOK_EVERY) {
                return Ok(front);
            }
            // The caller whose turn it is may wait for a disk that does not answer.
            self.check()?;
        }
    }

    /// Ends a turn, and the group in hand if nothing else is to do or it is full. The applier is to
    /// be given back before the queue.
    fn hand_over(&self, front: &mut Front) -> Result<MutexGuard<'_, Queue>, StorageError> {
        let applier = &mut front.applier;
        if applier.is_full() && applier.has_answers() {
            self.push(applier.end_group()?)?;
        }
        let mut queue = self.lock_queue()?;
        let is_wanted = queue.is_idle && self.expected.load(Ordering::Acquire) == 0;
        if is_wanted && applier.has_answers() {
            queue.push(applier.end_group()?);
            self.wake();
        }
        Ok(queue)
    }

    /// Locks the queue, which the persister may hold in a call of the storage.
    fn lock_queue(&self) -> Result<MutexGuard<'_, Queue>, StorageError> {
        loop {
            if let Some(queue) = self.queue.try_lock_for(LOOK_EVERY) {
                return Ok(queue);
            }
            if self.is_stuck() {
                // The caller is told the first cause.
                return Err(StorageError::Stopped);
            }
        }
    }

    /// Has a group persisted, and waits while others do.
    pub(super) fn push(&self, group: Group) -> Result<(), StorageError> {
        let mut queue = self.lock_queue()?;
        while queue.groups.len() >= MAX_WAITING_GROUPS {
            self.wait(&mut queue)?;
        }
        queue.push(group);
        self.wake();
        Ok(())
    }

    /// Waits until every group that has ended is persisted.
    pub(super) fn wait_until_persisted(&self) -> Result<Receipt, StorageError> {
        let mut queue = self.lock_queue()?;
        while !queue.is_idle {
            self.wait(&mut queue)?;
        }
        Ok(queue.receipt)
    }

    fn wait(&self, queue: &mut MutexGuard<'_, Queue>) -> Result<(), StorageError> {
        // A failure notifies without the lock, so that a wait must not be for ever.
        self.changed.wait_for(queue, LOOK_EVERY);
        // The caller is told the first cause.
        self.check().map_err(|_| StorageError::Stopped)
    }
}

impl Queue {
    fn push(&mut self, group: Group) {
        self.groups.push_back(group);
        self.is_idle = false;
    }
}

/// Ends the pipeline if it is dropped by a panic: what was in hand may be half done.
struct FailAtPanic<'a>(&'a Shared);

impl Drop for FailAtPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(StorageError::Stopped);
        }
    }
}
