//! Building a state again from what another one held, position by position.
//!
//! Nobody may look at it before it is whole: until [`Processor::rebuild_state`] the timeline is
//! empty, whatever the counts are.

use crate::processor::Processor;
use crate::state::counts::word_hash;
use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::state::settled::Settled;
use crate::state::timeline::Timeline;
use crate::store::entry::{Entry, EventId};
use crate::store::{Checkpoint, Commit, LowSpace, Move};

/// What a state has beside events, checkpoints, commits and moves.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    pub(crate) timeline: PositionSet,
    pub(crate) settled: Settled,
    pub(crate) source: Option<Vec<u8>>,
    pub(crate) committed_source: Option<Vec<u8>>,
}

impl Processor {
    /// Adds an event that was accepted, with the count that its reply gave, and returns its
    /// position; it counts if the state has it.
    pub(crate) fn rebuild_event(
        &mut self,
        event_id: &str,
        word: &str,
        count: u64,
        is_in_state: bool,
    ) -> Position {
        let hash = word_hash(word);
        let counts = &mut self.state.counts;
        if is_in_state {
            counts.add_hashed(word, hash, None, 1);
        }
        let entry = Entry {
            event_id: EventId::new(event_id),
            word,
            count,
        };
        let position = self.journal.append(&entry, hash, counts.digest());
        self.index
            .insert(self.index.fingerprint(event_id), position);
        position
    }

    /// Adds a checkpoint.
    pub(crate) fn rebuild_checkpoint(&mut self, name: String, checkpoint: Checkpoint) {
        self.changes.set_bytes += checkpoint.timeline.stored_bytes();
        self.changes.checkpoints.insert(name, Some(checkpoint));
    }

    /// Adds the next commit.
    pub(crate) fn rebuild_commit(&mut self, commit: Commit) {
        self.state.last_commit = commit.number;
        self.state.outputs += commit.released.len();
        self.changes.set_bytes += commit.released.stored_bytes();
        self.changes.commits.push(commit);
    }

    /// Adds the next restore or rollback.
    pub(crate) fn rebuild_move(&mut self, made: Move) {
        self.state.moves = made.number;
        self.changes.moves.push(made);
    }

    /// Adds the rest, once all events are there.
    pub(crate) fn rebuild_state(&mut self, rest: Rest) {
        let head = self.journal.head();
        self.state.pending = rest.settled.missing_of(&rest.timeline).len();
        self.state.timeline = Timeline::new(rest.timeline, head.next());
        self.state.settled = rest.settled;
        self.state.source = rest.source;
        self.state.committed_source = rest.committed_source;
        self.changes.scalars = true;
        self.changes.closed = true;
        self.changes.released = true;
        self.changes.absorbed = true;
    }

    /// The digest of the counts.
    pub(crate) fn counts_digest(&self) -> u64 {
        self.state.counts.digest()
    }

    /// What is free on the disk, if that was too little when it was last looked at.
    pub(crate) fn low_space(&self) -> Option<LowSpace> {
        self.low_space
    }
}
