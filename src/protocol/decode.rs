//! Decoding: from the text of one line to a request.

use std::ops::Range;

use crate::protocol::json::{Excess, RawString, Reader, SyntaxError, Value};
use crate::protocol::reason::{Problem, Reason};
use crate::protocol::shape::{Field, Shape};
use crate::protocol::unescape::unescape;
use crate::request::Request;

/// The most bytes of a line, its end not included.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;

/// A piece of a batch's text, which is far below 4 GiB: a read and a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The text of the span, in the batch that it came from.
    pub(crate) fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

/// One line, decoded.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// The sender, if the line names one that can be read.
    pub(crate) src: Option<Span>,
    /// The request's number, if the line has one that can be read.
    pub(crate) msg_id: Option<u64>,
    pub(crate) body: Body,
}

/// What a line asks for.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Process {
        event_id: Span,
        word: Span,
    },
    Checkpoint {
        checkpoint_id: Span,
    },
    Restore {
        checkpoint_id: Span,
    },
    Commit,
    Rollback,
    Init {
        node_id: Span,
    },
    /// A `type` that the protocol does not have.
    Unknown {
        kind: Span,
    },
    /// Not a request: why, in words for people.
    Malformed(Box<str>),
}

impl Body {
    /// The request for the processor; `None` if the line is answered without it.
    pub(crate) fn request<'a>(&self, text: &'a str) -> Option<Request<'a>> {
        self.request_from(|span| span.of(text))
    }

    fn request_from<'a>(&self, text: impl Fn(Span) -> &'a str) -> Option<Request<'a>> {
        Some(match *self {
            Self::Process { event_id, word } => Request::Process {
                event_id: text(event_id),
                word: text(word),
            },
            Self::Checkpoint { checkpoint_id } => Request::Checkpoint {
                checkpoint_id: text(checkpoint_id),
            },
            Self::Restore { checkpoint_id } => Request::Restore {
                checkpoint_id: text(checkpoint_id),
            },
            Self::Commit => Request::Commit,
            Self::Rollback => Request::Rollback,
            Self::Init { .. } | Self::Unknown { .. } | Self::Malformed(_) => return None,
        })
    }
}

/// A line that is malformed as a whole.
pub(super) fn malformed(number: u64, reason: impl std::fmt::Display) -> Line {
    let body = Body::Malformed(format!("line {number}: {reason}").into());
    Line {
        src: None,
        msg_id: None,
        body,
    }
}

/// Where the strings of a batch are kept: those without escapes where they stand in the text,
/// the others unescaped in `side`, which will be appended to the text.
pub(super) struct Strings<'a> {
    pub(super) text: &'a str,
    pub(super) side: &'a mut String,
}

impl Strings<'_> {
    fn span(&mut self, line: &Range<usize>, string: &RawString) -> Span {
        let (start, end) = (
            line.start + string.inside.start,
            line.start + string.inside.end,
        );
        if !string.has_escapes {
            return Span {
                start: start as u32,
                end: end as u32,
            };
        }
        let from = self.side.len();
        unescape(&self.text[start..end], self.side);
        let base = self.text.len();
        Span {
            start: (base + from) as u32,
            end: (base + self.side.len()) as u32,
        }
    }

    fn get(&self, span: Span) -> &str {
        let (start, end) = (span.start as usize, span.end as usize);
        match start.checked_sub(self.text.len()) {
            Some(from) => &self.side[from..end - self.text.len()],
            None => &self.text[start..end],
        }
    }
}

/// A member as it was met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Member {
    #[default]
    Absent,
    Found(Value),
    Repeated,
}

/// The members that the protocol knows, of a line's envelope and its body.
#[derive(Debug, Default)]
struct Members {
    src: Member,
    dest: Member,
    body: Member,
    kind: Member,
    msg_id: Member,
    event_id: Member,
    word: Member,
    checkpoint_id: Member,
    node_id: Member,
    node_ids: Member,
    /// A known member that came again.
    repeated: Option<&'static str>,
}

