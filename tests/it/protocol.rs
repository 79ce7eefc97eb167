//! The protocol page, rule by rule, through the real binary.
//!
//! Each test is named by the sentence it proves; the subjects are those of the page's sections.

mod envelope;
mod floor;
mod hostile;
mod lifecycle;
mod limits;
mod malformed;
mod semantics;
mod signals;
mod transport;

use crate::client::reply::ErrorReply;
use crate::client::{run_once, scratch_dir};
use crate::oracle::wire::quote;
use crate::oracle::{Oracle, Request};
use std::path::Path;

/// A request line with this body, from `c1`.
fn with_body(body: &str) -> String {
    format!(r#"{{"src":"c1","dest":"n1","body":{body}}}"#)
}

/// A `process` line; the texts are written with the escapes that replies have.
fn process(msg_id: u64, event_id: &str, word: &str) -> String {
    process_request(event_id, word).line(msg_id)
}

fn process_request(event_id: &str, word: &str) -> Request {
    Request::Process {
        event_id: event_id.to_owned(),
        word: word.to_owned(),
    }
}

/// The reply to a new event.
fn accepted(msg_id: u64, word: &str, count: u64) -> String {
    let start = format!(r#"{{"type": "processed", "in_reply_to": {msg_id}"#);
    let word = quote(word);
    format!(r#"{start}, "word": {word}, "count": {count}, "was_duplicate": false}}"#)
}

/// The reply to a duplicate with the same word.
fn duplicate(msg_id: u64, word: &str, count: u64) -> String {
    accepted(msg_id, word, count).replace("false}", "true}")
}

/// The replies of a new state to these bytes.
fn answers_to(input: &[u8]) -> Vec<String> {
    answers_in(&scratch_dir().path().join("data"), input)
}

/// The replies of a new state to these lines.
fn answers(lines: &[String]) -> Vec<String> {
    answers_to(joined(lines).as_bytes())
}

/// The replies of one process on `dir`, which must end well.
fn answers_in(dir: &Path, input: &[u8]) -> Vec<String> {
    let (stdout, stderr, status) = run_once(dir, input);
    assert!(status.success(), "{status}: {stderr}");
    let text = String::from_utf8(stdout).expect("replies are UTF-8");
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "a partial reply: {text:?}"
    );
    text.split_terminator('\n').map(str::to_owned).collect()
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn error(line: &str) -> ErrorReply {
    ErrorReply::read(line).unwrap_or_else(|reason| panic!("{reason}"))
}

/// The state after these requests.
fn oracle_after(requests: &[Request]) -> Oracle {
    let mut oracle = Oracle::new();
    for request in requests {
        oracle.apply(request);
    }
    oracle
}
