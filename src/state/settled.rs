//! Settled positions: those whose output can never be released any more.

use crate::state::position::Position;
use crate::state::position_set::{PositionRange, PositionSet};

/// The released positions: a closed part, which a commit adds to, and with autocommit an open end,
/// which holds every position accepted since. The open end follows the journal's head, so accepting
/// an event changes nothing here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Released {
    closed: PositionSet,
    open_from: Option<Position>,
}

impl Released {
    /// A closed part, and everything from `open_from` on if that is given.
    pub(crate) fn new(closed: PositionSet, open_from: Option<Position>) -> Self {
        Self { closed, open_from }
    }

    /// True if a position is released, which must not be beyond the journal's head.
    pub(crate) fn contains(&self, position: Position) -> bool {
        self.open_from.is_some_and(|from| position >= from) || self.closed.contains(position)
    }

    /// All released positions, given the journal's last one.
    pub(crate) fn up_to(&self, head: Position) -> PositionSet {
        let mut released = self.closed.clone();
        if let Some(open) = self.open_end(head) {
            released.insert_range(open);
        }
        released
    }

    /// The positions of the open end, given the journal's last one; `None` if it has none.
    pub(crate) fn open_end(&self, head: Position) -> Option<PositionRange> {
        let first = self.open_from.filter(|&from| from <= head)?;
        Some(PositionRange { first, last: head })
    }

    /// The closed part.
    pub(crate) fn closed(&self) -> &PositionSet {
        &self.closed
    }

    /// The first position of the open end, if there is one.
    pub(crate) fn open_from(&self) -> Option<Position> {
        self.open_from
    }

    /// Adds positions to the closed part.
    pub(crate) fn add(&mut self, positions: &PositionSet) {
        self.closed = self.closed.union(positions);
    }

    /// Has every position from here on released as it is accepted.
    pub(crate) fn open(&mut self, from: Position) {
        self.open_from = Some(from);
    }

    /// Ends the open end at the journal's head, and returns what it held.
    pub(crate) fn close(&mut self, head: Position) -> Option<PositionRange> {
        let held = self.open_end(head);
        self.open_from = None;
        if let Some(range) = held {
            self.closed.insert_range(range);
        }
        held
    }
}

/// The settled positions, by how they were settled. They stay so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settled {
    /// Positions whose output was released.
    pub(crate) released: Released,
    /// Positions whose id was released under another position, which absorbed their output.
    pub(crate) absorbed: PositionSet,
}

impl Settled {
    /// True if a position is settled, which must not be beyond the journal's head.
    pub(crate) fn contains(&self, position: Position) -> bool {
        self.released.contains(position) || self.absorbed.contains(position)
    }

    /// The positions of a set that are not settled: in the timeline, those that are pending.
    pub(crate) fn missing_of(&self, positions: &PositionSet) -> PositionSet {
        let last = positions.last().unwrap_or(Position::NONE);
        let mut missing = positions
            .difference(self.released.closed())
            .difference(&self.absorbed);
        if let Some(open) = self.released.open_end(last) {
            missing.remove_range(open);
        }
        missing
    }
}
