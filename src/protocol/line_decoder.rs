//! Decodes lines one after the other: quickly if a line looks like the ones before it, and
//! otherwise member by member.

use std::ops::Range;

use crate::protocol::decode::{Channel, decode_in_full};
use crate::protocol::json::{place, plain};
use crate::protocol::line::{Body, Line, Span, Strings};
use crate::protocol::members::{Member, Members};
use crate::protocol::shape::{Field, Shape};

/// After this many lines in a row without the expected shape, the shape of the next `process`
/// request is expected instead. A few different lines between alike ones do not change it.
const MISSES: u32 = 8;

/// Decodes lines, faster if they have the same shape.
#[derive(Debug, Default)]
pub(super) struct LineDecoder {
    shape: Option<Shape>,
    misses: u32,
    channel: Channel,
}

impl LineDecoder {
    /// Makes a decoder that also takes the requests that only a client of the control socket may
    /// send.
    pub(super) fn for_control() -> Self {
        Self {
            channel: Channel::Control,
            ..Self::default()
        }
    }

    /// Decodes the line that stands at `range` of the text, and is line `number` of the input.
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
        let (line, members) = decode_in_full(strings, range.clone(), number, self.channel);
        let is_wanted = self.shape.is_none() || self.misses >= MISSES;
        if is_wanted && matches!(line.body, Body::Process { .. }) {
            self.shape = shape_of(&strings.text[range], &members);
            self.misses = 0;
        }
        line
    }
}

/// Decodes a line that has the expected shape; `None` if it has another one.
fn decode_alike(shape: &Shape, strings: &Strings<'_>, line: &Range<usize>) -> Option<Line> {
    let fields = shape.fields(&strings.text[line.clone()])?;
    let span = |range: &Range<usize>| Span::from(line.start + range.start..line.start + range.end);
    let body = Body::Process {
        event_id: span(&fields.event_id),
        word: span(&fields.word),
    };
    let request = body.request(strings.text)?;
    request.check_lengths().ok()?;
    Some(Line {
        at: 0,
        src: shape.src().map(span),
        msg_id: Some(fields.msg_id),
        body,
    })
}

/// Returns the shape of a line that is a `process` request, if it has all fields and none of
/// them has escapes.
fn shape_of(line: &str, members: &Members<'_>) -> Option<Shape> {
    let place_of = |member| match member {
        Member::Found(value) => Some(place(line, plain(value)?)),
        _ => None,
    };
    let src = match members.src {
        Member::Absent => None,
        member => Some(place_of(member)?),
    };
    let Member::Found(msg_id) = members.msg_id else {
        return None;
    };
    let places = [
        (place(line, msg_id), Field::MsgId),
        (place_of(members.event_id)?, Field::EventId),
        (place_of(members.word)?, Field::Word),
    ];
    Shape::of(line, places, src)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes a request in one of four ways.
    fn alike(order: usize, msg_id: u32, id: &str, word: &str) -> String {
        match order {
            0 => {
                let fields = format!(r#""msg_id":{msg_id},"event_id":"{id}","word":"{word}""#);
                format!(r#"{{"src":"s","body":{{"type":"process",{fields}}}}}"#)
            }
            1 => {
                let fields = format!(r#""word": "{word}", "event_id": "{id}", "msg_id": {msg_id}"#);
                format!(r#"{{"body": {{{fields}, "type": "process"}}, "src": "s"}}"#)
            }
            2 => {
                let fields = format!(r#""event_id":"{id}","msg_id":{msg_id},"word":"{word}""#);
                format!(r#"{{"src":"s","type":"process",{fields}}}"#)
            }
            _ => {
                let fields = format!(r#""event_id":"{id}","msg_id":{msg_id},"word":"{word}""#);
                format!(r#"{{"x":[1],"body":{{{fields},"type":"process"}} }}"#)
            }
        }
    }

    proptest! {
        #[test]
        fn a_line_that_is_alike_or_nearly_so_is_decoded_as_by_itself(
            ids in prop::collection::vec((any::<u32>(), "[a-c\\\\\"]{0,9}", "[x-z]{0,12}"), 1..30),
            spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..30),
            order in 0..4_usize,
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
                let (expected, _) = decode_in_full(&mut strings, 0..line.len(), 7, Channel::Stream);
                prop_assert_eq!(format!("{:?}", found), format!("{:?}", expected));
                prop_assert_eq!(&side, &other);
            }
        }
    }
}
