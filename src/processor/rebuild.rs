//! Building a state again from what another one held, position by position.
//!
//! The state is not whole before [`Rebuild::rest`]: until then the timeline is empty, whatever the
//! counts are.

use crate::error::StorageError;
use crate::processor::Processor;
use crate::state::counts::word_hash;
use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::state::settled::Settled;
use crate::state::timeline::Timeline;
use crate::store::bytes::entry::{Entry, EventId};
use crate::store::{Checkpoint, LowSpace, Release, Switch};

/// What a state has beside events, checkpoints, releases and moves.
#[derive(Debug, Default)]
pub(crate) struct StateParts {
    pub(crate) timeline: PositionSet,
    pub(crate) settled: Settled,
    pub(crate) autocommit: bool,
    pub(crate) source: Option<Vec<u8>>,
    pub(crate) committed_source: Option<Vec<u8>>,
}

/// A state that is being built.
#[derive(Debug)]
pub(crate) struct Rebuild<'a>(&'a mut Processor);

impl Processor {
    /// Begins to build a state in a new directory, or goes on.
    pub(crate) fn rebuild(&mut self) -> Rebuild<'_> {
        Rebuild(self)
    }
}

impl Rebuild<'_> {
    /// Adds an event that was accepted, with the count that its reply gave, and returns its
    /// position; it counts if the state has it.
    pub(crate) fn event(
        &mut self,
        event_id: &str,
        word: &str,
        count: u64,
        is_in_state: bool,
    ) -> Position {
        let hash = word_hash(word);
        let Processor {
            state,
            journal,
            index,
            ..
        } = &mut *self.0;
        let counts = &mut state.counts;
        if is_in_state {
            counts.add_hashed(word, hash, None, 1);
        }
        let entry = Entry {
            event_id: EventId::new(event_id),
            word,
            count,
        };
        let position = journal.append(&entry, hash, counts.digest());
        index.insert(index.fingerprint(event_id), position);
        position
    }

    /// Adds a checkpoint.
    pub(crate) fn checkpoint(&mut self, name: String, checkpoint: Checkpoint) {
        self.0.changes.set_bytes += checkpoint.timeline.stored_bytes();
        self.0.changes.checkpoints.insert(name, Some(checkpoint));
    }

    /// Adds the next release.
    pub(crate) fn release(&mut self, release: Release) {
        let state = &mut self.0.state;
        state.outputs = release.end();
        if let Some(commit) = &release.commit {
            state.last_commit = commit.number;
            state.last_committed_at_ms = commit.committed_at_ms;
        }
        self.0.changes.set_bytes += release.released.stored_bytes();
        self.0.changes.releases.push(release);
    }

    /// Adds the next restore or rollback.
    pub(crate) fn switch(&mut self, made: Switch) {
        self.0.state.switches = made.number;
        self.0.changes.switches.push(made);
    }

    /// Adds the rest, once all events are there.
    pub(crate) fn rest(&mut self, rest: StateParts) {
        let head = self.0.journal.head();
        self.0.state.pending = rest.settled.missing_of(&rest.timeline).len();
        self.0.state.timeline = Timeline::new(rest.timeline, head.next());
        self.0.state.settled = rest.settled;
        self.0.state.autocommit = rest.autocommit;
        self.0.state.source = rest.source;
        self.0.state.committed_source = rest.committed_source;
        self.0.open_released();
        self.0.changes.scalars = true;
        self.0.changes.closed = true;
        self.0.changes.released = true;
        self.0.changes.absorbed = true;
    }

    /// The digest of the counts.
    pub(crate) fn counts_digest(&self) -> u64 {
        self.0.state.counts.digest()
    }

    /// Looks how much of the disk is free, and says so if that is too little.
    ///
    /// # Errors
    ///
    /// As of [`Processor::begin_batch`].
    pub(crate) fn look_for_room(&mut self) -> Result<Option<LowSpace>, StorageError> {
        self.0.begin_batch(0)?;
        Ok(self.0.low_space)
    }
}
