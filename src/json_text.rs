//! JSON as `serde_json` writes it, for what is written millions of times.

/// Appends a string.
pub(crate) fn put_string(out: &mut Vec<u8>, value: &str) {
    if plain_bytes(value.as_bytes()) == value.len() {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(&mut *out, value).expect("a vector takes any number of bytes");
    }
}

/// Appends a number.
pub(crate) fn put_number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// How many bytes from the first on stand for themselves in a string: they are no quote, no
/// backslash and no control character. Looks at eight at a time.
pub(crate) fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH_BITS: u64 = ONES * 0x80;
    /// The high bit of each byte below `limit`, up to the first of them.
    fn below(bytes: u64, limit: u8) -> u64 {
        bytes.wrapping_sub(ONES * u64::from(limit)) & !bytes & HIGH_BITS
    }
    let mut rest = bytes;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        let eight = u64::from_le_bytes(*eight);
        let quotes = below(eight ^ (ONES * u64::from(b'"')), 1);
        let backslashes = below(eight ^ (ONES * u64::from(b'\\')), 1);
        let special = below(eight, 0x20) | quotes | backslashes;
        if special != 0 {
            return bytes.len() - rest.len() + (special.trailing_zeros() / 8) as usize;
        }
        rest = behind;
    }
    let is_plain = |byte: &u8| !matches!(byte, 0..0x20 | b'"' | b'\\');
    bytes.len() - rest.len() + rest.iter().take_while(|byte| is_plain(byte)).count()
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
