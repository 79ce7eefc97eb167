//! Reads the entries of a block in order, from any of them on.

use crate::error::StorageError;
use crate::state::position::Position;
use crate::store::bytes::block::{Block, ENTRIES_A_MARK, HEADER_BYTES, Stamp, no_entry};
use crate::store::bytes::entry::{Entry, Found, WordPlace};

impl Block {
    /// Returns a cursor at the block's first entry.
    pub(crate) fn cursor(&self) -> Cursor {
        self.clone().into_cursor()
    }

    /// Like [`Block::cursor`], but consumes the block.
    pub(crate) fn into_cursor(self) -> Cursor {
        Cursor::new(self)
    }

    /// Returns a block in memory that has only the entry at a position of this one.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] if the block has no entry there.
    pub(crate) fn excerpt(&self, position: Position) -> Result<Self, StorageError> {
        let mut cursor = self.cursor();
        let mut bytes = vec![0; HEADER_BYTES];
        cursor.seek(position)?.put(WordPlace::Here, &mut bytes);
        Ok(Self {
            first: position,
            entries: 1,
            marks: None,
            is_excerpt: true,
            previous_checksum: 0,
            stamp: Stamp::default(),
            bytes: bytes.into(),
        })
    }
}

/// A place in a block from which entries are read in order.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    block: Block,
    position: Position,
    offset: usize,
    /// The offsets of the words that are spelled before this place.
    spelled: Vec<u16>,
    /// True if `spelled` lacks words, as entries before this place were not read.
    has_jumped: bool,
}

impl Cursor {
    /// Returns a cursor at the first entry of a block.
    fn new(block: Block) -> Self {
        // With marks, few entries are read in order.
        let spelled = block.marks.as_ref().map_or(block.entries.into(), |_| 0);
        Self {
            position: block.first,
            offset: HEADER_BYTES,
            spelled: Vec::with_capacity(spelled),
            has_jumped: false,
            block,
        }
    }

    /// The position of the next entry, which may be after the end of the block.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// True if the block has no further entry.
    pub(crate) fn is_at_end(&self) -> bool {
        self.position > self.block.last()
    }

    /// Returns the next entry and its position; `None` at the end of the block.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] if the bytes are not an entry.
    pub(crate) fn next(&mut self) -> Result<Option<(Position, Entry<'_>)>, StorageError> {
        let at = self.position;
        if self.is_at_end() {
            return Ok(None);
        }
        if self.has_jumped && Entry::has_earlier_word(&self.block.bytes, self.offset) {
            self.find_spelled()?;
        }
        let found = Entry::find(&self.block.bytes, self.offset, &self.spelled);
        let Found {
            entry,
            spelled_at,
            end,
        } = found.ok_or_else(|| no_entry(at))?;
        if let Some(place) = spelled_at {
            self.spelled.push(place);
        }
        (self.offset, self.position) = (end, at.next());
        Ok(Some((at, entry)))
    }

    /// Skips to a position that is not before the present one, and reads its entry.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] if the block ends before the position.
    pub(crate) fn seek(&mut self, wanted: Position) -> Result<Entry<'_>, StorageError> {
        self.jump(wanted);
        while self.position < wanted && !self.is_at_end() {
            let skipped = Entry::skip(&self.block.bytes, self.offset);
            let (end, spelled_at) = skipped.ok_or_else(|| no_entry(self.position))?;
            if let Some(place) = spelled_at {
                self.spelled.push(place);
            }
            (self.offset, self.position) = (end, self.position.next());
        }
        match self.next()? {
            Some((_, entry)) => Ok(entry),
            None => Err(StorageError::damaged(
                "the journal",
                format!("an entry at position {wanted}"),
                "the end of its block",
            )),
        }
    }

    /// Jumps to the last mark that is not after a position, if it is after this place.
    fn jump(&mut self, wanted: Position) {
        let Some(marks) = &self.block.marks else {
            return;
        };
        let mark = (wanted.0 - self.block.first.0) as usize / ENTRIES_A_MARK;
        let position = Position(self.block.first.0 + (mark * ENTRIES_A_MARK) as u64);
        if let Some(&offset) = marks.get(mark).filter(|_| position > self.position) {
            (self.position, self.offset) = (position, offset.into());
            self.has_jumped = true;
        }
    }

    /// Finds the words that are spelled before this place.
    fn find_spelled(&mut self) -> Result<(), StorageError> {
        let (mut offset, end) = (HEADER_BYTES, self.offset);
        self.spelled.clear();
        while offset < end {
            let skipped = Entry::skip(&self.block.bytes, offset);
            let (next, spelled_at) = skipped.ok_or_else(|| no_entry(self.position))?;
            self.spelled.extend(spelled_at);
            offset = next;
        }
        self.has_jumped = false;
        Ok(())
    }
}
