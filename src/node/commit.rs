//! Makes a group durable, then sends the answers to it on their way.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tracing::warn;

use crate::error::StorageError;
use crate::inspect::Inspection;
use crate::node::Monitor;
use crate::node::answered::Answered;
use crate::node::outbox::Outbox;
use crate::store::{Group, Store};

/// When no group has come for this long, whatever may be slow is done.
const QUIET: Duration = Duration::from_millis(50);

/// A group, and what is answered once it is durable.
#[derive(Default)]
pub(super) struct HeldGroup {
    pub(super) group: Group,
    pub(super) answered: Vec<Answered>,
    /// Is told when the group is durable.
    pub(super) durable: Option<Sender<()>>,
}

/// The stage that makes groups durable and, for that reason, the only one that lets answers go. It
/// waits for no reader that leaves no room.
pub(super) struct Committer<'a> {
    store: Store,
    output: Arc<Outbox>,
    monitor: &'a Monitor,
}

impl<'a> Committer<'a> {
    pub(super) fn new(store: Store, output: Arc<Outbox>, monitor: &'a Monitor) -> Self {
        Self {
            store,
            output,
            monitor,
        }
    }

    /// Commits groups until no more come, also those whose replies have no reader any more.
    pub(super) fn run(mut self, groups: Receiver<HeldGroup>) -> Result<(), StorageError> {
        loop {
            let result = match self.next(&groups) {
                Ok(held) => self.commit(held),
                Err(RecvTimeoutError::Timeout) => self.reopen(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            result?;
        }
        if self.monitor.keeps_last_state() {
            self.keep_last_state()
                .unwrap_or_else(|error| warn!("the last figures could not be read: {error}"));
        }
        // The applier reads nothing more; another reader is told that the store has stopped.
        self.store.close()
    }

    /// The next group. A timeout says that sled is to be opened again: because it is quiet, or
    /// because that has waited for long enough.
    fn next(&self, groups: &Receiver<HeldGroup>) -> Result<HeldGroup, RecvTimeoutError> {
        if self.store.must_reopen() {
            return Err(RecvTimeoutError::Timeout);
        }
        if self.store.should_reopen() {
            return groups.recv_timeout(QUIET);
        }
        groups.recv().map_err(|_| RecvTimeoutError::Disconnected)
    }

    fn commit(&mut self, held: HeldGroup) -> Result<(), StorageError> {
        self.store.commit(&held.group)?;
        self.monitor.clock().stored(self.store.times());
        for answered in held.answered {
            let state = answered.asks().then(|| self.store.view()).transpose()?;
            answered.send(state);
        }
        // While there is room, no group is begun before the replies to the one before have left.
        self.output.wait_until_written();
        if let Some(durable) = held.durable {
            // The applier may have given up waiting; it has its own reason then.
            durable.send(()).unwrap_or_default();
        }
        Ok(())
    }

    fn keep_last_state(&mut self) -> Result<(), StorageError> {
        let last = Inspection::of_view(self.store.view()?, self.monitor.process())?;
        self.monitor.set_last_state(last.stats()?);
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), StorageError> {
        self.store.reopen()?;
        self.monitor.clock().stored(self.store.times());
        Ok(())
    }
}
