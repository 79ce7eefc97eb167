//! Processing requests in order: deduplicate, apply, collect what must be written, reply.
//!
//! This file accepts events and saves checkpoints. [`prepared`] works out what it can of a request
//! ahead of time, [`search`] finds the earlier positions of an event id, [`release`] releases
//! outputs, [`switches`] switches from one timeline to another, and [`rebuild`] builds a state from
//! a dump. [`changes`] are collected for the next group.
//!
//! A [`Processor`] applies requests in memory, ahead of the disk, and returns their changes as
//! [`Group`]s. Only [`crate::driver`] uses it, and keeps the replies until their group is durable.
//! The processor uses no JSON, threads or clock: times come from the caller, and no reply depends
//! on them.

mod changes;
mod earlier;
mod prepared;
mod rebuild;
mod release;
mod search;
mod snapshots;
pub(crate) mod statistics;
mod switches;

use crossbeam_channel::Receiver;
use tracing::warn;

use crate::error::StorageError;
use crate::index::{Index, TablePart};
use crate::journal::{Journal, walk_fingerprints};
use crate::processor::snapshots::Snapshots;
use crate::processor::statistics::Statistics;
use crate::request::{Outcome, Refusal, Reply, Request};
use crate::state::State;
use crate::state::counts::{Counts, word_hash};
use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::state::timeline::Timeline;
use crate::store::Options;
use crate::store::bytes::entry::Entry;
use crate::store::cache::Cache;
use crate::store::{Checkpoint, Group, LowSpace, Reader, Receipt, Scalars, SpaceFloor, Store};
use changes::Changes;
use earlier::{OtherWord, Replay};
use prepared::Event;
pub(crate) use prepared::{Preparation, Preparer};
pub(crate) use rebuild::{Rebuild, StateParts};

/// The most checkpoints, releases and switches in one group: sled keeps about 1 KB of garbage for
/// each write until its transaction ends.
const MAX_CONTROLS_A_GROUP: usize = 1_000;

/// The most bytes in one group. A larger one gains little: 440 KB already reach 176 MB/s with a
/// real fdatasync, and are durable in 2.5 ms.
const MAX_BYTES_A_GROUP: usize = 1 << 20;

/// The state machine: it turns requests into replies and groups.
#[derive(Debug)]
pub(crate) struct Processor {
    state: State,
    journal: Journal,
    index: Index,
    snapshots: Snapshots,
    cache: Cache,
    reader: Reader,
    floor: SpaceFloor,
    /// The free space of the disk, if it is too little to accept requests.
    low_space: Option<LowSpace>,
    read_ahead_requests: usize,
    replay: Replay,
    changes: Changes,
    now_ms: u64,
    statistics: Statistics,
}

impl Processor {
    /// Builds the state from the store.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if something stored cannot be read or is inconsistent.
    pub(crate) fn open(store: &Store, options: &Options) -> Result<Self, StorageError> {
        let (reader, scalars, sets) = (store.reader(), store.scalars(), store.live_sets());
        let head = scalars.position;
        let timeline = Timeline::new(sets.closed.clone(), scalars.open_from);
        let state = State {
            timeline,
            settled: sets.settled.clone(),
            counts: Counts::default(),
            pending: 0,
            last_commit: scalars.last_commit,
            last_committed_at_ms: scalars.last_committed_at_ms,
            autocommit: scalars.autocommit,
            outputs: scalars.outputs,
            switches: scalars.switches,
            source: scalars.source.clone(),
            committed_source: scalars.committed_source.clone(),
        };
        let mut processor = Self {
            state,
            journal: Journal::open(
                reader.clone(),
                store.cache().clone(),
                head,
                store.first_groups(),
            )?,
            index: open_index(store, options.run_events.max(1), head)?,
            cache: store.cache().clone(),
            snapshots: Snapshots::open(reader.clone(), options.snapshot_interval_events.max(1))?,
            reader,
            floor: store.space_floor(options.min_free_bytes),
            low_space: None,
            read_ahead_requests: options.read_ahead_requests,
            replay: Replay::new(),
            changes: Changes::default(),
            now_ms: 0,
            statistics: Statistics::default(),
        };
        let timeline = processor.state.timeline.up_to(head);
        processor.fold_counts(&PositionSet::default(), &timeline)?;
        processor.check_counts(scalars.counts_digest)?;
        processor.state.pending = processor.state.settled.missing_of(&timeline).len();
        Ok(processor)
    }

