//! One transaction: what a group writes to each tree, and the trees' digests that go with it.

use std::collections::BTreeMap;

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError};

use crate::error::StorageError;
use crate::state::position_set::{PositionRange, PositionSet};
use crate::store::group::{Checkpoint, Group, SnapshotHeader};
use crate::store::load::{self, ABSORBED_SET, CLOSED_SET, LiveSets, RELEASED_SET};
use crate::store::record::{
    self, CheckpointRecord, Format, HeadRecord, RunRecord, SetRecord, SnapshotRecord, TreeDigest,
};
use crate::store::release::{Release, ReleasedPositions};
use crate::store::release_codec::{ReleasePack, StoredRelease};
use crate::store::set_codec::{self, PieceKey};
use crate::store::sled_db::{Trees, failed};
use crate::store::tree::Tree;
use crate::store::view::Views;

/// A set of at most this many ranges is stored in its record: below 1.3 KB in the worst case.
const MAX_INLINE_RANGES: usize = 64;

/// What will be written, collected outside of sled's transaction: that holds a lock that keeps all
/// readers waiting.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    meta: sled::Batch,
    journal: sled::Batch,
    sets: Writes,
    counts: Writes,
    checkpoints: Writes,
    releases: Writes,
    seen: Writes,
    moves: Writes,
}

/// What will be written to one tree: keys with their new values, or none for those that go.
#[derive(Debug, Default)]
struct Writes(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Writes {
    fn insert(&mut self, key: impl Into<Vec<u8>>, value: Vec<u8>) {
        self.0.insert(key.into(), Some(value));
    }

    fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.0.insert(key.into(), None);
    }

    /// Brings the digest of the tree forward, from what these replace to what they are; the views
    /// keep what they replace.
    fn digested(
        self,
        tree: &Tree,
        digest: &mut TreeDigest,
        views: &Views,
    ) -> Result<sled::Batch, StorageError> {
        let mut batch = sled::Batch::default();
        for (key, value) in self.0 {
            let replaced = tree.get(&key)?;
            views.keep(tree.name(), &key, replaced.as_ref());
            if let Some(replaced) = replaced {
                digest.remove(&key, &replaced);
            }
            match value {
                Some(value) => {
                    digest.add(&key, &value);
                    batch.insert(key, value);
                }
                None => batch.remove(key),
            }
        }
        Ok(batch)
    }
}

impl Transaction {
    /// Takes in what is fixed when a database is created.
    pub(super) fn put_format(&mut self, format: &Format) {
        self.meta.insert("format", record::encode(format));
    }

    /// Takes in a group; `stored` are the live sets before it, and `pack` the last releases.
    pub(super) fn put_group(
        &mut self,
        trees: &Trees,
        group: &Group,
        stored: &LiveSets,
        pack: &mut ReleasePack,
        record: &mut HeadRecord,
    ) -> Result<(), StorageError> {
        for block in &group.blocks {
            self.journal
                .insert(&block.first.0.to_be_bytes(), block.bytes.clone());
        }
        for (set, stored, new) in [
            (CLOSED_SET, &stored.closed, &group.closed),
            (
                RELEASED_SET,
                stored.settled.released.closed(),
                &group.released,
            ),
            (ABSORBED_SET, &stored.settled.absorbed, &group.absorbed),
        ] {
            if let Some(new) = new {
                self.put_changed_pieces(set, stored, new);
            }
        }
        for (name, checkpoint) in &group.checkpoints {
            if let Some(old) = load::checkpoint_record(trees, name)? {
                self.remove_set(trees, &old.timeline)?;
            }
            match checkpoint {
                Some(checkpoint) => self.put_checkpoint(name, checkpoint, record),
                None => self.checkpoints.remove(name.as_str()),
            }
        }
        for release in &group.releases {
            self.put_release(release, pack, record);
        }
        for made in &group.moves {
            let key = made.number.to_be_bytes();
            self.moves.insert(key, record::encode(&made.record));
        }
        self.put_runs(group);
        self.put_snapshots(trees, group, record)
    }

    /// Writes everything, and the record of the head with the digests that are then right.
    pub(super) fn apply(
        mut self,
        trees: &Trees,
        views: &Views,
        record: &mut HeadRecord,
        action: &'static str,
    ) -> Result<(), StorageError> {
        let digests = &mut record.digests;
        let new_sets = self.sets.digested(&trees.sets, &mut digests.sets, views)?;
        let new_counts = self
            .counts
            .digested(&trees.counts, &mut digests.counts, views)?;
        let of_checkpoints = &mut digests.checkpoints;
        let new_checkpoints =
            self.checkpoints
                .digested(&trees.checkpoints, of_checkpoints, views)?;
        let new_releases = self
            .releases
            .digested(&trees.releases, &mut digests.releases, views)?;
        let new_seen = self.seen.digested(&trees.seen, &mut digests.seen, views)?;
        let new_moves = self
            .moves
            .digested(&trees.moves, &mut digests.moves, views)?;
        self.meta.insert("head", record::encode(record));
        trees.database.call(action, |open| {
            open.trees
                .transaction(|trees| {
                    for (tree, batch) in trees.iter().zip([
                        &self.meta,
                        &self.journal,
                        &new_sets,
                        &new_counts,
                        &new_checkpoints,
                        &new_releases,
                        &new_seen,
                        &new_moves,
                    ]) {
                        tree.apply_batch(batch)?;
                    }
                    Ok::<(), ConflictableTransactionError<()>>(())
                })
                .map_err(|error| match error {
                    TransactionError::Storage(error) => failed(action)(error),
                    TransactionError::Abort(()) => unreachable!("the closure never aborts"),
                })
        })
    }

