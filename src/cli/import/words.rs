//! Splitting a text into words.

use std::io::{self, BufRead};

use exactly_once::MAX_WORD_BYTES;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// The number of its line, from 1.
    pub(super) line: u64,
    /// Where it begins, in bytes from the beginning of the input.
    pub(super) offset: u64,
    /// The error is the offset of the first byte that is not UTF-8.
    pub(super) text: Result<String, u64>,
    /// False if the input ends right after it.
    pub(super) is_whole: bool,
}

/// The words of a text, in order, in bounded memory. White space separates them; a word that is
/// longer than [`MAX_WORD_BYTES`] is cut.
pub(super) struct Words<R> {
    input: R,
    /// The offset of the next byte of the input, and its line.
    offset: u64,
    line: u64,
    /// The bytes of a character that did not fit in the word before.
    carried: Vec<u8>,
}

impl<R: BufRead> Words<R> {
    /// Begins at this offset.
    pub(super) fn new(input: R, offset: u64) -> Self {
        Self {
            input,
            offset,
            line: 1,
            carried: Vec::new(),
        }
    }

    /// The next word; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Word>> {
        let mut word = std::mem::take(&mut self.carried);
        let mut offset = self.offset - word.len() as u64;
        let mut line = self.line;
        let mut is_whole = true;
        while word.len() < MAX_WORD_BYTES {
            let Some(&byte) = self.input.fill_buf()?.first() else {
                is_whole = false;
                break;
            };
            self.input.consume(1);
            self.offset += 1;
            self.line += u64::from(byte == b'\n');
            match (is_space(byte), word.is_empty()) {
                (true, true) => (offset, line) = (self.offset, self.line),
                (true, false) => break,
                (false, _) => word.push(byte),
            }
        }
        if word.is_empty() {
            return Ok(None);
        }
        if let Err(error) = std::str::from_utf8(&word)
            && word.len() == MAX_WORD_BYTES
            && error.error_len().is_none()
        {
            self.carried = word.split_off(error.valid_up_to());
        }
        let wrong =
            |error: std::string::FromUtf8Error| offset + error.utf8_error().valid_up_to() as u64;
        Ok(Some(Word {
            line,
            offset,
            text: String::from_utf8(word).map_err(wrong),
            is_whole,
        }))
    }
}

/// True for the white space of `isspace` in the C locale, and so of `[:space:]` in `tr`.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[u8]) -> Vec<(u64, u64, Result<String, u64>)> {
        let mut words = Words::new(text, 0);
        let next = || words.next().expect("a slice can be read");
        std::iter::from_fn(next)
            .map(|word| (word.line, word.offset, word.text))
            .collect()
    }

    #[test]
    fn a_word_has_its_line_and_its_byte_offset() {
        let expected = [(1, 1, "a"), (1, 3, "\u{e4}b"), (2, 8, "c")];
        let expected = expected.map(|(line, at, word)| (line, at, Ok(word.to_owned())));
        assert_eq!(words(" a \u{e4}b\u{b}\nc".as_bytes()), expected);
        assert_eq!(words(b" \r\n"), []);
    }

    #[test]
    fn a_long_word_is_cut_between_characters_and_loses_nothing() {
        let text = format!("x{}", "\u{1f600}".repeat(600));
        let pieces = words(text.as_bytes());
        assert_eq!(pieces.len(), 3);
        let mut end = 0;
        let mut whole = String::new();
        for (_, at, word) in pieces {
            let word = word.expect("it is text");
            assert!(word.len() <= MAX_WORD_BYTES);
            assert_eq!(at, end);
            end += word.len() as u64;
            whole += &word;
        }
        assert_eq!(whole, text);
    }

    #[test]
    fn a_word_that_is_not_utf_8_says_where_and_the_next_one_follows() {
        let found = words(&b"abc d\xffe f"[..]);
        assert_eq!(found[1], (1, 4, Err(5)));
        assert_eq!(found[2], (1, 8, Ok("f".to_owned())));
    }
}