impl Members {
    /// Where a member of the body, or of the envelope, is kept.
    fn known(&mut self, name: &str, in_body: bool) -> Option<(&'static str, &mut Member)> {
        Some(match (in_body, name) {
            (true, "type") => ("type", &mut self.kind),
            (true, "msg_id") => ("msg_id", &mut self.msg_id),
            (true, "event_id") => ("event_id", &mut self.event_id),
            (true, "word") => ("word", &mut self.word),
            (true, "checkpoint_id") => ("checkpoint_id", &mut self.checkpoint_id),
            (true, "node_id") => ("node_id", &mut self.node_id),
            (true, "node_ids") => ("node_ids", &mut self.node_ids),
            (false, "src") => ("src", &mut self.src),
            (false, "dest") => ("dest", &mut self.dest),
            (false, "body") => ("body", &mut self.body),
            _ => return None,
        })
    }

    fn put(&mut self, name: &str, in_body: bool, value: Value) {
        let Some((name, member)) = self.known(name, in_body) else {
            return;
        };
        if *member == Member::Absent {
            *member = Member::Found(value);
        } else {
            *member = Member::Repeated;
            self.repeated.get_or_insert(name);
        }
    }
}

/// So many lines of another shape in a row make theirs the one that is expected.
const MISSES: u32 = 8;

/// Decodes lines, the sooner the more they are alike.
#[derive(Debug, Default)]
pub(super) struct LineDecoder {
    shape: Option<Shape>,
    misses: u32,
}

impl LineDecoder {
    /// Decodes the line that stands at `range` of the text, the `number`th of the input.
    pub(super) fn decode(
        &mut self,
        strings: &mut Strings<'_>,
        range: Range<usize>,
        number: u64,
    ) -> Line {
        if let Some(shape) = &self.shape {
            if let Some(line) = decode_alike(shape, strings, &range) {
                self.misses = 0;
                return line;
            }
            self.misses += 1;
        }
        let (line, members) = decode_in_full(strings, range.clone(), number);
        let is_wanted = self.shape.is_none() || self.misses >= MISSES;
        if is_wanted && matches!(line.body, Body::Process { .. }) {
            self.shape = shape_of(&strings.text[range], &members);
            self.misses = 0;
        }
        line
    }
}

/// Decodes a line that has the shape.
fn decode_alike(shape: &Shape, strings: &Strings<'_>, line: &Range<usize>) -> Option<Line> {
    let fields = shape.fields(&strings.text[line.clone()])?;
    let span = |range: &Range<usize>| Span {
        start: (line.start + range.start) as u32,
        end: (line.start + range.end) as u32,
    };
    let body = Body::Process {
        event_id: span(&fields.event_id),
        word: span(&fields.word),
    };
    let request = body.request(strings.text)?;
    request.check_lengths().ok()?;
    Some(Line {
        src: shape.src().map(span),
        msg_id: Some(fields.msg_id),
        body,
    })
}

/// The shape of a line that was a `process` request, if it has all fields and they need no
/// unescaping.
fn shape_of(line: &str, members: &Members) -> Option<Shape> {
    let plain = |member: &Member| match member {
        Member::Found(Value::String(string)) if !string.has_escapes => Some(string.inside.clone()),
        _ => None,
    };
    let src = match &members.src {
        Member::Absent => None,
        member => Some(plain(member)?),
    };
    let Member::Found(Value::Number(msg_id)) = &members.msg_id else {
        return None;
    };
    let places = [
        (msg_id.clone(), Field::MsgId),
        (plain(&members.event_id)?, Field::EventId),
        (plain(&members.word)?, Field::Word),
    ];
    Shape::of(line, places, src)
}

/// Decodes a line member by member, and returns them too.
fn decode_in_full(strings: &mut Strings<'_>, range: Range<usize>, number: u64) -> (Line, Members) {
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
        .and_then(|body| check_lengths(body, strings));
    let body = body.unwrap_or_else(|why| Body::Malformed(format!("line {number}: {why}").into()));
    let line = Line {
        src,
        msg_id: msg_id.ok().flatten(),
        body,
    };
    (line, members)
}

