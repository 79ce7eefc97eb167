//! The content of the trees other than the journal, as far as it can be read.

use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::state::settled::Settled;
use crate::store::SnapshotHeader;

/// The place of a checkpoint in the history. In this order, each has nearly the same events as the
/// one before.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Number of outputs, from offset 0 on, whose ids are settled in it.
    pub(super) outputs: u64,
    pub(super) position: Position,
    pub(super) name: String,
}

/// The checkpoints that fit the journal.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// In the order of the history.
    pub(super) places: Vec<Place>,
    /// The positions that at least one of them has.
    pub(super) held: PositionSet,
}

/// The content of the trees other than the journal.
pub(super) struct Parts {
    pub(super) timeline: PositionSet,
    pub(super) settled: Settled,
    pub(super) checkpoints: Checkpoints,
    pub(super) snapshots: Vec<SnapshotHeader>,
}

impl Parts {
    /// Returns the positions that the state or a checkpoint has, or that are settled.
    pub(super) fn held(&self, head: Position) -> PositionSet {
        let released = self.settled.released.up_to(head);
        let settled = released.union(&self.settled.absorbed);
        settled.union(&self.timeline).union(&self.checkpoints.held)
    }

    /// Returns the number of events to read in order to fold each snapshot, and the state, from the
    /// one before.
    pub(super) fn events_to_fold(&self) -> u64 {
        let snapshots = self.snapshots.iter().map(|header| &header.timeline);
        let mut from = &PositionSet::default();
        let mut events = 0;
        for to in snapshots.chain([&self.timeline]) {
            events += from.difference(to).len() + to.difference(from).len();
            from = to;
        }
        events
    }
}
