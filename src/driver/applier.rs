//! The applying half: it turns requests into groups that are not persisted yet.

use crossbeam_channel::Receiver;

use crate::driver::Replies;
use crate::driver::read_ahead::{ReadAhead, plan_ahead};
use crate::error::StorageError;
use crate::index::TablePart;
use crate::processor::statistics::Statistics;
use crate::processor::{Preparation, Preparer, Processor, Rebuild};
use crate::request::{Refusal, Reply, Request};
use crate::store::cache::Cache;
use crate::store::{Group, LowSpace, ReadPlan, Receipt, Unpersisted};

/// The most bytes of requests and replies in one group: they stay in memory until the replies are
/// written.
const MAX_HELD_BYTES_A_GROUP: usize = 8 << 20;

/// Replies to some requests of one sender, and the ticket that delivers them.
#[derive(Debug)]
pub(crate) struct TicketReplies<T> {
    pub(crate) ticket: T,
    pub(crate) replies: Replies,
}

/// What became of a request, and what the caller must do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a group that is full must end, and a request that was not applied must be repeated"]
pub(crate) enum Applied {
    /// The request was applied.
    GoOn,
    /// The request was applied, and the group is full: end it.
    GroupIsFull,
    /// The request was not applied: end the group, persist it, and repeat the request with its
    /// receipt.
    NeedsReceipt,
}

/// Applies requests in memory, and keeps their replies until their group ends.
#[derive(Debug)]
pub(crate) struct Applier<T> {
    processor: Processor,
    /// Replies of the current group, without those of the open part.
    answered: Vec<TicketReplies<T>>,
    /// Bytes of the requests and replies of the current group.
    held_bytes: usize,
    /// True after a failure. Memory may be half changed then, and nothing more may be persisted or
    /// answered.
    has_failed: bool,
}

/// About how many bytes a part of a batch takes beside its replies, with its ticket.
const PART_BYTES: usize = 512;

impl<T> Applier<T> {
    pub(crate) fn new(processor: Processor) -> Self {
        Self {
            processor,
            answered: Vec::new(),
            held_bytes: 0,
            has_failed: false,
        }
    }

    /// Calls `f` with the processor; after its first error, every call fails.
    fn tried<R>(
        &mut self,
        f: impl FnOnce(&mut Processor) -> Result<R, StorageError>,
    ) -> Result<R, StorageError> {
        if self.has_failed {
            return Err(StorageError::Stopped);
        }
        let result = f(&mut self.processor);
        self.has_failed |= result.is_err();
        result
    }

    /// Changes the type of the tickets. The current group must have no replies.
    pub(crate) fn with_tickets<U>(self) -> Applier<U> {
        assert!(self.answered.is_empty(), "the group still has replies");
        Applier {
            has_failed: self.has_failed,
            ..Applier::new(self.processor)
        }
    }

