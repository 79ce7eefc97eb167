//! Finds the members of a line that the protocol knows.

use std::fmt;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::protocol::json::text_of;

/// A member of a line; its value is JSON.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Member<'a> {
    #[default]
    Absent,
    Found(&'a str),
    Repeated,
}

/// The members of a line's envelope and body that the protocol knows. A flat line, which has no
/// body and a type, is its own body.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    pub(super) src: Member<'a>,
    pub(super) dest: Member<'a>,
    pub(super) body: Member<'a>,
    pub(super) kind: Member<'a>,
    pub(super) msg_id: Member<'a>,
    pub(super) event_id: Member<'a>,
    pub(super) word: Member<'a>,
    pub(super) checkpoint_id: Member<'a>,
    pub(super) node_id: Member<'a>,
    pub(super) node_ids: Member<'a>,
    /// The first of these members that came a second time.
    pub(super) repeated: Option<&'static str>,
}

impl<'a> Members<'a> {
    /// Returns the name and the place of a member of the body, or of the envelope, if it is known.
    fn known(&mut self, name: &str, in_body: bool) -> Option<(&'static str, &mut Member<'a>)> {
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

    /// Keeps a member if the protocol knows it.
    fn put(&mut self, name: &str, in_body: bool, value: &'a str) {
        let Some((name, member)) = self.known(name, in_body) else {
            return;
        };
        if let Member::Absent = member {
            *member = Member::Found(value);
        } else {
            *member = Member::Repeated;
            self.repeated.get_or_insert(name);
        }
    }

    /// Returns the members of a line whose own members, taken for those of a body, are `flat`.
    fn or_flat(self, flat: Self, line: &'a str) -> Self {
        match (self.body, flat.kind) {
            (Member::Absent, Member::Found(_) | Member::Repeated) => Self {
                src: self.src,
                dest: self.dest,
                body: Member::Found(line.trim_ascii()),
                repeated: self.repeated.or(flat.repeated),
                ..flat
            },
            _ => self,
        }
    }
}

/// Reads the members of a line.
///
/// # Errors
///
/// The reason why the line is not a JSON object, in words.
pub(super) fn read_members(line: &str) -> Result<Members<'_>, String> {
    if line.starts_with('\u{feff}') {
        return Err("it begins with a byte order mark; send UTF-8 without one".to_owned());
    }
    let not_json = |reason: &str, column: usize| {
        format!("not JSON: {reason} at byte {column}; send one JSON object a line")
    };
    let start = line.len() - line.trim_ascii_start().len();
    if !line[start..].starts_with('{') {
        return Err(not_json("expected an object", start + 1));
    }
    let (mut members, mut flat) = (Members::default(), Members::default());
    let visitor = ObjectVisitor {
        members: &mut members,
        flat: Some(&mut flat),
    };
    let read = visitor.read(line);
    read.map(|()| members.or_flat(flat, line)).map_err(|error| {
        let reason = error.to_string();
        // serde_json takes every line for line 1, which would mislead the sender.
        let reason = reason.split(" at line ").next().unwrap_or_default();
        not_json(reason, error.column())
    })
}

/// Keeps the members of a JSON object that the protocol knows.
struct ObjectVisitor<'m, 'a> {
    members: &'m mut Members<'a>,
    /// Also keeps the members of a line as if it were a body; `None` for a body.
    flat: Option<&'m mut Members<'a>>,
}

impl<'a> ObjectVisitor<'_, 'a> {
    fn read(self, json: &'a str) -> serde_json::Result<()> {
        let mut reader = serde_json::Deserializer::from_str(json);
        reader.deserialize_map(self)?;
        reader.end()
    }
}

impl<'a> Visitor<'a> for ObjectVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { members, mut flat } = self;
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let (name, value) = (text_of(name.get()), value.get());
            // The protocol knows no name with a lone surrogate.
            let Some(name) = name else { continue };
            let Some(flat) = &mut flat else {
                members.put(&name, true, value);
                continue;
            };
            let is_body = name == "body" && value.starts_with('{');
            if is_body && matches!(members.body, Member::Absent) {
                let body = ObjectVisitor {
                    members: &mut *members,
                    flat: None,
                };
                body.read(value).map_err(serde::de::Error::custom)?;
            }
            members.put(&name, false, value);
            flat.put(&name, true, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        for (line, expected) in [
            (" not JSON", "expected an object at byte 2"),
            (r#"{"a":1 "b":2}"#, "expected `,` or `}` at byte 8"),
            (r#"{"a":[01]}"#, "invalid number at byte 8"),
            (r#"{"a":1}x"#, "trailing characters at byte 8"),
            (r#"{"body":{"a":"#, "EOF while parsing a value at byte 13"),
        ] {
            let why = read_members(line).expect_err(line);
            assert_eq!(
                why,
                format!("not JSON: {expected}; send one JSON object a line")
            );
        }
    }
}
