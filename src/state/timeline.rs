//! The timeline: which positions of the journal make up the present state.
//!
//! It has a closed part, a position set that changes only when the state moves (restore,
//! rollback), and an open end that holds every position accepted since. The open end follows
//! the journal's head, so accepting an event changes nothing here.

use crate::state::position::Position;
use crate::state::position_set::{PositionRange, PositionSet};

/// The positions of the present state.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    closed: PositionSet,
    open_from: Position,
}

impl Timeline {
    /// A timeline of a closed part and of everything from `open_from` on.
    pub(crate) fn new(closed: PositionSet, open_from: Position) -> Self {
        Self { closed, open_from }
    }

    /// Whether the state has this position, which must not be beyond the journal's head.
    pub(crate) fn contains(&self, position: Position) -> bool {
        position >= self.open_from || self.closed.contains(position)
    }

    /// The whole timeline as a set, given the journal's last position.
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

    /// The closed part.
    pub(crate) fn closed(&self) -> &PositionSet {
        &self.closed
    }

    /// The first position of the open end.
    pub(crate) fn open_from(&self) -> Position {
        self.open_from
    }
}
