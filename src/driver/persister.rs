//! The thread of the pipeline: it persists groups and delivers their replies.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, Select};

use crate::driver::shared::{Group, Shared};
use crate::driver::{Place, Ticket, TicketReplies, persist_rest};
use crate::error::StorageError;
use crate::index::TablePart;
use crate::store::{Persisted, Store};

/// When no group has come for this long, sled is opened again if it should be.
const QUIET: Duration = Duration::from_millis(50);

/// How long the persister waits for a turn to end before it looks for other work.
const SHORTLY: Duration = Duration::from_millis(1);

/// The thread that persists. No other one delivers replies, as they must be durable first.
pub(super) struct Persister {
    shared: Arc<Shared>,
    store: Store,
    woken: Receiver<()>,
    /// Parts of the index that wait to be added, right after a start.
    index_parts: Option<Receiver<TablePart>>,
}

/// What the persister does next.
enum Next {
    Persist(Group),
    Reopen,
    End(End),
}

/// How the persister ends.
enum End {
    /// All clones of the pipeline are dropped, or it was closed.
    Close,
    /// The pipeline has failed.
    Failed,
}

impl Persister {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Store,
        woken: Receiver<()>,
        index_parts: Option<Receiver<TablePart>>,
    ) -> Self {
        Self {
            shared,
            store,
            woken,
            index_parts,
        }
    }

    /// Persists until the pipeline is closed, then closes the store; or until the pipeline has
    /// failed.
    pub(super) fn run(mut self) {
        let worked = catch_unwind(AssertUnwindSafe(|| self.work()));
        // A panic has already been reported.
        match worked.unwrap_or(Err(StorageError::Stopped)) {
            Ok(End::Close) => {
                let shared = Arc::clone(&self.shared);
                let closed = catch_unwind(AssertUnwindSafe(|| self.close()));
                if let Err(error) = closed.unwrap_or(Err(StorageError::Stopped)) {
                    shared.fail(error);
                }
            }
            Ok(End::Failed) => self.abandon(),
            Err(error) => {
                self.shared.fail(error);
                self.abandon();
            }
        }
    }

    fn work(&mut self) -> Result<End, StorageError> {
        loop {
            match self.next()? {
                Next::Persist(group) => self.persist(group),
                Next::Reopen => self.reopen()?,
                Next::End(end) => return Ok(end),
            }
        }
    }

    fn next(&mut self) -> Result<Next, StorageError> {
        loop {
            if self.shared.failure.get().is_some() {
                return Ok(Next::End(End::Failed));
            }
            if self.store.must_reopen() {
                return Ok(Next::Reopen);
            }
            let found = self.find()?;
            if let Some(next) = found {
                return Ok(next);
            }
            if !self.wait()? && self.store.should_reopen() {
                return Ok(Next::Reopen);
            }
        }
    }

    /// Finds the next group, or the end, if there is one.
    fn find(&mut self) -> Result<Option<Next>, StorageError> {
        let shared = &*self.shared;
        let mut queue = shared.queue.lock();
        if let Some(group) = queue.groups.pop_front() {
            shared.changed.notify_all();
            return Ok(Some(Next::Persist(group)));
        }
        if shared.announced.load(Ordering::Acquire) == 0
            && let Some(mut front) = shared.front.try_lock()
            && front.applier.has_replies()
            && shared.failure.get().is_none()
        {
            queue.is_idle = false;
            return Ok(Some(Next::Persist(front.applier.end_group()?)));
        }
        queue.is_idle = true;
        shared.changed.notify_all();
        Ok(queue.is_closing.then_some(Next::End(End::Close)))
    }

    /// Waits until there may be work; false if no group has come for a while.
    fn wait(&mut self) -> Result<bool, StorageError> {
        let Some(index_parts) = &self.index_parts else {
            return Ok(match self.store.should_reopen() {
                true => self.woken.recv_timeout(QUIET).is_ok(),
                // It cannot fail, as `shared` has the sender.
                false => self.woken.recv().is_ok(),
            });
        };
        let mut ready = Select::new();
        let woken = ready.recv(&self.woken);
        ready.recv(index_parts);
        if ready.ready() == woken {
            self.woken.try_recv().unwrap_or_default();
        } else if let Some(mut front) = self.shared.front.try_lock_for(SHORTLY) {
            front.applier.take_index_part()?;
            self.index_parts = front.applier.index_parts().cloned();
        }
        Ok(true)
    }

    /// Persists a group, and delivers its replies. A failure is recorded before the tickets are
    /// dropped, so that waiting callers see the cause.
    fn persist(&mut self, mut group: Group) {
        match self.store.persist(&mut group) {
            Ok(persisted) => self.deliver(persisted),
            Err(error) => self.shared.fail(error),
        }
    }

    fn deliver(&mut self, persisted: Persisted<Vec<TicketReplies<Ticket>>>) {
        self.shared.figures.set_store_times(self.store.times());
        let places = places(&persisted.replies);
        for (TicketReplies { ticket, replies }, place) in persisted.replies.into_iter().zip(places)
        {
            let view = match ticket.wants_view().then(|| self.store.view()).transpose() {
                Ok(view) => view,
                Err(error) => return self.shared.fail(error),
            };
            ticket.deliver(replies, view, place);
        }
        self.shared.queue.lock().receipt = persisted.receipt;
    }

    fn reopen(&mut self) -> Result<(), StorageError> {
        self.store.reopen()?;
        self.shared.figures.set_store_times(self.store.times());
        Ok(())
    }

    fn close(mut self) -> Result<(), StorageError> {
        let shared = Arc::clone(&self.shared);
        let mut front = shared.front.lock();
        persist_rest(&mut front.applier, &mut self.store)?;
        if let Some(look) = shared.before_close.lock().take() {
            look(self.store.view()?);
        }
        self.store.close()
    }

    /// Drops everything that will not be persisted. Does not close sled.
    fn abandon(mut self) {
        self.store.stop();
        // Tickets are dropped without a lock, as that may run any code of a waiting caller.
        let waiting = std::mem::take(&mut self.shared.queue.lock().groups);
        drop(waiting);
        let in_hand = self.shared.front.lock().applier.abandon();
        drop(in_hand);
        // A caller may have ended a group meanwhile.
        let waiting = std::mem::take(&mut self.shared.queue.lock().groups);
        drop(waiting);
    }
}

/// The place of each part of a group among those for its receiver.
fn places(parts: &[TicketReplies<Ticket>]) -> Vec<Place> {
    let mut receivers = HashSet::new();
    let mut place = |part: &TicketReplies<Ticket>| match part.ticket.receiver() {
        Some(receiver) if !receivers.insert(receiver) => Place::Within,
        _ => Place::Last,
    };
    let mut places: Vec<Place> = parts.iter().rev().map(&mut place).collect();
    places.reverse();
    places
}
