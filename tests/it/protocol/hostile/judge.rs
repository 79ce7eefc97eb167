//! Judges by the protocol page alone whether a line is bad, and which rule it breaks.
//!
//! It shares no code with the program: the grammar is that of `serde_json`, and the rules are those
//! of section 5. A line about which the page says nothing definite does not count as bad.

use super::super::malformed::MsgId;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

const MAX_LINE_BYTES: usize = 1 << 20;
const MAX_NESTING: usize = 128;
/// The digits of the largest `msg_id`.
const MOST_DIGITS: usize = 20;
/// The deepest level that any rule looks at: the elements of an array in a body in a line.
const RULED_LEVELS: usize = 3;

/// The first rule that a bad line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    LineTooLong,
    NotUtf8,
    NotJson,
    NotAnObject,
    BodyMissing,
    RepeatedMember,
    LoneSurrogate,
    TooDeep,
    NoMsgId,
    NoType,
    UnknownType,
    MemberMissingOrWrong,
}

pub const RULES: [Rule; 12] = [
    Rule::LineTooLong,
    Rule::NotUtf8,
    Rule::NotJson,
    Rule::NotAnObject,
    Rule::BodyMissing,
    Rule::RepeatedMember,
    Rule::LoneSurrogate,
    Rule::TooDeep,
    Rule::NoMsgId,
    Rule::NoType,
    Rule::UnknownType,
    Rule::MemberMissingOrWrong,
];

/// The error that a bad line must get.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    pub code: u32,
    pub in_reply_to: MsgId,
    pub rule: Rule,
}

/// Judges a line without its newline; `None` if it is blank or may be a request.
pub fn judge(line: &[u8]) -> Option<Verdict> {
    let absent = |rule| Some(malformed(MsgId::Absent, rule));
    if line.strip_suffix(b"\r").unwrap_or(line).len() > MAX_LINE_BYTES {
        return absent(Rule::LineTooLong);
    }
    let Ok(text) = std::str::from_utf8(line) else {
        return absent(Rule::NotUtf8);
    };
    if text.bytes().all(|byte| b" \t\r".contains(&byte)) {
        return None;
    }
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return absent(Rule::NotJson);
    }
    let tame = Tame::of(text);
    match serde_json::from_slice::<Envelope>(&tame.json) {
        Ok(envelope) => envelope.judge(&tame),
        Err(_) => absent(Rule::NotAnObject),
    }
}

fn malformed(in_reply_to: MsgId, rule: Rule) -> Verdict {
    Verdict {
        code: 12,
        in_reply_to,
        rule,
    }
}

/// JSON in which all that `serde_json` could refuse is replaced by something that breaks the same
/// rules, and what else the rules need to know.
#[derive(Default)]
struct Tame {
    json: Vec<u8>,
    /// The number of open arrays and objects.
    open: usize,
    depth: usize,
    has_lone_surrogate: bool,
}

impl Tame {
    /// Reads `text`, which is JSON by its grammar.
    fn of(text: &str) -> Self {
        let mut tame = Self::default();
        let mut rest = text;
        while let Some(first) = rest.bytes().next() {
            let length = match first {
                b'"' => tame.string(rest),
                b'-' | b'0'..=b'9' => tame.number(rest),
                b'[' | b'{' => tame.open(first),
                b']' | b'}' => tame.close(first),
                other => tame.keep(&[other]),
            };
            rest = &rest[length..];
        }
        tame
    }

    /// A value deeper than any rule looks becomes a number.
    fn open(&mut self, bracket: u8) -> usize {
        if self.open == RULED_LEVELS {
            self.keep(b"0");
        }
        self.open += 1;
        self.depth = self.depth.max(self.open);
        self.keep(&[bracket])
    }

    fn close(&mut self, bracket: u8) -> usize {
        self.keep(&[bracket]);
        self.open -= 1;
        1
    }

    /// A number stays if it may be a `msg_id`; any other becomes -1, which is none.
    fn number(&mut self, rest: &str) -> usize {
        let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let number = &rest[..length];
        let is_plain = number.len() <= MOST_DIGITS && number.bytes().all(|b| b.is_ascii_digit());
        self.keep(if is_plain { number } else { "-1" }.as_bytes());
        length
    }

    /// A string stays, except for lone surrogates, which become a character that no known name has.
    fn string(&mut self, rest: &str) -> usize {
        let bytes = rest.as_bytes();
        let mut at = self.keep(b"\"");
        while bytes[at] != b'"' {
            let length = match (bytes[at], bytes[at + 1]) {
                (b'\\', b'u') => self.unit(&rest[at..]),
                (b'\\', _) => self.keep(&bytes[at..at + 2]),
                _ => self.keep(&bytes[at..=at]),
            };
            at += length;
        }
        at + self.keep(b"\"")
    }

