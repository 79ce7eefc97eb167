//! Decoding a line member by member, and what is wrong with one.

use std::ops::Range;

use crate::inspect::Query;
use crate::protocol::json::{Excess, Reader, SyntaxError, Value};
use crate::protocol::line::{Body, Line, Span, Strings, malformed};
use crate::protocol::members::{Member, Members, read_members};
use crate::protocol::question::read_question;
use crate::protocol::reason::{NUMBER, Problem, Reason};

/// Where a line comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Channel {
    /// The stream of events.
    #[default]
    Stream,
    /// A client of the control socket, who may also ask questions and delete checkpoints.
    Control,
}

/// Decodes a line member by member, and returns them too.
pub(super) fn decode_in_full(
    strings: &mut Strings<'_>,
    range: Range<usize>,
    number: u64,
    channel: Channel,
) -> (Line, Members) {
    let whole = |reason: std::fmt::Arguments<'_>| (malformed(number, reason), Members::default());
    let line = &strings.text[range.clone()];
    if line.starts_with('\u{feff}') {
        return whole(format_args!(
            "it begins with a byte order mark; send UTF-8 without one"
        ));
    }
    let mut reader = Reader::new(line);
    let members = match read_members(&mut reader, line) {
        Ok(members) => members,
        Err(SyntaxError { expected, at }) => {
            return whole(format_args!(
                "not JSON: expected {expected} at byte {}; send one JSON object a line",
                at + 1
            ));
        }
    };
    let src = match &members.src {
        Member::Found(Value::String(src)) if !src.has_lone_surrogate => {
            Some(strings.span(&range, src))
        }
        _ => None,
    };
    let msg_id = read_msg_id(&members, line);
    let body = check_excess(&members, reader.excess)
        .and(msg_id)
        .and_then(|_| read_body(&members, strings, &range))
        .map_err(|reason| reason.to_string())
        .and_then(|body| match body {
            Body::Unknown { kind } if channel == Channel::Control => {
                let line = &strings.text[range.clone()];
                read_control(kind, &members, strings, &range, line)
            }
            body => Ok(body),
        })
        .and_then(|body| check_lengths(body, strings));
    let body = body.unwrap_or_else(|why| Body::Malformed(format!("line {number}: {why}").into()));
    let line = Line {
        src,
        msg_id: msg_id.ok().flatten(),
        body,
    };
    (line, members)
}

fn read_msg_id(members: &Members, line: &str) -> Result<Option<u64>, Reason> {
    let found = match &members.msg_id {
        Member::Absent => return Ok(None),
        Member::Found(Value::Number(range)) => match line[range.clone()].parse() {
            Ok(msg_id) => return Ok(Some(msg_id)),
            Err(_) => "another number",
        },
        Member::Found(value) => kind_of(value),
        Member::Repeated => {
            return Err(Reason {
                member: "msg_id",
                problem: Problem::Repeated,
            });
        }
    };
    let problem = Problem::WrongType {
        expected: NUMBER,
        found,
    };
    Err(Reason {
        member: "msg_id",
        problem,
    })
}

fn check_excess(members: &Members, excess: Excess) -> Result<(), Reason> {
    if let Some(member) = members.repeated {
        return Err(Reason {
            member,
            problem: Problem::Repeated,
        });
    }
    if excess.lone_surrogate {
        return Err(Reason {
            member: "the line",
            problem: Problem::LoneSurrogate,
        });
    }
    if excess.nesting {
        return Err(Reason {
            member: "the line",
            problem: Problem::Nesting,
        });
    }
    Ok(())
}

/// Reads the members that a request of its type needs.
fn read_body(
    members: &Members,
    strings: &mut Strings<'_>,
    line: &Range<usize>,
) -> Result<Body, Reason> {
    match &members.body {
        Member::Found(Value::Object) => {}
        member => return Err(wrong("body", member, "an object")),
    }
    let kind = read_name("type", &members.kind, strings, line)?;
    let checkpoint_id = |strings: &mut Strings<'_>| {
        let member = &members.checkpoint_id;
        read_text("checkpoint_id", member, strings, line)
    };
    Ok(match strings.get(kind) {
        "process" => Body::Process {
            event_id: read_text("event_id", &members.event_id, strings, line)?,
            word: read_text("word", &members.word, strings, line)?,
        },
        "checkpoint" => Body::Checkpoint {
            checkpoint_id: checkpoint_id(strings)?,
        },
        "restore" => Body::Restore {
            checkpoint_id: checkpoint_id(strings)?,
        },
        "commit" => Body::Commit,
        "rollback" => Body::Rollback,
        "init" => {
            let node_id = read_name("node_id", &members.node_id, strings, line)?;
            match &members.node_ids {
                Member::Found(Value::Array { of_strings: true }) => Body::Init { node_id },
                member => return Err(wrong("node_ids", member, "an array of at least one string")),
            }
        }
        _ => Body::Unknown { kind },
    })
}

