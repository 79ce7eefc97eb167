//! Requests, as values and as lines, and replies that many tests expect.

use crate::oracle::wire::quote;
use crate::oracle::{Expected, Request};

pub fn event(event_id: impl Into<String>, word: impl Into<String>) -> Request {
    Request::Process {
        event_id: event_id.into(),
        word: word.into(),
    }
}

/// The event with a number, and with one of this many words.
pub fn numbered_event(number: u64, words: u64) -> Request {
    event(format!("e{number}"), format!("w{}", number % words))
}

pub fn checkpoint(id: impl Into<String>) -> Request {
    Request::Checkpoint { id: id.into() }
}

pub fn restore(id: impl Into<String>) -> Request {
    Request::Restore { id: id.into() }
}

impl Request {
    /// The request as one line of input, without its newline.
    pub fn line(&self, msg_id: u64) -> String {
        let named = |id| format!(r#""checkpoint_id":{}"#, quote(id));
        match self {
            Self::Process { event_id, word } => {
                let (event_id, word) = (quote(event_id), quote(word));
                let members = format!(r#""event_id":{event_id},"word":{word}"#);
                line("process", msg_id, &members)
            }
            Self::Checkpoint { id } => line("checkpoint", msg_id, &named(id)),
            Self::Restore { id } => line("restore", msg_id, &named(id)),
            Self::Commit => line("commit", msg_id, ""),
            Self::Rollback => line("rollback", msg_id, ""),
        }
    }
}

/// A request line of any type, with further members of its body as JSON.
pub fn line(kind: &str, msg_id: u64, members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    let body = format!(r#"{{"type":"{kind}","msg_id":{msg_id}{comma}{members}}}"#);
    format!(r#"{{"src":"client","dest":"processor","body":{body}}}"#)
}

/// A line without its `msg_id`.
pub fn without_number(line: &str, msg_id: u64) -> String {
    line.replace(&format!(r#","msg_id":{msg_id}"#), "")
}

pub fn event_line(msg_id: u64, event_id: &str, word: &str) -> String {
    event(event_id, word).line(msg_id)
}

/// The lines of requests, numbered from `first` on.
pub fn numbered_lines<'a>(
    first: u64,
    requests: impl IntoIterator<Item = &'a Request>,
) -> Vec<String> {
    let numbered = (first..).zip(requests);
    numbered
        .map(|(msg_id, request)| request.line(msg_id))
        .collect()
}

/// The same lines as one input, each with its newline.
pub fn numbered_input<'a>(first: u64, requests: impl IntoIterator<Item = &'a Request>) -> String {
    input_of(numbered_lines(first, requests))
}

/// Joins lines to an input; each gets its newline.
pub fn input_of(lines: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let lines = lines.into_iter();
    lines.map(|line| format!("{}\n", line.as_ref())).collect()
}

/// The reply to a new event.
pub fn accepted(msg_id: u64, word: &str, count: u64) -> String {
    let word = word.to_owned();
    let body = Expected::Accepted { word, count }.body(msg_id);
    body.expect("it is no error").plain()
}

/// The reply to a restore after which these are the counts, as JSON.
pub fn restored(msg_id: u64, counts: &str) -> String {
    format!(r#"{{"type": "restored", "in_reply_to": {msg_id}, "counts": {counts}}}"#)
}

/// The reply to a duplicate with the same word.
pub fn duplicate(msg_id: u64, word: &str, count: u64) -> String {
    accepted(msg_id, word, count).replace("false}", "true}")
}
