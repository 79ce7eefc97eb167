//! Cutting an input into lines, in bounded memory.

use std::io::{self, BufRead};

use memchr::memchr;

/// The most bytes of a record.
pub(super) const MAX_RECORD_BYTES: usize = 16 << 20;

/// A line without its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Where it begins, in bytes from the beginning of the input.
    pub(super) offset: u64,
    /// `None` if it is longer than [`MAX_RECORD_BYTES`].
    pub(super) bytes: Option<&'a [u8]>,
    /// False if the input ends without a newline after it.
    pub(super) is_whole: bool,
}

/// Cuts an input into lines.
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    /// The offset of the next byte.
    offset: u64,
}

impl<R: BufRead> Lines<R> {
    /// Begins at this offset.
    pub(super) fn new(input: R, offset: u64) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
            offset,
        }
    }

    /// The offset of the next line.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line; `None` after the last.
    ///
    /// # Errors
    ///
    /// That of the input.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let offset = self.offset;
        let mut is_whole = false;
        let mut is_long = false;
        while !is_whole {
            let read = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read.is_empty() {
                break;
            }
            let end = memchr(b'\n', read);
            let piece = &read[..end.unwrap_or(read.len())];
            is_long |= self.line.len() + piece.len() > MAX_RECORD_BYTES;
            if !is_long {
                self.line.extend_from_slice(piece);
            }
            is_whole = end.is_some();
            let used = piece.len() + usize::from(is_whole);
            self.input.consume(used);
            self.offset += used as u64;
        }
        if self.offset == offset {
            return Ok(None);
        }
        self.number += 1;
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        Ok(Some(Line {
            number: self.number,
            offset,
            bytes: (!is_long).then_some(line),
            is_whole,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_are_cut_at_newlines_whatever_the_reads_are() {
        let text = b"a\n\nbc\r\n\r\nd";
        let expected = [
            (1, 0, &b"a"[..], true),
            (2, 2, b"", true),
            (3, 3, b"bc", true),
            (4, 7, b"", true),
            (5, 9, b"d", false),
        ];
        for capacity in 1..12 {
            let mut lines = Lines::new(BufReader::with_capacity(capacity, &text[..]), 0);
            for (number, offset, bytes, is_whole) in expected {
                let line = lines.next().expect("a slice can be read");
                let line = line.expect("there is a line");
                assert_eq!((line.number, line.offset), (number, offset));
                assert_eq!((line.bytes, line.is_whole), (Some(bytes), is_whole));
            }
            assert!(lines.next().expect("a slice can be read").is_none());
        }
    }

    #[test]
    fn a_line_that_is_too_long_takes_no_memory_and_the_next_one_follows() {
        let mut text = vec![b'x'; MAX_RECORD_BYTES + 1];
        text.extend_from_slice(b"\ny\n");
        let mut lines = Lines::new(BufReader::with_capacity(1 << 16, &text[..]), 0);
        let long = lines.next().expect("a slice can be read").expect("a line");
        assert_eq!(long.bytes, None);
        let next = lines.next().expect("a slice can be read").expect("a line");
        assert_eq!((next.bytes, next.number), (Some(&b"y"[..]), 2));
        assert!(lines.line.capacity() <= MAX_RECORD_BYTES);
    }
}