    /// Prepares for requests that arrived at `now_ms`: reads the free space of the disk, and adds a
    /// part of the index if one has been read.
    ///
    /// # Errors
    ///
    /// [`StorageError::Space`] if the free space cannot be read, and those of
    /// [`Processor::take_index_part`].
    pub(crate) fn begin_batch(&mut self, now_ms: u64) -> Result<(), StorageError> {
        self.now_ms = now_ms;
        self.low_space = self.floor.check()?;
        self.index.take_index_part()
    }

    /// Returns what prepares requests for this processor.
    pub(crate) fn preparer(&self) -> Preparer {
        Preparer::new(self.index.fingerprints())
    }

    /// Parts of the index that have been read and wait to be added, right after a start.
    pub(crate) fn index_parts(&self) -> Option<&Receiver<TablePart>> {
        self.index.index_parts()
    }

    /// Adds a part of the index, if one has been read.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the part could not be read.
    pub(crate) fn take_index_part(&mut self) -> Result<(), StorageError> {
        self.index.take_index_part()
    }

    /// Applies one request in memory, with its preparation by a [`Preparer`] of this processor.
    /// `None` if nothing was applied, because the request reads what is stored and `receipt` does
    /// not prove everything before it durable.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the store cannot be read; the processor must not be used any more.
    pub(crate) fn apply(
        &mut self,
        request: &Request<'_>,
        preparation: &Preparation,
        receipt: Receipt,
    ) -> Result<Option<Result<Reply, Refusal>>, StorageError> {
        if let Err(refusal) = self.check(request) {
            return Ok(Some(Err(refusal)));
        }
        let answer = match *request {
            Request::Process { event_id, word } => {
                Ok(self.process(&preparation.event(event_id, word))?)
            }
            Request::Checkpoint { checkpoint_id } => Ok(self.checkpoint(checkpoint_id)),
            // These read checkpoints and releases from the store.
            Request::DeleteCheckpoint { .. } | Request::Restore { .. }
                if !self.is_all_durable(receipt) =>
            {
                return Ok(None);
            }
            Request::DeleteCheckpoint { checkpoint_id } => self.delete_checkpoint(checkpoint_id)?,
            Request::Restore { checkpoint_id } => self.restore(checkpoint_id)?,
            Request::Commit => Ok(self.commit()),
            Request::Rollback => Ok(self.rollback()?),
            Request::Advance { source } => Ok(self.advance(source)),
        };
        Ok(Some(answer))
    }

    /// Checks what can be checked without the state.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if a length is out of range or the disk is nearly full.
    pub(crate) fn check(&self, request: &Request<'_>) -> Result<(), Refusal> {
        request.check_lengths().and_then(|()| self.check_space())
    }

    /// True if the receipt proves everything that was applied durable.
    fn is_all_durable(&self, receipt: Receipt) -> bool {
        let is_unchanged = self.changes.is_empty() && self.journal.unwritten_bytes() == 0;
        is_unchanged && receipt.group() + 1 == self.journal.group()
    }

    /// Applies an event if its preparation has all of it, as for most events. Otherwise returns
    /// `None`, and [`Processor::apply`] must be called.
    ///
    /// # Errors
    ///
    /// Those of [`Processor::apply`].
    pub(crate) fn apply_prepared(
        &mut self,
        preparation: &Preparation,
    ) -> Result<Option<Result<Reply, Refusal>>, StorageError> {
        let Some(event) = preparation.decoded_event() else {
            return Ok(None);
        };
        match self.check_space() {
            Ok(()) => self.process(&event).map(|reply| Some(Ok(reply))),
            Err(refusal) => Ok(Some(Err(refusal))),
        }
    }

    /// The free space of the disk, if it was too little when last read.
    pub(crate) fn low_space(&self) -> Option<LowSpace> {
        self.low_space
    }

