//! Cuts the bytes of an input into lines and decodes these in batches, in bounded memory.

use std::io::{self, Read};

use memchr::{memchr, memrchr};

use crate::protocol::line::{Line, MAX_LINE_BYTES, Strings, malformed};
use crate::protocol::line_decoder::LineDecoder;

/// The most bytes of one read: enough for more than a thousand requests, which share the cost of
/// the read, and few enough to stay in the CPU's cache until the requests are applied.
const READ_BYTES: usize = 128 << 10;

/// The most bytes of one read from the control socket: fewer, because the requests of one read may
/// get their replies before the next read.
const CONTROL_READ_BYTES: usize = 16 << 10;

/// The lines that one read completed, with the text that they refer to.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) text: String,
    pub(crate) lines: Vec<Line>,
    /// Number of lines of the input before it.
    pub(crate) before: u64,
}

/// Cuts an input into lines and decodes them.
#[derive(Debug)]
pub(crate) struct BatchReader<R> {
    input: R,
    buffer: Box<[u8]>,
    /// The beginning of a line whose end has not been read.
    unfinished: Vec<u8>,
    /// True if the unfinished line is over the limit, so that the reader drops the rest of it.
    is_skipping: bool,
    lines_read: u64,
    /// Number of lines that were read before the present batch.
    before: u64,
    decoder: LineDecoder,
}

impl<R: Read> BatchReader<R> {
    /// Makes a reader of the stream of events.
    pub(crate) fn new(input: R) -> Self {
        Self::reading(input, READ_BYTES, LineDecoder::default())
    }

    /// Makes a reader of a client of the control socket, which may also send the requests that
    /// [`LineDecoder::for_control`] decodes.
    pub(crate) fn for_control(input: R) -> Self {
        Self::reading(input, CONTROL_READ_BYTES, LineDecoder::for_control())
    }

    /// Makes a reader of lines that a client sends on to a node.
    pub(crate) fn for_relay(input: R) -> Self {
        Self::reading(input, READ_BYTES, LineDecoder::for_control())
    }

    fn reading(input: R, read_bytes: usize, decoder: LineDecoder) -> Self {
        Self {
            input,
            buffer: vec![0; read_bytes].into_boxed_slice(),
            unfinished: Vec::new(),
            is_skipping: false,
            lines_read: 0,
            before: 0,
            decoder,
        }
    }

