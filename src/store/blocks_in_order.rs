//! Reads blocks of the journal that are asked for in growing order.

use crate::error::StorageError;
use crate::state::position::Position;
use crate::store::bytes::block::Block;
use crate::store::decode::gap;
use crate::store::reader::Reader;

/// If a block is at most about this many blocks after the last one, the blocks between them are
/// read too: that takes less time than a search.
const NEAR_BLOCKS: usize = 4;

type Blocks<'a> = Box<dyn Iterator<Item = Result<Block, StorageError>> + 'a>;

/// Reads blocks of the journal that are asked for in growing order: a block that follows the one
/// before costs no search.
pub(crate) struct BlocksInOrder<'a> {
    reader: &'a Reader,
    /// The blocks after the last one.
    rest: Option<Blocks<'a>>,
    last: Option<Block>,
}

impl Reader {
    /// Returns a reader of blocks that are asked for in growing order.
    pub(crate) fn in_order(&self) -> BlocksInOrder<'_> {
        BlocksInOrder {
            reader: self,
            rest: None,
            last: None,
        }
    }
}

impl BlocksInOrder<'_> {
    /// Returns the block that holds a position.
    ///
    /// # Errors
    ///
    /// Those of [`Reader::block_at`].
    pub(crate) fn block_at(&mut self, position: Position) -> Result<Block, StorageError> {
        self.block_near(position, NEAR_BLOCKS, |_| ())
    }

    /// Like [`BlocksInOrder::block_at`]. If the block is at most `near` blocks after the last one,
    /// reads the blocks between them too, and calls `on_passed` with each.
    pub(crate) fn block_near(
        &mut self,
        position: Position,
        near: usize,
        mut on_passed: impl FnMut(Block),
    ) -> Result<Block, StorageError> {
        let holds = |block: &Block| (block.first..=block.last()).contains(&position);
        if let Some(last) = self.last.as_ref().filter(|last| holds(last)) {
            return Ok(last.clone());
        }
        let is_near = |last: &Block| {
            let after = position.0.checked_sub(last.last().0);
            after.is_some_and(|after| after <= near as u64 * u64::from(last.entries))
        };
        let mut next = None;
        if self.last.as_ref().is_some_and(is_near) {
            for block in self.rest.iter_mut().flatten().take(near + 1) {
                let block = block?;
                if holds(&block) {
                    next = Some(block);
                    break;
                }
                on_passed(block);
            }
        }
        let block = match next {
            Some(block) => block,
            None => {
                let mut rest: Blocks<'_> = Box::new(self.reader.blocks_from(position)?);
                let block = rest.next().transpose()?.filter(holds);
                let block = block.ok_or_else(|| gap(position))?;
                self.rest = Some(rest);
                block
            }
        };
        self.last = Some(block.clone());
        Ok(block)
    }
}