    fn check_space(&self) -> Result<(), Refusal> {
        match self.low_space {
            None => Ok(()),
            Some(LowSpace {
                free_bytes,
                floor_bytes,
            }) => Err(Refusal::LowDisk {
                free_bytes,
                floor_bytes,
            }),
        }
    }

    fn process(&mut self, event: &Event<'_>) -> Result<Reply, StorageError> {
        let twins = self.find_earlier(event)?;
        if let Some(other_word) = twins.present {
            self.commit_after_event();
            return Ok(self.duplicate(event, other_word));
        }
        let &Event {
            id,
            word,
            fingerprint,
            word_hash,
            likely_number,
        } = event;
        let counts = &mut self.state.counts;
        let count = counts.add_hashed(word, word_hash, likely_number, 1);
        let entry = Entry {
            event_id: id,
            word,
            count,
        };
        let position = self
            .journal
            .append(&entry, word_hash, self.state.counts.digest());
        self.index.insert(fingerprint, position);
        self.settle_accepted(position, twins.is_settled);
        if let Some(Some(released)) = twins.released {
            self.statistics.conflicts += 1;
            id.with_text(|event_id| {
                warn!(
                    event_id,
                    word,
                    released = &*released,
                    "conflict: released with another word"
                );
            });
        }
        self.commit_after_event();
        self.statistics.accepted += 1;
        Ok(Reply::Processed {
            count,
            outcome: Outcome::Accepted,
        })
    }

    fn duplicate(&mut self, event: &Event<'_>, other_word: OtherWord) -> Reply {
        let &Event {
            word,
            word_hash,
            likely_number,
            ..
        } = event;
        let counts = &self.state.counts;
        let count = counts.get_hashed(word, word_hash, likely_number);
        self.statistics.duplicates += 1;
        let Some(original_word) = other_word else {
            return Reply::Processed {
                count,
                outcome: Outcome::Duplicate,
            };
        };
        self.statistics.conflicts += 1;
        event.id.with_text(|event_id| {
            warn!(
                event_id,
                word,
                original_word = &*original_word,
                "conflict: counted with another word"
            );
        });
        Reply::Processed {
            count,
            outcome: Outcome::Conflict { original_word },
        }
    }

    fn checkpoint(&mut self, name: &str) -> Reply {
        let head = self.journal.head();
        let checkpoint = Checkpoint {
            timeline: self.state.timeline.up_to(head),
            position: head,
            outputs: self.state.outputs,
            source: self.state.source.clone(),
            committed_source: self.state.committed_source.clone(),
            created_at_ms: self.now_ms,
        };
        self.changes.set_bytes += checkpoint.timeline.stored_bytes();
        self.changes
            .checkpoints
            .insert(name.to_owned(), Some(checkpoint));
        Reply::CheckpointSaved
    }

    fn delete_checkpoint(&mut self, name: &str) -> Result<Result<Reply, Refusal>, StorageError> {
        if self.reader.checkpoint(name)?.is_none() {
            return Ok(Err(unknown_checkpoint(name)));
        }
        self.changes.checkpoints.insert(name.to_owned(), None);
        Ok(Ok(Reply::CheckpointDeleted))
    }

    fn advance(&mut self, source: &[u8]) -> Reply {
        self.state.source = Some(source.to_vec());
        if self.state.autocommit && self.state.pending == 0 {
            self.state.committed_source = self.state.source.clone();
            self.open_released();
        }
        self.changes.scalars = true;
        Reply::Advanced
    }

    /// True if the requests since the last group are enough for one.
    pub(crate) fn group_is_full(&self) -> bool {
        let controls = self.changes.controls();
        let bytes = self.journal.unwritten_bytes() + self.changes.set_bytes;
        controls >= MAX_CONTROLS_A_GROUP || bytes >= MAX_BYTES_A_GROUP
    }

