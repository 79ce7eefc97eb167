//! What a client asks, and the reply that the oracle expects, byte for byte.

use crate::kit::{line, reply};
use crate::oracle::wire::quote;
use crate::oracle::{Expected, Oracle, Output, Request};

/// A request of the protocol, or a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Request(Request),
    Counts,
    /// All released outputs.
    Outputs,
}

/// The expected reply.
#[derive(Debug)]
pub enum Due {
    Reply(Expected),
    /// Records, as JSON; a last line follows them.
    Records(Vec<String>),
}

impl Asked {
    pub fn is_query(&self) -> bool {
        !matches!(self, Self::Request(_))
    }

    /// The line of the request, without its newline.
    pub fn line(&self, msg_id: u64) -> String {
        match self {
            Self::Request(request) => request.line(msg_id),
            Self::Counts => line("counts", msg_id, ""),
            Self::Outputs => line("outputs", msg_id, ""),
        }
    }

    /// Applies the request to the oracle.
    pub fn apply(&self, oracle: &mut Oracle) -> Due {
        match self {
            Self::Request(request) => Due::Reply(oracle.apply(request)),
            Self::Counts => Due::Records(counts(oracle)),
            Self::Outputs => Due::Records(outputs(oracle)),
        }
    }
}

impl Due {
    /// True if the request certainly left the state as it was.
    pub fn changes_nothing(&self) -> bool {
        match self {
            Self::Reply(expected) => expected.changes_nothing(),
            Self::Records(_) => true,
        }
    }

    /// Compares the reply with all lines that arrived.
    pub fn check(&self, lines: &[String], msg_id: u64) -> Result<(), String> {
        match (self, lines) {
            (Self::Reply(expected), [line]) => reply::check(line, expected, msg_id),
            (Self::Reply(expected), _) => Err(format!(
                "{} lines came for {expected:?}: {lines:?}",
                lines.len()
            )),
            (Self::Records(records), _) => {
                let expected = answer(records, msg_id);
                if lines == expected || is_cut_off(lines, &expected) {
                    return Ok(());
                }
                Err(format!("expected\n  {expected:?}\ngot\n  {lines:?}"))
            }
        }
    }
}

/// True if these are the first lines of a reply, then the error that the process is ending.
fn is_cut_off(lines: &[String], whole: &[String]) -> bool {
    lines.split_last().is_some_and(|(last, records)| {
        last.contains("\"code\": 11, \"text\": \"the process is ending")
            && records.len() < whole.len()
            && whole.starts_with(records)
    })
}

/// All lines of the reply to a query with these records.
pub fn answer(records: &[String], msg_id: u64) -> Vec<String> {
    let start = format!(r#""in_reply_to": {msg_id}"#);
    let record = |record: &String| format!(r#"{{"type": "record", {start}, "record": {record}}}"#);
    let end = format!(
        r#"{{"type": "end", {start}, "records": {}}}"#,
        records.len()
    );
    records.iter().map(record).chain([end]).collect()
}

/// The records of `counts`.
fn counts(oracle: &Oracle) -> Vec<String> {
    let counts = oracle.counts().iter();
    let record = |(word, count): (&String, &u64)| {
        let word = quote(word);
        format!(r#"{{"type":"count","word":{word},"count":{count}}}"#)
    };
    counts.map(record).collect()
}

/// The records of `outputs`.
fn outputs(oracle: &Oracle) -> Vec<String> {
    let sizes = (1..).zip(oracle.commit_sizes());
    let commits = sizes.flat_map(|(commit, &size)| std::iter::repeat_n(commit, size));
    let log = (0..).zip(commits).zip(oracle.log());
    let record = |((offset, commit), output): ((u64, u64), &Output)| {
        let (event_id, word) = (quote(&output.event_id), quote(&output.word));
        let (place, count) = (
            format!(r#""offset":{offset},"commit":{commit}"#),
            output.count,
        );
        format!(r#"{{{place},"event_id":{event_id},"word":{word},"count":{count}}}"#)
    };
    log.map(record).collect()
}
