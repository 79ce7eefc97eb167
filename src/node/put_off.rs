//! Batches that wait, as their senders do not take what they were answered.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::node::outbox::Outbox;
use crate::node::{Decoded, Stop};

/// Batches that wait, in order for each sender.
#[derive(Default)]
pub(super) struct PutOff(Vec<(Arc<Outbox>, VecDeque<Decoded>)>);

impl PutOff {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a batch off that was the next of its sender.
    pub(super) fn put(&mut self, batch: Decoded) {
        match self.of(&batch.outbox) {
            Some(batches) => batches.push_front(batch),
            None => self.0.push((Arc::clone(&batch.outbox), [batch].into())),
        }
    }

    /// Puts a batch after those of its sender; gives it back if there are none.
    pub(super) fn put_after_others(&mut self, batch: Decoded) -> Option<Decoded> {
        match self.of(&batch.outbox) {
            Some(batches) => {
                batches.push_back(batch);
                None
            }
            None => Some(batch),
        }
    }

    fn of(&mut self, outbox: &Arc<Outbox>) -> Option<&mut VecDeque<Decoded>> {
        let mut senders = self.0.iter_mut();
        let found = senders.find(|(sender, _)| Arc::ptr_eq(sender, outbox));
        found.map(|(_, batches)| batches)
    }

    /// The next batch of a sender that has taken what it was answered, if there is one.
    pub(super) fn take_one(&mut self, stop: &Stop) -> Option<Decoded> {
        let has_room = |(sender, _): &(Arc<Outbox>, _)| !sender.is_full(stop);
        let at = self.0.iter().position(has_room)?;
        let batch = self.0[at].1.pop_front();
        if self.0[at].1.is_empty() {
            self.0.remove(at);
        }
        batch
    }
}
