//! The reading side: what is durable, decoded and checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::Xxh3;

use crate::error::StorageError;
use crate::journal::{Block, Entry, walk_block};
use crate::request::Position;
use crate::state::position_set::{PositionRange, PositionSet};
use crate::store::counts_codec::decode_counts;
use crate::store::group::{Checkpoint, Commit, SnapshotHeader};
use crate::store::record::{
    self, CheckpointRecord, CommitRecord, Format, HeadRecord, SetRecord, SnapshotRecord,
};
use crate::store::set_codec::{self, PieceKey};
use crate::store::sled_db::{Trees, failed};
use crate::store::writer::{ABSORBED_SET, CLOSED_SET, RELEASED_SET};

const READING: &str = "reading";

/// The sets that change with the state.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveSets {
    /// The closed part of the timeline.
    pub(crate) closed: PositionSet,
    /// Positions whose output a commit released.
    pub(crate) released: PositionSet,
    /// Positions whose output was released under another position of the same id.
    pub(crate) absorbed: PositionSet,
}

/// The scalars and the live sets, as they are stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) format: Format,
    pub(crate) record: HeadRecord,
    pub(crate) sets: LiveSets,
}

/// Reads the store, from any thread.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    trees: Trees,
    /// The last durable position.
    durable: Arc<AtomicU64>,
}

impl Reader {
    pub(super) fn new(trees: Trees, durable: Arc<AtomicU64>) -> Self {
        Self { trees, durable }
    }

    /// The last position that is durable; 0 if there is none.
    pub(crate) fn durable(&self) -> Position {
        Position(self.durable.load(Ordering::Acquire))
    }

    /// The stored block that holds a durable position.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if the block cannot be read, or there is none.
    pub(crate) fn block_at(&self, position: Position) -> Result<Block, StorageError> {
        let found = self
            .trees
            .journal
            .range(..=position.0.to_be_bytes())
            .next_back();
        let block = match found {
            Some(found) => Some(decode_block(found)?),
            None => None,
        };
        block
            .filter(|block| block.last() >= position)
            .ok_or_else(|| gap(position))
    }