fn read_members(reader: &mut Reader<'_>, line: &str) -> Result<Members, SyntaxError> {
    let mut members = Members::default();
    let mut name = String::new();
    reader.open_object()?;
    let mut is_first = true;
    while let Some(key) = reader.next_key(is_first)? {
        is_first = false;
        let key = key_text(&key, line, &mut name);
        let is_first_body = key == "body" && members.body == Member::Absent;
        let value = if is_first_body && reader.peek() == Some(b'{') {
            read_body_members(reader, line, &mut members)?;
            Value::Object
        } else {
            reader.value()?
        };
        members.put(key, false, value);
    }
    reader.end()?;
    Ok(members)
}

fn read_body_members(
    reader: &mut Reader<'_>,
    line: &str,
    members: &mut Members,
) -> Result<(), SyntaxError> {
    let mut name = String::new();
    reader.open_object()?;
    let mut is_first = true;
    while let Some(key) = reader.next_key(is_first)? {
        is_first = false;
        let value = reader.value()?;
        members.put(key_text(&key, line, &mut name), true, value);
    }
    Ok(())
}

/// The name of a member, unescaped into `buffer` if need be.
fn key_text<'a>(key: &RawString, line: &'a str, buffer: &'a mut String) -> &'a str {
    let inside = &line[key.inside.clone()];
    if !key.has_escapes || key.has_lone_surrogate {
        return inside;
    }
    buffer.clear();
    unescape(inside, buffer);
    buffer
}

fn read_msg_id(members: &Members, line: &str) -> Result<Option<u64>, Reason> {
    const EXPECTED: &str = "an integer from 0 to 18446744073709551615";
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
        expected: EXPECTED,
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

    fn decode(text: &str) -> (Line, String) {
        let mut side = String::new();
        let mut strings = Strings {
            text,
            side: &mut side,
        };
        let (line, _) = decode_in_full(&mut strings, 0..text.len(), 7);
        (line, format!("{text}{side}"))
    }

    /// One of three ways to write a request.
    fn alike(order: usize, msg_id: u32, id: &str, word: &str) -> String {
        match order {
            0 => format!(
                r#"{{"src":"s","body":{{"type":"process","msg_id":{msg_id},"event_id":"{id}","word":"{word}"}}}}"#
            ),
            1 => format!(
                r#"{{"body": {{"word": "{word}", "event_id": "{id}", "msg_id": {msg_id}, "type": "process"}}, "src": "s"}}"#
            ),
            _ => format!(
                r#"{{"x":[1],"body":{{"event_id":"{id}","msg_id":{msg_id},"word":"{word}","type":"process"}} }}"#
            ),
        }
    }

    proptest! {
        #[test]
        fn any_line_is_decoded_or_malformed(line in "[ -~\\\\\"{}\\[\\]:,u d8]{0,80}") {
            decode(&line);
        }

        #[test]
        fn a_line_that_is_alike_or_nearly_so_is_decoded_as_by_itself(
            ids in prop::collection::vec((any::<u32>(), "[a-c\\\\\"]{0,9}", "[x-z]{0,12}"), 1..30),
            spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..30),
            order in 0..3_usize,
        ) {
            let mut decoder = LineDecoder::default();
            for (index, (msg_id, id, word)) in ids.iter().enumerate() {
                let mut line = alike(order, *msg_id, id, word).into_bytes();
                if let Some((at, byte)) = spoilt.get(index).filter(|_| index % 3 == 2) {
                    let at = at.index(line.len());
                    line[at] = *byte;
                }
                let line = String::from_utf8_lossy(&line);
                let (mut side, mut other) = (String::new(), String::new());
                let mut strings = Strings { text: &line, side: &mut side };
                let found = decoder.decode(&mut strings, 0..line.len(), 7);
                let mut strings = Strings { text: &line, side: &mut other };
                let (expected, _) = decode_in_full(&mut strings, 0..line.len(), 7);
                prop_assert_eq!(format!("{:?}", found), format!("{:?}", expected));
                prop_assert_eq!(&side, &other);
            }
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
