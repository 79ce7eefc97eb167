//! Reads what is durable, decodes it and checks it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::Xxh3;

use crate::error::StorageError;
use crate::state::position::Position;
use crate::state::position_set::PositionRange;
use crate::store::bytes::block::{Block, walk_block};
use crate::store::bytes::counts::decode_counts;
use crate::store::bytes::entry::Entry;
use crate::store::bytes::record::{
    self, CheckpointRecord, Digests, FormatRecord, HeadRecord, Scalars, SetRecord, SnapshotRecord,
};
use crate::store::bytes::release_pack::ReleasePack;
use crate::store::bytes::tree_name::TreeName;
use crate::store::database::trees::Trees;
use crate::store::decode::{
    self, FIRST_FREE_SET, LiveSets, Stored, counts_key, decode_block, fits, follows, gap,
    parse_counts_key, read_set, snapshot_record,
};
use crate::store::group::{Checkpoint, SnapshotHeader, Switch};

/// The end of what is durable. It advances with each group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Durable(Arc<DurableEnd>);

#[derive(Debug, Default)]
struct DurableEnd {
    position: AtomicU64,
    group: AtomicU64,
}

impl Durable {
    /// Returns the last durable position.
    pub(crate) fn position(&self) -> Position {
        Position(self.0.position.load(Ordering::Acquire))
    }

    /// Returns the number of the last durable group.
    pub(crate) fn group(&self) -> u64 {
        self.0.group.load(Ordering::Acquire)
    }

    pub(super) fn advance(&self, position: Position, group: u64) {
        self.0.position.store(position.0, Ordering::Release);
        self.0.group.store(group, Ordering::Release);
    }
}

/// A durable moment: the scalars, and a reader of the rest.
pub(crate) struct DurableState {
    pub(super) format: FormatRecord,
    pub(super) record: HeadRecord,
    pub(super) reader: Reader,
}

impl DurableState {
    pub(crate) fn source(&self) -> Option<Vec<u8>> {
        self.record.scalars.source.clone()
    }

    /// Also reads the live sets.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a piece cannot be read.
    pub(crate) fn read(self) -> Result<(Stored, Reader), StorageError> {
        let stored = Stored {
            format: self.format,
            sets: self.reader.live_sets(&self.record.scalars)?,
            record: self.record,
        };
        Ok((stored, self.reader))
    }
}

/// Reads the store, from any thread.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    trees: Trees,
    durable: Durable,
}

impl Reader {
    pub(super) fn new(trees: Trees, durable: Durable) -> Self {
        Self { trees, durable }
    }

    pub(super) fn trees(&self) -> &Trees {
        &self.trees
    }

    /// Returns the last durable position.
    pub(crate) fn durable(&self) -> Position {
        self.durable.position()
    }

    /// Returns the number of the last durable group.
    pub(crate) fn durable_group(&self) -> u64 {
        self.durable.group()
    }

    /// Returns the stored block that holds a durable position.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the block cannot be read, or there is none.
    pub(crate) fn block_at(&self, position: Position) -> Result<Block, StorageError> {
        let found = self.trees[TreeName::Journal].last_up_to(position.0.to_be_bytes())?;
        let block = found.as_ref().map(decode_block).transpose()?;
        block
            .filter(|block| block.last() >= position)
            .ok_or_else(|| gap(position))
    }

