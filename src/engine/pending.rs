//! The result of a call, before it can be read.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::driver::{Deliver, Health, Place, Replies};
use crate::error::StorageError;
use crate::store::DurableState;

/// Time between two checks if the storage is stuck.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The result of a call on a [`Handle`](crate::Handle), which can be read only once everything in
/// it is on stable storage: with [`Pending::wait`], or with `.await` in any runtime.
///
/// The call is carried out even if this is dropped. Both ways to open it fail with the first
/// [`StorageError`] that the handle or one of its clones has met: the next open of the directory
/// decides if the call took effect. A view may have its own error.
#[must_use = "whether the call is on stable storage is known only when this is opened"]
pub struct Pending<T> {
    slot: Arc<Slot>,
    health: Health,
    open: fn(Delivered) -> Result<T, StorageError>,
    /// The error of a call that was not carried out.
    cause: Option<Arc<StorageError>>,
    /// True if `health` has its waker.
    has_waker: bool,
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}

/// The replies to a call, in parts, and a view if the call asked for one.
#[derive(Default)]
pub(super) struct Delivered {
    pub(super) replies: Vec<Replies>,
    pub(super) view: Option<DurableState>,
}

/// The place that replies are delivered to.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    delivered: Delivered,
    end: Option<End>,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    /// Everything has been delivered.
    Whole,
    /// Nothing more will be delivered.
    Abandoned,
}

impl Slot {
    fn end(&self, end: End) {
        let mut state = self.state.lock();
        state.end.get_or_insert(end);
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Fills the slot of a [`Pending`], which is abandoned if the last part is not delivered.
pub(super) struct Promise(Arc<Slot>);

impl Promise {
    /// Makes a promise and the [`Pending`] that it fills.
    pub(super) fn new<T>(
        health: Health,
        open: fn(Delivered) -> Result<T, StorageError>,
    ) -> (Self, Pending<T>) {
        let slot = Arc::<Slot>::default();
        let promise = Self(Arc::clone(&slot));
        let pending = Pending {
            slot,
            health,
            open,
            cause: None,
            has_waker: false,
        };
        (promise, pending)
    }

    /// A ticket for a part of the replies.
    pub(super) fn part(&self) -> Box<dyn Deliver> {
        Box::new(PartTicket(Arc::clone(&self.0)))
    }

    /// A ticket for the last part, and for a view if that is wanted.
    pub(super) fn last(self, wants_view: bool) -> Box<dyn Deliver> {
        Box::new(LastTicket {
            promise: self,
            wants_view,
        })
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        // This has no effect after the last part was delivered.
        self.0.end(End::Abandoned);
    }
}

struct PartTicket(Arc<Slot>);

impl Deliver for PartTicket {
    fn deliver(self: Box<Self>, replies: Replies, _: Option<DurableState>, _: Place) {
        self.0.state.lock().delivered.replies.push(replies);
    }
}

struct LastTicket {
    promise: Promise,
    wants_view: bool,
}

impl Deliver for LastTicket {
    fn wants_view(&self) -> bool {
        self.wants_view
    }

    fn deliver(self: Box<Self>, replies: Replies, view: Option<DurableState>, _: Place) {
        let slot = &self.promise.0;
        let mut state = slot.state.lock();
        state.delivered.replies.push(replies);
        state.delivered.view = view;
        drop(state);
        slot.end(End::Whole);
    }
}

impl<T> Pending<T> {
    /// Waits until everything in the result is on stable storage, and returns it.
    ///
    /// # Errors
    ///
    /// The first [`StorageError`] that the handle or one of its clones has met.
    pub fn wait(self) -> Result<T, Arc<StorageError>> {
        let mut state = self.slot.state.lock();
        loop {
            let stuck = self.health.is_stuck().then_some(End::Abandoned);
            if let Some(end) = state.end.or(stuck) {
                let delivered = std::mem::take(&mut state.delivered);
                drop(state);
                return self.opened(end, delivered);
            }
            self.slot.changed.wait_for(&mut state, LOOK_EVERY);
        }
    }

    /// The number of its waker.
    fn number(&self) -> usize {
        Arc::as_ptr(&self.slot).addr()
    }

    /// Fails, whatever is delivered.
    pub(super) fn fail(&mut self, cause: Arc<StorageError>) {
        self.cause = Some(cause);
        self.slot.end(End::Abandoned);
    }

    fn opened(&self, end: End, delivered: Delivered) -> Result<T, Arc<StorageError>> {
        if let Some(cause) = &self.cause {
            return Err(Arc::clone(cause));
        }
        match end {
            End::Whole => (self.open)(delivered).map_err(Arc::new),
            End::Abandoned => {
                self.health.check()?;
                // Only a failure abandons a call.
                Err(Arc::new(StorageError::Stopped))
            }
        }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Arc<StorageError>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = context.waker();
        self.has_waker = true;
        self.health.wake_if_stuck(self.number(), waker.clone());
        let mut state = self.slot.state.lock();
        // A failure from here on wakes the waker.
        let stuck = self.health.is_stuck().then_some(End::Abandoned);
        let Some(end) = state.end.or(stuck) else {
            let replaced = state.waker.replace(waker.clone());
            drop(state);
            // Dropped without the lock, as a task may go with its last waker.
            drop(replaced);
            return Poll::Pending;
        };
        let delivered = std::mem::take(&mut state.delivered);
        drop(state);
        Poll::Ready(self.opened(end, delivered))
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        if self.has_waker {
            self.health.take_back(self.number());
        }
    }
}
