//! Splitting a text into words.

use std::io::{BufRead, BufReader, Read};

use exactly_once::MAX_WORD_BYTES;

/// The words of a text, in order, in bounded memory.
pub(super) struct Words<R> {
    input: BufReader<R>,
    /// The offset of the next byte of the input.
    offset: u64,
    /// The bytes of a character that did not fit in the word before.
    carried: Vec<u8>,
}

impl<R: Read> Words<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 16, input),
            offset: 0,
            carried: Vec::new(),
        }
    }

    /// The next word and its byte offset; `None` at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<(u64, String)>> {
        let mut word = std::mem::take(&mut self.carried);
        let mut start = self.offset - word.len() as u64;
        while word.len() < MAX_WORD_BYTES {
            let Some(&byte) = self.input.fill_buf()?.first() else {
                break;
            };
            self.input.consume(1);
            self.offset += 1;
            match (is_space(byte), word.is_empty()) {
                (true, true) => start = self.offset,
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
        let word = String::from_utf8(word).map_err(|error| {
            let at = start + error.utf8_error().valid_up_to() as u64;
            anyhow::anyhow!("not UTF-8 at byte {at}; convert it, with iconv for example")
        })?;
        Ok(Some((start, word)))
    }
}

/// True for the white space of `isspace` in the C locale, and so of `[:space:]` in `tr`.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[u8]) -> Vec<(u64, String)> {
        let mut words = Words::new(text);
        std::iter::from_fn(|| words.next().expect("it is text")).collect()
    }

    #[test]
    fn a_word_has_its_byte_offset() {
        let expected = [(1, "a"), (3, "\u{e4}b"), (8, "c")].map(|(at, word)| (at, word.to_owned()));
        assert_eq!(words(" a \u{e4}b\u{b}\nc".as_bytes()), expected);
        assert_eq!(words(b" \r\n"), []);
    }

    #[test]
    fn a_long_word_is_cut_between_characters_and_loses_nothing() {
        let text = format!("x{}", "\u{1f600}".repeat(600));
        let pieces = words(text.as_bytes());
        assert_eq!(pieces.len(), 3);
        assert!(pieces.iter().all(|(_, word)| word.len() <= MAX_WORD_BYTES));
        let mut end = 0;
        for (at, word) in &pieces {
            assert_eq!(*at, end);
            end += word.len() as u64;
        }
        assert_eq!(
            pieces.into_iter().map(|(_, word)| word).collect::<String>(),
            text
        );
    }

    #[test]
    fn text_that_is_not_utf_8_is_an_error_that_says_where() {
        let mut words = Words::new(&b"abc d\xffe"[..]);
        words.next().expect("abc is text");
        let error = words.next().expect_err("the next word is not").to_string();
        assert_eq!(
            error,
            "not UTF-8 at byte 5; convert it, with iconv for example"
        );
    }
}
