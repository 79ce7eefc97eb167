//! The text that a JSON string with escapes spells.

/// Appends what a string with escapes stands for. It must have been read without a lone
/// surrogate.
pub(super) fn unescape(inside: &str, out: &mut String) {
    let mut rest = inside;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let kind = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        match kind {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => rest = unescape_unicode(rest, out),
            quoted => out.push(char::from(quoted)),
        }
    }
    out.push_str(rest);
}

/// Appends the character whose code units follow, and returns what is behind them.
fn unescape_unicode<'a>(digits: &'a str, out: &mut String) -> &'a str {
    let unit = |from: usize| {
        let digits = digits.get(from..from + 4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(0).expect("the reader has seen four digits");
    let units = [first, unit(6).unwrap_or_default()];
    let used = if (0xD800..0xDC00).contains(&first) {
        2
    } else {
        1
    };
    let decoded = char::decode_utf16(units[..used].iter().copied());
    out.extend(decoded.map(|c| c.expect("the reader has seen no lone surrogate")));
    &digits[4 + 6 * (used - 1)..]
}
