//! The journal: every accepted event, in order, at positions that are never used twice.
//!
//! The code that changes the state reads and extends the journal through [`Journal`]; other code
//! reads the stored blocks. A [`Journal`] joins the block that is still open, recent blocks in
//! memory, which may not be durable yet, and the stored blocks. It knows blocks and positions. What
//! an event means is left to the processor.

pub(crate) mod fold;
mod recent;

use crate::error::StorageError;
use crate::state::position::Position;
use crate::state::position_set::{PositionRange, PositionSet};
use crate::store::Reader;
use crate::store::bytes::block::{
    Block, Cursor, FULL_BLOCK_BYTES, Groups, OpenBlock, Stamp, walk_block,
};
use crate::store::bytes::entry::Entry;
use crate::store::bytes::fingerprint::{Fingerprint, Fingerprints};
use recent::{RECENT_BYTES, RecentBlocks};

/// The journal, for the one thread that extends it.
#[derive(Debug)]
pub(crate) struct Journal {
    open: OpenBlock,
    /// The group that the next events belong to, and the last transaction before it.
    groups: Groups,
    /// True if the open block has events that `take_unwritten` has not returned yet.
    open_is_unwritten: bool,
    /// Full blocks up to the open one.
    recent: RecentBlocks,
    unwritten: Vec<Block>,
    /// The block that was last read from the store.
    last_read: Option<Block>,
    reader: Reader,
}

impl Journal {
    /// Opens the stored journal, which ends at `head`. Its next events belong to `groups`.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the last block cannot be read or does not end at `head`.
    pub(crate) fn open(
        reader: Reader,
        head: Position,
        groups: Groups,
    ) -> Result<Self, StorageError> {
        let mut open = OpenBlock::new(head.next(), 0);
        if head >= Position::FIRST {
            let last = reader.block_at(head)?;
            if last.last() != head {
                let found = format!("position {}", last.last());
                let expected = format!("position {head}");
                return Err(StorageError::damaged(
                    "the end of the journal",
                    expected,
                    found,
                ));
            }
            open = OpenBlock::reopen(&last)?;
            if open.is_full() {
                open = OpenBlock::new(head.next(), last.checksum());
            }
        }
        Ok(Self {
            open,
            groups,
            open_is_unwritten: false,
            recent: RecentBlocks::new(RECENT_BYTES),
            unwritten: Vec::new(),
            last_read: None,
            reader,
        })
    }

    /// Returns the last position in use, or 0 if there is none.
    pub(crate) fn head(&self) -> Position {
        Position(self.open.next_position().0 - 1)
    }

    /// Adds an event and returns its position. `word_hash` is the hash of the event's word, and
    /// `counts_digest` is the digest of the counts including the event.
    pub(crate) fn append(
        &mut self,
        entry: &Entry<'_>,
        word_hash: u64,
        counts_digest: u64,
    ) -> Position {
        if self.open.is_full() {
            self.close_block();
        }
        let position = self.open.next_position();
        let groups = self.groups;
        self.open.push(
            entry,
            word_hash,
            Stamp {
                groups,
                counts_digest,
            },
        );
        self.open_is_unwritten = true;
        position
    }

    fn close_block(&mut self) {
        let block = self.open.seal();
        self.open
            .restart(self.open.next_position(), block.checksum());
        if self.open_is_unwritten {
            self.unwritten.push(block.clone());
            self.open_is_unwritten = false;
        }
        self.recent.push(block, self.reader.durable());
    }

    /// Returns the blocks that are new or have grown since the last call, with the open block.
    pub(crate) fn take_unwritten(&mut self) -> Vec<Block> {
        if std::mem::take(&mut self.open_is_unwritten) {
            self.unwritten.push(self.open.seal());
        }
        std::mem::take(&mut self.unwritten)
    }

    /// Ends the group: further events belong to the next one. `was_transaction` is true if this
    /// group is written by a transaction.
    pub(crate) fn end_group(&mut self, was_transaction: bool) {
        if was_transaction {
            self.groups.base = self.groups.group;
        }
        self.groups.group += 1;
    }

    /// Returns the number of the group that the next events belong to.
    pub(crate) fn group(&self) -> u64 {
        self.groups.group
    }

