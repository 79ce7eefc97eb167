//! Reads a query of a client of the control socket.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::inspect::Query;
use crate::protocol::reason::{NUMBER, Problem, Reason};

/// Reads the query of this name from the body of a line.
pub(super) fn read_query(name: &str, body: &str) -> Result<Query, String> {
    let in_members = |error: serde_json::Error| format!("the members of {name}: {error}");
    let Members { members, repeated } = serde_json::from_str(body).map_err(in_members)?;
    if let Some(member) = repeated {
        let problem = Problem::Repeated;
        return Err(Reason { member, problem }.to_string());
    }
    let members = Value::Object(members);
    Query::deserialize(&members).map_err(|error| {
        let wrong = KINDS.into_iter().find_map(|kind| {
            let value = members.get(kind.member)?;
            let wrong = kind.wrong(value);
            match kind.member {
                AFTER => wrong.or_else(|| wrong_in_output(value)),
                _ => wrong,
            }
        });
        wrong.map_or_else(|| in_members(error), |reason| reason.to_string())
    })
}

/// The members of a body that a query may have, and the member `type`.
struct Members {
    members: Map<String, Value>,
    /// The first of them that came a second time.
    repeated: Option<&'static str>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Reads the members of an object that a query may have.
struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Map::new();
        let mut repeated = None;
        while let Some(member) = map.next_key::<String>()? {
            let kind = MemberKind::of(&member);
            if kind.is_none() && member != "type" {
                map.next_value::<IgnoredAny>()?;
            } else if members.insert(member, map.next_value()?).is_some() {
                repeated = repeated.or(kind.map(|kind| kind.member));
            }
        }
        Ok(Members { members, repeated })
    }
}

/// The kind of value that a member of a query must have.
#[derive(Debug, Clone, Copy)]
struct MemberKind {
    member: &'static str,
    expected: &'static str,
    is_met_by: fn(&Value) -> bool,
}

/// The name of the member whose value is an output.
const AFTER: &str = "after";

const KINDS: [MemberKind; 13] = [
    MemberKind::of_strings("checkpoint_id"),
    MemberKind::of_strings("event_id"),
    MemberKind::of_strings("word"),
    MemberKind::of_strings("first"),
    MemberKind::of_strings("second"),
    MemberKind::of_strings("only"),
    MemberKind::of_strings("prefix"),
    MemberKind::new("from", NUMBER, Value::is_u64),
    MemberKind::new("limit", NUMBER, Value::is_u64),
    MemberKind::new("top", NUMBER, Value::is_u64),
    MemberKind::new("wait_ms", NUMBER, Value::is_u64),
    MemberKind::new(AFTER, "an output, which is an object", Value::is_object),
    MemberKind::new("incidentals", "true or false", Value::is_boolean),
];

/// The members that an output must have: the name of each, and its kind with the name that an
/// error reply gives it.
const OF_AN_OUTPUT: [(&str, MemberKind); 4] = [
    (
        "offset",
        MemberKind::new("after.offset", NUMBER, Value::is_u64),
    ),
    ("event_id", MemberKind::of_strings("after.event_id")),
    ("word", MemberKind::of_strings("after.word")),
    (
        "count",
        MemberKind::new("after.count", NUMBER, Value::is_u64),
    ),
];

/// Returns the reason why a value is not an output, or `None` if it is one.
fn wrong_in_output(value: &Value) -> Option<Reason> {
    OF_AN_OUTPUT.into_iter().find_map(|(member, kind)| {
        let problem = Problem::Missing;
        let missing = Reason {
            member: kind.member,
            problem,
        };
        value
            .get(member)
            .map_or(Some(missing), |value| kind.wrong(value))
    })
}

impl MemberKind {
    const fn new(member: &'static str, expected: &'static str, met: fn(&Value) -> bool) -> Self {
        Self {
            member,
            expected,
            is_met_by: met,
        }
    }

    const fn of_strings(member: &'static str) -> Self {
        Self::new(member, "a string", Value::is_string)
    }

    /// Returns the kind of a member.
    fn of(member: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.member == member)
    }

    /// Returns the reason why a value is not of this kind, or `None` if it is.
    fn wrong(self, value: &Value) -> Option<Reason> {
        let Self {
            member,
            expected,
            is_met_by,
        } = self;
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) if expected == NUMBER => "another number",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        let problem = Problem::WrongType { expected, found };
        (!is_met_by(value)).then_some(Reason { member, problem })
    }
}
