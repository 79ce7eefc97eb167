//! A group: the changes that become durable together, as the processor gives them to the store.

use std::collections::BTreeMap;

use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::store::bytes::block::Block;
use crate::store::bytes::counts::CountsBlock;
use crate::store::bytes::record::{Scalars, SwitchRecord};
use crate::store::bytes::run::{RunBlock, RunHeader, RunKey};
use crate::store::release::Release;

/// A saved state.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoint {
    pub(crate) timeline: PositionSet,
    /// The head when it was saved.
    pub(crate) position: Position,
    /// Every position of the timeline whose id is among this many first outputs of the output log
    /// is settled.
    pub(crate) outputs: u64,
    pub(crate) source: Option<Vec<u8>>,
    pub(crate) committed_source: Option<Vec<u8>>,
    pub(crate) created_at_ms: u64,
}

/// A restore or a rollback.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    pub(crate) number: u64,
    /// The kind and time of the switch.
    pub(crate) record: SwitchRecord,
}

/// What a counts snapshot covers.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotHeader {
    pub(crate) snapshot: u64,
    pub(crate) timeline: PositionSet,
    /// The head when it was taken.
    pub(crate) position: Position,
    pub(crate) blocks: u32,
    pub(crate) words: u64,
    pub(crate) digest: u64,
}

/// The part of a group that concerns counts snapshots.
#[derive(Debug, Default)]
pub(crate) struct SnapshotWrites {
    /// Blocks to write, each with the number of its snapshot.
    pub(crate) blocks: Vec<(u64, CountsBlock)>,
    /// The snapshot that this group completes.
    pub(crate) finished: Option<SnapshotHeader>,
    /// Numbers of snapshots that this group removes.
    pub(crate) removed: Vec<u64>,
    /// Blocks of removed snapshots: snapshot and block number.
    pub(crate) removed_blocks: Vec<(u64, u32)>,
}

impl SnapshotWrites {
    fn is_empty(&self) -> bool {
        self.blocks.is_empty()
            && self.finished.is_none()
            && self.removed.is_empty()
            && self.removed_blocks.is_empty()
    }
}

/// The part of a group that concerns the stored index of event ids.
#[derive(Debug, Default)]
pub(crate) struct RunWrites {
    pub(crate) blocks: Vec<RunBlock>,
    /// The run that this group completes.
    pub(crate) finished: Option<RunHeader>,
    /// Blocks of a run that was never finished.
    pub(crate) removed: Vec<RunKey>,
}

impl RunWrites {
    fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.finished.is_none() && self.removed.is_empty()
    }
}

/// What is made durable together: by one insert if it is only one block, else by one transaction.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// One more than the number of the last group that wrote anything.
    pub(crate) number: u64,
    pub(crate) scalars: Scalars,
    /// True if the scalars other than the position differ from those of the group before.
    pub(crate) scalars_changed: bool,
    /// New blocks, after the last block of the group before if that grew.
    pub(crate) blocks: Vec<Block>,
    /// The closed part of the timeline, if it changed.
    pub(crate) closed: Option<PositionSet>,
    /// The closed part of the released positions, if it changed.
    pub(crate) released: Option<PositionSet>,
    /// The absorbed positions, if they changed.
    pub(crate) absorbed: Option<PositionSet>,
    /// Saved checkpoints; `None` for a deleted one.
    pub(crate) checkpoints: BTreeMap<String, Option<Checkpoint>>,
    pub(crate) releases: Vec<Release>,
    pub(crate) switches: Vec<Switch>,
    pub(crate) snapshots: SnapshotWrites,
    pub(crate) runs: RunWrites,
}

impl Group {
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.has_only_events()
    }

    /// Returns the block if the group is nothing else. Such a group is written by one insert, any
    /// other by a transaction.
    pub(crate) fn as_lone_block(&self) -> Option<&Block> {
        match &*self.blocks {
            [block] if self.has_only_events() => Some(block),
            _ => None,
        }
    }

    fn has_only_events(&self) -> bool {
        !self.scalars_changed
            && self.closed.is_none()
            && self.released.is_none()
            && self.absorbed.is_none()
            && self.checkpoints.is_empty()
            && self.releases.is_empty()
            && self.switches.is_empty()
            && self.snapshots.is_empty()
            && self.runs.is_empty()
    }
}
