//! One released output, as it is shown and as a consumer keeps it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::inspect::json_text::{put_number, put_string};

/// How much of an id or a word is shown in an error, which has two of each and says what to do.
const SHOWN_CHARS: usize = 80;

/// An output that a commit released. Offsets are dense and never change, so that a consumer that
/// stores the last output it has got reads each output once: see
/// [`View::outputs_after`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CommittedOutput<'a> {
    /// Its place in the log, from 0.
    pub offset: u64,
    /// The commit that released it, from 1; `None` with autocommit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
    /// The event's id.
    pub event_id: &'a str,
    /// The event's word.
    pub word: &'a str,
    /// The count that the event's reply gave.
    pub count: u64,
}

/// The last output that a consumer has got, by which the log it came from is known again. As JSON
/// it is what was printed of the output; the number of its commit and further members are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastOutput {
    /// Its place in the log, from 0.
    pub offset: u64,
    /// The event's id.
    pub event_id: String,
    /// The event's word.
    pub word: String,
    /// The count that the event's reply gave.
    pub count: u64,
}

impl LastOutput {
    pub(super) fn is(&self, output: &CommittedOutput<'_>) -> bool {
        *self == Self::from(output)
    }
}

impl From<&CommittedOutput<'_>> for LastOutput {
    fn from(output: &CommittedOutput<'_>) -> Self {
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

/// The beginning of a text that may be long, for people.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

impl CommittedOutput<'_> {
    /// Appends the output as JSON, as its serialisation is, but quicker: who follows a node that is
    /// busy reads millions a second.
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