    /// Reads a `\uXXXX`, or two of them that are one character.
    fn unit(&mut self, rest: &str) -> usize {
        let unit = |at: usize| {
            let digits = rest.get(at..at + 6)?.strip_prefix("\\u")?;
            u16::from_str_radix(digits, 16).ok()
        };
        let first = unit(0).expect("the grammar has been checked");
        let second = unit(6).unwrap_or_default();
        let is_pair = char::decode_utf16([first, second]).all(|c| c.is_ok());
        match first {
            0xD800..=0xDBFF if is_pair => self.keep(&rest.as_bytes()[..12]),
            0xD800..=0xDFFF => {
                self.has_lone_surrogate = true;
                self.keep(br"\uFFFD")
            }
            _ => self.keep(&rest.as_bytes()[..6]),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> usize {
        if self.open <= RULED_LEVELS {
            self.json.extend(bytes);
        }
        bytes.len()
    }
}

/// What the rules need to know of a value.
enum Value {
    Text(String),
    Integer(u64),
    Texts,
    Body(Box<Body>),
    Other,
}

/// A known member: how often it came, and its first value.
#[derive(Default)]
struct Member {
    times: usize,
    value: Option<Value>,
}

#[derive(Default)]
struct Envelope {
    src: Member,
    dest: Member,
    body: Member,
    /// The members of a line that may be its own body.
    flat: Body,
}

#[derive(Default)]
struct Body {
    kind: Member,
    msg_id: Member,
    event_id: Member,
    word: Member,
    checkpoint_id: Member,
    node_id: Member,
    node_ids: Member,
}

impl Member {
    fn put(&mut self, value: Value) {
        self.times += 1;
        self.value.get_or_insert(value);
    }

    /// True if it is a string of 1 to this many bytes.
    fn is_text(&self, most: usize) -> bool {
        matches!(&self.value, Some(Value::Text(text)) if (1..=most).contains(&text.len()))
    }
}

impl Envelope {
    fn judge(&self, tame: &Tame) -> Option<Verdict> {
        if self.body.times > 1 {
            return Some(malformed(MsgId::Either, Rule::RepeatedMember));
        }
        let body = match &self.body.value {
            Some(Value::Body(body)) => body,
            None if self.flat.kind.times > 0 => &self.flat,
            _ => return Some(malformed(MsgId::Absent, Rule::BodyMissing)),
        };
        let msg_id = body.msg_id();
        let rule = if self.src.times > 1 || self.dest.times > 1 || body.has_repeated() {
            Rule::RepeatedMember
        } else if tame.has_lone_surrogate {
            Rule::LoneSurrogate
        } else if tame.depth > MAX_NESTING {
            Rule::TooDeep
        } else if body.msg_id.times == 1 && !matches!(msg_id, MsgId::Is(_)) {
            Rule::NoMsgId
        } else {
            return body.judge(msg_id);
        };
        Some(malformed(msg_id, rule))
    }
}

impl Body {
    fn member(&mut self, name: &str) -> Option<&mut Member> {
        Some(match name {
            "type" => &mut self.kind,
            "msg_id" => &mut self.msg_id,
            "event_id" => &mut self.event_id,
            "word" => &mut self.word,
            "checkpoint_id" => &mut self.checkpoint_id,
            "node_id" => &mut self.node_id,
            "node_ids" => &mut self.node_ids,
            _ => return None,
        })
    }

    fn msg_id(&self) -> MsgId {
        match self.msg_id {
            Member { times: 2.., .. } => MsgId::Either,
            Member {
                value: Some(Value::Integer(msg_id)),
                ..
            } => MsgId::Is(msg_id),
            _ => MsgId::Absent,
        }
    }

    fn has_repeated(&self) -> bool {
        let Self {
            kind,
            msg_id,
            event_id,
            word,
            checkpoint_id,
            node_id,
            node_ids,
        } = self;
        let all = [
            kind,
            msg_id,
            event_id,
            word,
            checkpoint_id,
            node_id,
            node_ids,
        ];
        all.iter().any(|member| member.times > 1)
    }

    fn judge(&self, in_reply_to: MsgId) -> Option<Verdict> {
        let Some(Value::Text(kind)) = &self.kind.value else {
            return Some(malformed(in_reply_to, Rule::NoType));
        };
        let is_whole = match &**kind {
            "" => false,
            "process" => self.event_id.is_text(512) && self.word.is_text(1024),
            "checkpoint" | "restore" => self.checkpoint_id.is_text(256),
            "commit" | "rollback" => true,
            "init" => {
                let has_ids = matches!(self.node_ids.value, Some(Value::Texts));
                self.node_id.is_text(usize::MAX) && has_ids
            }
            _ => {
                return Some(Verdict {
                    code: 10,
                    in_reply_to,
                    rule: Rule::UnknownType,
                });
            }
        };
        (!is_whole).then(|| malformed(in_reply_to, Rule::MemberMissingOrWrong))
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(name) = map.next_key::<String>()? {
            let member = match &*name {
                "src" => Some(&mut envelope.src),
                "dest" => Some(&mut envelope.dest),
                "body" => Some(&mut envelope.body),
                name => envelope.flat.member(name),
            };
            match member {
                Some(member) => member.put(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(envelope)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Reads every object as a body. Where no rule expects a body, it only matters that the value is an
/// object.
struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let (mut count, mut texts) = (0, 0);
        while let Some(element) = seq.next_element::<Value>()? {
            count += 1;
            texts += usize::from(matches!(element, Value::Text(_)));
        }
        let of_texts = count > 0 && count == texts;
        Ok(if of_texts { Value::Texts } else { Value::Other })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut body = Box::<Body>::default();
        while let Some(name) = map.next_key::<String>()? {
            match body.member(&name) {
                Some(member) => member.put(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Body(body))
    }
}
