//! The records of a dump, in sections. They are written and read as JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::inspect::digest::Digest;

/// A section of a dump, with records of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Section {
    /// The scalars of the state, such as its format and its head, and its position sets.
    Meta,
    /// The words with their counts, in byte order of the words.
    Counts,
    /// The saved checkpoints, in byte order of their names.
    Checkpoints,
    /// The commits that released at least one output.
    Commits,
    /// The restores and rollbacks.
    Switches,
    /// The released outputs, then the pending ones.
    Outputs,
    /// Every event that was ever accepted, in the order of their positions.
    Events,
}

impl Section {
    /// Every section, in the order of a dump.
    pub const ALL: [Self; 7] = [
        Self::Meta,
        Self::Counts,
        Self::Checkpoints,
        Self::Commits,
        Self::Switches,
        Self::Outputs,
        Self::Events,
    ];

    /// Returns its name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.description().0
    }

    /// Returns the `type` of its records.
    #[must_use]
    pub fn record_type(self) -> &'static str {
        self.description().1
    }

    /// Returns the members that a record of it may lack.
    #[must_use]
    pub fn optional_members(self) -> &'static [&'static str] {
        self.description().2
    }

    fn description(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Meta => ("meta", "meta", &[]),
            Self::Counts => ("counts", "count", &[]),
            Self::Checkpoints => {
                let optional = &["source", "committed_source"];
                ("checkpoints", "checkpoint", optional)
            }
            Self::Commits => ("commits", "commit", &[]),
            Self::Switches => ("switches", "switch", &["checkpoint"]),
            // Pending outputs have no offset and no commit.
            Self::Outputs => ("outputs", "output", &["offset", "commit"]),
            Self::Events => ("events", "event", &[]),
        }
    }

    /// Returns the section of a name, or `None` if no section has it.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }
}

/// The status of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputStatus {
    /// It is in the output log.
    #[serde(alias = "committed")]
    Released,
    /// A commit would release it.
    Pending,
}

/// The kind of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SwitchKind {
    /// A restore of a checkpoint.
    Restore,
    /// A rollback.
    Rollback,
}

/// A source position: text, or bytes if it is not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source<'a> {
    /// UTF-8 text.
    Text(Cow<'a, str>),
    /// Other bytes; as JSON, an array of numbers from 0 to 255.
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Source<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Bytes(bytes.into()),
        }
    }

    /// Returns the bytes of the source position.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_owned().into_bytes(),
            Self::Bytes(bytes) => bytes.into_owned(),
        }
    }
}

/// A set of positions as ranges, each with its first and its last position.
pub type Ranges = Vec<(u64, u64)>;

/// A record of a dump. Positions start at 1, offsets of outputs at 0. As JSON, the first member is
/// `type`: the variant's name in lower case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record<'a> {
    /// A scalar of the state, or one of its position sets as [`Ranges`].
    #[serde(borrow)]
    Meta(Meta<'a>),
    /// A word of the state, with its count.
    Count(Count<'a>),
    /// A saved checkpoint.
    Checkpoint(Checkpoint<'a>),
    /// A commit that released at least one output.
    Commit(Commit),
    /// A restore, or a rollback that dropped at least one event.
    #[serde(alias = "move")]
    Switch(Switch<'a>),
    /// An output.
    Output(Output<'a>),
    /// An accepted event, even if the present state no longer has it.
    #[serde(alias = "seen")]
    Event(Event<'a>),
    /// The last line of a whole dump.
    Digest(Digest),
}

impl Record<'_> {
    /// Returns its word, its checkpoint's name or its event id, if its type has one of these.
    pub(super) fn subject(&self) -> Option<&str> {
        match self {
            Self::Count(count) => Some(&count.word),
            Self::Checkpoint(checkpoint) => Some(&checkpoint.name),
            Self::Output(output) => Some(&output.event_id),
            Self::Event(event) => Some(&event.event_id),
            Self::Meta(_) | Self::Commit(_) | Self::Switch(_) | Self::Digest(_) => None,
        }
    }
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

/// A word of the state, with its count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Count<'a> {
    /// The word.
    #[serde(borrow)]
    pub word: Cow<'a, str>,
    /// Number of events that carry it, at least 1.
    pub count: u64,
}

/// A saved checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Number of its events.
    pub events: u64,
    /// Number of outputs that would be pending after a restore of it.
    pub pending: u64,
    /// The head of the journal when it was saved.
    pub position: u64,
    /// Number of outputs, from offset 0 on, whose ids are settled in it; `None` in a dump of
    /// format 4.
    pub outputs: Option<u64>,
    /// The number of the last commit before it; only in a dump of format 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit: Option<u64>,
    /// The source position of its state.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source<'a>>,
    /// The source position at the last commit of its timeline.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub committed_source: Option<Source<'a>>,
    /// The positions of its events.
    pub timeline: Ranges,
    /// When it was saved, in milliseconds since 1970; only with incidentals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at_ms: Option<u64>,
}

/// A commit that released at least one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Its number, from 1.
    pub commit: u64,
    /// The offset of its first output.
    pub first_offset: u64,
    /// Number of outputs that it released.
    pub outputs: u64,
    /// The head of the journal when it was made.
    pub position: u64,
    /// When it was made, in milliseconds since 1970; only with incidentals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at_ms: Option<u64>,
}

/// A restore, or a rollback that dropped at least one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Switch<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// Its kind.
    pub kind: SwitchKind,
    /// The name of the restored checkpoint; `None` for a rollback.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Cow<'a, str>>,
    /// The head of the journal when it was made.
    pub position: u64,
    /// The last position of the timeline that it led to; 0 if that had no events.
    pub reached: u64,
    /// Number of events that left the state.
    pub events_left: u64,
    /// Number of events that came back into the state; 0 for a rollback.
    pub events_back: u64,
    /// The number of the last commit before it.
    pub last_commit: u64,
    /// When it was made, in milliseconds since 1970; only with incidentals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at_ms: Option<u64>,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output<'a> {
    /// Its status.
    pub status: OutputStatus,
    /// Its offset in the output log; `None` while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The number of the commit that released it; `None` while it is pending, and with autocommit.
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
    /// The count in the event's reply.
    pub count: u64,
}

/// An accepted event, even if the present state no longer has it.
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
    /// The count in the event's reply.
    pub count: u64,
    /// True if the present state has it.
    pub in_state: bool,
    /// True if its output, or that of another event with its id, was released.
    pub settled: bool,
}
