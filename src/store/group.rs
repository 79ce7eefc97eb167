//! A group: everything that becomes durable together, as the processor hands it to the store.

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
    /// The journal's last position when it was saved.
    pub(crate) position: Position,
    /// As many of the first outputs in the output log are settled in the timeline.
    pub(crate) outputs: u64,
    pub(crate) source: Option<Vec<u8>>,
    pub(crate) committed_source: Option<Vec<u8>>,
    pub(crate) created_at_ms: u64,
}

/// A restore or a rollback.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    pub(crate) number: u64,
    /// What it did, and when.
    pub(crate) record: SwitchRecord,
}

/// What a counts snapshot covers.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotHeader {
    pub(crate) snapshot: u64,
    pub(crate) timeline: PositionSet,
    /// The journal's last position when it was taken.
    pub(crate) position: Position,
    pub(crate) blocks: u32,
    pub(crate) words: u64,
    pub(crate) digest: u64,
}

/// The part of a group that concerns counts snapshots.
#[derive(Debug, Default)]
pub(crate) struct SnapshotWrites {
    /// Blocks to write, each with its snapshot.
    pub(crate) blocks: Vec<(u64, CountsBlock)>,
    /// A snapshot that is complete with this group.
    pub(crate) finished: Option<SnapshotHeader>,
    /// Snapshots that exist no longer after this group.
    pub(crate) removed: Vec<u64>,
    /// Blocks of snapshots that exist no longer: snapshot and block number.
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
    /// A run that is complete with this group.
    pub(crate) finished: Option<RunHeader>,
    /// Blocks of a run that was never finished.
    pub(crate) removed: Vec<RunKey>,
}

impl RunWrites {
    fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.finished.is_none() && self.removed.is_empty()
    }
}

/// What is made durable together: by one transaction, or by one insert where it is one block.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// The group's number: that of the group before that wrote anything, plus 1.
    pub(crate) number: u64,
    pub(crate) scalars: Scalars,
    /// Whether the scalars differ from those of the group before, beyond the position.
    pub(crate) scalars_changed: bool,
    /// New blocks, and the last one of the group before if it grew.
    pub(crate) blocks: Vec<Block>,
    /// The closed part of the timeline, if it changed.
    pub(crate) closed: Option<PositionSet>,
    /// The closed part of the released positions, if it changed.
    pub(crate) released: Option<PositionSet>,
    /// The absorbed positions, if they changed.
    pub(crate) absorbed: Option<PositionSet>,
    /// Saved checkpoints; `None` for those that are deleted.
    pub(crate) checkpoints: BTreeMap<String, Option<Checkpoint>>,
    pub(crate) releases: Vec<Release>,
    pub(crate) switches: Vec<Switch>,
    pub(crate) snapshots: SnapshotWrites,
    pub(crate) runs: RunWrites,
}

impl Group {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.has_only_events()
    }

    /// The one block that the group is, if it is nothing else: such a group is written by one
    /// insert, every other one by a transaction.
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
