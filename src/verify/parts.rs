//! What the trees beside the journal hold, as far as they can be read.

use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::state::settled::Settled;
use crate::store::SnapshotHeader;

/// Where a checkpoint stands in the history. One after the other they have nearly the same events.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// As many of the first outputs in the log are settled in it.
    pub(super) outputs: u64,
    pub(super) position: Position,
    pub(super) name: String,
}

/// The checkpoints that fit the journal.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// In the order of history.
    pub(super) places: Vec<Place>,
    /// The positions that any of them has.
    pub(super) held: PositionSet,
}

/// What the trees beside the journal hold.
pub(super) struct Parts {
    pub(super) timeline: PositionSet,
    pub(super) settled: Settled,
    pub(super) checkpoints: Checkpoints,
    pub(super) snapshots: Vec<SnapshotHeader>,
}

impl Parts {
    /// Every position that something has or knows of.
    pub(super) fn held(&self, head: Position) -> PositionSet {
        let released = self.settled.released.up_to(head);
        let settled = released.union(&self.settled.absorbed);
        settled.union(&self.timeline).union(&self.checkpoints.held)
    }

    /// How many events have to be read to fold the snapshots and the state, each from the one
    /// before.
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
