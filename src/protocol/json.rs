//! A strict reader of one line of JSON, which allocates nothing for what clients send.
//!
//! A JSON library stops at the first thing it does not like and cannot say which request it was
//! in; it also copies strings, and has its own ideas of nesting and numbers.
//!
//! The grammar is that of RFC 8259. What the protocol forbids beyond it (lone surrogates, deep
//! nesting) is noted and reading goes on, so that a reply can still say which request it was.

use std::ops::Range;

use smallvec::SmallVec;

use crate::inspect::json_text::plain_bytes;

/// The most levels of arrays and objects, the outermost included.
pub(super) const MAX_NESTING: usize = 128;

/// From `[` to `]` and from `{` to `}` in ASCII.
const CLOSE: u8 = 2;

/// The text is not JSON: what was expected where, as a byte offset from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) expected: &'static str,
    pub(super) at: usize,
}

/// What JSON allows and the protocol does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Excess {
    /// A string has half of a surrogate pair, so that it is no text and cannot be unescaped.
    pub(super) lone_surrogate: bool,
    /// There are more than [`MAX_NESTING`] levels.
    pub(super) nesting: bool,
}

/// A string as it stands between its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawString {
    pub(super) inside: Range<usize>,
    pub(super) has_escapes: bool,
    /// Whether half of a surrogate pair is among them, so that it is no text.
    pub(super) has_lone_surrogate: bool,
}

/// A value that was read; arrays and objects only as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    String(RawString),
    Number(Range<usize>),
    Bool,
    Null,
    /// An array, and whether it has at least one element and only strings.
    Array {
        of_strings: bool,
    },
    Object,
}

type Syntax<T> = Result<T, SyntaxError>;