    /// Returns everything that changed since the last call; it must be durable before any reply
    /// since then is shown.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if writing a snapshot has failed, or the free space of the disk cannot be
    /// read.
    pub(crate) fn take_group(&mut self) -> Result<Group, StorageError> {
        let head = self.journal.head();
        if self
            .snapshots
            .is_due(head, self.state.counts.interned_words())
        {
            self.begin_snapshot();
        }
        self.low_space = self.floor.check()?;
        let changes = std::mem::take(&mut self.changes);
        let state = &self.state;
        let group = Group {
            number: self.journal.group(),
            scalars: Scalars {
                position: head,
                open_from: state.timeline.open_from(),
                last_commit: state.last_commit,
                last_committed_at_ms: state.last_committed_at_ms,
                autocommit: state.autocommit,
                released_from: state.settled.released.open_from(),
                outputs: state.outputs,
                source: state.source.clone(),
                committed_source: state.committed_source.clone(),
                counts_digest: state.counts.digest(),
                switches: state.switches,
            },
            scalars_changed: changes.scalars,
            blocks: self.journal.take_unwritten(),
            closed: changes.closed.then(|| state.timeline.closed().clone()),
            released: changes
                .released
                .then(|| state.settled.released.closed().clone()),
            absorbed: changes.absorbed.then(|| state.settled.absorbed.clone()),
            checkpoints: changes.checkpoints,
            releases: changes.releases,
            switches: changes.switches,
            snapshots: self
                .snapshots
                .take_writes(&self.floor, self.journal.group())?,
            runs: self.index.take_writes(&self.floor, self.journal.group())?,
        };
        if !group.is_empty() {
            self.journal.end_group(group.as_lone_block().is_none());
        }
        Ok(group)
    }

    /// Returns the next group of a clean end: what is left, and a last snapshot if many events
    /// follow the previous one. `None` if nothing is left to write.
    ///
    /// # Errors
    ///
    /// Those of [`Processor::take_group`].
    pub(crate) fn take_last_group(&mut self) -> Result<Option<Group>, StorageError> {
        if self.snapshots.is_due_at_the_end(self.journal.head()) {
            self.begin_snapshot();
        }
        self.snapshots.wait()?;
        self.index.wait()?;
        let group = self.take_group()?;
        let is_idle = self.snapshots.is_idle() && self.index.is_idle();
        Ok((!group.is_empty() || !is_idle).then_some(group))
    }

    fn begin_snapshot(&mut self) {
        let head = self.journal.head();
        let timeline = self.state.timeline.up_to(head);
        self.snapshots
            .begin(timeline, head, self.state.counts.present());
    }

    /// Figures since the start, and the present position.
    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            pending: self.state.pending,
            outputs: self.state.outputs,
            position: self.journal.head().0,
            durable_position: self.reader.durable().0,
            index_bytes: self.index.memory_bytes() as u64,
            memory_bytes: self.cache.bytes().budget,
            cache_bytes: self.cache.bytes().used,
            reads: self.cache.reads(),
            reads_ahead: self.cache.reads_ahead(),
            ..self.statistics
        }
    }

    /// Number of events of the state that carry a word.
    pub(crate) fn count(&self, word: &str) -> u64 {
        self.state.counts.get_hashed(word, word_hash(word), None)
    }

    /// The source position of the state.
    pub(crate) fn source(&self) -> Option<&[u8]> {
        self.state.source.as_deref()
    }
}

/// The refusal of a request for a checkpoint that does not exist.
fn unknown_checkpoint(name: &str) -> Refusal {
    Refusal::UnknownCheckpoint {
        checkpoint_id: name.to_owned(),
    }
}

/// Opens the index, and adds the entries of the journal that it does not cover.
fn open_index(store: &Store, run_events: u64, head: Position) -> Result<Index, StorageError> {
    let fingerprints = store.fingerprints();
    let (reader, cache) = (store.reader(), store.cache().clone());
    let (mut index, next) = Index::open(reader, cache, fingerprints, run_events, head)?;
    let push = |position, fingerprint| {
        index.push(fingerprint, position);
    };
    let reached = walk_fingerprints(&store.reader(), next, fingerprints, push, |_| ())?;
    index.take_in_pushed();
    if reached == head {
        return Ok(index);
    }
    let (expected, found) = (format!("position {head}"), format!("position {reached}"));
    Err(StorageError::damaged(
        "the end of the journal",
        expected,
        found,
    ))
}
