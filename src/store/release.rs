//! Releases, which make up the output log.

use smallvec::SmallVec;

use crate::state::position::Position;
use crate::state::position_set::{PositionRange, PositionSet, slice};

/// Outputs that were released together by a commit, or one by one with autocommit.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    /// The commit that released them; `None` if they were released as they were accepted.
    pub(crate) commit: Option<Commit>,
    /// The offset of its first output.
    pub(crate) first_output: u64,
    pub(crate) released: ReleasedPositions,
}

/// A commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// The head when it was made.
    pub(crate) position: Position,
    /// When it was made, in milliseconds since 1970 by the caller's clock.
    pub(crate) committed_at_ms: u64,
}

impl Release {
    /// Returns the offset after the last of its outputs.
    pub(crate) fn end(&self) -> u64 {
        self.first_output + self.released.len()
    }

    /// Returns its positions whose outputs are at this offset or a later one.
    pub(crate) fn ranges_from(&self, offset: u64) -> impl Iterator<Item = PositionRange> + '_ {
        let skip = offset.saturating_sub(self.first_output);
        slice(self.released.ranges(), skip, u64::MAX)
    }
}

/// The positions of a release, in the order of their outputs. Most have one range.
#[derive(Debug, Clone)]
pub(crate) enum ReleasedPositions {
    Ranges(SmallVec<[PositionRange; 1]>),
    Set(PositionSet),
}

impl ReleasedPositions {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Ranges(ranges) => ranges.iter().map(|range| range.len()).sum(),
            Self::Set(set) => set.len(),
        }
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = PositionRange> + '_ {
        let (few, many) = match self {
            Self::Ranges(ranges) => (&ranges[..], None),
            Self::Set(set) => (&[][..], Some(set)),
        };
        let many = many.into_iter().flat_map(PositionSet::ranges);
        few.iter().copied().chain(many)
    }

    pub(crate) fn last(&self) -> Option<Position> {
        match self {
            Self::Ranges(ranges) => ranges.last().map(|range| range.last),
            Self::Set(set) => set.last(),
        }
    }

    /// Returns about the most bytes that they take when stored.
    pub(crate) fn stored_bytes(&self) -> usize {
        match self {
            Self::Ranges(ranges) => size_of_val(&ranges[..]),
            Self::Set(set) => set.stored_bytes(),
        }
    }
}

impl From<PositionRange> for ReleasedPositions {
    fn from(range: PositionRange) -> Self {
        Self::Ranges(SmallVec::from_buf([range]))
    }
}

impl From<PositionSet> for ReleasedPositions {
    fn from(set: PositionSet) -> Self {
        Self::Set(set)
    }
}
