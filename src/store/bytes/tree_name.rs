//! The names of the trees of the database.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TreeName {
    Meta,
    Journal,
    Sets,
    Counts,
    Checkpoints,
    Releases,
    Index,
    Switches,
}

impl TreeName {
    pub(crate) const ALL: [Self; 8] = [
        Self::Meta,
        Self::Journal,
        Self::Sets,
        Self::Counts,
        Self::Checkpoints,
        Self::Releases,
        Self::Index,
        Self::Switches,
    ];

    /// The name of the tree on disk, which is part of the format.
    pub(crate) fn on_disk(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Journal => "journal",
            Self::Sets => "sets",
            Self::Counts => "counts",
            Self::Checkpoints => "checkpoints",
            Self::Releases => "releases",
            Self::Index => "seen",
            Self::Switches => "moves",
        }
    }

    /// The name of the tree to people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Switches => "switches",
            other => other.on_disk(),
        }
    }
}
