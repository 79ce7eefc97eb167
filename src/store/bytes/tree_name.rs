//! The names of the trees of the database.

/// The trees of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TreeName {
    Meta,
    Journal,
    Sets,
    Counts,
    Checkpoints,
    Releases,
    Seen,
    Moves,
}

impl TreeName {
    pub(crate) const ALL: [Self; 8] = [
        Self::Meta,
        Self::Journal,
        Self::Sets,
        Self::Counts,
        Self::Checkpoints,
        Self::Releases,
        Self::Seen,
        Self::Moves,
    ];

    /// Its name, in the database and to people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Journal => "journal",
            Self::Sets => "sets",
            Self::Counts => "counts",
            Self::Checkpoints => "checkpoints",
            Self::Releases => "releases",
            Self::Seen => "seen",
            Self::Moves => "moves",
        }
    }
}
