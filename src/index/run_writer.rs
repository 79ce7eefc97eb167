//! Storing runs: a thread sorts and packs a run that is full, the groups that follow carry a part
//! of it each, and its header comes last. Without its header a run does not exist.

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

/// Blocks that one group carries: 280 KB, a few milliseconds of a group's time, and more than a
/// group of events adds to the index.
const BLOCKS_A_GROUP: usize = 200;

/// One run at a time on its way to the store.
#[derive(Debug)]
pub(super) struct RunWriter {
    stage: Stage,
    /// Whether the disk had no room for more when that was last looked at.
    lacks_room: bool,
    /// Blocks of a run that was never finished.
    leftovers: VecDeque<RunKey>,
}

#[derive(Debug)]
enum Stage {
    Idle,
    Packing(Aside<Packed>),
    Writing(Packed),
    /// All of it is in this group or an earlier one.
    Written(RunHeader, u64),
}

#[derive(Debug)]
struct Packed {
    header: RunHeader,
    blocks: VecDeque<RunBlock>,
}

impl RunWriter {
    /// A writer that first removes what a crash left.
    pub(super) fn new(leftovers: Vec<RunKey>) -> Self {
        Self {
            stage: Stage::Idle,
            lacks_room: false,
            leftovers: leftovers.into(),
        }
    }

    /// Starts with a run that is full, unless one is in work.
    pub(super) fn begin(&mut self, run: RunNumber, positions: Arc<ExactIndex>) {
        if !matches!(self.stage, Stage::Idle) || !self.leftovers.is_empty() {
            return;
        }
        let packing = Aside::start("run", move || pack(run, &positions));
        self.stage = Stage::Packing(packing);
    }

    /// What group `group` carries of a run in work.
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
            // The index only saves time, and what it covers stays in memory till there is room.
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

    /// A run that was written and is durable, once.
    pub(super) fn take_durable(&mut self, durable_group: u64) -> Option<RunHeader> {
        match self.stage {
            Stage::Written(header, group) if group <= durable_group => {
                self.stage = Stage::Idle;
                Some(header)
            }
            _ => None,
        }
    }

    /// Waits until a run in work is packed.
    pub(super) fn wait(&mut self) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Packing(packing) => {
                let packed = packing.join();
                Stage::Writing(packed.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            }
            stage => stage,
        };
    }

    /// Whether there is nothing left to write that there is room for.
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
