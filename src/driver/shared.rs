//! What the callers of a pipeline and its persister share: the applier, the queue, the failure.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::Duration;

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::driver::{Applier, Figures, Ticket, TicketReplies};
use crate::error::StorageError;
use crate::store::{DurableState, Receipt, Unpersisted};

/// The most groups, full or ended by a view, that wait while the next is applied.
const MAX_WAITING_GROUPS: usize = 3;

/// Time between two checks whether the pipeline has failed.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A group on its way to the persister.
pub(super) type Group = Unpersisted<Vec<TicketReplies<Ticket>>>;

/// What the callers and the persister share.
pub(super) struct Shared {
    pub(super) front: Mutex<Front>,
    pub(super) queue: Mutex<Queue>,
    /// Notified when the queue has room, when everything in it is persisted, and on a failure.
    pub(super) changed: Condvar,
    /// Wakes the persister.
    pub(super) wake: Sender<()>,
    /// Number of callers that wait for their turn, or will.
    pub(super) announced: AtomicUsize,
    pub(super) figures: Arc<Figures>,
    /// The first failure, after which nothing is answered.
    pub(super) failure: OnceLock<Arc<StorageError>>,
    /// True if a call of the storage ran past its time limit, even after another failure.
    pub(super) is_stuck: AtomicBool,
    /// Called after a failure.
    pub(super) when_failed: Mutex<Vec<WhenFailed>>,
    /// Wakers of tasks that wait for replies.
    pub(super) wakers: Mutex<HashMap<usize, Waker>>,
    /// Called with the last durable state, just before the store is closed.
    pub(super) before_close: Mutex<Option<BeforeClose>>,
}

type WhenFailed = Box<dyn FnOnce() + Send>;
type BeforeClose = Box<dyn FnOnce(DurableState) + Send>;

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// What belongs to the caller whose turn it is.
pub(super) struct Front {
    pub(super) applier: Applier<Ticket>,
    /// The newest receipt that a turn has had.
    pub(super) receipt: Receipt,
    /// True if a caller has closed the pipeline for all.
    pub(super) is_closed: bool,
}

/// Groups on their way to the persister.
pub(super) struct Queue {
    pub(super) groups: VecDeque<Group>,
    /// Receipt of the last persisted group.
    pub(super) receipt: Receipt,
    /// True if every group that has ended is persisted.
    pub(super) is_idle: bool,
    pub(super) is_closing: bool,
}

/// A caller that will take a turn. Until it does, an idle persister does not end the current group.
#[derive(Debug)]
pub(crate) struct Announced(pub(super) Arc<Shared>);

impl Drop for Announced {
    fn drop(&mut self) {
        self.0.announced.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shared {
    /// Returns the failure of the pipeline, if it has one.
    pub(super) fn check(&self) -> Result<(), Arc<StorageError>> {
        self.failure
            .get()
            .map_or(Ok(()), |cause| Err(Arc::clone(cause)))
    }

    /// True if the storage has not returned from a call.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Acquire)
    }

    /// Ends the pipeline with an error.
    pub(super) fn fail(&self, error: StorageError) {
        self.record(error);
        self.notify_failure();
    }

    /// Records the first error, after which nothing is applied or persisted, and returns it.
    pub(super) fn record(&self, error: StorageError) -> Arc<StorageError> {
        Arc::clone(self.failure.get_or_init(|| Arc::new(error)))
    }

    /// Notifies all waiting threads of a failure. The caller must not hold the queue.
    pub(super) fn notify_failure(&self) {
        self.changed.notify_all();
        self.wake();
        self.call_when_failed();
    }

    pub(super) fn call_when_failed(&self) {
        let waiting = std::mem::take(&mut *self.when_failed.lock());
        waiting.into_iter().for_each(|then| then());
        if self.is_stuck() {
            let wakers = std::mem::take(&mut *self.wakers.lock());
            wakers.into_values().for_each(Waker::wake);
        }
    }

    pub(super) fn wake(&self) {
        // If a message is already there, the persister wakes too.
        self.wake.try_send(()).unwrap_or_default();
    }

    /// Locks the applier for the turn of a caller.
    pub(super) fn lock_front(&self) -> Result<MutexGuard<'_, Front>, Arc<StorageError>> {
        loop {
            if let Some(front) = self.front.try_lock_for(LOOK_EVERY) {
                return Ok(front);
            }
            // The caller whose turn it is may wait for a disk that does not respond.
            self.check()?;
        }
    }

    /// Ends a turn. Ends the current group if it is full, or if the persister is idle and no caller
    /// is announced. The caller must unlock the applier before the queue.
    pub(super) fn hand_over(
        &self,
        front: &mut Front,
    ) -> Result<MutexGuard<'_, Queue>, StorageError> {
        let applier = &mut front.applier;
        if applier.is_full() && applier.has_replies() {
            self.push(applier.end_group()?)?;
        }
        let mut queue = self.lock_queue()?;
        let is_wanted = queue.is_idle && self.announced.load(Ordering::Acquire) == 0;
        if is_wanted && applier.has_replies() {
            queue.push(applier.end_group()?);
            self.wake();
        }
        Ok(queue)
    }

    /// Locks the queue, which the persister may hold during a call of the storage.
    pub(super) fn lock_queue(&self) -> Result<MutexGuard<'_, Queue>, StorageError> {
        loop {
            if let Some(queue) = self.queue.try_lock_for(LOOK_EVERY) {
                return Ok(queue);
            }
            if self.is_stuck() {
                // The caller gets the recorded cause.
                return Err(StorageError::Stopped);
            }
        }
    }

    /// Adds a group to the queue, and waits while too many groups are there.
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
        // A failure notifies without the lock, so this wait may miss it and needs a limit.
        self.changed.wait_for(queue, LOOK_EVERY);
        // The caller gets the recorded cause.
        self.check().map_err(|_| StorageError::Stopped)
    }
}

impl Queue {
    fn push(&mut self, group: Group) {
        self.groups.push_back(group);
        self.is_idle = false;
    }
}

/// Ends the pipeline if it is dropped by a panic: memory may be half changed.
pub(super) struct FailAtPanic<'a>(pub(super) &'a Shared);

impl Drop for FailAtPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(StorageError::Stopped);
        }
    }
}
