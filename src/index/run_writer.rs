//! Stores runs: a thread sorts and packs a full run, each of the next groups writes a part of it,
//! and the header comes last. A run without a header does not exist.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::StorageError;
use crate::index::exact_index::ExactIndex;
use crate::state::position::Position;
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::cache::{Cache, RunParts};
use crate::store::{
    BlockWriter, Encoded, RunBlock, RunHeader, RunKey, RunNumber, RunWrites, SLED_BYTES_A_BYTE,
    SpaceFloor, digest_of, encode_run,
};

/// Blocks that one group writes: 280 KB, which take a few milliseconds. This is more than a group
/// of events adds to the index.
const BLOCKS_A_GROUP: usize = 200;

/// Writes runs to the store, one at a time.
#[derive(Debug)]
pub(super) struct RunWriter {
    writer: BlockWriter<RunHeader, RunBlock>,
    /// A run whose header is in this group, which is perhaps not durable yet.
    written: Option<(RunHeader, u64)>,
    /// True if the disk had no room for more blocks at the last check.
    lacks_room: bool,
    /// Blocks of a run that was never finished.
    leftovers: VecDeque<RunKey>,
    cache: Cache,
}

impl RunWriter {
    /// Returns a writer that first removes the blocks that a crash left.
    pub(super) fn new(leftovers: Vec<RunKey>, cache: Cache) -> Self {
        Self {
            writer: BlockWriter::default(),
            written: None,
            lacks_room: false,
            leftovers: leftovers.into(),
            cache,
        }
    }

    /// Starts packing a full run, unless another run is not stored yet.
    pub(super) fn begin(&mut self, run: RunNumber, positions: Arc<ExactIndex>) {
        if self.writer.is_idle() && self.written.is_none() && self.leftovers.is_empty() {
            let cache = self.cache.clone();
            self.writer
                .begin("run", move || Ok(pack(run, &positions, &cache)));
        }
    }

    /// Returns what group `group` writes of the current run.
    pub(super) fn take_writes(
        &mut self,
        floor: &SpaceFloor,
        group: u64,
    ) -> Result<RunWrites, StorageError> {
        let mut writes = RunWrites::default();
        let removed = self.leftovers.len().min(BLOCKS_A_GROUP);
        writes.removed.extend(self.leftovers.drain(..removed));
        if let Some(packed) = self.writer.encoded()? {
            let next = packed.blocks.iter().take(BLOCKS_A_GROUP);
            let bytes: usize = next.map(|block| block.bytes.len()).sum();
            // The index only saves time, and unstored runs stay in memory until there is room.
            let room = floor.check_room_for(SLED_BYTES_A_BYTE * bytes as u64)?;
            self.lacks_room = room.is_some();
            if !self.lacks_room {
                (writes.blocks, writes.finished) = self.writer.next(BLOCKS_A_GROUP);
                self.written = writes.finished.map(|header| (header, group));
            }
        }
        Ok(writes)
    }

    /// Returns a run once it is durable, one time only.
    pub(super) fn take_durable(&mut self, durable_group: u64) -> Option<RunHeader> {
        let written = self.written.take_if(|(_, group)| *group <= durable_group);
        written.map(|(header, _)| header)
    }

    /// Waits until a run that is being packed is ready.
    pub(super) fn wait(&mut self) -> Result<(), StorageError> {
        self.writer.wait()
    }

    /// True if nothing is left to write that the disk has room for.
    pub(super) fn is_idle(&self) -> bool {
        (self.lacks_room || self.writer.is_idle()) && self.leftovers.is_empty()
    }
}

/// Encodes a run, and keeps its parts in the cache: they are asked for only once it is stored.
fn pack(run: RunNumber, index: &ExactIndex, cache: &Cache) -> Encoded<RunHeader, RunBlock> {
    let first = index.first();
    let sorted = index.sorted();
    let blocks = encode_run(run, first, sorted.iter());
    let header = RunHeader {
        run,
        first,
        last: Position(first.0 + index.fingerprints().len() as u64 - 1),
        first_fingerprint: blocks
            .first()
            .map_or(Fingerprint(0), |block| block.key.fingerprint),
        blocks: blocks.len() as u32,
        digest: digest_of(blocks.iter().map(RunBlock::checksum)),
    };
    let parts = RunParts::of(&header);
    cache.keep_parts(
        run,
        parts.cut((Fingerprint(0), Fingerprint::MAX), sorted.iter()),
    );
    Encoded {
        header,
        blocks: blocks.into(),
    }
}