/// Reads a request that only clients of the control socket may make.
fn read_control(
    kind: Span,
    members: &Members,
    strings: &mut Strings<'_>,
    range: &Range<usize>,
    line: &str,
) -> Result<Body, String> {
    match strings.get(kind) {
        "delete_checkpoint" => {
            let id = read_text("checkpoint_id", &members.checkpoint_id, strings, range);
            let checkpoint_id = id.map_err(|reason| reason.to_string())?;
            Ok(Body::DeleteCheckpoint { checkpoint_id })
        }
        name if Query::NAMES.contains(&name) => {
            Ok(Body::Query(Box::new(read_question(name, line)?)))
        }
        _ => Ok(Body::Unknown { kind }),
    }
}

/// A member that must be a string; how long it may be is checked with the request.
fn read_text(
    name: &'static str,
    member: &Member,
    strings: &mut Strings<'_>,
    line: &Range<usize>,
) -> Result<Span, Reason> {
    match member {
        Member::Found(Value::String(string)) => Ok(strings.span(line, string)),
        _ => Err(wrong(name, member, "a string")),
    }
}

/// A member that must be a string and not empty, and is in no request to the processor.
fn read_name(
    name: &'static str,
    member: &Member,
    strings: &mut Strings<'_>,
    line: &Range<usize>,
) -> Result<Span, Reason> {
    let span = read_text(name, member, strings, line)?;
    match strings.get(span) {
        "" => Err(Reason {
            member: name,
            problem: Problem::Empty,
        }),
        _ => Ok(span),
    }
}

fn check_lengths(body: Body, strings: &Strings<'_>) -> Result<Body, String> {
    let request = body.request_from(|span| strings.get(span));
    match request.map_or(Ok(()), |request| request.check_lengths()) {
        Ok(()) => Ok(body),
        Err(refusal) => Err(refusal.to_string()),
    }
}

/// Why a member that is not of the expected type is wrong.
fn wrong(name: &'static str, member: &Member, expected: &'static str) -> Reason {
    let problem = match member {
        Member::Absent => Problem::Missing,
        Member::Found(value) => Problem::WrongType {
            expected,
            found: kind_of(value),
        },
        Member::Repeated => Problem::Repeated,
    };
    Reason {
        member: name,
        problem,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Number(_) => "a number",
        Value::Bool => "true or false",
        Value::Null => "null",
        Value::Array { of_strings: true } => "an array of strings",
        Value::Array { of_strings: false } => "an array, but not of strings",
        Value::Object => "an object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::Request;

    fn decode(text: &str) -> (Line, String) {
        let mut side = String::new();
        let mut strings = Strings {
            text,
            side: &mut side,
        };
        let (line, _) = decode_in_full(&mut strings, 0..text.len(), 7, Channel::Stream);
        (line, format!("{text}{side}"))
    }

    proptest! {
        #[test]
        fn any_line_is_decoded_or_malformed(line in "[ -~\\\\\"{}\\[\\]:,u d8]{0,80}") {
            decode(&line);
        }

        #[test]
        fn a_request_with_any_text_is_decoded(id in ".{1,60}", word in ".{1,60}", src: String) {
            let request = serde_json::json!({
                "src": src, "dest": "p", "body":
                {"type": "process", "msg_id": u64::MAX, "event_id": id, "word": word},
            });
            let (line, text) = decode(&request.to_string());
            prop_assert_eq!(line.src.map(|src| src.of(&text)), Some(&*src));
            prop_assert_eq!(line.msg_id, Some(u64::MAX));
            let expected = Request::Process { event_id: &id, word: &word };
            prop_assert_eq!(line.body.request(&text), Some(expected));
        }
    }

    #[test]
    fn a_line_too_deep_with_a_lone_surrogate_is_malformed_and_no_panic() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let text = format!(
            r#"{{"x":{deep},"src":"\ud800","\udc00":1,"body":{{"msg_id":3,"type":"\ud800"}}}}"#
        );
        let (line, _) = decode(&text);
        assert!(matches!(line.body, Body::Malformed(_)));
        assert_eq!((line.src, line.msg_id), (None, Some(3)));
    }
}
