//! The newest full blocks, kept in memory.

use std::collections::VecDeque;
use std::ops::Range;

use crate::state::position::Position;
use crate::store::bytes::block::Block;

/// Bytes of blocks to keep: over five million events with UUIDs, at least as many as the index
/// finds in memory. Verifying a duplicate here takes a microsecond. Reading a page of the store
/// takes twenty or more and waits while a group is written. With three of five million events kept,
/// a tenth of the time went to such reads for two duplicates in a hundred events.
pub(super) const RECENT_BYTES: usize = 144 << 20;

/// Blocks on either side of the guess that are searched first, before all blocks are.
const NEAR: usize = 8;

/// Consecutive full blocks.
#[derive(Debug)]
pub(super) struct RecentBlocks {
    max_bytes: usize,
    blocks: VecDeque<Block>,
    /// The first position of each block. They lie closer together in memory here than in the
    /// blocks.
    firsts: VecDeque<Position>,
    bytes: usize,
}

impl RecentBlocks {
    /// Returns an empty list that will keep about this many bytes of blocks.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            blocks: VecDeque::new(),
            firsts: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Adds the block that follows the last one. Forgets old blocks that are durable, those up to
    /// `durable`.
    pub(super) fn push(&mut self, block: Block, durable: Position) {
        self.bytes += block.bytes.len();
        self.firsts.push_back(block.first);
        self.blocks.push_back(block);
        while self.bytes > self.max_bytes && self.blocks[0].last() <= durable {
            let oldest = self.blocks.pop_front();
            self.firsts.pop_front();
            self.bytes -= oldest.map_or(0, |block| block.bytes.len());
        }
    }

    /// Returns the first position, or `None` if there is no block.
    pub(super) fn first(&self) -> Option<Position> {
        self.firsts.front().copied()
    }

    /// Returns the block that holds a position, or `None` if it is not here.
    pub(super) fn at(&self, position: Position) -> Option<&Block> {
        let from = self.first()?.0;
        let until = self.blocks.back()?.last().0 + 1;
        let offset = position.0.checked_sub(from)?;
        if position.0 >= until {
            return None;
        }
        // Blocks have similar numbers of events, so the guess is nearly right.
        let guess = u128::from(offset) * self.blocks.len() as u128 / u128::from(until - from);
        let end = self.blocks.len().min(guess as usize + NEAR);
        let near = (guess as usize).saturating_sub(NEAR)..end;
        let is_within = |blocks: &Range<usize>| {
            let next = self.firsts.get(blocks.end);
            self.firsts[blocks.start] <= position && next.is_none_or(|&next| position < next)
        };
        let mut blocks = Some(near).filter(is_within).unwrap_or(0..self.blocks.len());
        while blocks.len() > 1 {
            let middle = blocks.start + blocks.len() / 2;
            if self.firsts[middle] <= position {
                blocks.start = middle;
            } else {
                blocks.end = middle;
            }
        }
        self.blocks.get(blocks.start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::counts::word_hash;
    use crate::store::bytes::block::{OpenBlock, Stamp};
    use crate::store::bytes::entry::{Entry, EventId};

    fn block(first: Position, entries: usize) -> Block {
        let mut open = OpenBlock::new(first, 0);
        let entry = Entry {
            event_id: EventId::new("e"),
            word: "w",
            count: 1,
        };
        for _ in 0..entries {
            open.push(&entry, word_hash(entry.word), Stamp::default());
        }
        open.seal()
    }

    proptest! {
        #[test]
        fn every_position_is_found_in_its_block_however_long_the_others_are(
            stretches in prop::collection::vec((1..60_usize, 1..60_usize), 0..6),
            first in 1..1_000_u64,
            max_bytes in 0..40_000_usize,
            durable in 0..3_000_u64,
        ) {
            let mut recent = RecentBlocks::new(max_bytes);
            let (mut next, mut sizes) = (Position(first), Vec::new());
            let lengths = stretches.iter().flat_map(|&(blocks, entries)| vec![entries; blocks]);
            for entries in lengths {
                let block = block(next, entries);
                next = block.last().next();
                sizes.push((block.last(), block.bytes.len()));
                recent.push(block, Position(durable));
            }
            let mut kept = first;
            let mut bytes: usize = sizes.iter().map(|(_, bytes)| bytes).sum();
            for (last, size) in sizes {
                if bytes > max_bytes && last.0 <= durable {
                    kept = last.next().0;
                    bytes -= size;
                }
            }
            for position in (first - 1..=next.0).map(Position) {
                let found = recent.at(position).map(|block| block.first..=block.last());
                let is_there = (kept..next.0).contains(&position.0);
                prop_assert_eq!(found.is_some(), is_there);
                prop_assert!(found.is_none_or(|block| block.contains(&position)));
            }
        }
    }
}
