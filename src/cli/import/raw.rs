//! The bytes of a table as its rows are read from it: where a row really begins, and whether it is
//! whole.

use std::cell::RefCell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use csv::{Position, ReaderBuilder};

use crate::cli::import::lines::MAX_RECORD_BYTES;

/// Bytes before the present row are dropped when there are this many of them.
const DROP_BYTES: u64 = 1 << 20;

/// What was read of a table, from about the present row on.
#[derive(Default)]
pub(super) struct Raw {
    bytes: Vec<u8>,
    /// Where they begin in the table.
    at: u64,
    /// The end of the last row that was read.
    row_end: u64,
}

/// Where a row begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) byte: u64,
    /// The number of its line, from 1.
    pub(super) line: u64,
}

impl Raw {
    /// Where a row begins whose reader began at `position`: after blank lines, and after what was
    /// left of the end of the line before.
    pub(super) fn place(&mut self, position: &Position) -> Place {
        let from = position.byte() - self.at;
        if from >= DROP_BYTES {
            self.bytes.drain(..from as usize);
            self.at = position.byte();
        }
        let rest = &self.bytes[(position.byte() - self.at) as usize..];
        let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let (mut byte, mut line) = (position.byte(), position.line());
        for end in ends {
            byte += 1;
            line += u64::from(*end == b'\n');
        }
        Place { byte, line }
    }

    /// True if the row that begins there, which is the last one, is not finished: it lacks its
    /// newline, or a quote is not closed.
    pub(super) fn is_unfinished(&self, place: Place, delimiter: u8, has_quotes: bool) -> bool {
        let row = &self.bytes[(place.byte - self.at) as usize..];
        if row.last().is_some_and(|&last| last != b'\n') {
            return true;
        }
        // In a quoted field, the newline and the next letter belong to this row.
        let followed = [row, b"\nx"].concat();
        let mut rows = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .quoting(has_quotes)
            .from_reader(&followed[..]);
        rows.byte_records().count() < 2
    }

    /// Notes that a row was read up to there.
    pub(super) fn row_ended(&mut self, position: &Position) {
        self.row_end = position.byte();
    }
}

/// An input that keeps what it reads of the present row. It fails when that is much: a quote that
/// is not closed would make a row of all the rest.
pub(super) struct Kept<R> {
    pub(super) input: R,
    pub(super) raw: Rc<RefCell<Raw>>,
}

impl<R: BufRead> Read for Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        let mut raw = self.raw.borrow_mut();
        raw.bytes.extend_from_slice(&buffer[..read]);
        let end = raw.at + raw.bytes.len() as u64;
        if end - raw.row_end > (MAX_RECORD_BYTES + buffer.len()) as u64 {
            return Err(io::Error::other(format!(
                "a row has more than {MAX_RECORD_BYTES} bytes; is a quote not closed?"
            )));
        }
        Ok(read)
    }
}