    /// Every stored block from the one that holds `first` on, in order and without a gap.
    pub(crate) fn blocks_from(
        &self,
        first: Position,
    ) -> Result<impl Iterator<Item = Result<Block, StorageError>> + '_, StorageError> {
        let start = self
            .trees
            .journal
            .range(..=first.0.to_be_bytes())
            .next_back();
        let start = match start {
            Some(found) => decode_block(found)?.first,
            None => first,
        };
        let mut expected = start;
        let mut stored = self.trees.journal.range(start.0.to_be_bytes()..);
        let mut has_failed = false;
        Ok(std::iter::from_fn(move || {
            // sled's iterators return the same error for ever.
            if has_failed {
                return None;
            }
            let block = stored.next().map(decode_block)?.and_then(|block| {
                if block.first == expected {
                    Ok(block)
                } else {
                    Err(gap(expected))
                }
            });
            match &block {
                Ok(block) => expected = block.last().next(),
                Err(_) => has_failed = true,
            }
            Some(block)
        }))
    }

    /// Calls `f` with every event of growing ranges of durable positions, in order.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a block cannot be read, or what `f` returns.
    pub(crate) fn walk<E: From<StorageError>>(
        &self,
        ranges: impl IntoIterator<Item = PositionRange>,
        mut f: impl FnMut(Position, Entry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut blocks = None;
        let mut block: Option<Block> = None;
        for range in ranges {
            let mut next = range.first;
            while next <= range.last {
                let here = match block.take() {
                    Some(block) if next <= block.last() => block,
                    Some(block) if next == block.last().next() => {
                        self.next_block(&mut blocks, next)?
                    }
                    _ => {
                        blocks = Some(self.blocks_from(next)?);
                        self.next_block(&mut blocks, next)?
                    }
                };
                walk_block(
                    &here,
                    PositionRange {
                        first: next,
                        last: range.last,
                    },
                    &mut f,
                )?;
                next = here.last().next();
                block = Some(here);
            }
        }
        Ok(())
    }

    fn next_block(
        &self,
        blocks: &mut Option<impl Iterator<Item = Result<Block, StorageError>>>,
        position: Position,
    ) -> Result<Block, StorageError> {
        blocks
            .as_mut()
            .and_then(Iterator::next)
            .unwrap_or_else(|| Err(gap(position)))
    }

    /// A checkpoint that is durable.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if it cannot be read.
    pub(crate) fn checkpoint(&self, name: &str) -> Result<Option<Checkpoint>, StorageError> {
        let Some(record) = checkpoint_record(&self.trees, name)? else {
            return Ok(None);
        };
        self.load_checkpoint(record).map(Some)
    }

    fn load_checkpoint(&self, record: CheckpointRecord) -> Result<Checkpoint, StorageError> {
        Ok(Checkpoint {
            timeline: load_set(&self.trees, &record.timeline)?,
            head: record.head,
            last_commit: record.last_commit,
            source: record.source,
            committed_source: record.committed_source,
            created_at_ms: record.created_at_ms,
        })
    }

    /// Every durable checkpoint with its name, in byte order of the names.
    pub(crate) fn checkpoints(
        &self,
    ) -> impl Iterator<Item = Result<(String, Checkpoint), StorageError>> + '_ {
        self.trees.checkpoints.iter().map(|stored| {
            let (name, bytes) = stored.map_err(failed(READING))?;
            let name = String::from_utf8(name.to_vec()).map_err(|error| {
                StorageError::damaged("a checkpoint's name", "UTF-8", error.to_string())
            })?;
            let record = record::decode(&bytes, &format!("checkpoint {name:?}"))?;
            Ok((name, self.load_checkpoint(record)?))
        })
    }

    /// The journal heads at which the durable checkpoints were saved, in growing order.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if one cannot be read.
    pub(crate) fn checkpoint_heads(&self) -> Result<Vec<u64>, StorageError> {
        let mut heads = Vec::new();
        for stored in &self.trees.checkpoints {
            let (_, bytes) = stored.map_err(failed(READING))?;
            heads.push(record::decode::<CheckpointRecord>(&bytes, "a checkpoint")?.head);
        }
        heads.sort_unstable();
        Ok(heads)
    }

    /// The durable commits with numbers from `first` on, in order.
    pub(crate) fn commits_from(
        &self,
        first: u64,
    ) -> impl Iterator<Item = Result<Commit, StorageError>> + '_ {
        self.trees
            .commits
            .range(first.to_be_bytes()..)
            .map(|stored| {
                let (key, bytes) = stored.map_err(failed(READING))?;
                let number = key
                    .as_ref()
                    .try_into()
                    .map(u64::from_be_bytes)
                    .map_err(|_| {
                        StorageError::damaged(
                            "a commit's key",
                            "8 bytes",
                            format!("{} bytes", key.len()),
                        )
                    })?;
                let record: CommitRecord = record::decode(&bytes, &format!("commit {number}"))?;
                Ok(Commit {
                    number,
                    first_output: record.first_output,
                    released: load_set(&self.trees, &record.released)?,
                    committed_at_ms: record.committed_at_ms,
                })
            })
    }

    /// What the state consists of, for those who look at a resting one.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a part cannot be read.
    pub(crate) fn stored(&self) -> Result<Stored, StorageError> {
        let format = format(&self.trees)?
            .ok_or_else(|| StorageError::damaged("the tree meta", "a format", "nothing"))?;
        Ok(Stored {
            format,
            record: head_record(&self.trees)?,
            sets: live_sets(&self.trees)?,
        })
    }

    /// The numbers under which the tree `counts` holds anything: finished snapshots with their
    /// headers, and those that a crash left unfinished.
    pub(crate) fn snapshots(&self) -> Result<Vec<(u64, Option<SnapshotHeader>)>, StorageError> {
        let mut found = Vec::new();
        let mut next = 0_u64;
        while let Some(stored) = self.trees.counts.range(counts_key(next, 0)..).next() {
            let (key, _) = stored.map_err(failed(READING))?;
            let (snapshot, _) = parse_counts_key(&key)?;
            let record = snapshot_record(&self.trees, snapshot)?;
            let header = record.map(|record| self.load_snapshot_header(snapshot, &record));
            found.push((snapshot, header.transpose()?));
            next = snapshot + 1;
        }
        Ok(found)
    }

    fn load_snapshot_header(
        &self,
        snapshot: u64,
        record: &SnapshotRecord,
    ) -> Result<SnapshotHeader, StorageError> {
        Ok(SnapshotHeader {
            snapshot,
            timeline: load_set(&self.trees, &record.timeline)?,
            head: record.head,
            blocks: record.blocks,
            words: record.words,
            digest: record.digest,
        })
    }

    /// The block numbers that are stored of a snapshot, without its header's.
    pub(crate) fn snapshot_blocks(&self, snapshot: u64) -> Result<Vec<u32>, StorageError> {
        let keys = self
            .trees
            .counts
            .range(counts_key(snapshot, 1)..=counts_key(snapshot, u32::MAX));
        keys.keys()
            .map(|key| Ok(parse_counts_key(&key.map_err(failed(READING))?)?.1))
            .collect()
    }

    /// Calls `f` with every word and count of a finished snapshot, and checks its digest.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if a block is missing or damaged.
    pub(crate) fn load_snapshot(
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
            let bytes = self.trees.counts.get(key).map_err(failed(READING))?;
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

/// The key of a block of counts; block 0 is the header.
pub(super) fn counts_key(snapshot: u64, number: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&snapshot.to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

fn parse_counts_key(key: &[u8]) -> Result<(u64, u32), StorageError> {
    let parse = || {
        let (snapshot, number) = key.split_first_chunk::<8>()?;
        let number = u32::from_be_bytes(number.try_into().ok()?);
        Some((u64::from_be_bytes(*snapshot), number))
    };
    parse().ok_or_else(|| {
        StorageError::damaged(
            "a key of the tree counts",
            "12 bytes",
            format!("{}", key.len()),
        )
    })
}

fn get<T: serde::de::DeserializeOwned>(
    tree: &sled::Tree,
    key: impl AsRef<[u8]>,
    what: &str,
) -> Result<Option<T>, StorageError> {
    let bytes = tree.get(key).map_err(failed(READING))?;
    bytes.map(|bytes| record::decode(&bytes, what)).transpose()
}

/// What was fixed when the database was created; `None` if it is new.
pub(super) fn format(trees: &Trees) -> Result<Option<Format>, StorageError> {
    get(&trees.meta, "format", "the record of the format")
}

pub(super) fn head_record(trees: &Trees) -> Result<HeadRecord, StorageError> {
    let what = "the record of the head";
    let record = get(&trees.meta, "head", what)?;
    record.ok_or_else(|| StorageError::damaged(what, "a record", "nothing"))
}

pub(super) fn live_sets(trees: &Trees) -> Result<LiveSets, StorageError> {
    Ok(LiveSets {
        closed: load_pieces(trees, CLOSED_SET)?,
        released: load_pieces(trees, RELEASED_SET)?,
        absorbed: load_pieces(trees, ABSORBED_SET)?,
    })
}

pub(super) fn checkpoint_record(
    trees: &Trees,
    name: &str,
) -> Result<Option<CheckpointRecord>, StorageError> {
    get(&trees.checkpoints, name, "a checkpoint")
}

pub(super) fn snapshot_record(
    trees: &Trees,
    snapshot: u64,
) -> Result<Option<SnapshotRecord>, StorageError> {
    get(
        &trees.counts,
        counts_key(snapshot, 0),
        "the header of a counts snapshot",
    )
}

fn load_set(trees: &Trees, set: &SetRecord) -> Result<PositionSet, StorageError> {
    match set {
        SetRecord::Ranges(ranges) => Ok(PositionSet::from_ranges(ranges.iter().map(
            |&(first, last)| PositionRange {
                first: Position(first),
                last: Position(last),
            },
        ))),
        SetRecord::Pieces(number) => load_pieces(trees, *number),
    }
}

fn load_pieces(trees: &Trees, set: u64) -> Result<PositionSet, StorageError> {
    let mut pieces = Vec::new();
    for stored in trees.sets.scan_prefix(set.to_be_bytes()) {
        let (key, bytes) = stored.map_err(failed(READING))?;
        let key = PieceKey::parse(&key)
            .ok_or_else(|| StorageError::damaged("a key of the tree sets", "16 bytes", "others"))?;
        pieces.push((key.piece, set_codec::decode(key, &bytes)?));
    }
    Ok(PositionSet::from_pieces(pieces))
}

fn decode_block(stored: sled::Result<(sled::IVec, sled::IVec)>) -> Result<Block, StorageError> {
    let (key, bytes) = stored.map_err(failed(READING))?;
    let first = key
        .as_ref()
        .try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| {
            StorageError::damaged(
                "a key of the journal",
                "8 bytes",
                format!("{} bytes", key.len()),
            )
        })?;
    Block::open(Position(first), &bytes)
}

fn gap(position: Position) -> StorageError {
    StorageError::damaged(
        "the journal",
        format!("an event at position {position}"),
        "none",
    )
}
