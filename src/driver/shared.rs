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

/// Groups that are full, or that a view has ended, and may wait while the next is applied.
const MAX_WAITING_GROUPS: usize = 3;

/// How often a wait looks whether the pipeline has failed.
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
    /// Callers that wait for their turn, or will.
    pub(super) expected: AtomicUsize,
    pub(super) figures: Arc<Figures>,
    /// Why nothing is answered any more.
    pub(super) failure: OnceLock<Arc<StorageError>>,
    /// Whether the storage has not returned from a call, be that the failure or after it.
    pub(super) is_stuck: AtomicBool,
    /// Called when there is a failure.
    pub(super) when_failed: Mutex<Vec<WhenFailed>>,
    /// Of those who wait for replies without a thread.
    pub(super) wakers: Mutex<HashMap<usize, Waker>>,
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
    pub(super) is_closed: bool,
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
pub(crate) struct Expected(pub(super) Arc<Shared>);

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.expected.fetch_sub(1, Ordering::AcqRel);
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
    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Acquire)
    }

    /// Ends the pipeline with an error.
    pub(super) fn fail(&self, error: StorageError) {
        self.record(error);
        self.tell_failure();
    }

    /// Notes the first error, from which on nothing is applied or persisted, and returns it.
    pub(super) fn record(&self, error: StorageError) -> Arc<StorageError> {
        Arc::clone(self.failure.get_or_init(|| Arc::new(error)))
    }

    /// Tells of a failure those who wait; not to be called with a lock.
    pub(super) fn tell_failure(&self) {
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
        // A message that is there already wakes it as well.
        self.wake.try_send(()).unwrap_or_default();
    }

    /// Waits for the turn of a caller.
    pub(super) fn lock_front(&self) -> Result<MutexGuard<'_, Front>, Arc<StorageError>> {
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
    pub(super) fn hand_over(
        &self,
        front: &mut Front,
    ) -> Result<MutexGuard<'_, Queue>, StorageError> {
        let applier = &mut front.applier;
        if applier.is_full() && applier.has_replies() {
            self.push(applier.end_group()?)?;
        }
        let mut queue = self.lock_queue()?;
        let is_wanted = queue.is_idle && self.expected.load(Ordering::Acquire) == 0;
        if is_wanted && applier.has_replies() {
            queue.push(applier.end_group()?);
            self.wake();
        }
        Ok(queue)
    }

    /// Locks the queue, which the persister may hold in a call of the storage.
    pub(super) fn lock_queue(&self) -> Result<MutexGuard<'_, Queue>, StorageError> {
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
pub(super) struct FailAtPanic<'a>(pub(super) &'a Shared);

impl Drop for FailAtPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(StorageError::Stopped);
        }
    }
}
