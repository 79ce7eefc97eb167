//! Quickly decodes a line that has the shape of an earlier one: most senders write all their
//! requests alike.
//!
//! A `process` request is cut at the three values that differ from event to event. If a later
//! line has the same text around its own values, it is the same request with those values, and
//! need not be read member by member. A line that differs by a single blank is read in full, so
//! only the speed depends on the shape.

use std::ops::Range;

use crate::inspect::json_text::plain_bytes;

/// A value that differs from line to line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    MsgId,
    EventId,
    Word,
}

/// The fields of one line: the number, and the places of the strings between their quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) msg_id: u64,
    pub(super) event_id: Range<usize>,
    pub(super) word: Range<usize>,
}

/// The text before, between and after the fields of a line.
#[derive(Debug)]
pub(super) struct Shape {
    /// Each field, with the text before it.
    fields: [(Box<str>, Field); 3],
    end: Box<str>,
    /// The place of the sender's name, which is before all fields.
    src: Option<Range<usize>>,
}

impl Shape {
    /// Returns the shape of a line whose fields are at these places, or `None` if the sender is
    /// named after one of them.
    pub(super) fn of(
        line: &str,
        mut places: [(Range<usize>, Field); 3],
        src: Option<Range<usize>>,
    ) -> Option<Self> {
        places.sort_by_key(|(place, _)| place.start);
        let is_before = |src: &Range<usize>| src.end <= places[0].0.start;
        if !src.as_ref().is_none_or(is_before) {
            return None;
        }
        let mut from = 0;
        let fields = places.map(|(place, field)| {
            let before = &line[from..place.start];
            from = place.end;
            (before.into(), field)
        });
        Some(Self {
            fields,
            end: line[from..].into(),
            src,
        })
    }

    /// Returns the place of the sender's name.
    pub(super) fn src(&self) -> Option<&Range<usize>> {
        self.src.as_ref()
    }

    /// Returns the fields of a line with this shape, or `None` if it has another one.
    pub(super) fn fields(&self, line: &str) -> Option<Fields> {
        let mut fields = Fields::default();
        let mut at = 0;
        for (before, field) in &self.fields {
            let rest = line.as_bytes().get(at..)?;
            let rest = rest.strip_prefix(before.as_bytes())?;
            at += before.len();
            match field {
                Field::MsgId => {
                    let (msg_id, digits) = number(rest)?;
                    fields.msg_id = msg_id;
                    at += digits;
                }
                Field::EventId => fields.event_id = take(&mut at, plain_bytes(rest)),
                Field::Word => fields.word = take(&mut at, plain_bytes(rest)),
            }
        }
        (line.as_bytes().get(at..)? == self.end.as_bytes()).then_some(fields)
    }
}

/// Moves `at` forward by this many bytes, and returns their place.
fn take(at: &mut usize, bytes: usize) -> Range<usize> {
    let start = *at;
    *at += bytes;
    start..*at
}

/// Returns the number at the beginning of a text and the count of its digits, or `None` if JSON
/// would not write it so.
fn number(text: &[u8]) -> Option<(u64, usize)> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut number = 0_u64;
    for &digit in &text[..digits] {
        number = number
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
    }
    let is_json = digits == 1 || (digits > 1 && text[0] != b'0');
    is_json.then_some((number, digits))
}
