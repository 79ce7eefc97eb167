//! Settled positions: those whose output can never be released any more.

use crate::state::position::Position;
use crate::state::position_set::PositionSet;

/// The settled positions, by how they were settled. They stay so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settled {
    /// Positions whose output a commit released.
    pub(crate) released: PositionSet,
    /// Positions whose id was released under another position, which absorbed their output.
    pub(crate) absorbed: PositionSet,
}

impl Settled {
    /// Whether a position is settled.
    pub(crate) fn contains(&self, position: Position) -> bool {
        self.released.contains(position) || self.absorbed.contains(position)
    }

    /// The positions of a set that are not settled: in the timeline, those that are pending.
    pub(crate) fn missing_of(&self, positions: &PositionSet) -> PositionSet {
        positions
            .difference(&self.released)
            .difference(&self.absorbed)
    }
}
