//! One released output, as a query shows it and as a consumer stores it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::inspect::json_text::{put_number, put_string};

/// The most characters of an id or a word in an error. An error has two of each, and must stay
/// readable.
const SHOWN_CHARS: usize = 80;

/// A released output. Offsets have no gaps and never change, so a consumer that stores the last
/// output it has read can read each output once: see
/// [`View::outputs_after`](crate::View::outputs_after).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReleasedOutput<'a> {
    /// Its offset in the output log, from 0.
    pub offset: u64,
    /// The number of the commit that released it, from 1; `None` with autocommit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
    /// The event's id.
    pub event_id: &'a str,
    /// The event's word.
    pub word: &'a str,
    /// The count in the event's reply.
    pub count: u64,
}

/// The last output that a consumer has read, which identifies the output log that it came from. As
/// JSON, it is the output as it was printed; its commit and unknown members are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an output, which is an object")]
pub struct LastOutput {
    /// Its offset in the output log, from 0.
    pub offset: u64,
    /// The event's id.
    pub event_id: String,
    /// The event's word.
    pub word: String,
    /// The count in the event's reply.
    pub count: u64,
}

impl LastOutput {
    pub(super) fn is(&self, output: &ReleasedOutput<'_>) -> bool {
        *self == Self::from(output)
    }
}

impl From<&ReleasedOutput<'_>> for LastOutput {
    fn from(output: &ReleasedOutput<'_>) -> Self {
        Self {
            offset: output.offset,
            event_id: output.event_id.to_owned(),
            word: output.word.to_owned(),
            count: output.count,
        }
    }
}

impl fmt::Display for LastOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (offset, count) = (self.offset, self.count);
        let (event_id, word) = (shortened(&self.event_id), shortened(&self.word));
        write!(
            f,
            "output {offset} (event {event_id:?}, word {word:?}, count {count})"
        )
    }
}

/// Returns the first [`SHOWN_CHARS`] characters of a text, and an ellipsis if there are more.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

impl ReleasedOutput<'_> {
    /// Appends the output as JSON, as its serialization does, but faster: a reader that follows a
    /// busy node gets millions a second.
    pub(super) fn put(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(b"{\"offset\":");
        put_number(line, self.offset);
        if let Some(commit) = self.commit {
            line.extend_from_slice(b",\"commit\":");
            put_number(line, commit);
        }
        line.extend_from_slice(b",\"event_id\":");
        put_string(line, self.event_id);
        line.extend_from_slice(b",\"word\":");
        put_string(line, self.word);
        line.extend_from_slice(b",\"count\":");
        put_number(line, self.count);
        line.push(b'}');
    }
}
