//! Batches of the input that wait to be applied. While they need much of the store, more of them
//! are taken, and what they need is read together before their turns.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use crate::driver::ReadAheadLimits;
use crate::error::StorageError;
use crate::node::decoded::Decoded;
use crate::node::service::Service;

/// The batches that wait.
pub(super) struct Ahead<'a> {
    batches: &'a Receiver<Decoded>,
    /// Batches that were taken from the channel.
    taken: VecDeque<Decoded>,
    lines: usize,
    bytes: usize,
    limits: ReadAheadLimits,
    /// The number of taken batches for which all that they need was read.
    read: usize,
    /// True if the next batches should be read ahead.
    reads_ahead: bool,
}

impl<'a> Ahead<'a> {
    /// Takes the batches of a channel. At most `limits` of them wait here.
    pub(super) fn new(batches: &'a Receiver<Decoded>, limits: ReadAheadLimits) -> Self {
        Self {
            batches,
            taken: VecDeque::new(),
            lines: 0,
            bytes: 0,
            limits,
            read: 0,
            reads_ahead: false,
        }
    }

    /// Returns the next batch, once there is one; `None` after the last.
    ///
    /// # Errors
    ///
    /// The first [`StorageError`] that the pipeline has met.
    pub(super) fn next(
        &mut self,
        service: &Service<'_>,
    ) -> Result<Option<Decoded>, Arc<StorageError>> {
        if self.taken.is_empty() {
            self.batches
                .recv()
                .into_iter()
                .for_each(|next| self.take(next));
        }
        if self.reads_ahead && self.read == 0 {
            self.take_waiting();
            let preparations = self.taken.iter().map(Decoded::preparations);
            let read = service.pipeline.read_ahead(preparations)?;
            self.read = read.batches;
            self.reads_ahead = read.is_worth_it();
        }
        self.read = self.read.saturating_sub(1);
        let next = self.taken.pop_front();
        if let Some(next) = &next {
            self.lines -= next.preparations().len();
            self.bytes -= next.bytes();
        }
        Ok(next)
    }

    /// Notes whether the last batch needed much of the store, although it was perhaps read ahead.
    pub(super) fn applied(&mut self, is_worth_it: bool) {
        self.reads_ahead |= is_worth_it;
        if self.reads_ahead {
            self.take_waiting();
        }
    }

    /// True if the next batch waits and can be applied at once.
    pub(super) fn is_next_ready(&self) -> bool {
        let waits = !self.taken.is_empty() || !self.batches.is_empty();
        self.read > 0 || waits && !self.reads_ahead
    }

    fn take_waiting(&mut self) {
        while self.lines < self.limits.requests && self.bytes < self.limits.bytes {
            let Ok(next) = self.batches.try_recv() else {
                break;
            };
            self.take(next);
        }
    }

    fn take(&mut self, next: Decoded) {
        self.lines += next.preparations().len();
        self.bytes += next.bytes();
        self.taken.push_back(next);
    }
}