    /// Begins a batch of about `requests` requests, which arrived at `now_ms` and take `held_bytes`
    /// of memory until they are answered.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the free space of the disk or a part of the index cannot be read.
    pub(crate) fn begin(
        &mut self,
        now_ms: u64,
        requests: usize,
        held_bytes: usize,
    ) -> Result<OpenBatch<'_, T>, StorageError> {
        self.tried(|processor| processor.begin_batch(now_ms))?;
        self.held_bytes += held_bytes;
        Ok(OpenBatch {
            replies: Replies::expecting(requests),
            applier: self,
            has_refused: false,
        })
    }

    /// Ends the current group.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if writing a snapshot has failed, or the free space of the disk cannot be
    /// read.
    pub(crate) fn end_group(&mut self) -> Result<Unpersisted<Vec<TicketReplies<T>>>, StorageError> {
        let group = self.tried(Processor::take_group)?;
        self.held_bytes = 0;
        Ok(Unpersisted::new(group, std::mem::take(&mut self.answered)))
    }

    /// Ends one more group of what is left to write at a close; `None` when nothing is left.
    pub(crate) fn end_last_group(
        &mut self,
    ) -> Result<Option<Unpersisted<Vec<TicketReplies<T>>>>, StorageError> {
        let group = self.tried(Processor::take_last_group)?;
        let answered = std::mem::take(&mut self.answered);
        Ok(group.map(|group| Unpersisted::new(group, answered)))
    }

    /// Takes the replies of the current group, which will never be durable: they can only be
    /// dropped.
    pub(super) fn abandon(&mut self) -> Unpersisted<Vec<TicketReplies<T>>> {
        self.has_failed = true;
        Unpersisted::new(Group::default(), std::mem::take(&mut self.answered))
    }

    /// True if the current group has replies.
    pub(crate) fn has_replies(&self) -> bool {
        !self.answered.is_empty()
    }

    /// True if the current group has enough requests.
    pub(crate) fn is_full(&self) -> bool {
        self.processor.group_is_full() || self.held_bytes >= MAX_HELD_BYTES_A_GROUP
    }

    /// Returns what prepares requests for this applier, on any thread.
    pub(crate) fn preparer(&self) -> Preparer {
        self.processor.preparer()
    }

    /// Builds a state in a new directory, instead of applying requests.
    pub(crate) fn rebuild(&mut self) -> Rebuild<'_> {
        self.processor.rebuild()
    }

    /// Switches autocommit on; true if it was off.
    pub(crate) fn switch_autocommit_on(&mut self) -> bool {
        self.processor.switch_autocommit_on()
    }

    /// Number of events of the state that carry a word.
    pub(crate) fn count(&self, word: &str) -> u64 {
        self.processor.count(word)
    }

    /// True if the state has an event with this id.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the store cannot be read.
    pub(crate) fn contains(&mut self, event_id: &str) -> Result<bool, StorageError> {
        self.tried(|processor| processor.contains(event_id))
    }

    /// The source position of the state.
    pub(crate) fn source(&self) -> Option<&[u8]> {
        self.processor.source()
    }

    /// Same as [`Processor::read_ahead_requests`].
    pub(crate) fn read_ahead_requests(&self) -> usize {
        self.processor.read_ahead_requests()
    }

    /// Reads ahead what prepared requests need of the store.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the store cannot be read.
    pub(crate) fn read_ahead(
        &mut self,
        preparations: &[Preparation],
    ) -> Result<ReadAhead, StorageError> {
        let (cache, most) = (self.cache().clone(), self.read_ahead_requests());
        let planned = plan_ahead([preparations], most, &cache, |together, plan| {
            self.plan(together, plan)
        })?;
        self.tried(|processor| planned.read(processor.reader(), &cache))
    }

    /// Same as [`Processor::cache`].
    pub(crate) fn cache(&self) -> &Cache {
        self.processor.cache()
    }

    /// Number of reads that were needed to find earlier events.
    pub(crate) fn reads(&self) -> u64 {
        self.processor.statistics().reads
    }

    /// Same as [`Processor::plan`].
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the store cannot be read.
    pub(crate) fn plan(
        &mut self,
        preparations: &[Preparation],
        plan: &mut ReadPlan,
    ) -> Result<usize, StorageError> {
        self.tried(|processor| processor.plan(preparations, plan))
    }

    /// Figures since the start, and the present position.
    pub(crate) fn statistics(&self) -> Statistics {
        self.processor.statistics()
    }

    /// Parts of the index that have been read and wait to be added, right after a start.
    pub(crate) fn index_parts(&self) -> Option<&Receiver<TablePart>> {
        self.processor.index_parts()
    }

    /// Adds a part of the index, if one has been read.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the part could not be read.
    pub(crate) fn take_index_part(&mut self) -> Result<(), StorageError> {
        self.tried(Processor::take_index_part)
    }
}

/// A batch of requests of one sender, being applied.
#[derive(Debug)]
pub(crate) struct OpenBatch<'a, T> {
    applier: &'a mut Applier<T>,
    /// Replies since the batch or its present part began.
    replies: Replies,
    /// True if a request of the batch was refused.
    has_refused: bool,
}