    fn put_changed_pieces(&mut self, set: u64, stored: &PositionSet, new: &PositionSet) {
        for (piece, value) in new.pieces_changed_since(stored) {
            let key = PieceKey { set, piece };
            match set_codec::encode(key, value) {
                Some(bytes) => self.sets.insert(key.bytes(), bytes),
                None => self.sets.remove(key.bytes()),
            }
        }
    }

    /// Stores a set that never changes, in the record itself if it is small.
    fn put_set(&mut self, set: &PositionSet, record: &mut HeadRecord) -> SetRecord {
        if set.ranges().nth(MAX_INLINE_RANGES).is_none() {
            return inline(set.ranges());
        }
        let number = record.next_set;
        record.next_set += 1;
        self.put_changed_pieces(number, &PositionSet::default(), set);
        SetRecord::Pieces(number)
    }

    fn remove_set(&mut self, trees: &Trees, set: &SetRecord) -> Result<(), StorageError> {
        if let SetRecord::Pieces(number) = set {
            for entry in trees.sets.with_prefix(*number) {
                self.sets.remove(&*entry?.0);
            }
        }
        Ok(())
    }

    fn put_checkpoint(&mut self, name: &str, checkpoint: &Checkpoint, record: &mut HeadRecord) {
        let stored = CheckpointRecord {
            timeline: self.put_set(&checkpoint.timeline, record),
            events: checkpoint.timeline.len(),
            position: checkpoint.position,
            outputs: checkpoint.outputs,
            source: checkpoint.source.clone(),
            committed_source: checkpoint.committed_source.clone(),
            created_at_ms: checkpoint.created_at_ms,
        };
        self.checkpoints.insert(name, record::encode(&stored));
    }

    /// Adds a release to the last pack, or begins the next one with it.
    fn put_release(&mut self, release: &Release, pack: &mut ReleasePack, record: &mut HeadRecord) {
        assert_eq!(
            release.first_output,
            pack.end(),
            "outputs follow one by one"
        );
        pack.begin_next_if_full();
        let released = match &release.released {
            ReleasedPositions::Ranges(ranges) => inline(ranges.iter().copied()),
            ReleasedPositions::Set(set) => self.put_set(set, record),
        };
        let last = release.released.last();
        pack.push(&StoredRelease {
            commit: release.commit,
            first_output: release.first_output,
            outputs: release.released.len(),
            last: last.expect("a release has a position"),
            released,
        });
        self.releases.insert(pack.key(), pack.bytes());
    }

    fn put_runs(&mut self, group: &Group) {
        let writes = &group.runs;
        for key in &writes.removed {
            self.seen.remove(key.bytes());
        }
        for block in &writes.blocks {
            self.seen.insert(block.key.bytes(), block.bytes.clone());
        }
        if let Some(header) = &writes.finished {
            let stored = RunRecord {
                first: header.first,
                last: header.last,
                first_fingerprint: header.first_fingerprint.0,
                blocks: header.blocks,
                digest: header.digest,
            };
            self.seen
                .insert(load::run_key(header.run), record::encode(&stored));
        }
    }

    fn put_snapshots(
        &mut self,
        trees: &Trees,
        group: &Group,
        record: &mut HeadRecord,
    ) -> Result<(), StorageError> {
        let writes = &group.snapshots;
        for (snapshot, block) in &writes.blocks {
            let key = load::counts_key(*snapshot, block.number);
            self.counts.insert(key, block.bytes.clone());
        }
        for &snapshot in &writes.removed {
            if let Some(old) = load::snapshot_record(trees, snapshot)? {
                self.remove_set(trees, &old.timeline)?;
            }
            self.counts.remove(load::counts_key(snapshot, 0));
        }
        for &(snapshot, number) in &writes.removed_blocks {
            self.counts.remove(load::counts_key(snapshot, number));
        }
        if let Some(header) = &writes.finished {
            self.put_snapshot_header(header, record);
        }
        Ok(())
    }

    fn put_snapshot_header(&mut self, header: &SnapshotHeader, record: &mut HeadRecord) {
        let stored = SnapshotRecord {
            timeline: self.put_set(&header.timeline, record),
            position: header.position,
            blocks: header.blocks,
            words: header.words,
            digest: header.digest,
        };
        let key = load::counts_key(header.snapshot, 0);
        self.counts.insert(key, record::encode(&stored));
    }
}

fn inline(ranges: impl Iterator<Item = PositionRange>) -> SetRecord {
    SetRecord::Ranges(ranges.map(|range| (range.first, range.last)).collect())
}
