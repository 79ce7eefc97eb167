//! What a dump consists of: records, in sections. They are written and read as JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::inspect::digest::Digest;

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
    Switches,
    /// Released outputs, then pending ones.
    Outputs,
    /// Every event that was ever accepted, by position.
    Events,
}

impl Section {
    /// Every section, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Meta,
        Self::Counts,
        Self::Checkpoints,
        Self::Commits,
        Self::Switches,
        Self::Outputs,
        Self::Events,
    ];

    /// Its name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Counts => "counts",
            Self::Checkpoints => "checkpoints",
            Self::Commits => "commits",
            Self::Switches => "switches",
            Self::Outputs => "outputs",
            Self::Events => "events",
        }
    }

    /// The section of a name; `None` if no section has it.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }
}

/// Whether an output is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputStatus {
    /// It is in the output log.
    #[serde(alias = "committed")]
    Released,
    /// The next commit will release it.
    Pending,
}

/// What switched the state from one timeline to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SwitchKind {
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

    /// The bytes of the source position.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_owned().into_bytes(),
            Self::Bytes(bytes) => bytes.into_owned(),
        }
    }
}

/// Positions as ranges, (first, last) each.
pub type Ranges = Vec<(u64, u64)>;

/// One thing that the state holds. Positions start at 1, offsets of outputs at 0. As JSON, the
/// member `type` comes first: the name of the variant in lower case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record<'a> {
    /// A scalar of the state, or one of its position sets as [`Ranges`].
    #[serde(borrow)]
    Meta(Meta<'a>),
    /// A word of the state.
    Count(Count<'a>),
    /// A saved checkpoint.
    Checkpoint(Checkpoint<'a>),
    /// A commit that released something.
    Commit(Commit),
    /// A restore, or a rollback that discarded something.
    #[serde(alias = "move")]
    Switch(Switch<'a>),
    /// An output.
    Output(Output<'a>),
    /// An event that was accepted, in the present state or in one that was left.
    #[serde(alias = "seen")]
    Event(Event<'a>),
    /// The last line of a whole dump.
    Digest(Digest),
}

/// A scalar of the state, or one of its position sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: serde_json::Value,
}

/// A word of the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Count<'a> {
    /// The word.
    #[serde(borrow)]
    pub word: Cow<'a, str>,
    /// How many events carry it, at least 1.
    pub count: u64,
}

/// A saved checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// How many events it has.
    pub events: u64,
    /// How many outputs would be pending after restoring it.
    pub pending: u64,
    /// The journal's last position when it was saved.
    pub position: u64,
    /// As many of the first outputs in the output log are settled in it; `None` in a dump of
    /// format 4.
    pub outputs: Option<u64>,
    /// The number of the last commit before it, in a dump of format 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit: Option<u64>,
    /// The source position of its state.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source<'a>>,
    /// The source position of the last commit before it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub committed_source: Option<Source<'a>>,
    /// Its positions.
    pub timeline: Ranges,
    /// When it was saved, in milliseconds since 1970, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at_ms: Option<u64>,
}

/// A commit that released something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Its number, from 1.
    pub commit: u64,
    /// The offset of its first output.
    pub first_offset: u64,
    /// How many outputs it released.
    pub outputs: u64,
    /// The journal's last position when it was made.
    pub position: u64,
    /// When it was made, in milliseconds since 1970, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at_ms: Option<u64>,
}

/// A restore, or a rollback that discarded something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Switch<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// Which of both it was.
    pub kind: SwitchKind,
    /// The checkpoint that was restored.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Cow<'a, str>>,
    /// The journal's last position when it was made.
    pub position: u64,
    /// The last position of the state that it led to; 0 if that had no events.
    pub reached: u64,
    /// How many events left the state.
    pub events_left: u64,
    /// How many events came back into it.
    pub events_back: u64,
    /// The number of the last commit before it.
    pub last_commit: u64,
    /// When it was made, in milliseconds since 1970, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at_ms: Option<u64>,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output<'a> {
    /// Whether it is released.
    pub status: OutputStatus,
    /// Its offset in the output log, once it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The commit that released it; none with autocommit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
    /// The event's position.
    pub position: u64,
    /// The event's id.
    #[serde(borrow)]
    pub event_id: Cow<'a, str>,
    /// The event's word.
    #[serde(borrow)]
    pub word: Cow<'a, str>,
    /// The count that the event's reply gave.
    pub count: u64,
}

/// An event that was accepted, in the present state or in one that was left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// The event's position.
    pub position: u64,
    /// The event's id.
    #[serde(borrow)]
    pub event_id: Cow<'a, str>,
    /// The event's word.
    #[serde(borrow)]
    pub word: Cow<'a, str>,
    /// The count that the event's reply gave.
    pub count: u64,
    /// Whether the present state has it.
    pub in_state: bool,
    /// Whether its output, or that of another event with its id, was released.
    pub settled: bool,
}
