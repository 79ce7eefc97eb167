//! Counts snapshots: stored counts of one timeline, from which a restart or a restore starts
//! counting instead of from zero.
//!
//! A snapshot has many blocks. A separate thread sorts and encodes them, each following group
//! writes a few, and the header comes last: a snapshot without a header does not exist. The latest
//! two are kept, and for each checkpoint the nearest one at or before it.

use std::collections::{BTreeSet, VecDeque};

use crate::error::StorageError;
use crate::state::counts::WordCount;
use crate::state::counts::sort_by_word;
use crate::state::position::Position;
use crate::state::position_set::PositionSet;
use crate::store::{
    BlockWriter, CountsBlock, Encoded, Reader, SLED_BYTES_A_BYTE, SnapshotHeader, SnapshotWrites,
    SpaceFloor, digest_of, encode_counts,
};

/// Blocks that one group writes: 384 KB, a few milliseconds of a group's time.
const BLOCKS_A_GROUP: usize = 64;

/// A clean end takes a snapshot if at least this many events, or a whole interval, follow the last
/// one: folding fewer events takes no longer than reading a snapshot.
const TAIL_WORTH_A_SNAPSHOT_EVENTS: u64 = 4_096;

/// The snapshots of one directory.
#[derive(Debug)]
pub(crate) struct Snapshots {
    reader: Reader,
    interval_events: u64,
    /// Finished snapshots, oldest first.
    kept: Vec<Kept>,
    next_snapshot: u64,
    /// Position of the last snapshot that was given up for lack of disk space.
    last_given_up: Position,
    writer: BlockWriter<NewHeader, (u64, CountsBlock)>,
    /// Blocks of snapshots that no longer exist, to be removed.
    leftovers: VecDeque<(u64, u32)>,
}

/// A finished snapshot.
#[derive(Debug)]
struct Kept {
    header: SnapshotHeader,
    /// The group that its header is written with; 0 if it was stored before the open.
    group: u64,
}

/// The header of a snapshot that is written.
#[derive(Debug)]
struct NewHeader {
    header: SnapshotHeader,
    /// Positions of the checkpoints that were stored when it was encoded.
    checkpoint_positions: Vec<Position>,
}

impl Snapshots {
    /// Finds the stored snapshots. Blocks that a crash left without a header will be removed.
    pub(crate) fn open(reader: Reader, interval_events: u64) -> Result<Self, StorageError> {
        let mut snapshots = Self {
            interval_events,
            kept: Vec::new(),
            next_snapshot: 1,
            last_given_up: Position::NONE,
            writer: BlockWriter::default(),
            leftovers: VecDeque::new(),
            reader: reader.clone(),
        };
        for (snapshot, header) in reader.snapshots()? {
            snapshots.next_snapshot = snapshot + 1;
            match header {
                Some(header) => snapshots.kept.push(Kept { header, group: 0 }),
                None => {
                    let blocks = reader.snapshot_blocks(snapshot)?.into_iter();
                    snapshots
                        .leftovers
                        .extend(blocks.map(|number| (snapshot, number)));
                }
            }
        }
        Ok(snapshots)
    }

    /// The snapshots to consider for a timeline that ends at `position`, of those that are durable
    /// with the group `durable_group`: the nearest one at or before it, and the latest two.
    pub(crate) fn candidates(
        &self,
        position: Position,
        durable_group: u64,
    ) -> impl Iterator<Item = &SnapshotHeader> {
        let durable = self.kept.iter().rev();
        let durable = durable.filter(move |kept| kept.group <= durable_group);
        let mut durable = durable.map(|kept| &kept.header);
        let latest = durable.clone().take(2);
        let below = durable.find(|header| header.position <= position);
        below.into_iter().chain(latest)
    }

    /// True if the next snapshot is due.
    pub(crate) fn is_due(&self, position: Position, words: usize) -> bool {
        let interval = self.interval_events.max(words as u64);
        self.writer.is_idle() && self.events_since(position) >= interval
    }

    /// True if a clean end should take a last snapshot.
    pub(crate) fn is_due_at_the_end(&self, position: Position) -> bool {
        let worth = self.interval_events.min(TAIL_WORTH_A_SNAPSHOT_EVENTS);
        self.writer.is_idle() && self.events_since(position) >= worth
    }

