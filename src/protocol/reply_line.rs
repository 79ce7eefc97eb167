//! Reads the replies of a node, for a client.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::inspect::json_text::plain_bytes;
use crate::request::{Outcome, Reply};
use crate::state::counts::WordCount;

/// A line that a node has sent. Replies are written in one style, so it is cut and not parsed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplyLine<'a> {
    /// The whole line, without its newline.
    line: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) in_reply_to: Option<u64>,
    /// The line up to its type.
    pub(crate) head: &'a str,
    /// The members after `in_reply_to`, each with the comma before it.
    pub(crate) members: &'a str,
}

/// The members of the replies that are not read quickly.
#[derive(Debug, Deserialize)]
struct ReplyMembers<'a> {
    code: Option<u64>,
    text: Option<String>,
    output_count: Option<u64>,
    discarded_count: Option<u64>,
    counts: Option<Map<String, Value>>,
    #[serde(borrow)]
    record: Option<&'a RawValue>,
}

impl<'a> ReplyLine<'a> {
    /// Cuts a line; `None` if no node writes such a line.
    pub(crate) fn of(line: &'a [u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        let kind_from = line.strip_prefix("{\"type\": \"")?;
        let (kind, after) = kind_from.split_once('"')?;
        let head = &line[..line.len() - after.len()];
        let members = after.strip_suffix('}')?;
        let Some(number) = members.strip_prefix(", \"in_reply_to\": ") else {
            return Some(Self {
                line,
                kind,
                in_reply_to: None,
                head,
                members,
            });
        };
        let (in_reply_to, members) = read_number(number)?;
        Some(Self {
            line,
            kind,
            in_reply_to: Some(in_reply_to),
            head,
            members,
        })
    }

    /// The reply to a request that was carried out; `None` if it is another line.
    pub(crate) fn reply(&self) -> Option<Reply> {
        Some(match self.kind {
            "processed" => self.processed()?,
            "checkpoint_saved" => Reply::CheckpointSaved,
            "checkpoint_deleted" => Reply::CheckpointDeleted,
            "restored" => {
                let counts = self.read()?.counts?.into_iter();
                let word_count = |(word, count): (String, Value)| {
                    let word = word.into();
                    count.as_u64().map(|count| WordCount { word, count })
                };
                let counts = counts.map(word_count).collect::<Option<_>>()?;
                Reply::Restored { counts }
            }
            "committed" => Reply::Committed {
                output_count: self.read()?.output_count?,
            },
            "rolled_back" => Reply::RolledBack {
                discarded_count: self.read()?.discarded_count?,
            },
            _ => return None,
        })
    }

    /// The code and the text of an error reply; `None` if it is another line.
    pub(crate) fn error(&self) -> Option<(u64, String)> {
        let members = self.read().filter(|_| self.kind == "error")?;
        members.code.zip(members.text)
    }

    /// The record of a reply to a query; `None` if it is another line.
    pub(crate) fn record(&self) -> Option<&'a str> {
        let members = self.read().filter(|_| self.kind == "record")?;
        Some(members.record?.get())
    }

    fn read(&self) -> Option<ReplyMembers<'a>> {
        serde_json::from_str(self.line).ok()
    }

    fn processed(&self) -> Option<Reply> {
        let word = self.members.strip_prefix(", \"word\": \"")?;
        let after = word[string_bytes(word)..].strip_prefix("\", \"count\": ")?;
        let (count, after) = read_number(after)?;
        let outcome = match after.strip_prefix(", \"was_duplicate\": ")? {
            "false" => Outcome::Accepted,
            "true" => Outcome::Duplicate,
            conflict => {
                let original_word = conflict.strip_prefix("true, \"original_word\": ")?;
                Outcome::Conflict {
                    original_word: serde_json::from_str::<String>(original_word).ok()?.into(),
                }
            }
        };
        Some(Reply::Processed { count, outcome })
    }
}

/// Number of bytes before the quote that ends a JSON string.
fn string_bytes(text: &str) -> usize {
    let mut at = 0;
    loop {
        at += plain_bytes(&text.as_bytes()[at..]);
        match text.as_bytes().get(at) {
            Some(b'\\') => at = text.len().min(at + 2),
            _ => return at,
        }
    }
}

/// Reads the number at the beginning of a text, and returns it with the rest.
fn read_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{Addressee, ErrorCounts, ReplyWriter};
    use crate::request::{Refusal, Request};

    fn written(msg_id: u64, request: &Request<'_>, answer: Result<Reply, Refusal>) -> Vec<u8> {
        let mut out = Vec::new();
        let to = Addressee {
            src: None,
            msg_id: Some(msg_id),
        };
        ReplyWriter::for_control(ErrorCounts::default()).reply(&mut out, to, request, &answer);
        out.pop();
        out
    }

    proptest! {
        #[test]
        fn a_reply_is_read_as_it_was_written(
            msg_id: u64, count: u64, kind in 0..8_usize,
            word in "[ -~\\\\\"]{1,20}|\\PC{1,9}|(.|[\\x00-\\x1f]){1,9}",
            other in "[ -~\\\\\"]{1,20}|(.|[\\x00-\\x1f]){1,9}",
        ) {
            let process = Request::Process { event_id: "e", word: &word };
            let named = Request::Checkpoint { checkpoint_id: &word };
            let outcome = match kind {
                0 => Outcome::Accepted,
                1 => Outcome::Duplicate,
                _ => Outcome::Conflict { original_word: (*other).into() },
            };
            let (request, reply) = match kind {
                0..=2 => (process, Reply::Processed { count, outcome }),
                3 => (named, Reply::CheckpointSaved),
                4 => (Request::Commit, Reply::Committed { output_count: count }),
                5 => (Request::Rollback, Reply::RolledBack { discarded_count: count }),
                6 => {
                    let deleted = Request::DeleteCheckpoint { checkpoint_id: &word };
                    (deleted, Reply::CheckpointDeleted)
                }
                _ => {
                    let of = |word: &str, count| WordCount { word: word.into(), count };
                    let mut counts = vec![of(&word, count), of(&format!("{other}{word}"), 7)];
                    counts.sort_by(|a, b| a.word.cmp(&b.word));
                    (Request::Restore { checkpoint_id: &word }, Reply::Restored { counts })
                }
            };
            let line = written(msg_id, &request, Ok(reply.clone()));
            let read = ReplyLine::of(&line).expect("it is a reply");
            prop_assert_eq!(read.in_reply_to, Some(msg_id));
            prop_assert_eq!(read.reply(), Some(reply));
            prop_assert_eq!(read.error(), None);
        }

        #[test]
        fn no_line_makes_the_reader_panic(line in "\\{\"type\": \"[a-z\\\\\"]{0,12}[ -~]{0,60}") {
            if let Some(read) = ReplyLine::of(line.as_bytes()) {
                read.reply();
                read.error();
                read.record();
            }
        }
    }

    #[test]
    fn an_error_is_read_as_it_was_written() {
        let restore = Request::Restore {
            checkpoint_id: "\"c\"",
        };
        let refusal = Refusal::UnknownCheckpoint {
            checkpoint_id: "\"c\"".to_owned(),
        };
        let text = refusal.to_string();
        let line = written(5, &restore, Err(refusal));
        let read = ReplyLine::of(&line).expect("it is a reply");
        assert_eq!(read.error(), Some((20, text)));
        assert_eq!(read.reply(), None);
    }
}
