//! Variable-length integers (LEB128, as in Protocol Buffers) and length-prefixed bytes.

/// Maximum size of a number in bytes.
pub(crate) const MAX_VARINT_BYTES: usize = 10;

#[inline]
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes a number from the front of `input`; `None` if it does not begin with one.
#[inline]
pub(crate) fn take(input: &mut &[u8]) -> Option<u64> {
    // Most numbers have one or two bytes. The CPU cannot foresee which, so that is no branch.
    match **input {
        [low, high, ..] if low & high < 0x80 => {
            let longer = low >> 7;
            *input = &input[1 + usize::from(longer)..];
            Some(u64::from(low & 0x7f) | u64::from(high * longer) << 7)
        }
        ref longer => {
            let (number, bytes) = read_longer(longer)?;
            *input = &longer[bytes..];
            Some(number)
        }
    }
}

/// Returns the number that `input` begins with, and its size in bytes.
#[inline(never)]
fn read_longer(input: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (index, &byte) in input.iter().take(MAX_VARINT_BYTES).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if index == MAX_VARINT_BYTES - 1 && bits > 1 {
            return None;
        }
        number |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}

/// Takes a length and that many bytes from the front of `input`.
#[inline]
pub(crate) fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = *input;
    let length = usize::try_from(take(&mut rest)?).ok()?;
    let (bytes, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

/// Takes a length and that many bytes of UTF-8 from the front of `input`.
pub(crate) fn take_str<'a>(input: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(input)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_comes_back(number: u64, shift in 0..64_u32) {
            let mut bytes = Vec::new();
            put(&mut bytes, number >> shift);
            prop_assert!(bytes.len() <= MAX_VARINT_BYTES);
            let mut input = &bytes[..];
            prop_assert_eq!(take(&mut input), Some(number >> shift));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes: Vec<u8>) {
            let mut input = &bytes[..];
            while take_bytes(&mut input).is_some() {}
        }
    }
}
