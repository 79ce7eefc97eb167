//! Checks what the protocol demands of a JSON text and serde_json does not check.
//!
//! [`members`](super::members) reads a line as raw values. In these, serde_json checks only the
//! grammar of RFC 8259: it limits neither nesting nor numbers, and accepts lone surrogates. So even
//! the reply to a line with one of these faults can name its request.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::Deserializer;

use crate::protocol::reason::Problem;

/// The most levels of arrays and objects that a line may have, with the outermost one.
pub(super) const MAX_NESTING: usize = 128;

/// Finds in a line, which must be JSON, what JSON allows and the protocol forbids.
pub(super) fn excess(line: &str) -> Option<Problem> {
    let mut depth = 0;
    let mut is_deep = false;
    let mut at = 0;
    while let Some(byte) = line.as_bytes().get(at) {
        match byte {
            b'"' => {
                let mut values = Deserializer::from_str(&line[at..]).into_iter::<IgnoredAny>();
                values.next();
                let end = at + values.byte_offset();
                if text_of(&line[at..end]).is_none() {
                    return Some(Problem::LoneSurrogate);
                }
                at = end;
                continue;
            }
            b'[' | b'{' => {
                depth += 1;
                is_deep |= depth > MAX_NESTING;
            }
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    is_deep.then_some(Problem::Nesting)
}

/// Returns the text that a JSON string spells; `None` if the value is no string, or has a lone
/// surrogate.
pub(super) fn text_of(value: &str) -> Option<Cow<'_, str>> {
    match plain(value) {
        Some(text) => Some(Cow::Borrowed(text)),
        None => serde_json::from_str(value).ok().map(Cow::Owned),
    }
}

/// Returns the text between the quotes of a JSON string; `None` if the value is no string, or
/// has escapes.
pub(super) fn plain(value: &str) -> Option<&str> {
    let inside = value.strip_prefix('"')?.strip_suffix('"')?;
    (!inside.contains('\\')).then_some(inside)
}

/// True if a value is an array of at least one element, all of them strings.
pub(super) fn is_array_of_strings(value: &str) -> bool {
    serde_json::from_str(value).is_ok_and(|strings: Vec<String>| !strings.is_empty())
}

/// Returns the kind of a value, in words.
pub(super) fn kind_of(value: &str) -> &'static str {
    match value.as_bytes() {
        [b'"', ..] => "a string",
        [b't' | b'f', ..] => "true or false",
        [b'n', ..] => "null",
        [b'{', ..] => "an object",
        [b'[', ..] if is_array_of_strings(value) => "an array of strings",
        [b'[', ..] => "an array, but not of strings",
        _ => "a number",
    }
}

/// Returns where a part of a text stands in that text.
pub(super) fn place(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_string_of_code_units_is_text_unless_a_surrogate_is_alone(
            units in prop::collection::vec(prop_oneof![0xD7F0..0xE010_u16, any::<u16>()], 0..8),
        ) {
            let escapes = units.iter().map(|unit| format!("\\u{unit:04x}"));
            let json = format!("\"{}\"", escapes.collect::<String>());
            let expected = String::from_utf16(&units).ok();
            prop_assert_eq!(text_of(&json).map(Cow::into_owned), expected.clone());
            for line in [&json, &format!("[{json}]"), &format!("{{{json}:[0,{json}]}}")] {
                let is_lone = matches!(excess(line), Some(Problem::LoneSurrogate));
                prop_assert_eq!(is_lone, expected.is_none(), "{}", line);
            }
        }
    }

    #[test]
    fn nesting_is_counted_outside_of_strings_and_bounded_only_by_the_line() {
        for depth in [1, MAX_NESTING, MAX_NESTING + 1, 400_000] {
            let strings = r#"["]]]\"]","[[[\\"],"#;
            let line = format!(
                "{}{strings}0{}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            );
            let is_deep = matches!(excess(&line), Some(Problem::Nesting));
            assert_eq!(is_deep, depth > MAX_NESTING, "{depth}");
        }
    }
}
