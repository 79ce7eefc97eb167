//! The present state, in memory and pure: no disk, no wire, no clock.

pub(crate) mod counts;
pub(crate) mod position_set;
pub(crate) mod timeline;

use crate::request::Position;
use counts::Counts;
use position_set::PositionSet;
use timeline::Timeline;

/// What the processor knows of the state.
///
/// A position is *settled* when its output can never be released any more: a commit released it,
/// or the output of its id was released under another position and absorbed this one. What is in
/// the timeline and not settled is pending. Settled positions stay settled.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) timeline: Timeline,
    /// Positions whose output a commit released.
    pub(crate) released: PositionSet,
    /// Positions whose id was released under another position.
    pub(crate) absorbed: PositionSet,
    pub(crate) counts: Counts,
    /// How many positions are pending.
    pub(crate) pending: u64,
    /// The number of the last commit; 0 if there is none.
    pub(crate) last_commit: u64,
    /// How many outputs have been released.
    pub(crate) outputs: u64,
    /// The source position of the state.
    pub(crate) source: Option<Vec<u8>>,
    /// The source position that the last commit of this timeline held.
    pub(crate) committed_source: Option<Vec<u8>>,
}

impl State {
    /// Whether the output of a position can never be released any more.
    pub(crate) fn is_settled(&self, position: Position) -> bool {
        self.released.contains(position) || self.absorbed.contains(position)
    }

    /// The positions of a set whose outputs are not settled.
    pub(crate) fn unsettled(&self, positions: &PositionSet) -> PositionSet {
        positions
            .difference(&self.released)
            .difference(&self.absorbed)
    }
}