    /// Returns about how many bytes `take_unwritten` would return.
    pub(crate) fn unwritten_bytes(&self) -> usize {
        (self.unwritten.len() + usize::from(self.open_is_unwritten)) * FULL_BLOCK_BYTES
    }

    /// Calls `f` with the event at a position up to the head. Returns a cursor after the event,
    /// unless the event is in the open block.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the block cannot be read.
    pub(crate) fn with_entry<R>(
        &mut self,
        position: Position,
        f: impl FnOnce(Entry<'_>) -> R,
    ) -> Result<(R, Option<Cursor>), StorageError> {
        if position >= self.open.first() {
            return Ok((f(self.open.entry(position)), None));
        }
        let mut cursor = self.block_at(position)?.into_cursor();
        let result = f(cursor.seek(position)?);
        Ok((result, Some(cursor)))
    }

    /// Moves a cursor that is after the last event of its block to the next block; false if that is
    /// the open block.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the block cannot be read.
    pub(crate) fn reach_next(&mut self, cursor: &mut Cursor) -> Result<bool, StorageError> {
        let next = cursor.position();
        if !cursor.is_at_end() {
            return Ok(true);
        }
        if next >= self.open.first() {
            return Ok(false);
        }
        *cursor = self.block_at(next)?.into_cursor();
        Ok(true)
    }

    fn block_at(&mut self, position: Position) -> Result<Block, StorageError> {
        if let Some(block) = self.recent.at(position) {
            return Ok(block.clone());
        }
        match &self.last_read {
            Some(block) if (block.first..=block.last()).contains(&position) => Ok(block.clone()),
            _ => Ok(self
                .last_read
                .insert(self.reader.block_at(position)?)
                .clone()),
        }
    }

    /// Calls `f` with every event of a set of positions, in order.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a block cannot be read; also any error of `f`.
    pub(crate) fn walk(
        &self,
        positions: &PositionSet,
        mut f: impl FnMut(Position, Entry<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let recent_from = self.recent.first().unwrap_or(self.open.first());
        let stored = positions
            .ranges()
            .take_while(|range| range.first < recent_from);
        self.reader.walk(
            stored.map(|range| PositionRange {
                first: range.first,
                last: range.last.min(Position(recent_from.0 - 1)),
            }),
            &mut f,
        )?;
        for range in positions
            .ranges()
            .skip_while(|range| range.last < recent_from)
        {
            let mut next = range.first.max(recent_from);
            while next <= range.last {
                next = self.walk_block_in_memory(next, range.last, &mut f)?;
            }
        }
        Ok(())
    }

    /// Walks the events from `first` to `last` that are in the block of `first`. Returns the
    /// position after them.
    fn walk_block_in_memory(
        &self,
        first: Position,
        last: Position,
        f: &mut impl FnMut(Position, Entry<'_>) -> Result<(), StorageError>,
    ) -> Result<Position, StorageError> {
        if first >= self.open.first() {
            for position in first.0..=last.0 {
                f(Position(position), self.open.entry(Position(position)))?;
            }
            return Ok(last.next());
        }
        let block = self
            .recent
            .at(first)
            .expect("recent blocks reach to the open one");
        walk_block(block, PositionRange { first, last }, f)?;
        Ok(block.last().next())
    }
}

/// Calls `f` with the position and the fingerprint of each event of the stored journal from `first`
/// on, and `on_block` with the number of events of each block. Returns the last position.
///
/// # Errors
///
/// [`StorageError`] if a block cannot be read.
pub(crate) fn walk_fingerprints(
    reader: &Reader,
    first: Position,
    fingerprints: Fingerprints,
    mut f: impl FnMut(Position, Fingerprint),
    mut on_block: impl FnMut(u64),
) -> Result<Position, StorageError> {
    let mut reached = Position(first.0 - 1);
    for block in reader.blocks_from(first)? {
        let block = block?;
        let range = PositionRange {
            first,
            last: block.last(),
        };
        walk_block(&block, range, &mut |position, entry| {
            f(
                position,
                entry.event_id.with_text(|text| fingerprints.of(text)),
            );
            Ok::<(), StorageError>(())
        })?;
        reached = block.last();
        on_block(block.entries.into());
    }
    Ok(reached)
}
