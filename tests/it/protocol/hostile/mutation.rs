//! Ways to spoil a line.

use rand::{Rng, RngExt};
use std::ops::Range;

/// A mutation adds fewer digits or levels than this, which is more than the limits allow.
const MOST: usize = 400;
const LONG_TEXT: Range<usize> = 200..2_000;
/// Bytes that make a line about as long as its limit.
const LONG_LINE: Range<usize> = (1 << 20) - 400..(1 << 20) + 4_000;
const LONG_LINES_IN: u32 = 4_000;
/// Parts of JSON and of requests.
const TOKENS: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "'",
    "null",
    "true",
    "fals",
    "0",
    "-",
    "1.",
    "1e5",
    "NaN",
    "\"a\"",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\\n",
    "//",
    "\"body\":{",
    "\"type\":\"commit\"",
];
const NO_UTF8: [&[u8]; 7] = [
    b"\xff",
    b"\x80",
    b"\xc3",
    b"\xc0\xaf",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
];
const SURROGATES: [&str; 6] = [
    "\\ud800",
    "\\udbff",
    "\\udc00",
    "\\uDFFF\\ud800",
    "\\ud83d\\u0041",
    "\\ud83d\\ud83d\\ude00",
];
const VALUES: [&str; 14] = [
    "null",
    "true",
    "1",
    "-1",
    "1.5",
    "0.5e+300",
    "1e999",
    "[]",
    "{}",
    "[\"a\"]",
    "[1,{}]",
    "{\"type\":1}",
    "\"\"",
    "\"other\"",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutation {
    BitFlipped,
    ByteReplaced,
    Inserted,
    Deleted,
    Repeated,
    Spliced,
    CutShort,
    Moved,
    HugeNumber,
    Nested,
    NotUtf8,
    Nul,
    LoneSurrogate,
    LongText,
    LongLine,
    OtherValue,
    MemberAgain,
    OtherType,
    /// The line becomes a single value, or one of its objects.
    Replaced,
    /// Two to four of the others, except `LongLine`.
    Several,
}

const SINGLE: [Mutation; 19] = [
    Mutation::BitFlipped,
    Mutation::ByteReplaced,
    Mutation::Inserted,
    Mutation::Deleted,
    Mutation::Repeated,
    Mutation::Spliced,
    Mutation::CutShort,
    Mutation::Moved,
    Mutation::HugeNumber,
    Mutation::Nested,
    Mutation::NotUtf8,
    Mutation::Nul,
    Mutation::LoneSurrogate,
    Mutation::LongText,
    Mutation::OtherValue,
    Mutation::MemberAgain,
    Mutation::OtherType,
    Mutation::Replaced,
    Mutation::Several,
];

impl Mutation {
    pub fn random(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..LONG_LINES_IN) {
            0 => Self::LongLine,
            _ => SINGLE[rng.random_range(0..SINGLE.len())],
        }
    }

    /// Spoils a line, which stays one line; `other` is a line from which `Spliced` takes a part.
    pub fn apply(self, line: &mut Vec<u8>, other: &[u8], rng: &mut impl Rng) {
        if self == Self::Several {
            for _ in 0..rng.random_range(2..=4) {
                let one = SINGLE[rng.random_range(0..SINGLE.len() - 1)];
                one.apply(line, other, rng);
            }
            return;
        }
        self.apply_once(line, other, rng);
        for byte in line.iter_mut().filter(|byte| **byte == b'\n') {
            *byte = b' ';
        }
    }

    fn apply_once(self, line: &mut Vec<u8>, other: &[u8], rng: &mut impl Rng) {
        let at = rng.random_range(0..=line.len());
        let run = at..line.len().min(at + rng.random_range(1..=8));
        match self {
            Self::BitFlipped => replace_byte(line, at, |byte| byte ^ (1 << rng.random_range(0..8))),
            Self::ByteReplaced => replace_byte(line, at, |_| rng.random()),
            Self::Inserted => insert(line, at, pick(&TOKENS, rng).bytes()),
            Self::Deleted => drop(line.drain(run)),
            Self::Repeated => line.extend_from_within(run.start..),
            Self::Spliced => {
                line.truncate(at);
                line.extend(&other[rng.random_range(0..=other.len())..]);
            }
            Self::CutShort => line.truncate(at),
            Self::Moved => move_token(line, at, rng),
            Self::HugeNumber => enlarge_number(line, rng),
            Self::Nested => nest(line, rng),
            Self::NotUtf8 => insert(line, at, NO_UTF8[rng.random_range(0..7)].iter().copied()),
            Self::Nul => insert(line, at, [0]),
            Self::LoneSurrogate => {
                let at = after(line, b"\"", rng);
                insert(line, at, pick(&SURROGATES, rng).bytes());
            }
            Self::LongText => lengthen(line, LONG_TEXT, rng),
            Self::LongLine => lengthen(line, LONG_LINE, rng),
            Self::OtherValue => {
                let at = after(line, b":", rng);
                let end = end_of_value(line, at);
                line.splice(at..end, pick(&VALUES, rng).bytes());
            }
            Self::MemberAgain => repeat_member(line, rng),
            Self::OtherType => other_type(line, rng),
            Self::Replaced => replace_line(line, rng),
            Self::Several => {}
        }
    }
}

