//! Stores runs: a thread sorts and packs a full run, each of the next groups writes a part of it,
//! and the header comes last. A run without a header does not exist.

use std::collections::VecDeque;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::error::StorageError;
use crate::index::exact_index::ExactIndex;
use crate::state::position::Position;
use crate::store::bytes::fingerprint::Fingerprint;
use crate::store::threads::Aside;
use crate::store::{
    RunBlock, RunHeader, RunKey, RunNumber, RunWrites, SLED_BYTES_A_BYTE, SpaceFloor, encode_run,
};

/// Blocks that one group writes: 280 KB, which take a few milliseconds. This is more than a group
/// of events adds to the index.
const BLOCKS_A_GROUP: usize = 200;

/// Writes runs to the store, one at a time.
#[derive(Debug)]
pub(super) struct RunWriter {
    stage: Stage,
    /// True if the disk had no room for more blocks at the last check.
    lacks_room: bool,
    /// Blocks of a run that was never finished.
    leftovers: VecDeque<RunKey>,
}

#[derive(Debug)]
enum Stage {
    Idle,
    Packing(Aside<Packed>),
    Writing(Packed),
    /// The whole run is in this group and earlier ones.
    Written(RunHeader, u64),
}

#[derive(Debug)]
struct Packed {
    header: RunHeader,
    blocks: VecDeque<RunBlock>,
}

impl RunWriter {
    /// Returns a writer that first removes the blocks that a crash left.
    pub(super) fn new(leftovers: Vec<RunKey>) -> Self {
        Self {
            stage: Stage::Idle,
            lacks_room: false,
            leftovers: leftovers.into(),
        }
    }

    /// Starts packing a full run, unless another run is not stored yet.
    pub(super) fn begin(&mut self, run: RunNumber, positions: Arc<ExactIndex>) {
        if !matches!(self.stage, Stage::Idle) || !self.leftovers.is_empty() {
            return;
        }
        let packing = Aside::start("run", move || pack(run, &positions));
        self.stage = Stage::Packing(packing);
    }

    /// Returns what group `group` writes of the current run.
    pub(super) fn take_writes(
        &mut self,
        floor: &SpaceFloor,
        group: u64,
    ) -> Result<RunWrites, StorageError> {
        if matches!(&self.stage, Stage::Packing(packing) if packing.is_finished()) {
            self.wait();
        }
        let mut writes = RunWrites::default();
        let removed = self.leftovers.len().min(BLOCKS_A_GROUP);
        writes.removed.extend(self.leftovers.drain(..removed));
        if let Stage::Writing(packed) = &mut self.stage {
            let count = packed.blocks.len().min(BLOCKS_A_GROUP);
            let bytes: usize = packed.blocks.range(..count).map(|b| b.bytes.len()).sum();
            // The index only saves time, and unstored runs stay in memory until there is room.
            let room = floor.check_room_for(SLED_BYTES_A_BYTE * bytes as u64)?;
            self.lacks_room = room.is_some();
            if self.lacks_room {
                return Ok(writes);
            }
            writes.blocks.extend(packed.blocks.drain(..count));
            if packed.blocks.is_empty() {
                writes.finished = Some(packed.header);
                self.stage = Stage::Written(packed.header, group);
            }
        }
        Ok(writes)
    }

    /// Returns a run once it is durable, one time only.
    pub(super) fn take_durable(&mut self, durable_group: u64) -> Option<RunHeader> {
        match self.stage {
            Stage::Written(header, group) if group <= durable_group => {
                self.stage = Stage::Idle;
                Some(header)
            }
            _ => None,
        }
    }

    /// Waits until a run that is being packed is ready.
    pub(super) fn wait(&mut self) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Packing(packing) => {
                let packed = packing.join();
                Stage::Writing(packed.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            }
            stage => stage,
        };
    }

    /// True if nothing is left to write that the disk has room for.
    pub(super) fn is_idle(&self) -> bool {
        let has_run = !matches!(self.stage, Stage::Idle | Stage::Written(..));
        (self.lacks_room || !has_run) && self.leftovers.is_empty()
    }
}

fn pack(run: RunNumber, index: &ExactIndex) -> Packed {
    let first = index.first();
    let blocks = encode_run(run, first, index.sorted());
    let mut digest = Xxh3::new();
    for block in &blocks {
        digest.update(&block.checksum().to_le_bytes());
    }
    let header = RunHeader {
        run,
        first,
        last: Position(first.0 + index.fingerprints().len() as u64 - 1),
        first_fingerprint: blocks
            .first()
            .map_or(Fingerprint(0), |block| block.key.fingerprint),
        blocks: blocks.len() as u32,
        digest: digest.digest(),
    };
    Packed {
        header,
        blocks: blocks.into(),
    }
}
