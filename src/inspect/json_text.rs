//! Writes strings and numbers as `serde_json` does, but faster, for lines that are written millions
//! of times.

use wide::u8x16;

/// Appends a JSON string.
pub(crate) fn put_string(out: &mut Vec<u8>, value: &str) {
    if plain_bytes(value.as_bytes()) == value.len() {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(&mut *out, value).expect("a vector takes any number of bytes");
    }
}

/// Appends a JSON number.
pub(crate) fn put_number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Returns the number of bytes before the first one that a JSON string must escape: a quote, a
/// backslash or a control character.
pub(crate) fn plain_bytes(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((sixteen, after)) = rest.split_first_chunk() {
        let special = special(*sixteen);
        if special != 0 {
            return bytes.len() - rest.len() + special.trailing_zeros() as usize;
        }
        rest = after;
    }
    let mut sixteen = [b'"'; 16];
    sixteen[..rest.len()].copy_from_slice(rest);
    bytes.len() - rest.len() + special(sixteen).trailing_zeros() as usize
}

/// Returns the bytes that a JSON string must escape: bit 0 stands for the first byte.
fn special(bytes: [u8; 16]) -> u32 {
    let bytes = u8x16::new(bytes);
    let alike = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
    let last_control = u8x16::splat(0x1f);
    let is_control = bytes.max(last_control).simd_eq(last_control);
    (alike(b'"') | alike(b'\\') | is_control).to_bitmask()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn plain_bytes_are_those_before_the_first_that_is_special(
            bytes in prop::collection::vec(
                prop_oneof![0x1e..0x24_u8, 0x5a..0x5e_u8, 0x7e..0x82_u8, Just(b'x'), any::<u8>()],
                0..40,
            ),
        ) {
            let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
            let expected = bytes.iter().position(is_special).unwrap_or(bytes.len());
            prop_assert_eq!(plain_bytes(&bytes), expected);
        }

        #[test]
        fn strings_and_numbers_are_those_of_serde_json(
            string in "[ -~\\\\\"]{0,20}|\\PC{0,9}|(.|[\\x00-\\x1f])*",
            number: u64,
        ) {
            let mut text = Vec::new();
            put_string(&mut text, &string);
            prop_assert_eq!(&text, &serde_json::to_vec(&string)?);
            text.clear();
            put_number(&mut text, number);
            prop_assert_eq!(&text, &serde_json::to_vec(&number)?);
        }
    }
}
