//! The members of a line that the protocol knows, as they are met.

use crate::protocol::json::{RawString, Reader, SyntaxError, Value};
use crate::protocol::unescape::unescape;

/// A member as it was met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Member {
    #[default]
    Absent,
    Found(Value),
    Repeated,
}

/// The members that the protocol knows, of a line's envelope and its body.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) src: Member,
    pub(super) dest: Member,
    pub(super) body: Member,
    pub(super) kind: Member,
    pub(super) msg_id: Member,
    pub(super) event_id: Member,
    pub(super) word: Member,
    pub(super) checkpoint_id: Member,
    pub(super) node_id: Member,
    pub(super) node_ids: Member,
    /// A known member that came again.
    pub(super) repeated: Option<&'static str>,
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

/// Reads the members of a line.
pub(super) fn read_members(reader: &mut Reader<'_>, line: &str) -> Result<Members, SyntaxError> {
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
