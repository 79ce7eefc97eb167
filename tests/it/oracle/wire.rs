//! The bytes of replies, written without the code of the program. The kit writes requests.

use super::Expected;
use std::fmt::Write as _;

/// The members of a reply body, in the order of the protocol page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    members: Vec<(&'static str, String)>,
}

impl Body {
    /// A body of this type; `in_reply_to` is `None` if the `msg_id` could not be read.
    pub fn new(kind: &str, in_reply_to: Option<u64>) -> Self {
        let mut members = vec![("type", quote(kind))];
        members.extend(in_reply_to.map(|msg_id| ("in_reply_to", msg_id.to_string())));
        Self { members }
    }

    /// Appends a member whose value is already JSON.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.members.push((name, value.to_string()));
        self
    }

    /// The reply line before any `init`, without its newline.
    pub fn plain(&self) -> String {
        object(
            self.members
                .iter()
                .map(|(name, value)| (*name, value.clone())),
        )
    }
}

impl Expected {
    /// The reply to a request with this `msg_id`; `None` for an error, whose text is not fixed.
    pub fn body(&self, msg_id: u64) -> Option<Body> {
        let body = |kind| Body::new(kind, Some(msg_id));
        let processed = |word: &str, count: u64, is_duplicate: bool| {
            let start = body("processed")
                .with("word", quote(word))
                .with("count", count);
            start.with("was_duplicate", is_duplicate)
        };
        Some(match self {
            Self::Accepted { word, count } => processed(word, *count, false),
            Self::Duplicate { word, count } => processed(word, *count, true),
            Self::Conflict {
                word,
                count,
                original_word,
            } => processed(word, *count, true).with("original_word", quote(original_word)),
            Self::CheckpointSaved { id } => {
                body("checkpoint_saved").with("checkpoint_id", quote(id))
            }
            Self::Restored { counts } => {
                let counts = counts
                    .iter()
                    .map(|(word, count)| (&**word, count.to_string()));
                body("restored").with("counts", object(counts))
            }
            Self::Committed { output_count } => {
                body("committed").with("output_count", output_count)
            }
            Self::RolledBack { discarded_count } => {
                body("rolled_back").with("discarded_count", discarded_count)
            }
            Self::UnknownCheckpoint => return None,
        })
    }
}

/// An object in the style of Python's `json.dumps`; the values are already JSON.
pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let members = members
        .into_iter()
        .map(|(name, value)| format!("{}: {value}", quote(name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

/// A string exactly as Python's `json.dumps(ensure_ascii=False)` writes it.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\0'..='\u{1f}' => {
                write!(quoted, "\\u{:04x}", u32::from(character)).expect("a string takes it");
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