    fn events_since(&self, position: Position) -> u64 {
        let kept = self
            .kept
            .last()
            .map_or(Position::NONE, |kept| kept.header.position);
        position.0 - kept.max(self.last_given_up).0
    }

    /// True if nothing is left to write.
    pub(crate) fn is_idle(&self) -> bool {
        self.writer.is_idle() && self.leftovers.is_empty()
    }

    /// Starts a snapshot of a timeline and its counts.
    pub(crate) fn begin(
        &mut self,
        timeline: PositionSet,
        position: Position,
        mut counts: Vec<WordCount>,
    ) {
        let snapshot = self.next_snapshot;
        self.next_snapshot += 1;
        let reader = self.reader.clone();
        self.writer.begin("snapshot", move || {
            sort_by_word(&mut counts);
            let blocks = encode_counts(snapshot, &counts);
            let header = SnapshotHeader {
                snapshot,
                timeline,
                position,
                blocks: blocks.len() as u32,
                words: counts.len() as u64,
                digest: digest_of(blocks.iter().map(CountsBlock::checksum)),
            };
            let checkpoint_positions = reader.checkpoint_positions()?;
            Ok(Encoded {
                blocks: blocks.into_iter().map(|block| (snapshot, block)).collect(),
                header: NewHeader {
                    header,
                    checkpoint_positions,
                },
            })
        });
    }

    /// What the next group, numbered `group`, writes of a snapshot in progress.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the encoding thread met one, or the free space cannot be read.
    pub(crate) fn take_writes(
        &mut self,
        floor: &SpaceFloor,
        group: u64,
    ) -> Result<SnapshotWrites, StorageError> {
        self.give_up_without_room(floor)?;
        let mut writes = SnapshotWrites::default();
        let removed = self.leftovers.len().min(BLOCKS_A_GROUP);
        writes
            .removed_blocks
            .extend(self.leftovers.drain(..removed));
        let (blocks, finished) = self.writer.next(BLOCKS_A_GROUP);
        writes.blocks = blocks;
        if let Some(new) = finished {
            let header = new.header;
            self.kept.push(Kept {
                header: header.clone(),
                group,
            });
            writes.finished = Some(header);
            writes.removed = self.drop_unneeded(&new.checkpoint_positions);
        }
        Ok(writes)
    }

    /// Gives a snapshot up if writing it would leave less free space than requests need, as it only
    /// saves time. Its written blocks will be removed.
    fn give_up_without_room(&mut self, floor: &SpaceFloor) -> Result<(), StorageError> {
        let Some(encoded) = self.writer.encoded()? else {
            return Ok(());
        };
        let bytes: usize = encoded
            .blocks
            .iter()
            .map(|(_, block)| block.bytes.len())
            .sum();
        let lacks_room = floor
            .check_room_for(SLED_BYTES_A_BYTE * bytes as u64)?
            .is_some();
        let left = encoded.blocks.len() as u32;
        if lacks_room && let Some(NewHeader { header, .. }) = self.writer.give_up() {
            let written = 1..=header.blocks - left;
            self.leftovers
                .extend(written.map(|number| (header.snapshot, number)));
            self.last_given_up = header.position;
        }
        Ok(())
    }

    /// Waits until a snapshot in progress is encoded.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the encoding thread met one.
    pub(crate) fn wait(&mut self) -> Result<(), StorageError> {
        self.writer.wait()
    }

    /// Forgets the snapshots that are not needed, and returns their numbers.
    fn drop_unneeded(&mut self, checkpoint_positions: &[Position]) -> Vec<u64> {
        let latest = self.kept.iter().rev().take(2);
        let mut needed: BTreeSet<u64> = latest.map(|kept| kept.header.snapshot).collect();
        for &position in checkpoint_positions {
            let is_below = |kept: &Kept| kept.header.position <= position;
            let below = self.kept.partition_point(is_below).checked_sub(1);
            needed.extend(below.map(|index| self.kept[index].header.snapshot));
        }
        let mut removed = Vec::new();
        self.kept.retain(|Kept { header, .. }| {
            let is_needed = needed.contains(&header.snapshot);
            if !is_needed {
                removed.push(header.snapshot);
                self.leftovers
                    .extend((1..=header.blocks).map(|number| (header.snapshot, number)));
            }
            is_needed
        });
        removed
    }
}
