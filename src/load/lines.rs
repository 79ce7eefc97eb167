//! The lines of a dump, as they are read.

use std::borrow::Cow;

use serde::Deserialize;

use crate::inspect::{MoveKind, OutputStatus, Source};

/// Positions, from the first to the last of each range.
pub(super) type Ranges = Vec<(u64, u64)>;

#[derive(Deserialize)]
pub(super) struct MetaLine<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) value: &'a serde_json::value::RawValue,
}

#[derive(Deserialize)]
pub(super) struct CountLine<'a> {
    #[serde(borrow)]
    pub(super) word: Cow<'a, str>,
    pub(super) count: u64,
}

#[derive(Deserialize)]
pub(super) struct CheckpointLine<'a> {
    pub(super) name: String,
    pub(super) position: u64,
    /// Not there in a dump of format 4, which has the number of a commit instead.
    pub(super) outputs: Option<u64>,
    pub(super) last_commit: Option<u64>,
    #[serde(borrow, default)]
    pub(super) source: Option<Source<'a>>,
    #[serde(borrow, default)]
    pub(super) committed_source: Option<Source<'a>>,
    pub(super) timeline: Ranges,
    #[serde(default)]
    pub(super) created_at_ms: u64,
}

#[derive(Deserialize)]
pub(super) struct CommitLine {
    pub(super) commit: u64,
    pub(super) first_offset: u64,
    pub(super) outputs: u64,
    pub(super) position: u64,
    #[serde(default)]
    pub(super) committed_at_ms: u64,
}

#[derive(Deserialize)]
pub(super) struct MoveLine {
    pub(super) number: u64,
    pub(super) kind: MoveKind,
    pub(super) checkpoint: Option<String>,
    pub(super) position: u64,
    pub(super) reached: u64,
    pub(super) events_left: u64,
    pub(super) events_back: u64,
    pub(super) last_commit: u64,
    #[serde(default)]
    pub(super) made_at_ms: u64,
}

#[derive(Deserialize)]
pub(super) struct OutputLine {
    pub(super) status: OutputStatus,
    pub(super) commit: Option<u64>,
    pub(super) position: u64,
}

#[derive(Deserialize)]
pub(super) struct SeenLine<'a> {
    pub(super) position: u64,
    #[serde(borrow)]
    pub(super) event_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) word: Cow<'a, str>,
    pub(super) count: u64,
    pub(super) in_state: bool,
}

/// The `type` of a line, which is its first member.
pub(super) fn kind_of(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"{\"type\":\"")?;
    let end = memchr::memchr(b'"', rest)?;
    Some(&rest[..end])
}

/// The bytes of a source position.
pub(super) fn source_of(source: Option<Source<'_>>) -> Option<Vec<u8>> {
    source.map(|source| match source {
        Source::Text(text) => text.into_owned().into_bytes(),
        Source::Bytes(bytes) => bytes.into_owned(),
    })
}
