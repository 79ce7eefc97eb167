//! The timeline: the set of positions whose events count in the present state.
//!
//! Its closed part is a position set that only a switch changes. Its open end has every position
//! accepted since. It grows with the head, so accepting an event changes nothing here.

use crate::state::position::Position;
use crate::state::position_set::{PositionRange, PositionSet};

/// The positions of the present state.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    closed: PositionSet,
    open_from: Position,
}

impl Timeline {
    /// Returns the timeline of a closed part and every position from `open_from` on.
    pub(crate) fn new(closed: PositionSet, open_from: Position) -> Self {
        Self { closed, open_from }
    }

    /// True if a position up to the head is in the timeline.
    pub(crate) fn contains(&self, position: Position) -> bool {
        position >= self.open_from || self.closed.contains(position)
    }

    /// Returns the whole timeline up to the head.
    pub(crate) fn up_to(&self, head: Position) -> PositionSet {
        let mut set = self.closed.clone();
        if self.open_from <= head {
            set.insert_range(PositionRange {
                first: self.open_from,
                last: head,
            });
        }
        set
    }

    pub(crate) fn closed(&self) -> &PositionSet {
        &self.closed
    }

    /// Returns the first position of the open end.
    pub(crate) fn open_from(&self) -> Position {
        self.open_from
    }
}
