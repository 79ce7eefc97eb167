//! What a dump consists of: records, in sections.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A part of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Section {
    /// Format, positions, timelines: the scalars and sets of the state.
    Meta,
    /// How many events carry each word.
    Counts,
    /// The saved checkpoints.
    Checkpoints,
    /// The commits.
    Commits,
    /// The restores and rollbacks.
    Moves,
    /// Released outputs, then pending ones.
    Outputs,
    /// Every event that was ever accepted, by position.
    Seen,
}

impl Section {
    /// Every section, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Meta,
        Self::Counts,
        Self::Checkpoints,
        Self::Commits,
        Self::Moves,
        Self::Outputs,
        Self::Seen,
    ];

    /// Its name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Counts => "counts",
            Self::Checkpoints => "checkpoints",
            Self::Commits => "commits",
            Self::Moves => "moves",
            Self::Outputs => "outputs",
            Self::Seen => "seen",
        }
    }

    /// The section of a name; `None` if no section has it.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }
}

/// Whether an output has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputStatus {
    /// A commit released it.
    Committed,
    /// The next commit will release it.
    Pending,
}

/// What led from one state to an earlier or another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MoveKind {
    /// A restore of a checkpoint.
    Restore,
    /// A rollback.
    Rollback,
}

/// A source position: as text, or as its bytes where it is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source<'a> {
    /// UTF-8.
    Text(Cow<'a, str>),
    /// Anything else.
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Source<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Bytes(bytes.into()),
        }
    }
}

/// One thing that the state holds. Positions start at 1, offsets of outputs at 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record<'a> {
    /// A scalar of the state, or one of its position sets as ranges (first, last).
    Meta {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: serde_json::Value,
    },
    /// A word of the state.
    Count {
        /// The word.
        word: &'a str,
        /// How many events carry it, at least 1.
        count: u64,
    },
    /// A saved checkpoint.
    Checkpoint {
        /// Its name.
        name: &'a str,
        /// How many events it has.
        events: u64,
        /// How many outputs would be pending after restoring it.
        pending: u64,
        /// The journal's last position when it was saved.
        position: u64,
        /// As many of the first outputs in the output log are settled in it.
        outputs: u64,
        /// The source position of its state.
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<Source<'a>>,
        /// The source position of the last commit before it.
        #[serde(skip_serializing_if = "Option::is_none")]
        committed_source: Option<Source<'a>>,
        /// Its positions as ranges (first, last).
        timeline: Vec<(u64, u64)>,
        /// When it was saved, in milliseconds since 1970, if asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        created_at_ms: Option<u64>,
    },
    /// A commit that released something.
    Commit {
        /// Its number, from 1.
        commit: u64,
        /// The offset of its first output.
        first_offset: u64,
        /// How many outputs it released.
        outputs: u64,
        /// The journal's last position when it was made.
        position: u64,
        /// When it was made, in milliseconds since 1970, if asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        committed_at_ms: Option<u64>,
    },
    /// A restore, or a rollback that discarded something.
    Move {
        /// Its number, from 1.
        number: u64,
        /// Which of both it was.
        kind: MoveKind,
        /// The checkpoint that was restored.
        #[serde(skip_serializing_if = "Option::is_none")]
        checkpoint: Option<&'a str>,
        /// The journal's last position when it was made.
        position: u64,
        /// The last position of the state that it led to; 0 if that had no events.
        reached: u64,
        /// How many events left the state.
        events_left: u64,
        /// How many events came back into it.
        events_back: u64,
        /// The number of the last commit before it.
        last_commit: u64,
        /// When it was made, in milliseconds since 1970, if asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        made_at_ms: Option<u64>,
    },
    /// An output.
    Output {
        /// Whether it has left.
        status: OutputStatus,
        /// Its offset in the output log, once it has left.
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        /// The commit that released it; none with autocommit.
        #[serde(skip_serializing_if = "Option::is_none")]
        commit: Option<u64>,
        /// The event's position.
        position: u64,
        /// The event's id.
        event_id: &'a str,
        /// The event's word.
        word: &'a str,
        /// The count that the event's reply gave.
        count: u64,
    },
    /// An event that was accepted, in the present state or in one that was left.
    Seen {
        /// The event's position.
        position: u64,
        /// The event's id.
        event_id: &'a str,
        /// The event's word.
        word: &'a str,
        /// The count that the event's reply gave.
        count: u64,
        /// Whether the present state has it.
        in_state: bool,
        /// Whether its output, or that of another event with its id, was released.
        settled: bool,
    },
}
