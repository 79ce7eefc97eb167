//! Building a state again from a dump of another one, position by position.
//!
//! The state is complete only after [`Rebuild::rest`]: before that, the timeline is empty, though
//! the counts may not be.

use crate::error::StorageError;
use crate::processor::Processor;
use crate::state::counts::word_hash;
use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::state::settled::Settled;
use crate::state::timeline::Timeline;
use crate::store::bytes::entry::{Entry, EventId};
use crate::store::{Checkpoint, LowSpace, Release, Switch};

/// The parts of a state other than events, checkpoints, releases and switches.
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
    /// Begins to build a state in a new directory, or continues.
    pub(crate) fn rebuild(&mut self) -> Rebuild<'_> {
        Rebuild(self)
    }
}

impl Rebuild<'_> {
    /// Adds an accepted event, with the count in its reply, and returns its position. It is counted
    /// if `is_in_state`.
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

    /// Adds the rest, after all events.
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

    /// Reads the free space of the disk, and returns it if it is too little.
    ///
    /// # Errors
    ///
    /// Those of [`Processor::begin_batch`].
    pub(crate) fn look_for_room(&mut self) -> Result<Option<LowSpace>, StorageError> {
        self.0.begin_batch(0)?;
        Ok(self.0.low_space)
    }
}