    /// Returns every stored block, in order, from the one that holds `first` on. A gap or a damaged
    /// block ends the iteration with an error.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the first block cannot be found.
    pub(crate) fn blocks_from(
        &self,
        first: Position,
    ) -> Result<impl Iterator<Item = Result<Block, StorageError>> + '_, StorageError> {
        let start = self.trees[TreeName::Journal].last_up_to(first.0.to_be_bytes())?;
        let start = start.as_ref().map(decode_block).transpose()?;
        let mut expected = start.as_ref().map_or(first, |block| block.first);
        let mut previous = (expected == Position::FIRST).then_some(0);
        // Often no block but the first is needed, so the iterator is made when it is needed.
        let after = start.as_ref().map_or(first, |block| block.last().next());
        let after = move || self.trees[TreeName::Journal].range(after.0.to_be_bytes()..);
        let after = std::iter::once_with(after).flatten();
        let after = after.map(|entry| entry.and_then(|entry| decode_block(&entry)));
        let mut stored = Some(start.map(Ok).into_iter().chain(after));
        Ok(std::iter::from_fn(move || {
            let block = stored.as_mut()?.next()?;
            let block = block.and_then(|block| follows(block, expected, previous));
            match &block {
                Ok(block) => {
                    expected = block.last().next();
                    previous = Some(block.checksum());
                }
                Err(_) => stored = None,
            }
            Some(block)
        }))
    }

    /// Calls `f` with every event of ranges of durable positions. The ranges must be in growing
    /// order.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a block cannot be read; also any error of `f`.
    pub(crate) fn walk<E: From<StorageError>>(
        &self,
        ranges: impl IntoIterator<Item = PositionRange>,
        mut f: impl FnMut(Position, Entry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut stored = self.in_order();
        for range in ranges {
            let mut next = range.first;
            while next <= range.last {
                let block = stored.block_at(next)?;
                let rest = PositionRange {
                    first: next,
                    last: range.last,
                };
                walk_block(&block, rest, &mut f)?;
                next = block.last().next();
            }
        }
        Ok(())
    }

    /// Waits while the database is being reopened, or is about to be. The thread must hold nothing
    /// of it.
    pub(crate) fn let_reopen(&self) {
        self.trees.database.let_reopen();
    }

    /// Returns a durable checkpoint.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if it cannot be read.
    pub(crate) fn checkpoint(&self, name: &str) -> Result<Option<Checkpoint>, StorageError> {
        let Some(record) = decode::checkpoint_record(&self.trees, name)? else {
            return Ok(None);
        };
        self.read_checkpoint(record).map(Some)
    }

    fn read_checkpoint(&self, record: CheckpointRecord) -> Result<Checkpoint, StorageError> {
        let timeline = read_set(&self.trees, &record.timeline, self.durable())?;
        fits("the events of a checkpoint", record.events, timeline.len())?;
        Ok(Checkpoint {
            timeline,
            position: record.position,
            outputs: record.outputs,
            source: record.source,
            committed_source: record.committed_source,
            created_at_ms: record.created_at_ms,
        })
    }

    /// Returns every durable checkpoint with its name, in byte order of the names.
    pub(crate) fn checkpoints(
        &self,
    ) -> impl Iterator<Item = Result<(String, Checkpoint), StorageError>> + '_ {
        self.trees[TreeName::Checkpoints].iter().map(|stored| {
            let (name, bytes) = stored?;
            let name = String::from_utf8(name.to_vec()).map_err(|error| {
                StorageError::damaged("a checkpoint's name", "UTF-8", error.to_string())
            })?;
            let record = record::decode(&bytes, &format!("checkpoint {name:?}"))?;
            Ok((name, self.read_checkpoint(record)?))
        })
    }

    /// Returns the heads at which the durable checkpoints were saved, in growing order.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if one cannot be read.
    pub(crate) fn checkpoint_positions(&self) -> Result<Vec<Position>, StorageError> {
        let mut positions = Vec::new();
        for stored in self.trees[TreeName::Checkpoints].iter() {
            let (_, bytes) = stored?;
            positions.push(record::decode::<CheckpointRecord>(&bytes, "a checkpoint")?.position);
        }
        positions.sort_unstable();
        Ok(positions)
    }

    /// Returns every switch, in order. A gap in their numbers is an error.
    pub(crate) fn switches(&self) -> impl Iterator<Item = Result<Switch, StorageError>> + '_ {
        self.trees[TreeName::Switches]
            .iter()
            .zip(1..)
            .map(|(entry, number)| {
                let (key, bytes) = entry?;
                fits(
                    "the number of a switch",
                    number,
                    decode::parse_number("a switch's key", &key)?,
                )?;
                let record = record::decode(&bytes, &format!("switch {number}"))?;
                Ok(Switch { number, record })
            })
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.trees.database.file_bytes()
    }

    /// Returns the record of the head of a resting store. All its positions count as durable after
    /// this.
    pub(super) fn head(&self) -> Result<HeadRecord, StorageError> {
        let record = decode::head(&self.trees)?.record;
        self.durable.advance(record.scalars.position, record.group);
        Ok(record)
    }

    /// Reads the sets that change with the state.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a piece cannot be read.
    pub(crate) fn live_sets(&self, scalars: &Scalars) -> Result<LiveSets, StorageError> {
        decode::live_sets(&self.trees, scalars)
    }

    pub(super) fn check_fit(
        &self,
        record: &HeadRecord,
        sets: &LiveSets,
    ) -> Result<(), StorageError> {
        decode::check_fit(&self.trees, record, sets).map(drop)
    }

    pub(crate) fn check_digests(
        &self,
        digests: &Digests,
    ) -> impl Iterator<Item = Result<(), StorageError>> {
        digests
            .by_tree()
            .into_iter()
            .map(|(name, digest)| decode::check_digest(&self.trees[name], &digest))
    }

    /// Returns the numbers of the stored sets that never change.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a key cannot be read.
    pub(crate) fn stored_sets(&self) -> Result<BTreeSet<u64>, StorageError> {
        let mut found = BTreeSet::new();
        let mut next = FIRST_FREE_SET;
        while let Some(stored) = self.trees[TreeName::Sets]
            .range(next.to_be_bytes()..)
            .next()
        {
            let set = decode::parse_piece_key(&stored?.0)?.set;
            found.insert(set);
            next = set + 1;
        }
        Ok(found)
    }

    /// Returns the numbers of the sets that checkpoints, releases and snapshots refer to.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a record cannot be read.
    pub(crate) fn referenced_sets(&self) -> Result<BTreeSet<u64>, StorageError> {
        let mut found = BTreeSet::new();
        let mut refer = |set: SetRecord| {
            if let SetRecord::Pieces(number) = set {
                found.insert(number);
            }
        };
        for stored in self.trees[TreeName::Checkpoints].iter() {
            let record: CheckpointRecord = record::decode(&stored?.1, "a checkpoint")?;
            refer(record.timeline);
        }
        for stored in self.trees[TreeName::Releases].iter() {
            let (key, bytes) = stored?;
            let first_output = decode::parse_number("a key of the tree releases", &key)?;
            ReleasePack::read(first_output, &bytes, |release| refer(release.released))?;
        }
        for (snapshot, _) in self.snapshots()? {
            if let Some(record) = snapshot_record(&self.trees, snapshot)? {
                refer(record.timeline);
            }
        }
        Ok(found)
    }

    /// Returns the number of every counts snapshot of which anything is stored. One that a crash
    /// left unfinished has no header.
    pub(crate) fn snapshots(&self) -> Result<Vec<(u64, Option<SnapshotHeader>)>, StorageError> {
        let mut found = Vec::new();
        let mut next = 0_u64;
        while let Some(stored) = self.trees[TreeName::Counts]
            .range(counts_key(next, 0)..)
            .next()
        {
            let (key, _) = stored?;
            let (snapshot, _) = parse_counts_key(&key)?;
            let record = snapshot_record(&self.trees, snapshot)?;
            let header = record.map(|record| self.read_snapshot_header(snapshot, &record));
            found.push((snapshot, header.transpose()?));
            next = snapshot + 1;
        }
        Ok(found)
    }

    fn read_snapshot_header(
        &self,
        snapshot: u64,
        record: &SnapshotRecord,
    ) -> Result<SnapshotHeader, StorageError> {
        Ok(SnapshotHeader {
            snapshot,
            timeline: read_set(&self.trees, &record.timeline, self.durable())?,
            position: record.position,
            blocks: record.blocks,
            words: record.words,
            digest: record.digest,
        })
    }

    /// Returns the block numbers that are stored of a snapshot, without that of the header.
    pub(crate) fn snapshot_blocks(&self, snapshot: u64) -> Result<Vec<u32>, StorageError> {
        let blocks = counts_key(snapshot, 1)..=counts_key(snapshot, u32::MAX);
        self.trees[TreeName::Counts]
            .range(blocks)
            .map(|stored| Ok(parse_counts_key(&stored?.0)?.1))
            .collect()
    }

    /// Calls `f` with every word and count of a finished snapshot, and checks the snapshot's
    /// digest.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a block is missing or damaged.
    pub(crate) fn read_snapshot(
        &self,
        header: &SnapshotHeader,
        mut f: impl FnMut(&str, u64),
    ) -> Result<(), StorageError> {
        let mut digest = Xxh3::new();
        let mut words = 0;
        let damaged = |expected: String, found: String| {
            let what = format!("counts snapshot {}", header.snapshot);
            StorageError::damaged(what, expected, found)
        };
        for number in 1..=header.blocks {
            let key = counts_key(header.snapshot, number);
            let bytes = self.trees[TreeName::Counts].get(key)?;
            let bytes = bytes.ok_or_else(|| damaged(format!("block {number}"), "none".into()))?;
            let checksum = decode_counts(header.snapshot, number, &bytes, |word, count| {
                words += 1;
                f(word, count);
            })?;
            digest.update(&checksum.to_le_bytes());
        }
        let found = (words, digest.digest());
        if found != (header.words, header.digest) {
            let expected = (header.words, header.digest);
            return Err(damaged(
                format!("words and digest {expected:?}"),
                format!("{found:?}"),
            ));
        }
        Ok(())
    }
}
