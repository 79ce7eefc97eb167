//! One transaction: what a group writes to each tree, and the digests of the trees after it.

use std::collections::BTreeMap;

use sled::transaction::{ConflictableTransactionError, TransactionError};
use sled::{IVec, Transactional};

use crate::error::StorageError;
use crate::state::position_set::{PositionRange, PositionSet};
use crate::store::bytes::record::{
    self, CheckpointRecord, FormatRecord, HeadRecord, RunRecord, SetRecord, SnapshotRecord,
    TreeDigest,
};
use crate::store::bytes::release_pack::{ReleasePack, StoredRelease};
use crate::store::bytes::set_piece::{self, PieceKey};
use crate::store::bytes::tree_name::TreeName;
use crate::store::database::failed;
use crate::store::database::tree::Tree;
use crate::store::database::trees::Trees;
use crate::store::database::view::DatabaseViews;
use crate::store::decode::{self, ABSORBED_SET, CLOSED_SET, LiveSets, RELEASED_SET};
use crate::store::group::{Checkpoint, Group, SnapshotHeader};
use crate::store::release::{Release, ReleasedPositions};

/// A set of at most this many ranges is stored in its record, where it takes at most 1.3 KB.
const MAX_INLINE_RANGES: usize = 64;

/// What a transaction will write. It is collected before sled's transaction begins, as that one
/// holds a lock that blocks all readers.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    trees: [Writes; TreeName::ALL.len()],
}

/// What will be written to one tree: keys with their new values, or `None` for a key to remove.
#[derive(Debug, Default)]
struct Writes(BTreeMap<Vec<u8>, Option<IVec>>);

impl Writes {
    /// Returns the writes in sled's form. Updates the digest of the tree, if it has one, and gives
    /// the views the values that are replaced.
    fn into_batch(
        self,
        tree: &Tree,
        mut digest: Option<&mut TreeDigest>,
        views: &DatabaseViews,
    ) -> Result<sled::Batch, StorageError> {
        let mut batch = sled::Batch::default();
        for (key, value) in self.0 {
            if let Some(digest) = &mut digest {
                let replaced = tree.get(&key)?;
                views.keep(tree.name(), &key, replaced.as_ref());
                if let Some(replaced) = replaced {
                    digest.remove(&key, &replaced);
                }
                if let Some(value) = &value {
                    digest.add(&key, value);
                }
            }
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        Ok(batch)
    }
}

impl Transaction {
    /// Adds the format record of a new database.
    pub(super) fn put_format(&mut self, format: &FormatRecord) {
        self.insert(TreeName::Meta, "format", record::encode(format));
    }

    /// Adds a group. `stored` are the live sets before it, and `pack` is the last pack of releases.
    pub(super) fn put_group(
        &mut self,
        trees: &Trees,
        group: &Group,
        stored: &LiveSets,
        pack: &mut ReleasePack,
        record: &mut HeadRecord,
    ) -> Result<(), StorageError> {
        for block in &group.blocks {
            self.insert(
                TreeName::Journal,
                block.first.0.to_be_bytes(),
                block.bytes.to_vec(),
            );
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
            if let Some(old) = decode::checkpoint_record(trees, name)? {
                self.remove_set(trees, &old.timeline)?;
            }
            match checkpoint {
                Some(checkpoint) => self.put_checkpoint(name, checkpoint, record),
                None => self.remove(TreeName::Checkpoints, name.as_str()),
            }
        }
        for release in &group.releases {
            self.put_release(release, pack, record);
        }
        for made in &group.switches {
            let key = made.number.to_be_bytes();
            self.insert(TreeName::Switches, key, record::encode(&made.record));
        }
        self.put_runs(group);
        self.put_snapshots(trees, group, record)
    }

    /// Writes everything, with the record of the head and its new digests.
    pub(super) fn apply(
        mut self,
        trees: &Trees,
        views: &DatabaseViews,
        record: &mut HeadRecord,
        action: &'static str,
    ) -> Result<(), StorageError> {
        let mut batches: [sled::Batch; TreeName::ALL.len()] = Default::default();
        // The tree `meta` comes last, as the record of the head contains the digests of the other
        // trees.
        for name in TreeName::ALL.into_iter().rev() {
            if name == TreeName::Meta {
                self.insert(TreeName::Meta, "head", record::encode(record));
            }
            let writes = std::mem::take(&mut self.trees[name as usize]);
            let digest = record.digests.of_mut(name);
            batches[name as usize] = writes.into_batch(&trees[name], digest, views)?;
        }
        trees.database.call(action, |open| {
            open.trees
                .transaction(|trees| {
                    for (tree, batch) in trees.iter().zip(&batches) {
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

    fn insert(&mut self, tree: TreeName, key: impl Into<Vec<u8>>, value: impl Into<IVec>) {
        let writes = &mut self.trees[tree as usize];
        writes.0.insert(key.into(), Some(value.into()));
    }

    fn remove(&mut self, tree: TreeName, key: impl Into<Vec<u8>>) {
        self.trees[tree as usize].0.insert(key.into(), None);
    }

    fn put_changed_pieces(&mut self, set: u64, stored: &PositionSet, new: &PositionSet) {
        for (piece, value) in new.pieces_changed_since(stored) {
            let key = PieceKey { set, piece };
            match set_piece::encode(key, value) {
                Some(bytes) => self.insert(TreeName::Sets, key.bytes(), bytes),
                None => self.remove(TreeName::Sets, key.bytes()),
            }
        }
    }

    /// Stores a set that never changes: in its record if it is small, else in pieces.
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
            for entry in trees[TreeName::Sets].with_prefix(*number) {
                self.remove(TreeName::Sets, &*entry?.0);
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
        self.insert(TreeName::Checkpoints, name, record::encode(&stored));
    }

    /// Adds a release to the last pack, or begins the next pack with it if that one is full.
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
        self.insert(TreeName::Releases, pack.key(), pack.bytes());
    }

    fn put_runs(&mut self, group: &Group) {
        let writes = &group.runs;
        for key in &writes.removed {
            self.remove(TreeName::Index, key.bytes());
        }
        for block in &writes.blocks {
            self.insert(TreeName::Index, block.key.bytes(), block.bytes.clone());
        }
        if let Some(header) = &writes.finished {
            let stored = RunRecord {
                first: header.first,
                last: header.last,
                first_fingerprint: header.first_fingerprint.0,
                blocks: header.blocks,
                digest: header.digest,
            };
            self.insert(
                TreeName::Index,
                decode::run_key(header.run),
                record::encode(&stored),
            );
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
            let key = decode::counts_key(*snapshot, block.number);
            self.insert(TreeName::Counts, key, block.bytes.clone());
        }
        for &snapshot in &writes.removed {
            if let Some(old) = decode::snapshot_record(trees, snapshot)? {
                self.remove_set(trees, &old.timeline)?;
            }
            self.remove(TreeName::Counts, decode::counts_key(snapshot, 0));
        }
        for &(snapshot, number) in &writes.removed_blocks {
            self.remove(TreeName::Counts, decode::counts_key(snapshot, number));
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
        let key = decode::counts_key(header.snapshot, 0);
        self.insert(TreeName::Counts, key, record::encode(&stored));
    }
}

fn inline(ranges: impl Iterator<Item = PositionRange>) -> SetRecord {
    SetRecord::Ranges(ranges.map(|range| (range.first, range.last)).collect())
}
