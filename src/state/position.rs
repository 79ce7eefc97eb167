//! Positions in the journal.

use std::fmt;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// A place in the journal. Positions start at 1, grow by 1, and are never used twice.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct Position(pub(crate) u64);

impl Position {
    pub(crate) const FIRST: Self = Self(1);

    /// No position; the head of an empty journal.
    pub(crate) const NONE: Self = Self(0);

    #[must_use]
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Positions whose events may have the same id. More than one is rare.
pub(crate) type Positions = SmallVec<[Position; 2]>;