/// Reads a text from its beginning.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many arrays and objects are open.
    depth: usize,
    pub(super) excess: Excess,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
            depth: 0,
            excess: Excess::default(),
        }
    }

    /// The next byte that is not white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Goes into an object, at its opening brace.
    pub(super) fn open_object(&mut self) -> Syntax<()> {
        self.expect(b'{', "an object")?;
        self.deepen();
        Ok(())
    }

    /// The key of the next member of the object, with the colon behind it; `None` at its end,
    /// which is left.
    pub(super) fn next_key(&mut self, is_first: bool) -> Syntax<Option<RawString>> {
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.depth -= 1;
            return Ok(None);
        }
        if !is_first {
            self.expect(b',', "',' or '}'")?;
        }
        self.key().map(Some)
    }

    /// Expects nothing but white space.
    pub(super) fn end(&mut self) -> Syntax<()> {
        if self.peek().is_none() {
            Ok(())
        } else {
            self.error("the end of the line")
        }
    }

    /// Reads one value of any kind, to its end.
    pub(super) fn value(&mut self) -> Syntax<Value> {
        match self.peek() {
            Some(open @ (b'[' | b'{')) => self.container(open),
            _ => self.scalar(),
        }
    }

    /// Reads an array or object to its end, without recursion: the line is all that bounds it.
    fn container(&mut self, open: u8) -> Syntax<Value> {
        let mut stack = SmallVec::<[u8; 32]>::new();
        let mut of_strings = open == b'[';
        let mut is_empty = true;
        loop {
            match self.peek() {
                Some(open @ (b'[' | b'{')) => {
                    of_strings &= stack.is_empty();
                    self.at += 1;
                    stack.push(open);
                    self.deepen();
                    let close = open + CLOSE;
                    if self.peek() != Some(close) {
                        if open == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => {
                    let is_string = matches!(self.scalar()?, Value::String(_));
                    of_strings &= is_string;
                    is_empty = false;
                }
            }
            if !self.after_value(&mut stack)? {
                let of_strings = of_strings && !is_empty;
                return Ok(if open == b'[' {
                    Value::Array { of_strings }
                } else {
                    Value::Object
                });
            }
        }
    }

    /// Behind a value in a container: closes what closes there, up to the next value. False
    /// when nothing is open any more.
    fn after_value(&mut self, stack: &mut SmallVec<[u8; 32]>) -> Syntax<bool> {
        while let Some(&open) = stack.last() {
            match self.peek() {
                Some(close) if close == open + CLOSE => {
                    self.at += 1;
                    self.depth -= 1;
                    stack.pop();
                }
                Some(b',') => {
                    self.at += 1;
                    if open == b'{' {
                        self.key()?;
                    }
                    return Ok(true);
                }
                _ if open == b'[' => return self.error("',' or ']'"),
                _ => return self.error("',' or '}'"),
            }
        }
        Ok(false)
    }

    fn deepen(&mut self) {
        self.depth += 1;
        self.excess.nesting |= self.depth > MAX_NESTING;
    }

    fn key(&mut self) -> Syntax<RawString> {
        if self.peek() != Some(b'"') {
            return self.error("a member's name");
        }
        let key = self.string()?;
        self.expect(b':', "':'")?;
        Ok(key)
    }

    fn scalar(&mut self) -> Syntax<Value> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.literal("true", Value::Bool),
            Some(b'f') => self.literal("false", Value::Bool),
            Some(b'n') => self.literal("null", Value::Null),
            _ => self.error("a value"),
        }
    }

    fn literal(&mut self, text: &'static str, value: Value) -> Syntax<Value> {
        if self.bytes[self.at..].starts_with(text.as_bytes()) {
            self.at += text.len();
            return Ok(value);
        }
        self.error("a value")
    }

    fn number(&mut self) -> Syntax<Range<usize>> {
        let start = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(start..self.at)
    }

    fn digits(&mut self) -> Syntax<()> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            self.error("a digit")
        }
    }

    /// Reads a string, at its opening quote.
    fn string(&mut self) -> Syntax<RawString> {
        self.at += 1;
        let start = self.at;
        let mut has_escapes = false;
        let mut has_lone_surrogate = false;
        loop {
            match self.byte() {
                Some(b'"') => {
                    let inside = start..self.at;
                    self.at += 1;
                    self.excess.lone_surrogate |= has_lone_surrogate;
                    return Ok(RawString {
                        inside,
                        has_escapes,
                        has_lone_surrogate,
                    });
                }
                Some(b'\\') => {
                    has_escapes = true;
                    has_lone_surrogate |= self.escape()?;
                }
                Some(0..0x20) => return self.error("no control character within a string"),
                Some(_) => self.at += plain_bytes(&self.bytes[self.at..]),
                None => return self.error("the end of a string"),
            }
        }
    }

    /// Reads an escape sequence, at its backslash; whether it is half of a surrogate pair.
    fn escape(&mut self) -> Syntax<bool> {
        self.at += 1;
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => match self.code_unit()? {
                0xD800..0xDC00 if self.bytes[self.at..].starts_with(b"\\u") => {
                    let pair = self.at;
                    self.at += 1;
                    if !(0xDC00..0xE000).contains(&self.code_unit()?) {
                        self.at = pair;
                        return Ok(true);
                    }
                }
                0xD800..0xE000 => return Ok(true),
                _ => {}
            },
            _ => return self.error("an escape sequence"),
        }
        Ok(false)
    }

    /// Reads four hexadecimal digits, at the `u` before them.
    fn code_unit(&mut self) -> Syntax<u16> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return self.error("four hexadecimal digits");
            };
            unit = unit << 4 | digit as u16;
            self.at += 1;
        }
        Ok(unit)
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8, name: &'static str) -> Syntax<()> {
        if self.peek() != Some(byte) {
            return self.error(name);
        }
        self.at += 1;
        Ok(())
    }

    fn error<T>(&self, expected: &'static str) -> Syntax<T> {
        Err(SyntaxError {
            expected,
            at: self.at,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::unescape::unescape;

    /// Whether the text is JSON, and what it has that the protocol forbids.
    fn read(text: &str) -> (bool, Excess) {
        let mut reader = Reader::new(text);
        (
            reader.value().and_then(|_| reader.end()).is_ok(),
            reader.excess,
        )
    }

    /// What serde_json says of the grammar alone.
    fn is_json(text: &str) -> bool {
        serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    }

    /// Text that is nearly JSON: its tokens in any order.
    fn tokens() -> impl Strategy<Value = String> {
        let token = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"\\u00e9\\n\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud800\"",
            "\"\\udc00x\"",
            "\"\\x\"",
            "\"\u{1}\"",
            "0",
            "-1",
            "01",
            "1.5",
            "1.",
            "1e5",
            "2E-3",
            "1e",
            "-",
            "true",
            "false",
            "null",
            "nul",
            " ",
            "\t",
            "\u{feff}",
        ]);
        prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
    }

    fn document() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_serde_json_takes_and_refuses_is_taken_and_refused(text in tokens()) {
            prop_assert_eq!(read(&text).0, is_json(&text));
        }

        #[test]
        fn every_document_is_taken_and_no_part_of_one_is(document in document(), cut: usize) {
            let text = document.to_string();
            prop_assert!(read(&text).0);
            let cut = text.floor_char_boundary(cut % text.len());
            let part = &text[..cut];
            prop_assert_eq!(read(part).0, is_json(part));
        }

        #[test]
        fn a_string_is_unescaped_as_serde_json_does(text: String, ascii: bool) {
            let mut json = serde_json::to_string(&text).expect("a string is JSON");
            if ascii {
                let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
                json = format!("\"{}\"", units.collect::<String>());
            }
            let mut out = String::new();
            unescape(&json[1..json.len() - 1], &mut out);
            prop_assert_eq!(out, text);
            prop_assert_eq!(read(&json), (true, Excess::default()));
        }

        #[test]
        fn a_string_of_code_units_is_text_unless_a_surrogate_is_alone(
            units in prop::collection::vec(prop_oneof![0xD7F0..0xE010_u16, any::<u16>()], 0..8),
        ) {
            let escapes = units.iter().map(|unit| format!("\\u{unit:04x}"));
            let json = format!("\"{}\"", escapes.collect::<String>());
            let lone_surrogate = String::from_utf16(&units).is_err();
            prop_assert_eq!(read(&json), (true, Excess { lone_surrogate, nesting: false }));
        }
    }

    #[test]
    fn nesting_is_counted_and_bounded_only_by_the_line() {
        for (depth, nesting) in [
            (MAX_NESTING, false),
            (MAX_NESTING + 1, true),
            (400_000, true),
        ] {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let mut reader = Reader::new(&text);
            assert_eq!(reader.value(), Ok(Value::Array { of_strings: false }));
            assert_eq!(
                reader.excess,
                Excess {
                    nesting,
                    lone_surrogate: false
                }
            );
        }
    }
}