    /// Reads once, and returns the lines that this completes, which may be none. Returns `None` at
    /// the end of input.
    ///
    /// # Errors
    ///
    /// Every error of the input except an interruption.
    pub(crate) fn read(&mut self) -> io::Result<Option<Batch>> {
        let count = loop {
            match self.input.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        Ok((count > 0).then(|| self.complete(count)))
    }

    /// Returns the last line if it does not end with a newline. Call this at the end of input.
    pub(crate) fn finish(mut self) -> Batch {
        let rest = std::mem::take(&mut self.unfinished);
        if self.is_skipping || !rest.is_empty() {
            self.decode(rest)
        } else {
            Batch::default()
        }
    }

    /// Decodes the lines that the first `count` bytes of the buffer complete.
    fn complete(&mut self, count: usize) -> Batch {
        let read = &self.buffer[..count];
        let Some(end) = memrchr(b'\n', read) else {
            self.unfinished.extend_from_slice(read);
            self.drop_excess();
            return Batch::default();
        };
        let mut bytes = std::mem::take(&mut self.unfinished);
        bytes.extend_from_slice(&read[..end]);
        self.unfinished.extend_from_slice(&read[end + 1..]);
        self.decode(bytes)
    }

    /// Drops what was read of a line that is over the limit. A line may have `MAX_LINE_BYTES`
    /// bytes and a carriage return.
    fn drop_excess(&mut self) {
        if self.is_skipping || self.unfinished.len() > MAX_LINE_BYTES + 1 {
            self.is_skipping = true;
            self.unfinished.clear();
        }
    }

    /// Decodes lines; the last one comes without its newline.
    fn decode(&mut self, bytes: Vec<u8>) -> Batch {
        self.before = self.lines_read;
        match String::from_utf8(bytes) {
            Ok(text) => self.decode_text(text),
            Err(error) => self.decode_bytes(error.as_bytes()),
        }
    }

    /// Makes a batch of decoded lines.
    fn batch(&self, text: String, lines: Vec<Line>) -> Batch {
        Batch {
            text,
            lines,
            before: self.before,
        }
    }

    fn decode_text(&mut self, text: String) -> Batch {
        // A `process` request with a short id has about 96 bytes.
        let mut lines = Vec::with_capacity(text.len() / 96 + 1);
        let mut side = String::new();
        let mut strings = Strings {
            text: &text,
            side: &mut side,
        };
        let mut start = 0;
        loop {
            let end = memchr(b'\n', &text.as_bytes()[start..]).map(|at| start + at);
            let stop = end.unwrap_or(text.len());
            if let Some(line) = self.decode_one(&mut strings, start, stop) {
                lines.push(line);
            }
            match end {
                Some(end) => start = end + 1,
                None => break,
            }
        }
        let mut text = text;
        text.push_str(&side);
        self.batch(text, lines)
    }

    /// Decodes lines one by one; at least one of them is not UTF-8.
    fn decode_bytes(&mut self, bytes: &[u8]) -> Batch {
        let mut text = String::with_capacity(bytes.len());
        let mut ends = Vec::new();
        for line in bytes.split(|&byte| byte == b'\n') {
            let length = line.len();
            let line = std::str::from_utf8(line);
            text.push_str(line.unwrap_or_default());
            ends.push((text.len(), line.is_ok(), length));
        }
        let (mut lines, mut side) = (Vec::new(), String::new());
        let mut strings = Strings {
            text: &text,
            side: &mut side,
        };
        let mut start = 0;
        for (end, is_utf8, length) in ends {
            // A line that is not UTF-8 and too long is refused for its length.
            self.is_skipping |= length > MAX_LINE_BYTES + 1;
            lines.extend(if is_utf8 || self.is_skipping {
                self.decode_one(&mut strings, start, end)
            } else {
                self.lines_read += 1;
                let line = malformed(self.lines_read, "not UTF-8; send text in UTF-8");
                Some(self.placed(line))
            });
            start = end;
        }
        text.push_str(&side);
        self.batch(text, lines)
    }

    /// Decodes one line; `None` if it is blank.
    fn decode_one(&mut self, strings: &mut Strings<'_>, start: usize, end: usize) -> Option<Line> {
        self.lines_read += 1;
        let line = &strings.text[start..end];
        let line = line.strip_suffix('\r').unwrap_or(line);
        let decoded = if std::mem::take(&mut self.is_skipping) || line.len() > MAX_LINE_BYTES {
            let reason =
                format_args!("the line is longer than {MAX_LINE_BYTES} bytes; send a shorter one");
            malformed(self.lines_read, reason)
        } else if is_blank(line) {
            return None;
        } else {
            let range = start..start + line.len();
            self.decoder.decode(strings, range, self.lines_read)
        };
        Some(self.placed(decoded))
    }

    /// Gives the line that was read last its place in the batch.
    fn placed(&self, line: Line) -> Line {
        // A batch has at most as many lines as bytes, which 32 bits can count.
        let at = (self.lines_read - self.before - 1) as u32;
        Line { at, ..line }
    }
}

fn is_blank(line: &str) -> bool {
    line.bytes()
        .all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::line::Body;

    /// Gives the input a few bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn summary(input: &[u8], step: usize) -> Vec<String> {
        let mut reader = BatchReader::new(Trickle(input, step));
        let mut batches = Vec::new();
        while let Some(batch) = reader.read().expect("a slice can be read") {
            batches.push(batch);
        }
        batches.push(reader.finish());
        let lines = batches
            .iter()
            .flat_map(|batch| batch.lines.iter().map(move |line| (batch, line)));
        lines
            .map(|(batch, line)| {
                let number = batch.before + u64::from(line.at) + 1;
                match &line.body {
                    Body::Malformed(why) => format!("{number}: {why}"),
                    body => format!("{number}: {:?}", body.request(&batch.text)),
                }
            })
            .collect()
    }

    #[test]
    fn the_same_lines_come_out_however_the_input_is_cut() {
        let mut input = Vec::new();
        for line in [
            r#"{"body":{"type":"process","event_id":"e1","word":"h\u00e9"}}"#,
            "",
            " \t\r",
            r#"{"body":{"type":"process","event_id":"\n","word":"\ud83d\ude00"}}"#,
            "not json",
        ] {
            input.extend_from_slice(line.as_bytes());
            input.push(b'\n');
        }
        input.extend_from_slice(b"\xff\n{\"body\":{\"type\":\"commit\"}}\r\n");
        input.extend_from_slice("x".repeat(MAX_LINE_BYTES + 2).as_bytes());
        input.extend_from_slice(b"\n\xff");
        input.extend_from_slice("x".repeat(MAX_LINE_BYTES + 2).as_bytes());
        input.extend_from_slice(b"\n{\"body\":{\"type\":\"rollback\"}}");
        let whole = summary(&input, usize::MAX);
        assert_eq!(whole.len(), 8);
        for step in [1, 7, 4096] {
            assert_eq!(summary(&input, step), whole, "{step} bytes at a time");
        }
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let input = vec![b'x'; 8 * MAX_LINE_BYTES];
        let mut reader = BatchReader::new(&input[..]);
        while reader.read().expect("a slice can be read").is_some() {
            assert!(reader.unfinished.capacity() <= 2 * (MAX_LINE_BYTES + READ_BYTES));
        }
        assert_eq!(reader.finish().lines.len(), 1);
    }
}
