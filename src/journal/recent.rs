//! The newest full blocks, which are kept in memory.

use std::collections::VecDeque;
use std::ops::Range;

use crate::state::position::Position;
use crate::store::block::Block;

/// Bytes of blocks that are kept: of ids that are UUIDs over five million events, about as many as
/// the index finds in memory. To verify a duplicate there takes a microsecond. To read a page of
/// the store takes twenty or more, and has to wait while a group is written: with two duplicates
/// among a hundred events, a tenth of the time.
const RECENT_BYTES: usize = 144 << 20;

/// How far from where it is guessed to be a block is looked for, before it is looked for among all.
const NEAR: usize = 8;

/// Full blocks without a gap.
#[derive(Debug, Default)]
pub(super) struct RecentBlocks {
    blocks: VecDeque<Block>,
    /// The first position of each, which stand closer together here than in the blocks.
    firsts: VecDeque<Position>,
    bytes: usize,
}

impl RecentBlocks {
    /// Adds the block behind the last one, and forgets old ones that are durable: those up to
    /// `durable`.
    pub(super) fn push(&mut self, block: Block, durable: Position) {
        self.bytes += block.bytes.len();
        self.firsts.push_back(block.first);
        self.blocks.push_back(block);
        while self.bytes > RECENT_BYTES && self.blocks[0].last() <= durable {
            let oldest = self.blocks.pop_front();
            self.firsts.pop_front();
            self.bytes -= oldest.map_or(0, |block| block.bytes.len());
        }
    }

    /// The first position, if there is any block.
    pub(super) fn first(&self) -> Option<Position> {
        self.firsts.front().copied()
    }

    /// The block that holds a position; `None` if there is none.
    pub(super) fn at(&self, position: Position) -> Option<&Block> {
        let from = self.first()?.0;
        let until = self.blocks.back()?.last().0 + 1;
        let offset = position.0.checked_sub(from)?;
        if position.0 >= until {
            return None;
        }
        // Blocks have about as many events each, so that a guess is nearly right.
        let guess = u128::from(offset) * self.blocks.len() as u128 / u128::from(until - from);
        let near = (guess as usize).saturating_sub(NEAR)..guess as usize + NEAR;
        let begins_by = |index: usize| self.firsts.get(index).map(|&first| first <= position);
        let is_within = |blocks: &Range<usize>| {
            begins_by(blocks.start) == Some(true) && begins_by(blocks.end) == Some(false)
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
