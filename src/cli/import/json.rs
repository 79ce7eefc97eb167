//! Selecting values of a JSON document, which is checked as a whole.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::cli::import::selector::Pointer;

/// A pointer to follow: the number of its slot, and the tokens that are left.
type Wanted<'p> = SmallVec<[(usize, &'p [String]); 4]>;

/// What was found at a pointer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot<'a> {
    Missing,
    Found(&'a RawValue),
    /// A name of the path is there more than once in its object.
    Ambiguous,
}

/// Selects the values at some pointers: one slot for each.
///
/// # Errors
///
/// Why the document is not JSON.
pub(super) fn select<'a>(
    json: &'a str,
    pointers: &[&Pointer],
    slots: &mut Vec<Slot<'a>>,
) -> Result<(), String> {
    slots.clear();
    slots.resize(pointers.len(), Slot::Missing);
    let wanted = pointers.iter().enumerate();
    let wanted = wanted.map(|(slot, pointer)| (slot, &pointer.tokens[..]));
    let select = Select {
        wanted: wanted.collect(),
        slots,
    };
    let mut reader = serde_json::Deserializer::from_str(json);
    let read = select.deserialize(&mut reader).and_then(|()| reader.end());
    read.map_err(|error| {
        let reason = error.to_string();
        // serde_json takes every document for one that begins on line 1.
        let reason = reason.split(" at line ").next().unwrap_or_default();
        format!("not JSON: {reason} at byte {}", error.column())
    })
}

/// Returns the text of a value that is a string or an integer; the error is its kind.
pub(super) fn text_of<'a>(value: &'a RawValue) -> Result<Cow<'a, str>, &'static str> {
    let json = value.get();
    match json.as_bytes() {
        [b'"', inside @ .., b'"'] if !inside.contains(&b'\\') => {
            Ok(Cow::Borrowed(&json[1..json.len() - 1]))
        }
        [b'"', ..] => match serde_json::from_str(json) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => Err("a string with a lone surrogate"),
        },
        [b'-', digits @ ..] | digits if digits.iter().all(u8::is_ascii_digit) => {
            Ok(Cow::Borrowed(json))
        }
        [b't' | b'f', ..] => Err("true or false"),
        [b'n', ..] => Err("null"),
        [b'{', ..] => Err("an object"),
        [b'[', ..] => Err("an array"),
        _ => Err("a number that is no integer"),
    }
}

/// Follows pointers from one value.
struct Select<'p, 's, 'a> {
    wanted: Wanted<'p>,
    slots: &'s mut [Slot<'a>],
}

impl<'a> DeserializeSeed<'a> for Select<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        let is_end = |(_, tokens): &(usize, &[String])| tokens.is_empty();
        if !self.wanted.iter().any(is_end) {
            return deserializer.deserialize_any(self);
        }
        let value = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
        let Self { wanted, slots } = self;
        for &(slot, _) in wanted.iter().filter(|wanted| is_end(wanted)) {
            slots[slot] = match slots[slot] {
                Slot::Missing => Slot::Found(value),
                _ => Slot::Ambiguous,
            };
        }
        let wanted: Wanted<'_> = wanted
            .into_iter()
            .filter(|wanted| !is_end(wanted))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut reader = serde_json::Deserializer::from_str(value.get());
        let select = Select { wanted, slots };
        select
            .deserialize(&mut reader)
            .map_err(serde::de::Error::custom)
    }
}

/// A value that is neither an object nor an array has nothing inside.
macro_rules! nothing_inside {
    ($($visit:ident: $kind:ty),*) => {
        $(fn $visit<E>(self, _: $kind) -> Result<(), E> {
            Ok(())
        })*
    };
}

