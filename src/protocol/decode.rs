//! Decodes a line member by member, or says what is wrong with it.

use std::ops::Range;

use crate::inspect::Query;
use crate::protocol::json::{excess, is_array_of_strings, kind_of};
use crate::protocol::line::{Body, Line, Span, Strings, malformed};
use crate::protocol::members::{Member, Members, read_members};
use crate::protocol::query::read_query;
use crate::protocol::reason::{NUMBER, Problem, Reason};

/// Where a line comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Channel {
    /// The stream of events.
    #[default]
    Stream,
    /// A client of the control socket, which may also send queries and delete checkpoints.
    Control,
}

/// Decodes a line member by member, and returns its members too.
pub(super) fn decode_in_full<'a>(
    strings: &mut Strings<'a>,
    range: Range<usize>,
    number: u64,
    channel: Channel,
) -> (Line, Members<'a>) {
    let line = &strings.text[range];
    let members = match read_members(line) {
        Ok(members) => members,
        Err(why) => return (malformed(number, why), Members::default()),
    };
    let src = match members.src {
        Member::Found(src) => strings.span(src),
        _ => None,
    };
    let msg_id = read_msg_id(&members);
    let body = check_excess(&members, line)
        .and(msg_id)
        .and_then(|_| read_body(&members, strings))
        .map_err(|reason| reason.to_string())
        .and_then(|body| match body {
            Body::Unknown { kind } if channel == Channel::Control => {
                read_control(kind, &members, strings)
            }
            body => Ok(body),
        })
        .and_then(|body| check_lengths(body, strings));
    let body = body.unwrap_or_else(|why| Body::Malformed(format!("line {number}: {why}").into()));
    let line = Line {
        at: 0,
        src,
        msg_id: msg_id.ok().flatten(),
        body,
    };
    (line, members)
}

/// Reads the number of the request, if it has one.
fn read_msg_id(members: &Members<'_>) -> Result<Option<u64>, Reason> {
    let problem = match members.msg_id {
        Member::Absent => return Ok(None),
        Member::Found(value) => match value.parse() {
            Ok(msg_id) => return Ok(Some(msg_id)),
            Err(_) => Problem::WrongType {
                expected: NUMBER,
                found: match kind_of(value) {
                    "a number" => "another number",
                    kind => kind,
                },
            },
        },
        Member::Repeated => Problem::Repeated,
    };
    Err(Reason {
        member: "msg_id",
        problem,
    })
}

/// Checks that a line has nothing that JSON allows and the protocol forbids.
fn check_excess(members: &Members<'_>, line: &str) -> Result<(), Reason> {
    if let Some(member) = members.repeated {
        let problem = Problem::Repeated;
        return Err(Reason { member, problem });
    }
    excess(line).map_or(Ok(()), |problem| {
        let member = "the line";
        Err(Reason { member, problem })
    })
}

/// Reads the members that a request of the body's type needs.
fn read_body(members: &Members<'_>, strings: &mut Strings<'_>) -> Result<Body, Reason> {
    match members.body {
        Member::Found(body) if body.starts_with('{') => {}
        Member::Absent => {
            return Err(Reason {
                member: "a type, or a body that has one,",
                problem: Problem::Missing,
            });
        }
        member => return Err(wrong("body", member, "an object")),
    }
    let kind = read_name("type", members.kind, strings)?;
    Ok(match strings.get(kind) {
        "process" => Body::Process {
            event_id: read_text("event_id", members.event_id, strings)?,
            word: read_text("word", members.word, strings)?,
        },
        "checkpoint" => Body::Checkpoint {
            checkpoint_id: read_text("checkpoint_id", members.checkpoint_id, strings)?,
        },
        "restore" => Body::Restore {
            checkpoint_id: read_text("checkpoint_id", members.checkpoint_id, strings)?,
        },
        "commit" => Body::Commit,
        "rollback" => Body::Rollback,
        "init" => {
            let node_id = read_name("node_id", members.node_id, strings)?;
            match members.node_ids {
                Member::Found(ids) if is_array_of_strings(ids) => Body::Init { node_id },
                member => return Err(wrong("node_ids", member, "an array of at least one string")),
            }
        }
        _ => Body::Unknown { kind },
    })
}

/// Reads a request that only a client of the control socket may send.
fn read_control(
    kind: Span,
    members: &Members<'_>,
    strings: &mut Strings<'_>,
) -> Result<Body, String> {
    match strings.get(kind) {
        "delete_checkpoint" => {
            let id = read_text("checkpoint_id", members.checkpoint_id, strings);
            let checkpoint_id = id.map_err(|reason| reason.to_string())?;
            Ok(Body::DeleteCheckpoint { checkpoint_id })
        }
        name if Query::NAMES.contains(&name) => match members.body {
            Member::Found(body) => Ok(Body::Query(Box::new(read_query(name, body)?))),
            Member::Absent | Member::Repeated => Ok(Body::Unknown { kind }),
        },
        _ => Ok(Body::Unknown { kind }),
    }
}

/// Reads a member that must be a string; [`check_lengths`] checks its length later.
fn read_text(
    name: &'static str,
    member: Member<'_>,
    strings: &mut Strings<'_>,
) -> Result<Span, Reason> {
    let span = match member {
        Member::Found(value) => strings.span(value),
        _ => None,
    };
    span.ok_or_else(|| wrong(name, member, "a string"))
}

/// Reads a member that must be a string and not empty. The processor never gets it, so nothing else
/// checks it.
fn read_name(
    name: &'static str,
    member: Member<'_>,
    strings: &mut Strings<'_>,
) -> Result<Span, Reason> {
    let span = read_text(name, member, strings)?;
    match strings.get(span) {
        "" => Err(Reason {
            member: name,
            problem: Problem::Empty,
        }),
        _ => Ok(span),
    }
}

/// Checks the lengths of the strings that the processor gets.
fn check_lengths(body: Body, strings: &Strings<'_>) -> Result<Body, String> {
    let request = body.request_from(|span| strings.get(span));
    match request.map_or(Ok(()), |request| request.check_lengths()) {
        Ok(()) => Ok(body),
        Err(refusal) => Err(refusal.to_string()),
    }
}

/// Says why a member that is not of the expected type is wrong.
fn wrong(name: &'static str, member: Member<'_>, expected: &'static str) -> Reason {
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
