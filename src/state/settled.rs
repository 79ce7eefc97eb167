//! Settled positions, whose output can never be released again.

use crate::state::position::Position;
use crate::state::position_set::{PositionRange, PositionSet};

/// The released positions. A commit adds to the closed part. With autocommit there is an open end,
/// which has every position accepted since it began. It grows with the head, so accepting an event
/// changes nothing here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Released {
    closed: PositionSet,
    open_from: Option<Position>,
}

impl Released {
    /// Returns released positions with this closed part, and with an open end from `open_from` if
    /// given.
    pub(crate) fn new(closed: PositionSet, open_from: Option<Position>) -> Self {
        Self { closed, open_from }
    }

    /// True if a position up to the head is released.
    pub(crate) fn contains(&self, position: Position) -> bool {
        self.open_from.is_some_and(|from| position >= from) || self.closed.contains(position)
    }

    /// Returns all released positions up to the head.
    pub(crate) fn up_to(&self, head: Position) -> PositionSet {
        let mut released = self.closed.clone();
        if let Some(open) = self.open_end(head) {
            released.insert_range(open);
        }
        released
    }

    /// Returns the positions of the open end up to the head, or `None` if there are none.
    pub(crate) fn open_end(&self, head: Position) -> Option<PositionRange> {
        let first = self.open_from.filter(|&from| from <= head)?;
        Some(PositionRange { first, last: head })
    }

    pub(crate) fn closed(&self) -> &PositionSet {
        &self.closed
    }

    /// Returns the first position of the open end, if there is one.
    pub(crate) fn open_from(&self) -> Option<Position> {
        self.open_from
    }

    pub(crate) fn add(&mut self, positions: &PositionSet) {
        self.closed = self.closed.union(positions);
    }

    /// Begins the open end: every position from `from` on is released as it is accepted.
    pub(crate) fn open(&mut self, from: Position) {
        self.open_from = Some(from);
    }

    /// Closes the open end at the head and returns its positions.
    pub(crate) fn close(&mut self, head: Position) -> Option<PositionRange> {
        let held = self.open_end(head);
        self.open_from = None;
        if let Some(range) = held {
            self.closed.insert_range(range);
        }
        held
    }
}

/// The settled positions, by how they were settled. A settled position stays settled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settled {
    /// Positions whose output was released.
    pub(crate) released: Released,
    /// Positions whose id was released at another position, so that their output never will be.
    pub(crate) absorbed: PositionSet,
}

impl Settled {
    /// True if a position up to the head is settled.
    pub(crate) fn contains(&self, position: Position) -> bool {
        self.released.contains(position) || self.absorbed.contains(position)
    }

    /// Returns the positions of a set that are not settled. Those of the timeline are pending.
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