impl<'a> Visitor<'a> for Select<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    nothing_inside!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
    nothing_inside!(visit_str: &str);

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { wanted, slots } = self;
        let mut seen: SmallVec<[usize; 4]> = SmallVec::new();
        while let Some(inside) = map.next_key_seed(Name(&wanted))? {
            if inside.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let again = |&(slot, _): &(usize, &[String])| seen.contains(&slot);
            if inside.iter().any(again) {
                map.next_value::<IgnoredAny>()?;
                inside
                    .iter()
                    .for_each(|&(slot, _)| slots[slot] = Slot::Ambiguous);
                continue;
            }
            seen.extend(inside.iter().map(|&(slot, _)| slot));
            map.next_value_seed(Select {
                wanted: inside,
                slots,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { wanted, slots } = self;
        for index in 0_u64.. {
            let inside = inside(&wanted, |token| is_index(token, index));
            let select = Select {
                wanted: inside,
                slots: &mut *slots,
            };
            let is_there = match select.wanted.is_empty() {
                true => seq.next_element::<IgnoredAny>()?.is_some(),
                false => seq.next_element_seed(select)?.is_some(),
            };
            if !is_there {
                break;
            }
        }
        Ok(())
    }
}

/// The pointers whose next token is met, each without that token.
fn inside<'p>(wanted: &Wanted<'p>, is_met: impl Fn(&str) -> bool) -> Wanted<'p> {
    let inside = wanted.iter().filter_map(|&(slot, tokens)| {
        let (first, rest) = tokens.split_first()?;
        is_met(first).then_some((slot, rest))
    });
    inside.collect()
}

fn is_index(token: &str, index: u64) -> bool {
    // RFC 6901 allows no leading zeros.
    token.parse() == Ok(index) && (token == "0" || !token.starts_with(['0', '+']))
}

/// Reads the name of a member, and returns the pointers that lead into the member.
struct Name<'p, 'w>(&'w Wanted<'p>);

impl<'a, 'p> DeserializeSeed<'a> for Name<'p, '_> {
    type Value = Wanted<'p>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Wanted<'p>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for Name<'p, '_> {
    type Value = Wanted<'p>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Wanted<'p>, E> {
        Ok(inside(self.0, |token| token == name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::cli::import::selector::Selector;

    fn pointer(text: &str) -> Pointer {
        match text.parse() {
            Ok(Selector::Pointer(pointer)) => pointer,
            other => panic!("{text} is no pointer: {other:?}"),
        }
    }

    fn selected(json: &str, pointers: &[&str]) -> Vec<Option<String>> {
        let pointers: Vec<Pointer> = pointers.iter().map(|text| pointer(text)).collect();
        let wanted: Vec<&Pointer> = pointers.iter().collect();
        let mut slots = Vec::new();
        select(json, &wanted, &mut slots).expect(json);
        let text = |slot: &Slot<'_>| match slot {
            Slot::Found(value) => Some(value.get().to_owned()),
            _ => None,
        };
        slots.iter().map(text).collect()
    }

    fn path() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a-c01]{0,2}|~0|~1", 1..4)
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c~/\\\\\"]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c01~/]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_selected_is_what_the_pointer_of_serde_json_finds(
            document in document(),
            pointers in prop::collection::vec(path(), 1..5),
        ) {
            let texts: Vec<String> =
                pointers.iter().map(|tokens| format!("/{}", tokens.join("/"))).collect();
            let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
            let found = selected(&document.to_string(), &texts);
            for (found, text) in found.iter().zip(texts) {
                let expected = document.pointer(text).map(Value::to_string);
                prop_assert_eq!(found, &expected, "{}", text);
            }
        }
    }

    #[test]
    fn a_name_that_is_there_twice_is_ambiguous_only_if_it_is_selected() {
        let json = r#"{"a":1,"b":{"c":1,"c":2},"d":3,"a":4}"#;
        let pointers = ["/a", "/b/c", "/d", "/b"].map(pointer);
        let mut slots = Vec::new();
        select(json, &pointers.each_ref(), &mut slots).expect("it is JSON");
        assert!(matches!(
            slots[..],
            [
                Slot::Ambiguous,
                Slot::Ambiguous,
                Slot::Found(_),
                Slot::Found(_)
            ]
        ));
    }

    #[test]
    fn the_text_of_a_value_is_that_of_a_string_or_an_integer_as_it_is_spelled() {
        let text = |json: &str| {
            let value: Box<RawValue> = serde_json::from_str(json).expect(json);
            text_of(&value).map(Cow::into_owned)
        };
        let own = |text: &str| Ok(text.to_owned());
        assert_eq!(text(r#""a\u00e9\n""#), own("a\u{e9}\n"));
        assert_eq!(text("\"\u{e9}\""), own("\u{e9}"));
        assert_eq!(text("18446744073709551616"), own("18446744073709551616"));
        assert_eq!(text("-0"), own("-0"));
        for json in ["1.0", "1e3", "true", "null", "{}", "[]", r#""\ud800""#] {
            assert!(text(json).is_err(), "{json}");
        }
    }
}