impl<T> OpenBatch<'_, T> {
    /// Reads what the next few requests need into the CPU's cache.
    pub(crate) fn look_ahead(&mut self, preparations: &mut [Preparation]) {
        self.applier.processor.look_ahead(preparations);
    }

    /// Applies the event that the preparation decoded, if it did, as for most. Otherwise returns
    /// `None`, and [`OpenBatch::apply`] must be called.
    ///
    /// # Errors
    ///
    /// Those of [`OpenBatch::apply`].
    pub(crate) fn apply_prepared(
        &mut self,
        preparation: &Preparation,
    ) -> Result<Option<Applied>, StorageError> {
        let answer = self
            .applier
            .tried(|processor| processor.apply_prepared(preparation))?;
        Ok(answer.map(|answer| self.keep(answer)))
    }

    /// Applies a request; `receipt` is the newest one that the caller has.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the store cannot be read; the applier must not be used any more.
    pub(crate) fn apply(
        &mut self,
        request: &Request<'_>,
        preparation: &Preparation,
        receipt: Receipt,
    ) -> Result<Applied, StorageError> {
        let applier = &mut *self.applier;
        if self.has_refused && matches!(request, Request::Advance { .. }) {
            let refusal = applier.processor.check(request).err();
            return Ok(self.keep(Err(refusal.unwrap_or(Refusal::AfterRefused))));
        }
        let answer = applier.tried(|processor| processor.apply(request, preparation, receipt))?;
        Ok(answer.map_or(Applied::NeedsReceipt, |answer| self.keep(answer)))
    }

    /// Adds a reply with the number of events of the state that carry a word.
    pub(crate) fn count(&mut self, word: &str) {
        let count = self.applier.processor.count(word);
        self.replies.push_count(count);
    }

    /// Adds a reply with 1 if the state has an event with this id, and with 0 otherwise.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the store cannot be read.
    pub(crate) fn contains(&mut self, event_id: &str) -> Result<(), StorageError> {
        let contains = self.applier.contains(event_id)?;
        self.replies.push_count(contains.into());
        Ok(())
    }

    fn keep(&mut self, answer: Result<Reply, Refusal>) -> Applied {
        self.has_refused |= answer.is_err();
        self.applier.held_bytes += self.replies.push(answer);
        match self.applier.is_full() {
            true => Applied::GroupIsFull,
            false => Applied::GoOn,
        }
    }

    /// Ends a part of the batch, or the batch: the ticket gets its replies when the current group
    /// is durable. About `requests` more requests are expected.
    pub(crate) fn end_part(&mut self, ticket: T, requests: usize) {
        let replies = std::mem::replace(&mut self.replies, Replies::expecting(requests));
        self.applier
            .answered
            .push(TicketReplies { ticket, replies });
        self.applier.held_bytes += PART_BYTES;
    }

    /// Same as [`Applier::plan`].
    pub(crate) fn plan(
        &mut self,
        preparations: &[Preparation],
        plan: &mut ReadPlan,
    ) -> Result<usize, StorageError> {
        self.applier.plan(preparations, plan)
    }

    /// Ends the current group; the batch goes on in the next.
    ///
    /// # Errors
    ///
    /// Those of [`Applier::end_group`].
    pub(crate) fn end_group(&mut self) -> Result<Unpersisted<Vec<TicketReplies<T>>>, StorageError> {
        self.applier.end_group()
    }

    /// The free space of the disk, if it is too little to accept requests.
    pub(crate) fn low_space(&self) -> Option<LowSpace> {
        self.applier.processor.low_space()
    }

    /// Same as [`Applier::statistics`].
    pub(crate) fn statistics(&self) -> Statistics {
        self.applier.statistics()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::{Engine, Options};

    /// A timeline of single, separate positions makes each checkpoint of it large.
    #[test]
    fn checkpoints_of_a_fragmented_timeline_fill_a_group_by_their_bytes() {
        let directory = tempfile::tempdir().expect("there is room");
        let mut engine = Engine::open(directory.path(), &Options::default()).expect("it is new");
        let ids: Vec<String> = (0..2_000).map(|n| format!("e{n}")).collect();
        let mut requests = vec![Request::Checkpoint {
            checkpoint_id: "empty",
        }];
        let process = |id| Request::Process {
            event_id: id,
            word: "w",
        };
        requests.extend(ids.iter().step_by(2).map(|id| process(id)));
        requests.extend([
            Request::Commit,
            Request::Restore {
                checkpoint_id: "empty",
            },
        ]);
        requests.extend(ids.iter().map(|id| process(id)));
        // Released events stay and new ones go, so that every other position is left.
        requests.push(Request::Rollback);
        engine
            .submit(&requests, UNIX_EPOCH)
            .expect("the storage works");
        let (mut applier, store) = engine.into_halves();
        let preparer = applier.preparer();
        let mut batch = applier.begin(0, 0, 0).expect("the disk has room");
        let mut checkpoints = 0;
        let mut applied = Applied::GoOn;
        while applied == Applied::GoOn {
            let name = checkpoints.to_string();
            let request = Request::Checkpoint {
                checkpoint_id: &name,
            };
            let preparation = preparer.prepare(&request);
            let saved = batch.apply(&request, &preparation, store.receipt());
            applied = saved.expect("the storage works");
            checkpoints += 1;
        }
        assert_eq!(applied, Applied::GroupIsFull);
        assert!(
            (200..300).contains(&checkpoints),
            "{checkpoints} of 4 KiB each"
        );
    }
}
