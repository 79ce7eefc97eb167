//! The journal: every accepted event, in order, at positions that are never used twice.
//!
//! The code that changes the state reads and extends the journal through [`Journal`]; other code
//! reads the stored blocks. A [`Journal`] joins the block that is still open, full blocks that may
//! not be durable yet, and the stored blocks, some of which are in the cache. It knows blocks and
//! positions. What an event means is left to the processor.

pub(crate) mod fold;

use std::collections::VecDeque;

use crate::error::StorageError;
use crate::state::position::Position;
use crate::state::position_set::{PositionRange, PositionSet};
use crate::store::bytes::block::{Block, FULL_BLOCK_BYTES, Groups, OpenBlock, Stamp, walk_block};
use crate::store::bytes::cursor::Cursor;
use crate::store::bytes::entry::Entry;
use crate::store::bytes::fingerprint::{Fingerprint, Fingerprints};
use crate::store::cache::Cache;
use crate::store::{ReadPlan, Reader};

/// The journal, for the one thread that extends it.
#[derive(Debug)]
pub(crate) struct Journal {
    open: OpenBlock,
    /// The group that the next events belong to, and the last transaction before it.
    groups: Groups,
    /// True if the open block has events that `take_unwritten` has not returned yet.
    open_is_unwritten: bool,
    /// The newest full blocks, at least all that are not durable.
    undurable: VecDeque<Block>,
    unwritten: Vec<Block>,
    cache: Cache,
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
        cache: Cache,
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
            undurable: VecDeque::new(),
            unwritten: Vec::new(),
            cache,
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
        let durable = self.reader.durable();
        while (self.undurable.front()).is_some_and(|block| block.last() <= durable) {
            self.undurable.pop_front();
        }
        self.undurable.push_back(block.clone());
        self.cache.keep_new_block(block);
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

    /// Calls `f` with the event at a position up to the head. Returns a cursor after the event, if
    /// the events after it are at hand too and not in the open block.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the block cannot be read.
    pub(crate) fn with_entry<R>(
        &self,
        position: Position,
        f: impl FnOnce(Entry<'_>) -> R,
    ) -> Result<(R, Option<Cursor>), StorageError> {
        if position >= self.open.first() {
            return Ok((f(self.open.entry(position)), None));
        }
        let block = self.block_at(position)?;
        let is_whole = !block.is_excerpt;
        let mut cursor = block.into_cursor();
        let result = f(cursor.seek(position)?);
        Ok((result, is_whole.then_some(cursor)))
    }

    /// Moves a cursor that is after the last event of its block to the next block; false if that is
    /// the open block.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the block cannot be read.
    pub(crate) fn reach_next(&self, cursor: &mut Cursor) -> Result<bool, StorageError> {
        let next = cursor.position();
        if !cursor.is_at_end() {
            return Ok(true);
        }
        if next >= self.open.first() {
            return Ok(false);
        }
        // What is read in order is read only once, so it is not kept.
        let block = match self.in_memory(next) {
            Some(block) => block,
            None => self.reader.block_at(next)?,
        };
        *cursor = block.into_cursor();
        Ok(true)
    }

    /// Returns a full block, or an excerpt of it. A block that is read is kept in the cache.
    fn block_at(&self, position: Position) -> Result<Block, StorageError> {
        let found = self.in_memory(position);
        if let Some(block) = found.or_else(|| self.cache.excerpt(position)) {
            return Ok(block);
        }
        let block = self.reader.block_at(position)?.marked()?;
        self.cache.keep_block(block.clone());
        self.cache.note_read();
        Ok(block)
    }

    /// Adds to a plan the block that [`Journal::with_entry`] would read from the store.
    pub(crate) fn plan(&self, position: Position, plan: &mut ReadPlan) {
        if position < self.open.first() && self.in_memory(position).is_none() {
            plan.add_position(position);
        }
    }

    /// Returns the full block that has a position, if it is in memory.
    fn in_memory(&self, position: Position) -> Option<Block> {
        match self.undurable.front() {
            Some(first) if first.first <= position => {
                let after = self
                    .undurable
                    .partition_point(|block| block.first <= position);
                self.undurable.get(after - 1).cloned()
            }
            _ => self.cache.block(position),
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
        let mut stored = self.reader.in_order();
        for range in positions.ranges() {
            let mut next = range.first;
            while next <= range.last && next < self.open.first() {
                let block = match self.in_memory(next) {
                    Some(block) => block,
                    None => stored.block_at(next)?,
                };
                let rest = PositionRange {
                    first: next,
                    last: range.last,
                };
                walk_block(&block, rest, &mut f)?;
                next = block.last().next();
            }
            for position in next.0..=range.last.0 {
                f(Position(position), self.open.entry(Position(position)))?;
            }
        }
        Ok(())
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