fn pick<'a>(texts: &[&'a str], rng: &mut impl Rng) -> &'a str {
    texts[rng.random_range(0..texts.len())]
}

fn insert(line: &mut Vec<u8>, at: usize, bytes: impl IntoIterator<Item = u8>) {
    line.splice(at..at, bytes);
}

fn replace_byte(line: &mut [u8], at: usize, with: impl FnOnce(u8) -> u8) {
    if let Some(byte) = line.get_mut(at) {
        *byte = with(*byte);
    }
}

/// The place after a random one of the wanted bytes, or the end of the line.
fn after(line: &[u8], wanted: &[u8], rng: &mut impl Rng) -> usize {
    let places: Vec<_> = (0..line.len())
        .filter(|&at| wanted.contains(&line[at]))
        .collect();
    match places.len() {
        0 => line.len(),
        count => places[rng.random_range(0..count)] + 1,
    }
}

/// The place of the comma or bracket that ends a simple value.
fn end_of_value(line: &[u8], from: usize) -> usize {
    let length = line[from..].iter().position(|byte| b",}]".contains(byte));
    length.map_or(line.len(), |length| from + length)
}

/// Moves a quote, bracket, colon or comma to another place.
fn move_token(line: &mut Vec<u8>, to: usize, rng: &mut impl Rng) {
    let from = after(line, b"\"{}[]:,", rng);
    if from > 0 && !line.is_empty() {
        let token = line.remove(from - 1);
        line.insert(to.min(line.len()), token);
    }
}

/// Makes a number longer: by digits, a fraction or an exponent.
fn enlarge_number(line: &mut Vec<u8>, rng: &mut impl Rng) {
    let at = after(line, b"0123456789", rng);
    let digits = "7".repeat(rng.random_range(1..MOST));
    let more = match rng.random_range(0..5) {
        0 => format!("e{digits}"),
        1 => format!(".{digits}"),
        2 => "e999".to_owned(),
        3 => "E-5".to_owned(),
        _ => digits,
    };
    insert(line, at, more.bytes());
}

/// Puts a deep value in front of a member, at times with one bracket too few.
fn nest(line: &mut Vec<u8>, rng: &mut impl Rng) {
    let levels = rng.random_range(1..MOST);
    let closed = levels - usize::from(rng.random_bool(0.2));
    let (open, close) = match rng.random_range(0..2) {
        0 => ("[".repeat(levels), "]".repeat(closed)),
        _ => ("{\"word\":".repeat(levels) + "0", "}".repeat(closed)),
    };
    let at = after(line, b"{,", rng);
    let name = pick(&["x", "word", "type", "src", "body", "msg_id"], rng);
    insert(line, at, format!("\"{name}\":{open}{close},").bytes());
}

/// Puts this many bytes into a string, or between two strings.
fn lengthen(line: &mut Vec<u8>, by: Range<usize>, rng: &mut impl Rng) {
    let at = after(line, b"\"", rng);
    let filler = pick(&["x", "é", " ", "\\n"], rng);
    let count = rng.random_range(by) / filler.len();
    insert(line, at, filler.repeat(count).bytes());
}

/// Repeats a member, or the text between two commas.
fn repeat_member(line: &mut Vec<u8>, rng: &mut impl Rng) {
    let from = after(line, b"{,", rng);
    let mut member = line[from..end_of_value(line, from)].to_vec();
    member.push(b',');
    insert(line, from, member);
}

/// Puts a prefix before the type.
fn other_type(line: &mut Vec<u8>, rng: &mut impl Rng) {
    let start = b"\"type\":\"";
    let found = line.windows(start.len()).position(|part| part == start);
    let at = found.map_or(line.len(), |at| at + start.len());
    insert(
        line,
        at,
        pick(&["x", " ", "\\u0000", "é", "init_"], rng).bytes(),
    );
}

fn replace_line(line: &mut Vec<u8>, rng: &mut impl Rng) {
    if rng.random_bool(0.5) {
        *line = pick(&VALUES, rng).into();
        return;
    }
    let from = after(line, b"{", rng).saturating_sub(1);
    let length = line[from..].iter().position(|&byte| byte == b'}');
    line.truncate(length.map_or(line.len(), |length| from + length + 1));
    line.drain(..from);
}
