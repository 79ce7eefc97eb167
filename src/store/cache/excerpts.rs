//! What was read ahead for a window while the cache was full: only the entries that are wanted,
//! without the rest of their blocks and parts. This way many more events can be read ahead at a
//! time, and little else is dropped for them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::state::position::{Position, Positions};
use crate::store::bytes::block::Block;
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::bytes::run::RunNumber;
use crate::store::cache::contents::Contents;

/// Memory that an excerpt takes beside its bytes.
const EXCERPT_BYTES: u64 = 160;

/// The excerpts for a window of one sender. Their memory counts in the cache's budget until they
/// are dropped.
#[derive(Debug)]
pub(crate) struct Excerpts {
    kept: Mutex<Kept>,
    contents: Arc<Mutex<Contents>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Blocks of one entry, by its position.
    blocks: HashMap<Position, Block>,
    /// All positions of a run that have a fingerprint.
    found: HashMap<(RunNumber, Fingerprint), Positions>,
    bytes: u64,
}

impl Excerpts {
    pub(super) fn new(contents: Arc<Mutex<Contents>>) -> Self {
        let kept = Mutex::default();
        Self { kept, contents }
    }

    /// Keeps excerpts of blocks, if all excerpts together do not take too much.
    pub(crate) fn keep_blocks(&self, blocks: Vec<Block>) {
        if self.reserve(Self::bytes_of_blocks(&blocks)) {
            let blocks = blocks.into_iter().map(|block| (block.first, block));
            self.kept.lock().blocks.extend(blocks);
        }
    }

    /// Keeps all positions of a run that have a fingerprint, if all excerpts together do not take
    /// too much.
    pub(crate) fn keep_found(&self, run: RunNumber, found: Vec<(Fingerprint, Positions)>) {
        if self.reserve(Self::bytes_of_found(&found)) {
            let found = found.into_iter();
            let found = found.map(|(wanted, found)| ((run, wanted), found));
            self.kept.lock().found.extend(found);
        }
    }

    /// About the memory that excerpts of blocks take.
    pub(crate) fn bytes_of_blocks(blocks: &[Block]) -> u64 {
        let bytes = blocks.iter().map(|block| block.memory_bytes() as u64);
        bytes.map(|bytes| bytes + EXCERPT_BYTES).sum()
    }

    fn bytes_of_found(found: &[(Fingerprint, Positions)]) -> u64 {
        let bytes = found.iter().map(|(_, found)| size_of_val(&**found) as u64);
        bytes.map(|bytes| bytes + EXCERPT_BYTES).sum()
    }

    fn reserve(&self, bytes: u64) -> bool {
        let is_reserved = self.contents.lock().reserve(bytes);
        if is_reserved {
            self.kept.lock().bytes += bytes;
        }
        is_reserved
    }

    /// Returns a block with the entry at a position.
    pub(super) fn block(&self, position: Position) -> Option<Block> {
        self.kept.lock().blocks.get(&position).cloned()
    }

    /// Adds the positions of a run with a fingerprint to `found`; false if this is not known here.
    pub(super) fn find_in_run(
        &self,
        run: RunNumber,
        wanted: Fingerprint,
        found: &mut Positions,
    ) -> bool {
        let kept = self.kept.lock();
        let here = kept.found.get(&(run, wanted));
        found.extend(here.into_iter().flatten().copied());
        here.is_some()
    }
}

impl Drop for Excerpts {
    fn drop(&mut self) {
        self.contents.lock().give_back(self.kept.get_mut().bytes);
    }
}
